//! From the URL of a tool to its tokens: the server, the identity and the grant are found.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};

use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_oauth_client::{
    Authorizing, ClientMetadata, Connection, Connector, Error, GrantAudience, Identities,
    MemoryStore, Receive, ReceiveFuture, Receiving, RedirectUri, Revoked, SubjectToken, TokenStore,
    Way,
};
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::client_auth::{ClientSecretBasic, PublicClient};
use aims_oauth_wire::metadata::{MetadataSigner, ResourceMetadata};
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::Form;
use common::{Paused, Script, code, json_answer, server_with};
use http::header::{HeaderMap, WWW_AUTHENTICATE};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";
const DOCUMENT: &str = "https://app.example/client.json";

/// A user who agrees to everything at once. Records the URLs.
#[derive(Clone, Debug, Default)]
struct User(Arc<Mutex<Vec<String>>>);

struct Deciding(RedirectUri, User);

impl Receive for User {
    fn begin(&self) -> ReceiveFuture<'_, Box<dyn Receiving>> {
        let redirect = "http://127.0.0.1:4711/callback".parse().unwrap();
        let deciding: Box<dyn Receiving> = Box::new(Deciding(redirect, self.clone()));
        Box::pin(std::future::ready(Ok(deciding)))
    }
}

impl Receiving for Deciding {
    fn redirect_uri(&self) -> &RedirectUri {
        &self.0
    }

    fn receive<'a>(self: Box<Self>, login: &'a Authorizing) -> ReceiveFuture<'a, String> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let url = url::Url::parse(login.url()).unwrap();
            let state = url
                .query_pairs()
                .find(|(name, _)| name == "state")
                .unwrap()
                .1;
            self.1.0.lock().unwrap().push(login.url().to_owned());
            Ok(format!("code=c&state={state}"))
        })
    }
}

impl User {
    /// Returns the values of a parameter of each login.
    fn asked(&self, name: &str) -> Vec<String> {
        let urls = self.0.lock().unwrap();
        let of = |url: &String| {
            let url = url::Url::parse(url).unwrap();
            let found = url.query_pairs().find(|(own, _)| own == name);
            found.map_or_else(String::new, |(_, value)| value.into_owned())
        };
        urls.iter().map(of).collect()
    }
}

/// A tool and its server, with these members of their metadata.
fn world(tool: &Value, server: &Value) -> Script {
    let (tool, server) = (tool.clone(), server.clone());
    Script::new(move |request, number| answer(request, number, &tool, &server))
}

fn merged(mut base: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    base
}

fn answer(
    request: &Request<Vec<u8>>,
    number: usize,
    tool: &Value,
    server: &Value,
) -> Response<Vec<u8>> {
    let path = request.uri().path();
    if path.starts_with("/.well-known/oauth-protected-resource") || path == "/elsewhere" {
        let document = json!({"resource": TOOL, "authorization_servers": ["https://as.example"]});
        return match tool.get("none") {
            Some(_) => json_answer(404, &json!({})),
            None => json_answer(200, &merged(document, tool)),
        };
    }
    if path.starts_with("/.well-known/") {
        let host = request.uri().host().unwrap();
        let document = json!({"issuer": format!("https://{host}"),
            "authorization_endpoint": format!("https://{host}/authorize"),
            "token_endpoint": format!("https://{host}/token"),
            "registration_endpoint": format!("https://{host}/register"),
            "code_challenge_methods_supported": ["S256"]});
        return match server.get("none") {
            Some(_) => json_answer(404, &json!({})),
            None => json_answer(200, &merged(document, server)),
        };
    }
    if path == "/register" {
        let asked: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(asked["application_type"], "native");
        // A secret without `client_secret_expires_at`, as some servers send it.
        let body = json!({"client_id": "registered", "client_secret": "s3cret"});
        return json_answer(201, &body);
    }
    let form = Form::parse(request.body()).unwrap();
    if form.get("requested_token_type").is_some() {
        let claims = json!({"aud": "https://as.example", "client_id": "known"});
        let key = SigningKey::generate(aims_jose::Algorithm::Es256, AWS_LC);
        let typ = "oauth-id-jag+jwt";
        let alg = aims_jose::Algorithm::Es256;
        let token = aims_jose::jws::SigningInput::new(typ, alg, None, &claims).unwrap();
        let body = json!({"access_token": token.sign(&key.unwrap()).unwrap().expose(),
            "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag", "token_type": "N_A",
            "expires_in": 60});
        return json_answer(200, &body);
    }
    let bound = request.headers().contains_key("dpop");
    let kind = if bound { "DPoP" } else { "Bearer" };
    json_answer(
        200,
        &json!({"access_token": format!("t{number}"), "token_type": kind,
        "expires_in": 300}),
    )
}

