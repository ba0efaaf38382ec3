//! What browser, server and worker have agreed on: data types and rules, serde only, no IO but for the one careful way
//! to open a file that somebody brings ([`files`]).
//!
//! A default, a limit, a built-in template or an event shape is written here once and used by the form,
//! the server and the worker alike. The crate compiles for wasm32.

pub mod adapter;
pub mod carry;
pub mod chat;
pub mod check;
pub mod checkpoint;
pub mod checkup;
pub mod code;
pub mod cost;
pub mod dataset;
pub mod digest;
pub mod event;
pub mod files;
pub mod generation;
pub mod health;
pub mod hub;
pub mod ids;
pub mod label;
pub mod limits;
pub mod listed;
pub mod measuring;
pub mod metric;
pub mod mixing;
pub mod model;
pub mod origin;
pub mod param;
pub mod params;
pub mod plan;
pub mod prediction;
pub mod problem;
pub mod reading;
pub mod registry;
pub mod results;
pub mod row_reason;
pub mod run;
pub mod run_state;
pub mod safetensors;
pub mod saved;
pub mod sizes;
pub mod spec;
pub mod specification;
pub mod stage;
pub mod system;
pub mod targets;
pub mod templates;
pub mod trash;
pub mod tus;
pub mod wire;
pub mod worker;

pub use code::Code;
pub use ids::{DatasetId, ModelId, RunId};
pub use problem::{Place, Problem};
pub use row_reason::RowReason;
pub use run_state::RunState;
pub use stage::{Stage, Tuning};
