//! 4-bit and 8-bit codes against bitsandbytes and its formulas, matrix by matrix.

use std::path::Path;

use model::Cpu;
use model::kernels::Kernels;
use model::weights::blocks::{Form, FourBitCode, Scales};
use model::weights::{Blocks, Quant, TensorSource, Weights};
use serde_json::Value;

use crate::support::{json, reference};

/// Reads tensors of small whole numbers, which the crate has no use for elsewhere.
struct Raw {
    bytes: Vec<u8>,
    header: Value,
    start: usize,
}

impl Raw {
    fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
        Self { bytes, header, start: 8 + size }
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        let offsets = self.header.get(name)?["data_offsets"].as_array()?;
        let at = |i: usize| self.start + offsets[i].as_u64().unwrap() as usize;
        Some(&self.bytes[at(0)..at(1)])
    }
}

fn nibbles(packed: &[u8], count: usize) -> Vec<u8> {
    packed.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(count).collect()
}

/// Whether a value lies within 1e-6 of the middle between two neighbouring code values.
fn on_a_border(x: f32, values: &[f32; 16]) -> bool {
    let mut sorted = *values;
    sorted.sort_by(f32::total_cmp);
    sorted.windows(2).any(|pair| (x - (pair[0] + pair[1]) / 2.0).abs() < 1e-6)
}

#[track_caller]
fn near(what: &str, got: &[f32], want: &[f32], scale: impl Fn(usize) -> f32, skip: impl Fn(usize) -> bool) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate().filter(|(i, _)| !skip(*i)) {
        let bound = 2e-6 * scale(i) + f32::MIN_POSITIVE;
        assert!((got - want).abs() <= bound, "{what}: number {i} is {got}, expected {want}");
    }
}

fn four_bit(folder: &Path, case: &Value, code: FourBitCode) {
    let path = folder.join(format!("{}_{}.safetensors", text(case, "kind"), text(case, "matrix")));
    let (numbers, raw) = (Weights::open(&path).unwrap(), Raw::open(&path));
    let what = path.display().to_string();
    let shape = numbers.shape("input").unwrap();
    let input = numbers.read("input").unwrap();
    let apply = |double| match code {
        FourBitCode::Nf4 => Quant::Nf4 { double }.apply(&input, shape[0], shape[1]).unwrap(),
        FourBitCode::Fp4 => Quant::Fp4 { double }.apply(&input, shape[0], shape[1]).unwrap(),
    };
    let blocks = apply(false);
    let Form::FourBit(codes) = blocks.form() else { panic!("{what}: four bits") };
    let Scales::Plain(absmax) = codes.scales() else { panic!("{what}: plain scales") };
    // The library's CPU build rounds the values of fp4 to four digits (its GPU build does not), and moves their
    // borders with that: fp4 is held against the formula, and its codes nearly all against the library.
    let from_library = raw.get("codes").is_some() && code == FourBitCode::Nf4;
    let pick =
        |library: &str, formula: &str| numbers.read(if from_library { library } else { formula }).unwrap();
    assert_eq!(absmax.as_ref(), pick("absmax", "absmax_formula"), "{what}: absmax");
    let want = raw.get(if from_library { "codes" } else { "codes_formula" }).unwrap();
    let got = nibbles(codes.packed(), input.len());
    let normed = |i: usize| if absmax[i / 64] == 0.0 { 0.0 } else { input[i] / absmax[i / 64] };
    let tied = |i: usize| absmax[i / 64] == 0.0 || on_a_border(normed(i), code.values());
    for (i, (got, want)) in got.iter().zip(want).enumerate().filter(|(i, _)| !tied(*i)) {
        let same = code.values()[usize::from(*got)] == code.values()[usize::from(*want)];
        assert!(got == want || same, "{what}: code {i} is {got}, expected {want} for {}", normed(i));
    }
    let scale = |i: usize| absmax[i / 64];
    near(&what, &blocks.to_f32(), &pick("dequantised", "dequantised_formula"), scale, tied);
    let Some(theirs) = raw.get("codes") else { return };
    let differ = got
        .iter()
        .zip(theirs)
        .filter(|(a, b)| code.values()[usize::from(**a)] != code.values()[usize::from(**b)]);
    let zeros = absmax.iter().filter(|absmax| **absmax == 0.0).count() * 64;
    assert!(differ.count() <= zeros + input.len() / 5000, "{what}: codes differ from the library's");
    if code == FourBitCode::Fp4 {
        return;
    }
    // The library's CPU build has -1 for the lowest entry of the dynamic map; the published map has -0.993.
    let lowest: Vec<bool> = raw.get("nested_absmax_codes").unwrap().iter().map(|code| *code == 0).collect();
    let nested = apply(true);
    let wanted = numbers.read("nested_dequantised").unwrap();
    near(&format!("{what} nested"), &nested.to_f32(), &wanted, scale, |i| tied(i) || lowest[i / 64]);
}