fn native() -> Identities {
    Identities::new().register(ClientMetadata::native("agent"))
}

fn connector(identities: Identities, script: &Script, user: &User) -> Connector {
    Connector::new(identities, script.clone())
        .with_clock(Paused(Instant::now()))
        .accept_issuers(["https://as.example".parse().unwrap()])
        .by_user(user.clone())
}

fn tool() -> Resource {
    TOOL.parse().unwrap()
}

fn challenged(text: &'static str) -> Challenges {
    let mut headers = HeaderMap::new();
    headers.insert(WWW_AUTHENTICATE, http::HeaderValue::from_static(text));
    Challenges::parse(&headers).unwrap()
}

fn none() -> Challenges {
    Challenges::default()
}

async fn connected(connector: &Connector) -> Connection {
    connector.connect(&tool(), &none()).await.unwrap()
}

fn paths(script: &Script) -> Vec<String> {
    let requests = script.requests();
    requests
        .iter()
        .map(|it| it.uri().path().to_owned())
        .collect()
}

/// An agent with a URL alone: discovery, registration, a login, a token; then the token is cached.
#[tokio::test(start_paused = true)]
async fn from_a_url_to_a_token() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let connection = connected(&connector(native(), &script, &user)).await;
    assert_eq!(connection.way(), Way::User);
    assert_eq!(connection.issuer().as_str(), "https://as.example");
    let first = connection.token().await.unwrap();
    let again = connection.token().await.unwrap();
    assert_eq!(first.fingerprint(), again.fingerprint());
    let expected = [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/register",
        "/token",
    ];
    assert_eq!(paths(&script), expected);
    let asked: Value = serde_json::from_slice(script.requests()[2].body()).unwrap();
    assert_eq!(
        asked["redirect_uris"],
        json!(["http://127.0.0.1:4711/callback"])
    );
    assert_eq!(asked["token_endpoint_auth_method"], "none");
    assert_eq!(
        asked["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(user.asked("client_id"), ["registered"]);
    assert_eq!(user.asked("resource"), [TOOL]);
    // DCR-02: the client stays public, although the server gave it a secret.
    let form = Form::parse(script.requests()[3].body()).unwrap();
    assert_eq!(
        (form.get("client_id"), form.get("client_secret")),
        (Some("registered"), None)
    );
}

/// MCP-13, MCP-14: registered before, then the metadata document, then registration; an identity
/// of one server is never used at another.
#[tokio::test(start_paused = true)]
async fn identities_have_an_order() {
    let own = |issuer: &str| {
        let client = ClientSecretBasic::new("known".parse().unwrap(), "s".into());
        native()
            .metadata_document(DOCUMENT)
            .unwrap()
            .registered(issuer.parse().unwrap(), client)
    };
    let takes = json!({"client_id_metadata_document_supported": true});
    let closed = json!({"registration_endpoint": null});
    for (identities, server, expected) in [
        (own("https://as.example"), &takes, "known"),
        (own("https://as.example/"), &takes, "known"),
        (own("https://other.example"), &takes, DOCUMENT),
        (own("https://other.example"), &json!({}), "registered"),
        (native(), &takes, "registered"),
        (own("https://other.example"), &closed, "client.none"),
        (Identities::new(), &json!({}), "client.none"),
    ] {
        let (script, user) = (world(&json!({}), server), User::default());
        let found = connector(identities, &script, &user);
        match found.connect(&tool(), &none()).await {
            Ok(connection) => {
                connection.token().await.unwrap();
                assert_eq!(user.asked("client_id"), [expected]);
            }
            Err(error) => assert_eq!(error.code(), expected),
        }
    }
}

/// CIMD-01: the URL of a metadata document.
#[test]
fn a_document_has_a_url() {
    for (url, expected) in [
        (DOCUMENT, "ok"),
        ("https://app.example:8443/client.json", "ok"),
        ("http://app.example/client.json", "client.document"),
        ("https://app.example", "client.document"),
        ("https://app.example/", "client.document"),
        ("https://app.example/a/../client.json", "client.document"),
        ("https://app.example/client.json#x", "client.document"),
        ("https://u@app.example/client.json", "client.document"),
        ("https://APP.example/client.json", "client.document"),
        ("client.json", "client.document"),
    ] {
        assert_eq!(
            code(Identities::new().metadata_document(url)),
            expected,
            "{url}"
        );
    }
    // CIMD-02: what is served there names itself, and has no secret.
    let redirect: RedirectUri = "http://127.0.0.1/callback".parse().unwrap();
    let metadata = ClientMetadata::native("agent").redirect(redirect);
    let document: Value = serde_json::from_str(&metadata.to_document(DOCUMENT)).unwrap();
    assert_eq!(document["client_id"], DOCUMENT);
    assert_eq!(document["client_name"], "agent");
    assert_eq!(
        document["redirect_uris"],
        json!(["http://127.0.0.1/callback"])
    );
    assert!(document.get("client_secret").is_none());
}

/// DCR-03: refusals of a registration, and answers that cannot be used.
#[tokio::test(start_paused = true)]
async fn registrations_that_fail() {
    for (status, body, expected) in [
        (
            400,
            json!({"error": "invalid_redirect_uri"}),
            "client.registration_refused",
        ),
        (
            403,
            json!({"error": "access_denied"}),
            "client.registration_refused",
        ),
        (500, json!({}), "client.registration"),
        (201, json!({}), "client.registration"),
        (201, json!({"client_id": ""}), "client.registration"),
        (
            201,
            json!({"client_id": "x", "token_endpoint_auth_method": "private_key_jwt"}),
            "client.registration",
        ),
        (
            201,
            json!({"client_id": "x", "client_secret": "s", "client_secret_expires_at": 0,
                "token_endpoint_auth_method": "client_secret_basic"}),
            "ok",
        ),
        (200, json!({"client_id": "x", "client_secret": null}), "ok"),
    ] {
        let script = Script::new(move |request, number| match request.uri().path() {
            "/register" => json_answer(status, &body),
            _ => answer(request, number, &json!({}), &json!({})),
        });
        let found = connector(native(), &script, &User::default());
        let found = found.connect(&tool(), &none()).await;
        assert_eq!(code(found), expected, "{status}");
    }
}

/// A server that registers no public clients: a secret only where the program accepts one.
#[tokio::test(start_paused = true)]
async fn a_secret_is_accepted_by_name() {
    for method in ["client_secret_basic", "client_secret_post"] {
        let server = json!({ "token_endpoint_auth_methods_supported": [method] });
        let (script, user) = (world(&json!({}), &server), User::default());
        let connection = connected(&connector(native(), &script, &user)).await;
        connection.token().await.unwrap();
        let request = script.requests().pop().unwrap();
        let form = Form::parse(request.body()).unwrap();
        assert!(form.get("client_secret").is_none());
        assert!(!request.headers().contains_key("authorization"));
        let accepting = ClientMetadata::native("agent").accept_secret();
        let identities = Identities::new().register(accepting);
        let connection = connected(&connector(identities, &script, &user)).await;
        connection.token().await.unwrap();
        let request = script.requests().pop().unwrap();
        let form = Form::parse(request.body()).unwrap();
        let basic = request.headers().contains_key("authorization");
        assert_eq!(basic, method == "client_secret_basic");
        assert_eq!(form.get("client_secret").is_some(), !basic);
    }
}

/// MCP-15: the scopes of the challenge, else those of the tool, else none; never more than the
/// program allows. MCP-21: `offline_access` if the server lists it.
#[tokio::test(start_paused = true)]
async fn scopes_are_selected() {
    let listed = json!({"scopes_supported": ["read", "write"]});
    let no = json!({});
    let offline = json!({"scopes_supported": ["offline_access", "x"]});
    for (tool_has, server, challenge, allowed, expected) in [
        (&listed, &no, "Bearer scope=\"read\"", None, "read"),
        (&listed, &no, "Bearer", None, "read write"),
        (&no, &no, "Bearer", None, ""),
        (&no, &no, "Bearer", Some("a b"), "a b"),
        (&listed, &no, "Bearer", Some("read x"), "read"),
        (&no, &no, "Bearer scope=\"read\"", Some("read x"), "read"),
        (
            &no,
            &no,
            "Bearer scope=\"read admin\"",
            Some("read x"),
            "connect.scope",
        ),
        (
            &listed,
            &offline,
            "Bearer",
            None,
            "offline_access read write",
        ),
        (&listed, &offline, "Bearer", Some("read"), "read"),
    ] {
        let (script, user) = (world(tool_has, server), User::default());
        let mut connector = connector(native(), &script, &user);
        if let Some(allowed) = allowed {
            connector = connector.allow_scopes(allowed.parse().unwrap());
        }
        match connector.connect(&tool(), &challenged(challenge)).await {
            Ok(connection) => {
                connection.token().await.unwrap();
                assert_eq!(user.asked("scope"), [expected]);
            }
            Err(error) => assert_eq!(error.code(), expected),
        }
    }
}

/// MCP-20: a 403 widens the scopes once for each that is new, within what is allowed.
#[tokio::test(start_paused = true)]
async fn scopes_are_widened_within_what_is_allowed() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let connector = connector(native(), &script, &user).allow_scopes("read write".parse().unwrap());
    let first = challenged("Bearer scope=\"read\"");
    let connection = connector.connect(&tool(), &first).await.unwrap();
    let t0 = connection.token().await.unwrap();
    for (challenge, expected) in [
        ("Bearer error=\"insufficient_scope\"", Ok(false)),
        (
            "Bearer error=\"insufficient_scope\", scope=\"read\"",
            Ok(false),
        ),
        (
            "Bearer error=\"insufficient_scope\", scope=\"write\"",
            Ok(true),
        ),
        (
            "Bearer error=\"insufficient_scope\", scope=\"write\"",
            Ok(false),
        ),
        (
            "Bearer error=\"insufficient_scope\", scope=\"admin\"",
            Err("connect.scope"),
        ),
    ] {
        let challenges = challenged(challenge);
        let found = connection.widen(challenges.bearer().unwrap());
        assert_eq!(found.map_err(|error| error.code()), expected, "{challenge}");
    }
    let t1 = connection.token().await.unwrap();
    assert_ne!(t0.fingerprint(), t1.fingerprint());
    assert_eq!(user.asked("scope"), ["read", "read write"], "the union");
    assert_eq!(
        connection.scopes(),
        "read write".parse::<ScopeSet>().unwrap()
    );
}

