//! The view of a request or a response that signatures are made from, without copying.

use std::fmt;

mod http_crate;

pub use http_crate::{HttpRequest, HttpResponse};

/// The parts of a message that are not fields.
#[derive(Clone, Copy, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "implementations of `Message` create it"
)]
pub enum Start<'a> {
    /// A request.
    Request {
        /// The method in its own case, such as `GET`.
        method: &'a str,
        /// The target as sent: origin form (`/path?query`), absolute form, authority form
        /// (`CONNECT`) or `*` (RFC 9112 §3.2). In HTTP/2 and HTTP/3 it is `:path`, and `:authority`
        /// for `CONNECT`.
        target: &'a str,
        /// `https` or `http`, the scheme that the sender used. It comes from configuration, not
        /// from the message.
        scheme: &'a str,
        /// Host, and the port unless it is the default of the scheme: the authority that the sender
        /// addressed. The caller has checked it against configuration.
        authority: &'a str,
    },
    /// A response.
    Response {
        /// The status code, of three digits.
        status: u16,
    },
}

impl fmt::Debug for Start<'_> {
    /// Prints the length of the target, because a query may contain a token.
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

/// The section of a message that a field is in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a message has these two sections")]
pub enum Section {
    /// The header section, before the content.
    Headers,
    /// The trailer section, after the content (RFC 9110 §6.5).
    Trailers,
}

/// A view of a request or a response.
///
/// Implement it for the message type of your server or gateway. For the crate `http` use
/// [`HttpRequest`](crate::HttpRequest) and [`HttpResponse`](crate::HttpResponse).
///
/// ```
/// use aims_http_sig::{Message, Section, Start};
///
/// /// A request as a gateway stores it.
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
    /// Returns the request line and the origin of a request, or the status of a response.
    fn start(&self) -> Start<'_>;

    /// Calls `each` with the value of each field line with this name, in the order of the message.
    /// `name` is in lower case; field names are compared without case.
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
