//! The checks of RFC 9449 §4.3, each at the guard.

use aims::guard::{Dpop, ProofMethod, TransactionTokens};
use aims::jose::alg::Algorithm;
use aims::jose::jwk::{JwkSet, SetRules};
use aims::oauth_wire::dpop::DpopRules;
use aims::txn_token::TxnTokenRules;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::common::{CALL, Events, NOW, TOOL, at, key, provider, sign};
use crate::{Scene, code, hash, proof, proof_with_header, request, with};

/// DPOP-20: the proof of the key that the token is bound to is a proof of possession: it names no
/// agent, and covers no content.
#[test]
fn a_bound_token_with_its_proof_is_accepted() {
    let events = Events::default();
    let scene = Scene::with(|guard| guard.dpop(Dpop::new()).record(events.clone()));
    let who = scene.guard.check(&scene.call(), at(NOW)).unwrap();
    assert_eq!(who.proof_methods().collect::<Vec<_>>(), [ProofMethod::Dpop]);
    assert_eq!((who.agent(), who.subject()), (None, "alice"));
    assert_eq!(who.client(), Some("web-client"));
    assert!(!who.is_unbound() && !who.covers_content());
    let thumbprint = scene.key.public_jwk().thumbprint();
    assert_eq!(who.dpop().unwrap().thumbprint(), &thumbprint);
    let told = events.0.lock().unwrap().join("");
    assert!(told.contains("proofs: [Dpop]"), "{told}");
    assert!(told.contains("dpop: Some("), "{told}");
}

/// DPOP-20, DPOP-22: each claim, with the code of its check. Query and fragment of `htu` do not
/// count.
#[test]
fn each_claim_of_the_proof_is_checked() {
    let other = hash("another token");
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"x": 1}), "ok"),
        (json!({"htm": "GET"}), "dpop.htm"),
        (json!({"htm": "post"}), "dpop.htm"),
        (json!({"htm": null}), "dpop.claim"),
        (json!({"htu": TOOL}), "dpop.htu"),
        (json!({"htu": "https://other.example/mcp/call"}), "dpop.htu"),
        (json!({"htu": "http://tools.example/mcp/call"}), "dpop.htu"),
        (json!({"htu": "/mcp/call"}), "dpop.htu"),
        (json!({"htu": null}), "dpop.claim"),
        (json!({"htu": format!("{CALL}?x=2")}), "ok"),
        (json!({"ath": other}), "dpop.ath"),
        (json!({"ath": null}), "dpop.ath"),
        (json!({"iat": NOW + 29}), "ok"),
        (json!({"iat": NOW + 31}), "dpop.time"),
        (json!({"iat": NOW - 89}), "ok"),
        (json!({"iat": NOW - 91}), "dpop.time"),
        (json!({"iat": null}), "dpop.claim"),
        (json!({"jti": "x".repeat(256)}), "ok"),
        (json!({"jti": "x".repeat(257)}), "dpop.jti"),
        (json!({"jti": ""}), "dpop.jti"),
        (json!({"jti": null}), "dpop.claim"),
    ] {
        let scene = Scene::new();
        assert_eq!(
            scene.code(&scene.call_with(&changes)),
            expected,
            "{changes}"
        );
    }
}

/// DPOP-20: a key that is known from an earlier request changes no verdict: a proof with its header
/// is verified, and compared with the key that its token is bound to.
#[test]
fn the_key_of_an_earlier_proof_changes_no_verdict() {
    let scene = Scene::new();
    assert_eq!(scene.code(&scene.call()), "ok");
    assert_eq!(scene.code(&scene.call()), "replay.replayed");
    let next = json!({"jti": "p2"});
    let good = scene.call_with(&next);
    let text = good.headers["dpop"].to_str().unwrap();
    let (signed, _) = text.rsplit_once('.').unwrap();
    let first = scene.call();
    let (_, signature) = first.headers["dpop"]
        .to_str()
        .unwrap()
        .rsplit_once('.')
        .unwrap();
    let stolen = format!("{signed}.{signature}");
    assert_eq!(
        scene.code(&request(&scene.token, &stolen)),
        "dpop.signature"
    );
    let elsewhere = scene.call_with(&json!({"jti": "p2", "htu": TOOL}));
    assert_eq!(scene.code(&elsewhere), "dpop.htu");
    // A token of another client. Its key is compared before the signature.
    let other = key(Algorithm::Es256);
    let jkt = other.public_jwk().thumbprint().to_string();
    let others = scene.token_with(&json!({"jti": "t2", "cnf": {"jkt": jkt}}));
    assert_eq!(scene.code(&request(&others, &stolen)), "token.not_bound");
    assert_eq!(scene.code(&good), "ok");
}

