//! The new-run form: its state, its fields drawn from the declarations, and the row preview.

pub(crate) mod foresight;
pub(crate) mod param_field;
pub(crate) mod preview;
pub(crate) mod state;
pub(crate) mod template_select;
