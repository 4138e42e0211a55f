//! The answers to an exchange.

use std::sync::Arc;
use std::time::Duration;

use aims_oauth_client::{Error, Impersonation, SubjectToken, Token, TokenRules};
use aims_oauth_wire::delegate::{Crossing, Kind};
use serde_json::{Value, json};

use super::tokens::{
    JWT, TOOL, answer, claims, delegation, exchanged, impersonation, judged, source, target,
};
use crate::common::{NOW, Script, code, json_answer, jwt};

/// TEX-06: an answer that is more than what was asked for, or lacks the actor, is
/// refused. Each row differs from a good answer in one thing.
#[tokio::test(start_paused = true)]
async fn answers_are_judged() {
    let no = json!({});
    let rows = [
        (no.clone(), no.clone(), "ok", "ok"),
        // Keycloak ignores `actor_token`.
        (json!({"act": null}), no.clone(), "grant.actor", "ok"),
        (
            json!({"act": {"sub": "other"}}),
            no.clone(),
            "grant.actor",
            "ok",
        ),
        (json!({"act": {}}), no.clone(), "grant.actor", "ok"),
        // Only the outermost actor counts.
        (
            json!({"act": {"sub": "other", "act": {"sub": "agent"}}}),
            no.clone(),
            "grant.actor",
            "ok",
        ),
        (
            no.clone(),
            json!({"issued_token_type": JWT}),
            "grant.issued_token_type",
            "",
        ),
        (
            no.clone(),
            json!({"issued_token_type": null}),
            "grant.issued_token_type",
            "",
        ),
        (
            no.clone(),
            json!({"token_type": "N_A"}),
            "grant.token_type",
            "",
        ),
        // Keycloak may add scopes, and may say so or not.
        (
            no.clone(),
            json!({"scope": "read write"}),
            "grant.scope",
            "",
        ),
        (
            json!({"scope": "read write"}),
            no.clone(),
            "grant.scope",
            "",
        ),
        (
            json!({"scope": "read write"}),
            json!({"scope": null}),
            "grant.scope",
            "",
        ),
        // Keycloak gives a new lifetime.
        (no.clone(), json!({"expires_in": 700}), "grant.lifetime", ""),
        (no.clone(), json!({"expires_in": 604}), "ok", "ok"),
    ];
    for (claims, response, delegated, impersonated) in rows {
        let body = answer(&exchanged(&claims), &response);
        let shown = format!("{claims} {response}");
        assert_eq!(
            judged(delegation(), body.clone()).await,
            delegated,
            "{shown}"
        );
        let expected = if impersonated.is_empty() {
            delegated
        } else {
            impersonated
        };
        assert_eq!(judged(impersonation(), body).await, expected, "{shown}");
    }
}

/// Deviations of a server are accepted by name.
#[tokio::test(start_paused = true)]
async fn deviations_are_accepted_by_name() {
    let longer = answer(&exchanged(&json!({})), &json!({"expires_in": 700}));
    assert_eq!(
        judged(impersonation().accept_new_lifetime(), longer.clone()).await,
        "ok"
    );
    let short = impersonation().max_lifetime(Duration::from_secs(60));
    let body = answer(&exchanged(&json!({})), &json!({}));
    assert_eq!(
        judged(short.accept_new_lifetime(), body).await,
        "grant.lifetime"
    );
    let opaque = answer(&"opaque".into(), &json!({}));
    assert_eq!(judged(delegation(), opaque.clone()).await, "grant.actor");
    assert_eq!(judged(impersonation(), opaque.clone()).await, "ok");
    assert_eq!(
        judged(delegation().accept_opaque_answer(), opaque).await,
        "ok"
    );
    // Wider than requested may be accepted, wider than the subject token not.
    for (scope, expected) in [("read write", "ok"), ("read x", "delegate.scope")] {
        let wider = json!({ "scope": scope });
        let wider = answer(&exchanged(&wider), &wider);
        let script = Script::new(move |_, _| json_answer(200, &wider));
        let source = source(&script, TokenRules::new().accept_wider_scopes());
        assert_eq!(code(source.token(impersonation()).await), expected);
    }
}

/// An answer that does not say how long it lives is judged by its `exp`, and without one by the
/// time that it is used for.
#[tokio::test(start_paused = true)]
async fn a_lifetime_that_is_not_stated_is_judged() {
    let most = |seconds: u64| {
        let grant = impersonation().accept_new_lifetime();
        grant.max_lifetime(Duration::from_secs(seconds))
    };
    let silent = json!({"expires_in": null});
    let jwt = |exp: u64| answer(&exchanged(&json!({"exp": NOW + exp})), &silent);
    assert_eq!(judged(impersonation(), jwt(700)).await, "grant.lifetime");
    assert_eq!(judged(impersonation(), jwt(600)).await, "ok");
    assert_eq!(judged(most(60), jwt(300)).await, "grant.lifetime");
    assert_eq!(judged(most(60), jwt(60)).await, "ok");
    // The later of both counts.
    let body = answer(
        &exchanged(&json!({"exp": NOW + 300})),
        &json!({"expires_in": 60}),
    );
    assert_eq!(judged(most(60), body).await, "grant.lifetime");
    let opaque = answer(&"opaque".into(), &silent);
    assert_eq!(judged(most(60), opaque.clone()).await, "grant.lifetime");
    assert_eq!(judged(most(300), opaque).await, "ok");
}