/// DPOP-20: the header, without a nonce or a claim being looked at.
#[test]
fn the_header_of_the_proof_is_checked() {
    let scene = Scene::new();
    let jwk: Value = serde_json::from_str(&scene.key.public_jwk().to_json()).unwrap();
    let good = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
    let private = with(
        jwk,
        &json!({"d": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}),
    );
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({"typ": "jwt"}), "dpop.typ"),
        (json!({"typ": null}), "dpop.typ"),
        (json!({"alg": "none"}), "dpop.algorithm"),
        (json!({"alg": "HS256"}), "dpop.algorithm"),
        (json!({"alg": "ES384"}), "dpop.algorithm"),
        (json!({"jwk": private}), "jwk.private"),
        (json!({"jwk": null}), "jws.no_key_in_header"),
    ] {
        let scene = &scene;
        let claims = with(scene.proof_claims(), &json!({"jti": changes.to_string()}));
        let text = proof_with_header(&scene.key, &with(good.clone(), &changes), &claims);
        let found = scene.code(&request(&scene.token, &text));
        assert_eq!(found, expected, "{changes}");
    }
}

/// DPOP-20: an algorithm that the guard's rules leave out.
#[test]
fn an_algorithm_can_be_left_out() {
    let rules = DpopRules::new();
    let only = aims::jose::alg::AlgorithmSet::of(&[Algorithm::Ed25519]);
    let scene =
        Scene::with(|guard| guard.dpop(Dpop::new().with_rules(rules.with_algorithms(only))));
    assert_eq!(scene.code(&scene.call()), "dpop.algorithm");
}

