//! Requests for the approval of a user (OpenID CIBA Core 1.0): the endpoint, the inbox, the grant.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[cfg(feature = "sqlite")]
#[path = "common/folder.rs"]
mod folder;

use std::sync::Arc;

use aims_authority::{
    Approver, AuthenticateUser, Authority, AuthorizationServer, Builder, Client, Exchange,
    ExchangeTable, FindApprover, MemoryState, ToolDetails, Transaction, TransactionPolicy, User,
    UserAnswer, UserRequest,
};
use aims_jose::alg::Algorithm;
use aims_jose::digest::sha256_base64url;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::dpop::Binding;
use common::browser::{Page, public, read, redeem, with_users};
use common::endpoint::{FORM, JWT_BEARER, form, judged, refused, verified};
use common::{BASE, FILES, NOW, TOOLS, at, builder, field, key_set, now, request, send, sign};
use http::Response;
use serde_json::{Map, Value, json};

const CIBA: &str = "urn:openid:params:grant-type:ciba";
const PING: &str = "https://payer.example/ping";
const PING_TOKEN: &str = "8d67dc78-7faa-4d41-aabd-67707b374255";

/// Users by a header field, as an application knows them by its session.
#[derive(Debug)]
struct ByField;

impl AuthenticateUser for ByField {
    fn authenticate(
        &self,
        request: &UserRequest<'_>,
    ) -> Result<UserAnswer, Box<dyn std::error::Error + Send + Sync>> {
        let Some(name) = request.headers.get("x-user") else {
            return Ok(UserAnswer::SignIn {
                location: "https://app.example/sign-in".to_owned(),
            });
        };
        let user = User::new(name.to_str()?, request.now);
        let has_factor = request.headers.contains_key("x-factor");
        let user = if has_factor {
            user.with_acr("mfa")
        } else {
            user
        };
        if request.accepts(&user) {
            return Ok(UserAnswer::User(user));
        }
        Ok(UserAnswer::SignIn {
            location: "https://app.example/factor".to_owned(),
        })
    }
}

impl FindApprover for ByField {
    fn find(
        &self,
        login_hint: &str,
        _now: UnixTime,
    ) -> Result<Option<Approver>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(match login_hint {
            "alice" | "bob" => Some(Approver::new(login_hint)),
            "carol" => Some(Approver::new("carol").with_user_code("2718")),
            "payer" => Some(Approver::new("payer")),
            _ => None,
        })
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap()
}

fn payer(key: &SigningKey) -> Client {
    Client::with_keys("payer", key_set(key))
        .name("The payer")
        .allow(TOOLS, ["call", "list"])
        .allow(FILES, ["read"])
        .allow_details("aims_tool")
        .backchannel_poll()
}

fn with_payer(client: Client) -> Builder {
    builder()
        .users(Arc::new(ByField))
        .backchannel(Arc::new(ByField))
        .authorization_details(Arc::new(ToolDetails))
        .client(client)
}

fn assertion(client: &str, key: &SigningKey, now: UnixTime) -> String {
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let seconds = now.as_secs();
    let claims = json!({
        "iss": client, "sub": client, "aud": BASE, "jti": jti, "iat": seconds, "exp": seconds + 60,
    });
    sign("client-authentication+jwt", &claims, key)
}

fn post(
    authority: &Authority,
    path: &str,
    (client, key): (&str, &SigningKey),
    parameters: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    let assertion = assertion(client, key, now);
    let mut all = vec![
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion.as_str()),
    ];
    all.extend(parameters.iter().filter(|(_, value)| !value.is_empty()));
    send(authority, &request("POST", path, &[FORM], &form(&all)), now)
}

fn ask(
    authority: &Authority,
    key: &SigningKey,
    parameters: &[(&str, &str)],
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    judged(&post(
        authority,
        "/backchannel",
        ("payer", key),
        parameters,
        now,
    ))
}

fn poll(
    authority: &Authority,
    key: &SigningKey,
    id: &str,
    now: UnixTime,
) -> Result<Value, (u16, String)> {
    let all = [("grant_type", CIBA), ("auth_req_id", id)];
    judged(&post(authority, "/token", ("payer", key), &all, now))
}

