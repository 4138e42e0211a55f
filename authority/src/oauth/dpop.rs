//! DPoP at the token endpoint (RFC 9449 §5).

use aims_jose::jwk::Thumbprint;
use aims_jose::provider::Provider;
use aims_jose::time::UnixTime;
use aims_oauth_wire::dpop::{self, Binding, DpopRules, Nonce, UnverifiedProof};
use aims_replay::ReplayStore;
use http::{HeaderMap, Request};

use crate::{Error, answer};

/// The rules for proofs at this server.
#[derive(Debug)]
pub(crate) struct DpopPolicy {
    pub(crate) rules: DpopRules,
    /// The URL of the token endpoint, as clients know it.
    pub(crate) target: String,
    /// Host and URL of the token endpoint for mutual TLS, if it is another one.
    pub(crate) alias: Option<(String, String)>,
    pub(crate) provider: &'static dyn Provider,
}

/// A proof that was verified and spent.
#[derive(Debug)]
pub(crate) struct ProvenDpop {
    /// The key that the token is bound to.
    pub(crate) thumbprint: Thumbprint,
    /// A nonce for the next request (RFC 9449 §8.2).
    pub(crate) next_nonce: Option<Nonce>,
}

impl DpopPolicy {
    /// Returns the URL of the token endpoint that a request was sent to: that for mutual TLS, if it
    /// has the host of that one.
    pub(crate) fn token_url<T>(&self, request: &Request<T>) -> &str {
        let host = answer::host(request);
        let alias = self
            .alias
            .as_ref()
            .filter(|(own, _)| host.is_some_and(|host| host.eq_ignore_ascii_case(own)));
        alias.map_or(&self.target, |(_, target)| target)
    }

    /// Verifies and spends the proof of a request to the endpoint with this URL, if it has one.
    ///
    /// The replay store counts it for the sender, the authenticated client, because a client can
    /// create a new proof key for every request.
    ///
    /// # Errors
    ///
    /// `as.dpop`; `authority.unavailable` if the replay store cannot tell.
    pub(crate) fn verify_at(
        &self,
        headers: &HeaderMap,
        target: &str,
        sender: &str,
        store: &dyn ReplayStore,
        now: UnixTime,
    ) -> Result<Option<ProvenDpop>, Error> {
        let Some(text) = dpop::from_headers(headers).map_err(|error| refused(error, None))? else {
            return Ok(None);
        };
        let proof = UnverifiedProof::parse(text, &self.rules);
        let proof = proof.map_err(|error| refused(error, None))?;
        let thumbprint = *proof.thumbprint();
        let proven = self
            .spend(proof, target, sender, store, now)
            .map_err(|error| {
                // Only the holder of the key can use the nonce.
                let nonce = matches!(error, dpop::Error::Nonce { .. });
                let nonce = self.rules.nonces().filter(|_| nonce);
                refused(error, nonce.map(|nonces| nonces.issue(&thumbprint, now)))
            })?;
        Ok(Some(ProvenDpop {
            thumbprint,
            next_nonce: proven.next_nonce().cloned(),
        }))
    }

    fn spend(
        &self,
        proof: UnverifiedProof<'_>,
        target: &str,
        sender: &str,
        store: &dyn ReplayStore,
        now: UnixTime,
    ) -> Result<dpop::DpopProof, dpop::Error> {
        let key = proof.key(self.provider)?;
        let binding = Binding::to("POST", target);
        let unspent = proof.verify(&key, &binding, &self.rules, now)?;
        unspent.spend_for(sender, store, now)
    }
}

fn refused(error: dpop::Error, nonce: Option<Nonce>) -> Error {
    match error.answer() {
        Some(answer) => Error::Dpop {
            answer,
            nonce,
            source: error,
        },
        None => Error::unavailable(error),
    }
}
