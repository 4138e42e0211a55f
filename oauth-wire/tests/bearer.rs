//! Bearer tokens in a request: one place and one form.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use aims_oauth_wire::bearer::{Bearer, is_b64token};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

fn headers(values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

/// BEAR-01: one field, the scheme in any case, one blank, a `b64token` within the limit.
#[test]
fn one_field_in_one_form() {
    let read = |values: &[&[u8]], expected: Bearer<'_>| {
        let headers = headers(values);
        assert!(Bearer::read(&headers, 12) == expected, "{values:?}");
    };
    let token = Bearer::Token("aZ09-._~+/==");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        read(&[format!("{scheme} aZ09-._~+/==").as_bytes()], token);
    }
    read(&[], Bearer::Absent);
    for value in [
        &b""[..],
        b"Bearer",
        b"Bearer ",
        b"Bearer  a",
        b"Bearer a ",
        b"Bearer a b",
        b"Bearer a=b",
        b"Bearer =",
        b"Bearer\ta",
        b"Bearer \"a\"",
        b"Bearer \xff",
    ] {
        read(&[value], Bearer::Malformed);
    }
    read(&[b"Bearer a", b"Bearer a"], Bearer::Malformed);
    read(&[b"Bearer a", b"Basic YTpi"], Bearer::Malformed);
    for value in [&b"Basic YTpi"[..], b"DPoP a", b"Bearer2 a", b" Bearer a"] {
        read(&[value], Bearer::OtherScheme);
    }
    read(&[b"Bearer 0123456789ab"], Bearer::Token("0123456789ab"));
    read(&[b"Bearer 0123456789abc"], Bearer::TooLong);
}

#[test]
fn b64tokens_are_padded_at_the_end() {
    for good in ["a", "a=", "a==", "-._~+/Z9"] {
        assert!(is_b64token(good), "{good}");
    }
    for bad in ["", "=", "=a", "a=b", "a b", "a,", "\u{e4}"] {
        assert!(!is_b64token(bad), "{bad}");
    }
}

#[test]
fn debug_shows_no_token() {
    let headers = headers(&[b"Bearer hunter2"]);
    let shown = format!("{:?}", Bearer::read(&headers, 12));
    assert_eq!(shown, "Token(_)");
}
