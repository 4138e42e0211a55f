//! One request, judged.

use http::header::HeaderMap;
use http::request::Parts;
use jose::digest::Fingerprint;
use jose::time::UnixTime;
use oauth_rs::{AccessToken, bearer_token};
use wimse_cred::Wit;
use wimse_id::WorkloadId;
use wimse_wpt::fields::{Presented, txn_token};
use wimse_wpt::{Binding, UnspentWpt};

use super::{Audience, Guard, Inner, head};
use crate::decision::{Call, Decision, Denial, Reason};
use crate::principal::Principal;
use crate::record::Tokens;
use crate::refresh::Keys;
use crate::refusal::{Answer, Refusal};
use crate::revoked::Credential;
use crate::trace::TraceContext;

/// A verdict, and what was seen on the way to it.
pub(super) struct Judged {
    pub(super) verdict: Result<(Principal, Vec<Reason>), Refused>,
    pub(super) seen: Seen,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) tokens: Tokens,
    pub(super) wit: Option<Wit>,
    pub(super) token: Option<AccessToken>,
}

pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) reasons: Vec<Reason>,
    keys: Option<Box<Keys>>,
}

impl Judged {
    /// The keys whose refresh may change the verdict.
    pub(super) fn unknown_keys(&self) -> Option<Keys> {
        self.verdict.as_ref().err()?.keys.as_deref().cloned()
    }
}

impl Refused {
    fn new(code: &'static str, answer: Answer, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            reasons: vec![Reason::new(code, detail.clone())],
            refusal: Refusal::new(code, answer, detail),
            keys: None,
        }
    }
}

/// The texts that a request brings. Nothing of them is verified.
struct Brought<'a> {
    presented: Option<Presented<'a>>,
    token: Option<&'a str>,
    txn_token: Option<&'a str>,
}

impl Guard {
    pub(super) fn judge(&self, request: &Parts, now: UnixTime) -> Judged {
        let mut seen = Seen::default();
        let verdict = self.verdict(request, &mut seen, now);
        Judged { verdict, seen }
    }

    fn verdict(
        &self,
        request: &Parts,
        seen: &mut Seen,
        now: UnixTime,
    ) -> Result<(Principal, Vec<Reason>), Refused> {
        head::check(request).map_err(|(code, answer, why)| Refused::new(code, answer, why))?;
        let brought = self.read(&request.headers)?;
        let verdict = self.verify(&brought, request, seen, now);
        seen.tokens = fingerprints(&brought, seen);
        verdict
    }

    fn verify(
        &self,
        brought: &Brought<'_>,
        request: &Parts,
        seen: &mut Seen,
        now: UnixTime,
    ) -> Result<(Principal, Vec<Reason>), Refused> {
        let inner = &*self.inner;
        let proof = match brought.presented {
            Some(presented) => {
                let wit = inner.wit(presented.wit(), now)?;
                seen.wit = Some(wit.clone());
                Some(inner.wpt(presented.wpt(), &wit, brought, request, now)?)
            }
            None => None,
        };
        if let (Some(text), Some(issuers)) = (brought.token, &inner.issuers) {
            let token = inner.tokens.verify(text, issuers, now);
            let token = token.map_err(|error| self.token(&error))?;
            if inner.is_revoked(Credential::AccessToken(&token), now) {
                return Err(self.token(&oauth_rs::Error::Revoked));
            }
            check_same(&token, seen.wit.as_ref()).map_err(|error| self.token(&error))?;
            seen.token = Some(token);
        }
        // Last: what is refused for another reason is not remembered, and what is remembered was good.
        let proof = proof
            .map(|proof| proof.spend(inner.replay.as_ref(), now))
            .transpose()
            .map_err(|error| wpt_refused(&error))?;
        let principal = Principal::new(proof, seen.token.clone());
        let reasons = self.decide(&principal, request, now)?;
        Ok((principal, reasons))
    }

