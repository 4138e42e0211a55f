//! The rate of each sender, in constant memory.

use std::sync::{Mutex, PoisonError};

/// Token buckets of senders.
///
/// A sender has two buckets, one in each row, chosen by its keyed hash. It is refused only if both
/// are empty, so a busy sender that shares one of them locks no other out.
pub(crate) struct SenderRates {
    per_second: u32,
    burst: u32,
    rows: [Mutex<Vec<Bucket>>; 2],
}

#[derive(Clone, Copy)]
struct Bucket {
    left: u32,
    at: u32,
}

impl SenderRates {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let burst = burst.max(1);
        let full = Bucket { left: burst, at: 0 };
        Self {
            per_second,
            burst,
            rows: [(); 2].map(|()| Mutex::new(vec![full; WIDTH])),
        }
    }

    /// Takes one key from the sender's buckets. Returns `false` if both are empty.
    pub(crate) fn take(&self, sender: u64, now: u32) -> bool {
        let mut allowed = false;
        for (row, part) in self.rows.iter().zip([sender, sender.rotate_left(32)]) {
            let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
            let width = u64::try_from(WIDTH).unwrap_or(1);
            let at = usize::try_from(part.checked_rem(width).unwrap_or(0)).unwrap_or(0);
            if let Some(bucket) = row.get_mut(at) {
                let gained = now
                    .saturating_sub(bucket.at)
                    .saturating_mul(self.per_second);
                let left = bucket.left.saturating_add(gained).min(self.burst);
                allowed |= left > 0;
                *bucket = Bucket {
                    left: left.saturating_sub(1),
                    at: now.max(bucket.at),
                };
            }
        }
        allowed
    }
}

/// Number of buckets in a row. It is odd, so that the two parts of a hash select independently.
const WIDTH: usize = 8_191;
