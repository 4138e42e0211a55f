//! The layer that reads the call of a request: what the guard compares is what the service gets.

#![cfg(all(feature = "axum", feature = "tool"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims::guard::CallReader;
use aims::oauth_wire::call::ToolCall;
use aims::wpt::Binding;
use aims::{Guard, Principal, Requirements};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request};
use axum::middleware::{Next, from_fn};
use axum::routing::any;
use common::{CALL, Events, Scene, TOOL, Then, World};
use http_body_util::BodyExt as _;
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use tower::Service as _;

const MESSAGE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"transfer","arguments":{"to":"bob"}}}"#;

/// Returns the call that the service finds, and the content that it gets.
async fn echo(_: Principal, call: Option<Extension<ToolCall>>, content: Bytes) -> String {
    let call = call.map_or_else(String::new, |it| it.0.tool().to_owned());
    format!("{call}|{}", String::from_utf8_lossy(&content))
}

struct Service {
    scene: Scene,
    events: Events,
    router: Router,
}

impl Service {
    fn new(requirements: Requirements, calls: CallReader) -> Self {
        Self::of(requirements, |guard| {
            Router::new()
                .route("/mcp/call", any(echo))
                .layer(guard.call_layer(calls))
        })
    }

    fn of(requirements: Requirements, router: impl FnOnce(&Guard) -> Router) -> Self {
        let events = Events::default();
        let recorded = events.clone();
        let scene = Scene::of(|guard| {
            let origin = aims::guard::Cors::origins(["https://app.example"]);
            let guard = guard.clock(Then).record(recorded).require(requirements);
            guard.cors(origin)
        });
        let router = router(&scene.guard);
        Self {
            scene,
            events,
            router,
        }
    }

    /// Sends a content with a token of these details. Returns the status, the body, and the event.
    async fn send(&self, details: &Value, content: Body) -> (u16, String, String) {
        let mut claims = World::claims(&self.scene.agent);
        claims["authorization_details"] = details.clone();
        let token = self.scene.world.token(&claims);
        let wpt = self
            .scene
            .agent
            .wpt(&Binding::to(CALL).access_token(&token));
        let mut head = common::proven(self.scene.agent.wit.expose(), &wpt, Some(&token));
        head.uri = "/mcp/call".parse().unwrap();
        let origin = "https://app.example".parse().unwrap();
        head.headers.insert("origin", origin);
        let answer = self.router.clone().call(Request::from_parts(head, content));
        let answer = answer.await.unwrap();
        let status = answer.status().as_u16();
        // A page of an allowed origin can read every answer.
        let allowed = answer.headers().get("access-control-allow-origin");
        assert_eq!(allowed.unwrap(), "https://app.example");
        let body = to_bytes(answer.into_body(), 64 * 1024).await.unwrap();
        let event = self.events.0.lock().unwrap().pop().unwrap_or_default();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (status, body, event)
    }

