//! An agent and the challenges of a tool: a token is replaced only after it was refused.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aims::Agent;
use aims::cred::{FixedSource, Identity};
use aims::fetch::{Fetch, FetchFuture};
use aims::jose::secret::SecretText;
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ServerMetadata;
use common::{CALL, Calls, ISSUER, TOOL, Then, World};
use http::{Request, Response};
use serde_json::json;

const AGENT: &str = "spiffe://example.org/agent";

/// A token endpoint that numbers its tokens, and a tool that refuses all of them in the same way.
#[derive(Clone, Debug)]
struct Refusing {
    status: u16,
    challenges: &'static [&'static str],
    given: Arc<AtomicUsize>,
    came: Arc<Mutex<Vec<String>>>,
}

impl Refusing {
    fn with(status: u16, challenges: &'static [&'static str]) -> Self {
        Self {
            status,
            challenges,
            given: Arc::default(),
            came: Arc::default(),
        }
    }
}

impl Fetch for Refusing {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let answer = if request.uri().path() == "/token" {
            let token = format!("t{}", self.given.fetch_add(1, Ordering::SeqCst));
            let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 300});
            let answer = Response::builder().header("content-type", "application/json");
            let answer = answer.header("cache-control", "no-store");
            answer.body(body.to_string().into_bytes())
        } else {
            let token = request.headers().get("authorization");
            let token = token.and_then(|it| it.to_str().ok()).unwrap_or("none");
            let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
            came.push(token.to_owned());
            let answer = Response::builder().status(self.status);
            let challenges = self.challenges.iter();
            let answer = challenges.fold(answer, |it, value| it.header("www-authenticate", *value));
            answer.body(Vec::new())
        };
        Box::pin(std::future::ready(Ok(answer.unwrap_or_default())))
    }
}

/// Returns the tokens of all calls.
async fn calls(status: u16, challenges: &'static [&'static str]) -> Vec<String> {
    let holder = World::new().agent(AGENT);
    let wit = SecretText::new(holder.wit.expose());
    let identity = Identity::new(wit, Arc::new(holder.key.clone()), holder.key.public_jwk());
    let net = Refusing::with(status, challenges);
    let document = json!({"issuer": ISSUER, "token_endpoint": "https://as.example/token"});
    let issuer = ISSUER.parse().unwrap();
    let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let client = ClientSecretBasic::new(AGENT.parse().unwrap(), SecretText::new("s"));
    let source = TokenSource::new(server, client, net.clone());
    let agent = Agent::builder(FixedSource::new(identity.unwrap()))
        .clock(Then)
        .authorize(
            TOOL.parse().unwrap(),
            "tools:call".parse().unwrap(),
            source.with_clock(Then),
        )
        .client(Calls(net.clone()))
        .build()
        .unwrap();
    let request = Request::post(CALL).body(String::new()).unwrap();
    assert_eq!(agent.send(request).await.unwrap().status(), status);
    let came = net.came.lock().unwrap_or_else(PoisonError::into_inner);
    came.clone()
}

/// RFC 6750 §3, BEAR-03: a challenge that cannot be parsed, or has another error, does not replace
/// the token.
#[tokio::test]
async fn only_a_refused_token_is_replaced() {
    let replaced: [&[&str]; 7] = [
        &["Bearer error=\"invalid_token"],
        &["Bearer error=\"invalid_token\", error=\"invalid_token\""],
        &["Bearer"],
        &["bearer error=\"invalid_token\""],
        &["Bearer realm=\"a, b\", error=invalid_token"],
        &["Negotiate a5==, Bearer error=\"invalid_token\""],
        &["Negotiate", "Bearer error=\"invalid_token\""],
    ];
    for challenges in replaced {
        assert_eq!(
            calls(401, challenges).await,
            ["Bearer t0", "Bearer t1"],
            "{challenges:?}"
        );
    }
    let kept: [(u16, &[&str]); 7] = [
        (401, &[]),
        (401, &["Negotiate a5=="]),
        (401, &["DPoP error=\"invalid_token\""]),
        (401, &["Basic realm=\"Bearer\""]),
        (401, &["Bearer error=\"invalid_request\""]),
        (403, &["Bearer error=\"insufficient_scope\""]),
        (400, &["Bearer error=\"invalid_token\""]),
    ];
    for (status, challenges) in kept {
        assert_eq!(
            calls(status, challenges).await,
            ["Bearer t0"],
            "{status} {challenges:?}"
        );
    }
}
