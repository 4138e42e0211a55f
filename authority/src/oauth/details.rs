//! `authorization_details` (RFC 9396): their types, and a request for a part of them.

use core::fmt;
use core::time::Duration;

use aims_jose::json;
use aims_oauth_wire::authorization_details::{AuthorizationDetails, DetailType as _, ToolDetail};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::delegate::{Kind, Rights, delegate};
use aims_oauth_wire::token::Form;
use serde_json::{Map, Value, json};

use super::AuthorizationServer;
use super::resource::Client;
use crate::Error;

/// Maximum length of the parameter in bytes.
const LONGEST: usize = 16 * 1_024;
/// Maximum lifetime of a token for one call.
const ONE_CALL: Duration = Duration::from_secs(120);

/// One type of `authorization_details` (RFC 9396 §2.1), defined by the application.
///
/// ```
/// use aims_authority::{Authority, DetailsType};
/// use serde_json::{Map, Value};
///
/// #[derive(Debug)]
/// struct Payment;
///
/// impl DetailsType for Payment {
///     fn name(&self) -> &'static str {
///         "payment"
///     }
///
///     fn check(&self, entry: &Map<String, Value>) -> Result<(), &'static str> {
///         let is_known = |name: &String| name == "type" || name == "amount";
///         if !entry.keys().all(is_known) {
///             return Err("unknown member, expected `type` and `amount`");
///         }
///         match entry.get("amount") {
///             Some(Value::Number(_)) => Ok(()),
///             _ => Err("expected `amount`, a number"),
///         }
///     }
/// }
/// ```
pub trait DetailsType: fmt::Debug + Send + Sync {
    /// Returns the value of `type`.
    fn name(&self) -> &'static str;

    /// Checks an entry of this type. Unknown members and values must be refused (RFC 9396 §5).
    ///
    /// # Errors
    ///
    /// The reason. It becomes `error_description`, so it is printable ASCII without `"` and `\`,
    /// and repeats nothing of the entry.
    fn check(&self, entry: &Map<String, Value>) -> Result<(), &'static str>;
}

/// The type `aims_tool`: tools of a resource, by `locations`, `actions`, `datatypes` and
/// `privileges` (RFC 9396 §2.2). Each is a list of texts.
///
/// An entry for one call has `tool`, `arguments` and `call_digest`, and neither `datatypes` nor
/// `privileges`. It is the only entry of its request, and the digest is the one of the tool and the
/// arguments, which the user sees ([`CallDigest`](aims_oauth_wire::call::CallDigest)).
///
/// Guards of this project read it, and compare its members as sets.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "the type has no configuration")]
pub struct ToolDetails;

impl DetailsType for ToolDetails {
    fn name(&self) -> &'static str {
        "aims_tool"
    }

    fn check(&self, entry: &Map<String, Value>) -> Result<(), &'static str> {
        const SETS: [&str; 4] = ["locations", "actions", "datatypes", "privileges"];
        let is_text = |it: &Value| it.as_str().is_some_and(|it| !it.is_empty());
        const CALL: [&str; 3] = ["tool", "arguments", "call_digest"];
        if CALL.iter().any(|name| entry.contains_key(*name)) {
            // The page shows the tool and its arguments alone.
            if entry.contains_key("datatypes") || entry.contains_key("privileges") {
                return Err("an entry for one call has no datatypes and no privileges");
            }
            let call = ToolDetail::parse(&Value::Object(entry.clone()).to_string());
            let call = call.map(|it| it.call());
            if !matches!(call, Some(Ok(Some(_)))) {
                return Err(
                    "expected the tool, its arguments and their call_digest, and no other action",
                );
            }
        }
        for (name, value) in entry {
            if name == "type" || CALL.contains(&name.as_str()) {
                continue;
            }
            if !SETS.contains(&name.as_str()) {
                return Err(
                    "unknown member, expected locations, actions, datatypes and privileges",
                );
            }
            let texts = value.as_array().filter(|all| !all.is_empty());
            if !texts.is_some_and(|all| all.iter().all(is_text)) {
                return Err("expected lists of texts");
            }
        }
        Ok(())
    }
}

fn bad(reason: &'static str) -> Error {
    Error::Details { reason }
}

/// Parses a list of entries, each with a `type`.
fn parse(text: &str) -> Result<Vec<Value>, Error> {
    if text.len() > LONGEST {
        return Err(bad("authorization_details is too long"));
    }
    let malformed = |_unexplained| {
        bad("expected authorization_details as a list of at most 64 objects with a type each")
    };
    let entries = AuthorizationDetails::parse(text).map_err(malformed)?;
    serde_json::from_str(&entries.to_json())
        .map_err(|_unexplained| bad("authorization_details is nested too deeply"))
}

