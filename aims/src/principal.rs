//! Who calls, as it was proven.

use std::fmt;
use std::sync::Arc;

use aims_http_sig::profile::wimse::VerifiedRequest;
use aims_jose::time::UnixTime;
use aims_oauth_rs::AccessToken;
use aims_oauth_wire::names::ScopeSet;
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;
use aims_wimse_wpt::WptProof;

/// Who calls: what a [`Guard`](crate::Guard) has made of a request. Nothing else can make one
/// (T-139):
///
/// ```compile_fail
/// fn a_principal_is_not_made_by_hand(who: &aims::Principal) -> aims::Principal {
///     aims::Principal(who.0.clone()) // private
/// }
/// ```
///
/// Clones share what was proven.
#[derive(Clone)]
pub struct Principal(Arc<Proven>);

/// Either an agent, or whoever holds a token.
pub(crate) enum Proven {
    Agent {
        /// The WIT whose key was proven.
        wit: Wit,
        wpt: Option<WptProof>,
        signature: Option<Box<VerifiedRequest>>,
        token: Option<AccessToken>,
    },
    Bearer(AccessToken),
}

/// How it was proven that the sender holds the agent's key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Proof {
    /// Not at all: whoever holds the access token could have sent the request (RFC 6750).
    Bearer,
    /// An HTTP message signature by the key of a workload identity token.
    HttpSignature,
    /// A workload proof token by the key of a workload identity token.
    Wpt,
}

impl Principal {
    pub(crate) fn new(proven: Proven) -> Self {
        Self(Arc::new(proven))
    }

    /// The agent that holds the proven key. None where only a bearer token came, which a guard must
    /// allow by name.
    #[must_use]
    pub fn agent(&self) -> Option<&WorkloadId> {
        self.wit().map(Wit::id)
    }

    /// On whose behalf: the access token's `sub`, or else the agent itself.
    #[must_use]
    pub fn subject(&self) -> &str {
        match &*self.0 {
            Proven::Agent { wit, token, .. } => match token {
                Some(token) => token.subject(),
                None => wit.id().as_str(),
            },
            Proven::Bearer(token) => token.subject(),
        }
    }

    /// The OAuth client that the access token was issued to.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.access_token().map(AccessToken::client_id)
    }

    /// The scopes that the access token grants.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        self.access_token().map(AccessToken::scopes)
    }

    /// How the agent was proven: [`Proof::Bearer`] alone, or each proof that came.
    #[must_use]
    pub fn proofs(&self) -> &'static [Proof] {
        let signed = self.signature().is_some();
        match (signed, self.wpt().is_some()) {
            (true, true) => &[Proof::HttpSignature, Proof::Wpt],
            (true, false) => &[Proof::HttpSignature],
            (false, true) => &[Proof::Wpt],
            (false, false) => &[Proof::Bearer],
        }
    }

    /// The WIT whose key was proven.
    #[must_use]
    pub fn wit(&self) -> Option<&Wit> {
        match &*self.0 {
            Proven::Agent { wit, .. } => Some(wit),
            Proven::Bearer(_) => None,
        }
    }

    /// The WPT, where one came.
    #[must_use]
    pub fn wpt(&self) -> Option<&WptProof> {
        match &*self.0 {
            Proven::Agent { wpt, .. } => wpt.as_ref(),
            Proven::Bearer(_) => None,
        }
    }

    /// The HTTP signature, where one came: what it covers, and its nonce.
    #[must_use]
    pub fn signature(&self) -> Option<&VerifiedRequest> {
        match &*self.0 {
            Proven::Agent { signature, .. } => signature.as_deref(),
            Proven::Bearer(_) => None,
        }
    }

    /// The access token: issuer, actors, further claims.
    #[must_use]
    pub fn access_token(&self) -> Option<&AccessToken> {
        match &*self.0 {
            Proven::Agent { token, .. } => token.as_ref(),
            Proven::Bearer(token) => Some(token),
        }
    }

    /// When the first of the credentials expires. What a request began may outlive it; a new
    /// request will not.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        match &*self.0 {
            Proven::Agent { wit, token, .. } => {
                let token = token.as_ref().map(AccessToken::expires);
                token.map_or_else(|| wit.expires(), |token| token.min(wit.expires()))
            }
            Proven::Bearer(token) => token.expires(),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("agent", &self.agent())
            .field("subject", &self.subject())
            .field("client", &self.client())
            .field("proofs", &self.proofs())
            .finish_non_exhaustive()
    }
}
