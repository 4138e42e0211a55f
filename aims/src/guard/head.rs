//! A request's head, as far as two readers could read it differently.
//!
//! A proxy before the tool, or the tool's own router, must not act on another request than the one
//! that is judged. What a server keeps to itself, such as bare line feeds, is not seen here.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, Uri};

use crate::refusal::Answer;

/// The most fields of a request.
const MOST_FIELDS: usize = 100;
/// The most bytes of its fields, names and values.
const MOST_BYTES: usize = 64 * 1024;

/// Code, answer and detail of a refusal.
type Unreadable = (&'static str, Answer, &'static str);

/// Refuses what is too large, and what could be read in two ways (T-064, T-131).
pub(super) fn check(request: &Parts) -> Result<(), Unreadable> {
    if !fits(&request.headers) {
        let why = "the header fields are too many or too long";
        return Err(("guard.fields", Answer::TooLarge, why));
    }
    if is_misspelled(&request.method) {
        let why = "the method is a standard one in other letters";
        return Err(("guard.method", Answer::Problem(why), why));
    }
    if !is_ascii(&request.uri) {
        let why = "the target has characters that must be percent-encoded";
        return Err(("guard.target", Answer::Problem(why), why));
    }
    if !names_one_host(&request.headers, &request.uri) {
        let why = "the host is named not at all, or twice, or in two ways";
        return Err(("guard.host", Answer::Problem(why), why));
    }
    Ok(())
}

fn fits(headers: &HeaderMap) -> bool {
    let bytes = headers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    headers.len() <= MOST_FIELDS && bytes.fold(0, usize::saturating_add) <= MOST_BYTES
}

/// Methods are told apart by case (RFC 9110 §9.1); whoever folds it reads another one.
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

/// RFC 3986 §2: a URI is of visible ASCII; each reader encodes anything else in its own way.
fn is_ascii(uri: &Uri) -> bool {
    let target = uri.path_and_query().map_or("", |it| it.as_str());
    target.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 9110 §7.2: a host and, at most, a port.
fn is_host(host: &[u8]) -> bool {
    !host.contains(&b'@') && Authority::try_from(host).is_ok()
}

/// RFC 9112 §3.2, RFC 9113 §8.3.1: `Host` once, or the authority of the target, or both alike.
fn names_one_host(headers: &HeaderMap, uri: &Uri) -> bool {
    let mut fields = headers.get_all(HOST).iter();
    let authority = uri.authority().map(|it| it.as_str().as_bytes());
    match (fields.next().map(http::HeaderValue::as_bytes), authority) {
        (None, None) | (Some(b""), _) => false,
        (Some(host), Some(authority)) => {
            fields.next().is_none() && host.eq_ignore_ascii_case(authority)
        }
        (Some(host), None) => fields.next().is_none() && is_host(host),
        (None, Some(authority)) => is_host(authority),
    }
}
