//! Lookup of the key of an agent.

use std::collections::BTreeMap;
use std::fmt::Debug;

use aims_jose::jwk::Thumbprint;
use aims_jose::key::VerifyingKey;

use super::{Directory, SignatureAgent};
use crate::Error;

/// The statement of a signature about its key, not verified.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) agent: Option<SignatureAgent>,
    pub(super) key_id: Thumbprint,
}

impl Claim {
    /// Returns the agent that is said to publish the key. `None` if the request names no agent, and
    /// the [policy](super::RequestPolicy::accept_no_agent) accepts that.
    #[must_use]
    pub const fn agent(&self) -> Option<&SignatureAgent> {
        self.agent.as_ref()
    }

    /// Returns the thumbprint of the key.
    #[must_use]
    pub const fn key_id(&self) -> &Thumbprint {
        &self.key_id
    }

    /// Returns the error for a claim whose key is unknown. It names the URL, so that the caller can
    /// fetch the keys once and verify again.
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
    /// Returns the key with this thumbprint that is published at this URL. For a claim without URL,
    /// returns a key that the receiver knows by itself.
    ///
    /// # Errors
    ///
    /// `sig.agent_key_unknown`, made by [`Claim::unknown`].
    fn find(&self, claim: &Claim) -> Result<VerifyingKey, Error>;
}

/// The known agents with their directories.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    directories: BTreeMap<String, Directory>,
    keys: Vec<VerifyingKey>,
}

impl Agents {
    /// Creates an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            directories: BTreeMap::new(),
            keys: Vec::new(),
        }
    }

    /// Sets the keys of this agent. They replace its earlier keys.
    pub fn insert(&mut self, agent: &SignatureAgent, directory: Directory) {
        self.directories
            .insert(agent.identifier().to_owned(), directory);
    }

    /// Adds a key that is accepted in requests that name no agent.
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
