//! A checkpoint is a folder with a manifest: complete, or invisible.

use serde::{Deserialize, Serialize};

use crate::stage::{Stage, Tuning};

/// Version of [`Manifest`] this build writes.
pub const FORMAT: u32 = 1;

/// `manifest.json` of a checkpoint: written last, before the folder gets its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version.
    pub format: u32,
    /// Optimizer steps made.
    pub step: u64,
    /// Every file of the folder but this one.
    pub files: Vec<FileEntry>,
    /// What the training loop needs to go on exactly.
    pub loop_state: LoopState,
    /// SHA-256 of the trained weights file, hex.
    pub digest: String,
    /// What it was trained on; absent in checkpoints of older builds.
    #[serde(default)]
    pub lineage: Option<Lineage>,
}

/// Where trained weights come from, so that what does not fit together is refused before anything is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Stage that made it.
    pub stage: Stage,
    /// Tuning method.
    pub tuning: Tuning,
    /// SHA-256 of the base model's weights, hex; empty when it was not known.
    pub base: String,
    /// Digests of the checkpoints merged into the base before training, in order (S-124).
    #[serde(default)]
    pub merged: Vec<String>,
    /// Width of the model.
    #[serde(default)]
    pub hidden_size: usize,
    /// Whether it holds `value_head.safetensors`.
    #[serde(default)]
    pub value_head: bool,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name within the folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// State of the training loop beside weights and optimizer moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// Micro-batches consumed since the start of the run.
    pub micro_batches: u64,
    /// Lowest eval loss so far.
    #[serde(default)]
    pub best_eval_loss: Option<f64>,
    /// Step of the lowest eval loss.
    #[serde(default)]
    pub best_step: Option<u64>,
    /// Seconds of training before this checkpoint, all attempts together.
    #[serde(default)]
    pub elapsed_s: f64,
    /// Measurements in a row without a lower eval loss.
    #[serde(default)]
    pub without_progress: u64,
    /// Optimizer updates made; a skipped step makes none, a PPO step several.
    #[serde(default)]
    pub updates: Option<u64>,
    /// SHA-256 of the dataset file, hex: a resumed run reads the same rows or none.
    #[serde(default)]
    pub dataset_sha256: String,
    /// State of the PPO controllers.
    #[serde(default)]
    pub ppo: Option<PpoState>,
    /// Lowest eval loss measured, saved or not.
    #[serde(default)]
    pub lowest_eval_loss: Option<f64>,
    /// Held-out rows these losses stand on; absent in checkpoints of older builds, which measured all of them.
    #[serde(default)]
    pub eval_rows: Option<u64>,
    /// Whether a measuring was due after this step and is not done: a stop kept it from being made.
    #[serde(default)]
    pub owes_measuring: bool,
    /// Eval loss before training, where it was measured.
    #[serde(default)]
    pub base_eval_loss: Option<f64>,
    /// Steps left out in a row because they were no numbers.
    #[serde(default)]
    pub skipped_in_a_row: u64,
}

impl LoopState {
    /// Whether training has not lowered the eval loss: the lowest of any checkpoint is no lower than before training.
    pub fn no_better_than_base(&self) -> bool {
        self.best_eval_loss.zip(self.base_eval_loss).is_some_and(|(lowest, base)| lowest >= base)
    }
}

/// What PPO carries from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PpoState {
    /// KL coefficient, beta.
    #[serde(with = "exact")]
    pub kl_coefficient: f64,
    /// Scores seen.
    #[serde(with = "exact")]
    pub score_count: f64,
    /// Their mean.
    #[serde(with = "exact")]
    pub score_mean: f64,
    /// Their population variance.
    #[serde(with = "exact")]
    pub score_variance: f64,
}

/// Numbers as text: a JSON number may lose its last bit on the way, and a resumed run is to be exact.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{value:e}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| serde::de::Error::custom(format!("\"{text}\" is not a number")))
    }
}

/// How a checkpoint stands by its eval loss, see [`mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The lowest eval loss of the run's checkpoints, and lower than before training.
    Best,
    /// The lowest eval loss of the run's checkpoints; what it was before training was not measured.
    Lowest,
    /// An eval loss no lower than before training.
    NoBetter,
}

/// A checkpoint as the run page lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointView {
    /// Step it holds.
    pub step: u64,
    /// Eval loss, when measured.
    pub eval_loss: Option<f64>,
    /// How it stands by its eval loss; `None`: it was not measured, or another one is better.
    pub mark: Option<Mark>,
    /// SHA-256 of the trained weights, hex.
    pub digest: String,
}

/// The checkpoint of the lowest eval loss; of equal ones the earliest. `None`: none was measured.
pub fn lowest(checkpoints: &[CheckpointView]) -> Option<&CheckpointView> {
    let measured = |one: &CheckpointView| one.eval_loss.filter(|loss| loss.is_finite());
    let ranked = checkpoints.iter().filter_map(|one| measured(one).map(|loss| (loss, one)));
    let first = |a: &(f64, &CheckpointView), b: &(f64, &CheckpointView)| {
        a.0.total_cmp(&b.0).then(a.1.step.cmp(&b.1.step))
    };
    ranked.min_by(first).map(|(_, one)| one)
}

