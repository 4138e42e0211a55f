//! Authorization grants for another domain.

use aims_oauth_wire::delegate::{Crossing, Dimension, Kind, Verdict};
use serde_json::{Value, json};

use super::{at, differences, none, rights};

fn grant(parent: &Value, child: &Value) -> String {
    differences(Kind::AuthorizationGrant, parent, child)
}

/// DEL-01, TXC-02: a grant for another domain has its context in `txn_claims`, and its `client_id`
/// is no actor: it stays.
#[test]
fn a_grant_for_another_domain_is_compared() {
    assert_eq!(grant(&none(), &none()), "");
    let amount = |value: u64| json!({"txn_claims": {"amount": value}});
    assert_eq!(grant(&amount(1), &amount(1)), "");
    assert_eq!(grant(&amount(1), &amount(2)), "context:wider");
    assert_eq!(grant(&amount(1), &none()), "context:wider");
    assert_eq!(grant(&none(), &amount(1)), "context:narrower");
    // It has no other context, and an access token has this one not.
    let other = json!({"tctx": {}});
    assert_eq!(grant(&none(), &other), "other:undecidable");
    assert_eq!(at(&none(), &amount(1)), "other:undecidable");
    // Who may present it is no actor, and stays.
    let presenter = |name: &str| json!({"client_id": name});
    assert_eq!(grant(&presenter("there"), &presenter("there")), "");
    for (parent, child) in [
        (presenter("there"), presenter("other")),
        (presenter("there"), none()),
        (none(), presenter("there")),
    ] {
        assert_eq!(grant(&parent, &child), "other:undecidable", "{parent}");
    }
    let act = json!({"act": {"iss": "https://as.example", "sub": "a"}});
    assert_eq!(grant(&none(), &act), "actors:narrower");
    assert_eq!(grant(&act, &none()), "actors:wider");
    for claim in ["sub", "iat", "jti"] {
        let gone = json!({claim: "-"});
        assert_eq!(grant(&gone, &gone), "other:undecidable", "{claim}");
    }
}

/// TXC-02: the services of a domain are not told to another one.
#[test]
fn a_crossing_may_begin_a_new_chain() {
    let act = |sub: &str| json!({"act": {"iss": "https://as.example", "sub": sub}});
    let parent = rights(Kind::TransactionToken, &act("a"));
    let crossing = Crossing::new(Kind::AuthorizationGrant, Some("https://as.example"));
    let kept = crossing.clone().translate(&parent);
    let begun = crossing.without_actors().translate(&parent);
    for (changes, expected) in [
        (none(), [Verdict::Wider, Verdict::Equal]),
        (act("b"), [Verdict::Wider, Verdict::Narrower]),
    ] {
        let child = rights(Kind::AuthorizationGrant, &changes);
        let found = [&kept, &begun].map(|it| it.compare(&child).of(Dimension::Actors));
        assert_eq!(found, expected);
    }
}
