//! Calls that a person approved: each refusal differs from an accepted call in one thing.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use aims::decision::{Attributes, Authorize, Call, Decision, Denial, Reason};
use aims::guard::Deferred;
use aims::jose::time::UnixTime;
use aims::oauth_wire::call::ToolCall;
use aims::replay;
use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
use aims::{Guard, Principal, Requirements};
use common::{Agent, NOW, TOOL, Then, World, at, told};
use http::request::Parts;
use serde_json::{Value, json};

const AGENT: &str = "spiffe://example.org/agent";

fn call() -> ToolCall {
    ToolCall::new("transfer", Some(br#"{"to":"bob","amount":10}"#)).unwrap()
}

fn entry() -> Value {
    serde_json::from_str::<Vec<Value>>(&call().details(TOOL).to_json())
        .unwrap()
        .remove(0)
}

fn approved() -> Requirements {
    Requirements::new().approved_call()
}

struct Scene {
    world: World,
    agent: Agent,
    guard: Guard,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let guard = world.guard().issuers(Arc::clone(&world.issuers));
        Self {
            guard: guard.build().unwrap(),
            agent: world.agent(AGENT),
            world,
        }
    }

    fn token(&self, details: &Value) -> String {
        let mut claims = World::claims(&self.agent);
        // Each is another token.
        claims["jti"] = aims::jose::random::id128(aims::jose::random::SYSTEM)
            .unwrap()
            .to_string()
            .into();
        if !details.is_null() {
            claims["authorization_details"] = details.clone();
        }
        self.world.token(&claims)
    }

    /// A request with this token, of which an outer layer has read this call.
    fn request(&self, token: &str, call: Option<ToolCall>) -> Parts {
        let mut request = self.agent.call_with(token);
        if let Some(call) = call {
            request.extensions.insert(call);
        }
        request
    }

    fn check(&self, route: &Requirements, request: &Parts) -> (&'static str, u16) {
        let guard = self.guard.requiring(route.clone()).unwrap();
        let (code, status, challenge) = told(guard.check(request, at(NOW)));
        if code.starts_with("guard.approval") {
            let error = "error=\"insufficient_authorization_details\"";
            assert!(challenge.contains(error), "{challenge}");
        }
        (code, status)
    }
}

const OTHER: (&str, u16) = ("guard.approval_call", 403);

/// T-113: the call that was approved is accepted once, with every token and every proof.
#[test]
fn an_approved_call_is_accepted_once() {
    let scene = Scene::new();
    let token = scene.token(&json!([entry()]));
    let request = || scene.request(&token, Some(call()));
    assert_eq!(scene.check(&approved(), &request()), ("ok", 200));
    assert_eq!(
        scene.check(&approved(), &request()),
        ("guard.approval_used", 403)
    );
    // Also on a route that requires nothing of it.
    assert_eq!(
        scene.check(&Requirements::new(), &request()),
        ("guard.approval_used", 403)
    );
    // Another approval of the same call is another use.
    let again = scene.token(&json!([entry()]));
    let request = scene.request(&again, Some(call()));
    assert_eq!(scene.check(&approved(), &request), ("ok", 200));
}

/// A changed tool, a changed argument, and details whose parts do not belong together.
#[test]
fn another_call_is_refused() {
    let scene = Scene::new();
    let token = scene.token(&json!([entry()]));
    for (tool, arguments) in [
        ("transfer", r#"{"to":"bob","amount":11}"#),
        ("transfer", r#"{"to":"eve","amount":10}"#),
        ("transfer", r#"{"to":"bob","amount":10,"fast":true}"#),
        ("transfer", r#"{"to":"bob"}"#),
        ("transfer", r#"{"to":"bob","amount":"10"}"#),
        ("Transfer", r#"{"to":"bob","amount":10}"#),
        ("list", "{}"),
    ] {
        let other = ToolCall::new(tool, Some(arguments.as_bytes())).unwrap();
        for route in [approved(), Requirements::new()] {
            let request = scene.request(&token, Some(other.clone()));
            assert_eq!(scene.check(&route, &request), OTHER);
        }
    }
    // It is not used up by these. The same call in another writing is the same.
    let same = ToolCall::new("transfer", Some(br#"{ "amount":1e1, "to":"bob" }"#)).unwrap();
    let request = scene.request(&token, Some(same));
    assert_eq!(scene.check(&approved(), &request), ("ok", 200));

    // What the person saw is `tool` and `arguments`, and the digest must be theirs.
    for (name, value) in [
        ("tool", json!("list")),
        ("arguments", json!({"to": "bob", "amount": 1})),
        ("arguments", json!({})),
        ("call_digest", json!("x")),
        ("actions", json!(["transfer", "list"])),
        ("tool", Value::Null),
        ("arguments", Value::Null),
        ("call_digest", Value::Null),
    ] {
        let mut entry = entry();
        entry[name] = value.clone();
        if value.is_null() {
            entry.as_object_mut().unwrap().remove(name);
        }
        let token = scene.token(&json!([entry]));
        let request = scene.request(&token, Some(call()));
        assert_eq!(scene.check(&approved(), &request), OTHER, "{name} {value}");
        // Nor does it permit what it does not say.
        let request = scene.request(&token, Some(call()));
        assert_eq!(scene.check(&Requirements::new(), &request), OTHER, "{name}");
    }
}

/// RAR-07: without an approval the answer says which one to ask for.
#[test]
fn a_missing_approval_is_named() {
    let scene = Scene::new();
    let missing = ("guard.approval", 403);
    for details in [
        Value::Null,
        json!([]),
        json!([{"type": "aims_tool", "actions": ["transfer"]}]),
        json!([{"type": "other", "call_digest": call().digest().to_string()}]),
        json!({"type": "aims_tool"}),
    ] {
        let token = scene.token(&details);
        let request = scene.request(&token, Some(call()));
        assert_eq!(scene.check(&approved(), &request), missing, "{details}");
        let request = scene.request(&token, Some(call()));
        assert_eq!(scene.check(&Requirements::new(), &request), ("ok", 200));
    }
    // An entry for another place is no approval here.
    let mut elsewhere = entry();
    elsewhere["locations"] = json!(["https://other.example/"]);
    let token = scene.token(&json!([elsewhere]));
    let request = scene.request(&token, Some(call()));
    assert_eq!(scene.check(&approved(), &request), missing);

    let guard = scene.guard.requiring(approved()).unwrap();
    let request = scene.request(&scene.token(&Value::Null), Some(call()));
    let answer = guard.check(&request, at(NOW)).unwrap_err();
    let answer = answer.into_response::<Vec<u8>>();
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["authorization_details"], json!([entry()]));
    // The bearer of no token at all is asked for one first.
    let request = scene.agent.call();
    assert_eq!(scene.check(&approved(), &request).1, 401);
}

/// A route may require scopes beside the approval. They permit no other call.
#[test]
fn an_approval_may_need_scopes() {
    let scene = Scene::new();
    let route = approved().scopes("tools:call".parse().unwrap());
    let mut claims = World::claims(&scene.agent);
    claims["authorization_details"] = json!([entry()]);
    let scoped = scene.world.token(&claims);
    claims.as_object_mut().unwrap().remove("scope");
    let unscoped = scene.world.token(&claims);
    let other = || ToolCall::new("list", None).unwrap();
    for (token, call, expected) in [
        (&unscoped, call(), ("guard.scope", 403)),
        (&scoped, other(), OTHER),
        (&scoped, call(), ("ok", 200)),
    ] {
        let request = scene.request(token, Some(call));
        assert_eq!(scene.check(&route, &request), expected);
    }
}

/// RAR-07: the token of the approval replaces one that lacks the scopes or the login as well. So
/// the refusal asks for the approval, and names everything at once.
#[test]
fn a_missing_approval_names_scopes_and_login() {
    let scene = Scene::new();
    let route = approved().scopes("payments".parse().unwrap()).acr(["mfa"]);
    let guard = scene.guard.requiring(route.clone()).unwrap();
    let plain = scene.token(&Value::Null);
    let request = scene.request(&plain, Some(call()));
    let (code, status, challenge) = told(guard.check(&request, at(NOW)));
    assert_eq!((code, status), ("guard.approval", 403));
    for part in ["scope=\"payments\"", "acr_values=\"mfa\""] {
        assert!(challenge.contains(part), "{challenge}");
    }
    // The token of an approval must have them.
    let approval = scene.token(&json!([entry()]));
    let request = scene.request(&approval, Some(call()));
    assert_eq!(scene.check(&route, &request), ("guard.authentication", 401));
    let scoped = approved().scopes("payments".parse().unwrap());
    let request = scene.request(&approval, Some(call()));
    assert_eq!(scene.check(&scoped, &request), ("guard.scope", 403));
    // No approval helps a caller that the route refuses for another reason.
    let route = approved().agents("spiffe://example.org/other".parse().unwrap());
    let request = scene.request(&plain, Some(call()));
    assert_eq!(scene.check(&route, &request), ("guard.forbidden", 403));
    // Without an approval on the route, a token lacks what it lacks.
    let route = Requirements::new().scopes("payments".parse().unwrap());
    let request = scene.request(&plain, Some(call()));
    assert_eq!(scene.check(&route, &request), ("guard.scope", 403));
}

/// A route whose application names no call refuses a token for one call, whatever it requires.
#[test]
fn a_call_that_is_not_named_is_refused() {
    let scene = Scene::new();
    let token = scene.token(&json!([entry()]));
    for route in [approved(), Requirements::new()] {
        let request = scene.request(&token, None);
        assert_eq!(scene.check(&route, &request), ("guard.call", 403));
    }
    // Nor is a person asked for an approval that would not help.
    let guard = scene.guard.requiring(approved()).unwrap();
    let request = scene.request(&scene.token(&Value::Null), None);
    let found = told(guard.check(&request, at(NOW)));
    assert_eq!((found.0, found.1), ("guard.call", 403));
    assert!(!found.2.contains("authorization_details"), "{}", found.2);
    // An attribute names it as well, but not against the content.
    let mut request = scene.request(&token, None);
    let digest = call().digest().to_string();
    let named = Attributes::new().with(Attributes::CALL_DIGEST, &digest);
    request.extensions.insert(named.clone());
    assert_eq!(scene.check(&approved(), &request), ("ok", 200));
    let token = scene.token(&json!([entry()]));
    let other = ToolCall::new("list", None).unwrap();
    let mut request = scene.request(&token, Some(other));
    request.extensions.insert(named);
    assert_eq!(scene.check(&approved(), &request), OTHER);
    let mut request = scene.request(&token, None);
    let named = Attributes::new().with(Attributes::CALL_DIGEST, "x");
    request.extensions.insert(named);
    assert_eq!(scene.check(&approved(), &request), OTHER);
}

/// Denies once, and allows from then on.
#[derive(Debug, Default)]
struct DeniesOnce(Mutex<bool>);

impl Authorize for DeniesOnce {
    fn authorize(&self, _: &Principal, call: &Call<'_>, _: UnixTime) -> Decision {
        assert_eq!(call.attributes.get(Attributes::TOOL), Some("transfer"));
        let mut denied = self.0.lock().unwrap();
        if std::mem::replace(&mut *denied, true) {
            return Decision::Allow(Vec::new());
        }
        let reason = Reason::new("policy.1", "not yet");
        Decision::Deny(Denial::Forbidden, vec![reason])
    }
}

/// A call that the policy denies has not used the approval up.
#[test]
fn a_denied_call_keeps_its_approval() {
    let mut scene = Scene::new();
    let guard = scene.world.guard().authorize(DeniesOnce::default());
    let guard = guard.issuers(Arc::clone(&scene.world.issuers));
    scene.guard = guard.build().unwrap();
    let token = scene.token(&json!([entry()]));
    for expected in ["guard.forbidden", "ok", "guard.approval_used"] {
        let request = scene.request(&token, Some(call()));
        assert_eq!(scene.check(&approved(), &request).0, expected);
    }
}

/// A token that was issued before the start may have been used then.
#[test]
fn an_approval_may_have_been_used_before_the_start() {
    for (issued, expected) in [(NOW + 30, "replay.before_start"), (NOW + 31, "ok")] {
        let world = World::new();
        let guard = Guard::builder(TOOL).trust(Arc::clone(&world.trust));
        let guard = guard
            .wpt_revisions(aims::wpt::Revision::Draft01)
            .clock(Then);
        let guard = guard
            .issuers(Arc::clone(&world.issuers))
            .require(approved().accept_bearer());
        let guard = guard.build().unwrap();
        let agent = world.agent(AGENT);
        let mut claims = World::claims(&agent);
        claims["iat"] = issued.into();
        claims["authorization_details"] = json!([entry()]);
        claims.as_object_mut().unwrap().remove("cnf");
        let mut request = common::bare();
        let bearer = format!("Bearer {}", world.token(&claims));
        request
            .headers
            .insert("authorization", bearer.parse().unwrap());
        request.extensions.insert(call());
        let found = told(guard.check(&request, at(NOW + 31)));
        assert_eq!(found.0, expected, "{issued}");
    }
}

/// A store outside the process.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<(HashSet<[u8; 32]>, usize)>>);

impl Resolve for Shared {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        let mut held = self.0.lock().unwrap();
        let answer = match need {
            Need::SharedReplay(proofs) => {
                held.1 += 1;
                let mut all = proofs.iter();
                match all.all(|it| held.0.insert(*it.key.as_bytes())) {
                    true => Resolved::Spent(Ok(())),
                    false => Resolved::Spent(Err(replay::Error::Replayed)),
                }
            }
            _ => Resolved::Unchanged,
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Guards that share a store accept a call once among them, whatever the proof.
#[tokio::test]
async fn a_shared_store_counts_an_approval_once() {
    let scene = Scene::new();
    let shared = Shared::default();
    let guard = || -> Guard<Deferred> {
        let guard = scene.world.guard().clock(Then).require(approved());
        let guard = guard.issuers(Arc::clone(&scene.world.issuers));
        guard.shared_replay(shared.clone()).build().unwrap()
    };
    let token = scene.token(&json!([entry()]));
    for (guard, expected) in [(guard(), "ok"), (guard(), "guard.approval_used")] {
        let request = scene.request(&token, Some(call()));
        let found = guard.admit(&request).await;
        assert_eq!(found.map_or_else(|it| it.code(), |_| "ok"), expected);
    }
    // Proof and approval were each asked about.
    assert_eq!(shared.0.lock().unwrap().1, 4);
}
