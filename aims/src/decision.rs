//! Authorization decisions: the call that a principal makes, the [`Authorize`] trait that decides
//! about it, and the [`Decision`] with its reasons.
//!
//! The default policy is [`Requirements`](crate::Requirements) alone. A policy engine implements
//! [`Authorize`]. The guard asks it after the requirements of the route are met, so a policy can
//! only restrict what the requirements allow.
//!
//! This module needs the feature `tool`.

pub(crate) mod both;

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use aims_jose::time::UnixTime;
use aims_oauth_wire::authorization_details::AuthorizationDetails;
use aims_oauth_wire::challenge::StepUp;
use aims_oauth_wire::names::ScopeSet;
use http::request::Parts;
use http::{HeaderName, Method};

pub use both::{Party, Permission, Permit, Role};

use crate::{principal::Principal, trace::TraceContext};

/// Describes the call that a principal asks for.
///
/// The guard passes it to [`Authorize::authorize`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The resource URL as the guard is configured. It is never taken from the request.
    pub resource: &'a str,
    /// The method of the request.
    pub method: &'a Method,
    /// The path of the request target, without the query.
    pub path: &'a str,
    /// Attributes from outside the guard, such as the name of an MCP tool.
    pub attributes: &'a Attributes,
    /// The trace that the request belongs to, if it has a valid `traceparent`.
    pub trace: Option<TraceContext>,
}

/// Holds what the program knows about a call, as pairs of a name and a text.
///
/// An [`Extract`] adds attributes. An outer layer that has read the content can also insert an
/// `Attributes` value into the extensions of the request. The guard adds one itself only for a
/// [`ToolCall`](aims_oauth_wire::call::ToolCall) there.
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
    /// The name of the called tool, such as `params.name` of MCP's `tools/call`.
    pub const TOOL: &'static str = "tool";
    /// The digest of the tool name and the arguments of the call. The guard adds it, and the name
    /// of the tool, if a [`ToolCall`](aims_oauth_wire::call::ToolCall) is in the extensions of the
    /// request.
    pub const CALL_DIGEST: &'static str = "call_digest";
    /// The identifier that the program uses to correlate the request in its logs.
    pub const REQUEST_ID: &'static str = "request_id";

    /// Creates an empty set of attributes.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds an attribute and returns the set. An earlier value of the same name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.insert(name, value);
        self
    }

    /// Adds an attribute. An earlier value of the same name is replaced.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Returns the value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Iterates over all attributes, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }
}

/// Extracts attributes of a call from the head of its request.
///
/// An attribute is only as trustworthy as the part of the request that it comes from. An HTTP
/// signature covers the method and the path. A workload proof token covers the path. A header field
/// is covered only if a proof names it; an intermediary can change all others. An extractor
/// therefore returns the header fields that it reads from [`fields`](Self::fields). If a request
/// has one of these fields and no accepted proof covers it, the guard refuses the request.
///
/// ```
/// use aims::decision::{Attributes, Extract};
/// use http::{HeaderName, request::Parts};
///
/// const MCP_NAME: &str = "mcp-name";
///
/// /// Reads the name of an MCP tool, which the client repeats in a header field.
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
/// The agent covers the field with `AgentBuilder::signed_field`. The value is still only what the
/// caller claims: a tool that acts on the content must compare the content with the field. A caller
/// can also omit the field, so a policy must handle calls without the attribute.
///
/// A bearer token covers no field. A workload proof token covers only the fields of
/// [`token_field`](crate::guard::GuardBuilder::token_field). If a route accepts only these two, an
/// extractor that names its fields causes a refusal of every request that has one of them. An
/// extractor that names no fields returns what the last intermediary wrote. Use such an attribute
/// for the record. Use it for a decision only if TLS ends at the tool or you trust every
/// intermediary. [`Principal::covers_field`] tells which case it is.
pub trait Extract: fmt::Debug + Send + Sync {
    /// Returns the header fields that the extractor reads. Defaults to none.
    ///
    /// If a request has one of them, it must have it exactly once, and an accepted proof must cover
    /// it. Otherwise the guard refuses the request with `guard.field_uncovered`. The guard calls
    /// this method once, when it is built.
    fn fields(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// Reads the head of a request and adds attributes to `call`.
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

/// The decision about a call, with its reasons. Callers must handle both variants.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a decision is handled in full or not at all"
)]
pub enum Decision {
    /// The call is allowed.
    Allow(Vec<Reason>),
    /// The call is refused.
    Deny(Denial, Vec<Reason>),
}

/// Tells how the guard answers a denied call, and what the caller could change.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Denial {
    /// No credential would change the decision. The answer is 403.
    Forbidden,
    /// A token with these scopes would be allowed. The answer is 403 with `insufficient_scope` (RFC
    /// 6750 §3.1).
    InsufficientScope(ScopeSet),
    /// A token of another login would be allowed. The answer is 401 with
    /// `insufficient_user_authentication` (RFC 9470 §3).
    InsufficientAuthentication(StepUp),
    /// A token with these authorization details (RFC 9396) would be allowed. The answer is 403 with
    /// `insufficient_authorization_details`, and has them in the member `authorization_details`.
    /// Without entries it names none.
    InsufficientDetails(AuthorizationDetails),
    /// The policy could not decide. The answer is 503.
    Unavailable,
}

/// One reason of a decision: a stable code for programs and a sentence for people.
///
/// ```
/// use aims::decision::Reason;
///
/// let reason = Reason::new("office.closed", "the tool is open from 8 to 18 h");
/// assert_eq!(reason.code, "office.closed");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reason {
    /// The code, such as `guard.scope` or the identifier of a policy.
    pub code: Cow<'static, str>,
    /// The sentence for the record. It is never sent to the caller.
    pub detail: String,
}

impl Reason {
    /// Creates a reason from its code and its sentence.
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

/// Decides whether a principal may make a call.
///
/// The guard calls it synchronously for each request, so an implementation answers from data that
/// it already holds. For a decision that another server takes, use
/// [`authorize_elsewhere`](crate::guard::GuardBuilder::authorize_elsewhere).
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a policy of a guard",
    note = "implement `Authorize` for a type of your own; scopes, roles and agents are required by `GuardBuilder::require` with `Requirements`"
)]
pub trait Authorize: fmt::Debug + Send + Sync {
    /// Decides about one call at the time `now`.
    fn authorize(&self, principal: &Principal, call: &Call<'_>, now: UnixTime) -> Decision;
}

impl<T: Authorize + ?Sized> Authorize for Arc<T> {
    fn authorize(&self, principal: &Principal, call: &Call<'_>, now: UnixTime) -> Decision {
        (**self).authorize(principal, call, now)
    }
}

/// The default policy: allows every caller that meets the requirements of the route.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RequirementsAlone;

impl Authorize for RequirementsAlone {
    fn authorize(&self, _: &Principal, _: &Call<'_>, _: UnixTime) -> Decision {
        Decision::Allow(Vec::new())
    }
}
