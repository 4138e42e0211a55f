//! Authorization details (RFC 9396) of a parent and a child.

use serde_json::{Value, json};

use super::{at, none, txn};

fn tool(changes: &Value) -> Value {
    let mut all = json!({
        "type": "aims_tool", "locations": ["https://a.example", "https://b.example"],
        "actions": ["list", "pay"], "identifier": "x"
    });
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

fn details(parent: &Value, child: &Value) -> String {
    at(
        &json!({"authorization_details": parent}),
        &json!({"authorization_details": child}),
    )
}

#[test]
fn entries_of_tools_are_compared_as_sets() {
    let whole = json!([tool(&none())]);
    for (change, expected) in [
        (json!({}), ""),
        (
            json!({"locations": ["https://b.example", "https://a.example"]}),
            "",
        ),
        (
            json!({"locations": ["https://a.example"]}),
            "details:narrower",
        ),
        (json!({"locations": []}), "details:narrower"),
        (json!({"locations": ["https://c.example"]}), "details:wider"),
        (
            json!({"actions": ["pay"]}),
            "actions:narrower details:narrower",
        ),
        (
            json!({"actions": ["pay", "close"]}),
            "actions:wider details:wider",
        ),
        // One member narrower, one wider.
        (
            json!({"actions": ["pay"], "locations": ["https://c.example"]}),
            "actions:narrower details:wider",
        ),
        // On one side alone.
        (json!({"locations": "-"}), "details:undecidable"),
        (
            json!({"actions": "-"}),
            "actions:undecidable details:undecidable",
        ),
        (json!({"datatypes": ["account"]}), "details:undecidable"),
        (json!({"privileges": []}), "details:undecidable"),
        // All else is equal.
        (json!({"identifier": "y"}), "details:undecidable"),
        (json!({"identifier": "-"}), "details:undecidable"),
        (json!({"tool": "pay"}), "details:undecidable"),
        // Malformed.
        (
            json!({"actions": "pay"}),
            "actions:undecidable details:undecidable",
        ),
        (
            json!({"actions": [1]}),
            "actions:undecidable details:undecidable",
        ),
        (
            json!({"type": "-"}),
            "actions:undecidable details:undecidable",
        ),
    ] {
        assert_eq!(
            details(&whole, &json!([tool(&change)])),
            expected,
            "{change}"
        );
    }
    for member in ["datatypes", "privileges"] {
        let of = |values: Value| json!([tool(&json!({member: values}))]);
        let case = details(&of(json!(["a", "b"])), &of(json!(["b"])));
        assert_eq!(case, "details:narrower");
        let case = details(&of(json!(["a"])), &of(json!(["a", "b"])));
        assert_eq!(case, "details:wider");
    }
}

#[test]
fn each_entry_is_within_one_of_the_parents() {
    let one = tool(&json!({"locations": ["https://a.example"], "actions": ["list"]}));
    let two = tool(&json!({"locations": ["https://b.example"], "actions": ["pay"]}));
    let both = json!([one, two]);
    for (child, expected) in [
        (json!([two, one]), ""),
        (json!([one, one, two]), ""),
        (json!([two]), "actions:narrower details:narrower"),
        // Neither of the two has both.
        (
            json!([tool(
                &json!({"locations": ["https://a.example"], "actions": ["pay"]})
            )]),
            "actions:narrower details:wider",
        ),
        (json!([one, two, tool(&none())]), "details:wider"),
        (
            json!([one, {"type": "other"}]),
            "actions:narrower details:undecidable",
        ),
    ] {
        assert_eq!(details(&both, &child), expected, "{child}");
    }
    // The entry at the same place is wider, and another one is equal.
    let wide = tool(&json!({"locations": ["https://a.example"], "actions": ["list", "pay"]}));
    assert_eq!(details(&json!([wide, one]), &json!([one, wide])), "");
    // An entry where the parent has none.
    let none_there = json!({});
    let child = json!({"authorization_details": [one]});
    assert_eq!(at(&none_there, &child), "actions:wider details:wider");
}

/// Without a comparator for the type, only equality is known to be no more.
#[test]
fn another_type_is_equal_or_undecidable() {
    let parent = json!([{"type": "payment", "amount": 10.0, "to": ["a", "b"]}]);
    for (child, expected) in [
        (
            json!([{"to": ["a", "b"], "amount": 10, "type": "payment"}]),
            "",
        ),
        (
            json!([{"type": "payment", "amount": 5, "to": ["a", "b"]}]),
            "details:undecidable",
        ),
        (
            json!([{"type": "payment", "amount": 10, "to": ["a"]}]),
            "details:undecidable",
        ),
        (json!([{"type": "AIMS_TOOL"}]), "details:undecidable"),
    ] {
        assert_eq!(details(&parent, &child), expected, "{child}");
    }
}

/// The number of entries is bounded.
#[test]
fn many_entries_are_undecidable() {
    let entries = |count: usize| json!(vec![json!({"type": "a"}); count]);
    assert_eq!(details(&entries(64), &entries(64)), "");
    let one_more = details(&entries(65), &entries(65));
    assert_eq!(one_more, "actions:undecidable details:undecidable");
}

#[test]
fn dropping_entries_narrows() {
    let parent = json!({"authorization_details": [{"type": "a"}, {"type": "b"}]});
    let fewer = json!({"authorization_details": [{"type": "b"}]});
    assert_eq!(at(&parent, &fewer), "details:narrower");
    assert_eq!(at(&parent, &none()), "details:narrower");
    assert_eq!(
        at(&parent, &json!({"authorization_details": []})),
        "details:narrower"
    );
    // Without a scope, nothing would say any more what the token is for.
    let mut bare = parent.clone();
    bare["scope"] = json!("-");
    assert_eq!(at(&bare, &json!({"scope": "-"})), "details:undecidable");
    let fewer = json!({"scope": "-", "authorization_details": [{"type": "b"}]});
    assert_eq!(at(&bare, &fewer), "details:narrower");
    // Not a list.
    let object = json!({"authorization_details": {}});
    assert_eq!(
        at(&object, &object),
        "actions:undecidable details:undecidable"
    );
}

/// An approval of one call stays one of that call.
#[test]
fn a_call_digest_stays() {
    let bound = |digest: &str| json!({"type": "aims_tool", "call_digest": digest});
    let parent = json!({"authorization_details": [bound("d-1"), {"type": "other"}]});
    let child = |entries: Value| at(&parent, &json!({"authorization_details": entries}));
    assert_eq!(child(json!([bound("d-1"), {"type": "other"}])), "");
    assert_eq!(child(json!([bound("d-1")])), "details:narrower");
    assert_eq!(
        child(json!([{"type": "other"}])),
        "actions:narrower details:wider"
    );
    assert_eq!(child(json!([bound("d-2")])), "details:wider");
    assert_eq!(child(json!([{"type": "aims_tool"}])), "details:wider");
    assert_eq!(at(&parent, &none()), "actions:narrower details:wider");
    // A transaction token carries it in its context, which no server reads in an access token.
    let carried = json!({"tctx": {"call_digest": "d-1"}});
    let lost = "actions:narrower details:wider context:narrower";
    assert_eq!(
        txn(&parent, &carried),
        "actions:narrower details:narrower context:narrower"
    );
    assert_eq!(at(&parent, &carried), lost);
    let another = json!({"tctx": {"call_digest": "d-2"}});
    assert_eq!(txn(&parent, &another), lost);
    let number = json!({"authorization_details": [{"type": "x", "call_digest": 1}]});
    assert_eq!(
        at(&number, &number),
        "actions:undecidable details:undecidable"
    );
}
