//! Decides what to do with the answer of a well-known URL (RFC 8414 §3, OpenID Connect Discovery
//! §4).
//!
//! Discovery asks several URLs in order. The decisions are pure functions that all discovery code
//! shares: [`Follow::of`] for an answer, [`Outcome::of`] for a document that is not accepted, and
//! [`Attempts`] for the error message.

use core::fmt;

use aims_fetch::{begins_as_object, is_readable_type};
use http::{HeaderMap, StatusCode, header};

use crate::Error;

/// The next step of discovery after the answer of one well-known URL.
///
/// ```
/// use aims_oauth_wire::metadata::attempt::Follow;
/// use http::{HeaderMap, StatusCode};
///
/// let of = |status, body| Follow::of(status, &HeaderMap::new(), body);
/// assert_eq!(of(StatusCode::OK, b" {}"), Follow::Read);
/// assert_eq!(of(StatusCode::OK, b"<!doctype html>"), Follow::AskNext);
/// assert_eq!(of(StatusCode::BAD_REQUEST, b""), Follow::AskNext);
/// assert_eq!(of(StatusCode::BAD_GATEWAY, b""), Follow::End);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a caller handles every case")]
pub enum Follow {
    /// Read the document: the body starts like a JSON object. If it is not accepted, discovery
    /// ends.
    Read,
    /// Ask the next URL: there is no document here.
    AskNext,
    /// End discovery as unavailable: the server cannot answer now, or its answer must not be
    /// followed.
    End,
}

impl Follow {
    /// Decides by an answer.
    ///
    /// - [`AskNext`](Self::AskNext) for a 4xx other than 408, 421, 425 and 429, and for a 2xx whose
    ///   body does not start with `{` after white space and a byte order mark.
    /// - [`End`](Self::End) for every other status except 2xx, and for a JSON object that is
    ///   declared as HTML, a multipart message or a form.
    /// - [`Read`](Self::Read) for all others.
    #[must_use]
    pub fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        match status.as_u16() {
            408 | 421 | 425 | 429 => Self::End,
            400..=499 => Self::AskNext,
            200..=299 if !begins_as_object(body) => Self::AskNext,
            // A part of a document is not the document.
            206 => Self::End,
            200..=299 if is_readable_type(headers) => Self::Read,
            _ => Self::End,
        }
    }
}

impl Follow {
    /// Decides by an error of fetching.
    ///
    /// An answer with an oversized body is judged by its status and its start, but an oversized
    /// JSON object ends discovery. Every other error ends it as well.
    #[must_use]
    pub fn of_error(error: &aims_fetch::Error) -> Self {
        let judge = |status: u16, body: &[u8]| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            match Self::of(status, &HeaderMap::new(), body) {
                Self::AskNext => Self::AskNext,
                Self::Read | Self::End => Self::End,
            }
        };
        match error {
            aims_fetch::Error::Status { status } => judge(*status, b""),
            aims_fetch::Error::ContentType {
                is_object: false, ..
            } => Self::AskNext,
            aims_fetch::Error::BodyTooLong {
                answer: Some(answer),
                ..
            } => judge(answer.status, if answer.is_object { b"{" } else { b"" }),
            aims_fetch::Error::BackingOff { cause, .. } => Self::of_error(cause),
            _ => Self::End,
        }
    }
}

/// How discovery ends if a document is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a caller handles every case")]
pub enum Outcome {
    /// The document could not be read: truncated, oversized or malformed. An earlier document stays
    /// valid for its lifetime.
    Unavailable,
    /// The document was read and refused: it is for another issuer, or an important member is
    /// malformed.
    Refused,
}

impl Outcome {
    /// Decides by the error of a document that was read after [`Follow::Read`].
    #[must_use]
    pub const fn of(error: &Error) -> Self {
        match error {
            Error::MetadataJson { .. } | Error::MetadataResponse { .. } => Self::Unavailable,
            _ => Self::Refused,
        }
    }
}

