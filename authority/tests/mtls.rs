//! Clients with a certificate (RFC 8705): each negative differs from a good request in one
//! property.
#![cfg(feature = "pki")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_authority::{Authority, Builder, CertificateName, Client, Resource};
use aims_jose::key::Signer as _;
use aims_jose::random::SYSTEM;
use aims_oauth_wire::certificate::{CertificateField, ClientCertificates, Peer, PeerCertificate};
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_oauth_wire::dpop::Binding;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata, Switch};
use common::browser::{CALLBACK, VERIFIER, code, parameters, with_users};
use common::endpoint::*;
use common::*;
use http::{HeaderName, HeaderValue};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, date_time_ymd,
};
use serde_json::{Value, json};

type Issuer = CertifiedIssuer<'static, KeyPair>;
type Answer = Result<Value, (u16, String)>;

const AGENT_URI: &str = "spiffe://example.org/agents/mtls";

fn issuer(name: &str) -> Issuer {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, name);
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap()
}

/// Returns the parameters of a certificate with a DNS name and a URI.
fn leaf() -> CertificateParams {
    let mut leaf = CertificateParams::new(vec!["agent.example".to_owned()]).unwrap();
    let uri = SanType::URI(AGENT_URI.try_into().unwrap());
    leaf.subject_alt_names.push(uri);
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    leaf
}

fn issued(leaf: CertificateParams, issuer: &Issuer) -> PeerCertificate {
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), issuer);
    PeerCertificate::from_der(leaf.unwrap().der()).unwrap()
}

fn self_signed() -> PeerCertificate {
    let own = leaf().self_signed(&KeyPair::generate().unwrap()).unwrap();
    PeerCertificate::from_der(own.der()).unwrap()
}

fn direct(client: Client) -> Builder {
    builder()
        .client(client.allow(TOOLS, ["call"]))
        .client_certificates(ClientCertificates::from_connection())
}

fn registered(certificate: &PeerCertificate) -> Client {
    Client::by_certificates("batch", [*certificate.thumbprint()])
}

fn named(name: CertificateName) -> Client {
    Client::by_certificate_name("batch", name)
}

fn dns() -> Client {
    named(CertificateName::Dns("agent.example".into()))
}

const BY_ID: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("client_id", "batch")];

/// Sends a token request on a connection with this certificate.
fn request_with(
    authority: &Authority,
    certificate: Option<&PeerCertificate>,
    fields: &[(&str, &str)],
    parameters: &[(&str, &str)],
) -> Answer {
    let mut all = vec![FORM];
    all.extend(fields);
    let mut request = request("POST", "/token", &all, &form(parameters));
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(certificate.clone());
    }
    judged(&send(authority, &request, now()))
}

fn by_id(authority: &Authority, certificate: Option<&PeerCertificate>) -> Answer {
    request_with(authority, certificate, &[], &BY_ID)
}

fn cnf(authority: &Authority, answer: &Answer) -> Value {
    let token = answer.as_ref().unwrap()["access_token"].as_str().unwrap();
    verified(authority, token, now())["cnf"].clone()
}

fn bound(certificate: &PeerCertificate) -> Value {
    json!({"x5t#S256": certificate.thumbprint().to_string()})
}

/// MTLS-07: `self_signed_tls_client_auth`.
#[test]
fn a_registered_certificate_authenticates_and_binds() {
    let (own, other) = (self_signed(), self_signed());
    let authority = direct(registered(&own)).build(now()).unwrap();
    let answer = by_id(&authority, Some(&own));
    assert_eq!(answer.as_ref().unwrap()["token_type"], "Bearer");
    assert_eq!(cnf(&authority, &answer), bound(&own));
    let invalid = || refused(401, "invalid_client");
    assert_eq!(by_id(&authority, Some(&other)), invalid());
    assert_eq!(by_id(&authority, None), invalid());
    // `client_id` is required (RFC 8705 §2).
    let anonymous = &BY_ID[..1];
    assert_eq!(
        request_with(&authority, Some(&own), &[], anonymous),
        invalid()
    );
    let foreign = [BY_ID[0], ("client_id", "another")];
    assert_eq!(
        request_with(&authority, Some(&own), &[], &foreign),
        invalid()
    );
    // Another method beside it is refused, and a secret is none of this client.
    let secret = [BY_ID[0], BY_ID[1], ("client_secret", "s")];
    assert_eq!(
        request_with(&authority, Some(&own), &[], &secret),
        invalid()
    );
}

