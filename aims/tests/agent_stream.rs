//! An agent with bodies that stream, and its short methods.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aims::Agent;
use aims::agent::{AgentBuilder, Body, Call, CallFuture, Content, RequestAuth};
use aims::cred::{FixedSource, Identity};
use aims::fetch::{Fetch, FetchFuture};
use aims::http_sig::digest::ContentDigest;
use aims::jose::secret::SecretText;
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ServerMetadata;
use bytes::Bytes;
use common::{CALL, ISSUER, NOW, TOOL, Then, World, at};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use serde_json::json;

const AGENT: &str = "spiffe://example.org/agent";

/// A body whose pieces come through a channel, so that no reader can wait for its end.
struct Channel(tokio::sync::mpsc::UnboundedReceiver<&'static str>);

fn channel() -> (tokio::sync::mpsc::UnboundedSender<&'static str>, Channel) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (sender, Channel(receiver))
}

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.poll_recv(cx);
        piece.map(|it| it.map(|it| Ok(Frame::data(Bytes::from_static(it.as_bytes())))))
    }
}

/// A token endpoint that numbers its tokens, the metadata of a tool and its server, and a tool. The
/// tool refuses a given number of tokens, after it has read a given number of pieces.
#[derive(Clone, Debug, Default)]
struct Net(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    refusals: usize,
    /// The number of pieces that each call reads. If the list is empty, the call reads all.
    pieces: VecDeque<usize>,
    tokens: usize,
    answer: Option<Body>,
    came: Vec<(http::HeaderMap, String)>,
    asked: Vec<String>,
    /// A tool that reads on, for as many pieces, after its answer: while a token is requested.
    reads_on: usize,
    held: Option<Body>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl Net {
    fn refusing(refusals: usize, pieces: &[usize]) -> Self {
        let net = Self::default();
        let mut state = net.0.lock().unwrap();
        (state.refusals, state.pieces) = (refusals, pieces.iter().copied().collect());
        drop(state);
        net
    }

    /// Returns the token and the content of each call.
    fn calls(&self) -> Vec<(String, String)> {
        let state = self.0.lock().unwrap();
        let came = state.came.iter().map(|(head, content)| {
            let token = head.get("authorization").and_then(|it| it.to_str().ok());
            (token.unwrap_or("none").to_owned(), content.clone())
        });
        came.collect()
    }
}

impl Call for Net {
    fn call(&self, request: Request<Body>) -> CallFuture<'_> {
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            let most = self.0.lock().unwrap().pieces.pop_front();
            let most = most.unwrap_or(usize::MAX);
            let mut content = String::new();
            for _ in 0..most {
                let Some(frame) = body.frame().await else {
                    break;
                };
                content.push_str(std::str::from_utf8(frame?.data_ref().unwrap()).unwrap());
            }
            let mut state = self.0.lock().unwrap();
            state.came.push((head.headers, content));
            state.held = Some(body).filter(|_| state.reads_on > 0);
            if let Some(left) = state.refusals.checked_sub(1) {
                state.refusals = left;
                let answer = Response::builder().status(401);
                let answer = answer.header("www-authenticate", "Bearer error=\"invalid_token\"");
                return Ok(answer.body(Body::from("refused"))?);
            }
            Ok(Response::new(state.answer.take().unwrap_or_default()))
        })
    }
}

