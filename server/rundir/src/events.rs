//! Appending to an attempt's event log.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use contract::event::{Event, Kind};

use crate::{Error, now_ms};

/// Appends events, one JSON line in one write each; `seq` is dense from 0.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
    next_seq: u64,
}

impl EventWriter {
    /// Opens (or begins) a log. A torn last line is cut off: no reader has seen it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(Error::at(path, "open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::at(path, "read"))?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let next_seq = bytes[..whole].iter().filter(|b| **b == b'\n').count() as u64;
        file.set_len(whole as u64)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(Error::at(path, "write"))?;
        Ok(Self { path: path.to_owned(), file, next_seq })
    }

    /// Appends an event with the time of now. Checkpoints and endings are flushed to the disk.
    pub fn append(&mut self, kind: Kind) -> Result<(), Error> {
        let lasting = matches!(
            kind,
            Kind::Checkpoint { .. } | Kind::Stopped { .. } | Kind::Finished { .. } | Kind::Failed { .. }
        );
        let event = Event { seq: self.next_seq, at_ms: now_ms(), what: kind.into() };
        let mut line = serde_json::to_vec(&event)
            .map_err(|why| Error::broken(&self.path, format!("an event cannot be written: {why}")))?;
        line.push(b'\n');
        if let Err(why) = self.file.write_all(&line) {
            self.cut_torn_line();
            return Err(Error::at(&self.path, "write")(why));
        }
        self.next_seq += 1;
        if lasting {
            self.file.sync_data().map_err(Error::at(&self.path, "write"))?;
        }
        Ok(())
    }

    /// After a failed write (a full disk, say) half a line may stand at the end; the next append must not join it.
    fn cut_torn_line(&mut self) {
        if let Ok(whole) = Self::open(&self.path) {
            *self = whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventTail;

    fn log(text: &str) -> Kind {
        Kind::Log { level: "info".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_reopened_log_goes_on_where_the_last_whole_line_ended() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("events.jsonl");
        let mut writer = EventWriter::open(&path).expect("opens");
        writer.append(log("a\nb")).expect("written");
        writer.append(log("c")).expect("written");
        drop(writer);
        let torn = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &torn[..torn.len() - 3]).expect("torn");
        let mut writer = EventWriter::open(&path).expect("opens");
        writer.append(log("d")).expect("written");
        let events = EventTail::from_seq(&path, 0).read_new().expect("reads");
        let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, [0, 1]);
        assert_eq!(events[1].what, log("d").into());
    }

    #[test]
    fn infinity_never_reaches_the_log() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("events.jsonl");
        let mut writer = EventWriter::open(&path).expect("opens");
        writer
            .append(Kind::Eval { step: 1, eval_loss: Some(f64::INFINITY), metrics: Default::default() })
            .expect("written");
        assert!(std::fs::read_to_string(&path).expect("reads").contains("\"eval_loss\":null"));
    }
}
