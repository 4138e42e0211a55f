//! Delegation that never grows: each case differs from an equal child in one thing.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod actors;
mod details;
mod grants;

use actors::act;
use aims_oauth_wire::delegate::{Dimension, Kind, Rights, Verdict, delegate};
use serde_json::{Value, json};

use Verdict::{Equal, Narrower, Undecidable, Wider};

fn claims(kind: Kind) -> Value {
    match kind {
        Kind::AccessToken => json!({
            "iss": "https://as.example", "sub": "alice", "aud": ["https://a.example", "https://b.example"],
            "client_id": "agent", "jti": "1", "iat": 1_000, "exp": 2_000, "scope": "read write"
        }),
        Kind::AuthorizationGrant => json!({
            "iss": "https://as.example", "sub": "alice", "aud": "https://as.other.example",
            "jti": "1", "iat": 1_000, "exp": 2_000, "scope": "read write"
        }),
        _ => json!({
            "aud": "trust-domain.example", "iat": 1_000, "exp": 2_000, "txn": "t-1",
            "sub": "alice", "scope": "read write", "req_wl": "gateway"
        }),
    }
}

/// The claims of a kind with these changes; `"-"` takes a claim out.
fn with(kind: Kind, changes: &Value) -> Value {
    let mut all = claims(kind);
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

fn rights(kind: Kind, changes: &Value) -> Rights {
    Rights::read(kind, with(kind, changes).to_string().as_bytes()).unwrap()
}

/// The verdicts other than `equal`, as `dimension:verdict`, for a parent and a child with these
/// changes.
fn differences(kind: Kind, parent: &Value, child: &Value) -> String {
    let (parent, child) = (rights(kind, parent), rights(kind, child));
    let compared = parent.compare(&child);
    let refused = delegate(&parent, child);
    assert_eq!(refused.is_ok(), compared.verdict().is_no_more());
    if let Err(refused) = refused {
        assert_eq!(refused.verdict, compared.verdict());
        assert_eq!(refused.code(), format!("delegate.{}", refused.dimension));
        assert!(!refused.reason.is_empty());
    }
    let all = Dimension::ALL.iter().map(|it| (it, compared.of(*it)));
    let worst = all.clone().map(|(_, verdict)| verdict).max().unwrap();
    assert_eq!(compared.verdict(), worst);
    let different: Vec<String> = all
        .filter(|(_, verdict)| *verdict != Equal)
        .map(|(dimension, verdict)| format!("{dimension}:{verdict}"))
        .collect();
    different.join(" ")
}

/// Of an access token.
fn at(parent: &Value, child: &Value) -> String {
    differences(Kind::AccessToken, parent, child)
}

/// Of a transaction token.
fn txn(parent: &Value, child: &Value) -> String {
    differences(Kind::TransactionToken, parent, child)
}

fn none() -> Value {
    json!({})
}

#[test]
fn a_token_is_equal_to_itself() {
    assert_eq!(at(&none(), &none()), "");
    assert_eq!(txn(&none(), &none()), "");
}

#[test]
fn scopes_only_shrink() {
    for (parent, child, expected) in [
        ("read write", "write read", ""),
        ("read write", "read", "scope:narrower"),
        ("read", "read write", "scope:wider"),
        ("read", "Read", "scope:wider"),
        ("read", "write", "scope:wider"),
        // Malformed on both sides is not known to be equal.
        ("", "", "scope:undecidable"),
        ("a  b", "a  b", "scope:undecidable"),
    ] {
        let case = at(&json!({"scope": parent}), &json!({"scope": child}));
        assert_eq!(case, expected, "{parent:?} {child:?}");
    }
    let list = json!({"scope": ["read"]});
    assert_eq!(at(&list, &list), "scope:undecidable");
}

/// A missing scope is unknown, and never all of them.
#[test]
fn a_scope_on_one_side_is_undecidable() {
    let gone = json!({"scope": "-"});
    assert_eq!(at(&none(), &gone), "scope:undecidable");
    assert_eq!(at(&gone, &none()), "scope:undecidable");
    assert_eq!(at(&gone, &gone), "");
    // A transaction token has one.
    assert_eq!(txn(&gone, &gone), "scope:undecidable");
}

#[test]
fn audiences_only_shrink() {
    let (a, b) = ("https://a.example", "https://b.example");
    for (parent, child, expected) in [
        (json!([a, b]), json!([b, a]), ""),
        (json!([a]), json!(a), ""),
        (json!([a, b]), json!(b), "audience:narrower"),
        (json!(a), json!([a, b]), "audience:wider"),
        (json!(a), json!("https://a.example/"), "audience:wider"),
        (json!(a), json!("https://A.example"), "audience:wider"),
        (json!(a), json!([]), "audience:undecidable"),
        (json!("-"), json!("-"), "audience:undecidable"),
        (json!(1), json!(1), "audience:undecidable"),
        (json!(""), json!(""), "audience:undecidable"),
        (json!([a, ""]), json!([a]), "audience:undecidable"),
    ] {
        let case = at(&json!({"aud": parent}), &json!({"aud": child}));
        assert_eq!(case, expected, "{parent} {child}");
    }
    let other = json!({"aud": "other.example"});
    assert_eq!(txn(&none(), &other), "audience:wider");
}

#[test]
fn a_lifetime_only_shrinks() {
    for (parent, child, expected) in [
        (json!({"exp": 1_999}), json!({"exp": 1_999}), ""),
        (json!({"exp": 1_999}), json!({"exp": 1_999.0}), ""),
        (
            json!({"exp": 1_999}),
            json!({"exp": 1_999.7}),
            "lifetime:wider",
        ),
        (
            json!({"exp": 1_999.7}),
            json!({"exp": 1_999.1}),
            "lifetime:narrower",
        ),
        (
            json!({"nbf": 1_000.9}),
            json!({"nbf": 1_000.1}),
            "lifetime:wider",
        ),
        (none(), json!({"exp": 1_999}), "lifetime:narrower"),
        // No skew.
        (none(), json!({"exp": 2_001}), "lifetime:wider"),
        (none(), json!({"exp": "-"}), "lifetime:undecidable"),
        (
            json!({"exp": "-"}),
            json!({"exp": "-"}),
            "lifetime:undecidable",
        ),
        (none(), json!({"exp": "2000"}), "lifetime:undecidable"),
        (none(), json!({"nbf": 1_000}), "lifetime:narrower"),
        (json!({"nbf": 1_000}), json!({"nbf": 1_000}), ""),
        (
            json!({"nbf": 1_000}),
            json!({"nbf": 1_001}),
            "lifetime:narrower",
        ),
        (json!({"nbf": 1_000}), json!({"nbf": 999}), "lifetime:wider"),
        (json!({"nbf": 1_000}), none(), "lifetime:wider"),
        (
            json!({"nbf": 1_000}),
            json!({"nbf": null}),
            "lifetime:undecidable",
        ),
        // What shrinks at one end may not grow at the other.
        (
            json!({"nbf": 1_000}),
            json!({"nbf": 999, "exp": 1_500}),
            "lifetime:wider",
        ),
    ] {
        assert_eq!(at(&parent, &child), expected, "{parent} {child}");
    }
    assert_eq!(at(&none(), &json!({"iat": 1_999})), "");
}

/// A chain of exchanges that gives each token a fresh lifetime.
#[test]
fn a_chain_of_fresh_lifetimes_is_refused() {
    let first = rights(Kind::AccessToken, &json!({"iat": 1_000, "exp": 1_300}));
    let second = rights(Kind::AccessToken, &json!({"iat": 1_290, "exp": 1_590}));
    let refused = delegate(&first, second).unwrap_err();
    assert_eq!(refused.code(), "delegate.lifetime");
    assert_eq!(refused.verdict, Wider);
}

const KEY: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const OTHER: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

#[test]
fn a_bound_token_stays_bound() {
    let bound = |key: &str| json!({"cnf": {"jkt": key}});
    let appended = |mut claims: Value| {
        claims["act"] = act(&[("", "b"), ("", "agent")]);
        claims
    };
    let two = json!({"cnf": {"jkt": KEY, "x5t#S256": OTHER}});
    for (parent, child, expected) in [
        (bound(KEY), bound(KEY), ""),
        (none(), bound(KEY), "confirmation:narrower"),
        (bound(KEY), none(), "confirmation:wider"),
        (bound(KEY), bound(OTHER), "confirmation:wider"),
        (
            bound(KEY),
            appended(bound(OTHER)),
            "actors:narrower confirmation:narrower",
        ),
        (bound(KEY), appended(bound(KEY)), "actors:narrower"),
        (
            bound(KEY),
            appended(none()),
            "actors:narrower confirmation:wider",
        ),
        // A second key beside the first.
        (bound(KEY), two.clone(), "confirmation:narrower"),
        (two.clone(), bound(KEY), "confirmation:wider"),
        // Another way to confirm is another binding.
        (
            bound(KEY),
            json!({"cnf": {"x5t#S256": KEY}}),
            "confirmation:wider",
        ),
        // What cannot be checked is equal or undecidable.
        (
            json!({"cnf": {"kid": "1"}}),
            json!({"cnf": {"kid": "1"}}),
            "",
        ),
        (
            json!({"cnf": {"kid": "1"}}),
            json!({"cnf": {"kid": "2"}}),
            "confirmation:undecidable",
        ),
        (
            none(),
            json!({"cnf": {"kid": "1"}}),
            "confirmation:narrower",
        ),
        (
            none(),
            json!({"cnf": {"kid": "1", "x": "1"}}),
            "confirmation:undecidable",
        ),
        (json!({"cnf": "x"}), none(), "confirmation:wider"),
        (none(), json!({"cnf": {}}), "confirmation:undecidable"),
        (bound(KEY), json!({"cnf": null}), "confirmation:undecidable"),
        (bound(KEY), json!({"cnf": "x"}), "confirmation:undecidable"),
    ] {
        assert_eq!(at(&parent, &child), expected, "{parent} {child}");
    }
    // A new key does not come with a chain that was changed.
    let changed = json!({"cnf": {"jkt": OTHER}, "act": act(&[("", "b"), ("", "x")])});
    assert_eq!(at(&bound(KEY), &changed), "actors:wider confirmation:wider");
}

#[test]
fn the_context_of_a_transaction_stays() {
    let of = |tctx: Value| json!({"tctx": tctx});
    let parent = of(json!({"amount": 10, "to": {"iban": "x"}}));
    for (child, expected) in [
        (of(json!({"to": {"iban": "x"}, "amount": 10.0})), ""),
        (
            of(json!({"to": {"iban": "x"}, "amount": 10, "more": 1})),
            "context:narrower",
        ),
        (
            of(json!({"to": {"iban": "x"}, "amount": 5})),
            "context:wider",
        ),
        (
            of(json!({"to": {"iban": "y"}, "amount": 10})),
            "context:wider",
        ),
        (
            of(json!({"to": {"iban": "x"}, "amount": null})),
            "context:wider",
        ),
        (of(json!({"amount": 10})), "context:wider"),
        (none(), "context:wider"),
        (of(json!([])), "context:undecidable"),
        (of(json!("x")), "context:undecidable"),
        (of(json!(null)), "context:undecidable"),
    ] {
        assert_eq!(txn(&parent, &child), expected, "{child}");
    }
    assert_eq!(txn(&none(), &parent), "context:narrower");
    assert_eq!(txn(&none(), &of(json!({}))), "");
    assert_eq!(txn(&of(json!({})), &none()), "");
    // Two programs could read the number as two numbers.
    let odd = of(json!({"n": 9_007_199_254_740_993_u64}));
    assert_eq!(txn(&odd, &odd), "context:undecidable");
    // The environment of the request is another one at each hop.
    assert_eq!(txn(&json!({"rctx": {"ip": "a"}}), &json!({"rctx": 1})), "");
}

#[test]
fn the_facts_of_a_login_stay_or_go() {
    for (claim, value, other) in [
        ("auth_time", json!(900), json!(901)),
        ("acr", json!("high"), json!("low")),
        ("amr", json!(["pwd", "otp"]), json!(["pwd"])),
    ] {
        let (with, changed) = (json!({claim: value}), json!({claim: other}));
        assert_eq!(at(&with, &with), "", "{claim}");
        assert_eq!(at(&with, &none()), "other:narrower", "{claim}");
        assert_eq!(at(&none(), &with), "other:wider", "{claim}");
        assert_eq!(at(&with, &changed), "other:wider", "{claim}");
    }
    let odd = json!({"auth_time": 9_007_199_254_740_993_u64});
    assert_eq!(at(&odd, &odd), "other:undecidable");
}

#[test]
fn unknown_claims_are_equal_or_undecidable() {
    for claim in [
        "sub",
        "groups",
        "roles",
        "entitlements",
        "may_act",
        "sid",
        "azp",
        "x",
    ] {
        let (with, changed) = (json!({claim: "v"}), json!({claim: "w"}));
        assert_eq!(at(&with, &with), "", "{claim}");
        assert_eq!(at(&with, &changed), "other:undecidable", "{claim}");
        assert_eq!(
            at(&with, &json!({claim: "-"})),
            "other:undecidable",
            "{claim}"
        );
        assert_eq!(
            at(&json!({claim: "-"}), &with),
            "other:undecidable",
            "{claim}"
        );
    }
    assert_eq!(at(&json!({"x": 1.0}), &json!({"x": 1})), "");
    assert_eq!(at(&json!({"x": null}), &none()), "other:undecidable");
    let odd = json!({"x": 9_007_199_254_740_993_u64});
    assert_eq!(at(&odd, &odd), "other:undecidable");
    assert_eq!(txn(&none(), &json!({"txn": "t-2"})), "other:undecidable");
    assert_eq!(txn(&none(), &json!({"sub": "bob"})), "other:undecidable");
    // These say nothing about what is permitted.
    let changed = json!({"jti": "2", "iat": 1_500, "rctx": {"a": 1}, "req_wl": "x"});
    assert_eq!(at(&none(), &changed), "");
    let changed = json!({"jti": "2", "iat": 1_500, "rctx": {"a": 1}, "req_wl": "other"});
    assert_eq!(txn(&none(), &changed), "");
}

#[test]
fn a_required_claim_that_is_missing_is_undecidable() {
    for (kind, claims) in [
        (Kind::AccessToken, &["sub", "iat", "jti"][..]),
        (Kind::TransactionToken, &["txn", "sub", "iat", "req_wl"]),
    ] {
        for claim in claims {
            for value in [json!("-"), json!(""), json!(null), json!({})] {
                let change = json!({*claim: value});
                let found = differences(kind, &change, &change);
                assert_eq!(found, "other:undecidable", "{claim} {value}");
            }
        }
    }
    let gone = json!({"iss": "-"});
    assert_eq!(at(&gone, &gone), "other:undecidable");
}

#[test]
fn kinds_and_issuers_are_not_compared() {
    let all: Vec<String> = Dimension::ALL
        .iter()
        .map(|it| format!("{it}:undecidable"))
        .collect();
    let all = all.join(" ");
    let named = json!({"iss": "https://other.example"});
    assert_eq!(at(&none(), &named), all);
    assert_eq!(at(&none(), &json!({"iss": "-"})), all);
    assert_eq!(at(&json!({"iss": 1}), &json!({"iss": 1})), all);
    assert_eq!(txn(&none(), &named), all);
    assert_eq!(txn(&named, &none()), all);
    assert_eq!(txn(&named, &named), "");
    // Claims alike, kinds apart.
    let claims = claims(Kind::AccessToken).to_string();
    let of = |kind| Rights::read(kind, claims.as_bytes()).unwrap();
    let compared = of(Kind::AccessToken).compare(&of(Kind::TransactionToken));
    for dimension in Dimension::ALL {
        assert_eq!(compared.of(dimension), Undecidable);
        assert_eq!(
            compared.reason(dimension),
            Some("the tokens are of two kinds")
        );
    }
}

/// Wider is told before undecidable, and both before narrower.
#[test]
fn the_worst_dimension_decides() {
    let judge = |child: &Value| {
        let (parent, child) = (
            rights(Kind::AccessToken, &none()),
            rights(Kind::AccessToken, child),
        );
        let verdict = parent.compare(&child).verdict();
        let refused = delegate(&parent, child).map(drop);
        (verdict, refused.map_err(|refused| refused.code()))
    };
    assert_eq!(judge(&none()), (Equal, Ok(())));
    assert_eq!(judge(&json!({"exp": 1_500})), (Narrower, Ok(())));
    let undecidable = json!({"exp": 1_500, "x": 1});
    assert_eq!(judge(&undecidable), (Undecidable, Err("delegate.other")));
    let wider = json!({"exp": 1_500, "x": 1, "scope": "-", "cnf": "x", "aud": "https://c.example"});
    assert_eq!(judge(&wider), (Wider, Err("delegate.audience")));
}

#[test]
fn a_refusal_says_what_grew() {
    let child = rights(Kind::AccessToken, &json!({"exp": 3_000}));
    let refused = delegate(&rights(Kind::AccessToken, &none()), child).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the delegated token is wider in `lifetime`: `exp` is after the parent's; expected no more \
         than the parent"
    );
    assert_eq!(refused.kind(), aims_error::ErrorKind::Forbidden);
}

#[test]
fn what_is_no_object_has_no_rights() {
    for (payload, code) in [
        ("[]", "jws.not_an_object"),
        (r#"{"a":1,"a":2}"#, "jws.duplicate_member"),
        (r#"{"a":"#, "jws.json"),
    ] {
        let read = Rights::read(Kind::AccessToken, payload.as_bytes());
        assert_eq!(read.unwrap_err().code(), code);
    }
}
