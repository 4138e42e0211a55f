//! Access tokens of other issuers as subject tokens of an exchange.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_authority::{
    Authority, Builder, Client, Exchange, ExchangeTable, MapSubject, OutgoingGrants, Resource,
    Transaction, TransactionPolicy,
};
use aims_jose::key::SigningKey;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{RefreshFuture, RefreshKeys};
use aims_oauth_wire::delegate::ScopeTable;
use common::endpoint::{ACCESS_TOKEN, EXCHANGE, TXN_TOKEN, judged, refused, send_as, verified};
use common::orders::{Orders, SameNames};
use common::{
    BASE, FILES, NOW, TOOLS, at, builder, claims, es256, issuer_store, key_set, now, sign,
};
use serde_json::{Map, Value, json};

const PARTNER: &str = "https://as.partner.example";
const OTHER: &str = "https://other.example";
const BANK: &str = "https://as.bank.example";
const CLUB: &str = "https://as.club.example";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

type Answer = Result<Value, (u16, String)>;

#[derive(Debug)]
struct Subjects;

impl MapSubject for Subjects {
    fn subject(&self, issuer: &str, subject: &str) -> Option<String> {
        assert_eq!(issuer, PARTNER);
        match subject {
            "alice" => Some("partner:alice".to_owned()),
            // A mistake of the operator: this is a client.
            "batch" => Some("gateway".to_owned()),
            _ => None,
        }
    }
}

/// Accepts tokens of other issuers or not.
#[derive(Debug)]
struct Shop(bool);

impl TransactionPolicy for Shop {
    fn decide(
        &self,
        exchange: &Exchange<'_>,
        _details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        assert_eq!(exchange.issuer, Some(PARTNER));
        let scopes = ScopeTable::new([("call", "order")]).unwrap();
        Some(Transaction::new(scopes))
    }

    fn accepts_issuer(&self, issuer: &str) -> bool {
        assert_eq!(issuer, PARTNER);
        self.0
    }
}

struct World {
    authority: Authority,
    gateway: SigningKey,
    partner: SigningKey,
}

impl World {
    fn new() -> Self {
        Self::with(Shop(true))
    }

    /// An authority for which no further claim of the partner is a limit.
    fn ignoring() -> Self {
        Self::built(Shop(true), |builder| {
            builder.ignore_further_claims_of(PARTNER)
        })
    }

    fn with(shop: impl TransactionPolicy + 'static) -> Self {
        Self::built(shop, |builder| builder)
    }

    fn built(
        shop: impl TransactionPolicy + 'static,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let (gateway, partner) = (es256(), es256());
        let rows = || ScopeTable::new([("call", "read")]).unwrap();
        let table = ExchangeTable::new()
            .allow_issuer(PARTNER, TOOLS, FILES, rows())
            // This one is for tokens of this server alone.
            .allow(TOOLS, OTHER, rows());
        let client = |id: &str| Client::with_keys(id, key_set(&gateway)).allow(FILES, ["read"]);
        let grants = |audience: &str| {
            OutgoingGrants::new(audience.parse().unwrap(), Arc::new(SameNames)).issue_jwt()
        };
        let authority = change(builder())
            .resource(Resource::new(OTHER).with_scopes(["read"]))
            .exchange(Arc::new(table))
            .transactions(Arc::new(shop))
            .subject_issuers(issuer_store(PARTNER, &partner), Arc::new(Subjects))
            // This one is for tokens of this server alone.
            .outgoing_grants(grants(BANK).scopes(TOOLS, rows()))
            .outgoing_grants(grants(CLUB).issuer_scopes(PARTNER, TOOLS, rows()))
            .client(
                client("gateway")
                    .serves(TOOLS)
                    .serves(FILES)
                    .allow(OTHER, ["read"])
                    .known_as(BANK, "shop")
                    .known_as(CLUB, "shop"),
            )
            .client(client("plain"))
            .client(client("files").serves(FILES))
            .build(now())
            .unwrap();
        Self {
            authority,
            gateway,
            partner,
        }
    }

    fn exchange_as(
        &self,
        client_id: &str,
        token: &str,
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        let good = [
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", FILES),
        ];
        let client = (client_id, &self.gateway);
        judged(&send_as(&self.authority, client, &good, more, now))
    }

    /// Exchanges a token of the partner with this claim in place of the good one.
    fn exchange(&self, name: &str, value: Value, now: UnixTime) -> Answer {
        let mut claims = good();
        claims[name] = value;
        let token = sign("at+jwt", &claims, &self.partner);
        self.exchange_as("gateway", &token, &[], now)
    }
}

fn good() -> Value {
    json!({
        "iss": PARTNER, "sub": "alice", "aud": TOOLS, "client_id": "app", "iat": NOW,
        "exp": NOW + 100, "jti": "1", "scope": "call list", "auth_time": NOW,
    })
}

