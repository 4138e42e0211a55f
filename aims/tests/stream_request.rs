//! The content of a request ends with its credentials, and a connection does not change its
//! protocol where it could not end.

#![cfg(all(feature = "tool", feature = "tower"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aims::guard::layer::{RequestBody, RequestBodyError, ResponseBody};
use aims::revoked::{RevocationList, RevokedBy};
use aims::{Guard, Requirements};
use bytes::Bytes;
use common::{Agent, Events, ISSUER, ManualClock, NOW, World, at, bare, told};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt as _;
use tower_layer::Layer as _;

struct Scene {
    world: World,
    agent: Agent,
    guard: Guard,
    clock: ManualClock,
    list: Arc<RevocationList>,
    events: Events,
}

/// A call whose content the service reads, and whose response is open.
struct Call {
    content: Sender<Bytes>,
    /// The texts that the service has read, the code of an error, and `end`.
    read: mpsc::UnboundedReceiver<String>,
    response: std::pin::Pin<Box<ResponseBody<Channel<Bytes, Infallible>>>>,
    _open: Sender<Bytes>,
}

impl Call {
    async fn send(&mut self, text: &'static str) {
        self.content.send_data(text.into()).await.unwrap();
    }

    async fn next(&mut self) -> String {
        self.read.recv().await.unwrap()
    }
}

impl Scene {
    fn new(route: Requirements) -> Self {
        let list = Arc::new(RevocationList::new(100));
        Self::with(route, list, true)
    }

    fn with(route: Requirements, list: Arc<RevocationList>, is_listed: bool) -> Self {
        let world = World::new();
        let clock = ManualClock::default();
        let events = Events::default();
        let mut guard = world
            .guard()
            .issuers(Arc::clone(&world.issuers))
            .require(route)
            .record(events.clone())
            .clock(clock.clone());
        if is_listed {
            guard = guard.revoked(Arc::clone(&list));
        }
        Self {
            guard: guard.build().unwrap(),
            agent: world.agent("spiffe://example.org/agent"),
            world,
            clock,
            list,
            events,
        }
    }

    /// A request of the agent with a token that ends in five minutes.
    fn head(&self) -> Parts {
        let mut claims = World::claims(&self.agent);
        claims["sub"] = "alice".into();
        self.agent.call_with(&self.world.token(&claims))
    }

    async fn call(&self) -> Call {
        let (to_test, read) = mpsc::unbounded_channel();
        let (content, body) = Channel::<Bytes, Infallible>::new(4);
        let (open, response) = Channel::<Bytes, Infallible>::new(4);
        let response = Arc::new(std::sync::Mutex::new(Some(response)));
        let handler = move |request: Request<RequestBody<Channel<Bytes, Infallible>>>| {
            let (to_test, response) = (to_test.clone(), response.lock().unwrap().take());
            tokio::spawn(report(request.into_body(), to_test));
            async move { Ok::<_, Infallible>(Response::new(response.unwrap())) }
        };
        let service = self.guard.layer().layer(tower::service_fn(handler));
        let request = Request::from_parts(self.head(), body);
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Call {
            content,
            read,
            response: Box::pin(response.into_body()),
            _open: open,
        }
    }

    fn at(&self, seconds: u64) {
        self.clock.set(seconds);
    }

    /// The number of events with this code.
    fn events(&self, code: &str) -> usize {
        let code = format!("code: Some(\"{code}\")");
        let all = self.events.0.lock().unwrap();
        all.iter().filter(|it| it.contains(&code)).count()
    }

    fn code(&self, request: &Parts) -> (&'static str, u16) {
        let (code, status, _) = told(self.guard.check(request, at(NOW)));
        (code, status)
    }
}

async fn report(
    body: RequestBody<Channel<Bytes, Infallible>>,
    to_test: mpsc::UnboundedSender<String>,
) {
    let mut body = Box::pin(body);
    while let Some(frame) = body.frame().await {
        let text = match frame {
            Ok(frame) => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
            Err(RequestBodyError::Ended(error)) => error.code().to_owned(),
            Err(other) => unreachable!("{other}"),
        };
        to_test.send(text).unwrap();
    }
    to_test.send("end".to_owned()).unwrap();
}