    /// Finds what the request brings, within limits, before any cryptography.
    fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Brought<'a>, Refused> {
        let inner = &*self.inner;
        let token = bearer_token(headers, inner.max_token).map_err(|error| self.token(&error))?;
        let presented = Presented::find(headers).map_err(|error| wpt_refused(&error))?;
        let txn_token = txn_token(headers).map_err(|error| wpt_refused(&error))?;
        match (token, &inner.issuers) {
            (None, Some(_)) => return Err(self.token(&oauth_rs::Error::Missing)),
            (Some(_), None) => {
                let why = "an access token came, but no issuer is configured";
                return Err(Refused::new(
                    "guard.token_unexpected",
                    Answer::Forbidden,
                    why,
                ));
            }
            _ => {}
        }
        if presented.is_none() && !self.route.requirements.allows_bearer() {
            let why = "a workload identity token and a workload proof token are required";
            return Err(Refused::new("guard.proof", Answer::Problem(why), why));
        }
        Ok(Brought {
            presented,
            token,
            txn_token,
        })
    }

    fn token(&self, error: &oauth_rs::Error) -> Refused {
        let scopes = self.route.requirements.required_scopes();
        let answer = oauth_rs::challenge(error, self.inner.metadata_url.as_ref(), scopes);
        let answer = answer.map_or(Answer::Unavailable, |(status, challenge)| {
            Answer::Challenge(status, challenge)
        });
        let answer = match error {
            oauth_rs::Error::TooLong { .. } => Answer::TooLarge,
            _ => answer,
        };
        let keys = match error {
            oauth_rs::Error::UnknownKey { issuer, .. } => {
                Some(Box::new(Keys::Issuer(issuer.clone())))
            }
            _ => None,
        };
        Refused {
            keys,
            ..Refused::new(error.code(), answer, error.to_string())
        }
    }

    /// The requirements of the route, then the seam.
    fn decide(
        &self,
        principal: &Principal,
        request: &Parts,
        now: UnixTime,
    ) -> Result<Vec<Reason>, Refused> {
        let call = Call {
            resource: &self.inner.resource,
            method: &request.method,
            path: request.uri.path(),
            trace: TraceContext::of(&request.headers),
        };
        let mut reasons = self.reasons(self.route.requirements.decide(principal))?;
        reasons.extend(self.reasons(self.inner.authorize.authorize(principal, &call, now))?);
        Ok(reasons)
    }

    fn reasons(&self, decision: Decision) -> Result<Vec<Reason>, Refused> {
        let (denial, reasons) = match decision {
            Decision::Allow(reasons) => return Ok(reasons),
            Decision::Deny(denial, reasons) => (denial, reasons),
        };
        let (code, answer) = match denial {
            Denial::Forbidden => ("guard.forbidden", Answer::Forbidden),
            Denial::Unavailable => ("guard.unavailable", Answer::Unavailable),
            Denial::InsufficientScope(scopes) => {
                let url = self.inner.metadata_url.as_ref();
                let answer = oauth_rs::insufficient_scope(url, &scopes);
                let answer = answer.map_or(Answer::Forbidden, |(status, challenge)| {
                    Answer::Challenge(status, challenge)
                });
                ("guard.scope", answer)
            }
        };
        let detail = reasons
            .first()
            .map_or_else(String::new, ToString::to_string);
        Err(Refused {
            reasons,
            refusal: Refusal::new(code, answer, detail),
            keys: None,
        })
    }
}

impl Inner {
    fn wit(&self, text: &str, now: UnixTime) -> Result<Wit, Refused> {
        let wit = self.wits.verify(text, &self.trust, now);
        let wit = wit.map_err(|error| wit_refused(&error))?;
        if self.is_revoked(Credential::Wit(&wit), now) {
            return Err(wit_refused(&wimse_cred::Error::Revoked));
        }
        Ok(wit)
    }

