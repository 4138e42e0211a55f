//! The comparison of two tokens.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Amplification;
use super::claim::{Claim, subset};
use super::details::Details;
use super::rights::{Cnf, Kind, Rights, Value};
use super::verdict::{Dimension, Finding, Verdict};
use crate::confirmation::Confirmation;

/// How a child compares with its parent, in every dimension.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Comparison {
    scope: Finding,
    audience: Finding,
    actions: Finding,
    details: Finding,
    lifetime: Finding,
    actors: Finding,
    confirmation: Finding,
    context: Finding,
    other: Finding,
    /// The dimensions in which the child does not state a limit of its parent.
    unstated: Vec<Dimension>,
}

impl Comparison {
    pub(super) fn between(parent: &Rights, child: &Rights) -> Self {
        if parent.kind != child.kind {
            return Self::incomparable("the tokens are of two kinds");
        }
        if parent.issuer != child.issuer || parent.issuer == Claim::Unreadable {
            return Self::incomparable("the tokens are of two issuers");
        }
        let actors = parent.actors.compare(&child.actors);
        let details = details(parent, child);
        Self {
            scope: scope(parent, child),
            audience: audience(parent, child),
            actions: actions(parent, child, details.verdict),
            details: details.and(calls(parent, child)),
            lifetime: lifetime(parent, child),
            actors,
            confirmation: confirmation(parent, child, actors.verdict),
            context: context(parent, child),
            other: other(parent, child),
            unstated: unstated(parent, child),
        }
    }

    /// Two tokens that cannot be compared, for this reason: undecidable in every dimension.
    #[must_use]
    pub const fn incomparable(reason: &'static str) -> Self {
        let all = Finding::undecidable(reason);
        Self {
            scope: all,
            audience: all,
            actions: all,
            details: all,
            lifetime: all,
            actors: all,
            confirmation: all,
            context: all,
            other: all,
            unstated: Vec::new(),
        }
    }

    /// The verdict on the whole: wider if one dimension is wider, else undecidable if one is, else
    /// narrower if one is.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let all = Dimension::ALL.iter().map(|it| self.finding(*it));
        all.fold(Finding::EQUAL, Finding::and).verdict
    }

    /// The verdict in this dimension.
    #[must_use]
    pub const fn of(&self, dimension: Dimension) -> Verdict {
        self.finding(dimension).verdict
    }

    /// Returns the finding in this dimension, where it is wider or undecidable.
    #[must_use]
    pub fn reason(&self, dimension: Dimension) -> Option<&'static str> {
        let reason = self.finding(dimension).reason;
        (!reason.is_empty()).then_some(reason)
    }

    /// Refuses a child that is certainly wider in one of the judged dimensions. What cannot be
    /// decided passes, as for a server whose claims follow rules of its own.
    ///
    /// A limit of the parent is a claim of the child, too: `null` or another malformed value in its
    /// place is refused, and so is a child without `aud` or `exp`.
    ///
    /// # Errors
    ///
    /// The first such dimension.
    pub fn refuse_wider(&self, is_judged: impl Fn(Dimension) -> bool) -> Result<(), Amplification> {
        let is_wider = |it: Dimension| self.of(it) == Verdict::Wider || self.unstated.contains(&it);
        let mut all = Dimension::ALL.into_iter();
        match all.find(|it| is_wider(*it) && is_judged(*it)) {
            Some(dimension) => Err(Amplification {
                dimension,
                verdict: self.of(dimension),
                reason: self.finding(dimension).reason,
            }),
            None => Ok(()),
        }
    }

    /// The first dimension that refuses, the wider ones first.
    pub(super) fn worst(&self) -> Option<(Dimension, Verdict, &'static str)> {
        let verdict = self.verdict();
        if verdict.is_no_more() {
            return None;
        }
        let all = Dimension::ALL.into_iter();
        let mut findings = all.map(|dimension| (dimension, self.finding(dimension)));
        let (dimension, found) = findings.find(|(_, found)| found.verdict == verdict)?;
        Some((dimension, verdict, found.reason))
    }

    const fn finding(&self, dimension: Dimension) -> Finding {
        match dimension {
            Dimension::Scope => self.scope,
            Dimension::Audience => self.audience,
            Dimension::Actions => self.actions,
            Dimension::Details => self.details,
            Dimension::Lifetime => self.lifetime,
            Dimension::Actors => self.actors,
            Dimension::Confirmation => self.confirmation,
            Dimension::Context => self.context,
            Dimension::Other => self.other,
        }
    }
}

