//! A model's tokenizer: text to ids and back, special tokens, streaming decode.

pub mod gguf;
pub mod plain;
mod settings;
mod stream;
pub mod train;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use contract::Code;
use contract::problem::Problem;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use settings::Settings;
pub use stream::DecodeStream;

/// Files of a tokenizer as a Hugging Face folder holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// Contents of `tokenizer.json`.
    pub tokenizer_json: Vec<u8>,
    /// Contents of `tokenizer_config.json`.
    pub tokenizer_config_json: Vec<u8>,
}

/// A tokenizer with what its configuration says about special tokens and the chat template.
#[derive(Debug)]
pub struct ModelTokenizer {
    inner: Tokenizer,
    settings: Settings,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
    pad_id: u32,
    adds_bos: bool,
    specials: BTreeSet<u32>,
    digest: String,
    /// Copies that read words of control tokens as plain text.
    renamed: Mutex<Vec<Arc<plain::Renamed>>>,
}

impl ModelTokenizer {
    /// Loads `tokenizer.json` and, where present, `tokenizer_config.json`, `special_tokens_map.json` and
    /// `chat_template.jinja` from a model's folder.
    ///
    /// # Errors
    /// `tokenizer.missing` or `tokenizer.broken`, naming the file.
    pub fn load(model_folder: &Path) -> Result<Self, Problem> {
        let optional = |name: &str| std::fs::read(model_folder.join(name)).ok();
        let tokenizer = std::fs::read(model_folder.join("tokenizer.json")).map_err(|error| {
            Problem::new(Code::TokenizerMissing, format!("The model's tokenizer cannot be read: {error}."))
                .with("why", error)
                .file("tokenizer.json")
                .hint("Import the model again with its tokenizer.json.")
        })?;
        Self::from_bytes(
            &tokenizer,
            optional("tokenizer_config.json").as_deref(),
            optional("special_tokens_map.json").as_deref(),
            optional("chat_template.jinja").as_deref(),
        )
    }

    /// Builds a tokenizer from the bytes of its files.
    ///
    /// # Errors
    /// `tokenizer.broken`, naming the file.
    pub fn from_bytes(
        tokenizer_json: &[u8],
        tokenizer_config_json: Option<&[u8]>,
        special_tokens_map: Option<&[u8]>,
        chat_template: Option<&[u8]>,
    ) -> Result<Self, Problem> {
        let digest = digest([Some(tokenizer_json), tokenizer_config_json, special_tokens_map, chat_template]);
        let mut inner = Tokenizer::from_bytes(tokenizer_json)
            .map_err(|error| broken("tokenizer.json", &error.to_string()))?;
        // Limits are the encoder's business; a stored truncation would silently shorten every text.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| broken("tokenizer.json", &error.to_string()))?;
        let settings = Settings::read(tokenizer_config_json, special_tokens_map, chat_template)?;
        let id = |token: &Option<String>| token.as_deref().and_then(|token| inner.token_to_id(token));
        let (bos_id, eos_id) = (id(&settings.bos), id(&settings.eos));
        // S-094: no pad token, or the old Baichuan id 64000, means id 0.
        let pad_id = id(&settings.pad).filter(|id| *id != 64_000).unwrap_or(0);
        let mut specials: BTreeSet<u32> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter_map(|(id, token)| token.special.then_some(id))
            .collect();
        specials.extend([bos_id, eos_id].into_iter().flatten());
        let probe =
            inner.encode_fast("", true).map_err(|error| broken("tokenizer.json", &error.to_string()))?;
        let adds_bos = bos_id.is_some() && probe.get_ids().first().copied() == bos_id;
        Ok(Self {
            inner,
            settings,
            bos_id,
            eos_id,
            pad_id,
            adds_bos,
            specials,
            digest,
            renamed: Mutex::default(),
        })
    }

