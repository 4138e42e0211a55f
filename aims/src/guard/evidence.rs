//! The kinds of evidence that a request carries. Each kind has its own file in this module and a
//! variant in the enums here, which are matched exhaustively.
//!
//! To add a kind, write its file, add its variant, and fix the compiler errors.

pub(super) mod access_token;
pub(super) mod certificate;
pub(super) mod dpop;
pub(super) mod http_signature;
pub(super) mod transaction;
pub(super) mod wit;
pub(super) mod wpt;

use std::sync::Arc;

use aims_http_sig::profile::wimse::{
    ContentCheck, SignedResponse, UnspentRequest, VerifiedRequest,
};
use aims_jose::jwk::Thumbprint;
use aims_jose::key::VerifyingKey;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, ProvenKey};
use aims_oauth_wire::InboundToken;
use aims_oauth_wire::certificate::PeerCertificate;
use aims_oauth_wire::dpop::DpopProof;
use aims_replay::ReplayStore;
use aims_txn_token::TxnToken;
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;
use aims_wimse_wpt::{Revision, UnspentWpt, WptProof};

use super::Guard;
use super::fields::CoveredField;
use super::refused::Refused;
use crate::record::Fingerprints;

/// A verified credential that names an agent and its key.
///
/// It proves nothing about the sender until the guard has accepted a [`Proof`] by this key.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each credential must be matched")]
pub enum AgentCredential {
    /// A workload identity token (draft-ietf-wimse-workload-creds).
    Wit(Wit),
}

impl AgentCredential {
    /// Returns the identifier of the agent.
    #[must_use]
    pub fn id(&self) -> &WorkloadId {
        match self {
            Self::Wit(wit) => wit.id(),
        }
    }

    /// Returns when the credential expires.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        match self {
            Self::Wit(wit) => wit.expires(),
        }
    }

    /// Returns when the credential was issued, or `None` if it does not say.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        match self {
            Self::Wit(wit) => wit.issued_at(),
        }
    }

    /// Returns the public key whose possession the agent proves.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        match self {
            Self::Wit(wit) => wit.key(),
        }
    }
}

/// The methods by which a sender proves that it holds a key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProofMethod {
    /// The certificate of a mutual TLS connection, to which the access token is bound (RFC 8705
    /// §3).
    Certificate,
    /// A DPoP proof by the key that the access token is bound to (RFC 9449).
    Dpop,
    /// An HTTP message signature with the key of a workload identity token
    /// (draft-ietf-wimse-http-signature).
    HttpSignature,
    /// A workload proof token with the key of a workload identity token (draft-ietf-wimse-wpt).
    Wpt,
}

impl ProofMethod {
    /// Returns the name of the method: `certificate`, `dpop`, `http-signature` or `wpt`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Dpop => "dpop",
            Self::HttpSignature => "http-signature",
            Self::Wpt => "wpt",
        }
    }
}

/// A proof of possession that the guard has accepted and spent. A bearer token has none.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each proof must be matched")]
pub enum Proof {
    /// The certificate of a mutual TLS connection.
    Certificate(PeerCertificate),
    /// A DPoP proof.
    Dpop(Box<DpopProof>),
    /// An HTTP message signature, with its covered components and its nonce.
    HttpSignature(Box<VerifiedRequest>),
    /// A workload proof token.
    Wpt(WptProof),
}

impl Proof {
    /// Returns the method of the proof.
    #[must_use]
    pub const fn method(&self) -> ProofMethod {
        match self {
            Self::Certificate(_) => ProofMethod::Certificate,
            Self::Dpop(_) => ProofMethod::Dpop,
            Self::HttpSignature(_) => ProofMethod::HttpSignature,
            Self::Wpt(_) => ProofMethod::Wpt,
        }
    }

