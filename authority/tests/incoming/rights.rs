//! The access token that a grant gives: to which client, for which resource, and no more than
//! the grant permits.

use aims_oauth_wire::delegate::ScopeTable;
use serde_json::json;

use crate::common::{BASE, FILES, NOW, TOOLS, es256, now};
use crate::world::{CHAIN, ID_JAG, PARTNER, TYPES, World, every, good, invalid, refused};

/// JWTA-20: a client may ask for less.
#[test]
fn a_client_asks_for_a_part() {
    let world = World::new();
    let grant = world.signed("JWT", &good("JWT"));
    let granted = world.present_as("agent", &grant, &[("scope", "list"), ("resource", TOOLS)]);
    let granted = granted.unwrap();
    assert_eq!(granted["scope"], "list");
    assert_eq!(world.claims(&granted)["scope"], "list");
}

/// JWTA-22: the operator names the clients that may present grants of an issuer.
#[test]
fn a_client_needs_the_operators_word() {
    let world = World::new();
    let grant = world.signed("JWT", &good("JWT"));
    let found = world.present_as("plain", &grant, &[]);
    let reason = "this client may not present grants of that issuer";
    assert_eq!(found, refused("unauthorized_client", reason));
}

/// JAG-40: an assertion is for one client, by its identifier here.
#[test]
fn an_id_jag_is_for_its_client() {
    let world = World::new();
    let grant = world.signed(ID_JAG, &good(ID_JAG));
    let found = world.present_as("other", &grant, &[]);
    assert_eq!(found, invalid("it was issued for another client"));
    // The attempt did not use it up.
    assert!(world.present(&grant).is_ok());
    let mut unnamed = good(ID_JAG);
    unnamed.as_object_mut().unwrap().remove("client_id");
    let found = world.present(&world.signed(ID_JAG, &unnamed));
    assert_eq!(found, invalid("it names no client_id"));
}

/// JWTA-20, DEL-01: no scope beyond the table, and none beyond what the client may have.
#[test]
fn no_wider_scope_is_given() {
    let world = World::new();
    let grant = |scope: &str| {
        let mut claims = good("JWT");
        claims["scope"] = scope.into();
        world.signed("JWT", &claims)
    };
    let wider = "the token would permit more than its subject token";
    let found = world.present_as("agent", &grant("look"), &[("scope", "call")]);
    assert_eq!(found, refused("invalid_scope", wider));
    let unknown = "a scope is unknown or not for this client";
    let found = world.present_as("narrow", &grant("search"), &[]);
    assert_eq!(found, refused("invalid_scope", unknown));
    let found = world.present_as("narrow", &grant("look search"), &[("scope", "list")]);
    assert_eq!(found.unwrap()["scope"], "list");
}

/// JAG-40, JAG-44, JAG-11: the token is for one resource, which the grant names if it names some.
#[test]
fn the_resource_is_the_grants() {
    let world = World::new();
    let target = || {
        refused(
            "invalid_target",
            "name one resource that this client may use",
        )
    };
    let no_table = || {
        let reason =
            "the grant has its own scopes, expected IncomingGrants::scopes to name this resource";
        refused("invalid_target", reason)
    };
    let without = |typ: &str| {
        let mut claims = good(typ);
        claims.as_object_mut().unwrap().remove("resource");
        world.signed(typ, &claims)
    };
    let found = world.present(&without(ID_JAG));
    assert_eq!(found, invalid("it names no resource"));
    let found = world.present_as("agent", &without(ID_JAG), &[("resource", TOOLS)]);
    assert_eq!(found, invalid("it names no resource"));
    for typ in ["JWT", CHAIN] {
        assert_eq!(world.present(&without(typ)), target());
        let found = world.present_as("agent", &without(typ), &[("resource", TOOLS)]);
        assert!(found.is_ok());
    }
    for typ in TYPES {
        let grant = world.signed(typ, &good(typ));
        let found = world.present_as("agent", &grant, &[("resource", FILES)]);
        assert_eq!(found, target());
        assert_eq!(world.changed(typ, "resource", json!(FILES)), no_table());
        let both = json!([TOOLS, FILES]);
        assert_eq!(world.changed(typ, "resource", both), target());
    }
    let world = World::with(|key| {
        let rows = ScopeTable::new([("look", "read")]).unwrap();
        every(key).scopes(FILES, rows)
    });
    for typ in TYPES {
        let grant = world.signed(typ, &good(typ));
        let found = world.present_as("agent", &grant, &[("resource", FILES)]);
        assert_eq!(found, target());
        assert!(world.changed(typ, "resource", json!(FILES)).is_ok());
    }
    let world = World::with(|key| every(key).default_resource(TOOLS));
    let mut claims = good(ID_JAG);
    claims.as_object_mut().unwrap().remove("resource");
    let found = world.present(&world.signed(ID_JAG, &claims));
    assert_eq!(found.unwrap()["resource"], TOOLS);
    // It widens no assertion that names a resource.
    let found = world.changed(ID_JAG, "resource", json!(FILES));
    assert_eq!(found, no_table());
}

