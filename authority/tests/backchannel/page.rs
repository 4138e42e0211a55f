//! The page on which a user decides.

use aims_oauth_wire::call::ToolCall;

use super::payer::{
    ask, details, good, id, inbox, key, open, payer, poll, submit, value, with, with_payer,
};
use crate::common::browser::read;
use crate::common::endpoint::{refused, verified};
use crate::common::{BASE, NOW, TOOLS, at, field, now};

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
