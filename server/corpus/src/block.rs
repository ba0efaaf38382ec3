//! The blocks that pre-training reads (S-141, S-147), one at a time: made as [`crate::prepared`] makes them, up to the one
//! that is wanted.

use std::collections::VecDeque;

use contract::Code;
use contract::dataset::{Behaviour, Block, Preview};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::stage::Stage;
use rayon::prelude::*;

use crate::batches::Batches;
use crate::encode::{Encoded, Encoder, Example, LaidToken, PtPacker};
use crate::health::is_refusal;
use crate::job::{Job, encoded};
use crate::mix::{Mixed, mixed};
use crate::preview::shown_sequence;

/// Text that is encoded together, bytes: little, for the first block is asked for most.
const TOGETHER: usize = 256 << 10;

/// Which block is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one of this number, from 1; the last one where there are fewer.
    Number(u64),
    /// The one in which this row, from 1, begins.
    OfRow(u64),
}

/// A block of a job of one dataset, whose rows count `rows`. A row that is left out is in none and says why.
///
/// # Errors
/// What reading finds broken, or a tokenizer that fails.
pub fn block(job: &Job, wanted: Wanted, rows: u64) -> Result<Preview, Problem> {
    if let Wanted::OfRow(row) = wanted
        && row > rows
    {
        return Err(Problem::new(Code::DatasetNoSuchRow, format!("The dataset has no row {row}."))
            .row(row)
            .hint("Choose a smaller row number."));
    }
    let encoder = &job.encoder;
    let joins = encoder.stage == Stage::Pt && encoder.behaviour == Behaviour::Corrected;
    let source = mixed(&job.parts, job.mixing, job.max_samples, job.seed)?;
    let mut batches = Batches::new(source, &job.parts, 1, joins);
    let mut looking = Looking::new(encoder, wanted);
    loop {
        let batch = batches.next()?;
        if batch.is_empty() {
            return looking.end(rows);
        }
        for some in together(&batch) {
            let done: Vec<_> =
                some.par_iter().map(|mixed| encoded(encoder, mixed, &job.parts[mixed.part])).collect();
            for (mixed, example) in some.iter().zip(done) {
                looking.take(mixed, example)?;
                if looking.is_done() {
                    return looking.end(rows);
                }
            }
        }
    }
}

/// Stretches of rows with so much text.
fn together(batch: &[Mixed]) -> impl Iterator<Item = &[Mixed]> {
    let mut bytes = 0;
    batch.chunk_by(move |row, _| {
        bytes += row.row.size();
        let full = bytes > TOGETHER;
        bytes = if full { 0 } else { bytes };
        !full
    })
}

/// Rows that stand together in the stream of tokens.
struct Span {
    /// The first one and how many.
    row: u64,
    rows: u64,
    /// Where their tokens begin and end.
    start: usize,
    end: usize,
    /// Their lines, where they are more than one.
    text: Option<String>,
}

/// Packing until the block is there.
struct Looking<'e> {
    encoder: &'e Encoder,
    packer: PtPacker<'e>,
    wanted: Wanted,
    /// The block wanted, from 0, once it is known.
    target: Option<usize>,
    left_out: Option<RowReason>,
    spans: VecDeque<Span>,
    /// Blocks so far, and the last one of them that may be the one.
    made: usize,
    latest: Option<(usize, Encoded)>,
}

