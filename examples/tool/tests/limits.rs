//! The limits of the listener, with real connections on loopback.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../src/limits.rs"]
mod limits;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use limits::Limited;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// Fails a test that hangs.
const DEADLINE: Duration = Duration::from_secs(60);
const GET: &str = "GET / HTTP/1.1\r\nhost: tool\r\n\r\n";

async fn start(connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/", get(async || "here"))
        .route("/body", post(async |body: String| body));
    tokio::spawn(async move { axum::serve(Limited::new(listener, connections), routes).await });
    address
}

async fn connect(source: &str, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::new(source.parse().unwrap(), 0))
        .unwrap();
    socket.connect(server).await.unwrap()
}

/// Sends a request and returns whether it is answered.
async fn is_answered(stream: &mut TcpStream) -> bool {
    if stream.write_all(GET.as_bytes()).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"here") {
        let read = timeout(DEADLINE, stream.read_buf(&mut answer))
            .await
            .unwrap();
        if !read.is_ok_and(|length| length > 0) {
            return false;
        }
    }
    answer.starts_with(b"HTTP/1.1 200 ")
}

/// Waits for the end of a connection. One that the server keeps fails the test.
async fn has_ended(stream: &mut TcpStream) {
    let end = timeout(DEADLINE, stream.read_to_end(&mut Vec::new())).await;
    let _closed_or_reset = end.unwrap();
}

/// F-10: 300 connections of one source that are idle, or send a head or a body slowly, or are kept
/// alive, hold up neither another source nor their own, and all but the share of the source end.
#[tokio::test]
async fn three_hundred_connections_of_one_source_hold_up_nobody() {
    let server = start(256).await;
    let mut other = connect("127.0.0.2", server).await;
    assert!(is_answered(&mut other).await);
    for first in [
        "",
        "GET / HT",
        "POST /body HTTP/1.1\r\nhost: tool\r\ncontent-length: 100\r\n\r\n1",
        GET,
    ] {
        let mut held = Vec::new();
        for _ in 0..300 {
            let mut stream = connect("127.0.0.1", server).await;
            stream.write_all(first.as_bytes()).await.unwrap();
            held.push(stream);
        }
        assert!(
            is_answered(&mut connect("127.0.0.1", server).await).await,
            "{first:?}"
        );
        assert!(
            is_answered(&mut connect("127.0.0.2", server).await).await,
            "{first:?}"
        );
        // A connection of another source keeps its place.
        assert!(is_answered(&mut other).await, "{first:?}");
        if first != GET {
            // The share is 64, of which the answered request had one.
            for ended in &mut held[..300 - 63] {
                has_ended(ended).await;
            }
        }
    }
}

/// F-10: when all places are taken, a new source gets one of the source with the most.
#[tokio::test]
async fn a_new_source_finds_a_place() {
    let server = start(5).await;
    let mut first = connect("127.0.0.1", server).await;
    assert!(is_answered(&mut first).await);
    let mut held = Vec::new();
    for source in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        let mut stream = connect(source, server).await;
        assert!(is_answered(&mut stream).await, "{source}");
        held.push(stream);
    }
    // What has sent something later is not the one that ends.
    assert!(is_answered(&mut first).await);
    assert!(is_answered(&mut connect("127.0.0.5", server).await).await);
    has_ended(&mut held[0]).await;
    for stream in held[1..].iter_mut().chain([&mut first]) {
        assert!(is_answered(stream).await);
    }
}
