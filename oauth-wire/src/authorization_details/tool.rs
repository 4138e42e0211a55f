//! The type `aims_tool`: calls of a tool.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::DetailType;
use crate::Error;
use crate::call::{CallDigest, ToolCall};
use crate::delegate::{Entry, TOOL, Verdict};
use crate::names::root_slash_variant;

/// An entry of the type `aims_tool`, with the common members of RFC 9396 §2.2: `locations`,
/// `actions`, `datatypes` and `privileges`, each a set of texts.
///
/// Another entry is narrower if each of its sets is a subset. A set on one side alone cannot be
/// compared, and neither can other members that differ.
///
/// An entry with `tool`, `arguments` and `call_digest` is for [one call](Self::call).
///
/// ```
/// use aims_oauth_wire::authorization_details::{DetailType, ToolDetail};
/// use aims_oauth_wire::delegate::Verdict;
///
/// let granted = ToolDetail::new().actions(["read", "write"]).datatypes(["files"]);
/// let wanted = ToolDetail::new().actions(["read"]).datatypes(["files"]);
/// assert_eq!(granted.compare(&wanted), Verdict::Narrower);
/// assert_eq!(wanted.compare(&granted), Verdict::Wider);
/// assert_eq!(
///     wanted.to_json(),
///     r#"{"type":"aims_tool","actions":["read"],"datatypes":["files"]}"#
/// );
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolDetail(Entry);

impl Default for ToolDetail {
    fn default() -> Self {
        Self::new()
    }
}

impl ToolDetail {
    /// Creates an entry without members other than `type`.
    #[must_use]
    pub fn new() -> Self {
        Self(Entry {
            kind: TOOL.into(),
            sets: Some([const { None }; 4]),
            rest: format!(r#"{{"type":"{TOOL}"}}"#).into(),
            call: None,
        })
    }

    /// Creates an entry for one call: with the members `actions`, `tool`, `arguments` and
    /// `call_digest`.
    #[must_use]
    pub fn for_call(call: &ToolCall) -> Self {
        let text = |text: &str| serde_json::Value::from(text);
        let (arguments, digest) = (call.arguments(), call.digest());
        // The members are in canonical order.
        let rest = format!(
            "{{\"arguments\":{arguments},\"call_digest\":\"{digest}\",\"tool\":{},\"type\":\"{TOOL}\"}}",
            text(call.tool())
        );
        let mut entry = Self::new();
        entry.0.rest = rest.into();
        entry.0.call = Some(format!("\"{digest}\"").into());
        entry.actions([call.tool()])
    }

    /// Returns whether the entry is for one call: it has a `call_digest`, a `tool` or `arguments`.
    #[must_use]
    pub fn is_for_call(&self) -> bool {
        let members = self.one_call();
        members.is_none_or(|it| {
            it.tool.is_some() || it.arguments.is_some() || it.call_digest.is_some()
        })
    }

    /// Returns the call that the entry is for, or `None` if it is not for one call.
    ///
    /// The digest is computed from `tool` and `arguments`, which are what a person saw, and must be
    /// the `call_digest` of the entry.
    ///
    /// # Errors
    ///
    /// `oauth.authorization_details` if one of the three members is missing, if the digest is that
    /// of another call, or if `actions` has another action than the tool.
    pub fn call(&self) -> Result<Option<ToolCall>, Error> {
        if !self.is_for_call() {
            return Ok(None);
        }
        let bad = |reason| Error::AuthorizationDetails { reason };
        let half = "an entry for one call lacks `tool`, `arguments` or `call_digest`";
        let members = self.one_call().ok_or_else(|| bad(half))?;
        let (Some(tool), Some(arguments), Some(digest)) =
            (members.tool, members.arguments, members.call_digest)
        else {
            return Err(bad(half));
        };
        let call = ToolCall::new(&tool, Some(arguments.get().as_bytes()));
        let call = call.or(Err(bad("`arguments` of an entry have no canonical form")))?;
        if digest.parse::<CallDigest>().ok().as_ref() != Some(call.digest()) {
            return Err(bad("`call_digest` of an entry is that of another call"));
        }
        let is_only = |it: &BTreeSet<Box<str>>| it.len() == 1 && it.contains(&*tool);
        if self.get(ACTIONS).is_some_and(|it| !is_only(it)) {
            return Err(bad("`actions` of an entry for one call has another action"));
        }
        Ok(Some(call))
    }

    /// Returns the members that name one call, or `None` if they have another form.
    fn one_call(&self) -> Option<OneCall<'_>> {
        serde_json::from_str(&self.0.rest).ok()
    }

    /// Sets `locations`: the URLs of the resources.
    #[must_use]
    pub fn locations<S: Into<String>>(self, locations: impl IntoIterator<Item = S>) -> Self {
        self.with(LOCATIONS, locations)
    }

    /// Sets `actions`: what may be done, such as the names of tools.
    #[must_use]
    pub fn actions<S: Into<String>>(self, actions: impl IntoIterator<Item = S>) -> Self {
        self.with(ACTIONS, actions)
    }

    /// Sets `datatypes`: the kinds of data.
    #[must_use]
    pub fn datatypes<S: Into<String>>(self, datatypes: impl IntoIterator<Item = S>) -> Self {
        self.with(DATATYPES, datatypes)
    }

    /// Sets `privileges`: the levels of privilege.
    #[must_use]
    pub fn privileges<S: Into<String>>(self, privileges: impl IntoIterator<Item = S>) -> Self {
        self.with(PRIVILEGES, privileges)
    }

    fn with<S: Into<String>>(mut self, member: &str, texts: impl IntoIterator<Item = S>) -> Self {
        let texts = texts.into_iter().map(|text| text.into().into_boxed_str());
        if let Some(set) = self.0.set_mut(member) {
            *set = Some(texts.collect());
        }
        self
    }

    /// Returns a member, by its name in RFC 9396 §2.2, or `None` if the entry does not have it.
    #[must_use]
    pub fn get(&self, member: &str) -> Option<&BTreeSet<Box<str>>> {
        self.0.set(member)
    }
}

/// The members of an entry for one call.
#[derive(Deserialize)]
struct OneCall<'a> {
    tool: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    call_digest: Option<String>,
}

impl DetailType for ToolDetail {
    const TYPE: &'static str = TOOL;

    fn parse(entry: &str) -> Option<Self> {
        let entry = Entry::read(entry)?;
        entry.sets.is_some().then_some(Self(entry))
    }

    fn to_json(&self) -> String {
        self.0.to_json()
    }

    fn compare(&self, wanted: &Self) -> Verdict {
        self.0.compare_whole(&wanted.0)
    }

    /// Returns whether this granted entry permits `wanted` at a resource, which must be one of the
    /// granted `locations` if there are any. A `wanted` without `locations` is for this resource.
    fn permits(&self, wanted: &Self, resource: &str) -> bool {
        let Some(locations) = self.get(LOCATIONS) else {
            return self.compare(wanted).is_no_more();
        };
        let is_granted = |it: &String| locations.contains(it.as_str());
        let names = [Some(resource.to_owned()), root_slash_variant(resource)];
        let here: Vec<String> = names.into_iter().flatten().filter(is_granted).collect();
        if here.is_empty() {
            return false;
        }
        if wanted.get(LOCATIONS).is_some() {
            return self.compare(wanted).is_no_more();
        }
        self.compare(&wanted.clone().locations(here)).is_no_more()
    }
}

const LOCATIONS: &str = "locations";
const ACTIONS: &str = "actions";
const DATATYPES: &str = "datatypes";
const PRIVILEGES: &str = "privileges";
