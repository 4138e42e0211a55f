//! Over real sockets on loopback.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "server")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use aims_authority::{Authority, Client, Enrolment, Limits, Rate, Resource, Server};
use aims_jose::provider::AWS_LC;
use aims_jose::time::{Clock as _, SystemClock};
use aims_oauth_wire::certificate::{CertificateField, ClientCertificates, Peer, PeerCertificate};
use common::{es256, now, token};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

/// An authority on its own port, stopped at the end of the test.
struct Running {
    address: SocketAddr,
    base: String,
    authority: Authority,
    task: JoinHandle<Result<(), aims_authority::Error>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start(change: impl FnOnce(Server) -> Server) -> Running {
    start_with(Limits::default(), change).await
}

/// Starts an authority that allows this many requests of one source, and then one in a minute.
async fn start_with_requests(burst: u32, change: impl FnOnce(Server) -> Server) -> Running {
    let mut limits = Limits::default();
    limits.requests = Rate {
        burst,
        per_minute: 1,
    };
    start_with(limits, change).await
}

async fn start_with(limits: Limits, change: impl FnOnce(Server) -> Server) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let base = format!("http://{address}");
    let enrolment = Enrolment::by_token(
        "spiffe://example.org/agents/a".parse().unwrap(),
        &token("a"),
    );
    let client = Client::spiffe("spiffe://example.org/agents/*".parse().unwrap());
    let authority = Authority::builder(&base, AWS_LC)
        .trust_domain("example.org")
        .limits(limits)
        .enrol(enrolment.unwrap())
        .resource(Resource::new(common::TOOLS).with_scopes(["call"]))
        .client(client.allow(common::TOOLS, ["call"]))
        .build(SystemClock::new().now())
        .unwrap();
    let server = change(Server::new(authority.clone()));
    let task = tokio::spawn(server.serve(listener));
    Running {
        address,
        base,
        authority,
        task,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends raw bytes and reads until the server closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        self.raw_within(DEADLINE, bytes).await
    }

    /// Sends raw bytes to a server that must close within the deadline.
    async fn raw_within(&self, deadline: Duration, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // A server that has refused may close before everything is written.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = timeout(deadline, stream.read_to_end(&mut answer))
            .await
            .expect("closes");
        String::from_utf8(answer).unwrap()
    }

