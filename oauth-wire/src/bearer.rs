//! Bearer tokens in a request (RFC 6750 §2.1).

use core::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// What a request says in `Authorization`, read for a bearer token.
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
    /// There is no such field.
    Absent,
    /// Several fields, or one that is no scheme, one blank and a `b64token`.
    Malformed,
    /// The field is of another scheme.
    OtherScheme,
    /// The token, which is a `b64token`.
    Token(&'a str),
    /// The token is longer than the limit.
    TooLong,
}

impl<'a> Bearer<'a> {
    /// Reads the one `Authorization` field, for a token of at most `limit` bytes. The case of the
    /// scheme does not matter.
    #[must_use]
    pub fn read(headers: &'a HeaderMap, limit: usize) -> Self {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let field = match (fields.next(), fields.next()) {
            (None, _) => return Self::Absent,
            (Some(field), None) => field,
            (Some(_), Some(_)) => return Self::Malformed,
        };
        if field.len() > limit.saturating_add("Bearer ".len()) {
            return Self::TooLong;
        }
        let text = str::from_utf8(field.as_bytes()).ok();
        let text = text.filter(|text| text.is_ascii());
        let halves = text.and_then(|text| text.split_once(' '));
        match halves {
            None => Self::Malformed,
            Some((scheme, _)) if !scheme.eq_ignore_ascii_case("Bearer") => Self::OtherScheme,
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

/// Whether a text is a `b64token` (RFC 6750 §2.1): `=` stands at its end alone.
#[must_use]
pub fn is_b64token(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    // Every byte is looked at, so that many can be at once.
    !bare.is_empty() && bare.bytes().fold(true, |all, byte| all & is_plain(byte))
}

const fn is_plain(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26
        || byte.wrapping_sub(b'+') < 15 && byte != b','
        || byte == b'_'
        || byte == b'~'
}
