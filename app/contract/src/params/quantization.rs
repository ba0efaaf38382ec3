//! How the base is held in memory under an adapter.

use super::{NO_UNIT, YES_NO, always, w};
use crate::param::{Group, Kind, Param};

pub(super) const ALL: [Param; 2] = [
    Param {
        key: "quantization_bit",
        label: w("Base model in memory", "基础模型在内存中的形式"),
        unit: NO_UNIT,
        help: w(
            "Under an adapter the base does not learn and may be small: as its file has it, or its linear layers in 8 or 4 bits (QLoRA). Fewer bits take less memory and cost a little accuracy. What learns as a whole is f32.",
            "适配器下的基础模型不学习,可以更小:保持文件中的形式,或把线性层压到 8 位或 4 位 (QLoRA)。位数越少越省内存,精度略降。整体学习的权重用 f32。",
        ),
        kind: Kind::Choice(&[
            ("file", w("As its file has it", "保持文件中的形式")),
            ("none", w("f32", "f32")),
            ("int8", w("8 bits (int8)", "8 位 (int8)")),
            ("nf4", w("4 bits (nf4)", "4 位 (nf4)")),
            ("fp4", w("4 bits (fp4)", "4 位 (fp4)")),
        ]),
        group: Group::Lora,
        default: |_, tuning| if tuning.keeps_base() { "file" } else { "none" },
        // Asked of every method, so that what does not go together is refused and not passed over (S-056).
        applies: always,
        source: "S-015, S-016; Dettmers et al. 2023, arXiv:2305.14314",
    },
    Param {
        key: "double_quantization",
        label: w("Quantise the scales, too", "缩放系数也量化"),
        unit: NO_UNIT,
        help: w(
            "4 bits only: the scale of each block of 64 weights takes 8 bits instead of 32.",
            "仅用于 4 位:每 64 个权重一块的缩放系数从 32 位减到 8 位。",
        ),
        kind: YES_NO,
        group: Group::Expert,
        default: |_, _| "true",
        applies: |_, tuning| tuning.keeps_base(),
        source: "S-017",
    },
];
