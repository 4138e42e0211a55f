//! Workload identity tokens as evidence.

use aims_jose::time::UnixTime;
use aims_wimse_cred::{Error, Wit};

use super::AgentCredential;
use crate::guard::Inner;
use crate::guard::refused::Refused;
use crate::refusal::ErrorResponse;
use crate::resolve::Need;
use crate::revoked::Credential;

/// Verifies a WIT with the bundle of its origin.
pub(in crate::guard) fn verify(
    guard: &Inner,
    text: &str,
    now: UnixTime,
) -> Result<AgentCredential, Refused> {
    let wit = guard.wits.verify(text, &guard.trust, now);
    wit.map(AgentCredential::Wit)
        .map_err(|error| refused(&error))
}

/// Checks whether the WIT is revoked, cached or not.
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

/// Returns the refusal for a WIT. The answer does not tell what was wrong.
pub(in crate::guard) fn refused(error: &Error) -> Refused {
    let answer = match error.code() {
        "jws.too_long" => ErrorResponse::TooLarge,
        _ => ErrorResponse::Problem("the workload identity token was not accepted"),
    };
    let need = match error {
        // An origin is also unknown if its bundle was never loaded.
        Error::UnknownOrigin { origin, .. }
        | Error::UnknownKey { origin, .. }
        | Error::Stale { origin } => Some(Need::Bundle(origin.clone())),
        _ => None,
    };
    Refused::of(error.code(), error.kind(), answer, error).or_after(need)
}
