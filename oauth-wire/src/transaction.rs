//! A transaction token as it travels: the one way in, and the places that it may get into.

use core::fmt;
use std::sync::Arc;

use aims_jose::digest::Fingerprint;
use aims_jose::json;
use aims_jose::jws::Unverified;
use aims_jose::jwt::Audience;
use aims_jose::secret::SecretText;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::Error;
use crate::token::TokenRequest;

/// The type of a transaction token in a token exchange (draft-ietf-oauth-transaction-tokens
/// §11.1).
pub const TRANSACTION_TOKEN: &str = "urn:ietf:params:oauth:token-type:txn_token";

/// The header `typ` (§9.1).
const TYP: &str = "txntoken+jwt";
/// The name of the field, of gRPC metadata, and of a property of a message (§12.1).
const NAME: &str = "txn-token";
/// Maximum length in bytes.
const MAX_LEN: usize = 8 * 1024;

/// The text of a transaction token, on its way from service to service within its trust domain.
///
/// It is passed on unchanged (draft-ietf-oauth-transaction-tokens §12.2). It gets into the field
/// `Txn-Token` of a request, into gRPC metadata, into a property of a message, and into a token
/// request; it never gets into `Authorization`. Only a JWT with the `typ` `txntoken+jwt` can be
/// one, so an access token never gets into `Txn-Token`. Nothing else of it is verified.
///
/// ```
/// use aims_oauth_wire::transaction::CarriedTransaction;
/// use http::HeaderMap;
///
/// # let text = "eyJhbGciOiJFUzI1NiIsInR5cCI6InR4bnRva2VuK2p3dCJ9.e30.c2ln";
/// let token = CarriedTransaction::new(text)?;
/// let mut headers = HeaderMap::new(); // of a request, or gRPC metadata
/// token.apply(&mut headers);
/// assert!(headers.contains_key("txn-token") && !headers.contains_key("authorization"));
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
///
/// Its text has no other way out:
///
/// ```compile_fail,E0599
/// # fn example(token: aims_oauth_wire::transaction::CarriedTransaction) {
/// let header = format!("Bearer {}", token.expose()); // no such method
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # fn example(token: aims_oauth_wire::transaction::CarriedTransaction) {
/// let header = format!("Bearer {token}"); // no `Display`
/// # }
/// ```
#[derive(Clone)]
pub struct CarriedTransaction(Arc<Carried>);

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
}

struct Carried {
    text: SecretText,
    field: HeaderValue,
}

impl CarriedTransaction {
    /// Takes the text of a transaction token.
    ///
    /// # Errors
    ///
    /// `oauth.transaction_token` if it is no compact JWT of at most 8 KiB whose `typ` is exactly
    /// `txntoken+jwt`.
    pub fn new(text: impl Into<SecretText>) -> Result<Self, Error> {
        let text = text.into();
        let token = Unverified::parse_within(text.expose(), MAX_LEN);
        Self::of(&token.or(Err(Error::TransactionToken))?)
    }

    /// Takes the text of a transaction token that was parsed before.
    ///
    /// # Errors
    ///
    /// `oauth.transaction_token` if its `typ` is not exactly `txntoken+jwt`.
    pub fn of(token: &Unverified<'_>) -> Result<Self, Error> {
        let field = HeaderValue::from_str(token.text());
        let mut field = field.or(Err(Error::TransactionToken))?;
        if token.header().typ() != Some(TYP) {
            return Err(Error::TransactionToken);
        }
        field.set_sensitive(true);
        let text = SecretText::new(token.text());
        Ok(Self(Arc::new(Carried { text, field })))
    }

    /// Returns `aud`, the trust domain that the token must not leave. Nothing is verified. Returns
    /// `None` unless it is one name.
    #[must_use]
    pub fn unverified_domain(&self) -> Option<String> {
        let payload = self.unverified_claims()?;
        let claims: Claims<'_> = json::from_object(&payload).ok()?;
        claims.aud.sole().map(str::to_owned)
    }

    /// Sets the field `Txn-Token` of a request. An earlier value is replaced. The metadata of a
    /// gRPC call are fields of its request, so the same serves gRPC.
    pub fn apply(&self, headers: &mut HeaderMap) {
        let name = HeaderName::from_static(NAME);
        headers.insert(name, self.0.field.clone());
    }

    /// Returns name and value of the property by which a message in a queue carries the token. Its
    /// receiver verifies the value like that of the field.
    ///
    /// Every reader of the queue can use the token until it expires.
    #[must_use]
    pub fn property(&self) -> (&'static str, &str) {
        (NAME, self.0.text.expose())
    }

    /// Returns the fingerprint, which may be logged.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.text.fingerprint()
    }

    /// Returns the payload, to compare the answer of an exchange with it. Without the signature it
    /// is no token. Nothing is verified.
    #[must_use]
    pub fn unverified_claims(&self) -> Option<Vec<u8>> {
        let token = Unverified::parse_within(self.0.text.expose(), usize::MAX).ok()?;
        Some(token.unverified_payload().ok()?.to_vec())
    }
}

impl fmt::Debug for CarriedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CarriedTransaction({})", self.fingerprint())
    }
}

impl TokenRequest {
    /// Sets `subject_token` and `subject_token_type` to a transaction token, for its replacement
    /// (draft-ietf-oauth-transaction-tokens §13.15) or an exchange at the border of its domain.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if a subject token is set already.
    pub fn transaction_token(&mut self, token: &CarriedTransaction) -> Result<&mut Self, Error> {
        self.parameter("subject_token", token.0.text.clone())?;
        self.parameter("subject_token_type", TRANSACTION_TOKEN)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use aims_jose::base64url;

    use super::*;

    fn token(typ: &str, claims: &str) -> String {
        let header = format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#);
        let parts = [header.as_bytes(), claims.as_bytes(), b"signature"];
        parts.map(base64url::encode).join(".")
    }

    #[test]
    fn only_a_transaction_token_is_carried() {
        let good = token("txntoken+jwt", r#"{"aud":"a.example"}"#);
        let carried = CarriedTransaction::new(&*good).unwrap();
        assert_eq!(carried.unverified_domain().as_deref(), Some("a.example"));
        assert_eq!(carried.property(), ("txn-token", &*good));
        assert!(!format!("{carried:?}").contains(&good));
        let long = format!("{good}{}", "A".repeat(MAX_LEN));
        let listed = format!("{good},{good}");
        for bad in [
            &token("at+jwt", "{}"),
            &token("TXNTOKEN+JWT", "{}"),
            &token("application/txntoken+jwt", "{}"),
            &token("JWT", "{}"),
            &long,
            &listed,
            "",
            "opaque",
        ] {
            let found = CarriedTransaction::new(bad).unwrap_err();
            assert_eq!(found.code(), "oauth.transaction_token", "{bad}");
        }
    }

    #[test]
    fn a_domain_is_one_name() {
        for (claims, expected) in [
            (r#"{"aud":["a.example"]}"#, Some("a.example")),
            (r#"{"aud":["a.example","b.example"]}"#, None),
            (r#"{"aud":[]}"#, None),
            ("{}", None),
            ("[]", None),
        ] {
            let carried = CarriedTransaction::new(token("txntoken+jwt", claims)).unwrap();
            assert_eq!(carried.unverified_domain().as_deref(), expected, "{claims}");
        }
    }
}
