//! A sender, a receiver, and proofs that differ from a valid one in one property.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::digest::sha256_base64url;
use aims_jose::jwk::Jwk;
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_wimse_cred::{Bundle, TrustStore, Wit, WitIssuer, WitRules};
use aims_wimse_id::WorkloadId;
use aims_wimse_wpt::{Binding, Error, Revision, Revisions, UnspentWpt, WptRules};
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const AGENT: &str = "spiffe://example.org/agent";
pub(crate) const AUDIENCE: &str = "https://workload.example.com/path";

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// A workload with its key and its verified WIT.
pub(crate) struct Agent {
    pub(crate) key: SigningKey,
    pub(crate) text: String,
    pub(crate) wit: Wit,
}

impl Agent {
    pub(crate) fn new(id: &str, algorithm: Algorithm) -> Self {
        Self::with(id, SigningKey::generate(algorithm, AWS_LC).unwrap())
    }

    /// Creates a new WIT for this key.
    pub(crate) fn with(id: &str, key: SigningKey) -> Self {
        let ca = SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap();
        let ca = ca.with_key_id("ca");
        let id = WorkloadId::parse(id).unwrap();
        let jwk = Jwk::from_public_key(key.public_jwk().public_key().clone()).unwrap();
        let jwk = jwk.with_algorithm(key.algorithm()).unwrap();
        // A `wimse` issuer signs with any algorithm; a SPIFFE issuer does not use Ed25519.
        let text = if key.algorithm() == Algorithm::Es256 {
            let issuer = WitIssuer::new(Arc::new(ca.clone()), None);
            let issued = issuer.issue(&id, &jwk, Duration::from_secs(3600), at(NOW));
            issued.unwrap().expose().to_owned()
        } else {
            let claims = json!({"sub": id.as_str(), "exp": NOW + 3600, "cnf": {"jwk": jwk}});
            sign("wit+jwt", &ca, &claims)
        };
        let keys = ca.public_jwk().clone().with_use("sig").to_json();
        let set = format!("{{\"keys\":[{keys}]}}");
        let bundle = Bundle::jwk_set(&id.origin(), set.as_bytes(), AWS_LC).unwrap();
        let trust = TrustStore::of([bundle]).snapshot();
        let wit = Wit::verify(&text, &trust, &WitRules::wit(), at(NOW)).unwrap();
        Self { key, text, wit }
    }

    /// Returns the claims of a valid proof without bound tokens.
    pub(crate) fn claims(&self) -> Value {
        json!({
            "aud": AUDIENCE,
            "exp": NOW + 60,
            "jti": "d9b1Y2GSRyqcDv8FQnoQ7A",
            "wth": sha256_base64url(&self.text),
        })
    }

    /// Returns a valid proof with these changes of its claims.
    pub(crate) fn proof(&self, changes: &Value) -> String {
        sign("wpt+jwt", &self.key, &laid_over(self.claims(), changes))
    }

    pub(crate) fn verify(&self, text: &str, binding: &Binding<'_>) -> Result<UnspentWpt, Error> {
        let rules = WptRules::default().with_revisions(Revisions::BOTH);
        aims_wimse_wpt::verify(text, &self.wit, binding, &rules, at(NOW))
    }

    /// Returns `ok`, or the code of the refusal, for a proof to [`AUDIENCE`] without bound tokens.
    pub(crate) fn code(&self, text: &str) -> &'static str {
        code(self.verify(text, &Binding::to(AUDIENCE)))
    }

    /// Returns the same for a valid proof with these changes of its claims.
    pub(crate) fn code_of(&self, changes: &Value) -> &'static str {
        self.code(&self.proof(changes))
    }
}

/// A binding of draft-ietf-wimse-wpt-01, which has `ath`.
pub(crate) fn draft01<'a>() -> Binding<'a> {
    Binding::to(AUDIENCE).revision(Revision::Draft01)
}

pub(crate) fn agent() -> Agent {
    Agent::new(AGENT, Algorithm::Es256)
}

/// Applies `changes` to `claims`; the value `"-"` removes a claim.
pub(crate) fn laid_over(mut claims: Value, changes: &Value) -> Value {
    let all = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.remove(name).unwrap();
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    claims
}

pub(crate) fn sign(typ: &str, key: &SigningKey, claims: &Value) -> String {
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

/// Signs header and payload as given.
pub(crate) fn sign_raw(header: &str, payload: &str, key: &SigningKey) -> String {
    let header = base64url::encode(header.as_bytes());
    let text = format!("{header}.{}", base64url::encode(payload.as_bytes()));
    let signature = key.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", base64url::encode(signature.as_ref()))
}

pub(crate) fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}
