//! The trainer on a model of a few thousand weights.

use super::*;
use crate::Cpu;
use crate::config::ModelConfig;
use crate::train::losses::reward;
use crate::train::{IGNORED, freeze_patterns};

fn model(tied: bool) -> CausalLm<Cpu> {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": tied,
        "max_position_embeddings": 64,
    });
    let config = ModelConfig::from_json(config.to_string().as_bytes()).unwrap();
    CausalLm::init_random(config, 3, &Default::default()).unwrap()
}

fn batch() -> Batch {
    let row = |ids: &[u32]| {
        let labels = ids.iter().enumerate().map(|(i, id)| if i == 0 { IGNORED } else { i64::from(*id) });
        (ids.to_vec(), labels.collect::<Vec<_>>())
    };
    Batch::from_rows(&[row(&[1, 5, 9, 4, 7]), row(&[1, 8, 2]), row(&[3, 3, 6, 30]), row(&[2, 11])], 0)
}

fn lora(config: LoraConfig) -> Trainer<Cpu> {
    Trainer::new(model(false), Method::Lora(config), OptimConfig::default(), 7).unwrap()
}

fn step(trainer: &mut Trainer<Cpu>) -> StepReport {
    trainer.step(&[batch()], Normalisation::TokensOfStep, 1e-2, Some(1.0)).unwrap()
}

fn tensor(trainer: &Trainer<Cpu>, name: &str) -> Vec<f32> {
    let mut found = Vec::new();
    trainer.model().visit(|param| {
        if param.name == name {
            found = Cpu::to_host(&param.value);
        }
    });
    assert!(!found.is_empty(), "no {name}");
    found
}

#[test]
fn s_111_computing_twice_changes_nothing() {
    let config = LoraConfig { dropout: 0.2, use_dora: true, ..LoraConfig::default() };
    let (mut kept, recomputed) = (lora(config.clone()), lora(config));
    let mut recomputed = recomputed.with_options(Options { recompute: true, noise: 0.0 });
    for _ in 0..3 {
        assert_eq!(step(&mut kept), step(&mut recomputed));
    }
    assert_eq!(kept.trainable_tensors(), recomputed.trainable_tensors(), "bit for bit");
}

#[test]
fn noise_is_added_in_training_and_never_in_measuring() {
    let (mut quiet, noisy) = (lora(LoraConfig::default()), lora(LoraConfig::default()));
    let mut noisy = noisy.with_options(Options { noise: 10.0, recompute: false });
    assert_eq!(quiet.eval_loss(&batch()).unwrap(), noisy.eval_loss(&batch()).unwrap());
    assert_ne!(step(&mut quiet).loss, step(&mut noisy).loss);
}

#[test]
fn the_plain_loss_through_the_general_way_is_the_plain_loss() {
    let (mut plain, mut judged) = (lora(LoraConfig::default()), lora(LoraConfig::default()));
    let want = step(&mut plain);
    let wants = Wants { log_probs: true, ..Wants::default() };
    let got = judged.judged_step(&batch(), wants, 1.0, |rows| {
        let count = rows.iter().map(|row| row.log_probs.len()).sum::<usize>() as f32;
        let grads =
            |row: &Row| RowGrads { log_probs: vec![-1.0 / count; row.log_probs.len()], values: Vec::new() };
        let loss = -rows.iter().map(Row::log_prob).sum::<f64>() / f64::from(count);
        Judged { loss, rows: rows.iter().map(grads).collect(), ..Judged::default() }
    });
    assert!((got.unwrap().loss - want.loss).abs() < 1e-6);
    let norm = judged.optimizer_step(1e-2, Some(1.0));
    assert!((norm - want.grad_norm).abs() < 1e-5 * want.grad_norm);
}

