//! The tool's side: a request becomes a [`Principal`] or a precise [`Refusal`].

mod builder;
mod content;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod extract;
mod head;
mod judge;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod layer;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod message;
mod post_admission;
mod signed;

use std::fmt;
use std::sync::Arc;

use aims_jose::time::{Clock, UnixTime};
use aims_oauth_rs::{IssuerStore, ProtectedResource, TokenCache};
use aims_oauth_wire::names::Endpoint;
use aims_replay::ReplayStore;
use aims_wimse_cred::{TrustStore, WitCache};
use aims_wimse_wpt::WptRules;
pub use builder::{BuildError, GuardBuilder, HasTrust, NoTrust, Trusting};
use http::header::HeaderName;
use http::request::Parts;
pub use signed::HttpSignatures;

use crate::decision::{Authorize, Reason};
use crate::principal::Principal;
use crate::record::{Event, Outcome, Record};
use crate::refresh::Refresh;
use crate::refusal::Refusal;
use crate::requirements::Requirements;
use crate::revoked::Revoked;
use crate::trace::TraceContext;
use judge::{Examined, Part};
use signed::Signatures;

/// Turns a request into a [`Principal`] or a precise [`Refusal`].
///
/// It verifies the WIT and the WPT, and the access token where issuers are configured; checks that
/// they name one agent and one key; spends the proof; asks what the route requires, then the seam
/// *authorize*; and tells the seam *record* what it did. Clones share everything.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
    route: Arc<Route>,
}

struct Inner {
    resource: String,
    audience: Audience,
    trust: Arc<TrustStore>,
    wits: WitCache,
    wpt: WptRules,
    issuers: Option<Arc<IssuerStore>>,
    signatures: Option<Signatures>,
    tokens: TokenCache,
    max_token: usize,
    metadata_url: Option<Endpoint>,
    published: Option<ProtectedResource>,
    replay: Arc<dyn ReplayStore>,
    token_fields: Vec<HeaderName>,
    authorize: Arc<dyn Authorize>,
    record: Arc<dyn Record>,
    revoked: Arc<dyn Revoked>,
    refresh: Arc<dyn Refresh>,
    clock: Arc<dyn Clock>,
}

struct Route {
    requirements: Requirements,
}

/// What `aud` of a proof must be. Never anything from the request but its path.
enum Audience {
    /// One of these.
    Named(Vec<String>),
    /// This scheme and authority, with the path of the request.
    Target(String),
}

impl Guard {
    /// The same guard, with its caches and its memory of proofs, for a route that requires
    /// something else.
    #[must_use]
    pub fn requiring(&self, requirements: Requirements) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            route: Arc::new(Route { requirements }),
        }
    }

    /// Judges a request. A plain function: it waits for nothing and fetches nothing.
    ///
    /// The proof is spent: asked twice about one request, it refuses the second time.
    ///
    /// # Errors
    ///
    /// The [`Refusal`], with its answer for the wire.
    pub fn check(&self, request: &Parts, now: UnixTime) -> Result<Principal, Refusal> {
        let examined = self.examine(request, Part::Head, now);
        self.finish(request, examined, now)
    }

    /// As [`check`](Self::check) at the time of the guard's clock; when a key is unknown, the seam
    /// *refresh* is asked once, and then the request is judged again.
    ///
    /// # Errors
    ///
    /// The [`Refusal`], with its answer for the wire.
    pub async fn admit(&self, request: &Parts) -> Result<Principal, Refusal> {
        let (examined, now) = self.examine_fresh(request, Part::Head).await;
        self.finish(request, examined, now)
    }

    /// Examines a request, once more where the keys that it names are not known and a refresh
    /// brought some.
    async fn examine_fresh(&self, request: &Parts, part: Part) -> (Examined, UnixTime) {
        let now = self.inner.clock.now();
        let examined = self.examine(request, part, now);
        if let Some(keys) = examined.unknown_keys()
            && self.inner.refresh.refresh(keys).await
        {
            let now = self.inner.clock.now();
            return (self.examine(request, part, now), now);
        }
        (examined, now)
    }

    /// The document that tells agents where to get a token, for the path
    /// [`ProtectedResource::path`]; where one was [configured](GuardBuilder::metadata).
    #[must_use]
    pub fn published(&self) -> Option<&ProtectedResource> {
        self.inner.published.as_ref()
    }

    /// The URL by which callers address the tool.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.inner.resource
    }

    /// Spends, decides and records.
    fn finish(
        &self,
        request: &Parts,
        examined: Examined,
        now: UnixTime,
    ) -> Result<Principal, Refusal> {
        let Examined { found, seen } = examined;
        let verdict = found.and_then(|found| self.conclude(found, &seen, request, now));
        let (outcome, code, reasons): (_, _, &[Reason]) = match &verdict {
            Ok((_, reasons)) => (Outcome::Accepted, None, reasons),
            Err(refused) => (
                Outcome::Refused,
                Some(refused.refusal.code()),
                &refused.reasons,
            ),
        };
        let agent = seen.wit.as_ref().map(aims_wimse_cred::Wit::id);
        let proven = verdict.as_ref().ok().and_then(|(who, _)| who.agent());
        self.inner.record.record(&Event {
            agent: proven.or(agent),
            proven: proven.is_some(),
            subject: seen.token.as_ref().map(aims_oauth_rs::AccessToken::subject),
            client: seen
                .token
                .as_ref()
                .map(aims_oauth_rs::AccessToken::client_id),
            resource: &self.inner.resource,
            method: &request.method,
            path: request.uri.path(),
            outcome,
            code,
            reasons,
            time: now,
            trace: TraceContext::of(&request.headers),
            proofs: verdict
                .as_ref()
                .map_or(&[], |(principal, _)| principal.proofs()),
            fingerprints: seen.fingerprints,
        });
        match verdict {
            Ok((principal, _)) => Ok(principal),
            Err(refused) => Err(refused.refusal),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("resource", &self.inner.resource)
            .field("requirements", &self.route.requirements)
            .finish_non_exhaustive()
    }
}
