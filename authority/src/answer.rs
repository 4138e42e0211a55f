//! Responses, and the header fields of a request that are read.

use aims_jose::digest::sha256_base64url;
use aims_oauth_wire::media;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, HeaderName, IF_NONE_MATCH, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde::Serialize;

use crate::Error;

/// A problem document (RFC 9457 §3).
#[derive(Serialize)]
struct Problem {
    title: &'static str,
    status: u16,
    code: &'static str,
}

/// Returns the host that a request was sent to: that of the target, which is `:authority` in
/// HTTP/2 and goes before `Host` (RFC 9112 §3.2.2, RFC 9113 §8.3.1), else that of `Host`.
pub(crate) fn host<T>(request: &Request<T>) -> Option<&str> {
    let target = request.uri().authority();
    target.map_or_else(
        || request.headers().get(HOST)?.to_str().ok(),
        |target| Some(target.as_str()),
    )
}

/// Creates a JSON response with `Cache-Control`.
pub(crate) fn json(status: StatusCode, body: String, cache: &str) -> Response<Vec<u8>> {
    with_type(status, media::JSON, body, cache)
}

fn with_type(
    status: StatusCode,
    media_type: &'static str,
    body: String,
    cache: &str,
) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into_bytes());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    insert(headers, CACHE_CONTROL, cache);
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Creates a response with a secret: `no-store`.
pub(crate) fn secret<T: Serialize>(body: &T) -> Response<Vec<u8>> {
    match serde_json::to_string(body) {
        Ok(body) => json(StatusCode::OK, body, "no-store"),
        Err(error) => problem(&Error::unavailable(error)),
    }
}

/// Creates a response with a document that clients may cache, with an `ETag` (RFC 9110 §8.8.3).
pub(crate) fn document(body: String, max_age: u64, request: &HeaderMap) -> Response<Vec<u8>> {
    let etag = format!("\"{}\"", sha256_base64url(&body));
    let cache = format!("public, max-age={max_age}, must-revalidate");
    let known = request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag);
    let mut response = if known {
        let mut response = json(StatusCode::NOT_MODIFIED, String::new(), &cache);
        response.headers_mut().remove(CONTENT_TYPE);
        response
    } else {
        json(StatusCode::OK, body, &cache)
    };
    insert(response.headers_mut(), ETAG, &etag);
    response
}

/// Creates a refusal as an RFC 9457 problem. It contains the coarse code only.
pub(crate) fn problem(error: &Error) -> Response<Vec<u8>> {
    let wire = error.wire_form();
    let body = Problem {
        title: wire.title,
        status: wire.status,
        code: wire.code,
    };
    let body = serde_json::to_string(&body).unwrap_or_default();
    let status = StatusCode::from_u16(wire.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = with_type(status, "application/problem+json", body, "no-store");
    hints(response.headers_mut(), error);
    response
}

/// Adds `Retry-After` and `Allow`, if the error has them.
pub(crate) fn hints(headers: &mut HeaderMap, error: &Error) {
    match error {
        Error::TooMany { retry_after } => insert(headers, RETRY_AFTER, &retry_after.to_string()),
        Error::Method { allow } => insert(headers, ALLOW, allow),
        _ => {}
    }
}

/// Returns the only value of a field, or `None` without the field.
///
/// # Errors
///
/// `repeated` if the field occurs twice, or its value is not visible ASCII.
pub(crate) fn sole<'a>(
    headers: &'a HeaderMap,
    name: &str,
    repeated: Error,
) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_not_ascii| repeated),
        (Some(_), Some(_)) => Err(repeated),
    }
}

/// Checks that the only `Content-Type` is this media type, with any parameters.
pub(crate) fn check_media_type(headers: &HeaderMap, due: &'static str) -> Result<(), Error> {
    if media::is(headers, due) {
        Ok(())
    } else {
        Err(Error::MediaType { due })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn a_known_document_is_not_sent_again() {
        let first = document("{}".to_owned(), 60, &HeaderMap::new());
        assert_eq!(first.status(), 200);
        let etag = first.headers()[ETAG].clone();
        let mut known = HeaderMap::new();
        known.insert(IF_NONE_MATCH, etag);
        let second = document("{}".to_owned(), 60, &known);
        assert_eq!((second.status().as_u16(), second.body().len()), (304, 0));
        assert_eq!(document("{ }".to_owned(), 60, &known).status(), 200);
    }

    #[test]
    fn media_types_are_compared_without_parameters() {
        let due = "application/json";
        let good = [("content-type", "Application/JSON; charset=utf-8")];
        assert!(check_media_type(&headers(&good), due).is_ok());
        for bad in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/jsonp")],
        ] {
            let refused = check_media_type(&headers(bad), due).unwrap_err();
            assert_eq!(refused.code(), "authority.media_type");
        }
        let mut two = headers(&good);
        two.append(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        assert!(check_media_type(&two, due).is_err());
    }
}
