//! A client certificate is presented to the origin that it is for, and to no other (RFC 8705 §2).

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutual_tls;

use std::sync::{Arc, Mutex};

use aims_fetch::{Body, Call as _, ClientCertificate, Fetch as _, Fetcher, FetcherBuilder};
use http::Request;
use mutual_tls::{Authority, Pair, accept};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::{SupportedProtocolVersion, version};

/// An authority, and a certificate of a client.
struct Pki {
    authority: Authority,
    client: Pair,
}

/// The client's certificate on each connection of a server, or none.
type Seen = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

struct Served {
    url: String,
    seen: Seen,
}

impl Pki {
    fn new() -> Self {
        Self::named("one authority")
    }

    fn named(name: &str) -> Self {
        let authority = Authority::named(name);
        Self {
            client: authority.issue("agent.example"),
            authority,
        }
    }

    fn certificate(&self) -> ClientCertificate {
        let (chain, key) = &self.client;
        ClientCertificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    fn fetcher(&self) -> FetcherBuilder {
        Fetcher::builder()
            .allow_loopback_http()
            .redirects(3)
            .root_certificate_pem(self.authority.root())
    }

    /// Serves eight connections with one request each. It asks for a certificate, or requires one.
    async fn server(
        &self,
        is_required: bool,
        versions: &[&'static SupportedProtocolVersion],
        redirect: Option<&str>,
    ) -> Served {
        let acceptor = self.authority.acceptor(is_required, versions);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let answer = match redirect {
            Some(to) => {
                format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
            }
            None => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        let seen = Seen::default();
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            for _ in 0..8 {
                let (stream, _) = listener.accept().await.unwrap();
                let Some(mut stream) = accept(&acceptor, stream).await else {
                    continue;
                };
                let peer = stream.get_ref().1.peer_certificates();
                let peer = peer.and_then(|it| it.first()).map(|it| it.to_vec());
                noted.lock().unwrap().push(peer);
                let answer = answer.clone();
                // Connections stay open, so that another request could use one of them again.
                tokio::spawn(async move {
                    let mut head = [0; 2048];
                    while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                        stream.write_all(answer.as_bytes()).await.ok();
                        stream.flush().await.ok();
                    }
                });
            }
        });
        Served { url, seen }
    }
}

