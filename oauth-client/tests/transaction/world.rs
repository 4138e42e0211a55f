//! Requests for transaction tokens, and a service that answers them.

use std::sync::Arc;

use aims_jose::secret::SecretText;
use aims_oauth_client::{Error, SubjectToken, TransactionToken, TransactionTokenRequest, drive};
use aims_oauth_wire::InboundToken;
use aims_oauth_wire::call::CallDigest;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{self, NOW, Paused, Script, client, code, json_answer, jwt, server_with, with};

pub(crate) const DOMAIN: &str = "trust-domain.example";
pub(crate) const TXN_TOKEN: &str = "urn:ietf:params:oauth:token-type:txn_token";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(crate) fn access_token(changes: &Value) -> SecretText {
    let claims = json!({"iss": "https://as.example", "sub": "alice", "client_id": "agent",
        "aud": "https://gateway.example", "scope": "read write", "iat": NOW, "exp": NOW + 600,
        "jti": "1"});
    jwt("at+jwt", &with(claims, changes))
}

pub(crate) fn transaction_claims(changes: &Value) -> Value {
    let agent = json!({"iss": "https://as.example", "sub": "agent"});
    let claims = json!({"iss": "https://as.example", "aud": DOMAIN, "iat": NOW, "exp": NOW + 60,
        "txn": "t-1", "sub": "alice", "scope": "read", "req_wl": "gateway",
        "act": {"iss": "https://as.example", "sub": "gateway", "act": agent}});
    with(claims, changes)
}

pub(crate) fn transaction_token(changes: &Value) -> SecretText {
    jwt("txntoken+jwt", &transaction_claims(changes))
}

pub(crate) fn body(token: &SecretText, changes: &Value) -> Value {
    let body = json!({"access_token": token.expose(), "issued_token_type": TXN_TOKEN,
        "token_type": "N_A", "expires_in": 60});
    with(body, changes)
}

pub(crate) fn request(subject: SecretText) -> TransactionTokenRequest {
    let inbound = Arc::new(InboundToken::new(subject));
    let scopes = "read".parse().unwrap();
    TransactionTokenRequest::new(SubjectToken::inbound(inbound), DOMAIN, scopes)
}

pub(crate) async fn send(
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

pub(crate) async fn judged(request: TransactionTokenRequest, body: Value) -> &'static str {
    code(send(request, body).await.0)
}

pub(crate) fn call(amount: u32) -> CallDigest {
    let arguments = json!({"amount": amount}).to_string();
    CallDigest::of("pay", Some(arguments.as_bytes())).unwrap()
}

pub(crate) async fn first(changes: &Value) -> TransactionToken {
    let answer = body(&transaction_token(changes), &json!({}));
    let subject = SubjectToken::access_token("opaque");
    let scopes = "read write".parse().unwrap();
    let asked = TransactionTokenRequest::new(subject, DOMAIN, scopes);
    send(asked, answer).await.0.unwrap()
}
