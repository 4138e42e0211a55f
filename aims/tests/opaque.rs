//! Opaque access tokens: their issuer is asked, and its answer is judged like a JWT.

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::Guard;
use aims::guard::{BuildError, GuardBuilder, OpaqueTokens, Trusting};
use aims::jose::secret::SecretText;
use aims::oauth_rs::IssuerRules;
use aims::oauth_wire::introspection::Introspection;
use aims::oauth_wire::names::Issuer;
use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
use aims::revoked::{RevocationList, RevokedBy};
use common::{ISSUER, ManualClock, NOW, TOOL, World, at, bare, told};
use http::request::Parts;
use serde_json::{Value, json};

const TOKEN: &str = "opaque-1";

/// An issuer, which notes what it is asked.
#[derive(Clone, Debug)]
struct Asked {
    answer: Arc<Mutex<Option<Resolved>>>,
    tokens: Arc<Mutex<Vec<SecretText>>>,
}

impl Asked {
    fn new(answer: Resolved) -> Self {
        Self {
            answer: Arc::new(Mutex::new(Some(answer))),
            tokens: Arc::default(),
        }
    }

    fn saying(answer: &Value) -> Self {
        Self::new(says(answer))
    }

    fn times(&self) -> usize {
        self.tokens.lock().unwrap().len()
    }
}

impl Resolve for Asked {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        if let Need::Introspection(request) = need {
            self.tokens.lock().unwrap().push(request.token);
        }
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(std::future::ready(answer.unwrap_or(Resolved::Unavailable)))
    }
}

fn says(answer: &Value) -> Resolved {
    let response = http::Response::builder()
        .header("content-type", "application/json")
        .body(answer.to_string().into_bytes());
    Resolved::Introspected(Box::new(Introspection::parse(&response.unwrap()).unwrap()))
}

fn good() -> Value {
    json!({
        "active": true, "iss": ISSUER, "aud": TOOL, "sub": "alice", "client_id": "app",
        "scope": "tools:call", "exp": NOW + 300, "iat": NOW - 100, "token_type": "Bearer",
    })
}

fn issuer() -> Issuer {
    ISSUER.parse().unwrap()
}

fn builder(world: &World) -> GuardBuilder<Trusting> {
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    guard.accept_bearer().clock(ManualClock::default())
}

fn guard(asked: &Asked) -> Guard {
    let opaque = OpaqueTokens::of(issuer(), asked.clone());
    builder(&World::new())
        .opaque_tokens(opaque)
        .build()
        .unwrap()
}

fn call(token: &str) -> Parts {
    let mut request = bare();
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers.insert("authorization", value);
    request
}

async fn code(guard: &Guard, token: &str) -> &'static str {
    told(guard.admit(&call(token)).await).0
}

/// The answer names subject, client and scopes; a second call needs no second question.
#[tokio::test]
async fn the_issuer_is_asked_once_and_the_answer_is_kept() {
    let asked = Asked::saying(&good());
    let guard = guard(&asked);
    let who = guard.admit(&call(TOKEN)).await.unwrap();
    assert_eq!(who.subject(), "alice");
    assert_eq!(who.access_token().unwrap().client_id(), "app");
    assert_eq!(code(&guard, TOKEN).await, "ok");
    // What is known needs no question, so `check` has it too.
    assert_eq!(told(guard.check(&call(TOKEN), at(NOW))).0, "ok");
    assert_eq!(asked.times(), 1);
    assert_eq!(asked.tokens.lock().unwrap()[..], [SecretText::new(TOKEN)]);
}

