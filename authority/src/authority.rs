//! Checks hosts, paths and limits, and passes requests to the two servers.

use core::cell::RefCell;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use aims_error::shown;
use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use http::{Method, Request, Response};

use crate::base::Base;
use crate::endpoint::{Call, Endpoint, RefusalForm};
use crate::identity::IdentityServer;
use crate::limit::Meter;
use crate::oauth::AuthorizationServer;
use crate::trail::Trail;
use crate::{Builder, Error, Limits, answer};

/// An identity server and an authorization server in one, in memory. Clones share their state.
///
/// It does no I/O: [`handle`](Self::handle) takes a request and the time, and returns the response.
/// [`router`](Self::router) adds it to an axum program; [`Server`](crate::Server) serves it on a
/// socket.
///
/// ```
/// use aims_authority::Authority;
/// use aims_jose::{provider, time::UnixTime};
/// use http::{Request, StatusCode};
///
/// let now = UnixTime::now();
/// let authority = Authority::builder("https://authority.example", provider::default())
///     .trust_domain("example.org")
///     .build(now)?;
/// let request = Request::get("/jwks").header("host", "authority.example").body(Vec::new())?;
/// let response = authority.handle(&request, None, now);
/// assert_eq!(response.status(), StatusCode::OK);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Authority(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) base: Base,
    pub(crate) hosts: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) requests: Meter,
    pub(crate) failures: Meter,
    pub(crate) identity: Arc<IdentityServer>,
    pub(crate) oauth: AuthorizationServer,
    /// The endpoint at each path.
    pub(crate) paths: HashMap<String, &'static Endpoint>,
}

impl Authority {
    /// Starts to configure an authority that is reached at this base URL.
    ///
    /// The base URL is also its `issuer` and the audience of every proof. It is `https`, or `http`
    /// on a loopback host, without a trailing slash.
    pub fn builder(base_url: &str, provider: &'static dyn Provider) -> Builder {
        Builder::new(base_url, provider)
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns the base URL: the issuer of access tokens, and the audience of proofs and client
    /// assertions.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.base.as_str()
    }

    /// Returns the identity server.
    #[must_use]
    pub fn identity(&self) -> &IdentityServer {
        &self.0.identity
    }

