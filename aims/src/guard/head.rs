//! Refuses request heads that two readers could read differently.
//!
//! A proxy in front of the tool, or the tool's own router, must not act on a different request than
//! the one that the guard verifies. What the HTTP server does not pass on, such as bare line feeds,
//! cannot be checked here.

use std::net::Ipv6Addr;

use aims_error::ErrorKind;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

use super::refused::Refused;
use crate::refusal::ErrorResponse;

/// The maximum number of header fields in a request.
const MOST_FIELDS: usize = 100;
/// The maximum size of all header fields, names and values, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// Refuses a head that is too large or ambiguous.
pub(super) fn check(request: &Parts) -> Result<(), Refused> {
    if !fits(&request.headers) {
        return Err(Refused::new(
            "guard.fields",
            ErrorKind::TooLarge,
            ErrorResponse::TooLarge,
            format!(
                "the header fields are too many or too long: expected at most {MOST_FIELDS} fields of {MOST_BYTES} bytes in all"
            ),
        ));
    }
    if is_misspelled(&request.method) {
        let why = "the method is a standard one in other letters";
        return Err(malformed("guard.method", why, why.to_owned()));
    }
    if !is_ascii(&request.uri) {
        let why = "the target has characters that must be percent-encoded";
        return Err(malformed("guard.target", why, why.to_owned()));
    }
    check_host(&request.headers, &request.uri)
        .map_err(|why| malformed("guard.host", "the request must name one host", why))
}

fn malformed(code: &'static str, answer: &'static str, detail: String) -> Refused {
    Refused::new(
        code,
        ErrorKind::Malformed,
        ErrorResponse::Problem(answer),
        detail,
    )
}

fn fits(headers: &HeaderMap) -> bool {
    let bytes = headers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    headers.len() <= MOST_FIELDS && bytes.fold(0, usize::saturating_add) <= MOST_BYTES
}

/// Returns whether the method is a known one in another case. Methods are case-sensitive (RFC 9110
/// §9.1), but some readers ignore the case.
fn is_misspelled(method: &Method) -> bool {
    const STANDARD: [Method; 9] = [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
        Method::TRACE,
    ];
    let like = |it: &Method| it.as_str().eq_ignore_ascii_case(method.as_str()) && it != method;
    STANDARD.iter().any(like)
}

/// Returns whether the URI has only visible ASCII (RFC 3986 §2). Readers encode other characters in
/// different ways.
fn is_ascii(uri: &Uri) -> bool {
    let target = uri.path_and_query().map_or("", |it| it.as_str());
    target.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns whether the text is a host with an optional port from 1 to 65535 (RFC 9110 §7.2). The
/// host is a name or IPv4 address of letters, digits, `.`, `-` and `_`, or an IPv6 address in
/// brackets.
///
/// RFC 3986 §3.2.2 allows more characters in a name, such as a comma. Readers treat them
/// differently, for example as two joined fields, and no host on the web uses them.
fn is_host(host: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(host) else {
        return false;
    };
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => (None, port),
            _ => return false,
        },
        None => match text.find(':') {
            Some(at) => {
                let (name, port) = text.split_at(at);
                (Some(name), port)
            }
            None => (Some(text), ""),
        },
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.is_none_or(|name| !name.is_empty() && name.bytes().all(is_plain))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|it| it > 0)
}

/// Checks that the request has `Host` once, or the authority in the target, or both with the same
/// value (RFC 9112 §3.2, RFC 9113 §8.3.1).
fn check_host(headers: &HeaderMap, uri: &Uri) -> Result<(), String> {
    let mut fields = headers.get_all(HOST).iter();
    let authority = uri.authority().map(|it| it.as_str().as_bytes());
    let host = fields.next().map(http::HeaderValue::as_bytes);
    if fields.next().is_some() {
        let lines = headers.get_all(HOST).iter().count();
        return Err(format!(
            "the request has {lines} `Host` fields: expected one"
        ));
    }
    match (host, authority) {
        (None, None) => Err(
            "the request names no host: expected a `Host` field, or the authority of the target"
                .to_owned(),
        ),
        (Some(host), Some(other)) if !host.eq_ignore_ascii_case(other) => Err(format!(
            "`Host` is {}, and the target names {}: expected the same in both",
            shown(host),
            shown(other)
        )),
        (Some(host), _) | (None, Some(host)) if !is_host(host) => Err(format!(
            "the host is {}: expected a name or an address, and at most a port",
            shown(host)
        )),
        _ => Ok(()),
    }
}

/// Escapes and shortens a text that the caller chose.
fn shown(text: &[u8]) -> Box<str> {
    aims_error::shown([&*String::from_utf8_lossy(text)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_at_most_a_port() {
        for good in [
            "tools.example",
            "TOOLS.example:443",
            "127.0.0.1:8499",
            "my_tool",
            "[::1]",
            "[2001:db8::1]:65535",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":1",
            "a:",
            "a:b",
            "a:0",
            "a:99999",
            "a:+1",
            "a:1:2",
            "a,b",
            "127.0.0.1:8499,evil",
            "a b",
            "user@a",
            "a/b",
            "[::1",
            "[::1]x",
            "[v1.a]",
            "[]",
            "\u{e9}.example",
            "a%2e",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