fn scopes() -> Requirements {
    Requirements::new().scopes("tools:call".parse().unwrap())
}

/// The last second is `exp` and the clock skew. What comes later does not reach the service, and
/// the end of both directions is one event.
#[tokio::test(start_paused = true)]
async fn a_content_ends_with_its_token() {
    let scene = Scene::new(scopes());
    let mut call = scene.call().await;
    call.send("one").await;
    assert_eq!(call.next().await, "one");
    scene.at(NOW + 329);
    call.send("two").await;
    assert_eq!(call.next().await, "two");
    scene.at(NOW + 331);
    call.send("three").await;
    assert_eq!(call.next().await, "guard.stream_expired");
    assert_eq!(call.next().await, "end");
    assert!(call.response.frame().await.unwrap().is_err());
    assert_eq!(scene.events("guard.stream_expired"), 1);
}

/// A content for which the service waits ends as well.
#[tokio::test(start_paused = true)]
async fn an_idle_content_ends_as_well() {
    let scene = Scene::new(scopes());
    let mut call = scene.call().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(call.read.try_recv().is_err());
    scene.at(NOW + 331);
    assert_eq!(call.next().await, "guard.stream_expired");
    assert_eq!(call.next().await, "end");
}

/// A revocation ends a content, also where no scope is required.
#[tokio::test(start_paused = true)]
async fn a_content_ends_with_a_revocation() {
    for route in [scopes(), Requirements::new()] {
        let scene = Scene::new(route);
        let (mut call, mut idle) = (scene.call().await, scene.call().await);
        call.send("one").await;
        assert_eq!(call.next().await, "one");
        let agent = RevokedBy::Agent(scene.agent.id.clone());
        scene.list.revoke(agent, at(NOW));
        call.send("two").await;
        assert_eq!(call.next().await, "guard.stream_revoked");
        assert_eq!(idle.next().await, "guard.stream_revoked");
    }
}

/// A content that ends in time is not touched; by name, a later one is not, either.
#[tokio::test(start_paused = true)]
async fn other_contents_are_unchanged() {
    let scene = Scene::new(scopes());
    let mut call = scene.call().await;
    call.send("whole").await;
    drop(call.content);
    assert_eq!(call.read.recv().await.unwrap(), "whole");
    assert_eq!(call.read.recv().await.unwrap(), "end");
    let scene = Scene::new(scopes().outlive_credentials());
    let mut call = scene.call().await;
    scene.at(NOW + 331);
    let issuer = RevokedBy::Issuer(ISSUER.to_owned());
    scene.list.revoke(issuer, at(NOW));
    call.send("late").await;
    assert_eq!(call.next().await, "late");
}

fn asking(mut head: Parts, protocol: &str) -> Parts {
    head.headers
        .insert("connection", "upgrade".parse().unwrap());
    head.headers.insert("upgrade", protocol.parse().unwrap());
    head
}

/// A request for another protocol is refused where its connection could not end, and its proof is
/// not spent.
#[test]
fn another_protocol_is_refused() {
    let list = || Arc::new(RevocationList::new(100));
    let refused = ("guard.upgrade", 403);
    for (route, is_listed, expected) in [
        (scopes(), true, refused),
        (scopes(), false, refused),
        (Requirements::new(), true, refused),
        (Requirements::new(), false, ("ok", 200)),
        (scopes().outlive_credentials(), true, ("ok", 200)),
    ] {
        let scene = Scene::with(route, list(), is_listed);
        let head = scene.head();
        assert_eq!(scene.code(&asking(head.clone(), "websocket")), expected);
        // The same proof is good for an ordinary request.
        let spent = if expected.0 == "ok" {
            "replay.replayed"
        } else {
            "ok"
        };
        assert_eq!(scene.code(&head).0, spent);
    }
    let scene = Scene::new(scopes());
    let mut connect = scene.head();
    connect.method = Method::CONNECT;
    assert_eq!(scene.code(&connect), refused);
    // Clients of Java send this with ordinary requests, and servers ignore it.
    let java = asking(scene.head(), "h2c");
    assert_eq!(scene.code(&java), ("ok", 200));
    // The guard tells an unauthenticated sender nothing.
    let unknown = asking(bare(), "websocket");
    assert_eq!(scene.code(&unknown), ("token.missing", 401));
}

