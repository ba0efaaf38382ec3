//! Rows that a run holds out for measuring and that stand among its training rows as well.

use contract::checkup::Holdout;
use contract::health::{HeldOut, RowSet};

use crate::sampler::split;

/// Rows looked at, at most, 16 bytes each.
const MOST: usize = 4 << 20;

/// A row that teaches.
struct Place {
    hash: u64,
    /// From 1.
    row: u32,
    /// The training example it is, or begins in, from 0.
    example: u32,
}

/// Which example each row is.
pub(super) struct Places {
    holdout: Holdout,
    rows: Vec<Place>,
    /// Whether there were more rows than are looked at.
    over: bool,
}

impl Places {
    pub(super) fn new(holdout: Holdout) -> Self {
        Self { holdout, rows: Vec::new(), over: false }
    }

    /// Notes a row whose words have this hash.
    pub(super) fn add(&mut self, row: u64, hash: u64, example: u64) {
        match (u32::try_from(row), u32::try_from(example)) {
            (Ok(row), Ok(example)) if self.rows.len() < MOST => self.rows.push(Place { hash, row, example }),
            _ => self.over = true,
        }
    }

    /// Splits so many examples as the run does. `None`: nothing is held out, or not every row was looked at.
    pub(super) fn found(mut self, examples: u64) -> Option<HeldOut> {
        let examples = u32::try_from(examples).ok().filter(|_| !self.over)?;
        let (_, eval) = split(examples, self.holdout.dev_ratio, self.holdout.seed);
        if eval.is_empty() {
            return None;
        }
        let mut held = vec![false; examples as usize];
        for example in eval {
            held[example as usize] = true;
        }
        let is_held = |place: &Place| held.get(place.example as usize).copied().unwrap_or(false);
        let rows = self.rows.iter().filter(|place| is_held(place)).count() as u64;
        self.rows.sort_unstable_by_key(|place| (place.hash, place.row));
        let mut learned: Vec<u32> = Vec::new();
        for same in self.rows.chunk_by(|one, next| one.hash == next.hash) {
            if !same.iter().all(is_held) {
                learned.extend(same.iter().filter(|place| is_held(place)).map(|place| place.row));
            }
        }
        learned.sort_unstable();
        let mut found = HeldOut { rows, learned: RowSet::default() };
        learned.into_iter().for_each(|row| found.learned.add(u64::from(row)));
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_rows_are_found_among_the_others() {
        let holdout = Holdout { dev_ratio: 0.25, seed: 7 };
        let (_, eval) = split(40, 0.25, 7);
        let mut places = Places::new(holdout);
        // Every row stands twice, one behind the other.
        (0..40).for_each(|example| places.add(example + 1, example / 2, example));
        let found = places.found(40).expect("ten rows");
        let wanted: Vec<u64> =
            eval.iter().filter(|row| !eval.contains(&(**row ^ 1))).map(|row| u64::from(*row) + 1).collect();
        assert_eq!((found.rows, found.learned.first), (10, wanted));
        let mut apart = Places::new(holdout);
        (0..40).for_each(|example| apart.add(example + 1, example, example));
        assert_eq!(apart.found(40), Some(HeldOut { rows: 10, learned: RowSet::default() }));
        let none = Places::new(Holdout { dev_ratio: 0.0, seed: 7 });
        assert_eq!(none.found(40), None);
    }
}
