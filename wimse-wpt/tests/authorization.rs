//! The proof in `Authorization: WPT`, the form of draft-ietf-wimse-wpt-02, and requests with both
//! forms.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_wimse_wpt::fields::{
    CHALLENGE, MAX_FIELD_LEN, Presented, SCHEME, WORKLOAD_IDENTITY_TOKEN, WORKLOAD_PROOF_TOKEN,
    apply, is_challenged, proof_missing, status, workload_proof_token,
};
use aims_wimse_wpt::{Error, Revision, Revisions};
use http::header::{
    AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, WWW_AUTHENTICATE,
};
use proptest::prelude::*;

const WIT: &str = "eyJh.eyJi.wit-_";
const WPT: &str = "eyJh.eyJi.wpt-_";

fn headers(fields: &[(&HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

/// A request with a WIT and these values of `Authorization`.
fn authorized(values: &[&str]) -> HeaderMap {
    let mut all = headers(&[(&WORKLOAD_IDENTITY_TOKEN, WIT)]);
    for value in values {
        all.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    all
}

fn find(all: &HeaderMap) -> &'static str {
    code(Presented::find(all, Revisions::default()))
}

/// WPT-08, WPT-12: an applied proof is found, is sensitive, and is not printed by `Debug`.
#[test]
fn found_as_applied() {
    let mut all = headers(&[
        (&WORKLOAD_IDENTITY_TOKEN, "old.old.old"),
        (&WORKLOAD_PROOF_TOKEN, "old.old.old"),
        (&PROXY_AUTHORIZATION, "Basic eDp5"),
    ]);
    apply(&mut all, WIT, WPT, Revision::Draft02).unwrap();
    assert_eq!(all.get(AUTHORIZATION).unwrap(), "WPT eyJh.eyJi.wpt-_");
    assert_eq!(all.get(PROXY_AUTHORIZATION).unwrap(), "Basic eDp5");
    assert_eq!(all.len(), 3);
    let found = Presented::find(&all, Revisions::default())
        .unwrap()
        .unwrap();
    assert_eq!((found.wit(), found.wpt()), (WIT, WPT));
    assert_eq!(found.revision(), Revision::Draft02);
    let proof = workload_proof_token(&all, Revisions::BOTH)
        .unwrap()
        .unwrap();
    assert_eq!((proof.text(), proof.revision()), (WPT, Revision::Draft02));
    assert!(all.get(AUTHORIZATION).unwrap().is_sensitive());
    assert!(!format!("{found:?} {proof:?} {all:?}").contains("eyJ"));
}

/// WPT-11: a request with an `Authorization` field of any scheme is refused and stays unchanged.
#[test]
fn authorization_is_not_shared() {
    for there in [
        "Bearer a",
        "Basic eDp5",
        "WPT a.b.c",
        "wpt a.b.c",
        "",
        "DPoP a",
    ] {
        let before = headers(&[(&AUTHORIZATION, there), (&WORKLOAD_PROOF_TOKEN, "a.b.c")]);
        let mut all = before.clone();
        let refused = apply(&mut all, WIT, WPT, Revision::Draft02);
        assert_eq!(code(refused), "wpt.authorization", "{there}");
        assert_eq!(all, before, "{there}");
    }
    let mut all = headers(&[(&AUTHORIZATION, "Bearer a")]);
    apply(&mut all, WIT, WPT, Revision::Draft01).unwrap();
    assert_eq!(all.get(AUTHORIZATION).unwrap(), "Bearer a");
    let mut all = headers(&[(&AUTHORIZATION, "wpt a.b.c")]);
    let refused = apply(&mut all, WIT, WPT, Revision::Draft01);
    assert_eq!(code(refused), "wpt.authorization", "it would have both");
    assert_eq!(all.len(), 1);
}

/// WPT-08: a text that is not a compact JWT is refused, and the request stays unchanged.
#[test]
fn bad_text_is_not_applied() {
    let mut all = HeaderMap::new();
    for bad in ["", "a.b", "WPT a.b.c", "a.b.c, a.b.c", "a.b.c\r\nx: y"] {
        for (wit, wpt) in [(bad, WPT), (WIT, bad)] {
            let refused = apply(&mut all, wit, wpt, Revision::Draft02);
            assert_eq!(code(refused), "wpt.field_syntax", "{bad}");
        }
        assert!(all.is_empty());
    }
}

/// WPT-08: the case of the scheme does not matter, and spaces may follow it (RFC 9110 §11.4).
#[test]
fn the_scheme_has_any_case() {
    for good in ["WPT a.b.c", "wpt a.b.c", "Wpt  a.b.c"] {
        assert_eq!(find(&authorized(&[good])), "ok", "{good}");
    }
    for other in ["Bearer a.b.c", "WPTx a.b.c", "WPT=a.b.c", "Basic WPT", "W"] {
        let all = authorized(&[other]);
        assert_eq!(find(&all), "wpt.field_missing", "{other}");
    }
}

/// WPT-08: one `Authorization` field, and in it one JWT.
#[test]
fn one_field_of_one_jwt() {
    for values in [
        ["WPT a.b.c", "WPT a.b.c"],
        ["WPT a.b.c", "Bearer x"],
        ["Bearer x", "WPT a.b.c"],
        ["wpt a.b.c", ""],
    ] {
        assert_eq!(
            find(&authorized(&values)),
            "wpt.field_repeated",
            "{values:?}"
        );
    }
    for joined in ["WPT a.b.c,WPT a.b.c", "WPT a.b.c, Bearer x", "WPT a.b.c,"] {
        assert_eq!(
            find(&authorized(&[joined])),
            "wpt.field_repeated",
            "{joined}"
        );
    }
    for bad in [
        "WPT",
        "WPT ",
        "WPT a.b",
        "WPT a.b.c.d",
        "WPT a.b.c=",
        "WPT a.b.c d",
        "WPT \ta.b.c",
        "WPT\ta.b.c",
        "WPT token=\"a.b.c\"",
    ] {
        assert_eq!(find(&authorized(&[bad])), "wpt.field_syntax", "{bad}");
    }
    let longest = format!("WPT a.b.{}", "c".repeat(MAX_FIELD_LEN - 4));
    assert_eq!(find(&authorized(&[&longest])), "ok");
    assert_eq!(
        find(&authorized(&[&format!("{longest}c")])),
        "wpt.field_too_long"
    );
}

/// WIT-06: a proof in `Authorization` without a WIT is refused.
#[test]
fn the_wit_is_there() {
    let alone = headers(&[(&AUTHORIZATION, "WPT a.b.c")]);
    let error = Presented::find(&alone, Revisions::default()).unwrap_err();
    assert_eq!(error.code(), "wpt.field_missing");
    assert!(error.to_string().contains("workload-identity-token"));
    let error = Presented::find(&authorized(&[]), Revisions::default()).unwrap_err();
    assert_eq!(error.code(), "wpt.field_missing");
    assert!(error.to_string().contains("authorization: WPT"));
}

/// WPT-13: a receiver finds proofs of its own revisions only, names another one, and refuses a
/// request with both.
#[test]
fn the_form_is_the_configured_one() {
    let draft02 = authorized(&["WPT a.b.c"]);
    let mut draft01 = authorized(&["Bearer x"]);
    draft01.insert(WORKLOAD_PROOF_TOKEN, HeaderValue::from_static("a.b.c"));
    let mut both = draft02.clone();
    both.insert(WORKLOAD_PROOF_TOKEN, HeaderValue::from_static("a.b.c"));
    for (accepted, of_02, of_01) in [
        (Revisions::DRAFT_02, "ok", "wpt.revision"),
        (Revisions::DRAFT_01, "wpt.revision", "ok"),
        (Revisions::BOTH, "ok", "ok"),
    ] {
        for (all, expected) in [
            (&draft02, of_02),
            (&draft01, of_01),
            (&both, "wpt.both_forms"),
        ] {
            assert_eq!(code(Presented::find(all, accepted)), expected, "{all:?}");
            // The other form is not a proof, and not an error by itself.
            let alone = workload_proof_token(all, accepted);
            let found = match expected {
                "ok" => alone.unwrap().is_some(),
                "wpt.revision" => alone.unwrap().is_some(),
                code => {
                    assert_eq!(alone.unwrap_err().code(), code);
                    false
                }
            };
            assert_eq!(found, expected == "ok");
        }
    }
    // A malformed proof counts as its form.
    both.insert(AUTHORIZATION, HeaderValue::from_static("wpt"));
    assert_eq!(find(&both), "wpt.both_forms");
    let error = proof_missing(&draft01, Revisions::DRAFT_02);
    assert!(
        error.to_string().contains("draft-ietf-wimse-wpt-01"),
        "{error}"
    );
}

/// WIT-07: an invalid proof gives 401, an invalid WIT or transaction token 400; in -01 all give
/// 400.
#[test]
fn statuses() {
    use aims_replay::Error as Replay;
    let all = [
        (
            Error::Audience {
                found: "x".into(),
                expected: "y".into(),
            },
            401,
        ),
        (Error::WitHash, 401),
        (Error::OtherHash, 401),
        (Error::BothForms, 401),
        (
            Error::Wpt(aims_jose::Error::Expired {
                until: 1,
                now: 100,
                skew: 30,
            }),
            401,
        ),
        (Error::Replay(Replay::Replayed), 401),
        (Error::Replay(Replay::Full), 503),
        (proof_missing(&HeaderMap::new(), Revisions::default()), 401),
        (
            Presented::find(&authorized(&["WPT x"]), Revisions::default()).unwrap_err(),
            401,
        ),
        (
            Error::FieldMissing {
                field: "workload-identity-token",
            },
            400,
        ),
        (Error::FieldSyntax { field: "txn-token" }, 400),
        (
            Error::FieldTooLong {
                field: "txn-token",
                limit: MAX_FIELD_LEN,
            },
            431,
        ),
    ];
    for (error, expected) in all {
        assert_eq!(status(&error, Revision::Draft02), expected, "{error}");
        let in_01 = if expected == 401 { 400 } else { expected };
        assert_eq!(status(&error, Revision::Draft01), in_01, "{error}");
    }
}

/// WPT-15: the challenge is found among others, with any parameters.
#[test]
fn challenges_are_read() {
    assert_eq!((CHALLENGE.to_str().unwrap(), SCHEME), ("WPT", "WPT"));
    let challenged = |values: &[&str]| {
        let fields: Vec<_> = values.iter().map(|it| (&WWW_AUTHENTICATE, *it)).collect();
        is_challenged(&headers(&fields))
    };
    for good in [
        &["WPT"][..],
        &["wpt"],
        &["WPT realm=\"x\", alg=ES256"],
        &["WPT unknown"],
        &["Bearer", "WPT"],
        &["Bearer realm=\"a, b\", WPT"],
        &["Bearer realm=\"a\\\", b\", WPT x=1"],
        &["WPT, Bearer"],
    ] {
        assert!(challenged(good), "{good:?}");
    }
    for other in [
        &[][..],
        &["Bearer"],
        &["Bearer realm=\"WPT\""],
        &["Bearer realm=\"a, WPT, b\""],
        &["Bearer a=b, wpt=c"],
        &["Bearer a=b, wpt = c"],
        &["WPTX"],
    ] {
        assert!(!challenged(other), "{other:?}");
    }
}

proptest! {
    /// WPT-08, WPT-15: no value panics, and a found proof equals the field.
    #[test]
    fn no_value_panics(value in "[ -~]{0,40}|[Ww][Pp][Tt] {0,2}([a-c_-]{1,3}\\.){2}[a-c]{1,3}") {
        let all = authorized(&[value.as_str()]);
        if let Ok(Some(found)) = Presented::find(&all, Revisions::BOTH) {
            prop_assert!(value.ends_with(found.wpt()));
            prop_assert_eq!(found.wpt().split('.').count(), 3);
            prop_assert!(value.to_ascii_lowercase().starts_with("wpt "));
        }
        let _ = is_challenged(&headers(&[(&WWW_AUTHENTICATE, value.as_str())]));
    }
}
