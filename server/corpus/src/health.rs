//! What a dataset will give a run, before it is launched: one streaming pass with bounded memory.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use contract::Code;
use contract::health::{HealthReport, LeftOut, RowSet};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::stage::Stage;

use crate::encode::{Encoder, LaidToken, PtPacker, Taken};
use crate::job::{Job, Watch};
use crate::mix::Part;
use crate::source::Row;

/// Rows remembered to find duplicates, 16 bytes each.
const REMEMBERED: usize = 4 << 20;

/// Reasons told apart.
const REASONS: usize = 50;

/// What one row is.
enum Measured {
    Out { reason: RowReason },
    In(Measure),
    Text { ids: Vec<u32>, hash: u64, control_words: bool },
    Failed(Problem),
}

#[derive(Default)]
struct Measure {
    /// Tokens of each sequence before cutting.
    lengths: Vec<u64>,
    seen: u64,
    learned: u64,
    cut_question: u64,
    cut_answer: u64,
    hash: u64,
    empty_answer: bool,
    equal_pair: bool,
    control_words: bool,
}

/// Reads one of `every` rows (1: all) of a job as its stage would, and counts.
///
/// # Errors
/// What reading finds broken, naming the row; a tokenizer that fails; `data.cancelled`.
pub fn health(job: &Job, every: u64, watch: Watch<'_>) -> Result<HealthReport, Problem> {
    let every = every.max(1);
    let mut tally = Tally::new(job, every);
    job.each(
        every,
        |row, part| measure(&job.encoder, row, part),
        |number, _, measured| tally.add(number, measured),
        watch,
    )?;
    Ok(tally.finish())
}

fn measure(encoder: &Encoder, row: &Row, part: &Part) -> Measured {
    let taken = match Taken::from_row(row, &part.mapping, encoder.stage, encoder.behaviour) {
        Ok(taken) => taken.with_prefix(part.prefix.as_deref()),
        Err(reason) => return Measured::Out { reason },
    };
    match measured(encoder, &taken) {
        Ok(measured) => measured,
        Err(problem) if is_refusal(&problem) => {
            Measured::Out { reason: RowReason::Refused { problem: Box::new(problem) } }
        }
        Err(problem) => Measured::Failed(problem),
    }
}

/// Whether a template refused this row; the others may well do.
pub fn is_refusal(problem: &Problem) -> bool {
    [Code::TemplateRefused, Code::TemplateFailed, Code::TemplateAnswerLost].contains(&problem.code)
}

fn measured(encoder: &Encoder, taken: &Taken) -> Result<Measured, Problem> {
    let control_words = encoder.holds_control_words(taken);
    let mut measure = Measure { hash: hash_of(taken), control_words, ..Measure::default() };
    match taken {
        Taken::Text(text) => {
            let ids = encoder.text_ids(text, false)?;
            return Ok(Measured::Text { ids, hash: measure.hash, control_words });
        }
        Taken::Talk(talk) => {
            measure.empty_answer = talk.turns.last().is_none_or(|turn| turn.1.trim().is_empty());
            if encoder.stage == Stage::Ppo {
                measure.count(&encoder.lay_out_prompt(talk)?);
            } else {
                measure.count(&encoder.lay_out(talk)?);
            }
        }
        Taken::Pair(pair) => {
            let better = pair.chosen.turns.last().map_or("", |turn| turn.1.as_str());
            measure.empty_answer = better.trim().is_empty() || pair.rejected.trim().is_empty();
            measure.equal_pair = better == pair.rejected;
            let laid = encoder.lay_out_pair(pair)?;
            measure.count(&laid.chosen);
            measure.count(&laid.rejected);
        }
    }
    Ok(Measured::In(measure))
}

fn hash_of(taken: &Taken) -> u64 {
    let mut hasher = DefaultHasher::new();
    match taken {
        Taken::Text(text) => text.hash(&mut hasher),
        Taken::Talk(talk) => (&talk.system, &talk.turns).hash(&mut hasher),
        Taken::Pair(pair) => (&pair.chosen.turns, &pair.rejected).hash(&mut hasher),
    }
    hasher.finish()
}

