//! What an endpoint is: its place, its methods, the form of its refusals and its handler.
//!
//! [`ENDPOINTS`] has every endpoint of the authority. Everything else that needs to know an
//! endpoint reads it from there: dispatch, `Allow`, the axum router and the metadata document.

mod table;

use aims_jose::time::UnixTime;
use http::{Method, Request, Response};

pub(crate) use self::table::{ENDPOINTS, grant_types};
use crate::authority::Inner;
use crate::base::Base;
use crate::{Error, answer, oauth};

/// A request as a handler gets it. Host, path, method, size and rate have been checked.
pub(crate) struct Call<'a> {
    /// The request with its whole body.
    pub(crate) request: &'a Request<Vec<u8>>,
    /// The time at which the request is judged.
    pub(crate) now: UnixTime,
}

/// Answers a request, or refuses it with an error that the endpoint's [`RefusalForm`] writes.
pub(crate) type Handler = fn(&Inner, &Call<'_>) -> Result<Response<Vec<u8>>, Error>;

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Where it is.
    pub(crate) place: Place,
    /// The methods that it has.
    pub(crate) methods: Methods,
    /// The form of its refusals.
    pub(crate) refusal: RefusalForm,
    /// Its member of the metadata document (RFC 8414 §2), for an endpoint that has one.
    pub(crate) metadata: Option<&'static str>,
    /// Whether a bootstrap token may come in `Authorization`. It is the one credential here that
    /// can be guessed, so wrong ones are counted. A wrong signature is not counted: it must not
    /// lock out another caller at the same address.
    pub(crate) takes_bootstrap_token: bool,
    /// Answers its requests.
    pub(crate) handler: Handler,
}

impl Endpoint {
    /// The path of requests to it.
    pub(crate) fn path(&self, base: &Base) -> String {
        match self.place {
            Place::Beneath(path) => format!("{}{path}", base.path()),
            Place::WellKnown(name) => format!("/.well-known/{name}{}", base.path()),
        }
    }

    /// Its member of the metadata document, with its URL. A document at a well-known place has
    /// none: clients know its place without the metadata.
    pub(crate) fn metadata_member(&self, base: &Base) -> Option<(&'static str, String)> {
        match self.place {
            Place::Beneath(path) => self.metadata.map(|member| (member, base.join(path))),
            Place::WellKnown(_) => None,
        }
    }
}

/// Where an endpoint is, seen from the base URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// At this path beneath the base URL.
    Beneath(&'static str),
    /// At `/.well-known/` and this name, inserted before the path of the base URL (RFC 8414 §3.1).
    WellKnown(&'static str),
}

/// The methods of an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Methods {
    /// A document: `GET` and `HEAD`.
    Read,
    /// An operation: `POST`.
    Post,
}

impl Methods {
    /// The value of `Allow` (RFC 9110 §10.2.1).
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Read => "GET, HEAD",
            Self::Post => "POST",
        }
    }

    /// Whether a request may have this method.
    pub(crate) fn contain(self, method: &Method) -> bool {
        match self {
            Self::Read => method == Method::GET || method == Method::HEAD,
            Self::Post => method == Method::POST,
        }
    }
}

/// The form in which an endpoint refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefusalForm {
    /// `application/problem+json` (RFC 9457 §3).
    Problem,
    /// `error` and `error_description` (RFC 6749 §5.2).
    Oauth,
}

impl RefusalForm {
    /// The refusal in this form.
    pub(crate) fn response(self, error: &Error) -> Response<Vec<u8>> {
        match self {
            Self::Problem => answer::problem(error),
            Self::Oauth => oauth::refusal(error),
        }
    }
}

#[cfg(test)]
mod tests;
