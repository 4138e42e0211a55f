//! A login and its renewals, for the tests of stores.

use aims_oauth_client::{Grant, Target};
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::token::{TokenRequest, TokenResponse};
use http::Response;
use serde_json::json;

use super::json_answer;

pub(crate) const TOOL: &str = "https://tools.example/mcp";
pub(crate) const SCOPED: &str = "read";

/// A token for 300 s with a refresh token.
pub(crate) fn granted(number: usize) -> Response<Vec<u8>> {
    let body = json!({"access_token": format!("access{number}"), "token_type": "Bearer",
        "expires_in": 300, "refresh_token": format!("refresh{number}"), "scope": SCOPED});
    json_answer(200, &body)
}

/// A code that a user granted, as a grant.
#[derive(Debug)]
pub(crate) struct Code(pub(crate) Target);

impl Grant for Code {
    fn grant_type(&self) -> &str {
        "authorization_code"
    }

    fn target(&self) -> &Target {
        &self.0
    }

    fn write(
        &self,
        request: &mut TokenRequest,
        _: &ServerMetadata,
        _: aims_jose::time::UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        self.0.write(request)?;
        request.parameter("code", "c")?;
        Ok(())
    }

    fn refresh_token(&self, response: &TokenResponse) -> Option<aims_jose::secret::SecretText> {
        response.refresh_token().cloned()
    }

    fn cached_as(&self) -> &str {
        "user"
    }
}
