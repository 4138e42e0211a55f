//! Agents of transaction tokens: what is judged where the rules say so, and ignored elsewhere.
#![cfg(feature = "agents")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::jws::SigningInput;
use aims_jose::key::SigningKey;
use aims_jose::random::SYSTEM;
use aims_jose::time::at;
use aims_jose::{Algorithm, provider};
use aims_txn_token::{AgentRules, Assurance, Error, TxnToken, TxnTokenRequest, TxnTokenRules};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const DOMAIN: &str = "trust-domain.example";

fn key() -> SigningKey {
    let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC).unwrap();
    key.with_key_id("1")
}

fn verify(text: &str, key: &SigningKey, rules: &TxnTokenRules) -> Result<TxnToken, Error> {
    let keys: PublicJwkSet = [key.public_jwk().clone()].into_iter().collect();
    let keys = keys.to_json();
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), provider::AWS_LC).unwrap();
    TxnToken::verify(text, &keys, rules, at(NOW))
}

/// Verifies a valid token with these members, by these rules for agents.
fn of(members: &Value, rules: Option<AgentRules>) -> Result<TxnToken, Error> {
    let mut claims = json!({
        "aud": DOMAIN, "iat": NOW, "exp": NOW + 300, "txn": "t-1", "sub": "alice",
        "scope": "trade.stocks", "req_wl": "gateway"
    });
    let all = claims.as_object_mut().unwrap();
    all.extend(members.as_object().unwrap().clone());
    let key = key();
    let input = SigningInput::new("txntoken+jwt", Algorithm::Es256, Some("1"), &claims).unwrap();
    let text = input.sign(&key).unwrap();
    let base = TxnTokenRules::new(DOMAIN);
    let rules = match rules {
        Some(rules) => base.with_agents(rules),
        None => base,
    };
    verify(text.expose(), &key, &rules)
}

fn code(members: &Value, rules: AgentRules) -> &'static str {
    of(members, Some(rules)).map_or_else(|error| error.code(), |_| "ok")
}

/// The multi-agent example of the draft, with `act`, which it lacks.
fn two_agents() -> Value {
    json!({
        "act": {"sub": "3p-assistant-ext-99"},
        "agentic_ctx": {
            "current_actor": {
                "identity": {"workload_id": "1p-billing-svc-v2", "origin_node": "node-4"},
                "posture": {"tee": "aws-nitro-enclave", "assurance": "high"},
                "prov": {"manifest_hash": "sha256:4455..."}
            },
            "originator": {
                "identity": {"workload_id": "3p-assistant-ext-99"},
                "posture": {"tee": "unverified", "assurance": "low"},
                "prov": {"manifest_hash": "none"}
            },
            "chain_metadata": {
                "hop_count": 2,
                "min_assurance_level": "low",
                "txn_path": ["3p-assistant-ext-99", "1p-billing-svc-v2"]
            }
        }
    })
}

/// Returns the example with one value replaced, or removed by `null`.
fn changed(pointer: &str, value: Value) -> Value {
    let mut all = two_agents();
    if value.is_null() {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let parent = all.pointer_mut(parent).unwrap();
        parent.as_object_mut().unwrap().remove(member);
    } else {
        *all.pointer_mut(pointer).unwrap() = value;
    }
    all
}

#[test]
fn the_agents_of_a_chain_are_known() {
    let token = of(&two_agents(), Some(AgentRules::new())).unwrap();
    let agents = token.agents().unwrap();
    assert_eq!(agents.first(), "3p-assistant-ext-99");
    assert_eq!(agents.current(), Some("1p-billing-svc-v2"));
    assert_eq!(agents.originator(), Some("3p-assistant-ext-99"));
    assert_eq!(agents.path(), ["3p-assistant-ext-99", "1p-billing-svc-v2"]);
    assert_eq!((agents.hops(), agents.assurance()), (2, Assurance::Low));
}

