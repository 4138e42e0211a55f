//! The seam *authorize*: who calls and what is called go in, a decision with its reasons comes out.
//!
//! The default is [`Requirements`](crate::Requirements). A policy engine implements [`Authorize`]
//! and is asked after the requirements of the route were met, so that a policy can only narrow what
//! they allow.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use aims_jose::time::UnixTime;
use aims_oauth_wire::names::ScopeSet;
use http::request::Parts;
use http::{HeaderName, Method};

use crate::{principal::Principal, trace::TraceContext};

/// The call that a principal asks for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The resource as the guard is configured, not as the request names it.
    pub resource: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// The path of the request's target, without query.
    pub path: &'a str,
    /// What the program knows of the call beside its head, such as the name of an MCP tool.
    pub attributes: &'a Attributes,
    /// The trace that the request belongs to.
    pub trace: Option<TraceContext>,
}

/// What a program knows of a call: names and texts that an [`Extract`] found, or that an outer
/// layer, which has read the content, inserted into the extensions of the request. They never come
/// from the guard's own reading of a request.
///
/// ```
/// use aims::decision::Attributes;
///
/// let call = Attributes::new().with(Attributes::TOOL, "weather.read");
/// assert_eq!(call.get(Attributes::TOOL), Some("weather.read"));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes(BTreeMap<Cow<'static, str>, String>);

impl Attributes {
    /// The name of the tool that is called, such as `params.name` of MCP's `tools/call`.
    pub const TOOL: &'static str = "tool";
    /// The digest of the call: of its tool and its arguments.
    pub const CALL_DIGEST: &'static str = "call_digest";
    /// The identifier by which the program correlates the request.
    pub const REQUEST_ID: &'static str = "request_id";

    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds an attribute, in place of one of this name.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.insert(name, value);
        self
    }

    /// Adds an attribute, in place of one of this name.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }
}

/// Adds what it finds in a request's head to the attributes of its call.
///
/// An attribute is worth as much as the part of the request that it comes from. An HTTP signature
/// covers the method and the path, a workload proof token the path. A header field is covered only
/// where a proof says so, and an intermediary can change any other one. So an extractor names the
/// header fields that it reads by [`fields`](Self::fields): the guard refuses a request that has
/// one of them where no accepted proof covers it.
///
/// ```
/// use aims::decision::{Attributes, Extract};
/// use http::{HeaderName, request::Parts};
///
/// const MCP_NAME: &str = "mcp-name";
///
/// /// The name of an MCP tool, which a client repeats in a header field.
/// #[derive(Debug)]
/// struct McpName;
///
/// impl Extract for McpName {
///     fn fields(&self) -> Vec<HeaderName> {
///         vec![HeaderName::from_static(MCP_NAME)]
///     }
///
///     fn extract(&self, request: &Parts, call: &mut Attributes) {
///         if let Some(name) = request.headers.get(MCP_NAME).and_then(|it| it.to_str().ok()) {
///             call.insert(Attributes::TOOL, name);
///         }
///     }
/// }
/// ```
///
/// The agent covers the field by `AgentBuilder::signed_field`. The value is still the caller's own
/// word: a tool that acts on its content compares the content with the field. A caller can also
/// leave the field out, so a policy decides about calls without the attribute as well.
///
/// A bearer token covers nothing, and a workload proof token covers no field but those of
/// [`token_field`](crate::guard::GuardBuilder::token_field). On a route that accepts these alone,
/// an extractor that names its fields refuses every request that has one. An extractor that names
/// none hands on what the last intermediary wrote: use such an attribute for the record, and for a
/// decision only where TLS ends at the tool or every intermediary is trusted.
/// [`Principal::covers_field`] says which case it is.
pub trait Extract: fmt::Debug + Send + Sync {
    /// The header fields that it reads. Where a request has one of them, an accepted proof must
    /// cover it, and it must stand once: otherwise the guard refuses the request with
    /// `guard.field_uncovered`. The guard asks when it is built. Defaults to none.
    fn fields(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// Looks at a request and adds attributes.
    fn extract(&self, request: &Parts, call: &mut Attributes);
}

impl<T: Extract + ?Sized> Extract for Arc<T> {
    fn fields(&self) -> Vec<HeaderName> {
        (**self).fields()
    }

    fn extract(&self, request: &Parts, call: &mut Attributes) {
        (**self).extract(request, call);
    }
}

/// What was decided, and why. A caller must handle both arms.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a decision is handled in full or not at all"
)]
pub enum Decision {
    /// The call goes on.
    Allow(Vec<Reason>),
    /// The call is refused.
    Deny(Denial, Vec<Reason>),
}

/// How a refused caller could do better: what the wire answer is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Denial {
    /// Nothing the caller can bring changes the decision: 403.
    Forbidden,
    /// A token with these scopes would be allowed: 403 with `insufficient_scope` (RFC 6750 §3.1).
    InsufficientScope(ScopeSet),
    /// It could not be decided: 503.
    Unavailable,
}

/// One reason of a decision: a stable code and, for people, a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reason {
    /// A code such as `guard.scope` or the id of a policy.
    pub code: Cow<'static, str>,
    /// What a person reads in the record; never sent to the caller.
    pub detail: String,
}

impl Reason {
    /// A reason with its code and a sentence for the record.
    pub fn new(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

/// Decides whether a principal may make a call. Synchronous: what it needs to know it holds as a
/// snapshot.
///
/// ```
/// use aims::decision::{Authorize, Call, Decision, Denial, Reason};
/// use aims::Principal;
/// use aims_jose::time::UnixTime;
///
/// #[derive(Debug)]
/// struct OfficeHours;
///
/// impl Authorize for OfficeHours {
///     fn authorize(&self, _: &Principal, _: &Call<'_>, now: UnixTime) -> Decision {
///         match now.as_secs() / 3600 % 24 {
///             8..18 => Decision::Allow(vec![Reason::new("office.open", "within office hours")]),
///             _ => {
///                 let reason = Reason::new("office.closed", "after hours");
///                 Decision::Deny(Denial::Forbidden, vec![reason])
///             }
///         }
///     }
/// }
/// ```
pub trait Authorize: fmt::Debug + Send + Sync {
    /// The decision on one call.
    fn authorize(&self, principal: &Principal, call: &Call<'_>, now: UnixTime) -> Decision;
}

impl<T: Authorize + ?Sized> Authorize for Arc<T> {
    fn authorize(&self, principal: &Principal, call: &Call<'_>, now: UnixTime) -> Decision {
        (**self).authorize(principal, call, now)
    }
}

/// The default: a caller that meets the requirements of the route may call.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RequirementsAlone;

impl Authorize for RequirementsAlone {
    fn authorize(&self, _: &Principal, _: &Call<'_>, _: UnixTime) -> Decision {
        Decision::Allow(Vec::new())
    }
}
