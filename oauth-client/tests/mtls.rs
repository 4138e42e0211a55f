//! Clients with a certificate, end to end against a TLS server on loopback (RFC 8705).

#![cfg(feature = "tokio")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../../fetch/tests/mutual_tls/mod.rs"]
mod mutual_tls;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aims_fetch::{ClientCertificate, Fetcher};
use aims_jose::base64url;
use aims_jose::time::SystemClock;
use aims_oauth_client::{
    ClientCredentials, ClientMetadata, Error, IntrospectionFlow, MemoryStore, RegistrationFlow,
    RevocationFlow, Step, TlsSubject, Token, TokenFlow, TokenRules, TokenSource, drive,
};
use aims_oauth_wire::Error as WireError;
use aims_oauth_wire::client_auth::{
    Authenticate, CertificateBound, ClientSecretBasic, PublicClient, TlsClientAuth,
};
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_oauth_wire::introspection::AnswerForm;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{ClientId, Resource};
use aims_oauth_wire::token::TokenRequest;
use common::at;
use http::{HeaderMap, Response};
use mutual_tls::{Authority, Pair, accept};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::DEFAULT_VERSIONS;

const TOOL: &str = "https://tool.example/mcp";

/// The `cnf` of the tokens that the server issues.
#[derive(Clone, Copy, Debug)]
enum Binds {
    /// To the certificate of the connection.
    Connection,
    /// To another certificate.
    Another,
    /// To a key.
    Key,
    Nothing,
    /// The token is opaque.
    Opaque,
}

struct World {
    root: String,
    clients: [Pair; 2],
    /// The URL of an endpoint that requires a certificate.
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// Starts a server that accepts sixteen connections with a certificate of its authority.
    async fn new(binds: Binds) -> Self {
        let authority = Authority::named("the authority of the test");
        let acceptor = authority.acceptor(true, DEFAULT_VERSIONS);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            for _ in 0..16 {
                let (stream, _) = listener.accept().await.unwrap();
                let Some(stream) = accept(&acceptor, stream).await else {
                    continue;
                };
                tokio::spawn(answer(stream, binds, Arc::clone(&noted)));
            }
        });
        Self {
            root: authority.root(),
            clients: ["agent.example"; 2].map(|it| authority.issue(it)),
            url,
            seen,
        }
    }

    fn certificate(&self, which: usize) -> ClientCertificate {
        let (chain, key) = &self.clients[which];
        ClientCertificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    fn thumbprint(&self, which: usize) -> CertificateThumbprint {
        CertificateThumbprint::of_der(self.certificate(which).der())
    }

    fn fetcher(&self, which: usize) -> Fetcher {
        let fetcher = self.plain();
        let fetcher = fetcher.client_certificate(&self.url, self.certificate(which));
        fetcher.build().unwrap()
    }

    fn plain(&self) -> aims_fetch::FetcherBuilder {
        let fetcher = Fetcher::builder().allow_loopback_http();
        fetcher.root_certificate_pem(self.root.clone())
    }

    /// Returns the metadata. The endpoints without mutual TLS do not exist.
    fn server(&self, change: impl FnOnce(&mut Value)) -> ServerMetadata {
        let alias = |path: &str| format!("{}{path}", self.url);
        let mut json = json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
            "revocation_endpoint": "https://as.example/revoke",
            "introspection_endpoint": "https://as.example/introspect",
            "tls_client_certificate_bound_access_tokens": true,
            "token_endpoint_auth_methods_supported": [
                "tls_client_auth", "self_signed_tls_client_auth", "none", "client_secret_basic",
            ],
            "mtls_endpoint_aliases": {
                "token_endpoint": alias("/token"),
                "revocation_endpoint": alias("/revoke"),
                "introspection_endpoint": alias("/introspect"),
            },
        });
        change(&mut json);
        let json = serde_json::to_vec(&json).unwrap();
        ServerMetadata::parse(&json, &"https://as.example".parse().unwrap()).unwrap()
    }

    async fn ask(
        &self,
        client: impl Authenticate + 'static,
        which: usize,
        rules: TokenRules,
    ) -> Result<Token, Error> {
        let server = Arc::new(self.server(|_| {}));
        let clock = SystemClock::new();
        let now = aims_jose::time::UnixTime::now();
        let first = TokenFlow::begin(Arc::new(grant()), Arc::new(client), server, rules, now)?;
        drive(first, &self.fetcher(which), &clock).await
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers the requests of a connection. Notes path and `client_id` of each.
async fn answer(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    binds: Binds,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let peer = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let own = CertificateThumbprint::of_der(&peer).to_string();
    let other = CertificateThumbprint::of_der(b"another").to_string();
    let cnf = match binds {
        Binds::Connection | Binds::Opaque => json!({"cnf": {"x5t#S256": own}}),
        Binds::Another => json!({"cnf": {"x5t#S256": other}}),
        Binds::Key => json!({"cnf": {"jkt": other}}),
        Binds::Nothing => json!({}),
    };
    let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
    let header = part(&json!({"alg": "ES256", "typ": "at+jwt"}));
    let signature = base64url::encode(&[1; 64]);
    let token = match binds {
        Binds::Opaque => own.clone(),
        _ => format!("{header}.{}.{signature}", part(&cnf)),
    };
    let body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 300,
        "active": true,
        "scope": "read",
    });
    let body = body.to_string();
    let mut text = String::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        text += &String::from_utf8_lossy(&piece[..read]);
        let Some((head, form)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("content-length: "));
        if form.len() < length.map_or(0, |it| it.parse().unwrap()) {
            continue;
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let client = form.split('&').find(|it| it.starts_with("client_id="));
        let note = format!("{path} {}", client.unwrap_or("-"));
        seen.lock().unwrap().push(note);
        text.clear();
        let length = body.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store";
        let answer = format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.ok();
        stream.flush().await.ok();
    }
}

