//! Token exchange and JWT grants: no answer is more than what was asked for (RFC 8693, RFC 7523).

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_jose::alg::Algorithm;
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::secret::SecretText;
use aims_oauth_client::{
    ActorToken, Delegation, DpopKey, Error, Grant, GrantAudience, IdJagRequest, Impersonation,
    JwtBearer, JwtGrantRequest, SubjectToken, Target, TokenRules, TokenSource, drive,
};
use aims_oauth_wire::InboundToken;
use aims_oauth_wire::delegate::{Crossing, Kind};
use common::{NOW, Paused, Script, client, code, json_answer, server_with};
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

fn jwt(typ: &str, claims: &Value) -> SecretText {
    let key = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
    let input = SigningInput::new(typ, Algorithm::Es256, None, claims).unwrap();
    input.sign(&key).unwrap().into_secret()
}

fn with(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        base[name] = value.clone();
    }
    base.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    base
}

/// The claims of the user's token.
fn claims(changes: &Value) -> Value {
    let claims = json!({"iss": "https://as.example", "sub": "alice", "aud": "https://app.example",
        "client_id": "app", "scope": "read write", "iat": NOW, "exp": NOW + 600, "jti": "1"});
    with(claims, changes)
}

fn subject() -> SubjectToken {
    SubjectToken::access_token(jwt("at+jwt", &claims(&json!({}))))
}

fn target(scopes: &str) -> Target {
    let scopes = match scopes {
        "" => aims_oauth_wire::names::ScopeSet::new(),
        scopes => scopes.parse().unwrap(),
    };
    Target::new(TOOL.parse().unwrap(), scopes)
}

/// The claims of the exchanged token.
fn exchanged(changes: &Value) -> SecretText {
    let claims = json!({"iss": "https://as.example", "sub": "alice", "aud": TOOL,
        "client_id": "app", "scope": "read", "iat": NOW, "exp": NOW + 300, "jti": "2",
        "act": {"sub": "agent"}});
    jwt("at+jwt", &with(claims, changes))
}

fn answer(token: &SecretText, changes: &Value) -> Value {
    let body = json!({"access_token": token.expose(), "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer", "expires_in": 300, "scope": "read"});
    with(body, changes)
}

fn source(script: &Script, rules: TokenRules) -> TokenSource {
    TokenSource::new(server_with(&json!({})), client(), script.clone())
        .with_clock(Paused(Instant::now()))
        .with_rules(rules)
}

