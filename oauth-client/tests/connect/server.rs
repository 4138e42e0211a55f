//! From the URL of a tool to its server and a token.

use std::sync::{Arc, Mutex};

use aims_oauth_client::{ClientMetadata, Connector, Error, Identities, TlsSubject, Way};
use aims_oauth_wire::client_auth::{PublicClient, TlsClientAuth};
use aims_oauth_wire::token::Form;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{
    TOOL, User, challenged, connected, connector, native, none, paths, tool, world,
};
use crate::common::{Paused, Script, code, with};

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

/// BCP-02: a server of an attacker that is accepted unnamed does not get the codes of another one.
#[tokio::test(start_paused = true)]
async fn an_unnamed_server_has_endpoints_of_one_origin() {
    let mixed = json!({"authorization_endpoint": "https://honest.example/authorize"});
    let named = with(
        mixed.clone(),
        &json!({"authorization_response_iss_parameter_supported": true}),
    );
    for (server, is_known, expected) in [
        (json!({}), false, "ok"),
        (mixed.clone(), false, "connect.no_way"),
        // The answer must name the server; see `mixed_up::the_endpoint_of_another_server_answers`.
        (named, false, "ok"),
        // As some servers have it, which the program names.
        (mixed, true, "ok"),
    ] {
        let (script, user) = (world(&json!({}), &server), User::default());
        let mut any = Connector::new(native(), script.clone())
            .with_clock(Paused(Instant::now()))
            .by_user(user.clone())
            .accept_any_issuer();
        if is_known {
            any = any.accept_issuers(["https://as.example".parse().unwrap()]);
        }
        let found = any.connect(&tool(), &none()).await;
        assert_eq!(code(found), expected, "{server}");
        let registered = paths(&script).iter().any(|it| it == "/register");
        assert_eq!(registered, expected == "ok");
    }
}

/// BCP-02: a client with a certificate sends codes to the alias of the token endpoint, which an
/// attacker can name as well.
#[tokio::test(start_paused = true)]
async fn an_unnamed_server_has_aliases_of_its_origin() {
    let alias = |url: &str| json!({"mtls_endpoint_aliases": {"token_endpoint": url}});
    let (own, other) = (
        alias("https://as.example/mtls"),
        alias("https://mtls.example/token"),
    );
    let id = || "agent".parse().unwrap();
    let subject = TlsSubject::Uri("spiffe://example.org/agent".into());
    let certified = [
        Identities::new().everywhere(TlsClientAuth::new(id())),
        Identities::new().register(ClientMetadata::tls("agent", subject)),
    ];
    let others = [
        Identities::new().everywhere(PublicClient::new(id())),
        native(),
    ];
    for (server, all, expected) in [
        (&own, &certified, Some(Way::User)),
        (&other, &certified, None),
        (&other, &others, Some(Way::User)),
    ] {
        for identities in all {
            let any = Connector::new(identities.clone(), world(&json!({}), server))
                .with_clock(Paused(Instant::now()))
                .by_user(User::default())
                .accept_any_issuer();
            let found = any.explain(&tool(), &none()).await.unwrap();
            assert_eq!(found.way(), expected, "{server} {identities:?}");
        }
    }
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

/// The connector tells the program what it waits for.
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
