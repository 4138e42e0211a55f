//! The laws of an order, exhaustively on small sets: reflexive; transitive; antisymmetric, apart
//! from redundant details; and `meet` is the greatest that is no more than either.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_oauth_wire::delegate::{Kind, Rights, Verdict};
use serde_json::{Value, json};

/// Each combination of these changes to a token.
fn family(base: &Value, dimensions: &[(&str, Vec<Value>)]) -> Vec<Value> {
    let mut all = vec![base.clone()];
    for (name, values) in dimensions {
        let with = |one: &Value, value: &Value| {
            let mut one = one.clone();
            if !value.is_null() {
                let members = one.as_object_mut().unwrap();
                members.insert((*name).to_owned(), value.clone());
            }
            one
        };
        all = all
            .iter()
            .flat_map(|one| values.iter().map(move |value| with(one, value)))
            .collect();
    }
    all
}

fn access() -> Value {
    json!({
        "iss": "https://as.example", "sub": "alice", "aud": "https://a.example",
        "client_id": "a", "jti": "1", "iat": 1, "exp": 9, "scope": "r"
    })
}

fn transaction() -> Value {
    json!({
        "aud": "d", "iat": 1, "exp": 9, "txn": "t", "sub": "alice", "scope": "r", "req_wl": "w"
    })
}

/// The law that does not hold in a family.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Except {
    Nothing,
    /// An entry that another entry covers can be dropped and added.
    Antisymmetry,
    /// With other keys for other actors, several lower bounds may have none above them.
    Meets,
}

fn check(kind: Kind, claims: &[Value], except: Except) {
    let all: Vec<Rights> = claims
        .iter()
        .map(|claims| Rights::read(kind, claims.to_string().as_bytes()).unwrap())
        .collect();
    let below: Vec<Vec<bool>> = all
        .iter()
        .map(|parent| {
            let verdicts = all.iter().map(|child| parent.compare(child).verdict());
            verdicts.map(Verdict::is_no_more).collect()
        })
        .collect();
    let is_below = |child: usize, parent: usize| *below.get(parent).unwrap().get(child).unwrap();
    for (one, rights) in all.iter().enumerate() {
        assert_eq!(rights.compare(rights).verdict(), Verdict::Equal);
        for (two, other) in all.iter().enumerate() {
            let is_strict = except != Except::Antisymmetry;
            if is_strict && is_below(one, two) && is_below(two, one) {
                let verdicts = [rights.compare(other), other.compare(rights)];
                assert!(verdicts.iter().all(|it| it.verdict() == Verdict::Equal));
            }
            // A narrower verdict is strict: the way back is refused.
            if is_strict && rights.compare(other).verdict() == Verdict::Narrower {
                assert!(!is_below(one, two), "{rights:?} {other:?}");
            }
            let meet = rights.meet(other);
            if let Some(meet) = &meet {
                assert!(rights.compare(meet).verdict().is_no_more());
                assert!(other.compare(meet).verdict().is_no_more());
                assert_eq!(meet.compare(meet).verdict(), Verdict::Equal);
            }
            for three in 0..all.len() {
                if is_below(three, two) && is_below(two, one) {
                    assert!(is_below(three, one), "{one} {two} {three}");
                }
                if !(is_below(three, one) && is_below(three, two)) {
                    continue;
                }
                match &meet {
                    Some(meet) => {
                        let lower = all.get(three).unwrap();
                        assert!(
                            meet.compare(lower).verdict().is_no_more(),
                            "{rights:?}\n{other:?}\n{meet:?}\n{lower:?}"
                        );
                    }
                    None => assert!(except == Except::Meets, "{rights:?}\n{other:?}\n{three}"),
                }
            }
        }
    }
}