async fn judged(grant: impl Grant + 'static, body: Value) -> &'static str {
    let script = Script::new(move |_, _| json_answer(200, &body));
    let token = source(&script, TokenRules::new()).token(grant).await;
    if let Err(error) = &token {
        assert!(!error.is_retryable());
    }
    code(token)
}

fn delegation() -> Delegation {
    Delegation::new(
        subject(),
        ActorToken::jwt("agent-token").named("agent"),
        target("read"),
    )
}

fn impersonation() -> Impersonation {
    Impersonation::new(subject(), target("read"))
}

/// TEX-01: all parameters, and no type of an actor without an actor.
#[tokio::test(start_paused = true)]
async fn the_request_has_all_parameters() {
    let body = answer(&exchanged(&json!({})), &json!({}));
    let script = Script::new(move |_, _| json_answer(200, &body));
    let source = source(&script, TokenRules::new());
    let full = delegation().audience("tools").audience("more");
    source
        .token(full.also_for("https://b.example".parse().unwrap()))
        .await
        .unwrap();
    source.token(impersonation()).await.unwrap();
    let forms = script.forms();
    let all = |form: usize, name: &str| forms[form].all(name).map(String::from).collect::<Vec<_>>();
    assert_eq!(all(0, "resource"), [TOOL, "https://b.example"]);
    assert_eq!(all(0, "audience"), ["tools", "more"]);
    assert_eq!(all(0, "scope"), ["read"]);
    assert_eq!(all(0, "requested_token_type"), [ACCESS_TOKEN]);
    assert_eq!(all(0, "subject_token_type"), [ACCESS_TOKEN]);
    assert_eq!(all(0, "actor_token"), ["agent-token"]);
    assert_eq!(all(0, "actor_token_type"), [JWT]);
    assert_eq!(
        all(0, "grant_type"),
        ["urn:ietf:params:oauth:grant-type:token-exchange"]
    );
    assert!(all(1, "actor_token").is_empty() && all(1, "actor_token_type").is_empty());
    // A delegation and an impersonation of one subject are two tokens.
    assert_eq!(forms.len(), 2);
}

/// Exchanges that ask for or accept something else have tokens of their own.
#[tokio::test(start_paused = true)]
async fn an_exchange_is_cached_as_what_it_is() {
    let script = Script::new(|_, number| {
        let token = exchanged(&json!({"jti": number.to_string(), "act": {"sub": "agent"}}));
        json_answer(200, &answer(&token, &json!({})))
    });
    let source = source(&script, TokenRules::new());
    let minutes = |count: u64| std::time::Duration::from_secs(60 * count);
    let (user, other) = (subject(), ActorToken::jwt("other").named("agent"));
    let own = || {
        let actor = ActorToken::jwt("agent-token").named("agent");
        Delegation::new(user.clone(), actor, target("read"))
    };
    let further = || "https://b.example".parse().unwrap();
    let crossing = || {
        let crossing = Crossing::new(Kind::AccessToken, Some("https://as.example"));
        let scopes = aims_oauth_wire::delegate::ScopeTable::new([("read", "read")]).unwrap();
        let crossing = crossing.audience("https://app.example", TOOL);
        crossing.scopes_inward(scopes)
    };
    let alone = || Impersonation::new(user.clone(), target("read"));
    // The crossing tells the actors of the answer from those of the subject token.
    let refused = source.token(own().judged_by(crossing())).await;
    assert_eq!(code(refused), "delegate.actors");
    let delegations = || {
        [
            own(),
            Delegation::new(user.clone(), other.clone(), target("read")),
            own().audience("a"),
            own().audience("b"),
            own().audience("a").audience("b"),
            own().audience("ab"),
            own().also_for(further()),
            own().max_lifetime(minutes(5)),
            own().max_lifetime(minutes(6)),
            own().accept_new_lifetime(),
            own().accept_opaque_answer(),
        ]
    };
    let mut seen = std::collections::HashSet::new();
    for grant in delegations() {
        seen.insert(source.token(grant).await.unwrap().fingerprint());
    }
    seen.insert(source.token(alone()).await.unwrap().fingerprint());
    assert_eq!(seen.len(), 12);
    // A grant that was used and then changed is another one.
    let used = own();
    source.token(own()).await.unwrap();
    assert_ne!(used.cached_as(), used.clone().audience("c").cached_as());
    // Each one is found again.
    for grant in delegations() {
        assert!(!seen.insert(source.token(grant).await.unwrap().fingerprint()));
    }
}

/// TEX-02: the types of subject tokens; a SAML assertion is passed on unread.
#[tokio::test(start_paused = true)]
async fn subject_tokens_have_types() {
    let kinds = [
        (SubjectToken::id_token("x"), "id_token"),
        (SubjectToken::saml2("PHNhbWw+"), "saml2"),
        (SubjectToken::saml1("PHNhbWw+"), "saml1"),
        (SubjectToken::jwt("x"), "jwt"),
        (SubjectToken::access_token("x"), "access_token"),
    ];
    for (subject, kind) in kinds {
        let body = answer(&exchanged(&json!({})), &json!({}));
        let script = Script::new(move |_, _| json_answer(200, &body));
        let source = source(&script, TokenRules::new());
        source
            .token(Impersonation::new(subject, target("read")))
            .await
            .unwrap();
        let form = script.forms().remove(0);
        let expected = format!("urn:ietf:params:oauth:token-type:{kind}");
        assert_eq!(form.get("subject_token_type"), Some(&*expected));
    }
}

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
    let short = impersonation().max_lifetime(std::time::Duration::from_secs(60));
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
    for (scope, expected) in [("read write", "ok"), ("read x", "grant.wider")] {
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
        grant.max_lifetime(std::time::Duration::from_secs(seconds))
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

/// If no scope was requested, the answer has none that the subject token has not.
#[tokio::test(start_paused = true)]
async fn a_subject_token_limits_scopes() {
    let body = json!({"access_token": "user", "token_type": "Bearer", "expires_in": 900,
        "scope": "read"});
    let script = Script::new(move |_, _| json_answer(200, &body));
    let own = source(&script, TokenRules::new());
    let own = own
        .token_for(&TOOL.parse().unwrap(), &"read".parse().unwrap())
        .await
        .unwrap();
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
        (json!({"exp": NOW + 601}), "delegate.lifetime"),
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

/// JWTA-10: one assertion, the resource and the scope. Its source decides by the audience.
#[tokio::test(start_paused = true)]
async fn an_assertion_of_the_platform() {
    for (audience, expected) in [
        (GrantAudience::Issuer, "https://as.example"),
        (GrantAudience::TokenEndpoint, "https://as.example/token"),
    ] {
        let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300});
        let script = Script::new(move |_, _| json_answer(200, &body));
        let grant = JwtBearer::from_source(target("read"), |audience, _| {
            Ok(format!("for {audience}").into())
        });
        let source = source(&script, TokenRules::new());
        source.token(grant.with_audience(audience)).await.unwrap();
        let form = script.forms().remove(0);
        assert_eq!(form.get("assertion"), Some(&*format!("for {expected}")));
        assert_eq!(form.get("resource"), Some(TOOL));
        assert_eq!(form.get("scope"), Some("read"));
    }
    let script = Script::new(|_, _| json_answer(500, &json!({})));
    let grant = JwtBearer::from_source(target("read"), |_, _| Err("no token".into()));
    let failed = source(&script, TokenRules::new()).token(grant).await;
    assert_eq!(code(failed), "oauth.authenticate");
    assert!(script.requests().is_empty());
}

/// The tokens of two assertions are never interchanged, also if no subject is named.
#[tokio::test(start_paused = true)]
async fn each_assertion_has_its_token() {
    let script = Script::new(|_, number| {
        let body = json!({"access_token": format!("t{number}"), "token_type": "Bearer",
            "expires_in": 300});
        json_answer(200, &body)
    });
    let source = source(&script, TokenRules::new());
    let grant = |assertion: &str| JwtBearer::new(target("read"), assertion);
    let alice = source.token(grant("alice")).await.unwrap().fingerprint();
    let bob = source.token(grant("bob")).await.unwrap().fingerprint();
    assert_ne!(alice, bob);
    let again = source.token(grant("alice")).await.unwrap();
    assert_eq!(again.fingerprint(), alice);
    // A subject that is named counts.
    let named = JwtBearer::new(target("read").with_subject("carol"), "c");
    assert_eq!(named.target().subject(), Some("carol"));
}

fn id_jag_claims(changes: &Value) -> Value {
    let claims = json!({"iss": "https://idp.example", "sub": "alice", "aud": "https://b.example",
        "client_id": "agent-at-b", "resource": TOOL, "iat": NOW, "exp": NOW + 300, "jti": "j"});
    with(claims, changes)
}

async fn id_jag(
    typ: &str,
    changes: &Value,
    response: &Value,
    key: Option<&DpopKey>,
) -> &'static str {
    let token = jwt(typ, &id_jag_claims(changes));
    let body = json!({"access_token": token.expose(), "issued_token_type": ID_JAG,
        "token_type": "N_A", "expires_in": 300});
    let body = with(body, response);
    let script = Script::new(move |_, _| json_answer(200, &body));
    let server = "https://b.example".parse().unwrap();
    let subject = SubjectToken::id_token("id");
    let mut request = IdJagRequest::new(subject, server, TOOL.parse().unwrap())
        .scopes("read".parse().unwrap())
        .for_client("agent-at-b".parse().unwrap());
    if let Some(key) = key {
        request = request.bound_to(key.clone());
    }
    let clock = Paused(Instant::now());
    let first = request.begin(
        Arc::new(client()),
        Arc::new(server_with(&json!({}))),
        common::at(NOW),
    );
    let found = drive(first.unwrap(), &script, &clock).await;
    let form = script.forms().remove(0);
    assert_eq!(
        form.get("audience"),
        Some("https://b.example"),
        "JAG-10: the server"
    );
    assert_eq!(form.get("resource"), Some(TOOL), "JAG-10: the tool");
    assert_eq!(form.get("requested_token_type"), Some(ID_JAG));
    if let Ok(found) = &found {
        assert_eq!(found.audience().as_str(), "https://b.example");
        assert!(!format!("{found:?}").contains(token.expose()));
    }
    code(found)
}

