//! For whom an assertion is.

use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::Endpoint;

/// What stands in `aud` of a client's assertion: by default the issuer alone, as a string
/// (draft-ietf-oauth-rfc7523bis §4).
///
/// The other forms are for servers that take no other, set for each of them by hand. None is ever
/// tried after another: an assertion for a token endpoint can be replayed by whoever makes a client
/// believe that the endpoint is his (audience injection).
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
    /// The issuer as a string.
    #[must_use]
    pub const fn issuer() -> Self {
        Self(Form::Issuer)
    }

    /// The issuer in an array of one.
    #[must_use]
    pub const fn issuer_in_array() -> Self {
        Self(Form::IssuerInArray)
    }

    /// The token endpoint as a string, as RFC 7523 §3 first had it.
    #[must_use]
    pub const fn token_endpoint() -> Self {
        Self(Form::TokenEndpoint)
    }

    /// Another endpoint as a string, for servers that want the one that is asked.
    #[must_use]
    pub const fn endpoint(url: Endpoint) -> Self {
        Self(Form::Endpoint(url))
    }

    /// The text, and nothing of the form.
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
