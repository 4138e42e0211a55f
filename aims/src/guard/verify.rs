//! *Verify*: turns what a request presents into evidence. Nothing is spent or decided yet.

use std::sync::Arc;

use aims_error::ErrorKind;
use aims_http_sig::Error;
use aims_jose::time::UnixTime;
use aims_oauth_wire::InboundToken;
use aims_oauth_wire::introspection::Introspection;

use super::Guard;
use super::admission::Admission;
use super::evidence::{
    AgentCredential, Evidence, UnspentProof, access_token, certificate, http_signature,
    transaction, wit, wpt,
};
use super::fields::check_extracted;
use super::parse::{self, Credentials};
use super::received::{ReceivedContent, ReceivedRequest};
use super::refused::Refused;
use crate::refusal::ErrorResponse;

impl<M> Guard<M> {
    /// Parses, verifies and binds. The evidence has everything that was verified, even after a
    /// refusal.
    pub(super) fn examine(
        &self,
        received: ReceivedRequest<'_>,
        introspected: Option<&Introspection>,
        evidence: &mut Evidence,
        now: UnixTime,
    ) -> Result<Vec<UnspentProof>, Refused> {
        let presented = self.parse(received)?;
        let examined = self
            .check_presented(&presented)
            .and_then(|()| self.verify(&presented, received, introspected, evidence, now));
        let proofs = examined.as_deref().unwrap_or_default();
        evidence.fingerprints = parse::fingerprints(&presented, evidence, proofs);
        let unspent = examined?;
        let inner = &*self.inner;
        inner.paths.check(&received.head.uri, &inner.resource)?;
        self.check_upgrade(received.head)?;
        check_extracted(&inner.fields, &received.head.headers, &unspent)?;
        if let ReceivedContent::Whole(content) = received.content {
            for check in unspent.iter().filter_map(UnspentProof::content) {
                let compared = check.check(content);
                compared.map_err(|error| http_signature::refused(&error))?;
            }
        }
        Ok(unspent)
    }

    fn verify(
        &self,
        presented: &Credentials<'_>,
        received: ReceivedRequest<'_>,
        introspected: Option<&Introspection>,
        evidence: &mut Evidence,
        now: UnixTime,
    ) -> Result<Vec<UnspentProof>, Refused> {
        let inner = &*self.inner;
        let mut unspent = Vec::new();
        if let Some(text) = presented.wit {
            // From here on, the record names the agent even if the request is refused.
            let agent = &*evidence.agent.insert(wit::verify(inner, text, now)?);
            let AgentCredential::Wit(wit) = agent;
            wit::check_revoked(inner, wit, now)?;
            let request = received.head;
            if presented.signed {
                match http_signature::verify(inner, request, agent, now) {
                    Ok(signature) => {
                        if presented.wpt.is_none() {
                            http_signature::check_token_fields(inner, request, &signature)
                                .map_err(|error| http_signature::refused(&error))?;
                        }
                        unspent.push(UnspentProof::HttpSignature(Box::new(signature)));
                    }
                    // A signature with another tag is not a proof and is no reason to refuse the
                    // request.
                    Err(Error::SignatureMissing { .. }) if presented.wpt.is_some() => {}
                    Err(error) => return Err(http_signature::refused(&error)),
                }
            }
            if let Some(proof) = presented.wpt {
                let revision = proof.revision();
                let proof = wpt::verify(inner, proof, wit, presented, request, now)?;
                unspent.push(UnspentProof::Wpt(proof, revision));
            }
            self.check_answerable(&unspent, now)?;
        }
        if let (Some(token), Some(issuers)) = (&presented.token, &inner.issuers) {
            let sent = token;
            let refused = |error| self.token_refused(&error, Some(sent.scheme));
            let token = access_token::verify(inner, sent.text.text(), issuers, introspected, now);
            let token = token.map_err(|error| self.presented_token_refused(sent, &error))?;
            let inbound = InboundToken::new(sent.text.text());
            evidence.inbound = Some(Arc::new(inbound));
            let token = &*evidence.token.insert(token);
            access_token::check_revoked(inner, token, now).map_err(refused)?;
            let proof = self.verify_dpop(received.head, sent, presented.dpop, token, now)?;
            unspent.extend(proof.map(|it| UnspentProof::Dpop(Box::new(it))));
            unspent.extend(certificate::proof_of(token, presented.certificate.as_ref()));
            let bound = self.bind(token, evidence.agent.as_ref(), &unspent);
            evidence.unbound = bound.map_err(refused)?;
        }
        if let (Some(text), Some(transactions)) = (presented.txn_token, &inner.transactions) {
            let token = transaction::verify(transactions, text, now)?;
            let token = &*evidence.transaction.insert(token);
            transaction::check_revoked(inner, token, now)?;
            self.bind_transaction(token, evidence.agent.as_ref(), &unspent)?;
            let is_bound = !token.confirmations().is_empty();
            let is_alone = evidence.agent.is_none() && evidence.token.is_none();
            evidence.unbound |= is_alone && !is_bound;
        }
        self.check_current()?;
        Ok(unspent)
    }

    /// Refuses a request that demands a signed response if the guard cannot sign, before anything
    /// is done.
    fn check_answerable(&self, unspent: &[UnspentProof], now: UnixTime) -> Result<(), Refused> {
        let demanded = unspent.iter().any(UnspentProof::demands_signed_response);
        if demanded && self.route.requirements.does_stream() {
            return Err(Refused::new(
                "guard.streams",
                ErrorKind::Forbidden,
                ErrorResponse::Unsigned,
                "the caller demands a signed response, and the route is marked by `Requirements::streams`: expected a caller that accepts unsigned responses",
            ));
        }
        let signed = unspent
            .iter()
            .any(|it| matches!(it, UnspentProof::HttpSignature(_)));
        match &self.inner.signatures {
            Some(signatures) if signed => signatures.check_answerable(demanded, now),
            _ => Ok(()),
        }
    }

    /// Checks the credentials again after the guard has waited: they may have expired, lost their
    /// keys or been revoked. Cached results make this cheap, without public-key operations.
    pub(super) fn still_good(
        &self,
        admission: &Admission<'_>,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let (received, introspected) = (admission.received, admission.introspected.as_ref());
        let inner = &*self.inner;
        let presented = self.read(received)?;
        if let Some(text) = presented.wit {
            let AgentCredential::Wit(wit) = wit::verify(inner, text, now)?;
            wit::check_revoked(inner, &wit, now)?;
        }
        if let (Some(token), Some(issuers)) = (&presented.token, &inner.issuers) {
            access_token::verify(inner, token.text.text(), issuers, introspected, now)
                .and_then(|token| access_token::check_revoked(inner, &token, now))
                .map_err(|error| self.token_refused(&error, Some(token.scheme)))?;
        }
        if let (Some(text), Some(transactions)) = (presented.txn_token, &inner.transactions) {
            let token = transaction::verify(transactions, text, now)?;
            transaction::check_revoked(inner, &token, now)?;
        }
        self.check_current()
    }

    /// Refuses if revocations may be missing.
    fn check_current(&self) -> Result<(), Refused> {
        if self.inner.revoked.is_current() {
            return Ok(());
        }
        Err(Refused::new(
            "guard.revocations_stale",
            ErrorKind::Unavailable,
            ErrorResponse::TryLater,
            "the source of revocations is not current, so no credential is accepted",
        ))
    }
}
