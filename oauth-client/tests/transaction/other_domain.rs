//! The grant for another domain, requested with a transaction token
//! (draft-ietf-oauth-identity-chaining).

use std::sync::Arc;

use aims_oauth_client::{JwtGrantRequest, SubjectToken, TransactionToken, drive};
use aims_oauth_wire::delegate::ScopeTable;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{TXN_TOKEN, call, first};
use crate::common::{NOW, Paused, Script, at, client, code, json_answer, jwt, server_with, with};

/// Asks for a grant to the other domain, and returns the outcome and the request.
async fn grant(request: JwtGrantRequest, claims: &Value) -> (&'static str, Script) {
    let body = json!({"access_token": jwt("txn-chain+jwt", claims).expose(),
        "issued_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_type": "N_A"});
    let script = Script::new(move |_, _| json_answer(200, &body));
    let (client, own) = (Arc::new(client()), Arc::new(server_with(&json!({}))));
    let begun = match request.begin(client, own, at(NOW)) {
        Ok(begun) => begun,
        Err(error) => return (error.code(), script),
    };
    let found = drive(begun, &script, &Paused(Instant::now())).await;
    (code(found), script)
}

const BANK: &str = "https://as.bank.example";

fn grant_claims(changes: &Value) -> Value {
    let claims = json!({"iss": "https://as.example", "aud": BANK, "sub": "customer-7",
        "iat": NOW, "exp": NOW + 30, "jti": "1", "scope": "payments"});
    with(claims, changes)
}

fn to_bank(token: &TransactionToken) -> JwtGrantRequest {
    let subject = SubjectToken::transaction(token.carried());
    JwtGrantRequest::new(subject, BANK.parse().unwrap()).unwrap()
}

/// TXC-01: at the border of the domain, the token is the subject of a request for a grant, and the
/// other authorization server its audience, never its resource.
#[tokio::test(start_paused = true)]
async fn a_grant_for_another_domain_is_requested_with_the_token() {
    let token = first(&json!({})).await;
    let accounts = "https://accounts.bank.example";
    for (aud, expected) in [(BANK, "ok"), ("https://as.example", "grant.assertion")] {
        for resource in [None, Some(accounts)] {
            let mut request = to_bank(&token).scopes("payments".parse().unwrap());
            if let Some(resource) = resource {
                request = request.for_resource(resource.parse().unwrap());
            }
            let (found, script) = grant(request, &grant_claims(&json!({ "aud": aud }))).await;
            let form = script.forms().remove(0);
            assert_eq!(form.get("audience"), Some(BANK));
            assert_eq!(form.get("resource"), resource);
            assert_eq!(form.get("scope"), Some("payments"));
            assert_eq!(form.get("subject_token_type"), Some(TXN_TOKEN));
            let text = token.carried().property().1;
            assert_eq!(form.get("subject_token"), Some(text));
            assert!(form.get("actor_token").is_none());
            assert_eq!(found, expected);
        }
    }
    let resource = BANK.parse().unwrap();
    let (found, script) = grant(to_bank(&token).for_resource(resource), &json!({})).await;
    assert_eq!(found, "oauth.request");
    assert!(script.requests().is_empty());
}

/// TXC-01, DEL-01: a grant is no more than what was asked for, and no more than the transaction.
#[tokio::test(start_paused = true)]
async fn a_grant_is_no_more_than_its_transaction() {
    type Ask = fn(JwtGrantRequest) -> JwtGrantRequest;
    let same: Ask = |it| it;
    let table: Ask = |it| it.scopes_by(ScopeTable::new([("read", "payments")]).unwrap());
    let asked: Ask = |it| it.scopes("payments".parse().unwrap());
    let fewer: Ask = |it| it.accept_missing_context();
    let digest = call(10).to_string();
    let context = json!({"call_digest": digest, "order": "7"});
    let jkt = |key: &str| json!({"jkt": key.repeat(43)});
    let (own, other) = (json!({"cnf": jkt("A")}), json!({"cnf": jkt("E")}));
    let of_call = json!({ "tctx": context });
    let no = json!({});
    let claims = |changes: &Value| json!({ "txn_claims": changes });
    for (token, ask, changes, expected) in [
        // Scopes of what was asked for, of the table, or else of the token.
        (&no, asked, no.clone(), "ok"),
        (
            &no,
            asked,
            json!({"scope": "payments admin"}),
            "grant.scope",
        ),
        (&no, table, no.clone(), "ok"),
        (
            &no,
            table,
            json!({"scope": "payments admin"}),
            "delegate.scope",
        ),
        (&no, same, json!({"scope": "read"}), "ok"),
        (&no, same, no.clone(), "delegate.scope"),
        (&no, asked, json!({"scope": 1}), "grant.assertion"),
        // The end.
        (&no, asked, json!({"exp": NOW + 60}), "ok"),
        (&no, asked, json!({"exp": NOW + 61}), "delegate.lifetime"),
        (
            &no,
            |it| it.scopes("payments".parse().unwrap()).accept_new_lifetime(),
            json!({"exp": NOW + 3600}),
            "ok",
        ),
        // The transaction.
        (&no, asked, json!({"txn": "t-1"}), "ok"),
        (&no, asked, json!({"txn": "other"}), "grant.assertion"),
        // Its details.
        (&of_call, table, claims(&context), "ok"),
        (&of_call, table, no.clone(), "delegate.context"),
        (
            &of_call,
            table,
            claims(&json!({"call_digest": digest, "order": "8"})),
            "delegate.context",
        ),
        (
            &of_call,
            |it| {
                it.scopes("payments".parse().unwrap())
                    .accept_missing_context()
            },
            claims(&json!({ "call_digest": digest })),
            "ok",
        ),
        (
            &of_call,
            fewer,
            claims(&json!({"order": "7"})),
            "delegate.scope",
        ),
        (
            &of_call,
            |it| {
                it.scopes("payments".parse().unwrap())
                    .accept_missing_context()
            },
            claims(&json!({"order": "7"})),
            "delegate.context",
        ),
        (
            &of_call,
            |it| {
                it.scopes("payments".parse().unwrap())
                    .accept_missing_context()
            },
            claims(&json!({"call_digest": call(11).to_string()})),
            "delegate.context",
        ),
        // The key.
        (&own, asked, own.clone(), "ok"),
        (&own, asked, no.clone(), "delegate.confirmation"),
        (&own, asked, json!({"cnf": {}}), "delegate.confirmation"),
        (&own, asked, json!({"cnf": 1}), "grant.assertion"),
        // That of the client which asks.
        (&own, asked, other.clone(), "ok"),
        (
            &own,
            |it| it.scopes("payments".parse().unwrap()).accept_unbound(),
            no.clone(),
            "ok",
        ),
        // A fact of the login.
        (&no, asked, json!({"acr": "high"}), "delegate.other"),
    ] {
        let request = ask(to_bank(&first(token).await));
        let (found, _) = grant(request, &grant_claims(&changes)).await;
        assert_eq!(found, expected, "{token} {changes}");
    }
}
