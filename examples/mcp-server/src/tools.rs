//! The tools.

use aims::Principal;
use rmcp::handler::server::common::Extension;
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};

#[derive(Clone, Debug)]
pub(crate) struct Tools;

#[tool_router]
impl Tools {
    /// Reports the user on whose behalf the client calls.
    #[tool]
    async fn who(
        &self,
        Extension(request): Extension<http::request::Parts>,
    ) -> Result<String, ErrorData> {
        Ok(caller(&request)?.subject().to_owned())
    }

    /// Tells the weather of tomorrow.
    #[tool]
    async fn forecast(
        &self,
        Extension(request): Extension<http::request::Parts>,
    ) -> Result<String, ErrorData> {
        Ok(format!("rain, {}", caller(&request)?.subject()))
    }

    /// Deletes all data. It needs the scope `tools:admin`.
    #[tool]
    async fn reset(
        &self,
        Extension(request): Extension<http::request::Parts>,
    ) -> Result<String, ErrorData> {
        Ok(format!("reset by {}", caller(&request)?.subject()))
    }
}

#[tool_handler]
impl ServerHandler for Tools {}

/// Returns the caller, which the guard has put into the request.
fn caller(request: &http::request::Parts) -> Result<&Principal, ErrorData> {
    let who = request.extensions.get::<Principal>();
    who.ok_or_else(|| ErrorData::internal_error("there is no guard", None))
}
