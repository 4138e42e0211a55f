//! Judges the answer to a token exchange: it must not be more than what was asked for.

use std::time::Duration;

use aims_error::shown;
use aims_jose::json;
use aims_jose::jws::Unverified;
use aims_jose::jwt::NumericDate;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::delegate::{Crossing, Dimension, Kind, Rights, Verdict, delegate};
use aims_oauth_wire::names::ScopeSet;
use serde::Deserialize;

use super::super::pending::UNKNOWN_LIFETIME;
use super::{ActorToken, Secret, SubjectToken};
use crate::Error;

/// The tolerance for the transfer of the answer and for rounding, in seconds.
const ROUNDING: u64 = 5;

/// An answer that is a JWT. Nothing of it is verified: the client asked the server itself.
pub(super) struct Answer {
    pub(super) kind: Option<Kind>,
    pub(super) payload: Vec<u8>,
    claims: Claims,
}

#[derive(Deserialize)]
struct Claims {
    act: Option<Act>,
    sub: Option<String>,
    exp: Option<NumericDate>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Act {
    sub: Option<String>,
}

impl Answer {
    /// Returns when the token expires, if it says so.
    #[cfg(feature = "tokio")]
    pub(super) fn expires(&self) -> Option<UnixTime> {
        self.claims.exp.map(|end| time::at(end.as_secs()))
    }

    /// Reads a token. Returns `None` if it is no JWT.
    pub(super) fn read(token: &Secret) -> Option<Self> {
        let token = Unverified::parse_ignoring_key_references(token.expose(), usize::MAX).ok()?;
        let payload = token.unverified_payload().ok()?;
        Self::of(token.header().typ(), payload.to_vec())
    }

    /// Reads the payload of a JWT with this header `typ`.
    pub(super) fn of(typ: Option<&str>, payload: Vec<u8>) -> Option<Self> {
        Some(Self {
            kind: typ.and_then(Kind::of_typ),
            claims: json::from_object(&payload).ok()?,
            payload,
        })
    }
}

/// The scopes are at most those of the subject token, if none were requested. Otherwise the
/// requested scopes were compared before.
pub(super) fn scope(
    subject: &SubjectToken,
    asked: &ScopeSet,
    granted: Option<&ScopeSet>,
) -> Result<(), Error> {
    let (Some(own), Some(granted)) = (&subject.scopes, granted) else {
        return Ok(());
    };
    if !asked.is_empty() || own.is_empty() || granted.is_subset(own) {
        return Ok(());
    }
    let wider = granted.iter().map(|it| it.as_str());
    Err(Error::Scope {
        wider: shown(wider.filter(|it| !own.contains(it))),
    })
}

/// The `scope` of a JWT has only what the server stated, or what was asked for. If nothing was
/// asked for, it has only what the subject token has, as far as that is known.
pub(super) fn stated_scope(
    subject: &SubjectToken,
    answer: Option<&Answer>,
    asked: &ScopeSet,
    granted: Option<&ScopeSet>,
) -> Result<(), Error> {
    let claimed = answer.and_then(|answer| answer.claims.scope.as_deref());
    let own = subject.scopes.as_ref().filter(|own| !own.is_empty());
    let known = if asked.is_empty() { own } else { Some(asked) };
    let (Some(claimed), Some(known)) = (claimed, known) else {
        return Ok(());
    };
    let is_wider = |scope: &&str| {
        !known.contains(scope) && granted.is_none_or(|granted| !granted.contains(scope))
    };
    let wider: Vec<_> = claimed.split(' ').filter(is_wider).collect();
    if wider.is_empty() {
        return Ok(());
    }
    Err(Error::Scope {
        wider: shown(wider),
    })
}

/// Returns the end of the answer: that of the response, or of the JWT, whichever is later.
pub(super) fn ends(answer: Option<&Answer>, stated: Option<UnixTime>) -> Option<UnixTime> {
    let exp = answer.and_then(|answer| answer.claims.exp);
    let exp = exp.map(|exp| UnixTime::since_unix_epoch(Duration::from_secs(exp.as_secs())));
    stated.into_iter().chain(exp).max()
}

/// The end of the answer is not after that of the subject token.
pub(super) fn lifetime(
    subject: &SubjectToken,
    most: Option<Duration>,
    accepts_new: bool,
    ends: Option<UnixTime>,
    now: UnixTime,
) -> Result<(), Error> {
    // An answer without an end is used for this time.
    let used = most.map(|_| time::after(now, UNKNOWN_LIFETIME));
    let Some(ends) = ends.or(used) else {
        return Ok(());
    };
    let of_jwt = || subject.read()?.claims.exp.map(NumericDate::as_secs);
    let own = subject.expires.map(|it| it.as_secs()).or_else(of_jwt);
    let own = own.filter(|_| !accepts_new);
    let most = most.map(|most| time::after(now, most).as_secs());
    let Some(limit) = own.into_iter().chain(most).min() else {
        return Ok(());
    };
    if ends.as_secs() <= limit.saturating_add(ROUNDING) {
        return Ok(());
    }
    Err(Error::Lifetime {
        found: ends.as_secs(),
        limit,
    })
}

/// The answer names the actor.
pub(super) fn actor(
    actor: &ActorToken,
    answer: Option<&Answer>,
    accepts_opaque: bool,
) -> Result<(), Error> {
    let Some(answer) = answer else {
        return if accepts_opaque {
            Ok(())
        } else {
            Err(Error::Actor)
        };
    };
    let found = answer
        .claims
        .act
        .as_ref()
        .and_then(|act| act.sub.as_deref());
    let of_jwt = || Answer::read(actor.text())?.claims.sub.map(Into::into);
    let expected: Option<Box<str>> = actor.subject.clone().or_else(of_jwt);
    match found {
        Some(found) if expected.is_none_or(|it| *it == *found) => Ok(()),
        _ => Err(Error::Actor),
    }
}

/// Compares two JWTs: with a translation in every dimension, and otherwise in those that an
/// exchange for another audience must not widen.
pub(super) fn rights(
    subject: &SubjectToken,
    answer: Option<&Answer>,
    crossing: Option<&Crossing>,
) -> Result<(), Error> {
    let read = |answer: &Answer| Rights::read(answer.kind?, &answer.payload).ok();
    let parent = subject.read();
    let parent = parent.as_ref().and_then(read);
    let (Some(parent), Some(child)) = (parent, answer.and_then(read)) else {
        return match crossing {
            Some(_) => Err(Error::Incomparable),
            None => Ok(()),
        };
    };
    if let Some(crossing) = crossing {
        let narrower = delegate(&crossing.translate(&parent), child);
        return narrower.map(drop).map_err(Error::Amplified);
    }
    // Only what is certainly wider is refused, because the audience is that of the request, and
    // the claims may be those of another subject identifier.
    let comparison = parent.compare(&child);
    let is_wider = |it: &Dimension| comparison.of(*it) == Verdict::Wider;
    let judged = [Dimension::Scope, Dimension::Details, Dimension::Context];
    match judged.into_iter().find(is_wider) {
        Some(dimension) => Err(Error::Wider {
            dimension,
            reason: comparison.reason(dimension).unwrap_or_default(),
        }),
        None => Ok(()),
    }
}
