//! One PPO step with every intermediate number, and its building blocks.

use std::path::Path;

use model::arch::Mode;
use model::kernels::Kernels;
use model::train::losses::ppo::{self, AdaptiveKl, PpoConfig, Rollout, RunningMoments};
use model::train::{Batch, IGNORED, Method, OptimConfig, Row, Trainer, ValueHead, outputs};
use model::weights::{TensorSource, Weights};
use model::{CausalLm, Cpu};
use serde_json::Value;

use crate::support::{close, floats, folders_with, ids, in_ci, json, open, reference};

/// Query and response of each row, padded on the left; the response is labelled.
fn batch(case: &Value) -> Batch {
    let rows: Vec<_> = case["queries"]
        .as_array()
        .unwrap()
        .iter()
        .zip(case["responses"].as_array().unwrap())
        .map(|(query, response)| {
            let (query, response) = (ids(query), ids(response));
            let labels = query.iter().map(|_| IGNORED).chain(response.iter().map(|id| i64::from(*id)));
            let labels: Vec<i64> = labels.collect();
            (query.into_iter().chain(response).collect::<Vec<u32>>(), labels)
        })
        .collect();
    Batch::from_rows(&rows, 0)
}

struct Intermediates {
    tensors: Weights,
    mask: Vec<f32>,
    width: usize,
}

impl Intermediates {
    /// Compares lists per row with the masked entries of a `[b, t - 1]` tensor.
    fn compare(&self, what: &str, got: &[Vec<f64>]) {
        let want = self.tensors.read(what).unwrap();
        for (row, got) in got.iter().enumerate() {
            let places = (row * self.width..(row + 1) * self.width).filter(|i| self.mask[*i] != 0.0);
            let want: Vec<f32> = places.map(|i| want[i]).collect();
            assert_eq!(got.len(), want.len(), "{what} row {row}");
            for (got, want) in got.iter().zip(want) {
                close(&format!("{what} row {row}"), *got, f64::from(want), 2e-4, 2e-4);
            }
        }
    }
}

fn doubles(list: &[f32]) -> Vec<f64> {
    list.iter().map(|x| f64::from(*x)).collect()
}

fn log_probs(rows: &[Row]) -> Vec<Vec<f64>> {
    rows.iter().map(|row| doubles(&row.log_probs)).collect()
}

fn values(rows: &[Row]) -> Vec<Vec<f64>> {
    rows.iter().map(|row| row.before.iter().map(|at| f64::from(row.values[*at])).collect()).collect()
}

