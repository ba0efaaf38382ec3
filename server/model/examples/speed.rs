//! Seconds per LoRA step, tokens per second and peak memory on the starter model:
//! `cargo run -p model --example speed -- MODEL.gguf [f32|keep]`. One line of JSON on stdout. `keep` (the default, and
//! what the worker does) leaves the weights in the file's own blocks.

use std::ops::ControlFlow;
use std::time::Instant;

use model::arch::LoadOptions;
use model::decode::Generator;
use model::lora::LoraConfig;
use model::sample::SamplingConfig;
use model::train::{Batch, Method, Normalisation, OptimConfig, Trainer};
use model::weights::{Gguf, Quant};
use model::{CausalLm, Cpu};

/// Largest resident size so far, bytes (Linux).
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Processor time of this process so far (Linux, clock ticks of 10 ms).
fn user_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn batch(rows: usize, length: usize) -> Batch {
    let row = |i: usize| {
        let ids: Vec<u32> = (0..length).map(|j| ((i * 7919 + j * 104_729) % 40_000) as u32).collect();
        let labels =
            ids.iter().enumerate().map(|(j, id)| if j < length * 2 / 3 { -100 } else { i64::from(*id) });
        (ids.clone(), labels.collect())
    };
    Batch::from_rows(&(0..rows).map(row).collect::<Vec<_>>(), 0)
}

fn main() -> model::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let device = Default::default();
    let begin = Instant::now();
    let gguf = Gguf::read(std::path::Path::new(&path))?;
    let quantization = match std::env::args().nth(2).as_deref() {
        Some("f32") => Quant::None,
        _ => Quant::Keep,
    };
    let model = CausalLm::<Cpu>::load_with(gguf.config(), &gguf, &device, LoadOptions { quantization })?;
    let loaded_mb = peak_bytes() / 1_000_000;
    let load = begin.elapsed().as_secs_f64();

    let generator = Generator::new(&model, Vec::new());
    let prompt: Vec<u32> = (0..40).map(|i| 100 + 31 * i).collect();
    let mut first = None;
    let begin = Instant::now();
    let (tokens, _) = generator.generate(&prompt, &SamplingConfig::greedy(64), |_| {
        first.get_or_insert_with(|| begin.elapsed().as_secs_f64());
        ControlFlow::Continue(())
    })?;
    let first = first.unwrap_or_default();
    let per_second = (tokens.len() - 1) as f64 / (begin.elapsed().as_secs_f64() - first);

    let batch = batch(4, 55);
    let optim = OptimConfig::default();
    let mut trainer = Trainer::new(model, Method::Lora(LoraConfig::default()), optim, 1)?;
    let mut seconds = Vec::new();
    let before = user_seconds();
    for _ in 0..6 {
        let begin = Instant::now();
        trainer.step(std::slice::from_ref(&batch), Normalisation::default(), 1e-4, Some(1.0))?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let user = (user_seconds() - before) / seconds.len() as f64;
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    println!(
        "{{\"load_s\":{load:.2},\"first_token_s\":{first:.3},\"tokens_per_s\":{per_second:.1},\"lora_step_s\":{:.3},\"lora_step_best_s\":{:.3},\"peak_mb\":{},\"peak_after_load_mb\":{loaded_mb},\"user_s_per_step\":{user:.3}}}",
        seconds[seconds.len() / 2],
        seconds[0],
        peak_bytes() / 1_000_000
    );
    Ok(())
}
