//! The worker as others see it: a process, a run directory, lines on stdin and stdout.

mod generate;
mod import;
mod reference;
mod support;
mod train;