    pub(crate) fn endpoint_at(&self, path: &str) -> Option<&'static Endpoint> {
        self.0.paths.get(path).copied()
    }

    /// Returns the authorization server.
    #[must_use]
    pub fn oauth(&self) -> &AuthorizationServer {
        &self.0.oauth
    }

    /// Returns the limits that it was built with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Returns the paths of all endpoints, for routers.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.paths.keys().map(String::as_str)
    }

    /// Publishes new signing keys for every purpose.
    ///
    /// New keys sign after the refresh hint, when every reader can have fetched them. Old keys stay
    /// published until the last token that they signed has expired. `spiffe_sequence` increases.
    ///
    /// # Errors
    ///
    /// `authority.rotation_early` while the keys of the last rotation are not yet in use;
    /// `authority.key` if a key cannot be generated.
    pub fn rotate(&self, now: UnixTime) -> Result<(), Error> {
        let rings = self.rings();
        // Rotate all rings or none, as far as that is known beforehand.
        if rings.iter().any(|ring| ring.is_pending(now)) {
            return Err(Error::RotationEarly);
        }
        rings.iter().try_for_each(|ring| ring.rotate(now))
    }

    /// Replaces all signing keys at once, for the case that an attacker may know the old ones.
    ///
    /// All issued credentials and tokens become invalid as soon as their verifiers refresh.
    ///
    /// # Errors
    ///
    /// `authority.key` if a key cannot be generated.
    pub fn replace_keys(&self) -> Result<(), Error> {
        self.rings().iter().try_for_each(|ring| ring.replace())
    }

    fn rings(&self) -> Vec<&crate::keys::KeyRing> {
        let rings = &self.0.identity.rings;
        let mut all = vec![
            &rings.wit_svid,
            &rings.jwt_svid,
            &rings.wimse_wit,
            self.0.oauth.ring(),
        ];
        all.extend(self.0.oauth.transactions.iter().map(|it| &it.ring));
        all
    }

    /// Returns how long a new key is published before it signs. Clients may cache documents for
    /// this time.
    #[must_use]
    pub fn refresh_hint(&self) -> Duration {
        self.0.identity.refresh_hint
    }

    /// Answers a request from this address. A refusal is a response too.
    ///
    /// The caller must stop reading a body beyond [`Limits::body`](crate::Limits). A longer body is
    /// refused here as well.
    #[must_use]
    pub fn handle(
        &self,
        request: &Request<Vec<u8>>,
        source: Option<IpAddr>,
        now: UnixTime,
    ) -> Response<Vec<u8>> {
        match self.admit(request, source, now) {
            Ok(endpoint) => self.run(endpoint, request, source, now),
            Err(error) => finished(request, self.turn_away(request, source, &error)),
        }
    }

    /// Returns a refusal in the form of the endpoint at this path, or as a problem without an
    /// endpoint.
    pub(crate) fn refuse(&self, path: &str, error: &Error) -> Response<Vec<u8>> {
        let endpoint = self.0.paths.get(path);
        endpoint
            .map_or(RefusalForm::Problem, |endpoint| endpoint.refusal)
            .response(error)
    }

    /// Logs and returns the refusal of a request that no handler has seen.
    pub(crate) fn turn_away<T>(
        &self,
        request: &Request<T>,
        source: Option<IpAddr>,
        error: &Error,
    ) -> Response<Vec<u8>> {
        Trail::default().refused(request, source, error);
        self.refuse(request.uri().path(), error)
    }

    /// Checks host, rate, path and method, in this order. It does not need the body.
    ///
    /// A request with a bootstrap token counts when its token is known to be wrong, so that wrong
    /// tokens of others cannot use up the rate of a right one.
    pub(crate) fn admit<T>(
        &self,
        request: &Request<T>,
        source: Option<IpAddr>,
        now: UnixTime,
    ) -> Result<&'static Endpoint, Error> {
        self.check_host(request)?;
        let endpoint = self.0.paths.get(request.uri().path()).copied();
        let allows = |endpoint: &Endpoint| endpoint.methods.contain(request.method());
        if !endpoint.is_some_and(|it| allows(it) && presents_token(it, request)) {
            self.0.requests.take(source, now)?;
        }
        let endpoint = endpoint.ok_or(Error::Path)?;
        if !allows(endpoint) {
            return Err(Error::Method {
                allow: endpoint.methods.allow(),
            });
        }
        Ok(endpoint)
    }

    /// Checks `Host` and the host of the target (RFC 9112 §3.2) against the configured hosts.
    /// Otherwise a web page could reach a local authority by DNS rebinding.
    fn check_host<T>(&self, request: &Request<T>) -> Result<(), Error> {
        let other_host = |found: [Option<&str>; 2]| Error::Host {
            found: shown(found.into_iter().flatten()),
            expected: shown(self.0.hosts.iter().map(String::as_str)),
        };
        let repeated = other_host([Some("a repeated or malformed `host`"), None]);
        let field = answer::sole(request.headers(), HOST.as_str(), repeated)?;
        let target = request.uri().authority().map(http::uri::Authority::as_str);
        let ours = |host: &str| {
            self.0
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(host))
        };
        let named = [field, target];
        if named.iter().all(Option::is_none) || !named.into_iter().flatten().all(ours) {
            return Err(other_host(named));
        }
        Ok(())
    }

    /// Answers a request that was admitted.
    pub(crate) fn run(
        &self,
        endpoint: &Endpoint,
        request: &Request<Vec<u8>>,
        source: Option<IpAddr>,
        now: UnixTime,
    ) -> Response<Vec<u8>> {
        let trail = RefCell::new(Trail::default());
        let call = Call {
            endpoint,
            request,
            source,
            now,
            trail,
        };
        let answered = self.check_length(request.body()).and_then(|()| {
            let answered = (endpoint.handler)(&self.0, &call);
            if let Err(error) = &answered
                && presents_token(endpoint, request)
            {
                let meter = if is_wrong_token(error) {
                    &self.0.failures
                } else {
                    &self.0.requests
                };
                meter.take(source, now)?;
            }
            answered
        });
        let response = answered.unwrap_or_else(|error| {
            call.trail.borrow().refused(request, source, &error);
            endpoint.refusal.response(&error)
        });
        finished(request, response)
    }

    fn check_length(&self, body: &[u8]) -> Result<(), Error> {
        let limit = self.0.limits.body;
        if body.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        Ok(())
    }
}

/// Removes the body of a response to `HEAD` (RFC 9110 §9.3.2).
fn finished<T>(request: &Request<T>, mut response: Response<Vec<u8>>) -> Response<Vec<u8>> {
    if request.method() == Method::HEAD {
        let length = response.body().len();
        if response.status() == 200 {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response.body_mut().clear();
    }
    response
}

/// Returns whether the request presents a bootstrap token at an endpoint that accepts one.
fn presents_token<T>(endpoint: &Endpoint, request: &Request<T>) -> bool {
    endpoint.takes_bootstrap_token && request.headers().contains_key(AUTHORIZATION)
}

/// Returns whether a bootstrap token was refused. Every reason counts, so that the limit does not
/// reveal which tokens exist.
const fn is_wrong_token(error: &Error) -> bool {
    matches!(
        error,
        Error::Enrolment | Error::EnrolmentExpired | Error::EnrolmentUsed | Error::Withdrawn
    )
}