/// MTLS-07: `tls_client_auth`, by the validator of the TLS library.
#[test]
fn a_certificate_of_an_authority_authenticates_by_its_name() {
    let (root, other) = (issuer("ours"), issuer("another"));
    let with = |client: Client| {
        let builder = direct(client).client_authority(root.pem());
        builder.build(now()).unwrap()
    };
    let uri = named(CertificateName::Uri(AGENT_URI.into()));
    for authority in [
        with(dns()),
        with(uri),
        with(named(CertificateName::Dns("AGENT.example".into()))),
    ] {
        let own = issued(leaf(), &root);
        let answer = by_id(&authority, Some(&own));
        assert_eq!(cnf(&authority, &answer), bound(&own));
        // The next certificate of the same name is good, too.
        assert!(by_id(&authority, Some(&issued(leaf(), &root))).is_ok());
        let lasting = |from: i32, until: i32| {
            let mut leaf = leaf();
            leaf.not_before = date_time_ymd(from, 1, 1);
            leaf.not_after = date_time_ymd(until, 1, 1);
            leaf
        };
        assert!(by_id(&authority, Some(&issued(lasting(2020, 2030), &root))).is_ok());
        let mut of_server = leaf();
        of_server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut renamed = leaf();
        renamed.subject_alt_names = vec![
            SanType::DnsName("agent.example.org".try_into().unwrap()),
            SanType::DnsName("*.example".try_into().unwrap()),
            SanType::URI(format!("{AGENT_URI}/x").as_str().try_into().unwrap()),
        ];
        for wrong in [
            issued(leaf(), &other),
            self_signed(),
            issued(lasting(2020, 2021), &root),
            issued(lasting(2035, 2040), &root),
            issued(of_server, &root),
            issued(renamed, &root),
        ] {
            assert_eq!(
                by_id(&authority, Some(&wrong)),
                refused(401, "invalid_client")
            );
        }
        assert_eq!(by_id(&authority, None), refused(401, "invalid_client"));
    }
}

/// The name of a certificate is read from its alternative names alone.
#[test]
fn the_common_name_is_no_name() {
    let root = issuer("ours");
    let authority = direct(dns()).client_authority(root.pem());
    let authority = authority.build(now()).unwrap();
    let mut leaf = leaf();
    leaf.subject_alt_names.clear();
    leaf.distinguished_name
        .push(DnType::CommonName, "agent.example");
    assert_eq!(
        by_id(&authority, Some(&issued(leaf, &root))),
        refused(401, "invalid_client")
    );
}

/// MTLS-07: a client of any method can bind its tokens.
#[test]
fn a_client_with_keys_binds_its_tokens() {
    let key = es256();
    let client = Client::with_keys("batch", key_set(&key));
    let authority = direct(client.clone().bind_to_certificate());
    let authority = authority.build(now()).unwrap();
    let own = self_signed();
    let ask = |authority: &Authority, certificate: Option<&PeerCertificate>, fields: &[_]| {
        let assertion = assertion(&key, now());
        let parameters = [
            BY_ID[0],
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ];
        request_with(authority, certificate, fields, &parameters)
    };
    assert_eq!(
        cnf(&authority, &ask(&authority, Some(&own), &[])),
        bound(&own)
    );
    assert_eq!(ask(&authority, None, &[]), refused(400, "invalid_request"));
    // With a proof, the token is bound to both.
    let holder = es256();
    let proof = |host: &str| {
        let (jwk, algorithm) = (holder.public_jwk(), holder.algorithm());
        let target = format!("{host}/token");
        let proof = Binding::to("POST", &target).prepare(jwk, algorithm, SYSTEM, now());
        proof.unwrap().sign(&holder).unwrap().expose().to_owned()
    };
    let proof = proof(BASE);
    let answer = ask(&authority, Some(&own), &[("dpop", &proof)]);
    let mut both = bound(&own);
    both["jkt"] = holder.verifying_key().thumbprint().to_string().into();
    assert_eq!(cnf(&authority, &answer), both);
    assert_eq!(answer.unwrap()["token_type"], "DPoP");
    // A client that does not ask for it is bound as before, whatever certificate it has.
    let authority = direct(client).build(now()).unwrap();
    assert_eq!(
        cnf(&authority, &ask(&authority, Some(&own), &[])),
        confirmation(&key)
    );
}

