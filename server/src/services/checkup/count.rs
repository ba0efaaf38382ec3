//! Counting rows for a stage, with the functions that train on them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use contract::health::{HealthReport, Histogram, LeftOut, Progress, RowSet, Truncated};
use contract::{Problem, Stage, dataset::Inspection};
use corpus::conversation::{Pair, text_of};
use corpus::encode::LaidToken;
use corpus::{Conversation, Encoder, Row};

/// Rows between two words about progress.
const STEP: u64 = 64;
/// Reasons kept apart; rows beyond count under the last.
const REASONS: usize = 50;
/// Rows remembered to find duplicates.
const REMEMBERED: usize = 2_000_000;

/// What one row comes to.
#[derive(Default)]
struct Counted {
    text: String,
    question: Vec<LaidToken>,
    answers: Vec<LaidToken>,
    equal: bool,
}

/// Reads every row; `None` when `wanted` says that nobody waits any more.
///
/// # Errors
/// What is broken in the file, the template or the tokenizer.
pub(super) fn count(
    file: &Path,
    found: &Inspection,
    encoder: &Encoder,
    wanted: &dyn Fn(Progress) -> bool,
) -> Result<Option<HealthReport>, Problem> {
    let mut report = empty(encoder.stage);
    let mut seen = HashSet::new();
    let hasher = RandomState::new();
    for row in corpus::open(file, found.kind)? {
        let row = row?;
        report.rows += 1;
        if report.rows % STEP == 1
            && !wanted(Progress { rows: report.rows - 1, total: 0, tokens: report.tokens })
        {
            return Ok(None);
        }
        match read(encoder, &row, found) {
            Err(reason) => leave_out(&mut report, reason),
            Ok(counted) => {
                let counted = counted.map_err(|problem| problem.row(report.rows))?;
                report.duplicates_partial |= seen.len() >= REMEMBERED;
                let hash = hasher.hash_one(&counted.text);
                let known = if seen.len() < REMEMBERED { !seen.insert(hash) } else { seen.contains(&hash) };
                if known {
                    report.duplicates.add(report.rows);
                }
                take(&mut report, &counted);
            }
        }
    }
    if encoder.stage == Stage::Pt {
        report.examples = report.tokens.div_ceil(encoder.max_source_length.max(1) as u64);
    }
    report.left_out.sort_by_key(|out| std::cmp::Reverse(out.rows.count));
    Ok(Some(report))
}

fn empty(stage: Stage) -> HealthReport {
    HealthReport {
        stage,
        rows: 0,
        used: 0,
        left_out: Vec::new(),
        truncated: Truncated::default(),
        empty_answers: RowSet::default(),
        duplicates: RowSet::default(),
        duplicates_partial: false,
        equal_pairs: RowSet::default(),
        lengths: Histogram::default(),
        tokens: 0,
        learned_tokens: 0,
        examples: 0,
    }
}

fn leave_out(report: &mut HealthReport, reason: String) {
    if reason.ends_with("is empty") {
        report.empty_answers.add(report.rows);
    }
    let full = report.left_out.len() >= REASONS;
    let at = report
        .left_out
        .iter()
        .position(|out| out.reason == reason || (full && out.reason == "other reasons"));
    let at = at.unwrap_or_else(|| {
        let reason = if full { "other reasons".to_owned() } else { reason };
        report.left_out.push(LeftOut { reason, rows: RowSet::default() });
        report.left_out.len() - 1
    });
    report.left_out[at].rows.add(report.rows);
}

/// The outer error is the reason why the row is left out.
fn read(encoder: &Encoder, row: &Row, found: &Inspection) -> Result<Result<Counted, Problem>, String> {
    let split = |laid: Vec<LaidToken>, text: String| {
        let (answers, question) = laid.into_iter().partition(|token| token.learn);
        Counted { text, question, answers, equal: false }
    };
    Ok(match encoder.stage {
        Stage::Pt => {
            let text = text_of(row, &found.mapping)?;
            let token = |id| LaidToken { id, learn: true, cut: false };
            let ids = encoder.tokenizer.encode(&text, false);
            ids.map(|ids| split(ids.into_iter().map(token).collect(), text))
        }
        Stage::Rm | Stage::Dpo => {
            let pair = Pair::from_row(row, &found.mapping)?;
            let equal = pair.chosen.turns.last().is_some_and(|(_, answer)| *answer == pair.rejected);
            let text = format!("{:?}{:?}", pair.chosen, pair.rejected);
            encoder.lay_out_pair(&pair).map(|laid| {
                let both: Vec<LaidToken> = laid.chosen.into_iter().chain(laid.rejected).collect();
                Counted { equal, ..split(both, text) }
            })
        }
        Stage::Ppo => {
            let asked = Conversation::asked(row, &found.mapping)?;
            encoder.lay_out_prompt(&asked).map(|laid| split(laid, format!("{asked:?}")))
        }
        Stage::Sft => {
            let conversation = Conversation::from_row(row, &found.mapping)?;
            encoder.lay_out(&conversation).map(|laid| split(laid, format!("{conversation:?}")))
        }
    })
}

fn take(report: &mut HealthReport, counted: &Counted) {
    let row = report.rows;
    let lost = |tokens: &[LaidToken]| tokens.iter().filter(|token| token.cut).count() as u64;
    let (question, answers) = (lost(&counted.question), lost(&counted.answers));
    let learned = counted.answers.len() as u64 - answers;
    report.used += 1;
    report.examples += 1;
    report.lengths.add((counted.question.len() + counted.answers.len()) as u64);
    report.tokens += counted.question.len() as u64 - question + learned;
    report.learned_tokens += learned;
    if question + answers > 0 {
        report.truncated.rows.add(row);
        report.truncated.question_tokens += question;
        report.truncated.answer_tokens += answers;
    }
    if learned == 0 && answers > 0 {
        report.truncated.nothing_left.add(row);
    }
    if counted.equal {
        report.equal_pairs.add(row);
    }
}
