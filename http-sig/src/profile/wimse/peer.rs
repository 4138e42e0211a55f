//! Whose key verifies a signature, and which algorithms are accepted from it.

use aims_jose::key::VerifyingKey;

use crate::{Algorithms, Error};

/// The sender of a message: the key of its WIT, which was validated before, and the origin of the
/// WIT's subject where the policy has algorithms by origin.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    key: &'a VerifyingKey,
    origin: Option<&'a str>,
}

impl<'a> Peer<'a> {
    /// The key of a workload of this origin, such as `wimse://example.org`.
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

/// The algorithms that are accepted from the origins that have rules of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct AlgorithmRules(Vec<(String, Algorithms)>);

impl AlgorithmRules {
    /// The last call for an origin counts.
    pub(super) fn set(&mut self, origin: String, algorithms: Algorithms) {
        self.0.retain(|(other, _)| *other != origin);
        self.0.push((origin, algorithms));
    }

    /// The rule for this sender, if its origin has one. A sender of an unknown origin is refused
    /// where there are rules, because they may accept less from it.
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
