//! The facts about a request to the identity server, for the operator's log.

use core::net::IpAddr;

use aims_jose::digest::Fingerprint;
use aims_jose::jwk::Thumbprint;
use aims_wimse_id::WorkloadId;
use http::Request;

use crate::Error;
use crate::reason::Reason;

/// The facts about one request that its log line names. It contains no secret.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// `token`, `key` or `renewal`.
    pub(crate) how: Option<&'static str>,
    /// The identifier, as soon as the secret or the WIT has determined it.
    pub(crate) id: Option<WorkloadId>,
    /// The thumbprint of the new key. The client may not have proven yet that it holds it.
    pub(crate) key: Option<Thumbprint>,
    /// The fingerprint of the WIT that was presented.
    pub(crate) presented: Option<Fingerprint>,
    /// The key that an earlier renewal by the same key was for.
    pub(crate) renewed_for: Option<Thumbprint>,
}

impl Trail {
    /// Logs that a credential was issued.
    pub(crate) fn issued(&self, kind: &str, token: Fingerprint, source: Option<IpAddr>) {
        tracing::info!(
            kind,
            how = self.how,
            id = self.id.as_ref().map(display),
            key = self.key.map(display),
            presented = self.presented.map(display),
            token = %token,
            source = source.map(display),
            "issued a credential"
        );
        if let Some(earlier) = self.renewed_for {
            self.renewed_twice(earlier, source);
        }
    }

    /// Warns that one key has renewed for two others: an attacker may have a copy of it.
    fn renewed_twice(&self, earlier: Thumbprint, source: Option<IpAddr>) {
        tracing::warn!(
            id = self.id.as_ref().map(display),
            key = self.key.map(display),
            earlier_key = %earlier,
            presented = self.presented.map(display),
            source = source.map(display),
            "one WIT was renewed for two keys: a copy of its key may be in other hands; if the \
             agent did not retry a renewal, withdraw the identifier"
        );
    }

    /// Logs a refusal, with the reason, which the response does not contain. A poll before the user
    /// has decided is none.
    pub(crate) fn refused<T>(&self, request: &Request<T>, source: Option<IpAddr>, error: &Error) {
        let (pending, path) = ("authorization_pending", request.uri().path());
        if matches!(error, Error::Pending { answer } if *answer == pending) {
            tracing::debug!(?path, source = source.map(display), "pending");
            return;
        }
        let reason = Reason(error);
        let path: String = path.chars().take(200).collect();
        tracing::info!(
            code = error.code(),
            causes = ?reason.causes(),
            method = ?request.method(),
            ?path,
            how = self.how,
            id = self.id.as_ref().map(display),
            key = self.key.map(display),
            presented = self.presented.map(display),
            source = source.map(display),
            %reason,
            "refused"
        );
        if let Error::RenewedTwice { earlier } = error {
            self.renewed_twice(*earlier, source);
        }
    }
}