#[test]
fn scopes_audiences_and_times() {
    let claims = family(
        &access(),
        &[
            ("scope", vec![json!("r"), json!("w"), json!("r w")]),
            ("aud", vec![json!("a"), json!("b"), json!(["a", "b"])]),
            ("exp", vec![json!(8), json!(9)]),
            ("nbf", vec![json!(null), json!(2), json!(3)]),
        ],
    );
    assert_eq!(claims.len(), 54);
    check(Kind::AccessToken, &claims, Except::Nothing);
}

#[test]
fn details() {
    let tool = |locations: &[&str], actions: Option<&[&str]>| {
        let mut tool = json!({"type": "aims_tool", "locations": locations});
        if let Some(actions) = actions {
            let members = tool.as_object_mut().unwrap();
            members.insert("actions".to_owned(), json!(actions));
        }
        tool
    };
    let (one, two) = (
        tool(&["x"], Some(&["p"])),
        tool(&["x", "y"], Some(&["p", "q"])),
    );
    let (three, bare) = (tool(&["y"], Some(&["p", "q"])), tool(&["x"], None));
    let other = json!({"type": "other", "n": 1});
    let call = json!({"type": "aims_tool", "call_digest": "d"});
    let mut values = vec![json!(null), json!([])];
    let entries = [one, two, three, bare, other, call];
    for (index, first) in entries.iter().enumerate() {
        values.push(json!([first]));
        for second in entries.iter().skip(index + 1) {
            values.push(json!([first, second]));
        }
    }
    let tctx = vec![json!(null), json!({"call_digest": "d"})];
    let claims = family(
        &transaction(),
        &[("authorization_details", values), ("tctx", tctx)],
    );
    assert_eq!(claims.len(), 46);
    check(Kind::TransactionToken, &claims, Except::Antisymmetry);
}

#[test]
fn contexts_and_logins() {
    let claims = family(
        &transaction(),
        &[
            (
                "tctx",
                vec![
                    json!(null),
                    json!({}),
                    json!({"a": 1}),
                    json!({"a": 2}),
                    json!({"b": 1}),
                    json!({"a": 1, "b": 1}),
                ],
            ),
            ("acr", vec![json!(null), json!("x"), json!("y")]),
            ("amr", vec![json!(null), json!(["x"])]),
            ("x", vec![json!(null), json!(1)]),
        ],
    );
    assert_eq!(claims.len(), 72);
    check(Kind::TransactionToken, &claims, Except::Nothing);
}

const KEY: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const OTHER: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

#[test]
fn actors_and_keys() {
    let claims = family(
        &transaction(),
        &[
            (
                "act",
                vec![
                    json!(null),
                    json!({"sub": "a"}),
                    json!({"sub": "b"}),
                    json!({"sub": "b", "act": {"sub": "a"}}),
                    json!({"sub": "c", "act": {"sub": "b", "act": {"sub": "a"}}}),
                ],
            ),
            (
                "cnf",
                vec![
                    json!(null),
                    json!({"jkt": KEY}),
                    json!({"jkt": OTHER}),
                    json!({"x5t#S256": KEY}),
                    json!({"jkt": KEY, "x5t#S256": KEY}),
                ],
            ),
        ],
    );
    assert_eq!(claims.len(), 25);
    check(Kind::TransactionToken, &claims, Except::Meets);
}

/// Grants for another domain: the call of their transaction.
#[test]
fn calls_of_grants() {
    let base = json!({
        "iss": "https://as.example", "sub": "alice", "aud": "https://as.other.example",
        "jti": "1", "iat": 1, "exp": 9, "scope": "r"
    });
    let details = json!([{"type": "aims_tool", "call_digest": "d"}]);
    let claims = family(
        &base,
        &[
            ("client_id", vec![json!("a"), json!("b")]),
            ("authorization_details", vec![json!(null), details]),
            (
                "txn_claims",
                vec![
                    json!(null),
                    json!({"call_digest": "d"}),
                    json!({"call_digest": "e"}),
                ],
            ),
        ],
    );
    assert_eq!(claims.len(), 12);
    check(Kind::AuthorizationGrant, &claims, Except::Nothing);
}
