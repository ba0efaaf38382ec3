//! Begin, end and pad token of a model, and what its tokenizer puts around a text.

use contract::problem::Problem;
use tokenizers::{AddedToken, Tokenizer};

use super::limits::AROUND;
use super::settings::{Named, Settings};
use super::{broken, caught};

/// A token with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: u32,
    pub(super) text: String,
}

/// Begin, end and pad token, looked up in the vocabulary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) bos: Option<Mark>,
    /// The first is what training writes behind an answer; each of them ends one.
    pub(super) ends: Vec<Mark>,
    pub(super) pad: Option<Mark>,
}

impl Marks {
    /// Looks them up. Those a text could not write yet become special tokens, as transformers makes them.
    ///
    /// # Errors
    /// `tokenizer.broken` when the tokenizer cannot be asked.
    pub(super) fn find(settings: &Settings, inner: &mut Tokenizer) -> Result<Self, Problem> {
        // A tokenizer that says it has no begin token is believed: its model's configuration often names one all the
        // same, which no text of its training began with.
        let bos = if settings.denies("bos") { Vec::new() } else { settings.names("bos") };
        let marks = Self {
            bos: known(&bos, inner)?.into_iter().next(),
            ends: known(&settings.names("eos"), inner)?,
            pad: known(&settings.names("pad"), inner)?.into_iter().next(),
        };
        let written = marks.bos.iter().chain(marks.ends.first()).chain(&marks.pad);
        let added = inner.get_added_tokens_decoder();
        let missing: Vec<AddedToken> = written
            .filter(|mark| !added.contains_key(&mark.id))
            .map(|mark| AddedToken::from(mark.text.clone(), true))
            .collect();
        caught(|| inner.add_special_tokens(missing))
            .map_err(|error| broken("tokenizer.json", &error.to_string()))?;
        Ok(marks)
    }

    pub(super) fn eos(&self) -> Option<&Mark> {
        self.ends.first()
    }
}

/// The named tokens that the vocabulary has, each once.
fn known(names: &[Named], inner: &Tokenizer) -> Result<Vec<Mark>, Problem> {
    let added = inner.get_added_tokens_decoder();
    let mut marks: Vec<Mark> = Vec::new();
    for name in names {
        let mark = match name {
            Named::Text(text) => inner.token_to_id(text).map(|id| Mark { id, text: text.clone() }),
            Named::Id(id) if !added.contains_key(id) && is_plain(*id, inner)? => None,
            Named::Id(id) => inner.id_to_token(*id).map(|text| Mark { id: *id, text }),
        };
        marks.extend(mark.filter(|mark| marks.iter().all(|other| other.id != mark.id)));
    }
    Ok(marks)
}

/// Whether plain text becomes this token, which is no added one. A configuration that names such a one was written for
/// another tokenizer: its library fills in 1 and 2 where nobody gave a number.
fn is_plain(id: u32, inner: &Tokenizer) -> Result<bool, Problem> {
    let text = caught(|| inner.decode(&[id], false))
        .map_err(|error| broken("tokenizer.json", &error.to_string()))?;
    Ok(encode(&text, false, inner)? == [id])
}

/// Ids that the tokenizer puts before and after a text.
///
/// `tokenizer.json` alone decides, as in transformers 5: `add_bos_token` and `add_eos_token` of
/// `tokenizer_config.json` were written into it when it was saved.
pub(super) fn around(inner: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), Problem> {
    const ANY: &str = "a";
    let (bare, whole) = (encode(ANY, false, inner)?, encode(ANY, true, inner)?);
    if bare.is_empty() {
        return Ok((whole, Vec::new()));
    }
    if whole.len().saturating_sub(bare.len()) > AROUND {
        return Err(broken("tokenizer.json", "it puts too many tokens around every text"));
    }
    let at = whole.windows(bare.len()).position(|ids| ids == bare).unwrap_or(0);
    let after = whole.get(at + bare.len()..).unwrap_or_default().to_vec();
    Ok((whole[..at].to_vec(), after))
}

fn encode(text: &str, special: bool, inner: &Tokenizer) -> Result<Vec<u32>, Problem> {
    let encoding = caught(|| inner.encode_fast(text, special));
    let encoding = encoding.map_err(|error| broken("tokenizer.json", &error.to_string()))?;
    Ok(encoding.get_ids().to_vec())
}
