//! Token exchange: the new token never permits more than the one that it is made from.
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

use std::sync::Arc;

use aims_authority::{
    Authority, Builder, Client, Exchange, ExchangeTable, Purpose, Transaction, TransactionPolicy,
};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::SigningKey;
use aims_jose::time::UnixTime;
use aims_oauth_wire::delegate::ScopeTable;
use aims_txn_token::{TxnToken, TxnTokenRules};
use common::browser::{USER, code, parameters, public, redeem, refresh, with, with_users};
use common::endpoint::{
    ACCESS_TOKEN, EXCHANGE, TXN_TOKEN, ask, judged, refused, send_as, verified,
};
use common::{BASE, FILES, NOW, TOOLS, at, es256, key_set, now, sign};
use lines::logged;
use serde_json::{Map, Value, json};

const OTHER: &str = "https://other.example";

type Answer = Result<Value, (u16, String)>;

/// Transactions of one vocabulary, with the amount that the client names, and nothing else of it.
#[derive(Debug)]
struct Shop;

impl TransactionPolicy for Shop {
    fn decide(
        &self,
        exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        if details.get("amount") == Some(&json!(13)) {
            return None;
        }
        assert_eq!((exchange.from, exchange.to), (TOOLS, "example.org"));
        let scopes = ScopeTable::new([("call", "order"), ("list", "look")]).unwrap();
        let mut own = details.clone();
        own.retain(|name, _| name == "amount");
        Some(Transaction::new(scopes).with_details(own))
    }
}

/// The gateway serves the tools, and calls on to the files.
struct Chain {
    authority: Authority,
    gateway: SigningKey,
    files: SigningKey,
    subject: String,
    refresh_token: String,
}

impl Chain {
    fn new() -> Self {
        Self::asking(&with("scope", Some("call list")))
    }

