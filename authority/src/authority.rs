//! The whole: paths, hosts, limits, and the two servers behind them.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use http::{Method, Request, Response};

use crate::base::Base;
use crate::identity::IdentityServer;
use crate::identity::endpoint::Operation as IdentityOperation;
use crate::limit::Meter;
use crate::oauth::AuthorizationServer;
use crate::oauth::endpoint::{self as oauth, Operation as OauthOperation};
use crate::reason::Reason;
use crate::{Builder, Error, Limits, answer};

/// An identity server and an authorization server in one, in memory. Clones share everything.
///
/// It does no I/O: [`handle`](Self::handle) takes a request and the time and gives the answer.
/// [`router`](Self::router) brings it into an axum program, [`Server`](crate::Server) onto a
/// socket.
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
    pub(crate) paths: HashMap<String, Operation>,
}

/// Everything that can be asked (T-169).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Identity(IdentityOperation),
    Oauth(OauthOperation),
}

impl Operation {
    const fn allow(self) -> &'static str {
        match self {
            Self::Identity(operation) => operation.allow(),
            Self::Oauth(operation) => operation.allow(),
        }
    }

    /// Whether a bootstrap token is shown, the one credential here that could be guessed. All
    /// others are signatures, which guessing does not make, and a failed one must not keep out who
    /// signs well from the same address (T-049).
    fn shows_token(self, request: &Request<Vec<u8>>) -> bool {
        matches!(self, Self::Identity(operation) if operation.takes_token())
            && request.headers().contains_key(AUTHORIZATION)
    }

    /// The refusal in the form of this endpoint.
    fn refusal(self, error: &Error) -> Response<Vec<u8>> {
        match self {
            Self::Oauth(OauthOperation::Token) => oauth::refusal(error),
            Self::Oauth(_) | Self::Identity(_) => answer::problem(error),
        }
    }
}

impl Authority {
    /// Begins one that is reached at this base URL, which is also its `issuer` and the audience of
    /// every proof: `https`, or `http` on a loopback host, no trailing slash.
    pub fn builder(base_url: &str, provider: &'static dyn Provider) -> Builder {
        Builder::new(base_url, provider)
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The base URL: issuer of access tokens, audience of proofs and client assertions.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.base.as_str()
    }

    /// The identity server.
    #[must_use]
    pub fn identity(&self) -> &IdentityServer {
        &self.0.identity
    }

    /// The authorization server.
    #[must_use]
    pub fn oauth(&self) -> &AuthorizationServer {
        &self.0.oauth
    }

