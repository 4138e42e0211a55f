//! Authorization grants of another domain, as an authority accepts them: JWT grants, identity
//! assertions, and grants that carry a transaction.

use std::sync::{Arc, LazyLock};

use aims_authority::{Authority, Client, IncomingGrants, MapSubject, Purpose, Resource};
use aims_jose::Algorithm;
use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::jws::Unverified;
use aims_jose::jwt::Audience;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::delegate::ScopeTable;
use http::Request;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::known::{NOW, at, known, sign};
use crate::{NO_TEXT, Outcome, text};

const OWN: &str = "http://127.0.0.1:8080";
const PARTNER: &str = "https://as.example";
const TOOLS: &str = "https://tools.example/mcp";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Each row of the table: a scope of a grant, and the scope here.
const SCOPES: [(&str, &str); 2] = [("search", "call"), ("look", "list")];
/// The answers that a grant may get.
const REFUSALS: [&str; 6] = [
    "invalid_request",
    "invalid_grant",
    "invalid_target",
    "invalid_scope",
    "invalid_authorization_details",
    "unauthorized_client",
];

/// The partner's user.
#[derive(Debug)]
struct Users;

impl MapSubject for Users {
    fn subject(&self, issuer: &str, subject: &str) -> Option<String> {
        assert_eq!(issuer, PARTNER);
        (subject == "alice").then(|| "partner:alice".to_owned())
    }
}

/// The key of both clients and that of the authority, new in each run.
static KEYS: LazyLock<Option<[SigningKey; 2]>> = LazyLock::new(|| {
    let key = || SigningKey::generate(Algorithm::Es256, AWS_LC).ok();
    Some([key()?, key()?])
});

/// Returns an authority that has seen no grant yet. It was started an hour ago.
fn authority(client: &SigningKey, own: &SigningKey) -> Option<Authority> {
    let issuers = IssuerStore::new();
    let partner = keys(&known().issuer);
    issuers
        .set(&PARTNER.parse().ok()?, partner.as_bytes(), AWS_LC)
        .ok()?;
    let rules = IncomingGrants::new(PARTNER.parse().ok()?, Arc::new(issuers), Arc::new(Users))
        .accept_jwt()
        .accept_id_jag()
        .accept_transactions()
        .transaction_member("amount")
        .scopes(TOOLS, ScopeTable::new(SCOPES).ok()?);
    let of = |id: &str| {
        let keys = JwkSet::parse(keys(client).as_bytes(), &SetRules::oauth(), AWS_LC).ok()?;
        let client = Client::with_keys(id, keys).grants_of(PARTNER);
        Some(client.allow(TOOLS, ["call", "list"]))
    };
    Authority::builder(OWN, AWS_LC)
        .trust_domain("example.org")
        .signing_key(Purpose::AccessToken, own.clone())
        .resource(Resource::new(TOOLS).with_scopes(["call", "list"]))
        .incoming_grants(rules)
        .client(of("agent")?)
        .client(of("other")?)
        .build(at(NOW - 3_600))
        .ok()
}

fn keys(key: &SigningKey) -> String {
    let keys: PublicJwkSet = [key.public_jwk().clone()].into_iter().collect();
    keys.to_json()
}

/// Presents claims that the partner has signed. The first line has a header `typ`; claims follow.
pub fn authorization_grant(data: &[u8]) -> Outcome {
    let Some(text) = text(data) else {
        return NO_TEXT;
    };
    let Some((typ, claims)) = text.split_once('\n') else {
        return Outcome::Refused("no claims");
    };
    let Some(grant) = sign(typ, claims, &known().issuer) else {
        return Outcome::Refused("not sent");
    };
    let Some([client, own]) = &*KEYS else {
        return Outcome::Refused("no settings");
    };
    let (Some(server), Some(another)) = (authority(client, own), authority(client, own)) else {
        return Outcome::Refused("no settings");
    };
    let answer = present(&server, "agent", &grant, "jti-1", client);
    let token = match answer {
        Ok(token) => token,
        Err(code) => return Outcome::Refused(code),
    };
    check(&token, typ, &payload(&grant));
    let again = present(&server, "agent", &grant, "jti-2", client);
    assert_eq!(again.err(), Some("invalid_grant"), "the grant is used up");
    if payload(&grant).get("client_id").is_some() {
        let stolen = present(&another, "other", &grant, "jti-3", client);
        assert_eq!(
            stolen.err(),
            Some("invalid_grant"),
            "it is for another client"
        );
    }
    Outcome::Accepted
}

