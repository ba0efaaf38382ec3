//! Every hyperparameter, declared once, and the typed set that is read from a draft.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::param::{Group, Kind, Param, Words};
use crate::problem::Problem;
use crate::stage::{Stage, Tuning};

const NO_UNIT: Words = Words { en: "", zh: "" };
const TOKENS: Words = Words { en: "tokens", zh: "词元" };
const STEPS: Words = Words { en: "steps", zh: "步" };
const ROWS: Words = Words { en: "rows", zh: "行" };

/// Linear layers LoRA may sit on, in Hugging Face's names.
pub const LORA_TARGETS: &[&str] =
    &["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

fn always(_: Stage, _: Tuning) -> bool {
    true
}

fn lora_only(_: Stage, tuning: Tuning) -> bool {
    tuning == Tuning::Lora
}

/// Every hyperparameter in the order of the form.
pub const PARAMS: &[Param] = &[
    Param {
        key: "num_train_epochs",
        label: Words { en: "Rounds (epochs)", zh: "轮数 (epochs)" },
        unit: NO_UNIT,
        help: Words {
            en: "How often every row is read. More rounds learn facts more firmly; too many repeat them word for word.",
            zh: "每一行被读几遍。轮数越多记得越牢,太多则会照搬原文。",
        },
        kind: Kind::Float { min: 0.01, max: 1000.0 },
        group: Group::Size,
        default: |_, _| "3",
        applies: always,
        source: "common default of the toolkits, peers.md 5b",
    },
    Param {
        key: "learning_rate",
        label: Words { en: "Learning rate", zh: "学习率" },
        unit: NO_UNIT,
        help: Words {
            en: "How far one step moves the weights. Raise it when the loss hardly falls; lower it when the loss jumps.",
            zh: "每一步权重移动多远。损失几乎不降就调高,损失乱跳就调低。",
        },
        kind: Kind::Float { min: 1e-9, max: 1.0 },
        group: Group::Size,
        default: |_, tuning| if tuning == Tuning::Lora { "2e-4" } else { "5e-5" },
        applies: always,
        source: "LoRA 1e-4 to 3e-4, full 5e-5: peers.md 5b",
    },
    Param {
        key: "per_device_train_batch_size",
        label: Words { en: "Rows at once (batch size)", zh: "每批行数 (batch size)" },
        unit: ROWS,
        help: Words {
            en: "Rows read together. More is steadier and needs more memory.",
            zh: "一起读的行数。越大越平稳,也越占内存。",
        },
        kind: Kind::Int { min: 1, max: 1024 },
        group: Group::Size,
        default: |_, _| "4",
        applies: always,
        source: "S-043; the toolkit's README trains with 4",
    },
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
            en: "Linear layers that get an adapter, separated by commas. All of them learn best; q_proj,v_proj is smaller and faster.",
            zh: "加适配器的线性层,用逗号分隔。全部效果最好;q_proj,v_proj 更小更快。",
        },
        kind: Kind::Names(LORA_TARGETS),
        group: Group::Lora,
        default: |_, _| "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
        applies: lora_only,
        source: "all linear layers: peers.md 5b (q_proj,v_proj in 2023, S-040)",
    },
    Param {
        key: "max_source_length",
        label: Words { en: "Longest question", zh: "问题最长" },
        unit: TOKENS,
        help: Words {
            en: "Tokens kept of each question (for plain text: the block length). The end of longer ones is cut off.",
            zh: "每个问题保留的词元数(纯文本则为块长度),超出的结尾被截断。",
        },
        kind: Kind::Int { min: 8, max: 32_768 },
        group: Group::Data,
        default: |_, _| "512",
        applies: always,
        source: "S-028",
    },
    Param {
        key: "max_target_length",
        label: Words { en: "Longest answer", zh: "回答最长" },
        unit: TOKENS,
        help: Words {
            en: "Tokens kept of each answer, the end token included. The end of longer ones is cut off.",
            zh: "每个回答保留的词元数(含结束符),超出的结尾被截断。",
        },
        kind: Kind::Int { min: 2, max: 32_768 },
        group: Group::Data,
        default: |_, _| "512",
        applies: |stage, _| stage != Stage::Pt,
        source: "S-028",
    },
    Param {
        key: "dev_ratio",
        label: Words { en: "Held out for measuring", zh: "留作评估" },
        unit: Words { en: "share of rows", zh: "行的比例" },
        help: Words {
            en: "Rows the model never learns from, used to measure the eval loss. 0 holds out none.",
            zh: "模型不学习的行,用来算评估损失。0 表示不留。",
        },
        kind: Kind::Float { min: 0.0, max: 0.9 },
        group: Group::Data,
        default: |_, _| "0.05",
        applies: always,
        source: "S-033, S-160; a little by default: peers.md 5b",
    },
    Param {
        key: "max_samples",
        label: Words { en: "Use at most", zh: "最多使用" },
        unit: ROWS,
        help: Words {
            en: "First rows of the dataset to use; 0 uses all.",
            zh: "只用数据集的前若干行,0 为全部。",
        },
        kind: Kind::Int { min: 0, max: 1_000_000_000 },
        group: Group::Data,
        default: |_, _| "0",
        applies: always,
        source: "S-029",
    },
    Param {
        key: "gradient_accumulation_steps",
        label: Words { en: "Batches a step (accumulation)", zh: "每步批数 (梯度累积)" },
        unit: NO_UNIT,
        help: Words {
            en: "Batches added up before the weights move: a larger batch without more memory.",
            zh: "累积多少批再更新权重:批更大而内存不变。",
        },
        kind: Kind::Int { min: 1, max: 4096 },
        group: Group::Expert,
        default: |_, _| "1",
        applies: always,
        source: "S-043",
    },
    Param {
        key: "lr_scheduler_type",
        label: Words { en: "Learning rate over time", zh: "学习率变化" },
        unit: NO_UNIT,
        help: Words {
            en: "Cosine falls gently to zero, linear evenly, constant stays.",
            zh: "cosine 平缓降到零,linear 匀速下降,constant 不变。",
        },
        kind: Kind::Choice(&[
            ("cosine", Words { en: "Cosine", zh: "余弦" }),
            ("linear", Words { en: "Linear", zh: "线性" }),
            ("constant", Words { en: "Constant", zh: "恒定" }),
        ]),
        group: Group::Expert,
        default: |_, _| "cosine",
        applies: always,
        source: "peers.md 5b",
    },
    Param {
        key: "warmup_ratio",
        label: Words { en: "Warm-up", zh: "预热" },
        unit: Words { en: "share of steps", zh: "步数的比例" },
        help: Words {
            en: "First part of the run in which the learning rate rises from zero.",
            zh: "运行开头学习率从零升起的那一段。",
        },
        kind: Kind::Float { min: 0.0, max: 0.9 },
        group: Group::Expert,
        default: |_, _| "0.03",
        applies: always,
        source: "3 to 10 %: peers.md 5b",
    },
    Param {
        key: "max_steps",
        label: Words { en: "Stop after", zh: "最多步数" },
        unit: STEPS,
        help: Words {
            en: "Steps at most; 0: the rounds decide.", zh: "最多步数;0 表示由轮数决定。"
        },
        kind: Kind::Int { min: 0, max: 100_000_000 },
        group: Group::Expert,
        default: |_, _| "0",
        applies: always,
        source: "S-043",
    },
    Param {
        key: "weight_decay",
        label: Words { en: "Weight decay", zh: "权重衰减" },
        unit: NO_UNIT,
        help: Words {
            en: "Pulls weights toward zero a little each step; biases and norms are spared.",
            zh: "每步把权重往零拉一点;偏置和归一化层除外。",
        },
        kind: Kind::Float { min: 0.0, max: 1.0 },
        group: Group::Expert,
        default: |_, _| "0",
        applies: always,
        source: "Loshchilov & Hutter 2019, arXiv:1711.05101; default of S-043",
    },
    Param {
        key: "max_grad_norm",
        label: Words { en: "Gradient clip", zh: "梯度裁剪" },
        unit: NO_UNIT,
        help: Words {
            en: "Longest a step's gradient may be (L2 norm of all weights together); 0 never clips.",
            zh: "一步梯度的最大长度(全部权重的 L2 范数);0 不裁剪。",
        },
        kind: Kind::Float { min: 0.0, max: 1000.0 },
        group: Group::Expert,
        default: |_, _| "1",
        applies: always,
        source: "S-043",
    },
    Param {
        key: "eval_steps",
        label: Words { en: "Measure every", zh: "评估间隔" },
        unit: STEPS,
        help: Words {
            en: "Steps between two measurements of the eval loss; 0: ten times in a run.",
            zh: "两次评估之间的步数;0 表示一次运行评估十次。",
        },
        kind: Kind::Int { min: 0, max: 10_000_000 },
        group: Group::Expert,
        default: |_, _| "0",
        applies: always,
        source: "S-043",
    },
    Param {
        key: "save_steps",
        label: Words { en: "Save every", zh: "保存间隔" },
        unit: STEPS,
        help: Words {
            en: "Steps between two checkpoints; 0: four times in a run. The last step is always saved.",
            zh: "两个检查点之间的步数;0 表示一次运行保存四次。最后一步总会保存。",
        },
        kind: Kind::Int { min: 0, max: 10_000_000 },
        group: Group::Expert,
        default: |_, _| "0",
        applies: always,
        source: "S-043",
    },
    Param {
        key: "seed",
        label: Words { en: "Seed", zh: "随机种子" },
        unit: NO_UNIT,
        help: Words {
            en: "Decides the order of rows and the adapter's first weights; the same seed gives the same run.",
            zh: "决定行的顺序和适配器的初值;相同种子得到相同的运行。",
        },
        kind: Kind::Int { min: 0, max: 4_294_967_295 },
        group: Group::Expert,
        default: |_, _| "42",
        applies: always,
        source: "S-043, S-066",
    },
    Param {
        key: "device",
        label: Words { en: "Device", zh: "设备" },
        unit: NO_UNIT,
        help: Words {
            en: "Where it trains. Automatic takes a CUDA GPU when there is one, else the CPU.",
            zh: "在哪里训练。自动:有 CUDA 显卡就用显卡,否则用 CPU。",
        },
        kind: Kind::Choice(&[
            ("auto", Words { en: "Automatic", zh: "自动" }),
            ("cpu", Words { en: "CPU", zh: "CPU" }),
            ("cuda", Words { en: "CUDA GPU", zh: "CUDA 显卡" }),
        ]),
        group: Group::Expert,
        default: |_, _| "auto",
        applies: always,
        source: "",
    },
];

