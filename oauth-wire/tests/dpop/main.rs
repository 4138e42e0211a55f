//! DPoP proofs: those that RFC 9449 prints, those that a client makes and a server accepts, and
//! each check.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

mod nonces;

use std::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::base64url;
use aims_jose::digest::Hashed;
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_jose::time::{Skew, at};
use aims_jose::{Algorithm, provider};
use aims_oauth_wire::bearer::{Bearer, is_b64token};
use aims_oauth_wire::dpop::{
    Binding, DPOP, DpopProof, DpopRules, Error, UnverifiedProof, from_headers,
};
use aims_replay::ReplayCache;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use nonces::nonces;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const URI: &str = "https://tool.example/mcp/call";
const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm, provider::AWS_LC).unwrap()
}

fn binding() -> Binding<'static> {
    Binding::to("POST", URI)
}

fn claims() -> Value {
    json!({"jti": "a", "htm": "POST", "htu": URI, "iat": NOW})
}

/// Returns the claims with changes: `"-"` removes one.
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

fn signed(key: &SigningKey, claims: &Value) -> String {
    let algorithm = key.algorithm();
    let jwk = key.public_jwk();
    let input = SigningInput::with_embedded_key("dpop+jwt", algorithm, jwk, claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

/// Signs with this key, whatever the header says.
fn signed_raw(key: &SigningKey, header: &Value) -> String {
    let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
    let text = format!("{}.{}", part(header), part(&claims()));
    let signature = base64url::encode(key.sign(text.as_bytes()).unwrap().as_ref());
    format!("{text}.{signature}")
}

fn verify(
    text: &str,
    binding: &Binding<'_>,
    rules: &DpopRules,
    now: u64,
) -> Result<DpopProof, Error> {
    let proof = UnverifiedProof::parse(text, rules)?;
    let key = proof.key(provider::AWS_LC)?;
    let unspent = proof.verify(&key, binding, rules, at(now))?;
    unspent.spend(&ReplayCache::in_memory(10), at(now))
}

fn code(result: Result<DpopProof, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

/// Returns the code for a proof with these claims, by the default rules.
fn of(claims: &Value) -> &'static str {
    let text = signed(&key(Algorithm::Es256), claims);
    code(verify(&text, &binding(), &DpopRules::new(), NOW))
}

fn with_header(changes: &Value) -> &'static str {
    let key = key(Algorithm::Es256);
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap();
    let mut header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            header.as_object_mut().unwrap().remove(name);
        } else {
            header[name] = value.clone();
        }
    }
    let text = signed_raw(&key, &header);
    code(verify(&text, &binding(), &DpopRules::new(), NOW))
}