impl Measure {
    fn count(&mut self, laid: &[LaidToken]) {
        self.lengths.push(laid.len() as u64);
        for token in laid {
            match (token.cut, token.learn) {
                (true, true) => self.cut_answer += 1,
                (true, false) => self.cut_question += 1,
                (false, learn) => {
                    self.seen += 1;
                    self.learned += u64::from(learn);
                }
            }
        }
    }
}

struct Tally<'j> {
    report: HealthReport,
    seen: HashSet<u64>,
    packer: PtPacker<'j>,
}

impl<'j> Tally<'j> {
    fn new(job: &'j Job, every: u64) -> Self {
        let encoder = &job.encoder;
        let packer = PtPacker::new(&encoder.tokenizer, encoder.max_source_length).behaving(encoder.behaviour);
        Self { report: HealthReport::new(encoder.stage, every), seen: HashSet::new(), packer }
    }

    /// Counts a row; gives its tokens.
    fn add(&mut self, number: u64, measured: Measured) -> Result<u64, Problem> {
        self.report.rows += 1;
        match measured {
            Measured::Failed(problem) => Err(problem.row(number)),
            Measured::Out { reason } => {
                if reason.is_empty_answer() {
                    self.report.empty_answers.add(number);
                }
                self.leave_out(number, reason);
                Ok(0)
            }
            Measured::Text { ids, hash, control_words } => {
                self.report.used += 1;
                if control_words {
                    self.report.control_words.add(number);
                }
                self.report.lengths.add(ids.len() as u64);
                self.remember(number, hash);
                self.packer.push_ids(&ids);
                self.count_blocks(false);
                Ok(ids.len() as u64)
            }
            Measured::In(measure) => {
                self.count(number, &measure);
                Ok(measure.seen)
            }
        }
    }

    fn count(&mut self, number: u64, measure: &Measure) {
        let report = &mut self.report;
        report.used += 1;
        report.examples += 1;
        measure.lengths.iter().for_each(|tokens| report.lengths.add(*tokens));
        report.sizes.add(measure.seen, measure.learned);
        report.tokens += measure.seen;
        report.learned_tokens += measure.learned;
        if measure.cut_question + measure.cut_answer > 0 {
            report.truncated.rows.add(number);
            report.truncated.question_tokens += measure.cut_question;
            report.truncated.answer_tokens += measure.cut_answer;
        }
        if measure.learned == 0 && report.stage != Stage::Ppo {
            report.truncated.nothing_left.add(number);
        }
        if measure.empty_answer {
            report.empty_answers.add(number);
        }
        if measure.equal_pair {
            report.equal_pairs.add(number);
        }
        if measure.control_words {
            report.control_words.add(number);
        }
        self.remember(number, measure.hash);
    }

    fn leave_out(&mut self, number: u64, reason: RowReason) {
        let found = &mut self.report.left_out;
        let full = found.len() >= REASONS && !found.iter().any(|known| known.reason == reason);
        let reason = if full { RowReason::Others } else { reason };
        match found.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.rows.add(number),
            None => {
                let mut rows = RowSet::default();
                rows.add(number);
                found.push(LeftOut { reason, rows });
            }
        }
    }

    fn remember(&mut self, number: u64, hash: u64) {
        if self.seen.contains(&hash) {
            self.report.duplicates.add(number);
        } else if self.seen.len() < REMEMBERED {
            self.seen.insert(hash);
        } else {
            self.report.duplicates_partial = true;
        }
    }

    fn count_blocks(&mut self, end: bool) {
        let blocks = if end {
            let (tokenizer, length) = (self.packer.tokenizer(), 1);
            std::mem::replace(&mut self.packer, PtPacker::new(tokenizer, length)).finish().blocks
        } else {
            self.packer.take_blocks()
        };
        for block in blocks {
            self.report.examples += 1;
            let tokens = block.input_ids.len() as u64;
            self.report.tokens += tokens;
            self.report.learned_tokens += tokens;
            self.report.sizes.add(tokens, tokens);
        }
    }

    fn finish(mut self) -> HealthReport {
        self.count_blocks(true);
        self.report.left_out.sort_by_key(|left_out| std::cmp::Reverse(left_out.rows.count));
        self.report
    }
}
