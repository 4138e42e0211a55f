//! Actors of a parent and a child: the chain `act`, and the client where there is none.

use serde_json::{Value, json};

use super::{at, none, txn};

/// A chain of actors, the current one first.
pub(crate) fn act(actors: &[(&str, &str)]) -> Value {
    actors.iter().rev().fold(Value::Null, |inner, (iss, sub)| {
        let mut act = json!({"sub": sub});
        if !iss.is_empty() {
            act["iss"] = json!(iss);
        }
        if !inner.is_null() {
            act["act"] = inner;
        }
        act
    })
}

#[test]
fn actors_are_only_appended() {
    let chain = |actors: &[(&str, &str)]| json!({"act": act(actors), "client_id": actors[0].1});
    let parent = chain(&[("", "b"), ("", "a")]);
    for (child, expected) in [
        (chain(&[("", "b"), ("", "a")]), ""),
        (chain(&[("", "c"), ("", "b"), ("", "a")]), "actors:narrower"),
        // Dropped, changed, reordered, cut.
        (chain(&[("", "c"), ("", "a")]), "actors:wider"),
        (chain(&[("", "c"), ("", "b")]), "actors:wider"),
        (chain(&[("", "a"), ("", "b")]), "actors:wider"),
        (chain(&[("", "b")]), "actors:wider"),
        (
            chain(&[("", "c"), ("", "b"), ("", "x"), ("", "a")]),
            "actors:wider",
        ),
        (json!({"client_id": "b"}), "actors:wider"),
        // One twice.
        (chain(&[("", "a"), ("", "b"), ("", "a")]), "actors:wider"),
        (chain(&[("", "b"), ("", "b"), ("", "a")]), "actors:wider"),
        // An actor is its issuer's.
        (chain(&[("https://as.example", "b"), ("", "a")]), ""),
        (
            chain(&[("https://other.example", "b"), ("", "a")]),
            "actors:wider",
        ),
        (
            chain(&[("https://other.example", "a"), ("", "b"), ("", "a")]),
            "actors:narrower",
        ),
        (
            json!({"act": {"sub": "b", "act": {"sub": "a", "iss": 1}}}),
            "actors:undecidable",
        ),
        (
            json!({"act": {"iss": "https://as.example"}}),
            "actors:undecidable",
        ),
        (json!({"act": "b"}), "actors:undecidable"),
        (json!({"act": null}), "actors:undecidable"),
    ] {
        assert_eq!(at(&parent, &child), expected, "{child}");
    }
}

/// The tail is looked at before the length.
#[test]
fn another_chain_is_wider_whatever_its_length() {
    let names = ["f", "e", "d", "c", "b", "a"].map(|name| ("", name));
    let long = json!({"act": act(&names), "client_id": "f"});
    assert_eq!(at(&long, &json!({"client_id": "x"})), "actors:wider");
    assert_eq!(at(&long, &long), "actors:undecidable");
}

/// RFC 8693 §4.1: an `act` may say more of an actor than who it is.
#[test]
fn what_is_said_of_an_actor_stays() {
    let act = |role: &str| json!({"act": {"sub": "agent", "role": role}});
    let parent = act("reader");
    let appended = |role: &str| json!({"client_id": "c", "act": {"sub": "c", "role": "new", "act": {"sub": "agent", "role": role}}});
    for (child, expected) in [
        (act("reader"), ""),
        (appended("reader"), "actors:narrower"),
        (act("admin"), "actors:undecidable"),
        (appended("admin"), "actors:undecidable"),
        (json!({"act": {"sub": "agent"}}), "actors:undecidable"),
        (
            json!({"act": {"sub": "agent", "role": "reader", "cnf": {}}}),
            "actors:undecidable",
        ),
        // The same party twice, whatever is said of it.
        (
            json!({"act": {"sub": "agent", "role": "b", "act": {"sub": "agent", "role": "reader"}}}),
            "actors:wider",
        ),
    ] {
        assert_eq!(at(&parent, &child), expected, "{child}");
    }
    // A client that becomes an actor gets no more than its name.
    assert_eq!(at(&none(), &act("admin")), "actors:undecidable");
    assert_eq!(at(&none(), &json!({"act": {"sub": "agent"}})), "");
}

/// The name of the current actor beside `act`.
#[test]
fn the_client_is_an_actor() {
    let two = act(&[("", "b"), ("", "agent")]);
    for (parent, child, expected) in [
        // Without `act`, the client is the one actor.
        (json!({}), json!({"act": {"sub": "agent"}}), ""),
        (json!({"act": {"sub": "agent"}}), json!({}), ""),
        (json!({}), json!({"client_id": "b"}), "actors:wider"),
        (
            json!({}),
            json!({"act": {"sub": "b"}, "client_id": "b"}),
            "actors:wider",
        ),
        // The outermost actor, or the parent's client.
        (
            json!({}),
            json!({"act": two, "client_id": "b"}),
            "actors:narrower",
        ),
        (
            json!({}),
            json!({"act": two, "client_id": "agent"}),
            "actors:narrower",
        ),
        (
            json!({}),
            json!({"act": two, "client_id": "c"}),
            "actors:undecidable",
        ),
        (
            json!({}),
            json!({"act": two, "client_id": "-"}),
            "actors:undecidable",
        ),
        (
            json!({}),
            json!({"act": two, "client_id": ""}),
            "actors:undecidable",
        ),
        (
            json!({"client_id": "-"}),
            json!({"client_id": "-"}),
            "actors:undecidable",
        ),
    ] {
        assert_eq!(at(&parent, &child), expected, "{parent} {child}");
    }
    // A transaction token needs no client.
    let appended = json!({"act": {"sub": "b"}});
    assert_eq!(txn(&none(), &appended), "actors:narrower");
    assert_eq!(txn(&appended, &none()), "actors:wider");
    assert_eq!(txn(&appended, &json!({"client_id": "b"})), "");
}

#[test]
fn a_chain_has_five_actors() {
    let of = |count: usize| {
        let names = ["f", "e", "d", "c", "b", "a"];
        let chain: Vec<_> = names[6 - count..].iter().map(|name| ("", *name)).collect();
        json!({"act": act(&chain), "client_id": chain[0].1})
    };
    assert_eq!(at(&of(4), &of(5)), "actors:narrower");
    assert_eq!(at(&of(5), &of(5)), "");
    assert_eq!(at(&of(5), &of(6)), "actors:wider");
    // A parent that no server should have issued.
    assert_eq!(at(&of(6), &of(6)), "actors:undecidable");
}
