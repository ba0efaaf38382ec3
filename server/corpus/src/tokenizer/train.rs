//! Training a new byte-level BPE tokenizer on a corpus.

use contract::Code;
use contract::problem::Problem;
use serde_json::json;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    TokenizerBuilder,
};

use super::TokenizerFiles;

/// Special tokens of a trained tokenizer: pad and document end, start and end of a message; ids 0, 1, 2.
pub const SPECIAL_TOKENS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// The ChatML template written into `tokenizer_config.json`.
pub const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Smallest vocabulary: 256 bytes and the special tokens.
pub const SMALLEST_VOCAB: usize = 256 + SPECIAL_TOKENS.len();

/// Trains a byte-level BPE of at most `vocab_size` tokens, each digit on its own, with ChatML special tokens. The
/// same texts give the same bytes. Few texts give fewer tokens.
///
/// # Errors
/// `tokenizer.vocab_too_small` below [`SMALLEST_VOCAB`], or `tokenizer.training_failed`.
pub fn train(
    texts: impl Iterator<Item = String> + Send,
    vocab_size: usize,
) -> Result<TokenizerFiles, Problem> {
    if vocab_size < SMALLEST_VOCAB {
        return Err(Problem::new(
            Code::TokenizerVocabTooSmall,
            format!("A vocabulary of {vocab_size} is too small."),
        )
        .with("least", SMALLEST_VOCAB)
        .field("vocab_size")
        .hint(format!(
            "Choose at least {SMALLEST_VOCAB}: 256 bytes and {} special tokens.",
            SPECIAL_TOKENS.len()
        )));
    }
    let failed = |why: String| {
        Problem::new(Code::TokenizerTrainingFailed, format!("Training the tokenizer failed: {why}."))
            .with("why", why)
            .hint("Check the texts.")
    };
    let bytes = ByteLevel::new(false, true, true);
    let split = Sequence::new(vec![
        PreTokenizerWrapper::Digits(Digits::new(true)),
        PreTokenizerWrapper::ByteLevel(bytes),
    ]);
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_normalizer(None)
    .with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(split)))
    .with_post_processor(Some(PostProcessorWrapper::ByteLevel(ByteLevel::new(true, false, true))))
    .with_decoder(Some(DecoderWrapper::ByteLevel(bytes)))
    .build()
    .map_err(|error| failed(error.to_string()))?;
    let specials = SPECIAL_TOKENS.iter().map(|token| AddedToken::from(*token, true)).collect();
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(specials)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut trainer, texts).map_err(|error| failed(error.to_string()))?;
    let tokenizer_json = tokenizer.to_string(false).map_err(|error| failed(error.to_string()))?.into_bytes();
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": false, "bos_token": null,
        "eos_token": SPECIAL_TOKENS[2], "pad_token": SPECIAL_TOKENS[0], "unk_token": null,
        "clean_up_tokenization_spaces": false, "chat_template": CHATML,
    });
    let tokenizer_config_json = serde_json::to_vec(&config).map_err(|error| failed(error.to_string()))?;
    Ok(TokenizerFiles { tokenizer_json, tokenizer_config_json })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::ModelTokenizer;

    fn texts() -> impl Iterator<Item = String> + Send {
        (0..200).map(|n| format!("Kettle number {n} boils, and 水 boils too. It's hot!"))
    }

    #[test]
    fn a_trained_tokenizer_reads_back_and_round_trips() {
        let files = train(texts(), 400).unwrap();
        let tokenizer =
            ModelTokenizer::from_bytes(&files.tokenizer_json, Some(&files.tokenizer_config_json), None, None)
                .unwrap();
        assert!(tokenizer.vocab_size() <= 400 && tokenizer.vocab_size() > SMALLEST_VOCAB);
        assert_eq!((tokenizer.eos_id(), tokenizer.pad_id(), tokenizer.bos_id()), (Some(2), 0, None));
        let text = "Kettle 123 boils 🚀 ünseen";
        let ids = tokenizer.encode(text, true).unwrap();
        assert!(ids.len() < text.len(), "merges were learnt");
        assert_eq!(tokenizer.decode(&ids, true), text);
        assert_eq!(tokenizer.encode("<|im_end|>", false).unwrap(), [2]);
    }

    #[test]
    fn the_same_texts_give_the_same_bytes() {
        assert_eq!(train(texts(), 350).unwrap(), train(texts(), 350).unwrap());
    }

    #[test]
    fn a_vocabulary_without_room_for_bytes_is_refused() {
        assert_eq!(train(texts(), 258).unwrap_err().code, Code::TokenizerVocabTooSmall);
    }
}
