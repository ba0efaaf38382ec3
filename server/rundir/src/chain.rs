//! Whether the checkpoints a run starts from fit its base and one another, from manifests, configurations and file
//! headers alone: milliseconds, nothing large is read (S-105, S-123).

use std::io::Read;
use std::path::Path;

use contract::Code;
use contract::check::quantized_single;
use contract::checkpoint::Manifest;
use contract::limits::Limit;
use contract::problem::Problem;
use contract::safetensors;
use contract::spec::{CheckpointRef, RunSpec};
use contract::stage::Stage;
use serde_json::Value;

use crate::files;

/// File of a value head within a checkpoint (S-131).
pub const VALUE_HEAD: &str = "value_head.safetensors";
/// File of an adapter's weights.
pub const ADAPTER: &str = "adapter_model.safetensors";
/// File of an adapter's shape.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// File of whole weights.
pub const WHOLE_MODEL: &str = "model.safetensors";
/// Endings of the names of linear maps that read the hidden state, in every family.
const READ_HIDDEN: [&str; 9] =
    ["q_proj", "k_proj", "v_proj", "qkv_proj", "gate_proj", "up_proj", "gate_up_proj", "c_attn", "c_fc"];

/// Every way in which the checkpoints of a specification do not fit; empty when they do.
pub fn problems(spec: &RunSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let width = hidden_size(Path::new(&spec.model.folder));
    if !spec.tuning.keeps_base() && spec.adapters.len() > 1 {
        problems.push(
            Problem::new(Code::FormOneCheckpoint, "Only LoRA tuning accepts multiple checkpoints.")
                .field("adapters"),
        );
    }
    for (at, checkpoint) in spec.adapters.iter().enumerate() {
        let before = &spec.adapters[..at];
        if let Err(problem) = link(spec, before, checkpoint, width) {
            problems.push(problem.field("adapters"));
        }
    }
    problems.extend(quantised(spec));
    if let Err(problem) = measurable(spec, width) {
        problems.push(problem.field("adapters"));
    }
    if spec.stage == Stage::Ppo {
        let reward = spec.reward_model.as_ref().ok_or_else(|| {
            Problem::new(Code::FormNoRewardModel, "A PPO run needs a reward model.")
                .hint("Train one (stage rm) on the model you start from, then choose it here.")
        });
        if let Err(problem) = reward.and_then(|reward| reward_fits(spec, reward, width)) {
            problems.push(problem.field("reward_model"));
        }
    }
    problems
}

/// Whether a checkpoint is a whole model, which stands in place of the base, and no adapter.
pub fn is_whole(folder: &Path) -> bool {
    !folder.join(ADAPTER_CONFIG).is_file()
}

/// A base that is quantised when it is loaded takes one adapter, and trains it further (S-058, S-126): nothing can be
/// merged into it. A whole model in its place is quantised as well and does not count.
fn quantised(spec: &RunSpec) -> Option<Problem> {
    if !spec.tuning.keeps_base() || !spec.hyper.quantised() {
        return None;
    }
    let adapters = spec.adapters.iter().filter(|link| !link.whole).count();
    let merged = spec.adapters.iter().take(spec.merged_adapters()).find(|link| !link.whole)?;
    Some(if adapters > 1 {
        let chain = spec.adapters.iter().map(|link| format!("\"{}\"", link.name)).collect::<Vec<_>>();
        let chain = chain.join(", ");
        quantized_single(format!(
            "Quantized model only accepts a single checkpoint; this one stands on {chain}."
        ))
    } else {
        about(Code::FormQuantizedMerge, merged, "cannot be merged into a quantized model.")
            .field("resume_lora_training")
            .hint("Go on with the same adapter, or keep the base as its file has it.")
    })
}

/// A problem of a checkpoint; its message begins with the checkpoint's title.
fn about(code: Code, checkpoint: &CheckpointRef, what: &str) -> Problem {
    Problem::new(code, format!("{} {what}", title(checkpoint)))
        .with("name", &checkpoint.name)
        .with("step", checkpoint.step)
}

fn title(checkpoint: &CheckpointRef) -> String {
    format!("The checkpoint of step {} of \"{}\"", checkpoint.step, checkpoint.name)
}

