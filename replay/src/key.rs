//! Keys of replay stores: a hash of fixed length over a kind, a sender and the parts of an id.

use std::fmt;

use sha2::{Digest, Sha256};

/// The name of something that may be used only once.
///
/// The key is a SHA-256 over its parts. Each part is preceded by its length, so two different lists
/// of parts never give the same key. The key also holds a hash of the sender, so that a store can
/// limit each sender to a share of its room.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct ReplayKey {
    hash: [u8; 32],
    sender: [u8; 32],
}

impl ReplayKey {
    /// Creates the key of something of a kind, such as `wpt` or `client_assertion`, from a verified
    /// sender.
    ///
    /// The parts identify it within kind and sender, such as the `jti` of a proof.
    ///
    /// ```
    /// use aims_replay::ReplayKey;
    ///
    /// let one = ReplayKey::new("wpt", "spiffe://example.org/a", &["jti-1"]);
    /// assert_ne!(one, ReplayKey::new("wpt", "spiffe://example.org/b", &["jti-1"]));
    /// assert_ne!(one, ReplayKey::new("wpt", "spiffe://example.org/a", &["jti", "-1"]));
    /// ```
    #[must_use]
    pub fn new(kind: &str, sender: &str, parts: &[&str]) -> Self {
        let mut tag = Sha256::new();
        part(&mut tag, sender);
        let tag = tag.finalize();
        let mut hash = Sha256::new();
        part(&mut hash, kind);
        hash.update(tag);
        parts.iter().for_each(|text| part(&mut hash, text));
        Self {
            hash: hash.finalize().into(),
            sender: tag.into(),
        }
    }

    /// Counts the entry against the share of another sender.
    ///
    /// Use it where an attacker can create any number of senders, such as the key of a DPoP proof
    /// (RFC 9449): count the entry for the authenticated client instead. The hash stays the same,
    /// so the same proof from two clients is still one entry.
    ///
    /// ```
    /// use aims_replay::ReplayKey;
    ///
    /// let own = ReplayKey::new("dpop", "thumbprint", &["jti-1"]);
    /// let counted = own.counted_for("client");
    /// assert_eq!(counted.as_bytes(), own.as_bytes());
    /// assert_ne!(counted.sender(), own.sender());
    /// ```
    #[must_use]
    pub fn counted_for(self, sender: &str) -> Self {
        let mut tag = Sha256::new();
        part(&mut tag, sender);
        Self {
            sender: tag.finalize().into(),
            ..self
        }
    }

    /// Returns the whole hash, for stores that several servers share.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Returns the SHA-256 of the sender.
    ///
    /// A store that shortens it must key the result with a secret. Otherwise an attacker who
    /// chooses its own identifier can search for one with the short form of a victim's.
    #[must_use]
    pub const fn sender(&self) -> &[u8; 32] {
        &self.sender
    }
}

fn part(hash: &mut Sha256, text: &str) {
    hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(text);
}

impl fmt::Debug for ReplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayKey(")?;
        self.hash
            .iter()
            .take(8)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