/// The proofs of RFC 9449 §4.1, §5 and §7.1 have valid signatures.
#[test]
fn published_proofs_are_good() {
    let all = std::fs::read_to_string("../testdata/oauth/vectors.json").unwrap();
    let all: Value = serde_json::from_str(&all).unwrap();
    let mut seen = 0;
    for jwt in all["jwts"].as_array().unwrap() {
        if jwt["header"]["typ"] != "dpop+jwt" || jwt["signature"] != "VERIFIED" {
            continue;
        }
        let claims = &jwt["claims"];
        let token = Hashed::of(TOKEN);
        let mut binding = Binding::to(
            claims["htm"].as_str().unwrap(),
            claims["htu"].as_str().unwrap(),
        );
        if claims["ath"].is_string() {
            binding = binding.access_token(&token);
        }
        let text = jwt["compact"].as_str().unwrap();
        let now = claims["iat"].as_u64().unwrap() + 5;
        let proof = verify(text, &binding, &DpopRules::new(), now).unwrap();
        assert_eq!(proof.thumbprint().to_string(), jwt["jwk_thumbprint"]);
        // One character of the signature is changed.
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{signed}.{other}{}", signature.get(1..).unwrap());
        let verdict = code(verify(&forged, &binding, &DpopRules::new(), now));
        assert_eq!(verdict, "dpop.signature");
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// A server accepts the proof of a client once, with each kind of key.
#[test]
fn what_is_made_is_taken_once() {
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Ed25519,
        Algorithm::Ps256,
    ] {
        let key = key(algorithm);
        let token = Hashed::of(TOKEN);
        let binding = binding().access_token(&token);
        let made = binding.prepare(key.public_jwk(), algorithm, SYSTEM, at(NOW));
        let made = made.unwrap().sign(&key).unwrap();
        let rules = DpopRules::new();
        let store = ReplayCache::in_memory(10);
        let spend = |text: &str| {
            let proof = UnverifiedProof::parse(text, &rules)?;
            assert_eq!(*proof.thumbprint(), key.public_jwk().thumbprint());
            let proof = proof.verify(key.verifying_key(), &binding, &rules, at(NOW))?;
            proof.spend(&store, at(NOW))
        };
        let proof = spend(made.expose()).unwrap();
        assert_eq!(*proof.thumbprint(), key.public_jwk().thumbprint());
        assert!(proof.next_nonce().is_none());
        assert_eq!(code(spend(made.expose())), "replay.replayed", "{algorithm}");
        // A second attempt needs a new proof (RFC 9449 §7.3).
        let again = binding.prepare(key.public_jwk(), algorithm, SYSTEM, at(NOW));
        let again = again.unwrap().sign(&key).unwrap();
        assert_eq!(code(spend(again.expose())), "ok", "{algorithm}");
    }
}

/// The key of an earlier proof, with its header, stands for the same header alone, and changes no
/// verdict.
#[test]
fn a_known_key_changes_no_verdict() {
    let (one, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let rules = DpopRules::new();
    let first = signed(&one, &claims());
    let proof = UnverifiedProof::parse(&first, &rules).unwrap();
    let known = proof.proof_key(provider::AWS_LC).unwrap();
    assert_eq!(*known.key().thumbprint(), one.public_jwk().thumbprint());
    let by_known = |text: &str, rules: &DpopRules| {
        let proof = UnverifiedProof::parse_known(text, rules, &known)?.unwrap();
        assert_eq!(*proof.thumbprint(), one.public_jwk().thumbprint());
        let unspent = proof.verify(known.key(), &binding(), rules, at(NOW))?;
        assert_eq!(*unspent.text_hash(), *Hashed::of(text).sha256());
        unspent.spend(&ReplayCache::in_memory(10), at(NOW))
    };
    let mut get = claims();
    get["htm"] = "GET".into();
    let (signature, second) = (first.rsplit_once('.').unwrap().1, signed(&one, &get));
    let stolen = format!("{}.{signature}", second.rsplit_once('.').unwrap().0);
    for (text, expected) in [
        (&first, "ok"),
        (&second, "dpop.htm"),
        (&stolen, "dpop.signature"),
    ] {
        assert_eq!(code(by_known(text, &rules)), expected);
        assert_eq!(code(verify(text, &binding(), &rules, NOW)), expected);
    }
    let narrow = DpopRules::new().with_algorithms(Algorithm::Ed25519.into());
    assert_eq!(code(by_known(&first, &narrow)), "dpop.algorithm");
    let short = DpopRules::new().with_max_len(first.len() - 1);
    assert_eq!(code(by_known(&first, &short)), "jws.too_long");
    let of_other = signed(&other, &claims());
    let unknown = UnverifiedProof::parse_known(&of_other, &rules, &known).unwrap();
    assert!(unknown.is_none());
}

/// The header has only the public members of the key.
#[test]
fn only_the_public_key_is_sent() {
    let key = key(Algorithm::Es256).with_key_id("me");
    let made = binding().prepare(key.public_jwk(), Algorithm::Es256, SYSTEM, at(NOW));
    let made = made.unwrap();
    let header = str::from_utf8(made.as_bytes()).unwrap();
    let header = base64url::decode(header.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let mut names: Vec<_> = header["jwk"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["crv", "kty", "x", "y"]);
    let refused = binding().prepare(key.public_jwk(), Algorithm::Ed25519, SYSTEM, at(NOW));
    assert_eq!(refused.unwrap_err().code(), "jwk.alg");
}

#[test]
fn the_header_is_judged() {
    assert_eq!(with_header(&json!({})), "ok");
    assert_eq!(with_header(&json!({"typ": "DPOP+JWT"})), "ok");
    for typ in [
        "JWT",
        "wpt+jwt",
        "at+jwt",
        "wit+jwt",
        "oauth-client-attestation-pop+jwt",
    ] {
        assert_eq!(with_header(&json!({"typ": typ})), "dpop.typ", "{typ}");
    }
    assert_eq!(with_header(&json!({"typ": "-"})), "dpop.typ");
    assert_eq!(with_header(&json!({"jwk": "-"})), "jws.no_key_in_header");
    assert_eq!(with_header(&json!({"jwk": null})), "jwk.json");
    for name in ["jku", "x5u", "x5c"] {
        assert_eq!(
            with_header(&json!({name: "a"})),
            "jws.key_in_header",
            "{name}"
        );
    }
    assert_eq!(with_header(&json!({"crit": ["exp"]})), "jws.crit");
    for alg in ["none", "HS256"] {
        assert_eq!(with_header(&json!({"alg": alg})), "dpop.algorithm", "{alg}");
    }
    // The key is for the algorithm that it names, or that its curve implies.
    assert_eq!(with_header(&json!({"alg": "ES384"})), "dpop.algorithm");
    let other = key(Algorithm::Es256);
    let jwk: Value = serde_json::from_str(&other.public_jwk().to_json()).unwrap();
    let mut bare = jwk.clone();
    bare.as_object_mut().unwrap().remove("alg");
    let header = json!({"alg": "ES384", "jwk": bare});
    assert_eq!(with_header(&header), "jwk.alg");
    assert_eq!(with_header(&json!({"jwk": jwk})), "dpop.signature");
    let private: Value = serde_json::from_str(&other.to_jwk()).unwrap();
    assert_eq!(with_header(&json!({"jwk": private})), "jwk.private");
    let symmetric = json!({"kty": "oct", "k": "AAAA"});
    assert_eq!(with_header(&json!({"jwk": symmetric})), "jwk.private");
    let unknown = json!({"kty": "AKP", "pub": "AAAA"});
    assert_eq!(with_header(&json!({"jwk": unknown})), "jwk.kty");
}

#[test]
fn an_algorithm_has_to_be_accepted() {
    let text = signed(&key(Algorithm::Es256), &claims());
    let rules = DpopRules::new().with_algorithms(AlgorithmSet::of(&[Algorithm::Es256]));
    assert_eq!(code(verify(&text, &binding(), &rules, NOW)), "ok");
    let rules =
        DpopRules::new().with_algorithms(AlgorithmSet::of(&[Algorithm::Ed25519, Algorithm::Ps256]));
    let refused = verify(&text, &binding(), &rules, NOW).unwrap_err();
    assert_eq!(refused.code(), "dpop.algorithm");
    assert!(refused.to_string().contains("ES256"), "{refused}");
    assert!(refused.to_string().contains("PS256"), "{refused}");
}

#[test]
fn the_claims_are_judged() {
    assert_eq!(of(&claims()), "ok");
    assert_eq!(of(&with(&json!({"unknown": 1, "exp": 1}))), "ok");
    for name in ["jti", "htm", "htu", "iat"] {
        for value in [json!("-"), json!(null), json!({})] {
            assert_eq!(of(&with(&json!({name: value}))), "dpop.claim", "{name}");
        }
    }
    assert_eq!(of(&with(&json!({"jti": ""}))), "dpop.jti");
    assert_eq!(of(&with(&json!({"jti": "a".repeat(257)}))), "dpop.jti");
    assert_eq!(of(&with(&json!({"jti": "a".repeat(256)}))), "ok");
    for method in ["GET", "post", "POST ", ""] {
        assert_eq!(of(&with(&json!({"htm": method}))), "dpop.htm", "{method}");
    }
    for uri in [
        "https://tool.example/mcp",
        "https://other.example/mcp/call",
        "",
    ] {
        assert_eq!(of(&with(&json!({"htu": uri}))), "dpop.htu", "{uri}");
    }
    // RFC 9449 §4.3: without query and fragment, and normalized.
    let spelled = json!({"htu": "HTTPS://Tool.Example:443/mcp/%63all?x=1#y"});
    assert_eq!(of(&with(&spelled)), "ok");
}

#[test]
fn a_refused_uri_is_shown_with_the_expected_one() {
    let text = signed(
        &key(Algorithm::Es256),
        &with(&json!({"htu": "https://user:secret@a.example/b?code=1"})),
    );
    let refused = verify(&text, &binding(), &DpopRules::new(), NOW).unwrap_err();
    let words = refused.to_string();
    assert!(words.contains("https://…@a.example/b?…"), "{words}");
    assert!(words.contains(URI), "{words}");
    assert!(
        !words.contains("secret") && !words.contains("code=1"),
        "{words}"
    );
}

/// `ath` is the hash of the access token, and is absent without one.
#[test]
fn the_access_token_is_bound() {
    let key = key(Algorithm::Es256);
    let (token, other) = (Hashed::of(TOKEN), Hashed::of("other"));
    let hash = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
    let bound = signed(&key, &with(&json!({"ath": hash})));
    let unbound = signed(&key, &claims());
    let rules = DpopRules::new();
    let judge = |text: &str, binding: Binding<'_>| code(verify(text, &binding, &rules, NOW));
    assert_eq!(judge(&bound, binding().access_token(&token)), "ok");
    assert_eq!(judge(&bound, binding().access_token(&other)), "dpop.ath");
    assert_eq!(judge(&bound, binding()), "dpop.ath");
    assert_eq!(judge(&unbound, binding()), "ok");
    assert_eq!(judge(&unbound, binding().access_token(&token)), "dpop.ath");
    let empty = signed(&key, &with(&json!({"ath": ""})));
    assert_eq!(judge(&empty, binding()), "dpop.ath");
}

/// The defaults are 60 s, and 30 s of skew on both sides.
#[test]
fn a_proof_is_of_now() {
    let text = signed(&key(Algorithm::Es256), &claims());
    let rules = DpopRules::new();
    for (now, expected) in [
        (NOW - 31, "dpop.time"),
        (NOW - 30, "ok"),
        (NOW + 90, "ok"),
        (NOW + 91, "dpop.time"),
    ] {
        assert_eq!(code(verify(&text, &binding(), &rules, now)), expected);
    }
    let narrow = rules
        .with_max_age(Duration::from_secs(5))
        .with_skew(Skew::from_secs(1).unwrap());
    assert_eq!(code(verify(&text, &binding(), &narrow, NOW + 6)), "ok");
    let refused = verify(&text, &binding(), &narrow, NOW + 7).unwrap_err();
    assert_eq!(refused.code(), "dpop.time");
    let words = refused.to_string();
    for number in [NOW, NOW + 7] {
        assert!(words.contains(&number.to_string()), "{words}");
    }
}

/// A proof is stored as long as it would be accepted: in its last second it is a replay.
#[test]
fn a_proof_is_remembered_until_it_ends() {
    let text = signed(&key(Algorithm::Es256), &claims());
    let (rules, store) = (DpopRules::new(), ReplayCache::in_memory(10));
    let spend = |now: u64| {
        let proof = UnverifiedProof::parse(&text, &rules)?;
        let key = proof.key(provider::AWS_LC)?;
        let unspent = proof.verify(&key, &binding(), &rules, at(now))?;
        unspent.spend(&store, at(now))
    };
    assert_eq!(code(spend(NOW - 30)), "ok");
    for now in [NOW, NOW + 89, NOW + 90] {
        assert_eq!(code(spend(now)), "replay.replayed");
    }
    assert_eq!(code(spend(NOW + 91)), "dpop.time");
}

/// Two key holders may use the same `jti`.
#[test]
fn a_jti_is_its_holders() {
    let (rules, store) = (DpopRules::new(), ReplayCache::in_memory(10));
    for _ in 0..2 {
        let text = signed(&key(Algorithm::Es256), &claims());
        let proof = UnverifiedProof::parse(&text, &rules).unwrap();
        let key = proof.key(provider::AWS_LC).unwrap();
        let unspent = proof.verify(&key, &binding(), &rules, at(NOW)).unwrap();
        unspent.spend(&store, at(NOW)).unwrap();
    }
}

/// A client can make any number of keys, but they all use the client's share of the store.
#[test]
fn a_client_with_many_keys_has_one_share() {
    let (rules, store) = (DpopRules::new(), ReplayCache::in_memory(64));
    let spend_for = |sender: &str, text: &str| {
        let proof = UnverifiedProof::parse(text, &rules)?;
        let key = proof.key(provider::AWS_LC)?;
        let unspent = proof.verify(&key, &binding(), &rules, at(NOW))?;
        unspent.spend_for(sender, &store, at(NOW))
    };
    let fresh = || signed(&key(Algorithm::Es256), &claims());
    let first = fresh();
    assert_eq!(code(spend_for("one", &first)), "ok");
    let codes: Vec<_> = (0..128).map(|_| code(spend_for("one", &fresh()))).collect();
    assert!(codes.contains(&"replay.sender_full"), "{codes:?}");
    assert!(!codes.contains(&"replay.full"), "{codes:?}");
    let second = fresh();
    assert_eq!(code(spend_for("two", &second)), "ok");
    // The sender is not part of the key in the store.
    for sender in ["one", "two", "three"] {
        assert_eq!(
            code(spend_for(sender, &first)),
            "replay.replayed",
            "{sender}"
        );
        assert_eq!(
            code(spend_for(sender, &second)),
            "replay.replayed",
            "{sender}"
        );
    }
}

/// A key from elsewhere, such as a cache, must be the key in the proof.
#[test]
fn another_key_does_not_verify() {
    let text = signed(&key(Algorithm::Es256), &claims());
    let other = key(Algorithm::Es256);
    let proof = UnverifiedProof::parse(&text, &DpopRules::new()).unwrap();
    let refused = proof.verify(
        other.verifying_key(),
        &binding(),
        &DpopRules::new(),
        at(NOW),
    );
    assert_eq!(refused.unwrap_err().code(), "dpop.key");
}

#[test]
fn a_long_proof_is_not_looked_at() {
    let text = signed(
        &key(Algorithm::Es256),
        &with(&json!({"x": "a".repeat(4096)})),
    );
    assert_eq!(of(&with(&json!({"x": "a".repeat(1024)}))), "ok");
    let refused = verify(&text, &binding(), &DpopRules::new(), NOW);
    assert_eq!(code(refused), "jws.too_long");
    let rules = DpopRules::new().with_max_len(8192);
    assert_eq!(code(verify(&text, &binding(), &rules, NOW)), "ok");
}

#[test]
fn one_field_holds_one_proof() {
    let found = |values: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(DPOP, HeaderValue::from_bytes(value).unwrap());
        }
        from_headers(&headers)
            .map(|text| text.map(str::to_owned))
            .map_err(|error| error.code())
    };
    assert_eq!(found(&[]), Ok(None));
    assert_eq!(found(&[b"a.b.c"]), Ok(Some("a.b.c".to_owned())));
    assert_eq!(found(&[b"a.b.c", b"a.b.c"]), Err("dpop.field_repeated"));
    for value in [&b"a.b.c, d.e.f"[..], b"a.b.c,d.e.f", b"a b", b"", b"\xff"] {
        assert_eq!(found(&[value]), Err("dpop.field_syntax"));
    }
}

/// The `error` of the answer (RFC 9449 §5, §7.1). There is none if the store cannot tell.
#[test]
fn the_answer_names_who_is_at_fault() {
    let refused = Error::AccessTokenHash;
    assert_eq!(refused.answer(), Some("invalid_dpop_proof"));
    let reason = "it is missing";
    assert_eq!(Error::Nonce { reason }.answer(), Some("use_dpop_nonce"));
    for (source, expected) in [
        (aims_replay::Error::Replayed, Some("invalid_dpop_proof")),
        (aims_replay::Error::Expired, Some("invalid_dpop_proof")),
        (aims_replay::Error::Unavailable, None),
        (aims_replay::Error::Full, None),
    ] {
        assert_eq!(Error::Replay(source).answer(), expected);
    }
}

/// No error and no `Debug` form has any part of a proof, token or nonce.
#[test]
fn nothing_is_printed() {
    let key = key(Algorithm::Es256);
    let token = Hashed::of(TOKEN);
    let binding = binding().access_token(&token);
    let text = signed(&key, &with(&json!({"nonce": "planted", "ath": "planted"})));
    let rules = DpopRules::new().requiring_nonces(nonces());
    let proof = UnverifiedProof::parse(&text, &rules).unwrap();
    let shown = format!("{proof:?} {binding:?} {rules:?}");
    let refused = verify(&text, &binding, &rules, NOW).unwrap_err();
    let shown = format!("{shown} {refused} {refused:?}");
    for secret in ["planted", TOKEN, "BwcHBwcH", "[7, 7"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(text.split('.').all(|part| !shown.contains(part)));
}

proptest! {
    /// Whatever the fields hold: at most one of them is read, and as one compact text.
    #[test]
    fn any_fields_are_read(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3),
    ) {
        let mut headers = HeaderMap::new();
        for value in values.iter().filter_map(|it| HeaderValue::from_bytes(it).ok()) {
            headers.append(DPOP, value);
        }
        match from_headers(&headers) {
            Ok(None) => prop_assert!(headers.is_empty()),
            Ok(Some(text)) => {
                prop_assert_eq!(headers.len(), 1);
                prop_assert!(!text.is_empty() && !text.contains([',', ' ', '\t']));
                prop_assert_eq!(text.as_bytes(), headers[DPOP].as_bytes());
            }
            Err(Error::FieldRepeated { .. }) => prop_assert!(headers.len() > 1),
            Err(error) => prop_assert_eq!(error.code(), "dpop.field_syntax"),
        }
    }

    /// A token of one scheme is never read as one of the other.
    #[test]
    fn any_authorization_is_read(
        scheme in "(?i)(bearer|dpop|[a-z0-9]{1,8})",
        rest in "[ -~]{0,40}",
    ) {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::try_from(format!("{scheme} {rest}")).unwrap();
        headers.insert(AUTHORIZATION, value);
        for expected in ["Bearer", "DPoP"] {
            let read = Bearer::read_as(expected, &headers, 32);
            if let Bearer::Token(token) = read {
                prop_assert!(scheme.eq_ignore_ascii_case(expected));
                prop_assert!(is_b64token(token) && token.len() <= 32);
                prop_assert_eq!(token, rest.as_str());
            }
        }
    }
}
