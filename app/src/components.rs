//! Widgets: what more than one page draws.

pub(crate) mod chart;
pub(crate) mod chip;
pub(crate) mod confirm;
pub(crate) mod damaged;
pub(crate) mod field;
pub(crate) mod folder_button;
pub(crate) mod icon;
pub(crate) mod log_view;
pub(crate) mod meter;
pub(crate) mod nav;
pub(crate) mod notice;
pub(crate) mod page_title;
pub(crate) mod part;
pub(crate) mod run_table;
pub(crate) mod safe_textarea;
pub(crate) mod stopped;
pub(crate) mod transcript;
pub(crate) mod undo;
