//! Measuring by answering: held-out questions, `generated_predictions.jsonl`, ROUGE and BLEU (S-163 to S-167, S-190).

use std::collections::BTreeMap;

use contract::event::Kind;
use contract::problem::Problem;
use corpus::Encoder;
use model::CausalLm;
use model::kernels::Kernels;
use model::sample::SamplingConfig;
use serde_json::json;

use super::Finish;
use super::answers::{self, Asked, Stop};
use crate::scores;

/// File of the answers, at the root of the run.
pub const FILE: &str = "generated_predictions.jsonl";
/// Answers shown as samples.
const SHOWN: usize = 8;

/// A held-out question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) prompt: Vec<u32>,
    pub(super) answer: String,
}

/// Answers every question, writes the file and returns the mean scores.
pub(super) fn run<B: Kernels>(
    model: &CausalLm<B>,
    encoder: &Encoder,
    questions: &[Question],
    end: &mut Finish<'_>,
) -> Result<BTreeMap<String, f64>, Problem> {
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
    let (mut lines, mut all) = (String::new(), Vec::new());
    for (at, question) in questions.iter().enumerate() {
        let asked = Asked { prompt: &question.prompt, seed: hyper.seed.wrapping_add(at as u64) };
        let tokenizer = &encoder.tokenizer;
        let ids = answers::answer(model, tokenizer, &asked, &config, &stop)?;
        let prompt = tokenizer.decode(&question.prompt, false);
        let answer = stop.cut(&tokenizer.decode(&ids, true));
        let scored = scores::scores(&answer, &question.answer);
        let line = json!({ "prompt": prompt, "label": question.answer, "predict": answer, "scores": scored });
        lines.push_str(&format!("{line}\n"));
        if at < SHOWN {
            end.report.event(Kind::Sample {
                step: end.step,
                prompt: answers::shown(&prompt),
                answer: answers::shown(&answer),
                reference: Some(answers::shown(&question.answer)),
                scores: scored.clone(),
            })?;
        }
        all.push(scored);
    }
    rundir::write_atomically(&end.run.path().join(FILE), lines.as_bytes())?;
    Ok(scores::means(&all))
}
