//! Authorization grants of another domain, for access tokens. Each negative differs from a good
//! grant in one property.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use aims_authority::{Authority, Client, IncomingGrants, MapSubject};
use aims_jose::jwk::PublicJwkSet;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::delegate::ScopeTable;
use common::endpoint::{JWT_BEARER as ASSERTION, assertion_claims, judged, send_form, verified};
use common::{BASE, FILES, NOW, TOOLS, at, body, builder, es256, get, key_set, now, sign};
use http::Response;
use serde_json::{Value, json};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const PARTNER: &str = "https://as.partner.example";
const ID_JAG: &str = "oauth-id-jag+jwt";
const CHAIN: &str = "txn-chain+jwt";

/// An answer: its body, or `error` and `error_description`.
type Answer = Result<Value, (String, String)>;

#[derive(Debug)]
struct Subjects;

impl MapSubject for Subjects {
    fn subject(&self, issuer: &str, subject: &str) -> Option<String> {
        assert_eq!(issuer, PARTNER);
        match subject {
            "alice" => Some("partner:alice".to_owned()),
            // A mistake of the operator: this is a client.
            "batch" => Some("other".to_owned()),
            _ => None,
        }
    }
}

struct World {
    authority: Authority,
    agent: SigningKey,
    partner: SigningKey,
}

fn store(partner: &SigningKey) -> Arc<IssuerStore> {
    let store = IssuerStore::new();
    let keys = [partner.public_jwk().clone()];
    let keys = keys.into_iter().collect::<PublicJwkSet>().to_json();
    store
        .set(&PARTNER.parse().unwrap(), keys.as_bytes(), AWS_LC)
        .unwrap();
    Arc::new(store)
}

fn rules(partner: &SigningKey) -> IncomingGrants {
    let issuer = PARTNER.parse().unwrap();
    let rows = ScopeTable::new([("search", "call"), ("look", "list")]).unwrap();
    IncomingGrants::new(issuer, store(partner), Arc::new(Subjects)).scopes(TOOLS, rows)
}

fn every(partner: &SigningKey) -> IncomingGrants {
    let rules = rules(partner).accept_jwt().accept_id_jag();
    rules.accept_transactions().transaction_member("amount")
}

impl World {
    fn new() -> Self {
        Self::with(every)
    }

    fn with(rules: impl Fn(&SigningKey) -> IncomingGrants) -> Self {
        let (agent, partner) = (es256(), es256());
        let client = |id: &str| {
            let client = Client::with_keys(id, key_set(&agent));
            client.allow(TOOLS, ["call", "list"]).allow(FILES, ["read"])
        };
        let authority = builder()
            .incoming_grants(rules(&partner))
            .client(client("agent").grants_of(PARTNER))
            .client(client("other").grants_of(PARTNER))
            .client(client("plain"))
            .client(
                Client::with_keys("narrow", key_set(&agent))
                    .grants_of(PARTNER)
                    .allow(TOOLS, ["list"]),
            )
            .build(now())
            .unwrap();
        Self {
            authority,
            agent,
            partner,
        }
    }

