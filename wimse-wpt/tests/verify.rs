//! Proofs: each refusal by a proof that differs in one thing from a good one.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use jose::alg::Algorithm;
use jose::digest::sha256_base64url;
use jose::jws::SigningInput;
use jose::key::{Signer as _, SigningKey};
use jose::provider::AWS_LC;
use jose::random;
use jose::time::UnixTime;
use proptest::prelude::*;
use replay::ReplayCache;
use serde_json::{Value, json};
use wimse_cred::{Bundle, TrustStore, Wit, WitIssuer, WitRules};
use wimse_id::WorkloadId;
use wimse_wpt::fields::{self, Presented};
use wimse_wpt::{Binding, Error, WptRules, verify};

const NOW: u64 = 1_800_000_000;
const CALL: &str = "https://tools.example/call";

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

struct Agent {
    key: SigningKey,
    text: String,
    wit: Wit,
}

impl Agent {
    fn new(algorithm: Algorithm, name: &str) -> Self {
        let ca = SigningKey::generate(Algorithm::Es256, AWS_LC)
            .unwrap()
            .with_key_id("ca");
        let key = SigningKey::generate(algorithm, AWS_LC).unwrap();
        let id = WorkloadId::parse(&format!("wimse://example.org/{name}")).unwrap();
        let issuer = WitIssuer::new(Arc::new(ca.clone()), None);
        let text = issuer
            .issue(&id, key.public_jwk(), Duration::from_secs(3_600), at(NOW))
            .unwrap();
        let document = format!(r#"{{"keys":[{}]}}"#, ca.public_jwk().to_json());
        let bundle = Bundle::parse(&id.origin(), document.as_bytes(), AWS_LC).unwrap();
        let trust = TrustStore::of([bundle]).snapshot();
        let wit = Wit::verify(text.expose(), &trust, &WitRules::wit(), at(NOW)).unwrap();
        Self {
            key,
            text: text.expose().to_owned(),
            wit,
        }
    }

    fn claims(&self) -> Value {
        json!({"aud": CALL, "exp": NOW + 60, "jti": "1", "wth": sha256_base64url(&self.text)})
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        let input = SigningInput::new(typ, self.key.algorithm(), None, claims).unwrap();
        input.sign(&self.key).unwrap().expose().to_owned()
    }

    fn code(&self, text: &str, binding: &Binding<'_>) -> &'static str {
        verify(text, &self.wit, binding, &WptRules::default(), at(NOW))
            .map_or_else(|error| error.code(), |_| "ok")
    }

    /// The code for a good proof with one claim changed; `null` takes it away.
    fn with(&self, claim: &str, value: Value, binding: &Binding<'_>) -> &'static str {
        let mut claims = self.claims();
        let members = claims.as_object_mut().unwrap();
        members.remove(claim);
        if !value.is_null() {
            members.insert(claim.to_owned(), value);
        }
        self.code(&self.sign("wpt+jwt", &claims), binding)
    }
}

/// WPT-10: with every kind of key, and what `prepare` makes is what `verify` takes.
#[test]
fn a_good_proof_verifies() {
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::Ed25519,
        Algorithm::EdDsa,
    ] {
        let agent = Agent::new(algorithm, "a");
        let binding = Binding::to(CALL)
            .access_token("at")
            .txn_token("tt")
            .header("x-context", b" v\t");
        let input = binding
            .prepare(
                &agent.text,
                algorithm,
                Duration::from_secs(60),
                random::SYSTEM,
                at(NOW),
            )
            .unwrap();
        let text = input.sign(&agent.key).unwrap();
        assert_eq!(agent.code(text.expose(), &binding), "ok", "{algorithm}");
        let elsewhere = Binding::to("x")
            .or_to(CALL)
            .access_token("at")
            .txn_token("tt")
            .header("x-context", b"v");
        assert_eq!(agent.code(text.expose(), &elsewhere), "ok");
    }
}

/// WPT-01: `typ`, and `alg` equal to `cnf.jwk.alg` letter by letter.
#[test]
fn the_header_is_checked() {
    let agent = Agent::new(Algorithm::Ed25519, "a");
    let to = Binding::to(CALL);
    for typ in ["wimse-proof+jwt", "JWT", "wit+jwt", "dpop+jwt"] {
        assert_eq!(
            agent.code(&agent.sign(typ, &agent.claims()), &to),
            "wpt.typ",
            "{typ}"
        );
    }
    let text = |algorithm: Algorithm, key: &SigningKey| {
        let input = SigningInput::new("wpt+jwt", algorithm, None, &agent.claims()).unwrap();
        let signature = key.sign(input.as_bytes()).unwrap();
        let signed = String::from_utf8(input.as_bytes().to_vec()).unwrap();
        format!("{signed}.{}", jose::base64url::encode(signature.as_ref()))
    };
    assert_eq!(agent.code(&text(Algorithm::Ed25519, &agent.key), &to), "ok");
    assert_eq!(
        agent.code(&text(Algorithm::EdDsa, &agent.key), &to),
        "wpt.algorithm"
    );
    assert_eq!(
        agent.code(&text(Algorithm::Es256, &agent.key), &to),
        "wpt.algorithm"
    );
    let other = SigningKey::generate(Algorithm::Ed25519, AWS_LC).unwrap();
    assert_eq!(
        agent.code(&text(Algorithm::Ed25519, &other), &to),
        "wpt.signature"
    );
}

/// WPT-02 to WPT-05, WPT-09: each claim.
#[test]
fn each_claim_is_checked() {
    let agent = Agent::new(Algorithm::Es256, "a");
    let with = |claim, value| agent.with(claim, value, &Binding::to(CALL));
    assert_eq!(with("iss", json!("anything")), "ok");
    for claim in ["aud", "exp", "jti", "wth"] {
        assert_eq!(with(claim, Value::Null), "jws.json", "{claim}");
    }
    for aud in [
        json!("https://tools.example/call/"),
        json!("https://tools.example/"),
        json!(""),
        json!([CALL, "b"]),
    ] {
        assert_eq!(with("aud", aud.clone()), "wpt.audience", "{aud}");
    }
    assert_eq!(with("aud", json!([CALL])), "ok");
    assert_eq!(with("exp", json!(NOW - 30)), "wpt.expired");
    assert_eq!(with("exp", json!(NOW + 330)), "ok");
    assert_eq!(with("exp", json!(NOW + 331)), "wpt.lifetime");
    assert_eq!(with("nbf", json!(NOW + 31)), "wpt.not_yet_valid");
    assert_eq!(with("jti", json!("")), "wpt.claim");
    assert_eq!(with("jti", json!(1)), "jws.json");
    assert_eq!(with("wth", json!(sha256_base64url("another"))), "wpt.wth");
    assert_eq!(with("wth", json!("")), "wpt.wth");
}

/// WPT-06, T-033: `ath` and `tth` exactly where the token is there.
#[test]
fn tokens_are_covered_exactly() {
    let agent = Agent::new(Algorithm::Es256, "a");
    let hash = json!(sha256_base64url("t"));
    type Bind = for<'a> fn(Binding<'a>, &'a str) -> Binding<'a>;
    let kinds: [(&str, Bind, &str); 2] = [
        (
            "ath",
            |binding, token| binding.access_token(token),
            "wpt.ath",
        ),
        ("tth", |binding, token| binding.txn_token(token), "wpt.tth"),
    ];
    for (claim, bind, refused) in kinds {
        assert_eq!(
            agent.with(claim, hash.clone(), &bind(Binding::to(CALL), "t")),
            "ok"
        );
        assert_eq!(
            agent.with(claim, hash.clone(), &bind(Binding::to(CALL), "u")),
            refused
        );
        assert_eq!(agent.with(claim, hash.clone(), &Binding::to(CALL)), refused);
        assert_eq!(
            agent.with("x", hash.clone(), &bind(Binding::to(CALL), "t")),
            refused
        );
    }
}

/// WPT-07: the same other fields, with the same values.
#[test]
fn other_fields_are_covered_exactly() {
    let agent = Agent::new(Algorithm::Es256, "a");
    let with = |oth: Value, binding: Binding<'_>| agent.with("oth", oth, &binding);
    let (one, hash) = (
        || Binding::to(CALL).header("x-one", b"v"),
        sha256_base64url("v"),
    );
    assert_eq!(with(json!({"x-one": hash}), one()), "ok");
    assert_eq!(with(json!({}), Binding::to(CALL)), "ok");
    for oth in [
        json!({}),
        json!({"x-one": sha256_base64url("w")}),
        json!({"X-One": hash}),
        json!({"x-one": hash, "x-two": hash}),
        json!({"x-two": hash}),
    ] {
        assert_eq!(with(oth.clone(), one()), "wpt.oth", "{oth}");
    }
    assert_eq!(with(json!({"x-one": hash}), Binding::to(CALL)), "wpt.oth");
    assert_eq!(
        with(json!({"x-one": hash}), one().header("x-one", b"v")),
        "wpt.oth"
    );
    assert_eq!(with(json!([]), one()), "jws.json");
}

/// WPT-04, T-034, T-036: of 64 threads one passes; the same `jti` of another agent is another proof; remembered until it could not be accepted.
#[test]
fn a_proof_is_spent_once() {
    let (one, two) = (
        Agent::new(Algorithm::Es256, "a"),
        Agent::new(Algorithm::Es256, "b"),
    );
    let unspent = |agent: &Agent| {
        let text = agent.sign("wpt+jwt", &agent.claims());
        verify(
            &text,
            &agent.wit,
            &Binding::to(CALL),
            &WptRules::default(),
            at(NOW),
        )
        .unwrap()
    };
    for _ in 0..20 {
        let (store, passed) = (ReplayCache::in_memory(1_000), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..64 {
                let proof = unspent(&one);
                scope.spawn(|| {
                    proof
                        .spend(&store, at(NOW))
                        .map(|_| passed.fetch_add(1, Ordering::SeqCst))
                });
            }
        });
        assert_eq!(passed.load(Ordering::SeqCst), 1);
        assert_eq!(
            unspent(&two).spend(&store, at(NOW)).unwrap().wit().id(),
            two.wit.id()
        );
        let again = unspent(&one).spend(&store, at(NOW + 89));
        assert_eq!(again.unwrap_err().code(), "replay.replayed");
    }
}

/// What cannot be a proof is not made.
#[test]
fn prepare_refuses() {
    let prepare = |binding: Binding<'_>, seconds| {
        let lifetime = Duration::from_secs(seconds);
        let input = binding.prepare("a.b.c", Algorithm::Es256, lifetime, random::SYSTEM, at(NOW));
        input.map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(
        (
            prepare(Binding::to(CALL), 1),
            prepare(Binding::to(CALL), 300)
        ),
        ("ok", "ok")
    );
    assert_eq!(
        (
            prepare(Binding::to(CALL), 0),
            prepare(Binding::to(CALL), 301)
        ),
        ("wpt.prepare", "wpt.prepare")
    );
    assert_eq!(prepare(Binding::to(""), 60), "wpt.prepare");
    assert_eq!(prepare(Binding::to(CALL).or_to("b"), 60), "wpt.prepare");
    assert_eq!(
        prepare(Binding::to(CALL).header("X-One", b"v"), 60),
        "wpt.prepare"
    );
    assert_eq!(
        prepare(Binding::to(CALL).header("x", b"v").header("x", b"v"), 60),
        "wpt.prepare"
    );
}

/// The draft's own proof, for the draft's own WIT.
#[test]
fn the_published_proof_verifies() {
    let wit = include_str!("../../testdata/wimse/wit.txt").trim();
    let wpt = include_str!("../../testdata/wimse/wpt.txt").trim();
    let keys: Value = serde_json::from_str(include_str!("../../testdata/wimse/keys.json")).unwrap();
    let issuer = keys
        .as_object()
        .unwrap()
        .iter()
        .find(|(name, _)| name.starts_with("issuer"))
        .unwrap()
        .1;
    let document = json!({"keys": [issuer]}).to_string();
    let origin = "wimse://example.com".parse().unwrap();
    let trust =
        TrustStore::of([Bundle::parse(&origin, document.as_bytes(), AWS_LC).unwrap()]).snapshot();
    let now = at(1_745_509_000);
    let wit = Wit::verify(wit, &trust, &WitRules::wit(), now).unwrap();
    let payload = jose::jws::Unverified::parse(wpt)
        .unwrap()
        .unverified_payload()
        .unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    // The draft prints `ath` and `tth` but not the tokens that they are of: the proof is good up to there.
    let binding = Binding::to(claims["aud"].as_str().unwrap());
    let expected = if claims.get("ath").is_some() {
        "wpt.ath"
    } else if claims.get("tth").is_some() {
        "wpt.tth"
    } else {
        "ok"
    };
    let rules = WptRules::default().with_max_lifetime(Duration::from_secs(86_400));
    let verdict = verify(wpt, &wit, &binding, &rules, now);
    assert_eq!(
        verdict.map_or_else(|error| error.code(), |_| "ok"),
        expected
    );
}

/// WIT-06, WPT-08: the two fields, once each or not at all.
#[test]
fn fields_are_found_once() {
    let agent = Agent::new(Algorithm::Es256, "a");
    let wpt = agent.sign("wpt+jwt", &agent.claims());
    let mut headers = HeaderMap::new();
    assert!(Presented::find(&headers).unwrap().is_none());
    fields::apply(&mut headers, &agent.text, &wpt).unwrap();
    fields::apply(&mut headers, &agent.text, &wpt).unwrap();
    let found = Presented::find(&headers).unwrap().unwrap();
    assert_eq!(
        (found.wit(), found.wpt()),
        (agent.text.as_str(), wpt.as_str())
    );
    assert!(headers.values().all(http::HeaderValue::is_sensitive));
    assert!(!format!("{found:?} {headers:?}").contains(&wpt));
    let find = |value: &str| {
        let mut headers = headers.clone();
        headers.insert(fields::WORKLOAD_PROOF_TOKEN, value.parse().unwrap());
        Presented::find(&headers).map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(find("a.b.c"), "ok");
    for bad in [
        "",
        "a.b",
        "a..c",
        "a.b.c.d",
        "a.b.c=",
        "Bearer a.b.c",
        "a.b.c a.b.c",
        "a.b.ü",
    ] {
        assert_eq!(find(bad), "wpt.field_syntax", "{bad}");
    }
    assert_eq!(find("a.b.c, d.e.f"), "wpt.field_repeated");
    assert_eq!(
        fields::apply(&mut headers, "a.b", &wpt).unwrap_err().code(),
        "wpt.field_syntax"
    );
}

/// WPT-02: the sender's audience is the target without query and fragment.
#[test]
fn the_audience_is_the_target() {
    let audience =
        |uri: &str| fields::audience(&uri.parse().unwrap()).map_err(|error| error.code());
    assert_eq!(audience("https://tools.example/call?a=b").unwrap(), CALL);
    assert_eq!(
        audience("https://tools.example:8443").unwrap(),
        "https://tools.example:8443/"
    );
    for bad in ["/call", "https://user@tools.example/call"] {
        assert_eq!(audience(bad).unwrap_err(), "wpt.target", "{bad}");
    }
}

#[test]
fn codes_are_unique_and_complete() {
    use jose::Error as Jose;
    let wrapped = [
        Jose::AlgorithmMismatch {
            algorithm: Algorithm::Es256,
        },
        Jose::Claim { claim: "x" },
        Jose::Expired,
        Jose::Lifetime,
        Jose::NotYetValid,
        Jose::Signature,
        Jose::Type,
    ];
    let mut all: Vec<Error> = wrapped.into_iter().map(Error::Wpt).collect();
    all.extend([
        Error::Audience,
        Error::WitHash,
        Error::AccessTokenHash,
        Error::TxnTokenHash,
        Error::OtherHash,
        Error::FieldMissing { field: "x" },
        Error::FieldRepeated { field: "x" },
        Error::FieldSyntax { field: "x" },
        Error::FieldTooLong {
            field: "x",
            limit: 1,
        },
        Error::Target,
        Error::Prepare { reason: "x" },
    ]);
    let given: BTreeSet<_> = all.iter().map(Error::code).collect();
    let listed: BTreeSet<_> = Error::CODES.iter().copied().collect();
    assert_eq!((given, Error::CODES.len()), (listed.clone(), listed.len()));
    assert_eq!(
        Error::Replay(replay::Error::Replayed).code(),
        "replay.replayed"
    );
}

proptest! {
    /// No text makes it panic, and none that was not signed is let through.
    #[test]
    fn no_text_is_a_proof(text in "[A-Za-z0-9_.{}\":,-]{0,200}") {
        let agent = Agent::new(Algorithm::Ed25519, "a");
        prop_assert_ne!(agent.code(&text, &Binding::to(CALL)), "ok");
        let mut headers = HeaderMap::new();
        if let Ok(value) = http::HeaderValue::from_str(&text) {
            headers.insert(fields::WORKLOAD_PROOF_TOKEN, value);
        }
        let _verdict = Presented::find(&headers);
    }
}
