//! Things of the browser that signals cannot hold, kept behind copyable numbers.

use std::collections::HashMap;

/// Open things by their numbers, which are never given twice.
pub(super) struct Handles<T> {
    next: u32,
    open: HashMap<u32, T>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { next: 0, open: HashMap::new() }
    }
}

impl<T> Handles<T> {
    /// Keeps a thing; gives its number.
    pub(super) fn put(&mut self, thing: T) -> u32 {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, thing);
        number
    }

    /// The thing, while it is kept.
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.open.get(&number)
    }

    /// Gives the thing up.
    pub(super) fn take(&mut self, number: u32) -> Option<T> {
        self.open.remove(&number)
    }
}
