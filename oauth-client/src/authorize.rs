//! The authorization code grant: a user decides in a browser (RFC 6749 §4.1, RFC 7636, RFC 9126).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::base64url;
use aims_jose::digest::sha256_base64url;
use aims_jose::key::AnySigner;
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata, Switch};
use url::Url;

use crate::{DpopKey, Error, Step, Target, TokenRules};

mod callback;
mod code;
mod logins;
#[cfg(feature = "loopback")]
mod loopback;
mod object;
mod push;
mod receive;
#[cfg(feature = "tokio")]
mod user;

pub use callback::Authorizing;
pub use code::AuthorizationCode;
pub use logins::Logins;
#[cfg(feature = "loopback")]
#[cfg_attr(docsrs, doc(cfg(feature = "loopback")))]
pub use loopback::Loopback;
pub use push::PushFlow;
pub use receive::{Receive, ReceiveFuture, Receiving};
#[cfg(feature = "tokio")]
pub(crate) use user::Asking;

/// A request for the authorization of a user.
///
/// It always has PKCE with `S256` and `state`. If the server has an endpoint for pushed requests,
/// the parameters go there, and the browser carries only a reference (RFC 9126).
///
/// ```
/// use std::sync::Arc;
///
/// use aims_jose::random::SYSTEM;
/// use aims_jose::time::UnixTime;
/// use aims_oauth_client::{AuthorizationRequest, Step, Target};
/// use aims_oauth_wire::client_auth::PublicClient;
/// use aims_oauth_wire::metadata::ServerMetadata;
///
/// let json = br#"{
///     "issuer": "https://as.example",
///     "authorization_endpoint": "https://as.example/authorize",
///     "token_endpoint": "https://as.example/token",
///     "code_challenge_methods_supported": ["S256"]
/// }"#;
/// let server = ServerMetadata::parse(json, &"https://as.example".parse()?)?;
/// let target = Target::new("https://tools.example/mcp".parse()?, "read".parse()?);
/// let request = AuthorizationRequest::new("https://app.example/callback".parse()?, target);
/// let client = Arc::new(PublicClient::new("app".parse()?));
/// let step = request.begin(client, Arc::new(server), None, SYSTEM, UnixTime::now())?;
/// let Step::Done(authorizing) = step else { unreachable!() };
/// assert!(authorizing.url().starts_with("https://as.example/authorize?response_type=code&"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is requested until `begin`"]
pub struct AuthorizationRequest {
    redirect: RedirectUri,
    target: Target,
    further: Vec<(&'static str, Box<str>)>,
    accepts_unlisted_pkce: bool,
    pushes: bool,
    signer: Option<AnySigner>,
    rules: TokenRules,
}

impl AuthorizationRequest {
    /// Creates a request for a token of this target. The browser returns to `redirect`.
    pub const fn new(redirect: RedirectUri, target: Target) -> Self {
        Self {
            redirect,
            target,
            further: Vec::new(),
            accepts_unlisted_pkce: false,
            pushes: true,
            signer: None,
            rules: TokenRules::new(),
        }
    }

