//! A tool that guards stand before, on loopback with and without TLS. It states the code of a
//! refusal in a header field, which no real tool does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aims::Guard;
use aims::fetch::ClientCertificate;
use aims::guard::Peer;
use aims::oauth_wire::certificate::PeerCertificate;
use aims::record::{Event, Record};
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::post;
use axum::serve::{IncomingStream, Listener};
use http::HeaderValue;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use tokio_rustls::server::TlsStream;

use crate::Failure;

/// Remembers the code of the last refusal. The clients send one request at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastCode(Arc<Mutex<Option<String>>>);

impl LastCode {
    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Record for LastCode {
    fn record(&self, event: &Event<'_>) {
        let code = event.code.map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = code;
    }
}

/// Returns the routes of these guards: a guard's URL and each path in it lead to the
/// same tool.
pub(crate) fn router(guards: &[Guard], last: &LastCode) -> Result<Router, Failure> {
    let mut all = Router::new();
    for guard in guards {
        let url: http::Uri = guard.resource().parse()?;
        let paths = format!("{}/{{*rest}}", url.path());
        let called = || post(|| async { "called" });
        let tool = Router::new()
            .route(&paths, called())
            .route(url.path(), called());
        all = all.merge(tool.layer(guard.layer()));
        all = all.merge(guard.metadata_routes());
    }
    let stating = |last: axum::extract::State<LastCode>, request: Request, next: Next| async move {
        drop(last.take());
        let mut answer: Response = next.run(request).await;
        let code = last.take().and_then(|it| HeaderValue::from_str(&it).ok());
        if let Some(code) = code {
            answer.headers_mut().insert("refusal-code", code);
        }
        answer
    };
    Ok(all.layer(from_fn_with_state(last.clone(), stating)))
}

/// Serves the routes without TLS.
pub(crate) fn serve(listener: TcpListener, routes: Router) {
    tokio::spawn(async move { axum::serve(listener, routes).await });
}

/// Serves the routes with TLS. It asks for a client certificate, and passes it on to the guards.
pub(crate) fn serve_tls(listener: TcpListener, tls: &Tls, routes: Router) -> Result<(), Failure> {
    let listener = TlsListener {
        tcp: listener,
        acceptor: tls.acceptor()?,
    };
    let insert = |ConnectInfo(from): ConnectInfo<Caller>, mut request: Request, next: Next| {
        request.extensions_mut().insert(Peer::from(from.address));
        if let Some(certificate) = from.certificate {
            request.extensions_mut().insert(certificate);
        }
        next.run(request)
    };
    let routes = routes.layer(from_fn(insert));
    let service = routes.into_make_service_with_connect_info::<Caller>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(())
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

/// The other end of a connection.
#[derive(Clone)]
struct Caller {
    address: SocketAddr,
    certificate: Option<PeerCertificate>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = Listener::accept(&mut self.tcp).await;
            // Handshakes one after the other are enough for one caller.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let chain = stream.io().get_ref().1.peer_certificates();
        let leaf = chain.and_then(|chain| chain.first());
        Self {
            address: *stream.remote_addr(),
            certificate: leaf.and_then(|it| PeerCertificate::from_der(it).ok()),
        }
    }
}

/// A temporary certification authority, with certificates for `localhost` and two clients. A third
/// client has a self-signed one.
pub(crate) struct Tls {
    pub(crate) ca: String,
    server: (String, String),
    clients: Vec<(&'static str, String, String)>,
}

impl Tls {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut ca = CertificateParams::new(Vec::new())?;
        // A leaf of the same name would count as self-signed.
        ca.distinguished_name.push(DnType::CommonName, "interop");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let leaf = |name: &str| -> Result<(String, String), Failure> {
            let key = KeyPair::generate()?;
            let mut leaf = CertificateParams::new(vec![name.to_owned()])?;
            leaf.distinguished_name.push(DnType::CommonName, name);
            Ok((leaf.signed_by(&key, &ca)?.pem(), key.serialize_pem()))
        };
        let mut clients = Vec::new();
        for name in ["agent", "other"] {
            let (certificate, key) = leaf(&format!("{name}.example"))?;
            clients.push((name, certificate, key));
        }
        let key = KeyPair::generate()?;
        let alone = CertificateParams::new(vec!["self.example".to_owned()])?;
        let alone = alone.self_signed(&key)?.pem();
        clients.push(("self", alone, key.serialize_pem()));
        Ok(Self {
            ca: ca.pem(),
            server: leaf("localhost")?,
            clients,
        })
    }

    /// Writes all of it as PEM into a folder.
    pub(crate) fn write(&self, folder: &std::path::Path) -> Result<(), Failure> {
        std::fs::create_dir_all(folder)?;
        let (certificate, key) = &self.server;
        std::fs::write(folder.join("ca.pem"), &self.ca)?;
        std::fs::write(folder.join("server.pem"), certificate)?;
        std::fs::write(folder.join("server.key"), key)?;
        for (name, certificate, key) in &self.clients {
            std::fs::write(folder.join(format!("{name}.pem")), certificate)?;
            std::fs::write(folder.join(format!("{name}.key")), key)?;
        }
        Ok(())
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(crate) fn read(folder: &std::path::Path) -> Result<Self, Failure> {
        let pair = |name: &str| -> Result<(String, String), Failure> {
            let text = |end: &str| std::fs::read_to_string(folder.join(format!("{name}.{end}")));
            Ok((text("pem")?, text("key")?))
        };
        let mut clients = Vec::new();
        for name in ["agent", "other", "self"] {
            let (certificate, key) = pair(name)?;
            clients.push((name, certificate, key));
        }
        Ok(Self {
            ca: std::fs::read_to_string(folder.join("ca.pem"))?,
            server: pair("server")?,
            clients,
        })
    }

    /// Returns the certificate of a client.
    pub(crate) fn client(&self, name: &str) -> Result<ClientCertificate, Failure> {
        let mut clients = self.clients.iter();
        let (_, chain, key) = clients.find(|(own, ..)| *own == name).ok_or("no client")?;
        Ok(ClientCertificate::from_pem(
            chain.as_bytes(),
            key.as_bytes(),
        )?)
    }

    fn acceptor(&self) -> Result<TlsAcceptor, Failure> {
        let (certificate, key) = &self.server;
        let config = ServerConfig::builder();
        let clients = AnyCertificate(Arc::clone(config.crypto_provider()));
        let config = config
            .with_client_cert_verifier(Arc::new(clients))
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(key.as_bytes())?,
            )?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Accepts every certificate whose key the client has. A bound token names the certificate itself,
/// so no authority has to be trusted (RFC 8705 §6.2 and §7.2).
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
