//! The HTTP handlers of the identity server.

use aims_jose::digest::Fingerprint;
use aims_jose::secret::SecretText;
use aims_oauth_wire::bearer::Bearer;
use aims_oauth_wire::media;
use aims_wimse_id::Scheme;
use http::{HeaderMap, Response};

use super::messages::{ChallengeAnswer, CredentialAnswer, SvidBody, WIT_FIELD, WitBody};
use super::{Credential, IdentityServer, LONGEST_TOKEN, PresentedProof, is_token};
use crate::authority::Inner;
use crate::endpoint::Call;
use crate::{Error, answer};

/// Returns the SPIFFE bundle of the `spiffe` origin.
pub(crate) fn bundle(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    Ok(published(&inner.identity, Scheme::Spiffe, call))
}

/// Returns the JWK Set of the `wimse` origin.
pub(crate) fn jwks(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    Ok(published(&inner.identity, Scheme::Wimse, call))
}

fn published(identity: &IdentityServer, scheme: Scheme, call: &Call<'_>) -> Response<Vec<u8>> {
    let bundle = identity.bundle(scheme, call.now);
    let max_age = identity.refresh_hint.as_secs();
    answer::document(bundle, max_age, call.request.headers())
}

/// Issues a nonce.
pub(crate) fn challenge(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let challenge = inner.identity.challenge(call.now)?;
    Ok(answer::secret(&ChallengeAnswer {
        nonce: challenge.nonce,
        expires_in: challenge.expires_in.as_secs(),
    }))
}

/// Issues a JWT-SVID.
pub(crate) fn jwt_svid(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let (headers, now) = (call.request.headers(), call.now);
    let body: SvidBody = read(headers, call.request.body())?;
    let wit = wit_field(headers)?.ok_or(Error::IdentityRequest {
        reason: "expected the field `workload-identity-token` with the WIT, found none",
    })?;
    let mut trail = call.trail.borrow_mut();
    let identity = &inner.identity;
    let issued = identity.issue_svid(wit, &body.svid_request, &mut trail, now)?;
    trail.issued("JWT-SVID", fingerprint(&issued), call.source);
    Ok(answer::secret(&CredentialAnswer {
        wit: None,
        jwt_svid: Some(issued.text.expose().to_owned()),
        expires_in: issued.expires_in.as_secs(),
    }))
}

/// Issues a WIT.
pub(crate) fn wit(inner: &Inner, call: &Call<'_>) -> Result<Response<Vec<u8>>, Error> {
    let headers = call.request.headers();
    let body: WitBody = read(headers, call.request.body())?;
    let token = bootstrap_token(headers)?;
    let current = wit_field(headers)?;
    // The client must prove its identity in exactly one way.
    let presented = match (&token, &body.enrolment_proof, current, &body.renewal_proof) {
        (Some(token), None, None, None) => PresentedProof::Token(token),
        (None, Some(proof), None, None) => PresentedProof::KeyProof(proof),
        (None, None, Some(wit), Some(proof)) => PresentedProof::Wit { wit, proof },
        _ => {
            return Err(Error::IdentityRequest {
                reason: "expected one of bootstrap token, enrolment proof, and WIT with renewal \
                         proof, found none or several",
            });
        }
    };
    let mut trail = call.trail.borrow_mut();
    let identity = &inner.identity;
    let issued = identity.issue(&presented, &body.key_proof, &mut trail, call.now)?;
    trail.issued("WIT", fingerprint(&issued), call.source);
    Ok(answer::secret(&CredentialAnswer {
        wit: Some(issued.text.expose().to_owned()),
        jwt_svid: None,
        expires_in: issued.expires_in.as_secs(),
    }))
}

fn fingerprint(issued: &Credential) -> Fingerprint {
    Fingerprint::of(issued.text.expose().as_bytes())
}

fn read<'a, T: serde::Deserialize<'a>>(headers: &HeaderMap, body: &'a [u8]) -> Result<T, Error> {
    answer::check_media_type(headers, media::JSON)?;
    aims_jose::json::from_object(body).map_err(|_may_quote_a_value| Error::IdentityRequest {
        reason: "expected a JSON object with the members of this endpoint",
    })
}

/// Returns the bootstrap token of `Authorization: Bearer` (RFC 6750 §2.1).
fn bootstrap_token(headers: &HeaderMap) -> Result<Option<SecretText>, Error> {
    match Bearer::read(headers, LONGEST_TOKEN) {
        Bearer::Absent => Ok(None),
        Bearer::Token(token) if is_token(token) => Ok(Some(SecretText::new(token))),
        _ => Err(Error::IdentityRequest {
            reason: "bootstrap token malformed: expected one `Authorization: Bearer` with 22 to 256 \
                     characters, as the token was given",
        }),
    }
}

fn wit_field(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let repeated = Error::IdentityRequest {
        reason: "expected one field `workload-identity-token`, found several or a malformed one",
    };
    answer::sole(headers, WIT_FIELD, repeated)
}
