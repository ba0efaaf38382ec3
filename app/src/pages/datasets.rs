//! Datasets: the list with upload, and one dataset.

mod digest;
mod editor;
pub(crate) mod health;
pub(crate) mod list;
mod mapping;
mod readings;
pub(crate) mod register;
mod rows;
mod several;
pub(crate) mod show;
mod upload;
mod versions;
