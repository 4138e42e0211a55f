//! How often an issuer is asked, and which tokens it called inactive.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Bounds on the requests to one issuer.
#[derive(Debug)]
pub(super) struct Limits {
    in_flight: usize,
    per_second: u32,
    /// How many requests may begin now, and since when that was counted.
    left: u32,
    counted: Instant,
    /// Nothing is asked before.
    paused: Option<Instant>,
    inactive_for: Duration,
    inactive: HashSet<[u8; 32]>,
    /// The same, the oldest first, each with its end.
    ends: VecDeque<(Instant, [u8; 32])>,
}

impl Limits {
    pub(super) fn new(in_flight: usize, per_second: u32, inactive_for: Duration) -> Self {
        Self {
            in_flight,
            per_second,
            left: per_second,
            counted: Instant::now(),
            paused: None,
            inactive_for,
            inactive: HashSet::new(),
            ends: VecDeque::new(),
        }
    }

    /// Reports whether the issuer called the token inactive a short while ago.
    pub(super) fn is_inactive(&mut self, hash: &[u8; 32]) -> bool {
        let now = Instant::now();
        while let Some((_, ended)) = self.ends.pop_front_if(|(ends, _)| *ends <= now) {
            self.inactive.remove(&ended);
        }
        self.inactive.contains(hash)
    }

    /// Reports whether a request may begin while `under_way` others run. If so, it counts as begun.
    pub(super) fn may_ask(&mut self, under_way: usize) -> bool {
        let now = Instant::now();
        if under_way >= self.in_flight || self.paused.is_some_and(|until| now < until) {
            return false;
        }
        if now.duration_since(self.counted) >= SECOND {
            self.left = self.per_second;
            self.counted = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// The issuer answered.
    pub(super) const fn answered(&mut self) {
        self.paused = None;
    }

    /// The issuer called a token inactive.
    pub(super) fn set_inactive(&mut self, hash: [u8; 32]) {
        self.answered();
        // Without room the token is asked about again.
        if self.ends.len() < MOST_INACTIVE
            && let Some(ends) = Instant::now().checked_add(self.inactive_for)
            && self.inactive.insert(hash)
        {
            self.ends.push_back((ends, hash));
        }
    }

    /// The issuer did not answer.
    pub(super) fn failed(&mut self) {
        self.paused = Instant::now().checked_add(PAUSE);
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// How long an issuer is not asked after it did not answer.
const PAUSE: Duration = SECOND;
/// How many inactive tokens are remembered: 72 bytes each, twice.
const MOST_INACTIVE: usize = 10_000;
