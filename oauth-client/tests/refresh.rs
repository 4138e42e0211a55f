//! Refresh tokens: rotated, kept, dropped (RFC 6749 §6, RFC 9700 §4.14.2).

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};

use aims_fetch::{Fetch, FetchFuture};
use aims_oauth_client::{
    Error, ErrorClass, MemoryStore, Refresh, Target, TokenRules, TokenSource, TokenStore, UserGrant,
};
use aims_oauth_wire::token::Form;
use common::suite::{Code, TOOL};
use common::{LATEST, Paused, Script, client, code, json_answer, server_with, sleep};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

fn target() -> Target {
    let target = Target::new(TOOL.parse().unwrap(), "read write".parse().unwrap());
    target.with_subject("alice")
}

fn source(http: impl Fetch + 'static, rules: TokenRules) -> TokenSource {
    TokenSource::new(server_with(&json!({})), client(), http)
        .with_clock(Paused(Instant::now()))
        .with_random(&LATEST)
        .with_rules(rules)
}

fn granted(number: usize, refresh: Option<&str>) -> Response<Vec<u8>> {
    let mut body = json!({"access_token": format!("t{number}"), "token_type": "Bearer",
        "expires_in": 300, "scope": "read"});
    if let Some(refresh) = refresh {
        body["refresh_token"] = refresh.into();
    }
    json_answer(200, &body)
}

fn refused(status: u16, error: &str) -> Response<Vec<u8>> {
    json_answer(status, &json!({ "error": error }))
}

/// Returns which refresh tokens were sent, by the number of the request.
fn sent(script: &Script) -> Vec<Option<String>> {
    let forms = script.forms();
    let sent = forms
        .iter()
        .map(|it| it.get("refresh_token").map(String::from));
    sent.collect()
}

async fn text(source: &TokenSource) -> Result<String, Error> {
    let token = source.token(UserGrant::new(target())).await?;
    let mut headers = http::HeaderMap::new();
    token.apply(&mut headers)?;
    Ok(headers["authorization"].to_str().unwrap().to_owned())
}

/// CORE-09: a new refresh token replaces the old one, and the old one stays if there is no new one.
#[tokio::test(start_paused = true)]
async fn rotated_or_kept() {
    let answers = [Some("r0"), Some("r1"), None, Some("r3"), None];
    let script = Script::new(move |_, number| granted(number, answers[number]));
    let source = source(script.clone(), TokenRules::new());
    source.redeem(Code(target())).await.unwrap();
    for _ in 1..answers.len() {
        sleep(300).await;
        text(&source).await.unwrap();
    }
    let expected = [None, Some("r0"), Some("r1"), Some("r1"), Some("r3")];
    assert_eq!(sent(&script), expected.map(|it| it.map(String::from)));
    // The scopes that were granted stay those of the token.
    let forms = script.forms();
    assert_eq!(forms[1].get("resource"), Some(TOOL));
    assert_eq!(forms[1].get("scope"), None);
    assert_eq!(forms[1].get("grant_type"), Some("refresh_token"));
}

/// Per server: `scope` and `resource` with a refresh token.
#[tokio::test(start_paused = true)]
async fn servers_that_need_or_refuse_parameters() {
    for (rules, resource, scope) in [
        (TokenRules::new(), Some(TOOL), None),
        (TokenRules::new().omit_resource_on_refresh(), None, None),
        (
            TokenRules::new().send_scope_on_refresh(),
            Some(TOOL),
            Some("read"),
        ),
        (TokenRules::new().omit_resource(), None, None),
    ] {
        let script = Script::new(|_, number| granted(number, Some("r")));
        let source = source(script.clone(), rules.clone());
        source.redeem(Code(target())).await.unwrap();
        sleep(300).await;
        text(&source).await.unwrap();
        let forms = script.forms();
        assert_eq!(
            (forms[1].get("resource"), forms[1].get("scope")),
            (resource, scope)
        );
        let first = if rules == TokenRules::new().omit_resource() {
            None
        } else {
            Some(TOOL)
        };
        assert_eq!(forms[0].get("resource"), first);
    }
}

/// CORE-12: a refused refresh token is dropped, and the user must act. That is told, and the server
/// is not asked again.
#[tokio::test(start_paused = true)]
async fn dropped_when_refused() {
    let script = Script::new(|request, number| {
        let form = Form::parse(request.body()).unwrap();
        match form.get("code") {
            Some(_) => granted(number, Some("r0")),
            None => refused(400, "invalid_grant"),
        }
    });
    let source = source(script.clone(), TokenRules::new());
    source.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    let error = text(&source).await.unwrap_err();
    assert_eq!(error.code(), "grant.needs_user");
    assert!(error.needs_user() && !error.is_retryable());
    let Error::NeedsUser { last: Some(last) } = &error else {
        unreachable!("{error:?}");
    };
    assert_eq!(last.refusal().unwrap().error(), "invalid_grant");
    for _ in 0..5 {
        sleep(120).await;
        assert!(text(&source).await.unwrap_err().needs_user());
    }
    assert_eq!(script.requests().len(), 2);
    // The user logs in again.
    source.redeem(Code(target())).await.unwrap();
    assert_eq!(text(&source).await.unwrap(), "Bearer t2");
}

