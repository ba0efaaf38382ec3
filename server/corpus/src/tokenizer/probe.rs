//! A tokenizer is tried on a few texts before it is used.

use contract::problem::Problem;
use tokenizers::Tokenizer;

use super::limits::TOKENS_A_BYTE;
#[cfg(not(target_arch = "wasm32"))]
use super::limits::{PATIENCE, TRIED};
use super::{broken, caught};

/// Texts that most tokenizers have tokens for.
const USUAL: [&str; 4] = ["a", "Hello, world 0123", "你好", " \n"];

/// Tokens of a vocabulary whose own texts are tried where there are none for these.
const OWN: u32 = 1_000;

/// Refuses a tokenizer that makes no tokens of any text, far too many, or takes far too long.
///
/// # Errors
/// `tokenizer.broken` with what is wrong.
pub(super) fn check(inner: &Tokenizer) -> Result<(), Problem> {
    check_speed(inner)?;
    // Added tokens are found before a text is looked at, so they say nothing of other texts.
    let added = inner.get_added_tokens_decoder();
    let own = (0..OWN).filter(|id| !added.contains_key(id)).filter_map(|id| inner.id_to_token(id));
    let mut tried = USUAL.iter().map(|text| (*text).to_owned()).chain(own);
    let encodes =
        |text: &String| caught(|| inner.encode_fast(text.as_str(), false)).is_ok_and(|ids| !ids.is_empty());
    if tried.any(|text| encodes(&text)) {
        return Ok(());
    }
    Err(broken("tokenizer.json", "it makes no tokens of any text"))
}

/// Whether so many tokens are more than a text of so many bytes can need.
pub(super) fn too_many(tokens: usize, bytes: usize) -> bool {
    tokens > (bytes + TOKENS_A_BYTE).saturating_mul(TOKENS_A_BYTE)
}

/// Patterns may look at a text over and over: that shows on longer ones.
#[cfg(not(target_arch = "wasm32"))]
fn check_speed(inner: &Tokenizer) -> Result<(), Problem> {
    let refused = |why: &str| Err(broken("tokenizer.json", why));
    for piece in ["a", " ", "aA1 !\u{6c34}\n"] {
        let mut encoded = false;
        for bytes in TRIED {
            let text = piece.repeat(bytes / piece.len());
            let began = std::time::Instant::now();
            match caught(|| inner.encode_fast(text.as_str(), false)) {
                Ok(ids) if too_many(ids.len(), text.len()) => {
                    return refused("it makes far too many tokens of a text");
                }
                Ok(_) => encoded = true,
                // Some have no token for it, however short it is.
                Err(error) if encoded => return refused(&error.to_string()),
                Err(_) => {}
            }
            if began.elapsed() > PATIENCE {
                return refused("it takes far too long for a text");
            }
        }
    }
    Ok(())
}

/// In the browser there is no clock; what is loaded there was imported before.
#[cfg(target_arch = "wasm32")]
fn check_speed(_inner: &Tokenizer) -> Result<(), Problem> {
    Ok(())
}
