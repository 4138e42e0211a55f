//! The status that an error is answered with.

use http::StatusCode;

use crate::Error;

/// The status of the answer to a request that is refused for its signature (draft §"Requesting a
/// Message Signature", §"Validating Message Signature"). Whether it is refused at all is up to the
/// receiver: a request that cannot be attributed is not a bad one.
///
/// | status | where |
/// |---|---|
/// | 400 | a field is malformed |
/// | 403 | there is no signature, or not a good one; with [`wanted_signature`](super::wanted_signature) as `Accept-Signature` |
/// | 429 | the nonce was seen before |
/// | 503 | the memory of nonces cannot tell |
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