fn grant() -> ClientCredentials {
    let tool: Resource = TOOL.parse().unwrap();
    ClientCredentials::new(tool).scopes("read".parse().unwrap())
}

fn id() -> ClientId {
    "agent-7".parse().unwrap()
}

/// MTLS-01, MTLS-02: each method sends `client_id` to the endpoint for mutual TLS.
#[tokio::test]
async fn a_client_is_known_by_its_certificate() {
    let world = World::new(Binds::Connection).await;
    for client in [TlsClientAuth::new(id()), TlsClientAuth::self_signed(id())] {
        let client = CertificateBound::new(client, world.thumbprint(0));
        let token = world.ask(client, 0, TokenRules::new()).await.unwrap();
        assert_eq!(token.certificate(), Some(&world.thumbprint(0)));
        // The token is sent as a bearer token, on connections with the certificate.
        let mut headers = HeaderMap::new();
        token.apply(&mut headers).unwrap();
        assert!(
            headers["authorization"]
                .to_str()
                .unwrap()
                .starts_with("Bearer ey")
        );
    }
    assert_eq!(world.seen(), ["/token client_id=agent-7"; 2]);
}

/// MTLS-02: a client that authenticates in another way, or not at all, and binds its tokens.
#[tokio::test]
async fn any_client_can_bind_its_tokens() {
    let world = World::new(Binds::Connection).await;
    let public = CertificateBound::new(PublicClient::new(id()), world.thumbprint(0));
    world.ask(public, 0, TokenRules::new()).await.unwrap();
    let secret = ClientSecretBasic::new(id(), "secret".into());
    let secret = CertificateBound::new(secret, world.thumbprint(0));
    world.ask(secret, 0, TokenRules::new()).await.unwrap();
    assert_eq!(world.seen(), ["/token client_id=agent-7", "/token -"]);
}