/// STEP-02: a login that meets the requirement, once for each.
#[tokio::test(start_paused = true)]
async fn a_login_is_stepped_up_once() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let connection = connected(&connector(native(), &script, &user)).await;
    connection.token().await.unwrap();
    let of = |text: &'static str| challenged(text).bearer().unwrap().clone();
    let gold = of("Bearer error=\"insufficient_user_authentication\", acr_values=\"gold\"");
    let token = connection.step_up(&gold).await.unwrap().unwrap();
    assert_eq!(
        connection.token().await.unwrap().fingerprint(),
        token.fingerprint()
    );
    assert!(connection.step_up(&gold).await.unwrap().is_none());
    let fresh = of("Bearer error=\"insufficient_user_authentication\", max_age=\"60\"");
    assert!(connection.step_up(&fresh).await.unwrap().is_some());
    let nothing = of("Bearer error=\"insufficient_user_authentication\"");
    assert!(connection.step_up(&nothing).await.unwrap().is_none());
    assert_eq!(user.asked("acr_values"), ["", "gold", ""]);
    assert_eq!(user.asked("max_age"), ["", "", "60"]);
}

/// The grant is the first that is configured and offered. No secret is needed for the assertion of
/// a platform.
#[tokio::test(start_paused = true)]
async fn the_grant_is_chosen() {
    const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let all = json!([BEARER, "client_credentials", "authorization_code"]);
    for (offered, expected) in [
        (all, "assertion of the platform"),
        (
            json!(["client_credentials", "authorization_code"]),
            "client credentials",
        ),
        (
            json!(["authorization_code"]),
            "authorization code, by a user in a browser",
        ),
        (json!(["password"]), "connect.no_way"),
    ] {
        let server = json!({ "grant_types_supported": offered });
        let (script, user) = (world(&json!({}), &server), User::default());
        let client = PublicClient::new("ci".parse().unwrap());
        let connector = connector(Identities::new().everywhere(client), &script, &user)
            .as_itself()
            .by_assertion(GrantAudience::Issuer, |audience, _| {
                Ok(format!("for {audience}").into())
            });
        let explained = connector.explain(&tool(), &none()).await.unwrap();
        match connector.connect(&tool(), &none()).await {
            Ok(connection) => {
                connection.token().await.unwrap();
                assert_eq!(connection.way().to_string(), expected);
                assert_eq!(explained.way(), Some(connection.way()));
                let form = Form::parse(script.requests().last().unwrap().body()).unwrap();
                assert_eq!(form.get("grant_type"), Some(connection.way().grant_type()));
                if connection.way() == Way::Assertion {
                    assert_eq!(form.get("assertion"), Some("for https://as.example"));
                }
            }
            Err(error) => {
                assert_eq!(error.code(), expected);
                assert_eq!(explained.way(), None);
                assert!(
                    error
                        .to_string()
                        .contains("the server does not offer the grant")
                );
            }
        }
    }
}

