//! Dynamic client registration (RFC 7591).

use std::fmt;
use std::sync::Arc;

use aims_jose::json;
use aims_jose::key::AnySigner;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::{
    Authenticate, ClientSecretBasic, ClientSecretPost, PrivateKeyJwt, PublicClient, TlsClientAuth,
};
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::names::{ClientId, Endpoint, Issuer};
use aims_oauth_wire::token::{ResponseRules, TokenError};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use serde::Deserialize;

use super::ClientMetadata;
use crate::call::endpoint_of;
use crate::{Error, Event, Flow, RedirectUri, Step};

/// The registration of a client as a [`Flow`] (RFC 7591 §3).
#[derive(Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct RegistrationFlow {
    issuer: Issuer,
    asked: ClientMetadata,
    /// The method that the program states, which a server may choose where another was asked for.
    stated: Box<str>,
    /// They know the initial access token.
    rules: ResponseRules,
}

/// A client that was registered at one authorization server.
///
/// What the server answered counts, not what was asked for (RFC 7591 §3.2.1). `Debug` hides the
/// secret, if there is one.
#[derive(Clone)]
pub struct Registered {
    pub(super) issuer: Issuer,
    pub(super) client: ClientId,
    pub(super) secret: Option<SecretText>,
    /// The end of the secret, if it ends.
    pub(super) expires: Option<UnixTime>,
    pub(super) method: Box<str>,
    /// The redirect URIs and the grant types, if the server stated them.
    redirect_uris: Option<Vec<Box<str>>>,
    grant_types: Option<Vec<Box<str>>>,
    /// The grant types that the client asked for, which not every server states.
    pub(super) asked_grant_types: Option<Vec<Box<str>>>,
    /// Whether the server issues tokens to it that are bound by DPoP, and no others.
    requires_dpop: bool,
    pub(super) management: Management,
}

/// The client configuration endpoint, and the registration access token (RFC 7592 §3).
#[derive(Clone, Default)]
pub(super) struct Management {
    pub(super) endpoint: Option<Endpoint>,
    pub(super) token: Option<SecretText>,
}

#[derive(Deserialize)]
struct Response7591 {
    client_id: String,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    client_secret_expires_at: Option<serde_json::Value>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
    #[serde(default)]
    redirect_uris: Option<Vec<Box<str>>>,
    #[serde(default)]
    grant_types: Option<Vec<Box<str>>>,
    #[serde(default)]
    asked_grant_types: Option<Vec<Box<str>>>,
    #[serde(default)]
    dpop_bound_access_tokens: Option<serde_json::Value>,
    #[serde(default)]
    registration_client_uri: Option<String>,
    #[serde(default)]
    registration_access_token: Option<String>,
}

impl RegistrationFlow {
    /// Prepares the registration. `access` is the initial access token, if the server requires one.
    ///
    /// # Errors
    ///
    /// `metadata.member` if the server has no registration endpoint.
    pub fn begin(
        metadata: &ClientMetadata,
        server: &ServerMetadata,
        access: Option<&SecretText>,
    ) -> Result<Step<Registered, Self>, Error> {
        let endpoint = server.required(EndpointKind::Registration)?;
        let stated = metadata.token_endpoint_auth_method().into();
        let metadata = metadata.at(server);
        let mut request = request(Method::POST, endpoint, access)?;
        *request.body_mut() = metadata.to_json().into_bytes();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let flow = Self {
            issuer: server.issuer().clone(),
            asked: metadata,
            stated,
            rules: ResponseRules::new().after(&request),
        };
        Ok(Step::Send(request, flow))
    }

