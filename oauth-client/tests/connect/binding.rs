//! Tokens that are bound by DPoP, as the tool and its server support it.

use aims_jose::provider::AWS_LC;
use serde_json::{Value, json};

use super::world::{User, connector, native, none, paths, tool, world};
use crate::common::{code, with};

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
