//! The target of a token.

use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::TokenRequest;

/// The purpose of a token: the resource, the scopes, and the subject.
///
/// Tokens with equal targets are interchangeable, so cached tokens are found by their target.
///
/// ```
/// use aims_oauth_client::Target;
///
/// let target = Target::new("https://tools.example/mcp".parse()?, "tools:call".parse()?);
/// assert!(target.subject().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    resource: Resource,
    scopes: ScopeSet,
    subject: Option<Box<str>>,
}

impl Target {
    /// Creates a target with this resource (RFC 8707) and these scopes, for the client itself.
    /// Without scopes the server chooses them.
    #[must_use]
    pub const fn new(resource: Resource, scopes: ScopeSet) -> Self {
        Self {
            resource,
            scopes,
            subject: None,
        }
    }

    /// Sets the subject of the token, if it is not the client.
    ///
    /// It is any text that distinguishes principals, such as their identifier or the fingerprint of
    /// their token. Tokens of different subjects are never interchanged. The text is not sent.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<Box<str>>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Returns the resource.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Returns the requested scopes. It is empty if the server chooses.
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Returns the subject, if it is not the client.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Adds `resource` and, if there are scopes, `scope` to a request.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if the request has them already.
    pub fn write(&self, request: &mut TokenRequest) -> Result<(), aims_oauth_wire::Error> {
        request.resource(&self.resource)?;
        request.scope(&self.scopes)?;
        Ok(())
    }
}
