//! Transaction tokens at a guard: each refusal differs from an accepted request in one thing.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims::decision::Attributes;
use aims::guard::{BuildError, GuardBuilder, HttpSignatures, TransactionTokens, Trusting};
use aims::jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims::jose::key::SigningKey;
use aims::oauth_wire::call::CallDigest;
use aims::revoked::{RevocationList, RevokedBy};
use aims::txn_token::{TxnToken, TxnTokenRules};
use aims::wpt::{Binding, Revision, fields};
use aims::{Guard, Requirements};
use common::{Agent, CALL, NOW, World, at, bare, key, provider, sign, told};
use http::request::Parts;
use serde_json::{Value, json};

const AGENT: &str = "spiffe://example.org/agent";
const DOMAIN: &str = "trust-domain.example";

struct Domain {
    world: World,
    service: SigningKey,
    tokens: TransactionTokens,
}

impl Domain {
    fn new() -> Self {
        let service = key(aims::jose::Algorithm::Es256).with_key_id("tts");
        let rules = TxnTokenRules::new(DOMAIN);
        Self {
            world: World::new(),
            tokens: TransactionTokens::new(rules, set(&service)),
            service,
        }
    }

    fn builder(&self) -> GuardBuilder<Trusting> {
        self.world
            .guard_by_default()
            .transactions(self.tokens.clone())
    }

    fn guard(&self, requirements: Requirements) -> Guard {
        self.builder().require(requirements).build().unwrap()
    }

    /// A token of the domain with these changes; `"-"` takes a claim out.
    fn token(&self, changes: &Value) -> String {
        let mut claims = json!({
            "aud": DOMAIN, "iat": NOW, "exp": NOW + 60, "txn": "t-1", "sub": "alice",
            "scope": "payments read", "req_wl": "gateway", "tctx": {"action": "transfer"}
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        sign("txntoken+jwt", &self.service, &claims)
    }
}

fn set(service: &SigningKey) -> JwkSet {
    let keys: PublicJwkSet = [service.public_jwk().clone()].into_iter().collect();
    JwkSet::parse(keys.to_json().as_bytes(), &SetRules::oauth(), provider()).unwrap()
}

/// A request with a WPT of -02 that covers the transaction token.
fn call(agent: &Agent, token: &str) -> Parts {
    let wpt = agent.wpt_of(&Binding::to(CALL).txn_token(token));
    with(agent, &wpt, token)
}

fn with(agent: &Agent, wpt: &str, token: &str) -> Parts {
    let mut request = bare();
    let wit = agent.wit.expose();
    fields::apply(&mut request.headers, wit, wpt, Revision::Draft02).unwrap();
    let value = token.parse().unwrap();
    request.headers.insert("txn-token", value);
    request
}

fn code(guard: &Guard, request: &Parts) -> &'static str {
    told(guard.check(request, at(NOW))).0
}

fn transaction() -> Requirements {
    Requirements::new().transaction()
}

#[test]
fn the_principal_has_the_transaction() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let guard = domain.guard(Requirements::new());
    let who = guard.check(&call(&agent, &domain.token(&json!({}))), at(NOW));
    let who = who.unwrap();
    let token = who.transaction().unwrap();
    assert_eq!((token.txn(), token.domain()), ("t-1", DOMAIN));
    assert_eq!(token.context("action").as_deref(), Some("transfer"));
    assert_eq!(who.subject(), "alice");
    assert_eq!(who.agent().unwrap().as_str(), AGENT);
    assert_eq!(who.expires(), at(NOW + 60));
    assert!(who.access_token().is_none() && who.scopes().is_none());
    // A token is for several calls of one transaction: it is not spent.
    let text = domain.token(&json!({}));
    assert_eq!(code(&guard, &call(&agent, &text)), "ok");
    assert_eq!(code(&guard, &call(&agent, &text)), "ok");
}

