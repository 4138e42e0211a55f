//! An agent whose tokens are bound to a key of its own by DPoP (RFC 9449).

#![cfg(all(feature = "agent", feature = "tool"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};

use aims::Agent;
use aims::agent::{Error, RequestAuth};
use aims::cred::{FixedSource, Identity};
use aims::fetch::{Fetch, FetchFuture};
use aims::jose::digest::Hashed;
use aims::jose::provider;
use aims::jose::secret::SecretText;
use aims::oauth_client::{DpopKey, TokenSource};
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::dpop::{self, Binding, DpopRules, UnverifiedProof};
use aims::oauth_wire::metadata::ServerMetadata;
use common::{CALL, Calls, ISSUER, NOW, TOOL, Then, World, at};
use http::{Request, Response};
use serde_json::{Value, json};

const AGENT: &str = "spiffe://example.org/agent";

/// A token endpoint, and a tool that answers by a list of nonces: it demands each of them in turn,
/// and then accepts.
#[derive(Clone, Debug)]
struct Net {
    key: DpopKey,
    demands: &'static [&'static str],
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tokens: usize,
    /// The nonce of the proof of each call, and its token.
    calls: Vec<(Option<String>, String)>,
}

impl Net {
    fn demanding(demands: &'static [&'static str]) -> Self {
        Self {
            key: DpopKey::generate(provider::default()).unwrap(),
            demands,
            state: Arc::default(),
        }
    }

    fn calls(&self) -> Vec<(Option<String>, String)> {
        self.state.lock().unwrap().calls.clone()
    }
}

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let mut state = self.state.lock().unwrap();
        let answer = if request.uri().path() == "/token" {
            let token = format!("t{}", state.tokens);
            state.tokens += 1;
            let body = json!({"access_token": token, "token_type": "DPoP", "expires_in": 300});
            let answer = Response::builder().header("content-type", "application/json");
            answer.body(body.to_string().into_bytes()).unwrap()
        } else {
            let authorization = request.headers()["authorization"].to_str().unwrap();
            let token = authorization.strip_prefix("DPoP ").unwrap().to_owned();
            let nonce = verified(&request, &self.key, &token);
            let number = state.calls.len();
            state.calls.push((nonce, token));
            let answer = Response::builder();
            match self.demands.get(number) {
                Some(&"refused") => answer
                    .status(401)
                    .header("www-authenticate", "DPoP error=\"invalid_token\""),
                Some(nonce) => answer
                    .status(401)
                    .header("www-authenticate", "DPoP error=\"use_dpop_nonce\"")
                    .header("dpop-nonce", *nonce),
                None => answer,
            }
            .body(Vec::new())
            .unwrap()
        };
        drop(state);
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// Verifies the proof of a call, and returns its nonce.
fn verified(request: &Request<Vec<u8>>, key: &DpopKey, token: &str) -> Option<String> {
    let text = dpop::from_headers(request.headers()).unwrap().unwrap();
    let rules = DpopRules::new();
    let proof = UnverifiedProof::parse(text, &rules).unwrap();
    assert_eq!(proof.thumbprint(), key.thumbprint());
    let (uri, token) = (request.uri().to_string(), Hashed::of(token));
    let binding = Binding::to(request.method().as_str(), &uri).access_token(&token);
    let holder = proof.key(provider::default()).unwrap();
    drop(proof.verify(&holder, &binding, &rules, at(NOW)).unwrap());
    let payload = text.split('.').nth(1).unwrap();
    let payload = aims::jose::base64url::decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["nonce"].as_str().map(String::from)
}

fn agent(net: &Net, method: RequestAuth) -> Agent {
    let holder = World::new().agent(AGENT);
    let wit = SecretText::new(holder.wit.expose());
    let identity = Identity::new(wit, Arc::new(holder.key.clone()), holder.key.public_jwk());
    let document = json!({"issuer": ISSUER, "token_endpoint": "https://as.example/token"});
    let issuer = ISSUER.parse().unwrap();
    let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let client = ClientSecretBasic::new(AGENT.parse().unwrap(), SecretText::new("s"));
    let source = TokenSource::new(server, client, net.clone()).with_clock(Then);
    let (tool, scopes) = (TOOL.parse().unwrap(), "tools:call".parse().unwrap());
    Agent::builder(FixedSource::new(identity.unwrap()))
        .clock(Then)
        .proof(method)
        .authorize(tool, scopes, source.with_dpop(net.key.clone()))
        .client(Calls(net.clone()))
        .build()
        .unwrap()
}

fn call() -> Request<String> {
    Request::post(CALL).body("{}".to_owned()).unwrap()
}

/// DPOP-05, DPOP-07: the token is sent with a proof; a nonce is demanded once, and kept.
#[tokio::test]
async fn a_bound_token_is_proven_with_the_nonce_of_the_tool() {
    for method in [RequestAuth::Bearer, RequestAuth::HttpSignature] {
        let net = Net::demanding(&["one"]);
        let agent = agent(&net, method);
        assert_eq!(agent.send(call()).await.unwrap().status(), 200);
        assert_eq!(agent.send(call()).await.unwrap().status(), 200);
        let one = Some("one".to_owned());
        let t0 = |nonce: &Option<String>| (nonce.clone(), "t0".to_owned());
        assert_eq!(net.calls(), [t0(&None), t0(&one), t0(&one)], "{method:?}");
    }
}

/// A tool that demands ever new nonces is asked twice for each token, not more.
#[tokio::test]
async fn a_tool_that_never_has_enough() {
    let net = Net::demanding(&["a", "b", "c", "d"]);
    let agent = agent(&net, RequestAuth::Bearer);
    assert_eq!(agent.send(call()).await.unwrap().status(), 401);
    assert_eq!(net.calls().len(), 2);
}

/// A bound token is replaced after the challenge of its scheme, and a nonce may be demanded then.
#[tokio::test]
async fn a_refused_bound_token_is_replaced() {
    let net = Net::demanding(&["refused", "one"]);
    let agent = agent(&net, RequestAuth::Bearer);
    assert_eq!(agent.send(call()).await.unwrap().status(), 200);
    let calls = net.calls();
    let tokens: Vec<_> = calls.iter().map(|(_, token)| token.as_str()).collect();
    assert_eq!(tokens, ["t0", "t1", "t1"]);
    assert_eq!(calls[2].0.as_deref(), Some("one"));
}

/// `prepare` adds the proof too, for any other client.
#[tokio::test]
async fn a_prepared_request_has_the_proof() -> Result<(), Error> {
    let net = Net::demanding(&[]);
    let agent = agent(&net, RequestAuth::Bearer);
    let mut request = Request::get(CALL).body(Vec::new()).unwrap();
    drop(agent.prepare(&mut request, "").await?);
    assert_eq!(verified(&request, &net.key, "t0"), None);
    Ok(())
}