/// The URLs that were asked, and the answer of each, for an error message.
///
/// ```
/// use aims_oauth_wire::metadata::attempt::Attempts;
/// use http::{HeaderMap, StatusCode};
///
/// let mut asked = Attempts::new();
/// let url = "https://as.example/.well-known/openid-configuration";
/// asked.answered(url, StatusCode::NOT_FOUND, &HeaderMap::new());
/// assert!(asked.to_string().contains("404"));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attempts(Vec<Attempt>);

/// One URL that was asked, and its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    url: Box<str>,
    reply: Reply,
}

/// The answer of one URL.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// A response with this status, and its content type if it has one.
    Status(StatusCode, Option<Box<str>>),
    /// No response. Holds the code of the error.
    Error(&'static str),
}

impl Attempts {
    /// Creates an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds the answer of a URL.
    pub fn answered(&mut self, url: &str, status: StatusCode, headers: &HeaderMap) {
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| kind.chars().take(MAX_TYPE).collect());
        self.push(url, Reply::Status(status, kind));
    }

    /// Adds a URL that returned no response, with the code of the error.
    pub fn failed(&mut self, url: &str, code: &'static str) {
        self.push(url, Reply::Error(code));
    }

    fn push(&mut self, url: &str, reply: Reply) {
        if self.0.len() < MAX_ATTEMPTS {
            // Remove the query, which may contain secrets.
            let url = match url.split_once('?') {
                Some((bare, _)) => format!("{bare}?…").into(),
                None => url.into(),
            };
            self.0.push(Attempt { url, reply });
        }
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the URLs in the order in which they were asked.
    pub fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.0.iter()
    }
}

impl Attempt {
    /// Returns the URL without its query.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the answer of the URL.
    #[must_use]
    pub const fn reply(&self) -> &Reply {
        &self.reply
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, attempt) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{attempt}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reply {
            Reply::Status(status, Some(kind)) if status.is_success() => {
                write!(f, "{} at {} ({kind})", status.as_u16(), self.url)
            }
            Reply::Status(status, _) => write!(f, "{} at {}", status.as_u16(), self.url),
            Reply::Error(code) => write!(f, "{code} at {}", self.url),
        }
    }
}

/// The maximum number of URLs in one discovery.
const MAX_ATTEMPTS: usize = 8;

