//! How often an issuer is asked, and which tokens it called inactive.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Bounds on the requests to one issuer.
#[derive(Debug)]
pub(super) struct Limits {
    in_flight: usize,
    per_second: u32,
    /// How many requests may begin now, for how many unknown tokens, and since when that was
    /// counted.
    left: u32,
    left_unknown: u32,
    counted: Instant,
    /// How many requests about unknown tokens are under way.
    unknown_under_way: usize,
    active: Recent,
    /// No request begins before this time.
    paused: Option<Instant>,
    inactive: Remembered,
    /// The tokens about which the issuer gave no usable answer.
    unusable: Remembered,
}

/// The kind of token that a request under way is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begun {
    /// One that was active before.
    Known,
    Unknown,
}

/// Tokens that are not asked about for a while.
#[derive(Debug)]
struct Remembered {
    time: Duration,
    held: HashSet<[u8; 32]>,
    /// The same, the oldest first, each with its end.
    ends: VecDeque<(Instant, [u8; 32])>,
}

impl Remembered {
    fn new(time: Duration) -> Self {
        Self {
            time,
            held: HashSet::new(),
            ends: VecDeque::new(),
        }
    }

    fn has(&mut self, hash: &[u8; 32]) -> bool {
        let now = Instant::now();
        while let Some((_, ended)) = self.ends.pop_front_if(|(ends, _)| *ends <= now) {
            self.held.remove(&ended);
        }
        self.held.contains(hash)
    }

    fn insert(&mut self, hash: [u8; 32]) {
        // Without room the token is asked about again.
        if self.ends.len() < MOST_REMEMBERED
            && let Some(ends) = Instant::now().checked_add(self.time)
            && self.held.insert(hash)
        {
            self.ends.push_back((ends, hash));
        }
    }
}

/// The tokens that were active a while ago: the latest 10,000 at least. Only the issuer makes a
/// token active, so that made-up ones displace none.
#[derive(Debug, Default)]
struct Recent {
    new: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

impl Recent {
    fn has(&self, hash: &[u8; 32]) -> bool {
        self.new.contains(hash) || self.old.contains(hash)
    }

    fn insert(&mut self, hash: [u8; 32]) {
        if self.new.len() >= MOST_REMEMBERED {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(hash);
    }

    fn remove(&mut self, hash: &[u8; 32]) {
        self.new.remove(hash);
        self.old.remove(hash);
    }
}

impl Limits {
    pub(super) fn new(in_flight: usize, per_second: u32, inactive_for: Duration) -> Self {
        Self {
            in_flight,
            per_second,
            left: per_second,
            left_unknown: per_second.div_ceil(2),
            counted: Instant::now(),
            unknown_under_way: 0,
            active: Recent::default(),
            paused: None,
            inactive: Remembered::new(inactive_for),
            unusable: Remembered::new(PAUSE),
        }
    }

    /// Reports whether the issuer called the token inactive a short while ago.
    pub(super) fn is_inactive(&mut self, hash: &[u8; 32]) -> bool {
        self.inactive.has(hash)
    }

    /// Reports whether the issuer gave no usable answer about the token a short while ago.
    pub(super) fn is_unusable(&mut self, hash: &[u8; 32]) -> bool {
        self.unusable.has(hash)
    }

    /// Reports whether a request about this token may begin while `under_way` others run. If so, it
    /// counts as begun. Half of the limits is for tokens that were active before.
    pub(super) fn may_ask(&mut self, hash: &[u8; 32], under_way: usize) -> Option<Begun> {
        let now = Instant::now();
        if under_way >= self.in_flight || self.paused.is_some_and(|until| now < until) {
            return None;
        }
        if now.duration_since(self.counted) >= SECOND {
            self.left = self.per_second;
            self.left_unknown = self.per_second.div_ceil(2);
            self.counted = now;
        }
        let left = self.left.checked_sub(1)?;
        if self.active.has(hash) {
            self.left = left;
            return Some(Begun::Known);
        }
        if self.unknown_under_way >= self.in_flight.div_ceil(2) {
            return None;
        }
        self.left_unknown = self.left_unknown.checked_sub(1)?;
        self.left = left;
        self.unknown_under_way = self.unknown_under_way.saturating_add(1);
        Some(Begun::Unknown)
    }

    /// A request is no longer under way.
    pub(super) const fn ended(&mut self, begun: Begun) {
        if matches!(begun, Begun::Unknown) {
            self.unknown_under_way = self.unknown_under_way.saturating_sub(1);
        }
    }

    /// The issuer answered.
    const fn answered(&mut self) {
        self.paused = None;
    }

    /// The issuer called a token active.
    pub(super) fn set_active(&mut self, hash: [u8; 32]) {
        self.answered();
        self.active.insert(hash);
    }

    /// The issuer called a token inactive.
    pub(super) fn set_inactive(&mut self, hash: [u8; 32]) {
        self.answered();
        self.active.remove(&hash);
        self.inactive.insert(hash);
    }

    /// The issuer answered, and the answer about this token is not usable. The client of a token
    /// may bring that about, so it says nothing about other tokens.
    pub(super) fn set_unusable(&mut self, hash: [u8; 32]) {
        self.answered();
        self.unusable.insert(hash);
    }

    /// The issuer did not answer.
    pub(super) fn failed(&mut self) {
        self.paused = Instant::now().checked_add(PAUSE);
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// How long an issuer is not asked after it did not answer, and not about a token after an answer
/// that is not usable.
const PAUSE: Duration = SECOND;
/// How many tokens of a kind are remembered: about 72 bytes each, twice.
const MOST_REMEMBERED: usize = 10_000;
