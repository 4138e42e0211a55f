//! Grants for the tokens that a client has here, and those that no rule gives.

use std::sync::Arc;
use std::time::Duration;

use aims_authority::{Authority, OutgoingGrants};
use serde_json::{Value, json};

use crate::common::endpoint::{ACCESS_TOKEN, TXN_TOKEN};
use crate::common::{BASE, FILES, NOW, TOOLS, at, body, builder, es256, get, now};
use crate::world::{
    ACCOUNTS, BANK, CARDS, ID_JAG, JWT, Names, Users, World, every, refused, rules, store, target,
};

/// JAG-30, JAG-31, JAG-12, TEX-03: an identity assertion for the client by its name there.
#[test]
fn an_id_jag_is_issued() {
    let world = World::new();
    let granted = world.own(ID_JAG, &[]).unwrap();
    assert_eq!(granted["issued_token_type"], ID_JAG);
    assert_eq!(granted["token_type"], "N_A");
    assert_eq!(granted["scope"], "pay read");
    assert_eq!(granted["expires_in"], 60);
    assert_eq!(granted.get("refresh_token"), None);
    let mut claims = world.grant(&granted, "oauth-id-jag+jwt");
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert!(jti.as_str().unwrap().len() >= 22);
    let expected = json!({
        "iss": BASE, "sub": "customer-7", "aud": BANK, "client_id": "shop-agent", "iat": NOW,
        "exp": NOW + 60, "scope": "pay read", "resource": ACCOUNTS, "auth_time": NOW,
        "act": {"iss": BASE, "sub": "agent"}, "cnf": crate::common::confirmation(&world.agent),
    });
    assert_eq!(claims, expected);
}

/// CHN-07, CHN-03: a JWT grant; the login stays here.
#[test]
fn a_jwt_grant_is_issued() {
    let world = World::new();
    // The standard permits either parameter for the other server.
    let by_resource = [("audience", ""), ("resource", BANK)];
    for more in [&[][..], &by_resource] {
        let granted = world.own(JWT, more).unwrap();
        assert_eq!(granted["issued_token_type"], JWT);
        assert_eq!(granted["token_type"], "N_A");
        let claims = world.grant(&granted, "JWT");
        assert_eq!(claims["sub"], "customer-7");
        assert_eq!(claims["aud"], BANK);
        assert_eq!(claims["resource"], ACCOUNTS);
        assert_eq!(claims.get("auth_time"), None);
    }
}

/// TXC-02, TXC-03: the grant carries the transaction and its facts, and tells of no service here.
#[test]
fn a_grant_carries_the_transaction() {
    let world = World::new();
    for more in [&[][..], &[("requested_token_type", JWT)]] {
        let granted = world.carried(&json!({}), more).unwrap();
        assert_eq!(granted["issued_token_type"], JWT);
        assert_eq!(granted["token_type"], "N_A");
        assert_eq!(granted["scope"], "pay");
        assert_eq!(granted["expires_in"], 25);
        let mut claims = world.grant(&granted, "txn-chain+jwt");
        claims.as_object_mut().unwrap().remove("jti").unwrap();
        let expected = json!({
            "iss": BASE, "sub": "customer-7", "aud": BANK, "iat": NOW + 5, "exp": NOW + 30,
            "scope": "pay", "txn": "t-1", "resource": [ACCOUNTS],
            "txn_claims": {"amount": 10}, "cnf": crate::common::confirmation(&world.agent),
        });
        assert_eq!(claims, expected);
    }
}

/// DEL-01, TXC-02: the key of a service that the transaction came to takes the place of the one
/// before, because the service is one more actor. The current actor keeps its key.
#[test]
fn another_service_has_its_own_key() {
    let world = World::new();
    let cnf = crate::common::confirmation(&es256());
    let granted = world.carried(&json!({"cnf": cnf}), &[]).unwrap();
    let claims = world.grant(&granted, "txn-chain+jwt");
    assert_eq!(claims["cnf"], crate::common::confirmation(&world.agent));
    assert_eq!(claims.get("act"), None);
    let act = json!({"iss": BASE, "sub": "border"});
    let found = world.carried(&json!({"cnf": cnf, "act": act}), &[]);
    let wider = "the token would permit more than its subject token";
    assert_eq!(found, refused("invalid_request", wider));
    assert!(world.carried(&json!({"act": act}), &[]).is_ok());
}

/// TXC-02: a fact that the other domain would not compare keeps the transaction here.
#[test]
fn a_transaction_with_another_fact_stays() {
    let world = World::new();
    let reason = "the transaction has a context that cannot leave its domain";
    let stays = refused("invalid_target", reason);
    for tctx in [
        json!({"city": "x"}),
        json!({"amount": 10, "city": "x"}),
        json!({"req_wl": "x"}),
    ] {
        let found = world.carried(&json!({"tctx": tctx}), &[]);
        assert_eq!(found, stays, "{tctx}");
    }
    for tctx in [json!({}), json!(null)] {
        let granted = world.carried(&json!({"tctx": tctx}), &[]).unwrap();
        let claims = world.grant(&granted, "txn-chain+jwt");
        assert_eq!(claims.get("txn_claims"), None);
    }
    // Services within the domain are not told, whatever the rules name.
    let world = World::with(every().transaction_member("req_wl"));
    let found = world.carried(&json!({"tctx": {"req_wl": "x"}}), &[]);
    assert_eq!(found, stays);
}

