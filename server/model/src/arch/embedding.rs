//! What enters the first layer: embeddings, scaled, with positions, noise and a norm where a family or a run has them.

use super::{CausalLm, Mode, Norm};
use crate::kernels::{Kernels, Mat, Segment};
use crate::rng::splitmix;
use crate::train::{Grads, Packed};

impl<B: Kernels> CausalLm<B> {
    /// What embeddings are multiplied by where they are looked up.
    fn embedding_scale(&self) -> f32 {
        if self.config.architecture.family().scaled_embedding {
            (self.config.hidden_size as f32).sqrt()
        } else {
            1.0
        }
    }

    /// Embeddings of tokens, noise added, with their positions where those are learned.
    pub(super) fn looked_up(
        &self,
        ids: &[u32],
        positions: &[u32],
        noise: Option<Mat<B>>,
        mode: Mode,
    ) -> Mat<B> {
        let scaled = |x: Mat<B>, by: f32| if by == 1.0 { x } else { x.mul_scalar(by) };
        let mut x = scaled(self.embed_weight(mode).operand().gather(ids), self.embedding_scale());
        if let Some(noise) = noise {
            x = x + noise;
        }
        x = scaled(x, self.config.embedding_multiplier as f32);
        match &self.positions {
            Some(table) => x + B::gather_rows(&table.value, positions),
            None => x,
        }
    }

    /// Embeddings of a packed batch before their norm, with noise where training asks for it.
    pub(super) fn embedded(&self, packed: &Packed, mode: Mode) -> Mat<B> {
        let noise = mode.dropout.filter(|_| mode.noise > 0.0).map(|seed| {
            let width = self.config.hidden_size;
            let noise = neftune(&packed.segments, width, mode.noise, seed);
            B::from_host(noise, packed.ids.len(), width, &self.device)
        });
        self.looked_up(&packed.ids, &packed.positions, noise, mode)
    }

    /// Embeddings behind their norm.
    pub(super) fn embed_normed(&self, plain: &Mat<B>) -> Mat<B> {
        self.embed_norm.as_ref().map_or_else(|| plain.clone(), |norm| norm.forward(plain, self.eps()))
    }

    /// Whether anything below the first layer learns.
    pub(super) fn embedding_trains(&self, mode: Mode) -> bool {
        let mut vectors = self.positions.iter().chain(self.embed_norm.iter().flat_map(Norm::params));
        self.embed_weight(mode).trainable() || vectors.any(|param| param.trainable)
    }

    /// Adds the gradients of embeddings, positions and their norm; `dx` is the gradient of the first layer's input.
    pub(super) fn embedding_backward(
        &self,
        packed: &Packed,
        plain: Option<&Mat<B>>,
        mut dx: Mat<B>,
        mode: Mode,
        grads: &mut Grads<B>,
    ) {
        if !self.embedding_trains(mode) {
            return;
        }
        if let (Some(norm), Some(plain)) = (&self.embed_norm, plain) {
            dx = norm.backward(plain, self.eps(), &dx, grads);
        }
        if let Some(table) = self.positions.as_ref().filter(|table| table.trainable) {
            let rows = self.config.max_position_embeddings;
            grads.add(&table.name, B::scatter_rows(&dx, &packed.positions, rows));
        }
        let embed = self.embed_weight(mode);
        if embed.trainable() {
            let d_rows = B::scatter_rows(&dx, &packed.ids, self.config.vocab_size);
            let scale = self.embedding_scale() * self.config.embedding_multiplier as f32;
            grads.add(embed.name(), d_rows.mul_scalar(scale));
        }
    }
}

/// Uniform noise within `strength / sqrt(length x width)` of each row, a hash of seed, place and element.
fn neftune(segments: &[Segment], width: usize, strength: f32, seed: u64) -> Vec<f32> {
    let tokens: usize = segments.iter().map(|segment| segment.len).sum();
    let mut noise = Vec::with_capacity(tokens * width);
    for segment in segments {
        let bound = strength / ((segment.len * width) as f32).sqrt();
        for at in segment.start * width..(segment.start + segment.len) * width {
            let bits = splitmix(seed ^ (at as u64).wrapping_mul(0x2545_f491_4f6c_dd1d));
            let unit = (bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
            noise.push(unit * bound);
        }
    }
    noise
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neftune_noise_is_bounded_by_length_and_the_same_for_a_seed() {
        let segments = [Segment { start: 0, len: 4 }, Segment { start: 4, len: 100 }];
        let noise = neftune(&segments, 16, 5.0, 3);
        assert_eq!(noise, neftune(&segments, 16, 5.0, 3));
        assert_ne!(noise, neftune(&segments, 16, 5.0, 4));
        let largest = |values: &[f32]| values.iter().fold(0f32, |a, b| a.max(b.abs()));
        assert!((0.4..=0.625).contains(&largest(&noise[..64])), "5 / sqrt(4 x 16)");
        assert!((0.11..=0.125).contains(&largest(&noise[64..])), "5 / sqrt(100 x 16)");
        let mean = noise[64..].iter().sum::<f32>() / 1600.0;
        assert!(mean.abs() < 0.01, "{mean}");
    }
}
