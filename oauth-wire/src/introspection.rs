//! Token introspection (RFC 7662): a resource server asks the authorization server about an opaque
//! token. The answer may be signed (RFC 9701).
//!
//! [`Introspection::parse`] reads an unsigned answer, [`SignedIntrospection`] a signed one. The
//! caller must still check audience, times, binding and scope of an active token.
//!
//! ```
//! use aims_oauth_wire::introspection::Introspection;
//! use http::Response;
//! use http::header::CONTENT_TYPE;
//!
//! let body = br#"{"active":true,"scope":"read","aud":"https://tool.example","exp":1800000000}"#;
//! let mut answer = Response::new(body.to_vec());
//! answer.headers_mut().insert(CONTENT_TYPE, "application/json".parse()?);
//! let Introspection::Active(token) = Introspection::parse(&answer)? else {
//!     return Err("not active".into());
//! };
//! assert_eq!(token.audiences(), ["https://tool.example"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use aims_fetch::is_readable_type;
use aims_jose::json;
use http::{Response, StatusCode};

use crate::{Received, media};

mod active;
mod error;
mod signed;

pub use self::active::ActiveToken;
pub use self::error::Error;
pub use self::signed::SignedIntrospection;

/// The media type of a signed answer (RFC 9701 §4). Request it with `Accept`.
pub const SIGNED: &str = "application/token-introspection+jwt";

/// The form of the answer that a resource server asks for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum AnswerForm {
    /// JSON (RFC 7662 §2.2). The connection protects it.
    #[default]
    Json,
    /// A JWT that the server signs (RFC 9701 §4).
    Signed,
}

/// The maximum length of an answer, in bytes.
pub const MAX_ANSWER: usize = 128 * 1024;

/// The answer of the authorization server about a token.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a token is active or is not")]
pub enum Introspection {
    /// `active` is `true`.
    Active(Box<ActiveToken>),
    /// `active` is `false`: the token is unknown, expired, revoked, or not for this resource server
    /// (RFC 7662 §2.2). The server does not say which.
    Inactive,
}

impl Introspection {
    /// Reads an unsigned answer: a JSON object with a status from 200 to 299.
    ///
    /// No member may occur twice. White space around the object and a byte order mark before it are
    /// skipped.
    ///
    /// # Errors
    ///
    /// - `introspection.caller` for 401 and 403: the credentials of the resource server are wrong,
    ///   not the token (RFC 7662 §2.3).
    /// - `introspection.response` if the answer cannot be parsed.
    /// - `introspection.member` if a member is missing or malformed.
    pub fn parse(response: &Response<Vec<u8>>) -> Result<Self, Error> {
        check(response)?;
        if !is_readable_type(response.headers()) || media::is(response.headers(), SIGNED) {
            return Err(unreadable(response, "another content type than JSON"));
        }
        let object = json::document(response.body());
        let object = object.or(Err(unreadable(response, NO_OBJECT)))?;
        json::check_object(object).or(Err(unreadable(response, NO_OBJECT)))?;
        let text = str::from_utf8(object).or(Err(unreadable(response, NO_OBJECT)))?;
        active::read(text, active::Absent::NullToo)
    }
}

/// Checks that the server has answered the question.
fn check(response: &Response<Vec<u8>>) -> Result<(), Error> {
    if matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        let answer = Box::new(Received::of(response));
        return Err(Error::Caller { answer });
    }
    if !media::has_document(response.status()) {
        return Err(unreadable(response, "expected status 200"));
    }
    if response.body().len() > MAX_ANSWER {
        return Err(unreadable(response, "more than 131072 bytes"));
    }
    Ok(())
}

fn unreadable(response: &Response<Vec<u8>>, reason: &'static str) -> Error {
    Error::Response {
        reason,
        answer: Box::new(Received::of(response)),
    }
}

const NO_OBJECT: &str = "expected one JSON object in UTF-8 without a member that occurs twice";
