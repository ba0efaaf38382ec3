//! Lengths, held-out rows and measuring.

use super::{NO_UNIT, ROWS, TOKENS, YES_NO, always, w};
use crate::param::{Group, Kind, Param, Words};
use crate::stage::Stage;

pub(super) const ALL: [Param; 8] = [
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
        default: |stage, _| if stage == Stage::Ppo { "0" } else { "0.05" },
        applies: |stage, _| stage != Stage::Ppo,
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
        key: "predict_with_generate",
        label: w("Measure by answering", "用生成的回答评估"),
        unit: NO_UNIT,
        help: w(
            "Also lets the model answer held-out questions at the end and compares with the reference answers (ROUGE, BLEU).",
            "最后再让模型回答留出的问题,并与参考答案比较 (ROUGE, BLEU)。",
        ),
        kind: YES_NO,
        group: Group::Data,
        default: |_, _| "false",
        applies: |stage, _| stage == Stage::Sft,
        source: "S-163, S-189",
    },
    Param {
        key: "predict_samples",
        label: w("Answers to measure", "评估的回答数"),
        unit: ROWS,
        help: w("Held-out questions answered at most.", "最多回答多少个留出的问题。"),
        kind: Kind::Int { min: 1, max: 100000 },
        group: Group::Expert,
        default: |_, _| "64",
        applies: |stage, _| stage == Stage::Sft,
        source: "answers are slow to make",
    },
    Param {
        key: "predict_temperature",
        label: w("Temperature of measured answers", "评估回答的温度"),
        unit: NO_UNIT,
        help: w("0 takes the likeliest token; higher draws more freely.", "0 取最可能的词元;越高越随意。"),
        kind: Kind::Float { min: 0.0, max: 2.0 },
        group: Group::Expert,
        default: |_, _| "0.95",
        applies: |stage, _| stage == Stage::Sft,
        source: "S-165",
    },
    Param {
        key: "predict_top_p",
        label: w("Top-p of measured answers", "评估回答的 top-p"),
        unit: NO_UNIT,
        help: w(
            "Draws only from the likeliest tokens that sum to this.",
            "只从累计概率到此为止的词元中抽取。",
        ),
        kind: Kind::Float { min: 0.01, max: 1.0 },
        group: Group::Expert,
        default: |_, _| "0.7",
        applies: |stage, _| stage == Stage::Sft,
        source: "S-165",
    },
];
