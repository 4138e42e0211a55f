//! Tokens that are bound to a key of the client by DPoP (RFC 9449).

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashSet;
use std::sync::Arc;

use aims_jose::alg::Algorithm;
use aims_jose::digest::Hashed;
use aims_jose::key::{AnySigner, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_oauth_client::{ClientCredentials, DpopKey, Error, Token, TokenRules, TokenSource};
use aims_oauth_wire::client_auth::PrivateKeyJwt;
use aims_oauth_wire::dpop::{self, Binding, DpopRules, UnverifiedProof};
use common::{NOW, Script, at, code, json_answer, server_with};
use http::{HeaderValue, Request, Response, Uri};
use serde_json::{Value, json};

const TOKEN: &str = "https://as.example/token";
const TOOL: &str = "https://tools.example/mcp";

fn grant() -> ClientCredentials {
    ClientCredentials::new(TOOL.parse().unwrap())
}

fn key() -> DpopKey {
    DpopKey::generate(AWS_LC).unwrap()
}

fn source(script: &Script, key: &DpopKey, members: &Value) -> TokenSource {
    let signer = Arc::new(SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap());
    let client = PrivateKeyJwt::new("agent".parse().unwrap(), signer);
    TokenSource::new(server_with(members), client, script.clone())
        .with_clock(common::Paused(tokio::time::Instant::now()))
        .with_dpop(key.clone())
}

fn bound(number: usize) -> Response<Vec<u8>> {
    let body =
        json!({"access_token": format!("t{number}"), "token_type": "dpop", "expires_in": 300});
    json_answer(200, &body)
}

fn demand(nonce: Option<&'static str>) -> Response<Vec<u8>> {
    let mut answer = json_answer(400, &json!({"error": "use_dpop_nonce"}));
    if let Some(nonce) = nonce {
        let field = HeaderValue::from_static(nonce);
        answer.headers_mut().insert("dpop-nonce", field);
    }
    answer
}

/// Verifies the proof of a request. Returns its claims.
fn claims<B>(request: &Request<B>, key: &DpopKey, token: Option<&str>) -> Value {
    let text = dpop::from_headers(request.headers()).unwrap().unwrap();
    let rules = DpopRules::new();
    let proof = UnverifiedProof::parse(text, &rules).unwrap();
    assert_eq!(proof.thumbprint(), key.thumbprint());
    let (uri, token) = (request.uri().to_string(), token.map(Hashed::of));
    let mut binding = Binding::to(request.method().as_str(), &uri);
    if let Some(token) = &token {
        binding = binding.access_token(token);
    }
    let holder = proof.key(AWS_LC).unwrap();
    let verified = proof.verify(&holder, &binding, &rules, at(NOW));
    drop(verified.unwrap());
    let payload = text.split('.').nth(1).unwrap();
    serde_json::from_slice(&aims_jose::base64url::decode(payload).unwrap()).unwrap()
}

/// DPOP-02, DPOP-05: the token request has a proof without `ath`, and each call of the tool a new
/// one with it.
#[tokio::test(start_paused = true)]
async fn a_bound_token_is_sent_with_a_proof() {
    let (script, key) = (Script::new(|_, number| bound(number)), key());
    let token = source(&script, &key, &json!({}))
        .token(grant())
        .await
        .unwrap();
    let request = script.requests().remove(0);
    assert!(request.headers()["dpop"].is_sensitive(), "logs hide it");
    let asked = claims(&request, &key, None);
    assert_eq!(
        (&asked["htm"], &asked["htu"]),
        (&json!("POST"), &json!(TOKEN))
    );
    assert!(asked.get("ath").is_none() && asked.get("nonce").is_none());
    assert!(token.is_bound());
    let refused = token.apply(&mut http::HeaderMap::new());
    assert_eq!(code(refused), "grant.needs_proof");
    let mut ids = HashSet::new();
    for _ in 0..2 {
        let mut call = Request::get("https://tools.example/mcp?x=1")
            .body(())
            .unwrap();
        token.authorize(&mut call, at(NOW)).await.unwrap();
        assert_eq!(call.headers()["authorization"], "DPoP t0");
        assert!(call.headers()["dpop"].is_sensitive());
        let claims = claims(&call, &key, Some("t0"));
        assert_eq!(claims["htu"], TOOL);
        assert!(ids.insert(claims["jti"].to_string()));
    }
}

/// DPOP-07, DPOP-06: the demand of a nonce is met once, with a new proof and a new assertion; the
/// nonce is kept for the next request, and not told to a resource (DPOP-08).
#[tokio::test(start_paused = true)]
async fn a_demanded_nonce_is_used_once() {
    let key = key();
    let script = Script::new(|_, number| match number {
        0 => demand(Some("one")),
        _ => bound(number),
    });
    let source = source(&script, &key, &json!({}));
    let token = source.token(grant()).await.unwrap();
    let requests = script.requests();
    assert_eq!(requests.len(), 2);
    let all: Vec<_> = requests.iter().map(|it| claims(it, &key, None)).collect();
    assert_eq!(
        (all[0].get("nonce"), &all[1]["nonce"]),
        (None, &json!("one"))
    );
    assert_ne!(all[0]["jti"], all[1]["jti"]);
    let forms = script.forms();
    assert_ne!(
        forms[0].get("client_assertion"),
        forms[1].get("client_assertion")
    );
    source.forget(&token);
    let token = source.token(grant()).await.unwrap();
    assert_eq!(claims(&script.requests()[2], &key, None)["nonce"], "one");
    let mut call = Request::get(TOOL).body(()).unwrap();
    token.authorize(&mut call, at(NOW)).await.unwrap();
    assert!(claims(&call, &key, Some("t2")).get("nonce").is_none());
}

/// A server that demands ever new nonces, or a nonce that it does not give, is not asked again.
#[tokio::test(start_paused = true)]
async fn a_nonce_loop_ends() {
    for (nonces, expected) in [([Some("a"), Some("b")], 2), ([None, None], 1)] {
        let script = Script::new(move |_, number| demand(nonces[number]));
        let asked = source(&script, &key(), &json!({})).token(grant()).await;
        assert_eq!(
            asked.as_ref().unwrap_err().refusal().unwrap().error(),
            "use_dpop_nonce"
        );
        assert_eq!(code(asked), "oauth.refused");
        assert_eq!(script.requests().len(), expected);
    }
}

/// DPOP-08: a nonce may come with any answer. One that is malformed or repeated is ignored.
#[tokio::test(start_paused = true)]
async fn the_nonce_of_an_answer_is_adopted() {
    for (fields, expected) in [
        (vec!["n"], Some("n")),
        (vec!["a b"], None),
        (vec!["a", "b"], None),
    ] {
        let key = key();
        let script = Script::new(move |_, number| {
            let mut answer = bound(number);
            for field in &fields {
                let field = HeaderValue::from_static(field);
                answer.headers_mut().append("dpop-nonce", field);
            }
            answer
        });
        let source = source(&script, &key, &json!({}));
        let token = source.token(grant()).await.unwrap();
        source.forget(&token);
        source.token(grant()).await.unwrap();
        let claims = claims(&script.requests()[1], &key, None);
        assert_eq!(claims.get("nonce").and_then(Value::as_str), expected);
    }
}

/// DPOP-07: a resource that demands a nonce is asked again, if it gives one, also if another
/// request learned the same.
#[tokio::test(start_paused = true)]
async fn a_resource_demands_a_nonce() {
    let (script, key) = (Script::new(|_, number| bound(number)), key());
    let token = source(&script, &key, &json!({}))
        .token(grant())
        .await
        .unwrap();
    let target: Uri = TOOL.parse().unwrap();
    let answer = |status: u16, challenge: &'static str, nonce: &'static str| {
        let answer = Response::builder().status(status);
        let answer = answer.header("www-authenticate", challenge);
        answer.header("dpop-nonce", nonce).body(()).unwrap()
    };
    let demand = "DPoP error=\"use_dpop_nonce\", algs=\"ES256\"";
    for (answer, expected) in [
        (answer(401, demand, "x"), true),
        (answer(401, demand, "x"), true),
        (answer(401, "DPoP error=\"invalid_token\"", "y"), false),
        (answer(401, "Bearer error=\"use_dpop_nonce\"", "z"), false),
        (answer(403, demand, "u"), false),
    ] {
        assert_eq!(
            token.demands_nonce(&target, &answer),
            expected,
            "{answer:?}"
        );
    }
    let mut call = Request::get(TOOL).body(()).unwrap();
    token.authorize(&mut call, at(NOW)).await.unwrap();
    assert_eq!(claims(&call, &key, Some("t0"))["nonce"], "u");
}

/// DPOP-08: a nonce is for one role. A tool and its authorization server on one origin have nonces
/// of their own.
#[tokio::test(start_paused = true)]
async fn a_nonce_is_for_one_role() {
    let key = key();
    let script = Script::new(|_, number| {
        let mut answer = bound(number);
        let field = HeaderValue::from_static("of-the-issuer");
        answer.headers_mut().insert("dpop-nonce", field);
        answer
    });
    let source = source(&script, &key, &json!({}));
    let token = source.token(grant()).await.unwrap();
    let tool = "https://as.example/mcp";
    let mut call = Request::get(tool).body(()).unwrap();
    token.authorize(&mut call, at(NOW)).await.unwrap();
    assert!(claims(&call, &key, Some("t0")).get("nonce").is_none());
    let answer = Response::builder().header("dpop-nonce", "of-the-tool");
    let answer = answer.body(()).unwrap();
    assert!(!token.demands_nonce(&tool.parse().unwrap(), &answer));
    token.authorize(&mut call, at(NOW)).await.unwrap();
    assert_eq!(claims(&call, &key, Some("t0"))["nonce"], "of-the-tool");
    // Nor is it told to a tool on another origin.
    let mut other = Request::get(TOOL).body(()).unwrap();
    token.authorize(&mut other, at(NOW)).await.unwrap();
    assert!(claims(&other, &key, Some("t0")).get("nonce").is_none());
    source.forget(&token);
    source.token(grant()).await.unwrap();
    let asked = claims(&script.requests()[1], &key, None);
    assert_eq!(asked["nonce"], "of-the-issuer");
}

/// DPOP-03: a token that is not bound is refused, unless that is accepted by name.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_bound_is_refused() {
    let bearer = || {
        let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300});
        Script::new(move |_, _| json_answer(200, &body))
    };
    let refused = source(&bearer(), &key(), &json!({})).token(grant()).await;
    assert_eq!(code(refused), "grant.unbound");
    let source = source(&bearer(), &key(), &json!({}));
    let source = source.with_rules(TokenRules::new().accept_unbound_tokens());
    let token: Arc<Token> = source.token(grant()).await.unwrap();
    assert!(!token.is_bound());
    token.apply(&mut http::HeaderMap::new()).unwrap();
    // Without a key, a bound token cannot be used.
    let script = Script::new(|_, number| bound(number));
    let source = TokenSource::new(server_with(&json!({})), common::client(), script);
    let source = source.with_clock(common::Paused(tokio::time::Instant::now()));
    assert_eq!(code(source.token(grant()).await), "grant.token_type");
}

