//! Measuring by answering: held-out questions, `generated_predictions.jsonl`, ROUGE and BLEU (S-163 to S-167, S-190).

use std::collections::BTreeMap;

use contract::event::{Kind, Measure};
use contract::problem::Problem;
use model::CausalLm;
use model::decode::Asked;
use model::kernels::Kernels;
use model::sample::SamplingConfig;
use serde_json::json;

use super::Finish;
use super::answers::{self, Stop};
use super::questions::{Question, Questions};
use super::watch::{Task, Watch};
use crate::forecast::Left;
use crate::problems::of_model;
use crate::scores;

/// File of the answers, at the root of the run.
pub const FILE: &str = "generated_predictions.jsonl";
/// Answers shown as samples.
const SHOWN: usize = 8;

/// Answers every question, writes the file and returns the mean scores; `None` when a stop was asked for first.
pub(super) fn run<B: Kernels>(
    model: &CausalLm<B>,
    asked: &Questions,
    end: &mut Finish<'_>,
) -> Result<Option<BTreeMap<String, f64>>, Problem> {
    let of = asked.count() as u64;
    let task = Task { step: end.step, by: Measure::Answers, of, then: Left::default() };
    let mut watch = Watch::begin(&mut *end.report, end.ears, task)?;
    let stopped = || end.ears.stop_asked();
    let Some(questions) = asked.read(&stopped)? else { return Ok(None) };
    let encoder = asked.encoder();
    let hyper = &end.spec.hyper;
    let greedy = hyper.predict_temperature < 0.01;
    let config = SamplingConfig {
        temperature: if greedy { 0.0 } else { hyper.predict_temperature as f32 },
        top_k: 0,
        top_p: hyper.predict_top_p as f32,
        max_new_tokens: hyper.max_target_length + 1,
        seed: hyper.seed,
        ..SamplingConfig::default()
    };
    let stop = Stop::of(model, encoder, &end.spec.model.folder);
    let (mut lines, mut all, mut failed) = (String::new(), Vec::new(), 0_u64);
    let tokenizer = &encoder.tokenizer;
    for portion in questions.chunks(hyper.per_device_train_batch_size.max(1)) {
        let asked = portion.iter().zip(all.len() as u64..).map(|(question, number)| Asked {
            prompt: &question.prompt,
            seed: hyper.seed.wrapping_add(number),
        });
        let asked: Vec<_> = asked.collect();
        let drawn = answers::draw(model, tokenizer, &asked, &config, &stop, &stopped)?;
        if watch.stop_asked() {
            return Ok(None);
        }
        for (question, drawn) in portion.iter().zip(drawn) {
            let prompt = tokenizer.decode(&question.prompt, false);
            let answer = drawn.finish.map(|_| stop.cut(&tokenizer.decode_answer(&drawn.tokens, true)));
            let row = Answered::new(prompt, question, answer.map_err(of_model));
            lines.push_str(&format!("{}\n", row.line()));
            failed += u64::from(row.problem.is_some());
            all.push(row.scores.clone());
            if all.len() <= SHOWN {
                watch.report.event(row.sample(end.step))?;
            }
        }
        watch.count(portion.len())?;
    }
    rundir::write_atomically(&end.run.path().join(FILE), lines.as_bytes())?;
    let mut means = scores::means(&all);
    if failed > 0 {
        let text = format!("{failed} of {} questions could not be answered; they score 0.", all.len());
        end.report.log("warn", text)?;
        means.insert("unanswered".to_owned(), failed as f64);
    }
    Ok(Some(means))
}

/// A question and what became of it. One that could not be answered scores 0 and says why; the others go on (S-191).
struct Answered<'a> {
    prompt: String,
    label: &'a str,
    predict: String,
    scores: BTreeMap<String, f64>,
    problem: Option<Problem>,
}

impl<'a> Answered<'a> {
    fn new(prompt: String, question: &'a Question, answer: Result<String, Problem>) -> Self {
        let (predict, problem) = match answer {
            Ok(answer) => (answer, None),
            Err(problem) => (String::new(), Some(problem)),
        };
        let scores = scores::scores(&predict, &question.answer);
        Self { prompt, label: &question.answer, predict, scores, problem }
    }

    /// Its line of the file: text as it is, nothing but control characters escaped (S-190).
    fn line(&self) -> String {
        let Self { prompt, label, predict, scores, problem } = self;
        let mut line = json!({ "prompt": prompt, "label": label, "predict": predict, "scores": scores });
        if let Some(problem) = problem {
            line["problem"] = json!(problem);
        }
        line.to_string()
    }

    fn sample(self, step: u64) -> Kind {
        Kind::Sample {
            step,
            prompt: answers::shown(&self.prompt),
            answer: answers::shown(&self.predict),
            reference: Some(answers::shown(self.label)),
            scores: self.scores,
            problem: self.problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Code;

    #[test]
    fn s_190_predictions_are_written_as_they_are() {
        let question = Question { prompt: Vec::new(), answer: "水壶是红色的 é".to_owned() };
        let row = Answered::new("颜色?".to_owned(), &question, Ok("红\n🫖".to_owned()));
        let line = row.line();
        for text in ["水壶是红色的 é", "颜色?", "红\\n🫖"] {
            assert!(line.contains(text), "{line}");
        }
        assert!(!line.contains("\\u") && !line.contains('\n') && !line.contains("problem"));
    }

    #[test]
    fn s_191_a_question_without_an_answer_says_why_and_scores_nothing() {
        let question = Question { prompt: Vec::new(), answer: "red".to_owned() };
        let row =
            Answered::new(String::new(), &question, Err(Problem::new(Code::GenerationScores, "No numbers.")));
        assert!(row.line().contains("\"predict\":\"\"") && row.line().contains("No numbers."));
        assert!(row.scores.values().all(|score| *score == 0.0));
        let Kind::Sample { problem, .. } = row.sample(3) else { panic!("a sample") };
        assert_eq!(problem.map(|problem| problem.code), Some(Code::GenerationScores));
    }
}
