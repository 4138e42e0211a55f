//! The agent as a layer around an HTTP client, against a guard without a network in between.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use aims::Agent;
use aims::agent::{self, Error, RequestAuth};
use aims::fetch::{Fetch, FetchFuture};
use aims::jose::secret::SecretText;
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ServerMetadata;
use bytes::Bytes;
use common::{CALL, ISSUER, NOW, TOOL, World};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use signed::{Meeting, Net, Then};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

type Answer = Result<Response<agent::Answer>, Error>;

/// Carries requests like an HTTP client, and counts them.
#[derive(Clone)]
struct Client {
    net: Net,
    sent: Arc<AtomicUsize>,
    /// Whether `poll_ready` was called since the last call.
    ready: bool,
}

impl Client {
    fn of(net: Net) -> Self {
        let (sent, ready) = (Arc::default(), false);
        Self { net, sent, ready }
    }
}

impl Service<Request<agent::Body>> for Client {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, BoxError>> + Send + 'static>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<agent::Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it is ready");
        self.sent.fetch_add(1, Ordering::SeqCst);
        let net = self.net.clone();
        Box::pin(async move {
            let (head, content) = request.into_parts();
            let content = content.collect().await?.to_bytes().to_vec();
            let answer = net.send(Request::from_parts(head, content)).await?;
            Ok(answer.map(Full::from))
        })
    }
}

/// Frames in order, or an error.
struct Frames(VecDeque<Result<Frame<Bytes>, io::Error>>);

impl Frames {
    fn of(frames: impl IntoIterator<Item = Result<Frame<Bytes>, io::Error>>) -> Self {
        Self(frames.into_iter().collect())
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn data(bytes: &'static [u8]) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from_static(bytes)))
}

fn post<B>(body: B) -> Request<B> {
    Request::post(CALL).body(body).unwrap()
}

async fn text(answer: Answer) -> String {
    let content = answer.unwrap().into_body().collect().await.unwrap();
    String::from_utf8(content.to_bytes().to_vec()).unwrap()
}

fn code(answer: Answer) -> &'static str {
    answer.map_or_else(|error| error.code(), |_| "ok")
}

/// SIG-05, SIG-09: each request is signed over its content, and its signed answer is verified.
#[tokio::test]
async fn requests_are_signed_and_answers_verified() {
    let meeting = Meeting::answering();
    let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()));
    let client = Client::of(Net::of(&meeting.guard));
    let mut tool = ServiceBuilder::new()
        .layer(agent.layer())
        .service(client.clone());
    for _ in 0..2 {
        let request = post(Frames::of([data(b"{"), data(b""), data(b"}")]));
        let tool = ServiceExt::<Request<Frames>>::ready(&mut tool)
            .await
            .unwrap();
        let answer = tool.call(request).await;
        assert_eq!(text(answer).await, "spiffe://example.org/agent sent 2");
    }
    assert_eq!(client.sent.load(Ordering::SeqCst), 2);

    type Change = fn(&mut Response<Vec<u8>>);
    let changes: [(&str, Change); 3] = [
        ("digest.mismatch", |answer| answer.body_mut().push(b'!')),
        ("sig.signature", |answer| {
            *answer.status_mut() = StatusCode::CREATED;
        }),
        ("sig.response_unsigned", |answer| {
            answer.headers_mut().remove("signature");
            answer.headers_mut().remove("signature-input");
        }),
    ];
    for (expected, change) in changes {
        let client = Client::of(Net::changing(&meeting.guard, change));
        let tool = ServiceBuilder::new().layer(agent.layer()).service(client);
        let answer = tool.oneshot(post(Full::<Bytes>::from("{}"))).await;
        assert_eq!(code(answer), expected);
    }
}

/// The same with a WPT.
#[tokio::test]
async fn requests_are_proven_by_a_wpt() {
    let meeting = Meeting::answering();
    let agent = meeting.agent_with(|it| {
        let older = aims::wpt::Revision::Draft01;
        it.proof(RequestAuth::Wpt).wpt_revision(older)
    });
    let tool = ServiceBuilder::new()
        .layer(agent.layer())
        .service(Client::of(Net::of(&meeting.guard)));
    let answer = tool.oneshot(post(Full::<Bytes>::from("{}"))).await;
    assert_eq!(text(answer).await, "spiffe://example.org/agent sent 2");
}