/// Each answer differs from a good one in one member.
#[tokio::test]
async fn an_answer_is_judged_like_a_jwt() {
    for (member, value, expected) in [
        ("active", json!(false), "token.inactive"),
        ("iss", json!("https://as.example/"), "token.unknown_issuer"),
        (
            "aud",
            json!("https://tools.example/other"),
            "token.audience",
        ),
        ("aud", Value::Null, "token.claim"),
        ("client_id", Value::Null, "token.claim"),
        ("exp", json!(NOW - 31), "token.expired"),
        ("nbf", json!(NOW + 31), "token.not_yet_valid"),
        ("scope", json!("tools:read"), "guard.scope"),
        ("token_type", json!("DPoP"), "token.type"),
        (
            "cnf",
            json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
            "token.type",
        ),
        ("typ", json!("Refresh"), "token.not_access_token"),
        ("token_use", json!("id"), "token.not_access_token"),
    ] {
        let mut answer = good();
        answer[member] = value.clone();
        let asked = Asked::saying(&answer);
        let opaque = OpaqueTokens::of(issuer(), asked.clone());
        let guard = builder(&World::new()).scopes("tools:call").unwrap();
        let guard = guard.opaque_tokens(opaque).build().unwrap();
        assert_eq!(code(&guard, TOKEN).await, expected, "{member}: {value}");
        assert_eq!(asked.times(), 1);
    }
}

/// RFC 7662 §2.3: while the issuer does not answer, a token is neither good nor bad. What answers
/// another question answers nothing.
#[tokio::test]
async fn without_an_answer_the_tool_is_unavailable() {
    for answer in [
        Resolved::Unavailable,
        Resolved::Unchanged,
        Resolved::Spent(Ok(())),
    ] {
        let asked = Asked::new(answer);
        let refusal = guard(&asked).admit(&call(TOKEN)).await.unwrap_err();
        assert_eq!(refusal.code(), "token.not_introspected");
        let answer = refusal.into_response::<Vec<u8>>();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert!(!answer.headers().contains_key("www-authenticate"));
        assert_eq!(asked.times(), 1);
    }
    // Nothing is asked for ever: an answer that changes nothing is not asked for twice.
    let asked = Asked::new(Resolved::Changed);
    assert_eq!(code(&guard(&asked), TOKEN).await, "token.not_introspected");
    assert_eq!(asked.times(), 1);
}

/// `check` waits for nothing, so it asks nothing.
#[test]
fn check_asks_no_issuer() {
    let asked = Asked::saying(&good());
    let verdict = guard(&asked).check(&call(TOKEN), at(NOW));
    let told = told(verdict);
    assert_eq!((told.0, told.1), ("token.not_introspected", 503));
    assert_eq!(asked.times(), 0);
}

/// A JWT is verified by keys alone: a forged one gets no second chance at the issuer.
#[tokio::test]
async fn a_jwt_is_not_introspected() {
    let (world, asked) = (World::new(), Asked::saying(&good()));
    let opaque = OpaqueTokens::of(issuer(), asked.clone());
    let guard = builder(&world).opaque_tokens(opaque).build().unwrap();
    let agent = world.agent("spiffe://example.org/agent");
    let mut claims = World::claims(&agent);
    claims.as_object_mut().unwrap().remove("cnf");
    let token = world.token(&claims);
    assert_eq!(code(&guard, &token).await, "ok");
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(86));
    assert_eq!(code(&guard, &forged).await, "token.signature");
    assert_eq!(asked.times(), 0);
}

/// A JWT of another issuer is shown to no server, however its header is written.
#[tokio::test]
async fn a_jwt_with_an_unusual_header_is_not_introspected() {
    let asked = Asked::saying(&good());
    let guard = guard(&asked);
    for header in [
        r#"{ "alg":"ES256","typ":"at+jwt"}"#,
        "{\n  \"alg\": \"ES256\"}",
        "{\t\"alg\":\"ES256\"}",
        "{\r\n\"alg\":\"ES256\"}",
        " {\"alg\":\"ES256\"}",
        r#"{"":1}"#,
        "{}",
    ] {
        let header = aims::jose::base64url::encode(header.as_bytes());
        for token in [
            format!("{header}.e30.AAAA"),
            format!("{header}.AA.AA.AA.AA"),
        ] {
            let code = code(&guard, &token).await;
            assert!(
                code.starts_with("jws.") || code.starts_with("token."),
                "{code}"
            );
            assert_eq!(asked.times(), 0, "{token}");
        }
    }
    // Dots alone make no JWT.
    for token in ["a.b.c", "v2.local.AAAA", "e.x", "..", "eyJ"] {
        let before = asked.times();
        assert_eq!(code(&guard, token).await, "ok", "{token}");
        assert_eq!(asked.times(), before + 1);
    }
}