fn call() -> ToolCall {
    ToolCall::new("transfer", Some(br#"{"to":"bob","amount":10.5}"#)).unwrap()
}

fn details() -> String {
    call().details(TOOLS).to_json()
}

/// The parameters of a good request for one call.
fn good(details: &str) -> Vec<(&str, &str)> {
    vec![
        ("scope", "openid"),
        ("login_hint", "alice"),
        ("resource", TOOLS),
        ("authorization_details", details),
    ]
}

/// Returns the parameters with this one instead. An empty value leaves it out.
fn with<'a>(
    parameters: &[(&'a str, &'a str)],
    name: &'a str,
    value: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let mut all = parameters.to_vec();
    all.retain(|(own, _)| *own != name);
    all.push((name, value));
    all
}

fn id(answer: &Value) -> String {
    answer["auth_req_id"].as_str().unwrap().to_owned()
}

fn open(authority: &Authority, fields: &[(&str, &str)], now: UnixTime) -> Response<Vec<u8>> {
    send(authority, &request("GET", "/approvals", fields, ""), now)
}

fn inbox(authority: &Authority, user: &str, now: UnixTime) -> Page {
    read(&open(authority, &[("x-user", user)], now))
}

fn value(page: &Page, name: &str) -> String {
    let mut found = page.fields.iter().filter(|(own, _)| own == name);
    found.next().unwrap().1.clone()
}

/// Sends a form of the inbox with the header fields of a browser, or others in their place.
fn submit(
    authority: &Authority,
    page: &Page,
    pairs: &[(&str, &str)],
    more: &[(&str, &str)],
    now: UnixTime,
) -> Response<Vec<u8>> {
    let (key, csrf) = (value(page, "request"), value(page, "csrf"));
    let mut all = vec![("request", key.as_str()), ("csrf", &csrf)];
    all.retain(|(name, _)| !pairs.iter().any(|(other, _)| other == name));
    all.extend(pairs.iter().filter(|(_, value)| !value.is_empty()));
    let mut fields = vec![
        FORM,
        ("sec-fetch-site", "same-origin"),
        ("origin", "null"),
        ("cookie", &page.cookie),
        ("x-user", "alice"),
    ];
    fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    fields.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    let asked = request("POST", "/approvals/decision", &fields, &form(&all));
    send(authority, &asked, now)
}

fn decide(authority: &Authority, decision: &str, now: UnixTime) {
    let page = inbox(authority, "alice", now);
    let answer = submit(authority, &page, &[("decision", decision)], &[], now);
    assert_eq!(answer.status(), 303, "{answer:?}");
    assert_eq!(field(&answer, "location"), format!("{BASE}/approvals"));
}

/// CIBA-30: from the request to the token, which is for the call alone.
#[test]
fn a_user_approves_one_call() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let answer = ask(&authority, &key, &good(&details()), now()).unwrap();
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer["interval"], 5);
    let id = id(&answer);
    assert!(id.len() >= 22, "{id}");
    let pending = refused(400, "authorization_pending");
    assert_eq!(poll(&authority, &key, &id, now()), pending);

    let page = inbox(&authority, "alice", now());
    let code = call().digest().short_code();
    for shown in [
        "The payer",
        "payer",
        TOOLS,
        "<strong>transfer</strong>",
        "<dt>Argument amount</dt><dd><pre>10.5</pre>",
        "<dt>Argument to</dt><dd><pre>&quot;bob&quot;</pre>",
        &code,
        "alice",
    ] {
        assert!(page.html.contains(shown), "{shown} in {}", page.html);
    }
    assert!(!page.html.contains(&id), "the id is a secret of the client");
    decide(&authority, "allow", now());
    assert!(
        inbox(&authority, "alice", now())
            .html
            .contains("Nothing waits")
    );

    let answer = poll(&authority, &key, &id, now()).unwrap();
    assert_eq!(answer.get("refresh_token"), None);
    assert_eq!(answer["expires_in"], 120);
    assert_eq!(answer["token_type"], "Bearer");
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    let granted: Value = serde_json::from_str(&details()).unwrap();
    assert_eq!(answer["authorization_details"], granted);
    assert_eq!(claims["authorization_details"], granted);
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["client_id"], "payer");
    assert_eq!(claims["aud"], TOOLS);
    assert_eq!(claims["exp"], NOW + 120);
    assert_eq!(claims["auth_time"], NOW);
    assert_eq!(claims.get("scope"), None);
    assert!(claims["cnf"]["jwk"].is_object());
    let identity = answer["id_token"]
        .as_str()
        .unwrap()
        .split('.')
        .nth(1)
        .unwrap();
    let identity: Value =
        serde_json::from_slice(&aims_jose::base64url::decode(identity).unwrap()).unwrap();
    assert_eq!(
        (&identity["sub"], &identity["aud"]),
        (&json!("alice"), &json!("payer"))
    );
    // Once.
    assert_eq!(
        poll(&authority, &key, &id, now()),
        refused(400, "invalid_grant")
    );
}

/// CIBA-01: nothing of it is there unless it is switched on.
#[test]
fn it_is_off_by_default_and_the_metadata_says_so() {
    let key = key();
    let on = with_payer(payer(&key)).build(now()).unwrap();
    let metadata: Value = serde_json::from_str(&on.oauth().metadata()).unwrap();
    assert_eq!(
        metadata["backchannel_authentication_endpoint"],
        format!("{BASE}/backchannel")
    );
    let modes = json!(["poll", "ping"]);
    assert_eq!(
        metadata["backchannel_token_delivery_modes_supported"],
        modes
    );
    assert_eq!(metadata["backchannel_user_code_parameter_supported"], true);
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    assert!(grants.contains(&json!(CIBA)));

    let off = builder().users(Arc::new(ByField)).client(payer(&key));
    let off = off.build(now()).unwrap();
    let metadata: Value = serde_json::from_str(&off.oauth().metadata()).unwrap();
    let names = metadata.as_object().unwrap().keys();
    assert!(names.clone().all(|it| !it.starts_with("backchannel")));
    for (method, path) in [
        ("POST", "/backchannel"),
        ("GET", "/approvals"),
        ("POST", "/approvals/decision"),
    ] {
        let answer = send(&off, &request(method, path, &[FORM], ""), now());
        assert_eq!(answer.status(), 404, "{path}");
    }
    let other = Client::with_keys("other", key_set(&key)).allow(TOOLS, ["call"]);
    let on = with_payer(payer(&key)).client(other).build(now()).unwrap();
    let details = details();
    let all = good(&details);
    let found = judged(&post(&on, "/backchannel", ("other", &key), &all, now()));
    assert_eq!(found, refused(400, "unauthorized_client"));
    let public = public().backchannel_poll();
    let error = with_payer(payer(&key))
        .client(public)
        .build(now())
        .unwrap_err();
    assert_eq!(error.code(), "authority.clients");
    let bad = payer(&key).backchannel_ping("http://payer.example/ping");
    assert_eq!(
        with_payer(bad).build(now()).unwrap_err().code(),
        "authority.clients"
    );
}

