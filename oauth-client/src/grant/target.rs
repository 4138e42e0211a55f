//! What a token is for.

use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::TokenRequest;

/// What a token is for: the resource, the scopes, and whom it speaks for. Tokens with equal targets
/// are interchangeable, so it is what a kept token is found by.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    resource: Resource,
    scopes: ScopeSet,
    subject: Option<Box<str>>,
}

impl Target {
    /// A token for this resource (RFC 8707) and these scopes, for the client itself. Without
    /// scopes, the server chooses them.
    #[must_use]
    pub const fn new(resource: Resource, scopes: ScopeSet) -> Self {
        Self {
            resource,
            scopes,
            subject: None,
        }
    }

    /// Sets whom the token speaks for, where it is not the client: any text that tells principals
    /// apart, such as their identifier or the fingerprint of their token. Tokens of different
    /// subjects are never exchanged for each other. It is not sent.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<Box<str>>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The resource.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The scopes that are asked for; none where the server chooses.
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Whom the token speaks for, where it is not the client.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Adds `resource` and, where there are scopes, `scope`.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` where the request has them.
    pub fn write(&self, request: &mut TokenRequest) -> Result<(), aims_oauth_wire::Error> {
        request.resource(&self.resource)?;
        request.scope(&self.scopes)?;
        Ok(())
    }
}
