//! Transaction tokens: each negative differs from a valid one in one property.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use aims_jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::time::{Skew, at};
use aims_jose::{Algorithm, base64url, provider};
use aims_oauth_wire::call::CallDigest;
use aims_txn_token::{Error, TxnToken, TxnTokenRules};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const DOMAIN: &str = "trust-domain.example";

fn key(algorithm: Algorithm, id: &str) -> SigningKey {
    let key = SigningKey::generate(algorithm, provider::AWS_LC).unwrap();
    key.with_key_id(id)
}

fn set(keys: &[&SigningKey]) -> JwkSet {
    let keys: PublicJwkSet = keys.iter().map(|key| key.public_jwk().clone()).collect();
    JwkSet::parse(
        keys.to_json().as_bytes(),
        &SetRules::oauth(),
        provider::AWS_LC,
    )
    .unwrap()
}

fn claims() -> Value {
    json!({
        "aud": DOMAIN, "iat": NOW, "exp": NOW + 300, "txn": "t-1", "sub": "alice",
        "scope": "trade.stocks", "req_wl": "gateway"
    })
}

fn with(changes: &Value) -> Value {
    let mut all = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

fn sign(typ: &str, claims: &Value, key: &SigningKey) -> String {
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

fn verify(text: &str, key: &SigningKey, now: u64) -> Result<TxnToken, Error> {
    TxnToken::verify(text, &set(&[key]), &TxnTokenRules::new(DOMAIN), at(now))
}

fn code(result: Result<TxnToken, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

/// Returns the result for a valid token with these changes, at this time.
fn of_at(changes: &Value, now: u64) -> &'static str {
    let key = key(Algorithm::Es256, "1");
    code(verify(
        &sign("txntoken+jwt", &with(changes), &key),
        &key,
        now,
    ))
}

fn of(changes: &Value) -> &'static str {
    of_at(changes, NOW)
}

/// The example of the draft (§9.2), with the members as printed.
#[test]
fn the_example_of_the_draft_is_read() {
    let key = key(Algorithm::Rs256, "identifier-to-key");
    let claims = json!({
        "iat": 1_686_536_226, "aud": DOMAIN, "exp": 1_686_536_586,
        "txn": "97053963-771d-49cc-a4e3-20aad399c312", "sub": "d084sdrt234fsaw34tr23t",
        "req_wl": "apigateway.trust-domain.example",
        "rctx": {"req_ip": "69.151.72.123", "authn": "face"}, "scope": "trade.stocks",
        "tctx": {
            "action": "BUY", "ticker": "MSFT", "quantity": "100",
            "customer_type": {"geo": "US", "level": "VIP"}
        }
    });
    let text = sign("txntoken+jwt", &claims, &key);
    let token = verify(&text, &key, 1_686_536_230).unwrap();
    assert_eq!(token.txn(), "97053963-771d-49cc-a4e3-20aad399c312");
    assert_eq!(token.subject(), "d084sdrt234fsaw34tr23t");
    assert_eq!(token.requester(), "apigateway.trust-domain.example");
    assert_eq!((token.domain(), token.issuer()), (DOMAIN, None));
    assert_eq!(token.scopes().to_string(), "trade.stocks");
    assert_eq!(token.issued_at(), at(1_686_536_226));
    assert_eq!(token.expires(), at(1_686_536_586));
    assert!(token.confirmations().is_empty() && token.call_digest().is_none());
    let all: Value = token.claims().unwrap();
    assert_eq!(all["tctx"]["customer_type"]["level"], "VIP");
    let shown = format!("{token:?}");
    assert!(
        !shown.contains("MSFT") && !shown.contains("d084"),
        "{shown}"
    );
}

/// The example of the agents' draft has `purp` instead of `scope`, and a URL as `aud`. Revisions
/// before -09 had several workloads in `req_wl`.
#[test]
fn an_older_form_is_refused() {
    let changes = json!({"scope": "-", "purp": "trade.stocks"});
    assert_eq!(of(&changes), "txn.claim");
    let changes = json!({"aud": "https://trading.trust-domain.example/stocks"});
    assert_eq!(of(&changes), "txn.domain");
    for several in [json!(["a", "b"]), json!(["a"]), json!("a b"), json!("a, b")] {
        assert_eq!(of(&json!({"req_wl": several})), "txn.claim", "{several}");
    }
}

#[test]
fn the_type_is_exact() {
    let key = key(Algorithm::Es256, "1");
    for typ in [
        "TXNTOKEN+JWT",
        "application/txntoken+jwt",
        "at+jwt",
        "JWT",
        "wpt+jwt",
        "txn-chain+jwt",
    ] {
        let text = sign(typ, &claims(), &key);
        assert_eq!(code(verify(&text, &key, NOW)), "txn.typ", "{typ}");
    }
    let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
    let signed = format!("{}.{}", part(&json!({"alg": "ES256"})), part(&claims()));
    let signature = key.sign(signed.as_bytes()).unwrap();
    let untyped = format!("{signed}.{}", base64url::encode(signature.as_ref()));
    assert_eq!(code(verify(&untyped, &key, NOW)), "txn.typ");
}

#[test]
fn algorithms_are_those_of_the_list() {
    for (algorithm, expected) in [
        (Algorithm::Es256, "ok"),
        (Algorithm::Es384, "ok"),
        (Algorithm::Ed25519, "ok"),
        (Algorithm::EdDsa, "ok"),
        (Algorithm::Ps256, "ok"),
        (Algorithm::Rs256, "ok"),
        (Algorithm::Ps384, "txn.algorithm"),
        (Algorithm::Ps512, "txn.algorithm"),
        (Algorithm::Rs384, "txn.algorithm"),
        (Algorithm::Rs512, "txn.algorithm"),
        (Algorithm::Es512, "txn.algorithm"),
    ] {
        let key = key(algorithm, "1");
        let text = sign("txntoken+jwt", &claims(), &key);
        assert_eq!(code(verify(&text, &key, NOW)), expected, "{algorithm}");
    }
}

#[test]
fn the_key_is_the_domains() {
    let (own, other) = (key(Algorithm::Es256, "1"), key(Algorithm::Es256, "2"));
    let text = sign("txntoken+jwt", &claims(), &own);
    assert_eq!(code(verify(&text, &own, NOW)), "ok");
    assert_eq!(code(verify(&text, &other, NOW)), "key.unknown");
    let forged = sign("txntoken+jwt", &claims(), &key(Algorithm::Es256, "1"));
    assert_eq!(code(verify(&forged, &own, NOW)), "txn.signature");
    // Without `kid`, exactly one key may fit.
    let bare = SigningKey::from_jwk(
        {
            let mut jwk: Value = serde_json::from_str(&own.to_jwk()).unwrap();
            jwk.as_object_mut().unwrap().remove("kid");
            jwk.to_string()
        }
        .as_bytes(),
        provider::AWS_LC,
    );
    let text = sign("txntoken+jwt", &claims(), &bare.unwrap());
    let judge = |keys: &[&SigningKey]| {
        let rules = TxnTokenRules::new(DOMAIN);
        code(TxnToken::verify(&text, &set(keys), &rules, at(NOW)))
    };
    assert_eq!(judge(&[&own]), "ok");
    assert_eq!(judge(&[&own, &key(Algorithm::Ed25519, "3")]), "ok");
    assert_eq!(judge(&[&own, &other]), "key.ambiguous");
}

#[test]
fn required_claims_say_something() {
    assert_eq!(of(&json!({})), "ok");
    for claim in ["aud", "iat", "exp", "txn", "sub", "scope", "req_wl"] {
        for value in [json!("-"), json!(null), json!({}), json!(true)] {
            assert_eq!(of(&json!({claim: value})), "txn.claim", "{claim} {value}");
        }
    }
    for claim in ["txn", "sub", "scope", "req_wl"] {
        assert_eq!(of(&json!({claim: ""})), "txn.claim", "{claim}");
    }
    for scope in [json!(["a", "b"]), json!(" a"), json!("a  b"), json!("a\"b")] {
        assert_eq!(of(&json!({"scope": scope})), "txn.claim", "{scope}");
    }
    for claim in ["tctx", "rctx"] {
        for value in [json!("x"), json!([]), json!(null)] {
            assert_eq!(of(&json!({claim: value})), "txn.claim", "{claim} {value}");
        }
        assert_eq!(of(&json!({claim: {}})), "ok");
    }
    for claim in ["iss", "nbf", "cnf"] {
        assert_ne!(of(&json!({claim: null})), "ok", "{claim}");
    }
}

/// A token may have claims that its receiver does not know (draft -10 §9.2).
#[test]
fn unknown_claims_are_ignored() {
    let changes = json!({"act": "anything", "agentic_ctx": 1, "azd": {}, "purp": "x"});
    assert_eq!(of(&changes), "ok");
    assert_eq!(of(&json!({"events": {}})), "txn.events");
    assert_eq!(of(&json!({"events": null})), "txn.events");
}

#[test]
fn the_audience_is_the_domain_alone() {
    assert_eq!(of(&json!({"aud": [DOMAIN]})), "ok");
    for aud in [
        json!([DOMAIN, "other.example"]),
        json!([DOMAIN, DOMAIN]),
        json!("other.example"),
        json!("TRUST-DOMAIN.example"),
        json!("trust-domain.example."),
    ] {
        assert_eq!(of(&json!({"aud": aud})), "txn.domain", "{aud}");
    }
    assert_eq!(of(&json!({"aud": []})), "txn.claim");
}

#[test]
fn an_issuer_is_asked_for_by_name() {
    let key = key(Algorithm::Es256, "1");
    let rules = TxnTokenRules::new(DOMAIN).with_issuer("https://tts.example");
    for (iss, expected) in [
        (json!("https://tts.example"), "ok"),
        (json!("https://tts.example/"), "txn.issuer"),
        (json!("-"), "txn.issuer"),
    ] {
        let text = sign("txntoken+jwt", &with(&json!({"iss": iss})), &key);
        let judged = TxnToken::verify(&text, &set(&[&key]), &rules, at(NOW));
        assert_eq!(code(judged), expected, "{iss}");
    }
    assert_eq!(of(&json!({"iss": "https://any.example"})), "ok");
}

#[test]
fn times_are_checked_to_the_second() {
    for (now, expected) in [
        (NOW - 30, "ok"),
        (NOW - 31, "txn.not_yet_valid"),
        (NOW + 329, "ok"),
        (NOW + 330, "txn.expired"),
    ] {
        assert_eq!(of_at(&json!({}), now), expected, "{now}");
    }
    assert_eq!(of(&json!({"nbf": NOW + 30})), "ok");
    assert_eq!(of(&json!({"nbf": NOW + 31})), "txn.not_yet_valid");
    for exp in [NOW, NOW - 1] {
        assert_eq!(of(&json!({"exp": exp})), "txn.claim", "{exp}");
    }
    assert_eq!(of(&json!({"exp": NOW + 3_600})), "ok");
    assert_eq!(of(&json!({"exp": NOW + 3_601})), "txn.lifetime");
    assert_eq!(
        of_at(&json!({"exp": NOW + 3_601}), NOW + 60),
        "txn.lifetime"
    );
    let key = key(Algorithm::Es256, "1");
    let text = sign("txntoken+jwt", &claims(), &key);
    let rules = TxnTokenRules::new(DOMAIN).with_skew(Skew::from_secs(0).unwrap());
    let judged = TxnToken::verify(&text, &set(&[&key]), &rules, at(NOW + 300));
    assert_eq!(code(judged), "txn.expired");
}

/// Changed arguments, another tool, and a token that is not bound to a call.
#[test]
fn a_token_is_for_one_call() {
    let key = key(Algorithm::Es256, "1");
    let call = CallDigest::of("transfer", Some(br#"{"amount":10,"to":"bob"}"#)).unwrap();
    let bound = json!({"tctx": {"call_digest": call.to_string(), "x": 1}});
    let token = verify(&sign("txntoken+jwt", &with(&bound), &key), &key, NOW).unwrap();
    assert_eq!(token.call_digest(), Some(&call));
    let check = |token: &TxnToken, tool: &str, arguments: &[u8]| {
        let call = CallDigest::of(tool, Some(arguments)).unwrap();
        token.check_call(&call).map_err(|error| error.code())
    };
    assert_eq!(
        check(&token, "transfer", br#"{"to":"bob","amount":1e1}"#),
        Ok(())
    );
    for (tool, arguments) in [
        ("transfer", &br#"{"to":"bob","amount":11}"#[..]),
        ("transfer", br#"{"to":"eve","amount":10}"#),
        ("transfer", br#"{"to":"bob","amount":"10"}"#),
        ("pay", br#"{"to":"bob","amount":10}"#),
    ] {
        assert_eq!(check(&token, tool, arguments), Err("txn.call"));
    }
    let free = verify(&sign("txntoken+jwt", &claims(), &key), &key, NOW).unwrap();
    assert_eq!(check(&free, "transfer", b"{}"), Err("txn.no_call"));
    for digest in [json!(1), json!(null), json!("short"), json!("")] {
        let changes = json!({"tctx": {"call_digest": digest}});
        assert_eq!(of(&changes), "txn.claim", "{changes}");
    }
}

#[test]
fn a_binding_that_cannot_be_checked_refuses() {
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert_eq!(of(&json!({"cnf": {"jkt": jkt}})), "ok");
    for cnf in [
        json!({}),
        json!({"kid": "1"}),
        json!("x"),
        json!({"jkt": jkt, "x": 1}),
    ] {
        assert_eq!(of(&json!({"cnf": cnf})), "txn.confirmation", "{cnf}");
    }
}

/// A line end in the signature is an error of base64url, not of `typ`.
#[test]
fn a_signature_is_base64url() {
    let key = key(Algorithm::Es256, "1");
    let text = sign("txntoken+jwt", &claims(), &key);
    for end in ["\n", "\r", "\0", " ", "="] {
        let text = format!("{text}{end}");
        assert_eq!(code(verify(&text, &key, NOW)), "jws.base64", "{end:?}");
    }
}

#[test]
fn a_long_token_is_not_looked_at() {
    let changes = json!({"x": "a".repeat(8 * 1024)});
    assert_eq!(of(&changes), "jws.too_long");
}

#[test]
fn messages_say_what_was_expected() {
    let key = key(Algorithm::Es256, "1");
    let told = |changes: &Value| {
        let text = sign("txntoken+jwt", &with(changes), &key);
        verify(&text, &key, NOW).unwrap_err().to_string()
    };
    let words = told(&json!({"aud": "other\u{202e}.example"}));
    assert!(
        words.contains("\\u{202e}") && words.contains(DOMAIN),
        "{words}"
    );
    let text = sign("at+jwt", &claims(), &key);
    let words = verify(&text, &key, NOW).unwrap_err().to_string();
    assert!(
        words.contains("\"at+jwt\"") && words.contains("txntoken+jwt"),
        "{words}"
    );
}

proptest! {
    /// No text panics, and no unsigned text is accepted.
    #[test]
    fn no_text_passes(text in "\\PC{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        let key = key(Algorithm::Ed25519, "1");
        for text in [text, parts.join(".")] {
            prop_assert!(verify(&text, &key, NOW).is_err());
        }
    }
}
