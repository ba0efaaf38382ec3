//! Smoothing and thinning of a curve.

use crate::feed::Point;

/// Exponential moving average with its bias removed: the first value is the first point's own.
pub(crate) fn smooth(points: &[Point], weight: f64) -> Vec<Point> {
    let weight = weight.clamp(0.0, 0.999);
    let (mut mean, mut mass) = (0.0, 0.0);
    points
        .iter()
        .map(|point| {
            mean = weight * mean + (1.0 - weight) * point.loss;
            mass = weight * mass + (1.0 - weight);
            Point { step: point.step, loss: mean / mass }
        })
        .collect()
}

/// At most about `2 × buckets` points that keep every bucket's lowest and highest value, and both ends.
pub(crate) fn thin(points: &[Point], buckets: usize) -> Vec<Point> {
    if points.len() <= buckets * 2 + 2 || buckets == 0 {
        return points.to_vec();
    }
    let width = points.len().div_ceil(buckets);
    let mut kept = Vec::with_capacity(buckets * 2 + 2);
    kept.push(points[0]);
    for bucket in points.chunks(width) {
        let by_loss = |a: &&Point, b: &&Point| a.loss.total_cmp(&b.loss);
        let low = bucket.iter().min_by(by_loss).copied();
        let high = bucket.iter().max_by(by_loss).copied();
        let mut pair: Vec<Point> = low.into_iter().chain(high).collect();
        pair.sort_by_key(|point| point.step);
        kept.extend(pair);
    }
    kept.extend(points.last().copied());
    kept.dedup_by_key(|point| point.step);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(losses: &[f64]) -> Vec<Point> {
        losses.iter().enumerate().map(|(step, loss)| Point { step: step as u64 + 1, loss: *loss }).collect()
    }

    #[test]
    fn s_193_a_constant_stays_itself_from_the_first_point_on() {
        for point in smooth(&curve(&[2.0; 50]), 0.9) {
            assert!((point.loss - 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn no_weight_is_no_smoothing_and_more_weight_moves_less() {
        let points = curve(&[1.0, 3.0, 1.0, 3.0]);
        assert_eq!(smooth(&points, 0.0), points);
        let jump = |weight| (smooth(&points, weight)[3].loss - smooth(&points, weight)[2].loss).abs();
        assert!(jump(0.9) < jump(0.5));
    }

    #[test]
    fn thinning_keeps_spikes_and_ends() {
        let mut losses = vec![1.0; 10_000];
        losses[5_003] = 9.0;
        losses[7_001] = 0.1;
        let points = curve(&losses);
        let kept = thin(&points, 200);
        assert!(kept.len() <= 402, "{}", kept.len());
        assert!(kept.iter().any(|point| point.loss == 9.0) && kept.iter().any(|point| point.loss == 0.1));
        assert_eq!((kept[0].step, kept[kept.len() - 1].step), (1, 10_000));
        assert!(kept.windows(2).all(|pair| pair[0].step < pair[1].step));
    }

    #[test]
    fn a_short_curve_is_left_alone() {
        let points = curve(&[3.0, 2.0, 1.0]);
        assert_eq!(thin(&points, 200), points);
    }
}