/// JAG-41: the server refuses a bound grant from a client that proves another key.
#[test]
fn a_bound_grant_needs_its_key() {
    let world = World::new();
    let bound = crate::common::confirmation(&world.agent);
    let other = crate::common::confirmation(&es256());
    let thumbprint = world.agent.verifying_key().thumbprint().to_string();
    let reason = "it is bound to a key that the client has not proven";
    for typ in TYPES {
        assert!(world.changed(typ, "cnf", bound.clone()).is_ok());
        assert_eq!(world.changed(typ, "cnf", other.clone()), invalid(reason));
        // A key of DPoP is proven by DPoP.
        let found = world.changed(typ, "cnf", json!({"jkt": thumbprint}));
        assert_eq!(found, invalid(reason));
    }
}

/// CHN-08, DEL-01: the chain goes on with the client, and names no actor of this server.
#[test]
fn the_chain_of_actors_goes_on() {
    let world = World::new();
    let chain = json!({"iss": PARTNER, "sub": "b", "act": {"iss": PARTNER, "sub": "a"}});
    let granted = world.changed("JWT", "act", chain.clone()).unwrap();
    let act = json!({"iss": BASE, "sub": "agent", "act": chain});
    assert_eq!(world.claims(&granted)["act"], act);
    for own in [0, 1] {
        let issuer = |at| if at == own { BASE } else { PARTNER };
        let chain = json!({
            "iss": issuer(0), "sub": "b", "act": {"iss": issuer(1), "sub": "a"},
        });
        let found = world.changed("JWT", "act", chain);
        assert_eq!(found, invalid("its act names an actor of this server"));
    }
    let found = world.changed("JWT", "act", json!({"sub": "a"}));
    assert_eq!(found, invalid("its act has an actor without iss"));
    let five = (0..5).fold(
        json!({"iss": PARTNER, "sub": "5"}),
        |act, at| json!({"iss": PARTNER, "sub": at.to_string(), "act": act}),
    );
    let found = world.changed("JWT", "act", five);
    assert_eq!(found.unwrap_err().0, "invalid_request");
}

/// JWTA-20: a start is carried over, so that the token is valid no earlier than its grant.
#[test]
fn a_start_is_carried_over() {
    let world = World::new();
    let granted = world.changed("JWT", "nbf", json!(NOW + 20)).unwrap();
    assert_eq!(world.claims(&granted)["nbf"], NOW + 20);
}

/// JAG-40: details of an unknown type are refused.
#[test]
fn unknown_details_are_refused() {
    let world = World::new();
    let details = json!([{"type": "aims_tool", "locations": [TOOLS]}]);
    let found = world.changed(ID_JAG, "authorization_details", details);
    assert_eq!(found.unwrap_err().0, "invalid_authorization_details");
}

/// A revocation of the subject reaches grants that were issued before it.
#[test]
fn a_revoked_subject_gets_no_token() {
    let world = World::new();
    let state = world.authority.oauth().state();
    let old = world.signed("JWT", &good("JWT"));
    aims_authority::AuthorizationServer::revoke_subject_in(state, "partner:alice", now()).unwrap();
    let reason = "its subject, its client or an actor was revoked or withdrawn";
    assert_eq!(world.present(&old), invalid(reason));
    assert!(world.changed("JWT", "iat", json!(NOW + 1)).is_ok());
}
