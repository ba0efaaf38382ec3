//! Where the reference sets lie, and how to read them.

use std::path::{Path, PathBuf};

use model::arch::Mode;
use model::kernels::Alibi;
use model::train::Batch;
use model::weights::{TensorSource, Weights};
use model::{CausalLm, Cpu};
use serde_json::Value;

fn beside_the_clone(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name)
}

pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// The reference set; outside CI a small checked-in part of it when the set is absent.
pub(crate) fn reference() -> PathBuf {
    let folder =
        std::env::var_os("BURNISH_REFERENCE").map_or_else(|| beside_the_clone("reference"), PathBuf::from);
    if folder.is_dir() {
        return folder;
    }
    assert!(!in_ci(), "no reference set at {}: set BURNISH_REFERENCE", folder.display());
    eprintln!("NOTICE: no reference set at {}; the small checked-in part is used", folder.display());
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Numbers of further families, in a folder beside the reference set, if they are here (in CI they must be).
pub(crate) fn families() -> Option<PathBuf> {
    let folder = std::env::var_os("BURNISH_FAMILIES").map_or_else(
        || match std::env::var_os("BURNISH_REFERENCE") {
            Some(reference) => Path::new(&reference).join("../reference-families"),
            None => beside_the_clone("reference-families"),
        },
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(!in_ci(), "no numbers of further families at {}: set BURNISH_FAMILIES", folder.display());
    eprintln!("NOTICE: SKIPPED, no numbers of further families at {}", folder.display());
    None
}

/// Numbers of the real model, if they are here (in CI they must be).
pub(crate) fn real() -> Option<PathBuf> {
    let folder = std::env::var_os("BURNISH_REAL").map_or_else(|| beside_the_clone("real"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder.join("smollm2-135m"));
    }
    assert!(!in_ci(), "no numbers of the real model at {}: set BURNISH_REAL", folder.display());
    eprintln!("NOTICE: SKIPPED, no numbers of the real model at {}", folder.display());
    None
}

pub(crate) fn json(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

pub(crate) fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
}

/// Folders under `parent` that hold `file`, by name.
pub(crate) fn folders_with(parent: &Path, file: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(parent)
        .unwrap_or_else(|error| panic!("{}: {error}", parent.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join(file).is_file())
        .collect();
    found.sort();
    found
}

/// Models this package runs: all of `models/`, and those of `models/others/` of both sets whose type is supported.
pub(crate) fn models() -> Vec<PathBuf> {
    let root = reference().join("models");
    let mut all = folders_with(&root, "config.json");
    assert!(!all.is_empty(), "no models in {}", root.display());
    for others in other_models() {
        let supported = |path: &PathBuf| {
            let kind = json(&path.join("config.json"))["model_type"].as_str().unwrap().to_owned();
            model::config::SUPPORTED.contains(&kind.as_str())
        };
        all.extend(folders_with(&others, "config.json").into_iter().filter(supported));
    }
    all
}

/// Folders of models of other families.
pub(crate) fn other_models() -> Vec<PathBuf> {
    let roots = std::iter::once(reference()).chain(families());
    roots.map(|root| root.join("models/others")).filter(|folder| folder.is_dir()).collect()
}

pub(crate) fn open(folder: &Path) -> CausalLm<Cpu> {
    let model = CausalLm::open(folder, &Default::default())
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    as_recorded(model, folder)
}

/// Falcon with ALiBi by numbers of transformers' eager attention counts distances twice ([`Alibi::RoundedTwice`]). Which
/// way a set was recorded the first of its logits tell; everything else is then held against that way.
fn as_recorded(model: CausalLm<Cpu>, folder: &Path) -> CausalLm<Cpu> {
    let cases = folder.join("cases.json");
    if model.config.alibi != Alibi::Rounded || !cases.is_file() {
        return model;
    }
    let name = json(&cases)["cases"][0]["name"].as_str().unwrap().to_owned();
    let case = Weights::open(&folder.join(format!("case_{name}.safetensors"))).unwrap();
    let (batch, want) = (batch(&case, ""), case.read("logits").unwrap());
    let width = model.config.vocab_size;
    let mut twice = model.clone();
    twice.config.alibi = Alibi::RoundedTwice;
    let apart = |model: &CausalLm<Cpu>| {
        let got = model.batch_logits(&batch, Mode::default());
        let real = |(i, _): &(usize, (&f32, &f32))| batch.attention_mask[i / width] != 0;
        let pairs = got.iter().zip(&want).enumerate().filter(real);
        pairs.map(|(_, (got, want))| (got - want).abs()).fold(0.0, f32::max)
    };
    if apart(&twice) < apart(&model) { twice } else { model }
}

pub(crate) fn batch(tensors: &Weights, prefix: &str) -> Batch {
    let read = |name: &str| tensors.read_integers(&format!("{prefix}{name}"));
    let shape = tensors.shape(&format!("{prefix}input_ids")).unwrap();
    Batch {
        input_ids: read("input_ids").unwrap(),
        attention_mask: read("attention_mask").unwrap(),
        labels: read("labels").unwrap_or_default(),
        b: shape[0],
        t: shape[1],
    }
}

#[track_caller]
pub(crate) fn close(what: &str, got: f64, want: f64, absolute: f64, relative: f64) {
    let bound = absolute.max(relative * want.abs());
    assert!((got - want).abs() <= bound, "{what}: {got}, expected {want} within {bound:e}");
}

/// Compares `[tokens.., d]` values where the mask is 1.
#[track_caller]
pub(crate) fn close_where(what: &str, got: &[f32], want: &[f32], mask: &[i64], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}: sizes differ");
    let d = got.len() / mask.len();
    for (i, (got, want)) in got.iter().zip(want).enumerate().filter(|(i, _)| mask[i / d] != 0) {
        assert!((got - want).abs() <= tolerance, "{what}: element {i} is {got}, expected {want}");
    }
}