/// CIBA-11, CIBA-30: each request differs from a good one in one parameter.
#[test]
fn malformed_requests_are_refused() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let details = details();
    let good = good(&details);
    let long = "x".repeat(257);
    let message = "x".repeat(65);
    let class = "c".repeat(1_025);
    for (name, value, error) in [
        ("scope", "", "invalid_request"),
        ("scope", "call", "invalid_request"),
        ("scope", "openid admin", "invalid_scope"),
        ("login_hint", "", "invalid_request"),
        ("login_hint", &long, "invalid_request"),
        ("login_hint", "ali\nce", "invalid_request"),
        ("acr_values", &class, "invalid_request"),
        ("login_hint", "eve", "unknown_user_id"),
        ("login_hint_token", "x", "invalid_request"),
        ("id_token_hint", "x", "invalid_request"),
        ("resource", "https://other.example", "invalid_target"),
        ("resource", "", "invalid_target"),
        ("requested_expiry", "0", "invalid_request"),
        ("requested_expiry", "-1", "invalid_request"),
        ("requested_expiry", "+60", "invalid_request"),
        ("requested_expiry", "1.5", "invalid_request"),
        ("binding_message", "pay me", "invalid_binding_message"),
        ("binding_message", &message, "invalid_binding_message"),
        ("request", "x", "invalid_request"),
    ] {
        let found = ask(&authority, &key, &with(&good, name, value), now());
        assert_eq!(found, refused(400, error), "{name} {value}");
    }
    // A user who could be taken for a client is an error of the application.
    let found = ask(&authority, &key, &with(&good, "login_hint", "payer"), now());
    assert_eq!(found, refused(503, "server_error"));
    // An approval of nothing.
    let bare = with(&good, "authorization_details", "");
    assert_eq!(
        ask(&authority, &key, &bare, now()),
        refused(400, "invalid_scope")
    );
    // Nothing waits, and the good one is accepted, with its code and an unknown parameter.
    assert!(inbox(&authority, "alice", now()).fields.is_empty());
    let code = call().digest().short_code();
    let good = with(&with(&good, "binding_message", &code), "unknown", "x");
    assert!(ask(&authority, &key, &good, now()).is_ok());
}

/// RAR-02, T-113: what the page shows is what the digest says.
#[test]
fn the_details_of_a_call_must_agree() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let entry: Value = serde_json::from_str::<Vec<Value>>(&details())
        .unwrap()
        .remove(0);
    let changed = |name: &str, value: Value| {
        let mut entry = entry.clone();
        entry[name] = value;
        entry
    };
    let without = |name: &str| {
        let mut entry = entry.clone();
        entry.as_object_mut().unwrap().remove(name);
        entry
    };
    let other = json!({"type": "aims_tool", "actions": ["list"]});
    let cases = [
        json!([changed("tool", json!("list"))]),
        json!([changed("arguments", json!({"to": "bob", "amount": 10}))]),
        json!([changed("arguments", json!({"to": "bob"}))]),
        json!([changed("call_digest", json!("x"))]),
        json!([changed("actions", json!(["transfer", "list"]))]),
        json!([changed("note", json!("harmless"))]),
        json!([changed("datatypes", json!(["balances"]))]),
        json!([changed("privileges", json!(["admin"]))]),
        json!([changed("locations", json!([FILES]))]),
        json!([without("tool")]),
        json!([without("arguments")]),
        json!([without("call_digest")]),
        json!([entry, other]),
        json!([entry, entry]),
    ];
    for case in cases {
        let text = case.to_string();
        let found = ask(&authority, &key, &good(&text), now());
        assert_eq!(
            found,
            refused(400, "invalid_authorization_details"),
            "{text}"
        );
    }
    let found = ask(
        &authority,
        &key,
        &{
            let mut all = good("x");
            all.retain(|(name, _)| *name != "authorization_details");
            all.push(("resource", FILES));
            all
        },
        now(),
    );
    assert_eq!(found, refused(400, "invalid_scope"));
    // The number that a double cannot hold is refused before it is rounded.
    let big = details().replace("10.5", "9007199254740993");
    let found = ask(&authority, &key, &good(&big), now());
    assert_eq!(found, refused(400, "invalid_authorization_details"));
    // Two resources beside one call.
    let details = details();
    let mut two = good(&details);
    two.push(("resource", FILES));
    let found = ask(&authority, &key, &two, now());
    assert_eq!(found, refused(400, "invalid_authorization_details"));
}

/// T-163: text of the client shows up as text, and is marked as unverified.
#[test]
fn the_page_renders_what_is_typed_and_escapes_the_rest() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let arguments = br#"{"note":"<script>alert(1)</script>\u202e","<b>x":[1,{"y":null}]}"#;
    let call = ToolCall::new("<i>pay</i>", Some(arguments)).unwrap();
    let details = call.details(TOOLS).to_json();
    ask(&authority, &key, &good(&details), now()).unwrap();
    let text = [
        ("scope", "openid list"),
        ("resource", TOOLS),
        ("login_hint", "bob"),
        ("binding_message", "<b>Your bank</b> says: approve"),
    ];
    ask(&authority, &key, &text, now()).unwrap();
    let response = open(&authority, &[("x-user", "alice")], now());
    let policy = field(&response, "content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self';",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
    assert_eq!(field(&response, "x-frame-options"), "DENY");
    assert_eq!(field(&response, "cache-control"), "no-store");
    let html = read(&response).html;
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}"),
        "{html}"
    );
    assert!(html.contains("&lt;i&gt;pay&lt;/i&gt;"));
    for absent in ["<script", "<b>", "<i>", "<a ", "unverified"] {
        assert!(!html.contains(absent), "{absent}");
    }
    let html = inbox(&authority, "bob", now()).html;
    assert!(html.contains("Message of the program (unverified)</dt><dd>&lt;b&gt;Your bank"));
    assert!(html.contains("<dt>It may use</dt><dd>list</dd>"));
    // No user is signed in.
    let response = open(&authority, &[], now());
    assert_eq!(response.status(), 303);
    assert_eq!(field(&response, "location"), "https://app.example/sign-in");
}

