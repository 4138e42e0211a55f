//! The profiles of grants: what each gives, and which the operator accepts.

use std::sync::Arc;
use std::time::Duration;

use aims_authority::{Authority, Client, IncomingGrants};
use aims_jose::key::SigningKey;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::delegate::ScopeTable;
use serde_json::{Value, json};

use crate::common::endpoint::described;
use crate::common::{BASE, NOW, TOOLS, at, builder, es256, get, key_set, now};
use crate::world::{
    CHAIN, ID_JAG, JWT_BEARER, PARTNER, Subjects, TYPES, World, every, good, invalid, rules, store,
};

/// JWTA-20, CHN-08, JAG-40, TXC-04: the token is for the mapped subject, within the table, and ends
/// with the grant; there is no refresh token.
#[test]
fn a_grant_of_each_profile_gives_an_access_token() {
    let world = World::new();
    for typ in TYPES {
        let grant = world.signed(typ, &good(typ));
        let response = world.send("agent", &grant, &[], at(NOW + 10));
        let granted = described(&response).unwrap();
        assert_eq!(granted["token_type"], "Bearer");
        assert_eq!(granted["scope"], "call list", "{typ}");
        assert_eq!(granted["expires_in"], 90);
        assert_eq!(granted["resource"], TOOLS);
        assert_eq!(granted.get("refresh_token"), None);
        let claims = world.claims(&granted);
        assert_eq!(claims["sub"], "partner:alice");
        assert_eq!(claims["client_id"], "agent");
        assert_eq!(claims["aud"], TOOLS);
        assert_eq!(claims["exp"], NOW + 100);
        assert_eq!(claims["cnf"], crate::common::confirmation(&world.agent));
        assert_eq!(claims.get("act"), None);
        let is_chain = typ == CHAIN;
        assert_eq!(claims.get("txn").is_some(), is_chain);
        let context = is_chain.then(|| json!({"amount": 10}));
        assert_eq!(claims.get("tctx"), context.as_ref());
    }
}

/// JWTA-20, JAG-40: `typ` selects the profile, and no other kind of token is a grant.
#[test]
fn other_types_are_refused() {
    let world = World::new();
    let not_accepted = invalid("its typ is that of no grant which is accepted of its issuer");
    for typ in [
        "at+jwt",
        "client-authentication+jwt",
        "txntoken+jwt",
        "TXN-CHAIN+JWT",
        "application/txn-chain+jwt",
        "secevent+jwt",
    ] {
        let found = world.present(&world.signed(typ, &good(ID_JAG)));
        assert_eq!(found, not_accepted, "{typ}");
    }
    // The forms of RFC 7515 §4.1.9.
    for typ in ["jwt", "application/oauth-id-jag+jwt", "OAUTH-ID-JAG+JWT"] {
        assert!(world.present(&world.signed(typ, &good(ID_JAG))).is_ok());
    }
}

/// JAG-40, CHN-08, TXC-04: a profile that the operator has not chosen is refused.
#[test]
fn a_profile_that_is_not_accepted_is_refused() {
    type Only = fn(&SigningKey) -> IncomingGrants;
    let worlds: [Only; 3] = [
        |key| rules(key).accept_jwt(),
        |key| rules(key).accept_id_jag(),
        |key| {
            let rules = rules(key).accept_transactions();
            rules.transaction_member("amount")
        },
    ];
    for (own, only) in worlds.into_iter().enumerate() {
        let world = World::with(only);
        for (at, typ) in TYPES.into_iter().enumerate() {
            let found = world.present(&world.signed(typ, &good(typ)));
            if at == own {
                assert!(found.is_ok(), "{typ}: {found:?}");
            } else {
                let reason = "its typ is that of no grant which is accepted of its issuer";
                assert_eq!(found, invalid(reason), "{typ}");
            }
        }
    }
}

/// JWTA-20, TXC-04: the maximum lifetime of the rules is that of each profile.
#[test]
fn the_rules_may_shorten_grants() {
    let world = World::with(|partner| every(partner).max_lifetime(Duration::from_secs(60)));
    for typ in TYPES {
        let good = world.changed(typ, "exp", json!(NOW + 60));
        assert!(good.is_ok(), "{typ} {good:?}");
        let long = world.changed(typ, "exp", json!(NOW + 61));
        assert_eq!(long.unwrap_err().0, "invalid_grant", "{typ}");
    }
}

/// JWTA-10, JAG-17, JAG-43: the metadata name the grant and its profile, and no trusted issuer.
#[test]
fn the_metadata_name_the_grant() {
    let find = |authority: &Authority| {
        let response = get(authority, "/.well-known/oauth-authorization-server", now());
        let text = String::from_utf8(response.body().clone()).unwrap();
        assert!(!text.contains("partner"));
        let metadata: Value = serde_json::from_str(&text).unwrap();
        let grants = metadata["grant_types_supported"]
            .as_array()
            .unwrap()
            .clone();
        let profiles = metadata
            .get("authorization_grant_profiles_supported")
            .cloned();
        (grants.contains(&json!(JWT_BEARER)), profiles)
    };
    let profile = json!(["urn:ietf:params:oauth:grant-profile:id-jag"]);
    assert_eq!(find(&World::new().authority), (true, Some(profile)));
    let world = World::with(|key| rules(key).accept_jwt());
    assert_eq!(find(&world.authority), (true, None));
    assert_eq!(find(&crate::common::authority()), (false, None));
}

/// JAG-32: rules that cannot work are refused at the start.
#[test]
fn rules_are_checked_at_the_start() {
    let partner = es256();
    let fails = |rules: IncomingGrants| {
        let found = builder().incoming_grants(rules).build(now());
        found.err().unwrap().code()
    };
    let issuer: aims_oauth_wire::names::Issuer = PARTNER.parse().unwrap();
    let own = aims_oauth_wire::names::Issuer::loopback(BASE).unwrap();
    let keys = store(&partner);
    keys.name(&own);
    let named = IncomingGrants::new(own, keys, Arc::new(Subjects)).accept_id_jag();
    assert_eq!(fails(named), "authority.domain");
    assert_eq!(fails(rules(&partner)), "authority.domain");
    let empty = Arc::new(IssuerStore::new());
    let unknown = IncomingGrants::new(issuer, empty, Arc::new(Subjects)).accept_jwt();
    assert_eq!(fails(unknown), "authority.domain");
    let rows = ScopeTable::new([("a", "b")]).unwrap();
    let elsewhere = every(&partner).scopes("https://unknown.example", rows);
    assert_eq!(fails(elsewhere), "authority.resources");
    for lifetime in [0, 3_601] {
        let rules = every(&partner).max_lifetime(Duration::from_secs(lifetime));
        assert_eq!(fails(rules), "authority.lifetime");
    }
    let twice = builder()
        .incoming_grants(every(&partner))
        .incoming_grants(every(&partner));
    assert_eq!(twice.build(now()).err().unwrap().code(), "authority.domain");
    let client = Client::with_keys("a", key_set(&partner)).grants_of("https://as.x.example");
    let unknown = builder().client(client).build(now());
    assert_eq!(unknown.err().unwrap().code(), "authority.domain");
}
