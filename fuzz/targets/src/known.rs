//! Keys and tokens that the targets share: those printed in the WIMSE drafts, and an issuer that is
//! created for one run.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aims_jose::Algorithm;
use aims_jose::jwk::{Jwk, PublicJwkSet};
use aims_jose::jws::SigningInput;
use aims_jose::key::{Signer, SigningKey, VerifyingKey};
use aims_jose::provider::{AWS_LC, RUSTCRYPTO};
use aims_jose::time::UnixTime;
use aims_wimse_cred::{Bundle, Trust, TrustStore, Wit, WitRules};
use aims_wimse_id::Origin;
use serde_json::value::RawValue;

const KEYS: &str = include_str!("../../../testdata/wimse/keys.json");
/// The printed WIT, as sent.
pub(crate) const WIT: &str = include_str!("../../../testdata/wimse/wit.txt");

/// A time at which the printed tokens are valid.
pub(crate) const NOW: u64 = 1_745_510_000;

/// Returns a time from seconds since 1970.
pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// The shared keys and tokens, created once.
pub(crate) struct Known {
    /// The key that signs the claims of a target: ES256, new in each run.
    pub(crate) issuer: SigningKey,
    /// The key of the printed workload: EdDSA.
    pub(crate) workload: SigningKey,
    /// The keys of the printed issuer and the printed workload, each with both providers.
    pub(crate) printed: [[VerifyingKey; 2]; 2],
    /// The store for guards. `trust` is its content.
    pub(crate) store: Arc<TrustStore>,
    /// `wimse://example.com` with the keys of the printed issuer and ours, `spiffe://example.org`
    /// with ours only.
    pub(crate) trust: Arc<Trust>,
    /// The printed WIT.
    pub(crate) wit: Wit,
}

/// Returns the shared keys and tokens.
pub(crate) fn known() -> &'static Known {
    #[expect(clippy::expect_used, reason = "constants that read or do not")]
    static KNOWN: LazyLock<Known> = LazyLock::new(|| make().expect("the known keys"));
    &KNOWN
}

fn make() -> Result<Known, Box<dyn Error>> {
    let keys: BTreeMap<String, Box<RawValue>> = serde_json::from_str(KEYS)?;
    let mut keys = keys.values().map(|key| key.get().as_bytes());
    let printed = Jwk::parse(keys.next().ok_or("no issuer")?)?;
    let workload = SigningKey::from_jwk(keys.next().ok_or("no workload")?, AWS_LC)?;
    let issuer = SigningKey::generate(Algorithm::Es256, AWS_LC)?.with_key_id("issuer");
    let own = issuer.public_jwk().clone();

    let document = |keys: &[Jwk]| keys.iter().cloned().collect::<PublicJwkSet>().to_json();
    let wimse: Origin = "wimse://example.com".parse()?;
    let wimse_keys = document(&[printed.clone(), own.clone()]);
    let spiffe: Origin = "spiffe://example.org".parse()?;
    let spiffe_keys = document(&[own.with_use("wit-svid")]);
    let store = TrustStore::of([
        Bundle::parse(&wimse, wimse_keys.as_bytes(), AWS_LC)?,
        Bundle::parse(&spiffe, spiffe_keys.as_bytes(), AWS_LC)?,
    ]);
    let trust = store.snapshot();
    let prepare = |jwk: &Jwk| -> Result<[VerifyingKey; 2], aims_jose::Error> {
        Ok([
            VerifyingKey::from_jwk(jwk, AWS_LC)?,
            VerifyingKey::from_jwk(jwk, RUSTCRYPTO)?,
        ])
    };
    Ok(Known {
        printed: [prepare(&printed)?, prepare(workload.public_jwk())?],
        wit: Wit::verify(WIT.trim(), &trust, &WitRules::wit(), at(NOW))?,
        issuer,
        workload,
        store: Arc::new(store),
        trust,
    })
}

/// Signs these claims, letter by letter. Returns `None` if the text is not a JSON object.
pub(crate) fn sign(typ: &str, claims: &str, key: &SigningKey) -> Option<String> {
    let claims: &RawValue = serde_json::from_str(claims).ok()?;
    let input = SigningInput::new(typ, key.algorithm(), key.key_id(), &claims).ok()?;
    Some(input.sign(key).ok()?.expose().to_owned())
}
