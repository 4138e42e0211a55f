//! Raw bytes over TCP to a guarded axum server: an ambiguous or oversized request does not reach
//! the handler. Each request has a proof, and differs from the valid one in one thing.

#![cfg(feature = "axum")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::record::{Event, Record};
use aims::wpt::Binding;
use aims::{Guard, Principal};
use axum::Router;
use common::{NOW, Then, World, at, told};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const AGENT: &str = "spiffe://example.org/agent";

/// The codes of all decisions.
#[derive(Clone, Debug, Default)]
struct Codes(Arc<Mutex<Vec<String>>>);

impl Record for Codes {
    fn record(&self, event: &Event<'_>) {
        let code = event.code.unwrap_or("ok").to_owned();
        self.0.lock().unwrap().push(code);
    }
}

/// A guarded server whose handler accepts any path and method.
struct Tool {
    world: World,
    address: SocketAddr,
    codes: Codes,
    reached: Arc<AtomicUsize>,
}

impl Tool {
    async fn start() -> Self {
        let (world, codes) = (World::new(), Codes::default());
        let guard = world.guard().proof_audience("tool").clock(Then);
        let guard: Guard = guard.record(codes.clone()).build().unwrap();
        let reached = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reached);
        let handler = async move |_: Principal, body: String| {
            count.fetch_add(1, Ordering::SeqCst);
            body
        };
        let router = Router::new().fallback(handler).layer(guard.layer());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            world,
            address,
            codes,
            reached,
        }
    }

    /// Returns the header fields of a new proof.
    fn proof(&self) -> String {
        let agent = self.world.agent(AGENT);
        let wpt = agent.wpt(&Binding::to("tool"));
        let wit = agent.wit.expose();
        format!("Workload-Identity-Token: {wit}\r\nWorkload-Proof-Token: {wpt}\r\n")
    }

    /// Sends a head, with a new proof in place of `PROOF`, and a body. Returns the status, the
    /// codes of the decisions, and the number of calls of the handler.
    async fn send(&self, head: &str, body: &str) -> (u16, Vec<String>, usize) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = head.replace("PROOF\r\n", &self.proof());
        let _ = stream.write_all(head.as_bytes()).await;
        // A server that refused the head may have closed the connection already.
        let _ = stream.write_all(body.as_bytes()).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
        let _ = read.await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.get(9..12).unwrap_or_default().parse().unwrap_or(0);
        let codes = std::mem::take(&mut *self.codes.0.lock().unwrap());
        (status, codes, self.reached.swap(0, Ordering::SeqCst))
    }
}

/// The valid request, from which all others differ.
#[tokio::test]
async fn a_good_request_is_let_in() {
    let tool = Tool::start().await;
    for head in [
        "POST /call HTTP/1.1\r\nHost: tools.example\r\nConnection: close\r\nPROOF\r\nContent-Length: 0\r\n\r\n",
        "POST http://tools.example/call HTTP/1.1\r\nHost: TOOLS.example\r\nConnection: close\r\nPROOF\r\nContent-Length: 0\r\n\r\n",
        "PURGE /c%C3%A4ll?q=%23 HTTP/1.1\r\nHost: tools.example\r\nConnection: close\r\nPROOF\r\n\r\n",
    ] {
        let told = tool.send(head, "").await;
        assert_eq!(told, (200, vec!["ok".to_owned()], 1), "{head}");
    }
}

/// T-064, T-131: each request has its code, and the handler is not called.
#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    let tool = Tool::start().await;
    let many: String = (0..98).map(|it| format!("X-{it}: 1\r\n")).collect();
    let large = format!("X: {}\r\n", "a".repeat(70_000));
    let host = "Host: tools.example\r\n";
    for (line, fields, status, code) in [
        ("POST /call", "", 400, "guard.host"),
        (
            "POST /call",
            "Host: tools.example\r\nHost: tools.example\r\n",
            400,
            "guard.host",
        ),
        (
            "POST /call",
            "Host: tools.example\r\nHost: evil.example\r\n",
            400,
            "guard.host",
        ),
        ("POST /call", "Host:\r\n", 400, "guard.host"),
        ("POST /call", "Host: a@tools.example\r\n", 400, "guard.host"),
        (
            "POST /call",
            "Host: tools.example b,c\r\n",
            400,
            "guard.host",
        ),
        ("POST http://evil.example/call", host, 400, "guard.host"),
        ("POST http://tools.example:80/call", host, 400, "guard.host"),
        (
            "POST http://tools.example@evil.example/call",
            host,
            400,
            "guard.host",
        ),
        ("POST http://tools.example/call", "", 200, "ok"),
        ("POST /c\u{e4}ll", host, 400, "guard.target"),
        ("POST /call?q=\u{e4}", host, 400, "guard.target"),
        ("get /call", host, 400, "guard.method"),
        ("Post /call", host, 400, "guard.method"),
        (
            "POST /call",
            "Host: tools.example\r\nAuthorization: Bearer a\r\nAuthorization: Bearer a\r\n",
            400,
            "token.authorization",
        ),
        ("POST /call", &format!("{host}{large}"), 431, "guard.fields"),
        ("POST /call", &format!("{host}{many}"), 431, ""),
    ] {
        let head = format!("{line} HTTP/1.1\r\n{fields}Connection: close\r\nPROOF\r\n\r\n");
        let (told, codes, reached) = tool.send(&head, "").await;
        let shown: String = head.chars().take(90).collect();
        // The server itself refuses more than 100 fields, before the guard.
        let expected: Vec<&str> = if code.is_empty() { vec![] } else { vec![code] };
        assert_eq!(
            (told, codes),
            (status, expected.iter().map(|it| it.to_string()).collect()),
            "{shown}"
        );
        assert_eq!(reached, usize::from(status == 200), "{shown}");
    }
}