/// MTLS-02: revocation and introspection go to the endpoints for mutual TLS as well.
#[tokio::test]
async fn each_endpoint_has_its_alias() {
    let world = World::new(Binds::Connection).await;
    let client: Arc<dyn Authenticate> = Arc::new(TlsClientAuth::new(id()));
    let (server, clock) = (world.server(|_| {}), SystemClock::new());
    let now = aims_jose::time::UnixTime::now();
    let token = "an opaque token".into();
    let first = IntrospectionFlow::begin(token, AnswerForm::Json, client.clone(), &server, now);
    let answer = drive(first.unwrap(), &world.fetcher(0), &clock).await;
    assert!(answer.unwrap().status().is_success());
    let token = world
        .ask(TlsClientAuth::new(id()), 0, TokenRules::new())
        .await;
    let first = RevocationFlow::begin(&token.unwrap(), client, Arc::new(server), now).unwrap();
    drive(first, &world.fetcher(0), &clock).await.unwrap();
    assert_eq!(
        world.seen(),
        ["/introspect", "/token", "/revoke"].map(|it| format!("{it} client_id=agent-7"))
    );
}

/// Without an alias, the ordinary endpoint is for mutual TLS (RFC 8705 §5).
#[tokio::test]
async fn a_server_may_have_one_endpoint() {
    let world = World::new(Binds::Connection).await;
    let (alone, plain) = (
        format!("{}/alone", world.url),
        format!("{}/plain", world.url),
    );
    let cases: [(ServerMetadata, Arc<dyn Authenticate>, &str); 2] = [
        (
            world.server(|it| {
                it["token_endpoint"] = alone.clone().into();
                it.as_object_mut().unwrap().remove("mtls_endpoint_aliases");
            }),
            Arc::new(TlsClientAuth::new(id())),
            "/alone client_id=agent-7",
        ),
        // A client without a certificate never goes to the alias.
        (
            world.server(|it| it["token_endpoint"] = plain.clone().into()),
            Arc::new(PublicClient::new(id())),
            "/plain client_id=agent-7",
        ),
    ];
    for (server, client, expected) in cases {
        let now = aims_jose::time::UnixTime::now();
        let server = Arc::new(server);
        let rules = TokenRules::new();
        let first = TokenFlow::begin(Arc::new(grant()), client, server, rules, now).unwrap();
        drive(first, &world.fetcher(0), &SystemClock::new())
            .await
            .unwrap();
        assert_eq!(world.seen().last().unwrap(), expected);
    }
}

/// The reason of each failure is named.
#[tokio::test]
async fn a_token_is_bound_to_the_certificate_of_the_client() {
    let bound =
        |world: &World| CertificateBound::new(TlsClientAuth::new(id()), world.thumbprint(0));
    let lenient = TokenRules::new().accept_unbound_tokens();
    for (binds, rules, expected) in [
        (Binds::Connection, TokenRules::new(), "bound"),
        (Binds::Opaque, TokenRules::new(), "bound"),
        (
            Binds::Another,
            TokenRules::new(),
            "grant.certificate_differs",
        ),
        (Binds::Key, TokenRules::new(), "grant.certificate_unbound"),
        (
            Binds::Nothing,
            TokenRules::new(),
            "grant.certificate_unbound",
        ),
        (Binds::Nothing, lenient.clone(), "unbound"),
        // No rule accepts a token that only another client can use.
        (Binds::Another, lenient, "grant.certificate_differs"),
    ] {
        let world = World::new(binds).await;
        let found = match world.ask(bound(&world), 0, rules).await {
            Ok(token) if token.certificate().is_some() => "bound",
            Ok(_) => "unbound",
            Err(error) => error.code(),
        };
        assert_eq!(found, expected, "{binds:?}");
    }
    // The HTTP client presents another certificate than the one that is stated.
    let world = World::new(Binds::Connection).await;
    let refused = world.ask(bound(&world), 1, TokenRules::new()).await;
    assert_eq!(refused.unwrap_err().code(), "grant.certificate_differs");
    // A client that requires no binding reads no token.
    let world = World::new(Binds::Another).await;
    let token = world
        .ask(TlsClientAuth::new(id()), 0, TokenRules::new())
        .await;
    assert_eq!(token.unwrap().certificate(), None);
}

