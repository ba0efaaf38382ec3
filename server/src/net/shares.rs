//! A number of places, of which one address takes a part at most.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places and who has them.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    most_each: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place; dropped, it is free again.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    who: IpAddr,
}

impl Shares {
    /// `most` places, `most_each` for one address.
    pub fn new(most: usize, most_each: usize) -> Self {
        Self { most, most_each, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for this address, if there is one.
    pub fn take(self: &Arc<Self>, who: IpAddr) -> Option<Share> {
        let mut taken = self.taken();
        let all: usize = taken.values().sum();
        let own = taken.get(&who).copied().unwrap_or(0);
        if all >= self.most || own >= self.most_each {
            return None;
        }
        taken.insert(who, own + 1);
        Some(Share { of: self.clone(), who })
    }

    /// Places taken.
    pub fn count(&self) -> usize {
        self.taken().values().sum()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        if let Some(own) = taken.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_places_to_others_and_gives_its_own_back() {
        let shares = Arc::new(Shares::new(3, 2));
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = shares.take(one);
        let second = shares.take(one);
        assert!(first.is_some() && second.is_some() && shares.take(one).is_none());
        let third = shares.take(two);
        assert!(third.is_some() && shares.take(two).is_none(), "three in all");
        drop(first);
        assert_eq!(shares.count(), 2);
        assert!(shares.take(two).is_some());
    }
}
