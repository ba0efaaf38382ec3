//! What a dataset will give a run, before it is launched: one streaming pass with bounded memory.

mod held_out;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use contract::Code;
use contract::checkup::Holdout;
use contract::dataset::Behaviour;
use contract::health::{HealthReport, LeftOut, RowSet};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::stage::Stage;

use crate::encode::{Encoded, Encoder, LaidToken, PtPacker, Taken, loses_question};
use crate::job::{Job, Watch};
use crate::mix::{Mixed, Part};
use held_out::Places;

/// Rows remembered to find duplicates, 16 bytes each.
const REMEMBERED: usize = 4 << 20;

/// Reasons told apart.
const REASONS: usize = 50;

/// What one row is.
enum Measured {
    Out { reason: RowReason },
    In(Measure),
    Text(TextMeasure),
    Failed(Problem),
}

/// A text, or a stretch of the lines of one.
struct TextMeasure {
    ids: Vec<u32>,
    begins: bool,
    /// Each row in it that is not blank.
    lines: Vec<Line>,
}

/// A row of a text.
struct Line {
    /// Rows it follows the first by.
    after: u64,
    /// Tokens of the stretch before it, as its lines come to one by one; 0 where places do not matter.
    tokens: usize,
    hash: u64,
    control_words: bool,
}

#[derive(Default)]
struct Measure {
    /// Tokens of each sequence before cutting.
    lengths: Vec<u64>,
    seen: u64,
    /// Tokens of the longest sequence a model reads of it, after cutting.
    longest: u64,
    learned: u64,
    cut_question: u64,
    cut_answer: u64,
    hash: u64,
    empty_answer: bool,
    equal_pair: bool,
    control_words: bool,
    loses_question: bool,
    equal_when_cut: bool,
}

/// Reads one of `every` rows (1: all) of a job as its stage would, and counts.
///
/// # Errors
/// What reading finds broken, naming the row; a tokenizer that fails; `data.cancelled`.
pub fn health(job: &Job, every: u64, watch: Watch<'_>) -> Result<HealthReport, Problem> {
    health_within(job, None, None, every, watch)
}

/// As [`health`], for a model with positions for so many tokens, where that is known, and for a run that holds these
/// rows out.
///
/// # Errors
/// As [`health`].
pub fn health_within(
    job: &Job,
    positions: Option<u64>,
    holdout: Option<Holdout>,
    every: u64,
    watch: Watch<'_>,
) -> Result<HealthReport, Problem> {
    let every = every.max(1);
    let mut tally = Tally::new(job, positions, every);
    // What the original dropped between texts has no place.
    let whole = job.encoder.stage != Stage::Pt || job.encoder.behaviour == Behaviour::Corrected;
    tally.places = holdout.filter(|_| every == 1 && whole).map(Places::new);
    let places = tally.places.is_some();
    job.each(
        every,
        |mixed, part| (mixed.rows, measure(&job.encoder, mixed, part, places)),
        |number, _, (rows, measured)| tally.add(number, rows, measured),
        watch,
    )?;
    Ok(tally.finish())
}