/// Without issuers of opaque tokens, no text is more than a malformed JWT.
#[tokio::test]
async fn opaque_tokens_are_off_by_default() {
    let guard = builder(&World::new()).build().unwrap();
    assert_eq!(code(&guard, TOKEN).await, "jws.parts");
}

/// A token goes to one issuer and never to a second.
#[tokio::test]
async fn the_prefix_says_whose_a_token_is() {
    let (short, long) = (Asked::saying(&good()), Asked::saying(&good()));
    let guard = builder(&World::new())
        .opaque_tokens(OpaqueTokens::of(issuer(), short.clone()).prefix("a_"))
        .opaque_tokens(OpaqueTokens::of(other(), long.clone()).prefix("a_b_"));
    let world = World::new();
    world.issuers.name(&other());
    let guard = guard.issuers(Arc::clone(&world.issuers)).build().unwrap();
    assert_eq!(code(&guard, "a_1").await, "ok");
    assert_eq!((short.times(), long.times()), (1, 0));
    // The other issuer describes a token of the first, which is none of its own.
    assert_eq!(code(&guard, "a_b_1").await, "token.unknown_issuer");
    assert_eq!((short.times(), long.times()), (1, 1));
    // No issuer has tokens of this form.
    assert_eq!(code(&guard, "c_1").await, "jws.parts");
    assert_eq!((short.times(), long.times()), (1, 1));
}

/// Two kinds of tokens of one issuer have a resolver each.
#[tokio::test]
async fn each_prefix_has_its_own_resolver() {
    let (short, long) = (Asked::saying(&good()), Asked::saying(&good()));
    let guard = builder(&World::new())
        .opaque_tokens(OpaqueTokens::of(issuer(), short.clone()).prefix("a_"))
        .opaque_tokens(OpaqueTokens::of(issuer(), long.clone()).prefix("a_b_"));
    let guard = guard.build().unwrap();
    assert_eq!(code(&guard, "a_1").await, "ok");
    assert_eq!((short.times(), long.times()), (1, 0));
    assert_eq!(code(&guard, "a_b_1").await, "ok");
    assert_eq!((short.times(), long.times()), (1, 1));
}

fn other() -> Issuer {
    "https://other.example".parse().unwrap()
}

#[test]
fn a_guard_whose_opaque_tokens_are_ambiguous_is_not_built() {
    let asked = Asked::saying(&good());
    let twice = builder(&World::new())
        .opaque_tokens(OpaqueTokens::of(issuer(), asked.clone()))
        .opaque_tokens(OpaqueTokens::of(issuer(), asked.clone()));
    assert!(matches!(twice.build(), Err(BuildError::OpaqueTokens { prefix }) if prefix.is_empty()));
    let strange = builder(&World::new()).opaque_tokens(OpaqueTokens::of(other(), asked));
    assert!(
        matches!(strange.build(), Err(BuildError::OpaqueIssuer { issuer }) if issuer == "https://other.example")
    );
}

/// An answer counts for its ceiling, and never beyond the token's own end.
#[tokio::test]
async fn an_answer_has_an_end() {
    let (asked, time) = (Asked::saying(&good()), ManualClock::default());
    let opaque = OpaqueTokens::of(issuer(), asked.clone()).ceiling(Duration::from_secs(60));
    let guard = builder(&World::new()).clock(time.clone());
    let guard = guard.opaque_tokens(opaque).build().unwrap();
    for (now, expected, times) in [
        (NOW, "ok", 1),
        (NOW + 59, "ok", 1),
        (NOW + 60, "ok", 2),
        (NOW + 331, "token.expired", 3),
    ] {
        time.set(now);
        assert_eq!(code(&guard, TOKEN).await, expected, "{now}");
        assert_eq!(asked.times(), times, "{now}");
    }
}