    /// The bounds that it was built with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The paths that it answers, for routers.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.paths.keys().map(String::as_str)
    }

    /// Publishes new signing keys for every purpose. They come into use after the refresh hint,
    /// when every reader can have them; the old ones stay published until the last token that they
    /// signed has expired. `spiffe_sequence` rises.
    ///
    /// # Errors
    ///
    /// `authority.rotation_early` while the keys of the last rotation are not yet in use,
    /// `authority.key`.
    pub fn rotate(&self, now: UnixTime) -> Result<(), Error> {
        let rings = self.rings();
        // All or none, as far as can be told beforehand.
        if rings.iter().any(|ring| ring.is_pending(now)) {
            return Err(Error::RotationEarly);
        }
        rings.iter().try_for_each(|ring| ring.rotate(now))
    }

    /// Drops all signing keys at once for new ones, when old ones may be known to others. Every
    /// credential and token that lives is worth nothing as soon as its readers refresh.
    ///
    /// # Errors
    ///
    /// `authority.key`.
    pub fn replace_keys(&self) -> Result<(), Error> {
        self.rings().iter().try_for_each(|ring| ring.replace())
    }

    fn rings(&self) -> [&crate::keys::KeyRing; 4] {
        let rings = &self.0.identity.rings;
        [
            &rings.wit_svid,
            &rings.jwt_svid,
            &rings.wimse_wit,
            self.0.oauth.ring(),
        ]
    }

    /// How long a new key is published before it is used, and how long documents may be kept.
    #[must_use]
    pub fn refresh_hint(&self) -> Duration {
        self.0.identity.refresh_hint
    }

    /// Answers a request from this address. Never fails: what is wrong is an answer too.
    ///
    /// The body must not have been read beyond [`Limits::body`](crate::Limits); a longer one is
    /// refused here once more.
    #[must_use]
    pub fn handle(
        &self,
        request: &Request<Vec<u8>>,
        source: Option<IpAddr>,
        now: UnixTime,
    ) -> Response<Vec<u8>> {
        let operation = self.0.paths.get(request.uri().path()).copied();
        let mut response = match self.admit(operation, request, source, now) {
            Ok(operation) => match self.run(operation, request, source, now) {
                Ok(response) => response,
                Err(error) => {
                    refused(request, &error);
                    operation.refusal(&error)
                }
            },
            Err(error) => {
                refused(request, &error);
                operation.map_or_else(|| answer::problem(&error), |it| it.refusal(&error))
            }
        };
        if request.method() == Method::HEAD {
            let length = response.body().len();
            if response.status() == 200 {
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
            response.body_mut().clear();
        }
        response
    }

    /// The refusal of a request that could not be read, in the form of its endpoint.
    #[cfg(feature = "server")]
    pub(crate) fn refuse(&self, path: &str, error: &Error) -> Response<Vec<u8>> {
        match self.0.paths.get(path) {
            Some(operation) => operation.refusal(error),
            None => answer::problem(error),
        }
    }

    /// Host, path, method, size and rate, in this order.
    fn admit(
        &self,
        operation: Option<Operation>,
        request: &Request<Vec<u8>>,
        source: Option<IpAddr>,
        now: UnixTime,
    ) -> Result<Operation, Error> {
        self.check_host(request)?;
        self.0.requests.take(source, now)?;
        let operation = operation.ok_or(Error::Path)?;
        let allow = operation.allow();
        if !allow
            .split(", ")
            .any(|method| method == request.method().as_str())
        {
            return Err(Error::Method { allow });
        }
        if request.body().len() > self.0.limits.body {
            return Err(Error::TooLarge {
                limit: self.0.limits.body,
            });
        }
        if operation.shows_token(request) {
            self.0.failures.check(source, now)?;
        }
        Ok(operation)
    }

    /// T-090: the host that is asked is one of ours, by `Host` and by the target alike.
    fn check_host(&self, request: &Request<Vec<u8>>) -> Result<(), Error> {
        let field = answer::sole(request.headers(), HOST.as_str(), Error::Host)?;
        let target = request.uri().authority().map(http::uri::Authority::as_str);
        let ours = |host: &str| {
            self.0
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(host))
        };
        let named = [field, target];
        if named.iter().all(Option::is_none) || !named.into_iter().flatten().all(ours) {
            return Err(Error::Host);
        }
        Ok(())
    }

    fn run(
        &self,
        operation: Operation,
        request: &Request<Vec<u8>>,
        source: Option<IpAddr>,
        now: UnixTime,
    ) -> Result<Response<Vec<u8>>, Error> {
        let (headers, body) = (request.headers(), request.body());
        let answer = match operation {
            Operation::Identity(it) => self.0.identity.answer(it, headers, body, now),
            Operation::Oauth(it) => self.0.oauth.answer(it, headers, body, now),
        };
        if let Err(error) = &answer
            && operation.shows_token(request)
            && is_wrong_token(error)
        {
            // Only a full bucket can be the reason why this fails, and then it is empty anyway.
            let _ = self.0.failures.take(source, now);
        }
        answer
    }
}

/// Whatever can be wrong with a bootstrap token alike, so that being slowed down tells nothing of
/// it either (T-141).
const fn is_wrong_token(error: &Error) -> bool {
    matches!(
        error,
        Error::Enrolment | Error::EnrolmentExpired | Error::EnrolmentUsed | Error::Withdrawn
    )
}

fn refused(request: &Request<Vec<u8>>, error: &Error) {
    let reason = Reason(error);
    tracing::info!(
        code = error.code(),
        causes = ?reason.causes(),
        method = ?request.method(),
        %reason,
        "refused"
    );
}
