//! Reading GGUF (versions 2 and 3) of the Llama family. Every count and size is checked against the file's
//! length before memory is asked for.

mod quant;
mod reader;

use std::collections::BTreeMap;
use std::path::Path;

use super::write::{write_file, write_streamed};
use super::{Bytes, TensorSource};
use crate::config::{Architecture, ModelConfig, RopeScaling};
use crate::error::{ModelError, Result};
pub use quant::BlockFormat;
use reader::Reader;

/// Most bytes of metadata and tensor table that are read.
const MAX_HEADER: u64 = 512 << 20;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// Any unsigned number.
    Unsigned(u64),
    /// Any signed number.
    Signed(i64),
    /// Either floating-point width.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text; bytes that are not UTF-8 are replaced.
    Text(String),
    /// A list of one kind.
    Array(Vec<GgufValue>),
}

impl GgufValue {
    /// The number, if it is a whole one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(n) => Some(*n),
            Self::Signed(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The number, whole or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Unsigned(n) => Some(*n as f64),
            Self::Signed(n) => Some(*n as f64),
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

    /// The list.
    pub fn as_array(&self) -> Option<&[GgufValue]> {
        match self {
            Self::Array(list) => Some(list),
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
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub format: BlockFormat,
    /// First byte in the file.
    start: u64,
    /// Interleaved rows of this many heads are put back in order.
    heads: Option<usize>,
}

/// A GGUF file: metadata and the tensor table. Values are read when asked for.
#[derive(Clone, Debug)]
pub struct Gguf {
    bytes: Bytes,
    metadata: BTreeMap<String, GgufValue>,
    tensors: Vec<GgufTensor>,
    config: ModelConfig,
}

fn broken(message: impl Into<String>) -> ModelError {
    ModelError::new("gguf.broken", message).hint("Download or copy the file again.")
}

impl Gguf {
    /// Opens a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(Bytes::File(path.to_owned()))
    }

    /// Reads a file that lies in memory.
    pub fn from_bytes(bytes: impl Into<std::sync::Arc<[u8]>>) -> Result<Self> {
        Self::parse(Bytes::Memory(bytes.into()))
    }

    fn parse(bytes: Bytes) -> Result<Self> {
        let total = bytes.len()?;
        // Most headers fit in the first piece; the rest is read only when one claims to be longer.
        let mut piece = (8u64 << 20).min(total);
        loop {
            let head = bytes.read(0, piece as usize)?;
            let mut reader = Reader::new(&head, total);
            match reader.header() {
                Ok(header) => return Self::assemble(bytes, header, total),
                Err(_) if reader.ran_out() && piece < total.min(MAX_HEADER) => {
                    piece = (piece * 4).min(total).min(MAX_HEADER);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn assemble(bytes: Bytes, header: reader::Header, total: u64) -> Result<Self> {
        let config = config(&header.metadata, &header.tensors)?;
        let mut tensors = Vec::with_capacity(header.tensors.len());
        for raw in header.tensors {
            let Some(name) = transformers_name(&raw.name) else { continue };
            let format = BlockFormat::from_code(raw.kind).ok_or_else(|| {
                ModelError::new(
                    "gguf.format",
                    format!("Tensor \"{}\" has storage type {}.", raw.name, raw.kind),
                )
                .hint("F32, F16, BF16, Q8_0, Q4_0 and Q4_1 can be read.")
            })?;
            let count: u64 = raw.shape.iter().product();
            let row = *raw.shape.first().unwrap_or(&1);
            let size = format.bytes(count, row).ok_or_else(|| {
                broken(format!("Tensor \"{}\": rows of {row} do not fill whole blocks.", raw.name))
            })?;
            let start = header.data.checked_add(raw.offset);
            let start = start.filter(|start| start.checked_add(size).is_some_and(|end| end <= total));
            let start =
                start.ok_or_else(|| broken(format!("Tensor \"{}\" lies outside the file.", raw.name)))?;
            let heads = heads_of(&raw.name, &config);
            let shape: Vec<usize> = raw.shape.iter().rev().map(|n| *n as usize).collect();
            if let Some(heads) = heads
                && !shape[0].is_multiple_of(2 * heads)
            {
                return Err(broken(format!("Tensor \"{}\": rows do not divide into heads.", raw.name)));
            }
            tensors.push(GgufTensor { file_name: raw.name, name, shape, format, start, heads });
        }
        Ok(Self { bytes, metadata: header.metadata, tensors, config })
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

    /// Values of a tensor as f32, rows in transformers' order.
    pub fn dequantise(&self, tensor: &GgufTensor) -> Result<Vec<f32>> {
        let count: usize = tensor.shape.iter().product();
        let row = tensor.shape.last().copied().unwrap_or(1) as u64;
        let size = tensor.format.bytes(count as u64, row).unwrap_or(0) as usize;
        let values = tensor.format.decode(&self.bytes.read(tensor.start, size)?);
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
        self.tensors.iter().find(|tensor| tensor.name == name).map(|tensor| tensor.shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.tensors.iter().find(|tensor| tensor.name == name).ok_or_else(|| {
            ModelError::new("weights.tensor_missing", format!("The GGUF file lacks the tensor \"{name}\"."))
        })?;
        self.dequantise(tensor)
    }
}

/// Rows of q and k come interleaved for llama.cpp's rotary form: back to two halves per head.
fn unpermute(values: &[f32], heads: usize, rows: usize, cols: usize) -> Vec<f32> {
    let dim = rows / heads;
    let half = dim / 2;
    let mut out = Vec::with_capacity(values.len());
    for row in 0..rows {
        let (head, within) = (row / dim, row % dim);
        let from = head * dim + 2 * (within % half) + within / half;
        out.extend_from_slice(&values[from * cols..(from + 1) * cols]);
    }
    out
}

fn heads_of(name: &str, config: &ModelConfig) -> Option<usize> {
    if config.architecture != Architecture::Llama {
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

fn transformers_name(name: &str) -> Option<String> {
    let top = match name {
        "token_embd.weight" => Some("model.embed_tokens.weight"),
        "output_norm.weight" => Some("model.norm.weight"),
        "output.weight" => Some("lm_head.weight"),
        _ => None,
    };
    if let Some(top) = top {
        return Some(top.to_owned());
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, kind) = rest.rsplit_once('.')?;
    let part = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.{kind}"))
}

fn config(metadata: &BTreeMap<String, GgufValue>, tensors: &[reader::RawTensor]) -> Result<ModelConfig> {
    let name = metadata.get("general.architecture").and_then(GgufValue::as_str).unwrap_or("unknown");
    let architecture = match name {
        "llama" => Architecture::Llama,
        "qwen2" => Architecture::Qwen2,
        other => {
            return Err(ModelError::new(
                "config.architecture",
                format!("The GGUF file holds a \"{}\" model.", other.chars().take(60).collect::<String>()),
            )
            .hint(format!("Supported: {}.", crate::config::SUPPORTED.join(", "))));
        }
    };
    let get = |key: &str| metadata.get(&format!("{name}.{key}"));
    let size = |key: &str| {
        let value = get(key).and_then(GgufValue::as_u64).filter(|n| (1..=1 << 24).contains(n));
        value
            .map(|n| n as usize)
            .ok_or_else(|| broken(format!("Metadata \"{name}.{key}\" is missing or not a size.")))
    };
    let id = |key: &str| {
        let value = metadata.get(&format!("tokenizer.ggml.{key}_token_id")).and_then(GgufValue::as_u64);
        value.and_then(|n| u32::try_from(n).ok())
    };
    let hidden_size = size("embedding_length")?;
    let heads = size("attention.head_count")?;
    let embedding = tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
    let embedding = embedding.ok_or_else(|| broken("The file has no \"token_embd.weight\"."))?;
    let vocab_size = embedding.shape.last().copied().unwrap_or(0) as usize;
    let has = |name: &str| tensors.iter().any(|tensor| tensor.name == name);
    let head_dim = get("attention.key_length").and_then(GgufValue::as_u64).map(|n| n as usize);
    let config = ModelConfig {
        architecture,
        vocab_size,
        hidden_size,
        intermediate_size: size("feed_forward_length")?,
        num_hidden_layers: size("block_count")?,
        num_attention_heads: heads,
        num_key_value_heads: size("attention.head_count_kv").unwrap_or(heads),
        head_dim: head_dim.unwrap_or(hidden_size / heads),
        rms_norm_eps: get("attention.layer_norm_rms_epsilon").and_then(GgufValue::as_f64).unwrap_or(1e-5),
        rope_theta: get("rope.freq_base").and_then(GgufValue::as_f64).unwrap_or(10_000.0),
        rope_scaling: RopeScaling::None,
        tie_word_embeddings: !has("output.weight"),
        qkv_bias: has("blk.0.attn_q.bias"),
        output_bias: has("blk.0.attn_output.bias"),
        mlp_bias: has("blk.0.ffn_gate.bias"),
        max_position_embeddings: size("context_length").unwrap_or(2048),
        dtype: Some("float32".to_owned()),
        bos_token_id: id("bos"),
        eos_token_ids: id("eos").into_iter().collect(),
        pad_token_id: id("padding"),
        initializer_range: 0.02,
    };
    // The same checks as for a config.json.
    ModelConfig::from_json(config.to_json().to_string().as_bytes())
}

/// Writes `config.json` and `model.safetensors` (f32, so that every dequantised value survives) to a folder.
pub fn convert_to_folder(gguf: &Gguf, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| ModelError::io(folder, &error))?;
    let shapes: Vec<_> = gguf.tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
    write_streamed(&folder.join("model.safetensors"), &shapes, |i| gguf.dequantise(&gguf.tensors[i]))?;
    let text = format!("{:#}\n", gguf.config.to_json());
    write_file(&folder.join("config.json"), text.as_bytes())
}

#[cfg(test)]
mod tests;
