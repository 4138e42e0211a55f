//! The tools.

use aims::Principal;
use rmcp::handler::server::common::Extension;
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};

use crate::onward::Onward;

#[derive(Clone, Debug)]
pub(crate) struct Tools(pub(crate) Option<Onward>);

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

    /// Tells the weather of tomorrow. It asks a service, on behalf of the user.
    #[tool]
    async fn forecast(
        &self,
        Extension(request): Extension<http::request::Parts>,
    ) -> Result<String, ErrorData> {
        let failed = |what: String| ErrorData::internal_error(what, None);
        let onward = self.0.as_ref();
        let onward = onward.ok_or_else(|| failed("there is no weather service".to_owned()))?;
        // The token has no other use than an exchange.
        let token = caller(&request)?.inbound_token();
        let token = token.ok_or_else(|| failed("there is no access token".to_owned()))?;
        let told = onward.forecast(token).await;
        told.map_err(|error| failed(error.to_string()))
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
