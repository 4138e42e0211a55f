//! Who calls, as it was proven.

use std::fmt;
use std::sync::Arc;

use jose::time::UnixTime;
use oauth_rs::AccessToken;
use oauth_wire::names::ScopeSet;
use wimse_id::WorkloadId;
use wimse_wpt::WptProof;

/// Who calls: what a [`Guard`](crate::Guard) has made of a request. Nothing else can make one.
///
/// Clones share what was proven.
#[derive(Clone)]
pub struct Principal(Arc<Proven>);

struct Proven {
    proof: Option<WptProof>,
    token: Option<AccessToken>,
}

/// How it was proven that the sender holds the agent's key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Proof {
    /// Not at all: whoever holds the access token could have sent the request (RFC 6750).
    Bearer,
    /// A workload proof token by the key of a workload identity token.
    Wpt,
}

impl Principal {
    pub(crate) fn new(proof: Option<WptProof>, token: Option<AccessToken>) -> Self {
        Self(Arc::new(Proven { proof, token }))
    }

    /// The agent that holds the proven key. None where only a bearer token came, which a guard must allow by name.
    #[must_use]
    pub fn agent(&self) -> Option<&WorkloadId> {
        self.0.proof.as_ref().map(|proof| proof.wit().id())
    }

    /// On whose behalf: the access token's `sub`, or else the agent itself.
    #[must_use]
    pub fn subject(&self) -> &str {
        match (&self.0.token, self.agent()) {
            (Some(token), _) => token.subject(),
            (None, agent) => agent.map_or("", WorkloadId::as_str),
        }
    }

    /// The OAuth client that the access token was issued to.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.0.token.as_ref().map(AccessToken::client_id)
    }

    /// The scopes that the access token grants.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        self.0.token.as_ref().map(AccessToken::scopes)
    }

    /// How the agent was proven.
    #[must_use]
    pub fn proof(&self) -> Proof {
        match self.0.proof {
            Some(_) => Proof::Wpt,
            None => Proof::Bearer,
        }
    }

    /// The proof of possession, with the WIT.
    #[must_use]
    pub fn wpt(&self) -> Option<&WptProof> {
        self.0.proof.as_ref()
    }

    /// The access token: issuer, actors, further claims.
    #[must_use]
    pub fn access_token(&self) -> Option<&AccessToken> {
        self.0.token.as_ref()
    }

    /// When the first of the credentials expires. What a request began may outlive it; a new request will not.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        let wit = self.0.proof.as_ref().map(|proof| proof.wit().expires());
        let token = self.0.token.as_ref().map(AccessToken::expires);
        let epoch = UnixTime::since_unix_epoch(std::time::Duration::ZERO);
        wit.into_iter().chain(token).min().unwrap_or(epoch)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("agent", &self.agent())
            .field("subject", &self.subject())
            .field("client", &self.client())
            .field("proof", &self.proof())
            .finish_non_exhaustive()
    }
}
