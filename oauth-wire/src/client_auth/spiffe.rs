//! Client authentication by SVIDs instead of registered keys
//! (draft-ietf-oauth-spiffe-client-auth-02).

use core::fmt;
use std::sync::Arc;

use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::jwt::{Audience, NumericDate};
use aims_jose::key::AnySigner;
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use serde::Deserialize;

use super::pop::Credential;
use super::{
    AssertionAudience, Authenticate, Authentication, BoxError, expect_method,
    expect_unauthenticated, failed,
};
use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

/// The value of `client_assertion_type` for a JWT-SVID (draft-ietf-oauth-spiffe-client-auth-02
/// §3.1).
pub const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

type JwtSource = dyn Fn(&str, UnixTime) -> Result<SecretText, BoxError> + Send + Sync;
type WitSource = dyn Fn(UnixTime) -> Result<WitCredential, BoxError> + Send + Sync;

/// Authenticates a client with `spiffe_jwt`: a JWT-SVID is the assertion
/// (draft-ietf-oauth-spiffe-client-auth).
///
/// The client checks the claims of the SVID before it sends it, without verifying the signature. It
/// does not send an SVID for another audience or another workload, or an expired one.
///
/// ```
/// use aims_jose::secret::SecretText;
/// use aims_oauth_wire::client_auth::SpiffeJwt;
///
/// /// `fetch` asks the SPIFFE Workload API for a JWT-SVID with this audience.
/// fn client(
///     fetch: impl Fn(&str) -> Result<SecretText, std::io::Error> + Send + Sync + 'static,
/// ) -> Result<SpiffeJwt, aims_oauth_wire::Error> {
///     let id = "spiffe://example.org/agent".parse()?;
///     Ok(SpiffeJwt::new(id, move |audience, _now| Ok(fetch(audience)?)))
/// }
/// ```
#[derive(Clone)]
pub struct SpiffeJwt {
    client: ClientId,
    source: Arc<JwtSource>,
    audience: AssertionAudience,
    accepts_unlisted: bool,
}

impl SpiffeJwt {
    /// Creates a client from the SPIFFE ID of a workload and a function that returns its JWT-SVIDs.
    ///
    /// The function is called for each request with the audience and the time. It may return the
    /// same SVID again while that is valid.
    #[must_use]
    pub fn new(
        client: ClientId,
        source: impl Fn(&str, UnixTime) -> Result<SecretText, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            client,
            source: Arc::new(source),
            audience: AssertionAudience::issuer(),
            accepts_unlisted: false,
        }
    }

    /// Authenticates also at a server whose metadata does not list `spiffe_jwt`. Keycloak takes
    /// JWT-SVIDs and lists no method for them.
    ///
    /// A server that does not know the method gets an SVID that is good at its issuer alone.
    #[must_use]
    pub const fn accept_unlisted_method(mut self) -> Self {
        self.accepts_unlisted = true;
        self
    }

    /// Sets the audience, for example the token endpoint for a server that follows revision 01 of
    /// the draft. The issuer of the SVID decides whether it is in an array.
    #[must_use]
    pub fn with_audience(mut self, audience: AssertionAudience) -> Self {
        self.audience = audience;
        self
    }
}

#[derive(Deserialize)]
struct SvidClaims<'a> {
    sub: String,
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: NumericDate,
}

impl Authenticate for SpiffeJwt {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error> {
        if !self.accepts_unlisted {
            expect_method(server, "spiffe_jwt")?;
        }
        expect_unauthenticated(request, &self.client)?;
        let audience = self.audience.text(server)?;
        let svid = (self.source)(audience, now).map_err(unavailable)?;
        let token = Unverified::parse(svid.expose()).map_err(failed("not a JWT-SVID"))?;
        let claims: SvidClaims<'_> = token
            .unverified_payload()
            .and_then(aims_jose::json::from_object)
            .map_err(failed("not a JWT-SVID"))?;
        if claims.aud.sole() != Some(audience) {
            return Err(Error::authenticate("a JWT-SVID for another audience"));
        }
        if claims.sub != self.client.as_str() {
            return Err(Error::authenticate("a JWT-SVID of another workload"));
        }
        if claims.exp.as_secs() <= now.as_secs() {
            return Err(Error::authenticate("a JWT-SVID that is over"));
        }
        request.parameter("client_assertion_type", JWT_SPIFFE)?;
        request.parameter("client_assertion", svid)?;
        Ok(())
    }
}

impl fmt::Debug for SpiffeJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpiffeJwt")
            .field("client", &self.client)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// A WIT-SVID and the private key of its `cnf.jwk`.
#[derive(Clone, Debug)]
pub struct WitCredential(Credential);

impl WitCredential {
    /// Creates a credential from the text of a WIT-SVID and the private key of its `cnf.jwk`: an
    /// `Arc` of a [`Signer`](aims_jose::key::Signer), or an [`AnySigner`] for a key in a device or
    /// behind a network.
    #[must_use]
    pub fn new(wit: impl Into<SecretText>, signer: impl Into<AnySigner>) -> Self {
        Self(Credential::new(wit, signer))
    }
}

/// Authenticates a client with `spiffe_wit`: a WIT-SVID in `OAuth-Client-Attestation`, and a new
/// proof of its key in `OAuth-Client-Attestation-PoP`
/// (draft-ietf-oauth-attestation-based-client-auth §5.1).
#[derive(Clone)]
pub struct SpiffeWit {
    client: ClientId,
    source: Arc<WitSource>,
    challenge: Option<SecretText>,
    random: &'static dyn SecureRandom,
}

impl SpiffeWit {
    /// Creates a client from the SPIFFE ID of a workload and a function that returns its WIT-SVIDs.
    /// The function is called for each request.
    #[must_use]
    pub fn new(
        client: ClientId,
        source: impl Fn(UnixTime) -> Result<WitCredential, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            client,
            source: Arc::new(source),
            challenge: None,
            random: random::SYSTEM,
        }
    }

    /// Answers a challenge of the server (draft-ietf-oauth-attestation-based-client-auth,
    /// `attestation_challenge`). A challenge is valid for one request, so use the returned value
    /// once.
    #[must_use]
    pub fn with_challenge(mut self, challenge: impl Into<SecretText>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    /// Sets the random source of `jti`. Defaults to the operating system.
    #[must_use]
    pub const fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    /// Returns the current credential and what its key must sign.
    fn prepare(
        &self,
        request: &TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(Credential, SigningInput), Error> {
        expect_method(server, "spiffe_wit")?;
        expect_unauthenticated(request, &self.client)?;
        let WitCredential(credential) = (self.source)(now).map_err(unavailable)?;
        let input = credential.input(server, self.challenge.as_ref(), self.random, now)?;
        Ok((credential, input))
    }
}

impl Authenticate for SpiffeWit {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error> {
        let (credential, input) = self.prepare(request, server, now)?;
        credential.authenticate(request, input, &self.client)
    }

    fn begin(
        &self,
        request: TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<Authentication, Error> {
        let (credential, input) = self.prepare(&request, server, now)?;
        credential.begin(request, input, self.client.clone())
    }
}

impl fmt::Debug for SpiffeWit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpiffeWit")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

fn unavailable(source: BoxError) -> Error {
    Error::Authenticate {
        reason: "the workload has no SVID",
        source: Some(source),
    }
}
