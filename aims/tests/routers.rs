//! All ways in which axum routes a request: no handler that takes a `Principal` is called without
//! one.

#![cfg(feature = "axum")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aims::{Guard, Principal};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::FromRequestParts as _;
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, on_service, options, post};
use common::{Agent, Then, World};
use http::{Request, StatusCode};
use tower::Service as _;

const AGENT: &str = "spiffe://example.org/agent";

/// The number of calls of the handler.
type Count = Arc<AtomicUsize>;

/// Returns the handler, for any way of routing.
fn handler(count: &Count) -> impl Fn(Principal) -> std::future::Ready<String> + Clone + use<> {
    let count = Arc::clone(count);
    move |who: Principal| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(who.subject().to_owned())
    }
}

/// Adds the guard around all that the router has so far, or returns the router unchanged.
fn within(router: Router, guard: Option<&Guard>) -> Router {
    match guard {
        Some(guard) => router.layer(guard.layer()),
        None => router,
    }
}

fn route_within(router: Router, guard: Option<&Guard>) -> Router {
    match guard {
        Some(guard) => router.route_layer(guard.layer()),
        None => router,
    }
}

fn guarded(route: MethodRouter, guard: Option<&Guard>) -> MethodRouter {
    match guard {
        Some(guard) => route.layer(guard.layer()),
        None => route,
    }
}

/// A router, a request for it, and the expected answers without a proof and with one.
struct Shape {
    name: &'static str,
    build: fn(Option<&Guard>, &Count) -> Router,
    asked: (&'static str, &'static str),
    answers: (u16, u16),
}

const CALL: (&str, &str) = ("POST", "/call");
/// The guard answers without a proof; with one, the handler answers.
const GUARDED: (u16, u16) = (400, 200);
/// There is no guard: the handler is not called, with or without a proof.
const OPEN: (u16, u16) = (500, 500);

