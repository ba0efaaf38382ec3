//! Everything that listens, stores or schedules. `build` makes the service that tests start and that
//! `burnish serve` puts on a port; `server/docs/architecture.md` tells how a request travels.
#![recursion_limit = "512"]

pub mod api;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod error;
pub mod executor;
pub mod generation;
pub mod health;
pub mod hub;
pub mod ingest;
pub mod lanes;
pub mod live;
pub mod loops;
pub mod middleware;
pub mod net;
pub mod owner;
pub mod pages;
pub mod proc;
pub mod queue;
pub mod readers;
pub mod router;
pub mod serve;
pub mod services;
pub mod site;
pub mod state;
pub mod stops;
pub mod store;

pub use state::AppState;

/// The service over a state.
pub fn build(state: &AppState) -> axum::Router {
    router::router(state)
}
