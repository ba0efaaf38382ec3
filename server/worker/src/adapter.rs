//! Adapters from elsewhere: folders as PEFT writes them, perhaps with a value head as TRL or the original toolkit has it.
//! They are read with care, kept as what they are, and made a checkpoint of a run that was not trained here.

mod bring;
mod config;
mod head;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use contract::Code;
use contract::adapter::{AdapterFacts, Imported, is_no_model};
use contract::files;
use contract::model::TensorShape;
use contract::problem::Problem;
use model::lora::LoraConfig;
use model::weights::{TensorSource, Weights};
use rundir::chain::{ADAPTER, ADAPTER_CONFIG, VALUE_HEAD};

pub use bring::bring;

use self::head::Head;
use self::names::{Part, Place};
use crate::problems::{of_file, of_model, of_unread};

/// What PEFT and the original toolkit call the same files as pickles.
pub const PICKLES: [&str; 2] = ["adapter_model.bin", "value_head.bin"];
/// Files of an adapter that are kept.
pub const FILES: [&str; 3] = [ADAPTER_CONFIG, ADAPTER, VALUE_HEAD];

/// Names of tensors in their file, by what they stand for.
type Places = BTreeMap<Place, String>;

/// An adapter whose files belong together; whether they fit a base is another question.
#[derive(Debug)]
pub struct Adapter {
    /// What the files say.
    pub facts: AdapterFacts,
    /// Its configuration; every linear map it lies on stands there by its whole name.
    config: LoraConfig,
    weights: Weights,
    tensors: Places,
    head: Option<Head>,
}

/// Reads the adapter in a folder, or the one whose weights a file is; `None` where there is none.
///
/// # Errors
/// A file that is missing, a pickle, or does not belong to the others; a setting that is not supported.
pub fn look(source: &Path) -> Result<Option<Adapter>, Problem> {
    let Some(folder) = folder_of(source) else { return Ok(None) };
    let config = config::read(&folder)?;
    let base = config::base(&config);
    refuse_pickles(&folder)?;
    if !is_file(&folder.join(ADAPTER)) {
        return Err(is_no_model(base.as_deref()));
    }
    let weights = open(&folder.join(ADAPTER))?;
    let (tensors, inner_head) = sorted(&weights)?;
    let head = match inner_head {
        Some(names) => Some(Head::within(&weights, &names)?),
        None if is_file(&folder.join(VALUE_HEAD)) => Some(Head::of_file(&folder.join(VALUE_HEAD))?),
        None => None,
    };
    let modules: BTreeSet<&str> =
        tensors.keys().filter(|place| place.part != Part::Saved).map(|place| place.module.as_str()).collect();
    let saved = tensors.keys().filter(|place| place.part == Part::Saved).map(names::Place::last);
    let config = config::parsed(config, &modules, saved.collect())?;
    let facts = AdapterFacts {
        base: base.unwrap_or_default(),
        value_head: head.as_ref().map(Head::width),
        ..measured(&config, &weights, &tensors)?
    };
    Ok(Some(Adapter { facts, config: config.lora, weights, tensors, head }))
}

/// Copies the files of an adapter that was looked at.
///
/// # Errors
/// When the disk refuses.
pub fn keep(adapter: Adapter, source: &Path, target: &Path) -> Result<Imported, Problem> {
    let folder = folder_of(source).unwrap_or_else(|| source.to_owned());
    for name in FILES.iter().filter(|name| is_file(&folder.join(name))) {
        let path = folder.join(name);
        files::copy(&path, &target.join(name)).map_err(|why| of_unread(&path, &why))?;
    }
    Ok(Imported::Adapter { adapter: Box::new(adapter.facts) })
}

/// Whether a regular file (or a link to one) stands there: a pipe or a device would be read for ever.
fn is_file(path: &Path) -> bool {
    files::regular(path).is_ok()
}

/// The folder that holds an adapter. A model may lie beside it: which of the two is meant cannot be told, so it is taken
/// for the adapter.
fn folder_of(source: &Path) -> Option<PathBuf> {
    if source.is_dir() {
        let adapter = [ADAPTER_CONFIG, ADAPTER].iter().any(|name| source.join(name).is_file());
        return adapter.then(|| source.to_owned());
    }
    let name = source.file_name()?.to_string_lossy().into_owned();
    let folder = source.parent()?;
    (name.starts_with("adapter_") && folder.join(ADAPTER_CONFIG).is_file()).then(|| folder.to_owned())
}

/// Pickles where safetensors belong are named, not passed over.
fn refuse_pickles(folder: &Path) -> Result<(), Problem> {
    for (pickle, safe) in PICKLES.iter().zip([ADAPTER, VALUE_HEAD]) {
        if folder.join(pickle).exists() && !folder.join(safe).exists() {
            return Err(Problem::new(
                Code::WeightsPickle,
                format!("{pickle} is a PyTorch pickle, which can run code when it is opened; Burnish does not read it."),
            )
            .with("name", pickle)
            .hint(format!(
                "Write {safe} from it where you trust it: safetensors.torch.save_file(torch.load(\"{pickle}\", \
                 weights_only=True), \"{safe}\")."
            )));
        }
    }
    Ok(())
}

