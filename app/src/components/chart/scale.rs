//! From values to pixels, and the round numbers an axis shows.

/// A linear scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Maps `low..high` to `from..to`. An empty range is widened, so that nothing divides by zero.
    pub(crate) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let high = if high > low { high } else { low + low.abs().max(1.0) };
        Self { low, high, from, to }
    }

    /// Value to pixel.
    pub(crate) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Pixel to value.
    pub(crate) fn value(&self, pixel: f64) -> f64 {
        self.low + (pixel - self.from) / (self.to - self.from) * (self.high - self.low)
    }

    /// At most `count` + 1 round numbers within the range.
    pub(crate) fn ticks(&self, count: usize) -> Vec<f64> {
        let step = round_step((self.high - self.low) / count.max(1) as f64);
        let first = (self.low / step).ceil();
        let last = (self.high / step + 1e-9).floor();
        (0..=((last - first).max(0.0) as usize)).map(|index| (first + index as f64) * step).collect()
    }
}

/// The next of 1, 2, 5 × 10ⁿ.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let lead = rough / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| lead <= *round + 1e-9).unwrap_or(10.0);
    round * power
}

/// Magnitudes from which a label is written with a power of ten.
const LONG: (f64, f64) = (1e-4, 1e5);

/// A tick's text with as many digits as the step between ticks needs; `1.5e6` where these would be too many.
pub(crate) fn label(value: f64, ticks: &[f64]) -> String {
    let step = ticks.get(1).zip(ticks.first()).map_or(1.0, |(second, first)| (second - first).abs());
    let largest = ticks.iter().fold(value.abs(), |largest, tick| largest.max(tick.abs()));
    if value.abs() < step * 1e-9 {
        return "0".to_owned();
    }
    if largest >= LONG.1 || step < LONG.0 {
        let digits = (value.abs().log10().floor() - step.log10().floor()).clamp(0.0, 5.0) as usize;
        return format!("{value:.digits$e}");
    }
    let digits = if step >= 1.0 { 1 } else { (-step.log10()).ceil().clamp(1.0, 6.0) as usize };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_meet_the_ends_and_there_is_a_way_back() {
        let scale = Scale::new((0.0, 400.0), (44.0, 848.0));
        assert_eq!((scale.at(0.0), scale.at(400.0)), (44.0, 848.0));
        assert!((scale.value(scale.at(123.0)) - 123.0).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(Scale::new((0.0, 400.0), (0.0, 1.0)).ticks(4), [0.0, 100.0, 200.0, 300.0, 400.0]);
        assert_eq!(Scale::new((0.7, 4.2), (0.0, 1.0)).ticks(4), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_flat_curve_has_a_scale_too() {
        let scale = Scale::new((2.0, 2.0), (0.0, 10.0));
        assert!(scale.at(2.0).is_finite() && !scale.ticks(4).is_empty());
    }

    #[test]
    fn labels_have_the_digits_their_step_needs() {
        assert_eq!(label(1.0, &[1.0, 2.0]), "1.0");
        assert_eq!(label(0.25, &[0.2, 0.25]), "0.25");
        assert_eq!(label(0.0, &[-0.5, 0.0, 0.5]), "0");
    }

    #[test]
    fn very_large_and_very_small_ticks_stay_short_and_apart() {
        for (low, high) in [(0.0, 1e30), (0.0, 3e-12), (-2e9, 2e9), (999_000.0, 1_000_000.0)] {
            let ticks = Scale::new((low, high), (0.0, 1.0)).ticks(5);
            let mut labels: Vec<_> = ticks.iter().map(|tick| label(*tick, &ticks)).collect();
            assert!(labels.len() > 1 && labels.iter().all(|label| label.len() <= 9), "{labels:?}");
            labels.dedup();
            assert_eq!(labels.len(), ticks.len(), "{labels:?}");
        }
    }
}