/// JAG-10: an assertion of the identity provider is for this server, this client
/// and this key.
#[tokio::test(start_paused = true)]
async fn an_id_jag_is_the_one_that_was_asked_for() {
    let no = json!({});
    const TYP: &str = "oauth-id-jag+jwt";
    for (typ, changes, response, expected) in [
        (TYP, no.clone(), no.clone(), "ok"),
        (TYP, no.clone(), json!({"token_type": "n_a"}), "ok"),
        ("JWT", no.clone(), no.clone(), "grant.assertion"),
        (
            TYP,
            json!({"aud": "https://c.example"}),
            no.clone(),
            "grant.assertion",
        ),
        (TYP, json!({"aud": ["https://b.example"]}), no.clone(), "ok"),
        (
            TYP,
            json!({"aud": ["https://b.example", "https://c.example"]}),
            no.clone(),
            "grant.assertion",
        ),
        (
            TYP,
            json!({"client_id": "other"}),
            no.clone(),
            "grant.assertion",
        ),
        (
            TYP,
            json!({"client_id": null}),
            no.clone(),
            "grant.assertion",
        ),
        (TYP, json!({"exp": NOW - 1}), no.clone(), "grant.expired"),
        (
            TYP,
            no.clone(),
            json!({"token_type": "Bearer"}),
            "grant.token_type",
        ),
        (
            TYP,
            no.clone(),
            json!({"issued_token_type": JWT}),
            "grant.issued_token_type",
        ),
        (
            TYP,
            no.clone(),
            json!({"scope": "read write"}),
            "grant.scope",
        ),
        (
            TYP,
            no.clone(),
            json!({"access_token": "opaque"}),
            "grant.assertion",
        ),
    ] {
        let found = id_jag(typ, &changes, &response, None).await;
        assert_eq!(found, expected, "{typ} {changes} {response}");
    }
    let key = DpopKey::generate(AWS_LC).unwrap();
    let other = DpopKey::generate(AWS_LC).unwrap();
    for (jkt, expected) in [
        (json!({"cnf": {"jkt": key.thumbprint().to_string()}}), "ok"),
        (
            json!({"cnf": {"jkt": other.thumbprint().to_string()}}),
            "grant.assertion",
        ),
        (json!({}), "grant.assertion"),
    ] {
        assert_eq!(id_jag(TYP, &jkt, &no, Some(&key)).await, expected, "{jkt}");
    }
}

