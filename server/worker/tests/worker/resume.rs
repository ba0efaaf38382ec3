//! A run killed at random steps ends as if nothing had happened: same losses, same weights, bit for bit.

use contract::Code;
use contract::event::Kind;
use contract::spec::RunSpec;
use contract::stage::{Stage, Tuning};
use rundir::RunDir;

use crate::support::{complete, events, finish, losses, reference, spec_of, start, text, wait_for};

/// Kills a run as often as `kills` says, at steps drawn from `seed`, and compares it with an uninterrupted one.
fn survives(place: &std::path::Path, spec: &RunSpec, kills: u64, seed: u64) {
    let total = spec.hyper.max_steps;
    let straight = complete(place, "straight", spec);
    let expected = losses(&events(&straight, 1));
    assert_eq!(expected.len() as u64, total);
    let broken = RunDir::create(&place.join("broken"), spec).expect("created");
    let mut state = seed;
    let mut targets: Vec<u64> = (0..kills)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            1 + (state >> 33) % (total - 1)
        })
        .collect();
    targets.sort_unstable();
    let mut attempt = 0;
    for target in targets {
        let mut child = start(&broken);
        attempt += 1;
        wait_for(&broken, attempt, |kind| {
            matches!(kind, Kind::Step { step, .. } if *step >= target)
                || matches!(kind, Kind::Finished { .. })
        });
        child.kill().expect("killed");
        finish(child);
    }
    if broken.result().expect("reads").is_none() {
        let ended = finish(start(&broken));
        assert!(ended.status.success(), "{}", text(&ended));
        attempt += 1;
    }
    let mut seen = std::collections::BTreeMap::new();
    for attempt in 1..=attempt {
        for (step, loss) in losses(&events(&broken, attempt)) {
            let earlier = seen.insert(step, loss);
            assert!(earlier.is_none_or(|earlier| earlier == loss), "step {step} was made twice, differently");
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "bit for bit");
    let saved = |run: &RunDir| run.checkpoint(total).expect("lists").expect("saved");
    for name in ["adapter_model.safetensors", "optimizer.safetensors", "value_head.safetensors"] {
        let read = |run: &RunDir| std::fs::read(saved(run).path().join(name)).ok();
        assert_eq!(read(&straight), read(&broken), "{name}");
    }
    let log = |run: &RunDir| {
        let text = std::fs::read_to_string(run.path().join("trainer_log.jsonl")).expect("written");
        text.lines().filter(|line| line.contains("\"loss\"")).count() as u64
    };
    assert_eq!((log(&straight), log(&broken)), (total, total), "every step once");
}

const SHORT: [(&str, &str); 6] = [
    ("max_source_length", "48"),
    ("max_target_length", "8"),
    ("per_device_train_batch_size", "3"),
    ("lora_rank", "4"),
    ("save_steps", "2"),
    ("dev_ratio", "0"),
];

fn spec(stage: Stage, place: &tempfile::TempDir, more: &[(&str, &str)]) -> RunSpec {
    let values: Vec<_> = SHORT.iter().chain(more).copied().collect();
    spec_of(stage, place.path(), Tuning::Lora, &values)
}

#[test]
fn sft_killed_at_twenty_random_steps_ends_bit_equal() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [
        ("max_steps", "60"),
        ("lora_dropout", "0.1"),
        ("neftune_noise_alpha", "5"),
        ("gradient_accumulation_steps", "2"),
        ("use_dora", "true"),
    ];
    survives(place.path(), &spec(Stage::Sft, &place, &values), 20, 1);
}

#[test]
fn a_large_set_killed_at_random_steps_ends_bit_equal() {
    let place = tempfile::tempdir().expect("a folder");
    let mut spec = spec(Stage::Sft, &place, &[("max_steps", "24"), ("dev_ratio", "0.1")]);
    spec.dataset.rows = worker::stages::LARGE;
    spec.prepared = place.path().join("prepared").to_string_lossy().into_owned();
    survives(place.path(), &spec, 4, 5);
}

#[test]
fn a_reward_model_killed_at_random_steps_ends_bit_equal() {
    let place = tempfile::tempdir().expect("a folder");
    survives(place.path(), &spec(Stage::Rm, &place, &[("max_steps", "24")]), 4, 2);
}

#[test]
fn dpo_killed_at_random_steps_ends_bit_equal() {
    let place = tempfile::tempdir().expect("a folder");
    survives(place.path(), &spec(Stage::Dpo, &place, &[("max_steps", "24")]), 4, 3);
}

#[test]
fn ppo_killed_at_random_steps_ends_bit_equal() {
    let place = tempfile::tempdir().expect("a folder");
    let rm = complete(place.path(), "rm", &spec(Stage::Rm, &place, &[("max_steps", "4")]));
    let mut ppo =
        spec(Stage::Ppo, &place, &[("max_steps", "12"), ("ppo_epochs", "2"), ("learning_rate", "1e-3")]);
    ppo.reward_model = Some(reference(&rm));
    survives(place.path(), &ppo, 4, 4);
}

#[test]
fn a_dataset_that_changed_is_one_clear_problem_on_resume() {
    let place = tempfile::tempdir().expect("a folder");
    let spec = spec(Stage::Sft, &place, &[("max_steps", "100000")]);
    let run = RunDir::create(&place.path().join("run"), &spec).expect("created");
    let mut child = start(&run);
    wait_for(&run, 1, |kind| matches!(kind, Kind::Checkpoint { .. }));
    child.kill().expect("killed");
    finish(child);
    let mut text = std::fs::read_to_string(&spec.dataset.file).expect("reads");
    text.push_str("{\"instruction\":\"New?\",\"output\":\"Yes.\"}\n");
    std::fs::write(&spec.dataset.file, text).expect("written");
    assert!(!finish(start(&run)).status.success());
    let said = events(&run, 2);
    assert!(
        matches!(said.last(), Some(Kind::Failed { problem, .. }) if problem.code == Code::DatasetChanged),
        "{:?}",
        said.last()
    );
}
