//! An adapter becomes the one checkpoint of a run that was not trained here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use contract::Code;
use contract::adapter::AdapterFacts;
use contract::checkpoint::{Lineage, LoopState};
use contract::problem::Problem;
use contract::stage::{Stage, Tuning};
use model::ModelConfig;
use model::lora::LoraConfig;
use model::weights::{HostTensor, TensorSource, write_safetensors};
use rundir::RunDir;
use rundir::chain::{ADAPTER, ADAPTER_CONFIG, VALUE_HEAD};

use super::names::{Part, Place, within_block};
use super::{Adapter, look, shape, shape_of, tensor};
use crate::facts;
use crate::problems::of_model;

/// Step of the checkpoint: nothing was trained here.
const STEP: u64 = 0;

/// Writes the adapter in `folder` as the checkpoint of the run at `run`, whose specification names the base.
///
/// # Errors
/// When it is no adapter, or does not fit the base; then there is no checkpoint.
pub fn bring(folder: &Path, run: &Path) -> Result<AdapterFacts, Problem> {
    let adapter = look(folder)?.ok_or_else(|| Problem::not_found("adapter"))?;
    let run = RunDir::open(run)?;
    let spec = run.spec()?;
    let base = Path::new(&spec.model.folder);
    let (config, known) = (facts::read_config(base)?, facts::read(base)?);
    fits(&adapter, &config)?;
    let writer = run.begin_checkpoint(STEP)?;
    write_safetensors(&writer.file(ADAPTER), &tensors(&adapter)?).map_err(of_model)?;
    let written = tidy(&adapter.config, &config).to_json_for(&config, &spec.model.name);
    writer.write(ADAPTER_CONFIG, format!("{written:#}\n").as_bytes())?;
    if let Some(head) = &adapter.head {
        write_safetensors(&writer.file(VALUE_HEAD), &finite(head.tensors()?)?).map_err(of_model)?;
    }
    let lineage = Lineage {
        stage: Stage::Sft,
        tuning: Tuning::Lora,
        base: known.digest,
        merged: Vec::new(),
        hidden_size: config.hidden_size,
        value_head: adapter.head.is_some(),
    };
    writer.commit_with(ADAPTER, LoopState::default(), Some(lineage))?;
    Ok(adapter.facts)
}

/// Compares every tensor with the base: each has its place there, and the shape that the place needs.
fn fits(adapter: &Adapter, base: &ModelConfig) -> Result<(), Problem> {
    let maps: BTreeMap<&str, [usize; 2]> =
        base.linears().iter().map(|map| (map.name, [map.outer, map.inner])).collect();
    let embedding = base.tensors().first().map(|(name, _)| name.trim_end_matches(".weight").to_owned());
    let prefix = format!("{}.", base.layers_prefix());
    for (place, name) in &adapter.tensors {
        let wanted = if place.part == Part::Saved {
            let known = place.module == "lm_head" || Some(&place.module) == embedding.as_ref();
            known.then(|| vec![base.vocab_size, base.hidden_size])
        } else {
            let rank = adapter.config.rank(&place.module);
            let map = place.module.strip_prefix(&prefix).and_then(|_| within_block(&place.module));
            let map = map.filter(|(block, _)| *block < base.num_hidden_layers as u64);
            map.and_then(|(_, map)| maps.get(map)).map(|[outer, inner]| match place.part {
                Part::A => vec![rank, *inner],
                Part::B => vec![*outer, rank],
                Part::Magnitude | Part::Saved => vec![*outer],
            })
        };
        let (wanted, found) = (wanted.ok_or_else(|| tensor(name))?, shape_of(&adapter.weights, name));
        if found != wanted {
            return Err(shape(name, &found, &wanted));
        }
        if place.part == Part::Magnitude && !adapter.config.use_dora {
            return Err(tensor(name));
        }
        let magnitude = Place { part: Part::Magnitude, ..place.clone() };
        if place.part == Part::A && adapter.config.use_dora && !adapter.tensors.contains_key(&magnitude) {
            return Err(tensor(name));
        }
    }
    match adapter.facts.value_head.filter(|width| *width != base.hidden_size as u64) {
        Some(found) => Err(Problem::new(
            Code::ValueHeadWidth,
            format!("The value head is {found} wide, this model {}.", base.hidden_size),
        )
        .with("found", found)
        .with("width", base.hidden_size)
        .hint("Choose the model it was trained on.")),
        None => Ok(()),
    }
}

fn tensors(adapter: &Adapter) -> Result<Vec<HostTensor>, Problem> {
    let read = |(place, name): (&Place, &String)| {
        let values = adapter.weights.read(name).map_err(of_model)?;
        Ok(HostTensor { name: place.file_name(), shape: shape_of(&adapter.weights, name), values })
    };
    let mut all = adapter.tensors.iter().map(read).collect::<Result<Vec<_>, Problem>>()?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    finite(all)
}

/// Numbers that are none would make every answer fail later.
fn finite(tensors: Vec<HostTensor>) -> Result<Vec<HostTensor>, Problem> {
    match tensors.iter().find(|tensor| tensor.values.iter().any(|value| !value.is_finite())) {
        Some(tensor) => {
            let why = format!("\"{}\" holds values that are no numbers", tensor.name);
            Err(Problem::new(Code::WeightsBroken, format!("{why}.")).with("why", why))
        }
        None => Ok(tensors),
    }
}

/// Names the maps as people do: by the last part of their names where that says the same.
fn tidy(config: &LoraConfig, base: &ModelConfig) -> LoraConfig {
    let modules: BTreeSet<&str> = config.target_modules.iter().map(String::as_str).collect();
    let placed: Vec<(u64, &str)> = modules.iter().filter_map(|module| within_block(module)).collect();
    let last = |map: &str| map.rsplit('.').next().unwrap_or(map).to_owned();
    let targets: BTreeSet<String> = placed.iter().map(|(_, map)| last(map)).collect();
    let blocks: BTreeSet<u64> = placed.iter().map(|(block, _)| *block).collect();
    let maps = base.linears().iter().filter(|map| targets.contains(&last(map.name))).count();
    if maps * blocks.len() != modules.len() {
        return config.clone();
    }
    let all = blocks.len() == base.num_hidden_layers;
    LoraConfig {
        target_modules: targets.into_iter().collect(),
        layers_to_transform: (!all).then(|| blocks.iter().map(|block| *block as usize).collect()),
        ..config.clone()
    }
}