/// CHN-02: the other server is named by `resource` or by `audience`, and the answer is a
/// JWT for it, which is no access token.
#[tokio::test(start_paused = true)]
async fn a_grant_for_another_server() {
    let no = json!({});
    for (changes, response, expected) in [
        (no.clone(), no.clone(), "ok"),
        (
            json!({"aud": "https://c.example"}),
            no.clone(),
            "grant.assertion",
        ),
        (
            no.clone(),
            json!({"issued_token_type": ACCESS_TOKEN}),
            "grant.issued_token_type",
        ),
        (
            no.clone(),
            json!({"token_type": "Bearer"}),
            "grant.token_type",
        ),
    ] {
        for by_name in [false, true] {
            let token = jwt("JWT", &id_jag_claims(&changes));
            let body = json!({"access_token": token.expose(), "issued_token_type": JWT,
                "token_type": "N_A", "expires_in": 60});
            let body = with(body, &response);
            let script = Script::new(move |_, _| json_answer(200, &body));
            let server = "https://b.example".parse().unwrap();
            let mut request = JwtGrantRequest::new(subject(), server).unwrap();
            if by_name {
                request = request.as_audience();
            }
            let (client, own) = (Arc::new(client()), Arc::new(server_with(&json!({}))));
            let first = request.begin(client, own, common::at(NOW)).unwrap();
            let found = drive(first, &script, &Paused(Instant::now())).await;
            let form = script.forms().remove(0);
            let named = ["resource", "audience"].map(|it| form.get(it).map(String::from));
            let expected_name = Some("https://b.example".to_owned());
            assert_eq!(named[usize::from(by_name)], expected_name);
            assert_eq!(named[usize::from(!by_name)], None);
            if let Ok(found) = &found {
                let bearer = JwtBearer::of_jwt_grant(target("read"), found);
                assert_eq!(bearer.target().resource().as_str(), TOOL);
            }
            assert_eq!(code(found), expected, "{changes} {response}");
        }
    }
}

/// DEL-11: the token of a request is presented in an exchange, and the answer is compared with it.
#[tokio::test(start_paused = true)]
async fn a_token_that_was_received_is_exchanged() {
    let inbound = jwt("at+jwt", &claims(&json!({})));
    let text = inbound.expose().to_owned();
    let inbound = Arc::new(InboundToken::new(inbound));
    let grant = || {
        let subject = SubjectToken::inbound(Arc::clone(&inbound));
        Impersonation::new(subject, target("read"))
    };
    assert!(!format!("{:?}", grant()).contains(&text));
    let body = answer(&exchanged(&json!({"act": null})), &json!({}));
    let script = Script::new(move |_, _| json_answer(200, &body));
    let source = source(&script, TokenRules::new());
    source.token(grant()).await.unwrap();
    let form = script.forms().remove(0);
    assert_eq!(form.get("subject_token"), Some(&*text));
    assert_eq!(form.get("subject_token_type"), Some(ACCESS_TOKEN));
    assert_eq!(form.all("actor_token").count(), 0);
    // Longer than the token that was received.
    let longer = exchanged(&json!({"exp": NOW + 900, "act": null}));
    let body = answer(&longer, &json!({"expires_in": 900}));
    assert_eq!(judged(grant(), body).await, "grant.lifetime");
}
