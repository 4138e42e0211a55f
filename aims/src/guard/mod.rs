//! The tool's side: [`Guard`] turns a request into a [`Principal`] or a [`Refusal`].
//!
//! The steps are in separate files: *parse* the credentials and proofs of the request, *verify*
//! them, *bind* token, agent and keys to each other, *spend* the proofs, *decide*, *record*.
//!
//! This module needs the feature `tool`.

mod admission;
mod approved;
mod bind;
mod body;
mod build_error;
mod builder;
pub mod call_layer;
mod calls;
mod certificates;
mod challenges;
mod content;
mod cors;
mod decide;
mod dpop;
mod ending;
mod evidence;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod extract;
mod fields;
mod head;
pub mod head_layer;
pub mod layer;
mod lifetime;
mod metadata;
mod opaque;
mod parse;
mod post_admission;
mod received;
mod record;
mod refused;
mod signed;
mod spend;
#[cfg(feature = "fetch")]
mod start;
pub(crate) mod target;
mod transactions;
mod upgrade;
mod verify;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use aims_jose::time::{Clock, Skew, UnixTime};
use aims_oauth_rs::{IssuerStore, ProtectedResource, TokenCache};
use aims_oauth_wire::names::Endpoint;
use aims_wimse_cred::{TrustStore, WitCache};
use aims_wimse_wpt::{Revision, WptRules};
pub use build_error::BuildError;
pub use builder::{GuardBuilder, HasTrust, NoTrust, Trusting};
pub use calls::CallReader;
pub use certificates::{CertificateField, ClientCertificates, Peer};
pub use cors::Cors;
pub use dpop::Dpop;
pub use evidence::{AgentCredential, Proof, ProofMethod};
pub use opaque::OpaqueTokens;
pub use received::ReceivedRequest;
pub use signed::HttpSignatures;
pub use transactions::TransactionTokens;

use crate::decision::Extract;
use crate::principal::Principal;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::requirements::Requirements;
use crate::resolve::Resolve;
use crate::revoked::Revoked;
use admission::Admission;
use cors::CorsRules;
use decide::Decides;
use dpop::DpopPolicy;
use fields::CoveredField;
use opaque::Opaque;
use signed::Signatures;
use spend::Replay;
use target::Paths;
use transactions::Transactions;

/// Turns a request into a [`Principal`] or a [`Refusal`].
///
/// A guard verifies the credentials and proofs of a request, and the access token if issuers are
/// configured. It checks that they name one agent and one key, and spends the proofs so that they
/// cannot be used again. It applies the requirements of the route, then the
/// [policy](crate::decision::Authorize), and reports the result to the
/// [recorder](crate::record::Record). Clones share everything.
///
/// Use it as a tower layer with [`layer`](Self::layer), or call it from your own code with
/// [`admit`](Self::admit) or [`check`](Self::check):
///
/// ```
/// use aims::jose::time::UnixTime;
/// use http::request::Parts;
///
/// fn handle(guard: &aims::Guard, head: &Parts, content: &[u8]) -> http::Response<Vec<u8>> {
///     match guard.check((head, content), UnixTime::now()) {
///         Ok(who) => http::Response::new(format!("hello {}", who.subject()).into_bytes()),
///         Err(refusal) => refusal.into_response(),
///     }
/// }
/// ```
///
/// `M` is the mode. [`Immediate`] has [`check`](Self::check), which does no I/O, and
/// [`admit`](Self::admit). [`Deferred`] is the mode of a guard that shares its replay store with
/// other servers or asks another server for decisions. It has only `admit`:
///
/// ```compile_fail,E0599
/// # fn example(guard: aims::Guard<aims::guard::Deferred>, head: http::request::Parts) {
/// guard.check(&head, aims::jose::time::UnixTime::now()); // no such method
/// # }
/// ```
pub struct Guard<M = Immediate> {
    inner: Arc<Inner>,
    route: Arc<Route>,
    answers: PhantomData<fn() -> M>,
}

/// Mode of a guard that answers from memory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Immediate;

/// Mode of a guard that waits for other servers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Deferred;

struct Inner {
    resource: Arc<str>,
    paths: Paths,
    audience: Audience,
    trust: Arc<TrustStore>,
    /// Whether any origin of agents is trusted, now or later.
    agents: bool,
    wits: WitCache,
    wpt: WptRules,
    issuers: Option<Arc<IssuerStore>>,
    signatures: Option<Signatures>,
    dpop: Option<DpopPolicy>,
    certificates: Option<ClientCertificates>,
    tokens: TokenCache,
    transactions: Option<Transactions>,
    opaque: Opaque,
    max_token: usize,
    metadata_url: Option<Endpoint>,
    published: Option<Arc<ProtectedResource>>,
    replay: Replay,
    fields: Vec<CoveredField>,
    extract: Vec<Arc<dyn Extract>>,
    decides: Decides,
    record: Arc<dyn Record>,
    revoked: Arc<dyn Revoked>,
    /// Whether a credential can be revoked: there is a source of revocations, or an issuer that is
    /// asked about tokens.
    watches: bool,
    resolve: Arc<dyn Resolve>,
    deadline: Duration,
    skew: Skew,
    /// Whether handlers see the access token of a request.
    passes_token: bool,
    cors: Option<CorsRules>,
    clock: Arc<dyn Clock>,
}