/// TXC-02, CHN-07: who may ask for what.
#[test]
fn a_client_needs_the_operators_word() {
    let world = World::new();
    let token = world.token(&json!({}));
    let ask = |client: &str, kind: &str, more: &[(&str, &str)]| {
        world.exchange(client, (&token, kind), more, now())
    };
    let unnamed = "this client may not ask for grants for that server";
    let unnamed = refused("unauthorized_client", unnamed);
    let not_border = "this client may not take transactions out of the trust domain";
    let not_border = refused("unauthorized_client", not_border);
    for kind in [ID_JAG, JWT] {
        let asked = [("requested_token_type", kind)];
        assert_eq!(ask("plain", ACCESS_TOKEN, &asked), unnamed);
        let others = "this client may not exchange tokens for that resource";
        let others = refused("unauthorized_client", others);
        assert_eq!(ask("other", ACCESS_TOKEN, &asked), others);
        // It serves the resource of the token.
        let granted = ask("gateway", ACCESS_TOKEN, &asked).unwrap();
        let typ = if kind == JWT {
            "JWT"
        } else {
            "oauth-id-jag+jwt"
        };
        let claims = world.grant(&granted, typ);
        assert_eq!(claims["client_id"], "shop-gw");
        let chain = json!({"iss": BASE, "sub": "gateway", "act": {"iss": BASE, "sub": "agent"}});
        assert_eq!(claims["act"], chain);
    }
    let transaction = world.transaction(&json!({}));
    for (client, expected) in [("plain", unnamed), ("other", not_border)] {
        let found = world.exchange(client, (&transaction, TXN_TOKEN), &[], at(NOW + 5));
        assert_eq!(found, expected);
    }
    // Its own token is good for grants alone, and not for another access token.
    let found = ask(
        "agent",
        ACCESS_TOKEN,
        &[("audience", ""), ("resource", FILES)],
    );
    let others = "this client may not exchange tokens for that resource";
    assert_eq!(found, refused("unauthorized_client", others));
}

/// CHN-07, JAG-30, TEX-05: targets, scopes and subjects that no rule names.
#[test]
fn what_no_rule_names_is_refused() {
    let world = World::new();
    let wider = "the token would permit more than its subject token";
    for kind in [ID_JAG, JWT] {
        for more in [
            [("audience", "https://as.other.example")],
            [("audience", "")],
            [("resource", CARDS)],
        ] {
            assert_eq!(world.own(kind, &more), target(), "{kind} {more:?}");
        }
        let found = world.own(kind, &[("scope", "pay close")]);
        assert_eq!(found, refused("invalid_scope", wider));
        let found = world.own(kind, &[("scope", "pay")]).unwrap();
        assert_eq!(found["scope"], "pay");
        let ask = |changes: Value| {
            let token = world.token(&changes);
            let asked = [("requested_token_type", kind)];
            world.exchange("agent", (&token, ACCESS_TOKEN), &asked, now())
        };
        let unknown = "its subject is not known to the other domain";
        assert_eq!(
            ask(json!({"sub": "bob"})),
            refused("invalid_request", unknown)
        );
        assert_eq!(ask(json!({"aud": FILES})), target());
        assert_eq!(
            ask(json!({"exp": NOW})),
            refused("invalid_request", "it has expired")
        );
        let one = json!([{"type": "aims_tool", "actions": ["t"], "tool": "t", "arguments": {},
            "call_digest": "x"}]);
        let one = ask(json!({"authorization_details": one}));
        let reason = "a token for one call is used for that call, and not exchanged";
        assert_eq!(one, refused("invalid_request", reason));
    }
    let scope = "a scope is unknown or not for this client";
    let found = world.carried(&json!({}), &[("scope", "pay close")]);
    assert_eq!(found, refused("invalid_scope", scope));
    let found = world.carried(&json!({"scope": "orders"}), &[]);
    assert_eq!(found, refused("invalid_scope", scope));
    let found = world.carried(&json!({"sub": "bob"}), &[]);
    let unknown = "its subject is not known to the other domain";
    assert_eq!(found, refused("invalid_request", unknown));
    // A transaction gives no identity assertion.
    let found = world.carried(&json!({}), &[("requested_token_type", ID_JAG)]);
    assert_eq!(found.unwrap_err().0, "invalid_request");
}