impl Fetch for Net {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let mut state = self.0.lock().unwrap();
        if let Some(mut body) = state.held.take() {
            for _ in 0..state.reads_on {
                let piece = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
                assert!(piece.is_ready());
            }
        }
        let url = request.uri().to_string();
        let body = match url.strip_prefix("https://as.example") {
            Some("/token") => {
                let token = format!("t{}", state.tokens);
                state.tokens += 1;
                json!({"access_token": token, "token_type": "Bearer", "expires_in": 300})
            }
            Some(_) => json!({
                "issuer": ISSUER, "token_endpoint": "https://as.example/token",
                "token_endpoint_auth_methods_supported": ["spiffe_wit"],
            }),
            None => json!({"resource": TOOL, "authorization_servers": [ISSUER]}),
        };
        state.asked.push(url);
        let answer = Response::builder().header("content-type", "application/json");
        let answer = answer.header("cache-control", "no-store");
        let answer = answer.body(body.to_string().into_bytes()).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn source() -> FixedSource {
    let holder = World::new().agent(AGENT);
    let wit = SecretText::new(holder.wit.expose());
    let identity = Identity::new(wit, Arc::new(holder.key.clone()), holder.key.public_jwk());
    FixedSource::new(identity.unwrap())
}

fn builder(net: &Net) -> AgentBuilder {
    let builder = Agent::builder(source()).clock(Then);
    builder.client(net.clone()).fetch(net.clone())
}

/// Creates an agent with tokens for the tool.
fn with_tokens(net: &Net) -> AgentBuilder {
    let document = json!({"issuer": ISSUER, "token_endpoint": "https://as.example/token"});
    let issuer = ISSUER.parse().unwrap();
    let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer).unwrap();
    let client = ClientSecretBasic::new(AGENT.parse().unwrap(), SecretText::new("s"));
    let tokens = TokenSource::new(server, client, net.clone()).with_clock(Then);
    let scopes = "tools:call".parse().unwrap();
    builder(net).authorize(TOOL.parse().unwrap(), scopes, tokens)
}

fn calls(of: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(token, content): &(&str, &str)| ((*token).to_owned(), (*content).to_owned());
    of.iter().map(owned).collect()
}

/// An answer is returned before it has ended, and its pieces as they arrive.
#[tokio::test]
async fn answers_stream() {
    let net = Net::default();
    let agent = builder(&net).build().unwrap();
    let (sender, body) = channel();
    net.0.lock().unwrap().answer = Some(Body::new(body));
    let request = Request::post(CALL).body(String::new()).unwrap();
    let mut answer = agent.send(request).await.unwrap().into_body();
    for piece in ["one", "two"] {
        sender.send(piece).unwrap();
        let frame = answer.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(sender);
    assert!(answer.frame().await.is_none());
}

/// A request streams if its proof does not cover the content: the tool answers before it has ended.
#[tokio::test]
async fn requests_stream_unless_their_content_is_covered() {
    for method in [RequestAuth::Wpt, RequestAuth::Bearer] {
        let net = Net::refusing(0, &[1]);
        let agent = builder(&net).proof(method).build().unwrap();
        let (sender, body) = channel();
        sender.send("one").unwrap();
        let answer = agent.send(Request::post(CALL).body(body).unwrap()).await;
        assert_eq!(answer.unwrap().status(), 200);
        assert_eq!(net.calls().first().unwrap().1, "one", "{method:?}");
        drop(sender);
    }
    let net = Net::default();
    let agent = builder(&net).proof(RequestAuth::HttpSignature);
    let agent = agent.build().unwrap();
    let (sender, body) = channel();
    sender.send("one").unwrap();
    sender.send("two").unwrap();
    drop(sender);
    let answer = agent.send(Request::post(CALL).body(body).unwrap()).await;
    assert_eq!(answer.unwrap().status(), 200);
    let state = net.0.lock().unwrap();
    let (head, content) = state.came.first().unwrap();
    let digest = ContentDigest::of(b"onetwo").to_string();
    assert_eq!(
        (head["content-digest"].to_str().unwrap(), content.as_str()),
        (&*digest, "onetwo")
    );
}

/// After a refused token, a streaming body is sent again: first the part that was sent, then the
/// rest.
#[tokio::test]
async fn a_body_is_sent_again_from_its_start() {
    let net = Net::refusing(1, &[2, 2]);
    let agent = with_tokens(&net)
        .proof(RequestAuth::Bearer)
        .build()
        .unwrap();
    let (sender, body) = channel();
    sender.send("one ").unwrap();
    sender.send("two ").unwrap();
    let request = Request::post(CALL).body(body).unwrap();
    assert_eq!(agent.send(request).await.unwrap().status(), 200);
    assert_eq!(
        net.calls(),
        calls(&[("Bearer t0", "one two "), ("Bearer t1", "one two ")])
    );

    // The tool refuses after the first piece, and reads all of it the second time.
    let net = Net::refusing(1, &[1]);
    let agent = with_tokens(&net)
        .proof(RequestAuth::Bearer)
        .build()
        .unwrap();
    let (sender, body) = channel();
    for piece in ["one ", "two ", "three"] {
        sender.send(piece).unwrap();
    }
    drop(sender);
    let answer = agent.send(Request::post(CALL).body(body).unwrap()).await;
    assert_eq!(answer.unwrap().status(), 200);
    let [first, second] = <[_; 2]>::try_from(net.calls()).unwrap();
    assert_eq!((first.1.as_str(), second.0.as_str()), ("one ", "Bearer t1"));
    assert_eq!(second.1, "one two three");
}

/// A body that is too long to be copied is sent once. The refusal is the answer, and the token is
/// forgotten.
#[tokio::test]
async fn a_body_that_cannot_be_sent_again_is_sent_once() {
    let net = Net::refusing(1, &[]);
    let agent = with_tokens(&net).proof(RequestAuth::Bearer).max_content(6);
    let agent = agent.build().unwrap();
    let send = |pieces: &'static [&'static str]| {
        let (sender, body) = channel();
        for piece in pieces {
            sender.send(piece).unwrap();
        }
        drop(sender);
        let request = Request::post(CALL).body(body).unwrap();
        async { agent.send(request).await.unwrap() }
    };
    let answer = send(&["one ", "two"]).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.into_body().bytes(10).await.unwrap(), "refused");
    assert_eq!(send(&["one", "two"]).await.status(), 200);
    assert_eq!(
        net.calls(),
        calls(&[("Bearer t0", "one two"), ("Bearer t1", "onetwo")])
    );
}

