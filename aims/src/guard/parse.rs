//! *Parse*: finds the credentials and proofs of a request, within limits and without cryptography.

use aims_error::ErrorKind;
use aims_jose::digest::{Fingerprint, Hashed};
use aims_jose::secret::SecretText;
use aims_oauth_rs::{AccessToken, TokenScheme, bearer_or_dpop_token, bearer_token};
use aims_oauth_wire::certificate::PeerCertificate;
use aims_oauth_wire::dpop;
use aims_wimse_cred::Wit;
use aims_wimse_wpt::fields::{self, txn_token, workload_identity_token, workload_proof_token};
use aims_wimse_wpt::{Error, Revision};
use http::StatusCode;
use http::header::HeaderMap;

use super::evidence::{AgentCredential, Evidence, UnspentProof, transaction, wpt};
use super::received::{ReceivedContent, ReceivedRequest};
use super::refused::Refused;
use super::{Guard, head};
use crate::record::Fingerprints;
use crate::refusal::ErrorResponse;

/// The credentials and proofs of a request, as text. Nothing is verified yet.
pub(super) struct Credentials<'a> {
    pub(super) wit: Option<&'a str>,
    pub(super) wpt: Option<fields::Proof<'a>>,
    /// Whether a signature of the request must be verified.
    pub(super) signed: bool,
    pub(super) token: Option<PresentedToken<'a>>,
    /// The `DPoP` field, where the guard accepts DPoP.
    pub(super) dpop: Option<&'a str>,
    /// The certificate of the client's TLS connection, where the guard uses certificates.
    pub(super) certificate: Option<PeerCertificate>,
    pub(super) txn_token: Option<&'a str>,
}

/// An access token, and the scheme with which it was sent.
pub(super) struct PresentedToken<'a> {
    pub(super) scheme: TokenScheme,
    pub(super) text: Hashed<'a>,
}

