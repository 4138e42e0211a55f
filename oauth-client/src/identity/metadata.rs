//! The metadata of a client (RFC 7591 §2).

use aims_jose::jwk::Jwk;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::ScopeSet;
use serde::Serialize;
use serde_json::{Map, Value};

use super::document_url;
use crate::{Error, RedirectUri};

mod members;

/// Whether a client runs on a user's machine (OpenID Connect Dynamic Client Registration §2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the standard has these two")]
pub enum ApplicationType {
    /// It runs on the machine of its user, and its redirect URIs are there.
    #[default]
    Native,
    /// It runs on a server.
    Web,
}

/// The name in a client's certificate by which a server knows the client (RFC 8705 §2.1.2).
/// Metadata have exactly one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_enums, reason = "the standard has these five")]
pub enum TlsSubject {
    /// The subject, as a distinguished name (RFC 4514).
    #[serde(rename = "tls_client_auth_subject_dn")]
    DistinguishedName(Box<str>),
    /// A DNS name in the alternative names.
    #[serde(rename = "tls_client_auth_san_dns")]
    Dns(Box<str>),
    /// A URI in the alternative names, such as a SPIFFE ID.
    #[serde(rename = "tls_client_auth_san_uri")]
    Uri(Box<str>),
    /// An IP address in the alternative names.
    #[serde(rename = "tls_client_auth_san_ip")]
    Ip(std::net::IpAddr),
    /// An email address in the alternative names.
    #[serde(rename = "tls_client_auth_san_email")]
    Email(Box<str>),
}

/// The metadata of a client, for its registration or its metadata document.
///
/// ```
/// use aims_oauth_client::ClientMetadata;
///
/// let url = "https://agent.example/client.json";
/// let redirect = "http://127.0.0.1/callback".parse()?;
/// let metadata = ClientMetadata::native("My agent").redirect(redirect);
/// let document = metadata.to_document(url)?;
/// assert!(document.contains(r#""client_id":"https://agent.example/client.json""#));
/// # Ok::<(), aims_oauth_client::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[must_use = "metadata is registered or served"]
pub struct ClientMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Box<str>>,
    client_name: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<Box<str>>,
    redirect_uris: Vec<Box<str>>,
    grant_types: Vec<Box<str>>,
    response_types: Vec<&'static str>,
    token_endpoint_auth_method: Box<str>,
    application_type: ApplicationType,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_version: Option<Box<str>>,
    #[serde(flatten)]
    tls_subject: Option<TlsSubject>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(flatten)]
    further: Map<String, Value>,
    #[serde(skip)]
    accepts_secret: bool,
}

impl ClientMetadata {
    /// Creates the metadata of a public client on the machine of its user: authorization code and
    /// refresh token, without client authentication.
    pub fn native(name: impl Into<Box<str>>) -> Self {
        Self {
            client_id: None,
            client_name: name.into(),
            client_uri: None,
            redirect_uris: Vec::new(),
            grant_types: vec!["authorization_code".into(), "refresh_token".into()],
            response_types: vec!["code"],
            token_endpoint_auth_method: "none".into(),
            application_type: ApplicationType::Native,
            scope: None,
            jwks: None,
            software_id: None,
            software_version: None,
            tls_subject: None,
            tls_client_certificate_bound_access_tokens: false,
            further: Map::new(),
            accepts_secret: false,
        }
    }

    /// Creates the metadata of a client on a server that authenticates by this key
    /// (`private_key_jwt`).
    pub fn web(name: impl Into<Box<str>>, key: &Jwk) -> Self {
        let mut metadata = Self::native(name);
        metadata.application_type = ApplicationType::Web;
        metadata.token_endpoint_auth_method = "private_key_jwt".into();
        metadata.key(key)
    }

    /// Adds a public key of the client. A client that has a key registers for `private_key_jwt` at
    /// a server that does not take its stated method.
    ///
    /// Give the private key to
    /// [`Identities::register_with_key`](super::Identities::register_with_key).
    pub fn key(mut self, key: &Jwk) -> Self {
        self.further.remove("jwks_uri");
        let keys = self.jwks.as_mut().and_then(|it| it.get_mut("keys"));
        match (keys.and_then(Value::as_array_mut), serde_json::json!(key)) {
            (Some(keys), key) => keys.push(key),
            (None, key) => self.jwks = Some(serde_json::json!({ "keys": [key] })),
        }
        self
    }

    /// Creates the metadata of a client on a server that authenticates by a certificate with this
    /// name, of an authority that the authorization server trusts (`tls_client_auth`, RFC 8705
    /// §2.1). Its tokens are bound to the certificate.
    ///
    /// ```
    /// use aims_oauth_client::{ClientMetadata, TlsSubject};
    ///
    /// let subject = TlsSubject::Uri("spiffe://example.org/agents/a".into());
    /// let metadata = ClientMetadata::tls("My agent", subject).to_json();
    /// assert!(metadata.contains(r#""tls_client_auth_san_uri":"spiffe://example.org/agents/a""#));
    /// ```
    pub fn tls(name: impl Into<Box<str>>, subject: TlsSubject) -> Self {
        let mut metadata = Self::native(name);
        metadata.application_type = ApplicationType::Web;
        metadata.token_endpoint_auth_method = "tls_client_auth".into();
        metadata.tls_subject = Some(subject);
        metadata.bind_tokens_to_certificate()
    }

