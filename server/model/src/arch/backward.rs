//! From the loss back through the whole model.

use super::layer::Back;
use super::{CausalLm, Pass};
use crate::kernels::{Kernels, Targets, Want};
use crate::train::Grads;

impl<B: Kernels> CausalLm<B> {
    /// Negative log-likelihood of each target and the gradients of everything trainable; `weights` is
    /// d loss / d nll of each target.
    pub fn backward(&self, pass: Pass<B>, weights: Vec<f32>) -> (Vec<f32>, Grads<B>) {
        let mut grads = Grads::default();
        if pass.packed.target_ids.is_empty() {
            return (Vec::new(), grads);
        }
        let rows = &pass.packed.target_rows;
        let chosen = B::gather_rows(&pass.x, rows);
        let hidden = B::rms_norm(&chosen, &self.norm.value, self.eps());
        let targets = Targets { ids: pass.packed.target_ids.clone(), weights };
        let head = self.head.as_ref().unwrap_or(&self.embed);
        let want = if head.trainable { Want::HiddenAndHead } else { Want::Hidden };
        let loss = B::cross_entropy(&hidden, &head.value, &targets, want);
        if let Some(d_head) = loss.d_head {
            grads.add(&head.name, d_head);
        }
        let Some(d_hidden) = loss.d_hidden else { return (loss.nll, grads) };
        let (d_chosen, d_norm) =
            B::rms_norm_backward(&chosen, &self.norm.value, self.eps(), &d_hidden, self.norm.trainable);
        if let Some(d_norm) = d_norm {
            grads.add(&self.norm.name, d_norm);
        }
        let dx = B::scatter_rows(&d_chosen, rows, pass.packed.ids.len());
        self.layers_backward(pass, dx, &mut grads);
        (loss.nll, grads)
    }

    fn layers_backward(&self, pass: Pass<B>, mut dx: crate::kernels::Mat<B>, grads: &mut Grads<B>) {
        // Below the lowest trainable layer nothing is computed.
        let lowest = if self.embed.trainable {
            0
        } else {
            self.layers.iter().position(super::Layer::trains).unwrap_or(self.layers.len())
        };
        let mut back = Back {
            heads: self.heads(),
            eps: self.eps(),
            rotary: &pass.rotary,
            segments: &pass.packed.segments,
            mode: pass.mode,
            grads,
        };
        for (layer, state) in self.layers.iter().zip(pass.states).skip(lowest).rev() {
            dx = layer.backward(state, dx, &mut back);
        }
        if self.embed.trainable {
            let rows = self.config.vocab_size;
            grads.add(&self.embed.name, B::scatter_rows(&dx, &pass.packed.ids, rows));
        }
    }
}
