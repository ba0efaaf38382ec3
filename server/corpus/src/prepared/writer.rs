//! Encoding every row of a job into the files of a store.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use contract::problem::Problem;
use contract::row_reason::RowReason;

use super::{Names, Shared, Summary, disk, record};
use crate::encode::{Encoded, Example, PtPacker};
use crate::health::is_refusal;
use crate::job::{Job, PartRows, encoded};

/// Appends examples to the two files.
pub(super) struct Writer {
    records: BufWriter<File>,
    offsets: BufWriter<File>,
    summary: Summary,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(records: File, offsets: File) -> Self {
        Self {
            records: BufWriter::with_capacity(1 << 18, records),
            offsets: BufWriter::new(offsets),
            summary: Summary::default(),
            buffer: Vec::new(),
        }
    }

    fn push(&mut self, example: &Example) -> Result<(), Problem> {
        self.buffer.clear();
        record::write(example, &mut self.buffer);
        self.records.write_all(&self.buffer).map_err(disk("written"))?;
        self.summary.bytes += self.buffer.len() as u64;
        self.offsets.write_all(&self.summary.bytes.to_le_bytes()).map_err(disk("written"))?;
        self.summary.examples += 1;
        self.summary.cut_rows += u64::from(example.cut() > 0);
        self.summary.longest = self.summary.longest.max(example.longest() as u64);
        self.summary.tokens += example.size().0;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Problem> {
        self.records.flush().and_then(|()| self.offsets.flush()).map_err(disk("written"))
    }
}

/// Encodes every row of the job into the files.
pub(super) fn prepare(job: &Job, writer: Writer, shared: &Shared) -> Result<Summary, Problem> {
    let encoder = &job.encoder;
    let writer = std::cell::RefCell::new(writer);
    writer.borrow_mut().summary.parts =
        vec![PartRows { cut: Some(0), ..PartRows::default() }; job.parts.len()];
    let mut packer = PtPacker::new(&encoder.tokenizer, encoder.max_source_length).behaving(encoder.behaviour);
    let blocks = |blocks: Vec<Encoded>| {
        blocks.into_iter().try_for_each(|block| writer.borrow_mut().push(&Example::Sequence(block)))
    };
    let mut broken = None;
    let passed = job.each(
        1,
        |mixed, part| (mixed.rows, mixed.begins, encoded(encoder, mixed, part)),
        |number, part, (rows, begins, example)| {
            let (before, cut) = (writer.borrow().summary.tokens, writer.borrow().summary.cut_rows);
            let mut refused = false;
            let reason = match example {
                Ok(Ok(Example::Text(ids))) => {
                    if begins {
                        packer.push_ids(&ids);
                    } else {
                        packer.go_on(&ids);
                    }
                    blocks(packer.take_blocks())?;
                    None
                }
                Ok(Ok(example)) => {
                    writer.borrow_mut().push(&example)?;
                    None
                }
                Ok(Err(reason)) => Some(reason),
                Err(problem) if is_refusal(&problem) => {
                    refused = true;
                    Some(RowReason::Refused { problem: Box::new(problem) })
                }
                Err(problem) => return Err(problem.row(number)),
            };
            let summary = &mut writer.borrow_mut().summary;
            summary.rows += rows;
            let cut = summary.cut_rows - cut;
            let given = &mut summary.parts[part];
            given.rows += rows;
            given.dropped += if reason.is_some() { rows } else { 0 };
            given.cut = given.cut.map(|before| before + cut);
            if let Some(reason) = reason {
                summary.dropped_rows += rows;
                summary.refused_rows += u64::from(refused);
                summary.first_dropped.get_or_insert((number, reason));
            }
            Ok(summary.tokens - before)
        },
        &mut |progress| {
            // Only what is really in the files is announced.
            let flushed = writer.borrow_mut().flush();
            let mut standing = shared.lock();
            standing.progress = progress;
            if flushed.is_ok() {
                let written = &writer.borrow().summary;
                (standing.ready, standing.longest) = (written.examples, written.longest);
            }
            shared.changed.notify_all();
            broken = flushed.err();
            let stop = shared.stop.load(Ordering::Relaxed) || broken.is_some();
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    // A full disk is the reason then, not that reading was stopped for it.
    passed.map_err(|stopped| broken.unwrap_or(stopped))?;
    let rest = packer.finish();
    blocks(rest.blocks)?;
    let mut writer = writer.into_inner();
    writer.summary.dropped_tokens = rest.dropped_tokens as u64;
    writer.flush()?;
    writer.records.get_ref().sync_data().map_err(disk("written"))?;
    Ok(writer.summary)
}

/// Gives the finished files their lasting names; the summary, which makes them count, comes last.
pub(super) fn publish(temporary: &Names, last: &Names, summary: Summary) -> Result<Summary, Problem> {
    let text = serde_json::to_vec(&summary).unwrap_or_default();
    std::fs::write(&temporary.summary, text)
        .and_then(|()| std::fs::rename(&temporary.records, &last.records))
        .and_then(|()| std::fs::rename(&temporary.offsets, &last.offsets))
        .and_then(|()| std::fs::rename(&temporary.summary, &last.summary))
        .map_err(disk("written"))?;
    Ok(summary)
}