/// Parameters of a form, and header fields.
type Case<'a> = (Vec<(&'a str, &'a str)>, Vec<(&'a str, &'a str)>);

/// T-163: each form differs from the page's own in one property, and decides nothing.
#[test]
fn only_the_user_of_the_hint_decides_on_the_own_page() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let details = details();
    let id = id(&ask(&authority, &key, &good(&details), now()).unwrap());
    let bob = with(&good(&details), "login_hint", "bob");
    ask(&authority, &key, &bob, now()).unwrap();
    let page = inbox(&authority, "alice", now());
    let bobs = inbox(&authority, "bob", now());
    assert_ne!(value(&page, "request"), value(&bobs, "request"));
    assert_eq!(page.fields.len(), 2, "alice does not see what is for bob");
    let (bobs_csrf, bobs_request) = (value(&bobs, "csrf"), value(&bobs, "request"));
    let two = format!("{}; {}", page.cookie, bobs.cookie);
    let allow = ("decision", "allow");
    let cases: Vec<Case<'_>> = vec![
        (vec![], vec![]),
        (vec![("decision", "ALLOW")], vec![]),
        (vec![allow, ("csrf", "")], vec![]),
        (vec![allow, ("csrf", &bobs_csrf)], vec![]),
        (vec![allow, ("csrf", "AAAA")], vec![]),
        (vec![allow, ("request", "")], vec![]),
        (vec![allow, ("request", "x")], vec![]),
        (vec![allow, ("request", &bobs_request)], vec![]),
        (vec![allow], vec![("cookie", "")]),
        (vec![allow], vec![("cookie", &bobs.cookie)]),
        (vec![allow], vec![("cookie", &two)]),
        (vec![allow], vec![("x-user", "bob")]),
        (vec![allow], vec![("sec-fetch-site", "cross-site")]),
        (vec![allow], vec![("sec-fetch-site", "same-site")]),
        (vec![allow], vec![("origin", "https://evil.example")]),
    ];
    for (pairs, fields) in cases {
        let answer = submit(&authority, &page, &pairs, &fields, now());
        assert_eq!(answer.status(), 403, "{pairs:?} {fields:?}");
    }
    // A user who signed out is asked to sign in, and nothing is decided.
    let answer = submit(&authority, &page, &[allow], &[("x-user", "")], now());
    assert_eq!(field(&answer, "location"), "https://app.example/sign-in");
    let pending = refused(400, "authorization_pending");
    assert_eq!(poll(&authority, &key, &id, at(NOW + 10)), pending);
    // The own form decides, once.
    let answer = submit(&authority, &page, &[allow], &[], now());
    assert_eq!(answer.status(), 303);
    for decision in ["allow", "deny"] {
        let again = submit(&authority, &page, &[("decision", decision)], &[], now());
        assert_eq!(again.status(), 403, "{decision}");
    }
    assert!(poll(&authority, &key, &id, at(NOW + 20)).is_ok());
}

/// STEP-02, STEP-04: the sign-in of the decision is of the class that the client asked for.
#[test]
fn an_approval_needs_the_requested_class_of_sign_in() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let details = details();
    let asked = with(&good(&details), "acr_values", "mfa");
    let id = id(&ask(&authority, &key, &asked, now()).unwrap());
    let page = inbox(&authority, "alice", now());
    let allow = [("decision", "allow")];
    let answer = submit(&authority, &page, &allow, &[], now());
    assert_eq!(field(&answer, "location"), "https://app.example/factor");
    let pending = refused(400, "authorization_pending");
    assert_eq!(poll(&authority, &key, &id, now()), pending);
    let answer = submit(&authority, &page, &allow, &[("x-factor", "1")], now());
    assert_eq!(field(&answer, "location"), format!("{BASE}/approvals"));
    let answer = poll(&authority, &key, &id, now()).unwrap();
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    assert_eq!(claims["acr"], "mfa");
}