    /// Asks for access tokens that are bound to the client's certificate (RFC 8705 §3.4).
    pub const fn bind_tokens_to_certificate(mut self) -> Self {
        self.tls_client_certificate_bound_access_tokens = true;
        self
    }

    /// Adds a redirect URI. A [`Connector`](crate::Connector) adds that of its receiver.
    pub fn redirect(mut self, uri: RedirectUri) -> Self {
        let uri: Box<str> = uri.as_str().into();
        if !self.redirect_uris.contains(&uri) {
            self.redirect_uris.push(uri);
        }
        self
    }

    /// Sets the grant types, if they are not authorization code and refresh token.
    pub fn grant_types(mut self, types: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.grant_types = types.into_iter().map(Into::into).collect();
        if !self
            .grant_types
            .iter()
            .any(|it| **it == *"authorization_code")
        {
            self.response_types.clear();
        }
        self
    }

    /// Sets the method of client authentication at the token endpoint.
    pub fn auth_method(mut self, method: impl Into<Box<str>>) -> Self {
        self.token_endpoint_auth_method = method.into();
        self
    }

    /// Sets the scopes that the client may request.
    pub fn scopes(mut self, scopes: &ScopeSet) -> Self {
        self.scope = Some(scopes.to_string().into());
        self
    }

    /// Sets the URL of a page about the client.
    pub fn uri(mut self, page: impl Into<Box<str>>) -> Self {
        self.client_uri = Some(page.into());
        self
    }

    /// Sets the identifier and version of the software, which are the same for all installations.
    pub fn software(mut self, id: impl Into<Box<str>>, version: impl Into<Box<str>>) -> Self {
        (self.software_id, self.software_version) = (Some(id.into()), Some(version.into()));
        self
    }

    /// Accepts a shared secret from a server that registers no public clients.
    ///
    /// A connector keeps the secret with the registration: in memory, and in its
    /// [store](crate::Connector::with_store) if it has one.
    pub const fn accept_secret(mut self) -> Self {
        self.accepts_secret = true;
        self
    }

    /// Returns the metadata for this server. If the server does not take the stated method, a key
    /// of the client comes first, and then a shared secret, if that is accepted.
    pub(crate) fn at(&self, server: &ServerMetadata) -> Self {
        let mut own = self.clone();
        if server.takes_client_auth(&self.token_endpoint_auth_method) {
            return own;
        }
        let has_key = self.jwks.is_some() || self.further.contains_key("jwks_uri");
        let key = has_key.then_some("private_key_jwt");
        let secret = ["client_secret_basic", "client_secret_post"];
        let secret = secret.into_iter().filter(|_| self.accepts_secret);
        let mut methods = key.into_iter().chain(secret);
        if let Some(method) = methods.find(|it| server.takes_client_auth(it)) {
            own.token_endpoint_auth_method = method.into();
        }
        own
    }

    /// Returns the metadata document for this URL, as JSON. Serve it there with the content type
    /// `application/json` (draft-ietf-oauth-client-id-metadata-document-02 §4.1).
    ///
    /// # Errors
    ///
    /// - `client.document` if the URL cannot identify a client.
    /// - `client.metadata` if the method of authentication needs a shared secret, because anyone
    ///   reads the document.
    pub fn to_document(&self, url: &str) -> Result<String, Error> {
        document_url(url)?;
        if self
            .token_endpoint_auth_method
            .starts_with("client_secret_")
        {
            return Err(Error::ClientMetadata {
                reason: "a metadata document cannot have a method with a shared secret",
            });
        }
        let mut document = self.clone();
        document.client_id = Some(url.into());
        Ok(document.to_json())
    }

    /// Returns the metadata for an update of this client (RFC 7592 §2.2).
    pub(super) fn of_client(&self, client: &str, method: &str) -> Self {
        let mut own = self.clone();
        own.client_id = Some(client.into());
        own.token_endpoint_auth_method = method.into();
        own
    }

    /// Returns the redirect URIs.
    pub(super) fn redirect_uris(&self) -> &[Box<str>] {
        &self.redirect_uris
    }

    /// Returns the grant types.
    pub(super) fn grants(&self) -> &[Box<str>] {
        &self.grant_types
    }

    /// Returns whether the metadata have this grant type.
    pub(crate) fn has_grant(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|it| **it == *grant_type)
    }

    pub(super) const fn accepts_secrets(&self) -> bool {
        self.accepts_secret
    }

    /// Returns the methods of client authentication that the metadata states.
    #[must_use]
    pub fn token_endpoint_auth_method(&self) -> &str {
        &self.token_endpoint_auth_method
    }

    /// Returns the metadata as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and lists can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}
