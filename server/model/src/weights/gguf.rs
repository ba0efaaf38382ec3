//! Reading GGUF (versions 2 and 3). Every count and size is checked against the file's
//! length before memory is asked for.

mod kquant;
mod names;
mod quant;
mod reader;
mod shape;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use contract::files;

use super::write::{write_file, write_streamed};
use super::{Blocks, Bytes, TensorSource, overlapping};
use crate::arch::family::NormKind;
use crate::arch::transposed;
use crate::config::{Architecture, ModelConfig};
use crate::error::{Code, shown};
use crate::error::{ModelError, Result};
pub use quant::BlockFormat;
use reader::{Header, RawTensor, Reader};

/// A metadata value that is read.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// Any whole number.
    Number(i128),
    /// Either floating-point width; finite.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text; bytes that are not UTF-8 are replaced.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of whole numbers.
    Numbers(Vec<i32>),
    /// A list of floating-point numbers; finite.
    Floats(Vec<f32>),
}

impl GgufValue {
    /// The number, if it is a whole one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The number, whole or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n as f64),
            Self::Float(n) => Some(*n),
            _ => None,
        }
    }

    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The list of texts.
    pub fn as_texts(&self) -> Option<&[String]> {
        match self {
            Self::Texts(list) => Some(list),
            _ => None,
        }
    }

    /// The list of whole numbers.
    pub fn as_numbers(&self) -> Option<&[i32]> {
        match self {
            Self::Numbers(list) => Some(list),
            _ => None,
        }
    }

    /// The list of floating-point numbers.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match self {
            Self::Floats(list) => Some(list),
            _ => None,
        }
    }
}

/// A tensor of the file, under its transformers name.
#[derive(Clone, Debug)]
pub struct GgufTensor {
    /// Name in the file.
    pub file_name: String,
    /// Name as transformers spells it.
    pub name: String,
    /// Outermost dimension first, as in the file.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub format: BlockFormat,
    /// First byte in the file.
    start: u64,
    /// Interleaved rows of this many heads are put back in order.
    heads: Option<usize>,
    /// Transformers keeps it with rows and columns swapped.
    turned: bool,
    /// The file holds one more than transformers does (Gemma's norms).
    less_one: bool,
}

impl GgufTensor {
    /// Shape as transformers keeps it.
    fn transformers_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.turned {
            shape.reverse();
        }
        shape
    }
}

/// A GGUF file: metadata and the tensor table. Values are read when asked for.
#[derive(Clone, Debug)]
pub struct Gguf {
    bytes: Bytes,
    metadata: BTreeMap<String, GgufValue>,
    tensors: Vec<GgufTensor>,
    /// Places in `tensors` by transformers name.
    places: HashMap<String, usize>,
    config: ModelConfig,
}

fn broken(message: impl Into<String>) -> ModelError {
    let message = message.into();
    ModelError::new(Code::GgufBroken, &*message)
        .with("why", message.trim_end_matches('.'))
        .hint("Download or copy the file again.")
}

impl Gguf {
    /// Opens a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(Bytes::File(path.to_owned()))
    }

    /// Reads a file that lies in memory.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        Self::parse(Bytes::Memory(std::sync::Arc::new(bytes.into())))
    }

    fn parse(bytes: Bytes) -> Result<Self> {
        let total = bytes.len()?;
        let header = Reader::new(&bytes, total).header()?;
        Self::assemble(bytes, header, total)
    }

    fn assemble(bytes: Bytes, header: Header, total: u64) -> Result<Self> {
        let factors = |name: &str| table(&bytes, &header, total, name);
        let config = shape::config(&header.metadata, &header.tensors, &factors)?;
        disjoint(&header, total)?;
        let mut tensors = Vec::with_capacity(header.tensors.len());
        let mut places = HashMap::with_capacity(header.tensors.len());
        for raw in header.tensors {
            let Some(name) = names::transformers_name(config.architecture, &raw.name) else { continue };
            let tensor = tensor(raw, name, header.data, &config)?;
            if places.insert(tensor.name.clone(), tensors.len()).is_some() {
                return Err(broken(format!("Tensor \"{}\" is there twice.", shown(&tensor.file_name))));
            }
            tensors.push(tensor);
        }
        Ok(Self { bytes, metadata: header.metadata, tensors, places, config })
    }

    fn find(&self, name: &str) -> Option<&GgufTensor> {
        self.places.get(name).and_then(|place| self.tensors.get(*place))
    }

    /// All metadata by key.
    pub fn metadata(&self) -> &BTreeMap<String, GgufValue> {
        &self.metadata
    }

    /// Shape of the model.
    pub fn config(&self) -> ModelConfig {
        self.config.clone()
    }

    /// Tensors with their transformers names.
    pub fn tensors(&self) -> &[GgufTensor] {
        &self.tensors
    }

    /// Values of a tensor as f32, as transformers keeps them.
    pub fn dequantise(&self, tensor: &GgufTensor) -> Result<Vec<f32>> {
        let count: usize = tensor.shape.iter().product();
        let row = tensor.shape.last().copied().unwrap_or(1) as u64;
        let size = tensor.format.bytes(count as u64, row).unwrap_or(0) as usize;
        let mut values = tensor.format.decode(&self.bytes.read(tensor.start, size)?);
        if tensor.less_one {
            values.iter_mut().for_each(|x| *x -= 1.0);
        }
        if tensor.turned {
            return Ok(transposed(&values, tensor.shape[0], tensor.shape[1]));
        }
        Ok(match tensor.heads {
            Some(heads) => unpermute(&values, heads, tensor.shape[0], count / tensor.shape[0].max(1)),
            None => values,
        })
    }
}

