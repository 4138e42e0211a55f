//! `private_key_jwt` (RFC 7523 §2.2, draft-ietf-oauth-rfc7523bis §4).

use core::fmt;

use aims_jose::jws::SigningInput;
use aims_jose::key::AnySigner;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::UnixTime;
use serde::Serialize;

use super::{
    AssertionAudience, Authenticate, Authentication, expect_algorithm, expect_method,
    expect_unauthenticated, failed, unsigned,
};
use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

/// The value of `client_assertion_type` (RFC 7523 §2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The lifetime of an assertion, in seconds.
const LIFETIME: u64 = 60;

/// Authenticates a client with `private_key_jwt`: signs an assertion for each request.
///
/// `iss` and `sub` are the client and `aud` is the issuer. The assertion is valid for 60 seconds
/// and has a random `jti`.
///
/// ```
/// use std::sync::Arc;
///
/// use aims_jose::key::SigningKey;
/// use aims_oauth_wire::client_auth::{Authenticate, PrivateKeyJwt};
/// # use aims_jose::{Algorithm, provider, time::UnixTime};
/// # use aims_oauth_wire::{metadata::ServerMetadata, token::TokenRequest};
///
/// # let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC)?;
/// # let json = br#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;
/// # let server = ServerMetadata::parse(json, &"https://as.example".parse()?)?;
/// # let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_764_000_000));
/// let client = PrivateKeyJwt::new("agent-7".parse()?, Arc::new(key.with_key_id("2026-11")));
/// let mut request = TokenRequest::new("client_credentials")?;
/// client.authenticate(&mut request, &server, now)?;
/// assert!(request.has("client_assertion"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PrivateKeyJwt {
    client: ClientId,
    signer: AnySigner,
    audience: AssertionAudience,
    typ: &'static str,
    random: &'static dyn SecureRandom,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: serde_json::Value,
    jti: String,
    iat: u64,
    exp: u64,
}

impl PrivateKeyJwt {
    /// Creates a client with a key that is registered at the server. Give the key a key id.
    #[must_use]
    pub fn new(client: ClientId, signer: impl Into<AnySigner>) -> Self {
        Self {
            client,
            signer: signer.into(),
            audience: AssertionAudience::issuer(),
            typ: "client-authentication+jwt",
            random: random::SYSTEM,
        }
    }

    /// Sets the form of `aud`, for a server that does not accept the default.
    #[must_use]
    pub fn with_audience(mut self, audience: AssertionAudience) -> Self {
        self.audience = audience;
        self
    }

    /// Uses `typ` `JWT` instead of the type that draft-ietf-oauth-rfc7523bis §4 defines, for a
    /// server that refuses that type.
    #[must_use]
    pub const fn with_legacy_type(mut self) -> Self {
        self.typ = "JWT";
        self
    }

    /// Sets the random source of `jti`. Defaults to the operating system.
    #[must_use]
    pub const fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    /// Prepares an assertion for signing elsewhere, for example by a key behind a network. Pass the
    /// signed assertion to [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// `oauth.authenticate` if the server does not support the method; `metadata.member` if the
    /// audience is an endpoint that the server does not have.
    pub fn prepare(&self, server: &ServerMetadata, now: UnixTime) -> Result<SigningInput, Error> {
        expect_method(server, "private_key_jwt")?;
        expect_algorithm(server.token_endpoint_auth_algorithms(), &self.signer)?;
        let iat = now.as_secs();
        let claims = Claims {
            iss: self.client.as_str(),
            sub: self.client.as_str(),
            aud: self.audience.claim(server)?,
            jti: random::id128(self.random).map_err(failed("no random bytes"))?,
            iat,
            exp: iat.saturating_add(LIFETIME),
        };
        let (algorithm, key_id) = (self.signer.algorithm(), self.signer.key_id());
        SigningInput::new(self.typ, algorithm, key_id, &claims)
            .map_err(failed("the assertion cannot be written"))
    }

    /// Adds an assertion that was signed elsewhere.
    ///
    /// # Errors
    ///
    /// `oauth.request` if the request is authenticated already or is for another client.
    pub fn apply(
        &self,
        request: &mut TokenRequest,
        assertion: aims_jose::jws::CompactJws,
    ) -> Result<(), Error> {
        expect_unauthenticated(request, &self.client)?;
        request.parameter("client_assertion_type", JWT_BEARER)?;
        request.parameter("client_assertion", assertion.into_secret())?;
        Ok(())
    }
}

impl Authenticate for PrivateKeyJwt {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error> {
        expect_unauthenticated(request, &self.client)?;
        let input = self.prepare(server, now)?;
        let assertion = unsigned::sign(input, &self.signer)?;
        self.apply(request, assertion)
    }

    fn begin(
        &self,
        request: TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<Authentication, Error> {
        expect_unauthenticated(&request, &self.client)?;
        let input = self.prepare(server, now)?;
        let client = self.clone();
        unsigned::begin(
            request,
            input,
            self.signer.clone(),
            move |request, signed| client.apply(request, signed),
        )
    }
}

impl fmt::Debug for PrivateKeyJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKeyJwt")
            .field("client", &self.client)
            .field("key_id", &self.signer.key_id())
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