impl<M> Guard<M> {
    /// Finds the credentials and proofs. Refuses what two readers could read differently.
    pub(super) fn parse<'a>(
        &self,
        received: ReceivedRequest<'a>,
    ) -> Result<Credentials<'a>, Refused> {
        head::check(received.head)?;
        self.read(received)
    }

    pub(super) fn read<'a>(
        &self,
        received: ReceivedRequest<'a>,
    ) -> Result<Credentials<'a>, Refused> {
        let inner = &*self.inner;
        let (headers, content) = (&received.head.headers, received.content);
        let certificates = inner.certificates.as_ref();
        let certificate = certificates.map(|it| super::certificates::read(it, received.head));
        let certificate = certificate.transpose()?.flatten();
        let accepted = inner.wpt.revisions();
        let signed = !matches!(content, ReceivedContent::Unread)
            && inner.signatures.is_some()
            && (headers.contains_key("signature-input") || headers.contains_key("signature"));
        let refused = |error: Error| wpt::refused(&error, accepted.newest());
        let wpt = workload_proof_token(headers, accepted);
        let token = match &wpt {
            // The single `Authorization` field holds the proof (draft-ietf-wimse-wpt-02 §3).
            Ok(Some(proof)) if proof.revision() == Revision::Draft02 => None,
            // Two readers could choose different forms.
            Err(Error::BothForms) => return Err(refused(Error::BothForms)),
            _ => self.read_token(headers)?,
        };
        let dpop = match &inner.dpop {
            Some(_) => {
                dpop::from_headers(headers).map_err(|error| self.dpop_refused(&error, None))?
            }
            None => None,
        };
        let wit = workload_identity_token(headers).map_err(refused)?;
        let wpt = wpt.map_err(refused)?;
        match (wit, wpt) {
            (Some(_), None) if signed => {}
            (Some(_), None) if headers.contains_key("signature-input") => {
                return Err(self.signature_not_accepted());
            }
            (Some(_), None) => return Err(refused(fields::proof_missing(headers, accepted))),
            (None, Some(_)) => return Err(refused(fields::identity_missing())),
            (Some(_), Some(_)) | (None, None) => {}
        }
        Ok(Credentials {
            wit,
            wpt,
            signed,
            token,
            dpop,
            certificate,
            txn_token: match &inner.transactions {
                Some(_) => aims_txn_token::from_headers(headers)
                    .map_err(|error| transaction::refused(&error))?,
                None => txn_token(headers).map_err(refused)?,
            },
        })
    }

    fn read_token<'a>(
        &self,
        headers: &'a HeaderMap,
    ) -> Result<Option<PresentedToken<'a>>, Refused> {
        let most = self.inner.max_token;
        let token = match &self.inner.dpop {
            Some(_) => bearer_or_dpop_token(headers, most),
            None => bearer_token(headers, most)
                .map(|token| token.map(|text| (TokenScheme::Bearer, text))),
        };
        let token = token.map_err(|error| self.token_refused(&error, None))?;
        Ok(token.map(|(scheme, text)| PresentedToken {
            scheme,
            text: Hashed::of(text),
        }))
    }

    /// Returns the text of the access token of an accepted request.
    pub(super) fn presented_token(&self, headers: &HeaderMap) -> Option<SecretText> {
        let token = self.read_token(headers).ok()??;
        Some(token.text.text().into())
    }

    /// Refuses a request that lacks a required credential or proof.
    pub(super) fn check_presented(&self, presented: &Credentials<'_>) -> Result<(), Refused> {
        let requirements = &self.route.requirements;
        self.check_transaction_presented(presented.txn_token.is_some())?;
        let transaction_alone =
            presented.txn_token.is_some() && requirements.allows_transaction_alone();
        // A DPoP proof belongs to an access token.
        let identity_alone = presented.dpop.is_none()
            && (transaction_alone
                || presented.wit.is_some() && requirements.allows_identity_alone());
        match (&presented.token, &self.inner.issuers) {
            (None, Some(_)) if !identity_alone => {
                return Err(self.token_refused(&aims_oauth_rs::Error::Missing, None));
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
        let proves_or_is_bearer = match presented.token.as_ref().map(|it| it.scheme) {
            Some(TokenScheme::Dpop) => true,
            // A token that is bound to a certificate is sent as `Bearer`.
            Some(TokenScheme::Bearer) => {
                requirements.allows_bearer() || self.inner.certificates.is_some()
            }
            None => transaction_alone && requirements.allows_bearer(),
        };
        if presented.wit.is_some() || proves_or_is_bearer {
            Ok(())
        } else {
            Err(self.nothing_proven(presented.token.is_some()))
        }
    }

    /// Refuses a signature instead of a WPT, if this guard does not accept signatures.
    fn signature_not_accepted(&self) -> Refused {
        let todo = match self.inner.signatures {
            None => "call `GuardBuilder::http_signatures` to accept signatures",
            Some(_) => {
                "a signature covers the content: judge it by `Guard::layer`, or by `check` or `admit` with the content"
            }
        };
        Refused::new(
            "guard.signature_not_accepted",
            ErrorKind::Forbidden,
            ErrorResponse::Problem("an HTTP signature is not accepted as a proof here"),
            format!("the request has an HTTP signature and no workload proof token; {todo}"),
        )
    }

    /// Refuses a request without a proof. A sender without an access token gets a challenge for a
    /// WPT.
    pub(super) fn nothing_proven(&self, has_token: bool) -> Refused {
        let newest = self.inner.wpt.revisions().newest();
        let answer = match (&self.inner.issuers, newest) {
            (None, Revision::Draft02) => ErrorResponse::ProofChallenge(PROOF_REQUIRED),
            _ if self.inner.dpop.is_some() => {
                let challenges = self.challenges(None, None);
                ErrorResponse::Challenge(StatusCode::UNAUTHORIZED, challenges)
            }
            _ => ErrorResponse::Problem(PROOF_REQUIRED),
        };
        let signature = match self.inner.signatures {
            Some(_) => " or an HTTP signature",
            None => "",
        };
        let dpop = match self.inner.dpop {
            Some(_) => ", or a DPoP-bound access token with its proof",
            None => "",
        };
        let found = if has_token {
            "the request carries an access token and no proof; let the caller sign its requests (`Agent::send`), or call `accept_bearer` to accept tokens without a proof"
        } else {
            "the request carries no credential"
        };
        let why = format!(
            "{PROOF_REQUIRED}: expected a WPT of draft-ietf-wimse-wpt-{}{signature}{dpop}; {found}",
            newest.as_str()
        );
        Refused::new("guard.proof", ErrorKind::Forbidden, answer, why)
    }
}

const PROOF_REQUIRED: &str = "a workload identity token and a proof of its key are required";

/// Returns the fingerprints of the tokens. It reuses the hashes of verified tokens.
pub(super) fn fingerprints(
    presented: &Credentials<'_>,
    evidence: &Evidence,
    proofs: &[UnspentProof],
) -> Fingerprints {
    let of = |text: &str| Fingerprint::of(text.as_bytes());
    let wit = evidence.agent.as_ref().map(|AgentCredential::Wit(wit)| wit);
    let wit = wit.map(Wit::hash);
    let token = evidence.token.as_ref().map(AccessToken::hash);
    let dpop = proofs.iter().find_map(UnspentProof::dpop_hash);
    Fingerprints {
        wit: presented
            .wit
            .map(|text| wit.map_or_else(|| of(text), Fingerprint::of_sha256)),
        wpt: presented.wpt.map(|it| of(it.text())),
        access_token: presented
            .token
            .as_ref()
            .map(|it| token.map_or_else(|| it.text.fingerprint(), Fingerprint::of_sha256)),
        dpop: presented
            .dpop
            .map(|text| dpop.map_or_else(|| of(text), Fingerprint::of_sha256)),
        certificate: presented
            .certificate
            .as_ref()
            .map(|it| Fingerprint::of_sha256(it.thumbprint().as_bytes())),
        txn_token: presented.txn_token.map(of),
    }
}