#[test]
fn s_130_a_value_heads_gradient_reaches_the_adapter_and_is_the_slope() {
    let head = ValueHead::fresh(16, 0.0, 1, &Default::default());
    let mut trainer = lora(LoraConfig::default()).with_head(head);
    let loss = |trainer: &Trainer<Cpu>| {
        reward::judge(&trainer.outputs(&batch(), reward::WANTS, false).unwrap()).loss
    };
    let name = "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight";
    trainer.judged_step(&batch(), reward::WANTS, 1.0, reward::judge).unwrap();
    let slope = Cpu::to_host(trainer.grads().get(name).unwrap())[3];
    let bias = Cpu::to_host(trainer.grads().get("v_head.bias").unwrap())[0];
    assert!(bias.abs() < 1e-6, "chosen and rejected cancel: {bias}");
    let moved = |trainer: &mut Trainer<Cpu>, by: f32| {
        trainer.model_mut().visit_mut(|param| {
            if param.name == name {
                let [rows, cols] = param.value.dims();
                let mut values = Cpu::to_host(&param.value);
                values[3] += by;
                param.value = Cpu::from_host(values, rows, cols, &Default::default());
            }
        });
        loss(trainer)
    };
    let (above, below) = (moved(&mut trainer, 0.05), moved(&mut trainer, -0.1));
    let measured = ((above - below) / 0.1) as f32;
    assert!((slope - measured).abs() < 1e-3 * (1.0 + slope.abs()), "{slope}, measured {measured}");
    assert_eq!(trainer.trainable_tensors().len(), 2 * 14 + 2, "adapter and head");
}

#[test]
fn dora_begins_as_the_base_and_its_lengths_learn() {
    let mut trainer = lora(LoraConfig { use_dora: true, ..LoraConfig::default() });
    let logits = |trainer: &Trainer<Cpu>, without_adapter| {
        trainer.model().batch_logits(&batch(), Mode { without_adapter, ..Mode::default() })
    };
    for (with, without) in logits(&trainer, false).iter().zip(logits(&trainer, true)) {
        assert!((with - without).abs() < 1e-5, "B is zero");
    }
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector";
    let before = tensor(&trainer, name);
    step(&mut trainer);
    assert_ne!(tensor(&trainer, name), before);
    let active = logits(&trainer, false);
    trainer.model_mut().merge_adapter();
    for (merged, active) in logits(&trainer, false).iter().zip(active) {
        assert!((merged - active).abs() < 1e-4);
    }
}

#[test]
fn whole_modules_train_as_copies_and_the_base_stays() {
    for tied in [false, true] {
        let saved = LoraConfig {
            modules_to_save: vec!["lm_head".into(), "embed_tokens".into()],
            ..LoraConfig::default()
        };
        let mut trainer = Trainer::new(model(tied), Method::Lora(saved), OptimConfig::default(), 7).unwrap();
        let base = trainer.outputs(&batch(), Wants { log_probs: true, ..Wants::default() }, true).unwrap();
        step(&mut trainer);
        step(&mut trainer);
        let again = trainer.outputs(&batch(), Wants { log_probs: true, ..Wants::default() }, true).unwrap();
        assert_eq!(base, again, "without the adapter the model is what it was");
        let active = trainer.model().batch_logits(&batch(), Mode::default());
        let place = tempfile::tempdir().unwrap();
        trainer.save_adapter(place.path(), "base").unwrap();
        let mut fresh = model(tied);
        fresh.load_adapter(place.path()).unwrap();
        assert_eq!(fresh.batch_logits(&batch(), Mode::default()), active);
        fresh.merge_adapter();
        for (merged, active) in fresh.batch_logits(&batch(), Mode::default()).iter().zip(active) {
            assert!((merged - active).abs() < 1e-4, "tied {tied}");
        }
        let whole = tempfile::tempdir().unwrap();
        fresh.save_folder(whole.path()).unwrap();
        let opened = CausalLm::<Cpu>::open(whole.path(), &Default::default()).unwrap();
        assert_eq!(
            opened.batch_logits(&batch(), Mode::default()),
            fresh.batch_logits(&batch(), Mode::default())
        );
    }
}

