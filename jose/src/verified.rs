//! Things that were verified before, under a keyed hash of their text.

use core::fmt;
use core::hash::{BuildHasher as _, Hasher as _};
use std::hash::RandomState;

use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// A bounded memory of verified things, such as tokens: the second time, one costs a lookup.
///
/// An entry is made only by a verification that succeeded. An entry that is found is asked whether
/// it still holds (its end, the key that signed it); one that does not is forgotten and verified
/// anew, so that the error says what is wrong. A failure makes no entry. The memory knows nothing
/// of revocations, and nothing of rules: one memory belongs to one set of rules.
///
/// No text is kept. A thing has the name that SipHash-2-4 gives its text, 128 bits under a key that
/// is drawn for each memory: who does not know the key cannot make two texts of one name. It is
/// several times faster than SHA-256 on processors without instructions for that.
///
/// ```
/// use aims_jose::verified::VerifiedCache;
///
/// let known = VerifiedCache::new(100);
/// let first = known.get_or_verify("text", |_| true, || Ok::<_, ()>("verified"));
/// assert_eq!(first, Ok("verified"));
/// // Found: nothing is verified.
/// let again = known.get_or_verify("text", |_| true, || Err(()));
/// assert_eq!(again, Ok("verified"));
/// // Found, and no longer good.
/// assert_eq!(known.get_or_verify("text", |_| false, || Err(())), Err(()));
/// assert!(known.is_empty());
/// ```
pub struct VerifiedCache<T> {
    known: Cache<u128, T>,
    names: SipHasher24,
}

impl<T: Clone> VerifiedCache<T> {
    /// Keeps at most so many, at least one. When it is full, what is asked for least goes first.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // Each of the two is a hash under keys that the standard library drew.
        let drawn = || RandomState::new().build_hasher().finish();
        Self {
            known: Cache::new(capacity.max(1)),
            names: SipHasher24::new_with_keys(drawn(), drawn()),
        }
    }

    /// The thing with this text: from before where `is_good` says that it still holds, or
    /// verified now.
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
        let mut name = self.names;
        name.write(text.as_bytes());
        let name = name.finish128().as_u128();
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

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Without what is held.
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
        // One text vouches for no other.
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

    /// Two memories name one text differently, so that no name is known beforehand.
    #[test]
    fn names_are_drawn() {
        let name = |known: &VerifiedCache<()>| {
            let mut name = known.names;
            name.write(b"text");
            name.finish128().as_u128()
        };
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
