//! The proven caller of a request.

use std::fmt;
use std::sync::Arc;

use aims_http_sig::Component;
use aims_http_sig::profile::wimse::VerifiedRequest;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, Actor, TokenScheme};
use aims_oauth_wire::InboundToken;
use aims_oauth_wire::certificate::PeerCertificate;
use aims_oauth_wire::dpop::DpopProof;
use aims_oauth_wire::names::ScopeSet;
use aims_txn_token::TxnToken;
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;
use aims_wimse_wpt::WptProof;
use http::header::HeaderName;

use crate::guard::{AgentCredential, Proof, ProofMethod};

/// The caller of a request, as the [`Guard`](crate::Guard) has verified it.
///
/// Only a guard can create a principal:
///
/// ```compile_fail,E0423
/// fn a_principal_is_not_made_by_hand(who: &aims::Principal) -> aims::Principal {
///     aims::Principal(who.0.clone()) // private
/// }
/// ```
///
/// A handler behind [`Guard::layer`](crate::Guard::layer) finds it in the extensions of the
/// request. With the feature `axum`, it is also an argument of handlers:
///
/// ```
/// # #[cfg(feature = "axum")]
/// async fn call(who: aims::Principal) -> String {
///     let agent = who.agent().map_or("no agent".to_owned(), ToString::to_string);
///     format!("{agent} acts for {}", who.subject())
/// }
/// ```
///
/// Clones share the same data.
#[derive(Clone)]
pub struct Principal(Arc<Proven>);

/// The proven identity: an agent, an access token, or both.
pub(crate) struct Proven {
    /// The credential of the agent that has proven possession of its key.
    pub(crate) agent: Option<AgentCredential>,
    /// The accepted proofs of possession.
    pub(crate) proofs: Vec<Proof>,
    pub(crate) token: Option<AccessToken>,
    pub(crate) transaction: Option<TxnToken>,
    /// Whether the token is bound to no key and its client is not the proven agent.
    pub(crate) unbound: bool,
    /// The text of the access token, for an exchange.
    pub(crate) inbound: Option<Arc<InboundToken>>,
    /// The URL of the guard.
    pub(crate) resource: Arc<str>,
}

impl Principal {
    pub(crate) fn new(proven: Proven) -> Self {
        Self(Arc::new(proven))
    }

    /// Returns the same caller with what the issuer of its access token says of the token now.
    pub(crate) fn with_token(&self, token: AccessToken) -> Self {
        let proven = &*self.0;
        Self::new(Proven {
            agent: proven.agent.clone(),
            proofs: proven.proofs.clone(),
            token: Some(token),
            transaction: proven.transaction.clone(),
            unbound: proven.unbound,
            inbound: proven.inbound.clone(),
            resource: Arc::clone(&proven.resource),
        })
    }

    /// Returns the identifier of the agent that has proven possession of its key.
    ///
    /// Returns `None` if the request had only an access token: one that is bound to the key of a
    /// [DPoP proof](Self::dpop), or a bearer token. A route accepts bearer tokens only with
    /// [`Requirements::accept_bearer`](crate::Requirements::accept_bearer).
    #[must_use]
    pub fn agent(&self) -> Option<&WorkloadId> {
        self.credential().map(AgentCredential::id)
    }

    /// Returns the credential of the proven agent.
    #[must_use]
    pub fn credential(&self) -> Option<&AgentCredential> {
        self.0.agent.as_ref()
    }

