//! What people keep in the studio beside data, models and runs.

use serde::{Deserialize, Serialize};

use crate::templates::UserTemplate;

/// A template of one's own, kept under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTemplate {
    /// Identifier.
    pub id: String,
    /// The template.
    pub template: UserTemplate,
}
