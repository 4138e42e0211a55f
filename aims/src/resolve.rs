//! Questions that a guard cannot answer from memory: the guard returns a [`Need`], and an
//! implementation of [`Resolve`] answers it.
//!
//! This module needs the feature `tool`.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::introspection::Introspection;
use aims_oauth_wire::names::Issuer;
use aims_replay::{ReplayKey, Validity};
use aims_wimse_id::Origin;
use http::Method;

use crate::decision::{Attributes, Call, Decision};
use crate::principal::Principal;
use crate::trace::TraceContext;

/// A question of the guard that needs I/O.
///
/// [`Guard::admit`](crate::Guard::admit) asks it, waits for at most the deadline, and verifies the
/// request again with the answer. [`Guard::check`](crate::Guard::check) never asks.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each need must be answered")]
pub enum Need {
    /// Fetch the bundle of this trusted origin again.
    ///
    /// A credential names a key that the bundle does not have, or the bundle is stale. Answer with
    /// [`Resolved::Changed`] or [`Resolved::Unchanged`].
    Bundle(Origin),
    /// Fetch the keys of this configured issuer again.
    ///
    /// An access token names a key that is missing, or the keys are stale. Answer with
    /// [`Resolved::Changed`] or [`Resolved::Unchanged`].
    IssuerKeys(String),
    /// Fetch the keys of the service that issues transaction tokens again, which is this issuer.
    ///
    /// A transaction token names a key that is missing, or the keys are stale. The guard asks the
    /// [`TransactionTokens`](crate::guard::TransactionTokens), not the resolver of the guard.
    /// Answer with [`Resolved::Changed`] or [`Resolved::Unchanged`].
    TransactionKeys(String),
    /// Ask this issuer about an opaque access token (RFC 7662). Answer with
    /// [`Resolved::Introspected`].
    Introspection(Box<IntrospectionRequest>),
    /// Spend these proofs in a store that several servers share. Answer with [`Resolved::Spent`].
    SharedReplay(Vec<Spending>),
    /// Decide whether a proven caller may make a call. Answer with [`Resolved::Decided`].
    Decision(Box<DecisionRequest>),
}

impl Need {
    /// Returns the owner of the requested keys, or `None` if the need is not about keys.
    #[must_use]
    pub fn keys(&self) -> Option<Keys> {
        match self {
            Self::Bundle(origin) => Some(Keys::Origin(origin.clone())),
            Self::IssuerKeys(issuer) | Self::TransactionKeys(issuer) => {
                Some(Keys::Issuer(issuer.clone()))
            }
            Self::Introspection(_) | Self::SharedReplay(_) | Self::Decision(_) => None,
        }
    }
}

/// The answer to a [`Need`].
///
/// An answer that does not fit the need has the same effect as [`Unavailable`](Self::Unavailable).
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each answer must be handled")]
pub enum Resolved {
    /// The keys have changed. The guard verifies the request again.
    Changed,
    /// The keys are the same, or could not be fetched. The refusal stands.
    Unchanged,
    /// The answer of the issuer. The guard verifies the request again.
    Introspected(Box<Introspection>),
    /// `Ok` if the store has spent all of the proofs, each for the first time.
    ///
    /// After an error the guard treats the proofs as spent, because the outcome is unknown, and
    /// refuses the request.
    Spent(Result<(), aims_replay::Error>),
    /// The decision about the call.
    Decided(Decision),
    /// The question could not be answered. The guard refuses the request with 503.
    Unavailable,
}

/// An opaque access token that its issuer is asked about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IntrospectionRequest {
    /// The issuer, as the guard is configured. No other is asked about this token.
    pub issuer: Issuer,
    /// The token, as the caller presented it.
    pub token: SecretText,
}

impl IntrospectionRequest {
    pub(crate) const fn new(issuer: Issuer, token: SecretText) -> Self {
        Self { issuer, token }
    }
}

/// One proof that the guard asks to spend in a shared store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Spending {
    /// The key that identifies the proof in the store.
    pub key: ReplayKey,
    /// The first second at which a receiver could have accepted the proof.
    ///
    /// A store that began to remember at this time or later cannot know whether the proof was used,
    /// and answers [`BeforeStart`](aims_replay::Error::BeforeStart).
    pub from: UnixTime,
    /// The store must refuse the same key up to and including this time.
    pub until: UnixTime,
}

impl Spending {
    pub(crate) const fn new(key: ReplayKey, valid: Validity) -> Self {
        Self {
            key,
            from: valid.from(),
            until: valid.until(),
        }
    }
}

/// A call that waits for a decision from outside the guard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecisionRequest {
    /// The proven caller.
    pub principal: Principal,
    /// The resource URL as the guard is configured.
    pub resource: String,
    /// The method of the request.
    pub method: Method,
    /// The path of the request target, without the query.
    pub path: String,
    /// The attributes of the call.
    pub attributes: Attributes,
    /// The trace that the request belongs to.
    pub trace: Option<TraceContext>,
}

impl DecisionRequest {
    pub(crate) fn new(principal: &Principal, call: &Call<'_>) -> Self {
        Self {
            principal: principal.clone(),
            resource: call.resource.to_owned(),
            method: call.method.clone(),
            path: call.path.to_owned(),
            attributes: call.attributes.clone(),
            trace: call.trace,
        }
    }

    /// Returns the call in the form that [`Authorize`](crate::decision::Authorize) takes.
    #[must_use]
    pub fn call(&self) -> Call<'_> {
        Call {
            resource: &self.resource,
            method: &self.method,
            path: &self.path,
            attributes: &self.attributes,
            trace: self.trace,
        }
    }
}

/// The future that [`Resolve::resolve`] returns. It ends with the answer.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = Resolved> + Send + 'a>>;

/// Answers what a guard cannot know from memory: new keys, shared replay stores, remote decisions.
///
/// The guard holds no lock while it waits, and gives up after its
/// [deadline](crate::guard::GuardBuilder::deadline). An implementation that fetches keys must run
/// one fetch at a time and limit their rate, because any caller can name an unknown key.
/// [`PublishedKeys`](crate::keys::PublishedKeys) does both.
///
/// ```
/// use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
///
/// /// A shared store of spent proofs that cannot be reached.
/// #[derive(Debug)]
/// struct Away;
///
/// impl Resolve for Away {
///     fn resolve(&self, need: Need) -> ResolveFuture<'_> {
///         Box::pin(async move {
///             match need {
///                 Need::SharedReplay(_) => Resolved::Spent(Err(aims::replay::Error::Unavailable)),
///                 _ => Resolved::Unavailable,
///             }
///         })
///     }
/// }
/// ```
pub trait Resolve: Debug + Send + Sync {
    /// Answers one need.
    fn resolve(&self, need: Need) -> ResolveFuture<'_>;
}

impl<T: Resolve + ?Sized> Resolve for Arc<T> {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        (**self).resolve(need)
    }
}

/// The default: answers nothing. Keys change only when the program changes its stores.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Unresolved;

impl Resolve for Unresolved {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        let answer = match need {
            Need::Bundle(_) | Need::IssuerKeys(_) | Need::TransactionKeys(_) => Resolved::Unchanged,
            Need::Introspection(_) | Need::SharedReplay(_) | Need::Decision(_) => {
                Resolved::Unavailable
            }
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Names the owner of keys that may have changed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Keys {
    /// The keys of this configured issuer, which verify access tokens.
    Issuer(String),
    /// The bundle of this trusted origin, which verifies credentials of agents.
    Origin(Origin),
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer(issuer) => f.write_str(issuer),
            Self::Origin(origin) => fmt::Display::fmt(origin, f),
        }
    }
}
