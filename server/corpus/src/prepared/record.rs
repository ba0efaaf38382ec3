//! One example as bytes: kind, then each sequence as its length, what was cut, the ids, and one bit a token that says
//! whether it counts in the loss.

use crate::encode::{Encoded, EncodedPair, EncodedPrompt, Example, IGNORED};

const SEQUENCE: u8 = 0;
const PAIR: u8 = 1;
const PROMPT: u8 = 2;

pub(super) fn write(example: &Example, out: &mut Vec<u8>) {
    match example {
        Example::Sequence(row) => {
            out.push(SEQUENCE);
            sequence(&row.input_ids, row.cut, &row.labels, out);
        }
        Example::Pair(pair) => {
            out.push(PAIR);
            sequence(&pair.chosen.input_ids, pair.chosen.cut, &pair.chosen.labels, out);
            sequence(&pair.rejected.input_ids, pair.rejected.cut, &pair.rejected.labels, out);
        }
        Example::Prompt(prompt) => {
            out.push(PROMPT);
            sequence(&prompt.input_ids, prompt.cut, &[], out);
            sequence(&prompt.reference, 0, &[], out);
        }
        // Texts are cut into blocks before they are stored; one that is not has no labels.
        Example::Text(ids) => {
            out.push(PROMPT);
            sequence(ids, 0, &[], out);
            sequence(&[], 0, &[], out);
        }
    }
}

fn number(value: usize, out: &mut Vec<u8>) {
    out.extend(u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

fn sequence(ids: &[u32], cut: usize, labels: &[i64], out: &mut Vec<u8>) {
    number(ids.len(), out);
    number(cut, out);
    ids.iter().for_each(|id| out.extend(id.to_le_bytes()));
    for eight in (0..ids.len()).step_by(8) {
        let bits = (eight..(eight + 8).min(ids.len())).enumerate();
        let learnt = |at: usize| labels.get(at).is_some_and(|label| *label != IGNORED);
        out.push(bits.fold(0, |byte, (bit, at)| byte | (u8::from(learnt(at)) << bit)));
    }
}

/// The example in these bytes; `None` when they are no whole record.
pub(super) fn read(bytes: &[u8]) -> Option<Example> {
    let (kind, mut rest) = bytes.split_first()?;
    let first = take(&mut rest)?;
    let example = match *kind {
        SEQUENCE => Example::Sequence(first),
        PAIR => Example::Pair(EncodedPair { chosen: first, rejected: take(&mut rest)? }),
        PROMPT => Example::Prompt(EncodedPrompt {
            input_ids: first.input_ids,
            cut: first.cut,
            reference: take(&mut rest)?.input_ids,
        }),
        _ => return None,
    };
    rest.is_empty().then_some(example)
}

fn take(rest: &mut &[u8]) -> Option<Encoded> {
    let mut word = || -> Option<u32> {
        let (word, after) = rest.split_first_chunk::<4>()?;
        *rest = after;
        Some(u32::from_le_bytes(*word))
    };
    let (length, cut) = (usize::try_from(word()?).ok()?, usize::try_from(word()?).ok()?);
    let (ids, after) = rest.split_at_checked(length.checked_mul(4)?)?;
    let (bits, after) = after.split_at_checked(length.div_ceil(8))?;
    *rest = after;
    let input_ids: Vec<u32> = ids
        .chunks_exact(4)
        .map(|id| id.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
        .collect();
    let label = |(at, id): (usize, &u32)| {
        if bits[at / 8] >> (at % 8) & 1 == 1 { i64::from(*id) } else { IGNORED }
    };
    let labels = input_ids.iter().enumerate().map(label).collect();
    Some(Encoded { input_ids, labels, cut })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded() -> impl Strategy<Value = Encoded> {
        (prop::collection::vec((any::<u32>(), any::<bool>()), 0..40), 0_usize..9).prop_map(|(tokens, cut)| {
            Encoded {
                input_ids: tokens.iter().map(|(id, _)| *id).collect(),
                labels: tokens
                    .iter()
                    .map(|(id, learn)| if *learn { i64::from(*id) } else { IGNORED })
                    .collect(),
                cut,
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(one in encoded(), two in encoded()) {
            let prompt = EncodedPrompt {
                input_ids: one.input_ids.clone(),
                reference: two.input_ids.clone(),
                cut: one.cut,
            };
            let pair = EncodedPair { chosen: one.clone(), rejected: two };
            for example in [Example::Sequence(one), Example::Pair(pair), Example::Prompt(prompt)] {
                let mut bytes = Vec::new();
                write(&example, &mut bytes);
                prop_assert_eq!(read(&bytes), Some(example));
                for length in 0..bytes.len() {
                    prop_assert_eq!(read(&bytes[..length]), None, "a cut record is seen to be cut");
                }
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
