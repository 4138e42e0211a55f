//! The places for connections. If there is none left, the connection that has been idle longest
//! ends, so that no client can hold up others by keeping connections open.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limit::network;

/// The connections of a server.
#[derive(Debug)]
pub(super) struct Places {
    all: usize,
    /// Maximum number for one address, or one /64 of IPv6.
    of_one_source: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    places: HashMap<u64, Place>,
}

#[derive(Debug)]
struct Place {
    source: IpAddr,
    /// The time of the last response, or of the start.
    active: Instant,
    end: Arc<Notify>,
}

/// The place of one connection. Dropping it leaves the place.
#[derive(Debug)]
pub(super) struct Seat {
    places: Arc<Places>,
    number: u64,
    end: Arc<Notify>,
}

impl Places {
    /// Creates this many places, a quarter of which one source can have.
    pub(super) fn new(all: usize) -> Arc<Self> {
        let all = all.max(1);
        Arc::new(Self {
            all,
            of_one_source: all.div_ceil(4),
            taken: Mutex::default(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place. If the source has no place left, its longest idle connection ends; if no
    /// place is left at all, that of the source with the most connections.
    pub(super) fn take(self: &Arc<Self>, source: IpAddr) -> Seat {
        let source = network(source);
        let mut taken = self.taken();
        if taken.count(source) >= self.of_one_source {
            taken.end_idlest(source);
        } else if taken.places.len() >= self.all
            && let Some(busiest) = taken.busiest()
        {
            taken.end_idlest(busiest);
        }
        let number = taken.next;
        taken.next = number.wrapping_add(1);
        let end = Arc::new(Notify::new());
        let place = Place {
            source,
            active: Instant::now(),
            end: end.clone(),
        };
        taken.places.insert(number, place);
        Seat {
            places: self.clone(),
            number,
            end,
        }
    }
}

impl Taken {
    fn count(&self, source: IpAddr) -> usize {
        let of_source = self.places.values().filter(|it| it.source == source);
        of_source.count()
    }

    fn busiest(&self) -> Option<IpAddr> {
        let mut counts = HashMap::new();
        for place in self.places.values() {
            *counts.entry(place.source).or_insert(0_usize) += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(source, _)| source)
    }

    fn end_idlest(&mut self, source: IpAddr) {
        let of_source = self.places.iter().filter(|(_, it)| it.source == source);
        let idlest = of_source.min_by_key(|(number, it)| (it.active, **number));
        if let Some(number) = idlest.map(|(number, _)| *number)
            && let Some(place) = self.places.remove(&number)
        {
            place.end.notify_one();
        }
    }
}

impl Seat {
    /// Notes that the connection has done something useful.
    pub(super) fn is_active(&self) {
        if let Some(place) = self.places.taken().places.get_mut(&self.number) {
            place.active = Instant::now();
        }
    }

    /// Waits until another connection needs the place.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.places.taken().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all: usize) -> Arc<Places> {
        Places::new(all)
    }

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn has_place(seat: &Seat) -> bool {
        seat.places.taken().places.contains_key(&seat.number)
    }

    /// One source has a quarter of the places; beyond it, its own longest idle connection ends.
    #[test]
    fn a_source_gives_up_its_own_places_first() {
        let places = places(8);
        let other = places.take(source(2));
        let [first, second] = [(); 2].map(|()| places.take(source(1)));
        first.is_active();
        let third = places.take(source(1));
        assert_eq!(
            [&other, &first, &second, &third].map(has_place),
            [true, true, false, true]
        );
    }

    /// If all places are taken, the source with the most gives one up.
    #[test]
    fn the_source_with_the_most_gives_up_a_place() {
        let places = places(5);
        let two: Vec<_> = (0..2).map(|_| places.take(source(1))).collect();
        let ones: Vec<_> = (2..5).map(|it| places.take(source(it))).collect();
        let late = places.take(source(9));
        assert_eq!(two.iter().map(has_place).collect::<Vec<_>>(), [false, true]);
        assert!(ones.iter().chain([&late]).all(has_place));
    }

    /// A connection that ends leaves its place, and one that was ended does not end another.
    #[test]
    fn a_place_is_left_once() {
        let places = places(4);
        let first = places.take(source(1));
        let second = places.take(source(1));
        drop(first);
        assert!(has_place(&second));
        drop(second);
        assert!(places.taken().places.is_empty());
    }
}