/// The single-agent example of the draft.
#[test]
fn a_single_agent_is_the_current_one() {
    let members = json!({
        "act": {"sub": "agent-1"},
        "agentic_ctx": {
            "prov": {"manifest_hash": "sha256:e3b0", "model_id": "llama", "version": "2.4.1"},
            "posture": {"tee": "aws-nitro-enclave", "assurance": "high", "boot_gold": true},
            "identity": {"workload_id": "spiffe://prod.acme.example/billing", "origin_node": "n"}
        }
    });
    let token = of(&members, Some(AgentRules::new())).unwrap();
    let agents = token.agents().unwrap();
    assert_eq!(agents.first(), "agent-1");
    assert_eq!(agents.current(), Some("spiffe://prod.acme.example/billing"));
    assert_eq!(agents.assurance(), Assurance::High);
}

/// Without a context the current agent is known only if the agent asked for the token by itself.
#[test]
fn who_acts_now_may_be_unknown() {
    let current = |act: &str| {
        let members = json!({"act": {"sub": act}});
        let token = of(&members, Some(AgentRules::new())).unwrap();
        token.agents().unwrap().current().map(str::to_owned)
    };
    assert_eq!(current("gateway").as_deref(), Some("gateway"));
    assert_eq!(current("agent-1"), None);
    let unnamed = changed("/agentic_ctx/current_actor/identity", Value::Null);
    let token = of(&unnamed, Some(AgentRules::new())).unwrap();
    assert_eq!(token.agents().unwrap().current(), None);
}

/// TXA-01: the agent of another issuer is not the workload that asked for the token, whatever its
/// name.
#[test]
fn an_agent_of_another_issuer_is_not_the_requester() {
    let as_it = json!("https://as.example");
    for (own, of_act, expected) in [
        (Some(&as_it), None, Some("gateway")),
        (Some(&as_it), Some("https://as.example"), Some("gateway")),
        (Some(&as_it), Some("https://other.example"), None),
        (None, None, Some("gateway")),
        (None, Some("https://other.example"), None),
    ] {
        let mut members = json!({"act": {"sub": "gateway"}});
        if let Some(own) = own {
            members["iss"] = own.clone();
        }
        if let Some(of_act) = of_act {
            members["act"]["iss"] = of_act.into();
        }
        let token = of(&members, Some(AgentRules::new())).unwrap();
        let agents = token.agents().unwrap();
        assert_eq!(agents.current(), expected, "{members}");
        assert_eq!(agents.actor(), "gateway");
    }
}

/// TXA-01: where a service keeps the chain of those who asked in `act`, the outermost is the
/// current actor, and the innermost the first agent.
#[test]
fn a_chain_of_actors_has_its_first_agent_innermost() {
    let act = json!({
        "sub": "gateway", "iss": "https://as.example",
        "act": {"sub": "service", "act": {"sub": "agent-1", "iss": "https://as.example"}},
    });
    let members = json!({"iss": "https://as.example", "act": act});
    let token = of(&members, Some(AgentRules::new())).unwrap();
    let agents = token.agents().unwrap();
    assert_eq!((agents.first(), agents.actor()), ("agent-1", "gateway"));
    assert_eq!(agents.actor_issuer(), Some("https://as.example"));
    assert_eq!(agents.current(), Some("gateway"));
    let chain = |names: &[&str]| {
        let none = json!(null);
        let nest = |inner: Value, name: &&str| match inner {
            Value::Null => json!({"sub": name}),
            inner => json!({"sub": name, "act": inner}),
        };
        json!({"act": names.iter().rev().fold(none, nest)})
    };
    let rules = AgentRules::new;
    assert_eq!(code(&chain(&["a", "b", "c", "d", "e"]), rules()), "ok");
    let long = chain(&["a", "b", "c", "d", "e", "f"]);
    assert_eq!(code(&long, rules()), "txn.agent_hops");
    assert_eq!(code(&long, rules().with_max_hops(6)), "ok");
    let twice = chain(&["a", "b", "a"]);
    assert_eq!(code(&twice, rules()), "txn.agent_loop");
    for inner in [
        json!({}),
        json!("b"),
        json!({"sub": ""}),
        json!({"sub": "b", "iss": ""}),
    ] {
        let act = json!({"act": {"sub": "a", "act": inner}});
        assert_eq!(code(&act, rules()), "txn.claim", "{act}");
    }
}

