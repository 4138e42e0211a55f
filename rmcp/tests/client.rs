//! rmcp's HTTP client with an agent, without a network: the requests, the handling of answers, and
//! the limits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::Agent;
use aims::agent::{Body, Call, CallFuture, RequestAuth};
use aims::cred::{FixedSource, Identity, WitIssuer};
use aims::http_sig::digest::ContentDigest;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::jose::time::UnixTime;
use aims_rmcp::AgentClient;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, PingRequest, RequestId};
use rmcp::model::{InitializedNotification, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient as _, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};

type Failed = StreamableHttpError<aims::agent::Error>;

const URL: &str = "https://tools.example/mcp";
const PONG: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const ERROR: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}"#;

/// Method, header fields and content of a request.
type Came = (String, HeaderMap, Vec<u8>);

/// Returns one answer, and stores the requests.
#[derive(Clone)]
struct Server {
    answer: Arc<Mutex<Option<Response<Body>>>>,
    came: Arc<Mutex<Vec<Came>>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

impl Call for Server {
    fn call(&self, request: Request<Body>) -> CallFuture<'_> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let content = body.collect().await?.to_bytes().to_vec();
            let came = (head.method.to_string(), head.headers, content);
            self.came.lock().unwrap().push(came);
            Ok(self.answer.lock().unwrap().take().unwrap())
        })
    }
}

fn answer(status: u16, fields: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let answer = Response::builder().status(status);
    let answer = fields
        .iter()
        .fold(answer, |it, (name, value)| it.header(*name, *value));
    answer.body(body.into()).unwrap()
}

fn json(status: u16, body: &str) -> Response<Body> {
    answer(
        status,
        &[("content-type", "application/json; charset=utf-8")],
        body.to_owned(),
    )
}

fn client(answer: Response<Body>) -> (AgentClient, Server) {
    let server = Server {
        answer: Arc::new(Mutex::new(Some(answer))),
        came: Arc::default(),
    };
    let key = || SigningKey::generate(Algorithm::Es256, provider::default()).unwrap();
    let (authority, own) = (key().with_key_id("a"), key());
    let id = "spiffe://example.org/agent".parse().unwrap();
    let issuer = WitIssuer::new(Arc::new(authority), None);
    let lifetime = Duration::from_secs(600);
    let wit = issuer
        .issue(&id, own.public_jwk(), lifetime, UnixTime::now())
        .unwrap();
    let public = own.public_jwk().clone();
    let identity = Identity::new(wit.into_secret(), Arc::new(own), &public).unwrap();
    let agent = Agent::builder(FixedSource::new(identity));
    let agent = agent
        .proof(RequestAuth::HttpSignature)
        .client(server.clone());
    (AgentClient::new(agent.build().unwrap()), server)
}

fn ping() -> ClientJsonRpcMessage {
    let request = ClientRequest::PingRequest(PingRequest::default());
    ClientJsonRpcMessage::request(request, RequestId::Number(1))
}

fn initialized() -> ClientJsonRpcMessage {
    ClientJsonRpcMessage::notification(InitializedNotification::default().into())
}

async fn post(
    answer: Response<Body>,
    message: ClientJsonRpcMessage,
    session: Option<&str>,
    limits: StreamableHttpResponseLimits,
) -> Result<StreamableHttpPostResponse, Failed> {
    let (client, _) = client(answer);
    let session = session.map(Arc::from);
    let sent = client.post_message_with_response_limits(
        URL.into(),
        message,
        session,
        None,
        HashMap::new(),
        limits,
    );
    sent.await
}

async fn usual(answer: Response<Body>) -> Result<StreamableHttpPostResponse, Failed> {
    post(
        answer,
        ping(),
        None,
        StreamableHttpResponseLimits::default(),
    )
    .await
}