/// JAG-13: the assertion of the user's identity provider, both steps; then the token is cached.
#[tokio::test(start_paused = true)]
async fn by_the_identity_provider() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let client = PublicClient::new("known".parse().unwrap());
    let identities = Identities::new().everywhere(client);
    let at_provider = PublicClient::new("at-idp".parse().unwrap());
    let known_as = Some("known".parse().unwrap());
    let connector = connector(identities, &script, &user).by_identity_provider(
        server_with(&json!({})),
        at_provider,
        SubjectToken::id_token("id"),
        known_as,
    );
    let connection = connected(&connector).await;
    assert_eq!(connection.way(), Way::IdentityProvider);
    let token = connection.token().await.unwrap();
    assert_eq!(
        connection.token().await.unwrap().fingerprint(),
        token.fingerprint()
    );
    let forms: Vec<_> = script
        .requests()
        .iter()
        .skip(2)
        .map(|it| Form::parse(it.body()).unwrap())
        .collect();
    assert_eq!(forms.len(), 2);
    assert_eq!(forms[0].get("audience"), Some("https://as.example"));
    assert_eq!(forms[0].get("client_id"), Some("at-idp"));
    assert!(forms[1].get("assertion").is_some());
    assert!(user.asked("state").is_empty());
}

/// Two users of one store who are not named have tokens of their own.
#[tokio::test(start_paused = true)]
async fn a_store_keeps_the_users_of_a_provider_apart() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let token = async |id_token: &str| {
        let client = PublicClient::new("known".parse().unwrap());
        let identities = Identities::new().everywhere(client.clone());
        let connector = connector(identities, &script, &user).with_store(Arc::clone(&store));
        let subject = SubjectToken::id_token(id_token);
        let provider = server_with(&json!({}));
        let connector = connector.by_identity_provider(provider, client, subject, None);
        let token = connected(&connector).await.token().await.unwrap();
        token.fingerprint()
    };
    let alice = token("alice").await;
    assert_ne!(token("bob").await, alice);
    assert_eq!(token("alice").await, alice);
    // A signal may be about each of them.
    let signal = Revoked::of_issuer("https://as.example".parse().unwrap()).subject("carol");
    let other = connector(native(), &script, &user).with_store(Arc::clone(&store));
    assert_eq!(other.drop_revoked(&signal).await.unwrap(), 2);
    assert_ne!(token("alice").await, alice);
}

