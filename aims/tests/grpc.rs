//! gRPC over HTTP/2 behind a guard: refusals end with the head, streaming calls go both ways.

#![cfg(all(feature = "tool", feature = "tower"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::sync::Arc;

use aims::guard::{ClientCertificates, Dpop, Guard, HttpSignatures, OpaqueTokens};
use aims::jose::alg::Algorithm;
use aims::jose::base64url;
use aims::jose::digest::Hashed;
use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::oauth_wire::certificate::PeerCertificate;
use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
use aims::wpt::{Binding, Revision, fields};
use aims::{Principal, Requirements};
use bytes::Bytes;
use common::{ISSUER, NOW, Then, World, key};
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::Frame;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer as _;

const RESOURCE: &str = "https://tools.example/pkg.Tool";
const CALL: &str = "https://tools.example/pkg.Tool/Call";

const CERTIFICATE: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcw\
OVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8Qnh\
xxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIh\
AP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj";

/// A message of gRPC: not compressed, with its length.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}

/// A service that answers each message with one of its own, and ends with status 0.
async fn echo<B>(request: Request<B>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Debug + Send,
{
    let who = request.extensions().get::<Principal>().unwrap().clone();
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
    let mut content = Box::pin(request.into_body());
    tokio::spawn(async move {
        let hello = message(&format!("hello {}", who.subject()));
        sender.send_data(hello).await.unwrap();
        while let Some(frame) = content.frame().await {
            if let Ok(data) = frame.unwrap().into_data() {
                sender.send_data(data).await.unwrap();
            }
        }
        let status = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        sender.send_trailers(status).await.unwrap();
    });
    let mut response = Response::new(body.boxed());
    let grpc = "application/grpc".parse().unwrap();
    response.headers_mut().insert("content-type", grpc);
    Ok(response)
}

/// A server of HTTP/2 on loopback, with the certificate of its client in each request.
struct Server {
    address: std::net::SocketAddr,
    world: World,
    key: SigningKey,
}

/// An issuer that is away.
#[derive(Debug)]
struct Away;

impl Resolve for Away {
    fn resolve(&self, _: Need) -> ResolveFuture<'_> {
        Box::pin(async { Resolved::Unavailable })
    }
}

impl Server {
    async fn start(route: Requirements) -> Self {
        let world = World::new();
        let guard = Guard::builder(RESOURCE)
            .trust(Arc::clone(&world.trust))
            .issuers(Arc::clone(&world.issuers))
            .wpt_revisions(Revision::Draft01)
            .http_signatures(HttpSignatures::new())
            .dpop(Dpop::new())
            .client_certificates(ClientCertificates::from_connection())
            .opaque_tokens(OpaqueTokens::of(ISSUER.parse().unwrap(), Away))
            .require(route)
            .clock(Then)
            .accept_proofs_before_start()
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let guarded = guard.layer().layer(tower::service_fn(echo));
                // The listener that terminates TLS knows the certificate.
                let with_certificate = tower::service_fn(move |mut request: Request<_>| {
                    request.extensions_mut().insert(certificate());
                    tower::ServiceExt::oneshot(guarded.clone(), request)
                });
                let service = TowerToHyperService::new(with_certificate);
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let connection = server.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Self {
            address,
            world,
            key: key(Algorithm::Es256),
        }
    }

    fn token(&self, changes: &Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "web-client",
            "exp": NOW + 300, "iat": NOW, "jti": "t1", "scope": "tools:call",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.world.token(&claims)
    }

    /// Sends a call with these fields.
    async fn send<B>(&self, headers: &HeaderMap, body: B) -> Response<hyper::body::Incoming>
    where
        B: http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let client =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut client, connection) = client.await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::post("http://tools.example/pkg.Tool/Call")
            .body(body)
            .unwrap();
        *request.headers_mut() = headers.clone();
        let fields = request.headers_mut();
        fields.insert("content-type", "application/grpc+proto".parse().unwrap());
        fields.insert("te", "trailers".parse().unwrap());
        client.send_request(request).await.unwrap()
    }

    /// Returns the head of the answer to a call, which must have no content.
    async fn refused(&self, headers: &HeaderMap) -> HeaderMap {
        let body = Full::from(message("x"));
        let (head, mut body) = self.send(headers, body).await.into_parts();
        assert_eq!(head.status, 200);
        // "Trailers-Only": the head is the end.
        assert!(http_body::Body::is_end_stream(&body));
        assert!(body.frame().await.is_none());
        assert_eq!(head.headers["content-type"], "application/grpc");
        assert_eq!(head.headers["cache-control"], "no-store");
        head.headers
    }

    /// Makes a call whose client and service take turns.
    async fn streams(&self, headers: &HeaderMap, subject: &str) {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
        let (head, mut answer) = self.send(headers, Box::pin(body)).await.into_parts();
        assert_eq!(head.status, 200);
        assert_eq!(head.headers.get("grpc-status"), None, "{:?}", head.headers);
        let hello = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(hello, message(&format!("hello {subject}")));
        for number in 0..3 {
            let own = message(&number.to_string());
            sender.send_data(own.clone()).await.unwrap();
            let frame = answer.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), own);
        }
        drop(sender);
        let last: Frame<Bytes> = answer.frame().await.unwrap().unwrap();
        assert_eq!(last.into_trailers().unwrap()["grpc-status"], "0");
        assert!(answer.frame().await.is_none());
    }
}

/// The certificate of RFC 8705 appendix A, with this end of its signature.
fn certificate_with(end: &str) -> PeerCertificate {
    let field = format!(":{}{end}:", CERTIFICATE);
    PeerCertificate::from_client_cert(&field.parse().unwrap()).unwrap()
}

fn certificate() -> PeerCertificate {
    certificate_with("1L+SY=")
}