/// A token that is not good is refused, also where the route requires none.
#[test]
fn a_token_that_is_not_good_is_refused() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let guard = domain.guard(Requirements::new());
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"aud": "other.example"}), "txn.domain"),
        (json!({"aud": [DOMAIN, "other.example"]}), "txn.domain"),
        (json!({"exp": NOW - 30, "iat": NOW - 60}), "txn.expired"),
        (
            json!({"iat": NOW + 31, "exp": NOW + 60}),
            "txn.not_yet_valid",
        ),
        (json!({"exp": NOW + 3_601}), "txn.lifetime"),
        (json!({"sub": ""}), "txn.claim"),
        (json!({"events": {}}), "txn.events"),
    ] {
        let request = call(&agent, &domain.token(&changes));
        assert_eq!(code(&guard, &request), expected, "{changes}");
    }
    let good = json!({
        "aud": DOMAIN, "iat": NOW, "exp": NOW + 60, "txn": "t-1", "sub": "alice",
        "scope": "payments", "req_wl": "gateway"
    });
    let forged = key(aims::jose::Algorithm::Es256).with_key_id("tts");
    let forged = sign("txntoken+jwt", &forged, &good);
    assert_eq!(code(&guard, &call(&agent, &forged)), "txn.signature");
    // An access token of the same key is no transaction token.
    let access = sign("at+jwt", &domain.service, &good);
    assert_eq!(code(&guard, &call(&agent, &access)), "txn.typ");
    // The answer does not say what was wrong.
    let verdict = told(guard.check(&call(&agent, &forged), at(NOW)));
    assert_eq!((verdict.1, verdict.2.as_str()), (400, ""));
}

#[test]
fn one_field_holds_one_token() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let guard = domain.guard(Requirements::new());
    let text = domain.token(&json!({}));
    let mut twice = call(&agent, &text);
    twice.headers.append("txn-token", text.parse().unwrap());
    assert_eq!(code(&guard, &twice), "txn.field_repeated");
    let mut list = call(&agent, &text);
    let value = format!("{text}, {text}").parse().unwrap();
    list.headers.insert("txn-token", value);
    assert_eq!(code(&guard, &list), "txn.field_syntax");
    // In `Authorization` it is an access token, and this guard has no issuer.
    let mut moved = bare();
    let value = format!("Bearer {text}").parse().unwrap();
    moved.headers.insert("authorization", value);
    assert_eq!(code(&guard, &moved), "guard.token_unexpected");
}

/// A proof is made for one token: another one, also a good one, is refused.
#[test]
fn the_proof_covers_the_token() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let guard = domain.guard(transaction());
    let (one, other) = (
        domain.token(&json!({})),
        domain.token(&json!({"txn": "t-2"})),
    );
    let wpt = || agent.wpt_of(&Binding::to(CALL).txn_token(&one));
    assert_eq!(code(&guard, &with(&agent, &wpt(), &one)), "ok");
    assert_eq!(code(&guard, &with(&agent, &wpt(), &other)), "wpt.tth");
    let uncovered = agent.wpt_of(&Binding::to(CALL));
    assert_eq!(code(&guard, &with(&agent, &uncovered, &one)), "wpt.tth");
    // Taken out on its way.
    let mut without = with(&agent, &wpt(), &one);
    without.headers.remove("txn-token");
    assert_eq!(code(&guard, &without), "guard.transaction");
}

/// `cnf` of the token is the key that the sender proves.
#[test]
fn a_bound_token_is_its_holders() {
    let domain = Domain::new();
    let (agent, thief) = (
        domain.world.agent(AGENT),
        domain.world.agent("spiffe://example.org/other"),
    );
    let guard = domain.guard(transaction());
    let jwk = serde_json::to_value(agent.key.public_jwk()).unwrap();
    let bound = domain.token(&json!({"cnf": {"jwk": jwk}}));
    assert_eq!(code(&guard, &call(&agent, &bound)), "ok");
    assert_eq!(code(&guard, &call(&thief, &bound)), "txn.not_bound");
    let jkt = agent.key.public_jwk().thumbprint().to_string();
    let dpop = domain.token(&json!({"cnf": {"jkt": jkt}}));
    assert_eq!(code(&guard, &call(&agent, &dpop)), "txn.not_bound");
}

