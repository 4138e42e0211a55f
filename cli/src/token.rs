//! `aims token`: shows tokens.

mod proofs;
mod verify;

use aims_jose::base64url;
use aims_jose::jwt::NumericDate;
use aims_jose::time::UnixTime;
use aims_oauth_wire::confirmation::Confirmation;
use aims_oauth_wire::names::{Scope, ScopeSet};
use aims_wimse_id::WorkloadId;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::Token;
use crate::failure::Failure;
use crate::input::Inputs;
use crate::text::{Members, escaped, word};
use crate::time::{in_words, now};

/// The claims whose value is a time (RFC 7519 §4.1, OpenID Connect Core §2).
const DATES: [&str; 5] = ["auth_time", "exp", "iat", "nbf", "updated_at"];

#[derive(Serialize)]
struct Inspected {
    verified: bool,
    header: Members,
    claims: Members,
}

/// A verified token, for printing.
#[derive(Serialize)]
pub(crate) struct Verified<'a> {
    verified: bool,
    id: &'a str,
    expires: u64,
    claims: Members,
}

pub(crate) fn run(command: Token, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    let (shown, file) = match command {
        Token::Inspect { shown, file } => (shown, file),
        Token::Verify(verify) => return verify::run(&verify, inputs),
        Token::Get(get) => return crate::login::get(&get),
    };
    let text = inputs.token(&file)?;
    let (header, claims) = decoded(&text).map_err(|error| Failure::from(error).of(&file))?;
    if shown.json {
        return json(&Inspected {
            verified: false,
            header,
            claims,
        });
    }
    let now = now(shown.now);
    Ok(Zeroizing::new(format!(
        "NOT VERIFIED: anyone can have written this\n\nheader\n{}\nclaims\n{}",
        header.lines(|_, _| None),
        claims.lines(|name, value| date(name, value, now)),
    )))
}

/// Returns header and claims of any JWS in compact form whose parts are JSON objects, with any
/// algorithm.
pub(crate) fn decoded(text: &str) -> Result<(Members, Members), aims_jose::Error> {
    let mut parts = text.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(aims_jose::Error::Parts);
    };
    let read = |part| Members::read(&base64url::decode(part)?);
    Ok((read(header)?, read(claims)?))
}

impl<'a> Verified<'a> {
    /// Creates the answer for the claims of a verified token.
    pub(crate) fn new(
        id: &'a WorkloadId,
        expires: UnixTime,
        text: &str,
    ) -> Result<Self, aims_jose::Error> {
        let (_, claims) = decoded(text)?;
        Ok(Self {
            verified: true,
            id: id.as_str(),
            expires: expires.as_secs(),
            claims,
        })
    }

    pub(crate) fn json(&self) -> Result<Zeroizing<String>, Failure> {
        json(self)
    }

    /// Returns the lines for people. `remark` follows the first word.
    pub(crate) fn lines(&self, remark: &str, now: UnixTime) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "verified{remark}\n\nid       {}\nexpires  {}\n\nclaims\n{}",
            word(self.id),
            in_words(self.expires, now),
            self.claims.lines(|name, value| date(name, value, now)),
        ))
    }
}

/// Returns what a token is bound to, and whether that was proven, which a file cannot do.
pub(crate) fn binding(confirmations: &[Confirmation]) -> (String, Option<bool>) {
    let methods: Vec<&str> = confirmations.iter().map(Confirmation::method).collect();
    if methods.is_empty() {
        ("none".to_owned(), None)
    } else {
        (methods.join(" "), Some(false))
    }
}

/// Checks that a token has each of these scopes. `what` names the token.
pub(crate) fn require_scopes(
    what: &str,
    found: &ScopeSet,
    required: &[Scope],
) -> Result<(), Failure> {
    match required.iter().find(|it| !found.contains(it.as_str())) {
        None => Ok(()),
        Some(scope) => Err(Failure::Refused {
            code: "cli.scope",
            detail: format!("{what} lacks the scope `{scope}`, found `{found}`"),
        }),
    }
}

/// Returns the words for a value that is a time.
pub(crate) fn date(name: &str, value: &str, now: UnixTime) -> Option<String> {
    if !DATES.contains(&name) {
        return None;
    }
    let date: NumericDate = serde_json::from_str(value).ok()?;
    Some(in_words(date.as_secs(), now))
}

/// Returns a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Zeroizing<String>, Failure> {
    let text = serde_json::to_string(value).or(Err(aims_jose::Error::Serialize))?;
    Ok(Zeroizing::new(format!("{}\n", escaped(&text))))
}