    fn read(self, answer: &Response<Vec<u8>>, now: UnixTime) -> Result<Registered, Error> {
        if !answer.status().is_success() {
            return Err(refused(answer, &self.rules));
        }
        let asked = self.asked.token_endpoint_auth_method();
        let mut registered = Registered::parse(answer.body(), self.issuer, asked)?;
        registered.expect_within(&self.asked, &self.stated)?;
        // A client would register, and log its user in, for each request.
        if registered.expires.is_some_and(|end| end <= now) {
            return Err(unusable("its secret has already expired"));
        }
        registered.asked_grant_types = Some(self.asked.grants().into());
        Ok(registered)
    }
}

impl Flow for RegistrationFlow {
    type Output = Registered;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Registered, Self>, Error> {
        match event {
            Event::Answer(answer) => Ok(Step::Done(self.read(answer, now)?)),
            Event::NoAnswer(error) => Err(Error::Transport(error.clone())),
            Event::Signed(_) | Event::Waited => Err(Error::Interrupted),
        }
    }
}

impl Registered {
    /// Reads the answer of a server. `asked` is the method of authentication in the request.
    pub(super) fn parse(body: &[u8], issuer: Issuer, asked: &str) -> Result<Self, Error> {
        let no_client = || unusable("the answer has no usable `client_id`");
        let read: Response7591 = json::from_document(body).map_err(|_malformed| no_client())?;
        let client = read.client_id.parse().map_err(|_malformed| no_client())?;
        let secret = read.client_secret.filter(|it| !it.is_empty());
        let method = read.token_endpoint_auth_method;
        // Some servers give a secret to a public client and do not say how it is used. The default
        // of the standard is `client_secret_basic` (§2), and the client asked for another method.
        let method = method.filter(|method| !method.is_empty());
        let expires = read.client_secret_expires_at.as_ref();
        let expires = expires
            .and_then(serde_json::Value::as_u64)
            .filter(|end| *end > 0);
        let expires = expires.map(std::time::Duration::from_secs);
        let endpoint = |url: String| endpoint_of(&issuer, &url).ok();
        let endpoint = read.registration_client_uri.and_then(endpoint);
        Ok(Self {
            issuer,
            client,
            secret: secret.map(SecretText::new),
            expires: expires.map(UnixTime::since_unix_epoch),
            method: method.unwrap_or_else(|| asked.to_owned()).into(),
            redirect_uris: read.redirect_uris,
            grant_types: read.grant_types,
            asked_grant_types: read.asked_grant_types,
            requires_dpop: read.dpop_bound_access_tokens.is_some_and(|it| it != false),
            management: Management {
                endpoint,
                token: read.registration_access_token.map(SecretText::new),
            },
        })
    }

    /// Checks that the server added no rights to those that were asked for, and that they work.
    pub(super) fn expect_within(&self, asked: &ClientMetadata, stated: &str) -> Result<(), Error> {
        self.expect_method(asked, stated)?;
        let asked_uris = asked.redirect_uris();
        if let Some(uris) = &self.redirect_uris {
            let is_asked = |uri: &str| asked_uris.iter().any(|it| is_same_redirect(it, uri));
            if !uris.iter().all(|uri| is_asked(uri)) {
                return Err(unusable("the server added a redirect URI"));
            }
            if uris.is_empty() && !asked_uris.is_empty() {
                return Err(unusable("the server registered no redirect URI"));
            }
        }
        let added = |grant: &str| grant != "refresh_token" && !asked.has_grant(grant);
        let grants = self.grant_types.as_deref().unwrap_or_default();
        if grants.iter().any(|grant| added(grant)) {
            return Err(unusable("the server added a grant type"));
        }
        Ok(())
    }

    /// Checks the method of authentication. One with a shared secret is stronger than none, and
    /// weaker than a key or a certificate. Without a certificate for this server, a client that
    /// did not ask for one would send nothing but its identifier.
    fn expect_method(&self, asked: &ClientMetadata, stated: &str) -> Result<(), Error> {
        let method = &*self.method;
        let is_secret = method.starts_with("client_secret_");
        let takes_secret = asked.accepts_secrets() || stated == "none";
        if method == asked.token_endpoint_auth_method()
            || method == stated
            || (is_secret && takes_secret)
        {
            return Ok(());
        }
        Err(unusable(
            "the server chose another way of authentication than the client asked for",
        ))
    }