/// TXN-31: the subject is mapped, the chain names the other issuer, and the token ends with it.
#[test]
fn a_token_of_a_configured_issuer_is_exchanged() {
    let world = World::new();
    let token = sign("at+jwt", &good(), &world.partner);
    let granted = world
        .exchange_as("gateway", &token, &[], at(NOW + 10))
        .unwrap();
    assert_eq!(granted["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(
        (&granted["scope"], &granted["expires_in"]),
        (&json!("read"), &json!(90))
    );
    let text = granted["access_token"].as_str().unwrap();
    let claims = verified(&world.authority, text, at(NOW + 10));
    assert_eq!(claims["sub"], "partner:alice");
    assert_eq!(claims["exp"], NOW + 100);
    assert_eq!(claims["cnf"], common::confirmation(&world.gateway));
    assert_eq!(
        claims["act"],
        json!({"iss": BASE, "sub": "gateway", "act": {"iss": PARTNER, "sub": "app"}})
    );
    // The login was one at the other issuer.
    assert_eq!(claims.get("auth_time"), None);
    let details = |place: &str| json!([{"type": "aims_tool", "locations": [TOOLS, place]}]);
    for (place, kept) in [(FILES, Some(details(FILES))), (OTHER, None)] {
        let answer = world.exchange("authorization_details", details(place), now());
        assert_eq!(answer.unwrap().get("authorization_details"), kept.as_ref());
    }
    let chain = json!({"iss": PARTNER, "sub": "b", "act": {"iss": PARTNER, "sub": "app"}});
    let answer = world.exchange("act", chain.clone(), now()).unwrap();
    let text = answer["access_token"].as_str().unwrap();
    assert_eq!(verified(&world.authority, text, now())["act"]["act"], chain);
}

/// TXN-31: the actors of another issuer are its own.
#[test]
fn another_issuer_names_no_actor_of_this_server() {
    let world = World::new();
    for own in [0, 1] {
        let issuer = |at| if at == own { BASE } else { PARTNER };
        let chain = json!({
            "iss": issuer(0), "sub": "gateway", "act": {"iss": issuer(1), "sub": "app"},
        });
        let found = world.exchange("act", chain, now());
        assert_eq!(found, refused(400, "invalid_request"), "{own}");
    }
}

/// TXN-31: a revocation is not kept for ever, so a token that may be older is refused.
#[test]
fn a_token_that_is_older_than_revocations_is_refused() {
    let world = World::new();
    let days = |count: u64| json!(NOW - count * 86_400);
    assert!(world.exchange("iat", days(367), now()).is_ok());
    let found = world.exchange("iat", json!(NOW - 367 * 86_400 - 1), now());
    assert_eq!(found, refused(400, "invalid_request"));
}

/// TXN-31: no token of another issuer opens a transaction unless the policy names the issuer.
#[test]
fn another_issuer_opens_no_transaction_unless_it_is_named() {
    let asked = [
        ("requested_token_type", TXN_TOKEN),
        ("audience", "example.org"),
        ("resource", ""),
    ];
    let policies = [
        (World::new(), None),
        (World::with(Shop(false)), Some("invalid_target")),
        (World::with(Orders), Some("invalid_target")),
    ];
    for (world, error) in policies {
        let token = sign("at+jwt", &good(), &world.partner);
        let found = world.exchange_as("gateway", &token, &asked, now());
        let error = error.map(|it| (400, it.to_owned()));
        assert_eq!(found.err(), error);
    }
}

#[test]
fn a_token_of_a_configured_issuer_becomes_a_transaction_token() {
    let world = World::new();
    let token = sign("at+jwt", &good(), &world.partner);
    let asked = [
        ("requested_token_type", TXN_TOKEN),
        ("audience", "example.org"),
        ("resource", ""),
    ];
    let granted = world
        .exchange_as("gateway", &token, &asked, at(NOW + 70))
        .unwrap();
    assert_eq!(
        (&granted["scope"], &granted["expires_in"]),
        (&json!("order"), &json!(30))
    );
    let claims = claims(granted["access_token"].as_str().unwrap());
    assert_eq!(claims["sub"], "partner:alice");
    assert_eq!(claims["act"]["act"], json!({"iss": PARTNER, "sub": "app"}));
}

/// TXN-31, TEX-30: each token differs from a good one in one claim.
#[test]
fn other_tokens_of_issuers_are_refused() {
    let world = World::new();
    for (name, value) in [
        ("iss", json!("https://as.other.example")),
        ("aud", json!(OTHER)),
        // It is not known which of the two the caller meant.
        ("aud", json!([TOOLS, FILES])),
        ("exp", json!(NOW)),
        ("sub", json!("bob")),
        ("sub", json!("")),
        ("client_id", json!("")),
        ("jti", json!("")),
        ("may_act", json!({"iss": BASE, "sub": "files"})),
        ("act", json!({"iss": BASE, "sub": "gateway"})),
        ("cnf", json!({"x": 1})),
        ("nbf", json!(NOW + 31)),
        ("authorization_details", json!({})),
    ] {
        let answer = world.exchange(name, value.clone(), now());
        assert_eq!(answer, refused(400, "invalid_request"), "{name} {value}");
    }
    // What may limit the token does not stay behind, unless its issuer limits nothing so.
    let answer = world.exchange("max_amount", json!(5), now());
    assert_eq!(answer, refused(400, "invalid_request"));
    let answer = World::ignoring().exchange("max_amount", json!(5), now());
    assert!(answer.is_ok(), "{answer:?}");
    let scope = world.exchange("scope", json!("list"), now());
    assert_eq!(scope, refused(400, "invalid_scope"));
    for (name, value) in [
        ("aud", json!([TOOLS, OTHER])),
        ("exp", json!(NOW + 1)),
        ("may_act", json!({"iss": BASE, "sub": "gateway"})),
        // Long past, and within the skew of the other clock.
        ("nbf", json!(NOW - 86_400)),
        ("nbf", json!(NOW + 30)),
    ] {
        let answer = world.exchange(name, value.clone(), now());
        assert!(answer.is_ok(), "{name} {value} {answer:?}");
    }
    let begun = world.exchange("nbf", json!(NOW - 5), now()).unwrap();
    let begun = begun["access_token"].as_str().unwrap();
    assert_eq!(verified(&world.authority, begun, now())["nbf"], NOW - 5);
    let invalid = refused(400, "invalid_request");
    let forged = sign("at+jwt", &good(), &es256());
    assert_eq!(world.exchange_as("gateway", &forged, &[], now()), invalid);
    let typed = sign("JWT", &good(), &world.partner);
    assert_eq!(world.exchange_as("gateway", &typed, &[], now()), invalid);
    // A key of another issuer signs nothing in the name of this server.
    let mut own = good();
    own["iss"] = BASE.into();
    let own = sign("at+jwt", &own, &world.partner);
    assert_eq!(world.exchange_as("gateway", &own, &[], now()), invalid);
}

/// Each step is the operator's word: the mapping, the table, and the client's resource.
#[test]
fn another_issuer_has_only_what_the_operator_gave_it() {
    let world = World::new();
    let token = sign("at+jwt", &good(), &world.partner);
    // The table of this server's own tokens is not that of another issuer.
    let answer = world.exchange_as("gateway", &token, &[("resource", OTHER)], now());
    assert_eq!(answer, refused(400, "invalid_target"));
    let answer = world.exchange_as("plain", &token, &[], now());
    assert_eq!(answer, refused(400, "unauthorized_client"));
    let answer = world.exchange_as("files", &token, &[], now());
    assert_eq!(answer, refused(400, "invalid_request"));
    // A subject is not mapped to a client.
    let answer = world.exchange("sub", json!("batch"), now());
    assert_eq!(answer, refused(503, "server_error"));
}

/// CHN-07: a token of another issuer leaves for a third domain by a table for that issuer alone.
#[test]
fn another_issuer_gets_no_grant_by_the_table_of_own_tokens() {
    let world = World::new();
    let token = sign("at+jwt", &good(), &world.partner);
    let ask = |audience: &str| {
        let asked = [
            ("requested_token_type", JWT),
            ("audience", audience),
            ("resource", ""),
        ];
        world.exchange_as("gateway", &token, &asked, now())
    };
    assert_eq!(ask(BANK), refused(400, "invalid_target"));
    let granted = ask(CLUB).unwrap();
    assert_eq!(granted["scope"], "read");
    let grant = claims(granted["access_token"].as_str().unwrap());
    assert_eq!(grant["sub"], "partner:alice");
    assert_eq!(grant["act"]["act"], json!({"iss": PARTNER, "sub": "app"}));
}

/// Fetches no keys.
#[derive(Debug)]
struct NoKeys;

impl RefreshKeys for NoKeys {
    fn refresh_keys<'a>(&'a self, _issuer: &'a str) -> RefreshFuture<'a> {
        Box::pin(async { false })
    }
}

/// TEX-30: a setting about issuers of subject tokens is about issuers that are known.
#[test]
fn settings_of_issuers_name_known_issuers() {
    let known = || builder().subject_issuers(issuer_store(PARTNER, &es256()), Arc::new(Subjects));
    let refresh = |builder: Builder| builder.refresh_subject_issuers(Arc::new(NoKeys));
    let ignore = |builder: Builder, issuer: &str| builder.ignore_further_claims_of(issuer);
    assert!(refresh(known()).build(now()).is_ok());
    assert!(ignore(known(), PARTNER).build(now()).is_ok());
    for bad in [
        refresh(builder()),
        ignore(builder(), PARTNER),
        ignore(known(), OTHER),
        ignore(known(), "https://as.partner.example/"),
    ] {
        assert_eq!(common::code(bad.build(now())), "authority.domain");
    }
}
