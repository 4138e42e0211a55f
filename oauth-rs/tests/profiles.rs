//! Token profiles: the tokens that each preset accepts, and those that none accepts as access
//! tokens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "profiles/servers.rs"]
mod servers;

use aims_oauth_rs::{IssuerRules, IssuerStore, JwtProfile, Marker, ProfileName, TokenProfile};
use common::{NOW, code, laid_over};
use serde_json::{Value, json};
use servers::*;

/// ATJ-01, ATJ-09: the access tokens of each server, in its own form.
#[test]
fn each_preset_accepts_its_access_tokens() {
    for server in servers().into_iter().chain([by_the_standard()]) {
        let token = server.verify(server.typ, &server.access);
        let token = token.unwrap_or_else(|error| panic!("{}: {error}", server.name));
        assert_eq!(token.profile(), server.profile.name(), "{}", server.name);
        let found = (token.issuer(), token.subject(), token.client_id());
        assert_eq!(
            found,
            (server.issuer, "u-17", server.client),
            "{}",
            server.name
        );
        assert_eq!(token.scopes().to_string(), server.scopes, "{}", server.name);
        let roles: Vec<&str> = token.roles().iter().map(String::as_str).collect();
        assert_eq!(roles, server.roles, "{}", server.name);
        assert_eq!(token.audiences().is_empty(), server.name == "cognito");
    }
}

/// Real forms that differ from the first: without a user, for DPoP, with the other type.
#[test]
fn each_preset_accepts_the_other_forms() {
    let m2m = json!({"scope": "-", "permissions": "-", "gty": "client-credentials"});
    assert_eq!(auth0().with(m2m), "ok");
    assert_eq!(auth0().with(json!({"permissions": [], "scope": "-"})), "ok");
    assert_eq!(keycloak().with(json!({"typ": "DPoP"})), "ok");
    let api = json!({"resource_access": {API: {"roles": ["call"]}}, "realm_access": "-"});
    let claims = laid_over(keycloak().access, &api);
    let keycloak = keycloak();
    let token = keycloak.verify(Some("JWT"), &claims).unwrap();
    assert_eq!(token.roles().iter().collect::<Vec<_>>(), ["call"]);
    assert_eq!(entra_v2().with(json!({"scp": "-", "azpacr": "2"})), "ok");
    assert_eq!(okta().with(json!({"groups": "-", "scp": []})), "ok");
}

/// BCP-32: each server marks the tokens of clients in its own way.
#[test]
fn the_subject_of_a_client_is_told() {
    let is_client = |server: &Server, changes: Value| {
        let claims = laid_over(server.access.clone(), &changes);
        let token = server.verify(server.typ, &claims).unwrap();
        token.subject_is_client()
    };
    for server in servers() {
        assert!(!is_client(&server, json!({})), "{}", server.name);
        let own = json!({"sub": server.client});
        assert!(is_client(&server, own), "{}", server.name);
    }
    assert!(is_client(&auth0(), json!({"gty": "client-credentials"})));
    assert!(!is_client(&auth0(), json!({"gty": "password"})));
    assert!(is_client(&entra_v2(), json!({"scp": "-"})));
    assert!(is_client(&entra_v2(), json!({"idtyp": "app"})));
    assert!(!is_client(&entra_v2(), json!({"idtyp": "user"})));
    for (name, expected) in [
        ("service-account-agent", true),
        ("Service-Account-agent", true),
        ("service", false),
    ] {
        let changes = json!({"preferred_username": name});
        assert_eq!(is_client(&keycloak(), changes), expected, "{name}");
    }
}

/// `typ` `at+jwt` alone is enough with every profile (RFC 9068 §2.1).
#[test]
fn at_jwt_is_a_marker_under_every_profile() {
    for server in servers() {
        let mut claims = server.access.clone();
        for marker in server.marker {
            claims.as_object_mut().unwrap().remove(*marker);
        }
        claims["client_id"] = json!("agent-1");
        assert_eq!(
            server.code(Some("at+jwt"), &claims),
            "ok",
            "{}",
            server.name
        );
        let typ = Some("application/AT+JWT");
        assert_eq!(server.code(typ, &claims), "ok", "{}", server.name);
        let without = server.code(server.typ, &claims);
        assert_eq!(without, "token.not_access_token", "{}", server.name);
    }
}