/// Returns the dimensions in which the parent has a limit, and the child a claim that is none.
fn unstated(parent: &Rights, child: &Rights) -> Vec<Dimension> {
    let has_details = parent.details.read().is_some_and(|it| !it.0.is_empty());
    let has_context = parent.context.read().is_some_and(|it| !it.is_empty());
    let has_no_key = |cnf: &Claim<Cnf>| cnf.read().is_none_or(|it| &*it.form == "{}");
    let all = [
        (
            Dimension::Audience,
            parent.audience.is_read() && !child.audience.is_read(),
        ),
        (
            Dimension::Details,
            (has_details || parent.call.is_some()) && child.details == Claim::Unreadable,
        ),
        (
            Dimension::Lifetime,
            parent.expires.is_read() && !child.expires.is_read()
                || parent.not_before.is_read() && !child.not_before.is_read(),
        ),
        (Dimension::Actors, !parent.actors.is_within(&child.actors)),
        (
            Dimension::Confirmation,
            !has_no_key(&parent.cnf) && has_no_key(&child.cnf),
        ),
        (Dimension::Context, has_context && !child.context.is_read()),
    ];
    let lost = all.into_iter().filter(|(_, is_lost)| *is_lost);
    lost.map(|(dimension, _)| dimension).collect()
}

fn scope(parent: &Rights, child: &Rights) -> Finding {
    match (&parent.scope, &child.scope) {
        (Claim::Read(own), Claim::Read(other)) if !other.is_subset(own) => {
            Finding::wider("it has a scope that the parent has not")
        }
        (Claim::Read(own), Claim::Read(other)) if other.len() < own.len() => Finding::NARROWER,
        (Claim::Read(_), Claim::Read(_)) => Finding::EQUAL,
        (Claim::Absent, Claim::Absent) if !parent.kind.requires_scope() => Finding::EQUAL,
        _ => Finding::undecidable("`scope` is missing or malformed"),
    }
}

fn audience(parent: &Rights, child: &Rights) -> Finding {
    match (&parent.audience, &child.audience) {
        (Claim::Read(own), Claim::Read(other)) => {
            subset(own, other, "it has an audience that the parent has not")
        }
        _ => Finding::undecidable("`aud` is missing or malformed"),
    }
}

const NO_DETAILS: &Details = &Details(Vec::new());

/// The details of both. Absent details are no entries.
fn both<'a>(parent: &'a Rights, child: &'a Rights) -> Option<(&'a Details, &'a Details)> {
    let read = |rights: &'a Rights| match &rights.details {
        Claim::Absent => Some(NO_DETAILS),
        details => details.read(),
    };
    Some((read(parent)?, read(child)?))
}

const MALFORMED: Finding = Finding::undecidable("`authorization_details` is malformed");

fn details(parent: &Rights, child: &Rights) -> Finding {
    both(parent, child).map_or(MALFORMED, |(own, other)| {
        own.compare(other, child.scope.is_read())
    })
}

fn actions(parent: &Rights, child: &Rights, details: Verdict) -> Finding {
    both(parent, child).map_or(MALFORMED, |(own, other)| {
        own.compare_actions(other, details)
    })
}

/// Each call that the parent is for is still one of the child's.
fn calls(parent: &Rights, child: &Rights) -> Finding {
    let Some((own, other)) = both(parent, child) else {
        return MALFORMED;
    };
    let of_context = child.call.as_deref();
    let is_kept = |call: &str| of_context == Some(call) || other.calls().any(|it| it == call);
    // In the other kinds of tokens the context stays, and with it its call.
    let needs_details = child.kind == Kind::AccessToken;
    let of_parent = parent.call.as_deref().filter(|_| needs_details);
    if own.calls().chain(of_parent).all(is_kept) {
        Finding::EQUAL
    } else {
        Finding::wider("the `call_digest` of the parent is gone")
    }
}