/// Many callers cause one login, and each user has tokens of their own.
#[tokio::test(start_paused = true)]
async fn one_login_for_many_callers() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let connection = connected(&connector(native(), &script, &user).for_user("alice")).await;
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.token().await.unwrap().fingerprint().to_string() })
        })
        .collect();
    let mut tokens = std::collections::HashSet::new();
    for caller in callers {
        tokens.insert(caller.await.unwrap());
    }
    assert_eq!((tokens.len(), user.asked("state").len()), (1, 1));
}

/// The places of a challenge are asked, and a server that is not accepted gets nothing.
#[tokio::test(start_paused = true)]
async fn the_tool_chooses_only_among_accepted_servers() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let challenge = challenged("Bearer resource_metadata=\"https://tools.example/elsewhere\"");
    connector(native(), &script, &user)
        .connect(&tool(), &challenge)
        .await
        .unwrap();
    assert_eq!(paths(&script)[0], "/elsewhere");
    let evil = json!({"authorization_servers": ["https://evil.example"]});
    let script = world(&evil, &json!({}));
    let refused = connector(native(), &script, &user)
        .connect(&tool(), &none())
        .await;
    assert_eq!(code(refused), "discovery.no_server");
    assert_eq!(script.requests().len(), 1);
    // Only a program whose user sees where they log in accepts any.
    let any = connector(native(), &script, &user).accept_any_issuer();
    assert_eq!(
        connected(&any).await.issuer().as_str(),
        "https://evil.example"
    );
    // Metadata of another resource.
    let other = json!({"resource": "https://evil.example/mcp"});
    let script = world(&other, &json!({}));
    let refused = connector(native(), &script, &user).accept_any_issuer();
    assert_eq!(
        code(refused.connect(&tool(), &none()).await),
        "metadata.resource"
    );
}