    fn wpt(
        &self,
        text: &str,
        wit: &Wit,
        brought: &Brought<'_>,
        request: &Parts,
        now: UnixTime,
    ) -> Result<UnspentWpt, Refused> {
        let target;
        let mut binding = match &self.audience {
            Audience::Target(origin) => {
                target = format!("{origin}{}", request.uri.path());
                Binding::to(&target)
            }
            Audience::Named(names) => {
                let (first, others) = names
                    .split_first()
                    .map_or(("", [].as_slice()), |it| (it.0.as_str(), it.1));
                others
                    .iter()
                    .fold(Binding::to(first), |binding, name| binding.or_to(name))
            }
        };
        if let Some(token) = brought.token {
            binding = binding.access_token(token);
        }
        if let Some(token) = brought.txn_token {
            binding = binding.txn_token(token);
        }
        for name in &self.token_fields {
            let mut values = request.headers.get_all(name).iter();
            if let Some(value) = values.next() {
                binding = binding.header(name.as_str(), value.as_bytes());
            }
            if values.next().is_some() {
                return Err(wpt_refused(&wimse_wpt::Error::OtherHash));
            }
        }
        wimse_wpt::verify(text, wit, &binding, &self.wpt, now).map_err(|error| wpt_refused(&error))
    }

    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
        self.revoked.is_revoked(credential, now)
    }
}

/// The token must be the agent's own: bound to the key that was proven, or issued to the identifier that was proven. Two sources that name different
/// agents are refused (T-130).
fn check_same(token: &AccessToken, wit: Option<&Wit>) -> Result<(), oauth_rs::Error> {
    let Some(wit) = wit else {
        return match token.confirmation() {
            None => Ok(()),
            Some(_) => Err(oauth_rs::Error::NotBound),
        };
    };
    if token.confirmation().is_some() {
        token.confirmed_by(wit.key().thumbprint())?;
    }
    match WorkloadId::parse(token.client_id()) {
        Ok(client) if client == *wit.id() => Ok(()),
        Ok(_another_agent) => Err(oauth_rs::Error::NotBound),
        Err(_no_identifier) if token.confirmation().is_some() => Ok(()),
        Err(_no_identifier) => Err(oauth_rs::Error::NotBound),
    }
}

/// A refused WIT says to the caller only that it was refused, whatever was wrong with it (T-141).
fn wit_refused(error: &wimse_cred::Error) -> Refused {
    let answer = match error.code() {
        "jws.too_long" => Answer::TooLarge,
        _ => Answer::Problem("the workload identity token was not accepted"),
    };
    let keys = match error {
        wimse_cred::Error::UnknownKey { origin, .. } => {
            Some(Box::new(Keys::Origin(origin.clone())))
        }
        _ => None,
    };
    Refused {
        keys,
        ..Refused::new(error.code(), answer, error.to_string())
    }
}

fn wpt_refused(error: &wimse_wpt::Error) -> Refused {
    use replay::Error as Replay;
    use wimse_wpt::Error as Wpt;
    let answer = match error {
        Wpt::FieldTooLong { .. } => Answer::TooLarge,
        Wpt::Replay(Replay::Replayed | Replay::Expired | Replay::Horizon) => {
            Answer::Problem("the workload proof token was not accepted")
        }
        Wpt::Replay(_full_or_away) => Answer::Unavailable,
        _ => Answer::Problem("the workload proof token was not accepted"),
    };
    Refused::new(error.code(), answer, error.to_string())
}

/// What was verified was hashed already.
fn fingerprints(brought: &Brought<'_>, seen: &Seen) -> Tokens {
    let of = |text: &str| Fingerprint::of(text.as_bytes());
    let wit = seen.wit.as_ref().map(Wit::hash);
    let token = seen.token.as_ref().map(AccessToken::hash);
    Tokens {
        wit: brought
            .presented
            .map(|presented| wit.map_or_else(|| of(presented.wit()), Fingerprint::of_sha256)),
        wpt: brought.presented.map(|presented| of(presented.wpt())),
        access_token: brought
            .token
            .map(|text| token.map_or_else(|| of(text), Fingerprint::of_sha256)),
        txn_token: brought.txn_token.map(of),
    }
}