/// Makes a call to a service that switches protocols, whatever was asked.
async fn switching(scene: &Scene, head: Parts, by_head: bool) -> (u16, usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let switch = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
    };
    let request = Request::from_parts(head, Full::<Bytes>::default());
    let status = if by_head {
        let service = tower::service_fn(move |_| std::future::ready(switch()));
        let service = scene.guard.head_layer().layer(service);
        service.oneshot(request).await.unwrap().status()
    } else {
        let service = tower::service_fn(move |_| std::future::ready(switch()));
        let service = scene.guard.layer().layer(service);
        service.oneshot(request).await.unwrap().status()
    };
    (status.as_u16(), calls.load(Ordering::SeqCst))
}

/// A service does not switch protocols where the connection could not end.
#[tokio::test]
async fn a_service_does_not_switch() {
    for by_head in [false, true] {
        let scene = Scene::new(scopes());
        let websocket = asking(scene.head(), "websocket");
        assert_eq!(switching(&scene, websocket, by_head).await, (403, 0));
        assert_eq!(scene.events("guard.upgrade"), 1);
        let h2c = asking(scene.head(), "h2c");
        assert_eq!(switching(&scene, h2c, by_head).await, (403, 1));
        assert_eq!(scene.events("guard.upgrade"), 2);
        assert_eq!(switching(&scene, scene.head(), by_head).await, (403, 1));
        let scene = Scene::new(scopes().outlive_credentials());
        let websocket = asking(scene.head(), "websocket");
        assert_eq!(switching(&scene, websocket, by_head).await, (101, 1));
        assert_eq!(scene.events("guard.upgrade"), 0);
    }
}

/// Sends a request to a server that switches to each protocol that it is asked for, over a
/// connection of HTTP/1.1. Returns the status, and whether the server got the connection.
async fn over_http(scene: &Scene, protocol: &'static str) -> (u16, bool) {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (to_test, upgraded) = oneshot::channel();
    let to_test = Arc::new(std::sync::Mutex::new(Some(to_test)));
    let handler = move |mut request: Request<RequestBody<hyper::body::Incoming>>| {
        let to_test = to_test.lock().unwrap().take().unwrap();
        let mut response = Response::new(Empty::<Bytes>::new());
        assert!(!request.headers().contains_key("http2-settings"));
        if let Some(protocol) = request.headers().get("upgrade") {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert("upgrade", protocol.clone());
            headers.insert("connection", "upgrade".parse().unwrap());
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move { to_test.send(upgrade.await.is_ok()) });
        } else {
            to_test.send(false).unwrap();
        }
        async move { Ok::<_, Infallible>(response) }
    };
    let service = scene.guard.layer().layer(tower::service_fn(handler));
    let service = TowerToHyperService::new(service);
    let server = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(server), service)
        .with_upgrades();
    tokio::spawn(server);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut head = asking(scene.head(), protocol);
    if protocol == "h2c" {
        // As Java's client sends it.
        let fields = "Upgrade, HTTP2-Settings".parse().unwrap();
        head.headers.insert("connection", fields);
        let settings = "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA";
        head.headers
            .insert("http2-settings", settings.parse().unwrap());
    }
    let request = Request::from_parts(head, Empty::<Bytes>::new());
    let response = sender.send_request(request).await.unwrap();
    // A connection that stays one of HTTP ends here.
    drop(sender);
    (response.status().as_u16(), upgraded.await.unwrap())
}

/// Where streams end, a service does not even see an offer to change the protocol.
#[tokio::test]
async fn a_service_is_not_offered_another_protocol() {
    let scene = Scene::new(scopes());
    assert_eq!(over_http(&scene, "h2c").await, (200, false));
    let scene = Scene::new(scopes().outlive_credentials());
    assert_eq!(over_http(&scene, "chat").await, (101, true));
}
