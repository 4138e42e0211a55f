//! *Parse*: the credentials and proofs that a request presents, within limits, before any
//! cryptography.

use aims_error::ErrorKind;
use aims_jose::digest::{Fingerprint, Hashed};
use aims_oauth_rs::bearer_token;
use aims_wimse_cred::Wit;
use aims_wimse_wpt::fields::{
    Presented, Proof, txn_token, workload_identity_token, workload_proof_token,
};
use aims_wimse_wpt::{Error, Revision, Revisions};
use http::header::HeaderMap;

use super::evidence::{AgentCredential, Evidence, wpt};
use super::received::{ReceivedContent, ReceivedRequest};
use super::refused::Refused;
use super::{Guard, head};
use crate::record::Fingerprints;
use crate::refusal::ErrorResponse;

/// The texts that a request presents. Nothing of them is verified.
pub(super) struct Credentials<'a> {
    pub(super) wit: Option<&'a str>,
    pub(super) wpt: Option<Proof<'a>>,
    /// A signature of the request is to be verified.
    pub(super) signed: bool,
    pub(super) token: Option<Hashed<'a>>,
    pub(super) txn_token: Option<&'a str>,
}

impl<M> Guard<M> {
    /// Finds what the request presents, and refuses what two readers could read differently.
    pub(super) fn parse<'a>(
        &self,
        received: ReceivedRequest<'a>,
    ) -> Result<Credentials<'a>, Refused> {
        head::check(received.head)
            .map_err(|(code, kind, answer, why)| Refused::new(code, kind, answer, why))?;
        self.read(&received.head.headers, received.content)
    }

    pub(super) fn read<'a>(
        &self,
        headers: &'a HeaderMap,
        content: ReceivedContent<'_>,
    ) -> Result<Credentials<'a>, Refused> {
        let inner = &*self.inner;
        let accepted = inner.wpt.revisions();
        let signed = !matches!(content, ReceivedContent::Unread)
            && inner.signatures.is_some()
            && (headers.contains_key("signature-input") || headers.contains_key("signature"));
        let proof = workload_proof_token(headers, accepted);
        let token = match &proof {
            // The one `Authorization` field holds the proof (draft-ietf-wimse-wpt-02 §3).
            Ok(Some(proof)) if proof.revision() == Revision::Draft02 => None,
            // Two readers could take one or the other.
            Err(error @ Error::BothForms) => return Err(wpt::refused(error, accepted.newest())),
            _ => bearer_token(headers, inner.max_token)
                .map_err(|error| self.token_refused(&error))?,
        };
        let (wit, wpt) = presented(headers, accepted, signed).map_err(|error| match error {
            Error::FieldMissing { .. } | Error::Revision { .. }
                if headers.contains_key("signature-input") =>
            {
                signature_not_accepted()
            }
            error => wpt::refused(&error, accepted.newest()),
        })?;
        let txn_token = txn_token(headers);
        Ok(Credentials {
            wit,
            wpt,
            signed,
            token: token.map(Hashed::of),
            txn_token: txn_token.map_err(|error| wpt::refused(&error, accepted.newest()))?,
        })
    }

    /// Refuses what lacks something that the guard asks for.
    pub(super) fn check_presented(&self, presented: &Credentials<'_>) -> Result<(), Refused> {
        let requirements = &self.route.requirements;
        match (&presented.token, &self.inner.issuers) {
            (None, Some(_))
                if !(presented.wit.is_some() && requirements.allows_identity_alone()) =>
            {
                return Err(self.token_refused(&aims_oauth_rs::Error::Missing));
            }
            (Some(_), None) => {
                return Err(Refused::new(
                    "guard.token_unexpected",
                    ErrorKind::Configuration,
                    ErrorResponse::Forbidden,
                    "the request carries an access token, but this guard has no issuer; call `.issuers(..)` or `.issuer(..)`",
                ));
            }
            _ => {}
        }
        let bearer = presented.token.is_some() && requirements.allows_bearer();
        if presented.wit.is_some() || bearer {
            Ok(())
        } else {
            Err(self.nothing_proven())
        }
    }

    /// A sender that presents no access token can be asked for a WPT by a challenge.
    pub(super) fn nothing_proven(&self) -> Refused {
        let newest = self.inner.wpt.revisions().newest();
        let answer = match (&self.inner.issuers, newest) {
            (None, Revision::Draft02) => ErrorResponse::ProofChallenge(PROOF_REQUIRED),
            _ => ErrorResponse::Problem(PROOF_REQUIRED),
        };
        Refused::new("guard.proof", ErrorKind::Forbidden, answer, PROOF_REQUIRED)
    }
}

/// The WIT and the WPT: both, or neither, or the WIT alone where a signature may be the proof.
fn presented(
    headers: &HeaderMap,
    accepted: Revisions,
    signed: bool,
) -> Result<(Option<&str>, Option<Proof<'_>>), Error> {
    if signed && workload_proof_token(headers, accepted)?.is_none() {
        return Ok((workload_identity_token(headers)?, None));
    }
    let presented = Presented::find(headers, accepted)?;
    Ok(presented.map_or((None, None), |it| (Some(it.wit()), Some(it.proof()))))
}

/// A signature in place of a WPT, where none is judged.
fn signature_not_accepted() -> Refused {
    Refused::new(
        "guard.signature_not_accepted",
        ErrorKind::Forbidden,
        ErrorResponse::Problem(PROOF_REQUIRED),
        "the request has a signature and no workload proof token: signatures are judged by `layer`, or by `check` with the content, of a guard with `http_signatures`",
    )
}

const PROOF_REQUIRED: &str = "a workload identity token and a proof of its key are required";

/// What was verified was hashed already.
pub(super) fn fingerprints(presented: &Credentials<'_>, evidence: &Evidence) -> Fingerprints {
    let of = |text: &str| Fingerprint::of(text.as_bytes());
    let wit = evidence.agent.as_ref().map(|AgentCredential::Wit(wit)| wit);
    let wit = wit.map(Wit::hash);
    Fingerprints {
        wit: presented
            .wit
            .map(|text| wit.map_or_else(|| of(text), Fingerprint::of_sha256)),
        wpt: presented.wpt.map(|it| of(it.text())),
        access_token: presented.token.as_ref().map(Hashed::fingerprint),
        txn_token: presented.txn_token.map(of),
    }
}
