//! Token requests and token responses (RFC 6749 §3.2, §5).
//!
//! Clients write requests and read responses. Servers read forms and write error responses.

mod error;
mod form;
mod redact;
mod request;
mod response;
mod rules;
mod unreadable;

pub(crate) use self::redact::media_type;
pub use error::TokenError;
pub(crate) use error::sayable;
pub use form::{Form, MAX_FORM, MAX_PARAMETERS};
pub use request::TokenRequest;
pub use response::{MAX_EXPIRES_IN, MAX_RESPONSE, TokenResponse, TokenType};
pub use rules::ResponseRules;
pub use unreadable::UnreadableResponse;
