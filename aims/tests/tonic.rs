//! A guard as a tower layer before a server of tonic, with a client of tonic: streaming calls,
//! refusals as the status of a call, transaction tokens as metadata.

#![cfg(all(feature = "tool", feature = "tower"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use aims::guard::{OpaqueTokens, TransactionTokens};
use aims::jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims::jose::key::SigningKey;
use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
use aims::revoked::{RevocationList, RevokedBy};
use aims::txn_token::TxnTokenRules;
use aims::wpt::{Binding, Revision};
use aims::{Guard, Principal, Requirements};
use bytes::{Buf as _, BufMut as _, Bytes};
use common::{Agent, ISSUER, ManualClock, NOW, World, at, key, provider, sign};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::Service;

const RESOURCE: &str = "https://tools.example/pkg.Echo";
const CALL: &str = "https://tools.example/pkg.Echo/Call";
const DOMAIN: &str = "trust-domain.example";

/// Messages of bytes, without a description language.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// The service `pkg.Echo`: it returns each message, and in the metadata what the guard has found.
#[derive(Clone, Default)]
struct Echo(Arc<AtomicUsize>);

impl NamedService for Echo {
    const NAME: &'static str = "pkg.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move { Ok(Grpc::new(Raw).streaming(method, request).await) })
    }
}

impl StreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Streaming<Bytes>;
    type Future = Ready<Result<Response<Streaming<Bytes>>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        self.0.fetch_add(1, Ordering::SeqCst);
        let who = request.extensions().get::<Principal>().unwrap().clone();
        let transaction = who.transaction().map_or("none", |it| it.txn()).to_owned();
        assert!(request.metadata().get("authorization").is_none() || who.access_token().is_none());
        let mut response = Response::new(request.into_inner());
        let metadata = response.metadata_mut();
        metadata.insert("subject", who.subject().parse().unwrap());
        metadata.insert("transaction", transaction.parse().unwrap());
        ready(Ok(response))
    }
}

/// The messages of a client, as the test sends them.
struct Messages(mpsc::UnboundedReceiver<Bytes>);

impl futures_core::Stream for Messages {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(context)
    }
}

/// An issuer that is away.
#[derive(Debug)]
struct Away;

impl Resolve for Away {
    fn resolve(&self, _: Need) -> ResolveFuture<'_> {
        Box::pin(ready(Resolved::Unavailable))
    }
}

struct Scene {
    world: World,
    agent: Agent,
    service: SigningKey,
    clock: ManualClock,
    list: Arc<RevocationList>,
    /// How often the service was called.
    calls: Arc<AtomicUsize>,
    channel: Channel,
}

/// A running call.
struct Call {
    sender: mpsc::UnboundedSender<Bytes>,
    answers: Streaming<Bytes>,
}

impl Call {
    async fn echo(&mut self, text: &'static str) -> Result<Option<Bytes>, Status> {
        self.sender
            .send(Bytes::from_static(text.as_bytes()))
            .unwrap();
        self.answers.message().await
    }
}

impl Scene {
    async fn new(route: Requirements) -> Self {
        let world = World::new();
        let service = key(aims::jose::Algorithm::Es256).with_key_id("tts");
        let keys: PublicJwkSet = [service.public_jwk().clone()].into_iter().collect();
        let keys = JwkSet::parse(keys.to_json().as_bytes(), &SetRules::oauth(), provider());
        let transactions = TransactionTokens::new(TxnTokenRules::new(DOMAIN), keys.unwrap());
        let clock = ManualClock::default();
        let list = Arc::new(RevocationList::new(100));
        let guard = Guard::builder(RESOURCE)
            .trust(Arc::clone(&world.trust))
            .issuers(Arc::clone(&world.issuers))
            .wpt_revisions(Revision::Draft01)
            .transactions(transactions)
            .opaque_tokens(OpaqueTokens::of(ISSUER.parse().unwrap(), Away))
            .revoked(Arc::clone(&list))
            .require(route)
            .clock(clock.clone())
            .accept_proofs_before_start()
            .build()
            .unwrap();
        let echo = Echo::default();
        let calls = Arc::clone(&echo.0);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().layer(guard.layer()).add_service(echo);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Self {
            agent: world.agent("spiffe://example.org/agent"),
            world,
            service,
            clock,
            list,
            calls,
            channel: Endpoint::from_shared(url).unwrap().connect().await.unwrap(),
        }
    }