/// A login that failed does not count for a step-up: the next challenge asks again.
#[tokio::test(start_paused = true)]
async fn a_failed_step_up_can_be_repeated() {
    let fails = Arc::new(Mutex::new(false));
    let failing = Arc::clone(&fails);
    let script = Script::new(move |request, number| {
        if request.uri().path() == "/token" && *failing.lock().unwrap() {
            return json_answer(503, &json!({"error": "temporarily_unavailable"}));
        }
        answer(request, number, &json!({}), &json!({}))
    });
    let user = User::default();
    let connection = connected(&connector(native(), &script, &user)).await;
    let challenge = challenged("Bearer error=\"insufficient_user_authentication\", max_age=\"60\"");
    let challenge = challenge.iter().next().unwrap();
    *fails.lock().unwrap() = true;
    assert_eq!(code(connection.step_up(challenge).await), "oauth.refused");
    *fails.lock().unwrap() = false;
    assert!(connection.step_up(challenge).await.unwrap().is_some());
    assert!(connection.step_up(challenge).await.unwrap().is_none());
    assert_eq!(user.asked("max_age"), ["60", "60"]);
}

/// A registration that the server has forgotten is not used again, and the next connection
/// registers anew. Another refusal keeps it.
#[tokio::test(start_paused = true)]
async fn a_forgotten_registration_is_dropped() {
    let error = Arc::new(Mutex::new(None));
    let own = Arc::clone(&error);
    let script = Script::new(move |request, number| {
        let error = *own.lock().unwrap();
        match (request.uri().path(), error) {
            ("/token", Some(error)) => json_answer(400, &json!({ "error": error })),
            _ => answer(request, number, &json!({}), &json!({})),
        }
    });
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let registrations = || {
        paths(&script)
            .iter()
            .filter(|it| *it == "/register")
            .count()
    };
    for (found, expected) in [
        (None, 1),
        (Some("invalid_grant"), 1),
        (Some("invalid_client"), 1),
        (None, 2),
        (None, 2),
    ] {
        *error.lock().unwrap() = found;
        let user = User::default();
        let connector = connector(native(), &script, &user).for_user(format!("{found:?}"));
        let connector = connector.with_store(Arc::clone(&store));
        let outcome = connected(&connector).await.token().await;
        assert_eq!(outcome.is_ok(), found.is_none());
        assert_eq!(registrations(), expected, "{found:?}");
    }
}

/// A signal drops what is stored, also where this program has no connection.
#[tokio::test(start_paused = true)]
async fn a_signal_reaches_the_store() {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let open = || connector(native(), &script, &user).with_store(Arc::clone(&store));
    connected(&open()).await.token().await.unwrap();
    let of = |issuer: &str| Revoked::of_issuer(issuer.parse().unwrap());
    let other = of("https://other.example");
    assert_eq!(open().drop_revoked(&other).await.unwrap(), 0);
    connected(&open()).await.token().await.unwrap();
    assert_eq!(user.asked("state").len(), 1);
    // The signal may have the other spelling of the issuer.
    for (number, issuer) in ["https://as.example", "https://as.example/"]
        .iter()
        .enumerate()
    {
        let dropped = open().drop_revoked(&of(issuer)).await.unwrap();
        assert_eq!(dropped, 1, "{issuer}");
        connected(&open()).await.token().await.unwrap();
        assert_eq!(user.asked("state").len(), number + 2);
    }
}

