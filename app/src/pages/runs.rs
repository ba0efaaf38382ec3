//! Runs: the list, the form, one run.

pub(crate) mod list;
pub(crate) mod new;
mod parts;
pub(crate) mod show;
mod tour;