fn lifetime(parent: &Rights, child: &Rights) -> Finding {
    let end = match (&parent.expires, &child.expires) {
        (Claim::Read(own), Claim::Read(other)) => match other.cmp(own) {
            Ordering::Less => Finding::NARROWER,
            Ordering::Equal => Finding::EQUAL,
            Ordering::Greater => Finding::wider("`exp` is after the parent's"),
        },
        _ => Finding::undecidable("`exp` is missing or malformed"),
    };
    let start = match (&parent.not_before, &child.not_before) {
        (Claim::Absent, Claim::Absent) => Finding::EQUAL,
        (Claim::Absent, Claim::Read(_)) => Finding::NARROWER,
        (Claim::Read(_), Claim::Absent) => Finding::wider("`nbf` of the parent is gone"),
        (Claim::Read(own), Claim::Read(other)) => match other.cmp(own) {
            Ordering::Less => Finding::wider("`nbf` is before the parent's"),
            Ordering::Equal => Finding::EQUAL,
            Ordering::Greater => Finding::NARROWER,
        },
        _ => Finding::undecidable("`nbf` is malformed"),
    };
    end.and(start)
}

fn confirmation(parent: &Rights, child: &Rights, actors: Verdict) -> Finding {
    match (&parent.cnf, &child.cnf) {
        (Claim::Absent, Claim::Absent) => Finding::EQUAL,
        (Claim::Absent, Claim::Read(cnf)) if cnf.names_key => Finding::NARROWER,
        (Claim::Read(_) | Claim::Unreadable, Claim::Absent) => {
            Finding::wider("it is bound to no key any more")
        }
        (Claim::Read(own), Claim::Read(other)) if own.form == other.form => Finding::EQUAL,
        (
            Claim::Read(Cnf {
                methods: Some(own), ..
            }),
            Claim::Read(Cnf {
                methods: Some(other),
                ..
            }),
        ) => rebound(own, other, actors),
        _ => Finding::undecidable("`cnf` is malformed, or confirms in an unknown way"),
    }
}

/// The child has another `cnf` than its parent.
fn rebound(own: &[Confirmation], other: &[Confirmation], actors: Verdict) -> Finding {
    let keeps = own.iter().all(|it| other.contains(it));
    if keeps && own.len() == other.len() {
        Finding::EQUAL
    } else if keeps || actors == Verdict::Narrower {
        Finding::NARROWER
    } else {
        Finding::wider("it is bound to another key, and no actor was appended")
    }
}

fn context(parent: &Rights, child: &Rights) -> Finding {
    let empty = BTreeMap::new();
    if [parent, child]
        .iter()
        .any(|it| it.context == Claim::Unreadable)
    {
        return Finding::undecidable("`tctx` is malformed");
    }
    let own = parent.context.read().unwrap_or(&empty);
    let other = child.context.read().unwrap_or(&empty);
    let mut all = if other.len() > own.len() {
        Finding::NARROWER
    } else {
        Finding::EQUAL
    };
    for (name, value) in own {
        all = all.and(match (value, other.get(name)) {
            (Some(own), Some(Some(other))) if own == other => Finding::EQUAL,
            (_, None) => Finding::wider("a member of the parent's `tctx` is gone"),
            (Some(_), Some(Some(_))) => Finding::wider("a member of the parent's `tctx` changed"),
            _ => Finding::undecidable("a number in `tctx` has no canonical form"),
        });
    }
    all
}

fn other(parent: &Rights, child: &Rights) -> Finding {
    if !parent.is_whole || !child.is_whole {
        return Finding::undecidable("a required claim is missing or malformed");
    }
    let unknown = if same(&parent.other, &child.other) {
        Finding::EQUAL
    } else {
        Finding::undecidable("a claim that no dimension knows differs")
    };
    login(&parent.login, &child.login).and(unknown)
}

/// Whether both have the same members, each with a canonical form.
pub(super) fn same(own: &BTreeMap<Box<str>, Value>, other: &BTreeMap<Box<str>, Value>) -> bool {
    own == other && own.values().all(Option::is_some)
}

fn login(own: &BTreeMap<Box<str>, Value>, other: &BTreeMap<Box<str>, Value>) -> Finding {
    let mut all = if other.len() < own.len() {
        Finding::NARROWER
    } else {
        Finding::EQUAL
    };
    for (name, value) in other {
        all = all.and(match (own.get(name), value) {
            (Some(Some(own)), Some(value)) if own == value => Finding::EQUAL,
            (Some(None), _) | (Some(_), None) => {
                Finding::undecidable("`auth_time`, `acr` or `amr` has no canonical form")
            }
            _ => Finding::wider("`auth_time`, `acr` or `amr` was added or changed"),
        });
    }
    all
}
