//! Browsers: preflight requests, and what scripts of other origins may read.

#![cfg(all(feature = "tool", feature = "tower"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::convert::Infallible;

use aims::Guard;
use aims::guard::{BuildError, Cors};
use aims::oauth_wire::metadata::ResourceMetadata;
use bytes::Bytes;
use common::{TOOL, Then, World};
use http::{HeaderMap, HeaderName, Method, Request, Response};
use http_body_util::Full;
use tower::ServiceExt as _;
use tower_layer::Layer as _;

const APP: &str = "https://app.example";
const METADATA: &str = "/.well-known/oauth-protected-resource/mcp";

fn guard(cors: Option<Cors>) -> Guard {
    let world = World::new();
    let guard = world.guard().clock(Then);
    let guard = guard.metadata(ResourceMetadata::new(TOOL.parse().unwrap()));
    match cors {
        Some(cors) => guard.cors(cors).build().unwrap(),
        None => guard.build().unwrap(),
    }
}

/// Sends a request of a script to both layers, which answer alike.
async fn send(
    guard: &Guard,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
) -> (u16, HeaderMap) {
    let handler = async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()));
    let head = || {
        let mut request = Request::builder().method(method.clone()).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.header("host", "tools.example")
    };
    let service = guard.layer().layer(tower::service_fn(handler));
    let request = head().body(Full::<Bytes>::default()).unwrap();
    let whole = service.oneshot(request).await.unwrap();
    let handler = async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()));
    let service = guard.head_layer().layer(tower::service_fn(handler));
    let alone = service.oneshot(head().body(()).unwrap()).await.unwrap();
    assert_eq!(whole.status(), alone.status());
    assert_eq!(whole.headers(), alone.headers());
    (whole.status().as_u16(), whole.headers().clone())
}

const PREFLIGHT: (&str, &str) = ("access-control-request-method", "POST");

#[tokio::test]
async fn an_allowed_origin_may_ask_and_read() {
    let guard = guard(Some(Cors::origins([APP, "http://localhost:3000"])));
    let (status, headers) = send(
        &guard,
        Method::OPTIONS,
        "/mcp",
        &[("origin", APP), PREFLIGHT],
    )
    .await;
    assert_eq!(status, 204);
    assert_eq!(headers["access-control-allow-origin"], APP);
    let allowed = headers["access-control-allow-headers"].to_str().unwrap();
    for field in [
        "authorization",
        "content-type",
        "dpop",
        "mcp-protocol-version",
    ] {
        assert!(allowed.split(", ").any(|it| it == field), "{allowed}");
    }
    assert!(
        headers["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("POST")
    );
    assert_eq!(headers["vary"], "Origin");
    // Cookies are never allowed.
    assert!(!headers.contains_key("access-control-allow-credentials"));
    // A refusal is read with its challenge.
    let (status, headers) = send(&guard, Method::POST, "/mcp", &[("origin", APP)]).await;
    assert_eq!(status, 400);
    assert_eq!(headers["access-control-allow-origin"], APP);
    let exposed = headers["access-control-expose-headers"].to_str().unwrap();
    assert_eq!(
        exposed,
        "www-authenticate, dpop-nonce, retry-after, mcp-session-id"
    );
    // So are the metadata, also after a preflight.
    for (method, expected) in [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 405)] {
        let (status, headers) = send(&guard, method, METADATA, &[("origin", APP)]).await;
        assert_eq!(status, expected);
        assert_eq!(headers["access-control-allow-origin"], APP);
    }
    let fields = [("origin", APP), ("access-control-request-method", "GET")];
    assert_eq!(
        send(&guard, Method::OPTIONS, METADATA, &fields).await.0,
        204
    );
}

#[tokio::test]
async fn other_origins_read_nothing() {
    let by_name = guard(Some(Cors::origins([APP])));
    let off = guard(None);
    for origin in [
        "https://other.example",
        "http://app.example",
        "https://app.example.other.example",
        "https://app.example:443",
        "https://APP.example",
        "null",
    ] {
        for (guard, method, path) in [
            (&by_name, Method::POST, "/mcp"),
            (&by_name, Method::GET, METADATA),
            (&off, Method::POST, "/mcp"),
            (&off, Method::GET, METADATA),
        ] {
            let (_, headers) = send(guard, method, path, &[("origin", origin)]).await;
            let cors = headers
                .keys()
                .find(|it| it.as_str().starts_with("access-control"));
            assert_eq!(cors, None, "{origin}");
        }
        let fields = [("origin", origin), PREFLIGHT];
        // The request is verified like any other.
        assert_eq!(
            send(&by_name, Method::OPTIONS, "/mcp", &fields).await.0,
            400
        );
    }
    let fields = [("origin", APP), PREFLIGHT];
    assert_eq!(send(&off, Method::OPTIONS, "/mcp", &fields).await.0, 400);
    // Without `Origin`, and for `OPTIONS` that is no preflight.
    assert_eq!(
        send(&by_name, Method::OPTIONS, "/mcp", &[PREFLIGHT])
            .await
            .0,
        400
    );
    assert_eq!(
        send(&by_name, Method::OPTIONS, "/mcp", &[("origin", APP)])
            .await
            .0,
        400
    );
    let (_, headers) = send(&by_name, Method::POST, "/mcp", &[]).await;
    assert!(!headers.contains_key("access-control-allow-origin"));
    assert_eq!(headers["vary"], "Origin");
    // Off is as if there were no CORS.
    let (_, headers) = send(&off, Method::POST, "/mcp", &[("origin", APP)]).await;
    assert!(!headers.contains_key("vary"));
}

