//! Who is connected. A newcomer is let in at the cost of the connection that has waited longest without asking
//! anything, so that silent ones never keep out one that asks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::limits::{self, Limits};

/// Every connection.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    most_each: usize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    taken: HashMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    who: IpAddr,
    /// Requests being answered, and sockets.
    busy: usize,
    since: Instant,
    leave: CancellationToken,
}

/// A connection's place; dropped, it is free.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    leave: CancellationToken,
}

/// While it lives, the connection is not sent away.
#[derive(Debug)]
pub struct Busy(Arc<Place>);

impl Crowd {
    /// Nobody.
    pub fn new(limits: &Limits) -> Self {
        Self { most: limits.connections, most_each: limits.connections_per_address, places: Mutex::default() }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a newcomer; `None` when everybody is being answered.
    pub fn enter(self: &Arc<Self>, who: IpAddr) -> Option<Place> {
        self.enter_within(who, self.most.min(limits::by_descriptors()))
    }

    fn enter_within(self: &Arc<Self>, who: IpAddr, most: usize) -> Option<Place> {
        // one address never has the last quarter
        let most_each = self.most_each.min(most - most / 4);
        let mut places = self.places();
        let own = places.taken.values().filter(|one| one.who == who).count();
        if own >= most_each && !places.send_away(|one| one.who == who) {
            return None;
        }
        if places.taken.len() >= most && !places.send_away(|_| true) {
            return None;
        }
        let number = places.next;
        places.next += 1;
        let leave = CancellationToken::new();
        places.taken.insert(number, Taken { who, busy: 0, since: Instant::now(), leave: leave.clone() });
        Some(Place { crowd: self.clone(), number, leave })
    }

    /// Frees a place, for want of descriptors.
    pub fn make_room(&self) {
        self.places().send_away(|_| true);
    }

    /// Connections.
    pub fn count(&self) -> usize {
        self.places().taken.len()
    }
}

impl Places {
    /// Tells the one that has waited longest to leave; its place counts as free from now on.
    fn send_away(&mut self, among: impl Fn(&Taken) -> bool) -> bool {
        let waiting = self.taken.iter().filter(|(_, one)| one.busy == 0 && among(one));
        let Some((number, _)) = waiting.min_by_key(|(_, one)| one.since) else { return false };
        let number = *number;
        if let Some(gone) = self.taken.remove(&number) {
            gone.leave.cancel();
        }
        true
    }
}

impl Place {
    /// Begins a request.
    pub fn busy(self: &Arc<Self>) -> Busy {
        if let Some(taken) = self.crowd.places().taken.get_mut(&self.number) {
            taken.busy += 1;
        }
        Busy(self.clone())
    }

    /// Waits until somebody else needs the place more.
    pub async fn sent_away(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.places().taken.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(taken) = self.0.crowd.places().taken.get_mut(&self.0.number) {
            taken.busy -= 1;
            taken.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(most_each: usize) -> Arc<Crowd> {
        Arc::new(Crowd { most: 100, most_each, places: Mutex::default() })
    }

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn the_one_that_waited_longest_makes_room_and_one_that_is_answered_never_does() {
        let crowd = crowd(100);
        let enter = |who| crowd.enter_within(who, 4).map(Arc::new);
        let (first, second) = (enter(ONE).expect("free"), enter(ONE).expect("free"));
        let asks = first.busy();
        let third = enter(TWO).expect("free");
        let others: Vec<_> = (0..2).map(|_| enter(TWO).expect("room is made")).collect();
        assert!(second.leave.is_cancelled() && !first.leave.is_cancelled() && !third.leave.is_cancelled());
        drop(asks);
        let more = enter(TWO);
        assert!(third.leave.is_cancelled() && more.is_some(), "the first asked last");
        let busy: Vec<_> = [&first, &others[0], &others[1]].into_iter().map(Place::busy).collect();
        let fourth = more.expect("entered");
        let last = fourth.busy();
        assert!(enter(ONE).is_none(), "everybody is being answered");
        drop((busy, last));
        assert!(enter(ONE).is_some());
    }

    #[test]
    fn an_address_at_its_limit_makes_room_among_its_own() {
        let crowd = crowd(2);
        let enter = |who| crowd.enter_within(who, 50).expect("a place");
        let other = enter(TWO);
        let own = [enter(ONE), enter(ONE), enter(ONE)];
        assert!(own[0].leave.is_cancelled() && !own[1].leave.is_cancelled() && !other.leave.is_cancelled());
        assert_eq!(crowd.count(), 3);
        drop(own);
        assert_eq!(crowd.count(), 1);
    }
}