#[test]
fn a_route_requires_a_transaction() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let token = domain.token(&json!({}));
    let without = || {
        let mut request = bare();
        let wpt = agent.wpt_of(&Binding::to(CALL));
        let wit = agent.wit.expose();
        fields::apply(&mut request.headers, wit, &wpt, Revision::Draft02).unwrap();
        request
    };
    let guard = domain.guard(Requirements::new());
    assert_eq!(code(&guard, &without()), "ok");
    let refused = told(domain.guard(transaction()).check(&without(), at(NOW)));
    assert_eq!((refused.0, refused.1), ("guard.transaction", 400));
    // The reason of a refusal by what the token says.
    let reason = |requirements: Requirements| {
        let guard = domain.guard(requirements);
        match guard.check(&call(&agent, &token), at(NOW)) {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => {
                assert_eq!(
                    (refusal.code(), refusal.status().as_u16()),
                    ("guard.forbidden", 403)
                );
                refusal.detail().split(':').next().unwrap().to_owned()
            }
        }
    };
    let scopes = |text: &str| Requirements::new().transaction_scopes(text.parse().unwrap());
    assert_eq!(reason(scopes("payments")), "ok");
    assert_eq!(reason(scopes("read payments")), "ok");
    assert_eq!(reason(scopes("payments admin")), "guard.transaction_scope");
    assert_eq!(reason(scopes("Payments")), "guard.transaction_scope");
    let context = |member: &str, text: &str| Requirements::new().transaction_context(member, text);
    assert_eq!(reason(context("action", "transfer")), "ok");
    assert_eq!(
        reason(context("action", "Transfer")),
        "guard.transaction_context"
    );
    assert_eq!(reason(context("amount", "10")), "guard.transaction_context");
    let both = context("action", "transfer").transaction_context("action2", "x");
    assert_eq!(reason(both), "guard.transaction_context");
}

/// A transaction token in place of an access token, and only where the route says so.
#[test]
fn a_transaction_stands_in_place_of_an_access_token() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let token = domain.token(&json!({}));
    let guard = |requirements: Requirements| {
        let issuers = Arc::clone(&domain.world.issuers);
        let guard = domain.builder().issuers(issuers).require(requirements);
        guard
            .http_signatures(HttpSignatures::new())
            .build()
            .unwrap()
    };
    let request = || call(&agent, &token);
    assert_eq!(code(&guard(transaction()), &request()), "token.missing");
    let alone = guard(Requirements::new().accept_transaction_alone());
    assert_eq!(code(&alone, &request()), "ok");
    // It is no proof of who sends it.
    let mut stolen = bare();
    stolen.headers.insert("txn-token", token.parse().unwrap());
    assert_eq!(code(&alone, &stolen), "guard.proof");
    let bearer = Requirements::new()
        .accept_transaction_alone()
        .accept_bearer();
    let who = guard(bearer).check(&stolen, at(NOW)).unwrap();
    assert!(who.is_unbound() && who.subject() == "alice");
    let bearer = guard(Requirements::new().accept_bearer());
    assert_eq!(code(&bearer, &stolen), "token.missing");
    // Where the token is bound, its text alone is not enough.
    let jwk = serde_json::to_value(agent.key.public_jwk()).unwrap();
    let bound = domain.token(&json!({"cnf": {"jwk": jwk}}));
    stolen.headers.insert("txn-token", bound.parse().unwrap());
    let bearer = Requirements::new()
        .accept_transaction_alone()
        .accept_bearer();
    assert_eq!(code(&guard(bearer), &stolen), "txn.not_bound");
    // Without an issuer, too.
    let bearer = Requirements::new()
        .accept_transaction_alone()
        .accept_bearer();
    stolen.headers.insert("txn-token", token.parse().unwrap());
    assert_eq!(code(&domain.guard(bearer), &stolen), "ok");
}

