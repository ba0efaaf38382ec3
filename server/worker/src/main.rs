//! The worker's command line; see `contract::worker` for what each command reads and writes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use contract::problem::Problem;
use contract::worker::EXIT_PROBLEM;
use serde::Serialize;
use worker::{adapter, attempt, create, device, generate, gpu_check, import, output, speed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "burnish-worker", version, about = "Trains, talks and imports, one process per job.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Works on a run directory until it is finished, stopped or failed.
    Train {
        /// The run directory.
        folder: PathBuf,
        /// Number of the attempt, from 1; without it a new one is begun.
        #[arg(long)]
        attempt: Option<u32>,
    },
    /// Answers requests: JSON lines on stdin and stdout.
    Generate,
    /// Brings in a Hugging Face folder or a GGUF file, either perhaps in a zip; or tells of an adapter.
    Import {
        /// What to import.
        source: PathBuf,
        /// The model folder to make.
        folder: PathBuf,
    },
    /// Makes an adapter that was brought in the checkpoint of a run that was not trained here.
    ImportAdapter {
        /// The folder that `import` made of the adapter.
        adapter: PathBuf,
        /// The run directory; its specification names the base.
        run: PathBuf,
    },
    /// Makes a model with random weights and a tokenizer trained on a dataset.
    Create {
        /// The model folder to make.
        folder: PathBuf,
        /// 1m, 5m or 20m.
        #[arg(long)]
        size: String,
        /// The dataset file.
        #[arg(long)]
        dataset: PathBuf,
        /// Which column plays which part, as JSON.
        #[arg(long)]
        mapping: String,
    },
    /// Reads files of people within limits: JSON lines on stdin and stdout.
    Read {
        /// Memory beyond what the process starts with, bytes.
        #[arg(long, default_value_t = contract::reading::MEMORY)]
        memory: u64,
    },
    /// Lists the devices it can train on, as JSON.
    Devices,
    /// Times products of matrices and prints floating-point operations a second.
    Speed,
    /// Recorded training runs and a large model on the GPU; without one it says so.
    GpuCheck {
        /// The folder with the recorded runs.
        #[arg(long)]
        reference: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Train { folder, attempt } => attempt::train(&folder, attempt),
        Command::Generate => generate::serve(),
        Command::Import { source, folder } => print(import::import(&source, &folder)),
        Command::ImportAdapter { adapter, run } => print(adapter::bring(&adapter, &run)),
        Command::Create { folder, size, dataset, mapping } => {
            print(create::create(&folder, &size, &dataset, &mapping))
        }
        Command::Read { memory } => reader::serve(memory),
        Command::Devices => print(Ok(device::names())),
        Command::Speed => print(speed::measure()),
        Command::GpuCheck { reference } => match gpu_check::run(reference, &mut |line| println!("{line}")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => print(Err::<(), _>(problem)),
        },
    }
}

/// Prints a result or a problem as one JSON line.
fn print<T: Serialize>(result: Result<T, Problem>) -> ExitCode {
    let (code, printed) = match result {
        Ok(value) => (0, output::line(&value)),
        Err(problem) => (EXIT_PROBLEM, output::line(&problem)),
    };
    match printed {
        Ok(()) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(_) => ExitCode::FAILURE,
    }
}
