//! A stop before the first step: while files are hashed, rows are cut into tokens and weights are loaded, nothing looks
//! whether one was asked for, and there is nothing to save. A thread looks, and ends the process (R19).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::worker::EXIT_STOPPED;

use crate::stages::Ears;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(100);

/// That a run is still being prepared. What it leaves half-made has names that the next attempt sweeps.
#[derive(Debug)]
pub struct Preparing(Arc<AtomicBool>);

impl Preparing {
    /// Begins to look.
    pub fn watch(ears: Ears) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let known = Arc::clone(&over);
        std::thread::spawn(move || {
            while !known.load(Ordering::Acquire) {
                if ears.stop_asked() && !known.swap(true, Ordering::AcqRel) {
                    // It ends in any case; a request that lies there is cleared by the next attempt.
                    let _ = ears.take_stop();
                    std::process::exit(EXIT_STOPPED);
                }
                std::thread::sleep(EVERY);
            }
        });
        Self(over)
    }

    /// From here on whoever works looks for itself. Waits for ever where the process is being ended.
    pub fn over(self) {
        while self.0.swap(true, Ordering::AcqRel) {
            std::thread::park();
        }
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
