//! Listens until told to stop.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::net::{accept, limits};
use crate::owner;
use crate::state::AppState;

/// How long open requests may go on after a signal.
const GRACE: Duration = Duration::from_secs(6);
/// How long the loops in the background may take to end after that.
const LOOPS: Duration = Duration::from_secs(1);
/// How long threads that block may take to end after that.
pub const THREADS: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT. Workers that train are left alone.
pub async fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    config.check_address()?;
    if !config.addr.ip().is_loopback() {
        tracing::warn!("whoever reaches {} may use and delete everything", config.addr);
    }
    let listener = TcpListener::bind(config.addr).await.map_err(|why| {
        format!(
            "Cannot listen on {}: {why}. Is Burnish running already? --addr takes another port.",
            config.addr
        )
    })?;
    config.make_folders()?;
    // Before anything in it is looked at: what another server has half-made looks like what a crash left.
    let _owner = owner::claim(&config.data_dir)?;
    let state = AppState::open(config).await?;
    state.start().await?;
    let addr = listener.local_addr()?;
    limits::raise_descriptors();
    end_on_signal(state.shutdown.clone())?;
    tracing::info!("Burnish is at http://{addr}, data in {}", state.config.data_dir.display());
    listen(&state, listener).await;
    tracing::info!("Burnish has stopped; runs that train go on");
    Ok(())
}

/// Cancels `shutdown` on SIGTERM or SIGINT, and ends the process where that did not. On a thread of its own: however
/// many of the server's threads hang, this one does not.
fn end_on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listening = runtime.enter();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    drop(listening);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            shutdown.cancel();
            tokio::time::sleep(GRACE + LOOPS + THREADS + Duration::from_secs(1)).await;
            tracing::error!("the server did not end by itself");
            std::process::exit(1);
        });
    })?;
    Ok(())
}

/// Serves on a listener until the state's shutdown, then waits for open requests, but not for long.
pub async fn listen(state: &AppState, listener: TcpListener) {
    let server = accept::serve(listener, crate::build(state), &state.config.limits, state.shutdown.clone());
    let late = async {
        state.shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = server => {}
        () = late => tracing::warn!("some requests did not end in time"),
    }
    // a background task that hangs must not keep the process
    if tokio::time::timeout(LOOPS, state.stop()).await.is_err() {
        tracing::warn!("some work in the background did not end in time");
    }
}