fn run(folder: &Path) {
    let (root, case) = (reference(), json(&folder.join("case.json")));
    let number = |key: &str| case[key].as_f64().unwrap();
    let batch = batch(&case);
    let tensors = Weights::open(&folder.join("intermediates.safetensors")).unwrap();
    let (mask, width) = (tensors.read("response_mask").unwrap(), batch.t - 1);
    let intermediates = Intermediates { tensors, mask, width };
    let device = Default::default();
    let base = open(&root.join(case["model"].as_str().unwrap()));
    let heads = folder.join("heads_initial.safetensors");
    let head = |name: &str| ValueHead::load(&heads, name, base.config.hidden_size, 0.0, &device).unwrap();
    let (mut policy, mut reward): (CausalLm<Cpu>, _) = (base.clone(), base.clone());
    policy.load_adapter(&folder.join("adapters_initial")).unwrap();
    reward.load_adapter(&folder.join("adapters_initial/reward")).unwrap();
    let seen = outputs(&reward, Some(&head("reward.")), &batch, ppo::SCORES, Mode::default()).unwrap();
    let scores = ppo::scores(&seen);
    for (got, want) in scores.iter().zip(floats(&case["scores"])) {
        close("score", *got, want, 2e-4, 2e-4);
    }
    let mut trainer = Trainer::new(policy, Method::LoadedLora, OptimConfig::default(), 1)
        .unwrap()
        .with_head(head("default."));
    let old = trainer.outputs(&batch, ppo::WANTS, false).unwrap();
    let frozen = trainer.outputs(&batch, ppo::WANTS, true).unwrap();
    intermediates.compare("old_logprobs", &log_probs(&old));
    intermediates.compare("ref_logprobs", &log_probs(&frozen));
    intermediates.compare("old_values", &values(&old));
    let beta = number("kl_coefficient");
    let rewards: Vec<_> = (0..batch.b)
        .map(|i| ppo::token_rewards(&old[i].log_probs, &frozen[i].log_probs, scores[i], beta))
        .collect();
    intermediates.compare("rewards", &rewards);
    let config = PpoConfig {
        gamma: number("gamma"),
        lambda: number("lambda"),
        clip: number("clip_range"),
        value_clip: number("value_clip_range"),
        value_weight: number("value_coefficient"),
        ..PpoConfig::default()
    };
    let kl = ppo::mean_kl(&old, &frozen);
    close("KL", kl, number("mean_kl_of_sequences"), 2e-4, 2e-4);
    let mut control =
        AdaptiveKl { coefficient: beta, target: number("kl_target"), horizon: number("kl_horizon") };
    close("KL error", control.update(kl, batch.b), number("kl_error_clipped"), 2e-4, 2e-4);
    close("next beta", control.coefficient, number("kl_coefficient_next"), 1e-9, 1e-9);
    let rollout = Rollout::new(&config, log_probs(&old), values(&old), &rewards);
    for (epoch, want) in case["epochs"].as_array().unwrap().iter().enumerate() {
        intermediates.compare(&format!("epoch{epoch}.advantages_whitened"), &rollout.advantages);
        intermediates.compare(&format!("epoch{epoch}.returns"), &rollout.returns);
        let mut seen = Vec::new();
        let judged = trainer
            .judged_step(&batch, ppo::WANTS, 1.0, |rows| {
                seen = rows.to_vec();
                ppo::judge(&config, &rollout, rows)
            })
            .unwrap();
        intermediates.compare(&format!("epoch{epoch}.logprobs"), &log_probs(&seen));
        intermediates.compare(&format!("epoch{epoch}.values_pred"), &values(&seen));
        let norm = trainer.optimizer_step(number("learning_rate"), Some(1.0));
        for (key, recorded) in [
            ("policy_loss", "policy_loss"),
            ("value_loss", "value_loss"),
            ("ratio", "mean_ratio"),
            ("entropy", "entropy"),
            ("clip_fraction", "policy_clipfrac"),
            ("value_clip_fraction", "value_clipfrac"),
            ("approx_kl", "approx_kl"),
            ("policy_kl", "policy_kl"),
            ("mean_return", "mean_return"),
        ] {
            let what = format!("{} epoch {epoch} {key}", folder.display());
            close(&what, judged.metrics[key], want[recorded].as_f64().unwrap(), 2e-4, 2e-4);
        }
        close("total loss", judged.loss, want["total_loss"].as_f64().unwrap(), 2e-4, 2e-4);
        close("gradient norm", norm, want["grad_norm_before_clip"].as_f64().unwrap(), 2e-4, 3e-4);
        assert_eq!(judged.metrics["skipped"] != 0.0, want["skipped"].as_bool().unwrap(), "epoch {epoch}");
    }
    let changed = Weights::open(&folder.join("adapter_final/adapter_model.safetensors")).unwrap();
    for tensor in trainer.model().adapter_tensors() {
        for (got, want) in tensor.values.iter().zip(changed.read(&tensor.name).unwrap()) {
            close(&tensor.name, f64::from(*got), f64::from(want), 2e-4, 2e-4);
        }
    }
    let head = Weights::open(&folder.join("head_final.safetensors")).unwrap();
    let want = head.read("default.summary.weight").unwrap();
    for (got, want) in Cpu::to_host(&trainer.head().unwrap().weight.value).iter().zip(want) {
        close("value head", f64::from(*got), f64::from(want), 2e-4, 2e-4);
    }
}

