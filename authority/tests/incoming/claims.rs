//! The checks of a grant itself: its claims, its signature, its times and its single use.

use std::sync::Arc;

use aims_authority::{Authority, Client, IncomingGrants};
use aims_jose::jwk::PublicJwkSet;
use aims_jose::provider::AWS_LC;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::delegate::ScopeTable;
use serde_json::json;

use crate::common::endpoint::{JWT_BEARER as ASSERTION, assertion_claims, described, send_form};
use crate::common::{BASE, NOW, TOOLS, at, body, builder, es256, key_set, now, sign};
use crate::lines::all_logged;
use crate::world::{
    CHAIN, ID_JAG, JWT_BEARER, PARTNER, Subjects, TYPES, World, every, good, invalid,
};

/// JWTA-20, JWTA-22: each claim of a grant is checked.
#[test]
fn each_claim_is_checked() {
    let world = World::new();
    let (expired, early) = ("it has expired", "it is not valid yet");
    let long = "it lives longer than the rules of its issuer accept";
    let audience = "its aud is not this server alone";
    let names = "its sub or its jti is empty, or its jti is too long";
    for typ in ["JWT", ID_JAG] {
        for (name, value, reason) in [
            ("aud", json!("https://as.other.example"), audience),
            ("aud", json!(format!("{BASE}/token")), audience),
            ("aud", json!([BASE, "https://as.other.example"]), audience),
            ("aud", json!(null), "its aud is missing or malformed"),
            ("exp", json!(NOW - 31), "it ends before it begins"),
            ("exp", json!(NOW), expired),
            ("exp", json!(NOW + 301), long),
            ("iat", json!(NOW + 31), early),
            ("iat", json!(NOW - 250), long),
            ("nbf", json!(NOW + 31), early),
            ("iat", json!(null), "a claim is missing or malformed"),
            ("exp", json!("1"), "a claim is missing or malformed"),
            ("jti", json!(""), names),
            ("jti", json!("x".repeat(257)), names),
            ("sub", json!(""), names),
            ("sub", json!("bob"), "its subject is none of this server"),
            ("resource", json!(7), "its resource is malformed"),
            ("scope", json!("a  b"), "its scope is malformed"),
            (
                "client_id",
                json!("other"),
                "it was issued for another client",
            ),
            (
                "cnf",
                json!({"x": 1}),
                "its cnf has a member that is not known here",
            ),
        ] {
            let found = world.changed(typ, name, value.clone());
            assert_eq!(found, invalid(reason), "{typ} {name} {value}");
        }
        for (name, value) in [
            ("aud", json!([BASE])),
            ("exp", json!(NOW + 1)),
            ("exp", json!(NOW + 300)),
            ("iat", json!(NOW + 30)),
            ("nbf", json!(NOW + 30)),
            ("resource", json!([TOOLS])),
            ("client_id", json!("agent")),
        ] {
            let found = world.changed(typ, name, value.clone());
            assert!(found.is_ok(), "{typ} {name} {value} {found:?}");
        }
    }
    let mut late = good("JWT");
    (late["iat"], late["exp"]) = (json!(NOW - 100), json!(NOW - 31));
    let found = world.present(&world.signed("JWT", &late));
    assert_eq!(found, invalid(expired));
    // A subject is not mapped to a client.
    let found = world.changed("JWT", "sub", json!("batch"));
    assert_eq!(found.unwrap_err().0, "server_error");
}

/// JWTA-20: a grant that limits nothing, or is the assertion of a client, is none.
#[test]
fn what_limits_nothing_is_refused() {
    let world = World::new();
    let mut unlimited = good("JWT");
    unlimited.as_object_mut().unwrap().remove("scope");
    let found = world.present(&world.signed("JWT", &unlimited));
    assert_eq!(found, invalid("it has no scope, so it limits nothing"));
    let found = world.changed("JWT", "sub", json!(PARTNER));
    let reason = "it is about its issuer, as the assertion of a client is";
    assert_eq!(found, invalid(reason));
}

