//! The granted authorization details are compared with the requested ones.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_oauth_client::{
    Error, Grant, MemoryStore, Target, Token, TokenRules, TokenSource, TokenStore, UserGrant,
};
use common::suite::{Code, TOOL};
use common::{LATEST, Paused, Script, client, code, json_answer, metadata, sleep};
use serde_json::{Value, json};
use tokio::time::Instant;

/// A server that grants these details at a login, and those in renewals.
fn server(login: &Value, renewal: &Value) -> Script {
    let (login, renewal) = (login.clone(), renewal.clone());
    Script::new(move |_, number| {
        let details = if number == 0 { &login } else { &renewal };
        let mut body = json!({"access_token": format!("access{number}"), "token_type": "Bearer",
            "expires_in": 300, "refresh_token": format!("refresh{number}")});
        if !details.is_null() {
            body["authorization_details"] = details.clone();
        }
        json_answer(200, &body)
    })
}

fn source(script: &Script, rules: TokenRules, start: Instant) -> TokenSource {
    TokenSource::new(metadata(), client(), script.clone())
        .with_clock(Paused(start))
        .with_random(&LATEST)
        .with_rules(rules)
}

fn target(scopes: &str, details: &Value) -> Target {
    let scopes = match scopes {
        "" => Default::default(),
        scopes => scopes.parse().unwrap(),
    };
    let target = Target::new(TOOL.parse().unwrap(), scopes);
    match details {
        Value::Null => target,
        details => target.with_details(&details.to_string()).unwrap(),
    }
}

/// Returns the details that the token has, as JSON.
fn held(token: &Token) -> Value {
    let details = token.details().map(|it| serde_json::from_str(it).unwrap());
    details.unwrap_or_default()
}

async fn log_in(target: Target, granted: &Value, rules: TokenRules) -> Result<Value, Error> {
    let script = server(granted, &Value::Null);
    let token = source(&script, rules, Instant::now())
        .redeem(Code(target))
        .await?;
    Ok(held(&token))
}

/// RAR-02: what the answer to a login carries beyond the request is refused, and the token knows
/// what was granted.
#[tokio::test(start_paused = true)]
async fn granted_details_are_the_requested_ones_or_fewer() {
    let tool = |actions: &[&str]| json!({"type": "aims_tool", "actions": actions});
    let pay = |amount: f64| json!({"type": "pay", "amount": amount});
    let asked = json!([tool(&["read", "write"]), pay(5.0)]);
    let refused = Err("grant.other_details");
    for (granted, expected) in [
        (asked.clone(), Ok(())),
        // In another order and another spelling of a number.
        (
            json!([{"amount": 5, "type": "pay"}, tool(&["write", "read"])]),
            Ok(()),
        ),
        (json!([tool(&["read"])]), Ok(())),
        (json!([pay(5.0)]), Ok(())),
        (json!([tool(&["read", "delete"])]), refused),
        (json!([pay(6.0)]), refused),
        (json!([pay(5.0), {"type": "other"}]), refused),
        (
            json!([{"type": "pay", "amount": 5.0, "to": "mallory"}]),
            refused,
        ),
        // Without `actions`, an entry may permit all of them.
        (json!([{"type": "aims_tool"}]), refused),
        (json!([1]), refused),
        (json!({}), refused),
        // RFC 9396 §7: the server must state what it granted.
        (Value::Null, refused),
    ] {
        let found = log_in(target("read", &asked), &granted, TokenRules::new()).await;
        match (&found, expected) {
            (Ok(held), Ok(())) => assert_eq!(*held, granted),
            (Err(error), Err(expected)) => assert_eq!(error.code(), expected, "{granted}"),
            _ => panic!("{found:?} of {granted}"),
        }
    }
}

/// RAR-02: details that were not requested are refused, unless the server chooses everything.
#[tokio::test(start_paused = true)]
async fn details_that_were_not_requested_are_refused() {
    let granted = json!([{"type": "pay", "amount": 5}]);
    let nothing = Value::Null;
    let found = log_in(target("read", &nothing), &granted, TokenRules::new()).await;
    assert_eq!(code(found), "grant.other_details");
    let found = log_in(target("", &nothing), &granted, TokenRules::new()).await;
    assert_eq!(found.unwrap(), granted);
    let found = log_in(target("read", &nothing), &nothing, TokenRules::new()).await;
    assert_eq!(found.unwrap(), nothing);
}

/// RAR-02: a program accepts what its server does, by name.
#[tokio::test(start_paused = true)]
async fn deviations_are_accepted_by_name() {
    let asked = json!([{"type": "account", "accounts": []}]);
    let enriched = json!([{"type": "account", "accounts": ["1"]}]);
    let both = json!([{"type": "account", "accounts": ["1"]}, {"type": "pay"}]);
    let named = || TokenRules::new().accept_other_details(["account"]);
    let unstated = || TokenRules::new().accept_unstated_details();
    for (rules, granted, expected) in [
        (named(), &enriched, "ok"),
        (named(), &both, "grant.other_details"),
        (named(), &Value::Null, "grant.other_details"),
        (unstated(), &Value::Null, "ok"),
        (unstated(), &enriched, "grant.other_details"),
    ] {
        let found = log_in(target("read", &asked), granted, rules).await;
        assert_eq!(code(found), expected, "{granted}");
    }
}

/// RAR-02: a renewal keeps what was granted, in memory and in a store, and gets no more.
#[tokio::test(start_paused = true)]
async fn a_renewal_keeps_the_granted_details() {
    let asked = json!([{"type": "account", "accounts": []}]);
    let enriched = json!([{"type": "account", "accounts": ["1"]}]);
    let more = json!([{"type": "account", "accounts": ["1", "2"]}]);
    for is_stored in [false, true] {
        for (renewal, expected) in [
            (&Value::Null, Ok(&enriched)),
            (&enriched, Ok(&enriched)),
            (&asked, Ok(&asked)),
            (&more, Err("grant.other_details")),
        ] {
            let (script, start) = (server(&enriched, renewal), Instant::now());
            let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
            let target = || target("read", &asked);
            let of = |rules| match is_stored {
                true => source(&script, rules, start).with_store(Arc::clone(&store)),
                false => source(&script, rules, start),
            };
            let enriching = of(TokenRules::new().accept_other_details(["account"]));
            let first = enriching.redeem(Code(target())).await.unwrap();
            assert_eq!(held(&first), enriched);
            sleep(200).await;
            let strict = UserGrant::new(target());
            let renewed = match is_stored {
                // Another process has it from the store.
                true => {
                    sleep(100).await;
                    of(TokenRules::new()).token(strict).await
                }
                false => renew(&first, target(), &script).await,
            };
            let renewed = renewed.map(|it| held(&it));
            match expected {
                Ok(expected) => assert_eq!(renewed.unwrap(), *expected),
                Err(expected) => assert_eq!(code(renewed), expected),
            }
        }
    }
}

/// Renews by a flow of its own, with the default rules.
async fn renew(token: &Token, target: Target, script: &Script) -> Result<Arc<Token>, Error> {
    let refresh = aims_oauth_client::Refresh::of(token, target, TokenRules::new()).unwrap();
    assert_eq!(refresh.grant_type(), "refresh_token");
    let source = source(script, TokenRules::new(), Instant::now());
    source.redeem(refresh).await
}
