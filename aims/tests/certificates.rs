//! Access tokens that are bound to the client's certificate (RFC 8705 §3), and where the guard gets
//! the certificate from.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use aims::guard::{BuildError, CertificateField, ClientCertificates, Dpop, Peer, ProofMethod};
use aims::oauth_wire::certificate::PeerCertificate;
use aims::wpt::{Binding, Revision, fields};
use aims::{Guard, Requirements};
use common::{CALL, Events, ISSUER, NOW, TOOL, Then, World, at, bare, told};
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};

/// The certificate of RFC 8705 appendix A, and its thumbprint.
const CERTIFICATE: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcw\
OVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8Qnh\
xxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIh\
AP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";
const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
const PROXY: &str = "[::ffff:10.0.0.7]:40000";

fn client_cert() -> HeaderValue {
    HeaderValue::try_from(format!(":{CERTIFICATE}:")).unwrap()
}

fn certificate() -> PeerCertificate {
    PeerCertificate::from_client_cert(&client_cert()).unwrap()
}

/// A second certificate: one byte of its signature differs.
fn other_certificate() -> PeerCertificate {
    let digits = format!(":{}:", CERTIFICATE.replace("j1L+SY=", "j2L+SY="));
    PeerCertificate::from_client_cert(&HeaderValue::try_from(digits).unwrap()).unwrap()
}

struct Scene {
    world: World,
    guard: Guard,
}

impl Scene {
    fn new(certificates: ClientCertificates) -> Self {
        let world = World::new();
        let guard = world
            .guard()
            .issuers(Arc::clone(&world.issuers))
            .dpop(Dpop::new())
            .client_certificates(certificates)
            .build()
            .unwrap();
        Self { world, guard }
    }

    fn behind_proxy() -> Self {
        let address: SocketAddr = "10.0.0.7:1".parse().unwrap();
        let proxies = [Peer::from(address), Peer::UnixSocket];
        Self::new(ClientCertificates::from_proxy(
            proxies,
            CertificateField::client_cert(),
        ))
    }

    /// A request with a token that has this `cnf`.
    fn call(&self, cnf: &Value) -> Parts {
        let mut claims = json!({
            "iss": ISSUER, "aud": TOOL, "sub": "alice", "client_id": "web-client",
            "exp": NOW + 300, "iat": NOW, "jti": "t1",
        });
        if !cnf.is_null() {
            claims["cnf"] = cnf.clone();
        }
        let mut request = bare();
        let token = format!("Bearer {}", self.world.token(&claims));
        let value = HeaderValue::try_from(token).unwrap();
        request.headers.insert("authorization", value);
        request
    }

    fn bound(&self) -> Parts {
        self.call(&json!({"x5t#S256": THUMBPRINT}))
    }

    fn code(&self, request: &Parts) -> &'static str {
        told(self.guard.check(request, at(NOW))).0
    }

    /// The code for a bound token of a request from this peer with these fields.
    fn of_peer(&self, peer: Option<Peer>, fields: &[(&str, HeaderValue)]) -> &'static str {
        let mut request = self.bound();
        if let Some(peer) = peer {
            request.extensions.insert(peer);
        }
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers.append(name, value.clone());
        }
        self.code(&request)
    }
}

fn proxy() -> Option<Peer> {
    Some(Peer::from(PROXY.parse::<SocketAddr>().unwrap()))
}