/// A server that announces no binding is not asked, unless that is accepted.
#[tokio::test]
async fn a_server_announces_that_it_binds() {
    let world = World::new(Binds::Opaque).await;
    for (announced, rules, expected) in [
        (json!(true), TokenRules::new(), "ok"),
        (
            json!(false),
            TokenRules::new(),
            "grant.certificate_unsupported",
        ),
        (
            Value::Null,
            TokenRules::new(),
            "grant.certificate_unsupported",
        ),
        (
            json!(false),
            TokenRules::new().accept_unbound_tokens(),
            "ok",
        ),
    ] {
        let shown = announced.to_string();
        let server = world.server(|it| {
            let members = it.as_object_mut().unwrap();
            members.remove("tls_client_certificate_bound_access_tokens");
            if !announced.is_null() {
                it["tls_client_certificate_bound_access_tokens"] = announced;
            }
        });
        let client = CertificateBound::new(TlsClientAuth::new(id()), world.thumbprint(0));
        let now = at(common::NOW);
        let flow = TokenFlow::begin(
            Arc::new(grant()),
            Arc::new(client.clone()),
            Arc::new(server.clone()),
            rules.clone(),
            now,
        );
        let found = flow.map_or_else(|it| it.code(), |_| "ok");
        assert_eq!(found, expected, "{shown}");
        if rules == TokenRules::new() {
            let prepared = grant().prepare(&client, &server, now);
            let found = prepared.map_or_else(|it| it.code(), |_| "ok");
            assert_eq!(found, expected, "{shown}");
        }
    }
}

/// An HTTP client without a certificate gets an error that names what is missing.
#[tokio::test]
async fn a_missing_certificate_is_named() {
    let world = World::new(Binds::Connection).await;
    let server = Arc::new(world.server(|_| {}));
    let client = Arc::new(TlsClientAuth::new(id()));
    let now = aims_jose::time::UnixTime::now();
    let rules = TokenRules::new();
    let first = TokenFlow::begin(Arc::new(grant()), client, server, rules, now).unwrap();
    let without = world.plain().build().unwrap();
    let refused = drive(first, &without, &SystemClock::new())
        .await
        .unwrap_err();
    let Error::Transport(cause) = &refused else {
        unreachable!("{refused}")
    };
    assert_eq!(cause.code(), "fetch.certificate_refused");
    assert_eq!(world.seen().len(), 0);
}

/// The certificate that the client presents now.
#[derive(Clone, Debug)]
struct Renewed(Arc<AtomicUsize>, [CertificateThumbprint; 2], TlsClientAuth);

impl Authenticate for Renewed {
    fn client_id(&self) -> &ClientId {
        self.2.client_id()
    }

    fn presents_certificate(&self) -> bool {
        true
    }

    fn certificate(&self) -> Option<CertificateThumbprint> {
        Some(self.1[self.0.load(Ordering::SeqCst)])
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: aims_jose::time::UnixTime,
    ) -> Result<(), WireError> {
        self.2.authenticate(request, server, now)
    }
}

