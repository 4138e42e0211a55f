//! Registrations: the key of the client, and what the server answers.

use std::sync::{Arc, Mutex};

use aims_jose::Algorithm;
use aims_jose::json;
use aims_jose::jws::Unverified;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_oauth_client::{ClientMetadata, Identities, MemoryStore, Registered, TokenStore};
use aims_oauth_wire::client_auth::PrivateKeyJwt;
use aims_oauth_wire::names::Endpoint;
use aims_oauth_wire::token::Form;
use serde_json::{Value, json};

use super::world::{
    DOCUMENT, User, answer, connected, connector, native, none, paths, tool, world,
};
use crate::common::{NOW, Script, code, json_answer, with};

pub(super) const REDIRECT: &str = "http://127.0.0.1:4711/callback";

fn key() -> SigningKey {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    key.with_key_id("k1")
}

fn with_key(metadata: impl FnOnce(&SigningKey) -> ClientMetadata) -> Identities {
    let key = Arc::new(key());
    Identities::new().register_with_key(metadata(&key), key)
}

fn web(key: &SigningKey) -> ClientMetadata {
    ClientMetadata::web("agent", key.public_jwk())
}

/// A world whose server answers a registration with these members beside those that were asked
/// for.
pub(super) fn registering(server: &Value, answered: &Value) -> Script {
    let (server, answered) = (server.clone(), answered.clone());
    Script::new(move |request, number| match request.uri().path() {
        "/register" => {
            let asked: Value = serde_json::from_slice(request.body()).unwrap();
            let own = with(json!({"client_id": "registered"}), &answered);
            json_answer(201, &with(asked, &own))
        }
        _ => answer(request, number, &json!({}), &server),
    })
}

pub(super) fn sent(script: &Script, path: &str) -> http::Request<Vec<u8>> {
    let requests = script.requests();
    let mut found = requests.into_iter().filter(|it| it.uri().path() == path);
    found.next_back().unwrap()
}

fn asked(script: &Script) -> Value {
    serde_json::from_slice(sent(script, "/register").body()).unwrap()
}

/// Returns `iss`, `sub` and `kid` of the assertion in a request, or nothing without an assertion.
fn asserted(request: &http::Request<Vec<u8>>) -> Option<(String, String, String)> {
    let form = Form::parse(request.body()).unwrap();
    let assertion = form.get("client_assertion")?;
    let token = Unverified::parse(assertion).unwrap();
    let claims: Value = json::from_object(token.unverified_payload().unwrap()).unwrap();
    let kid = token.header().kid().unwrap().to_owned();
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    Some((text("iss"), text("sub"), kid))
}

/// DCR-01: a client that registers with a key authenticates with it.
#[tokio::test(start_paused = true)]
async fn a_key_is_used() {
    for (server, metadata, expected) in [
        (json!({}), "web", "private_key_jwt"),
        (
            json!({"token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"]}),
            "native",
            "private_key_jwt",
        ),
        (
            json!({"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}),
            "native",
            "none",
        ),
        (
            json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}),
            "native",
            "client_secret_post",
        ),
    ] {
        let (script, user) = (
            registering(&server, &json!({"client_secret": "s"})),
            User::default(),
        );
        let identities = with_key(|key| match metadata {
            "web" => web(key),
            _ => ClientMetadata::native("agent")
                .key(key.public_jwk())
                .accept_secret(),
        });
        let found = connector(identities, &script, &user);
        connected(&found).await.token().await.unwrap();
        let document = asked(&script);
        assert_eq!(document["token_endpoint_auth_method"], expected);
        assert_eq!(document["jwks"]["keys"][0]["kid"], "k1");
        assert!(document["jwks"]["keys"][0].get("d").is_none());
        let token = sent(&script, "/token");
        let by_key = ("registered".into(), "registered".into(), "k1".into());
        let by_key = (expected == "private_key_jwt").then_some(by_key);
        assert_eq!(asserted(&token), by_key, "{expected}");
        let secret = Form::parse(token.body()).unwrap();
        let secret = secret.get("client_secret").is_some();
        assert_eq!(secret, expected == "client_secret_post");
    }
}

/// DCR-01: without its key, a client does not even register.
#[tokio::test(start_paused = true)]
async fn a_key_must_be_there() {
    let script = registering(&json!({}), &json!({}));
    let identities = Identities::new().register(web(&key()));
    let found = connector(identities, &script, &User::default());
    assert_eq!(
        code(found.connect(&tool(), &none()).await),
        "client.metadata"
    );
    assert!(!paths(&script).contains(&"/register".to_owned()));
}