    /// Returns whether the proof covers the content of the request, so that a changed byte is
    /// refused.
    ///
    /// A DPoP proof (RFC 9449 §11.7) and a workload proof token (draft-ietf-wimse-wpt §2) do not
    /// cover the content. A certificate covers nothing of the request; TLS protects it as far as
    /// the server that terminates TLS.
    #[must_use]
    pub const fn covers_content(&self) -> bool {
        match self {
            // Without a digest the content was empty, and the guard accepted no other.
            Self::HttpSignature(_) => true,
            Self::Certificate(_) | Self::Dpop(_) | Self::Wpt(_) => false,
        }
    }
}

/// A valid proof that was not spent yet.
#[derive(Debug)]
pub(super) enum UnspentProof {
    /// Nothing of it is spent: it belongs to the connection.
    Certificate(PeerCertificate),
    Dpop(Box<aims_oauth_wire::dpop::UnspentProof>),
    HttpSignature(Box<UnspentRequest>),
    Wpt(UnspentWpt, Revision),
}

impl UnspentProof {
    /// Returns what to compare the content with, if the proof covers it.
    pub(super) fn content(&self) -> Option<ContentCheck> {
        match self {
            Self::HttpSignature(unspent) => Some(unspent.content()),
            Self::Certificate(_) | Self::Dpop(_) | Self::Wpt(..) => None,
        }
    }

    /// Returns whether the proof covers a header field. A WPT covers fields that carry a token
    /// (`oth`, draft-ietf-wimse-wpt §2), which its verification has compared.
    pub(super) fn covers(&self, field: &CoveredField) -> bool {
        match self {
            Self::HttpSignature(unspent) => unspent.signature().covers(&field.component),
            Self::Wpt(..) => field.carries_token,
            Self::Certificate(_) | Self::Dpop(_) => false,
        }
    }

    /// Returns whether the sender demands a signed response.
    pub(super) fn demands_signed_response(&self) -> bool {
        match self {
            Self::HttpSignature(unspent) => unspent.signed_response() == SignedResponse::Asked,
            Self::Certificate(_) | Self::Dpop(_) | Self::Wpt(..) => false,
        }
    }

    /// Returns the SHA-256 of a DPoP proof.
    pub(super) fn dpop_hash(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Dpop(unspent) => Some(unspent.text_hash()),
            Self::Certificate(_) | Self::HttpSignature(_) | Self::Wpt(..) => None,
        }
    }

    /// Returns the key of the proof in the form to which access tokens are bound. `agent` is the
    /// thumbprint of the agent's key, with which the proofs of an agent are made.
    pub(super) fn key(&self, agent: Option<&Thumbprint>) -> Option<ProvenKey> {
        match self {
            Self::Certificate(it) => Some(ProvenKey::Certificate(*it.thumbprint())),
            Self::Dpop(unspent) => Some(ProvenKey::Dpop(*unspent.thumbprint())),
            Self::HttpSignature(_) | Self::Wpt(..) => agent.copied().map(ProvenKey::Signature),
        }
    }

    /// Spends the proof. If the store cannot remember it, the proof is refused.
    pub(super) fn spend<M>(
        self,
        guard: &Guard<M>,
        evidence: &Evidence,
        store: &dyn ReplayStore,
        now: UnixTime,
    ) -> Result<Proof, Refused> {
        let sender = evidence.agent.as_ref().map_or("", |it| it.id().as_str());
        match self {
            Self::Certificate(certificate) => Ok(Proof::Certificate(certificate)),
            Self::Dpop(unspent) => dpop::spend(*unspent, evidence.token.as_ref(), store, now)
                .map_err(|error| guard.dpop_refused(&error, None)),
            Self::HttpSignature(unspent) => http_signature::spend(*unspent, store, sender, now),
            Self::Wpt(unspent, revision) => wpt::spend(unspent, revision, store, now),
        }
    }
}

/// The verified credentials and proofs of a request. They go to the record even if the request is
/// refused.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) fingerprints: Fingerprints,
    pub(super) agent: Option<AgentCredential>,
    pub(super) token: Option<AccessToken>,
    pub(super) transaction: Option<TxnToken>,
    /// The text of the access token, for an exchange.
    pub(super) inbound: Option<Arc<InboundToken>>,
    /// Whether the token is bound to no key and its client is not the proven agent.
    pub(super) unbound: bool,
}
