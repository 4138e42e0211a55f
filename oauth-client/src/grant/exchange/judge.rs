//! Judges the answer to a token exchange: it must not be more than what was asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use aims_error::shown;
use aims_jose::json::{self, Text};
use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate};
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::delegate::{Crossing, Dimension, Kind, Rights, ScopeTable, delegate};
use aims_oauth_wire::names::ScopeSet;
use serde::Deserialize;
use serde_json::Value;

use super::super::pending::UNKNOWN_LIFETIME;
use super::{ActorToken, Secret, SubjectToken};
use crate::Error;

/// The tolerance for the transfer of an answer and for rounding, in seconds, where a time is one of
/// the client's own clock. Two `exp` of a server are compared without it.
const ROUNDING: u64 = 5;

/// An answer that a program accepts of a server by name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Deviation {
    NewLifetime,
    OpaqueAnswer,
    MissingActors,
    Unbound,
    OtherKey,
    OtherAudiences,
    OtherLogin,
    MissingContext,
}

pub(super) type Accepted = BTreeSet<Deviation>;

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
    scope: Option<Scope>,
    cnf: Option<Value>,
}

/// `scope`: a text (RFC 8693 §4.2), or a list as some servers write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scope {
    Text(String),
    List(Vec<String>),
}

impl Scope {
    fn tokens(&self) -> impl Iterator<Item = &str> {
        let (text, list): (Option<&str>, &[String]) = match self {
            Self::Text(text) => (Some(text), &[]),
            Self::List(list) => (None, list),
        };
        let all = text.into_iter().chain(list.iter().map(String::as_str));
        all.flat_map(|it| it.split(' '))
    }
}

/// The claims of a subject token that a comparison translates.
#[derive(Deserialize)]
pub(super) struct Own<'a> {
    #[serde(borrow, default)]
    iss: Option<Text<'a>>,
    #[serde(borrow, default)]
    aud: Option<Audience<'a>>,
    scope: Option<Scope>,
    #[serde(borrow, default)]
    pub(super) txn: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) sub: Option<Text<'a>>,
}

impl<'a> Own<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Result<Self, Error> {
        json::from_object(payload).map_err(|_malformed| Error::Incomparable)
    }

    pub(super) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.aud.iter().flat_map(Audience::iter)
    }

    /// Returns the table that leaves each scope as it is.
    ///
    /// # Errors
    ///
    /// `grant.incomparable` for a list: the comparison reads texts alone (RFC 8693 §4.2).
    pub(super) fn table(&self) -> Result<ScopeTable, Error> {
        let own = match &self.scope {
            Some(Scope::List(_)) => return Err(Error::Incomparable),
            Some(Scope::Text(own)) => own.as_str(),
            None => "",
        };
        let own = own.split(' ').filter(|it| !it.is_empty());
        Ok(ScopeTable::new(own.map(|scope| (scope, scope)))?)
    }

    fn has_list(&self) -> bool {
        matches!(self.scope, Some(Scope::List(_)))
    }
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

    /// Returns whether the token is bound to something.
    fn is_bound(&self) -> bool {
        let cnf = self.claims.cnf.as_ref().and_then(Value::as_object);
        cnf.is_some_and(|it| !it.is_empty())
    }

    /// Returns what the token permits, if it is of a known kind.
    fn rights(&self) -> Option<Rights> {
        Rights::read(self.kind?, &self.payload).ok()
    }

    /// Reads the token of an answer. Returns `None` if it is no JWT.
    ///
    /// # Errors
    ///
    /// `grant.incomparable` for a JWT with a malformed claim: it would be judged by none.
    pub(super) fn of_token(token: &Secret) -> Result<Option<Self>, Error> {
        let is_jwt = Unverified::parse_ignoring_key_references(token.expose(), usize::MAX).is_ok();
        match Self::read(token) {
            None if is_jwt => Err(Error::Incomparable),
            answer => Ok(answer),
        }
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
    if !asked.is_empty() || own.is_empty() {
        return Ok(());
    }
    refuse_scopes(own, granted)
}