/// Returns the claims of the access token, or the error of the answer.
fn present(
    server: &Authority,
    client_id: &str,
    grant: &str,
    jti: &str,
    key: &SigningKey,
) -> Result<Value, &'static str> {
    let client = json!({"iss": client_id, "sub": client_id, "aud": OWN, "jti": jti, "iat": NOW,
        "exp": NOW + 60});
    let client = sign("client-authentication+jwt", &client.to_string(), key);
    let form = Serializer::new(String::new())
        .append_pair("grant_type", JWT_BEARER)
        .append_pair("assertion", grant)
        .append_pair("client_assertion_type", ASSERTION)
        .append_pair("client_assertion", &client.unwrap_or_default())
        .finish();
    let request = Request::post("/token")
        .header("host", "127.0.0.1:8080")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.into_bytes());
    let answer = server.handle(&request.unwrap_or_default(), None, at(NOW));
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    if let Some(token) = body.get("access_token").and_then(Value::as_str) {
        assert!(answer.status().is_success());
        assert!(body.get("refresh_token").is_none(), "grants are used once");
        return Ok(payload(token));
    }
    // The partner can sign no claims that make the server fail, or the client another one.
    let error = body.get("error").and_then(Value::as_str);
    let known = REFUSALS.into_iter().find(|it| Some(*it) == error);
    assert!(known.is_some(), "{} {body}", answer.status());
    let signature = grant.rsplit('.').next().unwrap_or_default();
    assert!(!body.to_string().contains(signature), "the answer has it");
    Err(known.unwrap_or_default())
}

fn payload(token: &str) -> Value {
    let token = Unverified::parse(token).ok();
    let payload = token
        .as_ref()
        .and_then(|token| token.unverified_payload().ok());
    payload
        .and_then(|payload| serde_json::from_slice(payload).ok())
        .unwrap_or_default()
}

/// The access token is for one tool, and no more than the grant.
fn check(token: &Value, typ: &str, grant: &Value) {
    let of = |name: &str| grant.get(name);
    let is = |name: &str, value: Value| assert_eq!(token.get(name), Some(&value), "{name}");
    is("iss", json!(OWN));
    is("aud", json!(TOOLS));
    is("sub", json!("partner:alice"));
    is("client_id", json!("agent"));
    assert_eq!(of("iss"), Some(&json!(PARTNER)));
    assert_eq!(of("sub"), Some(&json!("alice")));
    let audience = of("aud").map(Value::to_string).unwrap_or_default();
    let audience = serde_json::from_str::<Audience<'_>>(&audience).ok();
    assert_eq!(audience.as_ref().and_then(Audience::sole), Some(OWN));
    assert!(of("jti").is_some_and(Value::is_string));
    if typ.ends_with("id-jag+jwt") {
        assert_eq!(of("client_id"), Some(&json!("agent")));
    }
    let time = |claims: &Value, name: &str| claims.get(name)?.as_f64();
    assert!(time(token, "exp") <= time(grant, "exp"));
    // A fraction is rounded up, by its digits.
    let (start, granted) = (time(token, "nbf"), time(grant, "nbf"));
    assert!(start >= granted && start <= granted.map(|it| it.floor() + 1.0));
    let words = |claims: &Value| -> Vec<String> {
        let scope = claims.get("scope").and_then(Value::as_str);
        let all = scope.unwrap_or_default().split(' ');
        all.map(str::to_owned).collect()
    };
    let given = words(grant);
    for scope in words(token) {
        let row = SCOPES.iter().find(|(_, here)| *here == scope);
        assert!(row.is_some_and(|(there, _)| given.iter().any(|it| it == there)));
    }
    // The transaction goes on, with its facts, and so does the chain of actors.
    assert_eq!(token.get("txn"), of("txn"));
    let facts = of("txn_claims").filter(|it| it.as_object().is_some_and(|it| !it.is_empty()));
    assert_eq!(token.get("tctx"), facts);
    assert_eq!(token.pointer("/act/act"), of("act"));
}