fn manifest(checkpoint: &CheckpointRef) -> Result<Manifest, Problem> {
    files::read_json(&Path::new(&checkpoint.folder).join("manifest.json")).map_err(|_| {
        about(Code::ChainGone, checkpoint, "is not there any more.").hint("Choose another checkpoint.")
    })
}

/// Checks one link of the chain against the base and the links before it.
fn link(
    spec: &RunSpec,
    before: &[CheckpointRef],
    checkpoint: &CheckpointRef,
    width: Option<u64>,
) -> Result<(), Problem> {
    let folder = Path::new(&checkpoint.folder);
    let manifest = manifest(checkpoint)?;
    let adapter = folder.join(ADAPTER_CONFIG).is_file() && folder.join(ADAPTER).is_file();
    if !adapter {
        let whole = folder.join(WHOLE_MODEL).is_file();
        if whole && before.is_empty() {
            return whole_fits(checkpoint, width);
        }
        let problem = about(Code::ChainNotLora, checkpoint, "is not a LoRA adapter.");
        return Err(if whole {
            problem.hint("It is a whole model: put it first, or start from it alone.")
        } else {
            problem.hint("The given checkpoint may be not a LoRA checkpoint; choose another one.")
        });
    }
    if !spec.tuning.keeps_base() {
        return Err(about(
            Code::ChainAdapterForFull,
            checkpoint,
            "is an adapter, but every weight is to be tuned.",
        )
        .hint("Choose an adapter (lora), or start from a checkpoint of a full run."));
    }
    same_base(spec, checkpoint, &manifest)?;
    merged_before(before, checkpoint, &manifest)?;
    adapter_fits(folder, checkpoint, width)
}

fn same_base(spec: &RunSpec, checkpoint: &CheckpointRef, manifest: &Manifest) -> Result<(), Problem> {
    let base = manifest.lineage.as_ref().map_or("", |lineage| lineage.base.as_str());
    if base.is_empty() || spec.model.digest.is_empty() || base == spec.model.digest {
        return Ok(());
    }
    let what = format!("was trained on another base model than {}.", spec.model.name);
    Err(about(Code::ChainOtherBase, checkpoint, &what)
        .with("model", &spec.model.name)
        .hint("Choose the model it was trained on."))
}

/// An adapter fits only on what was merged into the base when it was trained.
fn merged_before(
    before: &[CheckpointRef],
    checkpoint: &CheckpointRef,
    manifest: &Manifest,
) -> Result<(), Problem> {
    let Some(lineage) = &manifest.lineage else { return Ok(()) };
    if lineage.merged.iter().eq(before.iter().map(|link| &link.digest)) {
        return Ok(());
    }
    Err(about(Code::ChainOrder, checkpoint, "was trained on top of other checkpoints than those before it.")
        .hint("List the checkpoints in the order they were trained, each with what it was started from."))
}

fn whole_fits(checkpoint: &CheckpointRef, width: Option<u64>) -> Result<(), Problem> {
    match (hidden_size(Path::new(&checkpoint.folder)), width) {
        (Some(found), Some(width)) if found != width => {
            Err(about(Code::ChainShape, checkpoint, &format!("is {found} wide, the model {width}."))
                .with("found", found)
                .with("width", width)
                .hint("Choose the model it was trained on."))
        }
        _ => Ok(()),
    }
}

/// Compares the shapes in the adapter's header with the width of the model.
fn adapter_fits(folder: &Path, checkpoint: &CheckpointRef, width: Option<u64>) -> Result<(), Problem> {
    let broken = || {
        about(Code::ChainBroken, checkpoint, "holds an adapter that cannot be read.")
            .hint("Choose another checkpoint.")
    };
    let config: Value = files::read_json(&folder.join(ADAPTER_CONFIG)).map_err(|_| broken())?;
    if config.get("peft_type").and_then(Value::as_str).is_some_and(|kind| kind != "LORA") {
        return Err(broken());
    }
    let mut inners = Vec::new();
    header(&folder.join(ADAPTER), |name, shape| {
        // What reads the hidden state has an A as wide as the model.
        let map = name.strip_suffix(".lora_A.weight");
        if map.is_some_and(|map| READ_HIDDEN.iter().any(|end| map.ends_with(end))) {
            inners.extend(shape.get(1).map(|inner| *inner as u64));
        }
    })
    .ok_or_else(broken)?;
    let wrong = width.and_then(|width| Some((inners.into_iter().find(|inner| *inner != width)?, width)));
    match wrong {
        Some((found, width)) => Err(about(
            Code::ChainShape,
            checkpoint,
            &format!("is made for a model {found} wide; this one is {width} wide."),
        )
        .with("found", found)
        .with("width", width)
        .hint("Choose the model it was trained on.")),
        None => Ok(()),
    }
}

