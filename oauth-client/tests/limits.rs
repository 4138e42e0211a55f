//! The limits of a connector: it requests no more than is allowed, and mixes no users and servers.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/user.rs"]
mod user;

use std::sync::Arc;

use aims_jose::provider::AWS_LC;
use aims_jose::secret::SecretText;
use aims_oauth_client::{
    ClientMetadata, Connector, DpopKey, Identities, Impersonation, MemoryStore, StoreFuture,
    StoreKey, StoredValue, SubjectToken, Target, TokenSource, TokenStore,
};
use aims_oauth_wire::challenge::{Challenge, Challenges};
use aims_oauth_wire::client_auth::PublicClient;
use aims_oauth_wire::names::Resource;
use aims_oauth_wire::token::Form;
use common::{Paused, Script, client, code, json_answer, server_with};
use serde_json::json;
use tokio::time::Instant;
use user::User;

const TOOL: &str = "https://tools.example/mcp";

/// Tools at `/mcp` and `/other`, of the servers `as.example` and `other.example`.
fn world() -> Script {
    Script::new(|request, number| {
        let path = request.uri().path();
        if let Some(tool) = path.strip_prefix("/.well-known/oauth-protected-resource") {
            let server = if tool == "/mcp" { "as" } else { "other" };
            let document = json!({"resource": format!("https://tools.example{tool}"),
                "authorization_servers": [format!("https://{server}.example")],
                "dpop_signing_alg_values_supported": ["ES256"],
                "scopes_supported": ["read", "write"]});
            return json_answer(200, &document);
        }
        if path.starts_with("/.well-known/") {
            let issuer = format!("https://{}", request.uri().host().unwrap());
            let document = json!({"issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "registration_endpoint": format!("{issuer}/register"),
                "dpop_signing_alg_values_supported": ["ES256"],
                "scopes_supported": ["read", "write", "offline_access"],
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "code_challenge_methods_supported": ["S256"]});
            return json_answer(200, &document);
        }
        if path == "/register" {
            let client = format!("at-{}", request.uri().host().unwrap());
            return json_answer(201, &json!({ "client_id": client }));
        }
        let bound = request.headers().contains_key("dpop");
        let body = json!({"access_token": format!("t{number}"), "expires_in": 300,
            "token_type": if bound { "DPoP" } else { "Bearer" }});
        json_answer(200, &body)
    })
}

fn public(name: &str) -> PublicClient {
    PublicClient::new(name.parse().unwrap())
}

fn connector(identities: Identities, script: &Script) -> Connector {
    Connector::new(identities, script.clone())
        .with_clock(Paused(Instant::now()))
        .accept_issuers([
            "https://as.example".parse().unwrap(),
            "https://other.example".parse().unwrap(),
        ])
}

fn known(script: &Script) -> Connector {
    connector(Identities::new().everywhere(public("app")), script)
}

fn tool() -> Resource {
    TOOL.parse().unwrap()
}

fn none() -> Challenges {
    Challenges::default()
}

fn memory() -> Arc<dyn TokenStore> {
    Arc::new(MemoryStore::new())
}

/// MCP-15: what the program requests, and what a user agreed to before, is within what the program
/// allows now.
#[tokio::test(start_paused = true)]
async fn requests_are_within_what_is_allowed_now() {
    let (script, store, user) = (world(), memory(), User::default());
    for (requested, expected) in [("read", "ok"), ("read admin", "connect.scope")] {
        let connector = known(&script)
            .by_user(user.clone())
            .allow_scopes("read write".parse().unwrap())
            .request_scopes(requested.parse().unwrap());
        let connected = connector.connect(&tool(), &none()).await;
        assert_eq!(code(connected), expected, "{requested}");
    }
    let allowing = |scopes: &str| {
        let connector = known(&script).by_user(user.clone());
        let connector = connector.with_store(Arc::clone(&store));
        connector.allow_scopes(scopes.parse().unwrap())
    };
    let first = allowing("read write")
        .connect(&tool(), &none())
        .await
        .unwrap();
    first.token().await.unwrap();
    for (allowed, expected) in [("read write x", "read write"), ("read", "read")] {
        let again = allowing(allowed).connect(&tool(), &none()).await.unwrap();
        assert_eq!(again.scopes().to_string(), expected, "{allowed}");
    }
}

/// MCP-21: `offline_access` is for users, who can grant it.
#[tokio::test(start_paused = true)]
async fn a_client_for_itself_asks_for_no_offline_access() {
    let script = world();
    let user = known(&script).by_user(User::default());
    let itself = known(&script).as_itself();
    for (connector, expected) in [(user, true), (itself, false)] {
        let connection = connector.connect(&tool(), &none()).await.unwrap();
        assert_eq!(connection.scopes().contains("offline_access"), expected);
    }
}

/// STEP-02: a tool that invents requirement after requirement causes sixteen logins, and no more.
#[tokio::test(start_paused = true)]
async fn step_ups_are_bounded() {
    let (script, user) = (world(), User::default());
    let connector = known(&script).by_user(user.clone());
    let connection = connector.connect(&tool(), &none()).await.unwrap();
    for number in 0..20 {
        let challenge = Challenge::bearer().with("max_age", &number.to_string());
        let stepped = connection.step_up(&challenge.unwrap()).await.unwrap();
        assert_eq!(stepped.is_some(), number < 16, "{number}");
    }
    assert_eq!(user.asked("state").len(), 16);
}

