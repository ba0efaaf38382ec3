//! The numbers a stage reports beside its loss: what each is called, which way is good, how it is written, and in which
//! order they are shown. The keys are those of [`crate::event::Kind::Step`] and [`crate::event::Kind::Eval`].

use crate::param::Words;

/// Which way a number should move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Higher is better.
    Up,
    /// Lower is better.
    Down,
    /// It only describes.
    Neither,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A share of 1, written in percent.
    Share,
    /// A plain number.
    Number,
    /// A score of 0 to 100.
    Score,
    /// A count.
    Count,
}

/// One number of a stage.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Key in events.
    pub key: &'static str,
    /// What pages call it.
    pub label: Words,
    /// Which way is good.
    pub direction: Direction,
    /// How it is written.
    pub format: Format,
    /// Whether it tells how a run goes; the others are shown when asked for.
    pub main: bool,
}

const fn metric(
    key: &'static str,
    (en, zh): (&'static str, &'static str),
    direction: Direction,
    format: Format,
    main: bool,
) -> Metric {
    Metric { key, label: Words { en, zh }, direction, format, main }
}

use Direction::{Down, Neither, Up};
use Format::{Count, Number, Score, Share};

/// Every known number in the order in which pages show them.
pub const METRICS: [Metric; 26] = [
    metric("accuracy", ("Accuracy", "准确率"), Up, Share, true),
    metric("margin", ("Reward margin", "奖励差"), Up, Number, true),
    metric("reward", ("Reward", "奖励"), Up, Number, true),
    metric("kl", ("KL to the reference", "与参考模型的 KL"), Neither, Number, true),
    metric("response_length", ("Answer length, tokens", "回答长度(词元)"), Neither, Number, true),
    metric("loss", ("Loss", "损失"), Down, Number, true),
    metric("perplexity", ("Perplexity", "困惑度"), Down, Number, true),
    metric("exact_match", ("Exact answers", "完全一致"), Up, Score, true),
    metric("rouge-l", ("ROUGE-L", "ROUGE-L"), Up, Score, true),
    metric("bleu-4", ("BLEU-4", "BLEU-4"), Up, Score, true),
    metric("rouge-1", ("ROUGE-1", "ROUGE-1"), Up, Score, true),
    metric("rouge-2", ("ROUGE-2", "ROUGE-2"), Up, Score, true),
    metric("unanswered", ("Questions without an answer", "未能回答的问题"), Down, Count, true),
    metric("reward_chosen", ("Reward of the better answer", "较好回答的奖励"), Neither, Number, false),
    metric("reward_rejected", ("Reward of the worse answer", "较差回答的奖励"), Neither, Number, false),
    metric("mean_return", ("Mean return", "平均回报"), Up, Number, false),
    metric("policy_loss", ("Policy loss", "策略损失"), Neither, Number, false),
    metric("value_loss", ("Value loss", "价值损失"), Down, Number, false),
    metric("entropy", ("Entropy", "熵"), Neither, Number, false),
    metric("policy_kl", ("KL to the policy before the step", "与更新前策略的 KL"), Neither, Number, false),
    metric("approx_kl", ("Approximate KL", "近似 KL"), Neither, Number, false),
    metric("beta", ("KL coefficient (beta)", "KL 系数 (beta)"), Neither, Number, false),
    metric("ratio", ("Probability ratio", "概率比"), Neither, Number, false),
    metric("clip_fraction", ("Clipped ratios", "被截断的概率比"), Neither, Share, false),
    metric("value_clip_fraction", ("Clipped values", "被截断的价值"), Neither, Share, false),
    metric("skipped", ("Skipped updates", "跳过的更新"), Down, Share, false),
];

/// Behind the key of a number that was measured once, at the end, on all held-out rows instead of a draw of them.
pub const ALL_ROWS: &str = "_all_rows";

/// What is known of a key, and its place in the order.
pub fn find(key: &str) -> Option<(usize, &'static Metric)> {
    METRICS.iter().enumerate().find(|(_, metric)| metric.key == key)
}

/// A name for a key nobody knows, as a newer worker may send: `grad_noise` is read as "Grad noise".
pub fn readable(key: &str) -> String {
    let mut letters = key.trim().chars().map(|letter| if letter == '_' { ' ' } else { letter });
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    first.into_iter().chain([letters.collect()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once_and_accuracy_and_margin_come_first() {
        for (at, metric) in METRICS.iter().enumerate() {
            assert_eq!(find(metric.key).map(|(found, _)| found), Some(at), "{}", metric.key);
            assert!(!metric.label.en.contains('_') && !metric.label.zh.is_empty());
        }
        let place = |key| find(key).map(|(at, _)| at);
        assert!(place("accuracy") < place("margin") && place("margin") < place("reward_chosen"));
    }

    #[test]
    fn an_unknown_key_can_be_read() {
        assert!(find("grad_noise").is_none());
        assert_eq!(readable("grad_noise"), "Grad noise");
        assert_eq!(readable(""), "");
    }
}
