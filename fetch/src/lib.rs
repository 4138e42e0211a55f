#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod address;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod documents;
mod error;
mod exchange;
#[cfg(feature = "client")]
mod freshness;
#[cfg(feature = "client")]
mod policy;
#[cfg(feature = "client")]
mod resolve;

#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use client::{Fetcher, FetcherBuilder};
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use documents::{Document, DocumentKey, Documents, DocumentsBuilder};
pub use error::Error;
pub use exchange::{Fetch, FetchFuture, FinalUrl, Limits};
use http::Response;
use http::header::CONTENT_TYPE;
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use resolve::{Resolve, ResolveFuture};

/// The body of an answer that must be a JSON document: 200, `application/json` or
/// `application/…+json`.
///
/// # Errors
///
/// `fetch.status`, `fetch.content_type`.
pub fn expect_json(answer: &Response<Vec<u8>>) -> Result<&[u8], Error> {
    expect(answer, |essence| {
        essence
            .strip_prefix("application/")
            .is_some_and(|it| it == "json" || (it.ends_with("+json") && it != "+json"))
    })
}

/// The body of an answer that must be of one of these types: 200, and a media type of the list,
/// which is in lower case and without parameters.
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
/// `fetch.status`, `fetch.content_type`.
pub fn expect_type<'a>(answer: &'a Response<Vec<u8>>, types: &[&str]) -> Result<&'a [u8], Error> {
    expect(answer, |essence| types.contains(&essence))
}

fn expect(answer: &Response<Vec<u8>>, is_expected: impl Fn(&str) -> bool) -> Result<&[u8], Error> {
    if answer.status() != http::StatusCode::OK {
        let status = answer.status().as_u16();
        return Err(Error::Status { status });
    }
    let length = answer.body().len();
    let mut types = answer.headers().get_all(CONTENT_TYPE).iter();
    // Of two types one would be the reader's choice.
    let (Some(kind), None) = (types.next(), types.next()) else {
        return Err(Error::ContentType { length });
    };
    let essence = kind.to_str().unwrap_or("").split(';').next().unwrap_or("");
    if is_expected(&essence.trim().to_ascii_lowercase()) {
        Ok(answer.body())
    } else {
        Err(Error::ContentType { length })
    }
}
