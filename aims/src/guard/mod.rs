//! The tool's side: a request becomes a [`Principal`] or a precise [`Refusal`].
//!
//! The steps, each in a file of its own: *parse* what the request presents, *verify* it, *bind*
//! token, agent and keys to each other, *spend* the proofs, *decide*, *record*.

mod admission;
mod bind;
mod body;
mod build_error;
mod builder;
mod content;
mod decide;
mod evidence;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod extract;
mod fields;
mod head;
pub mod head_layer;
pub mod layer;
mod metadata;
mod parse;
mod post_admission;
mod received;
mod record;
mod refused;
mod signed;
mod spend;
#[cfg(feature = "fetch")]
mod start;
mod target;
mod verify;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::time::{Clock, UnixTime};
use aims_oauth_rs::{IssuerStore, ProtectedResource, TokenCache};
use aims_oauth_wire::names::Endpoint;
use aims_wimse_cred::{TrustStore, WitCache};
use aims_wimse_wpt::{Revision, WptRules};
pub use build_error::BuildError;
pub use builder::{GuardBuilder, HasTrust, NoTrust, Trusting};
pub use evidence::{AgentCredential, Proof, ProofMethod};
pub use received::ReceivedRequest;
pub use signed::HttpSignatures;

use crate::decision::Extract;
use crate::principal::Principal;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::requirements::Requirements;
use crate::resolve::Resolve;
use crate::revoked::Revoked;
use admission::Admission;
use decide::Decides;
use fields::CoveredField;
use signed::Signatures;
use spend::Replay;
use target::Paths;

/// Turns a request into a [`Principal`] or a precise [`Refusal`].
///
/// It verifies the credentials and proofs that the request presents, and the access token where
/// issuers are configured; checks that they name one agent and one key; spends the proofs; asks
/// what the route requires, then the seam *authorize*; and tells the seam *record* what it did.
/// Clones share everything.
///
/// `M` says how it answers: [`Immediate`] has [`check`](Self::check), which waits for nothing,
/// beside [`admit`](Self::admit). A guard that shares its memory of proofs with other servers, or
/// whose decisions are taken elsewhere, is [`Deferred`] and has `admit` alone:
///
/// ```compile_fail
/// # fn example(guard: aims::Guard<aims::guard::Deferred>, head: http::request::Parts) {
/// guard.check(&head, aims::jose::time::UnixTime::now()); // no such method
/// # }
/// ```
pub struct Guard<M = Immediate> {
    inner: Arc<Inner>,
    route: Arc<Route>,
    answers: PhantomData<fn() -> M>,
}

/// The guard answers at once, from what it holds.
#[derive(Debug)]
#[non_exhaustive]
pub struct Immediate;

/// The guard has to wait for other machines.
#[derive(Debug)]
#[non_exhaustive]
pub struct Deferred;

struct Inner {
    resource: String,
    paths: Paths,
    audience: Audience,
    trust: Arc<TrustStore>,
    /// Whether some origin of agents may be trusted, now or later.
    agents: bool,
    wits: WitCache,
    wpt: WptRules,
    issuers: Option<Arc<IssuerStore>>,
    signatures: Option<Signatures>,
    tokens: TokenCache,
    max_token: usize,
    metadata_url: Option<Endpoint>,
    published: Option<Arc<ProtectedResource>>,
    replay: Replay,
    fields: Vec<CoveredField>,
    extract: Vec<Arc<dyn Extract>>,
    decides: Decides,
    record: Arc<dyn Record>,
    revoked: Arc<dyn Revoked>,
    resolve: Arc<dyn Resolve>,
    deadline: Duration,
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
    /// Judges a request. A plain function: it waits for nothing and fetches nothing.
    ///
    /// The proofs are spent: asked twice about one request, it refuses the second time. When the
    /// caller demands a signed response, [`sign_response`](Self::sign_response) signs it.
    ///
    /// # Errors
    ///
    /// The [`Refusal`], with its answer for the wire.
    pub fn check<'a>(
        &self,
        request: impl Into<ReceivedRequest<'a>>,
        now: UnixTime,
    ) -> Result<Principal, Refusal> {
        let mut admission = Admission::new(request.into());
        // Keys that are missing cannot be fetched here, so the refusal stands.
        let _missing_keys = self.verify_step(&mut admission, now);
        // A guard with a shared store or an outside decision has no `check`, so nothing is asked.
        let _unasked = self.conclude_step(&mut admission, now);
        self.finish(admission, now).map(|it| it.principal)
    }
}

