//! Workload identity federation: the token of a platform as the client assertion (RFC 7521 §4.2).

use core::fmt;
use std::sync::Arc;

use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate};
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use serde::Deserialize;

use super::{
    AssertionAudience, Authenticate, BoxError, JWT_BEARER, expect_method, expect_unauthenticated,
    failed, name_in_body,
};
use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

type Source = dyn Fn(&str, UnixTime) -> Result<SecretText, BoxError> + Send + Sync;

/// Authenticates a client with the token that a platform gives its workload, such as a CI system, a
/// cloud or Kubernetes. The server trusts the issuer of these tokens for this client, so the client
/// has no secret of its own (RFC 7523 §2.2).
///
/// The client checks the claims of the token before it sends it, without verifying the signature.
/// It does not send a token for another audience, or an expired one.
///
/// ```
/// use aims_jose::secret::SecretText;
/// use aims_oauth_wire::client_auth::{AssertionAudience, PlatformToken};
///
/// /// `token` asks the platform for a token with this audience.
/// fn client(
///     token: impl Fn(&str) -> Result<SecretText, std::io::Error> + Send + Sync + 'static,
/// ) -> Result<PlatformToken, aims_oauth_wire::Error> {
///     let client = PlatformToken::new("agent-7".parse()?, move |audience, _now| {
///         Ok(token(audience)?)
///     });
///     Ok(client.with_audience(AssertionAudience::issuer()))
/// }
/// ```
#[derive(Clone)]
pub struct PlatformToken {
    client: ClientId,
    source: Arc<Source>,
    audience: PlatformAudience,
}

#[derive(Clone, Debug)]
enum PlatformAudience {
    Server(AssertionAudience),
    Fixed(Box<str>),
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: NumericDate,
}

impl PlatformToken {
    /// Creates a client from its identifier at the server and a function that returns the tokens of
    /// the platform. The function is called for each request with the audience and the time. The
    /// audience is the issuer of the server.
    #[must_use]
    pub fn new(
        client: ClientId,
        source: impl Fn(&str, UnixTime) -> Result<SecretText, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            client,
            source: Arc::new(source),
            audience: PlatformAudience::Server(AssertionAudience::issuer()),
        }
    }

    /// Sets the audience, for a server that expects its token endpoint.
    #[must_use]
    pub fn with_audience(mut self, audience: AssertionAudience) -> Self {
        self.audience = PlatformAudience::Server(audience);
        self
    }

    /// Sets an audience that the server and the platform agreed on, such as
    /// `api://AzureADTokenExchange`. Use the client at this server alone: every server with the
    /// same audience could use the token.
    #[must_use]
    pub fn with_agreed_audience(mut self, audience: impl Into<Box<str>>) -> Self {
        self.audience = PlatformAudience::Fixed(audience.into());
        self
    }
}

impl Authenticate for PlatformToken {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error> {
        expect_method(server, "private_key_jwt")?;
        expect_unauthenticated(request, &self.client)?;
        let audience = match &self.audience {
            PlatformAudience::Server(audience) => audience.text(server)?,
            PlatformAudience::Fixed(audience) => audience,
        };
        let token = (self.source)(audience, now).map_err(|source| Error::Authenticate {
            reason: "the platform gives no token",
            source: Some(source),
        })?;
        let parsed = Unverified::parse_ignoring_key_references(token.expose(), usize::MAX);
        let parsed = parsed.map_err(failed("the platform's token is not a JWT"))?;
        let claims: Claims<'_> = parsed
            .unverified_payload()
            .and_then(aims_jose::json::from_object)
            .map_err(failed(
                "the platform's token is not a JWT with `aud` and `exp`",
            ))?;
        if claims.aud.sole() != Some(audience) {
            return Err(Error::authenticate(
                "a token of the platform for another audience",
            ));
        }
        if claims.exp.as_secs() <= now.as_secs() {
            return Err(Error::authenticate("a token of the platform that is over"));
        }
        name_in_body(request, &self.client)?;
        request.parameter("client_assertion_type", JWT_BEARER)?;
        request.parameter("client_assertion", token)?;
        Ok(())
    }
}

impl fmt::Debug for PlatformToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformToken")
            .field("client", &self.client)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
