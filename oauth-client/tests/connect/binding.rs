//! Tokens that are bound by DPoP, as the tool and its server support it.

use std::sync::Arc;

use aims_jose::provider::AWS_LC;
use aims_oauth_client::{ClientMetadata, Identities, MemoryStore, TokenStore};
use serde_json::{Value, json};

use super::world::{User, answer, challenged, connector, native, none, paths, tool, world};
use crate::common::{Script, code, json_answer, with};

/// DPOP-12: the metadata of the tool count as well. A tool that requires bound tokens gets them, or
/// the program gets an error before anything is registered.
#[tokio::test(start_paused = true)]
async fn the_tool_says_what_it_accepts() {
    let lists = |algorithms: &[&str]| json!({"dpop_signing_alg_values_supported": algorithms});
    let required = json!({"dpop_bound_access_tokens_required": true});
    let (own, other, unsaid) = (lists(&["ES384", "ES256"]), lists(&["ES384"]), json!({}));
    let both = |tool: &Value| with(tool.clone(), &required);
    let dpop = "DPoP";
    let needed = "DPoP, which the tool requires";
    let of_tool = "none: the tool requires DPoP, and the tool does not accept proofs by ES256";
    let of_server = "none: the tool requires DPoP, and the server does not accept proofs by ES256";
    for (tool_says, server, expected) in [
        (own.clone(), &own, dpop),
        (other.clone(), &own, "bearer"),
        (lists(&[]), &own, "bearer"),
        (both(&own), &own, needed),
        (required.clone(), &own, needed),
        // A server may support DPoP without saying so. Its token must be bound.
        (required.clone(), &unsaid, needed),
        (both(&other), &own, of_tool),
        (required.clone(), &other, of_server),
        (own.clone(), &unsaid, "bearer"),
        // A tool that says nothing may know nothing of DPoP.
        (unsaid.clone(), &own, "bearer"),
        (
            json!({"dpop_bound_access_tokens_required": false}),
            &own,
            "bearer",
        ),
    ] {
        let (script, user) = (world(&tool_says, server), User::default());
        let connector = connector(native(), &script, &user).with_dpop(AWS_LC);
        let explained = connector.explain(&tool(), &none()).await.unwrap();
        let line = format!("\ntoken     {expected}\n");
        assert!(explained.to_string().contains(&line), "{explained}");
        assert_eq!(explained.is_bound(), expected.starts_with(dpop));
        let connected = connector.connect(&tool(), &none()).await;
        if expected.starts_with("none") {
            assert_eq!(code(connected), "connect.dpop", "{tool_says}");
            assert!(!paths(&script).iter().any(|it| it == "/register"));
            continue;
        }
        let token = connected.unwrap().token().await.unwrap();
        assert_eq!(token.is_bound(), explained.is_bound(), "{tool_says}");
    }
}

