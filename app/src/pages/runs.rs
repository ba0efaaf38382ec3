//! Runs: the list, the form, one run.

pub(crate) mod list;
pub(crate) mod new;
mod metrics;
mod parts;
pub(crate) mod show;
mod start_from;
mod tour;