    /// Checks that the guard refuses a content without an approval with this status and code, and
    /// that its answer has this text.
    async fn refuses(&self, content: Body, status: u16, code: &str, told: &str) {
        let (found, body, event) = self.send(&json!([]), content).await;
        assert_eq!(found, status, "{body} {event}");
        assert!(event.contains(&format!("\"{code}\"")), "{code} in {event}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["detail"].as_str().unwrap_or_default(), told);
        assert_eq!(body["status"], status);
    }
}

fn approved() -> Requirements {
    Requirements::new().approved_call()
}

fn details(content: &str) -> Value {
    let call = ToolCall::from_mcp(content.as_bytes()).unwrap().unwrap();
    serde_json::from_str(&call.details(TOOL).to_json()).unwrap()
}

/// T-113: the call that the layer reads is compared, and the service gets the same bytes.
#[tokio::test]
async fn the_call_of_the_content_is_compared() {
    let service = Service::new(approved(), CallReader::mcp());
    let details = details(MESSAGE);
    let other = MESSAGE.replace("bob", "eve");
    // Blanks and the order of members are kept for the service.
    let same = MESSAGE.replace(r#"{"to":"bob"}"#, "{ \"to\" : \"bob\" }");
    for (content, expected) in [
        (&*other, (403, "guard.approval_call")),
        (&*same, (200, "")),
        (MESSAGE, (403, "guard.approval_used")),
    ] {
        let found = service.send(&details, Body::from(content.to_owned())).await;
        assert_eq!(found.0, expected.0, "{found:?}");
        assert!(found.2.contains(expected.1), "{found:?}");
        if found.0 == 200 {
            assert_eq!(found.1, format!("transfer|{content}"));
        }
    }
}

/// A content in pieces is one content. Its trailers pass.
#[tokio::test]
async fn a_content_in_pieces_is_handed_on_unchanged() {
    async fn trailing(_: Principal, request: Request) -> String {
        let content = request.into_body().collect().await.unwrap();
        let trailers = content.trailers().cloned().unwrap_or_default();
        let length = content.to_bytes().len();
        format!("{length} {:?}", trailers.get("x-end"))
    }
    let service = Service::of(Requirements::new(), |guard| {
        let layer = guard.call_layer(CallReader::mcp());
        Router::new().route("/mcp/call", any(trailing)).layer(layer)
    });
    let (mut sender, body) = Channel::<Bytes>::new(8);
    let (start, end) = MESSAGE.split_at(10);
    for piece in [start, "", end] {
        let piece = Bytes::copy_from_slice(piece.as_bytes());
        sender.send_data(piece).await.unwrap();
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-end", "1".parse().unwrap());
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    let found = service.send(&json!([]), Body::new(body)).await;
    assert_eq!(found.0, 200, "{found:?}");
    assert_eq!(found.1, format!("{} Some(\"1\")", MESSAGE.len()));
}

/// A content without one readable call is refused before a person is asked, with what is wrong.
#[tokio::test]
async fn a_content_that_cannot_be_read_is_refused() {
    let service = Service::new(approved(), CallReader::mcp());
    let unread = "the call cannot be read from the content";
    let object =
        "expected one JSON object with one call, whose parameters and arguments are objects";
    let twice = "a member of the content occurs twice";
    let number = "a number of the arguments does not fit a double";
    let batch = format!("[{MESSAGE}]");
    let repeated = MESSAGE.replace(r#""id":1"#, r#""id":1,"id":2"#);
    let inner = MESSAGE.replace(r#""to":"bob""#, r#""to":"bob","to":"eve""#);
    let great = MESSAGE.replace("\"bob\"", "9007199254740993");
    let list = MESSAGE.replace(r#"{"to":"bob"}"#, "[1]");
    let unnamed = MESSAGE.replace("\"name\"", "\"nome\"");
    for (content, told) in [
        ("{", unread),
        ("tools/call", object),
        ("\u{feff}{}", object),
        (&*unnamed, unread),
        (&*batch, object),
        ("\"x\"", object),
        (&*list, object),
        (&*repeated, twice),
        (&*inner, twice),
        (&*great, number),
    ] {
        let content = Body::from(content.to_owned());
        service
            .refuses(content, 400, "guard.call_malformed", told)
            .await;
    }
    // A message without a call, and no content, are no call.
    let told = "this resource requires the approval of one call, and the request names no call";
    for content in [r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, ""] {
        service
            .refuses(content.into(), 403, "guard.call", told)
            .await;
    }
}

/// The layer holds a bounded content, for a bounded time.
#[tokio::test(start_paused = true)]
async fn a_content_is_bounded() {
    let exact = CallReader::mcp().with_max_content(MESSAGE.len());
    let service = Service::new(Requirements::new(), exact);
    let longer = format!("{MESSAGE} ");
    service
        .refuses(longer.into(), 413, "guard.call_too_large", "")
        .await;
    let found = service.send(&json!([]), MESSAGE.into()).await;
    assert_eq!(found.0, 200, "{found:?}");

    let service = Service::new(Requirements::new(), CallReader::mcp());
    let (mut sender, body) = Channel::<Bytes>::new(1);
    sender.send_data(Bytes::from_static(b"{")).await.unwrap();
    let (status, _, event) = service.send(&json!([]), Body::new(body)).await;
    assert_eq!(status, 408);
    assert!(event.contains("\"guard.content_deadline\""), "{event}");
    drop(sender);

    let (sender, body) = Channel::<Bytes, std::io::Error>::new(1);
    sender.abort(std::io::Error::other("gone"));
    let (status, _, event) = service.send(&json!([]), Body::new(body)).await;
    assert_eq!(status, 400);
    assert!(event.contains("\"guard.content\""), "{event}");
}

/// A function names the call of another API. Its errors are refusals.
#[tokio::test]
async fn an_api_names_its_call_by_a_function() {
    let calls = CallReader::new(|head, content| match content {
        b"refuse" => Err("not this".into()),
        b"none" => Ok(None),
        content => {
            let tool = head.uri.path().trim_start_matches('/');
            Ok(Some(ToolCall::new(tool, Some(content))?))
        }
    });
    let service = Service::new(Requirements::new(), calls);
    for (content, expected) in [
        ("{\"a\":1}", (200, "mcp/call|{\"a\":1}")),
        ("none", (200, "|none")),
        ("refuse", (400, "")),
        ("[]", (400, "")),
    ] {
        let found = service.send(&json!([]), content.into()).await;
        assert_eq!(found.0, expected.0, "{found:?}");
        if found.0 == 200 {
            assert_eq!(found.1, expected.1);
        } else {
            assert!(found.2.contains("\"guard.call_malformed\""), "{found:?}");
        }
    }
    // The cause stays with the tool.
    let found = service.send(&json!([]), "refuse".into()).await;
    assert!(found.2.contains("not this") && !found.1.contains("not this"));
}

/// The call of the content counts, whatever an outer layer says.
#[tokio::test]
async fn a_call_of_an_outer_layer_does_not_count() {
    async fn pretend(mut request: Request, next: Next) -> axum::response::Response {
        let call = ToolCall::from_mcp(MESSAGE.as_bytes()).unwrap().unwrap();
        request.extensions_mut().insert(call);
        next.run(request).await
    }
    let service = Service::of(approved(), |guard| {
        Router::new()
            .route("/mcp/call", any(echo))
            .layer(guard.call_layer(CallReader::mcp()))
            .layer(from_fn(pretend))
    });
    let other = MESSAGE.replace("bob", "eve");
    for (content, code) in [
        (&*other, "guard.approval_call"),
        (r#"{"method":"ping"}"#, "guard.call"),
    ] {
        let content = Body::from(content.to_owned());
        let found = service.send(&details(MESSAGE), content).await;
        assert!(found.2.contains(&format!("\"{code}\"")), "{found:?}");
        assert_eq!(found.0, 403);
    }
}

/// Where some tools need an approval, the other calls and messages of the same URL need none, and a
/// request whose call is unknown is refused.
#[tokio::test]
async fn some_tools_need_an_approval() {
    let some = || Requirements::new().approved_tools(["transfer", "close"]);
    let service = Service::new(some(), CallReader::mcp());
    let list = MESSAGE.replace("\"transfer\"", "\"list\"");
    let close = MESSAGE.replace("\"transfer\"", "\"close\"");
    let other = MESSAGE.replace("\"transfer\"", "\"Transfer\"");
    let none = json!([]);
    let approval = details(MESSAGE);
    for (granted, content, expected) in [
        (&none, MESSAGE, "guard.approval"),
        (&none, &*close, "guard.approval"),
        (&none, &*list, "ok"),
        (&none, &*other, "ok"),
        (&none, r#"{"jsonrpc":"2.0","method":"initialize"}"#, "ok"),
        (&none, "", "ok"),
        // A token for one call permits nothing else, not even what needs no approval.
        (&approval, &*list, "guard.approval_call"),
        (&approval, &*close, "guard.approval_call"),
        (&approval, "", "guard.call"),
        (&approval, MESSAGE, "ok"),
        (&approval, MESSAGE, "guard.approval_used"),
    ] {
        let found = service.send(granted, Body::from(content.to_owned())).await;
        let code = format!("\"{expected}\"");
        let is_ok = found.0 == 200 && expected == "ok";
        assert!(is_ok || found.2.contains(&code), "{content} {found:?}");
    }
    // Nothing has read the content.
    let unread = Service::of(some(), |guard| {
        Router::new()
            .route("/mcp/call", any(echo))
            .layer(guard.layer())
    });
    let told = "this resource requires the approval of one call, and the request names no call";
    unread.refuses(list.into(), 403, "guard.call", told).await;
    // A field of the caller cannot say that the call is another one.
    let named = Service::of(some(), |guard| {
        let attributes = aims::decision::Attributes::new()
            .with(aims::decision::Attributes::TOOL, "list")
            .with(aims::decision::Attributes::CALL_DIGEST, "x");
        Router::new()
            .route("/mcp/call", any(echo))
            .layer(guard.layer())
            .layer(Extension(attributes))
    });
    let found = named.send(&none, MESSAGE.into()).await;
    assert_eq!(found.0, 403, "{found:?}");
    assert!(found.2.contains("\"guard.approval\""), "{found:?}");
}