/// JAG-30, CHN-07, TXC-02: a profile that the operator has not chosen is refused.
#[test]
fn a_profile_that_is_not_chosen_is_refused() {
    let all = [
        rules().issue_id_jag(),
        rules().issue_jwt(),
        rules().issue_transactions(),
    ];
    for (own, rules) in all.into_iter().enumerate() {
        let world = World::with(rules);
        let found = [
            world.own(ID_JAG, &[]),
            world.own(JWT, &[]),
            world.carried(&json!({}), &[]),
        ];
        for (at, found) in found.into_iter().enumerate() {
            match at == own {
                true => assert!(found.is_ok(), "{own} {found:?}"),
                false => assert_eq!(found, target(), "{own} {at}"),
            }
        }
    }
}

/// DEL-01, T-164: the grant ends with its token, and is bound to the same key.
#[test]
fn a_grant_is_no_more_than_its_token() {
    let world = World::new();
    for (kind, typ) in [(ID_JAG, "oauth-id-jag+jwt"), (JWT, "JWT")] {
        let token = world.token(&json!({}));
        let asked = [("requested_token_type", kind)];
        let late = world.exchange("agent", (&token, ACCESS_TOKEN), &asked, at(NOW + 90));
        let late = late.unwrap();
        assert_eq!(late["expires_in"], 10);
        assert_eq!(world.grant(&late, typ)["exp"], NOW + 100);
        // The token is bound to another key, and no actor was appended.
        let cnf = json!({"cnf": crate::common::confirmation(&es256())});
        let token = world.token(&cnf);
        let found = world.exchange("agent", (&token, ACCESS_TOKEN), &asked, now());
        assert_eq!(found.unwrap_err().0, "invalid_request", "{kind}");
    }
}

/// JAG-11: the assertion is for a tool, and the request names it where there are several.
#[test]
fn an_id_jag_is_for_a_resource() {
    let world = World::new();
    let granted = world.own(ID_JAG, &[("resource", "")]).unwrap();
    let claims = world.grant(&granted, "oauth-id-jag+jwt");
    assert_eq!(claims["resource"], ACCOUNTS);
    let world = World::with(every().resource(CARDS.parse().unwrap()));
    assert_eq!(world.own(ID_JAG, &[("resource", "")]), target());
    let granted = world.own(ID_JAG, &[("resource", CARDS)]).unwrap();
    let claims = world.grant(&granted, "oauth-id-jag+jwt");
    assert_eq!(claims["resource"], CARDS);
    let granted = world.own(JWT, &[("resource", "")]).unwrap();
    assert_eq!(world.grant(&granted, "JWT").get("resource"), None);
}

/// ATJ-01, JAG-32: a grant is no token of this server.
#[test]
fn a_grant_is_no_access_token_here() {
    let world = World::new();
    for kind in [ID_JAG, JWT] {
        let granted = world.own(kind, &[]).unwrap();
        let text = granted["access_token"].as_str().unwrap();
        let asked = [("requested_token_type", kind)];
        let found = world.exchange("gateway", (text, ACCESS_TOKEN), &asked, now());
        let reason = "its typ is not that of its kind";
        assert_eq!(found, refused("invalid_request", reason));
        let found = world.exchange("agent", (text, JWT), &asked, now());
        assert_eq!(found.unwrap_err().0, "invalid_request");
    }
}

/// CHN-06, JAG-17: the metadata name the types.
#[test]
fn the_metadata_name_the_types() {
    let find = |authority: &Authority| {
        let response = get(authority, "/.well-known/oauth-authorization-server", now());
        let member = "identity_chaining_requested_token_types_supported";
        body(&response).get(member).cloned()
    };
    assert_eq!(find(&World::new().authority), Some(json!([ID_JAG, JWT])));
    let world = World::with(rules().issue_transactions());
    assert_eq!(find(&world.authority), Some(json!([JWT])));
    assert_eq!(find(&crate::common::authority()), None);
}

/// JAG-11: rules that cannot work are refused at the start.
#[test]
fn rules_are_checked_at_the_start() {
    let issuers = || builder().subject_issuers(store(&es256()), Arc::new(Users));
    let fails = |rules: OutgoingGrants| {
        let found = issuers().outgoing_grants(rules).build(now());
        found.err().unwrap().code()
    };
    let to = |audience: &str| {
        let audience = aims_oauth_wire::names::Issuer::loopback(audience);
        let audience = audience.or_else(|_| TOOLS.parse()).unwrap();
        OutgoingGrants::new(audience, Arc::new(Names)).issue_jwt()
    };
    assert_eq!(fails(to(BASE)), "authority.domain");
    // A grant for it would have the `aud` of an access token.
    assert_eq!(fails(to(TOOLS)), "authority.domain");
    assert_eq!(fails(rules()), "authority.domain");
    assert_eq!(
        fails(every().resource(BANK.parse().unwrap())),
        "authority.domain"
    );
    for lifetime in [0, 301] {
        let rules = every().lifetime(Duration::from_secs(lifetime));
        assert_eq!(fails(rules), "authority.lifetime");
    }
    let twice = issuers().outgoing_grants(every()).outgoing_grants(every());
    assert_eq!(twice.build(now()).err().unwrap().code(), "authority.domain");
}
