//! Workload identity tokens.

use aims_jose::time::UnixTime;
use aims_wimse_cred::{Error, Wit};

use super::AgentCredential;
use crate::guard::Inner;
use crate::guard::refused::Refused;
use crate::refusal::ErrorResponse;
use crate::resolve::Need;
use crate::revoked::Credential;

/// Verifies a WIT by the bundle of its origin.
pub(in crate::guard) fn verify(
    guard: &Inner,
    text: &str,
    now: UnixTime,
) -> Result<AgentCredential, Refused> {
    let wit = guard.wits.verify(text, &guard.trust, now);
    wit.map(AgentCredential::Wit)
        .map_err(|error| refused(&error))
}

/// Asks whether it was revoked, known from before or fresh.
pub(in crate::guard) fn check_revoked(
    guard: &Inner,
    wit: &Wit,
    now: UnixTime,
) -> Result<(), Refused> {
    if guard.revoked.is_revoked(Credential::Wit(wit), now) {
        return Err(refused(&Error::Revoked));
    }
    Ok(())
}

/// A refused WIT says to the caller only that it was refused, whatever was wrong with it.
pub(in crate::guard) fn refused(error: &Error) -> Refused {
    let answer = match error.code() {
        "jws.too_long" => ErrorResponse::TooLarge,
        _ => ErrorResponse::Problem("the workload identity token was not accepted"),
    };
    let need = match error {
        // An origin is unknown also where its bundle was never loaded.
        Error::UnknownOrigin { origin, .. }
        | Error::UnknownKey { origin, .. }
        | Error::Stale { origin } => Some(Need::Bundle(origin.clone())),
        _ => None,
    };
    Refused::of(error.code(), error.kind(), answer, error).or_after(need)
}
