//! A model's tokenizer: text to ids and back, special tokens, streaming decode.

mod files;
pub mod gguf;
mod growth;
mod halves;
mod limits;
mod marks;
pub mod plain;
mod probe;
mod settings;
mod stream;
#[cfg(test)]
mod tests;
pub mod train;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use contract::Code;
use contract::problem::Problem;
use sha2::{Digest, Sha256};
use tokenizers::{Encoding, Tokenizer};

use crate::panics;
use marks::{Mark, Marks, around};
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

/// Files beside `tokenizer.json` that say something about it.
const BESIDE: [&str; 5] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "config.json",
    "chat_template.jinja",
];

/// A tokenizer with what the files beside it say about special tokens and the chat template.
#[derive(Debug)]
pub struct ModelTokenizer {
    inner: Tokenizer,
    chat_template: Option<String>,
    marks: Marks,
    before: Vec<u32>,
    after: Vec<u32>,
    specials: BTreeSet<u32>,
    /// Ids from this one on have no row in the model, where its configuration says how many it has.
    rows: Option<u32>,
    digest: String,
    /// Copies that read words of control tokens as plain text.
    renamed: Mutex<Vec<Arc<plain::Renamed>>>,
}

impl ModelTokenizer {
    /// Loads `tokenizer.json` and, where present, the files beside it ([`ModelTokenizer::from_files`]) from a model's
    /// folder.
    ///
    /// # Errors
    /// `tokenizer.missing` or `tokenizer.broken`, naming the file.
    pub fn load(model_folder: &Path) -> Result<Self, Problem> {
        let tokenizer = files::read(model_folder, "tokenizer.json")?.ok_or_else(|| {
            let why = "there is no tokenizer.json";
            Problem::new(Code::TokenizerMissing, format!("The model's tokenizer cannot be read: {why}."))
                .with("why", why)
                .file("tokenizer.json")
                .hint("Import the model again with its tokenizer.json.")
        })?;
        let mut beside = BTreeMap::new();
        for name in BESIDE {
            beside.extend(files::read(model_folder, name)?.map(|bytes| (name, bytes)));
        }
        Self::from_files(&tokenizer, |name| beside.get(name))
    }

    /// Builds a tokenizer from the bytes of the files that are the tokenizer's own.
    ///
    /// # Errors
    /// `tokenizer.broken`, naming the file.
    pub fn from_bytes(
        tokenizer_json: &[u8],
        tokenizer_config_json: Option<&[u8]>,
        special_tokens_map: Option<&[u8]>,
        chat_template: Option<&[u8]>,
    ) -> Result<Self, Problem> {
        Self::from_files(tokenizer_json, |name| match name {
            "tokenizer_config.json" => tokenizer_config_json,
            "special_tokens_map.json" => special_tokens_map,
            "chat_template.jinja" => chat_template,
            _ => None,
        })
    }

    /// Builds a tokenizer from the bytes of `tokenizer.json` and of the files `beside` it, asked for by name: in order
    /// of trust `tokenizer_config.json`, `special_tokens_map.json`, `generation_config.json` and `config.json` for
    /// begin, end and pad token, and `chat_template.jinja`.
    ///
    /// # Errors
    /// `tokenizer.broken`, naming the file.
    pub fn from_files<B: AsRef<[u8]>>(
        tokenizer_json: &[u8],
        beside: impl Fn(&str) -> Option<B>,
    ) -> Result<Self, Problem> {
        files::check_size("tokenizer.json", tokenizer_json)?;
        growth::check(tokenizer_json)?;
        let mut inner = caught(|| Tokenizer::from_bytes(tokenizer_json))
            .map_err(|error| broken("tokenizer.json", &error.to_string()))?;
        // Limits are the encoder's business; a stored truncation would silently shorten every text.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| broken("tokenizer.json", &error.to_string()))?;
        let settings = Settings::read(&beside)?;
        probe::check(&inner)?;
        let marks = Marks::find(&settings, &mut inner)?;
        let mut specials: BTreeSet<u32> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter_map(|(id, token)| token.special.then_some(id))
            .collect();
        specials.extend(marks.bos.iter().chain(marks.eos()).map(|mark| mark.id));
        let (before, after) = around(&inner)?;
        let rows = settings.rows();
        let own = ["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"].map(&beside);
        let digest = digest(tokenizer_json, &own, &marks);
        Ok(Self {
            inner,
            chat_template: settings.chat_template,
            marks,
            before,
            after,
            specials,
            rows,
            digest,
            renamed: Mutex::default(),
        })
    }

    /// Refuses a tokenizer that makes far too many tokens of longer texts, or takes far too much processor time for one.
    /// Asked once, when a model comes in: what passed then is used whatever the machine is busy with.
    ///
    /// # Errors
    /// `tokenizer.broken`.
    pub fn try_out(&self) -> Result<(), Problem> {
        probe::check_work(&self.inner)
    }