/// ATJ-01: an ID token of the same user, client and audience, signed with the same key, is not an
/// access token: with and without `nonce`, for the API or for its client.
#[test]
fn no_profile_accepts_an_id_token() {
    for server in servers() {
        for changes in [
            json!({}),
            json!({"nonce": "n"}),
            json!({"azp": "agent-1"}),
            json!({"at_hash": "h"}),
            json!({"aud": [API, "agent-1"], "azp": "agent-1"}),
        ] {
            let claims = laid_over(server.id_token.clone(), &changes);
            for typ in [server.typ, Some("JWT")] {
                let found = server.code(typ, &claims);
                assert_eq!(found, "token.not_access_token", "{} {claims}", server.name);
            }
        }
    }
    let server = by_the_standard();
    for typ in [Some("JWT"), None] {
        assert_eq!(server.code(typ, &server.access), "token.typ");
    }
}

/// Refresh tokens, logout tokens, security event tokens, WITs and WPTs are refused, by header or by
/// claims.
#[test]
fn no_profile_accepts_another_kind_of_token() {
    for server in servers() {
        for typ in [
            "logout+jwt",
            "secevent+jwt",
            "wit+jwt",
            "wpt+jwt",
            "dpop+jwt",
            "refresh+jwt",
            "application/logout+jwt",
            "JOSE",
        ] {
            let found = server.code(Some(typ), &server.access);
            assert_eq!(found, "token.typ", "{} {typ}", server.name);
        }
        let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        for changes in [
            json!({"events": events}),
            json!({"events": null}),
            json!({"typ": "Refresh"}),
            json!({"typ": "Offline"}),
            json!({"typ": "ID"}),
            json!({"typ": "Logout"}),
            json!({"typ": "bearer"}),
            json!({"typ": null}),
            json!({"typ": ["Bearer"]}),
            json!({"token_use": "id"}),
            json!({"token_use": "refresh"}),
            json!({"token_use": null}),
            json!({"token_use": ["access"]}),
            json!({"nonce": "n"}),
            json!({"nonce": null}),
            json!({"at_hash": "h"}),
            json!({"c_hash": "h"}),
            json!({"s_hash": "h"}),
            json!({"s_hash": null}),
        ] {
            server.refuses(changes.clone(), "token.not_access_token");
            // They are also refused with the type that alone is a marker.
            let claims = laid_over(server.access.clone(), &changes);
            let found = server.code(Some("at+jwt"), &claims);
            assert_eq!(found, "token.not_access_token", "{} {claims}", server.name);
        }
    }
    // A complete WIT and WPT, with the issuer's key.
    for server in servers().into_iter().chain([by_the_standard()]) {
        let cnf = json!({"jwk": {"kty": "EC"}});
        let wit = json!({"sub": "spiffe://example.org/a", "exp": NOW + 300, "cnf": cnf});
        let wpt = json!({"aud": API, "exp": NOW + 60, "jti": "j", "wth": "h"});
        assert_eq!(
            server.code(Some("wit+jwt"), &wit),
            "token.typ",
            "{}",
            server.name
        );
        assert_eq!(
            server.code(Some("wpt+jwt"), &wpt),
            "token.typ",
            "{}",
            server.name
        );
    }
}

/// An `aud` that is only the token's own client is that of an ID token, unless the profile allows
/// it.
#[test]
fn the_own_client_is_no_audience() {
    for server in servers() {
        let own = |aud: Value| {
            let issuer = server.issuer.parse().unwrap();
            let TokenProfile::Jwt(profile) = server.profile.clone() else {
                unreachable!("a profile of its own");
            };
            let rules = IssuerRules::new().audience("agent-1");
            server
                .store
                .set_rules(&issuer, rules.clone().profile(profile.clone()))
                .unwrap();
            let refused = server.with(json!({"aud": aud}));
            let profile = profile.accept_own_client_as_audience();
            server
                .store
                .set_rules(&issuer, rules.profile(profile))
                .unwrap();
            (refused, server.with(json!({"aud": aud})))
        };
        for aud in [
            json!("agent-1"),
            json!(["agent-1"]),
            json!(["agent-1", "agent-1"]),
        ] {
            let expected = ("token.not_access_token", "ok");
            assert_eq!(own(aud), expected, "{}", server.name);
        }
        assert_eq!(
            own(json!(["agent-1", API])),
            ("ok", "ok"),
            "{}",
            server.name
        );
    }
}

