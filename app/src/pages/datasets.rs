//! Datasets: the list with upload, and one dataset.

pub(crate) mod list;
mod mapping;
mod rows;
pub(crate) mod show;
mod upload;