/// Contents of requests are limited to the exact number of bytes.
#[tokio::test]
async fn contents_are_bounded() {
    let meeting = Meeting::taking(aims::guard::HttpSignatures::new());
    let client = Client::of(Net::of(&meeting.guard));
    let call = |layer: agent::layer::AgentLayer| {
        let request = post(Frames::of([data(b"ab"), data(b"cd")]));
        let tool = ServiceBuilder::new().layer(layer).service(client.clone());
        async move { code(tool.oneshot(request).await) }
    };
    let layer = || meeting.agent.layer();
    assert_eq!(call(layer()).await, "ok");
    assert_eq!(call(layer().with_max_content(4)).await, "ok");
    assert_eq!(client.sent.load(Ordering::SeqCst), 2);
    let short = call(layer().with_max_content(3)).await;
    assert_eq!(short, "agent.content_too_long");
    // A content that is too long is not sent.
    assert_eq!(client.sent.load(Ordering::SeqCst), 2);

    let mebibyte = vec![b'a'; 1024 * 1024];
    let send = |content: Vec<u8>| {
        let tool = ServiceBuilder::new().layer(layer()).service(client.clone());
        async move { code(tool.oneshot(post(Full::<Bytes>::from(content))).await) }
    };
    assert_eq!(send(mebibyte.clone()).await, "ok");
    assert_eq!(
        send([mebibyte, vec![b'a']].concat()).await,
        "agent.content_too_long"
    );
}

/// A signed answer is limited to the exact number of bytes. An answer that streams has no limit.
#[tokio::test]
async fn answers_are_bounded() {
    let answer_of = "spiffe://example.org/agent sent 2".len();
    let signed = Meeting::answering();
    let unsigned = Meeting::taking(aims::guard::HttpSignatures::new());
    for (meeting, too_long) in [(&signed, "agent.answer_too_long"), (&unsigned, "ok")] {
        let agent = meeting.agent_with(|it| match too_long {
            "ok" => it,
            _ => it.signed_responses(meeting.tools()),
        });
        let call = |limit| {
            let layer = agent.layer().with_max_answer(limit);
            let client = Client::of(Net::of(&meeting.guard));
            let tool = ServiceBuilder::new().layer(layer).service(client);
            tool.oneshot(post(Full::<Bytes>::from("{}")))
        };
        assert_eq!(code(call(answer_of).await), "ok");
        assert_eq!(code(call(answer_of - 1).await), too_long);
        let answer = || async { call(answer_of).await.unwrap().into_body() };
        assert!(answer().await.bytes(answer_of).await.is_ok());
        let read = answer().await.bytes(answer_of - 1).await;
        assert_eq!(read.unwrap_err().code(), "agent.answer_too_long");
    }
}

/// A signature does not cover trailers, so a signed answer with trailers is refused.
#[tokio::test]
async fn a_signed_answer_has_no_trailers() {
    let meeting = Meeting::answering();
    let agent = meeting.agent_with(|it| it.signed_responses(meeting.tools()));
    for (trailers, expected) in [(false, "ok"), (true, "agent.trailers")] {
        let client = Client::of(Net::of(&meeting.guard));
        let client = client.map_response(move |answer| {
            answer.map(|body| {
                let frames = body.with_trailers(async move {
                    let fields = trailers.then(HeaderMap::new);
                    fields.map(Ok)
                });
                Box::pin(frames)
            })
        });
        let tool = ServiceBuilder::new().layer(agent.layer()).service(client);
        let answer = tool.oneshot(post(Full::<Bytes>::from("{}"))).await;
        assert_eq!(code(answer), expected);
    }
}

/// An incomplete content, trailers, and an error of the client each have their code.
#[tokio::test]
async fn each_failure_has_its_code() {
    let meeting = Meeting::taking(aims::guard::HttpSignatures::new());
    let broken = || Err(io::Error::other("broken"));
    let trailers = || Ok(Frame::trailers(HeaderMap::new()));
    let client = Client::of(Net::of(&meeting.guard));
    let send = |body: Frames| {
        let tool = ServiceBuilder::new()
            .layer(meeting.agent.layer())
            .service(client.clone());
        async move { code(tool.oneshot(post(body)).await) }
    };
    assert_eq!(
        send(Frames::of([data(b"a"), broken()])).await,
        "agent.content"
    );
    assert_eq!(
        send(Frames::of([data(b"a"), trailers()])).await,
        "agent.trailers"
    );
    assert_eq!(client.sent.load(Ordering::SeqCst), 0);

    let answering = |frames: fn() -> Frames| {
        let client = tower::service_fn(move |_: Request<agent::Body>| async move {
            Ok::<_, BoxError>(Response::new(frames()))
        });
        let tool = ServiceBuilder::new()
            .layer(meeting.agent.layer())
            .service(client);
        async move {
            let answer = tool.oneshot(post(Full::<Bytes>::default())).await.unwrap();
            let content = answer.into_body().bytes(10).await;
            content.map_or_else(|error| error.code(), |_| "ok")
        }
    };
    assert_eq!(answering(|| Frames::of([data(b"a")])).await, "ok");
    let told = answering(|| Frames::of([data(b"a"), Err(io::Error::other("broken"))])).await;
    assert_eq!(told, "agent.answer");
    // No signature covers these trailers.
    let told = answering(|| Frames::of([Ok(Frame::trailers(HeaderMap::new()))])).await;
    assert_eq!(told, "ok");

    let client = tower::service_fn(|_: Request<agent::Body>| async {
        Err::<Response<Full<Bytes>>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    let tool = ServiceBuilder::new()
        .layer(meeting.agent.layer())
        .service(client);
    let error = tool
        .oneshot(post(Full::<Bytes>::default()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "agent.client");
    let source = std::error::Error::source(&error).unwrap();
    let source = source.downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
}

/// A token endpoint that gives tokens in turn.
#[derive(Debug)]
struct Tokens(Mutex<VecDeque<String>>);

impl Fetch for Tokens {
    fn send(&self, _: Request<Vec<u8>>) -> FetchFuture<'_> {
        let token = self.0.lock().unwrap().pop_front().unwrap();
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 300});
        let answer = Response::builder()
            .header("content-type", "application/json")
            .header("cache-control", "no-store")
            .body(body.to_string().into_bytes());
        Box::pin(std::future::ready(Ok(answer.unwrap())))
    }
}