/// MTLS-07: introspection shows the binding, also of an opaque token.
#[test]
fn introspection_shows_the_binding() {
    let own = self_signed();
    for opaque in [false, true] {
        let resource = Resource::new("https://other.example/mcp").with_scopes(["read"]);
        let resource = if opaque {
            resource.with_opaque_tokens()
        } else {
            resource
        };
        let client = Client::by_certificates("batch", [*own.thumbprint()])
            .allow("https://other.example/mcp", ["read"])
            .serves("https://other.example/mcp");
        let authority = builder()
            .resource(resource)
            .client(client)
            .client_certificates(ClientCertificates::from_connection());
        let authority = authority.build(now()).unwrap();
        let answer = by_id(&authority, Some(&own)).unwrap();
        let token = answer["access_token"].as_str().unwrap();
        let introspect = |certificate: Option<&PeerCertificate>| {
            let parameters = [BY_ID[1], ("token", token)];
            let mut request = request("POST", "/introspect", &[FORM], &form(&parameters));
            if let Some(certificate) = certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            send(&authority, &request, now())
        };
        let shown = body(&introspect(Some(&own)));
        assert_eq!(shown["active"], true);
        assert_eq!(shown["cnf"], bound(&own));
        assert_eq!(shown["token_type"], "Bearer");
        assert_eq!(introspect(None).status(), 401);
        assert_eq!(introspect(Some(&self_signed())).status(), 401);
    }
}

/// MTLS-07, MTLS-09: the field of a proxy counts from the proxy alone.
#[test]
fn a_proxy_passes_the_certificate_on() {
    let (own, other) = (self_signed(), self_signed());
    let proxy = Peer::Address([10, 0, 0, 7].into());
    let stranger = Peer::Address([10, 0, 0, 8].into());
    let authority = builder()
        .client(registered(&own).allow(TOOLS, ["call"]))
        .client_certificates(ClientCertificates::from_proxy(
            [proxy],
            CertificateField::client_cert(),
        ))
        .build(now())
        .unwrap();
    let value = |certificate: &PeerCertificate| {
        let digits = aims_jose::base64url::encode(certificate.der());
        let digits = digits.replace('-', "+").replace('_', "/");
        let padding = "=".repeat((4 - digits.len() % 4) % 4);
        format!(":{digits}{padding}:")
    };
    let ask = |peer: Option<Peer>, fields: &[(&str, &str)]| {
        let mut request = request("POST", "/token", &[FORM], &form(&BY_ID));
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().append(name, value);
        }
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        judged(&send(&authority, &request, now()))
    };
    let (good, wrong) = (value(&own), value(&other));
    let answer = ask(Some(proxy), &[("client-cert", &good)]);
    assert_eq!(cnf(&authority, &answer), bound(&own));
    let (client, request) = (
        refused(401, "invalid_client"),
        refused(400, "invalid_request"),
    );
    for (peer, fields, expected) in [
        (Some(proxy), vec![("client-cert", wrong.as_str())], &client),
        (Some(proxy), vec![], &client),
        (Some(stranger), vec![], &client),
        (
            Some(stranger),
            vec![("client-cert", good.as_str())],
            &request,
        ),
        (None, vec![("client-cert", good.as_str())], &request),
        (Some(proxy), vec![("client_cert", good.as_str())], &request),
        (
            Some(proxy),
            vec![
                ("client-cert", good.as_str()),
                ("client-cert", wrong.as_str()),
            ],
            &request,
        ),
        (Some(proxy), vec![("client-cert", ":AAAA:")], &request),
        (
            Some(stranger),
            vec![("client-cert-chain", ":AAAA:")],
            &request,
        ),
    ] {
        assert_eq!(ask(peer, &fields), *expected, "{peer:?} {fields:?}");
    }
    // A certificate of the program's own listener is not that of the proxy.
    let mut direct = common::request("POST", "/token", &[FORM], &form(&BY_ID));
    direct.extensions_mut().insert(own.clone());
    direct.extensions_mut().insert(proxy);
    assert_eq!(judged(&send(&authority, &direct, now())), client);
}

