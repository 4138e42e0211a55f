//! The parameters of requests: `resource`, authorization details, and the client.

use std::sync::Arc;

use aims_jose::random::SYSTEM;
use aims_oauth_client::{
    AuthorizationRequest, BackchannelRequest, ClientCredentials, DeviceRequest, Error,
    IdJagRequest, JwtGrantRequest, Step, SubjectToken, TokenRules,
};
use aims_oauth_wire::certificate::PeerCertificate;
use aims_oauth_wire::client_auth::{Authenticate, TlsClientAuth};
use aims_oauth_wire::token::{Form, TokenRequest};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::{Value, json};

use super::world::{
    DETAILS, REDIRECT, TOOL, User, connector, form, inside, key, query, server, target, token,
    world,
};
use crate::common::{NOW, at, client, code};

/// RSC-02: `resource` is in every request for a token, or in none, as the rules say.
#[test]
fn resource_is_in_every_request_or_in_none() {
    for (rules, expected) in [
        (TokenRules::new(), Some(TOOL)),
        (TokenRules::new().omit_resource(), None),
    ] {
        let browser = |members: &Value, is_signed: bool| {
            let request = AuthorizationRequest::new(REDIRECT.parse().unwrap(), target());
            let mut request = request.with_rules(rules.clone());
            if is_signed {
                request = request.signed(key());
            }
            request.begin(Arc::new(client()), server(members), None, SYSTEM, at(NOW))
        };
        let Ok(Step::Done(authorizing)) = browser(&json!({}), false) else {
            unreachable!("nothing is pushed")
        };
        assert_eq!(query(authorizing.url())["resource"].as_str(), expected);
        let Ok(Step::Done(authorizing)) = browser(&json!({}), true) else {
            unreachable!("nothing is pushed")
        };
        let object = query(authorizing.url())["request"].clone();
        let claims = inside(object.as_str().unwrap());
        assert_eq!(claims["resource"].as_str(), expected);
        let push = json!({"pushed_authorization_request_endpoint": "https://as.example/par"});
        let pushed = form(browser(&push, false));
        assert_eq!(pushed.get("resource"), expected);

        let device = DeviceRequest::new(target()).with_rules(rules.clone());
        let device = form(device.begin(Arc::new(client()), server(&json!({})), at(NOW)));
        assert_eq!(device.get("resource"), expected);
        assert_eq!(device.get("scope"), Some("openid read"));

        let ask = || BackchannelRequest::new(target(), "alice").with_rules(rules.clone());
        let plain = form(ask().begin(Arc::new(client()), server(&json!({})), at(NOW)));
        assert_eq!(plain.get("resource"), expected);
        let signed = ask().signed_by(key());
        let signed = form(signed.begin(Arc::new(client()), server(&json!({})), at(NOW)));
        let claims = inside(signed.get("request").unwrap());
        assert_eq!(claims["resource"].as_str(), expected);
    }
}

/// RSC-02, RAR-01: a connector passes its rules and its details on.
#[tokio::test(start_paused = true)]
async fn a_connector_asks_as_it_is_told() {
    for (rules, expected) in [
        (TokenRules::new(), Some(TOOL)),
        (TokenRules::new().omit_resource(), None),
    ] {
        let (script, user) = (world(&json!({})), User::default());
        let rules = rules.accept_unstated_details();
        let connector = connector(&script).with_rules(rules).by_user(user.clone());
        let connector = connector.request_details(DETAILS).unwrap();
        token(&connector).await.unwrap();
        let asked = query(&user.0.lock().unwrap()[0]);
        assert_eq!(asked["resource"].as_str(), expected);
        assert_eq!(asked["authorization_details"], DETAILS);
    }
    let script = world(&json!({}));
    let itself = connector(&script)
        .with_rules(TokenRules::new().accept_unstated_details())
        .as_itself()
        .request_details(DETAILS)
        .unwrap();
    token(&itself).await.unwrap();
    let form = Form::parse(script.requests().pop().unwrap().body()).unwrap();
    assert_eq!(form.get("authorization_details"), Some(DETAILS));
    let refused = connector(&script).request_details("{}");
    assert_eq!(code(refused), "grant.details");
}

/// RAR-01, JAG-10: each grant can have authorization details, beside its scopes.
#[test]
fn each_grant_can_have_details() {
    let read = || "read".parse().unwrap();
    let own = ClientCredentials::new(TOOL.parse().unwrap());
    let own = own.details(DETAILS).unwrap().scopes(read());
    let (request, _) = own
        .prepare(&client(), &server(&json!({})), at(NOW))
        .unwrap();
    let own = Form::parse(request.body()).unwrap();
    let (subject, issuer) = (|| SubjectToken::id_token("id"), "https://b.example");
    let id_jag = IdJagRequest::new(subject(), issuer.parse().unwrap(), TOOL.parse().unwrap());
    let id_jag = id_jag.details(DETAILS).unwrap().scopes(read());
    let id_jag = form(id_jag.begin(Arc::new(client()), server(&json!({})), at(NOW)));
    let jwt = JwtGrantRequest::new(subject(), issuer.parse().unwrap()).unwrap();
    let jwt = jwt.details(DETAILS).unwrap().scopes(read());
    let jwt = form(jwt.begin(Arc::new(client()), server(&json!({})), at(NOW)));
    for form in [own, id_jag, jwt] {
        assert_eq!(form.get("authorization_details"), Some(DETAILS));
        assert_eq!(form.get("scope"), Some("read"));
    }
    let refused = ClientCredentials::new(TOOL.parse().unwrap()).details("[]");
    assert_eq!(code(refused), "grant.details");
}

/// SPF-02: the SPIFFE ID is the only URI of the certificate.
#[test]
fn the_id_of_an_x509_svid_is_its_only_uri() {
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let dns = || SanType::DnsName("agent.example".try_into().unwrap());
    let id = "spiffe://example.org/agents/a";
    let refused = "oauth.certificate";
    for (names, expected) in [
        (vec![uri(id)], "ok"),
        (vec![dns(), uri(id)], "ok"),
        (vec![dns()], refused),
        (Vec::new(), refused),
        (vec![uri("https://example.org/agents/a")], refused),
        (vec![uri(id), uri("spiffe://example.org/agents/b")], refused),
    ] {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names.clone();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let certificate = PeerCertificate::from_der(certificate.der()).unwrap();
        let client = TlsClientAuth::of_svid(&certificate).map_err(Error::from);
        if let Ok(client) = &client {
            assert_eq!(client.client_id().as_str(), id);
        }
        assert_eq!(code(client), expected, "{names:?}");
    }
}

/// SPF-02: a client with an X.509-SVID sends its SPIFFE ID as `client_id`, to the endpoint for
/// mutual TLS of a server that takes the method.
#[test]
fn a_client_with_an_x509_svid() {
    let id = "spiffe://example.org/agents/a";
    for (methods, expected) in [
        (json!(["spiffe_x509"]), "ok"),
        (json!(["tls_client_auth"]), "oauth.authenticate"),
    ] {
        let server = server(&json!({"token_endpoint_auth_methods_supported": methods}));
        let client = TlsClientAuth::spiffe(id.parse().unwrap());
        assert!(client.presents_certificate());
        let mut request = TokenRequest::new("client_credentials").unwrap();
        let found = client.authenticate(&mut request, &server, at(NOW));
        assert_eq!(code(found.map_err(Error::from)), expected);
        let request = request.into_http(server.token_endpoint().unwrap()).unwrap();
        let named = (expected == "ok").then_some(id);
        assert_eq!(Form::parse(request.body()).unwrap().get("client_id"), named);
    }
}
