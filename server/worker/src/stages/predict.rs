//! Measuring by answering: held-out questions, `generated_predictions.jsonl`, ROUGE and BLEU (S-163 to S-167, S-190).

use std::time::Instant;

use contract::event::{Kind, Measure};
use contract::params::Hyper;
use contract::prediction::{FILE, Prediction};
use contract::problem::Problem;
use contract::results::{Numbers, speed};
use model::CausalLm;
use model::decode::{Asked, BeamConfig};
use model::kernels::Kernels;
use model::sample::SamplingConfig;

use super::Finish;
use super::answers::{self, Stop};
use super::questions::{Question, Questions};
use super::watch::{Task, Watch};
use crate::forecast::Left;
use crate::problems::of_model;
use crate::scores;

/// Answers shown as samples.
const SHOWN: usize = 8;

/// What the answers scored, and how long they took.
pub(super) struct Scored {
    /// Means of the scores.
    pub(super) means: Numbers,
    /// Seconds and answers a second.
    pub(super) speed: Numbers,
}

/// How answers are drawn: as the run says, greedy at temperature 0 (S-165), or searched with beams (S-164).
enum Drawing {
    Tokens(SamplingConfig),
    Beams(BeamConfig),
}

impl Drawing {
    fn of(hyper: &Hyper) -> Self {
        let max_new_tokens = hyper.max_target_length + 1;
        if hyper.eval_num_beams > 1 {
            return Self::Beams(BeamConfig {
                num_beams: hyper.eval_num_beams,
                max_new_tokens,
                ..BeamConfig::default()
            });
        }
        let greedy = hyper.predict_temperature < 0.01;
        Self::Tokens(SamplingConfig {
            temperature: if greedy { 0.0 } else { hyper.predict_temperature as f32 },
            top_k: 0,
            top_p: hyper.predict_top_p as f32,
            max_new_tokens,
            seed: hyper.seed,
            ..SamplingConfig::default()
        })
    }
}

/// Answers every question, writes the file and returns the mean scores; `None` when a stop was asked for first.
pub(super) fn run<B: Kernels>(
    model: &CausalLm<B>,
    asked: &Questions,
    end: &mut Finish<'_>,
) -> Result<Option<Scored>, Problem> {
    let of = asked.count() as u64;
    let task = Task { step: end.step, by: Measure::Answers, of, then: Left::default() };
    let mut watch = Watch::begin(&mut *end.report, end.ears, task)?;
    let stopped = || end.ears.stop_asked();
    let Some(questions) = asked.read(&stopped)? else { return Ok(None) };
    let encoder = asked.encoder();
    let hyper = &end.spec.hyper;
    let drawing = Drawing::of(hyper);
    let stop = Stop::of(model, encoder, &end.spec.model.folder);
    let (mut lines, mut all, mut failed) = (String::new(), Vec::new(), 0_u64);
    let tokenizer = &encoder.tokenizer;
    let (began, mut batches) = (Instant::now(), 0_u32);
    for portion in questions.chunks(hyper.per_device_train_batch_size.max(1)) {
        let asked = portion.iter().zip(all.len() as u64..).map(|(question, number)| Asked {
            prompt: &question.prompt,
            seed: hyper.seed.wrapping_add(number),
        });
        let asked: Vec<_> = asked.collect();
        let drawn = match &drawing {
            Drawing::Tokens(config) => answers::draw(model, tokenizer, &asked, config, &stop, &stopped)?,
            Drawing::Beams(config) => answers::search(model, &asked, config, &stop, &stopped),
        };
        if watch.stop_asked() {
            return Ok(None);
        }
        for (question, drawn) in portion.iter().zip(drawn) {
            let prompt = tokenizer.decode(&question.prompt, false);
            let answer = drawn.finish.map(|_| stop.cut(&tokenizer.decode_answer(&drawn.tokens, true)));
            let row = answered(prompt, question, answer.map_err(of_model));
            lines.push_str(&line(&row)?);
            failed += u64::from(row.problem.is_some());
            all.push(row.scores.clone());
            if all.len() <= SHOWN {
                watch.report.event(sample(row, end.step))?;
            }
        }
        watch.count(portion.len())?;
        batches += 1;
    }
    rundir::write_atomically(&end.run.path().join(FILE), lines.as_bytes())?;
    let mut means = scores::means(&all);
    if failed > 0 {
        let text = format!("{failed} of {} questions could not be answered; they score 0.", all.len());
        end.report.log("warn", text)?;
        means.insert("unanswered".to_owned(), failed as f64);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Some(Scored { means, speed: speed("predict", all.len() as f64, f64::from(batches), seconds) }))
}

