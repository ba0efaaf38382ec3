//! From the loss back through the whole model.

use super::layer::Back;
use super::{CausalLm, Kept, Mode, Pass};
use crate::kernels::{Kernels, Mat, Targets, Want};
use crate::train::{Grads, Packed};

/// Where a gradient enters the model from above. Both parts may be there at once.
pub struct Upstream<B: Kernels> {
    /// d loss / d (negative log-likelihood) of each target; `None`: the output matrix plays no part.
    pub weights: Option<Vec<f32>>,
    /// d loss / d (normed last hidden state), `[tokens, d]`: what a value head sends back.
    pub hidden: Option<Mat<B>>,
}

impl<B: Kernels> CausalLm<B> {
    /// Negative log-likelihood of each target and the gradients of everything trainable; `weights` is
    /// d loss / d nll of each target.
    pub fn backward(&self, pass: Pass<B>, weights: Vec<f32>) -> (Vec<f32>, Grads<B>) {
        self.backward_from(pass, Upstream { weights: Some(weights), hidden: None })
    }

    /// Normed last hidden states of a pass, `[tokens, d]`.
    pub fn final_hidden(&self, pass: &Pass<B>) -> Mat<B> {
        self.norm.forward(&pass.x, self.eps())
    }

    /// Negative log-likelihoods of a packed batch's targets, given its normed hidden states `[tokens, d]`.
    pub fn packed_nll(&self, packed: &Packed, hidden: &Mat<B>, mode: Mode) -> Vec<f32> {
        if packed.target_ids.is_empty() {
            return Vec::new();
        }
        let chosen = B::gather_rows(hidden, &packed.target_rows);
        let targets = Targets { ids: packed.target_ids.clone(), weights: Vec::new() };
        self.cross_entropy(&chosen, self.head_weight(mode), &targets, Want::Loss).nll
    }

    /// As [`CausalLm::backward`], with gradients entering at the output matrix, at the hidden states, or both.
    pub fn backward_from(&self, pass: Pass<B>, upstream: Upstream<B>) -> (Vec<f32>, Grads<B>) {
        let mut grads = Grads::default();
        let Upstream { weights, hidden } = upstream;
        let weights = weights.filter(|_| !pass.packed.target_ids.is_empty());
        let (nll, dx) = match (weights, hidden) {
            (None, None) => return (Vec::new(), grads),
            (Some(weights), None) => {
                let rows = &pass.packed.target_rows;
                let chosen = B::gather_rows(&pass.x, rows);
                let normed = self.norm.forward(&chosen, self.eps());
                let (nll, d_hidden) = self.loss_backward(&pass, &normed, weights, &mut grads);
                let d_chosen = self.norm.backward(&chosen, self.eps(), &d_hidden, &mut grads);
                (nll, B::scatter_rows(&d_chosen, rows, pass.packed.ids.len()))
            }
            (weights, Some(mut d_hidden)) => {
                let mut nll = Vec::new();
                if let Some(weights) = weights {
                    let rows = &pass.packed.target_rows;
                    let normed = B::gather_rows(&self.final_hidden(&pass), rows);
                    let (losses, more) = self.loss_backward(&pass, &normed, weights, &mut grads);
                    d_hidden = d_hidden + B::scatter_rows(&more, rows, pass.packed.ids.len());
                    nll = losses;
                }
                (nll, self.norm.backward(&pass.x, self.eps(), &d_hidden, &mut grads))
            }
        };
        self.layers_backward(pass, dx, &mut grads);
        (nll, grads)
    }

    /// Losses of the targets and the gradient of their normed hidden rows.
    fn loss_backward(
        &self,
        pass: &Pass<B>,
        normed: &Mat<B>,
        weights: Vec<f32>,
        grads: &mut Grads<B>,
    ) -> (Vec<f32>, Mat<B>) {
        let targets = Targets { ids: pass.packed.target_ids.clone(), weights };
        let head = self.head_weight(pass.mode);
        let want = if head.trainable() { Want::HiddenAndHead } else { Want::Hidden };
        let loss = self.cross_entropy(normed, head, &targets, want);
        if let Some(d_head) = loss.d_head {
            grads.add(head.name(), d_head);
        }
        (loss.nll, loss.d_hidden.unwrap_or_else(|| normed.zeros_like()))
    }

    fn layers_backward(&self, pass: Pass<B>, mut dx: Mat<B>, grads: &mut Grads<B>) {
        // Below the lowest trainable layer nothing is computed.
        let lowest = match self.embedding_trains(pass.mode) {
            true => 0,
            false => self.layers.iter().position(super::Layer::trains).unwrap_or(self.layers.len()),
        };
        let fore = self.fore(&pass.rotaries, &pass.packed.segments, pass.mode);
        let mut back = Back { fore, grads };
        for (layer, kept) in self.layers.iter().zip(pass.states).skip(lowest).rev() {
            let state = match kept {
                Kept::State(state) => *state,
                Kept::Input(x) => layer.forward(x, &fore).1,
            };
            dx = layer.backward(state, dx, &mut back);
        }
        self.embedding_backward(&pass.packed, pass.plain.as_ref(), dx, pass.mode, grads);
    }
}
