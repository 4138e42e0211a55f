//! A transaction token for another one.

use std::sync::Arc;

use aims_authority::{Builder, Client, ExchangeTable};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::Signer as _;
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_oauth_wire::dpop::Binding;
use aims_txn_token::{AgentRules, TxnToken, TxnTokenRules};
use serde_json::{Value, json};

use super::domain::{BANK, DOMAIN, Domain, Rigid, Shop, actors, replacing, text};
use crate::common::browser::USER;
use crate::common::endpoint::{ACCESS_TOKEN, EXCHANGE, TXN_TOKEN, ask, refused};
use crate::common::{self, AGENT, BASE, NOW, at, claims, confirmation, es256, key_set, now, sign};

/// TXN-34, DEL-14: the transaction stays, the scope narrows, and the chain grows.
#[test]
fn a_replacement_keeps_the_transaction() {
    let domain = Domain::new();
    let asked = [
        ("request_details", r#"{"amount":5}"#),
        ("request_context", r#"{"ip":"192.0.2.1"}"#),
    ];
    let first = domain.first(&asked);
    let parent = domain.read(&first, now());
    assert_eq!(parent["scope"], "look order");
    let more = [
        ("scope", "order"),
        ("request_details", r#"{"item":"x","approved":true}"#),
        ("request_context", r#"{"ip":"203.0.113.9","step":2}"#),
    ];
    let granted = domain.replace("s1", &first, &more, at(NOW + 20)).unwrap();
    assert_eq!(granted["issued_token_type"], TXN_TOKEN);
    assert_eq!(granted["token_type"], "N_A");
    assert_eq!(granted["scope"], "order");
    assert_eq!(granted["expires_in"], 40);
    assert_eq!(granted.get("refresh_token"), None);
    let child = domain.read(&text(Ok(granted)), at(NOW + 20));
    for name in ["iss", "aud", "txn", "sub", "exp"] {
        assert_eq!(child[name], parent[name], "{name}");
    }
    assert_eq!(child["sub"], USER);
    assert_eq!(child["tctx"], json!({"amount": 5, "item": "x"}));
    assert_eq!(child["rctx"], json!({"ip": "192.0.2.1", "step": 2}));
    assert_eq!(child["req_wl"], "s1");
    assert_eq!(child["cnf"], confirmation(&domain.key));
    assert_eq!(actors(&parent), ["gateway", "cli"]);
    assert_eq!(actors(&child), ["s1", "gateway", "cli"]);
    // Without `scope` it has those of the token.
    let same = text(domain.replace("s1", &first, &[], now()));
    assert_eq!(domain.read(&same, now())["scope"], "look order");
}

/// TXN-34, T-180: each request differs from a good one in one property.
#[test]
fn a_replacement_only_narrows() {
    let domain = Domain::new();
    let first = domain.first(&[("scope", "order"), ("request_details", r#"{"amount":5}"#)]);
    let parent = claims(&first);
    let crafted = |typ: &str, name: &str, value: Value| {
        let mut claims = parent.clone();
        claims[name] = value;
        sign(typ, &claims, &domain.signer)
    };
    let typ = "txntoken+jwt";
    assert!(
        domain
            .replace("s1", &crafted(typ, "rctx", json!({})), &[], now())
            .is_ok()
    );
    let forged = sign(typ, &parent, &es256());
    let elsewhere = crafted(typ, "aud", json!("other.example"));
    let several = crafted(typ, "aud", json!([DOMAIN, "other.example"]));
    let issuer = crafted(typ, "iss", json!("https://as.example"));
    let ended = crafted(typ, "exp", json!(NOW));
    let unknown = crafted(typ, "x", json!(1));
    let spelled = crafted("TXNTOKEN+JWT", "rctx", json!({}));
    let access = crafted("at+jwt", "rctx", json!({}));
    for (name, value, error) in [
        ("scope", "look", "invalid_scope"),
        ("scope", "order look", "invalid_scope"),
        ("scope", "", "ok"),
        ("request_details", r#"{"amount":6}"#, "invalid_request"),
        ("request_details", r#"{"amount":5}"#, "ok"),
        ("request_details", r#"{"forbidden":1}"#, "invalid_target"),
        ("request_details", "[]", "invalid_request"),
        ("audience", "other.example", "invalid_target"),
        ("audience", "", "invalid_target"),
        ("resource", BANK, "invalid_target"),
        ("requested_token_type", "", "invalid_request"),
        ("subject_token_type", ACCESS_TOKEN, "invalid_request"),
        ("subject_token_type", "", "invalid_request"),
        ("subject_token", &domain.subject, "invalid_request"),
        ("subject_token", &forged, "invalid_request"),
        ("subject_token", &elsewhere, "invalid_request"),
        ("subject_token", &several, "invalid_request"),
        ("subject_token", &issuer, "invalid_request"),
        ("subject_token", &ended, "invalid_request"),
        ("subject_token", &unknown, "invalid_request"),
        ("subject_token", &spelled, "invalid_request"),
        ("subject_token", &access, "invalid_request"),
    ] {
        let answer = domain.replace("s1", &first, &[(name, value)], now());
        if error == "ok" {
            assert!(answer.is_ok(), "{name} {value} {answer:?}");
        } else {
            assert_eq!(answer, refused(400, error), "{name} {value}");
        }
    }
}

/// Only a client that the operator named replaces, and only where the policy says so.
#[test]
fn a_replacement_needs_the_operators_word() {
    let domain = Domain::new();
    let first = domain.first(&[]);
    let unauthorized = refused(400, "unauthorized_client");
    for client in ["plain", "border"] {
        assert_eq!(domain.replace(client, &first, &[], now()), unauthorized);
    }
    let mut public = replacing(&first).to_vec();
    public.extend([("grant_type", EXCHANGE), ("client_id", "cli")]);
    assert_eq!(ask(&domain.authority, &[], &public, now()), unauthorized);
    let rigid = Domain::with(Rigid);
    let first = rigid.first(&[]);
    let answer = rigid.replace("s1", &first, &[], now());
    assert_eq!(answer, refused(400, "invalid_target"));
}

/// TXD-05: no sequence of replacements lives longer than the first token.
#[test]
fn a_replacement_ends_with_what_it_replaces() {
    let domain = Domain::new();
    let first = domain.first(&[]);
    let second = domain.replace("s1", &first, &[], at(NOW + 50)).unwrap();
    assert_eq!(second["expires_in"], 10);
    let second = text(Ok(second));
    let third = domain.replace("s2", &second, &[], at(NOW + 59)).unwrap();
    assert_eq!(third["expires_in"], 1);
    let late = domain.replace("s2", &second, &[], at(NOW + 60));
    assert_eq!(late, refused(400, "invalid_request"));
}

/// DEL-05, DEL-06: no actor comes twice, and there are at most five.
#[test]
fn the_chain_of_a_transaction_is_kept_and_bounded() {
    let domain = Domain::new();
    let mut token = domain.first(&[]);
    for service in ["s1", "s2", "s3"] {
        token = text(domain.replace(service, &token, &[], now()));
    }
    let chain = actors(&domain.read(&token, now()));
    assert_eq!(chain, ["s3", "s2", "s1", "gateway", "cli"]);
    let invalid = refused(400, "invalid_request");
    assert_eq!(domain.replace("s4", &token, &[], now()), invalid);
    for again in ["s1", "gateway"] {
        assert_eq!(
            domain.replace(again, &token, &[], now()),
            invalid,
            "{again}"
        );
    }
}

/// TXA-01: the agent that began the transaction stays the first one over every replacement, and the
/// client that asked last is the current actor.
#[test]
fn the_first_agent_stays_first() {
    let domain = Domain::new();
    let jwks = domain.authority.oauth().jwks(now());
    let keys = JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
    let rules = TxnTokenRules::new(DOMAIN).with_agents(AgentRules::new());
    let check = |token: &str, current: &str| {
        let token = TxnToken::verify(token, &keys, &rules, now()).unwrap();
        let agents = token.agents().unwrap();
        assert_eq!((agents.first(), agents.actor()), ("cli", current));
        assert_eq!(
            (agents.actor_issuer(), agents.current()),
            (Some(BASE), Some(current))
        );
    };
    let mut token = domain.first(&[]);
    check(&token, "gateway");
    for service in ["s1", "s2"] {
        token = text(domain.replace(service, &token, &[], now()));
        check(&token, service);
    }
}

/// A client narrows its own token before it calls several services. It stays the current actor,
/// and its key stays the key.
#[test]
fn a_client_narrows_its_own_token() {
    let domain = Domain::new();
    let first = domain.first(&[]);
    let narrow = text(domain.replace("gateway", &first, &[("scope", "look")], now()));
    let claims = domain.read(&narrow, now());
    assert_eq!(
        (&claims["scope"], actors(&claims).len()),
        (&json!("look"), 2)
    );
    let by_another_key = |client: &str, token: &str| {
        let holder = es256();
        let (jwk, algorithm) = (holder.public_jwk(), holder.algorithm());
        let target = format!("{BASE}/token");
        let proof = Binding::to("POST", &target).prepare(jwk, algorithm, SYSTEM, now());
        let proof = proof.unwrap().sign(&holder).unwrap().expose().to_owned();
        domain.exchange(client, &[("dpop", &proof)], &replacing(token), &[], now())
    };
    let invalid = refused(400, "invalid_request");
    assert_eq!(by_another_key("gateway", &first), invalid);
    assert!(by_another_key("s1", &first).is_ok());
}

/// A bound token becomes none that every holder can use: a JWT-SVID proves no key.
#[test]
fn a_bound_transaction_stays_bound() {
    let domain = Domain::new();
    let first = domain.first(&[]);
    let (wit, key) = common::wit(&domain.authority, "a", now());
    let svid = common::jwt_svid(&domain.authority, &wit, &key, BASE, now()).unwrap();
    let mut all = replacing(&first).to_vec();
    all.extend([
        ("grant_type", EXCHANGE),
        ("client_assertion_type", common::endpoint::JWT_SPIFFE),
        ("client_assertion", &*svid),
    ]);
    let answer = ask(&domain.authority, &[], &all, now());
    assert_eq!(answer, refused(400, "invalid_request"));
}

/// DEL-12: a revoked grant ends its transactions, and so does the withdrawal of an actor.
#[test]
fn a_revoked_transaction_is_not_replaced() {
    let domain = Domain::new();
    let first = domain.first(&[]);
    // The agent is an actor of this one.
    let (wit, key) = common::wit(&domain.authority, "a", now());
    let pop = json!({"iss": AGENT, "aud": BASE, "jti": "1", "iat": NOW, "exp": NOW + 60});
    let pop = sign("oauth-client-attestation-pop+jwt", &pop, &key);
    let attested = [
        ("oauth-client-attestation", &*wit),
        ("oauth-client-attestation-pop", &*pop),
    ];
    let by_agent = text(domain.exchange("", &attested, &replacing(&first), &[], now()));
    assert_eq!(actors(&claims(&by_agent)), [AGENT, "gateway", "cli"]);
    let deeper = text(domain.replace("s1", &by_agent, &[], now()));
    assert!(domain.replace("s2", &deeper, &[], now()).is_ok());
    let agent = AGENT.parse().unwrap();
    assert!(domain.authority.identity().withdraw(&agent, now()).unwrap());
    let invalid = refused(400, "invalid_request");
    assert_eq!(domain.replace("s1", &by_agent, &[], now()), invalid);
    assert_eq!(domain.replace("s2", &deeper, &[], now()), invalid);
    // Others go on, until the grant ends.
    let order = domain.first(&[("scope", "order")]);
    assert!(domain.replace("s1", &order, &[], now()).is_ok());
    assert!(domain.take_out("border", &order, &[], now()).is_ok());
    domain.revoke();
    assert_eq!(domain.replace("s1", &order, &[], now()), invalid);
    assert_eq!(domain.take_out("border", &order, &[], now()), invalid);
}

/// A client with a right that the server cannot give is a mistake of the operator.
#[test]
fn a_service_that_is_missing_is_told_at_the_start() {
    let client = || Client::with_keys("s", key_set(&es256()));
    let exchange = || Arc::new(ExchangeTable::new());
    let code = |builder: Builder| builder.build(now()).map(drop).map_err(|it| it.code());
    let wrong = Err("authority.clients");
    let plain = common::builder;
    assert_eq!(code(plain().client(client().replace_transactions())), wrong);
    let border = || client().border();
    assert_eq!(code(plain().client(border()).exchange(exchange())), wrong);
    assert_eq!(
        code(plain().client(border()).transactions(Arc::new(Shop))),
        wrong
    );
    let whole = plain().transactions(Arc::new(Shop)).exchange(exchange());
    assert_eq!(code(whole.client(border().replace_transactions())), Ok(()));
}
