//! `authorization_details` (RFC 9396): parsing, the resource of an entry, and the type `aims_tool`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_oauth_wire::authorization_details::{
    AuthorizationDetails, DetailType, MAX_ENTRIES, ToolDetail,
};
use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::delegate::{Kind, Rights, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

const TOOL: &str = "https://tools.example/mcp";

fn parsed(json: &str) -> Result<AuthorizationDetails, &'static str> {
    AuthorizationDetails::parse(json).map_err(|error| error.code())
}

#[test]
fn the_claim_is_an_array_of_objects_with_a_type() {
    let entry = r#"{"type":"a"}"#;
    let many = |count: usize| format!("[{}]", vec![entry; count].join(","));
    for (json, count) in [
        ("[]".to_owned(), 0),
        (many(1), 1),
        (many(MAX_ENTRIES), MAX_ENTRIES),
    ] {
        let read = parsed(&json).unwrap();
        assert_eq!(read.types().count(), count);
        assert_eq!(read.is_empty(), count == 0);
        assert_eq!(parsed(&read.to_json()).unwrap(), read);
    }
    for json in [
        "",
        "{}",
        "null",
        r#"{"type":"a"}"#,
        r#"["a"]"#,
        "[null]",
        "[{}]",
        r#"[{"type":""}]"#,
        r#"[{"type":1}]"#,
        r#"[{"type":null}]"#,
        r#"[{"type":"a","type":"b"}]"#,
        r#"[{"type":"a","x":1,"x":2}]"#,
        r#"[["type","a"]]"#,
        r#"[{"type":"a"}] x"#,
        &many(MAX_ENTRIES + 1),
    ] {
        assert_eq!(parsed(json), Err("oauth.authorization_details"), "{json}");
    }
}

/// An entry with `locations` is for these resources alone.
#[test]
fn an_entry_is_for_its_locations() {
    let permits = |locations: Value, resource: &str| {
        let entry = json!([{"type": "aims_tool", "actions": ["x"], "locations": locations}]);
        let read = parsed(&entry.to_string()).unwrap();
        read.permit(&ToolDetail::new().actions(["x"]), resource)
    };
    assert!(permits(json!([TOOL]), TOOL));
    assert!(permits(json!(["https://b.example", TOOL]), TOOL));
    // A URL without a path has two spellings (RFC 3986 §6.2.3).
    assert!(permits(json!(["https://t.example/"]), "https://t.example"));
    assert!(permits(json!(["https://t.example"]), "https://t.example/"));
    for other in [
        json!([]),
        json!(["https://tools.example/mcp/"]),
        json!(["https://tools.example"]),
        json!(["HTTPS://tools.example/mcp"]),
        json!([""]),
        json!(TOOL),
        json!([TOOL, 1]),
        json!(null),
    ] {
        assert!(!permits(other.clone(), TOOL), "{other}");
    }
}

/// The entries of an application's own type: those of another type, or for other resources, are not
/// given to it.
#[test]
fn an_entry_of_an_own_type_is_for_its_locations() {
    #[derive(Debug)]
    struct Any;

    impl DetailType for Any {
        const TYPE: &'static str = "own";

        fn parse(_: &str) -> Option<Self> {
            Some(Self)
        }

        fn to_json(&self) -> String {
            r#"{"type":"own"}"#.to_owned()
        }

        fn compare(&self, _: &Self) -> Verdict {
            Verdict::Equal
        }
    }
    for (entry, expected) in [
        (json!({"type": "own"}), true),
        (json!({"type": "own", "locations": [TOOL]}), true),
        (json!({"type": "Own"}), false),
        (json!({"type": "other"}), false),
        (
            json!({"type": "own", "locations": ["https://b.example"]}),
            false,
        ),
        (json!({"type": "own", "locations": []}), false),
        (json!({"type": "own", "locations": TOOL}), false),
    ] {
        let granted = parsed(&json!([entry]).to_string()).unwrap();
        assert_eq!(granted.permit(&Any, TOOL), expected, "{entry}");
    }
}

/// `wanted` may name its locations itself.
#[test]
fn wanted_locations_are_granted_ones() {
    let granted = ToolDetail::new()
        .actions(["x"])
        .locations([TOOL, "https://b.example"]);
    let here = ToolDetail::new().actions(["x"]).locations([TOOL]);
    let elsewhere = ToolDetail::new()
        .actions(["x"])
        .locations(["https://c.example"]);
    assert!(granted.permits(&here, TOOL));
    assert!(!granted.permits(&elsewhere, TOOL));
    let anywhere = ToolDetail::new().actions(["x"]);
    assert!(!anywhere.permits(&here, TOOL));
    // An entry for other resources permits nothing here.
    assert!(granted.permits(&anywhere, TOOL));
    let other = ToolDetail::new()
        .actions(["x"])
        .locations(["https://b.example"]);
    assert!(!other.permits(&anywhere, TOOL));
}

