//! Lengths, held-out rows and measuring.

use super::{NO_UNIT, ROWS, TOKENS, YES_NO, always, w};
use crate::generation::MAX_BEAMS;
use crate::param::{Group, Kind, Param, Words};
use crate::stage::{Stage, Tuning};

/// Whether this share of rows holds any out; the original's bound (S-160).
pub fn holds_out(dev_ratio: f64) -> bool {
    dev_ratio > 1e-6
}

/// How many of so many rows a share holds out (S-160): rounded up, but at least one row stays for training. 1 is for
/// runs in which nothing learns: every row is measured.
pub fn held_out(rows: u64, dev_ratio: f64) -> u64 {
    if !holds_out(dev_ratio) {
        return 0;
    }
    if dev_ratio >= 1.0 {
        return rows;
    }
    ((rows as f64 * dev_ratio).ceil() as u64).min(rows.saturating_sub(1))
}

pub(super) const ALL: [Param; 14] = [
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
            en: "Rows the model never learns from, used to measure the eval loss. 0 holds out none. Where nothing learns: 1 measures every row, the share of a run on this dataset (and its seed) the rows that run held out.",
            zh: "模型不学习的行,用来算评估损失。0 表示不留。仅评估时:1 评估每一行;填某次运行的比例(及其种子),则评估它在此数据集上留出的行。",
        },
        kind: Kind::Float { min: 0.0, max: 1.0 },
        group: Group::Data,
        default: |stage, tuning| match (stage, tuning) {
            (Stage::Ppo, _) => "0",
            (_, Tuning::None) => "1",
            _ => "0.05",
        },
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
        default: |stage, tuning| if stage == Stage::Sft && !tuning.learns() { "true" } else { "false" },
        applies: |stage, _| stage == Stage::Sft,
        source: "S-163, S-189",
    },
    Param {
        key: "predict_samples",
        label: w("Answers to measure", "评估的回答数"),
        unit: ROWS,
        help: w(
            "Held-out questions answered at most, a fixed draw; 0: all of them. Fewer where measuring would take more of a training than its share.",
            "最多回答多少个留出的问题,抽取固定;0 为全部。训练中评估会超出其所占比例时更少。",
        ),
        kind: Kind::Int { min: 0, max: 1_000_000_000 },
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
    Param {
        key: "eval_num_beams",
        label: w("Beams of measured answers", "评估回答的束数"),
        unit: NO_UNIT,
        help: w(
            "More than 1 searches the likeliest answer among so many; the temperature must then be 0.",
            "大于 1 时在这么多候选中搜索最可能的回答,此时温度必须为 0。",
        ),
        kind: Kind::Int { min: 1, max: MAX_BEAMS as i64 },
        group: Group::Expert,
        default: |_, _| "1",
        applies: |stage, _| stage == Stage::Sft,
        source: "S-030",
    },
    Param {
        key: "source_prefix",
        label: w("System text of each dataset", "每个数据集的系统文本"),
        unit: NO_UNIT,
        help: w(
            "Stands before every row that brings no system text of its own. One for all datasets, or one for each, separated by |. Empty: none.",
            "放在没有自带系统文本的每一行之前。所有数据集共用一个,或每个数据集一个,用 | 分隔。空:不加。",
        ),
        kind: Kind::Text { longest: 4000 },
        group: Group::Expert,
        default: |_, _| "",
        applies: |stage, _| stage != Stage::Pt,
        source: "S-032, S-079",
    },
    Param {
        key: "mixing",
        label: w("Several datasets", "多个数据集"),
        unit: NO_UNIT,
        help: w(
            "One after the other; or drawn by weight until the first has no row left; or until every one was read whole, shorter ones beginning again.",
            "依次读取;或按权重抽取,直到第一个读完;或直到每个都读完,短的从头再来。",
        ),
        kind: Kind::Choice(&[
            ("concatenate", w("One after the other", "依次读取")),
            ("until_shortest", w("Drawn until the first ends", "抽到第一个读完")),
            ("until_longest", w("Drawn until all were read", "抽到全部读完")),
        ]),
        group: Group::Expert,
        default: |_, _| "concatenate",
        applies: always,
        source: "S-080; Hugging Face datasets: interleave_datasets",
    },
    Param {
        key: "mixing_weights",
        label: w("Weights of the datasets", "数据集的权重"),
        unit: NO_UNIT,
        help: w(
            "How often each dataset is drawn, separated by commas, for example 2,1. Empty: all the same. Plays no part when they are read one after the other.",
            "每个数据集被抽中的比重,用逗号分隔,例如 2,1。空:相同。依次读取时不起作用。",
        ),
        kind: Kind::Text { longest: 400 },
        group: Group::Expert,
        default: |_, _| "",
        applies: always,
        source: "Hugging Face datasets: interleave_datasets",
    },
    Param {
        key: "behaviour",
        label: w("Faults of the original", "原版的缺陷"),
        unit: NO_UNIT,
        help: w(
            "Corrected, or kept to repeat an old run: special tokens before every turn, left-over text dropped after every 1000 rows, PPO rows without an answer left out.",
            "修正;或保留以重现旧的运行:每轮对话前都加特殊词元,每 1000 行丢弃剩余文本,PPO 略去没有回答的行。",
        ),
        kind: Kind::Choice(&[("corrected", w("Corrected", "修正")), ("original", w("As they were", "保留"))]),
        group: Group::Expert,
        default: |_, _| "corrected",
        applies: |stage, _| matches!(stage, Stage::Pt | Stage::Sft | Stage::Ppo),
        source: "S-140 to S-142",
    },
    Param {
        key: "control_tokens_in_text",
        label: w("Control tokens in texts", "文本中的控制词元"),
        unit: NO_UNIT,
        help: w(
            "Words like <|im_end|> or </s> in questions, answers and plain texts become the tokens they name. Off: they are plain text, and only the template writes control tokens.",
            "问题、回答和纯文本中的 <|im_end|>、</s> 等字样成为它们所指的词元。关闭:作为普通文字,只有模板写入控制词元。",
        ),
        kind: YES_NO,
        group: Group::Expert,
        default: |_, _| "false",
        applies: always,
        source: "transformers: split_special_tokens",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_160_a_share_is_rounded_up_and_leaves_a_row_to_learn_from() {
        let held = [(101, 0.1), (2, 0.99), (1, 0.5), (0, 0.5), (10, 1e-6), (10, 0.0)];
        assert_eq!(held.map(|(rows, share)| held_out(rows, share)), [11, 1, 0, 0, 0, 0]);
        assert_eq!(
            [101, 1, 0].map(|rows| held_out(rows, 1.0)),
            [101, 1, 0],
            "evaluation alone: the whole dataset"
        );
    }
}