impl<'e> Looking<'e> {
    fn new(encoder: &'e Encoder, wanted: Wanted) -> Self {
        let packer = PtPacker::new(&encoder.tokenizer, encoder.max_source_length).behaving(encoder.behaviour);
        let target = match wanted {
            Wanted::Number(number) => Some(usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX)),
            Wanted::OfRow(_) => None,
        };
        Self {
            encoder,
            packer,
            wanted,
            target,
            left_out: None,
            spans: VecDeque::new(),
            made: 0,
            latest: None,
        }
    }

    /// Tokens that are in blocks or will be.
    fn place(&self) -> usize {
        self.made * self.packer.block() + self.packer.waiting()
    }

    fn take(
        &mut self,
        mixed: &Mixed,
        example: Result<Result<Example, RowReason>, Problem>,
    ) -> Result<(), Problem> {
        let within = mixed.number..mixed.number + mixed.rows;
        let asked = matches!(self.wanted, Wanted::OfRow(row) if within.contains(&row));
        let ids = match example {
            Ok(Ok(Example::Text(ids))) => ids,
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(reason)) => {
                self.left_out = self.left_out.take().or(asked.then_some(reason));
                return Ok(());
            }
            Err(problem) if is_refusal(&problem) => {
                let reason = RowReason::Refused { problem: Box::new(problem) };
                self.left_out = self.left_out.take().or(asked.then_some(reason));
                return Ok(());
            }
            Err(problem) => return Err(problem.row(mixed.number)),
        };
        if mixed.begins {
            self.packer.end_text();
            self.keep();
        }
        let start = self.place();
        if mixed.begins {
            self.packer.push_ids(&ids);
        } else {
            self.packer.go_on(&ids);
        }
        let text = (mixed.rows > 1).then(|| lines_of(mixed)).flatten();
        let end = start + ids.len();
        let span = Span { row: mixed.number, rows: mixed.rows, start, end, text };
        if let (true, Wanted::OfRow(row)) = (asked, self.wanted) {
            let before = self.starts(&span)?;
            let index = usize::try_from(row - span.row).unwrap_or(0).min(before.len() - 1);
            self.target = Some(before[index] / self.packer.block());
        }
        self.spans.push_back(span);
        self.keep();
        // What stands before a text and behind it is of the text as well.
        let place = self.place();
        if let Some(span) = self.spans.back_mut() {
            span.end = span.end.max(place);
        }
        Ok(())
    }

    /// Keeps of the blocks that are full the one that is wanted, or else the last.
    fn keep(&mut self) {
        for block in self.packer.take_blocks() {
            let number = self.made;
            self.made += 1;
            if self.latest.as_ref().is_none_or(|(held, _)| Some(*held) != self.target) {
                self.latest = Some((number, block));
            }
        }
        let held = self.latest.as_ref().map_or(0, |(number, _)| *number);
        let from = held * self.packer.block();
        while self.spans.front().is_some_and(|span| span.end <= from && span.end > span.start) {
            self.spans.pop_front();
        }
    }

    /// Whether the block is there, and whether another follows.
    fn is_done(&self) -> bool {
        // What fills no block is read nonetheless, unless it is dropped as the original did.
        let more = self.encoder.behaviour == Behaviour::Corrected && self.packer.waiting() > 0;
        self.left_out.is_some()
            || self
                .target
                .is_some_and(|target| self.made > target.saturating_add(1) || self.made > target && more)
    }

    /// Where each row of a span begins.
    fn starts(&self, span: &Span) -> Result<Vec<usize>, Problem> {
        let mut starts = vec![span.start];
        for line in span.text.iter().flat_map(|text| text.split('\n')) {
            let last = starts.last().copied().unwrap_or(span.start);
            let tokens = self.encoder.text_going_on(&format!("{line}\n"))?.len();
            starts.push((last + tokens).min(span.end));
        }
        starts.truncate(usize::try_from(span.rows).unwrap_or(usize::MAX).max(1));
        Ok(starts)
    }

    /// The first and the last row that a stretch of tokens holds any of.
    fn rows_in(&self, from: usize, to: usize) -> Result<Option<(u64, u64)>, Problem> {
        let mut found: Option<(u64, u64)> = None;
        for span in self.spans.iter().filter(|span| span.start < to && span.end > from) {
            let starts = self.starts(span)?;
            for (index, start) in starts.iter().enumerate() {
                let end = starts.get(index + 1).copied().unwrap_or(span.end);
                if *start < to && end > from {
                    let row = span.row + index as u64;
                    found = Some((found.map_or(row, |(first, _)| first), row));
                }
            }
        }
        Ok(found)
    }

    fn end(mut self, rows: u64) -> Result<Preview, Problem> {
        let row = match self.wanted {
            Wanted::OfRow(row) => row,
            Wanted::Number(_) => 1,
        };
        if let Some(reason) = self.left_out.take() {
            return Ok(Preview { left_out: Some(reason), ..shown_sequence(self.encoder, &[], (row, rows)) });
        }
        let more = self.is_done();
        if !more {
            // What is left is a block of its own, the last one.
            let encoder = self.encoder;
            let empty =
                PtPacker::new(&encoder.tokenizer, encoder.max_source_length).behaving(encoder.behaviour);
            for block in std::mem::replace(&mut self.packer, empty).finish().blocks {
                if self.latest.as_ref().is_none_or(|(held, _)| Some(*held) != self.target) {
                    self.latest = Some((self.made, block));
                }
                self.made += 1;
            }
        }
        let Some((index, block)) = self.latest.take() else {
            let reason = Some(RowReason::NoRows);
            return Ok(Preview { left_out: reason, ..shown_sequence(self.encoder, &[], (row, rows)) });
        };
        let size = self.packer.block();
        let held = self.rows_in(index * size, (index + 1) * size)?;
        let (first_row, last_row) = held.unwrap_or((row, row));
        let last = !more && index + 1 == self.made;
        let token = |id: &u32| LaidToken { id: *id, learn: true, cut: false, question: false };
        let tokens: Vec<LaidToken> = block.input_ids.iter().map(token).collect();
        let number = index as u64 + 1;
        let row = if matches!(self.wanted, Wanted::OfRow(_)) { row } else { first_row };
        let shown = shown_sequence(self.encoder, &tokens, (row, rows));
        Ok(Preview { block: Some(Block { number, first_row, last_row, last }), ..shown })
    }
}

fn lines_of(mixed: &Mixed) -> Option<String> {
    mixed.row.cells.first().and_then(|(_, value)| value.as_str()).map(str::to_owned)
}