/// A revocation counts from the next request on, also for an answer that is kept.
#[tokio::test]
async fn a_revocation_takes_effect_at_once() {
    let asked = Asked::saying(&good());
    let list = Arc::new(RevocationList::new(10).with_clock(ManualClock::default()));
    let guard = builder(&World::new()).revoked(Arc::clone(&list));
    let guard = guard.opaque_tokens(OpaqueTokens::of(issuer(), asked.clone()));
    let guard = guard.build().unwrap();
    let who = guard.admit(&call(TOKEN)).await.unwrap();
    list.revoke(
        RevokedBy::access_token(who.access_token().unwrap()),
        at(NOW + 300),
    );
    assert_eq!(code(&guard, TOKEN).await, "token.revoked");
    assert_eq!(asked.times(), 1);
}

/// A token that is bound to an agent's key is worth nothing beside another agent's proof.
#[tokio::test]
async fn an_opaque_token_is_bound_like_a_jwt() {
    let world = World::new();
    let agent = world.agent("spiffe://example.org/agent");
    let thief = world.agent("spiffe://example.org/thief");
    let mut answer = good();
    answer["client_id"] = json!(agent.id.as_str());
    answer["cnf"] = json!({"jwk": serde_json::to_value(agent.key.public_jwk()).unwrap()});
    let opaque = OpaqueTokens::of(issuer(), Asked::saying(&answer));
    let guard = builder(&world).opaque_tokens(opaque).build().unwrap();
    let outcome = |verdict| told(verdict).0;
    let own = guard.admit(&agent.call_with(TOKEN)).await;
    assert_eq!(outcome(own), "ok");
    let stolen = guard.admit(&thief.call_with(TOKEN)).await;
    assert_eq!(outcome(stolen), "token.not_bound");
    assert_eq!(code(&guard, TOKEN).await, "token.not_bound");
}

/// A JWT is shown to its issuer only where the issuer's rules say so. Then the answer decides, not
/// the signature.
#[tokio::test]
async fn a_jwt_is_introspected_where_its_rules_say_so() {
    let world = World::new();
    let jwt = world.token(&json!({"iss": ISSUER, "sub": "light"}));
    let asked = Asked::saying(&good());
    let opaque = || OpaqueTokens::of(issuer(), asked.clone());
    let rules = IssuerRules::new().introspect_jwts();
    let light = builder(&world).issuer_rules(issuer(), rules.clone());
    let light = light.opaque_tokens(opaque()).build().unwrap();
    // A lightweight token lacks the claims of RFC 9068, and the answer has them.
    let who = light.admit(&call(&jwt)).await.unwrap();
    assert_eq!((who.subject(), asked.times()), ("alice", 1));
    assert_eq!(code(&light, &jwt).await, "ok");
    assert_eq!(asked.times(), 1);
    // A token that names another issuer is not shown to this one.
    let look_alike = world.token(&json!({"iss": format!("{ISSUER}/x"), "sub": "light"}));
    assert_eq!(code(&light, &look_alike).await, "token.unknown_issuer");
    assert_eq!(asked.times(), 1);
    // What the issuer calls inactive is refused, although its signature is good.
    let whole = World::claims(&world.agent("spiffe://example.org/agent"));
    let whole = world.token(&whole);
    *asked.answer.lock().unwrap() = Some(Resolved::Introspected(Box::new(Introspection::Inactive)));
    assert_eq!(code(&light, &whole).await, "token.inactive");
    // Away, and where no issuer may be asked: the token is neither good nor bad.
    *asked.answer.lock().unwrap() = None;
    let verdict = told(light.admit(&call(&whole)).await);
    assert_eq!((verdict.0, verdict.1), ("token.not_introspected", 503));
    let verdict = told(light.check(&call(&whole), at(NOW)));
    assert_eq!((verdict.0, verdict.1), ("token.not_introspected", 503));
    // Rules for an issuer that the guard cannot ask.
    let world = World::new();
    let unasked = builder(&world).issuer_rules(issuer(), rules).build();
    assert!(matches!(unasked, Err(BuildError::NotAsked { .. })));
}
