//! A reverse proxy in this process, where nginx is not installed: ends TLS, does what it is told to
//! by path, and sends on.

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
    // Without limits, for the one caller in this process: it stands for a proxy, and is none to
    // take along.
    tokio::spawn(async move { axum::serve(Secure { tcp, acceptor }, router).await });
    Ok(Proxy::new(
        "a small one in this process, as there is no nginx",
        port,
    ))
}

/// Connections whose TLS ends here.
struct Secure {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            // One after the other will do for one caller.
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

/// Sends a request on and its answer back, each changed as its path says.
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

/// What is about one connection is not passed on (RFC 9110 §7.6.1).
fn end_of_hop(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}
