//! Cases that need a socket: the bytes that a client sends, and the framing of an answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aims::fetch::{Fetch, Fetcher};
use aims::jose::Chain;
use aims::jose::provider;
use aims::keys::PublishedKeys;
use aims::oauth_wire::names::{Endpoint, Issuer};
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Case, read};

pub(crate) const KINDS: &[&str] = &["proxy", "serve"];

/// Returns the result of the request, in words, or `None` if the case is of another kind.
pub(crate) async fn outcome(case: &Case) -> Option<String> {
    Some(match case.op.as_str() {
        "proxy" => proxy().await,
        "serve" => serve(case).await,
        _ => return None,
    })
}

/// Fetches a key set from a server that answers as the case says.
async fn serve(case: &Case) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: BTreeMap<String, Vec<u8>> = case
        .answers
        .iter()
        .flatten()
        .map(|(path, file)| (path.clone(), raw(case, &read(file), address.port())))
        .collect();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&sent);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await;
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            heads.lock().unwrap().push(head.to_ascii_lowercase());
            let answer = answers.get(&path).unwrap();
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    let fetcher = Fetcher::builder()
        .allow_loopback_http()
        .redirects(case.redirects.unwrap_or(0))
        .build()
        .unwrap();
    let issuer = Issuer::loopback(&format!("http://{address}")).unwrap();
    let path = case.path.as_deref().unwrap();
    let place = Endpoint::loopback(&format!("http://{address}{path}")).unwrap();
    let keys = PublishedKeys::builder(Arc::new(fetcher), provider::default())
        .issuer_at(issuer.clone(), &place)
        .unwrap()
        .build();
    let loaded = keys.load().await;
    server.abort();
    let document = match loaded {
        Ok(()) => {
            let issuers = keys.issuers().snapshot();
            let count = issuers
                .keys(issuer.as_str())
                .map_or(0, |it| it.keys().len());
            format!("{count} keys")
        }
        Err(error) => told!(error),
    };
    format!("{document}; sent {:?}", sent.lock().unwrap())
}

/// Returns the bytes to send: the head of a case has the line ends of text files, and `PORT` for
/// the port of the server.
fn raw(case: &Case, file: &[u8], port: u16) -> Vec<u8> {
    let end = file.windows(2).position(|it| it == b"\n\n").unwrap();
    assert_eq!(case.crlf, Some(true), "{}", case.id);
    let head = String::from_utf8(file[..end].to_vec()).unwrap();
    let head = head
        .replace('\n', "\r\n")
        .replace("PORT", &port.to_string());
    [head.as_bytes(), b"\r\n\r\n", &file[end + 2..]].concat()
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Sends a request through a proxy that refuses it.
async fn proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await;
            assert!(head.starts_with("CONNECT as.example:443 "), "{head}");
            count.fetch_add(1, Ordering::Relaxed);
            let _ = stream
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    let fetcher = Fetcher::builder()
        .proxy(&format!("http://{address}"))
        .build()
        .unwrap();
    let request = Request::get("https://as.example/jwks");
    let told = match fetcher.send(request.body(Vec::new()).unwrap()).await {
        Ok(answer) => format!("answer {}", answer.status()),
        Err(error) => told!(error),
    };
    server.abort();
    format!(
        "{told}; the proxy saw {} connections",
        seen.load(Ordering::Relaxed)
    )
}