/// The signed bytes are the sent bytes, and the fields of rmcp are there.
#[tokio::test]
async fn a_message_is_signed_as_it_is_sent() {
    let (client, server) = client(json(200, PONG));
    let version = (
        "mcp-protocol-version".parse().unwrap(),
        "2025-06-18".parse().unwrap(),
    );
    let sent = client.post_message(
        URL.into(),
        ping(),
        Some("s1".into()),
        Some("t1".to_owned()),
        HashMap::from([version]),
    );
    let answer = sent.await.unwrap();
    assert!(matches!(
        answer,
        StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Response(_), None)
    ));
    let came = server.came.lock().unwrap();
    let [(method, headers, content)] = came.as_slice() else {
        panic!("one request");
    };
    assert_eq!(method, "POST");
    let message: ClientJsonRpcMessage = serde_json::from_slice(content).unwrap();
    assert!(matches!(message, ClientJsonRpcMessage::Request(_)));
    assert_eq!(
        headers["content-digest"],
        *ContentDigest::of(content).to_string()
    );
    assert!(
        headers["signature-input"]
            .to_str()
            .unwrap()
            .contains("\"authorization\"")
    );
    for (name, value) in [
        ("accept", "text/event-stream, application/json"),
        ("authorization", "Bearer t1"),
        ("content-type", "application/json"),
        ("mcp-session-id", "s1"),
        ("mcp-protocol-version", "2025-06-18"),
    ] {
        assert_eq!(headers[name], *value, "{name}");
    }
}

/// A program cannot set the header fields that the transport sets.
#[tokio::test]
async fn reserved_headers_are_refused() {
    for name in ["accept", "mcp-session-id", "last-event-id"] {
        let (client, server) = client(json(200, PONG));
        let custom = HashMap::from([(name.parse().unwrap(), "x".parse().unwrap())]);
        let sent = client.post_message(URL.into(), ping(), None, None, custom);
        assert!(matches!(
            sent.await.unwrap_err(),
            StreamableHttpError::ReservedHeaderConflict(it) if it == name
        ));
        assert!(server.came.lock().unwrap().is_empty());
    }
}

/// Each event is returned as it arrives.
#[tokio::test]
async fn events_stream() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<&str>();
    let receiver = futures_util::stream::unfold(receiver, |mut it| async {
        let piece = it.recv().await?;
        let frame = http_body::Frame::data(bytes::Bytes::from_static(piece.as_bytes()));
        Some((Ok::<_, std::convert::Infallible>(frame), it))
    });
    let body = Body::new(http_body_util::StreamBody::new(Box::pin(receiver)));
    let fields = [
        ("content-type", "text/event-stream"),
        ("mcp-session-id", "s2"),
    ];
    let answer = usual(answer(200, &fields, body)).await.unwrap();
    let StreamableHttpPostResponse::Sse(mut events, session) = answer else {
        panic!("a stream");
    };
    assert_eq!(session.as_deref(), Some("s2"));
    for piece in ["data: one\n\n", "data: two\n\n"] {
        sender.send(piece).unwrap();
        let event = events.next().await.unwrap().unwrap();
        assert!(piece.contains(&event.data.unwrap()));
    }
    drop(sender);
    assert!(events.next().await.is_none());
}

