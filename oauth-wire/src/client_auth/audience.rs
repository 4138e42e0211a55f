//! The audience of a client assertion.

use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::Endpoint;

/// Selects the `aud` of a client assertion. Defaults to the issuer alone, as a string
/// (draft-ietf-oauth-rfc7523bis §4).
///
/// Use another form only for a server that accepts no other. The client never tries several forms.
/// An attacker who makes the client use the attacker's token endpoint could replay an assertion
/// that has an endpoint as audience (audience injection).
///
/// ```
/// use aims_oauth_wire::client_auth::AssertionAudience;
///
/// assert_eq!(AssertionAudience::default(), AssertionAudience::issuer());
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AssertionAudience(Form);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Form {
    Endpoint(Endpoint),
    #[default]
    Issuer,
    IssuerInArray,
    TokenEndpoint,
}

impl AssertionAudience {
    /// Uses the issuer, as a string.
    #[must_use]
    pub const fn issuer() -> Self {
        Self(Form::Issuer)
    }

    /// Uses the issuer, in an array with one element.
    #[must_use]
    pub const fn issuer_in_array() -> Self {
        Self(Form::IssuerInArray)
    }

    /// Uses the token endpoint, as a string (the original form of RFC 7523 §3).
    #[must_use]
    pub const fn token_endpoint() -> Self {
        Self(Form::TokenEndpoint)
    }

    /// Uses this endpoint, as a string, for servers that expect the endpoint of the request.
    #[must_use]
    pub const fn endpoint(url: Endpoint) -> Self {
        Self(Form::Endpoint(url))
    }

    /// Returns the text of the audience, without its form.
    pub(super) fn text<'a>(&'a self, server: &'a ServerMetadata) -> Result<&'a str, Error> {
        Ok(match &self.0 {
            Form::Endpoint(url) => url.as_str(),
            Form::Issuer | Form::IssuerInArray => server.issuer().as_str(),
            Form::TokenEndpoint => server.token_endpoint()?.as_str(),
        })
    }

    pub(super) fn claim(&self, server: &ServerMetadata) -> Result<serde_json::Value, Error> {
        let text = self.text(server)?;
        Ok(match self.0 {
            Form::IssuerInArray => serde_json::json!([text]),
            _ => serde_json::json!(text),
        })
    }
}
