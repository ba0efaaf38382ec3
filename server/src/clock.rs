//! Time and identifiers, injected so that tests decide both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

/// Makes identifiers.
pub trait IdSource: Send + Sync {
    /// A new identifier, safe as a path component.
    fn next(&self) -> String;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// UUID v7: sorts by age.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    fn next(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }
}

/// Counts up: `id-00000001`, `id-00000002`, …
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn next(&self) -> String {
        format!("id-{:08}", self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::RunId;

    #[test]
    fn every_source_makes_ids_that_are_safe_as_folders_and_never_repeat() {
        let sources: [&dyn IdSource; 2] = [&SystemIds, &CountingIds::default()];
        for source in sources {
            let (first, second) = (source.next(), source.next());
            assert!(RunId::parse(&first).is_some() && first < second, "{first} {second}");
        }
    }
}