/// TXN-25: the call that the application names is the one that the token is bound to. Where none is
/// named, a token for one call is refused, unless the handler compares it.
#[test]
fn changed_parameters_are_refused() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let digest = |amount: u32| {
        let arguments = format!(r#"{{"amount":{amount}}}"#);
        CallDigest::of("transfer", Some(arguments.as_bytes()))
            .unwrap()
            .to_string()
    };
    let bound = domain.token(&json!({"tctx": {"call_digest": digest(10)}}));
    let free = domain.token(&json!({}));
    let judge = |requirements: Requirements, token: &str, call_digest: Option<String>| {
        let mut request = call(&agent, token);
        if let Some(digest) = call_digest {
            let attributes = Attributes::new().with(Attributes::CALL_DIGEST, digest);
            request.extensions.insert(attributes);
        }
        code(&domain.guard(requirements), &request)
    };
    let in_handler = || transaction().call_compared_by_handler();
    for (requirements, required, accepted) in [
        (Requirements::new(), false, false),
        (transaction(), false, false),
        (in_handler(), false, true),
        (Requirements::new().transaction_call(), true, false),
        (in_handler().transaction_call(), true, false),
    ] {
        let of = |token: &str, digest| judge(requirements.clone(), token, digest);
        assert_eq!(of(&bound, Some(digest(10))), "ok");
        assert_eq!(of(&bound, Some(digest(11))), "txn.call");
        assert_eq!(of(&bound, Some("no digest".to_owned())), "txn.call");
        let unless = |code| if required { code } else { "ok" };
        let unnamed = if accepted { "ok" } else { "guard.call" };
        assert_eq!(of(&bound, None), unnamed);
        assert_eq!(of(&free, Some(digest(10))), unless("txn.no_call"));
        assert_eq!(of(&free, None), unless("txn.no_call"));
    }
}

#[test]
fn keys_are_replaced_and_tokens_revoked() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let list = Arc::new(RevocationList::new(10));
    let guard = domain.builder().revoked(Arc::clone(&list)).build().unwrap();
    let text = domain.token(&json!({"iss": "https://tts.example"}));
    assert_eq!(code(&guard, &call(&agent, &text)), "ok");
    // Another token of the same transaction is not revoked.
    let revoked = TxnToken::verify(
        &text,
        &set(&domain.service),
        &TxnTokenRules::new(DOMAIN),
        at(NOW),
    );
    list.revoke(RevokedBy::transaction_token(&revoked.unwrap()), at(NOW));
    assert_eq!(code(&guard, &call(&agent, &text)), "txn.revoked");
    let other = domain.token(&json!({"iss": "https://tts.example", "scope": "read"}));
    assert_eq!(code(&guard, &call(&agent, &other)), "ok");
    let subject = RevokedBy::Subject {
        issuer: "https://tts.example".to_owned(),
        subject: "alice".to_owned(),
    };
    list.revoke(subject, at(NOW));
    assert_eq!(code(&guard, &call(&agent, &other)), "txn.revoked");
    let later = domain.token(&json!({"iss": "https://tts.example", "iat": NOW + 1}));
    assert_eq!(code(&guard, &call(&agent, &later)), "ok");
    domain
        .tokens
        .set_keys(set(&key(aims::jose::Algorithm::Es256).with_key_id("new")));
    assert_eq!(code(&guard, &call(&agent, &later)), "key.unknown");
}

/// Without the setting, the guard looks at no transaction token; requirements that it cannot meet
/// are errors of `build`.
#[test]
fn what_a_guard_cannot_meet_is_not_built() {
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let plain = domain.world.guard_by_default().build().unwrap();
    let who = plain.check(&call(&agent, "a.b.c"), at(NOW)).unwrap();
    assert!(who.transaction().is_none());
    let refused = plain.requiring(transaction());
    assert!(matches!(refused, Err(BuildError::NoTransactions)));
    for (requirements, word) in [
        (
            Requirements::new()
                .accept_transaction_alone()
                .scopes("a".parse().unwrap()),
            "accept_transaction_alone",
        ),
        (
            Requirements::new().transaction_scopes(Default::default()),
            "scopes of the transaction",
        ),
    ] {
        let refused = domain.builder().require(requirements).build();
        assert!(refused.unwrap_err().to_string().contains(word));
    }
}

/// Alice may do everything, the assistant and the agent may call, and mallory is denied.
#[cfg(feature = "txn-agents")]
#[derive(Debug)]
struct Rules;

#[cfg(feature = "txn-agents")]
impl aims::decision::Permit for Rules {
    fn may(
        &self,
        party: &aims::decision::Party<'_>,
        _call: &aims::decision::Call<'_>,
        _now: aims::jose::time::UnixTime,
    ) -> aims::decision::Permission {
        use aims::decision::{Permission, Role};
        match (party.role, party.name, party.issuer) {
            (Role::Subject, "alice", None | Some(SERVICE | DOMAIN))
            | (Role::Actor, "assistant" | "helper", Some(SERVICE | DOMAIN))
            | (Role::Actor, "partner", Some(OTHER))
            | (Role::Actor, AGENT, None) => Permission::Allowed,
            (_, "mallory", _) => Permission::Denied,
            _ => Permission::NoRule,
        }
    }
}