#[test]
fn s_066_s_125_the_seed_decides_a_fresh_adapter_of_the_asked_shape() {
    let fresh = |seed| {
        let target_modules = vec!["q_proj".into(), "v_proj".into()];
        let config = LoraConfig { r: 3, target_modules, ..LoraConfig::default() };
        let trainer = Trainer::new(model(false), Method::Lora(config), OptimConfig::default(), seed);
        trainer.unwrap().trainable_tensors()
    };
    let tensors = fresh(7);
    assert_eq!(tensors.len(), 8, "A and B of two maps in two blocks");
    for tensor in &tensors {
        let is_a = tensor.name.ends_with("lora_A.weight");
        assert_eq!(tensor.shape[usize::from(!is_a)], 3, "{}", tensor.name);
        assert_eq!(tensor.values.iter().all(|x| *x == 0.0), !is_a, "{}: B begins at zero", tensor.name);
    }
    assert_eq!(tensors, fresh(7));
    assert_ne!(tensors, fresh(8));
}

#[test]
fn s_121_s_184_full_trains_every_tensor_and_takes_none_for_granted() {
    let mut trainer = Trainer::new(model(false), Method::Full, OptimConfig::default(), 1).unwrap();
    let (all, trainable) = trainer.model().parameter_counts();
    assert_eq!(all, trainable);
    let before = trainer.trainable_tensors();
    step(&mut trainer);
    let after = trainer.trainable_tensors();
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.values, after.values, "{}", before.name);
    }
    trainer.load_trainable_tensors(&before).unwrap();
    assert_eq!(trainer.trainable_tensors(), before);
    assert_eq!(trainer.load_trainable_tensors(&after[1..]).unwrap_err().code, Code::CheckpointTensors);
}

#[test]
fn s_122_s_183_freeze_changes_the_chosen_blocks_only() {
    let patterns = freeze_patterns(2, 1, &["mlp".to_owned()]).unwrap();
    let mut trainer =
        Trainer::new(model(false), Method::Freeze(patterns), OptimConfig::default(), 1).unwrap();
    let names: Vec<_> = trainer.trainable_tensors().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.starts_with("model.layers.1.mlp.")), "{names:?}");
    let (frozen, learnt) = ("model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight");
    let before = (tensor(&trainer, frozen), tensor(&trainer, learnt));
    step(&mut trainer);
    assert_eq!(tensor(&trainer, frozen), before.0);
    assert_ne!(tensor(&trainer, learnt), before.1);
    let nothing =
        Trainer::new(model(false), Method::Freeze(vec!["layers.9.mlp".into()]), OptimConfig::default(), 1);
    assert_eq!(nothing.err().unwrap().code, Code::TrainNothing);
}

#[test]
fn a_step_that_is_no_number_leaves_everything_as_it_was() {
    let mut trainer = lora(LoraConfig::default());
    step(&mut trainer);
    let before = (trainer.trainable_tensors(), trainer.optimizer_state());
    let wants = Wants { log_probs: true, ..Wants::default() };
    let broken = |rows: &[Row]| Judged {
        loss: f64::NAN,
        rows: rows
            .iter()
            .map(|row| RowGrads { log_probs: vec![f32::NAN; row.log_probs.len()], ..RowGrads::default() })
            .collect(),
        ..Judged::default()
    };
    trainer.judged_step(&batch(), wants, 1.0, broken).unwrap();
    assert!(trainer.optimizer_step(1e-2, Some(1.0)).is_nan());
    assert_eq!((trainer.trainable_tensors(), trainer.optimizer_state()), before);
}

#[test]
fn s_200_s_201_a_reward_adapter_on_a_copy_leaves_the_policy_alone() {
    let policy = lora(LoraConfig::default());
    let before = policy.model().batch_logits(&batch(), Mode::default());
    let mut reward = policy.model().clone();
    reward.attach_adapter(&LoraConfig { r: 2, ..LoraConfig::default() }, 99).unwrap();
    let mut trained = Trainer::new(reward, Method::LoadedLora, OptimConfig::default(), 1).unwrap();
    step(&mut trained);
    assert_eq!(policy.model().batch_logits(&batch(), Mode::default()), before);
}
