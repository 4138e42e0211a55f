//! The HTTP status for an error.

use http::StatusCode;

use crate::Error;

/// Returns the HTTP status for a request that was refused with this error, for an RFC 9457 problem
/// (draft §"Error Conditions"). It is never 401, which would need a challenge.
///
/// | status | reason |
/// |---|---|
/// | 400 | the signature or the body of the request is refused |
/// | 501 | the client asked for a signed response, and the server cannot sign: `sig.response_unsignable` |
/// | 503 | the replay store cannot tell: `replay.…`, except `replay.replayed` and `replay.expired` |
/// | 500 | errors of signing: `sig.prepare`, `sig.label_taken`, `sig.headers_full`, the codes of the signing key |
///
/// Use it for errors of [`RequestPolicy`](super::RequestPolicy). Errors of
/// [`ResponseSigning::prepare`](super::ResponseSigning::prepare) are never caused by the request,
/// whatever their code, such as `sig.component_absent` for a response without its token. Answer
/// those with 500, or with [`ResponseUnsignable`](Error::ResponseUnsignable) if the client asked
/// for a signed response.
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