    fn send(
        &self,
        client_id: &str,
        grant: &str,
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Response<Vec<u8>> {
        let mut claims = assertion_claims(now);
        (claims["iss"], claims["sub"]) = (json!(client_id), json!(client_id));
        let assertion = sign("client-authentication+jwt", &claims, &self.agent);
        let mut all = vec![
            ("grant_type", JWT_BEARER),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", &assertion),
            ("assertion", grant),
        ];
        all.extend(more);
        send_form(&self.authority, &[], &all, now)
    }

    fn present_as(&self, client_id: &str, grant: &str, more: &[(&str, &str)]) -> Answer {
        answer(&self.send(client_id, grant, more, now()))
    }

    fn present(&self, grant: &str) -> Answer {
        self.present_as("agent", grant, &[])
    }

    fn signed(&self, typ: &str, claims: &Value) -> String {
        sign(typ, claims, &self.partner)
    }

    /// Presents a good grant of this type with this claim in place of the good one.
    fn changed(&self, typ: &str, name: &str, value: Value) -> Answer {
        let mut claims = good(typ);
        claims[name] = value;
        self.present(&self.signed(typ, &claims))
    }

    fn claims(&self, answer: &Value) -> Value {
        let text = answer["access_token"].as_str().unwrap();
        verified(&self.authority, text, now())
    }
}

fn answer(response: &Response<Vec<u8>>) -> Answer {
    judged(response).map_err(|(_, error)| {
        let description = body(response)["error_description"].clone();
        (error, description.as_str().unwrap_or_default().to_owned())
    })
}

fn refused(error: &str, description: &str) -> Answer {
    Err((error.to_owned(), description.to_owned()))
}

fn invalid(description: &str) -> Answer {
    refused("invalid_grant", description)
}

/// Returns the claims of a good grant of this type.
fn good(typ: &str) -> Value {
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let mut claims = json!({
        "iss": PARTNER, "sub": "alice", "aud": BASE, "iat": NOW, "exp": NOW + 100, "jti": jti,
        "scope": "search look other", "resource": TOOLS,
    });
    match typ {
        ID_JAG => claims["client_id"] = "agent".into(),
        CHAIN => {
            claims["txn"] = "t-1".into();
            claims["txn_claims"] = json!({"amount": 10});
        }
        _ => {}
    }
    claims
}

const TYPES: [&str; 3] = ["JWT", ID_JAG, CHAIN];

/// JWTA-20, CHN-08, JAG-40, TXC-04: the token is for the mapped subject, within the table, and ends
/// with the grant; there is no refresh token.
#[test]
fn a_grant_of_each_profile_gives_an_access_token() {
    let world = World::new();
    for typ in TYPES {
        let grant = world.signed(typ, &good(typ));
        let response = world.send("agent", &grant, &[], at(NOW + 10));
        let granted = answer(&response).unwrap();
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
        assert_eq!(claims["cnf"], common::confirmation(&world.agent));
        assert_eq!(claims.get("act"), None);
        let is_chain = typ == CHAIN;
        assert_eq!(claims.get("txn").is_some(), is_chain);
        let context = is_chain.then(|| json!({"amount": 10}));
        assert_eq!(claims.get("tctx"), context.as_ref());
    }
}

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

/// JWTA-20, JWTA-22: each claim of a grant is checked.
#[test]
fn each_claim_is_checked() {
    let world = World::new();
    let times = "it has expired, is not valid yet, or lives too long";
    let audience = "its aud is not this server alone";
    let names = "its sub or its jti is empty, or its jti is too long";
    for typ in ["JWT", ID_JAG] {
        for (name, value, reason) in [
            ("aud", json!("https://as.other.example"), audience),
            ("aud", json!(format!("{BASE}/token")), audience),
            ("aud", json!([BASE, "https://as.other.example"]), audience),
            ("aud", json!(null), "its aud is missing or malformed"),
            ("exp", json!(NOW - 31), times),
            ("exp", json!(NOW), "it has expired"),
            ("exp", json!(NOW + 301), times),
            ("iat", json!(NOW + 31), times),
            ("iat", json!(NOW - 250), times),
            ("nbf", json!(NOW + 31), times),
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
            let found = answer(&world.send("agent", &grant, &[], at(NOW + later)));
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

/// JWTA-22: the operator names the clients that may present grants of an issuer.
#[test]
fn a_client_needs_the_operators_word() {
    let world = World::new();
    let grant = world.signed("JWT", &good("JWT"));
    let found = world.present_as("plain", &grant, &[]);
    let reason = "this client may not present grants of that issuer";
    assert_eq!(found, refused("unauthorized_client", reason));
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
        // No table is about this resource.
        assert_eq!(world.changed(typ, "resource", json!(FILES)), target());
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
    assert_eq!(world.changed(ID_JAG, "resource", json!(FILES)), target());
}

/// JAG-41: the server refuses a bound grant from a client that proves another key.
#[test]
fn a_bound_grant_needs_its_key() {
    let world = World::new();
    let bound = common::confirmation(&world.agent);
    let other = common::confirmation(&es256());
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

/// JWTA-20: what may have been used before the process was started is refused once more.
#[test]
fn a_grant_from_before_the_start_is_refused() {
    let (agent, partner) = (es256(), es256());
    let client = Client::with_keys("agent", key_set(&agent)).allow(TOOLS, ["call", "list"]);
    let https = Authority::builder("https://as.example", AWS_LC)
        .trust_domain("example.org")
        .host(common::HOST)
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
    assert_eq!(find(&common::authority()), (false, None));
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
