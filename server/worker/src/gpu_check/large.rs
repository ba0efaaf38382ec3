//! A model with random weights in the shape of a real one: LoRA on f32 and on nf4, memory and speed.

use std::time::Instant;

use contract::Code;
use contract::problem::Problem;
use model::arch::LoadOptions;
use model::kernels::Kernels;
use model::lora::LoraConfig;
use model::train::{Batch, Method, Normalisation, OptimConfig, Trainer};
use model::weights::Quant;
use model::{CausalLm, ModelConfig};
use serde_json::json;

use crate::problems::of_model;

/// How large a training is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: [usize; 2],
    vocab: usize,
    rows: usize,
    length: usize,
    steps: usize,
}

impl Size {
    /// 1.1 billion weights, 4 rows of 512 tokens.
    pub(super) fn billion() -> Self {
        Self {
            hidden: 2048,
            intermediate: 5632,
            layers: 22,
            heads: [32, 4],
            vocab: 32_000,
            rows: 4,
            length: 512,
            steps: 6,
        }
    }

    /// For tests.
    #[cfg(test)]
    pub(super) fn tiny() -> Self {
        Self {
            hidden: 64,
            intermediate: 128,
            layers: 2,
            heads: [4, 2],
            vocab: 128,
            rows: 2,
            length: 16,
            steps: 3,
        }
    }

    fn config(&self) -> Result<ModelConfig, Problem> {
        let config = json!({
            "model_type": "llama", "vocab_size": self.vocab, "hidden_size": self.hidden,
            "intermediate_size": self.intermediate, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads[0], "num_key_value_heads": self.heads[1],
            "rms_norm_eps": 1e-5, "max_position_embeddings": 2048, "tie_word_embeddings": false,
        });
        ModelConfig::from_json(config.to_string().as_bytes()).map_err(of_model)
    }

    fn batch(&self) -> Batch {
        let row = |i: usize| -> (Vec<u32>, Vec<i64>) {
            let ids: Vec<u32> =
                (0..self.length).map(|j| ((i * 7919 + j * 104_729) % self.vocab) as u32).collect();
            let labels = ids.iter().map(|id| i64::from(*id)).collect();
            (ids, labels)
        };
        Batch::from_rows(&(0..self.rows).map(row).collect::<Vec<_>>(), 0)
    }
}

/// Memory this process uses on the GPU, MiB, where `nvidia-smi` tells.
fn gpu_memory() -> Option<u64> {
    let output = std::process::Command::new("nvidia-smi")
        .args(["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"])
        .output()
        .ok()?;
    let own = std::process::id().to_string();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut used = text.lines().filter_map(|line| line.split_once(',')).filter(|(pid, _)| pid.trim() == own);
    used.next()?.1.trim().parse().ok()
}

/// Trains a few steps with LoRA and with QLoRA.
pub(super) fn measure<B: Kernels>(
    size: &Size,
    device: &B::Device,
    say: &mut dyn FnMut(&str),
) -> Result<(), Problem> {
    let batch = size.batch();
    let tokens = (size.rows * size.length) as f64;
    for (name, quantization) in [("LoRA", Quant::None), ("QLoRA", Quant::Nf4 { double: true })] {
        let model = CausalLm::<B>::init_random_with(size.config()?, 1, device, LoadOptions { quantization })
            .map_err(of_model)?;
        let (all, _) = model.parameter_counts();
        let lora = Method::Lora(LoraConfig { r: 16, alpha: 32.0, ..LoraConfig::default() });
        let mut trainer = Trainer::new(model, lora, OptimConfig::default(), 1).map_err(of_model)?;
        let mut seconds = Vec::new();
        let mut losses = Vec::new();
        for _ in 0..size.steps {
            let began = Instant::now();
            // The gradient norm is read back, so a step ends when its numbers are there.
            let report = trainer
                .step(std::slice::from_ref(&batch), Normalisation::default(), 1e-3, Some(1.0))
                .map_err(of_model)?;
            seconds.push(began.elapsed().as_secs_f64());
            losses.push(report.loss);
        }
        seconds.sort_by(f64::total_cmp);
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        if !(last.is_finite() && last < first) {
            return Err(Problem::new(
                Code::GpuCheckNoLearning,
                format!("{name}: the loss went from {first:.4} to {last:.4} on one batch."),
            ));
        }
        let memory = gpu_memory().map_or_else(|| "unknown".to_owned(), |mib| format!("{mib} MiB"));
        say(&format!(
            "{name}, {:.2} billion weights, {} x {} tokens: {:.0} tokens/s, GPU memory {memory}, loss {first:.3} to {last:.3}",
            all as f64 / 1e9,
            size.rows,
            size.length,
            tokens / seconds[seconds.len() / 2],
        ));
    }
    Ok(())
}