    /// Begins a streaming call with this metadata.
    async fn call(&self, fields: &[(&'static str, &str)]) -> Result<(Call, MetadataMap), Status> {
        let (sender, messages) = mpsc::unbounded_channel();
        let mut request = Request::new(Messages(messages));
        for (name, value) in fields {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let mut client = Client::new(self.channel.clone());
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/pkg.Echo/Call");
        let (metadata, answers, _) = client.streaming(request, path, Raw).await?.into_parts();
        Ok((Call { sender, answers }, metadata))
    }

    async fn refused(&self, fields: &[(&'static str, &str)]) -> Status {
        let before = self.calls.load(Ordering::SeqCst);
        let status = self.call(fields).await.map(|_| ()).unwrap_err();
        assert_eq!(self.calls.load(Ordering::SeqCst), before, "{status}");
        status
    }

    /// A token of alice with these changes.
    fn bearer(&self, changes: &Value) -> String {
        let mut claims = World::claims(&self.agent);
        claims["aud"] = json!(RESOURCE);
        claims["sub"] = json!("alice");
        claims["client_id"] = json!("app");
        claims.as_object_mut().unwrap().remove("cnf");
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        format!("Bearer {}", self.world.token(&claims))
    }

    /// A transaction token of alice with these changes.
    fn transaction(&self, changes: &Value) -> String {
        let mut claims = json!({
            "aud": DOMAIN, "iat": NOW, "exp": NOW + 60, "txn": "t-1", "sub": "alice",
            "scope": "payments", "req_wl": "gateway",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        sign("txntoken+jwt", &self.service, &claims)
    }
}

fn scopes() -> Requirements {
    let scopes = "tools:call".parse().unwrap();
    Requirements::new().accept_bearer().scopes(scopes)
}

/// A call with a bearer token streams both ways. It ends with a revocation, and with the token.
#[tokio::test]
async fn a_call_streams_until_its_token_ends() {
    for revokes in [false, true] {
        let scene = Scene::new(scopes()).await;
        let bearer = scene.bearer(&json!({}));
        let (mut call, metadata) = scene.call(&[("authorization", &bearer)]).await.unwrap();
        assert_eq!(metadata.get("subject").unwrap(), "alice");
        for text in ["one", "two"] {
            assert_eq!(call.echo(text).await.unwrap().unwrap(), text);
        }
        if revokes {
            let alice = RevokedBy::Subject {
                issuer: ISSUER.to_owned(),
                subject: "alice".to_owned(),
            };
            scene.list.revoke(alice, at(NOW));
        } else {
            scene.clock.set(NOW + 331);
        }
        let status = call.echo("three").await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    // The client ends a call by itself.
    let scene = Scene::new(scopes()).await;
    let bearer = scene.bearer(&json!({}));
    let (mut call, _) = scene.call(&[("authorization", &bearer)]).await.unwrap();
    assert_eq!(call.echo("one").await.unwrap().unwrap(), "one");
    let Call {
        sender,
        mut answers,
    } = call;
    drop(sender);
    assert_eq!(answers.message().await.unwrap(), None);
}

/// tonic's client reads each refusal as the status of its call, with the challenge in the metadata.
/// The service is not called.
#[tokio::test]
async fn a_refusal_is_the_status_of_the_call() {
    let scene = Scene::new(scopes()).await;
    let challenge = |status: &Status| {
        let challenge = status.metadata().get("www-authenticate");
        challenge.map_or(String::new(), |it| it.to_str().unwrap().to_owned())
    };
    let status = scene.refused(&[]).await;
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "Unauthorized")
    );
    assert_eq!(challenge(&status), r#"Bearer scope="tools:call""#);
    let other = scene.bearer(&json!({"aud": "https://other.example"}));
    let status = scene.refused(&[("authorization", &other)]).await;
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        challenge(&status).contains(r#"error="invalid_token""#),
        "{status:?}"
    );
    let less = scene.bearer(&json!({"scope": "tools:read"}));
    let status = scene.refused(&[("authorization", &less)]).await;
    assert_eq!(
        (status.code(), status.message()),
        (Code::PermissionDenied, "Forbidden")
    );
    assert!(
        challenge(&status).contains(r#"error="insufficient_scope""#),
        "{status:?}"
    );
    let status = scene.refused(&[("authorization", "Bearer opaque")]).await;
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
}

/// A workload proof token covers the transaction token, which comes as metadata.
#[tokio::test]
async fn a_transaction_token_is_metadata() {
    let route = || Requirements::new().accept_transaction_alone();
    let scene = Scene::new(route().transaction_scopes("payments".parse().unwrap())).await;
    let wit = scene.agent.wit.expose();
    let proof = |token: &str| scene.agent.wpt(&Binding::to(CALL).txn_token(token));
    let token = scene.transaction(&json!({}));
    let wpt = proof(&token);
    let fields = [
        ("workload-identity-token", wit),
        ("workload-proof-token", &*wpt),
        ("txn-token", &*token),
    ];
    let (mut call, metadata) = scene.call(&fields).await.unwrap();
    assert_eq!(metadata.get("subject").unwrap(), "alice");
    assert_eq!(metadata.get("transaction").unwrap(), "t-1");
    assert_eq!(call.echo("one").await.unwrap().unwrap(), "one");
    // The same proof again.
    assert_eq!(scene.refused(&fields).await.code(), Code::Unauthenticated);
    // Each differs from the first call in its transaction token, and in the proof that covers it.
    for (token, covered, expected) in [
        (scene.transaction(&json!({"txn": "t-2"})), true, None),
        (
            scene.transaction(&json!({"txn": "t-3"})),
            false,
            Some(Code::Unauthenticated),
        ),
        (
            scene.transaction(&json!({"aud": "other.example"})),
            true,
            Some(Code::Unauthenticated),
        ),
        (
            scene.transaction(&json!({"exp": NOW - 31})),
            true,
            Some(Code::Unauthenticated),
        ),
        (
            scene.transaction(&json!({"scope": "read"})),
            true,
            Some(Code::PermissionDenied),
        ),
    ] {
        let wpt = proof(if covered { &token } else { "another" });
        let fields = [
            ("workload-identity-token", wit),
            ("workload-proof-token", &*wpt),
            ("txn-token", &*token),
        ];
        match expected {
            None => drop(scene.call(&fields).await.unwrap()),
            Some(code) => assert_eq!(scene.refused(&fields).await.code(), code),
        }
    }
    let wpt = proof(&token);
    let without = [
        ("workload-identity-token", wit),
        ("workload-proof-token", &*wpt),
    ];
    assert_eq!(scene.refused(&without).await.code(), Code::Unauthenticated);
}
