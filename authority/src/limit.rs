//! Limits, and the request rate of one source.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aims_jose::time::UnixTime;

use crate::Error;

/// A rate: `burst` requests at once, then `per_minute`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two numbers, and never more")]
pub struct Rate {
    /// Maximum number at once.
    pub burst: u32,
    /// Number per minute after the burst.
    pub per_minute: u32,
}

/// The limits of an authority. [`Limits::default`] suits the agents of one machine.
///
/// ```
/// use aims_authority::{Limits, Rate};
///
/// let mut limits = Limits::default();
/// limits.requests = Rate { burst: 50, per_minute: 600 };
/// assert_eq!(limits.body, 32 * 1024);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum length of a request body in bytes. Defaults to 32 KiB.
    pub body: usize,
    /// Rate of requests from one source address. An IPv6 address counts by its /64. Defaults to 400
    /// at once and 6,000 a minute.
    pub requests: Rate,
    /// Rate of wrong bootstrap tokens from one source. Defaults to 60 at once and 60 a minute.
    ///
    /// Beyond it, wrong tokens from that source are answered with 429. A right token is always
    /// accepted, and does not count as one of [`requests`](Self::requests), so another client at
    /// the same address cannot keep an agent from enrolling. A token has at least 128 bits, so
    /// there is nothing to guess.
    pub failures: Rate,
    /// Rate of one agent: of its proofs at the identity server, and of its proofs, assertions and
    /// attestations at the token endpoint. Defaults to 400 at once and 6,000 a minute.
    ///
    /// At the token endpoint it is a rule of the default replay store only: see
    /// [`Builder::replay`](crate::Builder::replay). A public client proves nothing, so there each
    /// source of its requests has this rate. An IPv6 address counts by its /64.
    pub agent: Rate,
    /// Maximum number of declared enrolments. Defaults to 4,096.
    pub enrolments: usize,
    /// Maximum number of keys with valid credentials. Defaults to 65,536.
    pub credentials: usize,
    /// Maximum number of keys with valid credentials of one enrolment. Defaults to 256.
    pub credentials_per_enrolment: usize,
    /// Maximum lifetime of any credential. Defaults to 24 h.
    pub longest_lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 32 * 1024,
            requests: Rate {
                burst: 400,
                per_minute: 6_000,
            },
            failures: Rate {
                burst: 60,
                per_minute: 60,
            },
            agent: Rate {
                burst: 400,
                per_minute: 6_000,
            },
            enrolments: 4_096,
            credentials: 65_536,
            credentials_per_enrolment: 256,
            longest_lifetime: Duration::from_secs(24 * 3_600),
        }
    }
}

/// Number of sources that are counted separately. Further sources share one bucket.
const SOURCES: usize = 4_096;

/// One request, in the units of a bucket.
const UNIT: u64 = 60;

/// Token buckets, one for each source or agent, in constant memory.
#[derive(Debug)]
pub(crate) struct Meter {
    rate: Rate,
    buckets: Mutex<HashMap<Option<Key>, Bucket>>,
}

#[derive(Debug, Eq, Hash, PartialEq)]
enum Key {
    Network(IpAddr),
    Agent(Box<str>),
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Level in sixtieths of a request, so that a rate per minute is a whole number per second.
    level: u64,
    at: u64,
}

