//! The sender of a message, and the algorithms that are accepted from it.

use aims_jose::key::VerifyingKey;

use crate::{Algorithms, Error};

/// The sender of a message: the key of its WIT, which the caller has validated. If the policy has
/// algorithms by origin, it also holds the origin of the WIT's subject.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    key: &'a VerifyingKey,
    origin: Option<&'a str>,
}

impl<'a> Peer<'a> {
    /// Creates a peer from the key of a workload and its origin, such as `wimse://example.org`.
    #[must_use]
    pub const fn of(origin: &'a str, key: &'a VerifyingKey) -> Self {
        Self {
            key,
            origin: Some(origin),
        }
    }

    pub(super) const fn key(&self) -> &'a VerifyingKey {
        self.key
    }
}

impl<'a> From<&'a VerifyingKey> for Peer<'a> {
    fn from(key: &'a VerifyingKey) -> Self {
        Self { key, origin: None }
    }
}

/// The accepted algorithms of origins with their own rule.
#[derive(Clone, Debug, Default)]
pub(super) struct AlgorithmRules(Vec<(String, Algorithms)>);

impl AlgorithmRules {
    /// Sets the rule of an origin. If an origin is set twice, the last call wins.
    pub(super) fn set(&mut self, origin: String, algorithms: Algorithms) {
        self.0.retain(|(other, _)| *other != origin);
        self.0.push((origin, algorithms));
    }

    /// Returns the rule for this sender, if its origin has one. If there are rules, a sender of
    /// unknown origin is refused, because its rule may be stricter.
    pub(super) fn of(&self, sender: &Peer<'_>) -> Result<Option<Algorithms>, Error> {
        match sender.origin {
            Some(origin) => {
                let own = self.0.iter().find(|(other, _)| other == origin);
                Ok(own.map(|(_, algorithms)| *algorithms))
            }
            None if self.0.is_empty() => Ok(None),
            None => Err(Error::Prepare {
                reason: "the policy has algorithms by origin, and the sender's origin is not given",
            }),
        }
    }
}