    /// SHA-256 over its files, chat template included, hex: the same digest, the same tokens.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Ids of a text. Special tokens written in the text become their ids. With `add_special` the begin token
    /// comes first where this tokenizer wants one.
    ///
    /// # Errors
    /// `tokenizer.failed` when the text cannot be tokenised.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, Problem> {
        let encoding = self.inner.encode_fast(text, false).map_err(failed)?;
        let bos = self.bos_id.filter(|_| add_special && self.adds_bos);
        Ok(bos.into_iter().chain(encoding.get_ids().iter().copied()).collect())
    }

    /// Text of ids; ids outside the vocabulary are skipped, bytes that form no character show as U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.inner.decode(ids, skip_special).unwrap_or_default()
    }

    /// Starts decoding ids one at a time.
    pub fn stream(&self, skip_special: bool) -> DecodeStream<&Self> {
        DecodeStream::new(self, skip_special)
    }

    /// Text of one token for display; half a character shows as U+FFFD.
    pub fn token_text(&self, id: u32) -> String {
        let Some(token) = self.inner.id_to_token(id) else { return format!("<{id}>") };
        if token.contains('▁') {
            return token.replace('▁', " ");
        }
        if let Some(hex) = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>')) {
            let byte = u8::from_str_radix(hex, 16).ok().filter(u8::is_ascii);
            return byte.map_or('\u{FFFD}', char::from).to_string();
        }
        if self.is_special(id) { token } else { self.decode(&[id], false) }
    }

    /// The token as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether an id is a special token.
    pub fn is_special(&self, id: u32) -> bool {
        self.specials.contains(&id)
    }

    /// Ids of all special tokens, ascending.
    pub fn special_ids(&self) -> Vec<u32> {
        self.specials.iter().copied().collect()
    }

    /// Texts of all special tokens.
    pub fn special_tokens(&self) -> Vec<String> {
        self.specials.iter().filter_map(|id| self.inner.id_to_token(*id)).collect()
    }

    /// Texts of the added tokens that are not marked special.
    pub fn added_tokens(&self) -> Vec<String> {
        let added = self.inner.get_added_tokens_decoder().into_iter();
        let mut added: Vec<_> = added.filter(|(id, _)| !self.is_special(*id)).collect();
        added.sort_unstable_by_key(|(id, _)| *id);
        added.into_iter().map(|(_, token)| token.content).collect()
    }

    /// Begin token's id, whether or not it is added by itself.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// End token's id.
    pub fn eos_id(&self) -> Option<u32> {
        self.eos_id
    }

    /// Pad id, 0 where the model names none (S-094).
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Begin token's text.
    pub fn bos_token(&self) -> Option<&str> {
        self.settings.bos.as_deref()
    }

    /// End token's text.
    pub fn eos_token(&self) -> Option<&str> {
        self.settings.eos.as_deref()
    }

    /// Whether this tokenizer puts its begin token in front of a text.
    pub fn add_bos(&self) -> bool {
        self.adds_bos
    }

    /// Tokens in the vocabulary, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Rows an embedding needs for every token that a text can become, added tokens aside: the highest id and one.
    pub fn own_vocab_size(&self) -> usize {
        let added = self.inner.get_added_tokens_decoder();
        let own = self.inner.get_vocab(false).into_values().filter(|id| !added.contains_key(id));
        own.max().map_or(0, |id| id as usize + 1)
    }

    /// The model's chat template (Jinja), if it has one.
    pub fn chat_template(&self) -> Option<&str> {
        self.settings.chat_template.as_deref()
    }
}

fn failed(error: tokenizers::Error) -> Problem {
    Problem::new(Code::TokenizerFailed, format!("This text cannot be tokenised: {error}."))
        .with("why", error)
        .hint("Remove unusual characters from it.")
}

fn digest(files: [Option<&[u8]>; 4]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        let bytes = file.unwrap_or_default();
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn broken(file: &str, why: &str) -> Problem {
    Problem::new(Code::TokenizerBroken, format!("The model's tokenizer cannot be read: {why}."))
        .with("why", why)
        .file(file)
        .hint("Import the model again; the file may be cut short.")
}