/// The declaration of a key.
pub fn param(key: &str) -> Option<&'static Param> {
    PARAMS.iter().find(|param| param.key == key)
}

/// The checked hyperparameters of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hyper {
    /// Rounds through the data.
    pub num_train_epochs: f64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Rows of a micro-batch.
    pub per_device_train_batch_size: usize,
    /// LoRA rank.
    pub lora_rank: usize,
    /// LoRA alpha; the scale is alpha / rank.
    pub lora_alpha: f64,
    /// LoRA dropout, 0 to 0.9.
    pub lora_dropout: f64,
    /// Layers with LoRA.
    pub lora_target: Vec<String>,
    /// Longest question, tokens.
    pub max_source_length: usize,
    /// Longest answer, tokens.
    pub max_target_length: usize,
    /// Share of rows held out.
    pub dev_ratio: f64,
    /// First rows to use; 0: all.
    pub max_samples: u64,
    /// Micro-batches a step.
    pub gradient_accumulation_steps: usize,
    /// `cosine`, `linear`, `constant`.
    pub lr_scheduler_type: String,
    /// Share of steps with a rising learning rate.
    pub warmup_ratio: f64,
    /// Steps at most; 0: the epochs decide.
    pub max_steps: u64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Clip; 0: never.
    pub max_grad_norm: f64,
    /// Steps between evaluations; 0: a tenth of the run.
    pub eval_steps: u64,
    /// Steps between checkpoints; 0: a quarter of the run.
    pub save_steps: u64,
    /// Seed.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda`.
    pub device: String,
}