/// JWTA-20: `may_act` names the only party that may present the grant (RFC 8693 §4.4).
#[test]
fn may_act_names_the_presenter() {
    let world = World::new();
    let reason = "its may_act does not permit this client to act";
    for typ in TYPES {
        for other in [
            json!({"iss": BASE, "sub": "other"}),
            json!({"iss": BASE, "client_id": "other"}),
            json!({"iss": BASE, "sub": "agent", "client_id": "other"}),
            json!({"iss": PARTNER, "sub": "agent"}),
            json!({"sub": "agent"}),
            json!({"iss": BASE}),
            json!({"iss": BASE, "sub": "agent", "x": 1}),
            json!("agent"),
        ] {
            let found = world.changed(typ, "may_act", other.clone());
            assert_eq!(found, invalid(reason), "{typ} {other}");
        }
        for own in [
            json!({"iss": BASE, "sub": "agent"}),
            json!({"iss": BASE, "client_id": "agent"}),
        ] {
            let found = world.changed(typ, "may_act", own.clone());
            assert!(found.is_ok(), "{typ} {own} {found:?}");
        }
    }
    // What the operator ignores is what limits nothing, and this claim does.
    let world = World::with(|key| every(key).ignore_further_claims());
    let found = world.changed("JWT", "may_act", json!({"iss": BASE, "sub": "other"}));
    assert_eq!(found, invalid(reason));
}

/// TXC-04: a grant of a transaction is judged by its own rules.
#[test]
fn a_grant_of_a_transaction_is_checked() {
    let world = World::new();
    let reason = "it is no valid grant of a transaction for this server";
    for (name, value) in [
        ("aud", json!([BASE, "https://as.other.example"])),
        ("exp", json!(NOW - 31)),
        ("exp", json!(NOW + 301)),
        ("iat", json!(NOW + 31)),
        ("jti", json!("")),
        ("resource", json!(BASE)),
        ("txn_claims", json!([])),
    ] {
        let found = world.changed(CHAIN, name, value.clone());
        assert_eq!(found, invalid(reason), "{name} {value}");
    }
    let found = world.changed(CHAIN, "exp", json!(NOW));
    assert_eq!(found, invalid("it has expired"));
    let found = world.changed(CHAIN, "txn_claims", json!({"amount": 10, "city": "x"}));
    let reason = "its txn_claims has a member that no resource here compares";
    assert_eq!(found, invalid(reason));
}

/// JWTA-20: signature, issuer and algorithm.
#[test]
fn the_signature_is_of_a_trusted_issuer() {
    let world = World::new();
    for typ in TYPES {
        let forged = sign(typ, &good(typ), &es256());
        let reason = match typ {
            CHAIN => "it is no valid grant of a transaction for this server",
            _ => "its signature is not valid",
        };
        assert_eq!(world.present(&forged), invalid(reason), "{typ}");
        let unknown = sign(typ, &good(typ), &world.partner.clone().with_key_id("other"));
        let found = world.present(&unknown);
        assert_eq!(found, invalid("its key is none of its issuer"), "{typ}");
        for other in [json!("https://as.other.example"), json!(BASE)] {
            let found = world.changed(typ, "iss", other);
            let reason = "its issuer is none whose grants are accepted";
            assert_eq!(found, invalid(reason), "{typ}");
        }
    }
    let world = World::with(|key| every(key).algorithms(aims_jose::alg::AlgorithmSet::RSA));
    let found = world.present(&world.signed("JWT", &good("JWT")));
    let reason = "its algorithm is not accepted of its issuer";
    assert_eq!(found, invalid(reason));
    let found = world.present("a.b");
    assert_eq!(found, invalid("it is no signed JWT, or is too long"));
}

/// DEL-02: a claim that is not known may limit the grant.
#[test]
fn a_further_claim_may_be_a_limit() {
    let world = World::new();
    let wider = "the token would permit more than its subject token";
    for typ in TYPES {
        for (claim, expected) in [("max_amount", Some(wider)), ("email", None)] {
            let found = world.changed(typ, claim, json!("5"));
            let found = found.err().map(|(_, description)| description);
            assert_eq!(found.as_deref(), expected, "{typ} {claim}");
        }
    }
    let world = World::with(|key| every(key).ignore_further_claims());
    for typ in TYPES {
        assert!(
            world.changed(typ, "max_amount", json!("5")).is_ok(),
            "{typ}"
        );
    }
}