/// With `places`, it matters where in a text each of its lines begins.
fn measure(encoder: &Encoder, mixed: &Mixed, part: &Part, places: bool) -> Measured {
    let taken = match Taken::from_row(&mixed.row, &part.mapping, encoder.stage, encoder.behaviour) {
        Ok(taken) => taken.with_prefix(part.prefix.as_deref()),
        Err(reason) => return Measured::Out { reason },
    };
    let measured = match &taken {
        Taken::Text(text) => text_measured(encoder, text, mixed, places).map(Measured::Text),
        taken => measured(encoder, taken).map(Measured::In),
    };
    match measured {
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

fn text_measured(encoder: &Encoder, text: &str, mixed: &Mixed, places: bool) -> Result<TextMeasure, Problem> {
    let ids = if mixed.begins { encoder.text_ids(text, false)? } else { encoder.text_going_on(text)? };
    let line = |after, tokens, line: &str| Line {
        after,
        tokens,
        hash: hashed(&line),
        control_words: encoder.holds_words(line),
    };
    if mixed.rows == 1 {
        return Ok(TextMeasure { ids, begins: mixed.begins, lines: vec![line(0, 0, text)] });
    }
    let (mut lines, mut tokens) = (Vec::new(), 0);
    for (after, one) in (0..).zip(text.split('\n')) {
        if !one.trim().is_empty() {
            lines.push(line(after, tokens, one));
        }
        if places {
            tokens += encoder.text_going_on(&format!("{one}\n"))?.len();
        }
    }
    Ok(TextMeasure { ids, begins: mixed.begins, lines })
}

fn measured(encoder: &Encoder, taken: &Taken) -> Result<Measure, Problem> {
    let control_words = encoder.holds_control_words(taken);
    let mut measure = Measure { hash: hash_of(taken), control_words, ..Measure::default() };
    match taken {
        Taken::Text(_) => {}
        Taken::Talk(talk) => {
            measure.empty_answer = talk.turns.last().is_none_or(|turn| turn.1.trim().is_empty());
            if encoder.stage == Stage::Ppo {
                measure.count(&encoder.lay_out_prompt(talk)?);
                measure.longest += written(encoder);
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
            let kept = |laid: &[LaidToken]| {
                laid.iter().filter(|token| !token.cut).map(|token| token.id).collect::<Vec<_>>()
            };
            measure.equal_when_cut = !measure.equal_pair && kept(&laid.chosen) == kept(&laid.rejected);
        }
    }
    Ok(measure)
}

/// Most tokens that are written behind a prompt while training: in ppo one less than an answer's limit (S-203).
pub fn written(encoder: &Encoder) -> u64 {
    match encoder.stage {
        Stage::Ppo => encoder.max_target_length.saturating_sub(1).max(1) as u64,
        _ => 0,
    }
}

fn hash_of(taken: &Taken) -> u64 {
    match taken {
        Taken::Text(text) => hashed(text),
        Taken::Talk(talk) => hashed(&(&talk.system, &talk.turns)),
        Taken::Pair(pair) => hashed(&(&pair.chosen.turns, &pair.rejected)),
    }
}

fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Measure {
    fn count(&mut self, laid: &[LaidToken]) {
        self.lengths.push(laid.len() as u64);
        self.loses_question |= loses_question(laid);
        let before = self.seen;
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
        self.longest = self.longest.max(self.seen - before);
    }
}

struct Tally<'j> {
    report: HealthReport,
    seen: HashSet<u64>,
    packer: PtPacker<'j>,
    /// Tokens of all texts before the one that is being read.
    texts_before: usize,
    /// Whether answers, or texts, end with nothing.
    endless: bool,
    /// Where rows are, if those held out are looked for.
    places: Option<Places>,
}

/// Whether nothing is written behind answers or texts at which a model could stop.
pub fn endless(encoder: &Encoder) -> bool {
    match encoder.stage {
        Stage::Pt => encoder.tokenizer.eos_id().is_none(),
        _ => {
            encoder.template.stop_ids(&encoder.tokenizer).is_empty()
                && encoder.template.stop_words().is_empty()
        }
    }
}

impl<'j> Tally<'j> {
    fn new(job: &'j Job, positions: Option<u64>, every: u64) -> Self {
        let encoder = &job.encoder;
        let packer = PtPacker::new(&encoder.tokenizer, encoder.max_source_length).behaving(encoder.behaviour);
        let mut report = HealthReport { positions, ..HealthReport::new(encoder.stage, every) };
        report.asks_otherwise = encoder.stage != Stage::Pt && encoder.template.asks_otherwise();
        let endless = endless(encoder);
        Self { report, seen: HashSet::new(), packer, texts_before: 0, endless, places: None }
    }

    /// Counts as many rows from `number` on as were measured together; gives their tokens.
    fn add(&mut self, number: u64, rows: u64, measured: Measured) -> Result<u64, Problem> {
        self.report.rows += rows;
        let every = self.report.every;
        let numbers = (0..rows).map(|row| number + row * every);
        if self.endless && matches!(measured, Measured::In(_) | Measured::Text(_)) {
            numbers.clone().for_each(|number| self.report.no_end_token.add(number));
        }
        match measured {
            Measured::Failed(problem) => Err(problem.row(number)),
            Measured::Out { reason } => {
                if reason.is_empty_answer() {
                    self.report.empty_answers.add(number);
                }
                numbers.for_each(|number| self.leave_out(number, reason.clone()));
                Ok(0)
            }
            Measured::Text(text) => {
                self.report.used += rows;
                if text.begins {
                    self.end_text();
                }
                let start = self.packer.total_tokens();
                for line in text.lines {
                    let row = number + line.after * every;
                    self.remember(row, line.hash);
                    if let Some(places) = &mut self.places {
                        places.add(row, line.hash, self.packer.block_of(start + line.tokens));
                    }
                    if line.control_words {
                        self.report.control_words.add(row);
                    }
                }
                if text.begins {
                    self.packer.push_ids(&text.ids);
                } else {
                    self.packer.go_on(&text.ids);
                }
                let blocks = self.packer.take_blocks();
                self.count_blocks(&blocks, number);
                Ok(text.ids.len() as u64)
            }
            Measured::In(measure) => {
                self.count(number, &measure);
                Ok(measure.seen)
            }
        }
    }

    fn count(&mut self, number: u64, measure: &Measure) {
        if let Some(places) = &mut self.places {
            places.add(number, measure.hash, self.report.examples);
        }
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
        if measure.loses_question {
            report.truncated.no_question_left.add(number);
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
        if measure.equal_when_cut {
            report.equal_when_cut.add(number);
        }
        if report.positions.is_some_and(|positions| measure.longest > positions) {
            report.beyond_positions.add(number);
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

    /// Ends the text that is being read, if there is one, and counts its length.
    fn end_text(&mut self) {
        self.packer.end_text();
        let tokens = self.packer.total_tokens() - self.texts_before;
        if tokens > 0 {
            self.report.lengths.add(tokens as u64);
        }
        self.texts_before += tokens;
    }

    /// Counts blocks that became full by row `number`.
    fn count_blocks(&mut self, blocks: &[Encoded], number: u64) {
        let report = &mut self.report;
        let sizes = || blocks.iter().map(|block| block.input_ids.len() as u64);
        for tokens in sizes() {
            report.examples += 1;
            report.tokens += tokens;
            report.learned_tokens += tokens;
            report.sizes.add(tokens, tokens);
        }
        if report.positions.is_some_and(|positions| sizes().any(|tokens| tokens > positions)) {
            report.beyond_positions.add(number);
        }
    }

    fn finish(mut self) -> HealthReport {
        self.end_text();
        let (tokenizer, rows) = (self.packer.tokenizer(), self.report.rows);
        let rest = std::mem::replace(&mut self.packer, PtPacker::new(tokenizer, 1)).finish();
        self.count_blocks(&rest.blocks, rows);
        self.report.dropped_tokens = rest.dropped_tokens as u64;
        self.report.held_out = self.places.and_then(|places| places.found(self.report.examples));
        self.report.left_out.sort_by_key(|left_out| std::cmp::Reverse(left_out.rows.count));
        self.report
    }
}