impl Meter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    fn full(&self) -> u64 {
        u64::from(self.rate.burst).saturating_mul(UNIT)
    }

    fn filled(&self, bucket: Bucket, now: u64) -> Bucket {
        let gained = now
            .saturating_sub(bucket.at)
            .saturating_mul(self.rate.per_minute.into());
        Bucket {
            level: bucket.level.saturating_add(gained).min(self.full()),
            at: now,
        }
    }

    /// Takes one request from the bucket.
    ///
    /// # Errors
    ///
    /// `authority.too_many` if it is empty.
    pub(crate) fn take(&self, source: Option<IpAddr>, now: UnixTime) -> Result<(), Error> {
        self.take_for(source.map(network).map(Key::Network), now)
    }

    /// Takes one request from the bucket of an agent.
    ///
    /// # Errors
    ///
    /// `authority.too_many` if it is empty.
    pub(crate) fn take_agent(&self, agent: &str, now: UnixTime) -> Result<(), Error> {
        self.take_for(Some(Key::Agent(agent.into())), now)
    }

    /// Gives one request back to the bucket of an agent.
    pub(crate) fn give_back(&self, agent: &str, now: UnixTime) {
        let full = self.full();
        // The change never fails.
        let _given = self.with(Some(Key::Agent(agent.into())), now, |bucket| {
            bucket.level = bucket.level.saturating_add(UNIT).min(full);
            true
        });
    }

    fn take_for(&self, key: Option<Key>, now: UnixTime) -> Result<(), Error> {
        self.with(key, now, |bucket| {
            let left = bucket.level.checked_sub(UNIT);
            bucket.level = left.unwrap_or(bucket.level);
            left.is_some()
        })
    }

    fn with(
        &self,
        mut key: Option<Key>,
        now: UnixTime,
        change: impl FnOnce(&mut Bucket) -> bool,
    ) -> Result<(), Error> {
        let now = now.as_secs();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(&key) && buckets.len() >= SOURCES {
            buckets.retain(|_, bucket| self.filled(*bucket, now).level < self.full());
            if buckets.len() >= SOURCES {
                key = None;
            }
        }
        let fresh = Bucket {
            level: self.full(),
            at: now,
        };
        let bucket = buckets.entry(key).or_insert(fresh);
        *bucket = self.filled(*bucket, now);
        if change(bucket) {
            return Ok(());
        }
        let lacking = UNIT.saturating_sub(bucket.level);
        let per_second = u64::from(self.rate.per_minute).max(1);
        Err(Error::TooMany {
            retry_after: lacking.div_ceil(per_second).max(1),
        })
    }
}

/// Counts an IPv6 address as its /64, because one client usually has the whole /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn meter(burst: u32, per_minute: u32) -> Meter {
        Meter::new(Rate { burst, per_minute })
    }

    /// A burst is allowed, then the rate, and the response says when to retry.
    #[test]
    fn a_burst_then_the_rate() {
        let meter = meter(2, 30);
        assert!(meter.take(None, at(100)).is_ok());
        assert!(meter.take(None, at(100)).is_ok());
        let refused = meter.take(None, at(100)).unwrap_err();
        assert!(
            matches!(refused, Error::TooMany { retry_after: 2 }),
            "{refused:?}"
        );
        assert!(meter.take(None, at(101)).is_err());
        assert!(meter.take(None, at(102)).is_ok());
        assert!(meter.take(None, at(102)).is_err());
    }

    #[test]
    fn sources_do_not_pay_for_each_other_but_a_network_does() {
        let meter = meter(1, 1);
        let source = |text: &str| Some(text.parse().unwrap());
        assert!(meter.take(source("10.0.0.1"), at(5)).is_ok());
        assert!(meter.take(source("::ffff:10.0.0.1"), at(5)).is_err());
        assert!(meter.take(source("10.0.0.2"), at(5)).is_ok());
        assert!(meter.take(source("2001:db8::1"), at(5)).is_ok());
        assert!(meter.take(source("2001:db8::2"), at(5)).is_err());
        assert!(meter.take(source("2001:db8:0:1::2"), at(5)).is_ok());
    }

    /// Many sources use constant memory, and each is still limited.
    #[test]
    fn many_sources_cost_constant_memory() {
        let meter = meter(1, 1);
        for bits in 0..10_000_u32 {
            let _ = meter.take(Some(IpAddr::V4(bits.into())), at(7));
        }
        assert!(meter.buckets.lock().unwrap().len() <= SOURCES + 1);
        assert!(meter.take(Some(IpAddr::V4(20_000.into())), at(7)).is_err());
    }

    /// A clock that goes back neither panics nor disables the limit.
    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let meter = meter(1, 60);
        assert!(meter.take(None, at(u64::MAX)).is_ok());
        assert!(meter.take(None, at(0)).is_err());
        assert!(meter.take(None, at(1)).is_ok());
    }
}