    /// Checks that the client may use a grant and a redirect URI, which it asked for.
    #[cfg(feature = "tokio")]
    pub(crate) fn expect_usable(
        &self,
        grant_type: &str,
        redirect: Option<&RedirectUri>,
    ) -> Result<(), Error> {
        let grants = self.grant_types.as_ref();
        if grants.is_some_and(|all| !all.iter().any(|it| **it == *grant_type)) {
            return Err(unusable(
                "the server registered the client without the grant type",
            ));
        }
        let is_registered = |uri: &RedirectUri| {
            let uris = self.redirect_uris.as_ref();
            uris.is_none_or(|all| all.iter().any(|it| is_same_redirect(it, uri.as_str())))
        };
        if redirect.is_some_and(|uri| !is_registered(uri)) {
            return Err(unusable("the server did not register the redirect URI"));
        }
        Ok(())
    }

    /// Returns whether a stored registration is as good as a new one: its method of authentication
    /// is no weaker than the stated one, and it is for this grant.
    #[cfg(feature = "tokio")]
    pub(crate) fn suits(
        &self,
        metadata: &ClientMetadata,
        server: &ServerMetadata,
        grant_type: Option<&str>,
    ) -> bool {
        let stated = metadata.token_endpoint_auth_method();
        let is_method = self.expect_method(&metadata.at(server), stated).is_ok();
        let Some(grant_type) = grant_type else {
            return is_method;
        };
        let asked = self.asked_grant_types.as_ref();
        let is_asked = asked.is_none_or(|all| all.iter().any(|it| **it == *grant_type));
        let needs_uri = grant_type == "authorization_code";
        let has_uri = self.redirect_uris.as_ref().is_none_or(|it| !it.is_empty());
        is_method
            && is_asked
            && (has_uri || !needs_uri)
            && self.expect_usable(grant_type, None).is_ok()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn write(&self) -> SecretText {
        let secret = self.secret.as_ref().map(SecretText::expose);
        let (endpoint, token) = (&self.management.endpoint, &self.management.token);
        let text = serde_json::json!({
            "client_id": self.client.as_str(),
            "client_secret": secret,
            "client_secret_expires_at": self.expires.map(|end| end.as_secs()),
            "token_endpoint_auth_method": self.method,
            "redirect_uris": self.redirect_uris,
            "grant_types": self.grant_types,
            "asked_grant_types": self.asked_grant_types,
            "dpop_bound_access_tokens": self.requires_dpop,
            "registration_client_uri": endpoint.as_ref().map(Endpoint::as_str),
            "registration_access_token": token.as_ref().map(SecretText::expose),
        });
        SecretText::new(text.to_string())
    }

    /// Reads what [`write`](Self::write) wrote: it has the form of a server's answer.
    #[cfg(feature = "tokio")]
    pub(crate) fn read(text: &SecretText, issuer: &Issuer) -> Option<Self> {
        Self::parse(text.expose().as_bytes(), issuer.clone(), "none").ok()
    }

    /// Returns whether both are the same client with the same secret.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.client == other.client && self.secret == other.secret
    }

    /// Returns the server at which the client is registered. Use the identity at no other.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns the identifier of the client.
    #[must_use]
    pub const fn client_id(&self) -> &ClientId {
        &self.client
    }

    /// Returns when the secret ends, so that the client must be registered again.
    #[must_use]
    pub const fn expires(&self) -> Option<UnixTime> {
        self.expires
    }

    /// Returns the grant types that the server registered, or `None` if it did not state them.
    #[must_use]
    pub fn grant_types(&self) -> Option<&[Box<str>]> {
        self.grant_types.as_deref()
    }

