//! Identities whose keys are in a device or behind a network: of an agent, and of a tool.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aims::agent::{Answer, RequestAuth};
use aims::cred::{FixedSource, Identity};
use aims::fetch::{Fetch, FetchFuture};
use aims::guard::HttpSignatures;
use aims::jose::Algorithm;
use aims::jose::key::{AnySigner, AsyncSigner, SignFuture, Signer, SigningKey};
use aims::jose::secret::SecretText;
use aims::{Agent, Guard};
use common::{CALL, Calls, NOW, World, at, told};
use http::{Request, Response};
use serde_json::json;
use signed::{AGENT, Meeting, Net, TOOL_ID, Then, received};
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A key that answers when it is asked again, or that cannot be reached.
struct Kms {
    key: SigningKey,
    reached: bool,
}

impl AsyncSigner for Kms {
    fn algorithm(&self) -> Algorithm {
        Signer::algorithm(&self.key)
    }

    fn key_id(&self) -> Option<&str> {
        Signer::key_id(&self.key)
    }

    fn sign_async<'a>(&'a self, message: &'a [u8]) -> SignFuture<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.reached {
                self.key.sign(message)
            } else {
                Err(aims::jose::Error::signer_unavailable("out of reach"))
            }
        })
    }
}

fn remote(holder: &common::Agent, reached: bool) -> FixedSource {
    let wit = SecretText::new(holder.wit.expose());
    let key = holder.key.clone();
    let signer = AnySigner::remote(Kms { key, reached });
    FixedSource::new(Identity::new(wit, signer, holder.key.public_jwk()).unwrap())
}

const METHODS: [RequestAuth; 2] = [RequestAuth::Wpt, RequestAuth::HttpSignature];

fn tool(world: &World) -> Guard {
    let guard = world.guard_by_default().clock(Then(NOW));
    let guard = guard.http_signatures(HttpSignatures::new());
    guard.build().unwrap()
}

fn request() -> Request<String> {
    Request::post(CALL).body("{}".to_owned()).unwrap()
}

/// Each asynchronous method can use either kind of proof.
#[tokio::test]
async fn an_agent_waits_for_its_key() {
    let world = World::new();
    let holder = world.agent(AGENT);
    for method in METHODS {
        let guard = tool(&world);
        let net = Calls(Net::of(&guard));
        let agent = Agent::builder(remote(&holder, true)).clock(Then(NOW));
        let agent = agent.proof(method).client(net.clone()).build().unwrap();
        let answer: Response<Answer> = agent.send(request()).await.unwrap();
        assert_eq!(answer.status(), 200, "{method:?}");

        let client = service_fn(move |request| {
            let net = net.clone();
            async move { aims::agent::Call::call(&net, request).await }
        });
        let answer = agent.layer().layer(client).oneshot(request()).await;
        assert_eq!(answer.unwrap().status(), 200, "{method:?}");

        let mut prepared = request().map(String::into_bytes);
        let content = prepared.body().clone();
        agent.prepare(&mut prepared, &content).await.unwrap();
        let (head, content) = received(prepared);
        let verdict = guard.check((&head, &*content), at(NOW));
        assert_eq!(told(verdict).0, "ok", "{method:?}");
    }
}

/// A synchronous method names the asynchronous one to use instead.
#[test]
fn what_cannot_wait_names_what_can() {
    let world = World::new();
    let holder = world.agent(AGENT);
    for method in METHODS {
        let agent = Agent::builder(remote(&holder, true)).clock(Then(NOW));
        let agent = agent.proof(method).build().unwrap();
        for error in [
            agent.prove(&mut request()).unwrap_err(),
            agent.sign(&mut request()).unwrap_err(),
        ] {
            assert_eq!(error.code(), "source.remote_signer");
            assert!(error.to_string().contains("`prepare`"), "{error}");
        }
    }
}

/// The metadata of a tool and of its authorization server, and the token endpoint, which counts
/// requests.
#[derive(Clone, Debug, Default)]
struct Web(Arc<AtomicUsize>);

impl Fetch for Web {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let document = match request.uri().path() {
            "/token" => {
                assert!(
                    request
                        .headers()
                        .contains_key("oauth-client-attestation-pop")
                );
                self.0.fetch_add(1, Ordering::SeqCst);
                json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300})
            }
            path if path.starts_with("/.well-known/oauth-protected-resource") => {
                json!({"resource": common::TOOL, "authorization_servers": [common::ISSUER]})
            }
            _ => json!({"issuer": common::ISSUER, "token_endpoint": "https://as.example/token"}),
        };
        let answer = Response::builder().header("content-type", "application/json");
        let answer = answer.body(document.to_string().into_bytes()).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// The same key authenticates the client for the tool's tokens.
