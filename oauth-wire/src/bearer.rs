//! Reads bearer tokens from requests (RFC 6750 §2.1).

use core::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The content of `Authorization`, read as a bearer token.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
/// use aims_oauth_wire::bearer::Bearer;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer mF_9.B5f-4.1JqM"));
/// assert_eq!(Bearer::read(&headers, 64), Bearer::Token("mF_9.B5f-4.1JqM"));
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a reader has to decide about each case"
)]
pub enum Bearer<'a> {
    /// The request has no `Authorization` field.
    Absent,
    /// The field is repeated, or is not a scheme, one space and a `b64token`.
    Malformed,
    /// The field has another scheme.
    OtherScheme,
    /// The token, which is a valid `b64token`.
    Token(&'a str),
    /// The token is longer than the limit.
    TooLong,
}

impl<'a> Bearer<'a> {
    /// Reads the `Authorization` field, for a token of at most `limit` bytes. The case of the
    /// scheme is ignored.
    #[must_use]
    pub fn read(headers: &'a HeaderMap, limit: usize) -> Self {
        Self::read_as("Bearer", headers, limit)
    }

    /// Reads a token of another scheme that has the syntax of bearer tokens, such as
    /// [`DPoP`](crate::dpop::SCHEME) (RFC 9449 §7.1).
    #[must_use]
    pub fn read_as(scheme: &str, headers: &'a HeaderMap, limit: usize) -> Self {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let field = match (fields.next(), fields.next()) {
            (None, _) => return Self::Absent,
            (Some(field), None) => field,
            (Some(_), Some(_)) => return Self::Malformed,
        };
        if field.len() > limit.saturating_add(scheme.len()).saturating_add(1) {
            return Self::TooLong;
        }
        let text = str::from_utf8(field.as_bytes()).ok();
        let text = text.filter(|text| text.is_ascii());
        let halves = text.and_then(|text| text.split_once(' '));
        match halves {
            None => Self::Malformed,
            Some((found, _)) if !found.eq_ignore_ascii_case(scheme) => Self::OtherScheme,
            Some((_, token)) if is_b64token(token) => Self::Token(token),
            Some(_) => Self::Malformed,
        }
    }
}

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Malformed => "Malformed",
            Self::OtherScheme => "OtherScheme",
            Self::Token(_) => "Token(_)",
            Self::TooLong => "TooLong",
        })
    }
}

/// Returns whether a text is a `b64token` (RFC 6750 §2.1). `=` is allowed only at its end.
#[must_use]
pub fn is_b64token(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    // Check every byte without an early exit, which the compiler can vectorize.
    !bare.is_empty() && bare.bytes().fold(true, |all, byte| all & is_plain(byte))
}

const fn is_plain(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26
        || byte.wrapping_sub(b'+') < 15 && byte != b','
        || byte == b'_'
        || byte == b'~'
}
