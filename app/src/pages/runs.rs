//! Runs: the list, the form, one run.

mod bar;
mod brought;
mod cost;
mod from_file;
pub(crate) mod hand_over;
pub(crate) mod list;
mod measuring;
mod metrics;
mod more_datasets;
pub(crate) mod new;
mod parts;
mod predictions;
mod results;
pub(crate) mod show;
mod start_from;
mod tour;