/// MCP revision 2025-03-26: the origin of the tool is its server, by name.
#[tokio::test(start_paused = true)]
async fn servers_without_resource_metadata() {
    let gone = json!({"none": true});
    let strict = connector(native(), &world(&gone, &json!({})), &User::default());
    let refused = strict.connect(&tool(), &none()).await;
    assert_eq!(code(refused), "discovery.not_found");
    for server in [json!({}), gone.clone()] {
        let (script, user) = (world(&gone, &server), User::default());
        let connector = connector(native(), &script, &user)
            .accept_issuers(["https://tools.example".parse().unwrap()])
            .accept_servers_without_resource_metadata();
        let connection = connected(&connector).await;
        connection.token().await.unwrap();
        assert_eq!(connection.issuer().as_str(), "https://tools.example");
        let last = script.requests().pop().unwrap();
        assert_eq!(last.uri(), "https://tools.example/token");
        assert_eq!(user.asked("code_challenge_method"), ["S256"]);
        let refused = connector_for_other(&script, &user)
            .connect(&tool(), &none())
            .await;
        assert_eq!(code(refused), "discovery.no_server");
    }
}

fn connector_for_other(script: &Script, user: &User) -> Connector {
    connector(native(), script, user).accept_servers_without_resource_metadata()
}

/// DPOP-12: a key for each server that supports DPoP, and none for another.
#[tokio::test(start_paused = true)]
async fn tokens_are_bound_where_that_is_possible() {
    let knows = json!({"dpop_signing_alg_values_supported": ["ES256"]});
    for (server, bound) in [(&knows, true), (&json!({}), false)] {
        let (script, user) = (world(&json!({}), server), User::default());
        let connector = connector(native(), &script, &user).with_dpop(AWS_LC);
        let connection = connected(&connector).await;
        assert_eq!(connection.token().await.unwrap().is_bound(), bound);
        assert_eq!(user.asked("dpop_jkt")[0].is_empty(), !bound);
        let other = connected(&connector).await;
        other.token().await.unwrap();
        let keys = user.asked("dpop_jkt");
        assert_eq!(keys[0] != keys[1], bound, "a new key for a new connection");
    }
}

/// The explanation says what would be used and why, and sends nothing but discovery.
#[tokio::test(start_paused = true)]
async fn a_way_is_explained() {
    let server = json!({"dpop_signing_alg_values_supported": ["ES256"],
        "pushed_authorization_request_endpoint": "https://as.example/par"});
    let (script, user) = (
        world(&json!({"scopes_supported": ["read"]}), &server),
        User::default(),
    );
    let connector = connector(native(), &script, &user).with_dpop(AWS_LC);
    let explained = connector.explain(&tool(), &none()).await.unwrap();
    let expected = "\
resource  https://tools.example/mcp
server    https://as.example
document  https://as.example/.well-known/oauth-authorization-server
identity  a new registration
grant     authorization code, by a user in a browser
  not     assertion of the identity provider: it is not configured
  not     assertion of the platform: it is not configured
  not     client credentials: it is not configured
scopes    read
token     DPoP
request   pushed
";
    assert_eq!(explained.to_string(), expected);
    assert_eq!(script.requests().len(), 2);
}