    async fn send(&self, method: &str, path: &str, fields: &str, body: &str) -> (u16, Value) {
        let (host, length) = (self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n{fields}\r\n"
        );
        let answer = self.raw(format!("{head}{body}").as_bytes()).await;
        let status = status(&answer);
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn nonce(&self) -> String {
        let (_, challenge) = self.send("POST", "/identity/challenge", "", "").await;
        challenge["nonce"].as_str().unwrap().to_owned()
    }
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .unwrap_or(0)
}

/// From the bootstrap token to an access token, as an agent in any language would.
#[tokio::test]
async fn an_agent_gets_its_token_over_the_wire() {
    let running = start(|it| it).await;
    let now = SystemClock::new().now();
    let key = es256();
    let mut claims = common::key_claims(&running.nonce().await, &key, now);
    claims["aud"] = json!(running.base);
    let body = json!({"key_proof": common::sign("aims-key-proof+jwt", &claims, &key)});
    let fields = format!(
        "authorization: Bearer {}\r\ncontent-type: application/json\r\n",
        token("a").expose()
    );
    let (status, answer) = running
        .send("POST", "/identity/wit", &fields, &body.to_string())
        .await;
    assert_eq!(status, 200, "{answer}");
    let (again, _) = running
        .send("POST", "/identity/wit", &fields, &body.to_string())
        .await;
    assert_eq!(again, 403);
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let claims = json!({"aud": running.base, "jti": jti, "iat": now.as_secs()});
    let pop = common::sign("oauth-client-attestation-pop+jwt", &claims, &key);
    let fields = format!(
        "content-type: application/x-www-form-urlencoded\r\noauth-client-attestation: {}\r\noauth-client-attestation-pop: {pop}\r\n",
        answer["wit"].as_str().unwrap()
    );
    let (status, answer) = running
        .send("POST", "/token", &fields, "grant_type=client_credentials")
        .await;
    assert_eq!(status, 200, "{answer}");
    let claims = common::claims(answer["access_token"].as_str().unwrap());
    assert_eq!(claims["aud"], common::TOOLS);
    assert_eq!(claims["cnf"], common::confirmation(&key));
}

#[tokio::test]
async fn every_path_is_answered_by_the_same_rules() {
    let running = start(|it| it).await;
    let (status, problem) = running.send("GET", "/nowhere", "", "").await;
    assert_eq!((status, &problem["code"]), (404, &json!("authority.path")));
    let answer = running
        .raw(b"GET /jwks HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(self::status(&answer), 421);
    let two = format!(
        "GET /jwks HTTP/1.1\r\nhost: {0}\r\nhost: {0}\r\nconnection: close\r\n\r\n",
        running.address
    );
    assert_eq!(self::status(&running.raw(two.as_bytes()).await), 421);
    let none = running
        .raw(b"GET /jwks HTTP/1.1\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(self::status(&none), 421);
}

/// F-10: silent, incomplete and idle connections end, each long before the default timeout.
#[tokio::test]
async fn idle_connections_end() {
    let head = Duration::from_millis(200);
    let soon = Duration::from_secs(3);
    let running = start(|it| it.with_head_timeout(head)).await;
    for bytes in [
        &b""[..],
        b"GET /jwks HT",
        b"GET /jwks HTTP/1.1\r\nhost: x\r\n",
    ] {
        let answer = running.raw_within(soon, bytes).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    // A keep-alive connection with one response.
    let one = format!("GET /jwks HTTP/1.1\r\nhost: {}\r\n\r\n", running.address);
    let answer = running.raw_within(soon, one.as_bytes()).await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn long_lived_connections_end() {
    let lifetime = Duration::from_millis(300);
    let running = start(|it| it.with_connection_lifetime(lifetime)).await;
    let mut stream = running.connect().await;
    let one = format!("GET /jwks HTTP/1.1\r\nhost: {}\r\n\r\n", running.address);
    let mut answer = [0; 4096];
    let ended = timeout(DEADLINE, async {
        loop {
            if stream.write_all(one.as_bytes()).await.is_err() {
                break;
            }
            match stream.read(&mut answer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    });
    ended.await.expect("a busy connection ends too");
}

/// F-10: large heads, many fields, large bodies, and bodies with a wrong length.
#[tokio::test]
async fn sizes_are_bounded() {
    let running = start(|it| it.with_head_timeout(Duration::from_secs(2))).await;
    let host = running.address;
    // The test reads everything, so that a reset connection does not lose the response.
    let head = |length: usize| {
        let head = format!("GET /jwks HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nx: ");
        format!("{head}{}", "x".repeat(length - head.len()))
    };
    let small = format!("{}\r\n\r\n", head(15 * 1024));
    assert_eq!(status(&running.raw(small.as_bytes()).await), 200);
    assert_eq!(status(&running.raw(head(16 * 1024).as_bytes()).await), 431);
    let fields = |count: usize| {
        let others = "x: y\r\n".repeat(count - 2);
        format!("GET /jwks HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{others}\r\n")
    };
    assert_eq!(status(&running.raw(fields(64).as_bytes()).await), 200);
    assert_eq!(status(&running.raw(fields(65).as_bytes()).await), 431);
    let long = "x".repeat(40 * 1024);
    let post = |length: &str| {
        format!(
            "POST /identity/wit HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
        )
    };
    let body = format!("{}{long}", post("content-length: 40960"));
    assert_eq!(status(&running.raw(body.as_bytes()).await), 413);
    let endless = format!(
        "{}a000\r\n{long}\r\n0\r\n\r\n",
        post("transfer-encoding: chunked")
    );
    assert_eq!(status(&running.raw(endless.as_bytes()).await), 413);
    let lying = post("content-length: 99999999999");
    assert_eq!(status(&running.raw(lying.as_bytes()).await), 413);
}

/// F-10: for one connection more than the limit, the one that has been idle longest ends.
#[tokio::test]
async fn connections_are_bounded() {
    let running = start(|it| {
        it.with_connections(4)
            .with_head_timeout(Duration::from_secs(60))
    })
    .await;
    // One address has a quarter of the places.
    let mut silent = running.connect().await;
    let mut more = running.connect().await;
    let one = format!("GET /jwks HTTP/1.1\r\nhost: {}\r\n\r\n", running.address);
    more.write_all(one.as_bytes()).await.unwrap();
    let mut answer = [0; 4096];
    let served = timeout(DEADLINE, more.read(&mut answer)).await;
    let length = served.expect("is served").unwrap();
    let answer = std::str::from_utf8(&answer[..length]).unwrap();
    assert_eq!(status(answer), 200);
    let ended = timeout(DEADLINE, silent.read(&mut [0; 1])).await;
    assert!(matches!(ended.expect("ends"), Ok(0) | Err(_)));
}

/// F-10, M2 of an attack on the running programs: 300 connections of one source that are idle, or
/// send a body slowly, or are kept alive, hold up no client, not even one at the same address.
#[tokio::test]
async fn three_hundred_connections_of_one_source_hold_up_nobody() {
    let running = start_with_requests(10_000, |it| {
        it.with_head_timeout(Duration::from_secs(600))
            .with_connection_lifetime(Duration::from_secs(600))
    })
    .await;
    let host = running.address;
    let slow = |path: &str, host: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100\r\n\r\n1")
    };
    let kept = format!("GET /jwks HTTP/1.1\r\nhost: {host}\r\n\r\n");
    for first in [
        String::new(),
        "GET /jwks HT".to_owned(),
        slow("/token", &host.to_string()),
        slow("/nothing", &host.to_string()),
        slow("/token", "evil.example"),
        kept,
    ] {
        let mut held = Vec::new();
        for _ in 0..300 {
            let mut stream = running.connect().await;
            // The server may have closed it already, for a later one.
            let _ = stream.write_all(first.as_bytes()).await;
            held.push(stream);
        }
        let (status, answer) = running.send("GET", "/identity/bundle", "", "").await;
        assert_eq!(status, 200, "{first:?}: {answer}");
    }
}

/// M2: a request that its head condemns is refused without its body, and its connection ends.
#[tokio::test]
async fn a_refused_head_is_answered_without_its_body() {
    let running = start(|it| it).await;
    let host = running.address.to_string();
    for (line, host, expected) in [
        ("POST /nothing", &*host, 404),
        ("POST /token", "evil.example", 421),
        ("PUT /token", &*host, 405),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 9\r\n\r\n");
        let soon = Duration::from_secs(5);
        let answer = running.raw_within(soon, head.as_bytes()).await;
        assert_eq!(status(&answer), expected);
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

/// M1: behind a proxy that the operator names, each client is a source of its own. No other
/// peer can name its source.
#[tokio::test]
async fn clients_behind_a_proxy_are_told_apart() {
    let field = http::HeaderName::from_static("x-forwarded-for");
    let proxy = "127.0.0.1".parse().unwrap();
    let behind = start_with_requests(2, |it| it.behind_proxy(proxy, field)).await;
    let direct = start_with_requests(2, |it| it).await;
    let ask = async |running: &Running, source: &str| {
        let field = format!("x-forwarded-for: {source}\r\n");
        running.send("GET", "/jwks", &field, "").await.0
    };
    for (running, other) in [(&behind, 200), (&direct, 429)] {
        for expected in [200, 200, 429] {
            assert_eq!(ask(running, "192.0.2.1").await, expected);
        }
        assert_eq!(ask(running, "192.0.2.2").await, other);
        // What a client writes itself stands before what the proxy appends.
        assert_eq!(ask(running, "192.0.2.3, 192.0.2.1").await, 429);
    }
}

/// F-10: silent connections do not hold their place forever; a waiting client is served.
#[tokio::test]
async fn connections_come_free() {
    let running = start(|it| {
        it.with_connections(4)
            .with_head_timeout(Duration::from_millis(300))
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(running.connect().await);
    }
    let (status, _) = running.send("GET", "/jwks", "", "").await;
    assert_eq!(status, 200);
}

/// T-160: listening on the network needs an explicit method, and the refusal gives the reason.
#[tokio::test]
async fn listeners_on_the_network_are_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let authority = common::builder().build(now()).unwrap();
    let serving = aims_authority::serve(listener, authority.clone());
    let served = timeout(DEADLINE, serving).await;
    let refused = served.expect("refuses at once").unwrap_err();
    assert_eq!(refused.code(), "server.not_loopback");
    assert!(refused.to_string().contains("reachable_from_network"));
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let server = Server::new(authority).reachable_from_network();
    server
        .serve_until(listener, std::future::ready(()))
        .await
        .unwrap();
}

/// F-22: shutdown takes a limited time with an open connection, and nothing listens afterwards.
#[tokio::test]
async fn the_end_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let authority = common::builder().build(now()).unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(authority).with_head_timeout(Duration::from_millis(200));
    let task = tokio::spawn(server.serve_until(listener, async move {
        let _ = ended.await;
    }));
    let _open = TcpStream::connect(address).await.unwrap();
    end.send(()).unwrap();
    timeout(DEADLINE, task)
        .await
        .expect("ends")
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// The scheduled rotation publishes new keys while requests are served.
#[tokio::test]
async fn keys_rotate_by_themselves() {
    let running = start(|it| it.rotating_every(Duration::from_secs(1))).await;
    let before = running.authority.oauth().jwks(SystemClock::new().now());
    let rotated = timeout(DEADLINE, async {
        while running.send("GET", "/jwks", "", "").await.1["keys"]
            .as_array()
            .unwrap()
            .len()
            < 2
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    rotated.await.expect("rotates");
    assert!(
        running
            .authority
            .oauth()
            .jwks(SystemClock::new().now())
            .len()
            > before.len()
    );
}

/// The router works within another router, and does not use its fallback.
#[tokio::test]
async fn the_router_merges_into_another() {
    use axum::body::Body;
    use tower_service::Service as _;

    let authority = common::builder().build(now()).unwrap();
    let mut app = axum::Router::new()
        .route("/hello", axum::routing::get(|| async { "hello" }))
        .merge(authority.router());
    let mut status = async |path: &str| {
        let request = common::request("GET", path, &[], "").map(Body::from);
        app.call(request).await.unwrap().status().as_u16()
    };
    assert_eq!(status("/hello").await, 200);
    assert_eq!(status("/identity/bundle").await, 200);
    assert_eq!(status("/other").await, 404);
}

/// MTLS-09: the server says which address a connection comes from, so that the field of a proxy
/// with the certificate of a client counts on its connections alone.
#[tokio::test]
async fn the_address_of_the_connection_is_that_of_the_proxy() {
    let der = [0x30, 0x08, 0x30, 0x01, 0x00, 0x30, 0x00, 0x03, 0x01, 0x00];
    let certificate = PeerCertificate::from_der(&der).unwrap();
    for (proxy, expected) in [([127, 0, 0, 1], 200), ([127, 0, 0, 2], 400)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Peer::Address(proxy.into());
        let field = CertificateField::client_cert();
        let client = Client::by_certificates("batch", [*certificate.thumbprint()]);
        let authority = Authority::builder(&format!("http://{address}"), AWS_LC)
            .trust_domain("example.org")
            .resource(Resource::new(common::TOOLS).with_scopes(["call"]))
            .client(client.allow(common::TOOLS, ["call"]))
            .client_certificates(ClientCertificates::from_proxy([proxy], field))
            .build(SystemClock::new().now())
            .unwrap();
        let task = tokio::spawn(Server::new(authority.clone()).serve(listener));
        let running = Running {
            address,
            base: format!("http://{address}"),
            authority,
            task,
        };
        // A forwarded address is not that of the connection.
        let fields = "content-type: application/x-www-form-urlencoded\r\n\
                      client-cert: :MAgwAQAwAAMBAA==:\r\nx-forwarded-for: 127.0.0.2\r\n";
        let body = "grant_type=client_credentials&client_id=batch";
        let (status, answer) = running.send("POST", "/token", fields, body).await;
        assert_eq!(status, expected, "{answer}");
    }
}