impl TensorSource for Gguf {
    fn names(&self) -> Vec<String> {
        self.tensors.iter().map(|tensor| tensor.name.clone()).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).map(GgufTensor::transformers_shape)
    }

    fn read(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.find(name).ok_or_else(|| {
            ModelError::new(Code::WeightsTensorMissing, format!("The GGUF file lacks the tensor \"{name}\"."))
                .with("name", name)
        })?;
        self.dequantise(tensor)
    }

    fn read_blocks(&self, name: &str) -> Result<Option<Blocks>> {
        let Some(tensor) =
            self.find(name).filter(|t| t.shape.len() == 2 && !t.turned && t.format != BlockFormat::F32)
        else {
            return Ok(None);
        };
        let (rows, cols) = (tensor.shape[0], tensor.shape[1]);
        let size = tensor.format.bytes((rows * cols) as u64, cols as u64).unwrap_or(0) as usize;
        let blocks = Blocks::from_file(tensor.format, rows, cols, self.bytes.read(tensor.start, size)?);
        Ok(blocks.map(|blocks| match tensor.heads {
            Some(heads) => blocks.reordered(|row| interleaved_row(row, rows / heads)),
            None => blocks,
        }))
    }
}

/// Rows of q and k come interleaved for llama.cpp's rotary form: back to two halves per head.
fn unpermute(values: &[f32], heads: usize, rows: usize, cols: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for row in 0..rows {
        let from = interleaved_row(row, rows / heads);
        out.extend_from_slice(&values[from * cols..(from + 1) * cols]);
    }
    out
}

/// Where a row lies in llama.cpp's order, for heads of `dim` rows.
fn interleaved_row(row: usize, dim: usize) -> usize {
    let (head, within, half) = (row / dim, row % dim, dim / 2);
    head * dim + 2 * (within % half) + within / half
}

fn heads_of(name: &str, config: &ModelConfig) -> Option<usize> {
    if !matches!(config.architecture, Architecture::Llama | Architecture::Granite | Architecture::SmolLm3) {
        return None;
    }
    if name.contains(".attn_q.") {
        Some(config.num_attention_heads)
    } else if name.contains(".attn_k.") {
        Some(config.num_key_value_heads)
    } else {
        None
    }
}

/// First byte and end of a tensor of this form. Fails where they lie outside the file.
fn span(raw: &RawTensor, format: BlockFormat, data: u64, total: u64) -> Result<(u64, u64)> {
    let name = || shown(&raw.name);
    let (count, row) = (raw.shape.iter().product(), *raw.shape.first().unwrap_or(&1));
    let size = format
        .bytes(count, row)
        .ok_or_else(|| broken(format!("Tensor \"{}\": rows of {row} do not fill whole blocks.", name())))?;
    let start = data.checked_add(raw.offset);
    let end = start.and_then(|start| start.checked_add(size)).filter(|end| *end <= total);
    start.zip(end).ok_or_else(|| broken(format!("Tensor \"{}\" lies outside the file.", name())))
}