/// CORE-12: 5xx, 429 and other refusals keep the refresh token, whatever their body says.
#[tokio::test(start_paused = true)]
async fn kept_when_the_server_fails() {
    for (status, error, is_retryable) in [
        (500, "invalid_grant", true),
        (500, "unknown_error", true),
        (503, "temporarily_unavailable", true),
        (429, "invalid_grant", true),
        (429, "too_many_requests", true),
        (429, "slow_down", true),
        (401, "invalid_client", false),
        (400, "invalid_scope", false),
        (400, "unauthorized_client", false),
    ] {
        let script = Script::new(move |_, number| match number {
            0 => granted(0, Some("r0")),
            1 => refused(status, error),
            _ => granted(number, None),
        });
        let source = source(script.clone(), TokenRules::new());
        source.redeem(Code(target())).await.unwrap();
        sleep(300).await;
        let failed = text(&source).await.unwrap_err();
        assert_eq!(failed.code(), "oauth.refused", "{status} {error}");
        assert!(!failed.needs_user(), "{status} {error}");
        assert_eq!(failed.is_retryable(), is_retryable, "{status} {error}");
        let is_transient = matches!(failed.class(), ErrorClass::Transient | ErrorClass::Pending);
        assert_eq!(is_transient, is_retryable, "{status} {error}");
        sleep(60).await;
        assert_eq!(
            text(&source).await.unwrap(),
            "Bearer t2",
            "{status} {error}"
        );
        assert_eq!(sent(&script)[2], Some("r0".to_owned()), "{status} {error}");
    }
}

/// An error page or a time-out keeps it, too: 500, then recovery.
#[tokio::test(start_paused = true)]
async fn kept_after_an_error_page() {
    let script = Script::new(|_, number| match number {
        0 => granted(0, Some("r0")),
        1 => {
            let page = Response::builder()
                .status(500)
                .header("content-type", "text/html");
            page.body(b"<h1>Oops</h1>".to_vec()).unwrap()
        }
        _ => granted(number, Some("r2")),
    });
    let source = source(script.clone(), TokenRules::new());
    source.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    let failed = text(&source).await.unwrap_err();
    assert_eq!(
        (failed.code(), failed.is_retryable()),
        ("oauth.response", true)
    );
    sleep(60).await;
    assert_eq!(text(&source).await.unwrap(), "Bearer t2");
}

/// Tokens of two users are never mixed, although all else is equal.
#[tokio::test(start_paused = true)]
async fn a_token_per_user() {
    let script = Script::new(|_, number| granted(number, Some("r")));
    let source = source(script.clone(), TokenRules::new());
    let of = |user: &str| {
        Target::new(TOOL.parse().unwrap(), "read write".parse().unwrap()).with_subject(user)
    };
    for user in ["alice", "bob"] {
        source.redeem(Code(of(user))).await.unwrap();
    }
    for (user, expected) in [("alice", "t0"), ("bob", "t1"), ("alice", "t0")] {
        let token = source.token(UserGrant::new(of(user))).await.unwrap();
        let expected = aims_jose::secret::SecretText::new(expected).fingerprint();
        assert_eq!(token.fingerprint(), expected, "{user}");
    }
    let stranger = source.token(UserGrant::new(of("carol"))).await;
    assert_eq!(code(stranger), "grant.needs_user");
    assert_eq!(script.requests().len(), 2);
}

/// Many callers cause one refresh.
#[tokio::test(start_paused = true)]
async fn one_refresh_for_many_callers() {
    let script = Script::new(|_, number| granted(number, Some("r")));
    let source = Arc::new(source(script.clone(), TokenRules::new()));
    source.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { text(&source).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "Bearer t1");
    }
    assert_eq!(script.requests().len(), 2);
}

/// REV-01: a logout revokes the refresh token and forgets both, also if the server fails.
#[tokio::test(start_paused = true)]
async fn revoked_at_logout() {
    for (status, expected) in [
        (200, "ok"),
        (503, "grant.transport"),
        (400, "oauth.refused"),
    ] {
        let revoking = json!({"revocation_endpoint": "https://as.example/revoke"});
        let script = Script::new(move |request, number| match request.uri().path() {
            "/revoke" => refused(status, "unsupported_token_type"),
            _ => granted(number, Some("r0")),
        });
        let source = TokenSource::new(server_with(&revoking), client(), script.clone());
        let source = source.with_clock(Paused(Instant::now()));
        source.redeem(Code(target())).await.unwrap();
        let user = UserGrant::new(target());
        assert_eq!(code(source.revoke(&user).await), expected);
        let form = script.forms().remove(1);
        assert_eq!(form.get("token"), Some("r0"));
        assert_eq!(form.get("token_type_hint"), Some("refresh_token"));
        assert_eq!(code(source.token(user).await), "grant.needs_user");
        // There is nothing left to revoke.
        source.revoke(&UserGrant::new(target())).await.unwrap();
        assert_eq!(script.requests().len(), 2);
    }
}

