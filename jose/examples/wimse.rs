//! Verifies the workload identity token and the proof in the WIMSE drafts, each with its trusted
//! key. Then it changes one property of each and expects a refusal. Ends with an error if a step
//! has an unexpected result.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use aims_jose::jwk::{Jwk, JwkSet, SetRules};
use aims_jose::jws::{Unverified, Verified};
use aims_jose::jwt::{NumericDate, TimeRules, Times};
use aims_jose::key::VerifyingKey;
use aims_jose::{digest, provider, time};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct WitClaims<'a> {
    exp: NumericDate,
    sub: &'a str,
    #[serde(borrow)]
    cnf: Confirmation<'a>,
}

#[derive(Deserialize)]
struct Confirmation<'a> {
    #[serde(borrow)]
    jwk: &'a RawValue,
}

#[derive(Deserialize)]
struct WptClaims<'a> {
    exp: NumericDate,
    aud: &'a str,
    wth: &'a str,
}

const WIT: &str = include_str!("../../testdata/wimse/wit.txt");
const WPT: &str = include_str!("../../testdata/wimse/wpt.txt");
const KEYS: &str = include_str!("../../testdata/wimse/keys.json");

fn main() -> Result<(), Box<dyn Error>> {
    let (wit, wpt) = (WIT.trim(), WPT.trim());
    let now = time::at(1_745_509_000);

    let issuer = trusted()?;
    let token = verify(wit, "wit+jwt", &issuer)?;
    let claims: WitClaims<'_> = token.claims()?;
    TimeRules::new().check(&Times::new(Some(claims.exp), None, None), now)?;
    println!("identity    verified  {}", claims.sub);

    let key = Jwk::parse(claims.cnf.jwk.get().as_bytes())?;
    let key = VerifyingKey::from_jwk(&key, provider::default())?;
    let unverified = Unverified::parse(wpt)?;
    unverified.header().expect_typ("wpt+jwt")?;
    let proof = unverified.verify(&key)?;
    let claims: WptClaims<'_> = proof.claims()?;
    TimeRules::new().check(&Times::new(Some(claims.exp), None, None), now)?;
    if claims.wth != digest::sha256_base64url(wit) {
        return Err("the proof is not for this token".into());
    }
    println!("proof       verified  for {}", claims.aud);

    let later = time::at(1_745_600_000);
    let expired = TimeRules::new().check(&Times::new(Some(claims.exp), None, None), later);
    refused("too late", expired.map(drop), "jwt.expired")?;
    refused(
        "proof as identity",
        verify(wpt, "wit+jwt", &issuer).map(drop),
        "jws.typ",
    )?;
    refused(
        "stolen token, other key",
        Unverified::parse(wpt)?.verify(&other()?).map(drop),
        "jws.signature",
    )?;
    refused(
        "padding",
        Unverified::parse(&format!("{wit}="))
            .and_then(|t| verify(t.text(), "wit+jwt", &issuer))
            .map(drop),
        "jws.base64",
    )?;
    let header = aims_jose::base64url::encode(br#"{"alg":"none","typ":"wit+jwt"}"#);
    let unsigned = wit
        .split_once('.')
        .map(|(_, rest)| format!("{header}.{rest}"));
    refused(
        "alg none",
        Unverified::parse(&unsigned.unwrap_or_default()).map(drop),
        "jws.unknown_algorithm",
    )?;
    Ok(())
}

/// Returns the issuer's keys as a set, which a deployment configures out of band.
fn trusted() -> Result<JwkSet, Box<dyn Error>> {
    let keys: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(KEYS)?;
    let issuer = keys
        .values()
        .find(|key| key.get().contains("June 5"))
        .ok_or("no issuer key")?;
    let set = format!("{{\"keys\":[{}]}}", issuer.get());
    Ok(JwkSet::parse(
        set.as_bytes(),
        &SetRules::wimse(),
        provider::default(),
    )?)
}

fn other() -> Result<VerifyingKey, aims_jose::Error> {
    let key =
        aims_jose::key::SigningKey::generate(aims_jose::Algorithm::EdDsa, provider::default())?;
    Ok(key.verifying_key().clone())
}

fn verify(text: &str, typ: &str, keys: &JwkSet) -> Result<Verified, aims_jose::Error> {
    let token = Unverified::parse(text)?;
    token.header().expect_typ(typ)?;
    let key = keys.select(token.header().kid(), token.header().alg())?;
    token.verify(key)
}

fn refused(
    what: &str,
    result: Result<(), aims_jose::Error>,
    expected: &str,
) -> Result<(), Box<dyn Error>> {
    match result {
        Err(error) if error.code() == expected => {
            println!("{what:<24} refused: {expected} ({error})");
            Ok(())
        }
        Err(error) => Err(format!("{what}: {} instead of {expected}", error.code()).into()),
        Ok(()) => Err(format!("{what}: accepted").into()),
    }
}
