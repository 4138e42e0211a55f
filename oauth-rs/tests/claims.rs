//! Random combinations of claims, with every profile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::LazyLock;

use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_oauth_rs::{
    AccessToken, AccessTokenRules, Error, IssuerRules, IssuerStore, JwtProfile, Marker,
    TokenProfile,
};
use common::{NOW, at, key, set, sign_raw};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

const API: &str = "https://api.example";
const TENANT: &str = "11111111-2222-4333-8444-555555555555";

/// The issuers with their profiles, and their key.
type World = (IssuerStore, SigningKey, Vec<(String, TokenProfile)>);

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (store, key) = (IssuerStore::new(), key(Algorithm::Es256, "k"));
    let profiles: Vec<TokenProfile> = vec![
        TokenProfile::Rfc9068,
        JwtProfile::entra_v1(TENANT).unwrap().into(),
        JwtProfile::entra_v2(TENANT).unwrap().into(),
        JwtProfile::auth0().into(),
        JwtProfile::okta().into(),
        JwtProfile::keycloak(API).into(),
        JwtProfile::cognito(["c"]).unwrap().into(),
        JwtProfile::new(Marker::claim("use").unwrap()).into(),
    ];
    let named = profiles.into_iter().map(|profile| {
        let issuer = format!("https://as.example/{}/{TENANT}", profile.name());
        set(&store, &issuer, &[&key]);
        let rules = IssuerRules::new().profile(profile.clone());
        store.set_rules(&issuer.parse().unwrap(), rules).unwrap();
        (issuer, profile)
    });
    let named = named.collect();
    (store, key, named)
});

/// All claims that any profile checks, with accepted and refused values.
fn pool() -> Vec<(&'static str, Value)> {
    let text = |name| [(name, json!("c")), (name, json!("d")), (name, json!(null))];
    let mut pool: Vec<(&str, Value)> = [
        "client_id",
        "azp",
        "cid",
        "appid",
        "azpacr",
        "appidacr",
        "gty",
        "use",
        "nonce",
        "at_hash",
        "c_hash",
        "s_hash",
    ]
    .into_iter()
    .flat_map(text)
    .collect();
    for name in [
        "scope",
        "scp",
        "roles",
        "permissions",
        "groups",
        "cognito:groups",
    ] {
        pool.extend([
            (name, json!("a b")),
            (name, json!(["a", "b"])),
            (name, json!(["a b"])),
        ]);
        pool.extend([(name, json!(1)), (name, json!([]))]);
    }
    for typ in ["Bearer", "DPoP", "ID", "Refresh"] {
        pool.push(("typ", json!(typ)));
    }
    pool.extend([("token_use", json!("access")), ("token_use", json!("id"))]);
    pool.extend([
        ("ver", json!("1.0")),
        ("ver", json!("2.0")),
        ("tid", json!(TENANT)),
    ]);
    pool.extend([
        ("events", json!({})),
        ("aud", json!("c")),
        ("aud", json!([API, "c"])),
    ]);
    pool.extend([
        ("aud", json!(null)),
        ("jti", json!("")),
        ("iat", json!(null)),
    ]);
    pool.extend([
        ("realm_access", json!({"roles": ["r"]})),
        ("realm_access", json!(1)),
    ]);
    pool
}

fn verify(text: &str) -> Result<AccessToken, Error> {
    let rules = AccessTokenRules::new(API);
    AccessToken::verify(text, &WORLD.0.snapshot(), &rules, at(NOW))
}

proptest! {
    /// Every token that a custom profile accepts has a marker and no claim of another kind, and is
    /// for this resource; with RFC 9068 it has the type.
    #[test]
    fn only_access_tokens_are_accepted(
        which in 0..8_usize,
        typ in select(vec![None, Some("JWT"), Some("at+jwt"), Some("logout+jwt")]),
        chosen in subsequence(pool(), 0..12),
    ) {
        let (issuer, profile) = WORLD.2.get(which).unwrap();
        let mut claims: Map<String, Value> = Map::new();
        for (name, value) in [
            ("iss", json!(issuer)), ("sub", json!("u")), ("aud", json!(API)), ("jti", json!("j")),
            ("exp", json!(NOW + 300)), ("iat", json!(NOW)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        for (name, value) in chosen {
            claims.insert(name.to_owned(), value);
        }
        let mut header = json!({"alg": "ES256", "kid": "k"});
        if let Some(typ) = typ {
            header.as_object_mut().unwrap().insert("typ".to_owned(), json!(typ));
        }
        let claims = Value::Object(claims);
        let text = sign_raw(&header.to_string(), &claims.to_string(), &WORLD.1);
        let token = match verify(&text) {
            Ok(token) => token,
            Err(error) => {
                prop_assert!(Error::CODES.contains(&error.code()), "{error}");
                return Ok(());
            }
        };
        prop_assert_eq!(token.profile(), profile.name());
        prop_assert_ne!(typ, Some("logout+jwt"));
        prop_assert!(token.audiences().iter().any(|aud| aud == API));
        if which == 0 {
            prop_assert_eq!(typ, Some("at+jwt"));
            return Ok(());
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        for claim in ["nonce", "at_hash", "c_hash", "s_hash", "events"] {
            prop_assert!(claims.get(claim).is_none(), "{}", claims);
        }
        prop_assert!(matches!(text("typ"), None | Some("Bearer" | "DPoP")));
        prop_assert!(matches!(text("token_use"), None | Some("access")));
        let has = |name: &str| claims.get(name).is_some_and(|value| !value.is_null());
        let marked = match which {
            1 => has("appidacr"),
            2 => has("azpacr"),
            3 => has("scope") || has("permissions") || has("gty"),
            4 => has("cid"),
            5 => has("typ"),
            6 => has("token_use"),
            _ => has("use"),
        };
        prop_assert!(marked || typ == Some("at+jwt"), "{}", claims);
    }
}