/// Where nothing learns: whether what is measured on pairs is a reward model (rm), or an adapter that can be left out
/// (dpo).
fn measurable(spec: &RunSpec, width: Option<u64>) -> Result<(), Problem> {
    let Some(last) = spec.adapters.last().filter(|_| !spec.tuning.learns()) else { return Ok(()) };
    match spec.stage {
        Stage::Rm => has_head(last, width),
        Stage::Dpo if last.whole => Err(about(Code::ChainNotLora, last, "is not a LoRA adapter.").hint(
            "Preferences are measured against the model without its adapter; choose one that is an adapter.",
        )),
        _ => Ok(()),
    }
}

fn reward_fits(spec: &RunSpec, reward: &CheckpointRef, width: Option<u64>) -> Result<(), Problem> {
    let manifest = manifest(reward)?;
    has_head(reward, width)?;
    same_base(spec, reward, &manifest)?;
    same_backbone(spec, reward, &manifest)?;
    adapter_fits(Path::new(&reward.folder), reward, width)
}

/// Whether a checkpoint is a reward model: an adapter with a value head as wide as the model.
fn has_head(reward: &CheckpointRef, width: Option<u64>) -> Result<(), Problem> {
    let folder = Path::new(&reward.folder);
    let mut found = None;
    let head = header(&folder.join(VALUE_HEAD), |name, shape| {
        if name.ends_with("summary.weight") {
            found = shape.last().map(|width| *width as u64);
        }
    });
    if head.is_none() || !folder.join(ADAPTER_CONFIG).is_file() {
        return Err(about(Code::RewardNoHead, reward, "is no reward model: it has no value head.")
            .hint("Choose a checkpoint of a run with stage rm."));
    }
    if found.is_none() || width.is_some_and(|width| found != Some(width)) {
        return Err(about(
            Code::RewardHeadWidth,
            reward,
            "has a value head that does not fit a model of this width.",
        )
        .hint("Choose a reward model of the same base model."));
    }
    Ok(())
}

/// Policy and reward model share one backbone (S-200): what was merged into it must be the same.
fn same_backbone(spec: &RunSpec, reward: &CheckpointRef, manifest: &Manifest) -> Result<(), Problem> {
    let Some(lineage) = &manifest.lineage else { return Ok(()) };
    let merged = spec.adapters.iter().take(spec.merged_adapters()).map(|link| &link.digest);
    if lineage.merged.iter().eq(merged) {
        return Ok(());
    }
    Err(about(Code::RewardOtherBackbone, reward, "was trained on top of other checkpoints than this run starts from.")
    .hint("Start both from the same checkpoint, and let this run begin a new adapter instead of going on with it."))
}

fn hidden_size(folder: &Path) -> Option<u64> {
    let config: Value = files::read_json(&folder.join("config.json")).ok()?;
    config.get("hidden_size").or_else(|| config.get("n_embd"))?.as_u64()
}

/// Hands name and shape of every tensor of a safetensors file to `each`, from its header alone; `None` where there is no
/// such file. Nothing is waited for, and nothing of the header is kept.
fn header(path: &Path, mut each: impl FnMut(&str, &[usize])) -> Option<()> {
    let (mut file, size) = contract::files::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > Limit::SafetensorsHeader.value() || length + 8 > size {
        return None;
    }
    let mut text = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut text).ok()?;
    safetensors::read(&text, |name, listed| {
        each(name, &listed.shape.0);
        Ok(())
    })
    .ok()
}

#[cfg(test)]
mod tests;
