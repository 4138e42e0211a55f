//! The form of a stored token.

use aims_jose::json;
use aims_jose::jwk::Thumbprint;
use aims_jose::secret::SecretText;
use aims_jose::time::{UnixTime, at};
use aims_oauth_wire::names::{ClientId, Resource};
use serde::{Deserialize, Serialize};

use super::StoredValue;
use crate::token::{Extras, User};
use crate::{DpopKey, Error, Target, Token};

/// A stored token, its refresh token, and the lease of the program that renews it.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Record {
    access_token: Option<String>,
    scope: String,
    expires: u64,
    pub(crate) refresh_token: Option<String>,
    id_token: Option<String>,
    is_bound: bool,
    /// The thumbprint of the identity's key that the access token was requested with.
    key: Option<String>,
    /// Identifies the login, or the first request, through all renewals.
    pub(crate) grant: String,
    pub(crate) user: Option<User>,
    pub(crate) of: Owner,
    /// The thumbprint of the certificate that the token is bound to.
    certificate: Option<String>,
    /// The granted authorization details.
    details: Option<String>,
    pub(crate) lease: Option<Lease>,
}

/// The client, the user and the resource of a token.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Owner {
    pub(crate) client: String,
    pub(crate) cached_as: String,
    pub(crate) subject: Option<String>,
    /// Whether the program named the subject. Otherwise it is a fingerprint.
    #[serde(default)]
    is_named: bool,
    pub(crate) resource: String,
}

/// The right of one program to renew a token, until this time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Lease {
    pub(crate) owner: String,
    pub(crate) until: u64,
}

impl Owner {
    pub(crate) fn new(client: &ClientId, cached_as: &str, target: &Target) -> Self {
        Self {
            client: client.as_str().to_owned(),
            cached_as: cached_as.to_owned(),
            subject: target.subject().map(str::to_owned),
            is_named: target.named_subject().is_some(),
            resource: target.resource().as_str().to_owned(),
        }
    }

    /// Returns the subject, if the program named it.
    pub(crate) fn named_subject(&self) -> Option<&str> {
        self.subject.as_deref().filter(|_| self.is_named)
    }
}

impl Record {
    pub(crate) fn of(token: &Token, key: Option<Thumbprint>, grant: &str, of: Owner) -> Self {
        let text = |secret: &SecretText| secret.expose().to_owned();
        Self {
            access_token: Some(text(&token.text)),
            scope: token.scopes.to_string(),
            expires: token.expires.as_secs(),
            refresh_token: token.refresh_token().map(text),
            id_token: token.id_token().map(text),
            is_bound: token.dpop.is_some(),
            key: key.map(|key| key.to_string()),
            grant: grant.to_owned(),
            user: token.user().cloned(),
            of,
            certificate: token.certificate().map(|it| it.to_string()),
            details: token.details().map(str::to_owned),
            lease: None,
        }
    }

    pub(crate) fn read(text: &SecretText) -> Result<Self, Error> {
        json::from_document(text.expose().as_bytes()).map_err(|_malformed| Error::StoreContent)
    }

    pub(crate) fn write(&self) -> StoredValue {
        // Strings and numbers can always be written.
        let text = SecretText::new(serde_json::to_string(self).unwrap_or_default());
        StoredValue::new(text, self.until())
    }

    /// Returns when nothing of the record is of use any more: never, with a refresh token.
    fn until(&self) -> Option<UnixTime> {
        let leased = self.lease.as_ref().map_or(0, |lease| lease.until);
        let end = at(self.expires.max(leased));
        self.refresh_token.is_none().then_some(end)
    }

    /// Returns whether the access token was requested with this key of the identity.
    pub(crate) fn is_of_key(&self, key: Option<Thumbprint>) -> bool {
        self.key == key.map(|key| key.to_string())
    }

    /// Returns whether it is the record of this token.
    pub(crate) fn has(&self, token: &Token) -> bool {
        self.access_token
            .as_deref()
            .is_some_and(|own| token.text == *own)
    }

    /// Returns the token that a logout revokes, and the name of its type.
    pub(crate) fn to_revoke(&self) -> Option<(SecretText, &'static str)> {
        match (&self.refresh_token, &self.access_token) {
            (Some(refresh), _) => Some((refresh.as_str().into(), "refresh_token")),
            (None, Some(access)) => Some((access.as_str().into(), "access_token")),
            (None, None) => None,
        }
    }

    /// Returns the stored token, if there is one.
    pub(crate) fn token(&self, resource: &Resource, key: Option<&DpopKey>) -> Option<Token> {
        let scopes = match &*self.scope {
            "" => Some(aims_oauth_wire::names::ScopeSet::new()),
            scopes => scopes.parse().ok(),
        };
        // A bound token is of no use without its key.
        if self.is_bound && key.is_none() {
            return None;
        }
        let certificate = self.certificate.as_ref().map(|it| it.parse());
        let token = Token::new(
            SecretText::new(self.access_token.clone()?),
            resource.clone(),
            scopes?,
            at(self.expires),
            key.filter(|_| self.is_bound).cloned(),
        );
        Some(token.with_extras(Extras {
            refresh_token: self.refresh_token.clone().map(SecretText::new),
            id_token: self.id_token.clone().map(SecretText::new),
            user: self.user.clone(),
            certificate: certificate.transpose().ok()?,
            details: self.details.as_deref().map(Into::into),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored token that is bound to a key is not used without the key (RFC 9449 §7.1).
    #[test]
    fn a_bound_token_needs_its_key() {
        let tool: Resource = "https://tools.example/mcp".parse().unwrap();
        for is_bound in [false, true] {
            let text = format!(r#"{{"access_token":"t","expires":1,"is_bound":{is_bound}}}"#);
            let record = Record::read(&SecretText::new(text)).unwrap();
            assert_eq!(record.token(&tool, None).is_none(), is_bound);
        }
    }
}
