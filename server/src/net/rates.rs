//! How often an address may ask.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses remembered before those that are quiet again are forgotten.
const REMEMBERED: usize = 4096;

/// A store of requests that fills up again with time.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    most: f64,
    a_second: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full one: `most` at once, `a_second` from then on.
    pub fn new(most: f64, a_second: f64, now: Instant) -> Self {
        Self { most, a_second, left: most, at: now }
    }

    /// Takes one, if one is left.
    pub fn take(&mut self, now: Instant) -> bool {
        self.left =
            (self.left + now.saturating_duration_since(self.at).as_secs_f64() * self.a_second).min(self.most);
        self.at = now;
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }

    fn full_at(&self) -> Instant {
        self.at + Duration::from_secs_f64((self.most - self.left) / self.a_second)
    }
}

/// A bucket for every address.
#[derive(Debug)]
pub struct Rates {
    a_minute: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

impl Rates {
    /// So many a minute; a tenth of them at once.
    pub fn new(a_minute: u32) -> Self {
        Self { a_minute: f64::from(a_minute.max(1)), buckets: Mutex::default() }
    }

    /// Whether this address may ask now.
    pub fn take(&self, who: IpAddr) -> bool {
        self.take_at(who, Instant::now())
    }

    fn take_at(&self, who: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED {
            buckets.retain(|_, bucket| bucket.full_at() > now);
        }
        let fresh = || Bucket::new((self.a_minute / 10.0).max(1.0), self.a_minute / 60.0, now);
        buckets.entry(who).or_insert_with(fresh).take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_asks_too_often_waits_and_another_does_not() {
        let rates = Rates::new(60);
        let (one, two, now) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]), Instant::now());
        assert_eq!((0..100).filter(|_| rates.take_at(one, now)).count(), 6);
        assert!(rates.take_at(two, now));
        let later = now + Duration::from_secs(2);
        assert_eq!((0..100).filter(|_| rates.take_at(one, later)).count(), 2);
    }

    #[test]
    fn addresses_that_are_quiet_are_forgotten() {
        let (rates, now) = (Rates::new(6000), Instant::now());
        for n in 0..2 * REMEMBERED as u32 {
            rates.take_at(IpAddr::from(n.to_be_bytes()), now + Duration::from_secs(u64::from(n)));
        }
        assert!(rates.buckets.lock().expect("free").len() <= REMEMBERED);
    }
}