/// The program is told what is waited for.
#[tokio::test(start_paused = true)]
async fn progress_is_told() -> Result<(), Error> {
    let (script, user) = (world(&json!({}), &json!({})), User::default());
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let tell = Arc::clone(&told);
    let connector = connector(native(), &script, &user).on_progress(move |progress| {
        let shown = format!("{progress:?}");
        let name = shown.split([' ', '(']).next().unwrap_or_default();
        tell.lock().unwrap().push(name.to_owned());
    });
    connected(&connector).await.token().await?;
    let expected = [
        "Discovering",
        "Registering",
        "WaitingForBrowser",
        "Requesting",
        "Connected",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    Ok(())
}

const SIGNER: &str = "https://tools.example";

/// A party that signs the metadata of the tool, and what a client knows of it.
fn metadata_signer(issuer: &str) -> (SigningKey, MetadataSigner) {
    let key = SigningKey::generate(aims_jose::Algorithm::Es256, AWS_LC).unwrap();
    let key = key.with_key_id("m");
    let keys = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    (key, MetadataSigner::new(issuer, keys))
}

/// Returns `signed_metadata` of a resource whose server is this one.
fn signed_metadata(resource: &str, server: &str, by: &SigningKey, seconds: u64) -> Value {
    let metadata = ResourceMetadata::new(resource.parse().unwrap())
        .with_authorization_server(server.parse().unwrap())
        .signed(SIGNER, Some("m"), by, common::at(seconds))
        .unwrap();
    let document: Value = serde_json::from_str(&metadata.to_json()).unwrap();
    json!({"signed_metadata": document["signed_metadata"]})
}

/// Signed members decide where the client names the signer, and are ignored elsewhere (RFC 9728
/// §2.2).
#[tokio::test(start_paused = true)]
async fn signed_metadata_decides() {
    let (key, trusted) = metadata_signer(SIGNER);
    let other: Resource = "https://other.example/mcp".parse().unwrap();
    // The plain member names the server of an attacker, the signed one that of the tool.
    let mut document = signed_metadata(TOOL, "https://as.example", &key, common::NOW);
    document["authorization_servers"] = json!(["https://evil.example"]);
    let script = world(&document, &json!({}));
    let any = || connector(native(), &script, &User::default()).accept_any_issuer();
    for (connector, expected) in [
        (any(), "https://evil.example"),
        (
            any().trust_metadata(other, trusted.clone()),
            "https://evil.example",
        ),
        (
            any().trust_metadata(tool(), trusted.clone()),
            "https://as.example",
        ),
    ] {
        let connection = connected(&connector).await;
        assert_eq!(connection.issuer().as_str(), expected);
    }
    // The last signer of a tool counts.
    let (_, second) = metadata_signer(SIGNER);
    let replaced = any().trust_metadata(tool(), trusted.clone());
    let replaced = replaced.trust_metadata(tool(), second);
    let refused = replaced.connect(&tool(), &none()).await;
    assert_eq!(code(refused), "metadata.signed");
}

/// Each document differs from a good one in one thing.
#[tokio::test(start_paused = true)]
async fn other_signed_metadata_is_refused() {
    let (key, trusted) = metadata_signer(SIGNER);
    let (other_key, _) = metadata_signer(SIGNER);
    let (_, other_issuer) = metadata_signer("https://other.example");
    let server = "https://as.example";
    let good = signed_metadata(TOOL, server, &key, common::NOW);
    let broader = "https://tools.example";
    let broader = merged(
        signed_metadata(broader, server, &key, common::NOW),
        &json!({"resource": broader}),
    );
    let mut cut = good.clone();
    let text = good["signed_metadata"].as_str().unwrap();
    cut["signed_metadata"] = text.rsplit_once('.').unwrap().0.into();
    for (document, signer, expected) in [
        (good.clone(), &trusted, "ok"),
        (good, &other_issuer, "metadata.signed"),
        (
            signed_metadata(TOOL, server, &other_key, common::NOW),
            &trusted,
            "metadata.signed",
        ),
        (
            signed_metadata(TOOL, server, &key, common::NOW + 31),
            &trusted,
            "metadata.signed",
        ),
        (
            signed_metadata("https://tools.example/other", server, &key, common::NOW),
            &trusted,
            "metadata.resource",
        ),
        (broader.clone(), &trusted, "metadata.resource"),
        (cut, &trusted, "metadata.signed"),
        (json!({}), &trusted, "metadata.member"),
        (json!({"none": true}), &trusted, "discovery.not_found"),
    ] {
        let script = world(&document, &json!({}));
        let connector = connector(native(), &script, &User::default())
            .accept_servers_without_resource_metadata()
            .accept_issuers([SIGNER.parse().unwrap()])
            .trust_metadata(tool(), signer.clone());
        let found = connector.connect(&tool(), &none()).await;
        assert_eq!(code(found), expected, "{document}");
    }
    // By name, a signed document may name a broader resource.
    let script = world(&broader, &json!({}));
    let connector = connector(native(), &script, &User::default())
        .accept_broader_resource()
        .trust_metadata(tool(), trusted);
    assert_eq!(code(connector.connect(&tool(), &none()).await), "ok");
}

/// A key with the trusted identifier signs for another party.
#[tokio::test(start_paused = true)]
async fn the_signer_is_named_with_its_issuer() {
    let (key, _) = metadata_signer(SIGNER);
    let keys = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    let document = signed_metadata(TOOL, "https://as.example", &key, common::NOW);
    for (issuer, expected) in [
        (SIGNER, "ok"),
        ("https://tools.example/", "metadata.issuer"),
    ] {
        let script = world(&document, &json!({}));
        let signer = MetadataSigner::new(issuer, keys.clone());
        let connector = connector(native(), &script, &User::default());
        let found = connector.trust_metadata(tool(), signer);
        assert_eq!(code(found.connect(&tool(), &none()).await), expected);
    }
}
