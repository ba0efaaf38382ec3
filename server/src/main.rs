//! `burnish`: the server and two helpers.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use server::config::{Config, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Burnish: a fine-tuning studio for language models.
#[derive(Parser)]
#[command(name = "burnish", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the studio.
    Serve(Options),
    /// Look at everything Burnish needs.
    Doctor(Options),
    /// Bring the database up to date.
    Migrate(Options),
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "info,tower_http=warn,sqlx=warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => {
            eprintln!("burnish: no threads: {why}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(command));
    // threads that hang in a file are left behind
    runtime.shutdown_timeout(server::serve::THREADS);
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("burnish: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<bool, Box<dyn std::error::Error>> {
    match command {
        Command::Serve(options) => server::serve::serve(Config::new(options)?).await.map(|()| true),
        Command::Doctor(options) => {
            let (report, well) = server::doctor::examine(&Config::new(options)?).await;
            print!("{report}");
            Ok(well)
        }
        Command::Migrate(options) => {
            let config = Config::new(options)?;
            config.make_folders()?;
            let _owner = server::owner::claim(&config.data_dir)?;
            server::store::Store::open(&config.database()).await?.close().await;
            println!("{} is up to date", config.database().display());
            Ok(true)
        }
    }
}