/// The body becomes too long to be sent again while the next token is requested. The refusal is the
/// answer, and no empty body is sent.
#[tokio::test]
async fn a_body_that_is_read_on_is_not_sent_again() {
    let net = Net::refusing(1, &[1]);
    net.0.lock().unwrap().reads_on = 1;
    let agent = with_tokens(&net).proof(RequestAuth::Bearer).max_content(6);
    let agent = agent.build().unwrap();
    let (sender, body) = channel();
    sender.send("one ").unwrap();
    sender.send("two").unwrap();
    let answer = agent.send(Request::post(CALL).body(body).unwrap()).await;
    assert_eq!(answer.unwrap().status(), 401);
    assert_eq!(net.calls(), calls(&[("Bearer t0", "one ")]));
}

/// A bearer token is sent without a proof and without an identity.
#[tokio::test]
async fn a_bearer_token_goes_alone() {
    let net = Net::default();
    let agent = with_tokens(&net)
        .proof(RequestAuth::Bearer)
        .build()
        .unwrap();
    let request = Request::post(CALL).body("{}".to_owned()).unwrap();
    agent.send(request).await.unwrap();
    let state = net.0.lock().unwrap();
    let (head, _) = state.came.first().unwrap();
    assert_eq!(head["authorization"], "Bearer t0");
    for field in [
        "workload-identity-token",
        "workload-proof-token",
        "signature",
        "content-digest",
    ] {
        assert!(!head.contains_key(field), "{field}");
    }
}

