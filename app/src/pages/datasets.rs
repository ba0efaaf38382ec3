//! Datasets: the list with upload, and one dataset.

mod editor;
pub(crate) mod health;
pub(crate) mod list;
mod mapping;
mod readings;
pub(crate) mod register;
mod rows;
pub(crate) mod show;
mod upload;
mod versions;