impl Hyper {
    /// Reads typed values; a missing or empty one takes its default. Returns every problem found.
    pub fn read(
        values: &BTreeMap<String, String>,
        stage: Stage,
        tuning: Tuning,
    ) -> Result<Self, Vec<Problem>> {
        let text = |key: &str| -> String {
            let typed = values.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
            let default = || param(key).map_or("", |param| (param.default)(stage, tuning));
            typed.unwrap_or_else(default).to_owned()
        };
        let problems: Vec<_> = PARAMS
            .iter()
            .filter(|param| (param.applies)(stage, tuning))
            .filter_map(|param| param.check(&text(param.key)).err())
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        // Parameters that do not apply were not checked; they read as 0 at worst and are never used.
        let float = |key: &str| text(key).parse::<f64>().unwrap_or_default();
        let int = |key: &str| text(key).parse::<u64>().unwrap_or_default();
        let size = |key: &str| text(key).parse::<usize>().unwrap_or_default();
        Ok(Self {
            num_train_epochs: float("num_train_epochs"),
            learning_rate: float("learning_rate"),
            per_device_train_batch_size: size("per_device_train_batch_size"),
            lora_rank: size("lora_rank"),
            lora_alpha: float("lora_alpha"),
            lora_dropout: float("lora_dropout"),
            lora_target: text("lora_target").split(',').map(|name| name.trim().to_owned()).collect(),
            max_source_length: size("max_source_length"),
            max_target_length: size("max_target_length"),
            dev_ratio: float("dev_ratio"),
            max_samples: int("max_samples"),
            gradient_accumulation_steps: size("gradient_accumulation_steps"),
            lr_scheduler_type: text("lr_scheduler_type"),
            warmup_ratio: float("warmup_ratio"),
            max_steps: int("max_steps"),
            weight_decay: float("weight_decay"),
            max_grad_norm: float("max_grad_norm"),
            eval_steps: int("eval_steps"),
            save_steps: int("save_steps"),
            seed: int("seed"),
            device: text("device"),
        })
    }

