//! [`Enrolment`]: an operator's assignment of an identifier to a bootstrap secret.

use core::fmt;
use core::time::Duration;

use aims_jose::base64url;
use aims_jose::digest::sha256;
use aims_jose::jwk::Thumbprint;
use aims_jose::key::VerifyingKey;
use aims_jose::random::SecureRandom;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::bearer::is_b64token;
use aims_wimse_id::WorkloadId;
use zeroize::Zeroizing;

use crate::Error;

/// Minimum length of a bootstrap token: 128 bits in base64url.
const SHORTEST_TOKEN: usize = 22;
/// Maximum length of a bootstrap token.
pub(crate) const LONGEST_TOKEN: usize = 256;

/// An operator's declaration that an agent with this bootstrap key or token gets this identifier.
///
/// The agent cannot choose the identifier: it comes from the enrolment only. An identifier has at
/// most one enrolment.
///
/// ```
/// use aims_authority::Enrolment;
/// use std::time::Duration;
///
/// let token = Enrolment::random_token(aims_jose::random::SYSTEM)?;
/// let enrolment = Enrolment::by_token("spiffe://example.org/agent".parse()?, &token)?
///     .with_lifetime(Duration::from_secs(600));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Enrolment {
    pub(crate) id: WorkloadId,
    pub(crate) bootstrap: BootstrapKind,
    pub(crate) key: Option<VerifyingKey>,
    pub(crate) lifetime: Duration,
    pub(crate) expires: Option<UnixTime>,
    pub(crate) single_use: bool,
}

/// The bootstrap secret of an enrolment. Only the hash of a token is stored.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(crate) enum BootstrapKind {
    Key(Thumbprint),
    Token([u8; 32]),
}

impl BootstrapKind {
    pub(crate) fn of_token(token: &str) -> Self {
        Self::Token(sha256(token.as_bytes()))
    }
}

impl Enrolment {
    /// Default lifetime of credentials: one hour. See [`with_lifetime`](Self::with_lifetime).
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(3_600);

    /// Declares an identifier for the holder of a bootstrap key, such as a platform's key in a TPM
    /// or in an operator's secret store. The holder may enrol any number of times.
    #[must_use]
    pub fn by_key(id: WorkloadId, bootstrap: VerifyingKey) -> Self {
        let kind = BootstrapKind::Key(*bootstrap.thumbprint());
        Self {
            key: Some(bootstrap),
            ..Self::new(id, kind, false)
        }
    }

    /// Declares an identifier for the agent that presents this bootstrap token. The token is valid
    /// once; afterwards the agent renews.
    ///
    /// # Errors
    ///
    /// `authority.enrolment_secret` if the token has fewer than 22 or more than 256 characters, or
    /// characters outside RFC 6750 §2.1. [`random_token`](Self::random_token) creates a valid one.
    pub fn by_token(id: WorkloadId, token: &SecretText) -> Result<Self, Error> {
        if !is_token(token.expose()) {
            return Err(Error::EnrolmentSecret {
                reason: "expected 22 to 256 characters of a bearer token (RFC 6750 §2.1), such as \
                         `Enrolment::random_token` makes them",
            });
        }
        Ok(Self::new(id, BootstrapKind::of_token(token.expose()), true))
    }

    fn new(id: WorkloadId, bootstrap: BootstrapKind, single_use: bool) -> Self {
        let lifetime = Self::DEFAULT_LIFETIME;
        Self {
            id,
            bootstrap,
            key: None,
            lifetime,
            expires: None,
            single_use,
        }
    }

    /// Returns a token of 256 random bits in base64url.
    ///
    /// # Errors
    ///
    /// `authority.unavailable` without random bytes.
    pub fn random_token(random: &dyn SecureRandom) -> Result<SecretText, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        random
            .fill(bytes.as_mut_slice())
            .map_err(Error::unavailable)?;
        Ok(SecretText::new(base64url::encode(bytes.as_slice())))
    }

    /// Sets the lifetime of each credential. Defaults to
    /// [`DEFAULT_LIFETIME`](Self::DEFAULT_LIFETIME).
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the time after which the enrolment accepts no agent.
    ///
    /// Renewal continues after it. To end that too, [withdraw](crate::IdentityServer::withdraw) the
    /// identifier.
    #[must_use]
    pub const fn expiring(mut self, at: UnixTime) -> Self {
        self.expires = Some(at);
        self
    }

    /// Allows a bootstrap token to be used more than once, for example by the replicas of one
    /// workload.
    ///
    /// An attacker who finds the token can act as that workload until the enrolment is withdrawn.
    #[must_use]
    pub const fn reusable(mut self) -> Self {
        self.single_use = false;
        self
    }

    /// Returns the identifier that the agent gets.
    #[must_use]
    pub const fn id(&self) -> &WorkloadId {
        &self.id
    }
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.bootstrap {
            BootstrapKind::Key(_) => "key",
            BootstrapKind::Token(_) => "token",
        };
        f.debug_struct("Enrolment")
            .field("id", &self.id)
            .field("by", &by)
            .field("lifetime", &self.lifetime)
            .field("expires", &self.expires)
            .field("single_use", &self.single_use)
            .finish_non_exhaustive()
    }
}

/// Returns whether the text is a `b64token` of RFC 6750 §2.1 with an allowed length.
pub(crate) fn is_token(text: &str) -> bool {
    (SHORTEST_TOKEN..=LONGEST_TOKEN).contains(&text.len()) && is_b64token(text)
}

#[cfg(test)]
mod tests {
    use aims_jose::random::SYSTEM;

    use super::*;

    fn id() -> WorkloadId {
        "spiffe://example.org/agent".parse().unwrap()
    }

    /// Tokens that an attacker could guess are refused when they are declared.
    #[test]
    fn weak_tokens_are_refused() {
        let cases = [
            String::new(),
            "x".repeat(21),
            "x".repeat(257),
            format!("{} ", "x".repeat(30)),
            format!("={}", "x".repeat(30)),
            format!("{}=x", "x".repeat(30)),
        ];
        for token in cases {
            let refused = Enrolment::by_token(id(), &SecretText::new(token)).unwrap_err();
            assert_eq!(refused.code(), "authority.enrolment_secret");
        }
        for token in [
            "x".repeat(22),
            "x".repeat(256),
            format!("{}==", "x".repeat(22)),
        ] {
            assert!(Enrolment::by_token(id(), &SecretText::new(token)).is_ok());
        }
    }

    /// A random token has 32 random bytes, and `Debug` prints none of it.
    #[test]
    fn random_tokens_are_long_and_stay_secret() {
        let token = Enrolment::random_token(SYSTEM).unwrap();
        assert_eq!(token.len(), 43);
        let enrolment = Enrolment::by_token(id(), &token).unwrap();
        assert!(!format!("{enrolment:?}").contains(token.expose()));
        assert!(token != Enrolment::random_token(SYSTEM).unwrap());
    }
}
