//! Following an event log while it is being written.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use contract::event::{Event, Kind};

use crate::Error;

/// Most bytes read at once; call again while events come.
const CHUNK: u64 = 4 << 20;
/// A line longer than this is reported and skipped.
const MAX_LINE: usize = 1 << 20;

/// A reader of an event log that remembers where it is. It counts lines: an event's `seq` is its line's
/// number from 0, also after a damaged line, so that numbers are dense whatever happened to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTail {
    path: PathBuf,
    offset: u64,
    line: u64,
    from_seq: u64,
    last_ms: i64,
    overlong: bool,
}

impl EventTail {
    /// Starts at event `from_seq`.
    pub fn from_seq(path: &Path, from_seq: u64) -> Self {
        Self { from_seq, ..Self::from_offset(path, 0, 0) }
    }

    /// Starts at byte `offset`, where line `line` (from 0) begins; see [`Self::offset`].
    pub fn from_offset(path: &Path, offset: u64, line: u64) -> Self {
        Self { path: path.to_owned(), offset, line, from_seq: 0, last_ms: 0, overlong: false }
    }

    /// Bytes consumed: the start of the next line.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of the next line.
    pub fn next_seq(&self) -> u64 {
        self.line
    }

    /// The events that became whole since the last call, at most some megabytes of them.
    /// A file that does not exist yet has none.
    pub fn read_new(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        loop {
            let bytes = self.chunk()?;
            let full = bytes.len() as u64 == CHUNK;
            let Some(whole) = bytes.iter().rposition(|b| *b == b'\n') else {
                if bytes.len() <= MAX_LINE {
                    return Ok(events);
                }
                self.overlong = true;
                self.offset += bytes.len() as u64;
                if full {
                    continue;
                }
                return Ok(events);
            };
            for line in bytes[..whole].split(|b| *b == b'\n') {
                let event = self.read_line(line);
                if event.seq >= self.from_seq {
                    events.push(event);
                }
            }
            self.offset += whole as u64 + 1;
            if !(full && events.is_empty()) {
                return Ok(events);
            }
        }
    }

    fn chunk(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(bytes),
            Err(why) => return Err(Error::at(&self.path, "read")(why)),
        };
        file.seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.take(CHUNK).read_to_end(&mut bytes))
            .map_err(Error::at(&self.path, "read"))?;
        Ok(bytes)
    }

    fn read_line(&mut self, line: &[u8]) -> Event {
        let seq = self.line;
        self.line += 1;
        let overlong = std::mem::take(&mut self.overlong) || line.len() > MAX_LINE;
        if !overlong && let Ok(event) = serde_json::from_slice::<Event>(line) {
            self.last_ms = event.at_ms;
            return Event { seq, ..event };
        }
        let why = if overlong { "is too long" } else { "is damaged" };
        let text = format!("Line {} of the event log {why} and was skipped.", seq + 1);
        Event { seq, at_ms: self.last_ms, what: Kind::Log { level: "warn".to_owned(), text }.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventWriter;
    use contract::event::What;
    use proptest::prelude::*;
    use std::io::Write;

    fn step(step: u64) -> Kind {
        Kind::Eval { step, eval_loss: Some(1.5), metrics: Default::default() }
    }

    fn is_warning(event: &Event) -> bool {
        matches!(&event.what, What::Known(Kind::Log { level, .. }) if level == "warn")
    }

    #[test]
    fn a_line_without_newline_is_not_there_yet() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("events.jsonl");
        let mut tail = EventTail::from_seq(&path, 0);
        assert!(tail.read_new().expect("no file yet").is_empty());
        let line = br#"{"seq":0,"at_ms":7,"what":{"kind":"stopped","step":3}}"#;
        let mut file = File::create(&path).expect("creates");
        file.write_all(&line[..20]).expect("half");
        assert!(tail.read_new().expect("reads").is_empty());
        file.write_all(&line[20..]).expect("rest");
        assert!(tail.read_new().expect("reads").is_empty());
        file.write_all(b"\n").expect("newline");
        assert_eq!(tail.read_new().expect("reads").len(), 1);
        assert!(tail.read_new().expect("reads").is_empty());
    }

    #[test]
    fn damaged_lines_are_reported_and_numbers_stay_dense() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("events.jsonl");
        EventWriter::open(&path).expect("opens").append(step(1)).expect("written");
        let mut bytes = std::fs::read(&path).expect("reads");
        bytes.extend(b"{\"seq\":1,\"at_ms\":\n\xff\xfe\x00\n\n");
        bytes.extend(vec![b'x'; MAX_LINE + 1]);
        bytes.push(b'\n');
        std::fs::write(&path, &bytes).expect("written");
        EventWriter::open(&path).expect("opens").append(step(2)).expect("written");
        let mut tail = EventTail::from_seq(&path, 0);
        let events = tail.read_new().expect("reads");
        assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(events.iter().map(is_warning).collect::<Vec<_>>(), [false, true, true, true, true, false]);
        let later = EventTail::from_offset(&path, tail.offset(), tail.next_seq()).read_new();
        assert!(later.expect("reads").is_empty());
    }

    #[test]
    fn an_endless_line_is_skipped_without_holding_it() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("events.jsonl");
        std::fs::write(&path, vec![b'x'; usize::try_from(CHUNK).expect("fits") + 10]).expect("written");
        let mut tail = EventTail::from_seq(&path, 0);
        assert!(tail.read_new().expect("reads").is_empty());
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("opens");
        file.write_all(b"\n{\"seq\":1,\"at_ms\":7,\"what\":{\"kind\":\"stopped\",\"step\":3}}\n")
            .expect("written");
        let events = tail.read_new().expect("reads");
        assert_eq!(events.iter().map(is_warning).collect::<Vec<_>>(), [true, false]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// However a log is cut and however it grows, a tail sees each event once, in order.
        #[test]
        fn a_tail_sees_each_event_once_wherever_the_file_is_cut(
            count in 1_usize..12, cuts in prop::collection::vec(0.0_f64..1.0, 0..6), from in 0_u64..6,
        ) {
            let place = tempfile::tempdir().expect("a folder");
            let (whole, growing) = (place.path().join("whole"), place.path().join("growing"));
            let mut writer = EventWriter::open(&whole).expect("opens");
            for n in 0..count {
                writer.append(step(n as u64)).expect("written");
            }
            let bytes = std::fs::read(&whole).expect("reads");
            let mut lengths: Vec<_> = cuts.iter().map(|cut| (cut * bytes.len() as f64) as usize).collect();
            lengths.push(bytes.len());
            lengths.sort_unstable();
            let mut tail = EventTail::from_seq(&growing, from);
            let mut seen = Vec::new();
            for length in lengths {
                std::fs::write(&growing, &bytes[..length]).expect("written");
                seen.extend(tail.read_new().expect("reads"));
                let lines = bytes[..length].iter().filter(|b| **b == b'\n').count() as u64;
                prop_assert_eq!(seen.len() as u64, lines.saturating_sub(from));
            }
            let all = EventTail::from_seq(&whole, from).read_new().expect("reads");
            prop_assert_eq!(seen, all);
        }
    }
}