/// Fails where a tensor of a known form lies outside the file, or two share a name or bytes.
fn disjoint(header: &Header, total: u64) -> Result<()> {
    let mut names = HashSet::with_capacity(header.tensors.len());
    let mut spans = Vec::with_capacity(header.tensors.len());
    for raw in &header.tensors {
        if !names.insert(&raw.name) {
            return Err(broken(format!("Tensor \"{}\" is there twice.", shown(&raw.name))));
        }
        if let Some(format) = BlockFormat::from_code(raw.kind) {
            let (start, end) = span(raw, format, header.data, total)?;
            spans.push((raw.name.as_str(), start, end));
        }
    }
    match overlapping(&mut spans) {
        Some((one, other)) => {
            let (one, other) = (shown(one), shown(other));
            Err(broken(format!("Tensors \"{one}\" and \"{other}\" share bytes.")))
        }
        None => Ok(()),
    }
}

/// A tensor of the table; its place in the file has been checked.
fn tensor(raw: RawTensor, name: String, data: u64, config: &ModelConfig) -> Result<GgufTensor> {
    let format = BlockFormat::from_code(raw.kind).ok_or_else(|| {
        let (kind, name) = (quant::name_of(raw.kind), shown(&raw.name));
        ModelError::new(
            Code::GgufFormat,
            format!("Tensor \"{name}\" is stored as {kind}, which Burnish cannot read."),
        )
        .with("name", format!("{name} ({kind})"))
        .hint("F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K can be read.")
    })?;
    let heads = heads_of(&raw.name, config);
    let shape: Vec<usize> = raw.shape.iter().rev().map(|n| *n as usize).collect();
    let turned = shape.len() == 2 && config.is_transposed(&name);
    let less_one = shape.len() == 1 && config.architecture.family().norm == NormKind::RmsFromOne;
    if let Some(heads) = heads
        && !shape.first().is_some_and(|rows| rows.is_multiple_of(2 * heads))
    {
        return Err(broken(format!("Tensor \"{}\": rows do not divide into heads.", shown(&raw.name))));
    }
    let start = data.saturating_add(raw.offset);
    Ok(GgufTensor { file_name: raw.name, name, shape, format, start, heads, turned, less_one })
}

/// A small table of the file, read before the model's shape is known.
fn table(bytes: &Bytes, header: &Header, total: u64, name: &str) -> Result<Option<Vec<f64>>> {
    let Some(raw) = header.tensors.iter().find(|tensor| tensor.name == name) else { return Ok(None) };
    let count: u64 = raw.shape.iter().product();
    let start = header.data.checked_add(raw.offset);
    let whole = start.filter(|start| start.checked_add(4 * count).is_some_and(|end| end <= total));
    let (Some(start), 0, 1..=4096) = (whole, raw.kind, count) else {
        return Err(broken(format!("Tensor \"{name}\" is no table of frequencies.")));
    };
    let values = BlockFormat::F32.decode(&bytes.read(start, 4 * count as usize)?);
    if values.iter().any(|x| !x.is_finite() || *x <= 0.0) {
        return Err(broken(format!("Tensor \"{name}\" holds a number that is not above 0.")));
    }
    Ok(Some(values.into_iter().map(f64::from).collect()))
}

/// Writes `config.json` and `model.safetensors` (f32, so that every dequantised value survives) to a folder.
pub fn convert_to_folder(gguf: &Gguf, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| ModelError::io(folder, &error))?;
    let shapes: Vec<_> = gguf.tensors.iter().map(|t| (t.name.clone(), t.transformers_shape())).collect();
    write_streamed(&folder.join("model.safetensors"), &shapes, |i| gguf.dequantise(&gguf.tensors[i]))?;
    let text = format!("{:#}\n", gguf.config.to_json());
    write_file(&folder.join("config.json"), text.as_bytes())
}

/// Copies the file to a folder under the name [`super::GGUF_FILE`], blocks untouched, with a `config.json` beside it.
pub fn keep_in_folder(gguf: &Gguf, file: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| ModelError::io(folder, &error))?;
    let kept = folder.join(super::GGUF_FILE);
    files::copy(file, &kept).map_err(|why| ModelError::unread(&kept, &why))?;
    std::fs::File::open(&kept)
        .and_then(|kept| kept.sync_all())
        .map_err(|error| ModelError::io(&kept, &error))?;
    let text = format!("{:#}\n", gguf.config.to_json());
    write_file(&folder.join("config.json"), text.as_bytes())
}

#[cfg(test)]
mod tests;