#[tokio::test]
async fn any_origin_and_further_fields() {
    let field = HeaderName::from_static("x-trace");
    let cors = Cors::any_origin()
        .request_header(field.clone())
        .exposed_header(field);
    let guard = guard(Some(cors));
    let fields = [("origin", "null"), PREFLIGHT];
    let (status, headers) = send(&guard, Method::OPTIONS, "/mcp", &fields).await;
    assert_eq!(status, 204);
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(
        headers["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .ends_with(", x-trace")
    );
    assert!(
        headers["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .ends_with(", x-trace")
    );
    assert!(!headers.contains_key("vary"));
}

#[test]
fn origins_are_checked() {
    let world = World::new();
    for bad in [
        "https://app.example/",
        "app.example",
        "*",
        "https://*.example",
        "",
    ] {
        let built = world.guard().cors(Cors::origins([bad])).build();
        assert!(matches!(built, Err(BuildError::Cors { .. })), "{bad}");
    }
    // No origin is not any origin.
    let built = world.guard().cors(Cors::origins([""; 0])).build();
    assert!(matches!(built, Err(BuildError::Cors { .. })));
}

/// A handler cannot allow cookies, on which the guard's rules do not count.
#[tokio::test]
async fn a_handler_allows_no_cookies() {
    let world = World::new();
    let open = aims::Requirements::new().accept_bearer();
    let guard = world.guard().issuers(std::sync::Arc::clone(&world.issuers));
    let guard = guard.cors(Cors::origins([APP])).require(open).clock(Then);
    let guard = guard.build().unwrap();
    let handler = async |_| {
        let response = Response::builder().header("access-control-allow-credentials", "true");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
    };
    let agent = world.agent("spiffe://example.org/agent");
    let mut head = agent.call_with(&world.token(&World::claims(&agent)));
    head.headers.insert("origin", APP.parse().unwrap());
    let service = guard.layer().layer(tower::service_fn(handler));
    let request = Request::from_parts(head, Full::<Bytes>::default());
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], APP);
    let allowed = answer.headers().get("access-control-allow-credentials");
    assert_eq!(allowed, None);
}

/// The router of the metadata answers browsers as the layer does.
#[cfg(feature = "axum")]
#[tokio::test]
async fn the_router_of_the_metadata_answers_browsers() {
    let guard = guard(Some(Cors::origins([APP])));
    let send = async |method: Method, fields: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(METADATA);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        guard
            .metadata_routes::<()>()
            .oneshot(request)
            .await
            .unwrap()
    };
    let answer = send(Method::GET, &[("origin", APP)]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], APP);
    let answer = send(Method::OPTIONS, &[("origin", APP), PREFLIGHT]).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(send(Method::POST, &[]).await.status(), 405);
}

/// Metadata that the program signed are served as they are: no member is added beside them.
#[tokio::test]
async fn signed_metadata_are_served() {
    let world = World::new();
    let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
    let signed = metadata.signed(
        "https://tools.example",
        Some("as"),
        &world.server,
        common::at(common::NOW),
    );
    let guard = world.guard().issuers(std::sync::Arc::clone(&world.issuers));
    let guard = guard
        .dpop(aims::guard::Dpop::new())
        .metadata(signed.unwrap())
        .build()
        .unwrap();
    let served: Response<Vec<u8>> = guard.published().unwrap().to_response();
    let document: serde_json::Value = serde_json::from_slice(served.body()).unwrap();
    assert_eq!(document.get("dpop_signing_alg_values_supported"), None);
    let keys = format!(r#"{{"keys":[{}]}}"#, world.server.public_jwk().to_json());
    let rules = aims::jose::jwk::SetRules::oauth();
    let keys = aims::jose::jwk::JwkSet::parse(keys.as_bytes(), &rules, common::provider()).unwrap();
    let signer = aims::oauth_wire::metadata::MetadataSigner::new("https://tools.example", keys);
    let tool = TOOL.parse().unwrap();
    let read =
        ResourceMetadata::parse_signed(served.body(), &tool, &signer, common::at(common::NOW));
    assert_eq!(read.unwrap().resource().as_str(), TOOL);
}