/// An event, a JSON answer and the text of an error are limited to the exact number of bytes.
#[tokio::test]
async fn limits_hold() {
    let limits = |change: fn(&mut StreamableHttpResponseLimits, usize), most| {
        let mut limits = StreamableHttpResponseLimits::default();
        change(&mut limits, most);
        limits
    };
    let event = "data: a\n\n";
    for (most, fits) in [(8, true), (7, false)] {
        let fields = [("content-type", "text/event-stream")];
        let limits = limits(|it, most| it.max_sse_event_size = most, most);
        let answer = post(answer(200, &fields, event), ping(), None, limits).await;
        let Ok(StreamableHttpPostResponse::Sse(mut events, _)) = answer else {
            panic!("a stream");
        };
        let event = events.next().await.unwrap();
        assert_eq!(event.is_ok(), fits);
        if let Err(error) = event {
            assert!(
                error.to_string().contains("maximum size of 7 bytes"),
                "{error}"
            );
        }
    }
    for (body, length) in [(PONG, false), (PONG, true)] {
        for (most, fits) in [(PONG.len(), true), (PONG.len() - 1, false)] {
            let mut answer = json(200, body);
            if length {
                answer
                    .headers_mut()
                    .insert("content-length", body.len().into());
            }
            let limits = limits(|it, most| it.max_json_response_size = most, most);
            match post(answer, ping(), None, limits).await {
                Ok(StreamableHttpPostResponse::Json(..)) => assert!(fits),
                Err(StreamableHttpError::ResponseBodyTooLarge { max_size }) => {
                    assert!(!fits && max_size == most);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let limits = limits(|it, most| it.max_error_response_size = most, 3);
    let told = post(answer(400, &[], "abcdef"), ping(), None, limits).await;
    let told = told.unwrap_err().to_string();
    assert!(told.contains("abc") && !told.contains("abcd"), "{told}");
}

/// The error of rmcp for each status.
#[tokio::test]
async fn refusals_are_told() {
    let challenge = [
        ("www-authenticate", "WPT"),
        (
            "www-authenticate",
            "Bearer scope=\"a b\", error=\"insufficient_scope\"",
        ),
    ];
    match usual(answer(401, &challenge, "")).await.unwrap_err() {
        StreamableHttpError::AuthRequired(error) => {
            let told = error.www_authenticate_header;
            assert!(told.starts_with("WPT, Bearer scope="), "{told}");
        }
        other => panic!("{other:?}"),
    }
    match usual(answer(403, &challenge, "")).await.unwrap_err() {
        StreamableHttpError::InsufficientScope(error) => {
            assert_eq!(error.get_required_scope(), Some("a b"));
        }
        other => panic!("{other:?}"),
    }
    match usual(answer(503, &[("retry-after", "7")], ""))
        .await
        .unwrap_err()
    {
        StreamableHttpError::HttpStatus(error) => {
            assert_eq!(
                (error.status, error.retry_after.as_deref()),
                (503, Some("7"))
            );
        }
        other => panic!("{other:?}"),
    }
    // A JSON-RPC error is an answer, but not instead of a refusal.
    assert!(matches!(
        usual(json(400, ERROR)).await.unwrap(),
        StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(_), _)
    ));
    assert!(matches!(
        usual(json(401, ERROR)).await.unwrap_err(),
        StreamableHttpError::UnexpectedServerResponse(_)
    ));
    let limits = StreamableHttpResponseLimits::default();
    let gone = post(json(404, "{}"), ping(), Some("s1"), limits).await;
    assert!(matches!(
        gone.unwrap_err(),
        StreamableHttpError::SessionExpired
    ));
    let html = answer(200, &[("content-type", "text/html")], "<p>");
    assert!(matches!(
        usual(html).await.unwrap_err(),
        StreamableHttpError::UnexpectedContentType(Some(_))
    ));
    let told = usual(json(200, "{\"secret\":1}"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("12 bytes") && !told.contains("secret"),
        "{told}"
    );
}

/// A message without a response is accepted with any successful status.
#[tokio::test]
async fn a_notification_awaits_nothing() {
    let empty = [("content-length", "0")];
    for answer in [
        answer(202, &[], ""),
        answer(204, &[], ""),
        answer(200, &empty, ""),
        answer(200, &[("content-type", "text/plain")], "ok"),
        json(200, "[]"),
    ] {
        let limits = StreamableHttpResponseLimits::default();
        let told = post(answer, initialized(), None, limits).await.unwrap();
        assert!(matches!(told, StreamableHttpPostResponse::Accepted));
    }
}

/// The stream of a server's own messages, and the end of a session.
#[tokio::test]
async fn streams_and_sessions() {
    let events = answer(200, &[("content-type", "text/event-stream")], "data: x\n\n");
    let (client_, server) = client(events);
    let sent = client_.get_stream(
        URL.into(),
        Some("s1".into()),
        Some("e7".to_owned()),
        None,
        HashMap::new(),
    );
    let mut events = sent.await.unwrap();
    assert_eq!(
        events.next().await.unwrap().unwrap().data.as_deref(),
        Some("x")
    );
    let (method, headers, _) = server.came.lock().unwrap().remove(0);
    assert_eq!(
        (method.as_str(), &headers["last-event-id"]),
        ("GET", &"e7".parse().unwrap())
    );

    let get = async |answer| {
        let (client, _) = client(answer);
        let sent = client.get_stream(URL.into(), None, None, None, HashMap::new());
        sent.await.map(|_| ()).unwrap_err()
    };
    assert!(matches!(
        get(answer(405, &[], "")).await,
        StreamableHttpError::ServerDoesNotSupportSse
    ));
    assert!(matches!(
        get(answer(401, &[("www-authenticate", "Bearer")], "")).await,
        StreamableHttpError::AuthRequired(_)
    ));
    for (status, is_ok) in [(204, true), (405, true), (500, false)] {
        let (client, server) = client(answer(status, &[], ""));
        let sent = client.delete_session(URL.into(), "s1".into(), None, HashMap::new());
        assert_eq!(sent.await.is_ok(), is_ok, "{status}");
        let came = server.came.lock().unwrap();
        assert_eq!(came.first().unwrap().0, "DELETE");
    }
}