#[test]
fn only_a_types_own_entry_is_added() {
    #[derive(Debug)]
    struct Written(&'static str);

    impl DetailType for Written {
        const TYPE: &'static str = "own";

        fn parse(_: &str) -> Option<Self> {
            None
        }

        fn to_json(&self) -> String {
            self.0.to_owned()
        }

        fn compare(&self, _: &Self) -> Verdict {
            Verdict::Undecidable
        }
    }
    let add = |text| {
        let added = AuthorizationDetails::default().with(&Written(text));
        added.map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(add(r#"{"type":"own"}"#), "ok");
    for text in [
        r#"{"type":"other"}"#,
        "{}",
        "",
        r#"{"type":"own"},{"type":"own"}"#,
        r#"{"type":"own"}],["#,
    ] {
        assert_eq!(add(text), "oauth.authorization_details", "{text}");
    }
    let mut full = AuthorizationDetails::default();
    for _ in 0..MAX_ENTRIES {
        full = full.with(&Written(r#"{"type":"own"}"#)).unwrap();
    }
    assert!(full.with(&Written(r#"{"type":"own"}"#)).is_err());
}

/// Returns the claims of an access token with these details.
fn rights(entry: &ToolDetail) -> Rights {
    let details: Value = serde_json::from_str(&entry.to_json()).unwrap();
    let claims = json!({
        "iss": "https://as.example", "sub": "a", "aud": TOOL, "client_id": "c", "jti": "1",
        "iat": 1, "exp": 9, "scope": "s", "authorization_details": [details],
    });
    Rights::read(Kind::AccessToken, claims.to_string().as_bytes()).unwrap()
}

fn entry() -> impl Strategy<Value = ToolDetail> {
    let set = || proptest::option::of(proptest::collection::btree_set("[abc]", 0..3));
    (set(), set(), set(), set()).prop_map(|(locations, actions, datatypes, privileges)| {
        let mut entry = ToolDetail::new();
        if let Some(it) = locations {
            entry = entry.locations(it);
        }
        if let Some(it) = actions {
            entry = entry.actions(it);
        }
        if let Some(it) = datatypes {
            entry = entry.datatypes(it);
        }
        if let Some(it) = privileges {
            entry = entry.privileges(it);
        }
        entry
    })
}

proptest! {
    /// Written details are read again, and permit themselves.
    #[test]
    fn an_entry_is_read_as_it_was_written(entry in entry()) {
        let read = ToolDetail::parse(&entry.to_json()).unwrap();
        prop_assert_eq!(&read, &entry);
        prop_assert_eq!(entry.compare(&read), Verdict::Equal);
    }

    /// The comparison is the one of delegated tokens: a route permits what a parent may hand on.
    #[test]
    fn both_comparisons_agree(one in entry(), other in entry()) {
        let compared = one.compare(&other);
        let delegated = rights(&one).compare(&rights(&other));
        let details = delegated.of(aims_oauth_wire::delegate::Dimension::Details);
        prop_assert_eq!(compared.is_no_more(), details.is_no_more());
        if compared.is_no_more() && other.compare(&one).is_no_more() {
            prop_assert_eq!(compared, Verdict::Equal);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        if let Ok(read) = AuthorizationDetails::parse(&text) {
            prop_assert_eq!(AuthorizationDetails::parse(&read.to_json()).unwrap(), read);
        }
    }
}

fn call() -> ToolCall {
    ToolCall::new("transfer", Some(br#"{"to":"bob","amount":10}"#)).unwrap()
}

#[test]
fn an_entry_for_one_call_is_written_and_read() {
    let entry = ToolDetail::for_call(&call()).locations([TOOL]);
    let read = ToolDetail::parse(&entry.to_json()).unwrap();
    assert_eq!(read, entry);
    assert_eq!(read.call().unwrap(), Some(call()));
    // It permits nothing else of the tool, and no other entry permits the call.
    let any = ToolDetail::new().actions(["transfer"]);
    assert!(!entry.permits(&any, TOOL) && !any.permits(&ToolDetail::for_call(&call()), TOOL));
    assert!(!any.is_for_call());
    assert_eq!(any.call().unwrap(), None);
    let details = call().details(TOOL);
    assert_eq!(details.of::<ToolDetail>(TOOL).collect::<Vec<_>>(), [entry]);
    assert_eq!(details.of::<ToolDetail>("https://other.example").count(), 0);
}

/// Each entry differs in one member from a good one.
#[test]
fn an_entry_for_one_call_is_whole_and_of_one_call() {
    let digest = call().digest().to_string();
    let good = json!({
        "type": "aims_tool", "actions": ["transfer"], "tool": "transfer",
        "arguments": {"to": "bob", "amount": 10.0}, "call_digest": digest,
    });
    let read = |entry: &Value| ToolDetail::parse(&entry.to_string()).unwrap();
    assert_eq!(read(&good).call().unwrap(), Some(call()));
    let other = ToolCall::new("transfer", Some(b"{}")).unwrap();
    for (member, value) in [
        ("tool", None),
        ("arguments", None),
        ("call_digest", None),
        ("tool", Some(json!("Transfer"))),
        ("tool", Some(json!(1))),
        ("arguments", Some(json!({"to": "bob", "amount": 11}))),
        ("arguments", Some(json!({"to": "eve", "amount": 10}))),
        (
            "arguments",
            Some(json!({"to": "bob", "amount": 10, "x": null})),
        ),
        ("arguments", Some(json!([]))),
        ("call_digest", Some(json!(other.digest().to_string()))),
        ("call_digest", Some(json!("x"))),
        ("actions", Some(json!(["list"]))),
        ("actions", Some(json!(["transfer", "list"]))),
        ("actions", Some(json!([]))),
    ] {
        let mut entry = good.clone();
        let members = entry.as_object_mut().unwrap();
        members.remove(member);
        if let Some(value) = &value {
            members.insert(member.to_owned(), value.clone());
        }
        let found = read(&entry);
        assert!(found.is_for_call(), "{entry}");
        let error = found.call().unwrap_err();
        assert_eq!(error.code(), "oauth.authorization_details", "{entry}");
    }
}
