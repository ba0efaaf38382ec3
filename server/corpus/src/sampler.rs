//! Seeded orders of rows: the same seed and epoch give the same order on every machine, so a run can go on where
//! it stopped by asking again and skipping what it has seen.

/// Row indices 0..rows in a shuffled order, a function of its arguments alone.
pub fn order(rows: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows).collect();
    let mut random = SplitMix::new(seed, epoch);
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}

/// Row indices of the training and the evaluation part (S-160): as many random rows as
/// [`contract::params::held_out`] says are kept for evaluation. Both parts ascend.
pub fn split(rows: u32, dev_ratio: f64, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let shuffled = order(rows, seed, u64::MAX);
    let count = usize::try_from(contract::params::held_out(u64::from(rows), dev_ratio)).unwrap_or(0);
    let (eval, train) = shuffled.split_at(count);
    let ascending = |part: &[u32]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part
    };
    (ascending(train), ascending(eval))
}

/// A fixed draw of at most `most` of these rows, ascending: the same seed gives the same rows, whatever they are read
/// for, and a smaller draw is part of a larger one.
pub fn draw(rows: &[u32], most: usize, seed: u64) -> Vec<u32> {
    let order = order(u32::try_from(rows.len()).unwrap_or(u32::MAX), seed, u64::MAX - 1);
    let mut drawn: Vec<u32> =
        order.into_iter().take(most).filter_map(|at| rows.get(at as usize).copied()).collect();
    drawn.sort_unstable();
    drawn
}

/// The order of an epoch that needs no row far ahead of those already read: rows are shuffled within windows of
/// `window` rows, and the windows stay in order. With it training may begin while later rows are still prepared.
pub fn windowed_order(rows: u32, window: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows).collect();
    let mut random = SplitMix::new(seed, epoch);
    for part in order.chunks_mut(window.max(1) as usize) {
        for last in (1..part.len()).rev() {
            part.swap(last, random.below(last + 1));
        }
    }
    order
}

/// Seeded draws by weight.
#[derive(Debug)]
pub struct Draw(SplitMix);

impl Draw {
    /// Draws that the seed decides.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix::new(seed, 0x6D69_7869_6E67))
    }

    /// An index, each as likely as its weight; `None` when the weights add up to nothing.
    pub fn by_weight(&mut self, weights: impl Iterator<Item = f64> + Clone) -> Option<usize> {
        let total: f64 = weights.clone().sum();
        if !(total.is_finite() && total > 0.0) {
            return None;
        }
        let mut left = (self.0.next() >> 11) as f64 / (1_u64 << 53) as f64 * total;
        let mut last = None;
        for (index, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
            last = Some(index);
            if left < weight {
                break;
            }
            left -= weight;
        }
        last
    }
}

/// SplitMix64: small, fixed for ever, good enough to shuffle.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn new(seed: u64, stream: u64) -> Self {
        let mut start = Self(seed);
        let mixed = start.next();
        Self(mixed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the bias of the multiply is below 2^-32 for any row count.
    fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next()) * bound as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_each_row_once_and_depends_on_seed_and_epoch() {
        let first = order(1000, 42, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(first, order(1000, 42, 0));
        assert_ne!(first, order(1000, 42, 1));
        assert_ne!(first, order(1000, 43, 0));
        assert_eq!(order(5, 42, 0), [2, 0, 4, 3, 1], "fixed for ever: a resumed run depends on it");
        assert_eq!((order(0, 1, 0), order(1, 1, 0)), (vec![], vec![0]));
    }

    #[test]
    fn s_160_split_parts_are_disjoint_and_rounded_up() {
        let (train, eval) = split(101, 0.1, 7);
        assert_eq!((train.len(), eval.len()), (90, 11));
        assert!(eval.iter().all(|row| !train.contains(row)));
        assert_eq!(split(10, 1e-6, 7).1, Vec::<u32>::new());
        assert_eq!(split(2, 0.99, 7).0.len(), 1, "one row stays for training");
    }

    #[test]
    fn a_draw_is_fixed_by_its_seed_and_a_smaller_one_is_part_of_it() {
        let rows: Vec<u32> = (0..1000).map(|row| 3 * row).collect();
        let drawn = draw(&rows, 256, 42);
        assert_eq!(drawn.len(), 256);
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]) && drawn.iter().all(|row| rows.contains(row)));
        assert_eq!(drawn, draw(&rows, 256, 42));
        assert_ne!(drawn, draw(&rows, 256, 43));
        assert!(draw(&rows, 64, 42).iter().all(|row| drawn.contains(row)));
        assert!(drawn.iter().filter(|row| **row < 1500).count() > 90, "from everywhere");
        assert_eq!((draw(&rows, 5000, 42), draw(&[], 8, 42)), (rows, vec![]));
    }

    #[test]
    fn a_windowed_order_stays_near() {
        let order = windowed_order(1000, 64, 3, 1);
        assert!(order.iter().enumerate().all(|(at, row)| *row as usize / 64 == at / 64));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_ne!(order, windowed_order(1000, 64, 3, 2));
    }

    #[test]
    fn every_place_is_reached() {
        let mut seen = [0_u32; 8];
        for epoch in 0..800 {
            seen[order(8, 1, epoch)[0] as usize] += 1;
        }
        assert!(seen.iter().all(|count| (60..=140).contains(count)), "{seen:?}");
    }
}