/// CIBA-07: denial, expiry, an unknown request, and one of another client.
#[test]
fn what_was_not_approved_gives_no_token() {
    let key = key();
    let other = Client::with_keys("other", key_set(&key))
        .allow(TOOLS, ["call"])
        .backchannel_poll();
    let third = Client::with_keys("third", key_set(&key)).allow(TOOLS, ["call"]);
    let authority = with_payer(payer(&key)).client(other).client(third);
    let authority = authority.build(now()).unwrap();
    let details = details();
    let denied = id(&ask(&authority, &key, &good(&details), now()).unwrap());
    decide(&authority, "deny", now());
    for _ in 0..2 {
        assert_eq!(
            poll(&authority, &key, &denied, now()),
            refused(400, "access_denied")
        );
    }
    let short = with(&good(&details), "requested_expiry", "60");
    let late = ask(&authority, &key, &short, now()).unwrap();
    assert_eq!(late["expires_in"], 60);
    let late = id(&late);
    let page = inbox(&authority, "alice", at(NOW + 60));
    let allow = [("decision", "allow")];
    let answer = submit(&authority, &page, &allow, &[], at(NOW + 61));
    assert_eq!(answer.status(), 403);
    assert!(inbox(&authority, "alice", at(NOW + 61)).fields.is_empty());
    let found = poll(&authority, &key, &late, at(NOW + 61));
    assert_eq!(found, refused(400, "expired_token"));
    assert_eq!(
        poll(&authority, &key, &late, at(NOW + 400)),
        refused(400, "invalid_grant")
    );

    let then = at(NOW + 500);
    let mine = id(&ask(&authority, &key, &good(&details), then).unwrap());
    decide(&authority, "allow", then);
    let all = [("grant_type", CIBA), ("auth_req_id", mine.as_str())];
    for (client, error) in [("other", "invalid_grant"), ("third", "unauthorized_client")] {
        let found = judged(&post(&authority, "/token", (client, &key), &all, then));
        assert_eq!(found, refused(400, error), "{client}");
    }
    let wrong = [
        ("grant_type", CIBA),
        ("auth_req_id", mine.as_str()),
        ("resource", FILES),
    ];
    let found = judged(&post(&authority, "/token", ("payer", &key), &wrong, then));
    assert_eq!(found, refused(400, "invalid_target"));
    let bare = [("grant_type", CIBA)];
    let found = judged(&post(&authority, "/token", ("payer", &key), &bare, then));
    assert_eq!(found, refused(400, "invalid_request"));
    let unknown = sha256_base64url("x");
    assert_eq!(
        poll(&authority, &key, &unknown, then),
        refused(400, "invalid_grant")
    );
    // None of it has used the approval up. It waits for two minutes.
    assert!(poll(&authority, &key, &mine, at(NOW + 620)).is_ok());
    let again = id(&ask(
        &authority,
        &key,
        &with(&short, "requested_expiry", "1"),
        then,
    )
    .unwrap());
    decide(&authority, "allow", then);
    let found = poll(&authority, &key, &again, at(NOW + 621));
    assert_eq!(found, refused(400, "expired_token"));
}

/// CIBA-06, CIBA-07: polling too fast is slowed down for good, and a decision is given at once.
#[test]
fn a_client_that_polls_too_fast_is_slowed_down() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let id = id(&ask(&authority, &key, &good(&details()), now()).unwrap());
    let expected = [
        (0, "authorization_pending"),
        (5, "authorization_pending"),
        (9, "slow_down"),
        (18, "slow_down"),
        (33, "authorization_pending"),
        (48, "authorization_pending"),
    ];
    for (after, error) in expected {
        let found = poll(&authority, &key, &id, at(NOW + after));
        assert_eq!(found, refused(400, error), "{after}");
    }
    decide(&authority, "allow", at(NOW + 48));
    assert!(poll(&authority, &key, &id, at(NOW + 48)).is_ok());
}

/// T-114: one request of a client waits for a user; another one needs the decision, the end, or
/// the withdrawal of the first.
#[test]
fn a_user_is_not_flooded() {
    let key = key();
    let mut authority = with_payer(payer(&key));
    for n in 0..17 {
        let client = Client::with_keys(format!("c{n}"), key_set(&key));
        let client = client.allow(TOOLS, ["call"]).backchannel_poll();
        authority = authority.client(client);
    }
    let authority = authority.build(now()).unwrap();
    let details = details();
    let first = id(&ask(&authority, &key, &good(&details), now()).unwrap());
    let busy = refused(429, "temporarily_unavailable");
    assert_eq!(ask(&authority, &key, &good(&details), now()), busy);
    let bob = with(&good(&details), "login_hint", "bob");
    assert!(ask(&authority, &key, &bob, now()).is_ok());
    // Another client cannot withdraw it.
    for (client, is_free) in [("c0", false), ("payer", true)] {
        let all = [("token", first.as_str())];
        let answer = post(&authority, "/revoke", (client, &key), &all, now());
        assert_eq!(answer.status(), 200);
        let free = inbox(&authority, "alice", now()).fields.is_empty();
        assert_eq!(free, is_free, "{client}");
    }
    assert_eq!(
        poll(&authority, &key, &first, now()),
        refused(400, "invalid_grant")
    );
    assert!(ask(&authority, &key, &good(&details), now()).is_ok());
    assert!(ask(&authority, &key, &good(&details), at(NOW + 301)).is_ok());

    let all = [
        ("scope", "openid call"),
        ("resource", TOOLS),
        ("login_hint", "alice"),
    ];
    for n in 0..16 {
        let client = format!("c{n}");
        let answer = post(
            &authority,
            "/backchannel",
            (&client, &key),
            &all,
            at(NOW + 301),
        );
        let status = if n < 15 { 200 } else { 429 };
        assert_eq!(answer.status(), status, "{n}");
    }
    // A client has a rate, for all its users together.
    let unknown = with(&all, "login_hint", "eve");
    for n in 0..40 {
        let by = ("c16", &key);
        let answer = post(&authority, "/backchannel", by, &unknown, at(NOW + 302));
        let expected = if n < 30 {
            refused(400, "unknown_user_id")
        } else {
            busy.clone()
        };
        assert_eq!(judged(&answer), expected, "{n}");
    }
}

/// CIBA-03: a user code is required where the user has one, and guessing ends.
#[test]
fn a_user_code_is_compared() {
    let key = key();
    let other = Client::with_keys("other", key_set(&key))
        .allow(TOOLS, ["call"])
        .allow_details("aims_tool")
        .backchannel_poll();
    let authority = with_payer(payer(&key)).client(other).build(now()).unwrap();
    let details = details();
    let carol = with(&good(&details), "login_hint", "carol");
    let missing = refused(400, "missing_user_code");
    assert_eq!(ask(&authority, &key, &carol, now()), missing);
    let wrong = with(&carol, "user_code", "2719");
    for _ in 0..5 {
        let found = ask(&authority, &key, &wrong, now());
        assert_eq!(found, refused(400, "invalid_user_code"));
    }
    let busy = refused(429, "temporarily_unavailable");
    assert_eq!(ask(&authority, &key, &wrong, now()), busy);
    // A right one tells nothing until there is room for a guess again.
    let right = with(&carol, "user_code", "2718");
    assert_eq!(ask(&authority, &key, &right, now()), busy);
    // The guesses of one client are not those of another one.
    let other = judged(&post(
        &authority,
        "/backchannel",
        ("other", &key),
        &right,
        now(),
    ));
    assert!(other.is_ok());
    // Right ones are not counted, or only the first one of this minute would be accepted.
    for _ in 0..3 {
        let answer = ask(&authority, &key, &right, at(NOW + 60)).unwrap();
        let all = [("token", answer["auth_req_id"].as_str().unwrap())];
        let given_up = post(&authority, "/revoke", ("payer", &key), &all, at(NOW + 60));
        assert_eq!(given_up.status(), 200);
    }
}

