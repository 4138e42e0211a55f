//! The servers of the presets: a profile, and tokens as the vendor documents them.

use aims_jose::alg::Algorithm;
use aims_jose::key::SigningKey;
use aims_oauth_rs::{
    AccessToken, AccessTokenRules, IssuerRules, IssuerStore, JwtProfile, Marker, TokenProfile,
};
use serde_json::{Value, json};

use crate::common::{NOW, at, code, key, laid_over, set, sign_raw};

pub(crate) const API: &str = "https://api.example";
pub(crate) const TENANT: &str = "11111111-2222-4333-8444-555555555555";

/// One server, its profile, and its tokens as its vendor documents them.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) profile: TokenProfile,
    pub(crate) typ: Option<&'static str>,
    pub(crate) access: Value,
    pub(crate) id_token: Value,
    /// The scopes that the access token grants.
    pub(crate) client: &'static str,
    pub(crate) scopes: &'static str,
    pub(crate) roles: &'static [&'static str],
    /// The claim that marks an access token, and its value in an ID token.
    pub(crate) marker: &'static [&'static str],
    pub(crate) key: SigningKey,
    pub(crate) store: IssuerStore,
}

impl Server {
    pub(crate) fn code(&self, typ: Option<&str>, claims: &Value) -> &'static str {
        code(self.verify(typ, claims))
    }

    pub(crate) fn verify(
        &self,
        typ: Option<&str>,
        claims: &Value,
    ) -> Result<AccessToken, aims_oauth_rs::Error> {
        let header = match typ {
            Some(typ) => json!({"alg": "ES256", "kid": "k", "typ": typ}),
            None => json!({"alg": "ES256", "kid": "k"}),
        };
        let text = sign_raw(&header.to_string(), &claims.to_string(), &self.key);
        let rules = AccessTokenRules::new(API);
        AccessToken::verify(&text, &self.store.snapshot(), &rules, at(NOW))
    }

    /// Returns the valid token with these claims changed.
    pub(crate) fn with(&self, changes: Value) -> &'static str {
        self.code(self.typ, &laid_over(self.access.clone(), &changes))
    }

    pub(crate) fn refuses(&self, changes: Value, expected: &str) {
        let claims = changes.to_string();
        assert_eq!(self.with(changes), expected, "{} {claims}", self.name);
    }
}

/// Returns the claims that every token of a server has.
pub(crate) fn common_claims(issuer: &str) -> Value {
    json!({"iss": issuer, "aud": API, "sub": "u-17", "exp": NOW + 300, "iat": NOW, "jti": "j-1"})
}

pub(crate) fn server(
    name: &'static str,
    issuer: &'static str,
    profile: impl Into<TokenProfile>,
    typ: Option<&'static str>,
) -> Server {
    let profile = profile.into();
    let key = key(Algorithm::Es256, "k");
    let store = IssuerStore::new();
    set(&store, issuer, &[&key]);
    let rules = IssuerRules::new().profile(profile.clone());
    store.set_rules(&issuer.parse().unwrap(), rules).unwrap();
    Server {
        name,
        issuer,
        profile,
        typ,
        access: common_claims(issuer),
        id_token: common_claims(issuer),
        client: "agent-1",
        scopes: "read",
        roles: &["admin"],
        marker: &[],
        key,
        store,
    }
}

pub(crate) fn entra_v2() -> Server {
    const ISSUER: &str =
        "https://login.microsoftonline.com/11111111-2222-4333-8444-555555555555/v2.0";
    let server = server(
        "entra v2",
        ISSUER,
        JwtProfile::entra_v2(TENANT).unwrap(),
        Some("JWT"),
    );
    let own = json!({
        "tid": TENANT, "ver": "2.0", "oid": "o-1", "nbf": NOW, "name": "A", "uti": "x",
        "preferred_username": "a@example.org", "roles": ["admin"], "jti": "-",
    });
    let access = json!({"azp": "agent-1", "azpacr": "1", "scp": "read", "rh": "0."});
    Server {
        access: laid_over(laid_over(common_claims(ISSUER), &own), &access),
        id_token: laid_over(common_claims(ISSUER), &own),
        marker: &["azpacr"],
        ..server
    }
}

pub(crate) fn entra_v1() -> Server {
    const ISSUER: &str = "https://sts.windows.net/11111111-2222-4333-8444-555555555555/";
    let server = server(
        "entra v1",
        ISSUER,
        JwtProfile::entra_v1(TENANT).unwrap(),
        Some("JWT"),
    );
    let own = json!({
        "tid": TENANT, "ver": "1.0", "oid": "o-1", "nbf": NOW, "unique_name": "a", "jti": "-",
        "roles": ["admin"], "amr": ["pwd"],
    });
    let access = json!({"appid": "agent-1", "appidacr": "0", "scp": "read"});
    Server {
        access: laid_over(laid_over(common_claims(ISSUER), &own), &access),
        id_token: laid_over(common_claims(ISSUER), &own),
        marker: &["appidacr"],
        ..server
    }
}