/// A refresh token that comes with a grant of the client for itself is not used.
#[tokio::test(start_paused = true)]
async fn ignored_for_the_client_itself() {
    let script = Script::new(|_, number| granted(number, Some("r")));
    let source = source(script.clone(), TokenRules::new());
    let (tool, scopes) = (TOOL.parse().unwrap(), "read".parse().unwrap());
    let token = source.token_for(&tool, &scopes).await.unwrap();
    assert!(!token.is_refreshable());
    assert!(Refresh::of(&token, target(), TokenRules::new()).is_none());
    sleep(300).await;
    source.token_for(&tool, &scopes).await.unwrap();
    assert_eq!(sent(&script), [None, None]);
}

/// A server that takes a second for each answer, so that a login can meet a running renewal.
#[derive(Clone, Debug)]
struct Slow(Arc<Mutex<Vec<Value>>>);

impl Fetch for Slow {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            sleep(1).await;
            let form = Form::parse(request.body()).unwrap();
            let refresh = form.get("refresh_token").map(String::from);
            let mut all = self.0.lock().unwrap();
            all.push(json!(refresh));
            Ok(granted(all.len(), Some(&format!("r{}", all.len()))))
        })
    }
}

/// A login during a renewal is not undone by it.
#[tokio::test(start_paused = true)]
async fn a_login_during_a_renewal() {
    let slow = Slow(Arc::default());
    let source = Arc::new(source(slow.clone(), TokenRules::new()));
    source.redeem(Code(target())).await.unwrap();
    sleep(300).await;
    let renewing = tokio::spawn({
        let source = Arc::clone(&source);
        async move { text(&source).await }
    });
    tokio::task::yield_now().await;
    source.redeem(Code(target())).await.unwrap();
    renewing.await.unwrap().unwrap();
    assert_eq!(text(&source).await.unwrap(), "Bearer t3");
    sleep(300).await;
    text(&source).await.unwrap();
    assert_eq!(
        *slow.0.lock().unwrap(),
        [json!(null), json!("r1"), json!(null), json!("r3")]
    );
}

/// A logout during a renewal is not undone by it, neither here nor in a store.
#[tokio::test(start_paused = true)]
async fn a_logout_during_a_renewal() {
    for shared in [false, true] {
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let open = || {
            let source = source(Slow(Arc::default()), TokenRules::new());
            match shared {
                true => source.with_store(Arc::clone(&store)),
                false => source,
            }
        };
        let own = Arc::new(open());
        own.redeem(Code(target())).await.unwrap();
        sleep(300).await;
        let renewing = tokio::spawn({
            let source = Arc::clone(&own);
            async move { text(&source).await }
        });
        tokio::task::yield_now().await;
        own.revoke(&UserGrant::new(target())).await.unwrap();
        let ended = if shared {
            "grant.needs_user"
        } else {
            "grant.interrupted"
        };
        assert_eq!(code(renewing.await.unwrap()), ended);
        assert_eq!(code(text(&own).await), "grant.needs_user", "{shared}");
        assert_eq!(code(text(&open()).await), "grant.needs_user", "{shared}");
    }
}

/// A renewal may grant what was granted with the refresh token (RFC 6749 §6), also what the server
/// had added and another process had accepted at the login. It grants no other scope.
#[tokio::test(start_paused = true)]
async fn a_renewal_grants_what_was_granted() {
    let granted = "read email";
    for (scope, expected) in [
        (granted, "ok"),
        ("email", "ok"),
        ("read write email", "ok"),
        ("read email admin", "grant.scope"),
        ("read profile", "grant.scope"),
    ] {
        let script = Script::new(move |_, number| {
            let scope = if number == 0 { granted } else { scope };
            let body = json!({"access_token": format!("t{number}"), "token_type": "Bearer",
                "expires_in": 300, "scope": scope, "refresh_token": "r"});
            json_answer(200, &body)
        });
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let open = |rules| source(script.clone(), rules).with_store(Arc::clone(&store));
        let lenient = TokenRules::new().accept_unrequested_scopes("email".parse().unwrap());
        let (login, renewing) = (open(lenient), open(TokenRules::new()));
        login.redeem(Code(target())).await.unwrap();
        sleep(300).await;
        assert_eq!(code(text(&renewing).await), expected, "{scope}");
        assert_eq!(script.forms().len(), 2, "{scope}");
    }
}

/// F-18: a token that can be renewed does not make room for one that can be had again.
#[tokio::test(start_paused = true)]
async fn a_login_does_not_make_room() {
    let script = Script::new(|_, number| granted(number, Some("r")));
    let source = source(script, TokenRules::new()).with_capacity(2);
    source.redeem(Code(target())).await.unwrap();
    sleep(10).await;
    for tool in ["https://a.example", "https://b.example"] {
        let (tool, scopes) = (tool.parse().unwrap(), "read".parse().unwrap());
        source.token_for(&tool, &scopes).await.unwrap();
    }
    assert_eq!(text(&source).await.unwrap(), "Bearer t0");
}
