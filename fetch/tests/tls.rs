//! T-087: TLS that must not be trusted. Each case differs from a valid connection in one thing.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use aims_fetch::{Fetch as _, Fetcher, FetcherBuilder};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, crypto, version};

const ROOT: &[u8] = include_bytes!("certificates/ca.pem");
const KEY: &[u8] = include_bytes!("certificates/leaf.key");
const LOCALHOST: &[u8] = include_bytes!("certificates/localhost.pem");
const EXPIRED: &[u8] = include_bytes!("certificates/expired.pem");
const OTHER: &[u8] = include_bytes!("certificates/other.pem");
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Serves one connection with this certificate. Returns whether a request arrived.
async fn server(
    certificate: &'static [u8],
    versions: &[&'static SupportedProtocolVersion],
) -> (String, tokio::task::JoinHandle<bool>) {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else {
            return false;
        };
        let mut head = [0; 1024];
        let length = stream.read(&mut head).await.unwrap_or(0);
        stream.write_all(ANSWER).await.ok();
        stream.shutdown().await.ok();
        length > 0
    });
    (format!("https://localhost:{port}/"), served)
}

/// Answers every connection with these bytes.
async fn raw(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _length = stream.read(&mut [0; 1024]).await;
        stream.write_all(answer).await.ok();
        let _length = stream.read(&mut [0; 1024]).await;
    });
    format!("https://localhost:{port}/")
}

fn trusting() -> FetcherBuilder {
    Fetcher::builder()
        .allow_loopback_http()
        .root_certificate_pem(ROOT)
}

async fn code(fetcher: FetcherBuilder, url: &str) -> &'static str {
    let request = Request::get(url).body(Vec::new()).unwrap();
    match fetcher.build().unwrap().send(request).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[tokio::test]
async fn a_trusted_certificate() {
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let (url, served) = server(LOCALHOST, versions).await;
        assert_eq!(code(trusting(), &url).await, "ok");
        assert!(served.await.unwrap());
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted() {
    let untrusting = Fetcher::builder().allow_loopback_http();
    for (fetcher, certificate) in [
        (untrusting, LOCALHOST),
        (trusting(), EXPIRED),
        (trusting(), OTHER),
    ] {
        let (url, served) = server(certificate, &[&version::TLS13]).await;
        assert_eq!(code(fetcher, &url).await, "fetch.tls");
        assert!(!served.await.unwrap());
    }
}

#[tokio::test]
async fn a_peer_without_tls_1_2() {
    for answer in [
        // A server hello of TLS 1.1.
        b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00\xc0\x09\x00".as_slice(),
        // An alert: the protocol version.
        b"\x15\x03\x01\x00\x02\x02\x46",
        ANSWER,
    ] {
        let url = raw(answer).await;
        assert_eq!(code(trusting(), &url).await, "fetch.tls");
    }
}

#[test]
fn a_root_that_is_no_certificate() {
    for pem in [
        "",
        "x",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let fetcher = Fetcher::builder().root_certificate_pem(pem).build();
        assert_eq!(fetcher.unwrap_err().code(), "fetch.build", "{pem}");
    }
}