/// Opens a file of weights and sees that every tensor can be read, and that no two share their bytes.
fn open(path: &Path) -> Result<Weights, Problem> {
    let weights = Weights::open(path).map_err(of_model)?;
    if let Some(name) = weights.unreadable().next() {
        return Err(weights.read(name).err().map_or_else(|| tensor(name), of_model));
    }
    let bytes = std::fs::metadata(path).map_err(|why| of_file(path, "read", &why))?.len();
    // The narrowest format takes two bytes a number.
    if weights.names().iter().map(|name| count(&weights, name) * 2).sum::<u64>() > bytes {
        let why = "several tensors claim the same bytes";
        return Err(Problem::new(Code::WeightsBroken, format!("In {ADAPTER} {why}.")).with("why", why));
    }
    Ok(weights)
}

fn count(weights: &Weights, name: &str) -> u64 {
    weights.shape(name).unwrap_or_default().iter().map(|size| *size as u64).product()
}

/// What every tensor stands for; those of a value head are given apart. One that stands for nothing is an error.
fn sorted(weights: &Weights) -> Result<(Places, Option<Vec<String>>), Problem> {
    let (mut places, mut head) = (BTreeMap::new(), Vec::new());
    for name in weights.names() {
        if names::of_head(&name) {
            head.push(name);
            continue;
        }
        let place = names::place(&name).ok_or_else(|| tensor(&name))?;
        if places.insert(place, name.clone()).is_some() {
            return Err(tensor(&name));
        }
    }
    Ok((places, (!head.is_empty()).then_some(head)))
}

/// Compares every map's tensors with one another and with the configuration; gives what they are.
fn measured(config: &config::Parsed, weights: &Weights, tensors: &Places) -> Result<AdapterFacts, Problem> {
    let mut maps: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    let (mut blocks, mut parameters) = (0, 0);
    for (place, name) in tensors {
        parameters += count(weights, name);
        if place.part == Part::Saved || place.part == Part::Magnitude {
            let partner = Place { part: Part::A, ..place.clone() };
            if place.part == Part::Magnitude && !tensors.contains_key(&partner) {
                return Err(tensor(name));
            }
            continue;
        }
        let other = if place.part == Part::A { Part::B } else { Part::A };
        let partner = tensors.get(&Place { part: other, ..place.clone() }).ok_or_else(|| tensor(name))?;
        if place.part == Part::B {
            continue;
        }
        let rank = config.lora.rank(&place.module);
        let (a, b) = (shape_of(weights, name), shape_of(weights, partner));
        let ([_, inner], [outer, _]) = (pair(&a), pair(&b));
        for (name, found, wanted) in [(name, &a, [rank, inner]), (partner, &b, [outer, rank])] {
            if found[..] != wanted {
                return Err(shape(name, found, &wanted));
            }
        }
        let (block, map) = names::within_block(&place.module).ok_or_else(|| tensor(name))?;
        blocks = blocks.max(block + 1);
        let size = maps.entry(map.to_owned()).or_insert([outer, inner]);
        if *size != [outer, inner] {
            return Err(shape(name, &a, &[rank, size[1]]));
        }
    }
    let last = |map: &String| map.rsplit('.').next().unwrap_or(map).to_owned();
    let targets: BTreeSet<String> = maps.keys().map(last).collect();
    let numbers = |size: [usize; 2]| size.iter().map(|size| *size as u64).collect();
    Ok(AdapterFacts {
        base: String::new(),
        revision: config.revision.clone(),
        rank: config.lora.r as u64,
        alpha: config.lora.alpha,
        targets: targets.into_iter().collect(),
        maps: maps.into_iter().map(|(name, size)| TensorShape { name, shape: numbers(size) }).collect(),
        blocks,
        parameters,
        value_head: None,
    })
}

fn shape_of(weights: &Weights, name: &str) -> Vec<usize> {
    weights.shape(name).unwrap_or_default()
}

/// A shape of two sizes; anything else compares unequal to every shape that is asked for.
fn pair(shape: &[usize]) -> [usize; 2] {
    <[usize; 2]>::try_from(shape).unwrap_or_default()
}

/// The problem of a tensor that has no place, or no partner.
fn tensor(name: &str) -> Problem {
    Problem::new(
        Code::AdapterTensor,
        format!("The adapter's tensor \"{name}\" has no place in its base, or lacks its other half."),
    )
    .with("name", name)
    .hint("Export the adapter again with save_pretrained of PEFT; only LoRA on linear maps, lm_head and embed_tokens can be used.")
}

/// The problem of a tensor of another shape than is needed.
fn shape(name: &str, found: &[usize], wanted: &[usize]) -> Problem {
    Problem::new(
        Code::AdapterShape,
        format!("The adapter's tensor \"{name}\" has shape {found:?}, but {wanted:?} is needed."),
    )
    .with("name", name)
    .with("found", format!("{found:?}"))
    .with("wanted", format!("{wanted:?}"))
    .hint("Choose the model it was trained on.")
}

#[cfg(test)]
mod tests;