/// CIMD-03: a client of a metadata document authenticates with the key of the document.
#[tokio::test(start_paused = true)]
async fn a_document_may_have_a_key() {
    let server = json!({"client_id_metadata_document_supported": true});
    let script = world(&json!({}), &server);
    let client = PrivateKeyJwt::new(DOCUMENT.parse().unwrap(), Arc::new(key()));
    let identities = Identities::new().document_client(client).unwrap();
    let user = User::default();
    connected(&connector(identities, &script, &user))
        .await
        .token()
        .await
        .unwrap();
    assert_eq!(user.asked("client_id"), [DOCUMENT]);
    let own = || Some((DOCUMENT.to_owned(), DOCUMENT.to_owned(), "k1".to_owned()));
    assert_eq!(asserted(&sent(&script, "/token")), own());
    let client = PrivateKeyJwt::new("agent".parse().unwrap(), Arc::new(key()));
    let refused = Identities::new().document_client(client);
    assert_eq!(code(refused), "client.document");
}

/// CIMD-02: a document has a usable URL, and no method with a shared secret.
#[test]
fn a_document_has_no_secret() {
    let native = || ClientMetadata::native("agent");
    for (url, method, expected) in [
        (DOCUMENT, "none", "ok"),
        (DOCUMENT, "private_key_jwt", "ok"),
        (DOCUMENT, "client_secret_basic", "client.metadata"),
        (DOCUMENT, "client_secret_jwt", "client.metadata"),
        ("https://app.example/", "none", "client.document"),
    ] {
        let document = native().auth_method(method).to_document(url);
        assert_eq!(code(document), expected, "{method}");
    }
}

/// DCR-01: the members of RFC 7591 and of its extensions.
#[test]
fn metadata_have_their_members() {
    let url = |text: &str| text.parse::<Endpoint>().unwrap();
    let (keys, pings) = (url("https://a.example/jwks"), url("https://a.example/ping"));
    let metadata = ClientMetadata::web("agent", key().public_jwk())
        .jwks_uri(&keys)
        .logo_uri("https://a.example/logo.png")
        .contacts(["ops@a.example"])
        .tos_uri("https://a.example/tos")
        .policy_uri("https://a.example/policy")
        .software_statement(&"e30.e30.x".into())
        .require_dpop()
        .require_push()
        .details_types(["payment"])
        .backchannel_poll()
        .backchannel_ping(&pings)
        .backchannel_signing_algorithm(Algorithm::Es256)
        .backchannel_user_code()
        .spiffe_id("spiffe://a.example/*")
        .spiffe_bundle_endpoint(&url("https://a.example/bundle"))
        .grant_profiles(["urn:ietf:params:oauth:grant-profile:id-jag"])
        .member("id_token_signed_response_alg", "ES256")
        .unwrap();
    let json: Value = serde_json::from_str(&metadata.to_json()).unwrap();
    let expected = json!({
        "jwks_uri": "https://a.example/jwks",
        "logo_uri": "https://a.example/logo.png",
        "contacts": ["ops@a.example"],
        "tos_uri": "https://a.example/tos",
        "policy_uri": "https://a.example/policy",
        "software_statement": "e30.e30.x",
        "dpop_bound_access_tokens": true,
        "require_pushed_authorization_requests": true,
        "authorization_details_types": ["payment"],
        "backchannel_token_delivery_mode": "ping",
        "backchannel_client_notification_endpoint": "https://a.example/ping",
        "backchannel_authentication_request_signing_alg": "ES256",
        "backchannel_user_code_parameter": true,
        "spiffe_id": "spiffe://a.example/*",
        "spiffe_bundle_endpoint": "https://a.example/bundle",
        "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
        "id_token_signed_response_alg": "ES256",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(json[name], *value, "{name}");
    }
    // Keys, or their URL, and never both.
    assert!(json.get("jwks").is_none());
    let back = metadata.backchannel_poll().key(key().public_jwk());
    let back: Value = serde_json::from_str(&back.to_json()).unwrap();
    assert!(back.get("jwks").is_some() && back.get("jwks_uri").is_none());
    assert_eq!(back["backchannel_token_delivery_mode"], "poll");
    assert!(
        back.get("backchannel_client_notification_endpoint")
            .is_none()
    );
    for name in [
        "client_id",
        "client_secret",
        "registration_access_token",
        "redirect_uris",
        "tls_client_auth_san_dns",
    ] {
        let refused = ClientMetadata::native("agent").member(name, "x");
        assert_eq!(code(refused), "client.metadata", "{name}");
    }
}

/// DCR-01: the initial access token goes to its server alone.
#[tokio::test(start_paused = true)]
async fn an_initial_access_token_is_for_one_server() {
    for (issuer, expected) in [
        ("https://as.example", Some("Bearer initial")),
        ("https://other.example", None),
    ] {
        let script = registering(&json!({}), &json!({}));
        let identities = native().initial_access_token(issuer.parse().unwrap(), "initial");
        connected(&connector(identities, &script, &User::default())).await;
        let request = sent(&script, "/register");
        let found = request.headers().get("authorization");
        assert_eq!(found.map(|it| it.to_str().unwrap()), expected);
    }
}

/// DCR-02: what the server answers counts where it narrows, and is refused where it widens or
/// does not work.
#[tokio::test(start_paused = true)]
async fn an_answer_is_no_more_than_what_was_asked() {
    let refused = "client.registration";
    for (answered, expected) in [
        (json!({}), "ok"),
        (json!({"redirect_uris": null, "grant_types": null}), "ok"),
        (json!({"grant_types": ["authorization_code"]}), "ok"),
        (
            json!({"redirect_uris": ["http://127.0.0.1/callback"]}),
            "ok",
        ),
        (json!({"redirect_uris": []}), refused),
        (
            json!({"redirect_uris": ["http://127.0.0.1/other"]}),
            refused,
        ),
        (
            json!({"redirect_uris": [REDIRECT, "https://evil.example/"]}),
            refused,
        ),
        (
            json!({"redirect_uris": [REDIRECT, "https://127.0.0.1/callback"]}),
            refused,
        ),
        (
            json!({"grant_types": ["authorization_code", "password"]}),
            refused,
        ),
        (json!({"grant_types": ["refresh_token"]}), refused),
        (json!({"redirect_uris": "x"}), refused),
        (
            json!({"token_endpoint_auth_method": "client_secret_post", "client_secret": "s"}),
            "ok",
        ),
        (
            json!({"token_endpoint_auth_method": "self_signed_tls_client_auth"}),
            refused,
        ),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            refused,
        ),
    ] {
        let script = registering(&json!({}), &answered);
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let found = connector(native(), &script, &User::default()).with_store(store);
        let outcome = code(found.connect(&tool(), &none()).await);
        assert_eq!(outcome, expected, "{answered}");
        // What cannot be used is not kept.
        let issuer = "https://as.example".parse().unwrap();
        let kept = found.registration(&issuer).await.unwrap();
        assert_eq!(kept.is_some(), expected == "ok", "{answered}");
        if answered == json!({"grant_types": ["authorization_code"]}) {
            let grants = kept.as_ref().and_then(Registered::grant_types).unwrap();
            assert_eq!(grants.len(), 1);
        }
    }
    // A client with a key goes on without it only if it accepts a secret.
    for (method, accepts, expected) in [
        ("none", false, refused),
        ("none", true, refused),
        ("client_secret_post", false, refused),
        ("client_secret_post", true, "ok"),
    ] {
        let answered = json!({"token_endpoint_auth_method": method, "client_secret": "s"});
        let script = registering(&json!({}), &answered);
        let identities = with_key(|key| match accepts {
            true => web(key).accept_secret(),
            false => web(key),
        });
        let found = connector(identities, &script, &User::default());
        let outcome = code(found.connect(&tool(), &none()).await);
        assert_eq!(outcome, expected, "{method}");
    }
}

