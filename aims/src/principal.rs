//! Who calls, as it was proven.

use std::fmt;
use std::sync::Arc;

use aims_http_sig::Component;
use aims_http_sig::profile::wimse::VerifiedRequest;
use aims_jose::time::UnixTime;
use aims_oauth_rs::AccessToken;
use aims_oauth_wire::names::ScopeSet;
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;
use aims_wimse_wpt::WptProof;
use http::header::HeaderName;

use crate::guard::{AgentCredential, Proof, ProofMethod};

/// Who calls: what a [`Guard`](crate::Guard) has made of a request. Nothing else can make one:
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

/// A proven agent, or an access token, or both.
pub(crate) struct Proven {
    /// The agent whose key was proven.
    pub(crate) agent: Option<AgentCredential>,
    /// By what it was proven.
    pub(crate) proofs: Vec<Proof>,
    pub(crate) token: Option<AccessToken>,
    /// The token is bound to no key, and its client is not the proven agent.
    pub(crate) unbound: bool,
}

impl Principal {
    pub(crate) fn new(proven: Proven) -> Self {
        Self(Arc::new(proven))
    }

    /// The agent that holds the proven key. None where only a bearer token came, which the
    /// requirements must accept by name.
    #[must_use]
    pub fn agent(&self) -> Option<&WorkloadId> {
        self.credential().map(AgentCredential::id)
    }

    /// The credential whose key was proven.
    #[must_use]
    pub fn credential(&self) -> Option<&AgentCredential> {
        self.0.agent.as_ref()
    }

    /// On whose behalf: the access token's `sub`, or else the agent itself.
    ///
    /// Where the token is [unbound](Self::is_unbound), everybody who has seen the token can claim
    /// this subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        match (&self.0.token, self.agent()) {
            (Some(token), _) => token.subject(),
            (None, Some(agent)) => agent.as_str(),
            (None, None) => "",
        }
    }

    /// The OAuth client that the access token was issued to. It is not the [agent](Self::agent)
    /// where the token is [unbound](Self::is_unbound).
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.access_token().map(AccessToken::client_id)
    }

    /// Whether the access token is bound to no key and to nobody who was proven: everybody who
    /// has its text can use it (RFC 6750 §5). The agent, where one was proven, may be another
    /// than the one that the token was issued to.
    #[must_use]
    pub fn is_unbound(&self) -> bool {
        self.0.unbound
    }

    /// The scopes that the access token grants.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        self.access_token().map(AccessToken::scopes)
    }

    /// The proofs of possession that were accepted, each by the agent's key; none for a bearer
    /// token.
    #[must_use]
    pub fn proofs(&self) -> &[Proof] {
        &self.0.proofs
    }

    /// The kinds of the accepted proofs.
    pub fn proof_methods(&self) -> impl Iterator<Item = ProofMethod> {
        self.0.proofs.iter().map(Proof::method)
    }

    /// Whether an accepted proof covers the content of the request.
    ///
    /// A request with several proofs is as safe as the weakest: an attacker on the way can take
    /// away the HTTP signature and leave the workload proof token, which covers no content. What
    /// depends on the content asks this, or [requires](crate::Requirements::proof) the method that
    /// covers it.
    #[must_use]
    pub fn covers_content(&self) -> bool {
        self.0.proofs.iter().any(Proof::covers_content)
    }

    /// Whether an accepted HTTP signature covers this header field, and so its value is the one
    /// that the agent sent.
    #[must_use]
    pub fn covers_field(&self, name: &HeaderName) -> bool {
        let field = Component::field(name.as_str());
        let covers = |field: &Component| {
            let signature = self.signature();
            signature.is_some_and(|it| it.signature().covers(field))
        };
        field.is_ok_and(|field| covers(&field))
    }

    /// The WIT whose key was proven.
    #[must_use]
    pub fn wit(&self) -> Option<&Wit> {
        self.credential().map(|it| match it {
            AgentCredential::Wit(wit) => wit,
        })
    }

    /// The WPT, where one came.
    #[must_use]
    pub fn wpt(&self) -> Option<&WptProof> {
        self.0.proofs.iter().find_map(|proof| match proof {
            Proof::Wpt(wpt) => Some(wpt),
            Proof::HttpSignature(_) => None,
        })
    }

    /// The HTTP signature, where one came: what it covers, and its nonce.
    #[must_use]
    pub fn signature(&self) -> Option<&VerifiedRequest> {
        self.0.proofs.iter().find_map(|proof| match proof {
            Proof::HttpSignature(signature) => Some(&**signature),
            Proof::Wpt(_) => None,
        })
    }

    /// The access token: issuer, actors, further claims.
    #[must_use]
    pub fn access_token(&self) -> Option<&AccessToken> {
        self.0.token.as_ref()
    }

    /// When the first of the credentials expires. What a request began may outlive it; a new
    /// request will not.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        let agent = self.credential().map(AgentCredential::expires);
        let token = self.access_token().map(AccessToken::expires);
        match (agent, token) {
            (Some(agent), Some(token)) => agent.min(token),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => aims_jose::time::at(0),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.proof_methods().collect();
        f.debug_struct("Principal")
            .field("agent", &self.agent())
            .field("subject", &self.subject())
            .field("client", &self.client())
            .field("unbound", &self.is_unbound())
            .field("proofs", &methods)
            .finish_non_exhaustive()
    }
}
