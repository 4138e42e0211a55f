//! The grant by which a connection gets its tokens.

use std::sync::Mutex;

use aims_jose::jws::Unverified;
use aims_jose::provider::AWS_LC;
use aims_oauth_client::{Connector, GrantAudience, Identities, SubjectToken, Way};
use aims_oauth_wire::client_auth::PublicClient;
use aims_oauth_wire::token::Form;
use serde_json::json;
use tokio::time::Instant;

use super::world::{User, answer, connected, connector, native, none, tool, world};
use crate::common::{Paused, Script, code, json_answer, server_with};

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
    // The assertion of the provider goes to the server of the tool, in the client's name there.
    let assertion = Unverified::parse(forms[1].get("assertion").unwrap()).unwrap();
    assert!(assertion.header().is_typ("oauth-id-jag+jwt"));
    let jwt_bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    assert_eq!(forms[1].get("grant_type"), Some(jwt_bearer));
    assert_eq!(forms[1].get("client_id"), Some("known"));
    assert!(user.asked("state").is_empty());
}

/// JWTA-10: each connection of a connector knows that a platform's token was used.
#[tokio::test(start_paused = true)]
async fn a_connector_awaits_the_next_token_of_a_platform() {
    let user = User::default();
    let used = Mutex::new(0);
    let script = Script::new(move |request, number| {
        if request.uri().path() != "/token" {
            return answer(request, number, &json!({}), &json!({}));
        }
        *used.lock().unwrap() += 1;
        match *used.lock().unwrap() {
            1 => answer(request, number, &json!({}), &json!({})),
            _ => json_answer(400, &json!({"error": "invalid_grant"})),
        }
    });
    let client = PublicClient::new("ci".parse().unwrap());
    let connector = connector(Identities::new().everywhere(client), &script, &user)
        .by_assertion(GrantAudience::Issuer, |_, _| Ok("p1".into()));
    connected(&connector).await.token().await.unwrap();
    let again = connected(&connector).await.token().await;
    assert_eq!(code(again), "grant.assertion_used");
}

/// JAG-41: the assertion is bound to the key of the tokens, where the provider supports DPoP. A
/// token of the tool's server is bound in every case.
#[tokio::test(start_paused = true)]
async fn the_assertion_of_a_provider_is_bound() {
    let knows = json!({"dpop_signing_alg_values_supported": ["ES256"]});
    let other = json!({"dpop_signing_alg_values_supported": ["EdDSA"]});
    for (provider, server, bound) in [
        (&knows, &knows, [true, true]),
        (&json!({}), &knows, [false, true]),
        (&other, &knows, [false, true]),
        (&knows, &json!({}), [false, false]),
    ] {
        let (script, user) = (world(&knows, server), User::default());
        let client = PublicClient::new("known".parse().unwrap());
        let identities = Identities::new().everywhere(client.clone());
        let connector = connector(identities, &script, &user)
            .with_dpop(AWS_LC)
            .by_identity_provider(
                server_with(provider),
                client,
                SubjectToken::id_token("id"),
                None,
            );
        let token = connected(&connector).await.token().await.unwrap();
        let requests = script.requests();
        let proven = [2, 3].map(|it| requests[it].headers().contains_key("dpop"));
        assert_eq!((proven, token.is_bound()), (bound, bound[1]));
    }
}

/// DPOP-12: a key for each server that supports DPoP, and none for another.
#[tokio::test(start_paused = true)]
async fn tokens_are_bound_where_that_is_possible() {
    let knows = json!({"dpop_signing_alg_values_supported": ["ES256"]});
    for (server, bound) in [(&knows, true), (&json!({}), false)] {
        let (script, user) = (world(&knows, server), User::default());
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
        world(
            &json!({"scopes_supported": ["read"], "dpop_signing_alg_values_supported": ["ES256"]}),
            &server,
        ),
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
  not     device code, by a user on another device: it is not configured
scopes    read
token     DPoP
request   pushed
";
    assert_eq!(explained.to_string(), expected);
    assert_eq!(script.requests().len(), 2);
}

/// BCP-15: a server that is accepted unnamed gets no assertion for the token endpoint of another
/// server, which would accept it and give a token that the tool then gets.
#[tokio::test(start_paused = true)]
async fn an_assertion_is_for_no_other_server() {
    use GrantAudience::{Issuer, TokenEndpoint};
    const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let honest = "https://honest.example/token";
    let own = "https://as.example/token";
    for (endpoint, audience, is_named, expected) in [
        (own, TokenEndpoint, false, "ok"),
        (honest, TokenEndpoint, false, "connect.no_way"),
        (honest, TokenEndpoint, true, "ok"),
        // The other server refuses an assertion for this issuer.
        (honest, Issuer, false, "ok"),
    ] {
        let server = json!({"token_endpoint": endpoint, "grant_types_supported": [BEARER]});
        let script = world(&json!({}), &server);
        let client = PublicClient::new("ci".parse().unwrap());
        let mut connector = Connector::new(Identities::new().everywhere(client), script.clone())
            .with_clock(Paused(Instant::now()))
            .accept_any_issuer()
            .by_assertion(audience, |audience, _| Ok(format!("for {audience}").into()));
        if is_named {
            connector = connector.accept_issuers(["https://as.example".parse().unwrap()]);
        }
        let found = match connector.connect(&tool(), &none()).await {
            Ok(connection) => code(connection.token().await),
            Err(error) => error.code(),
        };
        assert_eq!(found, expected, "{endpoint} {audience:?}");
        let asked = script
            .requests()
            .into_iter()
            .any(|it| it.uri().path() == "/token");
        assert_eq!(asked, expected == "ok", "{endpoint} {audience:?}");
    }
}
