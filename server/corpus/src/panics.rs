//! Faults of libraries that read what guests wrote.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `work` gives; `None` where it panics. What it changed is not looked at afterwards.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