pub(crate) fn auth0() -> Server {
    const ISSUER: &str = "https://tenant.eu.auth0.com/";
    let server = server("auth0", ISSUER, JwtProfile::auth0(), Some("JWT"));
    let access = json!({
        "azp": "agent-1", "scope": "read", "permissions": ["admin"], "jti": "-",
        "aud": [API, "https://tenant.eu.auth0.com/userinfo"],
    });
    let id_token = json!({"name": "A", "nickname": "a", "sid": "s", "jti": "-"});
    Server {
        access: laid_over(common_claims(ISSUER), &access),
        id_token: laid_over(common_claims(ISSUER), &id_token),
        marker: &["scope", "permissions"],
        ..server
    }
}

pub(crate) fn okta() -> Server {
    const ISSUER: &str = "https://org.okta.com/oauth2/aus1";
    let server = server("okta", ISSUER, JwtProfile::okta(), None);
    let access = json!({
        "ver": 1, "cid": "agent-1", "uid": "00u", "scp": ["read"], "auth_time": NOW,
        "groups": ["admin"],
    });
    let id_token = json!({
        "ver": 1, "name": "A", "amr": ["pwd"], "idp": "00o", "auth_time": NOW, "groups": ["admin"],
    });
    Server {
        access: laid_over(common_claims(ISSUER), &access),
        id_token: laid_over(common_claims(ISSUER), &id_token),
        marker: &["cid"],
        ..server
    }
}

pub(crate) fn keycloak() -> Server {
    const ISSUER: &str = "https://sso.example/realms/r";
    let server = server("keycloak", ISSUER, JwtProfile::keycloak(API), Some("JWT"));
    let own = json!({"azp": "agent-1", "sid": "s", "acr": "1", "auth_time": NOW});
    let access = json!({
        "typ": "Bearer", "scope": "read", "allowed-origins": ["*"],
        "realm_access": {"roles": ["admin"]}, "resource_access": {"account": {"roles": ["own"]}},
    });
    let id_token = json!({"typ": "ID", "email_verified": true});
    Server {
        access: laid_over(laid_over(common_claims(ISSUER), &own), &access),
        id_token: laid_over(laid_over(common_claims(ISSUER), &own), &id_token),
        marker: &["typ"],
        ..server
    }
}

pub(crate) fn cognito() -> Server {
    const ISSUER: &str = "https://cognito-idp.eu-west-9.amazonaws.com/eu-west-9_Abc";
    let server = server(
        "cognito",
        ISSUER,
        JwtProfile::cognito(["agent-1"]).unwrap(),
        None,
    );
    let own = json!({
        "origin_jti": "o", "event_id": "e", "auth_time": NOW, "cognito:groups": ["admin"],
    });
    let access = json!({
        "aud": "-", "token_use": "access", "client_id": "agent-1", "scope": "read", "version": 2,
        "username": "u",
    });
    let id_token = json!({"token_use": "id", "cognito:username": "u"});
    Server {
        access: laid_over(laid_over(common_claims(ISSUER), &own), &access),
        id_token: laid_over(laid_over(common_claims(ISSUER), &own), &id_token),
        marker: &["token_use"],
        ..server
    }
}

pub(crate) fn custom() -> Server {
    const ISSUER: &str = "https://own.example";
    let marker = Marker::claim_value("use", "access").unwrap();
    let server = server("custom", ISSUER, JwtProfile::new(marker), Some("JWT"));
    let access = json!({
        "use": "access", "client_id": "agent-1", "scope": "read", "roles": "admin", "iat": "-",
        "jti": "-",
    });
    Server {
        access: laid_over(common_claims(ISSUER), &access),
        id_token: laid_over(common_claims(ISSUER), &json!({"use": "id"})),
        marker: &["use"],
        ..server
    }
}

pub(crate) fn servers() -> [Server; 7] {
    [
        entra_v2(),
        entra_v1(),
        auth0(),
        okta(),
        keycloak(),
        cognito(),
        custom(),
    ]
}

/// Returns one more server, whose tokens follow the standard.
pub(crate) fn by_the_standard() -> Server {
    const ISSUER: &str = "https://as.example";
    let server = server("rfc9068", ISSUER, TokenProfile::Rfc9068, Some("at+jwt"));
    let access = json!({"client_id": "agent-1", "scope": "read", "roles": ["admin"]});
    Server {
        access: laid_over(common_claims(ISSUER), &access),
        ..server
    }
}
