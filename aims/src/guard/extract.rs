//! Makes the principal an argument of axum handlers.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::principal::Principal;
use crate::refusal::Refusal;

/// Rejection of a handler whose route is not behind a guard.
///
/// The answer is 500, because the tool is configured wrongly.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the handler asks for a `Principal`, but no guard stands before its route: add `.layer(guard.layer())` to the router, after the route"
)]
#[non_exhaustive]
pub struct Unguarded;

impl IntoResponse for Unguarded {
    fn into_response(self) -> Response {
        tracing::error!(target: "aims", "{self}");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Unguarded;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Unguarded> {
        // Only a guard can create a principal, so a guard has inserted this one.
        parts.extensions.get::<Self>().cloned().ok_or(Unguarded)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Self::into_response(self)
    }
}
