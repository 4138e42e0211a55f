//! Checks the content type and the start of a body.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};

use crate::Error;
use crate::error::shown;

/// Returns the body of an answer that must be a JSON document with status 200.
///
/// Servers publish JSON documents with many content types, or with none. A body with
/// `application/json` or `application/…+json` is returned. With any other type or without one, it
/// is returned if it starts like a JSON object. HTML, forms and `multipart` messages are always
/// refused.
///
/// ```
/// let answer = |kind: &str, body: &str| {
///     let answer = http::Response::builder().header("content-type", kind);
///     answer.body(body.as_bytes().to_vec())
/// };
/// assert!(aims_fetch::expect_json(&answer("text/plain", "{}")?).is_ok());
/// assert!(aims_fetch::expect_json(&answer("text/plain", "hello")?).is_err());
/// assert!(aims_fetch::expect_json(&answer("text/html", "{}")?).is_err());
/// # Ok::<(), http::Error>(())
/// ```
///
/// # Errors
///
/// `fetch.status` for another status; `fetch.content_type` for a body that is not JSON.
pub fn expect_json(answer: &Response<Vec<u8>>) -> Result<&[u8], Error> {
    if answer.status() != StatusCode::OK {
        let status = answer.status().as_u16();
        return Err(Error::Status { status });
    }
    let body = answer.body();
    let is_json = matches!(essences(answer.headers()).as_slice(), [one] if is_json_type(one));
    if is_readable_type(answer.headers()) && (is_json || begins_as_object(body)) {
        Ok(body)
    } else {
        Err(other_type(answer))
    }
}

/// Returns the body of an answer that must start like a JSON object, with any status.
#[cfg(feature = "client")]
pub(crate) fn json_object(answer: &Response<Vec<u8>>) -> Result<&[u8], Error> {
    if is_readable_type(answer.headers()) && begins_as_object(answer.body()) {
        Ok(answer.body())
    } else {
        Err(other_type(answer))
    }
}

/// Returns the body of an answer that must have status 200 and one of these content types. Write
/// the types in lower case and without parameters.
///
/// ```
/// let answer = http::Response::builder()
///     .header("content-type", "application/jwk-set+json; charset=utf-8")
///     .body(b"{}".to_vec())?;
/// assert_eq!(aims_fetch::expect_type(&answer, &["application/jwk-set+json"])?, b"{}");
/// assert!(aims_fetch::expect_type(&answer, &["application/json"]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `fetch.status` for another status; `fetch.content_type` for another type.
pub fn expect_type<'a>(answer: &'a Response<Vec<u8>>, types: &[&str]) -> Result<&'a [u8], Error> {
    if answer.status() != StatusCode::OK {
        let status = answer.status().as_u16();
        return Err(Error::Status { status });
    }
    match essences(answer.headers()).as_slice() {
        // With two types, the reader would have to choose.
        [one] if types.contains(&one.as_str()) => Ok(answer.body()),
        _ => Err(other_type(answer)),
    }
}

/// Returns whether a body with these header fields may be read as a document. Every content type
/// and none is accepted, except HTML, `multipart` and forms.
///
/// A field value may list several types (RFC 9110 §5.3). If one of them is refused, all are,
/// because the reader would have to choose.
///
/// ```
/// use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
///
/// let is_read = |kind| {
///     let kind = HeaderValue::from_static(kind);
///     aims_fetch::is_readable_type(&HeaderMap::from_iter([(CONTENT_TYPE, kind)]))
/// };
/// assert!(is_read("text/plain; charset=utf-8"));
/// assert!(!is_read("text/html"));
/// assert!(!is_read("application/json, text/html"));
/// ```
#[must_use]
pub fn is_readable_type(headers: &HeaderMap) -> bool {
    !essences(headers).iter().any(|it| is_never_json(it))
}

/// Returns whether a body starts like a JSON object: with `{`, after white space (RFC 8259 §2) and
/// at most one byte order mark (RFC 8259 §8.1).
#[must_use]
pub fn begins_as_object(body: &[u8]) -> bool {
    let body = after_blanks(body);
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    after_blanks(body).starts_with(b"{")
}

/// Returns whether enough of a body has arrived to know how it starts.
#[cfg(feature = "client")]
pub(crate) fn begins_visibly(body: &[u8]) -> bool {
    let body = after_blanks(body);
    match body.strip_prefix(b"\xef\xbb\xbf") {
        Some(body) => !after_blanks(body).is_empty(),
        None => !body.is_empty() && !b"\xef\xbb\xbf".starts_with(body),
    }
}

fn after_blanks(mut body: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = body {
        body = rest;
    }
    body
}

/// Returns the media types of all fields and lists, in lower case and without parameters (RFC 9110
/// §8.3.1). A comma in a quoted parameter also separates types, which can only add a type.
fn essences(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(CONTENT_TYPE).iter();
    let texts = all.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_owned();
    let listed = texts.flat_map(|text| text.split(',').map(essence).collect::<Vec<_>>());
    listed.collect()
}

fn is_json_type(essence: &str) -> bool {
    essence
        .strip_prefix("application/")
        .is_some_and(|it| it == "json" || (it.ends_with("+json") && it != "+json"))
}

/// Returns whether documents never have this type.
fn is_never_json(essence: &str) -> bool {
    matches!(
        essence,
        "text/html" | "application/xhtml+xml" | "application/x-www-form-urlencoded"
    ) || essence.starts_with("multipart/")
}

fn other_type(answer: &Response<Vec<u8>>) -> Error {
    let mut found = String::new();
    for value in answer.headers().get_all(CONTENT_TYPE) {
        if !found.is_empty() {
            found.push_str(", ");
        }
        found.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    Error::ContentType {
        found: match found.as_str() {
            "" => "(none)".into(),
            found => format!("`{}`", shown(found)).into(),
        },
        length: answer.body().len(),
        is_object: begins_as_object(answer.body()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same inputs as in the tests of `aims_jose::json::document`.
    #[test]
    fn an_object_may_stand_in_a_frame() {
        for before in [
            "",
            " ",
            "\n\n\t\r",
            "\u{feff}",
            "\u{feff} \n",
            "\n\u{feff}",
            "\r\n\u{feff}\t",
        ] {
            let body = format!("{before}{{}}");
            assert!(begins_as_object(body.as_bytes()), "{before:?}");
        }
        for bad in [
            "",
            "\u{feff}",
            "\u{feff}\u{feff}{}",
            "\u{feff} \u{feff}{}",
            "\u{200b}{}",
            "\u{b}{}",
            "\0{}",
            ")]}'\n{}",
            "for(;;);{}",
            "[{}]",
            "<html>{}",
            "\u{feff}[]",
        ] {
            assert!(!begins_as_object(bad.as_bytes()), "{bad:?}");
        }
        assert!(!begins_as_object(&[0xfe, 0xff, 0, b'{', 0, b'}']));
    }
}
