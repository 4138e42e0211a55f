//! DPoP proofs (RFC 9449).

use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, BindingFailure, Confirmation, TokenScheme};
use aims_oauth_wire::dpop::{Binding, Error, Nonce, UnspentProof, UnverifiedProof};
use aims_replay::ReplayStore;
use http::request::Parts;

use super::Proof;
use crate::guard::Guard;
use crate::guard::dpop::DpopPolicy;
use crate::guard::parse::PresentedToken;
use crate::guard::refused::Refused;
use crate::refusal::ErrorResponse;

impl<M> Guard<M> {
    /// Checks that the token is sent with the scheme that its `cnf` asks for, and verifies the
    /// proof of one that is sent with the scheme `DPoP`.
    pub(in crate::guard) fn verify_dpop(
        &self,
        request: &Parts,
        presented: &PresentedToken<'_>,
        proof: Option<&str>,
        token: &AccessToken,
        now: UnixTime,
    ) -> Result<Option<UnspentProof>, Refused> {
        let not_bound = |why| {
            let error = aims_oauth_rs::Error::NotBound(why);
            self.token_refused(&error, Some(presented.scheme))
        };
        let jkt = token.confirmations().iter().find_map(|it| match it {
            Confirmation::DpopJkt(jkt) => Some(jkt),
            Confirmation::Jwk(_) | Confirmation::CertificateS256(_) => None,
        });
        let (jkt, policy) = match (presented.scheme, jkt, &self.inner.dpop) {
            (TokenScheme::Bearer, None, _) => return Ok(None),
            (TokenScheme::Bearer, Some(_), _) => {
                return Err(not_bound(BindingFailure::NotSentAsDpop));
            }
            // Without a policy, the scheme was refused before.
            (TokenScheme::Dpop, None, _) | (TokenScheme::Dpop, _, None) => {
                return Err(not_bound(BindingFailure::SentAsDpop));
            }
            (TokenScheme::Dpop, Some(jkt), Some(policy)) => (jkt, policy),
        };
        let text = proof.ok_or(Error::Missing);
        let proof = text.and_then(|text| Ok((text, UnverifiedProof::parse(text, &policy.rules)?)));
        let (text, proof) = proof.map_err(|error| self.dpop_refused(&error, None))?;
        // Before the signature costs anything.
        if proof.thumbprint() != jkt {
            return Err(not_bound(BindingFailure::OtherKey { method: "jkt" }));
        }
        let proof = verify(policy, request, presented, (text, proof), now);
        let unspent = proof.map_err(|error| {
            // The nonce is good for the holder of this key alone.
            let nonces = policy.rules.nonces();
            let nonces = nonces.filter(|_| matches!(error, Error::Nonce { .. }));
            let nonce = nonces.map(|it| it.issue(jkt, now));
            self.dpop_refused(&error, nonce)
        })?;
        Ok(Some(unspent))
    }

    /// Returns the refusal for a request whose proof is missing or refused (RFC 9449 §7.1, §9).
    pub(in crate::guard) fn dpop_refused(&self, error: &Error, nonce: Option<Nonce>) -> Refused {
        let answer = match (error.code(), error.answer()) {
            ("jws.too_long", _) => ErrorResponse::TooLarge,
            (_, None) => ErrorResponse::Unavailable,
            (_, Some(code)) => {
                let mut answer = self.challenges(Some(TokenScheme::Dpop), Some(code));
                answer.nonce = nonce.map(|it| it.to_header_value());
                ErrorResponse::Challenge(http::StatusCode::UNAUTHORIZED, answer)
            }
        };
        Refused::of(error.code(), error.kind(), answer, error)
    }
}

/// Verifies a proof by the key that it brings, which the token is bound to.
fn verify(
    policy: &DpopPolicy,
    request: &Parts,
    token: &PresentedToken<'_>,
    (text, proof): (&str, UnverifiedProof<'_>),
    now: UnixTime,
) -> Result<UnspentProof, Error> {
    // The same header has the same key for the same algorithm.
    let header = text.split('.').next().unwrap_or_default();
    let key = policy
        .keys
        .get_or_verify(header, |_| true, || proof.key(policy.provider))?;
    let target = format!("{}{}", policy.origin, request.uri.path());
    let binding = Binding::to(request.method.as_str(), &target).access_token(&token.text);
    proof.verify(&key, &binding, &policy.rules, now)
}

/// Spends the proof. The entry counts for the client of the token: a client can get tokens for as
/// many keys as it likes.
pub(super) fn spend(
    unspent: UnspentProof,
    token: Option<&AccessToken>,
    store: &dyn ReplayStore,
    now: UnixTime,
) -> Result<Proof, Error> {
    let sender = token.map_or_else(String::new, |token| {
        format!("{} {}", token.issuer(), token.client_id())
    });
    let spent = unspent.spend_for(&sender, store, now)?;
    Ok(Proof::Dpop(Box::new(spent)))
}