#[cfg(feature = "txn-agents")]
const SERVICE: &str = "https://tts.example";

#[cfg(feature = "txn-agents")]
const OTHER: &str = "https://other.example";

/// DEL-10, TXN-25: with a transaction token alone, the policy for subject and actor is asked about
/// the agents that the token names, and not about those before them.
#[cfg(feature = "txn-agents")]
#[test]
fn the_agents_of_a_transaction_are_asked() {
    use aims::txn_token::AgentRules;
    let domain = Domain::new();
    let agent = domain.world.agent(AGENT);
    let rules = TxnTokenRules::new(DOMAIN).with_agents(AgentRules::new());
    let tokens = TransactionTokens::new(rules, set(&domain.service));
    let guard = domain
        .world
        .guard_by_default()
        .transactions(tokens)
        .require(
            Requirements::new()
                .accept_transaction_alone()
                .accept_bearer()
                .subject_and_actor(Rules),
        )
        .build()
        .unwrap();
    let judge = |changes: Value, is_proven: bool| {
        let mut changes = changes;
        let is_unnamed = changes.as_object_mut().unwrap().remove("unnamed");
        if is_unnamed.is_none() {
            changes["iss"] = json!(SERVICE);
        }
        let token = domain.token(&changes);
        let request = if is_proven {
            call(&agent, &token)
        } else {
            let mut request = bare();
            request.headers.insert("txn-token", token.parse().unwrap());
            request
        };
        match guard.check(&request, at(NOW)) {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => {
                assert_eq!(refusal.code(), "guard.forbidden");
                refusal.detail().split(':').next().unwrap().to_owned()
            }
        }
    };
    let denied = "guard.actor_denied";
    let current = |name: &str| {
        let identity = json!({"identity": {"workload_id": name}});
        json!({"act": {"sub": "assistant"}, "agentic_ctx": identity})
    };
    for (changes, expected) in [
        (json!({"act": {"sub": "assistant"}}), "ok"),
        (json!({"act": {"sub": "mallory"}}), denied),
        (json!({"act": {"sub": "unknown"}}), denied),
        (
            json!({"act": {"sub": "assistant", "act": {"sub": "mallory"}}}),
            "ok",
        ),
        (
            json!({"act": {"sub": "mallory", "act": {"sub": "assistant"}}}),
            denied,
        ),
        (json!({"act": {"sub": "assistant", "iss": OTHER}}), denied),
        (json!({"act": {"sub": "assistant", "iss": SERVICE}}), "ok"),
        (current("helper"), "ok"),
        (current("mallory"), denied),
        // The agent of another issuer is not the one with its name here.
        (json!({"act": {"sub": "partner", "iss": OTHER}}), "ok"),
        (
            json!({"act": {"sub": "partner", "iss": OTHER},
                "agentic_ctx": {"identity": {"workload_id": "partner"}}}),
            denied,
        ),
        (
            json!({"act": {"sub": "partner", "iss": OTHER}, "req_wl": "partner"}),
            "ok",
        ),
        // Without `iss`, the names are those of the domain, and none is that of a proven agent.
        (json!({"act": {"sub": "assistant"}, "unnamed": true}), "ok"),
        (
            json!({"sub": "bob", "act": {"sub": "assistant"}}),
            "guard.subject_denied",
        ),
    ] {
        for is_proven in [false, true] {
            let found = judge(changes.clone(), is_proven);
            assert_eq!(found, expected, "{changes} {is_proven}");
        }
    }
    // Without `act`, the sender that has proven itself acts, and no other.
    assert_eq!(judge(json!({}), true), "ok");
    assert_eq!(judge(json!({}), false), denied);
    assert_eq!(judge(json!({"act": {"sub": AGENT}}), true), "ok");
    let other = json!({"act": {"sub": AGENT, "iss": OTHER}});
    assert_eq!(judge(other, true), denied);
    let unnamed = json!({"act": {"sub": AGENT}, "unnamed": true});
    assert_eq!(judge(unnamed.clone(), true), "ok");
    assert_eq!(judge(unnamed, false), denied);
}
