//! JWT authorization grants (RFC 7523 §2.1).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aims_jose::digest::Fingerprint;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::Issuer;
use aims_oauth_wire::token::{TokenRequest, TokenResponse};

use super::{Grant, IdJag, JwtGrant, Target, USER};
use crate::Error;
use crate::error::BoxError;

/// The grant type (RFC 7523 §2.1).
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

type Source = dyn Fn(&str, UnixTime) -> Result<SecretText, BoxError> + Send + Sync;

/// The grant by the assertion of another party: a platform that identifies its workload, an
/// identity provider, or another authorization server (RFC 7523 §2.1).
///
/// The assertion needs no secret of the client, so a job of a CI system or of a cloud gets in by
/// the token that its platform gives it (workload identity federation).
///
/// ```
/// use aims_oauth_client::{JwtBearer, Target};
///
/// /// The platform writes a current token into a file.
/// fn of_platform(target: Target) -> JwtBearer {
///     JwtBearer::from_source(target, |_audience, _now| {
///         let token = std::fs::read_to_string("/var/run/secrets/tokens/as")?;
///         Ok(token.trim().into())
///     })
/// }
/// ```
#[derive(Clone)]
pub struct JwtBearer {
    target: Target,
    assertion: Assertion,
    audience: GrantAudience,
    cached_as: &'static str,
    /// The server that the assertion is for, if it is known.
    server: Option<Issuer>,
    accepted: Accepted,
    presented: Presented,
}

/// The last assertion of a source that each server accepted.
#[derive(Clone, Default)]
pub(crate) struct Accepted(Arc<Mutex<Vec<(Issuer, Fingerprint)>>>);

/// The assertion of a source that the last request presented. A clone has made no request.
#[derive(Default)]
struct Presented(Mutex<Option<(Issuer, Fingerprint)>>);

impl Accepted {
    fn add(&self, (server, assertion): (Issuer, Fingerprint)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(own, _)| *own != server);
        let excess = all.len().saturating_sub(MAX_SERVERS.saturating_sub(1));
        all.drain(..excess);
        all.push((server, assertion));
    }

    fn has(&self, presented: &(Issuer, Fingerprint)) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains(presented)
    }
}

impl Presented {
    fn set(&self, server: &Issuer, assertion: &SecretText) {
        let presented = (server.clone(), assertion.fingerprint());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(presented);
    }

