//! What a guard cannot know by itself: the pure part returns a [`Need`], and what implements
//! [`Resolve`] answers it.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aims_jose::time::UnixTime;
use aims_replay::ReplayKey;
use aims_wimse_id::Origin;
use http::Method;

use crate::decision::{Attributes, Call, Decision};
use crate::principal::Principal;
use crate::trace::TraceContext;

/// What the guard asks for. [`Guard::admit`](crate::Guard::admit) asks, waits with a deadline, and
/// judges the request again with the answer; [`Guard::check`](crate::Guard::check) never asks.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each need must be answered")]
pub enum Need {
    /// The bundle of this trusted origin: a credential names a key that is not in it, or the bundle
    /// is stale. Answered by [`Resolved::Changed`] or [`Resolved::Unchanged`].
    Bundle(Origin),
    /// The keys of this configured issuer: an access token names one that is not there, or they are
    /// stale. Answered by [`Resolved::Changed`] or [`Resolved::Unchanged`].
    IssuerKeys(String),
    /// These proofs are to be spent in a store that several servers share. Answered by
    /// [`Resolved::Spent`].
    SharedReplay(Vec<Spending>),
    /// Whether a proven caller may make a call. Answered by [`Resolved::Decided`].
    Decision(Box<DecisionRequest>),
}

impl Need {
    /// Whose keys are asked for, where keys are.
    #[must_use]
    pub fn keys(&self) -> Option<Keys> {
        match self {
            Self::Bundle(origin) => Some(Keys::Origin(origin.clone())),
            Self::IssuerKeys(issuer) => Some(Keys::Issuer(issuer.clone())),
            Self::SharedReplay(_) | Self::Decision(_) => None,
        }
    }
}

/// The answer to a [`Need`]. An answer of the wrong kind counts as
/// [`Unavailable`](Self::Unavailable).
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each answer must be handled")]
pub enum Resolved {
    /// There are other keys than before: the request is judged again.
    Changed,
    /// The keys are the same, or could not be fetched: the refusal stands.
    Unchanged,
    /// Whether all of the proofs were spent now, each for the first time. The outcome of an error
    /// is unknown at best, so the proof counts as spent and the request is refused.
    Spent(Result<(), aims_replay::Error>),
    /// The decision.
    Decided(Decision),
    /// The question could not be answered: the request is refused with 503.
    Unavailable,
}

/// One proof that is to be spent in a shared store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Spending {
    /// The name of what is spent.
    pub key: ReplayKey,
    /// It must not be seen again up to and including this time.
    pub until: UnixTime,
}

impl Spending {
    pub(crate) const fn new(key: ReplayKey, until: UnixTime) -> Self {
        Self { key, until }
    }
}

/// A call that is to be decided elsewhere.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecisionRequest {
    /// Who calls.
    pub principal: Principal,
    /// The resource as the guard is configured.
    pub resource: String,
    /// The request's method.
    pub method: Method,
    /// The path of the request's target, without query.
    pub path: String,
    /// What the program knows of the call.
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

    /// The call, as [`Authorize`](crate::decision::Authorize) is given it.
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

/// Ends with the answer.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = Resolved> + Send + 'a>>;

/// Answers what a guard cannot know by itself. The guard holds no lock while it waits, and gives up
/// at its [deadline](crate::guard::GuardBuilder::deadline).
///
/// What fetches keys must be single-flight and limited in rate: every stranger can name an unknown
/// key.
///
/// ```
/// use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
///
/// /// A shared store of spent proofs that is out of reach.
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

/// The default: keys change only when the program changes its stores.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Unresolved;

impl Resolve for Unresolved {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        let answer = match need {
            Need::Bundle(_) | Need::IssuerKeys(_) => Resolved::Unchanged,
            Need::SharedReplay(_) | Need::Decision(_) => Resolved::Unavailable,
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Whose keys may have changed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Keys {
    /// The access token keys of this configured issuer.
    Issuer(String),
    /// The bundle of this trusted origin.
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
