//! Content codings (RFC 9110 §8.4.1): decodes one `gzip`, within the limit of the body.

use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use crate::Error;

mod gzip;

/// Decodes the body of an answer, once.
///
/// The client asks for `identity`, but some servers compress anyway. An answer without a content
/// coding, or with `identity`, is returned unchanged. The body of an answer with `gzip` or `x-gzip`
/// is decoded, and its fields `Content-Encoding` and `Content-Length` are removed.
///
/// [`Fetcher`](crate::Fetcher) does so itself. Other implementations of [`Fetch`](crate::Fetch) can
/// call this function.
///
/// ```
/// let plain = http::Response::new(b"{}".to_vec());
/// assert_eq!(aims_fetch::decoded(plain, 1024)?.body(), b"{}");
///
/// let brotli = http::Response::builder().header("content-encoding", "br").body(vec![0x0b])?;
/// let error = aims_fetch::decoded(brotli, 1024).unwrap_err();
/// assert_eq!(error.code(), "fetch.content_encoding");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `fetch.content_encoding` for any other coding, for two codings, and for a body that is not in
/// the gzip format (RFC 1952); `fetch.body_too_long` if the decoded body is longer than `limit`.
pub fn decoded(mut answer: Response<Vec<u8>>, limit: usize) -> Result<Response<Vec<u8>>, Error> {
    if !is_coded(&answer)? {
        return Ok(answer);
    }
    // An empty body needs no decoding: the answer to HEAD, or 304.
    if !answer.body().is_empty() {
        let mut plain = Vec::new();
        let read = gzip::decode(answer.body(), limit, &mut plain);
        *answer.body_mut() = plain;
        if let Err(error) = read {
            answer.headers_mut().remove(CONTENT_ENCODING);
            return Err(match error {
                Error::BodyTooLong { .. } => Error::body_too_long(limit, &answer),
                other => other,
            });
        }
    }
    answer.headers_mut().remove(CONTENT_ENCODING);
    answer.headers_mut().remove(CONTENT_LENGTH);
    Ok(answer)
}

/// Returns whether the body is compressed with gzip.
fn is_coded(answer: &Response<Vec<u8>>) -> Result<bool, Error> {
    let mut is_gzip = false;
    for value in answer.headers().get_all(CONTENT_ENCODING) {
        let text = value.to_str().unwrap_or("?");
        for coding in text.split(',').map(str::trim) {
            let lower = coding.to_ascii_lowercase();
            match lower.as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" if !is_gzip => is_gzip = true,
                _ => return Err(Error::content_encoding(text)),
            }
        }
    }
    Ok(is_gzip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(codings: &[&str], body: &[u8]) -> Response<Vec<u8>> {
        let answer = codings.iter().fold(Response::builder(), |it, coding| {
            it.header(CONTENT_ENCODING, *coding)
        });
        answer.body(body.to_vec()).unwrap()
    }

    #[test]
    fn one_gzip_is_decoded() {
        for codings in [
            &["gzip"][..],
            &["GZIP"],
            &["x-gzip"],
            &["identity, gzip"],
            &["identity", "gzip"],
        ] {
            let plain = decoded(answer(codings, gzip::tests::HELLO), 64).unwrap();
            assert_eq!(plain.body(), b"hello hello hello hello", "{codings:?}");
            assert!(!plain.headers().contains_key(CONTENT_ENCODING));
        }
        for codings in [&[][..], &["identity"], &[""]] {
            let plain = decoded(answer(codings, b"{}"), 64).unwrap();
            assert_eq!(plain.body(), b"{}");
        }
        let none = decoded(answer(&["gzip"], b""), 64).unwrap();
        assert_eq!(none.body(), b"");
    }

    #[test]
    fn other_codings_are_named() {
        for (codings, named) in [
            (&["br"][..], "`br`"),
            (&["zstd"], "`zstd`"),
            (&["deflate"], "`deflate`"),
            (&["gzip, gzip"], "`gzip, gzip`"),
            (&["gzip", "gzip"], "`gzip`"),
            (&["gzip, br"], "`gzip, br`"),
            (&["\u{1b}[31m"], "`?`"),
        ] {
            let Ok(answer) = codings
                .iter()
                .try_fold(Response::builder(), |it, coding| {
                    let value = http::HeaderValue::from_bytes(coding.as_bytes()).ok();
                    value
                        .map(|value| it.header(CONTENT_ENCODING, value))
                        .ok_or(())
                })
                .map(|it| it.body(gzip::tests::HELLO.to_vec()).unwrap())
            else {
                // HTTP does not allow such a field value.
                continue;
            };
            let error = decoded(answer, 64).unwrap_err();
            assert_eq!(error.code(), "fetch.content_encoding", "{codings:?}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
