//! The requests of a client for an approval.

use std::sync::Arc;

use aims_authority::Client;
use serde_json::{Value, json};

use super::payer::{
    ByField, CIBA, ask, call, details, good, id, inbox, key, payer, poll, post, with, with_payer,
};
use crate::common::browser::public;
use crate::common::endpoint::{FORM, form, judged, refused};
use crate::common::{BASE, FILES, NOW, TOOLS, at, builder, key_set, now, request, send};

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
    // Without users, no approval could be decided.
    let unused = builder().backchannel(Arc::new(ByField)).build(now());
    let error = unused.unwrap_err();
    assert_eq!(error.code(), "authority.incomplete");
    let text = "`Builder::backchannel` needs `Builder::users`: call both, or neither";
    assert_eq!(error.to_string(), text);
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