/// Returns a token of the client with the scope `read`, which lives for 900 s.
async fn own_token() -> Arc<Token> {
    let body = json!({"access_token": "user", "token_type": "Bearer", "expires_in": 900,
        "scope": "read"});
    let script = Script::new(move |_, _| json_answer(200, &body));
    let own = source(&script, TokenRules::new());
    own.token_for(&TOOL.parse().unwrap(), &"read".parse().unwrap())
        .await
        .unwrap()
}

/// If no scope was requested, the answer has none that the subject token has not.
#[tokio::test(start_paused = true)]
async fn a_subject_token_limits_scopes() {
    let own = own_token().await;
    for (scope, expected) in [("read", "ok"), ("read write", "grant.scope")] {
        let body = answer(&"opaque".into(), &json!({"scope": scope}));
        let grant = Impersonation::new(SubjectToken::of(&own), target(""));
        assert_eq!(judged(grant, body).await, expected);
    }
    // The same if only the JWT says so.
    for (scope, expected) in [("read", "ok"), ("read write", "grant.scope")] {
        let wider = exchanged(&json!({ "scope": scope }));
        let body = answer(&wider, &json!({"scope": null}));
        let grant = Impersonation::new(SubjectToken::of(&own), target(""));
        assert_eq!(judged(grant, body).await, expected);
    }
    // Its lifetime is known, too.
    let body = answer(&"opaque".into(), &json!({"expires_in": 910}));
    let grant = Impersonation::new(SubjectToken::of(&own), target("read"));
    assert_eq!(judged(grant, body).await, "grant.lifetime");
}

/// RAR-02: an exchange is no renewal, also where the scopes are those of the subject token: a
/// server that states none of the requested details may have ignored them.
#[tokio::test(start_paused = true)]
async fn an_exchange_states_its_details() {
    let own = own_token().await;
    let pay = |amount: u32| json!([{"type": "pay", "amount": amount}]);
    for (scopes, stated, expected) in [
        ("read", Value::Null, "grant.other_details"),
        ("", Value::Null, "grant.other_details"),
        ("", pay(5), "ok"),
        ("", pay(6), "grant.other_details"),
    ] {
        let target = target(scopes).with_details(&pay(5).to_string()).unwrap();
        let body = answer(&"opaque".into(), &json!({"authorization_details": stated}));
        let grant = Impersonation::new(SubjectToken::of(&own), target);
        assert_eq!(judged(grant, body).await, expected, "{scopes} {stated}");
    }
}

/// A JWT of the same issuer and kind is compared with the subject token; by a translation, in
/// every dimension.
#[tokio::test(start_paused = true)]
async fn jwts_are_compared() {
    let crossing = || {
        Crossing::new(Kind::AccessToken, Some("https://as.example"))
            .audience("https://app.example", TOOL)
            .scopes_inward(
                aims_oauth_wire::delegate::ScopeTable::new([("read", "read"), ("write", "write")])
                    .unwrap(),
            )
    };
    let own = |changes: &Value| {
        let mut changes = changes.clone();
        changes["act"] = Value::Null;
        exchanged(&changes)
    };
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"aud": "https://app.example"}), "delegate.audience"),
        (json!({"exp": NOW + 601}), "grant.lifetime"),
        (json!({"client_id": "other"}), "delegate.actors"),
        (json!({"sub": "bob"}), "delegate.other"),
    ] {
        let grant = impersonation().judged_by(crossing());
        let found = judged(grant, answer(&own(&changes), &json!({}))).await;
        assert_eq!(found, expected, "{changes}");
    }
    let opaque = answer(&"opaque".into(), &json!({}));
    let grant = impersonation().judged_by(crossing());
    assert_eq!(judged(grant, opaque).await, "grant.incomparable");
}

