//! The request for a transaction token, and the answers to it.

use aims_jose::secret::SecretText;
use aims_oauth_client::{
    Impersonation, SubjectToken, Target, TokenSource, TransactionTokenRequest,
};
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::transaction::CarriedTransaction;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{
    ACCESS_TOKEN, DOMAIN, TXN_TOKEN, access_token, body, call, first, judged, request, send,
    transaction_claims, transaction_token,
};
use crate::common::{NOW, Paused, Script, at, client, code, json_answer, jwt, server_with};

/// TXN-10: the request has the parameters of the draft.
#[tokio::test(start_paused = true)]
async fn the_request_has_the_parameters_of_the_draft() {
    let subject = access_token(&json!({}));
    let context = json!({"origin": "web"}).as_object().unwrap().clone();
    let details = json!({"order": "7"}).as_object().unwrap().clone();
    let digest = call(10);
    let token = transaction_token(&json!({"tctx": {"call_digest": digest.to_string()}}));
    let asked = request(subject.clone())
        .details(details)
        .context(context)
        .call(&digest);
    let (token, script) = send(asked, body(&token, &json!({}))).await;
    let token = token.unwrap();
    let form = script.forms().remove(0);
    let all = |name: &str| form.all(name).map(String::from).collect::<Vec<_>>();
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    assert_eq!(all("grant_type"), [exchange]);
    assert_eq!(all("requested_token_type"), [TXN_TOKEN]);
    assert_eq!(all("audience"), [DOMAIN]);
    assert!(all("resource").is_empty() && all("actor_token").is_empty());
    assert_eq!(all("scope"), ["read"]);
    assert_eq!(all("subject_token"), [subject.expose()]);
    assert_eq!(all("subject_token_type"), [ACCESS_TOKEN]);
    let details: Value = serde_json::from_str(&all("request_details")[0]).unwrap();
    assert_eq!(
        details,
        json!({"order": "7", "call_digest": digest.to_string()})
    );
    let context: Value = serde_json::from_str(&all("request_context")[0]).unwrap();
    assert_eq!(context, json!({"origin": "web"}));
    assert_eq!((token.txn(), token.subject()), ("t-1", "alice"));
    assert_eq!((token.domain(), token.requester()), (DOMAIN, "gateway"));
    assert_eq!(token.call_digest(), Some(&digest));
    assert_eq!(token.expires(), at(NOW + 60));
    assert_eq!(token.scopes().to_string(), "read");
}