/// Where the rules do not ask for agents, their claims are ignored, however they look.
#[test]
fn without_rules_the_claims_are_ignored() {
    for members in [
        two_agents(),
        json!({"act": 1, "agentic_ctx": []}),
        json!({"agentic_ctx": {}}),
    ] {
        assert!(of(&members, None).unwrap().agents().is_none());
    }
}

#[test]
fn an_agent_can_be_required() {
    let rules = AgentRules::new();
    assert_eq!(code(&json!({}), rules.clone()), "ok");
    assert_eq!(code(&json!({}), rules.require_agent()), "txn.claim");
}

#[test]
fn malformed_agents_are_refused() {
    for (pointer, value) in [
        ("/act", json!("agent-1")),
        ("/act", json!({})),
        ("/act/sub", json!("")),
        ("/act/sub", json!(1)),
        ("/act", Value::Null),
        ("/agentic_ctx", json!("x")),
        ("/agentic_ctx/current_actor", json!(["x"])),
        ("/agentic_ctx/current_actor/identity", json!(["x"])),
        ("/agentic_ctx/current_actor/identity/workload_id", json!(1)),
        ("/agentic_ctx/current_actor/posture", json!("high")),
        ("/agentic_ctx/originator", json!(1)),
        ("/agentic_ctx/chain_metadata", json!([])),
        ("/agentic_ctx/chain_metadata/hop_count", json!(-1)),
        ("/agentic_ctx/chain_metadata/hop_count", json!("2")),
        ("/agentic_ctx/chain_metadata/txn_path", json!("a")),
        ("/agentic_ctx/chain_metadata/min_assurance_level", json!(1)),
    ] {
        let members = changed(pointer, value.clone());
        let found = code(&members, AgentRules::new());
        assert_eq!(found, "txn.claim", "{pointer} {value}");
    }
}

/// The last element is the agent that the token is for; its own name there is no loop.
#[test]
fn a_loop_is_refused() {
    let rules = |own: &str| AgentRules::new().with_workload(own);
    assert_eq!(code(&two_agents(), rules("1p-billing-svc-v2")), "ok");
    assert_eq!(code(&two_agents(), rules("other")), "ok");
    let own = code(&two_agents(), rules("3p-assistant-ext-99"));
    assert_eq!(own, "txn.agent_loop");
    let twice = changed(
        "/agentic_ctx/chain_metadata/txn_path",
        json!(["a", "b", "a"]),
    );
    assert_eq!(code(&twice, AgentRules::new()), "txn.agent_loop");
}

#[test]
fn hops_are_bounded() {
    let count = |count: u64| changed("/agentic_ctx/chain_metadata/hop_count", json!(count));
    assert_eq!(code(&count(5), AgentRules::new()), "ok");
    assert_eq!(code(&count(6), AgentRules::new()), "txn.agent_hops");
    assert_eq!(code(&count(6), AgentRules::new().with_max_hops(6)), "ok");
    // A count that is less than the path hides no agent.
    let path: Vec<String> = (0..6).map(|agent| agent.to_string()).collect();
    let long = changed("/agentic_ctx/chain_metadata/txn_path", json!(path));
    assert_eq!(code(&long, AgentRules::new()), "txn.agent_hops");
    let endless: Vec<String> = (0..65).map(|agent| agent.to_string()).collect();
    let endless = changed("/agentic_ctx/chain_metadata/txn_path", json!(endless));
    let found = code(&endless, AgentRules::new().with_max_hops(1_000));
    assert_eq!(found, "txn.agent_hops");
}

