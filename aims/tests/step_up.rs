//! Step-up authentication (RFC 9470): a route requires another or a newer login of the user.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use aims::Requirements;
use aims::guard::{BuildError, Dpop};
use aims::oauth_wire::challenge::{Challenges, StepUp};
use aims::oauth_wire::metadata::ResourceMetadata;
use common::{ISSUER, NOW, Scene, TOOL, World, at, told};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

fn scene() -> Scene {
    let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
    let metadata = metadata.with_authorization_server(ISSUER.parse().unwrap());
    Scene::of(|guard| guard.metadata(metadata).dpop(Dpop::new()))
}

impl Scene {
    fn ask(&self, route: Requirements, login: &Value) -> (&'static str, u16, String) {
        let mut claims = World::claims(&self.agent);
        for (name, value) in login.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let call = self.agent.call_with(&self.world.token(&claims));
        told(self.guard.requiring(route).unwrap().check(&call, at(NOW)))
    }

    fn code(&self, route: &Requirements, login: &Value) -> &'static str {
        self.ask(route.clone(), login).0
    }
}

/// The first of the accepted values is preferred, and each of them is enough.
#[test]
fn acr_is_one_of_the_values() {
    let scene = scene();
    let route = Requirements::new().acr(["urn:mfa", "urn:phr"]);
    for (login, expected) in [
        (json!({"acr": "urn:mfa"}), "ok"),
        (json!({"acr": "urn:phr"}), "ok"),
        (json!({"acr": "urn:pwd"}), "guard.authentication"),
        (json!({"acr": "URN:MFA"}), "guard.authentication"),
        (json!({"acr": "urn:mfa urn:phr"}), "guard.authentication"),
        (json!({"acr": ""}), "guard.authentication"),
        (json!({"acr": 2}), "guard.authentication"),
        (json!({"acr": ["urn:mfa"]}), "guard.authentication"),
        (json!({}), "guard.authentication"),
    ] {
        assert_eq!(scene.code(&route, &login), expected, "{login}");
        assert_eq!(scene.code(&Requirements::new(), &login), "ok", "{login}");
    }
}

/// A login is refused from the first second beyond `max_age` on, and if its time is not known.
#[test]
fn a_login_is_young_enough() {
    let scene = scene();
    let route = Requirements::new().max_age(Duration::from_secs(300));
    for (login, expected) in [
        (json!({"auth_time": NOW}), "ok"),
        (json!({"auth_time": NOW - 300}), "ok"),
        (json!({"auth_time": NOW - 301}), "guard.authentication"),
        // The clock of the issuer may be ahead by the greatest skew.
        (json!({"auth_time": NOW + 60}), "ok"),
        (json!({"auth_time": NOW + 61}), "guard.authentication"),
        (
            json!({"auth_time": NOW.to_string()}),
            "guard.authentication",
        ),
        (json!({"auth_time": -1}), "guard.authentication"),
        // `iat` of the token is no login: a refresh keeps `auth_time` (RFC 9068 §2.2.1).
        (json!({"iat": NOW}), "guard.authentication"),
    ] {
        assert_eq!(scene.code(&route, &login), expected, "{login}");
    }
}

/// The challenge has the exact error and both requirements, beside the scopes of the route.
#[test]
fn the_challenge_says_which_login_is_required() {
    let scene = scene();
    let route = || {
        Requirements::new()
            .scopes("tools:call".parse().unwrap())
            .acr(["urn:phr", "urn:mfa"])
            .max_age(Duration::from_secs(90))
    };
    let (code, status, challenge) = scene.ask(route(), &json!({"acr": "urn:phr"}));
    assert_eq!((code, status), ("guard.authentication", 401));
    assert_eq!(
        challenge,
        concat!(
            r#"Bearer error="insufficient_user_authentication", scope="tools:call", "#,
            r#"acr_values="urn:phr urn:mfa", max_age="90", "#,
            r#"resource_metadata="https://tools.example/.well-known/oauth-protected-resource/mcp""#
        )
    );
    // A client reads what was required.
    let mut headers = HeaderMap::new();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_str(&challenge).unwrap());
    let read = Challenges::parse(&headers).unwrap();
    let expected = StepUp::new().acr_values(["urn:phr", "urn:mfa"]).unwrap();
    let expected = expected.max_age(Duration::from_secs(90));
    assert_eq!(read.bearer().unwrap().step_up(), expected);
    // The login is asked for even where a scope is missing as well: one answer names both.
    let (code, ..) = scene.ask(route(), &json!({"scope": "other"}));
    assert_eq!(code, "guard.authentication");
    let login = json!({"acr": "urn:mfa", "auth_time": NOW - 1, "scope": "other"});
    assert_eq!(scene.ask(route(), &login).0, "guard.scope");
    let login = json!({"acr": "urn:mfa", "auth_time": NOW - 1});
    assert_eq!(scene.ask(route(), &login).0, "ok");
}

/// Requirements that no challenge can carry, and those that no login meets, are refused when the
/// route is made.
#[test]
fn requirements_of_a_login_are_checked() {
    let scene = scene();
    let zero = Duration::from_millis(999);
    for route in [
        Requirements::new().acr([""; 0]),
        Requirements::new().acr([""]),
        Requirements::new().acr(["a b"]),
        Requirements::new().acr(["a", "a"]),
        Requirements::new().acr(["caf\u{e9}"]),
        Requirements::new().max_age(zero),
        Requirements::new().acr(["a"]).identity_alone(),
    ] {
        let refused = scene.guard.requiring(route).unwrap_err();
        assert!(
            matches!(refused, BuildError::Requirements { .. }),
            "{refused}"
        );
    }
    let without_issuer = scene.world.guard().require(Requirements::new().acr(["a"]));
    let refused = without_issuer.build().unwrap_err();
    assert!(matches!(refused, BuildError::NoIssuer), "{refused}");
}
