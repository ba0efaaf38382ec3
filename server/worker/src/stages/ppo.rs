//! Proximal policy optimisation (S-200 to S-216): one backbone as policy, reference and reward model.

use std::collections::BTreeMap;
use std::path::Path;

use contract::Code;
use contract::checkpoint::{LoopState, PpoState};
use contract::event::Kind;
use contract::params::Hyper;
use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::{EncodedPrompt, Encoder};
use model::CausalLm;
use model::arch::Mode;
use model::decode::{Asked, Generated};
use model::kernels::Kernels;
use model::rng::{Rng, splitmix};
use model::sample::SamplingConfig;
use model::train::losses::ppo::{self, AdaptiveKl, PpoConfig, Rollout, RunningMoments};
use model::train::{Batch, IGNORED, Row, ValueHead, Wants, outputs};
use rundir::chain::VALUE_HEAD;

use super::answers::{self, Stop};
use super::{Recipe, Source};
use crate::data::TrainData;
use crate::learner::{self, Learner, Made, Measured};
use crate::problems::of_model;

/// What the frozen reference is asked for.
const REFERENCE: Wants = Wants { log_probs: true, entropies: false, values: false };

struct Reward<B: Kernels> {
    model: CausalLm<B>,
    head: ValueHead<B>,
}

pub(super) struct Ppo<B: Kernels> {
    data: TrainData<EncodedPrompt>,
    spec: RunSpec,
    encoder: Encoder,
    config: PpoConfig,
    kl: AdaptiveKl,
    moments: RunningMoments,
    reward: Option<Reward<B>>,
    stop: Stop,
}

/// A batch of answers and everything fixed about it.
struct Batched {
    batch: Batch,
    rollout: Rollout,
    scores: Vec<f64>,
    kl: f64,
    /// Its first prompt.
    first: Vec<u32>,
    answers: Vec<Vec<u32>>,
}

fn config(hyper: &Hyper) -> PpoConfig {
    PpoConfig {
        gamma: hyper.ppo_gamma,
        lambda: hyper.ppo_lambda,
        clip: hyper.ppo_clip,
        value_clip: hyper.ppo_value_clip,
        value_weight: hyper.ppo_value_weight,
        ..PpoConfig::default()
    }
}

impl<B: Kernels> Ppo<B> {
    /// What a specification asks of these rows.
    pub(super) fn new(spec: &RunSpec, source: &Source) -> Self {
        let hyper = &spec.hyper;
        Self {
            data: source.data(),
            spec: spec.clone(),
            config: config(hyper),
            kl: AdaptiveKl {
                coefficient: hyper.ppo_init_kl,
                target: hyper.ppo_target_kl,
                horizon: hyper.ppo_horizon,
            },
            moments: RunningMoments::default(),
            reward: None,
            stop: Stop::default(),
            encoder: source.encoder().clone(),
        }
    }

    /// Answers to the prompts of a micro-batch (S-203, S-204).
    fn answers(
        &self,
        learner: &Learner<B>,
        prompts: &[EncodedPrompt],
        seed: u64,
    ) -> Result<Vec<Vec<u32>>, Problem> {
        let mut rng = Rng::new(seed);
        let config = SamplingConfig {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            max_new_tokens: ppo::response_length(self.spec.hyper.max_target_length, &mut rng),
            ..SamplingConfig::default()
        };
        let asked = prompts
            .iter()
            .enumerate()
            .map(|(at, prompt)| Asked { prompt: &prompt.input_ids, seed: splitmix(seed ^ (at as u64 + 1)) });
        let asked: Vec<_> = asked.collect();
        let tokenizer = &self.encoder.tokenizer;
        let drawn = answers::draw(learner.model(), tokenizer, &asked, &config, &self.stop, &|| false)?;
        let one = |row: Generated| row.finish.map(|_| self.cleaned(row.tokens)).map_err(of_model);
        drawn.into_iter().map(one).collect()
    }

