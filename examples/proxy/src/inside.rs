//! A reverse proxy in this process, for machines without nginx. It ends TLS, changes the request by
//! its path, and forwards it.

use std::net::SocketAddr;
use std::sync::Arc;

use aims::fetch::{Fetch as _, Fetcher};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::serve::Listener;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, TRANSFER_ENCODING, VIA,
};
use http::{HeaderValue, Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use crate::Failure;
use crate::meddling::{Meddling, ROWS};
use crate::nginx::Proxy;
use crate::tls::Tls;

pub(crate) async fn start(tls: &Tls, upstream: SocketAddr) -> Result<Proxy, Failure> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_slice(tls.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(tls.key.as_bytes())?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let port = tcp.local_addr()?.port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let onward = Onward {
        upstream,
        client: Fetcher::builder().allow_loopback_http().build()?,
    };
    let router = Router::new().fallback(pass).with_state(onward);
    // The proxy has no limits, because it has one caller in this process. Do not use it elsewhere.
    tokio::spawn(async move { axum::serve(Secure { tcp, acceptor }, router).await });
    Ok(Proxy::new(
        "a small one in this process, as there is no nginx",
        port,
    ))
}

/// Accepts TLS connections.
struct Secure {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            // Handshakes one after the other are enough for one caller.
            let (stream, from) = Listener::accept(&mut self.tcp).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

#[derive(Clone)]
struct Onward {
    upstream: SocketAddr,
    client: Fetcher,
}

/// Forwards a request and its answer, each changed as its path says.
async fn pass(State(onward): State<Onward>, request: Request<Body>) -> Response<Body> {
    let failed = |_: Failure| {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = http::StatusCode::BAD_GATEWAY;
        answer
    };
    onward.pass(request).await.unwrap_or_else(failed)
}

impl Onward {
    async fn pass(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let row = ROWS.iter().find(|row| row.path == request.uri().path());
        let does = row.map_or(Meddling::None, |row| row.does);
        let (mut head, body) = request.into_parts();
        let mut content = to_bytes(body, 64 * 1024).await?.to_vec();
        let target = head.uri.path_and_query().map_or("/", |it| it.as_str());
        let mut target = target.to_owned();
        let headers = &mut head.headers;
        end_of_hop(headers);
        match does {
            Meddling::Forwarded => {
                headers.insert(VIA, HeaderValue::from_static("1.1 proxy"));
                let from = HeaderValue::from_static("127.0.0.1");
                headers.insert("x-forwarded-for", from);
                let scheme = HeaderValue::from_static("https");
                headers.insert("x-forwarded-proto", scheme);
            }
            Meddling::Host => {
                headers.insert(HOST, HeaderValue::from_static("tool.internal"));
            }
            Meddling::Path => target.insert_str(0, "/api"),
            Meddling::Query => target.push_str("?admin=1"),
            Meddling::Method => head.method = Method::PUT,
            Meddling::Body => content = br#"{"city":"Rome"}"#.to_vec(),
            Meddling::Digest => drop(headers.remove("content-digest")),
            Meddling::ContentType => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            }
            Meddling::None | Meddling::Answer | Meddling::AnswerUnsigned => {}
        }
        head.uri = format!("http://{}{target}", self.upstream).parse()?;
        let answer = self.client.send(Request::from_parts(head, content)).await?;
        let (mut head, mut content) = answer.into_parts();
        end_of_hop(&mut head.headers);
        match does {
            Meddling::Answer => {
                let text = String::from_utf8_lossy(&content).replace("Oslo", "Rome");
                content = text.into_bytes();
            }
            Meddling::AnswerUnsigned => {
                head.headers.remove("signature");
                head.headers.remove("signature-input");
            }
            _ => {}
        }
        Ok(Response::from_parts(head, Body::from(content)))
    }
}

/// Removes header fields that are only for one connection (RFC 9110 §7.6.1).
fn end_of_hop(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}