/// MTLS-04: a token of an earlier certificate is not used with the present one, also if a store has
/// it.
#[tokio::test]
async fn a_renewed_certificate_ends_the_tokens_of_the_old_one() {
    let world = World::new(Binds::Opaque).await;
    let current = Arc::new(AtomicUsize::new(0));
    let both = [world.thumbprint(0), world.thumbprint(1)];
    let client = Renewed(Arc::clone(&current), both, TlsClientAuth::new(id()));
    let store = Arc::new(MemoryStore::new());
    let tool = TOOL.parse().unwrap();
    let scopes = "read".parse().unwrap();
    for stored in [false, true] {
        current.store(0, Ordering::SeqCst);
        let source = |which| {
            let fetcher = world.fetcher(which);
            let source = TokenSource::new(world.server(|_| {}), client.clone(), fetcher);
            if stored {
                source.with_store(store.clone())
            } else {
                source
            }
        };
        let first = source(0);
        let old = first.token_for(&tool, &scopes).await.unwrap();
        let again = first.token_for(&tool, &scopes).await.unwrap();
        assert!(Arc::ptr_eq(&old, &again));
        assert_eq!(old.certificate(), Some(&both[0]));
        let asked = world.seen().len();
        current.store(1, Ordering::SeqCst);
        // The cache of the same source, and a source that shares its store.
        let new = if stored { source(1) } else { first };
        let new = new.token_for(&tool, &scopes).await.unwrap();
        assert_eq!(new.certificate(), Some(&both[1]));
        assert_eq!(world.seen().len(), asked + 1);
    }
}

/// MTLS-03: the metadata of a client have exactly one name of its certificate.
#[test]
fn a_client_registers_one_name() {
    let name = |subject| {
        let json = ClientMetadata::tls("agent", subject).to_json();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["token_endpoint_auth_method"], "tls_client_auth");
        assert_eq!(json["tls_client_certificate_bound_access_tokens"], true);
        let mut names = json.as_object().unwrap().clone();
        names.retain(|name, _| name.starts_with("tls_client_auth_"));
        Value::Object(names)
    };
    for (subject, expected) in [
        (
            TlsSubject::DistinguishedName("CN=agent".into()),
            json!({"tls_client_auth_subject_dn": "CN=agent"}),
        ),
        (
            TlsSubject::Dns("agent.example".into()),
            json!({"tls_client_auth_san_dns": "agent.example"}),
        ),
        (
            TlsSubject::Uri("spiffe://example.org/a".into()),
            json!({"tls_client_auth_san_uri": "spiffe://example.org/a"}),
        ),
        (
            TlsSubject::Ip("2001:db8::7".parse().unwrap()),
            json!({"tls_client_auth_san_ip": "2001:db8::7"}),
        ),
        (
            TlsSubject::Email("a@agent.example".into()),
            json!({"tls_client_auth_san_email": "a@agent.example"}),
        ),
    ] {
        assert_eq!(name(subject), expected);
    }
    let public = ClientMetadata::native("agent").to_json();
    assert!(!public.contains("tls_client"), "{public}");
}

/// A client with a certificate is one that asked to be.
#[test]
fn a_server_chooses_no_certificate_unasked() {
    let registered = |metadata: ClientMetadata, method: &str| {
        let json = json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
            "registration_endpoint": "https://as.example/register",
        });
        let issuer = "https://as.example".parse().unwrap();
        let server = ServerMetadata::parse(json.to_string().as_bytes(), &issuer).unwrap();
        let Step::Send(_, flow) = RegistrationFlow::begin(&metadata, &server, None).unwrap() else {
            unreachable!("a registration is one request")
        };
        let answer = json!({"client_id": "7", "token_endpoint_auth_method": method});
        let answer = Response::new(answer.to_string().into_bytes());
        let event = aims_oauth_client::Event::Answer(&answer);
        match aims_oauth_client::Flow::advance(flow, event, at(common::NOW))? {
            Step::Done(registered) => registered.client(),
            _ => unreachable!("the answer ends it"),
        }
    };
    let tls = || ClientMetadata::tls("agent", TlsSubject::Dns("agent.example".into()));
    let client = registered(tls(), "tls_client_auth").unwrap();
    assert!(client.presents_certificate());
    let refused = registered(ClientMetadata::native("agent"), "tls_client_auth").unwrap_err();
    assert_eq!(refused.code(), "client.registration");
    let public = registered(tls(), "none").unwrap_err();
    assert_eq!(public.code(), "client.registration");
}
