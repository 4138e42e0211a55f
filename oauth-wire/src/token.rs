//! Token requests and their answers (RFC 6749 §3.2, §5): clients write requests and read answers,
//! servers read forms and write refusals.

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
