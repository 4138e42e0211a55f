//! Transaction tokens come back to the authority: for a replacement within the trust domain, and at
//! its border for an access token. Neither permits more.
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
    Authority, Builder, Client, Exchange, ExchangeTable, Purpose, Replacement, ReplacementRequest,
    Resource, Transaction, TransactionPolicy,
};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::dpop::Binding;
use aims_txn_token::{TxnToken, TxnTokenRules};
use common::browser::{USER, code, public, redeem, refresh, with, with_users};
use common::endpoint::{
    ACCESS_TOKEN, EXCHANGE, FORM, JWT_BEARER, TXN_TOKEN, ask, assertion_claims, form, judged,
    refused, verified,
};
use common::{
    AGENT, BASE, NOW, TOOLS, at, body, claims, confirmation, es256, key_set, now, request, send,
    sign,
};
use serde_json::{Map, Value, json};

const DOMAIN: &str = "example.org";
const BANK: &str = "https://bank.example";

type Answer = Result<Value, (u16, String)>;

/// Transactions with what the client names. A replacement adds what the client names, too, and
/// changes `amount` if the client says so.
#[derive(Debug)]
struct Shop;

impl TransactionPolicy for Shop {
    fn decide(
        &self,
        _exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        context: &Map<String, Value>,
    ) -> Option<Transaction> {
        let scopes = ScopeTable::new([("call", "order"), ("list", "look")]).unwrap();
        let transaction = Transaction::new(scopes).with_details(details.clone());
        Some(transaction.with_context(context.clone()))
    }

    fn replace(&self, request: &ReplacementRequest<'_>) -> Option<Replacement> {
        if request.details.contains_key("forbidden") {
            return None;
        }
        let replacement = Replacement::new().with_details(request.details.clone());
        Some(replacement.with_context(request.context.clone()))
    }
}

/// Transactions of a domain that replaces none.
#[derive(Debug)]
struct Rigid;

impl TransactionPolicy for Rigid {
    fn decide(
        &self,
        exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        context: &Map<String, Value>,
    ) -> Option<Transaction> {
        Shop.decide(exchange, details, context)
    }
}

/// The gateway serves the tools, and calls on within the domain to the services `s1` to `s4`. The
/// client `border` calls the bank.
struct Domain {
    authority: Authority,
    /// The keys of all clients.
    key: SigningKey,
    /// The key of transaction tokens.
    signer: SigningKey,
    subject: String,
    refresh_token: String,
}

fn builder(policy: impl TransactionPolicy + 'static, key: &SigningKey) -> Builder {
    let client = |id: &str| Client::with_keys(id, key_set(key));
    let rows = ScopeTable::new([("order", "pay")]).unwrap();
    let mut builder = with_users()
        .exchange(Arc::new(ExchangeTable::new().allow(DOMAIN, BANK, rows)))
        .transactions(Arc::new(policy))
        .resource(Resource::new(BANK).with_scopes(["pay", "close"]))
        .client(public())
        .client(client("gateway").serves(TOOLS).replace_transactions())
        .client(
            client("border")
                .border()
                .allow(BANK, ["pay"])
                .allow(TOOLS, ["call"]),
        )
        .client(client("plain").serves(TOOLS).allow(BANK, ["pay"]))
        .client(client("bank").serves(BANK))
        .client(
            Client::spiffe(AGENT.parse().unwrap())
                .or_by_jwt_svid()
                .replace_transactions(),
        );
    for service in ["s1", "s2", "s3", "s4"] {
        builder = builder.client(client(service).replace_transactions());
    }
    builder
}

impl Domain {
    fn new() -> Self {
        Self::with(Shop)
    }

    fn with(policy: impl TransactionPolicy + 'static) -> Self {
        let (key, signer) = (es256(), es256());
        let id = signer.verifying_key().thumbprint().to_string();
        let signer = signer.with_key_id(id);
        let authority = builder(policy, &key)
            .signing_key(Purpose::TransactionToken, signer.clone())
            .build(now())
            .unwrap();
        let code = code(&authority, &with("scope", Some("call list")), now());
        let granted = redeem(&authority, &code, &[], &[], now()).unwrap();
        let text = |name: &str| granted[name].as_str().unwrap().to_owned();
        Self {
            subject: text("access_token"),
            refresh_token: text("refresh_token"),
            authority,
            key,
            signer,
        }
    }

