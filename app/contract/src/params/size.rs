//! How long and how fast.

use super::{NO_UNIT, ROWS, always, learning};
use crate::param::{Group, Kind, Param, Words};
use crate::stage::{Stage, Tuning};

pub(super) const ALL: [Param; 3] = [
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
        default: |stage, _| if matches!(stage, Stage::Rm | Stage::Ppo) { "1" } else { "3" },
        applies: learning,
        source: "3 for pt, sft, dpo; 1 for rm and ppo: peers.md 5b",
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
        default: |stage, tuning| match (stage, tuning) {
            (Stage::Pt | Stage::Sft, Tuning::Lora) => "2e-4",
            (Stage::Rm, _) => "1e-4",
            (Stage::Dpo, _) => "5e-5",
            (Stage::Ppo, _) => "1e-5",
            (_, Tuning::Full | Tuning::Freeze | Tuning::None) => "5e-5",
        },
        applies: learning,
        source: "LoRA 1e-4 to 3e-4, full 5e-5, rm 1e-4, PPO 1e-5: peers.md 5b",
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
];