fn with_tokens(meeting: &Meeting, tokens: &[&str]) -> Agent {
    let document = json!({"issuer": ISSUER, "token_endpoint": "https://as.example/token"});
    let server = document.to_string();
    let server = ServerMetadata::parse(server.as_bytes(), &ISSUER.parse().unwrap()).unwrap();
    let secret = SecretText::new("s");
    let client = ClientSecretBasic::new(signed::AGENT.parse().unwrap(), secret);
    let tokens = tokens.iter().map(|&it| it.to_owned()).collect();
    let source = TokenSource::new(server, client, Tokens(Mutex::new(tokens))).with_clock(Then(NOW));
    let scopes = "tools:call".parse().unwrap();
    meeting.agent_with(|it| it.authorize(TOOL.parse().unwrap(), scopes, source))
}

/// RFC 6750 §3: a refused token is replaced once, with a new proof over the same content, and
/// `poll_ready` is called before.
#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let meeting = Meeting::new(
        |builder, world| builder.issuers(Arc::clone(&world.issuers)),
        aims::guard::HttpSignatures::new(),
    );
    let mut expired = World::claims(&meeting.me);
    let good = meeting.world.token(&expired);
    expired["iat"] = json!(NOW - 900);
    expired["exp"] = json!(NOW - 300);
    let old = meeting.world.token(&expired);

    let client = Client::of(Net::of(&meeting.guard));
    let agent = with_tokens(&meeting, &[&old, &good]);
    let tool = ServiceBuilder::new()
        .layer(agent.layer())
        .service(client.clone());
    for sent in [2, 3] {
        let answer = tool.clone().oneshot(post(Full::<Bytes>::from("{}"))).await;
        assert_eq!(text(answer).await, "spiffe://example.org/agent sent 2");
        assert_eq!(client.sent.load(Ordering::SeqCst), sent);
    }

    let client = Client::of(Net::of(&meeting.guard));
    let agent = with_tokens(&meeting, &[&old, &old]);
    let tool = ServiceBuilder::new()
        .layer(agent.layer())
        .service(client.clone());
    let answer = tool.oneshot(post(Full::<Bytes>::from("{}"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.sent.load(Ordering::SeqCst), 2);
}

/// T-138: a URI that could be read as one within a resource, but is not in normal form, is not
/// sent.
#[tokio::test]
async fn a_uri_that_is_not_in_normal_form_is_an_error() {
    let meeting = Meeting::taking(aims::guard::HttpSignatures::new());
    let agent = with_tokens(&meeting, &[]);
    let client = Client::of(Net::of(&meeting.guard));
    let send = |uri: &str| {
        let tool = ServiceBuilder::new()
            .layer(agent.layer())
            .service(client.clone());
        let request = Request::post(uri).body(Full::<Bytes>::default()).unwrap();
        async move { code(tool.oneshot(request).await) }
    };
    for uri in [
        "https://tools.example/x/../mcp/call",
        "https://tools.example/x/%2e%2E/mcp/call",
        "https://TOOLS.example/mcp/call",
        "https://tools.example:443/mcp/call",
        "https://me@tools.example/mcp/call",
        "https://tools.example./mcp/call",
    ] {
        assert_eq!(send(uri).await, "agent.target", "{uri}");
    }
    assert_eq!(client.sent.load(Ordering::SeqCst), 0);
    // No token is for a URI of another scheme, so the request is sent without one.
    assert_eq!(send("http://tools.example/x/../mcp/call").await, "ok");
    assert_eq!(send("https://other.example/call").await, "ok");
    assert_eq!(client.sent.load(Ordering::SeqCst), 2);
}