#[tokio::test]
async fn a_token_waits_for_the_key() {
    let world = World::new();
    let holder = world.agent(AGENT);
    for (reached, expected) in [(true, "Bearer t"), (false, "oauth.authenticate")] {
        let web = Web::default();
        let agent = Agent::builder(remote(&holder, reached)).clock(Then(NOW));
        let agent = agent.fetch(web.clone());
        let agent = agent.tool(common::TOOL, [common::ISSUER], "tools:call");
        let agent = agent.unwrap().build().await.unwrap();
        let mut request = request().map(String::into_bytes);
        let found = match agent.prepare(&mut request, "{}").await {
            Ok(_pending) => request.headers()["authorization"].to_str().unwrap(),
            Err(error) => error.code(),
        };
        assert_eq!(found, expected);
        assert_eq!(web.0.load(Ordering::SeqCst), usize::from(reached));
    }
}

/// If the key cannot be reached, nothing is sent.
#[tokio::test]
async fn a_key_out_of_reach_is_an_error() {
    let world = World::new();
    let holder = world.agent(AGENT);
    for (method, code) in [
        (RequestAuth::Wpt, "agent.sign"),
        (RequestAuth::HttpSignature, "key.signer_unavailable"),
    ] {
        let net = Net::of(&tool(&world));
        let agent = Agent::builder(remote(&holder, false)).clock(Then(NOW));
        let agent = agent.proof(method).client(Calls(net.clone()));
        let refused = agent.build().unwrap().send(request()).await.unwrap_err();
        assert_eq!(refused.code(), code);
        assert_eq!(*net.calls.lock().unwrap(), 0);
    }
}

/// A tool's layer waits for the key that signs its responses.
#[tokio::test]
async fn a_tool_waits_for_its_key() {
    let mut meeting = Meeting::taking(HttpSignatures::new());
    let tool = meeting.world.agent(TOOL_ID);
    for (reached, status) in [(true, 200), (false, 501)] {
        let signatures = HttpSignatures::new().answering_as(remote(&tool, reached));
        let guard = meeting.world.guard().clock(Then(NOW));
        meeting.guard = guard.http_signatures(signatures).build().unwrap();
        let net = Calls(Net::of(&meeting.guard));
        let agent = meeting.agent_with(|it| it.client(net).signed_responses(meeting.tools()));
        match agent.send(request()).await {
            Ok(answer) => assert_eq!(answer.status(), status),
            // The refusal is unsigned, and the agent accepts no unsigned answer.
            Err(error) => assert_eq!((error.code(), status), ("sig.response_unsigned", 501)),
        }
    }
}

/// Synchronous signing of a response needs a key in this process, and the record says so.
#[test]
fn signing_at_once_needs_a_local_key() {
    let meeting = Meeting::answering_with(|it| {
        let tool = World::new().agent(TOOL_ID);
        it.answering_as(remote(&tool, true))
            .signing_every_response()
    });
    let mut sent = request().map(String::into_bytes);
    let _pending = meeting.agent.sign(&mut sent).unwrap();
    let (head, content) = received(sent);
    let who = meeting.guard.check((&head, &*content), at(NOW)).unwrap();
    let mut answer = Response::new(()).into_parts().0;
    let refused = meeting
        .guard
        .sign_response(&head, &who, &mut answer, b"", at(NOW));
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "sig.response_unsignable");
    assert!(refused.detail().contains("`layer`"), "{refused}");
    assert!(answer.headers.is_empty());
}

/// A program without the layer waits for the key itself.
#[tokio::test]
async fn a_response_is_signed_without_the_layer() {
    let mut meeting = Meeting::taking(HttpSignatures::new());
    let tool = meeting.world.agent(TOOL_ID);
    for reached in [true, false] {
        let signatures = HttpSignatures::new().answering_as(remote(&tool, reached));
        let guard = meeting.world.guard().clock(Then(NOW));
        meeting.guard = guard.http_signatures(signatures).build().unwrap();
        let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()));
        let mut sent = request().map(String::into_bytes);
        let pending = agent.sign(&mut sent).unwrap();
        let (head, content) = received(sent);
        let who = meeting.guard.check((&head, &*content), at(NOW)).unwrap();
        let mut answer = Response::new(()).into_parts().0;
        let signed = meeting
            .guard
            .sign_response_async(&head, &who, &mut answer, b"done", at(NOW))
            .await;
        if reached {
            signed.unwrap();
            let answer = Response::from_parts(answer, b"done".to_vec());
            pending.finish(answer).unwrap();
        } else {
            assert_eq!(signed.unwrap_err().code(), "sig.response_unsignable");
        }
    }
}