fn with(fields: &[(&'static str, String)]) -> HeaderMap {
    let all = fields.iter();
    all.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_refused_call_ends_with_its_head() {
    let scopes = Requirements::new().accept_bearer();
    let server = Server::start(scopes.scopes("tools:call".parse().unwrap())).await;
    // No token, a bad one, one without the scope, and one that cannot be judged now.
    let head = server.refused(&HeaderMap::new()).await;
    assert_eq!(head["grpc-status"], "16");
    assert_eq!(head["grpc-message"], "Unauthorized");
    let challenges: Vec<_> = head.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges.len(), 2);
    assert_eq!(challenges[0], r#"Bearer scope="tools:call""#);
    let bearer = |token: &str| with(&[("authorization", format!("Bearer {token}"))]);
    let expired = server.token(&json!({"exp": NOW - 31, "iat": NOW - 90}));
    let head = server.refused(&bearer(&expired)).await;
    assert_eq!(head["grpc-status"], "16");
    let challenge = head["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");
    let head = server
        .refused(&bearer(&server.token(&json!({"scope": "x"}))))
        .await;
    assert_eq!(
        (&head["grpc-status"], &head["grpc-message"]),
        (&"7".parse().unwrap(), &"Forbidden".parse().unwrap())
    );
    let challenge = head["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    let head = server.refused(&bearer("opaque")).await;
    assert_eq!(
        (&head["grpc-status"], &head["retry-after"]),
        (&"14".parse().unwrap(), &"1".parse().unwrap())
    );
    // A malformed proof, and a head that is too large.
    let agent = server.world.agent("spiffe://example.org/agent");
    let mut bad = HeaderMap::new();
    fields::apply(&mut bad, agent.wit.expose(), "a.b.c", Revision::Draft01).unwrap();
    assert_eq!(server.refused(&bad).await["grpc-status"], "16");
    let long = with(&[("authorization", format!("Bearer {}", "x".repeat(9_000)))]);
    assert_eq!(server.refused(&long).await["grpc-status"], "8");
}

#[tokio::test]
async fn streaming_calls_go_both_ways() {
    let server = Server::start(Requirements::new().accept_bearer()).await;
    // A bearer token.
    let token = server.token(&json!({}));
    server
        .streams(
            &with(&[("authorization", format!("Bearer {token}"))]),
            "alice",
        )
        .await;
    // A DPoP proof, and the same proof again.
    let jkt = server.key.public_jwk().thumbprint().to_string();
    let token = server.token(&json!({"cnf": {"jkt": jkt}}));
    let proof = json!({
        "jti": "p1", "htm": "POST", "htu": CALL, "iat": NOW,
        "ath": base64url::encode(Hashed::of(&token).sha256()),
    });
    let jwk = server.key.public_jwk();
    let proof = SigningInput::with_embedded_key("dpop+jwt", Algorithm::Es256, jwk, &proof).unwrap();
    let proof = proof.sign(&server.key).unwrap().expose().to_owned();
    let headers = with(&[("authorization", format!("DPoP {token}")), ("dpop", proof)]);
    server.streams(&headers, "alice").await;
    assert_eq!(server.refused(&headers).await["grpc-status"], "16");
    // A certificate, and a token for another one.
    let bound = |certificate: &PeerCertificate| {
        let cnf = json!({"x5t#S256": certificate.thumbprint().to_string()});
        let token = server.token(&json!({"cnf": cnf}));
        with(&[("authorization", format!("Bearer {token}"))])
    };
    server.streams(&bound(&certificate()), "alice").await;
    let other = certificate_with("2L+SY=");
    assert_eq!(server.refused(&bound(&other)).await["grpc-status"], "16");
    // A workload proof token with a token for the agent.
    let agent = server.world.agent("spiffe://example.org/agent");
    let token = server.token(&json!({"client_id": agent.id.as_str()}));
    let wpt = agent.wpt(&Binding::to(CALL).access_token(&token));
    let mut headers = with(&[("authorization", format!("Bearer {token}"))]);
    fields::apply(&mut headers, agent.wit.expose(), &wpt, Revision::Draft01).unwrap();
    server.streams(&headers, "alice").await;
    assert_eq!(server.refused(&headers).await["grpc-status"], "16");
}

/// Method, version and content type make a call one of gRPC.
#[tokio::test]
async fn other_requests_get_a_status() {
    let world = World::new();
    let guard = world.guard_of_tokens();
    let sent = |method: Method, version: Version, content_type: &'static str| {
        let guard = guard.clone();
        async move {
            let service = guard.layer().layer(tower::service_fn(echo));
            let request = Request::builder().method(method).version(version);
            let request = request.uri("https://tools.example/mcp/call");
            let request = request.header("content-type", content_type);
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let answer = tower::ServiceExt::oneshot(service, request).await.unwrap();
            let is_grpc = answer.headers().contains_key("grpc-status");
            (answer.status().as_u16(), is_grpc)
        }
    };
    let status = |content_type| sent(Method::POST, Version::HTTP_2, content_type);
    for grpc in [
        "application/grpc",
        "application/grpc+json",
        "application/grpc;x=1",
    ] {
        assert_eq!(status(grpc).await, (200, true), "{grpc}");
    }
    for other in [
        "application/json",
        "application/grpcx",
        "application/grpc-web",
        "",
    ] {
        assert_eq!(status(other).await, (401, false), "{other}");
    }
    // A proxy that asks whether a request is accepted goes by the status.
    for (method, version) in [
        (Method::GET, Version::HTTP_2),
        (Method::POST, Version::HTTP_11),
        (Method::GET, Version::HTTP_11),
    ] {
        let answer = sent(method, version, "application/grpc").await;
        assert_eq!(answer, (401, false), "{version:?}");
    }
}
