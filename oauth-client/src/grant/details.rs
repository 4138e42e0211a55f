//! The granted authorization details are the requested ones, or fewer (RFC 9396 §7).

use aims_error::shown;
use aims_oauth_wire::authorization_details::AuthorizationDetails;
use aims_oauth_wire::token::TokenResponse;

use super::pending::Received;
use crate::Error;

/// Returns the granted details. In a renewal without the member, they are those from before.
pub(super) fn granted<'a>(
    response: &'a TokenResponse,
    received: &Received<'a>,
) -> Result<Option<&'a str>, Error> {
    let stated = response.authorization_details();
    let (target, rules) = (received.target, received.rules);
    if received.judges_details {
        return Ok(stated);
    }
    let Some(stated) = stated else {
        if target.details().is_none() || received.is_renewal || rules.unstated_details {
            return Ok(received.details);
        }
        return fail("the response has no `authorization_details`");
    };
    // Without scopes and details, the server chooses what the token is for.
    if target.details().is_none() && target.scopes().is_empty() {
        return Ok(Some(stated));
    }
    let Ok(found) = AuthorizationDetails::parse(stated) else {
        return fail("`authorization_details` of the response cannot be read");
    };
    let read = |json: Option<&str>| {
        let read = json.map(AuthorizationDetails::parse).transpose();
        read.map(Option::unwrap_or_default)
    };
    let allowed = read(target.details())?.and(read(received.details)?);
    let accepts = |kind: &str| rules.unrequested_details.iter().any(|it| **it == *kind);
    let others: Vec<&str> = found.beyond(&allowed).filter(|it| !accepts(it)).collect();
    if others.is_empty() {
        return Ok(Some(stated));
    }
    let others = shown(others);
    fail(&format!(
        "no requested entry covers those of the type {others}"
    ))
}

fn fail<T>(reason: &str) -> Result<T, Error> {
    Err(Error::GrantedDetails {
        reason: reason.into(),
    })
}