/// T-064: requests that the server itself refuses.
#[tokio::test]
async fn what_is_no_http_is_refused() {
    let tool = Tool::start().await;
    let host = "Host: tools.example\r\nConnection: close\r\nPROOF\r\n";
    for (line, fields) in [
        ("POST /call HTTP/1.1", "X: a\r\n b\r\n"),
        ("POST /call HTTP/1.1", "X: a\0b\r\n"),
        ("POST /call HTTP/1.1", "X : a\r\n"),
        (
            "POST /call HTTP/1.1",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
        ),
        ("POST /call HTTP/1.1", "Content-Length: +1\r\n"),
        (
            "POST /call HTTP/1.1",
            "Transfer-Encoding: chunked, identity\r\n",
        ),
        ("POST  /call HTTP/1.1", ""),
        ("POST /ca ll HTTP/1.1", ""),
    ] {
        let head = format!("{line}\r\n{host}{fields}\r\n");
        let (status, codes, reached) = tool.send(&head, "").await;
        assert_eq!(
            (status, codes, reached),
            (400, vec![], 0),
            "{line} {fields:?}"
        );
    }
}

/// T-064: bare line feeds, a length beside chunks, and a fragment, which the server handles itself.
/// The guard decides about the request that the server parses. A second request that a proxy could
/// see, or hide in the first one, has no proof of its own, and the same proof is not accepted
/// twice.
#[tokio::test]
async fn a_hidden_request_brings_no_proof() {
    let tool = Tool::start().await;
    let hidden = "POST /hidden HTTP/1.1\r\nHost: tools.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let host = "Host: tools.example\r\nPROOF\r\n";
    let ok = "ok".to_owned();
    let none = "guard.proof".to_owned();

    let head = format!(
        "POST /call HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n"
    );
    // The server closes the connection, as it must (RFC 9112 §6.1).
    let told = tool.send(&head, &format!("0\r\n\r\n{hidden}")).await;
    assert_eq!(told, (200, vec![ok.clone()], 1));

    let bare = format!("POST /call HTTP/1.1\r\n{host}X: a\nContent-Length: 0\r\n\r\n");
    let told = tool.send(&bare, hidden).await;
    assert_eq!(told, (200, vec![ok.clone(), none.clone()], 1));

    let cut = format!("POST /call#/hidden HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n");
    let told = tool.send(&cut, hidden).await;
    assert_eq!(told, (200, vec![ok.clone(), none], 1));

    let proof = tool.proof();
    let once =
        format!("POST /call HTTP/1.1\r\nHost: tools.example\r\n{proof}Content-Length: 0\r\n\r\n");
    let again =
        format!("POST /hidden HTTP/1.1\r\nHost: tools.example\r\n{proof}Connection: close\r\n\r\n");
    let told = tool.send(&once, &again).await;
    assert_eq!(told, (200, vec![ok, "replay.replayed".to_owned()], 1));
}

/// T-131: the guard's own limits, for servers that have none.
#[test]
fn fields_are_bounded() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let agent = world.agent(AGENT);
    for (fields, length, code) in [
        (97, 1, "ok"),
        (98, 1, "guard.fields"),
        (1, 60_000, "ok"),
        (1, 65_536, "guard.fields"),
        (8, 8_192, "guard.fields"),
    ] {
        let mut request = agent.call();
        assert_eq!(request.headers.len(), 3);
        for _ in 0..fields {
            let value = "a".repeat(length).parse().unwrap();
            request.headers.append("x", value);
        }
        let status = if code == "ok" { 200 } else { 431 };
        let verdict = told(guard.check(&request, at(NOW)));
        assert_eq!(verdict, (code, status, String::new()), "{fields} {length}");
    }
}

/// RFC 9113 §8.3.1: without `Host`, the authority of the target is used; with both, they must be
/// equal.
#[test]
fn the_authority_is_a_host() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let agent = world.agent(AGENT);
    for (host, uri, code) in [
        (None, "https://tools.example/mcp/call", "ok"),
        (
            Some("tools.example"),
            "https://tools.example/mcp/call",
            "ok",
        ),
        (
            Some("evil.example"),
            "https://tools.example/mcp/call",
            "guard.host",
        ),
        (None, "/mcp/call", "guard.host"),
    ] {
        let mut request = agent.call();
        request.uri = uri.parse().unwrap();
        request.headers.remove("host");
        if let Some(host) = host {
            request.headers.insert("host", host.parse().unwrap());
        }
        assert_eq!(
            told(guard.check(&request, at(NOW))).0,
            code,
            "{host:?} {uri}"
        );
    }
}