/// A tenant of Auth0 can write `scope` into ID tokens, which is then not a marker: they are refused
/// by `aud`.
#[test]
fn an_id_token_of_auth0_with_a_scope_is_refused() {
    let server = auth0();
    let with_scope = json!({"azp": "agent-1", "scope": "read", "aud": "agent-1"});
    let id_token = laid_over(server.id_token.clone(), &with_scope);
    assert_eq!(server.code(server.typ, &id_token), "token.audience");
    // Also if the API has the same identifier as its client.
    let rules = IssuerRules::new()
        .audience("agent-1")
        .profile(server.profile.clone());
    let issuer = server.issuer.parse().unwrap();
    server.store.set_rules(&issuer, rules).unwrap();
    assert_eq!(server.code(server.typ, &id_token), "token.not_access_token");
}

/// ATJ-04: the audience is checked with every profile; if the server writes none, the client is
/// checked.
#[test]
fn the_audience_is_checked_under_every_profile() {
    for server in servers() {
        for aud in [
            json!("https://other.example"),
            json!("https://api.example/"),
            json!(""),
        ] {
            server.refuses(json!({"aud": aud}), "token.audience");
        }
        server.refuses(json!({"aud": null}), "token.claim");
        server.refuses(json!({"aud": []}), "token.claim");
        if server.name != "cognito" {
            server.refuses(json!({"aud": "-"}), "token.claim");
        }
    }
    let cognito = cognito();
    cognito.refuses(json!({"client_id": "other"}), "token.audience");
    assert_eq!(cognito.with(json!({"aud": API})), "ok");
    cognito.refuses(json!({"aud": API, "client_id": "other"}), "token.audience");
    assert_eq!(code(JwtProfile::cognito::<String>([])), "token.profile");
    assert_eq!(code(JwtProfile::cognito([""])), "token.profile");
}

/// Tokens of Entra ID are for one tenant and one version.
#[test]
fn entra_is_one_tenant() {
    for tenant in [
        "common",
        "organizations",
        "consumers",
        "{tenantid}",
        "contoso.onmicrosoft.com",
        "",
        "11111111-2222-4333-8444-55555555555",
        "11111111-2222-4333-8444-5555555555555",
        "11111111-2222-4333-8444-55555555555g",
        "11111111-2222-4333-8444-555555555555-",
    ] {
        assert_eq!(
            code(JwtProfile::entra_v2(tenant)),
            "token.profile",
            "{tenant}"
        );
        assert_eq!(
            code(JwtProfile::entra_v1(tenant)),
            "token.profile",
            "{tenant}"
        );
    }
    let other = "99999999-2222-4333-8444-555555555555";
    for server in [entra_v2(), entra_v1()] {
        server.refuses(json!({"tid": other}), "token.claim");
        server.refuses(json!({"tid": "-"}), "token.claim");
        server.refuses(json!({"tid": null}), "token.claim");
        server.refuses(json!({"ver": "3.0"}), "token.claim");
        server.refuses(json!({"ver": "-"}), "token.claim");
        server.refuses(json!({"iat": "-"}), "token.claim");
    }
    entra_v2().refuses(json!({"ver": "1.0"}), "token.claim");
    entra_v1().refuses(json!({"ver": "2.0"}), "token.claim");
    // The issuer must be of the tenant, too.
    let store = IssuerStore::new();
    let rules = || IssuerRules::new().profile(JwtProfile::entra_v2(TENANT).unwrap());
    let set = |issuer: String| code(store.set_rules(&issuer.parse().unwrap(), rules()));
    let of = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    assert_eq!(set(of(other)), "token.profile");
    assert_eq!(set(of("common")), "token.profile");
    assert_eq!(
        set("https://login.microsoftonline.com".to_owned()),
        "token.profile"
    );
    assert_eq!(set(of(TENANT)), "ok");
}