fn int8(folder: &Path, case: &Value) {
    let path = folder.join(format!("int8_{}.safetensors", text(case, "matrix")));
    let (numbers, raw) = (Weights::open(&path).unwrap(), Raw::open(&path));
    let what = path.display().to_string();
    let shape = numbers.shape("input").unwrap();
    let input = numbers.read("input").unwrap();
    let blocks = Quant::Int8.apply(&input, shape[0], shape[1]).unwrap();
    let Form::Int8(codes) = blocks.form() else { panic!("{what}: eight bits") };
    assert_eq!(codes.absmax(), numbers.read("absmax_row").unwrap(), "{what}: absmax");
    let want: Vec<i8> = raw.get("codes").unwrap().iter().map(|code| code.cast_signed()).collect();
    assert_eq!(codes.codes(), want, "{what}: codes");
    let scale = |i: usize| codes.absmax()[i / shape[1]];
    near(&what, &blocks.to_f32(), &numbers.read("dequantised").unwrap(), scale, |_| false);
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

#[test]
fn reference_s_015_s_016_s_017_quantised_codes() {
    let folder = reference().join("quant");
    let mut ran = 0;
    for case in json(&folder.join("cases.json"))["cases"].as_array().unwrap() {
        match text(case, "kind") {
            "nf4" => four_bit(&folder, case, FourBitCode::Nf4),
            "fp4" => four_bit(&folder, case, FourBitCode::Fp4),
            "int8" => int8(&folder, case),
            other => panic!("unknown kind {other}"),
        }
        ran += 1;
    }
    assert!(ran > 0, "no case in {}", folder.display());
}

#[test]
fn reference_code_values() {
    let books = json(&reference().join("quant/codebooks.json"));
    for (name, code) in [("nf4", FourBitCode::Nf4), ("fp4", FourBitCode::Fp4)] {
        let want: Vec<f32> =
            books[name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        assert_eq!(code.values().as_slice(), want, "{name}");
    }
}

/// `x W^T` with each kind of weight, through the kernels; W is the `normal` matrix.
#[test]
fn reference_quantised_linear() {
    let folder = reference().join("quant");
    let numbers = Weights::open(&folder.join("linear.safetensors")).unwrap();
    let x_shape = numbers.shape("x").unwrap();
    let device = Default::default();
    let x = Cpu::from_host(numbers.read("x").unwrap(), x_shape[0], x_shape[1], &device);
    let input = Weights::open(&folder.join("nf4_normal.safetensors")).unwrap();
    let (shape, values) = (input.shape("input").unwrap(), input.read("input").unwrap());
    let check = |name: &str, blocks: &Blocks| {
        let want = numbers.read(name).unwrap();
        let got = Cpu::to_host(&Cpu::affine_blocks(&x, blocks, None));
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!((got - want).abs() < 1e-4, "{name}: element {i} is {got}, expected {want}");
        }
    };
    for (name, quant) in [("y_nf4", Quant::Nf4 { double: false }), ("y_int8_weight_only", Quant::Int8)] {
        check(name, &quant.apply(&values, shape[0], shape[1]).unwrap());
    }
}
