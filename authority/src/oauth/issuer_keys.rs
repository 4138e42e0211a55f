//! Keys of other issuers, whose grants or tokens clients present: fetched again when a token names
//! an unknown key, or the keys are stale.
//!
//! The handlers wait for nothing. [`Authority::issuer_keys`] names the issuer whose keys a request
//! needs; the router has them fetched before it runs the handler.

use std::sync::Arc;

use aims_jose::jws::Unverified;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{Error as Token, RefreshKeys};
use aims_oauth_wire::token::Form;
use http::Request;
use serde::Deserialize;

use crate::Authority;

/// Maximum length of an assertion or a subject token in bytes.
pub(super) const LONGEST: usize = 8 * 1_024;

impl Authority {
    /// Returns the issuer whose keys must be fetched before [`handle`](Self::handle) can answer
    /// this request: it presents a grant or a token of this issuer, whose key is not in the store
    /// or whose keys are stale. Give it to [`RefreshKeys::refresh_keys`].
    ///
    /// It is an issuer with [`IncomingGrants::refreshed_by`](crate::IncomingGrants::refreshed_by)
    /// or [`Builder::refresh_subject_issuers`](crate::Builder::refresh_subject_issuers).
    /// [`router`](Self::router) does it by itself.
    #[must_use]
    pub fn issuer_keys(&self, request: &Request<Vec<u8>>, now: UnixTime) -> Option<String> {
        self.due_issuer(request, now).map(|(issuer, _)| issuer)
    }

    /// Also returns what fetches its keys.
    fn due_issuer(
        &self,
        request: &Request<Vec<u8>>,
        now: UnixTime,
    ) -> Option<(String, Arc<dyn RefreshKeys>)> {
        let server = self.oauth();
        if request.uri().path() != format!("{}/token", server.base.path()) {
            return None;
        }
        let form = Form::parse(request.body()).ok()?;
        let (assertion, subject) = (form.get("assertion"), form.get("subject_token"));
        let text = assertion.or(subject)?;
        let token = Unverified::parse_ignoring_key_references(text, LONGEST).ok()?;
        let issuer = unverified_issuer(&token)?;
        let (store, refresh) = match assertion {
            Some(_) => {
                let rules = server.domains.incoming(&issuer)?;
                (&rules.keys, rules.refresh.as_ref()?)
            }
            None => {
                let issuers = server.subject_issuers.as_ref()?;
                (&issuers.store, issuers.refresh.as_ref()?)
            }
        };
        let (issuers, header) = (store.snapshot(), token.header());
        let found = issuers.select(&issuer, header.kid(), header.alg(), now);
        let is_due = matches!(
            found,
            Err(Token::UnknownKey { .. } | Token::KeysStale { .. })
        );
        let refresh = Arc::clone(refresh);
        is_due.then_some((issuer, refresh))
    }

    /// Has the keys fetched that a request needs, for at most some seconds. If they stay unknown,
    /// the handler refuses the token.
    #[cfg(feature = "server")]
    pub(crate) async fn learn_issuer_keys(&self, request: &Request<Vec<u8>>, now: UnixTime) {
        let Some((issuer, refresh)) = self.due_issuer(request, now) else {
            return;
        };
        let changed = tokio::time::timeout(TIMEOUT, refresh.refresh_keys(&issuer)).await;
        if !changed.unwrap_or(false) {
            tracing::info!(?issuer, "no new keys of another issuer");
        }
    }
}

/// Maximum time to wait for the keys of an issuer.
#[cfg(feature = "server")]
const TIMEOUT: core::time::Duration = core::time::Duration::from_secs(5);

/// Returns the issuer that a JWT names. Nothing is verified: it selects the keys and the rules.
pub(super) fn unverified_issuer(token: &Unverified<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        iss: String,
    }
    let named: Named = aims_jose::json::from_object(token.unverified_payload().ok()?).ok()?;
    Some(named.iss)
}