    /// A response shorter than two tokens becomes two end tokens (S-204).
    fn cleaned(&self, ids: Vec<u32>) -> Vec<u32> {
        let end =
            self.encoder.tokenizer.eos_id().or(self.stop.ids.first().copied()).unwrap_or(self.data.pad_id);
        if ids.len() < 2 { vec![end, end] } else { ids }
    }

    /// Draws, scores and weighs one micro-batch.
    fn roll_out(&mut self, learner: &Learner<B>, numbers: &[u32], seed: u64) -> Result<Batched, Problem> {
        let prompts = self.data.rows(numbers)?;
        let answers = self.answers(learner, &prompts, seed)?;
        let row = |(prompt, answer): (&EncodedPrompt, &Vec<u32>)| {
            let labels =
                prompt.input_ids.iter().map(|_| IGNORED).chain(answer.iter().map(|id| i64::from(*id)));
            (
                prompt.input_ids.iter().chain(answer).copied().collect::<Vec<u32>>(),
                labels.collect::<Vec<i64>>(),
            )
        };
        let rows: Vec<_> = prompts.iter().zip(&answers).map(row).collect();
        let batch = Batch::from_rows(&rows, self.data.pad_id);
        let reward = self.reward.as_ref().ok_or_else(no_reward_model)?;
        let seen = outputs(&reward.model, Some(&reward.head), &batch, ppo::SCORES, Mode::default());
        let scores = ppo::scores(&seen.map_err(of_model)?);
        let trainer = learner.trainer_ref();
        let old = trainer.outputs(&batch, ppo::WANTS, false).map_err(of_model)?;
        let frozen = trainer.outputs(&batch, REFERENCE, true).map_err(of_model)?;
        let rewards = self.rewards(&scores, &old, &frozen);
        let rollout = Rollout::new(&self.config, ppo::log_probs_of(&old), ppo::values_of(&old), &rewards);
        let first = prompts.into_iter().next().map(|prompt| prompt.input_ids).unwrap_or_default();
        Ok(Batched { kl: ppo::mean_kl(&old, &frozen), batch, rollout, scores, first, answers })
    }

    fn rewards(&mut self, scores: &[f64], old: &[Row], frozen: &[Row]) -> Vec<Vec<f64>> {
        if self.spec.hyper.ppo_score_norm {
            self.moments.update(scores);
        }
        let normed = |score: f64| {
            if self.spec.hyper.ppo_score_norm { self.moments.normalise(score) } else { score }
        };
        let one = |((score, old), frozen): ((&f64, &Row), &Row)| {
            ppo::token_rewards(&old.log_probs, &frozen.log_probs, normed(*score), self.kl.coefficient)
        };
        let mut rewards: Vec<_> = scores.iter().zip(old).zip(frozen).map(one).collect();
        if self.spec.hyper.ppo_whiten_rewards {
            ppo::whiten(&mut rewards, false);
        }
        rewards
    }

    /// Learns from batches of answers, `ppo_epochs` times; returns mean loss, norm of the last update and metrics.
    fn learn(
        &self,
        learner: &mut Learner<B>,
        step: u64,
        batches: &[Batched],
    ) -> Result<(f64, f64, BTreeMap<String, f64>), Problem> {
        let share = 1.0 / batches.len().max(1) as f64;
        let (mut loss, mut norm, mut metrics, mut passes) = (0.0, 0.0, BTreeMap::<String, f64>::new(), 0.0);
        let limit = self.spec.hyper.ppo_early_stop_kl;
        for epoch in 0..self.spec.hyper.ppo_epochs.max(1) {
            let mut policy_kl = 0.0;
            for one in batches {
                let judge = |rows: &[Row]| ppo::judge(&self.config, &one.rollout, rows);
                let judged =
                    learner.trainer().judged_step(&one.batch, ppo::WANTS, share, judge).map_err(of_model)?;
                loss += judged.loss * share;
                policy_kl += judged.metrics.get("policy_kl").copied().unwrap_or_default() * share;
                for (name, value) in judged.metrics {
                    *metrics.entry(name).or_default() += value * share;
                }
            }
            passes += 1.0;
            // S-213: this pass has gone too far to be learnt from.
            if limit > 0.0 && epoch > 0 && policy_kl > 1.5 * limit {
                learner.trainer().forget_gradients();
                break;
            }
            norm = learner.update(step);
            if !norm.is_finite() {
                break;
            }
        }
        metrics.values_mut().for_each(|value| *value /= passes);
        Ok((loss / passes, norm, metrics))
    }

