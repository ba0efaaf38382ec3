//! Rows of a run, encoded on all cores in the order of the data, with bounded memory.

use std::ops::ControlFlow;

use contract::Code;
use contract::dataset::{Behaviour, Mixing};
use contract::health::Progress;
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::stage::Stage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::batches::Batches;
use crate::conversation::text_of;
use crate::encode::{Encoder, Example, Taken};
use crate::mix::{Mixed, Part, mixed};

/// Data and everything that decides how it becomes tokens.
#[derive(Clone, Debug)]
pub struct Job {
    /// Tokenizer, template, stage and limits.
    pub encoder: Encoder,
    /// Datasets.
    pub parts: Vec<Part>,
    /// How they become one.
    pub mixing: Mixing,
    /// Rows of each, at most; 0: all (S-029).
    pub max_samples: u64,
    /// Seed of the mixing.
    pub seed: u64,
    /// Rows in all, for progress; 0 when not known.
    pub total: u64,
}

/// What a caller says after each report of progress: go on, or stop.
pub type Watch<'w> = &'w mut dyn FnMut(Progress) -> ControlFlow<()>;

/// The problem of a pass that was told to stop.
pub fn cancelled() -> Problem {
    Problem::new(Code::DataCancelled, "Reading the data was stopped.").hint("Start it again when you like.")
}

/// Rows of a job, counted without tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows read.
    pub rows: u64,
    /// Rows that can teach, unless the template refuses them.
    pub usable: u64,
    /// The first row left out, from 1, and why.
    pub first_dropped: Option<(u64, RowReason)>,
    /// The rows of each part.
    pub parts: Vec<PartRows>,
}

/// What became of the rows of one part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRows {
    /// Rows read.
    pub rows: u64,
    /// Of these, rows left out.
    pub dropped: u64,
    /// Of these, rows that lose tokens to the length limits; `None` where none was encoded.
    pub cut: Option<u64>,
}

impl Job {
    /// Counts rows without encoding them.
    ///
    /// # Errors
    /// What reading finds broken.
    pub fn count(&self) -> Result<Count, Problem> {
        let (stage, behaviour) = (self.encoder.stage, self.encoder.behaviour);
        let mut count = Count { parts: vec![PartRows::default(); self.parts.len()], ..Count::default() };
        self.each(
            1,
            |mixed, part| (mixed.rows, Taken::from_row(&mixed.row, &part.mapping, stage, behaviour).err()),
            |number, part, (rows, left_out)| {
                count.rows = number + rows - 1;
                count.parts[part].rows += rows;
                count.parts[part].dropped += if left_out.is_some() { rows } else { 0 };
                match left_out {
                    None => count.usable += rows,
                    Some(reason) => drop(count.first_dropped.get_or_insert((number, reason))),
                }
                Ok(0)
            },
            &mut |_| ControlFlow::Continue(()),
        )?;
        Ok(count)
    }

    /// A name for what this job makes: the same data (by their digests), tokenizer, template, limits and rules give
    /// the same name, anything else another.
    pub fn fingerprint(&self, digests: &[String]) -> String {
        let encoder = &self.encoder;
        let parts: Vec<_> = self
            .parts
            .iter()
            .map(|part| match part.files.texts.as_slice() {
                [] => serde_json::json!([part.mapping, part.prefix, part.weight, part.files.kind]),
                texts => serde_json::json!([part.mapping, part.prefix, part.weight, part.files.kind, texts]),
            })
            .collect();
        let behaviour: Behaviour = encoder.behaviour;
        let all = serde_json::json!({
            "version": crate::prepared::VERSION,
            "data": digests,
            "parts": parts,
            "mixing": self.mixing,
            "max_samples": self.max_samples,
            "seed": if self.mixing == Mixing::Concatenate { 0 } else { self.seed },
            "tokenizer": encoder.tokenizer.digest(),
            "template": encoder.template.key(),
            "system": encoder.system,
            "stage": encoder.stage,
            "lengths": [encoder.max_source_length, encoder.max_target_length],
            "behaviour": behaviour,
            "control_tokens_in_text": encoder.control_tokens_in_text,
        });
        hex(&Sha256::digest(all.to_string()))
    }

    /// Works on one of `every` rows on all cores and hands the results over in the order of the data, numbered from 1,
    /// with the index of the part each is from.
    /// In pre-training the lines of a text file come together, with the number of the first; the original took each for
    /// a text of its own.
    /// While one batch is worked on, the next is read.
    ///
    /// # Errors
    /// What reading finds broken, an error of `take`, or `data.cancelled`.
    pub(crate) fn each<T: Send>(
        &self,
        every: u64,
        work: impl Fn(&Mixed, &Part) -> T + Sync,
        mut take: impl FnMut(u64, usize, T) -> Result<u64, Problem>,
        watch: Watch<'_>,
    ) -> Result<(), Problem> {
        let rows = mixed(&self.parts, self.mixing, self.max_samples, self.seed)?;
        let joins = self.encoder.stage == Stage::Pt && self.encoder.behaviour == Behaviour::Corrected;
        let mut rows = Batches::new(rows, &self.parts, every, joins);
        let mut progress = Progress { rows: 0, total: self.total, tokens: 0 };
        let mut number = 1;
        let mut batch = rows.next()?;
        while !batch.is_empty() {
            let (done, next) = rayon::join(
                || batch.par_iter().map(|row| work(row, &self.parts[row.part])).collect::<Vec<T>>(),
                || rows.next(),
            );
            for (row, item) in batch.iter().zip(done) {
                progress.rows = number + (row.rows - 1) * every;
                progress.tokens += take(number, row.part, item)?;
                number += row.rows * every;
            }
            if watch(progress).is_break() {
                return Err(cancelled());
            }
            // The rows before the broken one were handed over first: its place is known to be the first.
            batch = next?;
        }
        Ok(())
    }
}

/// A row as its stage trains on it; lines that go on with a text go on with its ids. The inner error is the reason why it
/// is left out.
pub(crate) fn encoded(
    encoder: &Encoder,
    mixed: &Mixed,
    part: &Part,
) -> Result<Result<Example, RowReason>, Problem> {
    if mixed.begins {
        return encoder.encode_row(&mixed.row, &part.mapping, part.prefix.as_deref());
    }
    match text_of(&mixed.row, &part.mapping) {
        Ok(text) => encoder.text_going_on(&text).map(Example::Text).map(Ok),
        Err(reason) => Ok(Err(reason)),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
