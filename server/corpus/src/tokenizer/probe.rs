//! A tokenizer is tried on a few texts before it is used, and on longer ones when it comes in.

use std::time::Duration;

use contract::problem::Problem;
use tokenizers::Tokenizer;

use super::limits::{PATIENCE, TOKENS_A_BYTE, TRIED};
use super::{broken, caught};

/// Texts that most tokenizers have tokens for.
const USUAL: [&str; 4] = ["a", "Hello, world 0123", "你好", " \n"];

/// Tokens of a vocabulary whose own texts are tried where there are none for these.
const OWN: u32 = 1_000;

/// Refuses a tokenizer that makes no tokens of any text.
///
/// # Errors
/// `tokenizer.broken` with what is wrong.
pub(super) fn check(inner: &Tokenizer) -> Result<(), Problem> {
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

/// Refuses a tokenizer that makes far too many tokens of longer texts, or takes far too long for one: patterns may look
/// at a text over and over.
///
/// # Errors
/// `tokenizer.broken` with what is wrong.
pub(super) fn check_work(inner: &Tokenizer) -> Result<(), Problem> {
    watched(inner, spent)
}

/// The same by a clock of one's own.
fn watched(inner: &Tokenizer, mut clock: impl FnMut() -> Duration) -> Result<(), Problem> {
    let refused = |why: &str| Err(broken("tokenizer.json", why));
    for piece in ["a", " ", "aA1 !\u{6c34}\n"] {
        let mut encoded = false;
        for bytes in TRIED {
            let text = piece.repeat(bytes / piece.len());
            let began = clock();
            match caught(|| inner.encode_fast(text.as_str(), false)) {
                Ok(ids) if too_many(ids.len(), text.len()) => {
                    return refused("it makes far too many tokens of a text");
                }
                Ok(_) => encoded = true,
                // Some have no token for it, however short it is.
                Err(error) if encoded => return refused(&error.to_string()),
                Err(_) => {}
            }
            if clock().saturating_sub(began) > PATIENCE {
                return refused("it takes far too long for a text");
            }
        }
    }
    Ok(())
}

/// Processor time this thread has used: what a tokenizer takes does not depend on what else the machine does, nor on
/// whether it stands still for a while.
#[cfg(unix)]
fn spent() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Elsewhere there is no such clock, and only tokens are counted.
#[cfg(not(unix))]
fn spent() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use contract::Code;

    use super::*;
    use crate::tokenizer::train::train;

    fn honest() -> Tokenizer {
        let texts = (0..50).map(|n| format!("How do I write a line {n}?"));
        Tokenizer::from_bytes(train(texts, 400).unwrap().tokenizer_json).unwrap()
    }

    #[test]
    fn too_much_work_is_refused_and_however_little_time_there_is_between_is_not() {
        assert!(watched(&honest(), || Duration::ZERO).is_ok());
        let mut now = Duration::ZERO;
        let slow = watched(&honest(), || {
            now += PATIENCE + Duration::from_nanos(1);
            now
        });
        assert_eq!(slow.unwrap_err().code, Code::TokenizerBroken);
    }

    #[cfg(unix)]
    #[test]
    fn waiting_is_no_work() {
        let burnt = Duration::from_millis(200);
        let began = spent();
        let other = std::thread::spawn(move || {
            let began = spent();
            while spent() - began < burnt {
                std::hint::black_box(began);
            }
        });
        // This thread stands still while the other works.
        other.join().unwrap();
        assert!(spent() - began < burnt / 2);
    }
}
