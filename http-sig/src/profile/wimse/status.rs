//! The status that an error is answered with.

use http::StatusCode;

use crate::Error;

/// The status of the answer to a request that was refused with this error (draft §"Error
/// Conditions"), for an RFC 9457 problem. Never 401, which would need a challenge.
///
/// | status | where |
/// |---|---|
/// | 400 | the signature or the body of the request is refused |
/// | 501 | a signed response was asked for and cannot be given: `sig.response_unsignable` |
/// | 503 | the memory of nonces cannot tell: `replay.…` but for `replay.replayed` and `replay.expired` |
/// | 500 | what signing alone says: `sig.prepare`, `sig.label_taken`, `sig.headers_full`, the codes of the signing key |
///
/// It is for what [`RequestPolicy`](super::RequestPolicy) says of a request. What
/// [`ResponseSigning::prepare`](super::ResponseSigning::prepare) says is no fault of the request
/// whatever its code is (`sig.component_absent` where the response lacks its token): answer 500, or
/// [`ResponseUnsignable`](Error::ResponseUnsignable) where a signed response was asked for.
#[must_use]
pub const fn status(error: &Error) -> StatusCode {
    match error {
        Error::ResponseUnsignable => StatusCode::NOT_IMPLEMENTED,
        Error::Replay(aims_replay::Error::Replayed | aims_replay::Error::Expired) => {
            StatusCode::BAD_REQUEST
        }
        Error::Replay(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Prepare { .. }
        | Error::Label { .. }
        | Error::LabelTaken
        | Error::HeadersFull
        | Error::Sign(_)
        | Error::SharedKey { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}
