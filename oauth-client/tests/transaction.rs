//! Transaction tokens: requested for an access token, replaced, and kept for one transaction.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_jose::secret::SecretText;
use aims_oauth_client::{
    Error, Impersonation, JwtGrantRequest, SubjectToken, Target, TransactionService,
    TransactionToken, TransactionTokenRequest, drive,
};
use aims_oauth_wire::InboundToken;
use aims_oauth_wire::call::CallDigest;
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::transaction::CarriedTransaction;
use common::{NOW, Paused, Script, client, code, json_answer, jwt, server_with, sleep, with};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

const DOMAIN: &str = "trust-domain.example";
const TXN_TOKEN: &str = "urn:ietf:params:oauth:token-type:txn_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn access_token(changes: &Value) -> SecretText {
    let claims = json!({"iss": "https://as.example", "sub": "alice", "client_id": "agent",
        "aud": "https://gateway.example", "scope": "read write", "iat": NOW, "exp": NOW + 600,
        "jti": "1"});
    jwt("at+jwt", &with(claims, changes))
}

fn transaction_claims(changes: &Value) -> Value {
    let agent = json!({"iss": "https://as.example", "sub": "agent"});
    let claims = json!({"iss": "https://as.example", "aud": DOMAIN, "iat": NOW, "exp": NOW + 60,
        "txn": "t-1", "sub": "alice", "scope": "read", "req_wl": "gateway",
        "act": {"iss": "https://as.example", "sub": "gateway", "act": agent}});
    with(claims, changes)
}

fn transaction_token(changes: &Value) -> SecretText {
    jwt("txntoken+jwt", &transaction_claims(changes))
}

fn body(token: &SecretText, changes: &Value) -> Value {
    let body = json!({"access_token": token.expose(), "issued_token_type": TXN_TOKEN,
        "token_type": "N_A", "expires_in": 60});
    with(body, changes)
}

fn request(subject: SecretText) -> TransactionTokenRequest {
    let inbound = Arc::new(InboundToken::new(subject));
    let scopes = "read".parse().unwrap();
    TransactionTokenRequest::new(SubjectToken::inbound(inbound), DOMAIN, scopes)
}

async fn send(
    request: TransactionTokenRequest,
    body: Value,
) -> (Result<TransactionToken, Error>, Script) {
    let script = Script::new(move |_, _| json_answer(200, &body));
    let (client, server) = (Arc::new(client()), Arc::new(server_with(&json!({}))));
    let token = match request.begin(client, server, common::at(NOW)) {
        Ok(first) => drive(first, &script, &Paused(Instant::now())).await,
        Err(error) => Err(error),
    };
    (token, script)
}

async fn judged(request: TransactionTokenRequest, body: Value) -> &'static str {
    code(send(request, body).await.0)
}

fn call(amount: u32) -> CallDigest {
    let arguments = json!({"amount": amount}).to_string();
    CallDigest::of("pay", Some(arguments.as_bytes())).unwrap()
}

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
    assert_eq!(token.expires(), common::at(NOW + 60));
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
            "" => aims_oauth_wire::names::ScopeSet::new(),
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
        (
            json!({"authorization_details": detail}),
            no.clone(),
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

async fn first(changes: &Value) -> TransactionToken {
    let answer = body(&transaction_token(changes), &json!({}));
    let subject = SubjectToken::access_token("opaque");
    let scopes = "read write".parse().unwrap();
    let asked = TransactionTokenRequest::new(subject, DOMAIN, scopes);
    send(asked, answer).await.0.unwrap()
}

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
    let source = aims_oauth_client::TokenSource::new(server_with(&json!({})), client(), script);
    let source = source.with_clock(Paused(Instant::now()));
    assert_eq!(code(source.token(grant).await), "grant.token_type");
}

/// Asks for a grant to the other domain, and returns the outcome and the request.
async fn grant(request: JwtGrantRequest, claims: &Value) -> (&'static str, Script) {
    let body = json!({"access_token": jwt("txn-chain+jwt", claims).expose(),
        "issued_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_type": "N_A"});
    let script = Script::new(move |_, _| json_answer(200, &body));
    let (client, own) = (Arc::new(client()), Arc::new(server_with(&json!({}))));
    let begun = match request.begin(client, own, common::at(NOW)) {
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

fn service(script: &Script) -> TransactionService {
    TransactionService::new(server_with(&json!({})), client(), script.clone())
        .with_clock(Paused(Instant::now()))
}

/// Answers each request with a token of its own transaction; a replacement keeps its transaction.
fn answering() -> Script {
    Script::new(|request, number| {
        let form = aims_oauth_wire::token::Form::parse(request.body()).unwrap();
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
