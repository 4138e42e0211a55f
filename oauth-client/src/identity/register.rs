//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use std::fmt;
use std::sync::Arc;

use aims_jose::json;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::{
    Authenticate, ClientSecretBasic, ClientSecretPost, PublicClient, TlsClientAuth,
};
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::names::{ClientId, Endpoint, Issuer};
use aims_oauth_wire::token::{ResponseRules, TokenError};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;

use super::ClientMetadata;
use crate::{Error, Event, Flow, Step};

/// The registration of a client as a [`Flow`] (RFC 7591 §3).
#[derive(Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct RegistrationFlow {
    issuer: Issuer,
    asked: ClientMetadata,
    /// They know the initial access token.
    rules: ResponseRules,
}

/// A client that was registered at one authorization server.
///
/// The secret, if there is one, is kept in memory only. `Debug` hides it.
#[derive(Clone)]
pub struct Registered {
    issuer: Issuer,
    client: ClientId,
    secret: Option<SecretText>,
    /// The end of the secret, if it ends.
    expires: Option<UnixTime>,
    method: Box<str>,
    management: Option<(Endpoint, SecretText)>,
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
        let metadata = metadata.at(server);
        let mut request = request(Method::POST, endpoint, access)?;
        *request.body_mut() = metadata.to_json().into_bytes();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let flow = Self {
            issuer: server.issuer().clone(),
            asked: metadata,
            rules: ResponseRules::new().after(&request),
        };
        Ok(Step::Send(request, flow))
    }

    /// Reads the answer. What the server changed counts, not what was asked for (§3.2.1).
    fn read(self, answer: &Response<Vec<u8>>) -> Result<Registered, Error> {
        if !answer.status().is_success() {
            let refused = TokenError::parse_with(answer.body(), &self.rules);
            let refused = refused.map_err(|_other| Error::Registration {
                reason: "the server answered without an error of RFC 7591",
            })?;
            return Err(Error::RegistrationRefused(Box::new(refused)));
        }
        let unusable = |_malformed| Error::Registration {
            reason: "the answer has no usable `client_id`",
        };
        let read: Response7591 = json::from_document(answer.body()).map_err(unusable)?;
        let client: ClientId =
            read.client_id
                .parse()
                .map_err(|_malformed| Error::Registration {
                    reason: "the answer has no usable `client_id`",
                })?;
        let secret = read.client_secret.filter(|it| !it.is_empty());
        let method = read.token_endpoint_auth_method;
        let method = method
            .filter(|method| !method.is_empty())
            .unwrap_or_else(|| {
                let asked = self.asked.token_endpoint_auth_method();
                // Some servers give a secret to a public client and do not say how it is used. The
                // default of the standard is `client_secret_basic` (§2).
                match (&secret, asked) {
                    (Some(_), "none") => "none".to_owned(),
                    _ => asked.to_owned(),
                }
            });
        let expires = read.client_secret_expires_at.as_ref();
        let expires = expires
            .and_then(serde_json::Value::as_u64)
            .filter(|end| *end > 0);
        let over = Endpoint::loopback;
        let management = read
            .registration_client_uri
            .zip(read.registration_access_token);
        let management = management.and_then(|(url, token)| {
            let url = url.parse().ok().or_else(|| over(&url).ok())?;
            Some((url, SecretText::new(token)))
        });
        Ok(Registered {
            issuer: self.issuer,
            client,
            secret: secret.map(SecretText::new),
            expires: expires
                .map(|end| UnixTime::since_unix_epoch(std::time::Duration::from_secs(end))),
            method: method.into(),
            management,
        })
    }
}

impl Flow for RegistrationFlow {
    type Output = Registered;

    fn advance(self, event: Event<'_>, _now: UnixTime) -> Result<Step<Registered, Self>, Error> {
        match event {
            Event::Answer(answer) => {
                let asked = self.asked.token_endpoint_auth_method().to_owned();
                let registered = self.read(answer)?;
                // Without a certificate for this server, such a client would send nothing but its
                // identifier.
                if registered.is_by_certificate() && *registered.method != *asked {
                    return Err(Error::Registration {
                        reason: "the server chose an authentication by a certificate, unasked",
                    });
                }
                Ok(Step::Done(registered))
            }
            Event::NoAnswer(error) => Err(Error::Transport(error.clone())),
            Event::Signed(_) | Event::Waited => Err(Error::Interrupted),
        }
    }
}

impl Registered {
    #[cfg(feature = "tokio")]
    pub(crate) fn write(&self) -> SecretText {
        let secret = self.secret.as_ref().map(SecretText::expose);
        let management = self.management.as_ref();
        let text = serde_json::json!({
            "client_id": self.client.as_str(),
            "client_secret": secret,
            "client_secret_expires_at": self.expires.map(|end| end.as_secs()),
            "token_endpoint_auth_method": self.method,
            "registration_client_uri": management.map(|(url, _)| url.as_str()),
            "registration_access_token": management.map(|(_, token)| token.expose()),
        });
        SecretText::new(text.to_string())
    }

    /// Reads what [`write`](Self::write) wrote: it has the form of a server's answer.
    #[cfg(feature = "tokio")]
    pub(crate) fn read(text: &SecretText, issuer: &Issuer) -> Option<Self> {
        let flow = RegistrationFlow {
            issuer: issuer.clone(),
            asked: ClientMetadata::native(""),
            rules: ResponseRules::new(),
        };
        let answer = Response::new(text.expose().as_bytes().to_vec());
        flow.read(&answer).ok()
    }

    fn is_by_certificate(&self) -> bool {
        matches!(
            &*self.method,
            "tls_client_auth" | "self_signed_tls_client_auth"
        )
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

    /// Returns the authentication of the client.
    ///
    /// # Errors
    ///
    /// `client.registration` if the server chose a method that needs a key. Then create a
    /// [`PrivateKeyJwt`](aims_oauth_wire::client_auth::PrivateKeyJwt) with the identifier.
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
            ("none", _) => Ok(Arc::new(PublicClient::new(client))),
            _ => Err(Error::Registration {
                reason: "the server chose an authentication that the client does not have",
            }),
        }
    }

    /// Prepares the deletion of the registration (RFC 7592 §2.3), or returns `None` if the server
    /// has no management. The server answers 204.
    ///
    /// # Errors
    ///
    /// `oauth.endpoint` if the URL cannot be requested.
    pub fn delete(&self) -> Result<Option<Request<Vec<u8>>>, Error> {
        let managed = self.management.as_ref();
        let deletion = managed.map(|(url, token)| request(Method::DELETE, url, Some(token)));
        deletion.transpose()
    }

    /// Returns whether an answer says that the client is not registered any more (RFC 7592 §2).
    #[must_use]
    pub fn is_gone(answer: &Response<Vec<u8>>) -> bool {
        matches!(
            answer.status(),
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND
        )
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

fn request(
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
        let mut value = HeaderValue::from_str(value.expose()).or(Err(Error::Registration {
            reason: "the registration access token cannot be in a header field",
        }))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}