/// DCR-02: a registration whose secret has expired at once is refused.
#[tokio::test(start_paused = true)]
async fn a_secret_that_has_expired_at_once() {
    for (ends, expected) in [(0, "ok"), (NOW + 1, "ok"), (NOW, "client.registration")] {
        let answered = json!({"token_endpoint_auth_method": "client_secret_post",
            "client_secret": "s", "client_secret_expires_at": ends});
        let script = registering(&json!({}), &answered);
        let found = connector(native(), &script, &User::default());
        let outcome = code(found.connect(&tool(), &none()).await);
        assert_eq!(outcome, expected, "{ends}");
    }
}

/// DCR-01: a stored registration is used as long as the client would ask for no better one: with
/// its key, or for another grant.
#[tokio::test(start_paused = true)]
async fn a_stored_registration_must_suit() {
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let browser = "authorization_code";
    let none = "none";
    let signed = "private_key_jwt";
    for (method, grants, states, then, then_grants, expected) in [
        (none, browser, true, none, browser, 1),
        (none, browser, true, signed, browser, 2),
        (signed, browser, true, signed, browser, 1),
        (none, device, true, none, device, 1),
        (none, device, true, none, browser, 2),
        // Not every server states what it registered.
        (none, device, false, none, browser, 2),
        (none, browser, false, none, browser, 1),
        (none, browser, false, none, device, 2),
    ] {
        let offered = Arc::new(Mutex::new(grants));
        let own = Arc::clone(&offered);
        let script = Script::new(move |request, number| {
            let server = json!({"grant_types_supported": [*own.lock().unwrap()],
                "device_authorization_endpoint": "https://as.example/device",
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]});
            match request.uri().path() {
                "/register" if states => {
                    let asked: Value = serde_json::from_slice(request.body()).unwrap();
                    json_answer(201, &with(asked, &json!({"client_id": "c"})))
                }
                "/register" => json_answer(201, &json!({"client_id": "c"})),
                _ => answer(request, number, &json!({}), &server),
            }
        });
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let connect = async |method: &str| {
            let identities = match method {
                "none" => native(),
                _ => with_key(|key| web(key).redirect(REDIRECT.parse().unwrap())),
            };
            let found = connector(identities, &script, &User::default());
            let found = found.by_device(|_| Ok(())).with_store(Arc::clone(&store));
            connected(&found).await;
        };
        connect(method).await;
        *offered.lock().unwrap() = then_grants;
        for _ in 0..2 {
            connect(then).await;
        }
        let registered = paths(&script)
            .into_iter()
            .filter(|it| it == "/register")
            .count();
        assert_eq!(registered, expected, "{method} {grants} {states} {then}");
    }
}