/// AIM-05: the users of one store have tokens of their own.
#[tokio::test(start_paused = true)]
async fn users_of_one_store_are_apart() {
    let (script, store, user) = (world(), memory(), User::default());
    let token = async |name: &str| {
        let connector = known(&script).by_user(user.clone()).for_user(name);
        let connector = connector.with_store(Arc::clone(&store));
        let connection = connector.connect(&tool(), &none()).await.unwrap();
        connection.token().await.unwrap().fingerprint()
    };
    let alice = token("alice").await;
    assert_eq!(token("alice").await, alice);
    assert_eq!(user.asked("state").len(), 1);
    assert_ne!(token("bob").await, alice);
    assert_eq!(user.asked("state").len(), 2);
}

/// AIM-05: the tokens of two exchanged subjects are never interchanged, although all else is equal
/// and neither is named.
#[tokio::test(start_paused = true)]
async fn exchanged_subjects_are_apart() {
    let script = Script::new(|_, number| {
        let body = json!({"access_token": format!("t{number}"), "token_type": "Bearer",
            "expires_in": 300,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"});
        json_answer(200, &body)
    });
    let source = TokenSource::new(server_with(&json!({})), client(), script);
    let source = source.with_clock(Paused(Instant::now()));
    let of = async |subject: &str| {
        let target = Target::new(tool(), "read".parse().unwrap());
        let grant = Impersonation::new(SubjectToken::access_token(subject), target);
        source.token(grant).await.unwrap().fingerprint()
    };
    let alice = of("alice").await;
    assert_ne!(of("bob").await, alice);
    assert_eq!(of("alice").await, alice);
}

/// DCR-05: the registration at one server is not used at another, although both are in one store.
#[tokio::test(start_paused = true)]
async fn registrations_of_two_servers_are_apart() {
    let (script, store) = (world(), memory());
    let token = async |path: &str| {
        let identities = Identities::new().register(ClientMetadata::native("agent"));
        let connector = connector(identities, &script).by_user(User::default());
        let connector = connector.with_store(Arc::clone(&store));
        let tool = format!("https://tools.example{path}").parse().unwrap();
        let connection = connector.connect(&tool, &none()).await.unwrap();
        connection.token().await.unwrap();
        let form = Form::parse(script.requests().pop().unwrap().body()).unwrap();
        form.get("client_id").unwrap().to_owned()
    };
    assert_eq!(token("/mcp").await, "at-as.example");
    assert_eq!(token("/other").await, "at-other.example");
}

/// MCP-13: the identity that is registered at a server comes before one that is valid everywhere.
#[tokio::test(start_paused = true)]
async fn the_identity_of_a_server_comes_first() {
    let script = world();
    let identities = Identities::new()
        .everywhere(public("everywhere"))
        .registered("https://as.example".parse().unwrap(), public("own"));
    let connector = connector(identities, &script).as_itself();
    for (path, expected) in [("/mcp", "own"), ("/other", "everywhere")] {
        let tool = format!("https://tools.example{path}").parse().unwrap();
        let connection = connector.connect(&tool, &none()).await.unwrap();
        connection.token().await.unwrap();
        let form = Form::parse(script.requests().pop().unwrap().body()).unwrap();
        assert_eq!(form.get("client_id"), Some(expected));
    }
}

/// A store that does not say that it is sealed.
#[derive(Debug)]
struct Open(MemoryStore);

impl TokenStore for Open {
    fn load<'a>(&'a self, key: &'a StoreKey) -> StoreFuture<'a, Option<(SecretText, u64)>> {
        self.0.load(key)
    }

    fn swap<'a>(
        &'a self,
        key: &'a StoreKey,
        version: Option<u64>,
        value: Option<StoredValue>,
    ) -> StoreFuture<'a, Option<u64>> {
        let text = value.as_ref().map(|it| it.text().expose().to_owned());
        assert!(
            !text.unwrap_or_default().contains("\"d\":"),
            "no private key"
        );
        self.0.swap(key, version, value)
    }

    fn keys<'a>(&'a self, group: &'a str) -> StoreFuture<'a, Vec<StoreKey>> {
        self.0.keys(group)
    }
}

/// DPOP-12: a store that is not sealed gets no private key. Its tokens are bound to a key of the
/// program alone, because they would outlive another one.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_sealed_keeps_no_key() {
    let open: Arc<dyn TokenStore> = Arc::new(Open(MemoryStore::new()));
    for (store, bound) in [(None, true), (Some(memory()), true), (Some(open), false)] {
        let script = world();
        let mut connector = known(&script).as_itself().with_dpop(AWS_LC);
        if let Some(store) = store {
            connector = connector.with_store(store);
        }
        let explained = connector.explain(&tool(), &none()).await.unwrap();
        assert_eq!(explained.is_bound(), bound);
        let connection = connector.connect(&tool(), &none()).await.unwrap();
        assert_eq!(connection.token().await.unwrap().is_bound(), bound);
        let key = DpopKey::generate(AWS_LC).unwrap();
        let connector = connector.with_dpop_keys(move |_| Some(key.clone()));
        let connection = connector.connect(&tool(), &none()).await.unwrap();
        assert!(connection.token().await.unwrap().is_bound());
        let connector = connector.with_dpop_keys(|_| None);
        let connection = connector.connect(&tool(), &none()).await.unwrap();
        assert!(!connection.token().await.unwrap().is_bound());
    }
}