/// A server that lists the algorithms of proofs gets none of another.
#[tokio::test(start_paused = true)]
async fn the_algorithm_is_one_of_the_server() {
    for (listed, expected) in [
        (
            json!({"dpop_signing_alg_values_supported": ["ES256", "EdDSA"]}),
            "ok",
        ),
        (
            json!({"dpop_signing_alg_values_supported": ["EdDSA"]}),
            "grant.dpop_algorithm",
        ),
        (json!({}), "ok"),
    ] {
        let script = Script::new(|_, number| bound(number));
        let asked = source(&script, &key(), &listed).token(grant()).await;
        assert_eq!(code(asked), expected);
    }
}

/// The key may be in a device: the flow waits for its proof.
#[tokio::test(start_paused = true)]
async fn the_key_signs_elsewhere() {
    let local = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let public = local.public_jwk().clone();
    let key = DpopKey::new(AnySigner::remote(local), &public);
    let script = Script::new(|_, number| match number {
        0 => demand(Some("one")),
        _ => bound(number),
    });
    let token = source(&script, &key, &json!({}))
        .token(grant())
        .await
        .unwrap();
    let claims = claims(&script.requests()[1], &key, None);
    assert_eq!(claims["nonce"], "one");
    assert!(token.is_bound());
}

#[derive(Debug)]
struct Broken;

impl aims_jose::key::Signer for Broken {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }
    fn key_id(&self) -> Option<&str> {
        None
    }
    fn sign(&self, _: &[u8]) -> Result<aims_jose::key::Signature, aims_jose::Error> {
        Err(aims_jose::Error::Random)
    }
}

/// A key that does not sign ends the request before it is sent.
#[tokio::test(start_paused = true)]
async fn a_key_that_does_not_sign() {
    let local = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let key = DpopKey::new(Arc::new(Broken), local.public_jwk());
    let script = Script::new(|_, number| bound(number));
    let asked: Result<_, Error> = source(&script, &key, &json!({})).token(grant()).await;
    assert!(asked.as_ref().unwrap_err().is_retryable());
    assert_eq!(code(asked), "grant.sign");
    assert!(script.requests().is_empty());
}