impl AuthorizationServer {
    /// Reads the `authorization_details` of an authorization request (RFC 9396 §5).
    ///
    /// # Errors
    ///
    /// `as.details` for an unknown type, member or value, a type that is not the client's, and a
    /// location that is not in the request.
    pub(super) fn details(
        &self,
        client: &Client,
        text: &str,
        resources: &[&str],
    ) -> Result<Vec<Value>, Error> {
        let entries = parse(text)?;
        if name_call(&entries) {
            if entries.len() > 1 || resources.len() != 1 {
                return Err(bad("an entry for one call stands alone, for one resource"));
            }
            // The digest is of the numbers as they are written, before they become doubles.
            let object = format!("{{\"authorization_details\":{text}}}");
            json::canonical(object.as_bytes())
                .map_err(|_unexplained| bad("a number of the call is no double"))?;
        }
        for entry in &entries {
            let unsupported = || bad("the type of an entry is not supported");
            let entry = entry.as_object().ok_or_else(unsupported)?;
            let name = entry.get("type").and_then(Value::as_str);
            let known = self.details.iter().find(|it| Some(it.name()) == name);
            let known = known.ok_or_else(unsupported)?;
            if !client.flow.details.contains(known.name()) {
                return Err(bad("the type of an entry is not for this client"));
            }
            known.check(entry).map_err(bad)?;
            let is_asked = |it: &Value| it.as_str().is_some_and(|it| resources.contains(&it));
            match entry.get("locations") {
                None => {}
                Some(Value::Array(places)) if places.iter().all(is_asked) => {}
                Some(_) => return Err(bad("a location is not a resource of this request")),
            }
        }
        Ok(entries)
    }
}

/// Returns whether an entry names a resource in its `locations`, or `None` without `locations`.
fn names(entry: &Value, resource: &str) -> Option<bool> {
    let places = entry.get("locations")?.as_array();
    Some(places.is_some_and(|all| all.iter().any(|it| it == resource)))
}

/// Returns whether an entry is for one call.
pub(super) fn name_call(details: &[Value]) -> bool {
    details.iter().any(|entry| {
        entry.get("type").and_then(Value::as_str) == Some(ToolDetail::TYPE)
            && entry.get("call_digest").is_some()
    })
}

/// Returns the call of the entry that is for one call.
pub(super) fn call(details: &[Value]) -> Option<ToolCall> {
    let entries = details.iter().map(Value::to_string);
    let mut calls = entries.filter_map(|it| ToolDetail::parse(&it)?.call().ok()?);
    calls.next()
}

/// Returns the lifetime of a token with these details: short, if it is for one call.
pub(super) fn longest(details: &[Value], lifetime: Duration) -> Duration {
    if name_call(details) {
        lifetime.min(ONE_CALL)
    } else {
        lifetime
    }
}

/// Returns the entries for one resource: those that name it, and those without `locations`.
pub(super) fn at(details: &[Value], resource: &str) -> Vec<Value> {
    let is_there = |entry: &&Value| names(entry, resource).unwrap_or(true);
    details.iter().filter(is_there).cloned().collect()
}

/// Returns the entries of a token for `from` that go on to a token for `to`: those that name `to`.
/// An entry without `locations` is for the resource of its token (RFC 9396 §2.2), so it goes on to
/// no other.
pub(super) fn onward(details: &[Value], from: &str, to: &str) -> Vec<Value> {
    let goes_on = |entry: &&Value| names(entry, to).unwrap_or(from == to);
    details.iter().filter(goes_on).cloned().collect()
}

/// Returns the part of the granted entries that a token request asks for: all of them, or the
/// entries of its `authorization_details`, which must be no more (RFC 9396 §6).
///
/// # Errors
///
/// `as.details`.
pub(super) fn part(granted: Vec<Value>, form: &Form) -> Result<Vec<Value>, Error> {
    let Some(text) = form.get("authorization_details") else {
        return Ok(granted);
    };
    let asked = parse(text)?;
    let rights = |details: &[Value]| {
        let claims = json!({
            "iss": "-", "sub": "-", "aud": "-", "client_id": "-", "jti": "-", "iat": 0, "exp": 1,
            "scope": "-", "authorization_details": details,
        });
        Rights::read(Kind::AccessToken, claims.to_string().as_bytes())
            .map_err(|_unexplained| bad("authorization_details has a member twice"))
    };
    match delegate(&rights(&granted)?, rights(&asked)?) {
        Ok(_) => Ok(asked),
        Err(_) => Err(bad(
            "authorization_details is more than what was granted, or cannot be compared with it",
        )),
    }
}