#[test]
fn reference_s_200_s_205_to_s_212_ppo_steps() {
    for folder in folders_with(&reference().join("train"), "heads_initial.safetensors") {
        run(&folder);
    }
}

#[test]
fn reference_s_208_s_212_s_216_ppo_blocks() {
    let folder = reference().join("train/ppo_blocks");
    if !folder.is_dir() {
        assert!(!in_ci(), "no PPO blocks");
        return;
    }
    let blocks = json(&folder.join("blocks.json"));
    let adaptive = &blocks["adaptive_kl"];
    let (target, horizon) = (adaptive["target"].as_f64().unwrap(), adaptive["horizon"].as_f64().unwrap());
    for row in adaptive["table"].as_array().unwrap() {
        let number = |key: &str| row[key].as_f64().unwrap();
        let mut kl = AdaptiveKl { coefficient: number("kl_coefficient"), target, horizon };
        let error = kl.update(number("kl"), number("batch") as usize);
        close("S-212 error", error, number("error"), 1e-12, 1e-9);
        close("S-212 coefficient", kl.coefficient, number("next"), 0.0, 1e-9);
    }
    let mut moments = RunningMoments::default();
    for batch in blocks["running_reward_norm"]["batches"].as_array().unwrap() {
        let scores = floats(&batch["scores"]);
        moments.update(&scores);
        close("S-216 mean", moments.mean, batch["mean"].as_f64().unwrap(), 0.0, 1e-9);
        close("S-216 deviation", moments.deviation(), batch["std_bessel"].as_f64().unwrap(), 0.0, 1e-9);
        for (score, want) in scores.iter().zip(floats(&batch["normalised"])) {
            close("S-216 normalised", moments.normalise(*score), want, 1e-9, 1e-9);
        }
    }
    gae_blocks(&folder);
}

fn gae_blocks(folder: &Path) {
    let tensors = Weights::open(&folder.join("gae.safetensors")).unwrap();
    let [rows, width] = tensors.shape("mask").unwrap()[..] else { panic!("two dimensions") };
    let mask = tensors.read("mask").unwrap();
    let masked = |name: &str| -> Vec<Vec<f64>> {
        let all = tensors.read(name).unwrap();
        let row = |row: usize| (row * width..(row + 1) * width).filter(|i| mask[*i] != 0.0);
        (0..rows).map(|r| row(r).map(|i| f64::from(all[i])).collect()).collect()
    };
    let (rewards, values) = (masked("rewards"), masked("values"));
    let mut ran = 0;
    // `g099_l09` is gamma 0.99, lambda 0.9.
    let decimal = |digits: &str| {
        let (whole, rest) = digits.split_at(1);
        if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }.parse::<f64>().unwrap()
    };
    for name in tensors.names().iter().filter_map(|name| name.strip_suffix(".advantages")) {
        let (gamma, lambda) = name.strip_prefix('g').and_then(|rest| rest.split_once("_l")).unwrap();
        let (gamma, lambda) = (decimal(gamma), decimal(lambda));
        let (mut advantages, mut returns) = (Vec::new(), Vec::new());
        for (rewards, values) in rewards.iter().zip(&values) {
            let (advantage, row_returns) = ppo::gae(rewards, values, gamma, lambda);
            advantages.push(advantage);
            returns.push(row_returns);
        }
        let (mut shifted, mut kept) = (advantages.clone(), advantages.clone());
        ppo::whiten(&mut shifted, true);
        ppo::whiten(&mut kept, false);
        for (got, what) in [
            (advantages, "advantages"),
            (returns, "returns"),
            (shifted, "whitened"),
            (kept, "whitened_keep_mean"),
        ] {
            let want = masked(&format!("{name}.{what}"));
            for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
                close(&format!("S-208 {name}.{what}"), *got, *want, 1e-5, 2e-5);
            }
        }
        ran += 1;
    }
    assert!(ran > 0, "no GAE blocks");
}