/// A token that is bad without rules for agents is refused for the same reason with them.
#[test]
fn the_rules_of_every_token_come_first() {
    for (claim, value, expected) in [
        ("txn", json!(""), "txn.claim"),
        ("sub", json!(""), "txn.claim"),
        ("cnf", json!({}), "txn.confirmation"),
    ] {
        let mut members = changed("/agentic_ctx/chain_metadata/hop_count", json!(6));
        members[claim] = value;
        assert_eq!(code(&members, AgentRules::new()), expected, "{claim}");
        let plain = of(&members, None).map_err(|error| error.code());
        assert_eq!(plain.err(), Some(expected), "{claim}");
    }
}

#[test]
fn the_least_assurance_of_the_chain_counts() {
    let high = || {
        let mut all = changed("/agentic_ctx/originator/posture/assurance", json!("high"));
        all["agentic_ctx"]["chain_metadata"]["min_assurance_level"] = json!("high");
        all
    };
    let rules = || AgentRules::new().with_min_assurance(Assurance::High);
    assert_eq!(code(&high(), rules()), "ok");
    for pointer in [
        "/agentic_ctx/chain_metadata/min_assurance_level",
        "/agentic_ctx/current_actor/posture/assurance",
        "/agentic_ctx/originator/posture/assurance",
    ] {
        for level in ["medium", "unverified", "none", "HIGH", "highest"] {
            let mut members = high();
            *members.pointer_mut(pointer).unwrap() = json!(level);
            assert_eq!(code(&members, rules()), "txn.agent_assurance", "{pointer}");
        }
    }
    // What is missing is the least.
    let mut members = high();
    let chain = members.pointer_mut("/agentic_ctx/chain_metadata").unwrap();
    chain.as_object_mut().unwrap().remove("min_assurance_level");
    assert_eq!(code(&members, rules()), "txn.agent_assurance");
    let alone = json!({"act": {"sub": "gateway"}});
    let low = AgentRules::new().with_min_assurance(Assurance::Low);
    assert_eq!(code(&alone, low), "txn.agent_assurance");
}

/// A token service hands a transaction on: `act` stays, the path grows, the assurance never rises.
#[test]
fn a_replacement_names_the_next_agent() {
    let rules = AgentRules::new().with_max_hops(3);
    let key = key();
    let base = TxnTokenRules::new(DOMAIN).with_agents(rules.clone());
    let made = |context| {
        let request = TxnTokenRequest::new(DOMAIN, "alice", "trade.stocks", "gateway")
            .txn("t-1")
            .agent("a")
            .agentic_context(context);
        let minute = Duration::from_secs(60);
        let input = request.prepare(Algorithm::Es256, Some("1"), minute, SYSTEM, at(NOW));
        verify(input.unwrap().sign(&key).unwrap().expose(), &key, &base)
    };
    let first = made(serde_json::Map::new()).unwrap();
    let second = first.agents().unwrap();
    let context = second.handed_to("b", Assurance::High, &rules).unwrap();
    let chain = context.get("chain_metadata").unwrap();
    assert_eq!(chain["min_assurance_level"], "none");
    let second = made(context).unwrap();
    let agents = second.agents().unwrap();
    assert_eq!((agents.first(), agents.current()), ("a", Some("b")));
    assert_eq!(
        (agents.path().to_vec(), agents.hops()),
        (vec!["a".into(), "b".into()], 2)
    );
    // Of the first agent nothing was verified.
    assert_eq!(agents.assurance(), Assurance::Unknown);
    let third = made(agents.handed_to("c", Assurance::High, &rules).unwrap()).unwrap();
    let agents = third.agents().unwrap();
    assert_eq!((agents.first(), agents.originator()), ("a", Some("a")));
    assert_eq!(agents.path(), ["a", "b", "c"]);
    let failed = |next| {
        let context = agents.handed_to(next, Assurance::High, &rules);
        context.unwrap_err().code()
    };
    assert_eq!(failed("a"), "txn.agent_loop");
    assert_eq!(failed("c"), "txn.agent_loop");
    assert_eq!(failed("d"), "txn.agent_hops");
}
