//! Tensor names: llama.cpp's on the left, transformers' on the right, per family.

use crate::arch::family::of;
use crate::config::Architecture;

/// Parts of a layer of a family.
fn parts(architecture: Architecture) -> &'static [(&'static str, &'static str)] {
    match architecture {
        Architecture::Gemma2 | Architecture::Gemma3 => &[
            ("attn_norm", "input_layernorm"),
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_norm", "pre_feedforward_layernorm"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        ],
        Architecture::Olmo2 => &[
            ("post_attention_norm", "post_attention_layernorm"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        ],
        Architecture::Phi3 => &[
            ("attn_norm", "input_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("attn_qkv", "self_attn.qkv_proj"),
            ("ffn_up", "mlp.gate_up_proj"),
        ],
        Architecture::Gpt2 => &[
            ("attn_norm", "ln_1"),
            ("ffn_norm", "ln_2"),
            ("attn_qkv", "attn.c_attn"),
            ("attn_output", "attn.c_proj"),
            ("ffn_up", "mlp.c_fc"),
            ("ffn_down", "mlp.c_proj"),
        ],
        _ => &[("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")],
    }
}

/// What most families share.
const SHARED: [(&str, &str); 9] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The name transformers gives a tensor; `None` for what a model does not need (tables of frequencies, a second
/// copy of GPT-2's embedding).
pub(super) fn transformers_name(architecture: Architecture, name: &str) -> Option<String> {
    let family = of(architecture);
    match name {
        "token_embd.weight" => return Some(family.embed.to_owned()),
        "position_embd.weight" => return family.positions.map(str::to_owned),
        "output.weight" => {
            return (architecture != Architecture::Gpt2).then(|| crate::config::HEAD.to_owned());
        }
        _ => {}
    }
    if let Some(kind) = name.strip_prefix("output_norm.") {
        return Some(format!("{}.{kind}", family.final_norm));
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, kind) = rest.rsplit_once('.')?;
    let (_, part) = parts(architecture).iter().chain(&SHARED).find(|(theirs, _)| *theirs == part)?;
    Some(format!("{}.{layer}.{part}.{kind}", family.layers))
}