/// A refusal by a claim says what was found, escaped and shortened, and what to do.
#[test]
fn what_a_claim_says_is_told() {
    let told = |server: &Server, changes: Value| {
        let claims = laid_over(server.access.clone(), &changes);
        server.verify(server.typ, &claims).unwrap_err().to_string()
    };
    let other = told(&entra_v2(), json!({"tid": "99\u{1b}"}));
    let (_, found) = other.split_once(", found ").unwrap();
    assert_eq!(found, r#""99\u{1b}""#);
    let long = told(&entra_v2(), json!({"tid": "9".repeat(5_000)}));
    assert!(long.contains(TENANT) && long.len() < 500, "{long}");
    let none = told(&entra_v2(), json!({"tid": "-"}));
    assert!(none.ends_with("found none"), "{none}");
    let old = told(&entra_v2(), json!({"ver": "1.0"}));
    assert!(old.contains("use `entra_v1`") && old.ends_with("found \"1.0\""));
    let unmarked = told(&entra_v2(), json!({"ver": "1.0", "azpacr": "-"}));
    assert!(unmarked.contains("no marker") && unmarked.contains("use `entra_v1`"));
    let new = told(&entra_v1(), json!({"ver": "2.0"}));
    assert!(new.contains("use `entra_v2`"), "{new}");
    let id = told(&keycloak(), json!({"typ": "ID"}));
    assert!(
        id.ends_with("expected \"Bearer\" or \"DPoP\", found \"ID\""),
        "{id}"
    );
    let id = told(&cognito(), json!({"token_use": "id"}));
    assert!(id.ends_with("expected \"access\", found \"id\""), "{id}");
    let unmapped = told(&keycloak(), json!({"aud": "-"}));
    assert!(
        unmapped.contains("`aud` only by an audience mapper"),
        "{unmapped}"
    );
}

/// Scopes and roles are separate: a role with the name of a scope grants no scope, and the reverse.
#[test]
fn scopes_and_roles_are_apart() {
    for (server, scope, role) in [
        (entra_v2(), "scp", "roles"),
        (auth0(), "scope", "permissions"),
        (okta(), "scp", "groups"),
        (cognito(), "scope", "cognito:groups"),
        (custom(), "scope", "roles"),
        (by_the_standard(), "scope", "roles"),
    ] {
        let only_role = json!({scope: "-", role: ["write"]});
        let token = server.verify(server.typ, &laid_over(server.access.clone(), &only_role));
        let token = token.unwrap();
        assert!(
            token.scopes().is_empty() && token.roles().contains("write"),
            "{}",
            server.name
        );
        let only_scope = json!({scope: "write", role: "-"});
        let token = server.verify(server.typ, &laid_over(server.access.clone(), &only_scope));
        let token = token.unwrap();
        assert!(
            token.roles().is_empty() && token.scopes().contains("write"),
            "{}",
            server.name
        );
        // A blank can be part of the name of a role, but separates scopes.
        let blank = json!({scope: "a b", role: ["a b"]});
        let token = server.verify(server.typ, &laid_over(server.access.clone(), &blank));
        let token = token.unwrap();
        let roles: Vec<&str> = token.roles().iter().map(String::as_str).collect();
        assert_eq!(
            (token.scopes().len(), roles),
            (2, vec!["a b"]),
            "{}",
            server.name
        );
        for malformed in [
            json!(1),
            json!(null),
            json!({}),
            json!(["a b"]),
            json!([1]),
            json!(""),
        ] {
            server.refuses(json!({scope: malformed}), "token.claim");
        }
        for malformed in [json!(1), json!(null), json!({}), json!([1]), json!([["a"]])] {
            server.refuses(json!({role: malformed}), "token.claim");
        }
    }
}

/// The client is named once, or several times with the same value.
#[test]
fn the_client_is_one() {
    for (server, claim) in [
        (entra_v2(), "azp"),
        (entra_v1(), "appid"),
        (auth0(), "azp"),
        (keycloak(), "azp"),
        (cognito(), "client_id"),
        (custom(), "client_id"),
    ] {
        for malformed in [
            json!("-"),
            json!(""),
            json!(null),
            json!(1),
            json!(["agent-1"]),
        ] {
            server.refuses(json!({claim: malformed}), "token.claim");
        }
        if claim != "client_id" {
            assert_eq!(server.with(json!({"client_id": "agent-1"})), "ok");
            server.refuses(json!({"client_id": "agent-2"}), "token.claim");
        }
    }
}

/// Additional requirements of profiles, and the claims of the standard.
#[test]
fn other_claims_are_checked_under_every_profile() {
    for server in servers() {
        for claim in ["iss", "sub", "exp"] {
            server.refuses(json!({claim: "-"}), "token.claim");
        }
        for claim in ["iss", "sub", "exp", "iat", "nbf", "jti"] {
            for malformed in [json!(null), json!({}), json!([])] {
                server.refuses(json!({claim: malformed}), "token.claim");
            }
        }
        server.refuses(json!({"sub": ""}), "token.claim");
        server.refuses(json!({"jti": ""}), "token.claim");
        server.refuses(
            json!({"exp": NOW - 300, "iat": NOW - 900, "nbf": NOW - 900}),
            "token.expired",
        );
        server.refuses(
            json!({"iat": NOW + 31, "nbf": NOW + 31}),
            "token.not_yet_valid",
        );
        server.refuses(json!({"cnf": {}}), "token.confirmation");
        server.refuses(json!({"act": {}}), "token.claim");
        let other = json!({"iss": "https://other.example"});
        server.refuses(other, "token.unknown_issuer");
    }
    for server in [okta(), keycloak(), cognito()] {
        server.refuses(json!({"jti": "-"}), "token.claim");
        server.refuses(json!({"iat": "-"}), "token.claim");
    }
    assert_eq!(custom().with(json!({"iat": NOW, "jti": "a"})), "ok");
}

/// The settings of a custom profile.
#[test]
fn a_profile_of_ones_own_is_set() {
    let server = custom();
    let issuer = server.issuer.parse().unwrap();
    let marker = || Marker::claim_value("use", "access").unwrap();
    let try_with = |profile: JwtProfile, typ: Option<&str>, changes: Value| {
        let rules = IssuerRules::new().profile(profile);
        server.store.set_rules(&issuer, rules).unwrap();
        server.code(typ, &laid_over(server.access.clone(), &changes))
    };
    let own = || JwtProfile::new(marker());
    assert_eq!(own().name(), ProfileName::Jwt);
    assert_eq!(try_with(own(), None, json!({})), "ok");
    assert_eq!(try_with(own(), Some("x+jwt"), json!({})), "token.typ");
    let typed = || own().header_types(["X+jwt"]).unwrap();
    assert_eq!(
        try_with(typed(), Some("application/x+jwt"), json!({})),
        "ok"
    );
    assert_eq!(try_with(typed(), Some("JWT"), json!({})), "token.typ");
    assert_eq!(try_with(typed(), None, json!({})), "token.typ");
    let without = json!({"use": "-"});
    let refused = try_with(typed(), Some("x+jwt"), without.clone());
    assert_eq!(refused, "token.not_access_token");
    let by_type = own().or_marker(Marker::typ("x+jwt").unwrap());
    assert_eq!(try_with(by_type, Some("X+JWT"), without.clone()), "ok");
    let refused = try_with(own(), None, json!({"use": "id"}));
    assert_eq!(refused, "token.not_access_token");
    for typ in ["logout+jwt", "wit+jwt", "application/secevent+jwt"] {
        assert_eq!(code(own().header_types([typ])), "token.profile", "{typ}");
    }
    assert_eq!(
        try_with(own().require_jwt_id(), None, json!({})),
        "token.claim"
    );
    assert_eq!(
        try_with(own().require_jwt_id(), None, json!({"jti": "a"})),
        "ok"
    );
    assert_eq!(
        try_with(own().require_issued_at(), None, json!({})),
        "token.claim"
    );
    assert_eq!(
        try_with(own().require_issued_at(), None, json!({"iat": NOW})),
        "ok"
    );
    let nonce = json!({"nonce": "n"});
    assert_eq!(try_with(own().accept_nonce(), None, nonce), "ok");
    let elsewhere = own()
        .client_in(["by"])
        .scopes_in(["may"])
        .roles_in(["x", "y"]);
    let claims = json!({"by": "c", "client_id": "-", "may": "s", "x": {"y": ["r"]}});
    assert_eq!(try_with(elsewhere, None, claims.clone()), "ok");
    let token = server
        .verify(None, &laid_over(server.access.clone(), &claims))
        .unwrap();
    let roles: Vec<&str> = token.roles().iter().map(String::as_str).collect();
    assert_eq!((token.client_id(), roles), ("c", vec!["r"]));
    assert_eq!(token.scopes().to_string(), "s");
}

/// The error has the problem, the expected and the found value.
#[test]
fn refusals_say_what_to_do() {
    let standard = by_the_standard();
    let told = standard.verify(Some("JWT"), &standard.access).unwrap_err();
    let text = told.to_string();
    assert!(
        text.contains(r#"unexpected `typ` "JWT", expected "at+jwt""#),
        "{text}"
    );
    assert!(text.contains("TokenProfile::Jwt"), "{text}");
    let okta = okta();
    let told = okta.verify(None, &okta.id_token).unwrap_err().to_string();
    assert!(told.contains("claim `cid`"), "{told}");
    let other = laid_over(
        okta.access.clone(),
        &json!({"aud": "https://x.example/\u{202e}"}),
    );
    let told = okta.verify(None, &other).unwrap_err().to_string();
    assert!(
        told.contains("https://x.example/") && told.contains(API),
        "{told}"
    );
    assert!(!told.contains('\u{202e}'), "{told}");
    let long = laid_over(okta.access.clone(), &json!({"aud": "x".repeat(4_000)}));
    let told = okta.verify(None, &long).unwrap_err().to_string();
    assert!(told.len() < 400, "{told}");
}
