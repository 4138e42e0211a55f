//! Random bytes as a value, so that tests and vectors are exact.

use core::fmt::Debug;

use zeroize::Zeroizing;

use crate::{Error, base64url};

/// A source of unpredictable bytes.
///
/// Implementations must be cryptographically secure; a counting one is for tests alone.
pub trait SecureRandom: Debug + Send + Sync {
    /// Fills the whole buffer.
    ///
    /// # Errors
    ///
    /// `random.unavailable` where the source cannot deliver; nothing in the buffer is to be used
    /// then.
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

/// A fresh identifier of 128 random bits: 22 characters of base64url, for `jti`, `state`, nonces.
///
/// Sixteen bytes are drawn, and all of them are in the text.
///
/// # Errors
///
/// `random.unavailable` where the source cannot deliver.
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