    /// The first answer of a step, for people to read.
    fn sample(&self, step: u64, first: &Batched) -> Option<Kind> {
        let tokenizer = &self.encoder.tokenizer;
        let scores = BTreeMap::from([("reward".to_owned(), *first.scores.first()?)]);
        Some(Kind::Sample {
            problem: None,
            step,
            prompt: answers::shown(&tokenizer.decode(&first.first, false)),
            answer: answers::shown(&tokenizer.decode_answer(first.answers.first()?, true)),
            reference: None,
            scores,
        })
    }
}

fn no_reward_model() -> Problem {
    Problem::new(Code::FormNoRewardModel, "A PPO run needs a reward model.").field("reward_model")
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}

impl<B: Kernels> Recipe<B> for Ppo<B> {
    fn load(&mut self, learner: &mut Learner<B>) -> Result<(), Problem> {
        let checkpoint = self.spec.reward_model.as_ref().ok_or_else(no_reward_model)?;
        let folder = Path::new(&checkpoint.folder);
        let mut model = learner.take_backbone().ok_or_else(no_reward_model)?;
        model.load_adapter(folder).map_err(of_model)?;
        let (width, device) = (model.config.hidden_size, Default::default());
        let head = ValueHead::load(&folder.join(VALUE_HEAD), "", width, 0.0, &device).map_err(of_model)?;
        self.stop = Stop::of(&model, &self.encoder, &self.spec.model.folder);
        self.reward = Some(Reward { model, head });
        Ok(())
    }

    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem> {
        let mut batches = Vec::new();
        for (k, numbers) in micro.iter().enumerate() {
            let seed = splitmix(self.spec.hyper.seed ^ splitmix((step << 16) | k as u64));
            batches.push(self.roll_out(learner, numbers, seed)?);
        }
        let learning_rate = learner.rate(step);
        let (loss, grad_norm, mut metrics) = self.learn(learner, step, &batches)?;
        let answers: usize = batches.iter().map(|one| one.answers.len()).sum();
        let kl = mean(batches.iter().map(|one| one.kl));
        metrics.insert("reward".to_owned(), mean(batches.iter().flat_map(|one| one.scores.iter().copied())));
        metrics.insert("kl".to_owned(), kl);
        metrics.insert("beta".to_owned(), self.kl.coefficient);
        let lengths = batches.iter().flat_map(|one| one.answers.iter().map(|ids| ids.len() as f64));
        metrics.insert("response_length".to_owned(), mean(lengths));
        self.kl.update(kl, answers);
        let sample = batches.first().and_then(|one| self.sample(step, one));
        let read: Vec<Batch> = batches.into_iter().map(|one| one.batch).collect();
        let samples = sample.into_iter().collect();
        Ok(Made { loss, grad_norm, learning_rate, tokens: learner::tokens(&read), metrics, samples })
    }

    /// Nothing is held out.
    fn measure(
        &self,
        _learner: &Learner<B>,
        _places: &[u32],
        _measured: &mut Measured,
    ) -> Result<(), Problem> {
        Ok(())
    }

    fn state(&self, state: &mut LoopState) {
        state.ppo = Some(PpoState {
            kl_coefficient: self.kl.coefficient,
            score_count: self.moments.count,
            score_mean: self.moments.mean,
            score_variance: self.moments.variance,
        });
    }

    fn restore(&mut self, state: &LoopState) {
        if let Some(ppo) = state.ppo {
            self.kl.coefficient = ppo.kl_coefficient;
            self.moments =
                RunningMoments { count: ppo.score_count, mean: ppo.score_mean, variance: ppo.score_variance };
        }
    }
}