fn signed_claims(now: UnixTime) -> Value {
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let seconds = now.as_secs();
    let details: Value = serde_json::from_str(&details()).unwrap();
    json!({
        "iss": "payer", "aud": BASE, "jti": jti, "iat": seconds, "nbf": seconds,
        "exp": seconds + 60, "scope": "openid", "login_hint": "alice", "resource": TOOLS,
        "authorization_details": details, "requested_expiry": 90,
    })
}

/// CIBA-04: a signed request has everything in the JWT, and counts once.
#[test]
fn a_signed_request_is_verified() {
    let key = key();
    let client = payer(&key).require_signed_approvals();
    let authority = with_payer(client).build(now()).unwrap();
    let send = |text: &str| ask(&authority, &key, &[("request", text)], now());
    let bad = refused(400, "invalid_request");
    assert_eq!(ask(&authority, &key, &good(&details()), now()), bad);
    let mut changed: Vec<(&str, Option<Value>)> = Vec::new();
    for name in [
        "iss",
        "aud",
        "jti",
        "iat",
        "nbf",
        "exp",
        "scope",
        "login_hint",
    ] {
        changed.push((name, None));
    }
    changed.extend([
        ("iss", Some(json!("other"))),
        ("aud", Some(json!([BASE, "https://other.example"]))),
        ("aud", Some(json!("https://other.example"))),
        ("sub", Some(json!("payer"))),
        ("jti", Some(json!(""))),
        ("jti", Some(json!("x".repeat(257)))),
        ("exp", Some(json!(NOW - 31))),
        ("exp", Some(json!(NOW + 7_200))),
        ("nbf", Some(json!(NOW + 60))),
        ("login_hint", Some(json!(["alice"]))),
        ("login_hint", Some(json!(true))),
        ("user_code", Some(json!({"a": 1}))),
    ]);
    for (name, value) in changed {
        let mut claims = signed_claims(now());
        let members = claims.as_object_mut().unwrap();
        members.remove(name);
        if let Some(value) = &value {
            members.insert(name.to_owned(), value.clone());
        }
        let found = send(&sign("JWT", &claims, &key));
        assert_eq!(found, bad, "{name} {value:?}");
    }
    let other = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    assert_eq!(send(&sign("JWT", &signed_claims(now()), &other)), bad);
    for typ in ["client-authentication+jwt", "at+jwt", "dpop+jwt"] {
        assert_eq!(send(&sign(typ, &signed_claims(now()), &key)), bad, "{typ}");
    }
    let text = sign("JWT", &signed_claims(now()), &key);
    // A parameter outside the JWT.
    let outside = [("request", text.as_str()), ("login_hint", "bob")];
    assert_eq!(ask(&authority, &key, &outside, now()), bad);
    let answer = send(&text).unwrap();
    assert_eq!(answer["expires_in"], 90);
    decide(&authority, "allow", now());
    assert!(poll(&authority, &key, &id(&answer), now()).is_ok());
    assert_eq!(send(&text), bad, "a replay");
    // A client without registered keys cannot be made to sign.
    let agents = Client::spiffe("spiffe://example.org/agents/z".parse().unwrap());
    let agents = agents.allow(TOOLS, ["call"]).require_signed_approvals();
    let error = with_payer(agents).build(now()).unwrap_err();
    assert_eq!(error.code(), "authority.clients");
}

