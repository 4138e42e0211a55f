//! The replay store in memory: a table of fixed size that never forgets a live entry.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls_pki_types::UnixTime;

use crate::rate::SenderRates;
use crate::{Error, ReplayKey, ReplayStore, Validity};

/// A replay store of fixed capacity in the memory of one process.
///
/// A key belongs to two buckets of a shard, chosen by a hash with a random seed for each store. The
/// store puts the key into the emptier one. A lookup scans two short rows under the lock of the
/// shard, however many entries there are. A slot whose entry has expired is free, so no background
/// task is needed. A slot has 32 bytes, which is 43 bytes for each entry of the capacity.
///
/// - **Full**: the store returns [`Error::Full`] if both buckets of a key hold live entries only.
///   It never forgets a live entry.
/// - **Share**: among the slots that are possible for a key, a sender may hold at most as many as
///   are free, and at most [half](Self::with_share). So one sender can fill half of the store, two
///   can fill a third each, and `n` senders leave a share of `1/(n+1)` for the others. Senders are
///   told apart by a hash of 8 bytes with the store's own seed.
/// - **Rate**: [`with_sender_rate`](Self::with_sender_rate) limits the keys of a sender by time.
/// - **Start**: after [`begin`](ReplayStore::begin), the store returns [`Error::BeforeStart`] for a
///   proof that a receiver could have accepted before that call, such as the process that ran
///   before. A proof that was made later than the clock skew after the start is unaffected.
/// - **Clock**: if the clock goes back to a time whose entries may be overwritten, the store
///   returns [`Error::Unavailable`].
pub struct ReplayCache {
    shards: Vec<Mutex<Shard>>,
    /// Number of buckets in a shard.
    buckets: usize,
    /// Maximum number of live slots of one sender within the two buckets of a key.
    share: usize,
    rates: Option<SenderRates>,
    seed: RandomState,
    /// Unix seconds of the start; [`NOT_BEGUN`] before it.
    began: AtomicU64,
}

struct Shard {
    slots: Vec<Slot>,
    /// The latest expiry, in Unix seconds, among overwritten entries. An entry that expired before
    /// it may be missing.
    forgotten: u32,
}

#[derive(Clone, Copy)]
struct Slot {
    key: [u64; 2],
    /// Unix seconds until which the slot is live; 0 in a slot that was never used.
    until: u32,
    /// A keyed hash of the sender.
    sender: u64,
}

impl ReplayCache {
    /// Creates a store with room for at least `capacity` entries of many senders.
    ///
    /// It allocates 43 bytes for each entry at once.
    #[must_use]
    pub fn in_memory(capacity: usize) -> Self {
        let slots = capacity.saturating_add(capacity / 3).max(1);
        let shards = (slots / 4096).clamp(1, MAX_SHARDS);
        let buckets = slots.div_ceil(shards).div_ceil(BUCKET).max(2);
        let shard = || {
            Mutex::new(Shard {
                slots: vec![Slot::EMPTY; buckets.saturating_mul(BUCKET)],
                forgotten: 0,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            buckets,
            share: BUCKET,
            rates: None,
            seed: RandomState::new(),
            began: AtomicU64::new(NOT_BEGUN),
        }
    }

    /// Sets how many of every 64 slots one sender may hold at most. Defaults to 32. The minimum is
    /// 1; 64 means no limit, not even by the number of free slots.
    ///
    /// ```
    /// let store = aims_replay::ReplayCache::in_memory(100_000).with_share(64); // one client only
    /// # let _ = store;
    /// ```
    #[must_use]
    pub fn with_share(mut self, of_64: usize) -> Self {
        self.share = of_64.clamp(1, BUCKET * 2);
        self
    }

    /// Limits each sender to `burst` keys at once and `per_second` thereafter. By default there is
    /// no such limit. Further keys are refused with [`Error::SenderFull`].
    ///
    /// A key that was spent before costs nothing, so an attacker who repeats a captured proof does
    /// not use up the rate of its sender. The memory is constant, however many senders there are.
    ///
    /// ```
    /// let store = aims_replay::ReplayCache::in_memory(1_000_000).with_sender_rate(500, 2_000);
    /// # let _ = store;
    /// ```
    #[must_use]
    pub fn with_sender_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.rates = Some(SenderRates::new(per_second, burst));
        self
    }

    /// Returns the number of live entries at `now`. It scans every slot, so call it for health
    /// pages and tests only.
    #[must_use]
    pub fn live(&self, now: UnixTime) -> usize {
        let now = seconds(now);
        self.shards
            .iter()
            .map(|shard| {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                shard.slots.iter().filter(|slot| slot.lives(now)).count()
            })
            .sum()
    }

    /// Returns the shard and the two buckets of a key.
    fn place(&self, key: [u64; 2]) -> (usize, usize, usize) {
        let hash = self.seed.hash_one(key);
        let other = self.seed.hash_one([key[1], hash]);
        let shard = reduce(hash, self.shards.len());
        let first = reduce(other, self.buckets);
        // The second bucket is 1 to n-1 further on, so it is never the first one.
        let step = 1 + reduce(other.rotate_left(32) ^ hash, self.buckets - 1);
        (shard, first, (first + step) % self.buckets)
    }
}

impl ReplayStore for ReplayCache {
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error> {
        let until = u32::try_from(until.as_secs()).or(Err(Error::Horizon))?;
        let now = seconds(now);
        if until < now {
            return Err(Error::Expired);
        }
        let slot = Slot {
            key: halves(key),
            until,
            sender: self.seed.hash_one(key.sender()),
        };
        let (shard, first, second) = self.place(slot.key);
        let shard = self.shards.get(shard).ok_or(Error::Unavailable)?;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.spend(slot, [first, second], self.share, self.rates.as_ref(), now)
    }

