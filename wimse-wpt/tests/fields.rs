//! The header fields, with the proof in the form of draft-ietf-wimse-wpt-01. `authorization.rs`
//! tests that of -02.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aims_wimse_wpt::fields::{
    MAX_FIELD_LEN, Presented, TXN_TOKEN, WORKLOAD_IDENTITY_TOKEN, WORKLOAD_PROOF_TOKEN, apply,
    audience, txn_token,
};
use aims_wimse_wpt::{Error, Revision, Revisions};
use http::Uri;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

const WIT: &str = "eyJh.eyJi.wit-_";
const WPT: &str = "eyJh.eyJi.wpt-_";

fn headers(fields: &[(&HeaderName, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

fn find(fields: &[(&HeaderName, &[u8])]) -> &'static str {
    code(Presented::find(&headers(fields), Revisions::DRAFT_01))
}

/// WIT-06, WPT-08: applied fields are found, replace earlier ones, and are sensitive.
#[test]
fn found_as_applied() {
    let mut all = headers(&[
        (&WORKLOAD_IDENTITY_TOKEN, b"old.old.old"),
        (&WORKLOAD_IDENTITY_TOKEN, b"old.old.old"),
        (&WORKLOAD_PROOF_TOKEN, b"old.old.old"),
    ]);
    apply(&mut all, WIT, WPT, Revision::Draft01).unwrap();
    let found = Presented::find(&all, Revisions::DRAFT_01).unwrap().unwrap();
    assert_eq!((found.wit(), found.wpt()), (WIT, WPT));
    assert_eq!(all.len(), 2);
    assert!(all.values().all(HeaderValue::is_sensitive));
    assert!(!format!("{found:?} {all:?}").contains("eyJ"));
}

/// WIT-06, WPT-08: a text that is not a compact JWT is refused, and the request stays unchanged.
#[test]
fn bad_text_is_not_applied() {
    let mut all = HeaderMap::new();
    for bad in [
        "",
        "a.b",
        "a.b.c.d",
        "a..c",
        "a.b.c ",
        "a.b.c\r\nx: y",
        "a.b.c=",
        "ä.b.c",
    ] {
        assert_eq!(
            code(apply(&mut all, bad, WPT, Revision::Draft01)),
            "wpt.field_syntax",
            "{bad}"
        );
        assert_eq!(
            code(apply(&mut all, WIT, bad, Revision::Draft01)),
            "wpt.field_syntax",
            "{bad}"
        );
        assert!(all.is_empty());
    }
}

/// WIT-06, WPT-08: both fields or none. `Authorization` counts as none.
#[test]
fn both_or_neither() {
    let (wit, wpt) = (WIT.as_bytes(), WPT.as_bytes());
    assert!(
        Presented::find(&HeaderMap::new(), Revisions::DRAFT_01)
            .unwrap()
            .is_none()
    );
    let bearer = headers(&[(&AUTHORIZATION, b"Bearer eyJh.eyJi.wit-_")]);
    assert!(
        Presented::find(&bearer, Revisions::DRAFT_01)
            .unwrap()
            .is_none()
    );
    for (one, missing) in [
        ((&WORKLOAD_IDENTITY_TOKEN, wit), "workload-proof-token"),
        ((&WORKLOAD_PROOF_TOKEN, wpt), "workload-identity-token"),
    ] {
        let error = Presented::find(&headers(&[one]), Revisions::DRAFT_01).unwrap_err();
        assert_eq!(error.code(), "wpt.field_missing");
        assert!(error.to_string().contains(missing), "{error}");
    }
}

/// WIT-06, WPT-08: each field occurs once, also if an intermediary has joined two values.
#[test]
fn not_more_than_once() {
    let (wit, wpt) = (WIT.as_bytes(), WPT.as_bytes());
    let (its, proof) = (&WORKLOAD_IDENTITY_TOKEN, &WORKLOAD_PROOF_TOKEN);
    assert_eq!(find(&[(its, wit), (proof, wpt)]), "ok");
    for fields in [
        [(its, wit), (its, wit), (proof, wpt)],
        [(its, wit), (proof, wpt), (proof, wpt)],
        [(its, b"".as_slice()), (its, wit), (proof, wpt)],
    ] {
        assert_eq!(find(&fields), "wpt.field_repeated");
    }
    for joined in ["a.b.c,a.b.c", "a.b.c, a.b.c", "a.b.c ,\ta.b.c,d.e.f"] {
        let fields = [(its, joined.as_bytes()), (proof, wpt)];
        assert_eq!(find(&fields), "wpt.field_repeated", "{joined}");
        let fields = [(its, wit), (proof, joined.as_bytes())];
        assert_eq!(find(&fields), "wpt.field_repeated", "{joined}");
    }
}

/// WPT-08: three parts of base64url, nothing else.
#[test]
fn the_shape_is_checked() {
    for bad in [
        b"".as_slice(),
        b"a.b",
        b"a.b.c.d",
        b".b.c",
        b"a..c",
        b"a.b.",
        b"a.b.c=",
        b"a+b.c.d",
        b"a/b.c.d",
        b" a.b.c",
        b"a.b.c ",
        b"Bearer a.b.c",
        b"a.b.c,",
        b"a.b.c,d",
        b"\"a.b.c\"",
        b"a.b.\xff",
    ] {
        let fields = [
            (&WORKLOAD_IDENTITY_TOKEN, bad),
            (&WORKLOAD_PROOF_TOKEN, b"a.b.c".as_slice()),
        ];
        assert_eq!(find(&fields), "wpt.field_syntax", "{bad:?}");
        let fields = [
            (&WORKLOAD_IDENTITY_TOKEN, b"a.b.c".as_slice()),
            (&WORKLOAD_PROOF_TOKEN, bad),
        ];
        assert_eq!(find(&fields), "wpt.field_syntax", "{bad:?}");
    }
}

/// WPT-08: the maximum length is accepted, and one byte more is refused.
#[test]
fn the_length_is_checked() {
    let longest = format!("a.b.{}", "c".repeat(MAX_FIELD_LEN - 4));
    let longer = format!("{longest}c");
    for (its, proof, expected) in [
        (longest.as_str(), WPT, "ok"),
        (WIT, longest.as_str(), "ok"),
        (longer.as_str(), WPT, "wpt.field_too_long"),
        (WIT, longer.as_str(), "wpt.field_too_long"),
    ] {
        let fields = [
            (&WORKLOAD_IDENTITY_TOKEN, its.as_bytes()),
            (&WORKLOAD_PROOF_TOKEN, proof.as_bytes()),
        ];
        assert_eq!(find(&fields), expected);
    }
    let junk = vec![b','; MAX_FIELD_LEN + 1];
    assert_eq!(
        find(&[(&WORKLOAD_PROOF_TOKEN, &junk)]),
        "wpt.field_too_long"
    );
}

/// WPT-06: `Txn-Token` occurs once or not at all.
#[test]
fn the_transaction_token_is_found() {
    let txn = |values: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TXN_TOKEN, HeaderValue::from_bytes(value).unwrap());
        }
        txn_token(&headers).map(|found| found.map(str::to_owned))
    };
    assert_eq!(txn(&[]).unwrap(), None);
    assert_eq!(txn(&[b"a.b.c"]).unwrap().as_deref(), Some("a.b.c"));
    assert_eq!(code(txn(&[b"a.b.c", b"a.b.c"])), "wpt.field_repeated");
    assert_eq!(code(txn(&[b"a.b.c,d.e.f"])), "wpt.field_repeated");
    assert_eq!(code(txn(&[b"opaque"])), "wpt.field_syntax");
    let long = vec![b'a'; MAX_FIELD_LEN + 1];
    assert_eq!(code(txn(&[&long])), "wpt.field_too_long");
}

