//! The principal as an argument of an axum handler.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::principal::Principal;
use crate::refusal::Refusal;

/// The route is not behind a guard: answered with 500, because it is the tool's own fault and must
/// be seen.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the route asks for a `Principal`, but no guard stands before it")]
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
        // Only a guard can make one, so one that is there was made by a guard.
        parts.extensions.get::<Self>().cloned().ok_or(Unguarded)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Self::into_response(self)
    }
}
