//! Loops that compilers turn into vector instructions. All are inlined into their caller's `dispatch`.

use crate::kernels::AdamStep;

/// Adding and taking away this rounds an f32 to a whole number.
const ROUND: f32 = 12_582_912.0;

/// `e^x`, 2e-7 relative; below -87 it is 0 for all that follows.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let z = x * std::f32::consts::LOG2_E + ROUND;
    let n = z - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let power = z.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(power)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Inner product in 32 lanes.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 32;
    let mut lanes = [0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for i in 0..LANES {
            lanes[i] += x[i] * y[i];
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0] + rest
}

/// `y += a x`.
#[inline(always)]
pub(super) fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// `y += a0 x0 + a1 x1 + a2 x2 + a3 x3`, the four rows of x one after another.
#[inline(always)]
pub(super) fn add_four(y: &mut [f32], a: [f32; 4], x: &[f32]) {
    let (x01, x23) = x.split_at(2 * y.len());
    let ((x0, x1), (x2, x3)) = (x01.split_at(y.len()), x23.split_at(y.len()));
    for ((((y, x0), x1), x2), x3) in y.iter_mut().zip(x0).zip(x1).zip(x2).zip(x3) {
        *y += a[0] * x0 + a[1] * x1 + (a[2] * x2 + a[3] * x3);
    }
}

/// Turns every head of a row; `cos` and `sin` belong to its position.
#[inline(always)]
pub(super) fn rotate(row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let half = cos.len();
    for head in row.chunks_exact_mut(2 * half) {
        let (a, b) = head.split_at_mut(half);
        for (((a, b), c), s) in a.iter_mut().zip(b).zip(cos).zip(sin) {
            let s = s * sign;
            (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
        }
    }
}

/// Gradients of `silu(gate) * up`.
#[inline(always)]
pub(super) fn swiglu_gradients((gate, up, dy): (&[f32], &[f32], &[f32]), dg: &mut [f32], du: &mut [f32]) {
    for ((((g, u), dy), dg), du) in gate.iter().zip(up).zip(dy).zip(dg).zip(du) {
        let s = sigmoid(*g);
        *du = dy * g * s;
        *dg = dy * u * s * (1.0 + g * (1.0 - s));
    }
}

/// One AdamW update of a slice (PyTorch's order of operations).
#[inline(always)]
pub(super) fn adam(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: AdamStep) {
    let t = step.t.min(i32::MAX as u64) as i32;
    let (b1, b2) = (step.beta1 as f32, step.beta2 as f32);
    let (c1, c2) = ((1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32);
    let size = (step.lr / (1.0 - step.beta1.powi(t))) as f32;
    let root = ((1.0 - step.beta2.powi(t)).sqrt()) as f32;
    let keep = (1.0 - step.lr * step.weight_decay) as f32;
    let (eps, scale) = (step.eps as f32, step.grad_scale as f32);
    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * scale;
        *m = *m * b1 + g * c1;
        *v = *v * b2 + g * g * c2;
        *p = *p * keep - size * (*m / (v.sqrt() / root + eps));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        for i in -8600..8600 {
            let x = i as f32 / 100.0;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(((got - want) / want).abs() < 3e-7, "{x}: {got} {want}");
        }
        assert!(exp(-1e30) < 1e-37);
    }

    #[test]
    fn dot_counts_every_element() {
        for n in [0, 1, 31, 32, 33, 100] {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let b = vec![2.0; n];
            assert_eq!(dot(&a, &b), (0..n).map(|i| 2.0 * i as f32).sum::<f32>());
        }
    }
}
