//! How the text is split before byte-level BPE: the rules that `tokenizer.ggml.pre` names, under all their names.

use contract::Code;
use contract::problem::Problem;
use serde_json::{Value, json};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A way to split text into the stretches that merges stay within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Files that name none, as llama.cpp reads them.
    Unnamed,
    /// GPT-2.
    Gpt2,
    /// As GPT-2, every digit by itself.
    Digits,
    /// Llama 3: up to three digits together; a stretch that is a token stays whole.
    Llama3,
    /// As Llama 3, but built by merges alone.
    Dbrx,
    /// Qwen 2: every digit by itself, composed characters.
    Qwen2,
}

/// llama.cpp's names of each rule: converters write the model's, whatever rule it shares.
const NAMES: [(Rule, &[&str]); 6] = [
    (Rule::Unnamed, &["", "default"]),
    (
        Rule::Gpt2,
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "exaone4",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
        ],
    ),
    (Rule::Digits, &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"]),
    (
        Rule::Llama3,
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
    ),
    (Rule::Dbrx, &["dbrx", "smaug-bpe"]),
    (Rule::Qwen2, &["qwen2", "deepseek-r1-qwen", "kormo", "megrez"]),
];

impl Rule {
    /// The rule of that name.
    ///
    /// # Errors
    /// `tokenizer.gguf_unsupported` with a name that no known rule has.
    pub(super) fn named(pre: &str) -> Result<Self, Problem> {
        NAMES.iter().find(|(_, names)| names.contains(&pre)).map(|(rule, _)| *rule).ok_or_else(|| {
            Problem::new(
                Code::TokenizerGgufUnsupported,
                format!("This GGUF file splits text by the rule “{pre}”, which Burnish does not know."),
            )
            .with("kind", pre)
            .field("tokenizer.ggml.pre")
            .hint("Import the same model as a Hugging Face folder with its tokenizer.json.")
        })
    }

    /// Whether a stretch that is a token as a whole is not built by merges.
    pub(super) fn ignores_merges(self) -> bool {
        self == Self::Llama3
    }

    /// Whether a text begins with the begin token where the file does not say.
    pub(super) fn begins(self) -> bool {
        self == Self::Llama3
    }

    /// As `tokenizer.json` writes what is done to characters first.
    pub(super) fn normalizer(self) -> Value {
        if self == Self::Qwen2 { json!({"type": "NFC"}) } else { Value::Null }
    }

    /// As `tokenizer.json` writes the splitting.
    pub(super) fn pre_tokenizer(self) -> Value {
        let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
        let bytes = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
        let parts = match self {
            Self::Digits => vec![json!({"type": "Digits", "individual_digits": true}), bytes(true)],
            Self::Gpt2 => vec![bytes(true)],
            Self::Unnamed => vec![
                split(r"[\p{P}\$\+<=>\^~\|]+"),
                split(GPT2),
                split(r"\p{N}+"),
                split("[0-9][0-9][0-9]"),
                bytes(false),
            ],
            Self::Llama3 | Self::Dbrx => vec![split(LLAMA3), bytes(false)],
            Self::Qwen2 => vec![split(QWEN2), bytes(false)],
        };
        json!({"type": "Sequence", "pretokenizers": parts})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_one_rule_and_others_are_refused_by_theirs() {
        let mut names: Vec<_> = NAMES.iter().flat_map(|(_, names)| names.iter()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "no name twice");
        for (name, rule) in [
            ("deepseek-r1-qwen", Rule::Qwen2),
            ("megrez", Rule::Qwen2),
            ("llama-v3", Rule::Llama3),
            ("falcon3", Rule::Llama3),
            ("smaug-bpe", Rule::Dbrx),
            ("phi-2", Rule::Gpt2),
            ("minerva-7b", Rule::Digits),
        ] {
            assert_eq!(Rule::named(name).unwrap(), rule, "{name}");
        }
        let problem = Rule::named("no-such-rule").unwrap_err();
        assert_eq!(problem.code, Code::TokenizerGgufUnsupported);
        assert!(problem.message.contains("no-such-rule"));
    }
}
