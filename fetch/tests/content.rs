//! Answers of real servers: compressed without request, with any content type, ended by the end of
//! the connection.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use aims_fetch::{DocumentKey, Documents, Error, Fetch, FetchFuture, Fetcher, FetcherBuilder};
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Gives each connection the same answer.
async fn server(answer: Vec<u8>) -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, requests) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            head.truncate(length);
            seen.send(String::from_utf8_lossy(&head).into_owned()).ok();
            stream.write_all(&answer).await.ok();
        }
    });
    (format!("http://127.0.0.1:{port}/jwks"), requests)
}

fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

fn local() -> FetcherBuilder {
    Fetcher::builder().allow_loopback_http()
}

async fn document(fetcher: FetcherBuilder, url: &str) -> Result<Vec<u8>, Error> {
    let documents = Documents::new(Arc::new(fetcher.build().unwrap()));
    let key = DocumentKey::new("jwks", "https://as.example", url).unwrap();
    documents.get(&key).await.map(|it| it.bytes().to_vec())
}

const SET: &[u8] = br#"{"keys":[]}"#;

/// The output of `printf '{"keys":[]}' | gzip -n`.
const SET_GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xab, 0x56, 0xca, 0x4e, 0xad, 0x2c,
    0x56, 0xb2, 0x8a, 0x8e, 0xad, 0x05, 0x00, 0xef, 0x67, 0x88, 0x2a, 0x0b, 0x00, 0x00, 0x00,
];

/// Records the request, and accepts only JSON.
#[tokio::test]
async fn identity_and_key_sets_are_asked_for() {
    let (url, mut requests) = server(answer("connection: close\r\n", SET)).await;
    assert_eq!(document(local(), &url).await.unwrap(), SET);
    let request = requests.recv().await.unwrap();
    assert!(
        request.contains("accept-encoding: identity\r\n"),
        "{request}"
    );
    let accept = "accept: application/jwk-set+json, application/json\r\n";
    assert!(request.contains(accept), "{request}");
    let documents = Documents::new(Arc::new(local().build().unwrap()));
    let metadata = DocumentKey::new("metadata", "https://as.example", &url).unwrap();
    documents.get(&metadata).await.unwrap();
    let request = requests.recv().await.unwrap();
    assert!(
        request.contains("accept: application/json\r\n"),
        "{request}"
    );
}

/// The start of a body that is too long shows whether it is a document: with or without an
/// announced length, and compressed.
#[tokio::test]
async fn a_body_that_is_too_long_is_known_by_its_beginning() {
    let limit = SET_GZIP.len();
    let pages = ["<!doctype html>", "\u{feff}\n<html>", "[", ""];
    let objects = ["{", " \r\n{", "\u{feff}\n{", "\n\u{feff}{"];
    let all = pages.iter().map(|it| (it, false));
    for (beginning, expected) in all.chain(objects.iter().map(|it| (it, true))) {
        let body = [beginning.as_bytes(), &vec![b' '; 200][..]].concat();
        let announced = answer("connection: close\r\n", &body);
        let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
        for bytes in [announced, [&head[..], &body].concat()] {
            let (url, _requests) = server(bytes).await;
            let fetcher = local().max_body(limit).build().unwrap();
            let request = Request::get(url).body(Vec::new()).unwrap();
            match fetcher.send(request).await.unwrap_err() {
                Error::BodyTooLong {
                    answer: Some(found),
                    ..
                } => assert_eq!(
                    (found.status, found.is_object),
                    (200, expected),
                    "{beginning:?}"
                ),
                other => panic!("{other:?}"),
            }
        }
    }
    let coded = answer("content-encoding: gzip\r\nconnection: close\r\n", SET_GZIP);
    let (url, _requests) = server(coded).await;
    let fetcher = local().max_body(limit - 1).build().unwrap();
    let request = Request::get(url).body(Vec::new()).unwrap();
    let error = fetcher.send(request).await.unwrap_err();
    assert!(matches!(error, Error::BodyTooLong { answer: Some(it), .. } if it.is_object));
}

/// Servers that compress without request, and servers without a content type.
#[tokio::test]
async fn real_answers_are_read() {
    for (fields, body) in [
        ("content-type: application/jwk-set+json\r\n", SET),
        ("content-type: text/plain\r\n", SET),
        ("content-type: application/octet-stream\r\n", SET),
        ("", SET),
        ("", b"\xef\xbb\xbf \n{}"),
        ("", b"\n\xef\xbb\xbf{}"),
        ("content-encoding: gzip\r\n", SET_GZIP),
        (
            "content-encoding: x-gzip\r\ncontent-type: text/plain\r\n",
            SET_GZIP,
        ),
        ("content-encoding: identity\r\n", SET),
    ] {
        let (url, _requests) =
            server(answer(&format!("{fields}connection: close\r\n"), body)).await;
        let got = document(local(), &url).await.unwrap();
        let expected = if body == SET_GZIP { SET } else { body };
        assert_eq!(got, expected, "{fields}");
    }
    // HTTP/1.0: the end of the connection ends the body.
    let old = [b"HTTP/1.0 200 OK\r\n\r\n", SET].concat();
    let (url, _requests) = server(old).await;
    assert_eq!(document(local(), &url).await.unwrap(), SET);
}

