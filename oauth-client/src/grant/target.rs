//! The target of a token.

use aims_jose::digest::Fingerprint;
use aims_jose::json::canonical;
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::TokenRequest;
use serde::Deserialize;

use crate::Error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "type")]
    _kind: String,
}

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
    /// `None` if there is nothing of it, as for most tokens.
    further: Option<Box<Further>>,
}

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Further {
    subject: Option<Subject>,
    details: Option<Box<str>>,
}

/// The text that tells the subject from others.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Subject {
    /// The program named it.
    Named(Box<str>),
    /// The fingerprint of a token or an assertion of it.
    Fingerprint(Box<str>),
}

impl Target {
    /// Creates a target with this resource (RFC 8707) and these scopes, for the client itself.
    /// Without scopes the server chooses them.
    #[must_use]
    pub const fn new(resource: Resource, scopes: ScopeSet) -> Self {
        Self {
            resource,
            scopes,
            further: None,
        }
    }

    /// Sets the authorization details (RFC 9396): a JSON array of objects that each have a `type`.
    ///
    /// ```
    /// use aims_oauth_client::Target;
    ///
    /// let target = Target::new("https://tools.example/mcp".parse()?, "pay".parse()?)
    ///     .with_details(r#"[{"type": "payment", "amount": "10.00"}]"#)?;
    /// assert_eq!(target.details(), Some(r#"[{"amount":"10.00","type":"payment"}]"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `grant.details` if the text has another form.
    pub fn with_details(mut self, json: &str) -> Result<Self, Error> {
        self.further.get_or_insert_default().details = Some(details(json)?);
        Ok(self)
    }

    /// Sets authorization details in canonical form.
    #[cfg(feature = "tokio")]
    pub(crate) fn with_canonical_details(mut self, details: Option<Box<str>>) -> Self {
        if details.is_some() || self.further.is_some() {
            self.further.get_or_insert_default().details = details;
        }
        self
    }

    /// Returns the authorization details in canonical form (RFC 8785), if there are any.
    #[must_use]
    pub fn details(&self) -> Option<&str> {
        self.further.as_ref()?.details.as_deref()
    }

    /// Returns the same target with other scopes.
    #[must_use]
    pub fn with_scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = scopes;
        self
    }

    /// Sets the subject of the token, if it is not the client.
    ///
    /// It is the `sub` by which the authorization server knows the user, because
    /// [signals](crate::RevocationSignal) are compared with it. Tokens of different subjects are
    /// never interchanged. The text is not sent.
    #[must_use]
    pub fn with_subject(self, subject: impl Into<Box<str>>) -> Self {
        self.with(Subject::Named(subject.into()))
    }

    /// Sets the subject whose identifier is unknown, by the fingerprint of its token or assertion.
    ///
    /// Tokens of different fingerprints are never interchanged. A [signal](crate::RevocationSignal)
    /// about any subject drops them, because they may be the revoked ones.
    #[must_use]
    pub fn with_subject_fingerprint(self, fingerprint: &Fingerprint) -> Self {
        self.with(Subject::Fingerprint(fingerprint.to_string().into()))
    }

    fn with(mut self, subject: Subject) -> Self {
        self.further.get_or_insert_default().subject = Some(subject);
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

    /// Returns the subject or its fingerprint, if it is not the client.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match self.further.as_ref()?.subject.as_ref()? {
            Subject::Named(text) | Subject::Fingerprint(text) => Some(text),
        }
    }

    /// Returns the subject, if the program named it.
    #[cfg(feature = "tokio")]
    pub(crate) fn named_subject(&self) -> Option<&str> {
        match self.further.as_ref()?.subject.as_ref()? {
            Subject::Named(text) => Some(text),
            Subject::Fingerprint(_) => None,
        }
    }

    /// Adds `resource` and, if there are any, `scope` and `authorization_details` to a request.
    ///
    /// # Errors
    ///
    /// `oauth.repeated` if the request has them already.
    pub fn write(&self, request: &mut TokenRequest) -> Result<(), aims_oauth_wire::Error> {
        request.resource(&self.resource)?;
        request.scope(&self.scopes)?;
        if let Some(details) = self.details() {
            request.parameter("authorization_details", details)?;
        }
        Ok(())
    }
}

/// Returns authorization details in canonical form.
pub(crate) fn details(json: &str) -> Result<Box<str>, Error> {
    // A member that occurs twice, or a number that a double cannot hold, has no canonical form.
    let wrapped = format!("{{\"details\":{json}}}");
    let canonical = canonical(wrapped.as_bytes()).map_err(|_form| Error::Details)?;
    let entries: Wrapped = serde_json::from_str(&canonical).map_err(|_form| Error::Details)?;
    if entries.details.is_empty() {
        return Err(Error::Details);
    }
    let inner = canonical.strip_prefix("{\"details\":");
    let inner = inner.and_then(|it| it.strip_suffix('}'));
    Ok(inner.ok_or(Error::Details)?.into())
}
