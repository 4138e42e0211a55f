//! The members of a token response (RFC 6749 §5.1).

use core::time::Duration;

use aims_jose::secret::SecretText;
use serde_json::value::RawValue;

use super::{MAX_EXPIRES_IN, ResponseRules, TokenResponse, TokenType};
use crate::bearer::is_b64token;
use crate::members::{Malformed, Members, kind};
use crate::names::{Resource, ScopeSet};
use crate::{Diagnostic, Error};

/// Reads the members of a response that is not an error response.
pub(super) fn token(
    mut members: Members<'_>,
    rules: &ResponseRules,
    fail: impl Fn(&'static str) -> Error,
) -> Result<TokenResponse, Error> {
    let token = members.text("access_token");
    let token = token.map_err(|_malformed| fail("`access_token` is not a text"))?;
    let token = token.ok_or_else(|| fail("`access_token` is missing"))?;
    let access_token = SecretText::new(token);
    let token_type = token_type(&mut members, rules, &fail)?;
    let fits = match token_type {
        TokenType::Bearer | TokenType::Dpop => is_b64token(access_token.expose()),
        TokenType::NotApplicable => is_printable(&access_token),
    };
    if !fits {
        return Err(fail("`access_token` has a character that it cannot have"));
    }
    let mut other = |name, reason| {
        let token = members.optional_text(name).map(SecretText::new);
        if token.as_ref().is_none_or(is_printable) {
            Ok(token)
        } else {
            Err(fail(reason))
        }
    };
    Ok(TokenResponse {
        access_token,
        token_type,
        refresh_token: other(
            "refresh_token",
            "`refresh_token` has a character that it cannot have",
        )?,
        id_token: other("id_token", "`id_token` has a character that it cannot have")?,
        expires_in: expires_in(&mut members),
        issued_token_type: members.optional_text("issued_token_type"),
        scope: scope(&members, rules)?,
        resources: resources(members.raw("resource")),
        authorization_details: members
            .raw("authorization_details")
            .map(|raw| raw.get().to_owned()),
        diagnostics: members.into_diagnostics(),
    })
}

fn token_type(
    members: &mut Members<'_>,
    rules: &ResponseRules,
    fail: &impl Fn(&'static str) -> Error,
) -> Result<TokenType, Error> {
    let Some(raw) = members.raw("token_type").filter(|raw| raw.get() != "\"\"") else {
        return match (rules.is_bound, rules.is_bearer_by_default) {
            (false, true) => {
                members.note(Diagnostic::NoTokenType);
                Ok(TokenType::Bearer)
            }
            (false, false) if members.raw("token_type").is_some() => Err(Error::TokenType),
            (false, false) => Err(fail(
                "`token_type` is missing, which `ResponseRules::accept_missing_token_type` accepts",
            )),
            (true, _) => Err(fail(
                "`token_type` is missing after a proof of possession, where it is always needed",
            )),
        };
    };
    let name: Result<String, _> = serde_json::from_str(raw.get());
    let name = name.map_err(|_malformed| fail("`token_type` is not a text"))?;
    TokenType::from_name(&name).ok_or(Error::TokenType)
}

/// Reads seconds, as a number or as a string with a number.
fn expires_in(members: &mut Members<'_>) -> Option<Duration> {
    let raw = members.raw(EXPIRES_IN)?;
    let read = match serde_json::from_str::<String>(raw.get()) {
        Ok(text) if text.trim().is_empty() => return None,
        Ok(text) => seconds(text.trim()),
        Err(_) => seconds(raw.get()),
    };
    let read = read.map(Some).ok_or_else(|| Malformed {
        expected: "seconds from 0 to 315360000",
        found: match kind(raw) {
            "a text" => "a text that is no such number",
            "a number" => "another number",
            other => other,
        },
    });
    members.or_ignored(EXPIRES_IN, read)
}

/// Returns whole seconds, rounded down, or `None` if the number is negative, not finite, or too
/// large.
fn seconds(number: &str) -> Option<Duration> {
    let seconds: f64 = number.parse().ok()?;
    let most = Duration::from_secs(MAX_EXPIRES_IN);
    let duration = Duration::try_from_secs_f64(seconds.floor()).ok()?;
    (!number.starts_with('-') && duration <= most).then_some(duration)
}

/// Reads a string with scope tokens separated by blanks, or a list of scope tokens. An empty one
/// grants nothing. The error does not quote a malformed value, because it may be a misplaced token.
fn scope(members: &Members<'_>, rules: &ResponseRules) -> Result<Option<ScopeSet>, Error> {
    let Some(raw) = members.raw("scope") else {
        return Ok(None);
    };
    let refused = || Error::Scope {
        found: "a member `scope` of another form in the response".into(),
    };
    let mut set = ScopeSet::new();
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        let is_between = |c: char| c.is_ascii_whitespace() || (rules.has_commas && c == ',');
        for token in text.split(is_between).filter(|it| !it.is_empty()) {
            set.insert(token.parse().map_err(|_token| refused())?)?;
        }
        return Ok(Some(set));
    }
    let list: Result<Vec<Option<String>>, _> = serde_json::from_str(raw.get());
    let list = list.map_err(|_other_type| refused())?;
    for token in list.iter().flatten().filter(|it| !it.is_empty()) {
        set.insert(token.parse().map_err(|_token| refused())?)?;
    }
    Ok(Some(set))
}

/// Reads a string or a list. Any other value counts as absent. The names are only compared, so
/// loopback is accepted.
fn resources(raw: Option<&RawValue>) -> Vec<Resource> {
    let text = raw.map_or("null", RawValue::get);
    let one = serde_json::from_str(text).map(|one: String| vec![one]);
    let all = one.or_else(|_| serde_json::from_str(text));
    let read = |all: Vec<String>| all.iter().map(|it| Resource::loopback(it).ok()).collect();
    all.ok().and_then(read).unwrap_or_default()
}

/// Returns whether a token has only printable ASCII (RFC 6749 appendix A.12).
fn is_printable(token: &SecretText) -> bool {
    let mut bytes = token.expose().bytes();
    !token.is_empty() && bytes.all(|byte| matches!(byte, 0x20..=0x7e))
}

const EXPIRES_IN: &str = "expires_in";