/// CIBA-08, CIBA-30: a ping has the id and the token of the client, and goes out once.
#[test]
fn a_ping_tells_of_the_decision() {
    let key = key();
    let client = payer(&key).backchannel_ping(PING);
    let authority = with_payer(client).build(now()).unwrap();
    let details = details();
    let good = with(&good(&details), "client_notification_token", PING_TOKEN);
    let long = "x".repeat(1_025);
    for token in [
        "",
        "short",
        "with blanks in it 0123456789",
        "=".repeat(30).as_str(),
        &long,
    ] {
        let found = ask(
            &authority,
            &key,
            &with(&good, "client_notification_token", token),
            now(),
        );
        assert_eq!(found, refused(400, "invalid_request"), "{token}");
    }
    for decision in ["allow", "deny"] {
        let id = id(&ask(&authority, &key, &good, now()).unwrap());
        assert!(authority.take_ping().is_none());
        decide(&authority, decision, now());
        let ping = authority.take_ping().unwrap();
        assert_eq!(ping.method(), "POST");
        assert_eq!(ping.uri(), PING);
        let bearer = format!("Bearer {PING_TOKEN}");
        assert_eq!(ping.headers()["authorization"], bearer.as_str());
        assert_eq!(ping.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_slice(ping.body()).unwrap();
        assert_eq!(body, json!({ "auth_req_id": id }));
        assert!(authority.take_ping().is_none());
        let debug = format!("{:?}", authority.oauth());
        assert!(!debug.contains(PING_TOKEN) && !debug.contains(&id));
    }
}

/// A ping whose request was refused or given up is not kept.
#[test]
fn no_ping_is_kept_for_a_request_that_waits_no_more() {
    let key = key();
    let client = payer(&key).backchannel_ping(PING);
    let authority = with_payer(client).build(now()).unwrap();
    let details = details();
    let good = with(&good(&details), "client_notification_token", PING_TOKEN);
    let kept = || format!("{:?}", authority.oauth()).matches("Ping {").count();
    let id = id(&ask(&authority, &key, &good, now()).unwrap());
    assert_eq!(kept(), 1);
    let busy = refused(429, "temporarily_unavailable");
    assert_eq!(ask(&authority, &key, &good, now()), busy);
    assert_eq!(kept(), 1);
    let all = [("token", id.as_str())];
    post(&authority, "/revoke", ("payer", &key), &all, now());
    assert_eq!(kept(), 0);
}

/// A client without the right to ask spends no proof: its DPoP header is not read.
#[test]
fn a_client_that_may_not_ask_is_refused_first() {
    let key = key();
    let authority = with_payer(payer(&key)).client(public());
    let authority = authority.build(now()).unwrap();
    let all = form(&[("client_id", "cli"), ("scope", "openid")]);
    let fields = [FORM, ("dpop", "malformed")];
    let asked = request("POST", "/backchannel", &fields, &all);
    let found = judged(&send(&authority, &asked, now()));
    assert_eq!(found, refused(400, "unauthorized_client"));
}

/// The scopes and resources of a request without details go into the token that names one.
#[test]
fn scopes_are_approved_as_well() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let all = [
        ("scope", "openid list read"),
        ("resource", TOOLS),
        ("resource", FILES),
        ("login_hint", "alice"),
    ];
    let id = id(&ask(&authority, &key, &all, now()).unwrap());
    decide(&authority, "allow", now());
    assert_eq!(
        poll(&authority, &key, &id, now()),
        refused(400, "invalid_target")
    );
    let one = [
        ("grant_type", CIBA),
        ("auth_req_id", id.as_str()),
        ("resource", FILES),
    ];
    let answer = judged(&post(&authority, "/token", ("payer", &key), &one, now())).unwrap();
    assert_eq!(answer["scope"], "read");
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer.get("authorization_details"), None);
}

/// The page shows the scopes beside the one call, and the token has both.
#[test]
fn an_approval_may_have_scopes() {
    let key = key();
    let authority = with_payer(payer(&key)).build(now()).unwrap();
    let details = details();
    let asked = with(&good(&details), "scope", "call openid list");
    let id = id(&ask(&authority, &key, &asked, now()).unwrap());
    let page = inbox(&authority, "alice", now());
    for shown in [
        "<dt>It may use</dt><dd>call, list</dd>",
        "<strong>transfer</strong>",
    ] {
        assert!(page.html.contains(shown), "{shown} in {}", page.html);
    }
    decide(&authority, "allow", now());
    let answer = poll(&authority, &key, &id, now()).unwrap();
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    let granted: Value = serde_json::from_str(&details).unwrap();
    assert_eq!(claims["scope"], "call list");
    assert_eq!(claims["authorization_details"], granted);
    // A scope that the client may not have is refused before the person sees it.
    let asked = with(&good(&details), "scope", "openid read");
    let found = ask(&authority, &key, &asked, now());
    assert_eq!(found, refused(400, "invalid_scope"));
}

/// RFC 9449 §5.2: a poll without the required proof spends no approval, and one with it gives a
/// token that is bound to its key.
#[test]
fn an_approval_may_be_bound_to_a_key() {
    let (key, holder) = (key(), key());
    let client = payer(&key).require_dpop();
    let authority = with_payer(client).build(now()).unwrap();
    let details = details();
    let id = id(&ask(&authority, &key, &good(&details), now()).unwrap());
    decide(&authority, "allow", now());
    let missing = refused(400, "invalid_request");
    assert_eq!(poll(&authority, &key, &id, now()), missing);
    let place = format!("{BASE}/token");
    let (jwk, algorithm) = (holder.public_jwk(), holder.algorithm());
    let random = aims_jose::random::SYSTEM;
    let proof = Binding::to("POST", &place).prepare_with(None, jwk, algorithm, random, now());
    let proof = proof.unwrap().sign(&holder).unwrap();
    let assertion = assertion("payer", &key, now());
    let all = form(&[
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
        ("grant_type", CIBA),
        ("auth_req_id", &id),
    ]);
    let fields = [FORM, ("dpop", proof.expose())];
    let answer = send(&authority, &request("POST", "/token", &fields, &all), now());
    let answer = judged(&answer).unwrap();
    assert_eq!(answer["token_type"], "DPoP");
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    let jkt = holder.public_jwk().thumbprint().to_string();
    assert_eq!(claims["cnf"], json!({"jkt": jkt}));
}

/// The authorization code gives a token for one call without a refresh token, and its page shows
/// the call in the same way.
#[test]
fn a_code_for_one_call_is_not_renewed() {
    let authority = with_users().client(public()).build(now()).unwrap();
    let details = details();
    let asked = common::browser::with("authorization_details", Some(&details));
    let page = common::browser::page(&authority, &asked, now());
    assert!(
        page.html
            .contains("<dt>Argument amount</dt><dd><pre>10.5</pre>")
    );
    assert!(!page.html.contains("unverified"));
    let code = common::browser::code(&authority, &asked, now());
    let answer = redeem(&authority, &code, &[], &[], now()).unwrap();
    assert_eq!(answer.get("refresh_token"), None);
    assert_eq!(answer["expires_in"], 120);
}

