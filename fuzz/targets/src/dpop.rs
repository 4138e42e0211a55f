//! DPoP proofs.

use std::sync::LazyLock;

use aims_jose::digest::Hashed;
use aims_jose::jws::SigningInput;
use aims_jose::key::Signer as _;
use aims_jose::provider::AWS_LC;
use aims_oauth_wire::dpop::{
    Binding, DpopRules, Error, NonceIssuer, UnspentProof, UnverifiedProof,
};
use aims_replay::ReplayCache;
use serde_json::value::RawValue;

use crate::known::{NOW, at, known};
use crate::{NO_TEXT, Outcome, refused, text};

const URI: &str = "https://tool.example/mcp";
/// The access token whose hash is `ath` in the seeds.
const TOKEN: &str = "token";
/// Placeholder for a nonce of this run.
const NONCE: &str = "$nonce";

static RULES: LazyLock<DpopRules> =
    LazyLock::new(|| DpopRules::new().requiring_nonces(NonceIssuer::new(URI, &[0; 32])));

/// Verifies a compact JWS, or a JSON object of claims, which the target signs with the workload's
/// key.
pub fn dpop(data: &[u8]) -> Outcome {
    let Some(text) = text(data) else {
        return NO_TEXT;
    };
    let Some(sent) = proof(text) else {
        return Outcome::Refused("not sent");
    };
    let token = Hashed::of(TOKEN);
    let good = Binding::to("POST", URI).access_token(&token);
    match verify(&sent, &good, NOW) {
        Ok(unspent) => {
            let code = |binding: &Binding<'_>, now| code(verify(&sent, binding, now));
            let other = Hashed::of("another");
            assert_eq!(code(&Binding::to("POST", URI), NOW), "dpop.ath");
            assert_eq!(code(&good.access_token(&other), NOW), "dpop.ath");
            let elsewhere = Binding::to("POST", "https://tool.example/");
            assert_eq!(code(&elsewhere.access_token(&token), NOW), "dpop.htu");
            let method = Binding::to("GET", URI);
            assert_eq!(code(&method.access_token(&token), NOW), "dpop.htm");
            assert_eq!(code(&good, NOW + 400), "dpop.time");
            let store = ReplayCache::in_memory(10);
            assert!(unspent.spend(&store, at(NOW)).is_ok());
            let again = verify(&sent, &good, NOW).and_then(|it| it.spend(&store, at(NOW)));
            let again = again.map_or_else(|error| error.code(), |_| "ok");
            assert_eq!(again, "replay.replayed");
            Outcome::Accepted
        }
        Err(error) => refused(error.code(), &[Error::CODES, aims_jose::Error::CODES]),
    }
}

fn proof(text: &str) -> Option<String> {
    if !text.starts_with('{') {
        return Some(text.to_owned());
    }
    let (key, nonces) = (&known().workload, RULES.nonces()?);
    let jwk = key.public_jwk();
    let nonce = nonces.issue(&jwk.thumbprint(), at(NOW));
    let claims = text.replace(NONCE, nonce.as_str());
    let claims: &RawValue = serde_json::from_str(&claims).ok()?;
    let input = SigningInput::with_embedded_key("dpop+jwt", key.algorithm(), jwk, &claims);
    Some(input.ok()?.sign(key).ok()?.expose().to_owned())
}

fn verify(text: &str, binding: &Binding<'_>, now: u64) -> Result<UnspentProof, Error> {
    let proof = UnverifiedProof::parse(text, &RULES)?;
    let key = proof.key(AWS_LC)?;
    assert_eq!(proof.thumbprint(), key.thumbprint());
    proof.verify(&key, binding, &RULES, at(now))
}

fn code(result: Result<UnspentProof, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}