    /// Returns the subject on whose behalf the caller acts: the `sub` of the access token,
    /// else of the transaction token, else the identifier of the agent.
    ///
    /// If the token is [unbound](Self::is_unbound), anyone who has seen the token can claim this
    /// subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        match (&self.0.token, &self.0.transaction, self.agent()) {
            (Some(token), ..) => token.subject(),
            (None, Some(transaction), _) => transaction.subject(),
            (None, None, Some(agent)) => agent.as_str(),
            (None, None, None) => "",
        }
    }

    /// Returns the OAuth client to which the access token was issued.
    ///
    /// If the token is [unbound](Self::is_unbound), this client is not the [agent](Self::agent).
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.access_token().map(AccessToken::client_id)
    }

    /// Returns the party that acts for the subject at present, by the access token: the outermost
    /// `act`, or the client if the token has no `act` (RFC 8693 §4.1). A policy decides by this
    /// actor.
    #[must_use]
    pub fn current_actor(&self) -> Option<&Actor> {
        self.access_token().map(AccessToken::current_actor)
    }

    /// Returns the parties that acted for the subject before the current actor, the latest first.
    /// They are for records: RFC 8693 §4.1 forbids to decide by them.
    #[must_use]
    pub fn history(&self) -> &[Actor] {
        let token = self.access_token();
        token.map_or(&[], AccessToken::history)
    }

    /// Returns the access token for a token exchange (RFC 8693), by which a tool calls another
    /// service for the same user.
    ///
    /// The token itself must not be sent on: it was issued for this tool. So no method returns its
    /// text, and an [`InboundToken`] is accepted by an exchange alone.
    ///
    /// ```
    /// use aims::Principal;
    /// use aims::oauth_wire::token::TokenRequest;
    ///
    /// fn exchange(who: &Principal) -> Result<Option<TokenRequest>, aims::oauth_wire::Error> {
    ///     let Some(inbound) = who.inbound_token() else {
    ///         return Ok(None);
    ///     };
    ///     let mut request = TokenRequest::exchange(&inbound)?;
    ///     request.resource(&"https://next.example/mcp".parse()?)?;
    ///     Ok(Some(request))
    /// }
    /// ```
    ///
    /// ```compile_fail,E0599
    /// fn send_on(who: &aims::Principal) -> String {
    ///     format!("Bearer {}", who.inbound_token().unwrap().expose()) // no such method
    /// }
    /// ```
    ///
    /// ```compile_fail,E0599
    /// fn send_on(who: &aims::Principal) -> String {
    ///     who.access_token().unwrap().text().to_owned() // no such method
    /// }
    /// ```
    #[must_use]
    pub fn inbound_token(&self) -> Option<Arc<InboundToken>> {
        self.0.inbound.clone()
    }

    /// Returns the URL of the tool, as the guard is configured.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.0.resource
    }

    /// Returns whether the access token is bound neither to a key nor to the proven agent.
    ///
    /// Anyone who has such a token can use it (RFC 6750 §5). If an agent was proven as well, the
    /// token may have been issued to a different client.
    #[must_use]
    pub fn is_unbound(&self) -> bool {
        self.0.unbound
    }

    /// Returns the scopes that the access token grants, or `None` without an access token.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        self.access_token().map(AccessToken::scopes)
    }

    /// Returns the accepted proofs of possession, each made with the agent's key or with the key
    /// that the access token is bound to (DPoP, certificate). It is empty for a bearer token.
    #[must_use]
    pub fn proofs(&self) -> &[Proof] {
        &self.0.proofs
    }

    /// Iterates over the kinds of the accepted proofs.
    pub fn proof_methods(&self) -> impl Iterator<Item = ProofMethod> {
        self.0.proofs.iter().map(Proof::method)
    }

    /// Returns whether an accepted proof covers the content of the request.
    ///
    /// A request with several proofs is as safe as the weakest one. An attacker on the network path
    /// can remove the HTTP signature and leave the workload proof token, which does not cover the
    /// content. If your handler depends on the integrity of the content, check this method or
    /// [require](crate::Requirements::proof) [`ProofMethod::HttpSignature`].
    ///
    /// ```
    /// fn write(who: &aims::Principal, content: &[u8]) -> Result<(), &'static str> {
    ///     if !who.covers_content() {
    ///         return Err("the content is not covered by a proof");
    ///     }
    ///     println!("{} bytes from {}", content.len(), who.subject());
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn covers_content(&self) -> bool {
        self.0.proofs.iter().any(Proof::covers_content)
    }

    /// Returns whether an accepted HTTP signature covers this header field. If so, the value is the
    /// one that the agent sent.
    #[must_use]
    pub fn covers_field(&self, name: &HeaderName) -> bool {
        let field = Component::field(name.as_str());
        let covers = |field: &Component| {
            let signature = self.signature();
            signature.is_some_and(|it| it.signature().covers(field))
        };
        field.is_ok_and(|field| covers(&field))
    }

    /// Returns the WIT (workload identity token) of the proven agent.
    #[must_use]
    pub fn wit(&self) -> Option<&Wit> {
        self.credential().map(|it| match it {
            AgentCredential::Wit(wit) => wit,
        })
    }

    /// Returns the WPT (workload proof token), if the request had one.
    #[must_use]
    pub fn wpt(&self) -> Option<&WptProof> {
        self.0.proofs.iter().find_map(|proof| match proof {
            Proof::Wpt(wpt) => Some(wpt),
            Proof::Certificate(_) | Proof::Dpop(_) | Proof::HttpSignature(_) => None,
        })
    }

    /// Returns the HTTP signature, if the request had one, with its covered components and its
    /// nonce.
    #[must_use]
    pub fn signature(&self) -> Option<&VerifiedRequest> {
        self.0.proofs.iter().find_map(|proof| match proof {
            Proof::HttpSignature(signature) => Some(&**signature),
            Proof::Certificate(_) | Proof::Dpop(_) | Proof::Wpt(_) => None,
        })
    }

    /// Returns the DPoP proof, if the access token is bound to its key.
    ///
    /// [`DpopProof::next_nonce`] is the nonce to send in `DPoP-Nonce`.
    /// [`Guard::layer`](crate::Guard::layer) sends it.
    #[must_use]
    pub fn dpop(&self) -> Option<&DpopProof> {
        self.0.proofs.iter().find_map(|proof| match proof {
            Proof::Dpop(proof) => Some(&**proof),
            Proof::Certificate(_) | Proof::HttpSignature(_) | Proof::Wpt(_) => None,
        })
    }

    /// Returns the certificate of the client's mutual TLS connection, if the access token is bound
    /// to it. It says nothing about who the client is.
    #[must_use]
    pub fn certificate(&self) -> Option<&PeerCertificate> {
        self.0.proofs.iter().find_map(|proof| match proof {
            Proof::Certificate(certificate) => Some(certificate),
            Proof::Dpop(_) | Proof::HttpSignature(_) | Proof::Wpt(_) => None,
        })
    }

    /// Returns the scheme with which the access token was sent.
    pub(crate) fn token_scheme(&self) -> TokenScheme {
        match self.dpop() {
            Some(_) => TokenScheme::Dpop,
            None => TokenScheme::Bearer,
        }
    }

    /// Returns the access token, with its issuer, actors and further claims.
    ///
    /// ```
    /// fn log(who: &aims::Principal) {
    ///     if let Some(token) = who.access_token() {
    ///         println!("issuer {}, client {}", token.issuer(), token.client_id());
    ///         println!("acted for by {}", token.current_actor().subject);
    ///         for actor in token.history() {
    ///             println!("before by {}", actor.subject);
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn access_token(&self) -> Option<&AccessToken> {
        self.0.token.as_ref()
    }

    /// Returns the transaction token, with its scope and context.
    ///
    /// The guard accepts transaction tokens with
    /// [`GuardBuilder::transactions`](crate::guard::GuardBuilder::transactions). A token that is
    /// bound to one call of a tool is compared by the guard with the call that it knows: by
    /// [`Guard::call_layer`](crate::Guard::call_layer), or as the attribute
    /// [`Attributes::CALL_DIGEST`](crate::decision::Attributes::CALL_DIGEST). Where the guard knows
    /// none it refuses the token, unless the handler compares it by [`TxnToken::check_call`]
    /// ([`call_compared_by_handler`](crate::Requirements::call_compared_by_handler)).
    ///
    /// To call another service of the domain in the same transaction, the token is passed on
    /// unchanged; the access token of a request never is ([`inbound_token`](Self::inbound_token)):
    ///
    /// ```
    /// # #[cfg(feature = "agent")]
    /// fn onward(agent: &aims::Agent, who: &aims::Principal) -> Option<aims::Agent> {
    ///     Some(agent.within(who.transaction()?.carried()))
    /// }
    /// ```
    #[must_use]
    pub fn transaction(&self) -> Option<&TxnToken> {
        self.0.transaction.as_ref()
    }

    /// Returns when the first of the credentials expires.
    ///
    /// A new request after this time is refused. Work that a request has started may run longer;
    /// its streams end on routes that require scopes
    /// ([`Requirements::outlive_credentials`](crate::Requirements::outlive_credentials)).
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        let agent = self.credential().map(AgentCredential::expires);
        let token = self.access_token().map(AccessToken::expires);
        let transaction = self.transaction().map(TxnToken::expires);
        let all = [agent, token, transaction].into_iter().flatten();
        all.min().unwrap_or(aims_jose::time::at(0))
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