/// TXN-11: a transaction without an access token begins with a type of the draft, and none begins
/// with a refresh token.
#[tokio::test(start_paused = true)]
async fn the_subject_is_of_a_type_of_the_draft() {
    let scopes = || "read".parse().unwrap();
    let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
    for (subject, kind) in [
        (SubjectToken::self_signed("e30.e30.c2ln"), "self_signed"),
        (
            SubjectToken::unsigned_json(r#"{"sub":"alice"}"#),
            "unsigned_json",
        ),
    ] {
        let asked = TransactionTokenRequest::new(subject, DOMAIN, scopes());
        let answer = body(&transaction_token(&json!({})), &json!({}));
        let (token, script) = send(asked, answer).await;
        token.unwrap();
        let kind = format!("urn:ietf:params:oauth:token-type:{kind}");
        let form = script.forms().remove(0);
        assert_eq!(form.get("subject_token_type"), Some(&*kind));
    }
    let subject = SubjectToken::other(refresh, "secret");
    let asked = TransactionTokenRequest::new(subject, DOMAIN, scopes());
    let (token, script) = send(asked, json!({})).await;
    assert_eq!(code(token), "oauth.request");
    assert!(script.requests().is_empty());
    for (domain, scopes) in [("", "read"), (DOMAIN, "")] {
        let subject = SubjectToken::access_token("opaque");
        let scopes = match scopes {
            "" => ScopeSet::new(),
            scopes => scopes.parse().unwrap(),
        };
        let asked = TransactionTokenRequest::new(subject, domain, scopes);
        assert_eq!(judged(asked, json!({})).await, "oauth.request");
    }
}

/// TXN-13: what is no transaction token, or another one, is refused.
#[tokio::test(start_paused = true)]
async fn the_answer_is_the_transaction_token_that_was_asked_for() {
    let no = json!({});
    for (claims, response, expected) in [
        (no.clone(), no.clone(), "ok"),
        (no.clone(), json!({"token_type": "n_a"}), "ok"),
        (
            no.clone(),
            json!({"token_type": "Bearer"}),
            "grant.token_type",
        ),
        (
            no.clone(),
            json!({"issued_token_type": ACCESS_TOKEN}),
            "grant.issued_token_type",
        ),
        (
            no.clone(),
            json!({"issued_token_type": null}),
            "grant.issued_token_type",
        ),
        (
            no.clone(),
            json!({"refresh_token": "r"}),
            "grant.transaction",
        ),
        (no.clone(), json!({"scope": "read write"}), "grant.scope"),
        (json!({"scope": "read write"}), no.clone(), "grant.scope"),
        (json!({"scope": null}), no.clone(), "grant.transaction"),
        (
            json!({"aud": "other.example"}),
            no.clone(),
            "grant.transaction",
        ),
        (
            json!({"aud": [DOMAIN, "b"]}),
            no.clone(),
            "grant.transaction",
        ),
        (json!({"txn": null}), no.clone(), "grant.transaction"),
        (json!({"txn": ""}), no.clone(), "grant.transaction"),
        (json!({"sub": null}), no.clone(), "grant.transaction"),
        (json!({"req_wl": null}), no.clone(), "grant.transaction"),
        (json!({"req_wl": ["a"]}), no.clone(), "grant.transaction"),
        (json!({"exp": null}), no.clone(), "grant.transaction"),
        (json!({"exp": NOW}), no.clone(), "grant.expired"),
        (
            json!({"tctx": {"call_digest": "x"}}),
            no.clone(),
            "grant.transaction",
        ),
    ] {
        let answer = body(&transaction_token(&claims), &response);
        let found = judged(request(access_token(&no)), answer).await;
        assert_eq!(found, expected, "{claims} {response}");
    }
    let typed = |typ: &str| jwt(typ, &transaction_claims(&json!({})));
    for (token, expected) in [
        (typed("at+jwt"), "oauth.transaction_token"),
        (typed("TXNTOKEN+JWT"), "oauth.transaction_token"),
        (SecretText::new("opaque"), "oauth.transaction_token"),
    ] {
        let answer = body(&token, &no);
        assert_eq!(judged(request(access_token(&no)), answer).await, expected);
    }
}

/// TXN-21, DEL-01: the answer is no more than the access token, in any dimension.
#[tokio::test(start_paused = true)]
async fn the_answer_is_no_more_than_the_access_token() {
    let no = json!({});
    let digest = call(10).to_string();
    let detail = json!([{"type": "aims_tool", "locations": ["https://gateway.example"],
        "actions": ["pay"], "tool": "pay", "arguments": {"amount": 10}, "call_digest": digest}]);
    let jkt = |key: &str| json!({"jkt": key});
    let (own, other) = ("A".repeat(43), "E".repeat(43));
    for (parent, child, expected) in [
        (no.clone(), json!({"exp": NOW + 600}), "ok"),
        (no.clone(), json!({"exp": NOW + 606}), "grant.lifetime"),
        (no.clone(), json!({"exp": NOW + 601}), "grant.lifetime"),
        (json!({"scope": "write"}), no.clone(), "delegate.scope"),
        (no.clone(), json!({"act": null}), "delegate.actors"),
        (
            no.clone(),
            json!({"act": {"iss": "https://as.example", "sub": "gateway"}}),
            "delegate.actors",
        ),
        (
            json!({"cnf": jkt(&own)}),
            no.clone(),
            "delegate.confirmation",
        ),
        (json!({"cnf": jkt(&own)}), json!({"cnf": jkt(&own)}), "ok"),
        // A claim that says nothing is none.
        (
            json!({"cnf": jkt(&own)}),
            json!({"cnf": {}}),
            "delegate.confirmation",
        ),
        (
            json!({"authorization_details": detail}),
            no.clone(),
            "delegate.details",
        ),
        (
            json!({"authorization_details": detail}),
            json!({"authorization_details": 1}),
            "delegate.details",
        ),
        (
            json!({"authorization_details": detail}),
            json!({"tctx": {"call_digest": digest}}),
            "ok",
        ),
        (json!({"acr": "high"}), no.clone(), "ok"),
        (no.clone(), json!({"acr": "high"}), "delegate.other"),
        // The subject of another user.
        (no.clone(), json!({"sub": "bob"}), "grant.transaction"),
        // Another key is that of the requester, which is one more actor.
        (json!({"cnf": jkt(&own)}), json!({"cnf": jkt(&other)}), "ok"),
    ] {
        let answer = body(&transaction_token(&child), &json!({}));
        let found = judged(request(access_token(&parent)), answer).await;
        assert_eq!(found, expected, "{parent} {child}");
    }
}

/// A service that names no actors or binds no tokens is accepted by name, and nothing else is.
#[tokio::test(start_paused = true)]
async fn a_plainer_service_is_accepted_by_name() {
    let jkt = json!({"jkt": "A".repeat(43)});
    let bound = || request(access_token(&json!({"cnf": jkt})));
    let no_actors = || request(access_token(&json!({}))).accept_missing_actors();
    let answer = |changes: &Value| body(&transaction_token(changes), &json!({}));
    let none = json!({"act": null});
    assert_eq!(judged(no_actors(), answer(&none)).await, "ok");
    assert_eq!(
        judged(bound(), answer(&json!({}))).await,
        "delegate.confirmation"
    );
    let unbound = bound().accept_unbound();
    assert_eq!(judged(unbound, answer(&json!({}))).await, "ok");
    // Each accepts one dimension alone.
    let both = json!({"act": null, "acr": "high"});
    assert_eq!(judged(no_actors(), answer(&both)).await, "delegate.other");
    let unbound = bound().accept_unbound();
    assert_eq!(judged(unbound, answer(&none)).await, "delegate.actors");
    let mapped = || request(access_token(&json!({}))).accept_other_subject();
    let bob = json!({"sub": "bob"});
    assert_eq!(judged(mapped(), answer(&bob)).await, "ok");
    let both = json!({"sub": "bob", "act": null});
    assert_eq!(judged(mapped(), answer(&both)).await, "delegate.actors");
}

/// DEL-03: scopes of the domain are those that the table makes of the subject token's.
#[tokio::test(start_paused = true)]
async fn scopes_are_translated_by_a_table() {
    let table = || ScopeTable::new([("read", "orders.read")]).unwrap();
    let asked = |subject: SubjectToken| {
        let scopes = "orders.read orders.write".parse().unwrap();
        TransactionTokenRequest::new(subject, DOMAIN, scopes)
    };
    let jwt = || SubjectToken::access_token(access_token(&json!({})));
    let answer = |scope: &str| body(&transaction_token(&json!({"scope": scope})), &json!({}));
    let narrow = answer("orders.read");
    let wide = answer("orders.read orders.write");
    assert_eq!(judged(asked(jwt()), narrow.clone()).await, "delegate.scope");
    let by_table = || asked(jwt()).scopes_by(table());
    assert_eq!(judged(by_table(), narrow.clone()).await, "ok");
    assert_eq!(judged(by_table(), wide.clone()).await, "delegate.scope");
    // Of an opaque token nothing is known but what was asked for.
    let opaque = SubjectToken::access_token("opaque");
    assert_eq!(judged(asked(opaque.clone()), wide).await, "ok");
    assert_eq!(judged(asked(opaque), answer("admin")).await, "grant.scope");
}

/// A token that is asked for one call is for that call.
#[tokio::test(start_paused = true)]
async fn the_token_is_for_the_call_that_was_named() {
    let asked = || request(access_token(&json!({}))).call(&call(10));
    for (context, expected) in [
        (json!({"call_digest": call(10).to_string()}), "ok"),
        (
            json!({"call_digest": call(11).to_string()}),
            "grant.transaction",
        ),
        (json!({"order": "7"}), "grant.transaction"),
        (Value::Null, "grant.transaction"),
    ] {
        let token = transaction_token(&json!({"tctx": context}));
        let found = judged(asked(), body(&token, &json!({}))).await;
        assert_eq!(found, expected, "{context}");
    }
}

/// TXN-20: a transaction token gets into `Txn-Token` alone, and an access token never.
#[tokio::test(start_paused = true)]
async fn the_two_kinds_of_tokens_do_not_mix() {
    let token = first(&json!({})).await;
    let mut headers = HeaderMap::new();
    headers.insert("txn-token", "earlier".parse().unwrap());
    token.apply(&mut headers);
    assert_eq!(headers.len(), 1);
    let value = &headers["txn-token"];
    assert!(value.is_sensitive());
    assert_eq!(value.to_str().unwrap(), token.carried().property().1);
    assert_eq!(token.carried().property().0, "txn-token");
    assert!(!format!("{token:?}").contains(value.to_str().unwrap()));
    let access = access_token(&json!({}));
    let found = CarriedTransaction::new(access).unwrap_err();
    assert_eq!(found.code(), "oauth.transaction_token");
    // An access token in the answer is never taken for a transaction token, nor the reverse.
    let answer = body(&transaction_token(&json!({})), &json!({}));
    let script = Script::new(move |_, _| json_answer(200, &answer));
    let tool = "https://tools.example".parse().unwrap();
    let target = Target::new(tool, "read".parse().unwrap());
    let grant = Impersonation::new(SubjectToken::transaction(token.carried()), target);
    let source = TokenSource::new(server_with(&json!({})), client(), script);
    let source = source.with_clock(Paused(Instant::now()));
    assert_eq!(code(source.token(grant).await), "grant.token_type");
}
