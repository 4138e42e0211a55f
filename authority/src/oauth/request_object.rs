//! Signed requests: for authorization (RFC 9101), and for the approval of a user (OpenID CIBA Core
//! 1.0 §7.1.1).

use core::time::Duration;

use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times};
use aims_jose::time::UnixTime;
use aims_oauth_wire::token::Form;
use aims_replay::{ReplayKey, Validity};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::oauth::resource::ClientMatcher;
use crate::oauth::{Authenticated, AuthorizationServer, Client};

/// Maximum lifetime of a request.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Maximum length of `jti`.
const LONGEST_ID: usize = 256;
/// The claims that are no parameters.
const CLAIMS: [&str; 6] = ["iss", "aud", "exp", "iat", "nbf", "jti"];

#[derive(Deserialize)]
struct Claims<'a> {
    iss: String,
    #[serde(borrow)]
    aud: Audience<'a>,
    exp: NumericDate,
    iat: Option<NumericDate>,
    nbf: Option<NumericDate>,
    jti: Option<String>,
}

/// A verified request of a client.
struct Verified {
    parameters: Map<String, Value>,
    times: Times,
    exp: NumericDate,
    jti: Option<String>,
    is_dated: bool,
}

/// Makes the error for a reason.
type Bad = fn(&'static str) -> Error;

fn bad_approval(reason: &'static str) -> Error {
    Error::Backchannel {
        answer: "invalid_request",
        reason,
    }
}

const fn bad_object(reason: &'static str) -> Error {
    Error::RequestObject { reason }
}

fn rules() -> TimeRules {
    TimeRules::new().with_max_lifetime(LONGEST)
}

impl AuthorizationServer {
    /// Verifies a signed authorization request, and returns its parameters. Those outside of it do
    /// not count (RFC 9101 §6.3).
    ///
    /// It counts until it ends, because a browser may load a page twice.
    ///
    /// # Errors
    ///
    /// `as.request_object`.
    pub(super) fn request_object(
        &self,
        text: &str,
        client: &Client,
        client_id: &str,
        now: UnixTime,
    ) -> Result<Form, Error> {
        let found = verify(self, text, client, client_id, bad_object, now)?;
        let form = form(&found.parameters, bad_object)?;
        if form.get("client_id") != Some(client_id) {
            return Err(bad_object("client_id of the signed request is another one"));
        }
        if form.get("request").is_some() || form.get("request_uri").is_some() {
            return Err(bad_object("the signed request has another one inside"));
        }
        Ok(form)
    }
}

/// Refuses a request that is not signed, of a client that must sign.
///
/// # Errors
///
/// `as.request_object`.
pub(super) const fn check_unsigned(client: &Client) -> Result<(), Error> {
    if client.flow.signed_only {
        return Err(bad_object("this client must sign its requests"));
    }
    Ok(())
}

/// Verifies a signed request for an approval, spends it, and returns its parameters.
pub(super) fn read(
    server: &AuthorizationServer,
    text: &str,
    who: &Authenticated,
    now: UnixTime,
) -> Result<Form, Error> {
    let bad = bad_approval;
    let found = verify(server, text, &who.client, &who.client_id, bad, now)?;
    if !found.is_dated {
        return Err(bad("the signed request has no iat or no nbf"));
    }
    let jti = found.jti.unwrap_or_default();
    if jti.is_empty() || jti.len() > LONGEST_ID {
        return Err(bad("jti of the signed request has no usable length"));
    }
    let name = [server.base.as_str(), &jti];
    let name = ReplayKey::new("backchannel-request", &who.client_id, &name);
    let until = rules().skew().remember_until(found.exp.as_secs());
    let valid = Validity::new(rules().accepted_from(&found.times), until);
    match aims_replay::spend_proof(server.replay.as_ref(), &name, valid, now) {
        Ok(()) => form(&found.parameters, bad),
        Err(aims_replay::Error::Replayed | aims_replay::Error::Expired) => {
            Err(bad("the signed request was used before"))
        }
        Err(error) => Err(Error::unavailable(error)),
    }
}

/// Verifies a signed request with the keys of its client.
fn verify(
    server: &AuthorizationServer,
    text: &str,
    client: &Client,
    client_id: &str,
    bad: Bad,
    now: UnixTime,
) -> Result<Verified, Error> {
    let ClientMatcher::Keys { keys, .. } = &client.by else {
        return Err(bad("only a client with registered keys signs its requests"));
    };
    let invalid = |_unexplained| bad("the signed request is no JWT of this client");
    let unverified = Unverified::parse(text).map_err(invalid)?;
    let header = unverified.header();
    // Any other kind of JWT names its own type.
    if header.typ().is_some() && !header.is_typ("JWT") && !header.is_typ("oauth-authz-req+jwt") {
        return Err(bad("the signed request has the type of another JWT"));
    }
    let keys = server.keys_of(keys, now).map_err(bad)?;
    let key = keys.select(header.kid(), header.alg()).map_err(invalid)?;
    let verified = unverified.verify(key).map_err(invalid)?;
    let claims: Claims<'_> = verified.claims().map_err(invalid)?;
    let parameters: Map<String, Value> = verified.claims().map_err(invalid)?;
    if claims.iss != client_id {
        return Err(bad("iss of the signed request is another client"));
    }
    if claims.aud.sole() != Some(server.base.as_str()) {
        return Err(bad("aud of the signed request must be this issuer"));
    }
    // A client assertion has `sub`, and must not count as a request.
    if parameters.contains_key("sub") {
        return Err(bad("the signed request has the claim sub"));
    }
    let times = Times::new(Some(claims.exp), claims.nbf, claims.iat);
    let checked = rules().check(&times, now);
    checked.map_err(|_unexplained| bad("the signed request is not valid now"))?;
    Ok(Verified {
        parameters,
        times,
        exp: claims.exp,
        is_dated: claims.iat.is_some() && claims.nbf.is_some(),
        jti: claims.jti,
    })
}

/// Returns the parameters as a form, by whose rules both kinds of requests are read.
fn form(parameters: &Map<String, Value>, bad: Bad) -> Result<Form, Error> {
    let mut body = String::new();
    let mut add = |name: &str, value: &str| {
        escape(&mut body, name);
        body.push('=');
        escape(&mut body, value);
        body.push('&');
    };
    for (name, value) in parameters {
        match value {
            _ if CLAIMS.contains(&name.as_str()) => {}
            Value::String(text) => add(name, text),
            Value::Number(number) => add(name, &number.to_string()),
            Value::Array(all) if name == "resource" => {
                for value in all {
                    add(name, value.as_str().unwrap_or_default());
                }
            }
            Value::Array(_) if name == "authorization_details" => add(name, &value.to_string()),
            _ => return Err(bad("a claim of the signed request has another form")),
        }
    }
    Form::parse(body.as_bytes()).map_err(|_unexplained| bad("the signed request is malformed"))
}

/// Percent-encodes everything but letters and digits.
fn escape(out: &mut String, text: &str) {
    use core::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
