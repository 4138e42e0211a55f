//! A transaction token for an access token.

use serde_json::json;

use super::domain::{BANK, Domain, actors, replacing, text};
use crate::common::browser::USER;
use crate::common::endpoint::{
    ACCESS_TOKEN, EXCHANGE, FORM, JWT_BEARER, ask, assertion_of, form, judged, refused, verified,
};
use crate::common::{NOW, TOOLS, at, body, confirmation, now, request, send};

/// At the border, a transaction token becomes an access token of another service: narrow, as short
/// as the transaction, with the chain.
#[test]
fn the_border_gives_an_access_token() {
    let domain = Domain::new();
    let first = domain.first(&[("scope", "order")]);
    let inner = text(domain.replace("s1", &first, &[], now()));
    let granted = domain
        .take_out("border", &inner, &[], at(NOW + 20))
        .unwrap();
    assert_eq!(granted["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(granted["scope"], "pay");
    assert_eq!(granted["expires_in"], 40);
    assert_eq!(granted.get("refresh_token"), None);
    let token = granted["access_token"].as_str().unwrap();
    let claims = verified(&domain.authority, token, at(NOW + 20));
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&json!(USER), &json!(BANK))
    );
    assert_eq!(claims["client_id"], "border");
    assert_eq!(claims["exp"], NOW + 60);
    assert_eq!(claims["cnf"], confirmation(&domain.key));
    assert_eq!(actors(&claims), ["border", "s1", "gateway", "cli"]);
    // It belongs to the grant: the bank learns that it has ended.
    let introspected = || {
        let assertion = assertion_of("bank", &domain.key, now());
        let form = form(&[
            ("token", token),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ]);
        let request = request("POST", "/introspect", &[FORM], &form);
        body(&send(&domain.authority, &request, now()))["active"].clone()
    };
    assert_eq!(introspected(), true);
    domain.revoke();
    assert_eq!(introspected(), false);
}

/// Each request differs from a good one in one property.
#[test]
fn the_border_gives_nothing_more() {
    let domain = Domain::new();
    let first = domain.first(&[("scope", "order")]);
    for (name, value, error) in [
        ("scope", "pay", "ok"),
        ("scope", "close", "invalid_scope"),
        ("scope", "order", "invalid_scope"),
        // The client may use it, and no table leads there from the domain.
        ("resource", TOOLS, "invalid_target"),
        ("resource", "https://files.example", "invalid_target"),
        ("resource", "", "invalid_target"),
        ("audience", BANK, "invalid_target"),
        ("requested_token_type", "", "invalid_request"),
        ("subject_token_type", ACCESS_TOKEN, "invalid_request"),
        ("subject_token", &domain.subject, "invalid_request"),
    ] {
        let answer = domain.take_out("border", &first, &[(name, value)], now());
        if error == "ok" {
            assert!(answer.is_ok(), "{name} {value} {answer:?}");
        } else {
            assert_eq!(answer, refused(400, error), "{name} {value}");
        }
    }
    let late = domain.take_out("border", &first, &[], at(NOW + 60));
    assert_eq!(late, refused(400, "invalid_request"));
    // Every other client stays within the domain.
    for client in ["plain", "gateway", "s1"] {
        let answer = domain.take_out(client, &first, &[], now());
        assert_eq!(answer, refused(400, "unauthorized_client"), "{client}");
    }
    // The scope of the table needs its scope of the token.
    let other = domain.first(&[("scope", "look")]);
    let answer = domain.take_out("border", &other, &[], now());
    assert_eq!(answer, refused(400, "invalid_scope"));
}

/// An access token keeps to no transaction context, so a transaction with one stays within the
/// domain.
#[test]
fn a_transaction_with_context_does_not_leave() {
    let domain = Domain::new();
    let bound = [("scope", "order"), ("request_details", r#"{"amount":5}"#)];
    let answer = domain.take_out("border", &domain.first(&bound), &[], now());
    assert_eq!(answer, refused(400, "invalid_request"));
    let free = domain.first(&[("scope", "order"), ("request_context", r#"{"ip":"x"}"#)]);
    assert!(domain.take_out("border", &free, &[], now()).is_ok());
}

/// T-180: no endpoint takes a transaction token for an access token or a refresh token.
#[test]
fn a_transaction_token_is_no_other_token() {
    let domain = Domain::new();
    let first = domain.first(&[]);
    let bearer = |path: &str, name: &str| {
        let assertion = assertion_of("gateway", &domain.key, now());
        let form = form(&[
            (name, &first),
            ("grant_type", "refresh_token"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ]);
        send(
            &domain.authority,
            &request("POST", path, &[FORM], &form),
            now(),
        )
    };
    assert_eq!(
        body(&bearer("/introspect", "token")),
        json!({"active": false})
    );
    let answer = judged(&bearer("/token", "refresh_token"));
    assert_eq!(answer, refused(400, "invalid_grant"));
    // Nor does it authenticate a client (draft-ietf-oauth-transaction-tokens §13.12).
    let mut all = replacing(&first).to_vec();
    all.extend([
        ("grant_type", EXCHANGE),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*first),
    ]);
    let answer = ask(&domain.authority, &[], &all, now());
    assert_eq!(answer, refused(401, "invalid_client"));
}
