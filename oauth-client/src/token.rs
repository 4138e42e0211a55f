//! Access tokens of a client.

use std::fmt;

use aims_jose::digest::Fingerprint;
use aims_jose::json;
use aims_jose::jws::Unverified;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::challenge::{Challenge, Challenges};
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_oauth_wire::dpop::{DPOP, SCHEME};
use aims_oauth_wire::names::{Resource, ScopeSet};
use http::header::{AUTHORIZATION, HeaderMap};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use crate::dpop::Role;
use crate::{DpopKey, Error};

/// An access token for one resource. It is opaque: the client does not parse it (RFC 6749 §1.4). It
/// is zeroized when it is dropped.
///
/// Its text can only be written into a request:
///
/// ```compile_fail,E0616
/// fn the_text_is_not_handed_on(token: &aims_oauth_client::Token) -> String {
///     token.text.expose().to_owned() // private
/// }
/// ```
pub struct Token {
    pub(crate) text: SecretText,
    pub(crate) resource: Resource,
    pub(crate) scopes: ScopeSet,
    pub(crate) expires: UnixTime,
    /// The key that the token is bound to.
    pub(crate) dpop: Option<DpopKey>,
    /// `None` if there is nothing of it, as for most tokens.
    extras: Option<Box<Extras>>,
}

/// The companions of some tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Extras {
    pub(crate) refresh_token: Option<SecretText>,
    pub(crate) id_token: Option<SecretText>,
    /// The user and the session, as the ID token names them. A renewal without one keeps them.
    pub(crate) user: Option<User>,
    /// The certificate that the token is bound to.
    pub(crate) certificate: Option<CertificateThumbprint>,
    /// The granted authorization details.
    pub(crate) details: Option<Box<str>>,
}

/// The user and the session of an ID token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct User {
    pub(crate) sub: String,
    pub(crate) sid: Option<String>,
}

impl User {
    /// Reads an ID token, whose signature is not needed: the server itself gave it.
    pub(crate) fn of(id_token: &SecretText) -> Option<Self> {
        let token = Unverified::parse_ignoring_key_references(id_token.expose(), usize::MAX);
        let token = token.ok()?;
        json::from_object(token.unverified_payload().ok()?).ok()
    }
}

impl Token {
    pub(crate) fn new(
        text: SecretText,
        resource: Resource,
        scopes: ScopeSet,
        expires: UnixTime,
        dpop: Option<DpopKey>,
    ) -> Self {
        Self {
            text,
            resource,
            scopes,
            expires,
            dpop,
            extras: None,
        }
    }

    pub(crate) fn with_extras(mut self, extras: Extras) -> Self {
        self.extras = (extras != Extras::default()).then(|| Box::new(extras));
        self
    }

    pub(crate) fn refresh_token(&self) -> Option<&SecretText> {
        self.extras.as_ref()?.refresh_token.as_ref()
    }