fn shapes() -> Vec<Shape> {
    let shape = |name, build, asked, answers| Shape {
        name,
        build,
        asked,
        answers,
    };
    vec![
        shape(
            "a route, then the layer",
            |guard, count| within(Router::new().route("/call", post(handler(count))), guard),
            CALL,
            GUARDED,
        ),
        shape(
            "a route after the layer",
            |guard, count| within(Router::new(), guard).route("/call", post(handler(count))),
            CALL,
            OPEN,
        ),
        shape(
            "merged before the layer",
            |guard, count| {
                let other = Router::new().route("/call", post(handler(count)));
                within(Router::new().merge(other), guard)
            },
            CALL,
            GUARDED,
        ),
        shape(
            "merged after the layer",
            |guard, count| {
                let other = Router::new().route("/call", post(handler(count)));
                within(Router::new(), guard).merge(other)
            },
            CALL,
            OPEN,
        ),
        shape(
            "a fallback before the layer",
            |guard, count| within(Router::new().fallback(handler(count)), guard),
            CALL,
            GUARDED,
        ),
        shape(
            "a fallback after the layer",
            |guard, count| within(Router::new(), guard).fallback(handler(count)),
            CALL,
            OPEN,
        ),
        shape(
            "a route within `route_layer`",
            |guard, count| route_within(Router::new().route("/call", post(handler(count))), guard),
            CALL,
            GUARDED,
        ),
        shape(
            "a fallback beside `route_layer`",
            |guard, count| {
                let router = Router::new().route("/other", get(|| async {}));
                route_within(router.fallback(handler(count)), guard)
            },
            CALL,
            OPEN,
        ),
        shape(
            "nested, the layer around it",
            |guard, count| {
                let inner = Router::new().route("/call", post(handler(count)));
                within(Router::new().nest("/deep", inner), guard)
            },
            ("POST", "/deep/call"),
            GUARDED,
        ),
        shape(
            "nested with a layer of its own",
            |guard, count| {
                let inner = Router::new().route("/call", post(handler(count)));
                Router::new().nest("/deep", within(inner, guard))
            },
            ("POST", "/deep/call"),
            GUARDED,
        ),
        shape(
            "nested in another, with a layer of its own",
            |guard, count| {
                let router = Router::new().nest("/deep", within(Router::new(), guard));
                router.route("/deep/call", post(handler(count)))
            },
            ("POST", "/deep/call"),
            OPEN,
        ),
        shape(
            "a layer around one route alone",
            |guard, count| Router::new().route("/call", guarded(post(handler(count)), guard)),
            CALL,
            GUARDED,
        ),
        shape(
            "OPTIONS",
            |guard, count| within(Router::new().route("/call", options(handler(count))), guard),
            ("OPTIONS", "/call"),
            GUARDED,
        ),
        shape(
            "HEAD of a GET",
            |guard, count| within(Router::new().route("/call", get(handler(count))), guard),
            ("HEAD", "/call"),
            GUARDED,
        ),
        shape(
            "a trailing slash",
            |guard, count| within(Router::new().route("/call", post(handler(count))), guard),
            ("POST", "/call/"),
            (400, 404),
        ),
        shape(
            "another method",
            |guard, count| within(Router::new().route("/call", post(handler(count))), guard),
            ("DELETE", "/call"),
            (400, 405),
        ),
        shape(
            "a handler for other methods",
            |guard, count| {
                let router = Router::new().route("/call", post(|| async {}));
                within(router.method_not_allowed_fallback(handler(count)), guard)
            },
            ("DELETE", "/call"),
            GUARDED,
        ),
        shape(
            "any method",
            |guard, count| within(Router::new().route("/call", any(handler(count))), guard),
            ("PATCH", "/call"),
            GUARDED,
        ),
        shape(
            "a service as a route",
            |guard, count| {
                let service: MethodRouter = any(handler(count));
                within(Router::new().route_service("/call", service), guard)
            },
            CALL,
            GUARDED,
        ),
        shape(
            "a service for some methods",
            |guard, count| {
                let service: MethodRouter = any(handler(count));
                let route = on_service(axum::routing::MethodFilter::POST, service);
                within(Router::new().route("/call", route), guard)
            },
            CALL,
            GUARDED,
        ),
        shape(
            "a service as fallback",
            |guard, count| {
                let service: MethodRouter = any(handler(count));
                within(Router::new().fallback_service(service), guard)
            },
            CALL,
            GUARDED,
        ),
        shape(
            "CONNECT",
            |guard, count| within(Router::new().fallback(handler(count)), guard),
            ("CONNECT", "tools.example:443"),
            GUARDED,
        ),
        shape(
            "a target in absolute form",
            |guard, count| within(Router::new().route("/call", post(handler(count))), guard),
            ("POST", "https://tools.example/call"),
            GUARDED,
        ),
        shape(
            "a wildcard",
            |guard, count| within(Router::new().route("/{*rest}", any(handler(count))), guard),
            ("GET", "/call/../call"),
            GUARDED,
        ),
    ]
}

fn guard(world: &World) -> Guard {
    // A fixed audience, so that one proof fits every path.
    let guard = world.guard().proof_audience("tool").clock(Then);
    guard.build().unwrap()
}

fn request(asked: (&str, &str), agent: Option<&Agent>) -> Request<Body> {
    let (method, uri) = asked;
    let builder = Request::builder().method(method).uri(uri);
    let mut request = builder
        .header("host", "tools.example")
        .body(Body::empty())
        .unwrap();
    if method == "CONNECT" {
        let value = "tools.example:443".parse().unwrap();
        request.headers_mut().insert("host", value);
    }
    if let Some(agent) = agent {
        let wpt = agent.wpt(&aims::wpt::Binding::to("tool"));
        let wit = agent.wit.expose();
        let revision = aims::wpt::Revision::Draft01;
        aims::wpt::fields::apply(request.headers_mut(), wit, &wpt, revision).unwrap();
    }
    request
}