impl Served {
    fn seen(&self) -> Vec<Option<Vec<u8>>> {
        self.seen.lock().unwrap().clone()
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

async fn code(fetcher: &Fetcher, url: &str) -> &'static str {
    let request = Request::get(format!("{url}/")).body(Vec::new()).unwrap();
    fetcher
        .send(request)
        .await
        .map_or_else(|it| it.code(), |_| "ok")
}

#[tokio::test]
async fn a_server_that_requires_a_certificate_gets_it() {
    let pki = Pki::new();
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let served = pki.server(true, versions, None).await;
        let fetcher = pki
            .fetcher()
            .client_certificate(&served.url, pki.certificate());
        let fetcher = fetcher.build().unwrap();
        assert_eq!(code(&fetcher, &served.url).await, "ok");
        let own = pki.certificate().der().to_vec();
        assert_eq!(served.seen(), [Some(own)]);
        // Without it, the reason is named.
        let without = pki.fetcher().build().unwrap();
        assert_eq!(
            code(&without, &served.url).await,
            "fetch.certificate_refused"
        );
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_by_the_server() {
    let (pki, other) = (Pki::new(), Pki::named("another authority"));
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let served = pki.server(true, versions, None).await;
        let fetcher = pki
            .fetcher()
            .client_certificate(&served.url, other.certificate());
        let fetcher = fetcher.build().unwrap();
        assert_eq!(
            code(&fetcher, &served.url).await,
            "fetch.certificate_refused"
        );
    }
}

#[tokio::test]
async fn streaming_calls_present_it_as_well() {
    let pki = Pki::new();
    let served = pki.server(true, BOTH, None).await;
    let fetcher = pki
        .fetcher()
        .client_certificate(&served.url, pki.certificate());
    let fetcher = fetcher.build().unwrap();
    let request = Request::get(format!("{}/", served.url));
    let answer = fetcher.call(request.body(Body::empty()).unwrap()).await;
    assert!(answer.unwrap().status().is_success());
    assert_eq!(served.seen().len(), 1);
}

#[tokio::test]
async fn no_other_origin_sees_it() {
    let pki = Pki::new();
    let (own, other) = (
        pki.server(false, BOTH, None).await,
        pki.server(false, BOTH, None).await,
    );
    let fetcher = pki
        .fetcher()
        .client_certificate(&own.url, pki.certificate());
    let fetcher = fetcher.build().unwrap();
    assert_eq!(code(&fetcher, &own.url).await, "ok");
    assert_eq!(code(&fetcher, &other.url).await, "ok");
    assert!(matches!(own.seen()[..], [Some(_)]));
    assert_eq!(other.seen(), [None]);
    // The same server by another name is another origin.
    let address = own.url.replace("localhost", "127.0.0.1");
    assert_eq!(code(&fetcher, &address).await, "fetch.tls");
}

#[tokio::test]
async fn nothing_after_a_redirect_is_proven_by_it() {
    let pki = Pki::new();
    let own = pki.server(false, BOTH, None).await;
    let target = format!("{}/", own.url);
    let elsewhere = pki.server(false, BOTH, Some(&target)).await;
    let fetcher = pki
        .fetcher()
        .client_certificate(&own.url, pki.certificate());
    let fetcher = fetcher.build().unwrap();
    // A connection with the certificate is open, and is not used.
    assert_eq!(code(&fetcher, &own.url).await, "ok");
    assert_eq!(code(&fetcher, &elsewhere.url).await, "ok");
    assert_eq!(elsewhere.seen(), [None]);
    assert!(matches!(own.seen()[..], [Some(_), None]));
}

#[tokio::test]
async fn a_redirect_to_another_origin_does_not_carry_it_on() {
    let pki = Pki::new();
    let other = pki.server(false, BOTH, None).await;
    let target = format!("{}/", other.url);
    let own = pki.server(false, BOTH, Some(&target)).await;
    let fetcher = pki
        .fetcher()
        .client_certificate(&own.url, pki.certificate());
    let fetcher = fetcher.build().unwrap();
    assert_eq!(code(&fetcher, &own.url).await, "ok");
    assert!(matches!(own.seen()[..], [Some(_)]));
    assert_eq!(other.seen(), [None]);
}

#[tokio::test]
async fn the_roots_are_those_of_the_fetcher() {
    let (pki, other) = (Pki::new(), Pki::new());
    let served = pki.server(false, BOTH, None).await;
    let trusting_another = other
        .fetcher()
        .client_certificate(&served.url, pki.certificate());
    let fetcher = trusting_another.build().unwrap();
    assert_eq!(code(&fetcher, &served.url).await, "fetch.tls");
    assert_eq!(served.seen(), []);
}

#[tokio::test]
async fn the_last_certificate_of_an_origin_counts() {
    let (pki, other) = (Pki::new(), Pki::new());
    let served = pki.server(true, BOTH, None).await;
    let fetcher = pki
        .fetcher()
        .client_certificate(&served.url, other.certificate())
        .client_certificate(&format!("{}/", served.url), pki.certificate());
    assert_eq!(code(&fetcher.build().unwrap(), &served.url).await, "ok");
}

#[test]
fn what_is_not_one_origin_is_refused() {
    let certificate = Pki::new().certificate();
    for (url, accepted) in [
        ("https://as.example", true),
        ("https://as.example:8443/", true),
        ("http://localhost:80", false),
        ("http://as.example", false),
        ("https://as.example/token", false),
        ("https://as.example?tenant=1", false),
        ("https://user@as.example", false),
        ("as.example", false),
    ] {
        let fetcher = Fetcher::builder().client_certificate(url, certificate.clone());
        let code = fetcher.build().map_or_else(|it| it.code(), |_| "ok");
        let expected = ["fetch.client_certificate", "ok"][usize::from(accepted)];
        assert_eq!(code, expected, "{url}");
    }
}

#[test]
fn a_proxy_by_tls_would_see_it() {
    let certificate = Pki::new().certificate();
    for (proxy, expected) in [
        ("http://proxy.example:3128", "ok"),
        ("https://proxy.example:3128", "fetch.client_certificate"),
    ] {
        let fetcher = Fetcher::builder().proxy(proxy);
        assert!(fetcher.clone().build().is_ok());
        let fetcher = fetcher.client_certificate("https://as.example", certificate.clone());
        let code = fetcher.build().map_or_else(|it| it.code(), |_| "ok");
        assert_eq!(code, expected, "{proxy}");
    }
}

#[test]
fn chain_and_key_belong_together() {
    let (pki, other) = (Pki::new(), Pki::new());
    let server = other.authority.issue("localhost");
    let (chain, key) = &pki.client;
    let both = format!("{chain}{key}");
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let cut = key.replacen('M', "", 1);
    for (chain, key, reason) in [
        (chain.as_str(), other.client.1.as_str(), "not that of"),
        (chain, &server.1, "not that of"),
        ("", key, "at least one"),
        (key, key, "at least one"),
        (
            "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n",
            key,
            "not PEM",
        ),
        (chain, "", "one PEM block"),
        (chain, chain, "one PEM block"),
        (chain, &both, "one PEM block"),
        (chain, &encrypted, "encrypted"),
        (chain, &cut, "private key"),
        (
            chain,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "malformed",
        ),
        (
            chain,
            "-----BEGIN PRIVATE KEY-----\n*\n-----END PRIVATE KEY-----",
            "not base64",
        ),
    ] {
        let read = ClientCertificate::from_pem(chain.as_bytes(), key.as_bytes());
        let error = read.unwrap_err();
        assert_eq!(error.code(), "fetch.client_certificate");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let whole = format!("{chain}{}", pki.authority.root());
    ClientCertificate::from_pem(whole.as_bytes(), key.as_bytes()).unwrap();
}

#[test]
fn the_key_is_never_shown() {
    let pki = Pki::new();
    let shown = format!("{:?}", pki.certificate());
    assert_eq!(shown, "ClientCertificate { certificates: 1, .. }");
    let fetcher = Fetcher::builder().client_certificate("https://as.example", pki.certificate());
    let shown = format!("{fetcher:?}{:?}", fetcher.clone().build().unwrap());
    let digits = pki.client.1.lines().nth(1).unwrap();
    assert!(!shown.contains(digits) && !shown.contains("PRIVATE"));
}
