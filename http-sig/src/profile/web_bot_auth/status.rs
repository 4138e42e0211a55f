//! The HTTP status for an error.

use http::StatusCode;

use crate::Error;

/// Returns the HTTP status for a request that is refused for its signature (draft §"Requesting a
/// Message Signature", §"Validating Message Signature").
///
/// The receiver decides whether to refuse it: a request from an unknown client is not necessarily
/// invalid.
///
/// | status | reason |
/// |---|---|
/// | 400 | a field is malformed |
/// | 403 | there is no valid signature; send [`wanted_signature`](super::wanted_signature) as `Accept-Signature` |
/// | 429 | the nonce was seen before |
/// | 503 | the replay store cannot tell whether the nonce was used |
#[must_use]
pub const fn status(error: &Error) -> StatusCode {
    match error {
        Error::Syntax { .. }
        | Error::LabelRepeated { .. }
        | Error::LabelsDiffer
        | Error::ParameterRepeated
        | Error::ParameterType { .. }
        | Error::Limit { .. }
        | Error::ComponentUnknown { .. }
        | Error::ComponentParameter { .. }
        | Error::ComponentRepeated { .. }
        | Error::SignatureAgent => StatusCode::BAD_REQUEST,
        Error::Replay(aims_replay::Error::Replayed) => StatusCode::TOO_MANY_REQUESTS,
        Error::Replay(aims_replay::Error::Expired) => StatusCode::FORBIDDEN,
        Error::Replay(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    }
}