/// T-141: the log has what was found and what was expected, which the answer does not.
#[test]
fn the_log_says_what_was_expected() {
    let world = World::new();
    let typ = "JWT";
    for (name, value, expected) in [
        (
            "aud",
            json!(["https://x.example", BASE]),
            vec![
                format!(r#"found="https://x.example", {BASE:?} "#),
                format!("expected={BASE:?} "),
            ],
        ),
        (
            "exp",
            json!(NOW + 301),
            vec![
                "code=jwt.lifetime lifetime=301 max_lifetime=300 ".to_owned(),
                "reason=the lifetime is longer than accepted ".to_owned(),
            ],
        ),
        (
            "max_amount",
            json!(5),
            vec![
                r#"claims="max_amount" "#.to_owned(),
                "call `IncomingGrants::ignore_further_claims`".to_owned(),
            ],
        ),
    ] {
        let grant = {
            let mut claims = good(typ);
            claims[name] = value;
            world.signed(typ, &claims)
        };
        let lines = all_logged(|| drop(world.present(&grant))).concat();
        for text in expected {
            assert!(lines.contains(&text), "{text}: {lines}");
        }
        let mut parts = grant.split('.');
        assert!(parts.all(|part| !lines.contains(part)), "{lines}");
    }
}

/// JWTA-20: keys that are no longer trusted verify nothing.
#[test]
fn stale_keys_are_refused() {
    let agent = es256();
    let partner = es256();
    let store = IssuerStore::new();
    let keys = [partner.public_jwk().clone()];
    let keys = keys.into_iter().collect::<PublicJwkSet>().to_json();
    let issuer = PARTNER.parse().unwrap();
    store
        .set_until(&issuer, keys.as_bytes(), AWS_LC, at(NOW + 10))
        .unwrap();
    let rows = ScopeTable::new([("search", "call")]).unwrap();
    let rules = IncomingGrants::new(issuer, Arc::new(store), Arc::new(Subjects));
    let rules = rules.scopes(TOOLS, rows).accept_jwt().accept_transactions();
    let client = Client::with_keys("agent", key_set(&agent)).allow(TOOLS, ["call"]);
    let authority = builder()
        .incoming_grants(rules.transaction_member("amount"))
        .client(client.grants_of(PARTNER))
        .build(now())
        .unwrap();
    let world = World {
        authority,
        agent,
        partner,
    };
    for typ in ["JWT", CHAIN] {
        for (later, expected) in [(10, None), (11, Some("its key is none of its issuer"))] {
            let grant = world.signed(typ, &good(typ));
            let found = described(&world.send("agent", &grant, &[], at(NOW + later)));
            assert_eq!(found.err().map(|it| it.1).as_deref(), expected, "{typ}");
        }
    }
}

/// JWTA-20, TXC-04: a grant is good for one access token, also when another client has it.
#[test]
fn a_grant_is_good_once() {
    let world = World::new();
    for typ in TYPES {
        let grant = world.signed(typ, &good(typ));
        assert!(world.present(&grant).is_ok(), "{typ}");
        let found = world.present(&grant);
        assert_eq!(found, invalid("the assertion was used before"), "{typ}");
    }
    let grant = world.signed("JWT", &good("JWT"));
    assert!(world.present(&grant).is_ok());
    let found = world.present_as("other", &grant, &[]);
    assert_eq!(found, invalid("the assertion was used before"));
}

/// JWTA-20: what may have been used before the process was started is refused once more.
#[test]
fn a_grant_from_before_the_start_is_refused() {
    let (agent, partner) = (es256(), es256());
    let client = Client::with_keys("agent", key_set(&agent)).allow(TOOLS, ["call", "list"]);
    let https = Authority::builder("https://as.example", AWS_LC)
        .trust_domain("example.org")
        .host(crate::common::HOST)
        .resource(aims_authority::Resource::new(TOOLS).with_scopes(["call", "list"]))
        .incoming_grants(every(&partner))
        .client(client.grants_of(PARTNER))
        .build(now())
        .unwrap();
    for typ in TYPES {
        for (iat, expected) in [(NOW + 40, None), (NOW + 30, Some("temporarily"))] {
            let mut claims = assertion_claims(at(NOW + 40));
            (claims["iss"], claims["sub"]) = (json!("agent"), json!("agent"));
            claims["aud"] = "https://as.example".into();
            let own = sign("client-authentication+jwt", &claims, &agent);
            let mut grant = good(typ);
            (grant["aud"], grant["iat"]) = (json!("https://as.example"), json!(iat));
            grant["exp"] = json!(NOW + 330);
            let grant = sign(typ, &grant, &partner);
            let all = [
                ("grant_type", JWT_BEARER),
                ("client_assertion_type", ASSERTION),
                ("client_assertion", &own),
                ("assertion", &grant),
            ];
            let found = send_form(&https, &[], &all, at(NOW + 40));
            let status = if expected.is_some() { 503 } else { 200 };
            assert_eq!(found.status(), status, "{typ} {iat} {:?}", body(&found));
        }
    }
}
