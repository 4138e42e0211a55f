//! Metadata of authorization servers (RFC 8414) and of protected resources (RFC 9728).
//!
//! A document counts for the identifier that it was asked for, and for no other: both `parse` take
//! that identifier and compare it byte by byte. `signed_metadata` is not read, as RFC 8414 §2.1 and
//! RFC 9728 §2.2 permit: what counts is what the host of the identifier says over TLS.

use http::{Response, StatusCode};

use crate::names::{Endpoint, Transport};
use crate::{Error, media};

pub mod attempt;
mod resource;
mod server;
pub mod well_known;

pub use resource::ResourceMetadata;
pub use server::{EndpointKind, ServerMetadata};

/// The longest document that is read, in bytes.
pub const MAX_METADATA: usize = 256 * 1024;

/// The document in a response: status 200 and `application/json` (RFC 8414 §3.2, RFC 9728 §3.2).
/// Redirects are not documents.
///
/// # Errors
///
/// `metadata.response`
pub fn document(response: &Response<Vec<u8>>) -> Result<&[u8], Error> {
    let fail = |reason| Error::MetadataResponse { reason };
    if response.status() != StatusCode::OK {
        return Err(fail("another status"));
    }
    if !media::is(response.headers(), media::JSON) {
        return Err(fail("another content type"));
    }
    sized(response.body())?;
    Ok(response.body())
}

fn sized(json: &[u8]) -> Result<(), Error> {
    if json.len() > MAX_METADATA {
        return Err(Error::MetadataResponse { reason: "too long" });
    }
    Ok(())
}

fn endpoint(
    text: Option<&str>,
    member: &'static str,
    transport: Transport,
) -> Result<Option<Endpoint>, Error> {
    let read = text.map(|text| Endpoint::over(text, transport));
    read.transpose().or(Err(Error::MetadataMember { member }))
}