/// DPOP-12: the error says why the program cannot bind the tokens that the tool requires.
#[tokio::test(start_paused = true)]
async fn a_required_binding_needs_a_key() {
    let required = json!({"dpop_bound_access_tokens_required": true});
    let knows = json!({"dpop_signing_alg_values_supported": ["ES256"]});
    let (script, user) = (world(&required, &knows), User::default());
    let plain = connector(native(), &script, &user);
    let without = plain.clone().with_dpop_keys(|_| None);
    for (connector, reason) in [
        (&plain, "the program does not use DPoP"),
        (&without, "the program has no key for this server"),
    ] {
        let error = connector.connect(&tool(), &none()).await.unwrap_err();
        assert_eq!(error.code(), "connect.dpop");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

/// DPOP-12: the scheme of a challenge names DPoP as well, with its algorithms (RFC 9449 §7.1).
#[tokio::test(start_paused = true)]
async fn a_challenge_names_dpop() {
    let knows = json!({"dpop_signing_alg_values_supported": ["ES256"]});
    let legacy = json!({"none": true});
    for (tool_says, challenge, bound) in [
        (json!({}), "Bearer scope=\"read\"", false),
        (json!({}), "DPoP algs=\"ES384 ES256\"", true),
        (json!({}), "Bearer, dpop error=\"invalid_token\"", true),
        (json!({}), "DPoP algs=\"ES384\"", false),
        // The metadata count before the challenge.
        (knows.clone(), "DPoP algs=\"ES384\"", true),
        (legacy.clone(), "Bearer", false),
        (legacy, "DPoP", true),
    ] {
        let (script, user) = (world(&tool_says, &knows), User::default());
        let connector = connector(native(), &script, &user)
            .accept_servers_without_resource_metadata()
            .accept_issuers(["https://tools.example".parse().unwrap()])
            .with_dpop(AWS_LC);
        let challenges = challenged(challenge);
        let explained = connector.explain(&tool(), &challenges).await.unwrap();
        assert_eq!(explained.is_bound(), bound, "{tool_says} {challenge}");
        let connection = connector.connect(&tool(), &challenges).await.unwrap();
        let token = connection.token().await.unwrap();
        assert_eq!(token.is_bound(), bound, "{tool_says} {challenge}");
    }
}

/// DPOP-12: a client that its server registers for bound tokens gets bound ones, also where it did
/// not ask for that, and the tool says nothing (RFC 9449 §5.2).
#[tokio::test(start_paused = true)]
async fn a_registration_demands_a_binding() {
    let of_agent = |metadata: ClientMetadata| Identities::new().register(metadata);
    let plain = || of_agent(ClientMetadata::native("agent"));
    let asking = || of_agent(ClientMetadata::native("agent").require_dpop());
    for (identities, registered, server, bound) in [
        (plain(), json!({}), "ES256", false),
        (
            plain(),
            json!({"dpop_bound_access_tokens": false}),
            "ES256",
            false,
        ),
        (
            plain(),
            json!({"dpop_bound_access_tokens": null}),
            "ES256",
            false,
        ),
        (
            plain(),
            json!({"dpop_bound_access_tokens": true}),
            "ES256",
            true,
        ),
        (
            plain(),
            json!({"dpop_bound_access_tokens": "true"}),
            "ES256",
            true,
        ),
        (asking(), json!({}), "ES256", true),
        (plain(), json!({"dpop_bound_access_tokens": true}), "", true),
    ] {
        let user = User::default();
        let script = Script::new(move |request, number| {
            let knows = json!({"dpop_signing_alg_values_supported": [server]});
            let knows = if server.is_empty() { json!({}) } else { knows };
            match request.uri().path() {
                "/register" => json_answer(201, &with(json!({"client_id": "c"}), &registered)),
                _ => answer(request, number, &json!({}), &knows),
            }
        });
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let bare = connector(identities, &script, &user).with_store(store);
        let connector = bare.clone().with_dpop(AWS_LC);
        let connection = connector.connect(&tool(), &none()).await.unwrap();
        assert_eq!(connection.token().await.unwrap().is_bound(), bound);
        // The stored registration says so, too.
        let explained = connector.explain(&tool(), &none()).await.unwrap();
        assert_eq!(explained.is_bound(), bound);
        let again = connector.connect(&tool(), &none()).await.unwrap();
        assert_eq!(again.is_bound(), bound);
        assert_eq!(
            paths(&script)
                .iter()
                .filter(|it| *it == "/register")
                .count(),
            1
        );
        if bound {
            let error = bare.connect(&tool(), &none()).await.unwrap_err();
            assert_eq!(error.code(), "connect.dpop");
            let who = "the registration of the client requires tokens that are bound by DPoP";
            assert!(error.to_string().contains(who), "{error}");
        }
    }
}

/// DPOP-12: a program without a key gets an error after a registration for bound tokens, and none
/// is sent to the user.
#[tokio::test(start_paused = true)]
async fn a_registration_for_bound_tokens_needs_a_key() {
    let user = User::default();
    let script = Script::new(|request, number| match request.uri().path() {
        "/register" => {
            let body = json!({"client_id": "c", "dpop_bound_access_tokens": true});
            json_answer(201, &body)
        }
        _ => answer(request, number, &json!({}), &json!({})),
    });
    let connector = connector(native(), &script, &user);
    let connected = connector.connect(&tool(), &none()).await;
    assert_eq!(code(connected), "connect.dpop");
    assert!(user.asked("state").is_empty());
}

/// DPOP-12: a program may require bound tokens of every server, and gets no bearer token then.
#[tokio::test(start_paused = true)]
async fn a_program_requires_a_binding() {
    let lists = |algorithms: &[&str]| json!({"dpop_signing_alg_values_supported": algorithms});
    let (own, other, unsaid) = (lists(&["ES256"]), lists(&["ES384"]), json!({}));
    let refused = "none: the program requires DPoP, and";
    for (tool_says, server, expected) in [
        (&unsaid, &own, "DPoP, which the program requires".to_owned()),
        (&own, &own, "DPoP, which the program requires".to_owned()),
        (
            &other,
            &own,
            format!("{refused} the tool does not accept proofs by ES256"),
        ),
        (
            &unsaid,
            &other,
            format!("{refused} the server does not accept proofs by ES256"),
        ),
        (
            &unsaid,
            &unsaid,
            format!("{refused} the server does not announce DPoP"),
        ),
    ] {
        let (script, user) = (world(tool_says, server), User::default());
        let connector = connector(native(), &script, &user);
        let connector = connector.with_dpop(AWS_LC).require_dpop();
        let explained = connector.explain(&tool(), &none()).await.unwrap();
        let line = format!("\ntoken     {expected}\n");
        assert!(explained.to_string().contains(&line), "{explained}");
        match connector.connect(&tool(), &none()).await {
            Ok(connection) => {
                assert!(expected.starts_with("DPoP"));
                assert!(connection.token().await.unwrap().is_bound());
            }
            Err(error) => {
                assert!(expected.starts_with(refused));
                assert_eq!(error.code(), "connect.dpop");
            }
        }
    }
}

/// DPOP-12: a kept login stays as it was. A tool that names DPoP no longer gets no bearer token of
/// it, and after a logout the tool decides again.
#[tokio::test(start_paused = true)]
async fn a_kept_login_stays_bound() {
    let knows = json!({"dpop_signing_alg_values_supported": ["ES256"]});
    let (naming, silent) = (world(&knows, &knows), world(&json!({}), &knows));
    let user = User::default();
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let of = |script: &Script| {
        let connector = connector(native(), script, &user).with_store(Arc::clone(&store));
        connector.with_dpop(AWS_LC)
    };
    let first = of(&naming).connect(&tool(), &none()).await.unwrap();
    assert!(first.token().await.unwrap().is_bound());
    let second = of(&silent).connect(&tool(), &none()).await.unwrap();
    assert!(second.is_bound());
    assert!(second.token().await.unwrap().is_bound());
    assert_eq!(user.asked("state").len(), 1);
    second.log_out().await.unwrap();
    let third = of(&silent).connect(&tool(), &none()).await.unwrap();
    assert!(!third.token().await.unwrap().is_bound());
    assert_eq!(user.asked("state").len(), 2);
}