/// DPOP-20: a signature that is not of the key in the header.
#[test]
fn the_signature_is_checked() {
    let scene = Scene::new();
    let good = proof(&scene.key, &scene.proof_claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let other = proof(
        &scene.key,
        &with(scene.proof_claims(), &json!({"jti": "p2"})),
    );
    let (_, signature) = other.rsplit_once('.').unwrap();
    let forged = request(&scene.token, &format!("{signed}.{signature}"));
    assert_eq!(scene.code(&forged), "dpop.signature");
    assert_eq!(scene.code(&request(&scene.token, &good)), "ok");
}

/// The key is compared with `cnf.jkt` before the signature is looked at.
#[test]
fn the_key_is_the_one_that_the_token_is_bound_to() {
    let scene = Scene::new();
    let thief = key(Algorithm::Es256);
    let stolen = proof(&thief, &scene.proof_claims());
    assert_eq!(
        scene.code(&request(&scene.token, &stolen)),
        "token.not_bound"
    );
    let (signed, _) = stolen.rsplit_once('.').unwrap();
    let unsigned = format!("{signed}.{}", "A".repeat(86));
    assert_eq!(
        scene.code(&request(&scene.token, &unsigned)),
        "token.not_bound"
    );
}

/// DPOP-01: one field with one proof.
#[test]
fn one_field_holds_one_proof() {
    let scene = Scene::new();
    let mut missing = scene.call();
    missing.headers.remove("dpop");
    assert_eq!(scene.code(&missing), "dpop.missing");
    let mut twice = scene.call();
    let value = twice.headers["dpop"].clone();
    twice.headers.append("dpop", value.clone());
    assert_eq!(scene.code(&twice), "dpop.field_repeated");
    let mut listed = scene.call();
    let both = format!("{0}, {0}", value.to_str().unwrap());
    listed.headers.insert("dpop", both.parse().unwrap());
    assert_eq!(scene.code(&listed), "dpop.field_syntax");
    let mut long = scene.call();
    long.headers
        .insert("dpop", "a".repeat(4_097).parse().unwrap());
    assert_eq!(scene.code(&long), "jws.too_long");
    let mut other = scene.call();
    other.headers.insert("dpop", "a.b".parse().unwrap());
    assert_eq!(scene.code(&other), "jws.parts");
}

/// A proof is about a token: alone it proves nothing.
#[test]
fn a_proof_without_a_token_is_refused() {
    let scene = Scene::new();
    let mut alone = scene.call();
    alone.headers.remove("authorization");
    assert_eq!(scene.code(&alone), "token.missing");
}

/// DPOP-22: a proof is accepted once, also by the guard of another route. What is refused for
/// another reason is not spent.
#[test]
fn a_proof_is_accepted_once() {
    let scene = Scene::new();
    let call = scene.call();
    let mut elsewhere = scene.call();
    elsewhere.uri = "/mcp/other".parse().unwrap();
    assert_eq!(scene.code(&elsewhere), "dpop.htu");
    assert_eq!(scene.code(&call), "ok");
    assert_eq!(scene.code(&call), "replay.replayed");
    let route = scene.guard.requiring(aims::Requirements::new()).unwrap();
    assert_eq!(code(route.check(&call, at(NOW))), "replay.replayed");
    assert_eq!(scene.code(&scene.call_with(&json!({"jti": "p2"}))), "ok");
}

/// Neither `Host` nor forwarded fields say what `htu` is.
#[test]
fn the_host_of_the_request_plays_no_part() {
    let scene = Scene::new();
    let attacker = json!({"htu": "https://evil.example/mcp/call"});
    let mut request = scene.call_with(&attacker);
    request
        .headers
        .insert("host", "evil.example".parse().unwrap());
    request
        .headers
        .insert("x-forwarded-host", "evil.example".parse().unwrap());
    request
        .headers
        .insert("forwarded", "host=evil.example".parse().unwrap());
    assert_eq!(scene.code(&request), "dpop.htu");
    let mut request = scene.call();
    request
        .headers
        .insert("host", "127.0.0.1:8080".parse().unwrap());
    assert_eq!(scene.code(&request), "ok");
}

/// The method and the path are those of the request.
#[test]
fn the_request_is_the_one_that_was_proven() {
    let scene = Scene::new();
    let mut put = scene.call();
    put.method = Method::PUT;
    assert_eq!(scene.code(&put), "dpop.htm");
    let mut other = scene.call();
    other.uri = "/mcp/other".parse().unwrap();
    assert_eq!(scene.code(&other), "dpop.htu");
    let mut query = scene.call();
    query.uri = "/mcp/call?y=2".parse().unwrap();
    assert_eq!(scene.code(&query), "ok");
}

/// One client with tokens for many keys uses up its own share of the memory of proofs alone.
#[test]
fn a_client_with_many_keys_keeps_no_other_out() {
    let store = aims::replay::ReplayCache::in_memory(128);
    let scene = Scene::with(|guard| guard.dpop(Dpop::new()).replay(store));
    let mut refused = 0;
    for number in 0..140 {
        let key = key(Algorithm::Ed25519);
        let token = scene.world.token(&crate::claims(&key));
        let claims = with(
            crate::proof_claims(&token),
            &json!({"jti": number.to_string()}),
        );
        let found = scene.code(&request(&token, &proof(&key, &claims)));
        assert!(["ok", "replay.sender_full"].contains(&found), "{found}");
        refused += usize::from(found != "ok");
    }
    assert!(refused > 0);
    let other = key(Algorithm::Es256);
    let claims = with(crate::claims(&other), &json!({"client_id": "other-client"}));
    let token = scene.world.token(&claims);
    let call = request(&token, &proof(&other, &crate::proof_claims(&token)));
    assert_eq!(scene.code(&call), "ok");
}

/// A key that was prepared for one proof is used for the next, and for its header alone.
#[test]
fn a_prepared_key_is_of_its_header() {
    let scene = Scene::new();
    assert_eq!(scene.code(&scene.call()), "ok");
    let jwk: Value = serde_json::from_str(&scene.key.public_jwk().to_json()).unwrap();
    let encrypts = with(jwk, &json!({"use": "enc"}));
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": encrypts});
    let claims = with(scene.proof_claims(), &json!({"jti": "p2"}));
    let text = proof_with_header(&scene.key, &header, &claims);
    assert_eq!(scene.code(&request(&scene.token, &text)), "jwk.use");
}

/// A DPoP proof covers no header field, so a transaction token beside it could be anyone's.
#[test]
fn a_transaction_token_is_not_covered() {
    let service = key(Algorithm::Es256).with_key_id("tts");
    let keys = format!(r#"{{"keys":[{}]}}"#, service.public_jwk().to_json());
    let keys = JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), provider()).unwrap();
    let tokens = TransactionTokens::new(TxnTokenRules::new("domain.example"), keys);
    let scene = Scene::with(|guard| guard.dpop(Dpop::new()).transactions(tokens));
    let transaction = json!({
        "aud": "domain.example", "iat": NOW, "exp": NOW + 60, "txn": "t-1", "sub": "alice",
        "scope": "pay", "req_wl": "gateway"
    });
    let transaction = sign("txntoken+jwt", &service, &transaction);
    let mut request = scene.call();
    assert_eq!(scene.code(&request), "ok");
    let value = HeaderValue::try_from(transaction).unwrap();
    request.headers.insert("txn-token", value);
    assert_eq!(scene.code(&request), "guard.transaction_uncovered");
}
