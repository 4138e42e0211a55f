//! Parsed messages.

use std::borrow::Cow;
use std::fmt;

use super::fields::Fields;
use crate::{Message, Section, Start};

/// The common parts of requests and responses: the header fields, the content and the trailers.
#[derive(Clone)]
pub(super) struct Parts<'m> {
    pub(super) headers: Fields<'m>,
    pub(super) content: Cow<'m, [u8]>,
    pub(super) trailers: Fields<'m>,
}

impl Parts<'_> {
    fn section(&self, section: Section) -> &Fields<'_> {
        match section {
            Section::Headers => &self.headers,
            Section::Trailers => &self.trailers,
        }
    }

    fn lines<'a>(&'a self, section: Section, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        self.section(section).values(name).for_each(each);
    }
}

/// A request that [`Reader`](super::Reader) parsed.
#[derive(Clone)]
pub struct RawRequest<'m> {
    pub(super) method: &'m str,
    pub(super) target: &'m str,
    pub(super) scheme: &'m str,
    pub(super) authority: Cow<'m, str>,
    pub(super) parts: Parts<'m>,
}

/// A response that [`Reader`](super::Reader) parsed.
#[derive(Clone)]
pub struct RawResponse<'m> {
    pub(super) status: u16,
    pub(super) parts: Parts<'m>,
}

impl<'m> RawRequest<'m> {
    /// Returns the method, in its own case.
    #[must_use]
    pub const fn method(&self) -> &'m str {
        self.method
    }

    /// Returns the target, byte for byte.
    #[must_use]
    pub const fn target(&self) -> &'m str {
        self.target
    }

    /// Returns the authority that is signed: that of `Host`, or the one that the caller set.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Sets the authority by which a receiver is addressed, instead of `Host`.
    ///
    /// Use it behind a gateway that rewrites `Host`.
    #[must_use]
    pub fn with_authority(mut self, authority: &'m str) -> Self {
        self.authority = Cow::Borrowed(authority);
        self
    }
}

impl RawResponse<'_> {
    /// Returns the status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }
}

macro_rules! parts {
    ($it:ident) => {
        impl $it<'_> {
            /// Returns the content without its transfer coding.
            #[must_use]
            pub fn content(&self) -> &[u8] {
                &self.parts.content
            }

            /// Returns name and value of each field line of a section, in their order. The name has
            /// its own case.
            pub fn fields(&self, section: Section) -> impl Iterator<Item = (&str, &[u8])> {
                self.parts.section(section).iter()
            }
        }

        impl fmt::Debug for $it<'_> {
            /// Prints the number of fields and the length of the content, because a value may be a
            /// token.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($it))
                    .field("start", &self.start())
                    .field("headers", &self.parts.headers.iter().count())
                    .field("content_len", &self.parts.content.len())
                    .field("trailers", &self.parts.trailers.iter().count())
                    .finish()
            }
        }
    };
}

parts!(RawRequest);
parts!(RawResponse);

impl Message for RawRequest<'_> {
    fn start(&self) -> Start<'_> {
        Start::Request {
            method: self.method,
            target: self.target,
            scheme: self.scheme,
            authority: &self.authority,
        }
    }

    fn lines<'a>(&'a self, section: Section, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        self.parts.lines(section, name, each);
    }
}

impl Message for RawResponse<'_> {
    fn start(&self) -> Start<'_> {
        Start::Response {
            status: self.status,
        }
    }

    fn lines<'a>(&'a self, section: Section, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        self.parts.lines(section, name, each);
    }
}