    /// Returns whether the server issues access tokens to this client that are bound by DPoP, and
    /// no others (`dpop_bound_access_tokens`, RFC 9449 §5.2). A malformed value counts as `true`.
    #[must_use]
    pub const fn requires_dpop(&self) -> bool {
        self.requires_dpop
    }

    /// Returns the redirect URIs that the server registered, or `None` if it did not state them.
    #[must_use]
    pub fn redirect_uris(&self) -> Option<&[Box<str>]> {
        self.redirect_uris.as_deref()
    }

    /// Returns the authentication of a client that has no key.
    ///
    /// # Errors
    ///
    /// `client.registration` if the registered method needs a key. See
    /// [`client_with_key`](Self::client_with_key).
    pub fn client(&self) -> Result<Arc<dyn Authenticate>, Error> {
        let client = self.client.clone();
        match (&*self.method, self.secret.clone()) {
            ("client_secret_basic", Some(secret)) => {
                Ok(Arc::new(ClientSecretBasic::new(client, secret)))
            }
            ("client_secret_post", Some(secret)) => {
                Ok(Arc::new(ClientSecretPost::new(client, secret)))
            }
            ("tls_client_auth", _) => Ok(Arc::new(TlsClientAuth::new(client))),
            ("self_signed_tls_client_auth", _) => Ok(Arc::new(TlsClientAuth::self_signed(client))),
            ("none", _) => Ok(Arc::new(PublicClient::new(client))),
            ("private_key_jwt", _) => Err(unusable(
                "it needs the client's key; give it to `Identities::register_with_key`",
            )),
            _ => Err(unusable(
                "the server chose an authentication that the client does not have",
            )),
        }
    }

    /// Returns the authentication of a client with this key, which its metadata contain: by
    /// `private_key_jwt`, if that is the registered method.
    ///
    /// # Errors
    ///
    /// Those of [`client`](Self::client).
    pub fn client_with_key(&self, key: &AnySigner) -> Result<Arc<dyn Authenticate>, Error> {
        match &*self.method {
            "private_key_jwt" => {
                let client = self.client.clone();
                Ok(Arc::new(PrivateKeyJwt::new(client, key.clone())))
            }
            _ => self.client(),
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("issuer", &self.issuer)
            .field("client", &self.client)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Returns whether two redirect URIs are the same. The port of one on this machine may differ (RFC
/// 8252 §7.3).
fn is_same_redirect(one: &str, other: &str) -> bool {
    let without_port = |text: &str| {
        let own: RedirectUri = text.parse().ok()?;
        let mut url = url::Url::parse(text).ok()?;
        let is_local = url.scheme() == "http" && own.is_loopback();
        (is_local && url.set_port(None).is_ok()).then_some(url)
    };
    let both = without_port(one).zip(without_port(other));
    one == other || both.is_some_and(|(one, other)| one == other)
}

pub(super) const fn unusable(reason: &'static str) -> Error {
    Error::Registration { reason }
}

/// Reads the refusal of a server.
pub(super) fn refused(answer: &Response<Vec<u8>>, rules: &ResponseRules) -> Error {
    match TokenError::parse_with(answer.body(), rules) {
        Ok(refused) => Error::RegistrationRefused(Box::new(refused)),
        Err(_other) => unusable("the server answered without an error of RFC 7591"),
    }
}

pub(super) fn request(
    method: Method,
    endpoint: &Endpoint,
    token: Option<&SecretText>,
) -> Result<Request<Vec<u8>>, Error> {
    let form = aims_oauth_wire::token::TokenRequest::form().into_http(endpoint)?;
    let mut request = Request::new(Vec::new());
    *request.method_mut() = method;
    *request.uri_mut() = form.uri().clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        let value = SecretText::new(["Bearer ", token.expose()].concat());
        let value = HeaderValue::from_str(value.expose());
        let mut value = value.map_err(|_malformed| {
            unusable("the registration access token cannot be in a header field")
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}
