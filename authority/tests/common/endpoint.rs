//! Token requests and their answers.

use aims_authority::{Authority, Client};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::jws::Unverified;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use http::Response;
use serde_json::{Value, json};

use super::{BASE, TOOLS, body, builder, field, key_set, now, request, send, sign};

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(crate) const TXN_TOKEN: &str = "urn:ietf:params:oauth:token-type:txn_token";
pub(crate) const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// Sends a token request. `Ok` has the body of the response, `Err` status and `error`.
pub(crate) fn ask(
    authority: &Authority,
    fields: &[(&str, &str)],
    parameters: &[(&str, &str)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    judged(&send_form(authority, fields, parameters, now))
}

pub(crate) fn send_form(
    authority: &Authority,
    fields: &[(&str, &str)],
    parameters: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    let mut all = vec![FORM];
    all.extend(fields);
    send(
        authority,
        &request("POST", "/token", &all, &form(parameters)),
        now,
    )
}

/// CORE-20: no cache stores a response.
pub(crate) fn judged(response: &Response<Vec<u8>>) -> Result<Value, (u16, String)> {
    assert_eq!(field(response, "cache-control"), "no-store");
    assert_eq!(field(response, "pragma"), "no-cache");
    assert_eq!(field(response, "content-type"), "application/json");
    let body = body(response);
    match body.get("error") {
        None => Ok(body),
        Some(error) => Err((
            response.status().as_u16(),
            error.as_str().unwrap().to_owned(),
        )),
    }
}

/// Returns the body of the response, or its `error` and `error_description`.
pub(crate) fn described(response: &Response<Vec<u8>>) -> Result<Value, (String, String)> {
    judged(response).map_err(|(_, error)| {
        let description = body(response)["error_description"].clone();
        (error, description.as_str().unwrap_or_default().to_owned())
    })
}

/// Sends a token request as this client, with these parameters in place of the good ones. An empty
/// value leaves one out.
pub(crate) fn send_as(
    authority: &Authority,
    (client_id, key): (&str, &SigningKey),
    good: &[(&str, &str)],
    more: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    let assertion = assertion_of(client_id, key, now);
    let mut all = good.to_vec();
    all.push(("client_assertion_type", JWT_BEARER));
    all.push(("client_assertion", &assertion));
    send_form(authority, &[], &replaced(&all, more), now)
}

/// Returns the good parameters with these ones in their place. An empty value leaves one out.
pub(crate) fn replaced<'a>(
    good: &[(&'a str, &'a str)],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut all = good.to_vec();
    all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    all.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    all
}

pub(crate) fn form(parameters: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

pub(crate) fn refused(status: u16, error: &str) -> Result<Value, (u16, String)> {
    Err((status, error.to_owned()))
}

pub(crate) fn with_client(key: &SigningKey) -> Authority {
    let client = Client::with_keys("batch", key_set(key)).allow(TOOLS, ["call", "list"]);
    builder().client(client).build(now()).unwrap()
}

pub(crate) fn assertion_claims(now: UnixTime) -> Value {
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let seconds = now.as_secs();
    json!({"iss": "batch", "sub": "batch", "aud": BASE, "jti": jti, "iat": seconds, "exp": seconds + 60})
}

pub(crate) fn assertion(key: &SigningKey, now: UnixTime) -> String {
    sign("client-authentication+jwt", &assertion_claims(now), key)
}

/// Returns the assertion by which this client authenticates.
pub(crate) fn assertion_of(client_id: &str, key: &SigningKey, now: UnixTime) -> String {
    let mut claims = assertion_claims(now);
    (claims["iss"], claims["sub"]) = (json!(client_id), json!(client_id));
    sign("client-authentication+jwt", &claims, key)
}

pub(crate) fn by_assertion(
    authority: &Authority,
    assertion: &str,
    more: &[(&str, &str)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    let mut parameters = vec![
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    parameters.extend(more);
    ask(authority, &[], &parameters, now)
}

/// Returns the claims of an access token that verifies with the published keys (ATJ-05).
pub(crate) fn verified(authority: &Authority, token: &str, now: UnixTime) -> Value {
    let jwks = authority.oauth().jwks(now);
    let set = JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    let unverified = Unverified::parse(token).unwrap();
    assert!(unverified.header().is_typ("at+jwt"));
    let key = set
        .select(unverified.header().kid(), unverified.header().alg())
        .unwrap();
    let verified = unverified.verify(key).unwrap();
    serde_json::from_slice(verified.payload()).unwrap()
}

pub(crate) fn with_svids() -> Authority {
    let client = Client::spiffe("spiffe://example.org/agents/a".parse().unwrap())
        .or_by_jwt_svid()
        .allow(TOOLS, ["call"]);
    builder()
        .client(client)
        .jwt_svid_audience("https://as.example")
        .build(now())
        .unwrap()
}