/// A question and what became of it. One that could not be answered scores 0 and says why; the others go on (S-191).
fn answered(prompt: String, question: &Question, answer: Result<String, Problem>) -> Prediction {
    let (predict, problem) = match answer {
        Ok(answer) => (answer, None),
        Err(problem) => (String::new(), Some(problem)),
    };
    let mut row = Prediction {
        prompt,
        question: question.text.clone(),
        label: question.answer.clone(),
        predict,
        dataset: question.dataset.clone(),
        row: question.row,
        scores: Numbers::new(),
        problem,
    };
    row.scores = scores::scores(&row.predict, &row.label);
    let exact = row.problem.is_none() && !row.differs();
    row.scores.insert(scores::EXACT.to_owned(), if exact { 100.0 } else { 0.0 });
    row
}

/// Its line of the file: text as it is, nothing but control characters escaped (S-190).
fn line(row: &Prediction) -> Result<String, Problem> {
    let text = serde_json::to_string(row).map_err(|why| {
        Problem::new(contract::Code::RunResults, format!("An answer cannot be written: {why}."))
            .with("why", why)
    })?;
    Ok(text + "\n")
}

fn sample(row: Prediction, step: u64) -> Kind {
    Kind::Sample {
        step,
        prompt: answers::shown(&row.prompt),
        answer: answers::shown(&row.predict),
        reference: Some(answers::shown(&row.label)),
        scores: row.scores,
        problem: row.problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Code;

    fn question(text: &str, answer: &str) -> Question {
        let (text, answer) = (text.to_owned(), answer.to_owned());
        Question { prompt: Vec::new(), text, answer, dataset: "kettles".to_owned(), row: 7 }
    }

    #[test]
    fn s_190_predictions_are_written_as_they_are() {
        let question = question("颜色?", "水壶是红色的 é");
        let row = answered("<s>颜色?".to_owned(), &question, Ok("红\n🫖".to_owned()));
        let line = line(&row).expect("writes");
        for text in ["水壶是红色的 é", "\"颜色?\"", "<s>颜色?", "红\\n🫖", "kettles"] {
            assert!(line.contains(text), "{line}");
        }
        assert!(!line.contains("\\u") && line.ends_with("}\n") && !line.contains("problem"));
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(serde_json::from_str::<Prediction>(&line).expect("reads"), row);
    }

    #[test]
    fn s_191_a_question_without_an_answer_says_why_and_scores_nothing() {
        let question = question("", "");
        let row =
            answered(String::new(), &question, Err(Problem::new(Code::GenerationScores, "No numbers.")));
        assert!(row.predict.is_empty() && line(&row).expect("writes").contains("No numbers."));
        assert!(row.scores.values().all(|score| *score == 0.0), "{:?}", row.scores);
        let Kind::Sample { problem, .. } = sample(row, 3) else { panic!("a sample") };
        assert_eq!(problem.map(|problem| problem.code), Some(Code::GenerationScores));
    }

    #[test]
    fn an_answer_is_exact_where_only_spaces_around_it_differ() {
        let exact = |answer: &str| {
            answered(String::new(), &question("?", "Red."), Ok(answer.to_owned())).scores[scores::EXACT]
        };
        assert_eq!([exact(" Red.\n"), exact("red."), exact("")], [100.0, 0.0, 0.0]);
    }
}
