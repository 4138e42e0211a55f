//! Authorization details (RFC 9396) as requirements of a route.

#![cfg(feature = "tool")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims::Requirements;
use aims::guard::BuildError;
use aims::oauth_wire::authorization_details::{DetailType, ToolDetail};
use aims::oauth_wire::delegate::Verdict;
use common::{NOW, Scene, TOOL, World, at};
use serde_json::{Value, json};

impl Scene {
    /// Returns the code, the status, the challenge and the body.
    fn ask(&self, route: &Requirements, details: Value) -> (&'static str, u16, String, Value) {
        let mut claims = World::claims(&self.agent);
        if !details.is_null() {
            claims["authorization_details"] = details;
        }
        let call = self.agent.call_with(&self.world.token(&claims));
        let guard = self.guard.requiring(route.clone()).unwrap();
        match guard.check(&call, at(NOW)) {
            Ok(_) => ("ok", 200, String::new(), Value::Null),
            Err(refusal) => {
                let code = refusal.code();
                let answer = refusal.into_response::<Vec<u8>>();
                let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
                let body = serde_json::from_slice(answer.body()).unwrap();
                (code, answer.status().as_u16(), challenge.to_owned(), body)
            }
        }
    }
}

fn reading() -> Requirements {
    Requirements::new().details(ToolDetail::new().actions(["read"]))
}

/// An entry permits what it names, at the resources that it names, and nothing else.
#[test]
fn an_entry_permits_what_it_names_here() {
    let scene = Scene::new();
    for (details, expected) in [
        (json!([{"type": "aims_tool", "actions": ["read"]}]), "ok"),
        (
            json!([{"type": "aims_tool", "actions": ["read", "write"]}]),
            "ok",
        ),
        (
            json!([{"type": "aims_tool", "actions": ["read"], "locations": [TOOL]}]),
            "ok",
        ),
        (
            json!([{"type": "aims_tool", "actions": ["read"],
                "locations": ["https://other.example/", TOOL]}]),
            "ok",
        ),
        // One of several entries is enough.
        (
            json!([{"type": "payment"}, {"type": "aims_tool", "actions": ["read"]}]),
            "ok",
        ),
        (
            json!([{"type": "aims_tool", "actions": ["write"]}]),
            "guard.details",
        ),
        (
            json!([{"type": "aims_tool", "actions": ["READ"]}]),
            "guard.details",
        ),
        (
            json!([{"type": "aims_tool", "actions": []}]),
            "guard.details",
        ),
        // An entry that does not name actions does not permit all of them.
        (json!([{"type": "aims_tool"}]), "guard.details"),
        // For another resource, and for one with a longer path.
        (
            json!([{"type": "aims_tool", "actions": ["read"],
                "locations": ["https://other.example/"]}]),
            "guard.details",
        ),
        (
            json!([{"type": "aims_tool", "actions": ["read"],
                "locations": [format!("{TOOL}/x")]}]),
            "guard.details",
        ),
        (
            json!([{"type": "aims_tool", "actions": ["read"], "locations": TOOL}]),
            "guard.details",
        ),
        // A restriction that the route does not know.
        (
            json!([{"type": "aims_tool", "actions": ["read"], "datatypes": ["photos"]}]),
            "guard.details",
        ),
        (
            json!([{"type": "aims_tool", "actions": ["read"], "until": 5}]),
            "guard.details",
        ),
        // An unknown type is no permission.
        (
            json!([{"type": "other", "actions": ["read"]}]),
            "guard.details",
        ),
        (json!([]), "guard.details"),
        (Value::Null, "guard.details"),
        // Malformed.
        (
            json!({"type": "aims_tool", "actions": ["read"]}),
            "guard.details",
        ),
        (json!([{"actions": ["read"]}]), "guard.details"),
        (
            json!([{"type": "aims_tool", "actions": "read"}]),
            "guard.details",
        ),
        (json!("aims_tool"), "guard.details"),
    ] {
        let (code, status, ..) = scene.ask(&reading(), details.clone());
        assert_eq!(code, expected, "{details}");
        assert_eq!(status, if code == "ok" { 200 } else { 403 }, "{details}");
    }
}

