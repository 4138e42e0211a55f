//! What a signature looks at: a request or a response, read without copying.

use std::fmt;

mod http_crate;

pub use http_crate::{HttpRequest, HttpResponse};

/// The parts of a message that are not fields.
#[derive(Clone, Copy, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever implements `Message` makes one"
)]
pub enum Start<'a> {
    /// A request.
    Request {
        /// In its own case: `GET`.
        method: &'a str,
        /// As it stands on the wire: origin form (`/path?query`), absolute form, authority form
        /// (`CONNECT`) or `*` (RFC 9112 §3.2). Of HTTP/2 and HTTP/3 it is `:path`, for `CONNECT`
        /// `:authority`.
        target: &'a str,
        /// `https` or `http`: how the sender came here, from configuration, not from the message.
        scheme: &'a str,
        /// Host and, unless it is the default one of the scheme, port: what the sender addressed,
        /// checked against configuration by the caller.
        authority: &'a str,
    },
    /// A response.
    Response {
        /// The status code, of three digits.
        status: u16,
    },
}

impl fmt::Debug for Start<'_> {
    /// The target by its length: a query may have a token in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request {
                method,
                target,
                scheme,
                authority,
            } => f
                .debug_struct("Request")
                .field("method", method)
                .field("target_len", &target.len())
                .field("scheme", scheme)
                .field("authority", authority)
                .finish(),
            Self::Response { status } => {
                f.debug_struct("Response").field("status", status).finish()
            }
        }
    }
}

/// Where a field stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a message has these two sections")]
pub enum Section {
    /// Before the content.
    Headers,
    /// Behind the content (RFC 9110 §6.5).
    Trailers,
}

/// A request or a response, as a view.
///
/// ```
/// use aims_http_sig::{Message, Section, Start};
///
/// /// A request as a gateway has it.
/// struct Seen {
///     path: String,
///     fields: Vec<(String, Vec<u8>)>,
/// }
///
/// impl Message for Seen {
///     fn start(&self) -> Start<'_> {
///         Start::Request {
///             method: "GET",
///             target: &self.path,
///             scheme: "https",
///             authority: "tools.example",
///         }
///     }
///
///     fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
///         if section == Section::Headers {
///             let named = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
///             named.for_each(|(_, value)| each(value));
///         }
///     }
/// }
/// # let _: &dyn Message = &Seen { path: "/".to_owned(), fields: Vec::new() };
/// ```
pub trait Message {
    /// The request line or the status, and how the request came.
    fn start(&self) -> Start<'_>;

    /// Gives the value of each field line of that name, in the order in which they came. `name` is
    /// in lower case; field names are compared without case.
    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8]));
}

impl<M: Message + ?Sized> Message for &M {
    fn start(&self) -> Start<'_> {
        (**self).start()
    }

    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        (**self).lines(section, name, each);
    }
}