    /// Sets which deviations of the server are accepted. Of these,
    /// [`omit_resource`](TokenRules::omit_resource) applies to this request.
    pub fn with_rules(mut self, rules: TokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Requests a login of one of these classes (RFC 9470 §4). They are separated by spaces.
    pub fn acr_values(self, values: impl Into<Box<str>>) -> Self {
        self.with("acr_values", values)
    }

    /// Requests that the login is not older than this (RFC 9470 §4), in whole seconds.
    pub fn max_age(self, most: Duration) -> Self {
        self.with("max_age", most.as_secs().to_string())
    }

    /// Tells the server who the user probably is, such as an email address (OpenID Connect Core
    /// §3.1.2.1).
    pub fn login_hint(self, user: impl Into<Box<str>>) -> Self {
        self.with("login_hint", user)
    }

    /// Requests a prompt: `login`, `consent`, `select_account` (OpenID Connect Core §3.1.2.1).
    pub fn prompt(self, prompt: impl Into<Box<str>>) -> Self {
        self.with("prompt", prompt)
    }

    /// Accepts a server whose metadata does not list `S256` in `code_challenge_methods_supported`.
    ///
    /// PKCE is sent in every case. If the server ignores it, an attacker can inject a stolen code.
    pub const fn accept_unlisted_pkce(mut self) -> Self {
        self.accepts_unlisted_pkce = true;
        self
    }

    /// Does not push the request, for a server whose endpoint for pushed requests does not work.
    pub const fn without_push(mut self) -> Self {
        self.pushes = false;
        self
    }

    /// Signs the request with a key that is registered for the client (RFC 9101): the server
    /// accepts no parameter that was changed on the way. A pushed request is signed, too.
    ///
    /// The key must be in this process.
    pub fn signed(mut self, signer: impl Into<AnySigner>) -> Self {
        self.signer = Some(signer.into());
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<Box<str>>) -> Self {
        self.further.retain(|(own, _)| *own != name);
        self.further.push((name, value.into()));
        self
    }

    /// Prepares the request. Without a pushed request, the result is there at once.
    ///
    /// With a [`DpopKey`], the code is bound to it (`dpop_jkt`, RFC 9449 §10).
    ///
    /// # Errors
    ///
    /// - `authorize.unsupported` if the server does not list `S256`, requires
    ///   [signed](Self::signed) requests and there is no key, does not list the algorithm of the
    ///   key, or requires pushed requests that it has no endpoint for. So it is if the key is not
    ///   in this process.
    /// - `grant.unsupported` if it does not take the grant, `metadata.member` if it has no
    ///   authorization endpoint.
    /// - `random.unavailable`, and those of the client authentication.
    pub fn begin(
        self,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        key: Option<&DpopKey>,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<Step<Authorizing, PushFlow>, Error> {
        self.expect_supported(&server)?;
        let id = || random::id128(random).map_err(Error::Random);
        let (state, verifier) = (SecretText::new(id()?), verifier(random)?);
        let asks_id_token = self.target.scopes().contains("openid");
        let nonce = asks_id_token.then(id).transpose()?;
        let mut parameters = vec![
            ("response_type", "code".into()),
            ("client_id", client.client_id().as_str().into()),
            ("redirect_uri", self.redirect.0.clone()),
            ("state", state.expose().into()),
            ("code_challenge", sha256_base64url(verifier.expose()).into()),
            ("code_challenge_method", "S256".into()),
        ];
        if !self.rules.omits_resource {
            parameters.push(("resource", self.target.resource().as_str().into()));
        }
        let scopes = self.target.scopes();
        let scopes = (!scopes.is_empty()).then(|| scopes.to_string());
        parameters.extend(scopes.map(|scopes| ("scope", scopes.into())));
        let details = self.target.details();
        parameters.extend(details.map(|it| ("authorization_details", it.into())));
        let bound = key.map(|key| ("dpop_jkt", key.thumbprint().to_string().into()));
        parameters.extend(bound);
        parameters.extend(nonce.clone().map(|nonce| ("nonce", nonce.into())));
        parameters.extend(self.further);
        let endpoint = server.required(EndpointKind::Authorization)?;
        let endpoint = Url::parse(endpoint.as_str()).map_err(|_invalid| Error::Interrupted)?;
        let authorizing = Authorizing {
            url: String::new(),
            expires: None,
            state,
            verifier,
            nonce,
            redirect: self.redirect,
            target: self.target,
            issuer: server.issuer().clone(),
            client: client.client_id().clone(),
            expects_issuer: server.is_on(Switch::AuthorizationResponseIss),
        };
        if let Some(signer) = &self.signer {
            parameters = object::sign(&parameters, signer, &server, random, now)?;
        }
        let push = EndpointKind::PushedAuthorizationRequest;
        if self.pushes && server.endpoint(push).is_some() {
            return push::begin(authorizing, endpoint, parameters, client, server, key, now);
        }
        if server.is_on(Switch::RequirePushedRequests) {
            return Err(Error::UnsupportedServer {
                reason: "it requires pushed requests, and has no endpoint for them, or they are off",
            });
        }
        Ok(Step::Done(authorizing.at(endpoint, &parameters)))
    }

    fn expect_supported(&self, server: &ServerMetadata) -> Result<(), Error> {
        if !server.takes_grant("authorization_code") {
            return Err(Error::GrantType);
        }
        if self.signer.is_none() && server.is_on(Switch::RequireSignedRequests) {
            return Err(Error::UnsupportedServer {
                reason: "it requires signed authorization requests",
            });
        }
        let methods = server.code_challenge_methods_supported();
        let lists = methods.is_some_and(|all| all.iter().any(|it| it == "S256"));
        if lists || (methods.is_none() && self.accepts_unlisted_pkce) {
            return Ok(());
        }
        Err(Error::UnsupportedServer {
            reason: "`code_challenge_methods_supported` of its metadata does not list `S256`",
        })
    }
}

/// Returns a code verifier of 256 random bits (RFC 7636 §4.1).
fn verifier(random: &dyn SecureRandom) -> Result<SecretText, Error> {
    let mut bytes = [0; 32];
    random.fill(&mut bytes).map_err(Error::Random)?;
    Ok(SecretText::new(base64url::encode(&bytes)))
}

/// The URL that the browser returns to after the user decided (RFC 6749 §3.1.2).
///
/// It is `https`, `http` on this machine (RFC 8252 §7.3), or a private scheme with a dot (§7.1),
/// without fragment.
///
/// ```
/// use aims_oauth_client::RedirectUri;
///
/// assert!("http://127.0.0.1:4711/callback".parse::<RedirectUri>().is_ok());
/// assert!("com.example.agent:/callback".parse::<RedirectUri>().is_ok());
/// assert!("http://app.example/callback".parse::<RedirectUri>().is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedirectUri(Box<str>);

impl RedirectUri {
    /// Returns the URI as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the URI is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| is_local(&url))
    }
}

impl FromStr for RedirectUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|_invalid| Error::Redirect)?;
        let is_permitted = match url.scheme() {
            "https" => url.has_host(),
            "http" => is_local(&url),
            private => private.contains('.'),
        };
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !is_permitted || has_user || text.contains('#') {
            return Err(Error::Redirect);
        }
        Ok(Self(text.into()))
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parameters of an authorization request.
pub(crate) type Parameters = Vec<(&'static str, Box<str>)>;