    /// SHA-256 over its files, chat template included, and the tokens that the model's configuration names, hex: the
    /// same digest, the same tokens.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Ids of a text. Special tokens written in the text become their ids. With `add_special` what this tokenizer puts
    /// before a text comes first: the begin token, where it wants one.
    ///
    /// # Errors
    /// `tokenizer.failed` when the text cannot be tokenised.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, Problem> {
        let encoding = bounded(text, || self.inner.encode_fast(text, false))?;
        let before: &[u32] = if add_special { &self.before } else { &[] };
        Ok([before, encoding.get_ids()].concat())
    }

    /// Ids of a whole text with everything this tokenizer puts around it, as a call of transformers' tokenizer gives
    /// them.
    ///
    /// # Errors
    /// As [`ModelTokenizer::encode`].
    pub fn encode_whole(&self, text: &str) -> Result<Vec<u32>, Problem> {
        let mut ids = self.encode(text, true)?;
        ids.extend(&self.after);
        Ok(ids)
    }

    /// Text of ids; ids outside the vocabulary are skipped, bytes that form no character show as U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        caught(|| self.inner.decode(ids, skip_special)).unwrap_or_default()
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

    /// Whether an id has no row in the model: no text of people may become it.
    pub(crate) fn is_beyond_rows(&self, id: u32) -> bool {
        self.rows.is_some_and(|rows| id >= rows)
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
        self.marks.bos.as_ref().map(|mark| mark.id)
    }

    /// Id of the end token: what training writes behind an answer.
    pub fn eos_id(&self) -> Option<u32> {
        self.marks.eos().map(|mark| mark.id)
    }

    /// Ids at which an answer ends: the end token, then the others that the model's files name.
    pub fn eos_ids(&self) -> Vec<u32> {
        self.marks.ends.iter().map(|mark| mark.id).collect()
    }

    /// Pad id. S-094: no pad token, or the old Baichuan id 64000, means id 0.
    pub fn pad_id(&self) -> u32 {
        self.marks.pad.as_ref().map(|mark| mark.id).filter(|id| *id != 64_000).unwrap_or(0)
    }

    /// Begin token's text.
    pub fn bos_token(&self) -> Option<&str> {
        self.marks.bos.as_ref().map(text_of)
    }

    /// End token's text.
    pub fn eos_token(&self) -> Option<&str> {
        self.marks.eos().map(text_of)
    }

    /// Whether this tokenizer puts something, most often its begin token, in front of a text.
    pub fn add_bos(&self) -> bool {
        !self.before.is_empty()
    }

    /// Ids it puts before a text.
    pub fn before(&self) -> &[u32] {
        &self.before
    }

    /// Ids it puts behind a text.
    pub fn after(&self) -> &[u32] {
        &self.after
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
        self.chat_template.as_deref()
    }
}

/// The tokens of a text, unless they are more than it can need.
fn bounded(text: &str, encode: impl FnOnce() -> tokenizers::Result<Encoding>) -> Result<Encoding, Problem> {
    let encoding = caught(encode).map_err(failed)?;
    if probe::too_many(encoding.len(), text.len()) {
        return Err(failed("it becomes far too many tokens".into()));
    }
    Ok(encoding)
}

/// What the library gives; a tokenizer that it was not made for may end it.
fn caught<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    panics::caught(work).unwrap_or_else(|| Err("its parts do not go together".into()))
}

fn failed(error: tokenizers::Error) -> Problem {
    Problem::new(Code::TokenizerFailed, format!("This text cannot be tokenised: {error}."))
        .with("why", error)
        .hint("Remove unusual characters from it.")
}

fn text_of(mark: &Mark) -> &str {
    &mark.text
}

fn digest<B: AsRef<[u8]>>(tokenizer_json: &[u8], beside: &[Option<B>], marks: &Marks) -> String {
    let mut digest = Sha256::new();
    let beside = beside.iter().map(|file| file.as_ref().map_or(&[][..], AsRef::as_ref));
    for bytes in std::iter::once(tokenizer_json).chain(beside) {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    let ids = |marks: &[Mark]| marks.iter().map(|mark| mark.id).collect::<Vec<_>>();
    let marked = [ids(marks.bos.as_slice()), ids(&marks.ends), ids(marks.pad.as_slice())];
    digest.update(format!("{marked:?}"));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn broken(file: &str, why: &str) -> Problem {
    Problem::new(Code::TokenizerBroken, format!("The model's tokenizer cannot be read: {why}."))
        .with("why", why)
        .file(file)
        .hint("Import the model again; the file may be cut short.")
}