pub(super) fn refuse_scopes(known: &ScopeSet, granted: &ScopeSet) -> Result<(), Error> {
    if granted.is_subset(known) {
        return Ok(());
    }
    let granted = granted.iter().map(|it| it.as_str());
    Err(Error::Scope {
        wider: shown(granted.filter(|it| !known.contains(it))),
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
    let claimed = answer.and_then(|answer| answer.claims.scope.as_ref());
    let own = subject.scopes.as_ref().filter(|own| !own.is_empty());
    let known = if asked.is_empty() { own } else { Some(asked) };
    let (Some(claimed), Some(known)) = (claimed, known) else {
        return Ok(());
    };
    let is_wider = |scope: &&str| {
        !known.contains(scope) && granted.is_none_or(|granted| !granted.contains(scope))
    };
    let wider: Vec<_> = claimed.tokens().filter(is_wider).collect();
    if wider.is_empty() {
        return Ok(());
    }
    Err(Error::Scope {
        wider: shown(wider),
    })
}

/// The ends of an answer.
#[derive(Clone, Copy, Default)]
pub(super) struct Ends {
    /// The one of the response, by the client's clock.
    pub(super) stated: Option<UnixTime>,
    /// `exp` of the JWT.
    pub(super) exp: Option<UnixTime>,
}

impl Ends {
    pub(super) fn of(answer: Option<&Answer>, stated: Option<UnixTime>) -> Self {
        let exp = answer.and_then(|answer| answer.claims.exp);
        Self {
            stated,
            exp: exp.map(Into::into),
        }
    }
}

/// The answer does not end after the subject token, by either of its ends.
pub(super) fn lifetime(
    subject: &SubjectToken,
    most: Option<Duration>,
    accepts_new: bool,
    ends: Ends,
    now: UnixTime,
) -> Result<(), Error> {
    let of_jwt = subject.read().and_then(|it| it.claims.exp);
    let of_jwt = of_jwt.map(NumericDate::as_secs);
    let stated = subject.expires.map(|it| it.as_secs());
    let rounded = |limit: u64| (limit, ROUNDING);
    let exact = |limit: u64| (limit, 0);
    // An answer without an end is used for this time.
    let used = || most.map(|_| time::after(now, UNKNOWN_LIFETIME));
    let known = ends
        .stated
        .or_else(|| ends.exp.is_none().then(used).flatten());
    let most = most.map(|most| rounded(time::after(now, most).as_secs()));
    let by_response = stated.or(of_jwt).map(rounded);
    let by_claim = of_jwt.map(exact).or_else(|| stated.map(rounded));
    for (found, own) in [(known, by_response), (ends.exp, by_claim)] {
        let own = own.filter(|_| !accepts_new);
        let limits = own.into_iter().chain(most);
        let limit = limits.min_by_key(|(limit, tolerance)| limit.saturating_add(*tolerance));
        let (Some(found), Some((limit, tolerance))) = (found, limit) else {
            continue;
        };
        if found.as_secs() > limit.saturating_add(tolerance) {
            return Err(Error::Lifetime {
                found: found.as_secs(),
                limit,
            });
        }
    }
    Ok(())
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

/// Compares two JWTs with a translation in every dimension: also what cannot be decided is refused.
pub(super) fn translated(
    subject: &SubjectToken,
    answer: Option<&Answer>,
    crossing: &Crossing,
) -> Result<(), Error> {
    let parent = subject.read();
    let parent = parent.as_ref().and_then(Answer::rights);
    let child = answer.and_then(Answer::rights);
    let (parent, child) = parent.zip(child).ok_or(Error::Incomparable)?;
    let narrower = delegate(&crossing.translate(&parent), child);
    narrower.map(drop).map_err(Error::Amplified)
}

/// Compares two JWTs of one issuer and one kind, and refuses what is certainly wider in any
/// dimension. The answer may be for what was asked for, and may have claims of another subject
/// identifier.
pub(super) fn rights(
    subject: &SubjectToken,
    answer: Option<&Answer>,
    asked: &[&str],
    accepted: &Accepted,
) -> Result<(), Error> {
    let (Some(parent), Some(answer)) = (subject.read(), answer) else {
        return Ok(());
    };
    let (Some(kind), Some(of_parent), Some(child)) =
        (parent.kind, parent.rights(), answer.rights())
    else {
        return Ok(());
    };
    let Ok(own) = Own::read(&parent.payload) else {
        return Ok(());
    };
    let mut crossing = Crossing::new(kind, own.iss.as_deref());
    if !own.has_list() {
        crossing = crossing.scopes_inward(own.table()?);
    }
    for from in own.audiences() {
        for to in asked.iter().copied().chain([from]) {
            crossing = crossing.audience(from, to);
        }
    }
    let accepts = |it| accepted.contains(&it);
    let comparison = crossing.translate(&of_parent).compare(&child);
    let wider = comparison.refuse_wider(|dimension| match dimension {
        Dimension::Audience => !accepts(Deviation::OtherAudiences),
        Dimension::Lifetime => !accepts(Deviation::NewLifetime),
        // The client that asked is `client_id` of the answer: that alone loses no actor.
        Dimension::Actors => parent.claims.act.is_some() && !accepts(Deviation::MissingActors),
        Dimension::Confirmation if answer.is_bound() => !accepts(Deviation::OtherKey),
        Dimension::Confirmation => !accepts(Deviation::Unbound),
        Dimension::Other => !accepts(Deviation::OtherLogin),
        _ => true,
    });
    wider.map_err(Error::Amplified)
}