/// All required details are needed, each by one entry.
#[test]
fn each_required_detail_is_permitted() {
    let scene = Scene::new();
    let both = reading().details(ToolDetail::new().actions(["write"]).privileges(["admin"]));
    let read = json!({"type": "aims_tool", "actions": ["read"]});
    let write = json!({"type": "aims_tool", "actions": ["write"], "privileges": ["admin"]});
    assert_eq!(scene.ask(&both, json!([read, write])).0, "ok");
    assert_eq!(scene.ask(&both, json!([read])).0, "guard.details");
    assert_eq!(scene.ask(&both, json!([write])).0, "guard.details");
}

/// The answer names what would be allowed where the route says so, and nothing elsewhere.
#[test]
fn a_route_may_offer_its_details() {
    let scene = Scene::new();
    let (code, status, challenge, body) = scene.ask(&reading(), json!([]));
    assert_eq!((code, status), ("guard.details", 403));
    assert_eq!(
        challenge,
        r#"Bearer error="insufficient_authorization_details""#
    );
    assert_eq!(body, json!({"title": "Forbidden", "status": 403}));
    let offering = reading().offer_details();
    let (code, status, challenge, body) = scene.ask(&offering, json!([]));
    assert_eq!((code, status), ("guard.details", 403));
    assert_eq!(
        challenge,
        r#"Bearer error="insufficient_authorization_details""#
    );
    let offered = json!([{"type": "aims_tool", "actions": ["read"]}]);
    assert_eq!(
        body,
        json!({"title": "Forbidden", "status": 403, "authorization_details": offered})
    );
    // What is offered is enough.
    assert_eq!(scene.ask(&offering, offered).0, "ok");
}

/// Permits transfers up to an amount.
#[derive(Debug)]
struct Transfer(u64);

impl DetailType for Transfer {
    const TYPE: &'static str = "transfer";

    fn parse(entry: &str) -> Option<Self> {
        let entry: Value = serde_json::from_str(entry).ok()?;
        entry["amount"].as_u64().map(Self)
    }

    fn to_json(&self) -> String {
        json!({"type": "transfer", "amount": self.0}).to_string()
    }

    fn compare(&self, wanted: &Self) -> Verdict {
        match wanted.0 {
            it if it > self.0 => Verdict::Wider,
            it if it == self.0 => Verdict::Equal,
            _ => Verdict::Narrower,
        }
    }
}

/// The application types its own details.
#[test]
fn an_application_compares_its_own_type() {
    let scene = Scene::new();
    let route = Requirements::new().details(Transfer(50)).offer_details();
    let entry = |amount: Value| json!([{"type": "transfer", "amount": amount}]);
    assert_eq!(scene.ask(&route, entry(json!(50))).0, "ok");
    assert_eq!(scene.ask(&route, entry(json!(51))).0, "ok");
    let (code, _, _, body) = scene.ask(&route, entry(json!(49)));
    assert_eq!(code, "guard.details");
    assert_eq!(body["authorization_details"], entry(json!(50)));
    assert_eq!(scene.ask(&route, entry(json!("50"))).0, "guard.details");
    let elsewhere = json!([{"type": "transfer", "amount": 99, "locations": ["https://b.example"]}]);
    assert_eq!(scene.ask(&route, elsewhere).0, "guard.details");
}

/// Writes no entry of its type.
#[derive(Debug)]
struct Broken;

impl DetailType for Broken {
    const TYPE: &'static str = "broken";

    fn parse(_: &str) -> Option<Self> {
        None
    }

    fn to_json(&self) -> String {
        r#"{"type":"aims_tool"}"#.to_owned()
    }

    fn compare(&self, _: &Self) -> Verdict {
        Verdict::Undecidable
    }
}

#[test]
fn requirements_of_details_are_checked() {
    let scene = Scene::new();
    for route in [
        Requirements::new().details(Broken),
        Requirements::new().offer_details(),
        reading().identity_alone(),
    ] {
        let refused = scene.guard.requiring(route).unwrap_err();
        assert!(
            matches!(refused, BuildError::Requirements { .. }),
            "{refused}"
        );
    }
}
