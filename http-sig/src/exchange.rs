//! The message of a signature, with everything that its components are taken from.

use std::fmt;

use crate::{FieldTypes, Message};

static KNOWN: FieldTypes = FieldTypes::known();

/// A message, and for a response the request that it answers.
///
/// ```
/// # use aims_http_sig::{Exchange, HttpRequest, HttpResponse};
/// # let (request, _) = http::Request::new(()).into_parts();
/// # let (response, _) = http::Response::new(()).into_parts();
/// let request = HttpRequest::received(&request, "https", "tools.example");
/// let response = HttpResponse::new(&response);
/// let asked = Exchange::of(&request);
/// let answered = Exchange::of(&response).answering(&request);
/// ```
#[derive(Clone, Copy)]
pub struct Exchange<'m> {
    message: &'m dyn Message,
    request: Option<&'m dyn Message>,
    types: &'m FieldTypes,
}

impl<'m> Exchange<'m> {
    /// Creates an exchange of a request, or of a response whose signature covers no component of
    /// the request.
    #[must_use]
    pub fn of(message: &'m dyn Message) -> Self {
        Self {
            message,
            request: None,
            types: &KNOWN,
        }
    }

    /// Adds the request that the response answers, as it was sent (RFC 9421 §2.4).
    #[must_use]
    pub const fn answering(mut self, request: &'m dyn Message) -> Self {
        self.request = Some(request);
        self
    }

    /// Sets the structured types of fields. Defaults to [`FieldTypes::known`].
    #[must_use]
    pub const fn with_types(mut self, types: &'m FieldTypes) -> Self {
        self.types = types;
        self
    }

    pub(crate) const fn message(&self) -> &'m dyn Message {
        self.message
    }

    pub(crate) const fn request(&self) -> Option<&'m dyn Message> {
        self.request
    }

    pub(crate) const fn types(&self) -> &'m FieldTypes {
        self.types
    }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("message", &self.message.start())
            .field("request", &self.request.map(Message::start))
            .finish_non_exhaustive()
    }
}
