//! Access tokens under every profile.

use std::sync::LazyLock;

use aims::oauth_rs::{
    AccessToken, AccessTokenRules, Error, IssuerRules, IssuerStore, JwtProfile, Marker, TokenCache,
    TokenProfile,
};
use aims_jose::provider::AWS_LC;
use serde_json::Value;

use crate::known::{NOW, at, known, sign};
use crate::{NO_TEXT, Outcome, refused, text};

const AUDIENCE: &str = "https://api.example";
const TENANT: &str = "11111111-2222-4333-8444-555555555555";

/// Verifies claims that the issuer has signed. The first line has a profile and a header `typ`;
/// claims follow. The claims name their issuer, whose path is the name of the profile and the
/// tenant.
pub fn access_token(data: &[u8]) -> Outcome {
    let Some(text) = text(data) else {
        return NO_TEXT;
    };
    let Some((typ, claims)) = text.split_once('\n') else {
        return Outcome::Refused("no claims");
    };
    let Some(token) = sign(typ, claims, &known().issuer) else {
        return Outcome::Refused("not sent");
    };
    let (store, rules) = (&*ISSUERS, AccessTokenRules::new(AUDIENCE));
    let read = AccessToken::verify(&token, &store.snapshot(), &rules, at(NOW));
    let cache = TokenCache::new(2, rules);
    for _ in 0..2 {
        let again = cache.verify(&token, store, at(NOW));
        assert_eq!(code(&read), code(&again));
    }
    match &read {
        Ok(token) => {
            check(token, typ);
            Outcome::Accepted
        }
        Err(error) => refused(error.code(), &[Error::CODES, aims_jose::Error::CODES]),
    }
}

fn code(read: &Result<AccessToken, Error>) -> &'static str {
    read.as_ref().map_or_else(Error::code, |_| "ok")
}

/// An accepted token has an audience or a known client, a marker, and nothing of another kind of
/// token.
fn check(token: &AccessToken, typ: &str) {
    let claims: Value = token.claims().unwrap_or_default();
    let says = |name: &str, values: &[&str]| {
        let claim = claims.get(name).and_then(Value::as_str);
        claims.get(name).is_none() || claim.is_some_and(|it| values.contains(&it))
    };
    assert!(!token.subject().is_empty() && !token.client_id().is_empty());
    assert!(token.expires() > at(NOW - 30));
    let for_us = token.audiences().iter().any(|aud| aud == AUDIENCE);
    let by_client = token.audiences().is_empty() && token.client_id() == "agent";
    let profile = token.profile().as_str();
    assert!(for_us || (profile == "cognito" && by_client));
    assert!(token.issuer().contains(profile));
    if profile == "rfc9068" {
        assert!(typ.to_ascii_lowercase().ends_with("at+jwt"));
        return;
    }
    for claim in ["nonce", "at_hash", "c_hash", "s_hash", "events"] {
        assert!(claims.get(claim).is_none(), "{claim}");
    }
    assert!(says("typ", &["Bearer", "DPoP"]) && says("token_use", &["access"]));
    let markers: &[&str] = match profile {
        "entra_v1" => &["appidacr"],
        "entra_v2" => &["azpacr"],
        "auth0" => &["scope", "permissions", "gty"],
        "okta" => &["cid"],
        "keycloak" => &["typ"],
        "cognito" => &["token_use"],
        _ => &["use"],
    };
    let marked = markers
        .iter()
        .any(|it| claims.get(*it).is_some_and(|it| !it.is_null()));
    assert!(marked || typ.to_ascii_lowercase().ends_with("at+jwt"));
}

/// An issuer for each profile, all with the same key.
static ISSUERS: LazyLock<IssuerStore> = LazyLock::new(|| {
    let key = known().issuer.public_jwk().to_json();
    let keys = format!(r#"{{"keys":[{key}]}}"#);
    let store = IssuerStore::new();
    let made = profiles().is_ok_and(|profiles| {
        profiles.into_iter().all(|profile| {
            let name = profile.name().as_str();
            let url = format!("https://as.example/{name}/{TENANT}");
            let Ok(issuer) = url.parse() else {
                return false;
            };
            let rules = IssuerRules::new().profile(profile);
            store.set(&issuer, keys.as_bytes(), AWS_LC).is_ok()
                && store.set_rules(&issuer, rules).is_ok()
        })
    });
    assert!(made, "the known issuers");
    store
});

fn profiles() -> Result<Vec<TokenProfile>, Error> {
    Ok(vec![
        TokenProfile::Rfc9068,
        JwtProfile::entra_v1(TENANT)?.into(),
        JwtProfile::entra_v2(TENANT)?.into(),
        JwtProfile::auth0().into(),
        JwtProfile::okta().into(),
        JwtProfile::keycloak(AUDIENCE).into(),
        JwtProfile::cognito(["agent"])?.into(),
        JwtProfile::new(Marker::claim_value("use", "access")?).into(),
    ])
}