/// TEX-06, DEL-01: without a translation, what is certainly wider is refused in every dimension,
/// and each deviation is accepted by its name alone.
#[tokio::test(start_paused = true)]
async fn every_dimension_is_judged() {
    type Ask = fn(Impersonation) -> Impersonation;
    let same: Ask = |it| it;
    let no = json!({});
    let agent = json!({"act": {"sub": "agent"}});
    let kept = json!({"act": {"sub": "gateway", "act": {"sub": "agent"}}});
    let jkt = |key: &str| json!({"cnf": {"jkt": key.repeat(43)}});
    let (own, other) = (jkt("A"), jkt("E"));
    let named = json!({"aud": "other"});
    let login = json!({"acr": "high"});
    let start = json!({"nbf": NOW});
    let context = json!({"tctx": {"order": "7"}});
    for (parent, child, ask, expected) in [
        // Another client is no lost actor.
        (&no, &json!({"client_id": "gateway"}), same, "ok"),
        (&agent, &agent, same, "ok"),
        (&agent, &kept, same, "ok"),
        (&agent, &no, same, "delegate.actors"),
        (
            &agent,
            &no,
            Impersonation::accept_unbound,
            "delegate.actors",
        ),
        (&agent, &no, Impersonation::accept_missing_actors, "ok"),
        // Tokens of two issuers are not comparable.
        (&agent, &json!({"iss": "https://b.example"}), same, "ok"),
        (&own, &own, same, "ok"),
        (&own, &no, same, "delegate.confirmation"),
        (
            &own,
            &no,
            Impersonation::accept_other_key,
            "delegate.confirmation",
        ),
        (&own, &no, Impersonation::accept_unbound, "ok"),
        (&own, &other, same, "delegate.confirmation"),
        (
            &own,
            &other,
            Impersonation::accept_unbound,
            "delegate.confirmation",
        ),
        (&own, &other, Impersonation::accept_other_key, "ok"),
        (&no, &own, same, "ok"),
        (
            &no,
            &json!({"aud": [TOOL, "https://app.example"]}),
            same,
            "ok",
        ),
        (&no, &named, same, "delegate.audience"),
        (&no, &named, |it| it.audience("other"), "ok"),
        (&no, &named, Impersonation::accept_other_audiences, "ok"),
        (&login, &no, same, "ok"),
        (&no, &login, same, "delegate.other"),
        (&no, &login, Impersonation::accept_other_login, "ok"),
        (&start, &no, same, "delegate.lifetime"),
        (&start, &no, Impersonation::accept_new_lifetime, "ok"),
        (&context, &context, same, "ok"),
        (&context, &no, same, "delegate.context"),
    ] {
        let mut token = child.clone();
        token["act"] = child["act"].clone();
        let subject = SubjectToken::access_token(jwt("at+jwt", &claims(parent)));
        let grant = ask(Impersonation::new(subject, target("read")));
        let found = judged(grant, answer(&exchanged(&token), &json!({}))).await;
        assert_eq!(found, expected, "{parent} {child}");
    }
}

/// DEL-01: a server that renews each token is refused at the first hop, however little each hop
/// adds. A chain that keeps its end goes on.
#[tokio::test(start_paused = true)]
async fn a_chain_of_fresh_lifetimes_is_refused() {
    for (added, expected) in [
        (0, vec!["ok"; 3]),
        (1, vec!["grant.lifetime"]),
        (4, vec!["grant.lifetime"]),
    ] {
        let mut subject = SubjectToken::access_token(jwt("at+jwt", &claims(&json!({}))));
        let mut end = NOW + 600;
        let mut seen = Vec::new();
        for hop in 0..3 {
            end += added;
            let token = exchanged(&json!({"exp": end, "jti": hop.to_string(), "act": null}));
            let body = answer(&token, &json!({"expires_in": end - NOW}));
            let script = Script::new(move |_, _| json_answer(200, &body));
            let grant = Impersonation::new(subject.clone(), target("read"));
            let found = source(&script, TokenRules::new()).token(grant).await;
            let next = found.as_ref().ok().map(|token| SubjectToken::of(token));
            seen.push(code(found));
            let Some(next) = next else { break };
            subject = next;
        }
        assert_eq!(seen, expected, "{added}");
    }
}

/// DEL-01: the tolerance for `expires_in` counts once for a chain of opaque tokens, not once for
/// each hop.
#[tokio::test(start_paused = true)]
async fn a_chain_of_opaque_tokens_does_not_grow() {
    let body = json!({"access_token": "user", "token_type": "Bearer", "expires_in": 600,
        "scope": "read"});
    let script = Script::new(move |_, number| match number {
        0 => json_answer(200, &body),
        // Each token has a lifetime of its own.
        _ => {
            let token = format!("hop-{number}").as_str().into();
            json_answer(200, &answer(&token, &json!({"expires_in": 600})))
        }
    });
    let source = source(&script, TokenRules::new());
    let (tool, scopes) = (TOOL.parse().unwrap(), "read".parse().unwrap());
    let first = source.token_for(&tool, &scopes).await.unwrap();
    let exchange = |token: &Token| Impersonation::new(SubjectToken::of(token), target("read"));
    tokio::time::sleep(Duration::from_secs(4)).await;
    let second = source.token(exchange(&first)).await.unwrap();
    assert_eq!(second.expires(), first.expires());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let third = source.token(exchange(&second)).await;
    assert_eq!(code(third), "grant.lifetime");
    let third = source.token(exchange(&second).accept_new_lifetime()).await;
    assert!(third.unwrap().expires() > second.expires());
}

/// TEX-05: the server refuses the subject token by one of two codes. Neither is tried again.
#[tokio::test(start_paused = true)]
async fn a_refused_subject() {
    for refusal in ["invalid_request", "invalid_grant", "invalid_target"] {
        let body = json!({ "error": refusal });
        let script = Script::new(move |_, _| json_answer(400, &body));
        let failed = source(&script, TokenRules::new()).token(delegation()).await;
        let failed: Error = failed.unwrap_err();
        assert_eq!(failed.refusal().unwrap().error(), refusal);
        assert_eq!(script.requests().len(), 1);
    }
}