    fn spend_proof(&self, key: &ReplayKey, valid: Validity, now: UnixTime) -> Result<(), Error> {
        let began = self.began.load(Ordering::Acquire);
        if began != NOT_BEGUN && valid.from().as_secs() <= began {
            return Err(Error::BeforeStart);
        }
        self.spend(key, valid.until(), now)
    }

    fn begin(&self, now: UnixTime) {
        let (order, now) = (Ordering::AcqRel, now.as_secs());
        // The first start counts: the store has remembered everything since.
        let _before = self
            .began
            .compare_exchange(NOT_BEGUN, now, order, Ordering::Acquire);
    }
}

impl Shard {
    fn spend(
        &mut self,
        new: Slot,
        buckets: [usize; 2],
        share: usize,
        rates: Option<&SenderRates>,
        now: u32,
    ) -> Result<(), Error> {
        let (mut of_sender, mut all_live) = (0, 0);
        let mut best = (BUCKET, None);
        for bucket in buckets {
            let start = bucket.saturating_mul(BUCKET);
            let row = self.slots.iter().enumerate().skip(start).take(BUCKET);
            let (mut lives, mut free) = (0, None);
            for (at, slot) in row {
                if slot.lives(now) {
                    if slot.key == new.key {
                        return Err(Error::Replayed);
                    }
                    lives += 1;
                    of_sender += usize::from(slot.sender == new.sender);
                } else {
                    free = free.or(Some(at));
                }
            }
            all_live += lives;
            if lives < best.0 {
                best = (lives, free);
            }
        }
        if new.until <= self.forgotten {
            return Err(Error::Unavailable);
        }
        let slot = best
            .1
            .and_then(|at| self.slots.get_mut(at))
            .ok_or(Error::Full)?;
        let both = BUCKET * 2;
        let limit = match share {
            no_limit if no_limit >= both => both,
            share => share.min(both.saturating_sub(all_live)),
        };
        if of_sender >= limit || rates.is_some_and(|rates| !rates.take(new.sender, now)) {
            return Err(Error::SenderFull);
        }
        self.forgotten = self.forgotten.max(slot.until);
        *slot = new;
        Ok(())
    }
}

impl Slot {
    const EMPTY: Self = Self {
        key: [0; 2],
        until: 0,
        sender: 0,
    };

    const fn lives(&self, now: u32) -> bool {
        self.until != 0 && self.until >= now
    }
}

/// Spreads a hash evenly over `0..n`.
fn reduce(hash: u64, n: usize) -> usize {
    let n = u64::try_from(n).unwrap_or(u64::MAX);
    usize::try_from(hash.checked_rem(n).unwrap_or(0)).unwrap_or(0)
}

/// Returns half of the key's hash. 128 bits are enough: a collision refuses one valid request.
fn halves(key: &ReplayKey) -> [u64; 2] {
    let (first, rest) = key.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    let second = rest.first_chunk().unwrap_or(&[0; 8]);
    [u64::from_le_bytes(*first), u64::from_le_bytes(*second)]
}

/// Converts to the seconds that the store counts. Later times become the maximum, at which every
/// entry is expired and no key can be spent.
fn seconds(time: UnixTime) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

impl fmt::Debug for ReplayCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCache")
            .field("slots", &(self.shards.len() * self.buckets * BUCKET))
            .finish_non_exhaustive()
    }
}

/// Number of slots in a bucket.
const BUCKET: usize = 32;
const MAX_SHARDS: usize = 64;
const NOT_BEGUN: u64 = u64::MAX;