struct Route {
    requirements: Requirements,
}

/// The expected `aud` of a proof. Of the request, only the path is used.
enum Audience {
    /// One of these values.
    Named(Vec<String>),
    /// This scheme and authority, followed by the path of the request.
    Target(String),
}

impl Guard {
    /// Verifies a request and decides about it, at the time `now`. It is synchronous and fetches
    /// nothing.
    ///
    /// The proofs are spent, so a second call for the same request refuses it. If the caller
    /// demands a signed response, sign it with [`sign_response`](Self::sign_response).
    ///
    /// # Errors
    ///
    /// The [`Refusal`], which holds the answer for the caller.
    pub fn check<'a>(
        &self,
        request: impl Into<ReceivedRequest<'a>>,
        now: UnixTime,
    ) -> Result<Principal, Refusal> {
        let mut admission = Admission::new(request.into());
        // Missing keys cannot be fetched here, so the refusal stands.
        let _missing_keys = self.verify_step(&mut admission, now);
        // A guard with a shared store or a remote policy has no `check`, so there is no need to
        // answer.
        let _unasked = self.conclude_step(&mut admission, now);
        self.finish(admission, now).map(|it| it.principal)
    }
}

impl<M> Guard<M> {
    /// Returns a guard with other requirements, for another route. Both share caches and the store
    /// of spent proofs.
    ///
    /// ```
    /// use aims::{Guard, Requirements};
    ///
    /// # fn example(guard: Guard) -> Result<(), aims::guard::BuildError> {
    /// let for_admins = guard.requiring(Requirements::new().roles(["admin"]))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`BuildError`] if the requirements contradict themselves, or if the guard cannot meet them.
    pub fn requiring(&self, requirements: Requirements) -> Result<Self, BuildError> {
        self.inner.check_requirements(&requirements)?;
        Ok(Self {
            inner: Arc::clone(&self.inner),
            route: Arc::new(Route { requirements }),
            answers: PhantomData,
        })
    }

    /// Verifies a request and decides about it, at the time of the guard's clock.
    ///
    /// It does what [`check`](Guard::check) does, and gets what the guard does not know: keys from
    /// [`Resolve`], the result of a shared replay store, a remote decision. Then it verifies the
    /// request again. It asks a limited number of times, and waits for at most the
    /// [deadline](GuardBuilder::deadline) each time.
    ///
    /// ```
    /// use http::request::Parts;
    ///
    /// async fn handle(
    ///     guard: aims::Guard,
    ///     head: &Parts,
    ///     content: &[u8],
    /// ) -> http::Response<Vec<u8>> {
    ///     match guard.admit((head, content)).await {
    ///         Ok(who) => http::Response::new(format!("hello {}", who.subject()).into_bytes()),
    ///         Err(refusal) => refusal.into_response(),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The [`Refusal`], which holds the answer for the caller.
    pub async fn admit<'a>(
        &self,
        request: impl Into<ReceivedRequest<'a>>,
    ) -> Result<Principal, Refusal> {
        let mut admission = Admission::new(request.into());
        let now = self.verify_fresh(&mut admission).await;
        let admitted = self.conclude(admission, now).await?;
        Ok(admitted.principal)
    }

    /// Returns the published metadata document, which tells agents where to get a token. Serve it
    /// at [`ProtectedResource::path`].
    ///
    /// Returns `None` if no metadata was [configured](GuardBuilder::metadata).
    #[must_use]
    pub fn published(&self) -> Option<&ProtectedResource> {
        self.inner.published.as_deref()
    }

    /// Returns the URL by which callers address the tool.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.inner.resource
    }

    /// Returns the same guard in the mode that has only `admit`.
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
        transactions::check_requirements(self.transactions.as_ref(), requirements)?;
        let binds_tokens = self.dpop.is_some() || self.certificates.is_some();
        if self.issuers.is_none() && (requirements.needs_token() || binds_tokens) {
            return Err(BuildError::NoIssuer);
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
        if requirements.asks_for_proof(ProofMethod::Dpop) && self.dpop.is_none() {
            return Err(BuildError::Requirements {
                what: "the proof `dpop`, which the guard does not accept: call `GuardBuilder::dpop`",
            });
        }
        if requirements.asks_for_proof(ProofMethod::Certificate) && self.certificates.is_none() {
            return Err(BuildError::Requirements {
                what: "the proof `certificate`, which the guard does not accept: call `GuardBuilder::client_certificates`",
            });
        }
        let takes_dpop =
            self.dpop.is_some() && requirements.accepts_without_agent(ProofMethod::Dpop);
        let takes_certificates = self.certificates.is_some()
            && requirements.accepts_without_agent(ProofMethod::Certificate);
        if takes_dpop || takes_certificates {
            return Ok(());
        }
        let wants_both = self.issuers.is_some()
            && !requirements.allows_bearer()
            && !requirements.allows_identity_alone()
            && !requirements.allows_transaction_alone();
        // A WPT of draft-ietf-wimse-wpt-02 uses the header field of the access token.
        let beside_token = self.wpt.revisions().accepts(Revision::Draft01);
        if wants_both && !beside_token && self.signatures.is_none() {
            return Err(BuildError::Unsatisfiable);
        }
        let wants_agent = !requirements.allows_bearer() || requirements.needs_agent();
        if wants_agent && !self.agents {
            return Err(BuildError::NoAgents);
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