    /// Optimizer steps a run makes over `train_rows` rows (or blocks): HF's rule, the last micro-batches
    /// of a round make a step of their own.
    pub fn total_steps(&self, train_rows: u64) -> u64 {
        if self.max_steps > 0 {
            return self.max_steps;
        }
        let batches = train_rows.div_ceil(self.per_device_train_batch_size.max(1) as u64);
        let steps = batches.div_ceil(self.gradient_accumulation_steps.max(1) as u64);
        ((steps as f64) * self.num_train_epochs).ceil() as u64
    }

    /// Steps between evaluations once `total` is known.
    pub fn eval_every(&self, total: u64) -> u64 {
        if self.eval_steps > 0 { self.eval_steps } else { total.div_ceil(10).max(1) }
    }

    /// Steps between checkpoints once `total` is known.
    pub fn save_every(&self, total: u64) -> u64 {
        if self.save_steps > 0 { self.save_steps } else { total.div_ceil(4).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_default_is_valid_and_every_parameter_is_explained() {
        for param in PARAMS {
            for stage in Stage::ALL {
                for tuning in Tuning::ALL {
                    param.check((param.default)(stage, tuning)).expect(param.key);
                }
            }
            assert!(!param.help.en.is_empty() && !param.help.zh.is_empty(), "{}", param.key);
        }
    }

    #[test]
    fn a_word_for_a_learning_rate_is_one_clear_problem() {
        let problems =
            Hyper::read(&typed(&[("learning_rate", "abc")]), Stage::Sft, Tuning::Lora).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].form_key(), Some("learning_rate"));
        assert!(problems[0].message.contains("abc"));
    }

    #[test]
    fn all_problems_come_at_once() {
        let values = typed(&[("learning_rate", "nan"), ("seed", "-1"), ("lora_target", "q_proj,fc")]);
        assert_eq!(Hyper::read(&values, Stage::Sft, Tuning::Lora).unwrap_err().len(), 3);
    }

    #[test]
    fn lora_parameters_are_not_asked_of_a_full_run() {
        let hyper =
            Hyper::read(&typed(&[("lora_rank", "x")]), Stage::Pt, Tuning::Full).expect("no LoRA, no problem");
        assert_eq!(hyper.lora_rank, 0);
    }

    #[test]
    fn the_last_rows_of_a_round_make_a_step_of_their_own() {
        let values = typed(&[("num_train_epochs", "3"), ("gradient_accumulation_steps", "2")]);
        let hyper = Hyper::read(&values, Stage::Sft, Tuning::Lora).expect("valid");
        assert_eq!(hyper.total_steps(9), 6); // 3 batches of 4 at most, 2 steps a round
    }
}