async fn send(router: &Router, request: Request<Body>) -> Response {
    let answer: Result<Response, Infallible> = router.clone().call(request).await;
    answer.unwrap()
}

/// T-140: with a guard, each router answers as the table says, and only proven callers reach the
/// handler.
#[tokio::test]
async fn no_shape_is_open() {
    let world = World::new();
    let (guard, agent) = (guard(&world), world.agent(AGENT));
    assert!(shapes().len() >= 14);
    for shape in shapes() {
        let count = Count::default();
        let router = (shape.build)(Some(&guard), &count);
        for upgrade in [false, true] {
            let mut asked = request(shape.asked, None);
            if upgrade {
                for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
                    asked.headers_mut().insert(name, value.parse().unwrap());
                }
            }
            let answer = send(&router, asked).await;
            assert_eq!(answer.status(), shape.answers.0, "{}", shape.name);
            assert_eq!(count.load(Ordering::SeqCst), 0, "{}", shape.name);
        }
        let answer = send(&router, request(shape.asked, Some(&agent))).await;
        assert_eq!(answer.status(), shape.answers.1, "{}", shape.name);
        let reached = usize::from(shape.answers.1 == 200);
        assert_eq!(count.load(Ordering::SeqCst), reached, "{}", shape.name);
    }
}

/// T-139, T-140: without a guard, every route to the handler answers 500.
#[tokio::test]
async fn without_a_guard_nothing_is_open() {
    let world = World::new();
    let agent = world.agent(AGENT);
    for shape in shapes() {
        let count = Count::default();
        let router = (shape.build)(None, &count);
        for proven in [None, Some(&agent)] {
            let answer = send(&router, request(shape.asked, proven)).await;
            let expected = match shape.answers.1 {
                200 => 500,
                other => other,
            };
            assert_eq!(answer.status(), expected, "{}", shape.name);
            let body = to_bytes(answer.into_body(), 1_024).await.unwrap();
            assert!(body.is_empty(), "{}", shape.name);
        }
        assert_eq!(count.load(Ordering::SeqCst), 0, "{}", shape.name);
    }
}

/// A type that could be confused with the principal.
mod imposter {
    #[derive(Clone, Debug)]
    pub(super) struct Principal(pub(super) String);
}

/// T-139: neither a header field nor a type of the same name is a principal. The log tells the
/// operator what is wrong.
#[tokio::test]
async fn only_a_guard_makes_a_principal() {
    let count = Count::default();
    let router = Router::new().route("/call", post(handler(&count)));
    let forged = imposter::Principal(AGENT.to_owned());
    assert_eq!(forged.0, AGENT);
    let outer = router
        .layer(axum::Extension(forged))
        .layer(axum::Extension(AGENT));
    let mut asked = request(CALL, None);
    for name in [
        "principal",
        "x-principal",
        "x-forwarded-user",
        "x-client-cert",
        "workload-identity",
    ] {
        asked.headers_mut().insert(name, AGENT.parse().unwrap());
    }
    let answer = send(&outer, asked).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let mut parts = request(CALL, None).into_parts().0;
    let told = Principal::from_request_parts(&mut parts, &())
        .await
        .unwrap_err();
    let told = told.to_string();
    for part in [
        "no guard stands before its route",
        "`.layer(guard.layer())`",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
}

/// A guard within a guard: the handler gets the principal of the inner one.
#[tokio::test]
async fn the_inner_guard_decides() {
    let (outer, inner) = (World::new(), World::new());
    let count = Count::default();
    let router = Router::new().route("/call", post(handler(&count)));
    let router = router
        .layer(guard(&inner).layer())
        .layer(guard(&outer).layer());
    for world in [&outer, &inner] {
        let asked = request(CALL, Some(&world.agent(AGENT)));
        assert_eq!(send(&router, asked).await.status(), 400);
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}
