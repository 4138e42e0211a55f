//! One HTTP/1.1 message in bytes, read strictly (RFC 9112).
//!
//! For tools and tests that have a message in a file, and for receivers that see the bytes before a
//! server does. What two readers could take for two messages is refused, each thing by its own
//! code: two `Host` or none, a length said twice or in two ways, a fragment in the target, line
//! ends of another kind, bytes behind the end (RFC 9112 §11). No I/O: the bytes are all there, and
//! all are read.
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
//! // The content came whole. No signature covers this digest: an attacker can have changed both.
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

/// The rules by which messages are read, strict unless a word says otherwise.
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
    /// As on the wire: lines end in CRLF, no field is folded. The content has at most `body_limit`
    /// bytes, the head 64 KiB and 128 field lines.
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

    /// For a file that somebody edited: lines end in LF, all of them; and where a request says
    /// nothing about its length, all behind the head is its content, as specifications print it.
    /// Nothing that comes from a network is read so.
    #[must_use]
    pub const fn edited_file(body_limit: usize) -> Self {
        Self {
            ends: Ends::Lf,
            rest_is_content: true,
            ..Self::new(body_limit)
        }
    }

    /// The same, with fields that are folded over lines; a fold is one space (RFC 9421 §2.1).
    /// Whoever generates a message must not fold, and a server may refuse it (RFC 9112 §5.2), which
    /// is the rule without this word.
    #[must_use]
    pub const fn with_folded_fields(mut self) -> Self {
        self.folded = true;
        self
    }

    /// The same with another limit of the head, with the trailers, in bytes.
    #[must_use]
    pub const fn with_head_limit(mut self, bytes: usize) -> Self {
        self.head_limit = bytes;
        self
    }

    /// The same with another limit of field lines, trailers included.
    #[must_use]
    pub const fn with_field_limit(mut self, lines: usize) -> Self {
        self.field_limit = lines;
        self
    }

    /// Reads a request that came over `scheme`, `https` or `http`, which is not in the message. Its
    /// authority is that of `Host`, and an absolute target has to agree with both.
    ///
    /// # Errors
    ///
    /// `http1.…`, a code for each thing that is wrong; `sig.target` where the scheme is another
    /// one.
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

    /// Reads the response to a request of that method; without a length, all behind the head is its
    /// content.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
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

/// The one `Host` that a request has (RFC 9112 §3.2).
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
