//! A cache of verified values, under a keyed hash of their text.

use core::fmt;
use core::hash::{BuildHasher as _, Hasher as _};
use std::hash::RandomState;

use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// A bounded cache of verified values, such as tokens: verifying the same text again is a lookup.
///
/// Only a successful verification adds an entry. For each hit the caller checks whether the entry
/// is still valid, by its expiry and the key that signed it. If not, the entry is dropped and the
/// text is verified again, so that the error names the defect. A failure adds no entry. The cache
/// knows neither revocations nor rules: use one cache for one set of rules.
///
/// The cache stores no text. It identifies a value by the SipHash-2-4 of its text, 128 bits under a
/// random key of each cache. An attacker who does not know the key cannot make two texts with one
/// name. SipHash is several times faster than SHA-256 on processors without SHA instructions.
///
/// ```
/// use aims_jose::verified::VerifiedCache;
///
/// let known = VerifiedCache::new(100);
/// let first = known.get_or_verify("text", |_| true, || Ok::<_, ()>("verified"));
/// assert_eq!(first, Ok("verified"));
/// // A hit: nothing is verified.
/// let again = known.get_or_verify("text", |_| true, || Err(()));
/// assert_eq!(again, Ok("verified"));
/// // A hit that is no longer valid.
/// assert_eq!(known.get_or_verify("text", |_| false, || Err(())), Err(()));
/// assert!(known.is_empty());
/// ```
pub struct VerifiedCache<T> {
    known: Cache<u128, T>,
    names: SipHasher24,
}

impl<T: Clone> VerifiedCache<T> {
    /// Creates a cache of at most `capacity` values, at least one. If it is full, the least used
    /// values are dropped.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // Each half of the key is a hash under random keys of the standard library.
        let drawn = || RandomState::new().build_hasher().finish();
        Self {
            known: Cache::new(capacity.max(1)),
            names: SipHasher24::new_with_keys(drawn(), drawn()),
        }
    }

    /// Returns the value for this text: from the cache if `is_good` accepts it, or verified now.
    ///
    /// # Errors
    ///
    /// Those of `verify`.
    pub fn get_or_verify<E>(
        &self,
        text: &str,
        is_good: impl FnOnce(&T) -> bool,
        verify: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let name = self.name(text);
        if let Some(known) = self.known.get(&name) {
            if is_good(&known) {
                return Ok(known);
            }
            drop(self.known.remove(&name));
        }
        let verified = verify()?;
        self.known.insert(name, verified.clone());
        Ok(verified)
    }

    /// Returns the cached value for this text. The caller checks whether it is still valid.
    #[must_use]
    pub fn get(&self, text: &str) -> Option<T> {
        self.known.get(&self.name(text))
    }

    fn name(&self, text: &str) -> u128 {
        let mut name = self.names;
        name.write(text.as_bytes());
        name.finish128().as_u128()
    }

    /// Returns the number of cached values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Returns whether the cache is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Prints no cached value.
impl<T: Clone> fmt::Debug for VerifiedCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCache")
            .field("len", &self.len())
            .field("capacity", &self.known.capacity())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: u64) -> String {
        format!("text {number}")
    }

    #[test]
    fn only_a_verification_makes_an_entry() {
        let known = VerifiedCache::new(10);
        assert_eq!(
            known.get_or_verify(&text(1), |()| true, || Err("bad")),
            Err("bad")
        );
        assert!(known.is_empty());
        assert_eq!(
            known.get_or_verify(&text(1), |()| true, || Ok::<_, ()>(())),
            Ok(())
        );
        assert_eq!(known.len(), 1);
        assert_eq!(known.get(&text(1)), Some(()));
        assert_eq!(known.get(&text(2)), None);
        // The hit of one text does not apply to another text.
        assert_eq!(
            known.get_or_verify(&text(2), |()| true, || Err("bad")),
            Err("bad")
        );
    }

    #[test]
    fn what_no_longer_holds_is_verified_anew() {
        let known = VerifiedCache::new(10);
        assert_eq!(
            known.get_or_verify(&text(1), |_| true, || Ok::<_, ()>(1)),
            Ok(1)
        );
        assert_eq!(
            known.get_or_verify(&text(1), |it| *it > 1, || Ok::<_, ()>(2)),
            Ok(2)
        );
        assert_eq!(
            known.get_or_verify(&text(1), |it| *it > 1, || Err(())),
            Ok(2)
        );
        assert_eq!(
            known.get_or_verify(&text(1), |it| *it > 2, || Err(())),
            Err(())
        );
        assert!(known.is_empty());
    }

    #[test]
    fn room_is_bounded() {
        for capacity in [0, 1, 10] {
            let known = VerifiedCache::new(capacity);
            for number in 0..1_000 {
                known
                    .get_or_verify(&text(number), |_| true, || Ok::<_, ()>(number))
                    .unwrap();
                assert!(known.len() <= capacity.max(1));
            }
        }
    }

    /// Two caches give one text different names, so that no name can be predicted.
    #[test]
    fn names_are_drawn() {
        let name = |known: &VerifiedCache<()>| known.name("text");
        let (one, other) = (VerifiedCache::new(1), VerifiedCache::new(1));
        assert_eq!(name(&one), name(&one));
        assert_ne!(name(&one), name(&other));
    }

    #[test]
    fn debug_shows_no_content() {
        let known = VerifiedCache::new(10);
        known
            .get_or_verify(&text(1), |_| true, || Ok::<_, ()>("secret"))
            .unwrap();
        let shown = format!("{known:?}");
        assert!(
            shown.contains("len: 1") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
