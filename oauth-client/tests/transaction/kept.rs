//! Replacements of a transaction token, and the tokens kept for a transaction.

use aims_oauth_client::{SubjectToken, TransactionService, TransactionTokenRequest};
use aims_oauth_wire::token::Form;
use aims_oauth_wire::transaction::CarriedTransaction;
use serde_json::json;
use tokio::time::Instant;

use super::world::{
    DOMAIN, TXN_TOKEN, access_token, body, call, first, judged, request, send, transaction_claims,
    transaction_token,
};
use crate::common::{
    NOW, Paused, Script, client, code, json_answer, jwt, server_with, sleep, with,
};

/// TXN-34, TXD-08, DEL-14: a replacement keeps transaction, subject and domain, and is no more.
#[tokio::test(start_paused = true)]
async fn a_replacement_is_no_more() {
    let digest = call(10).to_string();
    let whole = json!({"scope": "read write", "tctx": {"call_digest": digest, "order": "7"}});
    let gateway = json!({"iss": "https://as.example", "sub": "gateway"});
    let own = transaction_claims(&json!({}))["act"].clone();
    let longer = json!({"iss": "https://as.example", "sub": "orders", "act": own});
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"scope": "read"}), "ok"),
        (json!({"act": longer}), "ok"),
        (json!({"req_wl": "orders", "rctx": {"hop": 2}}), "ok"),
        (json!({"exp": NOW + 61}), "grant.lifetime"),
        (json!({"txn": "t-2"}), "delegate.other"),
        (json!({"sub": "bob"}), "delegate.other"),
        (json!({"iss": "https://other.example"}), "delegate.scope"),
        (json!({"act": gateway}), "delegate.actors"),
        (json!({"act": null}), "delegate.actors"),
        (json!({"tctx": {"order": "7"}}), "delegate.context"),
        (
            json!({"tctx": {"call_digest": digest, "order": "8"}}),
            "delegate.context",
        ),
        (json!({"role": "admin"}), "delegate.other"),
        (json!({"aud": "other.example"}), "grant.transaction"),
        (json!({"scope": "read write admin"}), "grant.scope"),
    ] {
        let token = first(&whole).await;
        let child = with(transaction_claims(&whole), &changes);
        let answer = body(&jwt("txntoken+jwt", &child), &json!({}));
        let asked = token.replacement("read write".parse().unwrap());
        let (found, script) = send(asked, answer).await;
        assert_eq!(code(found), expected, "{changes}");
        let form = script.forms().remove(0);
        assert_eq!(form.get("subject_token_type"), Some(TXN_TOKEN));
        let sent = CarriedTransaction::new(form.get("subject_token").unwrap()).unwrap();
        assert_eq!(sent.fingerprint(), token.carried().fingerprint());
    }
    // A scope that the first token has not, also if it was asked for.
    let token = first(&json!({"scope": "read"})).await;
    let child = transaction_token(&json!({"scope": "read write"}));
    let asked = token.replacement("read write".parse().unwrap());
    let found = judged(asked, body(&child, &json!({}))).await;
    assert_eq!(found, "delegate.scope");
}

fn service(script: &Script) -> TransactionService {
    TransactionService::new(server_with(&json!({})), client(), script.clone())
        .with_clock(Paused(Instant::now()))
}

/// Answers each request with a token of its own transaction; a replacement keeps its transaction.
fn answering() -> Script {
    Script::new(|request, number| {
        let form = Form::parse(request.body()).unwrap();
        let scope = form.get("scope").unwrap();
        let txn = match form.get("subject_token_type") {
            Some(TXN_TOKEN) => "t-0".to_owned(),
            _ => format!("t-{number}"),
        };
        let token = transaction_token(&json!({"txn": txn, "scope": scope}));
        json_answer(200, &body(&token, &json!({})))
    })
}

/// Tokens are kept for one transaction, never for two.
#[tokio::test(start_paused = true)]
async fn a_transaction_keeps_its_tokens() {
    let script = answering();
    let service = service(&script);
    let asked = || {
        let subject = SubjectToken::access_token("opaque");
        TransactionTokenRequest::new(subject, DOMAIN, "read write".parse().unwrap())
    };
    let one = service.open(asked());
    let (a, b) = tokio::join!(one.token(), one.token());
    assert_eq!((a.unwrap().txn(), b.unwrap().txn()), ("t-0", "t-0"));
    assert_eq!(script.requests().len(), 1);
    for _ in 0..2 {
        let narrow = one.narrowed("read".parse().unwrap()).await.unwrap();
        assert_eq!(narrow.txn(), "t-0");
    }
    assert_eq!(script.requests().len(), 2);
    // A replacement with other scopes is another one.
    let other = one.narrowed("write".parse().unwrap()).await.unwrap();
    assert_eq!(other.scopes().to_string(), "write");
    let two = service.open(asked());
    assert_eq!(two.token().await.unwrap().txn(), "t-3");
    // It ends with its token, and is never renewed.
    sleep(59).await;
    assert_eq!(code(one.token().await), "grant.expired");
    let narrowed = one.narrowed("read".parse().unwrap()).await;
    assert_eq!(code(narrowed), "grant.expired");
    assert_eq!(script.requests().len(), 4);
}

/// A request that failed is made again.
#[tokio::test(start_paused = true)]
async fn a_failure_is_not_kept() {
    let script = Script::new(|_, number| match number {
        0 => json_answer(503, &json!({"error": "temporarily_unavailable"})),
        _ => json_answer(200, &body(&transaction_token(&json!({})), &json!({}))),
    });
    let transaction = service(&script).open(request(access_token(&json!({}))));
    assert_eq!(code(transaction.token().await), "oauth.refused");
    assert_eq!(code(transaction.token().await), "ok");
}
