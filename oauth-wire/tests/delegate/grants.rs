//! Authorization grants for another domain.

use aims_oauth_wire::delegate::{Crossing, Dimension, Kind, ScopeTable, Verdict};
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

/// DEL-02: what may limit the parent does not stay behind unseen.
#[test]
fn an_unknown_claim_crosses_or_is_named() {
    let parent = |changes: &Value| rights(Kind::AccessToken, changes);
    let crossing = || {
        Crossing::new(Kind::TransactionToken, None)
            .scopes_inward(ScopeTable::new([("read", "read"), ("write", "write")]).unwrap())
            .audience("https://a.example", "trust-domain.example")
            .claim("txn", "t-1")
    };
    let act = json!({"act": {"iss": "https://as.example", "sub": "agent"}});
    let child = rights(Kind::TransactionToken, &act);
    let other = |crossing: Crossing, changes: &Value| {
        let found = crossing.translate(&parent(changes)).compare(&child);
        assert_eq!(found.verdict(), found.of(Dimension::Other));
        found.of(Dimension::Other)
    };
    assert_eq!(other(crossing(), &none()), Verdict::Equal);
    let limit = json!({"max_amount": 5});
    assert_eq!(other(crossing(), &limit), Verdict::Undecidable);
    assert_eq!(
        other(crossing().carry("max_amount"), &limit),
        Verdict::Undecidable
    );
    assert_eq!(
        other(crossing().leave("max_amount"), &limit),
        Verdict::Equal
    );
    let user =
        json!({"email": "a@example.com", "sid": "1", "groups": ["a"], "may_act": {"sub": "x"}});
    assert_eq!(other(crossing(), &user), Verdict::Equal);
}

/// DEL-01: a transaction for one call ends in a token for this call alone.
#[test]
fn the_call_of_a_transaction_stays_beyond_the_border() {
    let tctx = json!({"call_digest": "d-1"});
    let parent = rights(
        Kind::TransactionToken,
        &json!({"tctx": tctx, "scope": "read"}),
    );
    let crossing = |kind| {
        Crossing::new(kind, Some("https://as.example"))
            .scopes_inward(ScopeTable::new([("read", "read")]).unwrap())
            .audience("trust-domain.example", "https://out.example")
    };
    let details = |call: &str| json!([{"type": "aims_tool", "call_digest": call}]);
    let child = |kind, changes: Value| {
        let mut all = json!({
            "aud": "https://out.example", "scope": "read",
            "act": {"iss": "https://as.example", "sub": "agent"}
        });
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        let child = rights(kind, &all);
        crossing(kind).translate(&parent).compare(&child)
    };
    let at = |changes| child(Kind::AccessToken, changes).of(Dimension::Details);
    assert_eq!(at(json!({"tctx": tctx})), Verdict::Wider);
    assert_eq!(
        at(json!({"tctx": tctx, "authorization_details": details("d-2")})),
        Verdict::Wider
    );
    let grant = |changes| child(Kind::AuthorizationGrant, changes).verdict();
    assert_eq!(
        grant(json!({"txn_claims": tctx, "txn": "t-1"})),
        Verdict::Narrower
    );
    assert_eq!(
        grant(json!({"txn_claims": {"call_digest": "d-2"}})),
        Verdict::Wider
    );
    assert_eq!(grant(json!({"tctx": tctx})), Verdict::Wider);
}
