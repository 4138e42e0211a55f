//! The kinds of evidence that a request carries: each has a file of its own beneath this module,
//! and a variant in the enums here, which are matched exhaustively.
//!
//! To add a kind: write its file, add its variant, and follow the compiler.

pub(super) mod access_token;
pub(super) mod http_signature;
pub(super) mod wit;
pub(super) mod wpt;

use aims_http_sig::profile::wimse::{
    ContentCheck, SignedResponse, UnspentRequest, VerifiedRequest,
};
use aims_jose::jwk::Thumbprint;
use aims_jose::key::VerifyingKey;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, ProvenKey};
use aims_replay::ReplayStore;
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;
use aims_wimse_wpt::{Revision, UnspentWpt, WptProof};

use super::fields::CoveredField;
use super::refused::Refused;
use crate::record::Fingerprints;

/// A verified credential that names an agent and its key. It proves nothing about the sender until
/// a [`Proof`] by this key was accepted.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each credential must be matched")]
pub enum AgentCredential {
    /// A workload identity token (draft-ietf-wimse-workload-creds).
    Wit(Wit),
}

impl AgentCredential {
    /// The identifier of the agent.
    #[must_use]
    pub fn id(&self) -> &WorkloadId {
        match self {
            Self::Wit(wit) => wit.id(),
        }
    }

    /// When the credential expires.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        match self {
            Self::Wit(wit) => wit.expires(),
        }
    }

    /// When the credential was issued, where it says so.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        match self {
            Self::Wit(wit) => wit.issued_at(),
        }
    }

    /// The key whose possession the agent proves.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        match self {
            Self::Wit(wit) => wit.key(),
        }
    }
}

/// How a sender proves that it holds a key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProofMethod {
    /// An HTTP message signature by the key of a workload identity token
    /// (draft-ietf-wimse-http-signature).
    HttpSignature,
    /// A workload proof token by the key of a workload identity token (draft-ietf-wimse-wpt).
    Wpt,
}

impl ProofMethod {
    /// The name of the method: `http-signature` or `wpt`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpSignature => "http-signature",
            Self::Wpt => "wpt",
        }
    }
}

/// A proof of possession that was accepted and spent. A bearer token has none.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each proof must be matched")]
pub enum Proof {
    /// An HTTP message signature: what it covers, and its nonce.
    HttpSignature(Box<VerifiedRequest>),
    /// A workload proof token.
    Wpt(WptProof),
}

impl Proof {
    /// The kind of proof.
    #[must_use]
    pub const fn method(&self) -> ProofMethod {
        match self {
            Self::HttpSignature(_) => ProofMethod::HttpSignature,
            Self::Wpt(_) => ProofMethod::Wpt,
        }
    }

    /// Whether the proof covers the content of the request: a change of one byte would have been
    /// refused. A workload proof token covers none (draft-ietf-wimse-wpt §2).
    #[must_use]
    pub const fn covers_content(&self) -> bool {
        match self {
            // Without a digest there was no content, and none was accepted.
            Self::HttpSignature(_) => true,
            Self::Wpt(_) => false,
        }
    }
}

/// A proof that is good, if it is the first of its kind.
#[derive(Debug)]
pub(super) enum UnspentProof {
    HttpSignature(Box<UnspentRequest>),
    Wpt(UnspentWpt, Revision),
}

impl UnspentProof {
    /// What the content has to be compared with, where the proof covers it.
    pub(super) fn content(&self) -> Option<ContentCheck> {
        match self {
            Self::HttpSignature(unspent) => Some(unspent.content()),
            Self::Wpt(..) => None,
        }
    }

    /// Whether it covers a header field. A WPT covers those that carry a token (`oth`,
    /// draft-ietf-wimse-wpt §2), which its verification has compared.
    pub(super) fn covers(&self, field: &CoveredField) -> bool {
        match self {
            Self::HttpSignature(unspent) => unspent.signature().covers(&field.component),
            Self::Wpt(..) => field.carries_token,
        }
    }

    /// Whether the sender accepts no unsigned response.
    pub(super) fn demands_signed_response(&self) -> bool {
        match self {
            Self::HttpSignature(unspent) => unspent.signed_response() == SignedResponse::Asked,
            Self::Wpt(..) => false,
        }
    }

    /// The key by which it was made, as access tokens are bound to it.
    pub(super) const fn key(&self, thumbprint: Thumbprint) -> ProvenKey {
        match self {
            Self::HttpSignature(_) | Self::Wpt(..) => ProvenKey::Signature(thumbprint),
        }
    }

    /// Spends it. What cannot be remembered is refused.
    pub(super) fn spend(
        self,
        store: &dyn ReplayStore,
        sender: &str,
        now: UnixTime,
    ) -> Result<Proof, Refused> {
        match self {
            Self::HttpSignature(unspent) => http_signature::spend(*unspent, store, sender, now),
            Self::Wpt(unspent, revision) => wpt::spend(unspent, revision, store, now),
        }
    }
}

/// What was verified of a request. It goes to the record also when the request is refused.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) fingerprints: Fingerprints,
    pub(super) agent: Option<AgentCredential>,
    pub(super) token: Option<AccessToken>,
    /// The token is bound to no key, and its client is not the proven agent.
    pub(super) unbound: bool,
}