/// Marks checkpoints by their eval loss. `base` is the eval loss before training, where it was measured: nothing that is
/// not lower is ever [`Mark::Best`]. The one place that says which checkpoint is the best; pages, pickers and lists show
/// what stands here.
pub fn mark(checkpoints: &mut [CheckpointView], base: Option<f64>) {
    let base = base.filter(|base| base.is_finite());
    let lowest = lowest(checkpoints).map(|one| one.step);
    for one in checkpoints {
        let loss = one.eval_loss.filter(|loss| loss.is_finite());
        one.mark = match (loss, base) {
            (Some(loss), Some(base)) if loss >= base => Some(Mark::NoBetter),
            (Some(_), Some(_)) if lowest == Some(one.step) => Some(Mark::Best),
            (Some(_), None) if lowest == Some(one.step) => Some(Mark::Lowest),
            _ => None,
        };
    }
}

/// The checkpoint that stands for its run wherever none is named (S-182): in the playground, as the start of another
/// run. `best` is [`crate::params::Hyper::load_best_model_at_end`]: the one of the lowest eval loss, if any was
/// measured, even where none is lower than before training; else the newest.
pub fn chosen(checkpoints: &[CheckpointView], best: bool) -> Option<&CheckpointView> {
    let lowest = lowest(checkpoints).filter(|_| best);
    lowest.or_else(|| checkpoints.iter().max_by_key(|checkpoint| checkpoint.step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(step: u64, eval_loss: Option<f64>) -> CheckpointView {
        CheckpointView { step, eval_loss, mark: None, digest: String::new() }
    }

    /// Step and mark of each checkpoint, given the eval loss before training.
    fn marks(base: Option<f64>, mut all: Vec<CheckpointView>) -> Vec<(u64, Option<Mark>)> {
        mark(&mut all, base);
        all.iter().map(|one| (one.step, one.mark)).collect()
    }

    #[test]
    fn s_182_the_lowest_eval_loss_stands_for_its_run_unless_the_newest_is_asked_for() {
        let all = [saved(30, Some(2.0)), saved(20, Some(1.0)), saved(10, None)];
        let step = |checkpoints: &[CheckpointView], best| chosen(checkpoints, best).map(|one| one.step);
        assert_eq!((step(&all, true), step(&all, false)), (Some(20), Some(30)));
        assert_eq!(step(&[saved(10, None), saved(30, None)], true), Some(30), "nothing was measured");
        assert_eq!(step(&[saved(30, Some(f64::NAN)), saved(10, Some(9.0))], true), Some(10));
        assert_eq!(step(&[], true), None);
    }

    #[test]
    fn a_checkpoint_that_is_worse_than_the_base_is_never_the_best() {
        let burst = vec![saved(3, Some(35.37)), saved(2, Some(12.1))];
        let worse = Some(Mark::NoBetter);
        assert_eq!(marks(Some(4.55), burst.clone()), [(3, worse), (2, worse)]);
        assert_eq!(
            chosen(&burst, true).map(|one| one.step),
            Some(2),
            "one of them stands for the run all the same"
        );
        assert_eq!(marks(Some(12.1), vec![saved(2, Some(12.1))]), [(2, worse)], "no better is not better");
    }

    #[test]
    fn the_best_is_the_lowest_of_those_that_are_there() {
        let learned = vec![saved(84, Some(3.9)), saved(63, Some(2.9)), saved(42, None)];
        assert_eq!(marks(Some(4.5), learned.clone()), [(84, None), (63, Some(Mark::Best)), (42, None)]);
        assert_eq!(marks(None, learned)[1], (63, Some(Mark::Lowest)), "the base was not measured");
        let equal = vec![saved(20, Some(2.0)), saved(10, Some(2.0))];
        assert_eq!(marks(Some(4.5), equal), [(20, None), (10, Some(Mark::Best))], "the earliest of equals");
        assert_eq!(marks(Some(f64::NAN), vec![saved(5, Some(1.0))]), [(5, Some(Mark::Lowest))]);
        assert_eq!(marks(Some(4.5), vec![saved(5, Some(f64::INFINITY))]), [(5, None)]);
    }

    #[test]
    fn s_212_the_controllers_state_keeps_every_bit() {
        let state = PpoState {
            kl_coefficient: 0.199_984_000_000_000_03,
            score_count: 12.0,
            score_mean: -1.0 / 3.0,
            score_variance: f64::MIN_POSITIVE * 1.1,
        };
        let text = serde_json::to_string(&state).expect("writes");
        assert_eq!(serde_json::from_str::<PpoState>(&text).expect("reads"), state);
    }

    #[test]
    fn a_manifest_of_an_older_build_has_no_lineage() {
        let old = r#"{"format":1,"step":3,"files":[],"loop_state":{"micro_batches":3},"digest":"x"}"#;
        let manifest: Manifest = serde_json::from_str(old).expect("reads");
        assert_eq!((manifest.lineage, manifest.loop_state.updates), (None, None));
    }
}
