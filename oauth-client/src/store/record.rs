//! The form of a stored token.

use std::time::Duration;

use aims_jose::json;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::names::Resource;
use serde::{Deserialize, Serialize};

use crate::{DpopKey, Error, Token};

/// A stored token, its refresh token, and the lease of the program that renews it.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct Record {
    access_token: Option<String>,
    scope: String,
    expires: u64,
    pub(crate) refresh_token: Option<String>,
    id_token: Option<String>,
    is_bound: bool,
    pub(crate) lease: Option<Lease>,
}

/// The right of one program to renew a token, until this time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Lease {
    pub(crate) owner: String,
    pub(crate) until: u64,
}

impl Record {
    pub(crate) fn of(token: &Token) -> Self {
        let text = |secret: &SecretText| secret.expose().to_owned();
        Self {
            access_token: Some(text(&token.text)),
            scope: token.scopes.to_string(),
            expires: token.expires.as_secs(),
            refresh_token: token.refresh_token.as_ref().map(text),
            id_token: token.id_token.as_ref().map(text),
            is_bound: token.dpop.is_some(),
            lease: None,
        }
    }

    pub(crate) fn read(text: &SecretText) -> Result<Self, Error> {
        json::from_document(text.expose().as_bytes()).map_err(|_malformed| Error::StoreContent)
    }

    pub(crate) fn write(&self) -> SecretText {
        // Strings and numbers can always be written.
        SecretText::new(serde_json::to_string(self).unwrap_or_default())
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
        Some(Token {
            text: SecretText::new(self.access_token.clone()?),
            resource: resource.clone(),
            scopes: scopes?,
            expires: UnixTime::since_unix_epoch(Duration::from_secs(self.expires)),
            dpop: key.filter(|_| self.is_bound).cloned(),
            refresh_token: self.refresh_token.clone().map(SecretText::new),
            id_token: self.id_token.clone().map(SecretText::new),
        })
    }
}