/// Each way to describe a content, and the decision of the guard.
#[tokio::test]
async fn a_request_is_prepared_for_any_client() {
    let world = World::new();
    let guard = world
        .guard_by_default()
        .http_signatures(aims::guard::HttpSignatures::new());
    let guard = guard.clock(Then).build().unwrap();
    let holder = world.agent(AGENT);
    let wit = SecretText::new(holder.wit.expose());
    let identity = Identity::new(wit, Arc::new(holder.key.clone()), holder.key.public_jwk());
    let source = FixedSource::new(identity.unwrap());
    let agent = Agent::builder(source.clone()).clock(Then);
    let signing = agent.proof(RequestAuth::HttpSignature).build().unwrap();
    let digest = ContentDigest::of(b"{}");
    let ways: [(Content<'_>, &[u8]); 4] = [
        (Content::Empty, b""),
        (b"".as_slice().into(), b""),
        ("{}".into(), b"{}"),
        ((&digest).into(), b"{}"),
    ];
    let host = |request: Request<()>| {
        let (mut head, ()) = request.into_parts();
        head.headers
            .insert("host", "tools.example".parse().unwrap());
        head.uri = "/mcp/call".parse().unwrap();
        head
    };
    for (content, bytes) in ways {
        let mut request = Request::post(CALL).body(()).unwrap();
        let pending = signing.prepare(&mut request, content).await.unwrap();
        assert!(pending.is_some());
        let verdict = guard.check((&host(request), bytes), at(NOW));
        assert_eq!(common::told(verdict).0, "ok", "{content:?}");
    }
    let mut request = Request::post(CALL).body(()).unwrap();
    let error = signing.prepare(&mut request, Content::Unread).await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), "agent.content_unread");
    // The message names the alternatives.
    for word in ["bytes", "digest", "send", "proof"] {
        assert!(error.to_string().contains(word), "{error}");
    }

    let by_wpt = Agent::builder(source).clock(Then);
    let by_wpt = by_wpt.proof(RequestAuth::Wpt).build().unwrap();
    let mut request = Request::post(CALL).body(()).unwrap();
    let pending = by_wpt.prepare(&mut request, Content::Unread).await.unwrap();
    assert!(pending.is_none());
    assert_eq!(common::told(guard.check(&host(request), at(NOW))).0, "ok");
}

/// A prepared request has the token of its tool, which replaces any other.
#[tokio::test]
async fn a_prepared_request_has_a_token() {
    let net = Net::default();
    let agent = with_tokens(&net).proof(RequestAuth::HttpSignature);
    let agent = agent.build().unwrap();
    let prepare = async |uri: &str| {
        let request = Request::post(uri).header("authorization", "Bearer mine");
        let mut request = request.body(()).unwrap();
        agent.prepare(&mut request, Content::Empty).await.unwrap();
        request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(prepare(CALL).await, "Bearer t0");
    assert_eq!(prepare("https://other.example/").await, "Bearer mine");
}

/// The short method: the authorization server of a tool is discovered.
#[tokio::test]
async fn a_tool_is_all_that_an_agent_is_told() {
    let net = Net::default();
    let agent = builder(&net).proof(RequestAuth::HttpSignature);
    let agent = agent.tool(TOOL, [ISSUER], "tools:call").unwrap();
    let agent = agent.build().await.unwrap();
    let request = Request::post(CALL).body("{}".to_owned()).unwrap();
    assert_eq!(agent.send(request).await.unwrap().status(), 200);
    assert_eq!(net.calls(), calls(&[("Bearer t0", "{}")]));

    // The tool names a server that the agent does not accept.
    let other = builder(&net).tool(TOOL, ["https://other.example"], "tools:call");
    let refused = other.unwrap().build().await.unwrap_err();
    assert_eq!(refused.code(), "discovery.no_server");
    for (url, issuer, scopes) in [
        ("http://tools.example/mcp", ISSUER, "tools:call"),
        (TOOL, "http://as.example", "tools:call"),
        (TOOL, ISSUER, "tools:\"call"),
    ] {
        let refused = builder(&net).tool(url, [issuer], scopes);
        assert!(refused.is_err(), "{url} {issuer} {scopes}");
    }
}
