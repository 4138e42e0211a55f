//! Transactions that begin without an access token, with a subject that the client states itself.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/lines.rs"]
mod lines;

use std::cell::RefCell;
use std::sync::Arc;

use aims_authority::{
    Authority, AuthorizationServer, Builder, Client, Exchange, ExchangeTable, StatedSubjects,
    Statement, Transaction, TransactionPolicy,
};
use aims_jose::base64url;
use aims_jose::digest::Fingerprint;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::time::UnixTime;
use aims_oauth_wire::delegate::ScopeTable;
use common::endpoint::{
    ACCESS_TOKEN, EXCHANGE, JWT_BEARER, JWT_SPIFFE, TXN_TOKEN, ask, assertion_claims, judged,
    refused, send_as,
};
use common::orders::Orders;
use common::{AGENT, BASE, FILES, NOW, TOOLS, at, body, claims, es256, key_set, now, sign};
use lines::all_logged;
use serde_json::{Map, Value, json};

const SELF_SIGNED: &str = "urn:ietf:params:oauth:token-type:self_signed";
const UNSIGNED_JSON: &str = "urn:ietf:params:oauth:token-type:unsigned_json";
const DOMAIN: &str = "example.org";

type Answer = Result<Value, (u16, String)>;

/// Accepts these forms.
#[derive(Debug)]
struct Shop(&'static [Statement]);

impl TransactionPolicy for Shop {
    fn decide(
        &self,
        exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        assert!(exchange.stated.is_some_and(|it| self.0.contains(&it)));
        assert_eq!(
            (exchange.caller, exchange.issuer, exchange.from, exchange.to),
            (exchange.client_id, None, BASE, DOMAIN)
        );
        if details.contains_key("forbidden") {
            return None;
        }
        let scopes = ScopeTable::new([("call", "order"), ("list", "look")]).unwrap();
        Some(Transaction::new(scopes))
    }

    fn accepts_statement(&self, form: Statement) -> bool {
        self.0.contains(&form)
    }
}

const BOTH: &[Statement] = &[Statement::SelfSigned, Statement::UnsignedJson];

struct World {
    authority: Authority,
    batch: SigningKey,
    mail: SigningKey,
    /// `error_description` of the last refusal.
    reason: RefCell<String>,
}

impl World {
    fn new() -> Self {
        Self::with(Shop(BOTH))
    }

    /// `batch` signs, `mail` writes JSON, and `plain` is not listed.
    fn with(policy: impl TransactionPolicy + 'static) -> Self {
        let (batch, mail) = (es256(), es256());
        let client = |id: &str, key| Client::with_keys(id, key_set(key));
        let rows = ScopeTable::new([("call", "read")]).unwrap();
        let authority = common::builder()
            .transactions(Arc::new(policy))
            .exchange(Arc::new(ExchangeTable::new().allow(BASE, FILES, rows)))
            .client(client("batch", &batch).allow(FILES, ["read"]))
            .client(client("mail", &mail))
            .client(client("plain", &mail))
            .client(Client::spiffe(AGENT.parse().unwrap()).or_by_jwt_svid())
            .stated_subjects(
                StatedSubjects::of("batch", ["call"])
                    .self_signed()
                    // The last one is a mistake of the operator.
                    .on_behalf_of(["alice", "plain"]),
            )
            .stated_subjects(
                StatedSubjects::of("mail", ["call", "list"])
                    .unsigned_json()
                    .on_behalf_of(["alice"]),
            )
            .stated_subjects(StatedSubjects::of(AGENT, ["call"]).self_signed())
            .build(now())
            .unwrap();
        Self {
            authority,
            batch,
            mail,
            reason: RefCell::default(),
        }
    }

    fn ask(
        &self,
        client: (&str, &SigningKey),
        (kind, text): (&str, &str),
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        let good = [
            ("grant_type", EXCHANGE),
            ("subject_token", text),
            ("subject_token_type", kind),
            ("requested_token_type", TXN_TOKEN),
            ("audience", DOMAIN),
        ];
        let response = send_as(&self.authority, client, &good, more, now);
        let described = body(&response)["error_description"].clone();
        *self.reason.borrow_mut() = described.as_str().unwrap_or_default().to_owned();
        judged(&response)
    }

    fn signed(&self, text: &str) -> Answer {
        self.ask(("batch", &self.batch), (SELF_SIGNED, text), &[], now())
    }

    fn unsigned(&self, text: &str) -> Answer {
        self.ask(("mail", &self.mail), (UNSIGNED_JSON, text), &[], now())
    }

    /// Presents a JWT of `batch` with this claim in place of the good one, or without it.
    fn claim(&self, name: &str, value: Option<Value>) -> Answer {
        let mut claims = good(now());
        match value {
            Some(value) => claims[name] = value,
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
        self.signed(&sign("JWT", &claims, &self.batch))
    }
}

/// The claims of a JWT of `batch` about itself, with a new `jti`.
fn good(now: UnixTime) -> Value {
    let mut claims = assertion_claims(now);
    (claims["iss"], claims["sub"]) = (json!("batch"), json!("batch"));
    claims["exp"] = json!(now.as_secs() + 40);
    claims
}

fn transaction(answer: Answer) -> Value {
    let answer = answer.unwrap();
    assert_eq!(answer["issued_token_type"], TXN_TOKEN);
    assert_eq!(answer["token_type"], "N_A");
    claims(answer["access_token"].as_str().unwrap())
}

/// TXN-11, TXN-31: a client that is listed begins a transaction for itself, and for the subjects
/// that are listed.
#[test]
fn a_listed_client_states_its_subject() {
    let world = World::new();
    let first = sign("JWT", &good(now()), &world.batch);
    let claims = transaction(world.signed(&first));
    assert_eq!(
        (&claims["sub"], &claims["req_wl"], &claims["scope"]),
        (&json!("batch"), &json!("batch"), &json!("order"))
    );
    assert_eq!(claims["act"], json!({"iss": BASE, "sub": "batch"}));
    assert_eq!(claims["exp"], NOW + 40);
    assert_eq!(claims["cnf"], common::confirmation(&world.batch));
    assert!(!claims["txn"].as_str().unwrap().contains('.'));
    let about = transaction(world.claim("sub", Some(json!("alice"))));
    assert_eq!(about["sub"], "alice");
    assert_eq!(about["act"], json!({"iss": BASE, "sub": "batch"}));

    let claims = transaction(world.unsigned(r#"{"sub":"alice"}"#));
    assert_eq!(
        (&claims["sub"], &claims["req_wl"], &claims["scope"]),
        (&json!("alice"), &json!("mail"), &json!("look order"))
    );
    assert_eq!(claims["exp"], NOW + 60);
    assert_eq!(claims["act"], json!({"iss": BASE, "sub": "mail"}));
    assert_eq!(claims["cnf"], common::confirmation(&world.mail));
    assert_eq!(
        transaction(world.unsigned(r#"{"sub":"mail"}"#))["sub"],
        "mail"
    );
}

/// DEL-15: the log names a self-signed JWT by its own `iss` and `jti`, and unsigned JSON by its
/// hash alone.
#[test]
fn the_log_has_the_own_names_of_a_statement() {
    let world = World::new();
    let mut claims = good(now());
    claims["jti"] = json!("stated-1");
    let text = sign("JWT", &claims, &world.batch);
    let plain = r#"{"sub":"alice"}"#;
    for (text, signs, names) in [
        (&*text, true, r#"parent_iss="batch" parent_id="stated-1" "#),
        (plain, false, r#"parent_iss="" parent_id="" "#),
    ] {
        let lines = all_logged(|| {
            let answer = match signs {
                true => world.signed(text),
                false => world.unsigned(text),
            };
            drop(transaction(answer));
        });
        let line = lines.iter().find(|it| it.contains("exchanged a token"));
        let line = line.unwrap();
        assert!(line.contains(names), "{line}");
        let hash = Fingerprint::of(text.as_bytes());
        assert!(line.contains(&format!("subject_token={hash} ")), "{line}");
    }
}

/// TXN-11, TXN-30: no client may without the operator's word, and each for its form and its scopes
/// alone.
#[test]
fn a_client_that_is_not_listed_states_nothing() {
    let world = World::new();
    let unauthorized = refused(400, "unauthorized_client");
    let json = (UNSIGNED_JSON, r#"{"sub":"alice"}"#);
    let mut claims = good(now());
    (claims["iss"], claims["sub"]) = (json!("mail"), json!("mail"));
    let of_mail = sign("JWT", &claims, &world.mail);
    let text = sign("JWT", &good(now()), &world.batch);
    let (batch, mail) = (("batch", &world.batch), ("mail", &world.mail));
    let plain = ("plain", &world.mail);
    for (client, subject) in [
        (plain, json),
        (plain, (SELF_SIGNED, &*text)),
        (batch, json),
        (mail, (SELF_SIGNED, &*of_mail)),
    ] {
        let answer = world.ask(client, subject, &[], now());
        assert_eq!(answer, unauthorized, "{client:?} {subject:?}");
    }
    let signed = (SELF_SIGNED, &*text);
    for (name, value, error) in [
        // It is listed for `call` alone, which becomes `order`.
        ("scope", "look", "invalid_scope"),
        ("scope", "call", "invalid_scope"),
        ("scope", "order look", "invalid_scope"),
        ("audience", "other.example", "invalid_target"),
        ("request_details", r#"{"forbidden":1}"#, "invalid_target"),
        ("requested_token_type", ACCESS_TOKEN, "invalid_request"),
        ("requested_token_type", "", "invalid_request"),
        // The types are not mixed up.
        ("subject_token_type", ACCESS_TOKEN, "invalid_request"),
        ("subject_token_type", TXN_TOKEN, "invalid_request"),
    ] {
        let more = [(name, value), ("resource", "")];
        let answer = world.ask(batch, signed, &more, now());
        assert_eq!(answer, refused(400, error), "{name} {value}");
    }
    // What was refused has spent nothing.
    let asked = [("scope", "order")];
    assert!(world.ask(batch, signed, &asked, now()).is_ok());
    // It gives no access token, although a table leads there.
    let more = [
        ("requested_token_type", ""),
        ("audience", ""),
        ("resource", FILES),
    ];
    let other = sign("JWT", &good(now()), &world.batch);
    let answer = world.ask(batch, (SELF_SIGNED, &other), &more, now());
    assert_eq!(answer, refused(400, "invalid_request"));
}

/// TXN-31: the policy accepts each form by name. A policy that was written for access tokens
/// accepts none.
#[test]
fn the_policy_accepts_each_form() {
    let target = refused(400, "invalid_target").map(drop);
    for (world, signed, unsigned) in [
        (World::with(Orders), false, false),
        (World::with(Shop(&[Statement::SelfSigned])), true, false),
        (World::with(Shop(&[Statement::UnsignedJson])), false, true),
    ] {
        let expected = |is_good| if is_good { Ok(()) } else { target.clone() };
        let text = sign("JWT", &good(now()), &world.batch);
        assert_eq!(world.signed(&text).map(drop), expected(signed));
        let found = world.unsigned(r#"{"sub":"alice"}"#).map(drop);
        assert_eq!(found, expected(unsigned));
    }
}

/// TXN-31: each JWT differs from a good one in one property.
#[test]
fn other_self_signed_jwts_are_refused() {
    let world = World::new();
    let invalid = refused(400, "invalid_request");
    let long = "x".repeat(257);
    let issuer = "its iss is not the client";
    let form = "expected exactly iss, sub, aud, iat, exp and jti, and perhaps nbf";
    let subject = "its sub is none that this client may state";
    let audience = "its aud is not this server alone";
    let times = "it has expired, is not valid yet, or lives longer than 300 s";
    let id = "its jti is empty or too long";
    for (name, value, reason) in [
        ("iss", Some(json!("mail")), issuer),
        ("iss", None, form),
        ("sub", Some(json!("bob")), subject),
        ("sub", Some(json!("mail")), subject),
        ("sub", Some(json!("")), subject),
        ("sub", None, form),
        ("aud", Some(json!("https://other.example")), audience),
        (
            "aud",
            Some(json!([BASE, "https://other.example"])),
            audience,
        ),
        ("aud", Some(json!(format!("{BASE}/token"))), audience),
        ("aud", None, form),
        ("exp", Some(json!(NOW - 30)), times),
        ("exp", Some(json!(NOW)), "it has expired"),
        ("exp", Some(json!(NOW + 301)), times),
        ("exp", None, form),
        ("iat", Some(json!(NOW + 31)), times),
        ("iat", None, form),
        ("nbf", Some(json!(NOW + 31)), times),
        ("jti", Some(json!("")), id),
        ("jti", Some(json!(long)), id),
        ("jti", None, form),
        // It would limit nothing.
        ("scope", Some(json!("order")), form),
        ("act", Some(json!({"sub": "alice"})), form),
    ] {
        let answer = world.claim(name, value.clone());
        assert_eq!(answer, invalid, "{name} {value:?}");
        assert_eq!(*world.reason.borrow(), reason, "{name} {value:?}");
    }
    for (name, value) in [
        ("aud", json!([BASE])),
        ("exp", json!(NOW + 1)),
        ("exp", json!(NOW + 300)),
        ("nbf", json!(NOW - 1_000)),
        ("iat", json!(NOW - 200)),
        ("jti", json!("x".repeat(256))),
    ] {
        let answer = world.claim(name, Some(value.clone()));
        assert!(answer.is_ok(), "{name} {value} {answer:?}");
    }
    let begun = transaction(world.claim("nbf", Some(json!(NOW - 1_000))));
    assert_eq!(begun["nbf"], NOW - 1_000);
    // A listed name that is a client's is a mistake of the operator.
    let answer = world.claim("sub", Some(json!("plain")));
    assert_eq!(answer, refused(503, "server_error"));
    let typed = "its typ is not JWT";
    let signature = "its signature is not valid";
    for (typ, key, reason) in [
        ("client-authentication+jwt", &world.batch, typed),
        ("oauth-authz-req+jwt", &world.batch, typed),
        ("at+jwt", &world.batch, typed),
        // Keys of another client, and of none.
        ("JWT", &world.mail, signature),
        ("JWT", &es256(), signature),
    ] {
        let answer = world.signed(&sign(typ, &good(now()), key));
        assert_eq!(answer, invalid, "{typ}");
        assert_eq!(*world.reason.borrow(), reason, "{typ}");
    }
    let part = |text: &str| base64url::encode(text.as_bytes());
    let bare = format!(
        "{}.{}.",
        part(r#"{"alg":"none"}"#),
        part(&good(now()).to_string())
    );
    for text in [&*bare, "x", "", r#"{"sub":"batch"}"#] {
        assert_eq!(world.signed(text), invalid, "{text}");
    }
    // By hand, without `typ`: a member twice.
    let by_hand = |payload: &str| {
        let input = format!("{}.{}", part(r#"{"alg":"ES256"}"#), part(payload));
        let signature = world.batch.sign(input.as_bytes()).unwrap();
        let signature = base64url::encode(signature.as_ref());
        world.signed(&format!("{input}.{signature}"))
    };
    assert!(by_hand(&good(now()).to_string()).is_ok());
    let twice = good(now()).to_string();
    let twice = twice.replacen('{', r#"{"sub":"batch","#, 1);
    assert_eq!(by_hand(&twice), invalid);
}

/// TXN-31: a self-signed JWT opens one transaction, and is no client assertion besides.
#[test]
fn a_self_signed_jwt_is_used_once() {
    let world = World::new();
    let invalid = refused(400, "invalid_request");
    let text = sign("JWT", &good(now()), &world.batch);
    assert!(world.signed(&text).is_ok());
    assert_eq!(world.signed(&text), invalid);
    let all = |assertion: &str, subject: &str| {
        let all = [
            ("grant_type", EXCHANGE),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
            ("subject_token", subject),
            ("subject_token_type", SELF_SIGNED),
            ("requested_token_type", TXN_TOKEN),
            ("audience", DOMAIN),
        ];
        ask(&world.authority, &[], &all, now())
    };
    let next = || sign("JWT", &good(now()), &world.batch);
    assert_eq!(all(&text, &next()), refused(401, "invalid_client"));
    let both = next();
    assert_eq!(all(&both, &both), invalid);
    assert!(all(&next(), &next()).is_ok());
}

/// TXN-11: unsigned JSON is one object with `sub`, once, and nothing else.
#[test]
fn other_unsigned_json_is_refused() {
    let world = World::new();
    let long = format!(r#"{{{}"sub":"alice"}}"#, " ".repeat(8_192));
    for text in [
        r#"{"sub":"alice","sub":"alice"}"#,
        r#"{"sub":"bob"}"#,
        r#"{"sub":"batch"}"#,
        r#"{"sub":""}"#,
        r#"{"sub":null}"#,
        r#"{"sub":["alice"]}"#,
        r#"{"sub":"alice","scope":"order"}"#,
        r#"{"sub":"alice","iss":"mail"}"#,
        r#"{"sub":"alice"} {}"#,
        r#"["alice"]"#,
        r#""alice""#,
        "{}",
        "",
        "alice",
        &long,
    ] {
        let answer = world.unsigned(text);
        assert_eq!(answer, refused(400, "invalid_request"), "{text}");
    }
    assert!(world.unsigned(r#" {"sub" : "alice"} "#).is_ok());
}

/// DEL-12: a subject that was revoked is stated no more in that second, nor by a JWT from before.
#[test]
fn a_revoked_subject_is_not_stated() {
    let world = World::new();
    let text = sign("JWT", &good(at(NOW + 10)), &world.batch);
    let mut ahead = good(now());
    (ahead["iat"], ahead["sub"]) = (json!(NOW + 20), json!("alice"));
    let ahead = sign("JWT", &ahead, &world.batch);
    let state = world.authority.oauth().state();
    AuthorizationServer::revoke_subject_in(state, "alice", now()).unwrap();
    let invalid = refused(400, "invalid_request");
    assert_eq!(world.claim("sub", Some(json!("alice"))), invalid);
    assert_eq!(world.signed(&ahead), invalid);
    assert_eq!(world.unsigned(r#"{"sub":"alice"}"#), invalid);
    AuthorizationServer::revoke_subject_in(state, "batch", at(NOW + 10)).unwrap();
    let batch = ("batch", &world.batch);
    let answer = world.ask(batch, (SELF_SIGNED, &text), &[], at(NOW + 11));
    assert_eq!(answer, invalid);
}

/// A workload signs with the key of its WIT-SVID, which it proves in the same request.
#[test]
fn a_workload_signs_with_the_key_that_it_proves() {
    let world = World::new();
    let (wit, key) = common::wit(&world.authority, "a", now());
    let ask = |subject: &str, is_proven: bool| {
        let pop = json!({
            "iss": AGENT, "aud": BASE, "iat": NOW, "exp": NOW + 60,
            "jti": aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap(),
        });
        let pop = sign("oauth-client-attestation-pop+jwt", &pop, &key);
        let svid = common::jwt_svid(&world.authority, &wit, &key, BASE, now()).unwrap();
        let mut all = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", SELF_SIGNED),
            ("requested_token_type", TXN_TOKEN),
            ("audience", DOMAIN),
        ];
        let attested = [
            ("oauth-client-attestation", &*wit),
            ("oauth-client-attestation-pop", &*pop),
        ];
        let fields = if is_proven {
            &attested[..]
        } else {
            all.push(("client_assertion_type", JWT_SPIFFE));
            all.push(("client_assertion", &svid));
            &[]
        };
        ask(&world.authority, fields, &all, now())
    };
    let of = |key: &SigningKey| {
        let mut claims = good(now());
        (claims["iss"], claims["sub"]) = (json!(AGENT), json!(AGENT));
        sign("JWT", &claims, key)
    };
    let claims = transaction(ask(&of(&key), true));
    assert_eq!(
        (&claims["sub"], &claims["act"]["sub"]),
        (&json!(AGENT), &json!(AGENT))
    );
    let invalid = refused(400, "invalid_request");
    assert_eq!(ask(&of(&es256()), true), invalid);
    // A JWT-SVID proves no key, so none has signed it.
    assert_eq!(ask(&of(&key), false), invalid);
}

/// A setting that the server cannot keep is a mistake of the operator.
#[test]
fn a_setting_that_cannot_be_is_told_at_the_start() {
    let key = es256();
    let with = |rules: &[StatedSubjects]| {
        let builder = common::builder()
            .client(Client::with_keys("batch", key_set(&key)))
            .client(
                Client::public("cli")
                    .redirect_uri("http://127.0.0.1/callback")
                    .allow(TOOLS, ["call"]),
            );
        rules
            .iter()
            .cloned()
            .fold(builder, Builder::stated_subjects)
    };
    let code = |builder: Builder| builder.build(now()).map(drop).map_err(|it| it.code());
    let shop = |builder: Builder| code(builder.transactions(Arc::new(Shop(BOTH))));
    let none: [&str; 0] = [];
    let good = || StatedSubjects::of("batch", ["call"]).self_signed();
    assert_eq!(shop(with(&[good()])), Ok(()));
    let wrong = Err("authority.clients");
    assert_eq!(code(with(&[good()])), wrong);
    for rules in [
        StatedSubjects::of("cli", ["call"]).unsigned_json(),
        StatedSubjects::of("other", ["call"]).self_signed(),
        StatedSubjects::of("batch", none).self_signed(),
        StatedSubjects::of("batch", ["a b\n"]).self_signed(),
        StatedSubjects::of("batch", ["call"]),
    ] {
        assert_eq!(shop(with(std::slice::from_ref(&rules))), wrong, "{rules:?}");
    }
    assert_eq!(shop(with(&[good(), good()])), wrong);
}