    fn get(&self) -> Option<(Issuer, Fingerprint)> {
        let presented = self.0.lock();
        presented.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Clone for Presented {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The maximum number of servers whose last assertion is known.
const MAX_SERVERS: usize = 16;

#[derive(Clone)]
enum Assertion {
    Fixed(SecretText),
    Source(Arc<Source>),
}

/// The audience that the source of assertions is asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum GrantAudience {
    /// The issuer of the authorization server (draft-ietf-oauth-rfc7523bis §4).
    #[default]
    Issuer,
    /// The URL of its token endpoint, as RFC 7523 §3 suggests and the MCP extension for workload
    /// identity federation requires.
    ///
    /// A server could name the token endpoint of another one, which would accept the assertion. A
    /// [`Connector`](crate::Connector) presents none so at a server that it accepts unnamed, unless
    /// its token endpoint has the origin of the issuer.
    TokenEndpoint,
}

impl JwtBearer {
    /// Presents this assertion. If the target names no subject, its subject is the fingerprint of
    /// the assertion.
    #[must_use]
    pub fn new(target: Target, assertion: impl Into<SecretText>) -> Self {
        let assertion = assertion.into();
        // Tokens of two assertions are never interchanged, also if the caller names no subject.
        let target = match target.subject() {
            Some(_) => target,
            None => target.with_subject_fingerprint(&assertion.fingerprint()),
        };
        Self::fixed(target, assertion, JWT_BEARER)
    }

    fn fixed(target: Target, assertion: SecretText, cached_as: &'static str) -> Self {
        Self {
            target,
            assertion: Assertion::Fixed(assertion),
            audience: GrantAudience::Issuer,
            cached_as,
            server: None,
            accepted: Accepted::default(),
            presented: Presented::default(),
        }
    }

    /// Presents the assertion of an identity provider about its user. The target must be that of
    /// the assertion. The token is one of the user, as after a login.
    ///
    /// The assertion is sent to the server that it is for, and to no other.
    #[must_use]
    pub fn of_id_jag(target: Target, assertion: &IdJag) -> Self {
        let grant = Self::fixed(target, assertion.text().clone(), USER);
        grant.only_at(assertion.audience())
    }

    /// Presents the assertion of another authorization server.
    ///
    /// It is sent to the server that it is for, and to no other.
    #[must_use]
    pub fn of_jwt_grant(target: Target, assertion: &JwtGrant) -> Self {
        let grant = Self::new(target, assertion.text().clone());
        grant.only_at(assertion.audience())
    }

    fn only_at(mut self, server: &Issuer) -> Self {
        self.server = Some(server.clone());
        self
    }

    /// Presents the assertion that this function returns for the audience and the time. It is
    /// called for each request.
    ///
    /// The function may return the same assertion again, as from a file that the platform has not
    /// replaced yet. Some servers take it while it is valid. Others take it once, and refuse it
    /// with `invalid_grant`. If it was accepted before by this grant or a clone, that is
    /// `grant.assertion_used`, which is retryable: the next attempt presents what the function
    /// returns then.
    #[must_use]
    pub fn from_source(
        target: Target,
        source: impl Fn(&str, UnixTime) -> Result<SecretText, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            target,
            assertion: Assertion::Source(Arc::new(source)),
            audience: GrantAudience::Issuer,
            cached_as: JWT_BEARER,
            server: None,
            accepted: Accepted::default(),
            presented: Presented::default(),
        }
    }

    /// Remembers what servers accepted together with other grants of the same source.
    #[cfg(feature = "tokio")]
    pub(crate) fn remembering(mut self, accepted: Accepted) -> Self {
        self.accepted = accepted;
        self
    }

    /// Sets the audience that the source is asked for. Defaults to the issuer.
    #[must_use]
    pub const fn with_audience(mut self, audience: GrantAudience) -> Self {
        self.audience = audience;
        self
    }
}

impl Grant for JwtBearer {
    fn grant_type(&self) -> &str {
        JWT_BEARER
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn write(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        let is_own = |own: &Issuer| own.equals_in_discovery(server.issuer());
        if !self.server.as_ref().is_none_or(is_own) {
            return Err(aims_oauth_wire::Error::Request {
                reason: "the assertion is for another server",
            });
        }
        self.target.write(request)?;
        let assertion = match &self.assertion {
            Assertion::Fixed(text) => text.clone(),
            Assertion::Source(source) => {
                let audience = match self.audience {
                    GrantAudience::Issuer => server.issuer().as_str(),
                    GrantAudience::TokenEndpoint => server.token_endpoint()?.as_str(),
                };
                let given = source(audience, now);
                let given = given.map_err(|source| aims_oauth_wire::Error::Authenticate {
                    reason: "the platform gives no assertion",
                    source: Some(source),
                })?;
                self.presented.set(server.issuer(), &given);
                given
            }
        };
        request.parameter("assertion", assertion)?;
        Ok(())
    }

    fn judge(&self, _response: &TokenResponse, _now: UnixTime) -> Result<(), Error> {
        if let Some(presented) = self.presented.get() {
            self.accepted.add(presented);
        }
        Ok(())
    }

    /// A server that takes each assertion once refuses the same one again.
    fn judge_error(&self, error: Error) -> Error {
        let refusal = error.refusal().filter(|it| it.error() == "invalid_grant");
        let presented = self.presented.get();
        match (refusal, presented) {
            (Some(refusal), Some(presented)) if self.accepted.has(&presented) => {
                Error::AssertionUsed(Box::new(refusal.clone()))
            }
            _ => error,
        }
    }

    /// The details may be those of the assertion.
    fn judges_details(&self) -> bool {
        self.target.details().is_none()
    }

    fn cached_as(&self) -> &str {
        self.cached_as
    }
}

impl fmt::Debug for JwtBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtBearer")
            .field("target", &self.target)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
