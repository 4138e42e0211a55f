//! `authorization_details` (RFC 9396): their types, and a request for a part of them.

use core::fmt;

use aims_jose::json;
use aims_oauth_wire::delegate::{Kind, Rights, delegate};
use serde_json::{Map, Value, json};

use super::AuthorizationServer;
use super::resource::Client;
use crate::Error;

/// Maximum number of entries.
const MOST: usize = 64;
/// Maximum length of the parameter in bytes.
const LONGEST: usize = 16 * 1_024;

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
        for (name, value) in entry {
            if name == "type" {
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
    // `check_object` refuses repeated members, which two readers could read differently.
    let object = format!("{{\"authorization_details\":{text}}}");
    json::check_object(object.as_bytes()).map_err(|_unexplained| {
        bad("authorization_details is no JSON array, or has a member twice")
    })?;
    let Ok(entries) = serde_json::from_str::<Vec<Value>>(text) else {
        return Err(bad("authorization_details is no JSON array"));
    };
    if entries.len() > MOST {
        return Err(bad("authorization_details has more than 64 entries"));
    }
    Ok(entries)
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
        for entry in &entries {
            let entry = entry
                .as_object()
                .ok_or_else(|| bad("an entry is no object"))?;
            let name = entry.get("type").and_then(Value::as_str);
            let name = name.ok_or_else(|| bad("an entry has no type"))?;
            let known = self.details.iter().find(|it| it.name() == name);
            let known = known.ok_or_else(|| bad("the type of an entry is not supported"))?;
            if !client.flow.details.contains(name) {
                return Err(bad("the type of an entry is not for this client"));
            }
            known.check(entry).map_err(bad)?;
            let places = locations(entry);
            if places.is_some_and(|all| !all.iter().all(|it| is_one_of(it, resources))) {
                return Err(bad("a location is not a resource of this request"));
            }
        }
        Ok(entries)
    }
}

fn locations(entry: &Map<String, Value>) -> Option<&Vec<Value>> {
    entry.get("locations").and_then(Value::as_array)
}

fn is_one_of(value: &Value, resources: &[&str]) -> bool {
    value.as_str().is_some_and(|it| resources.contains(&it))
}

/// Returns the entries for one resource: those that name it, and those without `locations`.
pub(super) fn at(details: &[Value], resource: &str) -> Vec<Value> {
    let is_there = |entry: &&Value| {
        let places = entry.as_object().and_then(locations);
        places.is_none_or(|all| all.iter().any(|it| is_one_of(it, &[resource])))
    };
    details.iter().filter(is_there).cloned().collect()
}

/// Returns the entries that a token request asks for, if they are no more than those that were
/// granted (RFC 9396 §6).
///
/// # Errors
///
/// `as.details`.
pub(super) fn part(granted: &[Value], text: &str) -> Result<Vec<Value>, Error> {
    let asked = parse(text)?;
    let rights = |details: &[Value]| {
        let claims = json!({
            "iss": "-", "sub": "-", "aud": "-", "client_id": "-", "jti": "-", "iat": 0, "exp": 1,
            "scope": "-", "authorization_details": details,
        });
        Rights::read(Kind::AccessToken, claims.to_string().as_bytes())
            .map_err(|_unexplained| bad("authorization_details has a member twice"))
    };
    match delegate(&rights(granted)?, rights(&asked)?) {
        Ok(_) => Ok(asked),
        Err(_) => Err(bad(
            "authorization_details is more than what was granted, or cannot be compared with it",
        )),
    }
}
