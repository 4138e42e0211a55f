//! Finding the key of an agent.

use std::collections::BTreeMap;
use std::fmt::Debug;

use aims_jose::jwk::Thumbprint;
use aims_jose::key::VerifyingKey;

use super::{Directory, SignatureAgent};
use crate::Error;

/// What a signature says of its key, of which nothing is verified yet.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) agent: Option<SignatureAgent>,
    pub(super) key_id: Thumbprint,
}

impl Claim {
    /// Where the key is said to be published; none where the request does not say it, and the
    /// [policy](super::RequestPolicy::accepting_no_agent) takes that.
    #[must_use]
    pub const fn agent(&self) -> Option<&SignatureAgent> {
        self.agent.as_ref()
    }

    /// The thumbprint of the key.
    #[must_use]
    pub const fn key_id(&self) -> &Thumbprint {
        &self.key_id
    }

    /// The error for a claim whose key is not known: it names the URL, so that a rim may look there
    /// once.
    #[must_use]
    pub fn unknown(&self) -> Error {
        Error::AgentKeyUnknown {
            agent: self.agent().map(|agent| agent.identifier().to_owned()),
            key_id: self.key_id.to_string(),
        }
    }
}

/// Finds the key of a claim, by URL and thumbprint together (draft §"Validating Message
/// Signature").
pub trait AgentKeys: Debug + Send + Sync {
    /// The key of this thumbprint that is published at this URL; where the claim has no URL, a key
    /// that is known by itself.
    ///
    /// # Errors
    ///
    /// `sig.agent_key_unknown`, by [`Claim::unknown`].
    fn find(&self, claim: &Claim) -> Result<VerifyingKey, Error>;
}

/// Agents whose directories are at hand.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    directories: BTreeMap<String, Directory>,
    keys: Vec<VerifyingKey>,
}

impl Agents {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            directories: BTreeMap::new(),
            keys: Vec::new(),
        }
    }

    /// The keys of this agent are those, and no others.
    pub fn insert(&mut self, agent: &SignatureAgent, directory: Directory) {
        self.directories
            .insert(agent.identifier().to_owned(), directory);
    }

    /// A key that is known by itself, for requests that name no agent.
    pub fn insert_key(&mut self, key: VerifyingKey) {
        self.keys.push(key);
    }
}

impl AgentKeys for Agents {
    fn find(&self, claim: &Claim) -> Result<VerifyingKey, Error> {
        let id = claim.key_id();
        let key = match claim.agent() {
            Some(agent) => self
                .directories
                .get(agent.identifier())
                .and_then(|directory| directory.find(id)),
            None => self.keys.iter().find(|key| key.thumbprint() == id),
        };
        key.cloned().ok_or_else(|| claim.unknown())
    }
}
