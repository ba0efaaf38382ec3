//! Listens until told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::state::AppState;

/// How long open requests may go on after a signal.
const GRACE: Duration = Duration::from_secs(8);

/// Serves until SIGTERM or SIGINT. Workers that train are left alone.
pub async fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(config.addr).await.map_err(|why| {
        format!(
            "Cannot listen on {}: {why}. Is Burnish running already? --addr takes another port.",
            config.addr
        )
    })?;
    let state = AppState::open(config).await?;
    state.start().await?;
    let addr = listener.local_addr()?;
    tracing::info!("Burnish is at http://{addr}, data in {}", state.config.data_dir.display());
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopping = state.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.shutdown.cancel();
    });
    listen(&state, listener).await?;
    tracing::info!("Burnish has stopped; runs that train go on");
    Ok(())
}

/// Serves on a listener until the state's shutdown, then waits for open requests, but not for long.
pub async fn listen(state: &AppState, listener: TcpListener) -> std::io::Result<()> {
    let service = crate::build(state).into_make_service_with_connect_info::<SocketAddr>();
    let shutdown = state.shutdown.clone();
    let server = axum::serve(listener, service).with_graceful_shutdown(shutdown.cancelled_owned());
    let late = async {
        state.shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let served = tokio::select! {
        served = async { server.await } => served,
        () = late => Ok(()),
    };
    // a background task that hangs must not keep the process
    if tokio::time::timeout(Duration::from_secs(1), state.stop()).await.is_err() {
        tracing::warn!("some work in the background did not end in time");
    }
    served
}
