//! DPoP proofs (RFC 9449).

use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, BindingFailure, Confirmation, TokenScheme};
use aims_oauth_wire::dpop::{Binding, Error, Nonce, ProofKey, UnspentProof, UnverifiedProof};
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
        let proof = proof.ok_or(Error::Missing);
        let proof = proof.and_then(|text| Parsed::of(text, policy));
        let proof = proof.map_err(|error| self.dpop_refused(&error, None))?;
        // Before the signature costs anything.
        if proof.unverified.thumbprint() != jkt {
            return Err(not_bound(BindingFailure::OtherKey { method: "jkt" }));
        }
        let proof = proof.verify(policy, request, token, now);
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

/// A parsed proof, and its key if a verified access token was bound to it before.
struct Parsed<'a> {
    text: &'a str,
    unverified: UnverifiedProof<'a>,
    known: Option<ProofKey>,
}

impl<'a> Parsed<'a> {
    fn of(text: &'a str, policy: &DpopPolicy) -> Result<Self, Error> {
        if let Some(known) = policy.keys.get(header(text))
            && let Some(unverified) = UnverifiedProof::parse_known(text, &policy.rules, &known)?
        {
            let known = Some(known);
            return Ok(Self {
                text,
                unverified,
                known,
            });
        }
        Ok(Self {
            text,
            unverified: UnverifiedProof::parse(text, &policy.rules)?,
            known: None,
        })
    }

    /// Verifies the proof by the key that it brings, which the token is bound to.
    fn verify(
        self,
        policy: &DpopPolicy,
        request: &Parts,
        token: &AccessToken,
        now: UnixTime,
    ) -> Result<UnspentProof, Error> {
        let proof = self.unverified;
        // The same header has the same key for the same algorithm.
        let known = match self.known {
            Some(known) => known,
            None => policy.keys.get_or_verify(
                header(self.text),
                |_| true,
                || proof.proof_key(policy.provider),
            )?,
        };
        let target = format!("{}{}", policy.origin, request.uri.path());
        let binding = Binding::to(request.method.as_str(), &target);
        let binding = binding.access_token_hash(token.hash());
        proof.verify(known.key(), &binding, &policy.rules, now)
    }
}

/// Returns the header of a compact JWS.
fn header(text: &str) -> &str {
    text.split('.').next().unwrap_or_default()
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
