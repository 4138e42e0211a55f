//! Random bytes as a value, so that tests and vectors are reproducible.

use core::fmt::Debug;

use zeroize::Zeroizing;

use crate::{Error, base64url};

/// A source of unpredictable bytes.
///
/// Implementations must be cryptographically secure, except in tests.
///
/// ```
/// use aims_jose::random::SecureRandom;
///
/// /// Returns the same bytes always. For tests only.
/// #[derive(Debug)]
/// struct Sevens;
///
/// impl SecureRandom for Sevens {
///     fn fill(&self, buffer: &mut [u8]) -> Result<(), aims_jose::Error> {
///         buffer.fill(7);
///         Ok(())
///     }
/// }
///
/// assert_eq!(aims_jose::random::id128(&Sevens)?, "BwcHBwcHBwcHBwcHBwcHBw");
/// # Ok::<(), aims_jose::Error>(())
/// ```
pub trait SecureRandom: Debug + Send + Sync {
    /// Fills the whole buffer.
    ///
    /// # Errors
    ///
    /// `random.unavailable` if the source fails. The buffer must not be used then.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error>;
}

/// The random generator of the operating system.
pub static SYSTEM: &dyn SecureRandom = &System;

#[derive(Debug)]
struct System;

impl SecureRandom for System {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(buffer).map_err(|_unexplained| Error::Random)
    }
}

/// Returns a new identifier of 128 random bits, as 22 characters of base64url. Use it for `jti`,
/// `state` and nonces.
///
/// It draws exactly 16 bytes, and encodes all of them.
///
/// # Errors
///
/// `random.unavailable` if the source fails.
///
/// ```
/// let id = aims_jose::random::id128(aims_jose::random::SYSTEM)?;
/// assert_eq!(id.len(), 22);
/// # Ok::<(), aims_jose::Error>(())
/// ```
pub fn id128(random: &dyn SecureRandom) -> Result<String, Error> {
    let mut bytes = Zeroizing::new([0; 16]);
    random.fill(bytes.as_mut_slice())?;
    Ok(base64url::encode(bytes.as_slice()))
}