    /// Asks for an exchange as this client, with these parameters in place of the good ones.
    fn exchange(
        &self,
        client_id: &str,
        fields: &[(&str, &str)],
        good: &[(&str, &str)],
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        let mut claims = assertion_claims(now);
        (claims["iss"], claims["sub"]) = (json!(client_id), json!(client_id));
        let assertion = sign("client-authentication+jwt", &claims, &self.key);
        let mut all = good.to_vec();
        all.push(("grant_type", EXCHANGE));
        if !fields
            .iter()
            .any(|(name, _)| name.starts_with("oauth-client"))
        {
            all.push(("client_assertion_type", JWT_BEARER));
            all.push(("client_assertion", &assertion));
        }
        all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        all.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        ask(&self.authority, fields, &all, now)
    }

    /// The transaction token of the gateway.
    fn first(&self, more: &[(&str, &str)]) -> String {
        let good = [
            ("subject_token", &*self.subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", TXN_TOKEN),
            ("audience", DOMAIN),
        ];
        text(self.exchange("gateway", &[], &good, more, now()))
    }

    fn replace(
        &self,
        client_id: &str,
        token: &str,
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        self.exchange(client_id, &[], &replacing(token), more, now)
    }

    fn take_out(
        &self,
        client_id: &str,
        token: &str,
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        let good = [
            ("subject_token", token),
            ("subject_token_type", TXN_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
            ("resource", BANK),
        ];
        self.exchange(client_id, &[], &good, more, now)
    }

    /// Verifies a transaction token, and returns its claims.
    fn read(&self, token: &str, now: UnixTime) -> Value {
        let jwks = self.authority.oauth().jwks(now);
        let keys = JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
        let rules = TxnTokenRules::new(DOMAIN).with_issuer(BASE);
        assert!(TxnToken::verify(token, &keys, &rules, now).is_ok());
        claims(token)
    }

    /// Ends the grant of the user.
    fn revoke(&self) {
        let used = || refresh(&self.authority, &self.refresh_token, &[], &[], now());
        assert!(used().is_ok());
        assert!(used().is_err());
    }
}

fn replacing(token: &str) -> [(&str, &str); 4] {
    [
        ("subject_token", token),
        ("subject_token_type", TXN_TOKEN),
        ("requested_token_type", TXN_TOKEN),
        ("audience", DOMAIN),
    ]
}

fn text(answer: Answer) -> String {
    answer.unwrap()["access_token"].as_str().unwrap().to_owned()
}

fn actors(claims: &Value) -> Vec<String> {
    let chain = std::iter::successors(claims.get("act"), |it| it.get("act"));
    let names = chain.map(|it| {
        assert_eq!(it["iss"], BASE);
        it["sub"].as_str().unwrap().to_owned()
    });
    names.collect()
}

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
        ("request_details", r#"{"item":"x"}"#),
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

/// At the border, a transaction token becomes an access token of another service: narrow, as short
/// as the transaction, with the chain.
#[test]
fn the_border_gives_an_access_token() {
    let domain = Domain::new();
    let first = domain.first(&[("scope", "order")]);
    let inner = text(domain.replace("s1", &first, &[], now()));
    let granted = domain
        .take_out("border", &inner, &[], at(NOW + 20))
        .unwrap();
    assert_eq!(granted["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(granted["scope"], "pay");
    assert_eq!(granted["expires_in"], 40);
    assert_eq!(granted.get("refresh_token"), None);
    let token = granted["access_token"].as_str().unwrap();
    let claims = verified(&domain.authority, token, at(NOW + 20));
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&json!(USER), &json!(BANK))
    );
    assert_eq!(claims["client_id"], "border");
    assert_eq!(claims["exp"], NOW + 60);
    assert_eq!(claims["cnf"], confirmation(&domain.key));
    assert_eq!(actors(&claims), ["border", "s1", "gateway", "cli"]);
    // It belongs to the grant: the bank learns that it has ended.
    let introspected = || {
        let mut own = assertion_claims(now());
        (own["iss"], own["sub"]) = (json!("bank"), json!("bank"));
        let assertion = sign("client-authentication+jwt", &own, &domain.key);
        let form = form(&[
            ("token", token),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ]);
        let request = request("POST", "/introspect", &[FORM], &form);
        body(&send(&domain.authority, &request, now()))["active"].clone()
    };
    assert_eq!(introspected(), true);
    domain.revoke();
    assert_eq!(introspected(), false);
}

/// Each request differs from a good one in one property.
#[test]
fn the_border_gives_nothing_more() {
    let domain = Domain::new();
    let first = domain.first(&[("scope", "order")]);
    for (name, value, error) in [
        ("scope", "pay", "ok"),
        ("scope", "close", "invalid_scope"),
        ("scope", "order", "invalid_scope"),
        // The client may use it, and no table leads there from the domain.
        ("resource", TOOLS, "invalid_target"),
        ("resource", "https://files.example", "invalid_target"),
        ("resource", "", "invalid_target"),
        ("audience", BANK, "invalid_target"),
        ("requested_token_type", "", "invalid_request"),
        ("subject_token_type", ACCESS_TOKEN, "invalid_request"),
        ("subject_token", &domain.subject, "invalid_request"),
    ] {
        let answer = domain.take_out("border", &first, &[(name, value)], now());
        if error == "ok" {
            assert!(answer.is_ok(), "{name} {value} {answer:?}");
        } else {
            assert_eq!(answer, refused(400, error), "{name} {value}");
        }
    }
    let late = domain.take_out("border", &first, &[], at(NOW + 60));
    assert_eq!(late, refused(400, "invalid_request"));
    // Every other client stays within the domain.
    for client in ["plain", "gateway", "s1"] {
        let answer = domain.take_out(client, &first, &[], now());
        assert_eq!(answer, refused(400, "unauthorized_client"), "{client}");
    }
    // The scope of the table needs its scope of the token.
    let other = domain.first(&[("scope", "look")]);
    let answer = domain.take_out("border", &other, &[], now());
    assert_eq!(answer, refused(400, "invalid_scope"));
}

/// An access token keeps to no transaction context, so a transaction with one stays within the
/// domain.
#[test]
fn a_transaction_with_context_does_not_leave() {
    let domain = Domain::new();
    let bound = [("scope", "order"), ("request_details", r#"{"amount":5}"#)];
    let answer = domain.take_out("border", &domain.first(&bound), &[], now());
    assert_eq!(answer, refused(400, "invalid_request"));
    let free = domain.first(&[("scope", "order"), ("request_context", r#"{"ip":"x"}"#)]);
    assert!(domain.take_out("border", &free, &[], now()).is_ok());
}

/// T-180: no endpoint takes a transaction token for an access token or a refresh token.
#[test]
fn a_transaction_token_is_no_other_token() {
    let domain = Domain::new();
    let first = domain.first(&[]);
    let bearer = |path: &str, name: &str| {
        let mut own = assertion_claims(now());
        (own["iss"], own["sub"]) = (json!("gateway"), json!("gateway"));
        let assertion = sign("client-authentication+jwt", &own, &domain.key);
        let form = form(&[
            (name, &first),
            ("grant_type", "refresh_token"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ]);
        send(
            &domain.authority,
            &request("POST", path, &[FORM], &form),
            now(),
        )
    };
    assert_eq!(
        body(&bearer("/introspect", "token")),
        json!({"active": false})
    );
    let answer = judged(&bearer("/token", "refresh_token"));
    assert_eq!(answer, refused(400, "invalid_grant"));
    // Nor does it authenticate a client (draft-ietf-oauth-transaction-tokens §13.12).
    let mut all = replacing(&first).to_vec();
    all.extend([
        ("grant_type", EXCHANGE),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &*first),
    ]);
    let answer = ask(&domain.authority, &[], &all, now());
    assert_eq!(answer, refused(401, "invalid_client"));
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
