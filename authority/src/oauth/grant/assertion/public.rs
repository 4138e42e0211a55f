//! The tokens of a platform, presented by a public client (RFC 7521 §4.1, workload identity
//! federation). The client proves nothing, so the rules name it together with the `sub` of the
//! token.

use aims_error::shown;
use aims_jose::digest::sha256_base64url;
use aims_oauth_wire::delegate::ScopeTable;
use serde_json::{Map, Value};

use super::{Assertion, Error, bad};
use crate::oauth::Authenticated;
use crate::oauth::domain::{IncomingGrants, Profile};

/// Checks that the rules accept grants of this profile from the client.
///
/// # Errors
///
/// `as.client_grant`.
pub(super) fn check_client(
    rules: &IncomingGrants,
    profile: Profile,
    client: &Authenticated,
) -> Result<(), Error> {
    if !client.client.is_public() {
        return Ok(());
    }
    let mut named = rules.public_clients.iter();
    if !named.any(|(client_id, _)| *client_id == client.client_id) {
        return Err(Error::ClientGrant {
            reason: "this client must authenticate to present grants of that issuer",
        });
    }
    if profile != Profile::Jwt {
        return Err(Error::ClientGrant {
            reason: "a public client presents tokens of a platform, and no other grants",
        });
    }
    Ok(())
}

/// Checks that the token is about a workload that this public client is.
///
/// # Errors
///
/// `as.assertion`.
pub(super) fn check_subject(
    assertion: &Assertion<'_>,
    client: &Authenticated,
) -> Result<(), Error> {
    if !client.client.is_public() {
        return Ok(());
    }
    let mut named = assertion.rules.public_clients.iter();
    let is_named = named.any(|(client_id, subject)| {
        *client_id == client.client_id && *subject == assertion.claims.sub
    });
    if !is_named {
        let (client_id, sub) = (&client.client_id, &assertion.claims.sub);
        let expected = assertion.rules.public_clients.iter();
        let expected = expected.filter(|(named, _)| named == client_id);
        let expected = shown(expected.map(|(_, subject)| subject.as_str()));
        tracing::info!(?client_id, sub = %shown([sub.as_str()]), %expected, "wrong sub of a token");
    }
    match is_named {
        true => Ok(()),
        false => Err(bad("its sub is none that the rules name for this client")),
    }
}

/// Returns the identifier of a token without `jti`. It is over the signed text alone, because ECDSA
/// has a second signature that verifies too.
pub(super) fn digest(text: &str) -> String {
    let signed = text.rsplit_once('.').map_or(text, |(signed, _)| signed);
    // No other identifier has this form, except one that the issuer chose to look like it.
    format!("sha-256:{}", sha256_base64url(signed))
}

impl Assertion<'_> {
    /// Completes the token of a platform, which says who the workload is and not what it may do:
    /// its scope is what the operator allows the client.
    ///
    /// Returns the table of that scope, which changes nothing.
    ///
    /// # Errors
    ///
    /// `as.scope`; `authority.unavailable`.
    pub(in crate::oauth::grant) fn complete<'s>(
        &mut self,
        allowed: impl Iterator<Item = &'s String>,
    ) -> Result<ScopeTable, Error> {
        let allowed: Vec<&str> = allowed.map(String::as_str).collect();
        if allowed.is_empty() {
            return Err(Error::Scope);
        }
        let rows = allowed.iter().map(|scope| (*scope, *scope));
        let table = ScopeTable::new(rows).map_err(|_malformed| Error::Scope)?;
        let mut claims: Map<String, Value> =
            serde_json::from_slice(&self.payload).map_err(Error::unavailable)?;
        let scope = allowed.join(" ");
        claims.insert("scope".to_owned(), scope.as_str().into());
        // The rights of a grant have one, and it says nothing about what is permitted.
        claims.entry("jti").or_insert_with(|| "none".into());
        self.payload = serde_json::to_vec(&claims).map_err(Error::unavailable)?;
        self.claims.scope = Some(scope);
        Ok(table)
    }
}
