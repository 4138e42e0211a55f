//! HTTP message signatures as a proof.

use aims_error::shown;
use aims_http_sig::Error;
use aims_http_sig::profile::wimse::{self, Peer, UnspentRequest};
use aims_jose::time::UnixTime;
use aims_replay::ReplayStore;
use http::request::Parts;

use super::{AgentCredential, Proof};
use crate::guard::fields::CoveredField;
use crate::guard::refused::Refused;
use crate::guard::{Audience, Inner};
use crate::refusal::ErrorResponse;

/// Verifies the signature with the key of the credential, which was verified before.
pub(in crate::guard) fn verify(
    guard: &Inner,
    request: &Parts,
    agent: &AgentCredential,
    now: UnixTime,
) -> Result<UnspentRequest, Error> {
    let signatures = guard.signatures.as_ref();
    let signatures = signatures.ok_or_else(|| Error::SignatureMissing { found: shown([]) })?;
    let message = signatures.message(request);
    let policy = signatures.policy();
    let sender = Peer::of(agent.id().origin_str(), agent.key());
    match &guard.audience {
        Audience::Named(_) => policy.verify(&message, sender, now),
        Audience::Target(origin) => {
            let target = format!("{origin}{}", request.uri.path());
            policy.verify_to(&target, &message, sender, now)
        }
    }
}

/// Checks that every field that carries a token for the tool is covered and occurs once
/// (draft-ietf-wimse-wpt §2 requires it for a WPT).
pub(in crate::guard) fn check_token_fields(
    guard: &Inner,
    request: &Parts,
    unspent: &UnspentRequest,
) -> Result<(), Error> {
    let covers = |field: &CoveredField| unspent.signature().covers(&field.component);
    let mut tokens = guard.fields.iter().filter(|it| it.carries_token);
    match tokens.find(|field| !field.is_good(&request.headers, covers)) {
        Some(field) => Err(Error::ComponentRequired {
            component: field.component.to_string(),
        }),
        None => Ok(()),
    }
}

pub(super) fn spend(
    unspent: UnspentRequest,
    store: &dyn ReplayStore,
    sender: &str,
    now: UnixTime,
) -> Result<Proof, Refused> {
    let head = unspent.spend(store, sender, now);
    let head = head.map_err(|error| refused(&error))?;
    let (verified, _compared) = head.reading_body();
    Ok(Proof::HttpSignature(Box::new(verified)))
}

/// Returns the refusal for a signature or content. The sender was not proven, so the answer gives
/// no details.
pub(in crate::guard) fn refused(error: &Error) -> Refused {
    let answer = match wimse::status(error).as_u16() {
        501 => ErrorResponse::Unsigned,
        503 | 500 => ErrorResponse::Unavailable,
        _ => ErrorResponse::Problem("the signature of the request was not accepted"),
    };
    Refused::of(error.code(), error.kind(), answer, error)
}
