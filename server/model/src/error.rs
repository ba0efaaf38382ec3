//! One clear error: what is wrong and what to do about it.

/// Why a model, its weights or its training could not be used. `code` is stable; the words may change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .hint.as_ref().map(|hint| format!(" {hint}")).unwrap_or_default())]
pub struct ModelError {
    /// Stable kind, for example `weights.truncated`.
    pub code: &'static str,
    /// One sentence that says what is wrong and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ModelError {
    /// An error without a hint.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file that could not be read or written.
    pub fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new("weights.io", format!("{}: {error}.", path.display()))
    }
}

/// Result of everything in this package.
pub type Result<T> = std::result::Result<T, ModelError>;