/// WPT-02: the sender's audience is the target without query and fragment.
#[test]
fn audiences_of_targets() {
    for (target, expected) in [
        (
            "https://workload.example.com/path",
            "https://workload.example.com/path",
        ),
        (
            "https://workload.example.com/path?a=b&c",
            "https://workload.example.com/path",
        ),
        (
            "https://workload.example.com/path?",
            "https://workload.example.com/path",
        ),
        (
            "https://workload.example.com/p#f",
            "https://workload.example.com/p",
        ),
        (
            "https://workload.example.com",
            "https://workload.example.com/",
        ),
        ("http://127.0.0.1:8080/a%20b", "http://127.0.0.1:8080/a%20b"),
        ("https://[::1]:8443/", "https://[::1]:8443/"),
    ] {
        let uri: Uri = target.parse().unwrap();
        assert_eq!(audience(&uri).unwrap(), expected, "{target}");
    }
    for bad in [
        "/path",
        "*",
        "workload.example.com:443",
        "https://user@example.com/",
        "https://u:p@example.com/",
    ] {
        let uri: Uri = bad.parse().unwrap();
        assert_eq!(code(audience(&uri)), "wpt.target", "{bad}");
    }
}

proptest! {
    /// WPT-08: no value panics, and a found token equals the field.
    #[test]
    fn no_value_panics(wit in "[ -~\u{e4}]{0,60}|[a-zA-Z0-9_.,-]{0,20}", wpt in "\\PC{0,40}|([a-c_-]{1,3}\\.){2}[a-c]{1,3}") {
        let mut all = HeaderMap::new();
        let values = [(WORKLOAD_IDENTITY_TOKEN, &wit), (WORKLOAD_PROOF_TOKEN, &wpt)];
        for (name, text) in values {
            if let Ok(value) = HeaderValue::from_str(text) {
                all.append(name, value);
            }
        }
        if let Ok(Some(found)) = Presented::find(&all, Revisions::DRAFT_01) {
            prop_assert_eq!((found.wit(), found.wpt()), (wit.as_str(), wpt.as_str()));
            prop_assert!(found.wit().split('.').count() == 3 && found.wpt().split('.').count() == 3);
        }
        let _ = txn_token(&all);
    }
}
