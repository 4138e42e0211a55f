//! Workload proof tokens as a proof.

use aims_jose::time::UnixTime;
use aims_replay::ReplayStore;
use aims_wimse_cred::Wit;
use aims_wimse_wpt::fields;
use aims_wimse_wpt::{Binding, Error, Revision, UnspentWpt};
use http::request::Parts;

use super::Proof;
use crate::guard::parse::Credentials;
use crate::guard::refused::Refused;
use crate::guard::{Audience, Inner};
use crate::refusal::ErrorResponse;

/// Verifies a WPT with the key of the WIT in the same request.
pub(in crate::guard) fn verify(
    guard: &Inner,
    proof: fields::Proof<'_>,
    wit: &Wit,
    presented: &Credentials<'_>,
    request: &Parts,
    now: UnixTime,
) -> Result<UnspentWpt, Refused> {
    let target;
    let mut binding = match &guard.audience {
        Audience::Target(origin) => {
            target = format!("{origin}{}", request.uri.path());
            Binding::to(&target)
        }
        Audience::Named(names) => {
            let (first, others) = names
                .split_first()
                .map_or(("", [].as_slice()), |it| (it.0.as_str(), it.1));
            others
                .iter()
                .fold(Binding::to(first), |binding, name| binding.or_to(name))
        }
    };
    binding = binding.revision(proof.revision());
    if let Some(token) = &presented.token {
        binding = binding.access_token_hashed(&token.text);
    }
    if let Some(token) = presented.txn_token {
        binding = binding.txn_token(token);
    }
    for field in guard.fields.iter().filter(|it| it.carries_token) {
        let mut values = request.headers.get_all(&field.name).iter();
        if let Some(value) = values.next() {
            binding = binding.header(field.name.as_str(), value.as_bytes());
        }
        if values.next().is_some() {
            return Err(refused(&Error::OtherHash, proof.revision()));
        }
    }
    aims_wimse_wpt::verify(proof.text(), wit, &binding, &guard.wpt, now)
        .map_err(|error| refused(&error, proof.revision()))
}

pub(super) fn spend(
    unspent: UnspentWpt,
    revision: Revision,
    store: &dyn ReplayStore,
    now: UnixTime,
) -> Result<Proof, Refused> {
    let spent = unspent.spend(store, now);
    spent
        .map(Proof::Wpt)
        .map_err(|error| refused(&error, revision))
}

/// Returns the refusal in the form of the revision: 400 in -01, 401 with a challenge in -02.
pub(in crate::guard) fn refused(error: &Error, revision: Revision) -> Refused {
    let answer = match fields::status(error, revision).as_u16() {
        401 => ErrorResponse::ProofChallenge(NOT_ACCEPTED),
        431 => ErrorResponse::TooLarge,
        503 => ErrorResponse::Unavailable,
        _ => ErrorResponse::Problem(NOT_ACCEPTED),
    };
    Refused::of(error.code(), error.kind(), answer, error)
}

const NOT_ACCEPTED: &str = "the workload proof token was not accepted";
