//! The tokens for one call.

use std::sync::Arc;

use aims_authority::{Authority, Client, ExchangeTable, OutgoingGrants};
use aims_jose::key::SigningKey;
use aims_oauth_wire::delegate::ScopeTable;
use serde_json::{Value, json};

use super::payer::{
    approved, ask, call, decide, details, good, id, inbox, key, payer, poll, post, with, with_payer,
};
use crate::common::browser::{public, redeem, with_users};
use crate::common::endpoint::{
    ACCESS_TOKEN, EXCHANGE, TXN_TOKEN, judged, refused, send_as, verified,
};
use crate::common::orders::{Orders, SameNames};
use crate::common::{self, NOW, TOOLS, key_set, now};

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
    assert_eq!(identity["authorization_details"], granted);
    // Once.
    assert_eq!(
        poll(&authority, &key, &id, now()),
        refused(400, "invalid_grant")
    );
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
    let for_call = with(&good(&details), "scope", "openid call");
    let scoped = [
        ("scope", "openid call"),
        ("resource", TOOLS),
        ("login_hint", "alice"),
    ];
    for (asked, expected) in [
        (&for_call[..], refused(400, "invalid_request")),
        (&scoped[..], Ok(json!("call"))),
    ] {
        let answer = approved(&authority, &key, asked);
        let all = [
            ("grant_type", EXCHANGE),
            ("subject_token", answer["access_token"].as_str().unwrap()),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", TOOLS),
        ];
        let found = judged(&post(&authority, "/token", ("tool", &key), &all, now()));
        assert_eq!(found.map(|it| it["scope"].clone()), expected);
    }
}

/// JAG-30: neither token of the approval of one call gives an identity assertion. The ID token of
/// an approval of scopes does.
#[test]
fn the_approval_of_one_call_is_no_login_elsewhere() {
    const BANK: &str = "https://as.bank.example";
    const TYPE: &str = "urn:ietf:params:oauth:token-type:";
    let key = key();
    let rows = ScopeTable::new([("call", "read")]).unwrap();
    let bank = OutgoingGrants::new(BANK.parse().unwrap(), Arc::new(SameNames))
        .resource("https://accounts.bank.example".parse().unwrap())
        .scopes(TOOLS, rows)
        .id_token_scopes(common::BASE, ["read"])
        .issue_id_jag();
    let authority = with_payer(payer(&key).known_as(BANK, "payer")).outgoing_grants(bank);
    let authority = authority.build(now()).unwrap();
    let details = details();
    let for_call = good(&details);
    let scoped = with(
        &with(&for_call, "scope", "openid call"),
        "authorization_details",
        "",
    );
    let id_jag = format!("{TYPE}id-jag");
    for (asked, kind, expected) in [
        (&for_call, "access_token", refused(400, "invalid_request")),
        (&for_call, "id_token", refused(400, "invalid_request")),
        (&scoped, "access_token", Ok(json!("read"))),
        (&scoped, "id_token", Ok(json!("read"))),
    ] {
        let answer = approved(&authority, &key, asked);
        let subject = format!("{TYPE}{kind}");
        let all = [
            ("grant_type", EXCHANGE),
            ("subject_token", answer[kind].as_str().unwrap()),
            ("subject_token_type", &subject),
            ("requested_token_type", &id_jag),
            ("audience", BANK),
        ];
        let found = judged(&post(&authority, "/token", ("payer", &key), &all, now()));
        assert_eq!(found.map(|it| it["scope"].clone()), expected, "{kind}");
    }
}

/// Opens a transaction with the access token of this answer, as the tool.
fn open(
    authority: &Authority,
    key: &SigningKey,
    answer: &Value,
    more: &[(&str, &str)],
) -> Result<Value, (u16, String)> {
    let good = [
        ("grant_type", EXCHANGE),
        ("subject_token", answer["access_token"].as_str().unwrap()),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", TXN_TOKEN),
        ("audience", "example.org"),
    ];
    judged(&send_as(authority, ("tool", key), &good, more, now()))
}

/// T-113: a token for one call opens one transaction, and another token as many as it likes.
#[test]
fn a_token_for_one_call_opens_one_transaction() {
    let key = key();
    let tool = Client::with_keys("tool", key_set(&key)).serves(TOOLS);
    let authority = with_payer(payer(&key)).client(tool);
    let authority = authority
        .transactions(Arc::new(Orders))
        .build(now())
        .unwrap();
    let details = details();
    let for_call = with(&good(&details), "scope", "openid call");
    let scoped = [
        ("scope", "openid call"),
        ("resource", TOOLS),
        ("login_hint", "alice"),
    ];
    let opened = Ok(json!("order"));
    let spent = refused(400, "invalid_request");
    for (asked, second) in [(&for_call[..], &spent), (&scoped[..], &opened)] {
        // Each approval has a call of its own to spend.
        for _ in 0..2 {
            let answer = approved(&authority, &key, asked);
            let post = |more: &[(&str, &str)]| open(&authority, &key, &answer, more);
            // A request that is refused spends nothing.
            let scope = post(&[("scope", "other")]);
            assert_eq!(scope, refused(400, "invalid_scope"));
            for expected in [&opened, second] {
                let found = post(&[]).map(|it| it["scope"].clone());
                assert_eq!(found, *expected);
            }
        }
    }
}

/// TXN-25: the call that a person has approved is the call of the transaction, whatever the policy
/// makes of the parameters of the client.
#[test]
fn a_transaction_is_for_the_approved_call() {
    let key = key();
    let tool = Client::with_keys("tool", key_set(&key)).serves(TOOLS);
    let authority = with_payer(payer(&key)).client(tool);
    let authority = authority
        .transactions(Arc::new(Orders))
        .build(now())
        .unwrap();
    let details = details();
    let for_call = with(&good(&details), "scope", "openid call");
    let other = r#"{"call_digest":"sha-256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    for proposed in ["{}", other] {
        let answer = approved(&authority, &key, &for_call);
        let more = [("request_details", proposed)];
        let found = open(&authority, &key, &answer, &more).unwrap();
        let claims = common::claims(found["access_token"].as_str().unwrap());
        let digest = call().digest().to_string();
        assert_eq!(claims["tctx"], json!({"call_digest": digest}), "{proposed}");
    }
}
