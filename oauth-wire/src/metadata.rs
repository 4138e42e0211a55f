//! Metadata of authorization servers (RFC 8414) and of protected resources (RFC 9728).
//!
//! A document is valid only for the identifier that it was fetched for. Both `parse` functions take
//! that identifier and compare it byte for byte, except for the `/` of an empty path (RFC 3986
//! §6.2.3), which many servers add or omit.
//!
//! A malformed member that the program does not need counts as absent and is listed in
//! `diagnostics()`. A malformed member that protects the program, or that the program acts on, is
//! an error.
//!
//! `parse` does not evaluate `signed_metadata`, as RFC 8414 §2.1 and RFC 9728 §2.2 permit: TLS
//! authenticates the plain members, which the host of the identifier serves.
//! [`ResourceMetadata::parse_signed`] verifies it for a client that trusts the signer.

use http::Response;

use crate::members::{Malformed, Members};
use crate::names::{Endpoint, Transport};
use crate::{Error, Received, media};

pub mod attempt;
mod endpoint;
mod resource;
mod server;
mod signed;
mod switch;
pub mod well_known;

pub use endpoint::EndpointKind;
pub use resource::ResourceMetadata;
pub use server::ServerMetadata;
pub use signed::MetadataSigner;
pub use switch::Switch;

/// The maximum length of a document, in bytes.
pub const MAX_METADATA: usize = 256 * 1024;

/// Returns the document in a response (RFC 8414 §3.2, RFC 9728 §3.2).
///
/// Any status from 200 to 299 with a whole document is accepted, and any content type except HTML,
/// forms and `multipart`. A redirect is not a document.
///
/// # Errors
///
/// `metadata.response` for any other response.
pub fn document(response: &Response<Vec<u8>>) -> Result<&[u8], Error> {
    let fail = |expected| Error::MetadataResponse {
        expected,
        found: Received::of(response).to_string().into(),
    };
    if !media::has_document(response.status()) {
        return Err(fail("status 200"));
    }
    if !aims_fetch::is_readable_type(response.headers()) {
        return Err(fail("the content type `application/json`"));
    }
    let json = response.body();
    if json.len() > MAX_METADATA {
        return Err(fail("at most 262144 bytes"));
    }
    if !media::is(response.headers(), media::JSON) && !aims_fetch::begins_as_object(json) {
        return Err(fail("a JSON object"));
    }
    Ok(json)
}

/// Reads the members of a document, up to the maximum length.
fn members(json: &[u8]) -> Result<Members<'_>, Error> {
    if json.len() > MAX_METADATA {
        return Err(Error::MetadataResponse {
            expected: "at most 262144 bytes",
            found: format!("{} bytes", json.len()).into(),
        });
    }
    Members::of_document(json).map_err(|source| Error::MetadataJson {
        expected: "one JSON object in UTF-8 without a member that occurs twice",
        source: Some(source),
    })
}

/// Converts a malformed member into an error.
fn judged<T>(member: &'static str, read: Result<T, Malformed>) -> Result<T, Error> {
    read.map_err(|malformed| Error::MetadataMember {
        member,
        expected: malformed.expected,
        found: malformed.found,
    })
}

/// Reads the URL of an endpoint, if the member is there.
fn endpoint(
    members: &Members<'_>,
    member: &str,
    transport: Transport,
) -> Result<Option<Endpoint>, Malformed> {
    let text = members.text(member).map_err(|malformed| Malformed {
        expected: URL,
        ..malformed
    })?;
    let read = text.map(|text| Endpoint::over(&text, transport));
    read.transpose().map_err(|error| Malformed {
        expected: URL,
        found: match error {
            Error::Endpoint { reason, .. } => reason,
            _ => "another text",
        },
    })
}

/// Checks that `signed_metadata` is a JWT (RFC 8414 §2.1). Its content is not evaluated.
fn signed_metadata(members: &Members<'_>) -> Result<(), Error> {
    let text = judged(SIGNED, members.text(SIGNED))?;
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !part.is_empty() && part.bytes().all(plain)
    };
    let is_jwt = |text: &String| text.split('.').count() == 3 && text.split('.').all(part);
    if text.as_ref().is_none_or(is_jwt) {
        return Ok(());
    }
    Err(Error::MetadataMember {
        member: SIGNED,
        expected: "a JWT in compact serialization",
        found: "another text",
    })
}

const SIGNED: &str = "signed_metadata";
const URL: &str = "an absolute https URL without fragment";
