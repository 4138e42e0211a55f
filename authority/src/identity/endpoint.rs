//! The identity server over HTTP: `POST challenge`, `POST wit`, `POST jwt-svid`, `GET bundle`,
//! `GET jwks`, all beneath `/identity/`.

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::bearer::Bearer;
use aims_oauth_wire::media;
use aims_wimse_id::Scheme;
use http::{HeaderMap, Response};

use super::messages::{ChallengeAnswer, CredentialAnswer, SvidBody, WIT_FIELD, WitBody};
use super::{IdentityServer, LONGEST_TOKEN, PresentedProof, is_token};
use crate::{Error, answer};

/// What can be asked here; nothing else is answered (T-169).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Bundle(Scheme),
    Challenge,
    JwtSvid,
    Wit,
}

impl Operation {
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("/identity/bundle", Self::Bundle(Scheme::Spiffe)),
        ("/identity/jwks", Self::Bundle(Scheme::Wimse)),
        ("/identity/challenge", Self::Challenge),
        ("/identity/jwt-svid", Self::JwtSvid),
        ("/identity/wit", Self::Wit),
    ];

    /// The methods in the words of `Allow`.
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Bundle(_) => "GET, HEAD",
            Self::Challenge | Self::JwtSvid | Self::Wit => "POST",
        }
    }

    /// Whether a bootstrap token may be shown here.
    pub(crate) const fn takes_token(self) -> bool {
        matches!(self, Self::Wit)
    }
}

impl IdentityServer {
    pub(crate) fn answer(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        body: &[u8],
        now: UnixTime,
    ) -> Result<Response<Vec<u8>>, Error> {
        match operation {
            Operation::Bundle(scheme) => {
                let max_age = self.refresh_hint.as_secs();
                Ok(answer::document(self.bundle(scheme, now), max_age, headers))
            }
            Operation::Challenge => {
                let challenge = self.challenge(now)?;
                Ok(answer::secret(&ChallengeAnswer {
                    nonce: challenge.nonce,
                    expires_in: challenge.expires_in.as_secs(),
                }))
            }
            Operation::JwtSvid => {
                let body: SvidBody = read(headers, body)?;
                let wit = wit_field(headers)?.ok_or(Error::IdentityRequest)?;
                let issued = self.issue_jwt_svid(wit, &body.svid_request, now)?;
                Ok(answer::secret(&CredentialAnswer {
                    wit: None,
                    jwt_svid: Some(issued.text.expose().to_owned()),
                    expires_in: issued.expires_in.as_secs(),
                }))
            }
            Operation::Wit => {
                let body: WitBody = read(headers, body)?;
                let issued = self.wit_operation(headers, &body, now)?;
                Ok(answer::secret(&CredentialAnswer {
                    wit: Some(issued.text.expose().to_owned()),
                    jwt_svid: None,
                    expires_in: issued.expires_in.as_secs(),
                }))
            }
        }
    }

    fn wit_operation(
        &self,
        headers: &HeaderMap,
        body: &WitBody,
        now: UnixTime,
    ) -> Result<super::Credential, Error> {
        let token = bootstrap_token(headers)?;
        let wit = wit_field(headers)?;
        // Exactly one way of proof who one is.
        let shown = match (&token, &body.enrolment_proof, wit, &body.renewal_proof) {
            (Some(token), None, None, None) => PresentedProof::Token(token),
            (None, Some(proof), None, None) => PresentedProof::KeyProof(proof),
            (None, None, Some(wit), Some(proof)) => PresentedProof::Wit { wit, proof },
            _ => return Err(Error::IdentityRequest),
        };
        self.issue_wit(&shown, &body.key_proof, now)
    }
}

fn read<'a, T: serde::Deserialize<'a>>(headers: &HeaderMap, body: &'a [u8]) -> Result<T, Error> {
    answer::check_media_type(headers, media::JSON)?;
    aims_jose::json::from_object(body).map_err(|_may_quote_a_value| Error::IdentityRequest)
}

/// The bootstrap token in `Authorization: Bearer` (RFC 6750 §2.1).
fn bootstrap_token(headers: &HeaderMap) -> Result<Option<SecretText>, Error> {
    match Bearer::read(headers, LONGEST_TOKEN) {
        Bearer::Absent => Ok(None),
        Bearer::Token(token) if is_token(token) => Ok(Some(SecretText::new(token))),
        _ => Err(Error::IdentityRequest),
    }
}

fn wit_field(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    answer::sole(headers, WIT_FIELD, Error::IdentityRequest)
}
