//! Things that were verified before, under the SHA-256 of their text.

use core::fmt;

use quick_cache::sync::Cache;

/// A bounded memory of verified things, such as tokens: the second time, one costs a lookup.
///
/// An entry is made only by a verification that succeeded. An entry that is found is asked whether
/// it still holds (its end, the key that signed it); one that does not is forgotten and verified
/// anew, so that the error says what is wrong. A failure makes no entry. The memory knows nothing
/// of revocations, and nothing of rules: one memory belongs to one set of rules.
///
/// ```
/// use aims_jose::digest::sha256;
/// use aims_jose::verified::VerifiedCache;
///
/// let known = VerifiedCache::new(100);
/// let hash = sha256(b"text");
/// let first = known.get_or_verify(&hash, |_| true, || Ok::<_, ()>("verified"));
/// assert_eq!(first, Ok("verified"));
/// // Found: nothing is verified.
/// let again = known.get_or_verify(&hash, |_| true, || Err(()));
/// assert_eq!(again, Ok("verified"));
/// // Found, and no longer good.
/// assert_eq!(known.get_or_verify(&hash, |_| false, || Err(())), Err(()));
/// assert!(known.is_empty());
/// ```
pub struct VerifiedCache<T>(Cache<[u8; 32], T>);

impl<T: Clone> VerifiedCache<T> {
    /// Keeps at most so many, at least one. When it is full, what is asked for least goes first.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity.max(1)))
    }

    /// The thing with this SHA-256: from before where `is_good` says that it still holds, or
    /// verified now.
    ///
    /// # Errors
    ///
    /// Those of `verify`.
    pub fn get_or_verify<E>(
        &self,
        sha256: &[u8; 32],
        is_good: impl FnOnce(&T) -> bool,
        verify: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(known) = self.0.get(sha256) {
            if is_good(&known) {
                return Ok(known);
            }
            drop(self.0.remove(sha256));
        }
        let verified = verify()?;
        self.0.insert(*sha256, verified.clone());
        Ok(verified)
    }

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Without what is held.
impl<T: Clone> fmt::Debug for VerifiedCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCache")
            .field("len", &self.len())
            .field("capacity", &self.0.capacity())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> [u8; 32] {
        crate::digest::sha256(&number.to_le_bytes())
    }

    #[test]
    fn only_a_verification_makes_an_entry() {
        let known = VerifiedCache::new(10);
        assert_eq!(
            known.get_or_verify(&hash(1), |()| true, || Err("bad")),
            Err("bad")
        );
        assert!(known.is_empty());
        assert_eq!(
            known.get_or_verify(&hash(1), |()| true, || Ok::<_, ()>(())),
            Ok(())
        );
        assert_eq!(known.len(), 1);
        // One text vouches for no other.
        assert_eq!(
            known.get_or_verify(&hash(2), |()| true, || Err("bad")),
            Err("bad")
        );
    }

    #[test]
    fn what_no_longer_holds_is_verified_anew() {
        let known = VerifiedCache::new(10);
        assert_eq!(
            known.get_or_verify(&hash(1), |_| true, || Ok::<_, ()>(1)),
            Ok(1)
        );
        assert_eq!(
            known.get_or_verify(&hash(1), |it| *it > 1, || Ok::<_, ()>(2)),
            Ok(2)
        );
        assert_eq!(
            known.get_or_verify(&hash(1), |it| *it > 1, || Err(())),
            Ok(2)
        );
        assert_eq!(
            known.get_or_verify(&hash(1), |it| *it > 2, || Err(())),
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
                    .get_or_verify(&hash(number), |_| true, || Ok::<_, ()>(number))
                    .unwrap();
                assert!(known.len() <= capacity.max(1));
            }
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let known = VerifiedCache::new(10);
        known
            .get_or_verify(&hash(1), |_| true, || Ok::<_, ()>("secret"))
            .unwrap();
        let shown = format!("{known:?}");
        assert!(
            shown.contains("len: 1") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