/// MTLS-05, MTLS-06: the token is accepted with its certificate alone, which names no agent.
#[test]
fn a_bound_token_needs_its_certificate() {
    let scene = Scene::new(ClientCertificates::from_connection());
    let mut call = scene.bound();
    let (code, status, challenge) = told(scene.guard.check(&call, at(NOW)));
    assert_eq!((code, status), ("token.not_bound", 401));
    assert!(
        challenge.contains(r#"error="invalid_token""#),
        "{challenge}"
    );
    call.extensions.insert(other_certificate());
    assert_eq!(scene.code(&call), "token.not_bound");
    call.extensions.insert(certificate());
    let who = scene.guard.check(&call, at(NOW)).unwrap();
    assert_eq!(common::methods(&who), [ProofMethod::Certificate]);
    assert_eq!((who.agent(), who.subject()), (None, "alice"));
    assert!(!who.is_unbound() && !who.covers_content());
    assert_eq!(who.certificate(), Some(&certificate()));
    // It belongs to the connection, so another request on it is good as well.
    assert_eq!(scene.code(&call), "ok");
}

/// A certificate is no proof for a token that is bound to none, or otherwise.
#[test]
fn a_certificate_proves_nothing_else() {
    let scene = Scene::new(ClientCertificates::from_connection());
    let agent = scene.world.agent("spiffe://example.org/agent");
    let jwk = serde_json::to_value(agent.key.public_jwk()).unwrap();
    let jkt = agent.key.public_jwk().thumbprint().to_string();
    for (cnf, expected) in [
        (Value::Null, "token.not_bound"),
        (json!({"jwk": jwk}), "token.not_bound"),
        (json!({"jkt": jkt}), "token.not_bound"),
        (
            json!({"jkt": jkt, "x5t#S256": THUMBPRINT}),
            "token.not_bound",
        ),
    ] {
        let mut call = scene.call(&cnf);
        call.extensions.insert(certificate());
        assert_eq!(scene.code(&call), expected, "{cnf}");
    }
    let lax = Requirements::new().accept_bearer();
    let lax = scene.guard.requiring(lax).unwrap();
    let mut call = scene.call(&Value::Null);
    call.extensions.insert(certificate());
    let who = lax.check(&call, at(NOW)).unwrap();
    assert!(who.is_unbound() && who.certificate().is_none());
}

/// Without the setting, no certificate is used.
#[test]
fn a_guard_uses_certificates_by_name_alone() {
    let scene = Scene::new(ClientCertificates::from_connection());
    let plain = scene
        .world
        .guard()
        .issuers(Arc::clone(&scene.world.issuers));
    let plain = plain.accept_bearer().build().unwrap();
    let mut call = scene.bound();
    call.extensions.insert(certificate());
    assert_eq!(told(plain.check(&call, at(NOW))).0, "token.not_bound");
    let asks = Requirements::new().proof(ProofMethod::Certificate);
    assert!(matches!(
        plain.requiring(asks.clone()),
        Err(BuildError::Requirements { .. })
    ));
    let route = scene.guard.requiring(asks).unwrap();
    assert_eq!(told(route.check(&call, at(NOW))).0, "ok");
    let wants_dpop = Requirements::new().proof(ProofMethod::Dpop);
    let route = scene.guard.requiring(wants_dpop).unwrap();
    assert_eq!(told(route.check(&call, at(NOW))).0, "guard.forbidden");
}

/// RFC 9440: the field counts from the proxy alone, by its address or socket.
#[test]
fn the_field_of_a_proxy_is_used() {
    let scene = Scene::behind_proxy();
    let field = [("client-cert", client_cert())];
    assert_eq!(scene.of_peer(proxy(), &field), "ok");
    assert_eq!(scene.of_peer(Some(Peer::UnixSocket), &field), "ok");
    assert_eq!(scene.of_peer(proxy(), &[]), "token.not_bound");
    let empty = [("client-cert", HeaderValue::from_static(""))];
    assert_eq!(scene.of_peer(proxy(), &empty), "token.not_bound");
    let chain = HeaderValue::from_static(":AAAA:");
    let with_chain = [field[0].clone(), ("client-cert-chain", chain)];
    assert_eq!(scene.of_peer(proxy(), &with_chain), "ok");
}

/// The certificate of the proxy's own connection is not the client's.
#[test]
fn the_proxys_own_certificate_does_not_count() {
    let scene = Scene::behind_proxy();
    let mut call = scene.bound();
    call.extensions.insert(Peer::UnixSocket);
    call.extensions.insert(certificate());
    assert_eq!(scene.code(&call), "token.not_bound");
}

/// RFC 9440 §4: from all others, a request with such a field is refused, however it is spelled.
#[test]
fn the_field_of_a_stranger_is_refused() {
    let stranger: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    for scene in [
        Scene::behind_proxy(),
        Scene::new(ClientCertificates::from_connection()),
    ] {
        for peer in [None, Some(Peer::from(stranger))] {
            for name in [
                "client-cert",
                "Client-Cert",
                "client_cert",
                "client-cert-chain",
                "client_cert_chain",
                "client-cert_chain",
            ] {
                let found = scene.of_peer(peer, &[(name, client_cert())]);
                assert_eq!(found, "guard.certificate_field", "{name}");
            }
            assert_eq!(scene.of_peer(peer, &[]), "token.not_bound");
            assert_eq!(
                scene.of_peer(peer, &[("client-certs", client_cert())]),
                "token.not_bound"
            );
        }
    }
}

/// A field that a client made and the proxy passes on is refused.
#[test]
fn a_field_that_the_proxy_passes_on_is_refused() {
    let scene = Scene::behind_proxy();
    let own = ("client-cert", client_cert());
    for fields in [
        vec![own.clone(), own.clone()],
        vec![own.clone(), ("client_cert", client_cert())],
        vec![("client_cert", client_cert())],
        vec![own, ("client_cert_chain", client_cert())],
        vec![("client-cert", HeaderValue::from_static("x"))],
        vec![("client-cert", HeaderValue::from_static(":AAAA:"))],
    ] {
        let found = scene.of_peer(proxy(), &fields);
        assert_eq!(found, "guard.certificate_field", "{fields:?}");
    }
}

/// nginx: PEM with percent-encoding, in a field of the operator's choice.
#[test]
fn the_field_of_nginx_is_used() {
    let name = HeaderName::from_static("x-ssl-cert");
    let field = CertificateField::escaped_pem(name);
    let scene = Scene::new(ClientCertificates::from_proxy([Peer::UnixSocket], field));
    let socket = Some(Peer::UnixSocket);
    let escaped = format!(
        "-----BEGIN%20CERTIFICATE-----%0A{}%0A-----END%20CERTIFICATE-----%0A",
        CERTIFICATE
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D")
    );
    let value = HeaderValue::try_from(escaped).unwrap();
    assert_eq!(
        scene.of_peer(socket, &[("x-ssl-cert", value.clone())]),
        "ok"
    );
    for fields in [
        vec![("x_ssl_cert", value.clone())],
        vec![("x-ssl-cert", value.clone()), ("x_ssl-cert", value.clone())],
        // The proxy does not set this one, so a client did.
        vec![
            ("x-ssl-cert", value.clone()),
            ("client-cert", client_cert()),
        ],
        vec![("x-ssl-cert", client_cert())],
    ] {
        assert_eq!(scene.of_peer(socket, &fields), "guard.certificate_field");
    }
    assert_eq!(
        scene.of_peer(None, &[("x-ssl-cert", value)]),
        "guard.certificate_field"
    );
}

/// The certificate of a client is not that of an agent: a token of another client beside a workload
/// identity would name two callers.
#[test]
fn a_certificate_names_no_agent() {
    let scene = Scene::new(ClientCertificates::from_connection());
    let agent = scene.world.agent("spiffe://example.org/agent");
    for (client, expected) in [
        ("spiffe://example.org/agent", "ok"),
        ("web-client", "token.not_bound"),
        ("spiffe://example.org/other", "token.not_bound"),
    ] {
        let token = scene.world.token(&json!({
            "iss": ISSUER, "aud": TOOL, "sub": "alice", "client_id": client,
            "exp": NOW + 300, "iat": NOW, "jti": "t1", "cnf": {"x5t#S256": THUMBPRINT},
        }));
        let wpt = agent.wpt(&Binding::to(CALL).access_token(&token));
        let mut call = common::proven(agent.wit.expose(), &wpt, Some(&token));
        call.extensions.insert(certificate());
        assert_eq!(scene.code(&call), expected, "{client}");
    }
    let agents = Requirements::new().agents("spiffe://example.org/*".parse().unwrap());
    let guard = scene.guard.requiring(agents).unwrap();
    let mut alone = scene.bound();
    alone.extensions.insert(certificate());
    assert_eq!(told(guard.check(&alone, at(NOW))).0, "guard.forbidden");
    let wit_alone = {
        let mut call = scene.bound();
        call.extensions.insert(certificate());
        let wit = agent.wit.expose();
        let wpt = agent.wpt(&Binding::to(CALL));
        fields::apply(&mut call.headers, wit, &wpt, Revision::Draft01).unwrap();
        call.headers.remove("workload-proof-token");
        call
    };
    assert_eq!(scene.code(&wit_alone), "wpt.field_missing");
}

/// The event has the method and a fingerprint.
#[test]
fn the_event_tells_of_the_certificate() {
    let (world, events) = (World::new(), Events::default());
    let guard = world
        .guard()
        .issuers(Arc::clone(&world.issuers))
        .client_certificates(ClientCertificates::from_connection())
        .record(events.clone())
        .build()
        .unwrap();
    let scene = Scene { world, guard };
    let mut call = scene.bound();
    call.extensions.insert(certificate());
    assert_eq!(scene.code(&call), "ok");
    let told = events.0.lock().unwrap().join("");
    assert!(told.contains("proofs: [Certificate]"), "{told}");
    assert!(told.contains("certificate: Some("), "{told}");
}

async fn names<B>(request: Request<B>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let headers: &HeaderMap = request.headers();
    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    Ok(Response::new(Full::from(names.join(" "))))
}

async fn content(response: Response<impl http_body::Body<Error: std::fmt::Debug>>) -> String {
    assert_eq!(response.status(), 200);
    let body = Box::pin(response.into_body());
    let content = http_body_util::BodyExt::collect(body).await.unwrap();
    String::from_utf8(content.to_bytes().to_vec()).unwrap()
}

/// RFC 9440 §4: handlers never see the fields.
#[tokio::test]
async fn layers_remove_the_fields() {
    let world = World::new();
    let field = CertificateField::client_cert();
    let guard = world
        .guard()
        .issuers(Arc::clone(&world.issuers))
        .client_certificates(ClientCertificates::from_proxy([Peer::UnixSocket], field))
        .clock(Then)
        .build()
        .unwrap();
    let scene = Scene { world, guard };
    let call = || {
        let mut call = scene.bound();
        call.extensions.insert(Peer::UnixSocket);
        call.headers.insert("client-cert", client_cert());
        call.headers.insert("client-cert-chain", client_cert());
        call.headers.insert("x-other", client_cert());
        call
    };
    let service = scene.guard.layer().layer(tower::service_fn(names));
    let request = Request::from_parts(call(), Full::<bytes::Bytes>::default());
    let seen = content(service.oneshot(request).await.unwrap()).await;
    assert_eq!(seen, "host x-other");
    let service = scene.guard.head_layer().layer(tower::service_fn(names));
    let request = Request::from_parts(call(), ());
    let seen = content(service.oneshot(request).await.unwrap()).await;
    assert_eq!(seen, "host x-other");
}