    fn asking(parameters: &[(&'static str, String)]) -> Self {
        Self::of(parameters, |builder| builder)
    }

    fn of(parameters: &[(&'static str, String)], change: impl FnOnce(Builder) -> Builder) -> Self {
        let (gateway, files) = (es256(), es256());
        let rows = ScopeTable::new([("call", "read"), ("list", "browse")]).unwrap();
        let back = ScopeTable::new([("read", "call")]).unwrap();
        let table = ExchangeTable::new()
            .allow(TOOLS, FILES, rows)
            .allow(FILES, TOOLS, back)
            .allow(TOOLS, TOOLS, ScopeTable::new([("call", "list")]).unwrap());
        let authority = change(with_users())
            .exchange(Arc::new(table))
            .transactions(Arc::new(Shop))
            .resource(aims_authority::Resource::new(OTHER).with_scopes(["call"]))
            .client(public())
            .client(
                Client::with_keys("gateway", key_set(&gateway))
                    .serves(TOOLS)
                    .allow(FILES, ["read"])
                    .allow(TOOLS, ["list"])
                    .allow(OTHER, ["call"]),
            )
            .client(
                Client::with_keys("files", key_set(&files))
                    .serves(FILES)
                    .allow(TOOLS, ["call"]),
            )
            .build(now())
            .unwrap();
        let code = code(&authority, parameters, now());
        let tools = [("resource", TOOLS)];
        let granted = redeem(&authority, &code, &[], &tools, now()).unwrap();
        let text = |name: &str| granted[name].as_str().unwrap().to_owned();
        Self {
            subject: text("access_token"),
            refresh_token: text("refresh_token"),
            gateway,
            files,
            authority,
        }
    }

    /// Exchanges the token as the gateway, with these parameters instead of the good ones.
    fn exchange(&self, more: &[(&str, &str)], now: UnixTime) -> Answer {
        self.exchange_as("gateway", &self.gateway, more, now)
    }

    fn exchange_as(
        &self,
        client_id: &str,
        key: &SigningKey,
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        let good = [
            ("grant_type", EXCHANGE),
            ("subject_token", &*self.subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", FILES),
            ("scope", "read"),
        ];
        let client = (client_id, key);
        judged(&send_as(&self.authority, client, &good, more, now))
    }
}

#[test]
fn a_tool_calls_on_for_its_user() {
    let chain = Chain::new();
    let granted = chain.exchange(&[], at(NOW + 200)).unwrap();
    assert_eq!(granted["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(granted["scope"], "read");
    // The subject token ends in 100 s, and so does the new one.
    assert_eq!(granted["expires_in"], 100);
    assert_eq!(granted.get("refresh_token"), None);
    let token = granted["access_token"].as_str().unwrap();
    let claims = verified(&chain.authority, token, at(NOW + 200));
    assert_eq!(claims["sub"], USER);
    assert_eq!(claims["client_id"], "gateway");
    assert_eq!(claims["aud"], FILES);
    assert_eq!(claims["exp"], NOW + 300);
    assert_eq!(claims["auth_time"], NOW);
    assert_eq!(
        claims["act"],
        json!({"iss": BASE, "sub": "gateway", "act": {"iss": BASE, "sub": "cli"}})
    );
    assert_eq!(claims["cnf"], common::confirmation(&chain.gateway));
    let metadata = chain.authority.oauth().metadata();
    assert!(metadata.contains(EXCHANGE));
}

/// TEX-31: a token of this server whose `may_act` names another party than the client. Without
/// `iss` it is one of this server.
#[test]
fn may_act_names_the_client() {
    let signer = es256().with_key_id("own");
    let mut chain = Chain::of(&with("scope", Some("call list")), |builder| {
        builder.signing_key(Purpose::AccessToken, signer.clone())
    });
    let mut claims = json!({
        "iss": BASE, "sub": USER, "aud": TOOLS, "client_id": "cli", "iat": NOW, "exp": NOW + 300,
        "jti": "x", "scope": "call list",
    });
    for (may_act, is_permitted) in [
        (json!({"sub": "gateway"}), true),
        (json!({"iss": BASE, "client_id": "gateway"}), true),
        (json!({"sub": "files"}), false),
        (json!({"iss": OTHER, "sub": "gateway"}), false),
        (json!({"sub": "gateway", "client_id": "files"}), false),
        (json!({}), false),
        (json!(null), false),
    ] {
        claims["may_act"] = may_act.clone();
        chain.subject = sign("at+jwt", &claims, &signer);
        for kind in [&[][..], &TXN] {
            let found = chain.exchange(kind, now());
            if is_permitted {
                assert!(found.is_ok(), "{may_act}: {found:?}");
            } else {
                assert_eq!(found, refused(400, "invalid_request"), "{may_act}");
            }
        }
    }
}

/// TEX-30, TEX-33: each request differs from a good one in one property.
#[test]
fn nothing_more_is_given() {
    let chain = Chain::new();
    let foreign = sign(
        "at+jwt",
        &json!({
            "iss": BASE, "sub": USER, "aud": TOOLS, "client_id": "cli", "iat": NOW,
            "exp": NOW + 300, "jti": "x", "scope": "call list",
        }),
        &es256(),
    );
    let jwks: Value = serde_json::from_str(&chain.authority.oauth().jwks(now())).unwrap();
    // One key for access tokens, and another for transaction tokens.
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
    let mut changed = chain.subject.clone();
    let place = changed.len() - 10..changed.len() - 9;
    let other = if &changed[place.clone()] == "_" {
        "-"
    } else {
        "_"
    };
    changed.replace_range(place, other);
    for (name, value, error) in [
        ("scope", "write", "invalid_scope"),
        // The table has it, and this client may not have it there.
        ("scope", "browse", "invalid_scope"),
        ("scope", "call", "invalid_scope"),
        ("resource", "", "invalid_target"),
        ("resource", TOOLS, "invalid_scope"),
        // The client may use it, and no table leads there.
        ("resource", OTHER, "invalid_target"),
        ("audience", FILES, "invalid_target"),
        ("subject_token", "", "invalid_request"),
        ("subject_token", "x", "invalid_request"),
        ("subject_token", &foreign, "invalid_request"),
        ("subject_token", &changed, "invalid_request"),
        ("subject_token_type", "", "invalid_request"),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:jwt",
            "invalid_request",
        ),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:refresh_token",
            "invalid_request",
        ),
        ("actor_token", &chain.subject, "invalid_request"),
    ] {
        let answer = chain.exchange(&[(name, value)], now());
        assert_eq!(answer, refused(400, error), "{name} {value}");
    }
    let late = chain.exchange(&[], at(NOW + 300));
    assert_eq!(late, refused(400, "invalid_request"));
    assert!(chain.exchange(&[], at(NOW + 299)).is_ok());
    let by_audience = [("resource", ""), ("audience", FILES)];
    assert!(chain.exchange(&by_audience, now()).is_ok());
}

/// A scope that the subject token lacks is not in what the table makes of it.
#[test]
fn a_scope_of_the_table_needs_its_scope_of_the_token() {
    let chain = Chain::asking(&with("scope", Some("list")));
    let answer = chain.exchange(&[], now());
    assert_eq!(answer, refused(400, "invalid_scope"));
}

/// A client exchanges only what was sent to it: a stolen token of another tool is of no use.
#[test]
fn a_token_for_another_tool_is_refused() {
    let chain = Chain::new();
    let stolen = chain.exchange(&[], now()).unwrap();
    let token = stolen["access_token"].as_str().unwrap();
    let answer = chain.exchange(&[("subject_token", token)], now());
    assert_eq!(answer, refused(400, "unauthorized_client"));
    let public = [
        ("grant_type", EXCHANGE),
        ("client_id", "cli"),
        ("subject_token", &chain.subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", TOOLS),
    ];
    let answer = ask(&chain.authority, &[], &public, now());
    assert_eq!(answer, refused(400, "unauthorized_client"));
}

/// TEX-30: also a public client that serves the resource exchanges nothing, because anyone can send
/// its `client_id`.
#[test]
fn a_public_client_exchanges_nothing() {
    let rows = ScopeTable::new([("call", "read")]).unwrap();
    let table = ExchangeTable::new().allow(TOOLS, FILES, rows);
    let authority = with_users()
        .exchange(Arc::new(table))
        .client(public().serves(TOOLS).allow(FILES, ["read"]))
        .build(now())
        .unwrap();
    let code = code(&authority, &with("resource", Some(TOOLS)), now());
    let granted = redeem(&authority, &code, &[], &[("resource", TOOLS)], now()).unwrap();
    let asked = [
        ("grant_type", EXCHANGE),
        ("client_id", "cli"),
        ("subject_token", granted["access_token"].as_str().unwrap()),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", FILES),
        ("scope", "read"),
    ];
    let answer = ask(&authority, &[], &asked, now());
    assert_eq!(answer, refused(400, "unauthorized_client"));
}

/// A revoked grant takes the tokens along that were exchanged from its own.
#[test]
fn a_revoked_token_is_not_exchanged() {
    let chain = Chain::new();
    assert!(chain.exchange(&[], now()).is_ok());
    let used = |token: &str| refresh(&chain.authority, token, &[], &[], now());
    assert!(used(&chain.refresh_token).is_ok());
    assert!(used(&chain.refresh_token).is_err());
    let answer = chain.exchange(&[], now());
    assert_eq!(answer, refused(400, "invalid_request"));
}

/// No actor comes twice in a chain, so two services cannot pass a token to and fro.
#[test]
fn a_chain_has_no_actor_twice() {
    let chain = Chain::new();
    let token = |answer: Answer| answer.unwrap()["access_token"].as_str().unwrap().to_owned();
    let first = token(chain.exchange(&[], now()));
    let back = [
        ("subject_token", &*first),
        ("resource", TOOLS),
        ("scope", "call"),
    ];
    let second = token(chain.exchange_as("files", &chain.files, &back, now()));
    let claims = verified(&chain.authority, &second, now());
    assert_eq!(claims["act"]["sub"], "files");
    assert_eq!(claims["act"]["act"]["sub"], "gateway");
    assert_eq!(claims["act"]["act"]["act"]["sub"], "cli");
    let third = chain.exchange(&[("subject_token", &second)], now());
    assert_eq!(third, refused(400, "invalid_request"));
}

#[test]
fn details_only_shrink() {
    const DETAILS: &str = r#"[{"type":"aims_tool","actions":["search","read"],"locations":["https://tools.example/mcp","https://files.example"]}]"#;
    let mut asked = parameters();
    asked.push(("resource", FILES.to_owned()));
    asked.push(("authorization_details", DETAILS.to_owned()));
    let chain = Chain::asking(&asked);
    let kept = chain.exchange(&[], now()).unwrap();
    let expected: Value = serde_json::from_str(DETAILS).unwrap();
    assert_eq!(kept["authorization_details"], expected);
    for (details, error) in [
        (
            DETAILS.replace("read", "write"),
            Some("invalid_authorization_details"),
        ),
        (DETAILS.replace(r#","read""#, ""), None),
    ] {
        let answer = chain.exchange(&[("authorization_details", details.as_str())], now());
        match error {
            Some(error) => assert_eq!(answer, refused(400, error)),
            None => assert!(answer.is_ok()),
        }
    }
}

/// RAR-06: an entry goes on to a resource that it names, and to no other.
#[test]
fn details_of_one_resource_do_not_go_on() {
    let here = r#"{"type":"aims_tool","actions":["a"]}"#;
    let tools = r#"{"type":"aims_tool","actions":["b"],"locations":["https://tools.example/mcp"]}"#;
    let files = r#"{"type":"aims_tool","actions":["c"],"locations":["https://files.example"]}"#;
    let both = r#"{"type":"aims_tool","actions":["d"],"locations":["https://tools.example/mcp","https://files.example"]}"#;
    let asking = |details: &[&str]| {
        let mut asked = parameters();
        asked.push(("resource", FILES.to_owned()));
        asked.push(("authorization_details", format!("[{}]", details.join(","))));
        Chain::asking(&asked)
    };
    let actions = |token: &Value| -> Vec<String> {
        let entries = token["authorization_details"].as_array();
        let entries = entries.into_iter().flatten();
        entries
            .map(|it| it["actions"][0].as_str().unwrap().to_owned())
            .collect()
    };
    let chain = asking(&[here, tools, files, both]);
    let claims = verified(&chain.authority, &chain.subject, now());
    assert_eq!(actions(&claims), ["a", "b", "d"]);
    let granted = chain.exchange(&[], now()).unwrap();
    assert_eq!(actions(&granted), ["d"]);
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(actions(&verified(&chain.authority, token, now())), ["d"]);
    // Nor does it if the client asks for it.
    let invalid = refused(400, "invalid_authorization_details");
    for entry in [here, tools, files] {
        let asked = format!("[{entry}]");
        let answer = chain.exchange(&[("authorization_details", &asked)], now());
        assert_eq!(answer, invalid, "{entry}");
    }
    let granted = asking(&[here]).exchange(&[], now()).unwrap();
    assert_eq!(granted.get("authorization_details"), None);
    // It stays with a token for the same resource.
    let back = [("resource", TOOLS), ("scope", "list")];
    let chain = asking(&[here, tools]);
    let granted = chain.exchange(&back, now()).unwrap();
    assert_eq!(actions(&granted), ["a", "b"]);
}

const TXN: [(&str, &str); 4] = [
    ("requested_token_type", TXN_TOKEN),
    ("resource", ""),
    ("audience", "example.org"),
    ("scope", "order"),
];

/// A transaction token is `N_A`, narrow and short, bound to the gateway's key, and keeps the chain.
#[test]
fn an_access_token_becomes_a_transaction_token() {
    let chain = Chain::new();
    let mut asked = TXN.to_vec();
    asked.push(("request_details", r#"{"amount":5,"approved":true}"#));
    asked.push(("request_context", r#"{"ip":"192.0.2.1"}"#));
    let granted = chain.exchange(&asked, now()).unwrap();
    assert_eq!(granted["issued_token_type"], TXN_TOKEN);
    assert_eq!(granted["token_type"], "N_A");
    assert_eq!(
        (&granted["scope"], &granted["expires_in"]),
        (&json!("order"), &json!(60))
    );
    let text = granted["access_token"].as_str().unwrap();
    let jwks = chain.authority.oauth().jwks(now());
    let provider = aims_jose::provider::AWS_LC;
    let keys = JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), provider).unwrap();
    let rules = TxnTokenRules::new("example.org").with_issuer(BASE);
    assert!(TxnToken::verify(text, &keys, &rules, now()).is_ok());
    let claims = common::claims(text);
    assert_eq!(claims["sub"], USER);
    assert_eq!(claims["req_wl"], "gateway");
    // What the client sends is a proposal: the policy has taken the amount alone.
    assert_eq!(claims["tctx"], json!({"amount": 5}));
    assert_eq!(claims.get("rctx"), None);
    assert_eq!(claims["cnf"], common::confirmation(&chain.gateway));
    assert_eq!(claims["act"]["sub"], "gateway");
    assert_eq!(claims["act"]["act"]["sub"], "cli");
    // It outlives no access token, and is none.
    let late = chain.exchange(&TXN, at(NOW + 290)).unwrap();
    assert_eq!(late["expires_in"], 10);
    let back = chain.exchange(&[("subject_token", text)], now());
    assert_eq!(back, refused(400, "invalid_request"));
}

/// T-141: the refusals of a target differ in the log and in the description.
#[test]
fn a_refused_target_has_its_reason() {
    let chain = Chain::asking(&with("scope", Some("call")));
    let domain = "the trust domain of this server is example.org, expected it as the only audience";
    let policy = "TransactionPolicy::decide refused this client, token or context";
    for (name, value, reason, found) in [
        ("audience", "other.example", domain, r#""other.example""#),
        ("audience", "", domain, "none"),
        (
            "request_details",
            r#"{"amount":13}"#,
            policy,
            r#""gateway", "https://tools.example/mcp""#,
        ),
    ] {
        let mut asked = TXN.to_vec();
        asked.retain(|(own, _)| *own != name);
        asked.extend([(name, value), ("resource", "")]);
        let line = logged(|| drop(chain.exchange(&asked, now())));
        // The log escapes the quotes.
        let line = line.replace('\\', "");
        let named = format!("reason=the target is refused: {reason}; found {found} ");
        assert!(line.contains(&named), "{named}: {line}");
    }
}

/// Each request differs from a good one in one property.
#[test]
fn no_other_transaction_token_is_given() {
    let chain = Chain::asking(&with("scope", Some("call")));
    assert!(chain.exchange(&TXN, now()).is_ok());
    for (name, value, error) in [
        ("audience", "other.example", "invalid_target"),
        ("audience", "", "invalid_target"),
        ("resource", FILES, "invalid_target"),
        ("scope", "look", "invalid_scope"),
        ("scope", "call", "invalid_scope"),
        ("request_details", "[]", "invalid_request"),
        (
            "request_details",
            r#"{"amount":1,"amount":2}"#,
            "invalid_request",
        ),
        ("request_context", "x", "invalid_request"),
        // The policy refuses.
        ("request_details", r#"{"amount":13}"#, "invalid_target"),
    ] {
        let mut asked = TXN.to_vec();
        asked.retain(|(own, _)| *own != name);
        asked.push((name, value));
        if name != "resource" {
            asked.push(("resource", ""));
        }
        let answer = chain.exchange(&asked, now());
        assert_eq!(answer, refused(400, error), "{name} {value}");
    }
}

/// The identity of the agent was withdrawn: the tokens that it got for itself buy nothing more.
#[test]
fn a_withdrawn_identity_is_not_exchanged() {
    let gateway = es256();
    let rows = ScopeTable::new([("call", "read")]).unwrap();
    let authority = common::builder()
        .exchange(Arc::new(ExchangeTable::new().allow(TOOLS, FILES, rows)))
        .client(
            Client::with_keys("gateway", key_set(&gateway))
                .serves(TOOLS)
                .allow(FILES, ["read"]),
        )
        .client(
            Client::spiffe(common::AGENT.parse().unwrap())
                .or_by_jwt_svid()
                .allow(TOOLS, ["call"]),
        )
        .build(now())
        .unwrap();
    let (wit, key) = common::wit(&authority, "a", now());
    let svid = common::jwt_svid(&authority, &wit, &key, BASE, now()).unwrap();
    let credentials = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", common::endpoint::JWT_SPIFFE),
        ("client_assertion", &*svid),
        ("resource", TOOLS),
    ];
    let granted = ask(&authority, &[], &credentials, now()).unwrap();
    let chain = Chain {
        subject: granted["access_token"].as_str().unwrap().to_owned(),
        refresh_token: String::new(),
        files: es256(),
        gateway,
        authority,
    };
    assert!(chain.exchange(&[], now()).is_ok());
    let agent = common::AGENT.parse().unwrap();
    assert!(chain.authority.identity().withdraw(&agent, now()).unwrap());
    let answer = chain.exchange(&[], now());
    assert_eq!(answer, refused(400, "invalid_request"));
}
