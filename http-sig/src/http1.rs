//! A strict parser for one HTTP/1.1 message in bytes (RFC 9112).
//!
//! It is for tools and tests that have a message in a file, and for receivers that see the bytes
//! before a server does. It refuses everything that two parsers could read as two different
//! messages, each with its own code (RFC 9112 §11): two `Host` fields or none, a length stated
//! twice or in two ways, a fragment in the target, other line ends, and bytes after the end. It
//! does no I/O; the caller passes all bytes, and the parser reads all of them.
//!
//! ```
//! use aims_http_sig::http1::Reader;
//! use aims_http_sig::{Message as _, Section, digest::ContentDigest};
//!
//! let bytes = b"POST /call?a=b HTTP/1.1\r\n\
//!     Host: tools.example\r\n\
//!     Content-Digest: sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:\r\n\
//!     Content-Length: 19\r\n\
//!     \r\n\
//!     {\"hello\": \"world\"}\n";
//! let request = Reader::new(1024).request(bytes, "https")?;
//! assert_eq!((request.method(), request.target()), ("POST", "/call?a=b"));
//! // The content is complete. No signature covers this digest: an attacker can have changed both.
//! ContentDigest::from_message(&request, Section::Headers)?.verify(request.content())?;
//! # Ok::<(), aims_http_sig::Error>(())
//! ```

use std::borrow::Cow;

use crate::Error;
use crate::target::{Authority, is_scheme, no_scheme};

mod content;
mod fields;
mod lines;
mod message;
mod start;
mod target;

use content::Framing;
use fields::{Fields, Room};
use lines::{Ends, Rest};
use message::Parts;

pub use message::{RawRequest, RawResponse};

/// Rules for parsing messages. They are strict unless a method loosens them.
#[derive(Clone, Debug)]
pub struct Reader {
    ends: Ends,
    folded: bool,
    rest_is_content: bool,
    head_limit: usize,
    field_limit: usize,
    body_limit: usize,
}

impl Reader {
    /// Creates rules for messages from a network: lines end in CRLF, and no field is folded.
    ///
    /// The content has at most `body_limit` bytes, the head at most 64 KiB and 128 field lines.
    #[must_use]
    pub const fn new(body_limit: usize) -> Self {
        Self {
            ends: Ends::CrLf,
            folded: false,
            rest_is_content: false,
            head_limit: 64 * 1024,
            field_limit: 128,
            body_limit,
        }
    }

    /// Creates rules for a file that was edited by hand: all lines end in LF.
    ///
    /// If a request states no length, everything after the head is its content, as specifications
    /// print it. Do not use these rules for bytes from a network.
    #[must_use]
    pub const fn edited_file(body_limit: usize) -> Self {
        Self {
            ends: Ends::Lf,
            rest_is_content: true,
            ..Self::new(body_limit)
        }
    }

    /// Accepts fields that are folded over lines. A fold counts as one space (RFC 9421 §2.1).
    ///
    /// By default a folded field is refused: a sender must not fold, and a server may refuse it
    /// (RFC 9112 §5.2).
    #[must_use]
    pub const fn with_folded_fields(mut self) -> Self {
        self.folded = true;
        self
    }

    /// Sets the maximum length in bytes of the head, and of the trailers. Defaults to 64 KiB.
    #[must_use]
    pub const fn with_head_limit(mut self, bytes: usize) -> Self {
        self.head_limit = bytes;
        self
    }

    /// Sets the maximum number of field lines, including trailers. Defaults to 128.
    #[must_use]
    pub const fn with_field_limit(mut self, lines: usize) -> Self {
        self.field_limit = lines;
        self
    }

    /// Parses a request that was sent over `scheme`, `https` or `http`. The message itself does not
    /// state it.
    ///
    /// The authority is that of `Host`. A target in absolute form must agree with both.
    ///
    /// # Errors
    ///
    /// `http1.…`, one code for each defect; `sig.target` for another scheme.
    pub fn request<'m>(&self, bytes: &'m [u8], scheme: &'m str) -> Result<RawRequest<'m>, Error> {
        if !is_scheme(scheme) {
            return Err(no_scheme());
        }
        let mut rest = Rest::new(bytes, self.ends);
        let mut room = Room::of(self);
        let (method, target) = start::request(room.line(&mut rest)?)?;
        let headers = Fields::read(self, &mut rest, &mut room)?;
        let host = host(&headers, scheme)?;
        if !target::agrees(method, target, scheme, &host) {
            return Err(Error::Http1HostMismatch);
        }
        let framing = Framing::of_request(self, &headers)?;
        let (content, trailers) = framing.read(self, rest, &mut room)?;
        Ok(RawRequest {
            method,
            target,
            scheme,
            authority: Cow::Owned(host),
            parts: Parts {
                headers,
                content,
                trailers,
            },
        })
    }

    /// Parses the response to a request with this method. Without a length, everything after the
    /// head is its content.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request).
    pub fn response<'m>(&self, bytes: &'m [u8], method: &str) -> Result<RawResponse<'m>, Error> {
        let mut rest = Rest::new(bytes, self.ends);
        let mut room = Room::of(self);
        let status = start::status(room.line(&mut rest)?)?;
        let headers = Fields::read(self, &mut rest, &mut room)?;
        let framing = Framing::of_response(&headers, method, status)?;
        let (content, trailers) = framing.read(self, rest, &mut room)?;
        Ok(RawResponse {
            status,
            parts: Parts {
                headers,
                content,
                trailers,
            },
        })
    }
}

/// Returns the only `Host` of a request (RFC 9112 §3.2).
fn host(headers: &Fields<'_>, scheme: &str) -> Result<String, Error> {
    let mut values = headers.values("host");
    let value = values.next().ok_or(Error::Http1HostMissing)?;
    if values.next().is_some() {
        return Err(Error::Http1HostRepeated);
    }
    let text = core::str::from_utf8(value).ok();
    let host = text.filter(|text| Authority::parse(text, scheme).is_some());
    host.map(str::to_owned).ok_or(Error::Http1Host)
}