/// The maximum length of a shown content type, in characters.
const MAX_TYPE: usize = 80;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn follow(status: u16, kind: Option<&'static str>, body: &[u8]) -> Follow {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Follow::of(StatusCode::from_u16(status).unwrap(), &headers, body)
    }

    #[test]
    fn only_four_of_4xx_end_the_attempt() {
        for status in 400..500 {
            let expected = match status {
                408 | 421 | 425 | 429 => Follow::End,
                _ => Follow::AskNext,
            };
            assert_eq!(follow(status, None, b"{}"), expected, "{status}");
            assert_eq!(follow(status, None, b"<html>"), expected, "{status}");
        }
    }

    #[test]
    fn other_statuses_end_the_attempt() {
        for status in (100..200).chain(300..400).chain(500..600) {
            assert_eq!(follow(status, None, b"{}"), Follow::End, "{status}");
            assert_eq!(follow(status, None, b""), Follow::End, "{status}");
        }
        assert_eq!(follow(206, None, b"{}"), Follow::End);
    }

    #[test]
    fn a_2xx_is_read_where_an_object_begins() {
        for body in [
            &b"{}"[..],
            b" \r\n\t{",
            b"\xef\xbb\xbf{}",
            b"\xef\xbb\xbf\n{}",
            b"\n\xef\xbb\xbf{}",
            b"\r\n\xef\xbb\xbf\t{}",
            b"{{",
        ] {
            for status in [200, 201, 203] {
                assert_eq!(follow(status, None, body), Follow::Read, "{body:?}");
            }
            assert_eq!(follow(200, Some("text/plain"), body), Follow::Read);
        }
        let pages: [&[u8]; 7] = [
            b"",
            b"<!doctype html>",
            b"[{}]",
            b"\"{}\"",
            b"\xef\xbb\xbf\xef\xbb\xbf{}",
            b"\0{}",
            b"\n\xef\xbb\xbf \xef\xbb\xbf{}",
        ];
        for body in pages {
            assert_eq!(follow(200, None, body), Follow::AskNext, "{body:?}");
            assert_eq!(follow(204, None, body), Follow::AskNext, "{body:?}");
            let json = Some("application/json");
            assert_eq!(follow(200, json, body), Follow::AskNext, "{body:?}");
        }
    }

    /// A JSON object that is declared as HTML is neither the document nor a reason to ask the next
    /// URL.
    #[test]
    fn pages_and_forms_are_not_read() {
        for kind in [
            "text/html",
            "Text/HTML; charset=utf-8",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "application/json, text/html",
            "application/json; charset=utf-8 ,Multipart/mixed",
        ] {
            assert_eq!(follow(200, Some(kind), b"{}"), Follow::End, "{kind}");
            assert_eq!(follow(200, Some(kind), b"<p>"), Follow::AskNext, "{kind}");
        }
    }

    #[test]
    fn attempts_name_places_and_statuses() {
        let mut all = Attempts::new();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        all.answered("https://as.example/a", StatusCode::BAD_REQUEST, &headers);
        all.answered("https://as.example/b", StatusCode::OK, &headers);
        all.failed("https://as.example/c", "fetch.timeout");
        assert_eq!(
            all.to_string(),
            "400 at https://as.example/a, 200 at https://as.example/b (text/html), \
             fetch.timeout at https://as.example/c"
        );
        let mut queried = Attempts::new();
        assert!(queried.is_empty());
        queried.failed("https://as.example/d?key=secret", "fetch.connect");
        assert_eq!(
            queried.to_string(),
            "fetch.connect at https://as.example/d?…"
        );
        for _ in 0..100 {
            all.failed("https://as.example/d", "fetch.timeout");
        }
        assert_eq!(all.iter().count(), MAX_ATTEMPTS);
    }

    #[test]
    fn an_oversized_page_leads_on_and_an_oversized_object_ends() {
        use aims_fetch::Error;

        let long = |status: u16, body: &str| {
            let answer = http::Response::builder().status(status).body(body).unwrap();
            Follow::of_error(&Error::body_too_long(1, &answer))
        };
        assert_eq!(long(200, "\n<!doctype html>"), Follow::AskNext);
        assert_eq!(long(404, "<!doctype html>"), Follow::AskNext);
        assert_eq!(long(404, "{"), Follow::AskNext);
        assert_eq!(long(200, "\u{feff} {"), Follow::End);
        assert_eq!(long(503, "<!doctype html>"), Follow::End);
        assert_eq!(long(429, "<!doctype html>"), Follow::End);
        let unknown = Error::BodyTooLong {
            limit: 1,
            answer: None,
        };
        for error in [unknown, Error::Timeout, Error::Redirect] {
            assert_eq!(Follow::of_error(&error), Follow::End, "{error}");
        }
    }

    #[test]
    fn outcomes() {
        let issuer = "https://as.example".parse().unwrap();
        let read = |json: &[u8]| crate::metadata::ServerMetadata::parse(json, &issuer).unwrap_err();
        assert_eq!(Outcome::of(&read(b"{")), Outcome::Unavailable);
        let long = vec![b' '; crate::metadata::MAX_METADATA + 1];
        assert_eq!(Outcome::of(&read(&long)), Outcome::Unavailable);
        let other = br#"{"issuer":"https://other.example"}"#;
        assert_eq!(Outcome::of(&read(other)), Outcome::Refused);
        let member = br#"{"issuer":"https://as.example","jwks_uri":"http://as.example"}"#;
        assert_eq!(Outcome::of(&read(member)), Outcome::Refused);
    }
}