/// T-113: a token for one call has no second token beside it, not even for the same tool.
#[test]
fn a_token_for_one_call_is_not_exchanged() {
    let key = key();
    let tool = Client::with_keys("tool", key_set(&key))
        .serves(TOOLS)
        .allow(TOOLS, ["call", "list"]);
    let rows = ScopeTable::new([("call", "call")]).unwrap();
    let table = ExchangeTable::new().allow(TOOLS, TOOLS, rows);
    let authority = with_payer(payer(&key))
        .client(tool)
        .exchange(Arc::new(table));
    let authority = authority.build(now()).unwrap();
    let details = details();
    let approved = with(&good(&details), "scope", "openid call");
    let scoped = [
        ("scope", "openid call"),
        ("resource", TOOLS),
        ("login_hint", "alice"),
    ];
    for (asked, expected) in [
        (&approved[..], refused(400, "invalid_request")),
        (&scoped[..], Ok(json!("call"))),
    ] {
        let id = id(&ask(&authority, &key, asked, now()).unwrap());
        decide(&authority, "allow", now());
        let answer = poll(&authority, &key, &id, now()).unwrap();
        let all = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", answer["access_token"].as_str().unwrap()),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("resource", TOOLS),
        ];
        let found = judged(&post(&authority, "/token", ("tool", &key), &all, now()));
        assert_eq!(found.map(|it| it["scope"].clone()), expected);
    }
}

#[derive(Debug)]
struct Shop;

impl TransactionPolicy for Shop {
    fn decide(
        &self,
        _exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        let scopes = ScopeTable::new([("call", "order")]).unwrap();
        Some(Transaction::new(scopes).with_details(details.clone()))
    }
}

/// T-113: a token for one call opens one transaction, and another token as many as it likes.
#[test]
fn a_token_for_one_call_opens_one_transaction() {
    let key = key();
    let tool = Client::with_keys("tool", key_set(&key)).serves(TOOLS);
    let authority = with_payer(payer(&key)).client(tool);
    let authority = authority.transactions(Arc::new(Shop)).build(now()).unwrap();
    let details = details();
    let approved = with(&good(&details), "scope", "openid call");
    let scoped = [
        ("scope", "openid call"),
        ("resource", TOOLS),
        ("login_hint", "alice"),
    ];
    let call = json!({"call_digest": call().digest().to_string()}).to_string();
    let opened = Ok(json!("order"));
    let spent = refused(400, "invalid_request");
    for (asked, second) in [(&approved[..], &spent), (&scoped[..], &opened)] {
        // Each approval has a call of its own to spend.
        for _ in 0..2 {
            let id = id(&ask(&authority, &key, asked, now()).unwrap());
            decide(&authority, "allow", now());
            let answer = poll(&authority, &key, &id, now()).unwrap();
            let all = [
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                ),
                ("subject_token", answer["access_token"].as_str().unwrap()),
                (
                    "subject_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
                (
                    "requested_token_type",
                    "urn:ietf:params:oauth:token-type:txn_token",
                ),
                ("audience", "example.org"),
                ("request_details", &call),
            ];
            for expected in [&opened, second] {
                let found = judged(&post(&authority, "/token", ("tool", &key), &all, now()));
                assert_eq!(found.map(|it| it["scope"].clone()), *expected);
            }
        }
    }
}

/// An approval outlives the process, with the state in a file.
#[cfg(feature = "sqlite")]
#[test]
fn what_waits_survives_the_process() {
    use aims_authority::SqliteState;

    let folder = folder::Folder::new();
    let path = folder.path("state.db");
    let key = key();
    let start = || {
        let state = SqliteState::open(&path).unwrap();
        let builder = with_payer(payer(&key)).state(Arc::new(state));
        builder.build(now()).unwrap()
    };
    let id = id(&ask(&start(), &key, &good(&details()), now()).unwrap());
    let old = inbox(&start(), "alice", now());
    let authority = start();
    // The page of the process before must be loaded again.
    let answer = submit(&authority, &old, &[("decision", "allow")], &[], now());
    assert_eq!(answer.status(), 403);
    decide(&authority, "allow", now());
    drop(authority);
    let authority = start();
    assert!(poll(&authority, &key, &id, now()).is_ok());
    assert_eq!(
        poll(&authority, &key, &id, now()),
        refused(400, "invalid_grant")
    );
    drop(authority);
    // The file has no secret of a client.
    let stored = std::fs::read(&path).unwrap();
    assert!(!stored.windows(id.len()).any(|it| it == id.as_bytes()));
}

/// DEL-12: an approval that its client has not fetched ends with the revocation of its user.
#[test]
fn a_revoked_user_has_approved_nothing() {
    let (key, details) = (key(), details());
    let state = Arc::new(MemoryState::new());
    let authority = with_payer(payer(&key)).state(state.clone());
    let authority = authority.build(now()).unwrap();
    let revoke = |subject: &str, time: u64| {
        AuthorizationServer::revoke_subject_in(state.as_ref(), subject, at(time)).unwrap();
    };
    let approved = |time: u64| {
        let answer = ask(&authority, &key, &good(&details), at(time)).unwrap();
        decide(&authority, "allow", at(time));
        id(&answer)
    };
    let first = approved(NOW);
    revoke("bob", NOW + 1);
    revoke("alice", NOW + 1);
    let ended = refused(400, "invalid_grant");
    assert_eq!(poll(&authority, &key, &first, at(NOW + 2)), ended);
    let second = approved(NOW + 2);
    assert!(poll(&authority, &key, &second, at(NOW + 3)).is_ok());
    // Nor does it serve a client that was revoked.
    let third = approved(NOW + 4);
    revoke("payer", NOW + 5);
    assert_eq!(poll(&authority, &key, &third, at(NOW + 6)), ended);
}
