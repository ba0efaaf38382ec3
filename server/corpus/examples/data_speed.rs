//! How fast data become tokens: `data_speed MODEL_FOLDER WORK_FOLDER ROWS` writes a jsonl of so many rows, passes over it
//! for health and for preparation, and prints one line of JSON: rows a second of each, and the highest memory.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use contract::dataset::{Behaviour, DataFormat, Mapping, Mixing};
use contract::problem::Problem;
use contract::stage::Stage;
use corpus::job::Job;
use corpus::mix::Part;
use corpus::prepared::Prepared;
use corpus::source::folder::list;
use corpus::{Encoder, ModelTokenizer, Template};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, work, rows] = args.as_slice() else {
        return Err("usage: data_speed MODEL_FOLDER WORK_FOLDER ROWS".into());
    };
    let (work, rows) = (Path::new(work), rows.parse::<u64>()?);
    let path = work.join("data_speed.jsonl");
    write_rows(&path, rows)?;
    let job = job(Path::new(model), &path, rows)?;

    let began = Instant::now();
    let report = corpus::health::health(&job, 1, &mut |_| ControlFlow::Continue(()))?;
    let health = rows as f64 / began.elapsed().as_secs_f64();

    let store = work.join("data_speed.store");
    if store.exists() {
        std::fs::remove_dir_all(&store)?;
    }
    let began = Instant::now();
    let prepared = Prepared::start(&store, "speed", job)?;
    prepared.get(0)?;
    let first = began.elapsed().as_secs_f64();
    prepared.wait()?;
    let preparation = rows as f64 / began.elapsed().as_secs_f64();
    let memory = peak_memory().unwrap_or_default();
    println!(
        "{{\"rows\":{rows},\"tokens\":{},\"health_rows_per_s\":{health:.0},\"prepare_rows_per_s\":{preparation:.0},\
         \"first_row_after_s\":{first:.3},\"peak_mib\":{memory}}}",
        report.tokens
    );
    Ok(())
}

fn write_rows(path: &Path, rows: u64) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for row in 0..rows {
        let steps = "Rinse it, fill it half with water and as much vinegar, and let it stand. "
            .repeat((row % 5) as usize + 1);
        writeln!(
            file,
            "{{\"prompt\":\"How do I descale kettle number {row} after {} days?\",\"response\":\"{steps}Kettle {row} is clean.\"}}",
            row % 97
        )?;
    }
    file.flush()
}

fn job(model: &Path, path: &Path, total: u64) -> Result<Job, Problem> {
    let tokenizer = Arc::new(ModelTokenizer::load(model)?);
    let encoder = Encoder {
        template: Template::resolve("default", &tokenizer)?,
        tokenizer,
        stage: Stage::Sft,
        max_source_length: 512,
        max_target_length: 512,
        system: None,
        behaviour: Behaviour::Corrected,
        control_tokens_in_text: false,
    };
    let mapping = Mapping {
        prompt: Some("prompt".to_owned()),
        response: Some("response".to_owned()),
        ..Mapping::empty(DataFormat::PromptResponse)
    };
    let part = Part { name: "speed".to_owned(), files: list(path)?, mapping, prefix: None, weight: 1.0 };
    Ok(Job { encoder, parts: vec![part], mixing: Mixing::Concatenate, max_samples: 0, seed: 0, total })
}

/// Highest resident memory of this process so far, MiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