/// The refresh token of a public client is bound to its certificate (RFC 8705 §7.1).
#[test]
fn a_public_client_refreshes_with_its_certificate() {
    let (own, other) = (self_signed(), self_signed());
    let client = Client::public("bound")
        .redirect_uri(CALLBACK)
        .bind_to_certificate()
        .allow(TOOLS, ["call"]);
    let authority = with_users()
        .client(client)
        .client_certificates(ClientCertificates::from_connection());
    let authority = authority.build(now()).unwrap();
    let begin = || {
        let parameters: Vec<_> = parameters()
            .into_iter()
            .map(|(name, value)| match name {
                "client_id" => (name, "bound".to_owned()),
                _ => (name, value),
            })
            .collect();
        code(&authority, &parameters, now())
    };
    let redeem = |code: &str, certificate: Option<&PeerCertificate>| {
        let parameters = [
            ("grant_type", "authorization_code"),
            ("client_id", "bound"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ];
        request_with(&authority, certificate, &[], &parameters)
    };
    let refresh = |token: &str, certificate: Option<&PeerCertificate>| {
        let parameters = [
            ("grant_type", "refresh_token"),
            ("client_id", "bound"),
            ("refresh_token", token),
        ];
        request_with(&authority, certificate, &[], &parameters)
    };
    assert_eq!(redeem(&begin(), None), refused(400, "invalid_request"));
    let answer = redeem(&begin(), Some(&own));
    assert_eq!(cnf(&authority, &answer), bound(&own));
    let token = |answer: Answer| {
        answer.unwrap()["refresh_token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = token(answer);
    assert_eq!(refresh(&first, None), refused(400, "invalid_request"));
    assert_eq!(refresh(&first, Some(&other)), refused(400, "invalid_grant"));
    let answer = refresh(&first, Some(&own));
    assert_eq!(cnf(&authority, &answer), bound(&own));
}

/// MTLS-07: the metadata say what a client needs, as a client reads them.
#[test]
fn the_metadata_name_methods_and_endpoints() {
    let own = self_signed();
    let root = issuer("ours");
    let other = Client::by_certificate_name("named", CertificateName::Uri(AGENT_URI.into()))
        .allow(TOOLS, ["call"]);
    let authority = direct(registered(&own).serves(TOOLS))
        .client(other)
        .client_authority(root.pem())
        .mutual_tls_at("https://mtls.example")
        .build(now())
        .unwrap();
    let json = get(&authority, "/.well-known/oauth-authorization-server", now());
    let issuer = aims_oauth_wire::names::Issuer::loopback(BASE).unwrap();
    let server = ServerMetadata::parse(json.body(), &issuer).unwrap();
    assert!(server.is_on(Switch::CertificateBoundTokens));
    for method in ["tls_client_auth", "self_signed_tls_client_auth"] {
        assert!(server.takes_client_auth(method));
    }
    let url = |kind| server.mtls_endpoint(kind).map(|it| it.as_str().to_owned());
    let at = |path: &str| Some(format!("https://mtls.example{path}"));
    assert_eq!(url(EndpointKind::Token), at("/token"));
    assert_eq!(url(EndpointKind::Introspection), at("/introspect"));
    assert_eq!(url(EndpointKind::Revocation), at("/revoke"));
    let plain = |path: &str| Some(format!("{BASE}{path}"));
    assert_eq!(url(EndpointKind::Jwks), plain("/jwks"));
    assert_eq!(url(EndpointKind::Registration), None);
    // The authority answers at both hosts, and a proof names the one that it was sent to.
    let holder = es256();
    let proof = |target: &str| {
        let (jwk, algorithm) = (holder.public_jwk(), holder.algorithm());
        let proof = Binding::to("POST", target).prepare(jwk, algorithm, SYSTEM, now());
        proof.unwrap().sign(&holder).unwrap().expose().to_owned()
    };
    let ask = |host: &str, target: &str| {
        let proof = proof(target);
        let fields = [FORM, ("dpop", proof.as_str())];
        let mut request = request("POST", "/token", &fields, &form(&BY_ID));
        let host = HeaderValue::from_str(host).unwrap();
        request.headers_mut().insert("host", host);
        request.extensions_mut().insert(own.clone());
        judged(&send(&authority, &request, now()))
    };
    let (plain, mutual) = (format!("{BASE}/token"), "https://mtls.example/token");
    assert!(ask(HOST, &plain).is_ok());
    assert!(ask("mtls.example", mutual).is_ok());
    let invalid = refused(400, "invalid_dpop_proof");
    assert_eq!(ask(HOST, mutual), invalid);
    assert_eq!(ask("mtls.example", &plain), invalid);
    // HTTP/2 has `:authority` in the place of `Host`, and a target with a host goes before it.
    let by_target = |host: Option<&str>, target: &str| {
        let proof = proof(target);
        let fields = [FORM, ("dpop", proof.as_str())];
        let mut request = request("POST", mutual, &fields, &form(&BY_ID));
        request.headers_mut().remove("host");
        if let Some(host) = host {
            let host = HeaderValue::from_str(host).unwrap();
            request.headers_mut().insert("host", host);
        }
        request.extensions_mut().insert(own.clone());
        judged(&send(&authority, &request, now()))
    };
    for host in [None, Some(HOST)] {
        assert!(by_target(host, mutual).is_ok(), "{host:?}");
        assert_eq!(by_target(host, &plain), invalid, "{host:?}");
    }
    // Without certificates, nothing of it is there.
    let json = get(
        &common::authority(),
        "/.well-known/oauth-authorization-server",
        now(),
    );
    let text = String::from_utf8(json.body().clone()).unwrap();
    assert!(!text.contains("tls"), "{text}");
}

/// A client that could never authenticate is refused when the authority is built.
#[test]
fn clients_that_could_never_authenticate_are_refused() {
    let own = self_signed();
    let root = issuer("ours");
    let certificates = ClientCertificates::from_connection;
    let base = || builder().client_certificates(certificates());
    let code = |builder: Builder| builder.build(now()).map_or_else(|it| it.code(), |_| "ok");
    let none = Vec::<CertificateThumbprint>::new();
    let many = vec![*own.thumbprint(); 17];
    let dns = |name: &str| named(CertificateName::Dns(name.to_owned()));
    for (builder, expected) in [
        (base().client(registered(&own)), "ok"),
        (builder().client(registered(&own)), "authority.clients"),
        (
            builder().client(Client::with_keys("k", key_set(&es256())).bind_to_certificate()),
            "authority.clients",
        ),
        (
            base().client(Client::by_certificates("batch", none)),
            "authority.clients",
        ),
        (
            base().client(Client::by_certificates("batch", many)),
            "authority.clients",
        ),
        (base().client(dns("agent.example")), "authority.clients"),
        (
            base()
                .client_authority(root.pem())
                .client(dns("agent.example")),
            "ok",
        ),
        (
            base().client_authority(root.pem()).client(dns("*.example")),
            "authority.clients",
        ),
        (
            base().client_authority(root.pem()).client(dns("")),
            "authority.clients",
        ),
        (
            base().client_authority("no PEM"),
            "authority.client_authority",
        ),
        (
            base().mutual_tls_at("https://mtls.example/other"),
            "authority.base_url",
        ),
        (
            base().mutual_tls_at("http://mtls.example"),
            "authority.base_url",
        ),
    ] {
        assert_eq!(code(builder), expected);
    }
}