impl<M> Guard<M> {
    /// The same guard, with its caches and its memory of proofs, for a route that requires
    /// something else.
    ///
    /// # Errors
    ///
    /// [`BuildError`] where the requirements contradict themselves, or the guard cannot meet them.
    pub fn requiring(&self, requirements: Requirements) -> Result<Self, BuildError> {
        self.inner.check_requirements(&requirements)?;
        Ok(Self {
            inner: Arc::clone(&self.inner),
            route: Arc::new(Route { requirements }),
            answers: PhantomData,
        })
    }

    /// As [`check`](Guard::check) at the time of the guard's clock. What the guard does not know,
    /// it asks for, and judges again: keys of credentials at [`Resolve`], a shared memory of
    /// proofs, a decision that is taken elsewhere.
    ///
    /// It waits for at most the [deadline](GuardBuilder::deadline) each time, and a bounded number
    /// of times.
    ///
    /// # Errors
    ///
    /// The [`Refusal`], with its answer for the wire.
    pub async fn admit<'a>(
        &self,
        request: impl Into<ReceivedRequest<'a>>,
    ) -> Result<Principal, Refusal> {
        let mut admission = Admission::new(request.into());
        let now = self.verify_fresh(&mut admission).await;
        let admitted = self.conclude(admission, now).await?;
        Ok(admitted.principal)
    }

    /// The document that tells agents where to get a token, for the path
    /// [`ProtectedResource::path`]; where one was [configured](GuardBuilder::metadata).
    #[must_use]
    pub fn published(&self) -> Option<&ProtectedResource> {
        self.inner.published.as_deref()
    }

    /// The URL by which callers address the tool.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.inner.resource
    }

    /// The same guard as one that has `admit` alone.
    fn deferred(&self) -> Guard<Deferred> {
        Guard {
            inner: Arc::clone(&self.inner),
            route: Arc::clone(&self.route),
            answers: PhantomData,
        }
    }
}

impl Inner {
    fn check_requirements(&self, requirements: &Requirements) -> Result<(), BuildError> {
        requirements.check()?;
        if self.issuers.is_none() && requirements.needs_token() {
            return Err(BuildError::NoIssuer);
        }
        let wants_both = self.issuers.is_some()
            && !requirements.allows_bearer()
            && !requirements.allows_identity_alone();
        // A WPT of draft-ietf-wimse-wpt-02 takes the field of the access token.
        let beside_token = self.wpt.revisions().accepts(Revision::Draft01);
        if wants_both && !beside_token && self.signatures.is_none() {
            return Err(BuildError::Unsatisfiable);
        }
        let wants_agent = !requirements.allows_bearer() || requirements.needs_agent();
        if wants_agent && !self.agents {
            return Err(BuildError::NoAgents);
        }
        let signs_every = self
            .signatures
            .as_ref()
            .is_some_and(Signatures::signs_every);
        if requirements.does_stream() && signs_every {
            return Err(BuildError::Requirements {
                what: "`streams` beside `signing_every_response`: a signed response does not stream",
            });
        }
        Ok(())
    }
}

impl<M> Clone for Guard<M> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            route: Arc::clone(&self.route),
            answers: PhantomData,
        }
    }
}

impl<M> fmt::Debug for Guard<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("resource", &self.inner.resource)
            .field("requirements", &self.route.requirements)
            .finish_non_exhaustive()
    }
}
