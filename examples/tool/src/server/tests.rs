//! Tests of callers that send too little or too much.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Instant;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const SHORT: Limits = Limits {
    connections: 2,
    head: Duration::from_millis(300),
    lifetime: Duration::from_secs(60),
};

/// Starts a server that answers `hello`, and never answers at `/slow`.
async fn started(
    limits: Limits,
    end: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/slow", get(async || pending::<()>().await));
    let server = tokio::spawn(serve(listener, router, limits, end));
    (address, server)
}

/// Reads until the server closes the connection, which it must do within 5 seconds.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A server that closes while bytes are being sent resets the connection.
    let read = stream.read_to_end(&mut all);
    let _ = timeout(Duration::from_secs(5), read).await.unwrap();
    String::from_utf8(all).unwrap()
}

/// Sends a request and waits for the answer.
async fn answer(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut some = [0; 512];
    let read = stream.read(&mut some).await.unwrap();
    String::from_utf8(some.get(..read).unwrap().to_vec()).unwrap()
}

/// Half a head, nothing at all, and nothing more after an answer: each connection is closed.
#[tokio::test]
async fn who_sends_nothing_more_is_closed() {
    let (address, _server) = started(SHORT, pending()).await;
    for (sent, answered) in [
        (&b"GET / HTTP/1.1\r\nhost: a\r\nx: "[..], false),
        (b"", false),
        (REQUEST, true),
    ] {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        assert_eq!(rest(&mut stream).await.ends_with("hello"), answered);
        assert!(begun.elapsed() >= SHORT.head);
    }
}

/// A head that arrives byte by byte is closed as well, because the limit is for the whole head.
#[tokio::test]
async fn a_trickle_is_closed() {
    let (address, _server) = started(SHORT, pending()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    for _ in 0..1_000 {
        if stream.write_all(b"a").await.is_err() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("a thousand bytes were taken");
}

/// No more connections are served than there are places.
#[tokio::test]
async fn connections_are_bounded() {
    let limits = Limits {
        head: Duration::from_secs(60),
        ..SHORT
    };
    let (address, _server) = started(limits, pending()).await;
    assert!(answer(address).await.ends_with("hello"));
    let first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    let third = tokio::spawn(answer(address));
    sleep(Duration::from_millis(200)).await;
    assert!(!third.is_finished());
    drop(first);
    assert!(third.await.unwrap().ends_with("hello"));
}

/// A request that is never answered does not keep its connection for ever.
#[tokio::test]
async fn connections_do_not_live_for_ever() {
    let limits = Limits {
        lifetime: Duration::from_millis(300),
        ..SHORT
    };
    let (address, _server) = started(limits, pending()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut all = Vec::new();
    let whole = GRACE + Duration::from_secs(5);
    let _ = timeout(whole, stream.read_to_end(&mut all)).await.unwrap();
    assert!(all.is_empty());
}

/// The end comes while a connection is idle, and no connection is accepted after it.
#[tokio::test]
async fn it_ends_when_it_is_told() {
    let (tell, told) = oneshot::channel();
    let limits = Limits {
        head: Duration::from_secs(60),
        ..SHORT
    };
    let (address, server) = started(limits, async { drop(told.await) }).await;
    let _idle = TcpStream::connect(address).await.unwrap();
    assert!(answer(address).await.ends_with("hello"));
    tell.send(()).unwrap();
    timeout(GRACE / 2, server).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
