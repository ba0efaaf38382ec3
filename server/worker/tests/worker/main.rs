//! The worker as others see it: a process, a run directory, lines on stdin and stdout.

#![expect(clippy::expect_used, reason = "a helper of a test fails the test by panicking")]

mod adapters;
mod chain;
mod data;
mod drawn;
mod evaluation;
mod generate;
mod hostile;
mod import;
mod measuring;
mod owner;
mod peaks;
mod reference;
mod resume;
mod scores;
mod support;
mod train;
