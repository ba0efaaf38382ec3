//! JSON lines on stdout.

use std::io::Write;

use serde::Serialize;

/// Writes one JSON line and flushes it, so that the reader sees it at once.
///
/// # Errors
/// When nobody reads any more.
pub fn line<T: Serialize>(value: &T) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&bytes)?;
    out.flush()
}