/// The same answers, each with one fault that is not tolerated.
#[tokio::test]
async fn other_answers_are_refused() {
    let twice = [SET_GZIP, b"trailing"].concat();
    let cut = SET_GZIP.strip_suffix(&[0]).unwrap();
    for (fields, body, expected) in [
        ("content-type: text/html\r\n", SET, "fetch.content_type"),
        (
            "content-type: text/plain\r\n",
            b"<html>",
            "fetch.content_type",
        ),
        ("", b"keys", "fetch.content_type"),
        ("content-encoding: br\r\n", SET, "fetch.content_encoding"),
        (
            "content-encoding: gzip, gzip\r\n",
            SET_GZIP,
            "fetch.content_encoding",
        ),
        ("content-encoding: gzip\r\n", SET, "fetch.content_encoding"),
        ("content-encoding: gzip\r\n", cut, "fetch.content_encoding"),
        (
            "content-encoding: gzip\r\n",
            &twice,
            "fetch.content_encoding",
        ),
        // A compressed HTML page is still one.
        (
            "content-encoding: gzip\r\ncontent-type: text/html\r\n",
            SET_GZIP,
            "fetch.content_type",
        ),
    ] {
        let (url, _requests) =
            server(answer(&format!("{fields}connection: close\r\n"), body)).await;
        let error = document(local(), &url).await.unwrap_err();
        assert_eq!(error.code(), expected, "{fields}");
    }
}

/// The limit applies to the decoded body, in the client and in the cache.
#[tokio::test]
async fn decoded_bytes_are_bounded() {
    let fields = "content-encoding: gzip\r\nconnection: close\r\n";
    let (url, _requests) = server(answer(fields, SET_GZIP)).await;
    let limit = |limit: usize| local().max_body(limit);
    // The compressed body is longer than the decoded one.
    let error = document(limit(SET_GZIP.len() - 1), &url).await.unwrap_err();
    assert_eq!(error.code(), "fetch.body_too_long");
    assert_eq!(document(limit(SET_GZIP.len()), &url).await.unwrap(), SET);
    // Ten thousand blanks and an object, in a few bytes.
    let bomb = BOMB;
    let (url, _requests) = server(answer(fields, bomb)).await;
    let error = document(limit(10_000), &url).await.unwrap_err();
    assert_eq!(error.code(), "fetch.body_too_long");
    assert_eq!(document(limit(10_002), &url).await.unwrap().len(), 10_002);
}

/// The output of `(head -c 10000 /dev/zero | tr '\0' ' '; printf '{}') | gzip -9n`.
const BOMB: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x01, 0x09, 0x00, 0x00,
    0x0c, 0x03, 0xa0, 0x2a, 0xeb, 0x39, 0xd6, 0xfd, 0x39, 0x0e, 0x6a, 0x02, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0x75, 0x07, 0xf4, 0x67, 0xc1, 0x12, 0x12, 0x27, 0x00, 0x00,
];

/// A body that a digest covers is left as it was sent (RFC 9530 §2), and so is one whose coding was
/// requested.
#[tokio::test]
async fn what_is_covered_or_asked_for_is_left() {
    let fields = "content-encoding: gzip\r\nconnection: close\r\n";
    let (url, mut requests) = server(answer(fields, SET_GZIP)).await;
    let request = Request::get(&url).header("accept-encoding", "gzip");
    let fetcher = local().build().unwrap();
    let got = fetcher.send(request.body(Vec::new()).unwrap()).await;
    let got = got.unwrap();
    assert_eq!((got.body().as_slice(), got.headers().len()), (SET_GZIP, 3));
    let request = requests.recv().await.unwrap();
    assert!(request.contains("accept-encoding: gzip\r\n"), "{request}");
    let covered = format!("content-digest: sha-256=:AAAA:\r\n{fields}");
    let (url, _requests) = server(answer(&covered, SET_GZIP)).await;
    let request = Request::get(&url).body(Vec::new()).unwrap();
    assert_eq!(fetcher.send(request).await.unwrap().body(), SET_GZIP);
}

/// Returns compressed bytes, as a client of another program may.
#[derive(Debug)]
struct Raw;

impl Fetch for Raw {
    fn send(&self, _: Request<Vec<u8>>) -> FetchFuture<'_> {
        let answer = Response::builder().header("content-encoding", "gzip");
        let answer = answer.body(SET_GZIP.to_vec()).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

#[tokio::test]
async fn documents_decode_what_a_client_left() {
    let key = DocumentKey::new("jwks", "x", "https://as.example/jwks").unwrap();
    let documents = Documents::new(Arc::new(Raw));
    assert_eq!(documents.get(&key).await.unwrap().bytes(), SET);
    let small = Documents::builder(Arc::new(Raw)).max_document(SET.len() - 1);
    let error = small.build().get(&key).await.unwrap_err();
    assert_eq!(error.code(), "fetch.body_too_long");
}