    pub(crate) fn id_token(&self) -> Option<&SecretText> {
        self.extras.as_ref()?.id_token.as_ref()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn user(&self) -> Option<&User> {
        self.extras.as_ref()?.user.as_ref()
    }

    /// Keeps the user of the token that this one renews, if it names none.
    #[cfg(feature = "tokio")]
    pub(crate) fn or_user(mut self, earlier: Option<User>) -> Self {
        if earlier.is_some() && self.user().is_none() {
            self.extras.get_or_insert_default().user = earlier;
        }
        self
    }

    /// Writes the token into the `Authorization` field of a request to its resource.
    ///
    /// An earlier value is replaced. The new value is marked as sensitive. Only this method and
    /// [`authorize`](Self::authorize) reveal the text.
    ///
    /// # Errors
    ///
    /// `grant.needs_proof` if the token is [bound](Self::is_bound) to a DPoP key;
    /// `grant.token_type` if the text cannot be in a header field.
    pub fn apply(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        if self.is_bound() {
            return Err(Error::NeedsProof);
        }
        self.write("Bearer", headers)
    }

    /// Writes the token into a request to its resource, and adds a DPoP proof if the token is
    /// [bound](Self::is_bound) to a key (RFC 9449 §7.1).
    ///
    /// The proof covers the method and the URI of the request and is valid for one attempt. If the
    /// resource demands a nonce, give its answer to [`demands_nonce`](Self::demands_nonce) and
    /// authorize the request again.
    ///
    /// # Errors
    ///
    /// `grant.sign` if the key does not sign; `grant.token_type` if the text cannot be in a header
    /// field.
    pub async fn authorize<B>(&self, request: &mut Request<B>, now: UnixTime) -> Result<(), Error> {
        let Some(key) = &self.dpop else {
            return self.write("Bearer", request.headers_mut());
        };
        let (method, text) = (request.method().as_str(), Some(self.text.expose()));
        let input = key.proof(Role::Resource, method, request.uri(), text, now)?;
        let proof = key.signed(input).await?;
        let mut proof = HeaderValue::from_str(proof.expose()).or(Err(Error::TokenType))?;
        proof.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(DPOP, proof);
        self.write(SCHEME, headers)
    }

    /// Keeps the nonce of an answer of the resource for the next proofs (RFC 9449 §9). Returns
    /// whether the resource refused the request because its proof lacked this nonce, so that it is
    /// to be authorized again, once.
    pub fn demands_nonce<B>(&self, target: &Uri, answer: &Response<B>) -> bool {
        let Some(key) = &self.dpop else { return false };
        let has_nonce = key.learn(Role::Resource, target, answer.headers());
        let demands = |challenges: Challenges| {
            let mut errors = challenges.of(SCHEME).map(Challenge::error);
            errors.any(|error| error == Some("use_dpop_nonce"))
        };
        // Another request may have learned the same nonce meanwhile.
        has_nonce
            && answer.status() == StatusCode::UNAUTHORIZED
            && Challenges::parse(answer.headers()).is_ok_and(demands)
    }

    fn write(&self, scheme: &str, headers: &mut HeaderMap) -> Result<(), Error> {
        let value = SecretText::new([scheme, " ", self.text.expose()].concat());
        let mut value = HeaderValue::from_str(value.expose()).or(Err(Error::TokenType))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// Returns whether the token is bound to a DPoP key, so that a thief cannot use it without the
    /// key (RFC 9449 §6).
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.dpop.is_some()
    }

    /// Returns the certificate that the token is bound to, if the client
    /// [requires](aims_oauth_wire::client_auth::Authenticate::certificate) that (RFC 8705 §3).
    ///
    /// The token is sent under `Bearer`, on connections on which the HTTP client presents this
    /// certificate. If the token is opaque, the binding is what the server announces.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateThumbprint> {
        self.extras.as_ref()?.certificate.as_ref()
    }

    /// Returns whether the server gave a refresh token with it.
    #[must_use]
    pub fn is_refreshable(&self) -> bool {
        self.refresh_token().is_some()
    }

    /// Returns the resource that the token is for. Send the token to no other.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Returns the granted scopes.
    ///
    /// They may be fewer than the requested ones. They are more only if that was
    /// [accepted](crate::TokenRules::accept_unrequested_scopes).
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Returns the granted authorization details as JSON (RFC 9396 §7), if the server stated them.
    ///
    /// They may be fewer than the requested ones. They are others only if that was
    /// [accepted](crate::TokenRules::accept_other_details).
    #[must_use]
    pub fn details(&self) -> Option<&str> {
        self.extras.as_ref()?.details.as_deref()
    }

    /// Returns when the token expires, according to the server.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Returns the fingerprint that logs and records use for the token.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.text.fingerprint()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("text", &self.text)
            .field("resource", &self.resource)
            .field("scopes", &self.scopes)
            .field("expires", &self.expires.as_secs())
            .field("dpop", &self.dpop)
            .field("certificate", &self.certificate())
            .field("refresh_token", &self.refresh_token())
            .finish()
    }
}
