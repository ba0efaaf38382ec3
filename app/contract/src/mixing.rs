//! How datasets become the rows of a run: several in one, and which of two behaviours where the original had a fault.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::problem::Problem;

/// Which behaviour a run wants where the original toolkit had a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// As it should be: the begin token once in front, and pre-training text carried over into the next block.
    #[default]
    Corrected,
    /// As the original did it: special tokens before every turn (S-142), left-over text dropped after every 1000
    /// rows (S-141), ppo rows without an answer left out (S-140).
    Original,
}

impl Behaviour {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Corrected, Self::Original];

    /// The key in forms.
    pub fn key(self) -> &'static str {
        match self {
            Self::Corrected => "corrected",
            Self::Original => "original",
        }
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behaviour| behaviour.key() == key)
    }
}

/// How several datasets become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mixing {
    /// One after the other, as the original did (S-080); weights play no part.
    #[default]
    Concatenate,
    /// Drawn at random by weight until the first set has no row left.
    UntilShortest,
    /// Drawn at random by weight until every set was read whole; shorter sets begin again.
    UntilLongest,
}

impl Mixing {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Concatenate, Self::UntilShortest, Self::UntilLongest];

    /// The key in forms.
    pub fn key(self) -> &'static str {
        match self {
            Self::Concatenate => "concatenate",
            Self::UntilShortest => "until_shortest",
            Self::UntilLongest => "until_longest",
        }
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mixing| mixing.key() == key)
    }
}

/// The system text of each of `datasets` datasets (S-032): one for all, or as many as there are, parted by `|`.
/// Empty text means none.
///
/// # Errors
/// `form.prefix_count` when their number is another.
pub fn source_prefixes(typed: &str, datasets: usize) -> Result<Vec<Option<String>>, Problem> {
    if typed.is_empty() {
        return Ok(vec![None; datasets]);
    }
    let parts: Vec<Option<String>> = typed.split('|').map(|part| Some(part.to_owned())).collect();
    match parts.as_slice() {
        [one] => Ok(vec![one.clone(); datasets]),
        all if all.len() == datasets => Ok(parts),
        all => Err(Problem::new(
            Code::FormPrefixCount,
            "The number of prefixes should be either identical with datasets or 1.",
        )
        .field("source_prefix")
        .hint(format!("There are {} prefixes and {datasets} datasets; part prefixes with |.", all.len()))),
    }
}

/// The weight of each of `datasets` datasets: as many numbers above 0 as there are, separated by commas. Empty text
/// means that all weigh the same.
///
/// # Errors
/// `form.weights` when their number is another, or one is no number above 0.
pub fn mixing_weights(typed: &str, datasets: usize) -> Result<Vec<f64>, Problem> {
    if typed.trim().is_empty() {
        return Ok(vec![1.0; datasets]);
    }
    let number = |part: &str| part.trim().parse::<f64>().ok().filter(|one| one.is_finite() && *one > 0.0);
    let weights: Option<Vec<f64>> = typed.split(',').map(number).collect();
    weights.filter(|all| all.len() == datasets).ok_or_else(|| {
        Problem::new(
            Code::FormWeights,
            format!(
                "The weights must be {datasets} numbers above 0, separated by commas; they are \"{typed}\"."
            ),
        )
        .field("mixing_weights")
        .hint("Give every dataset one, in their order, for example 2,1.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_032_prefixes_are_one_for_all_or_one_each() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(source_prefixes("", 2).unwrap(), [None, None]);
        assert_eq!(source_prefixes("Be brief.", 2).unwrap(), [some("Be brief."), some("Be brief.")]);
        assert_eq!(source_prefixes("a|b", 2).unwrap(), [some("a"), some("b")]);
        let problem = source_prefixes("a|b", 3).unwrap_err();
        assert_eq!(problem.message, "The number of prefixes should be either identical with datasets or 1.");
    }

    #[test]
    fn weights_are_numbers_above_nothing_one_for_each_dataset() {
        assert_eq!(mixing_weights(" ", 3).unwrap(), [1.0, 1.0, 1.0]);
        assert_eq!(mixing_weights("2, 0.5", 2).unwrap(), [2.0, 0.5]);
        for bad in ["1", "1,2,3", "1,0", "1,-2", "1,nan", "1,inf", "1,x", "1,"] {
            assert_eq!(mixing_weights(bad, 2).unwrap_err().form_key(), Some("mixing_weights"), "{bad}");
        }
    }
}
