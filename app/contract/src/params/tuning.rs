//! What learns: LoRA and freeze.

use super::{BLOCK_PARTS, LORA_TARGETS, NO_UNIT, YES_NO, w};
use crate::param::{Group, Kind, Param, Words};
use crate::stage::{Stage, Tuning};

fn lora_only(_: Stage, tuning: Tuning) -> bool {
    tuning == Tuning::Lora
}

fn freeze_only(_: Stage, tuning: Tuning) -> bool {
    tuning == Tuning::Freeze
}

pub(super) const ALL: [Param; 10] = [
    Param {
        key: "lora_rank",
        label: Words { en: "LoRA rank", zh: "LoRA 秩" },
        unit: NO_UNIT,
        help: Words {
            en: "How much the adapter can hold. 8 is enough for a tone or some facts; 64 for a new skill.",
            zh: "适配器能装下多少。语气或少量事实用 8,新技能用 64。",
        },
        kind: Kind::Int { min: 1, max: 512 },
        group: Group::Lora,
        default: |_, _| "8",
        applies: lora_only,
        source: "S-040; Hu et al. 2021, arXiv:2106.09685",
    },
    Param {
        key: "lora_alpha",
        label: Words { en: "LoRA alpha", zh: "LoRA alpha" },
        unit: NO_UNIT,
        help: Words {
            en: "Strength of the adapter; it is scaled by alpha / rank. Twice the rank is the usual choice.",
            zh: "适配器的强度,按 alpha / 秩 缩放。通常取秩的两倍。",
        },
        kind: Kind::Float { min: 0.001, max: 4096.0 },
        group: Group::Lora,
        default: |_, _| "16",
        applies: lora_only,
        source: "alpha = 2 r: peers.md 5b (the toolkit of 2023 had 32 with lr 5e-5, S-040)",
    },
    Param {
        key: "lora_dropout",
        label: Words { en: "LoRA dropout", zh: "LoRA dropout" },
        unit: NO_UNIT,
        help: Words {
            en: "Share of adapter inputs silenced at random while training; helps small sets not to be learned by heart.",
            zh: "训练时随机关掉的适配器输入比例,可减轻小数据集被死记硬背。",
        },
        kind: Kind::Float { min: 0.0, max: 0.9 },
        group: Group::Lora,
        default: |_, _| "0",
        applies: lora_only,
        source: "0 in most toolkits now: peers.md 5b (0.1 in 2023, S-040)",
    },
    Param {
        key: "lora_target",
        label: Words { en: "Layers with LoRA", zh: "加 LoRA 的层" },
        unit: NO_UNIT,
        help: Words {
            en: "Linear layers that get an adapter, separated by commas, or all-linear. All of them learn best; q_proj,v_proj is smaller and faster.",
            zh: "加适配器的线性层,用逗号分隔,或写 all-linear。全部效果最好;q_proj,v_proj 更小更快。",
        },
        kind: Kind::Names(LORA_TARGETS),
        group: Group::Lora,
        default: |_, _| "all-linear",
        applies: lora_only,
        source: "all linear layers, whatever a family calls them: peers.md 5b (q_proj,v_proj in 2023, S-040)",
    },
    Param {
        key: "use_rslora",
        label: w("Rank-stabilised (rsLoRA)", "秩稳定 (rsLoRA)"),
        unit: NO_UNIT,
        help: w(
            "Scales by alpha / sqrt(rank), so that a high rank does not learn more slowly.",
            "按 alpha / √秩 缩放,高秩也不会学得更慢。",
        ),
        kind: YES_NO,
        group: Group::Expert,
        default: |_, _| "false",
        applies: lora_only,
        source: "Kalajdzievski 2023, arXiv:2312.03732",
    },
    Param {
        key: "use_dora",
        label: w("Learn lengths apart (DoRA)", "分解长度与方向 (DoRA)"),
        unit: NO_UNIT,
        help: w(
            "Learns the length of each row of a weight by itself. Slower; often a little better at low ranks.",
            "权重每一行的长度单独学习。较慢,低秩时常略好。",
        ),
        kind: YES_NO,
        group: Group::Expert,
        default: |_, _| "false",
        applies: lora_only,
        source: "Liu et al. 2024, arXiv:2402.09353",
    },
    Param {
        key: "modules_to_save",
        label: w("Whole layers beside LoRA", "与 LoRA 一起整层训练"),
        unit: NO_UNIT,
        help: w(
            "Also trains these layers as a whole, for new words or a new language. Much larger checkpoints.",
            "这些层也整层训练,适合新词或新语言。检查点会大很多。",
        ),
        kind: Kind::Choice(&[
            ("none", w("None", "无")),
            ("lm_head", w("Output layer", "输出层")),
            ("embed_tokens", w("Embedding", "嵌入层")),
            ("embed_tokens,lm_head", w("Both", "两者")),
        ]),
        group: Group::Expert,
        default: |_, _| "none",
        applies: lora_only,
        source: "PEFT's modules_to_save",
    },
    Param {
        key: "resume_lora_training",
        label: w("Go on with the same adapter", "继续训练同一适配器"),
        unit: NO_UNIT,
        help: w(
            "When started from an adapter: yes trains that adapter further; no merges it into the model and begins a new one. Preference stages need no, so that the reference is the model they start from.",
            "从适配器开始时:是,继续训练它;否,先并入模型再训练新的。偏好阶段应选否,这样参考模型就是起点。",
        ),
        kind: YES_NO,
        group: Group::Lora,
        default: |stage, _| if matches!(stage, Stage::Pt | Stage::Sft) { "true" } else { "false" },
        applies: lora_only,
        source: "S-021, S-124",
    },
    Param {
        key: "num_layer_trainable",
        label: w("Blocks that learn", "学习的块数"),
        unit: NO_UNIT,
        help: w(
            "How many blocks learn, counted from the end; a number below 0 counts from the start.",
            "学习多少个块,从末尾数起;负数则从开头数起。",
        ),
        kind: Kind::Int { min: -1024, max: 1024 },
        group: Group::Lora,
        default: |_, _| "3",
        applies: freeze_only,
        source: "S-038",
    },
    Param {
        key: "name_module_trainable",
        label: w("Parts that learn", "学习的部分"),
        unit: NO_UNIT,
        help: w(
            "Parts of those blocks that learn: mlp, self_attn or all, separated by commas.",
            "这些块中学习的部分:mlp、self_attn 或 all,用逗号分隔。",
        ),
        kind: Kind::Names(BLOCK_PARTS),
        group: Group::Lora,
        default: |_, _| "mlp",
        applies: freeze_only,
        source: "S-039",
    },
];
