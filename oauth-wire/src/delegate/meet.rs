//! The rights that two tokens have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::actors::Actors;
use super::claim::{Claim, Texts};
use super::details::{Details, Entry};
use super::rights::{Cnf, Kind, Rights, Value, call};

impl Rights {
    /// The most that is no more than either: what a token may permit that has two parents, such as
    /// the subject's token and a policy. `None` where there is no such thing.
    ///
    /// ```
    /// use aims_oauth_wire::delegate::{Kind, Rights, delegate};
    ///
    /// let rights = |scope: &str, exp: u64| {
    ///     let claims = format!(
    ///         r#"{{"aud":"d","iat":1,"exp":{exp},"txn":"t","sub":"s","scope":"{scope}",
    ///             "req_wl":"r"}}"#
    ///     );
    ///     Rights::read(Kind::TransactionToken, claims.as_bytes())
    /// };
    /// let (one, other) = (rights("a b", 10)?, rights("b c", 20)?);
    /// let both = one.meet(&other).ok_or("nothing in common")?;
    /// assert!(both.compare(&rights("b", 10)?).verdict().is_no_more());
    /// assert!(one.meet(&rights("c", 10)?).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let is_comparable = self.kind == other.kind
            && self.issuer == other.issuer
            && self.other == other.other
            && self.is_whole
            && other.is_whole;
        if !is_comparable {
            return None;
        }
        let scope = match (&self.scope, &other.scope) {
            (Claim::Read(own), Claim::Read(other)) => {
                let both = own.intersection(other);
                (!both.is_empty()).then_some(Claim::Read(both))?
            }
            (Claim::Absent, Claim::Absent) => Claim::Absent,
            _ => return None,
        };
        let own = self.audience.read()?;
        let audience: Texts = own.intersection(other.audience.read()?).cloned().collect();
        if audience.is_empty() {
            return None;
        }
        let actors = longer(&self.actors, &other.actors)?;
        let mut context = joined(self.context.read(), other.context.read())?;
        let details = self.details(other)?;
        carry_calls(&[self, other], &details, &mut context)?;
        let context = Claim::Read(context);
        let mut both = Self {
            scope,
            audience: Claim::Read(audience),
            details: Claim::Read(details),
            expires: Claim::Read((*self.expires.read()?).min(*other.expires.read()?)),
            not_before: match (&self.not_before, &other.not_before) {
                (Claim::Read(own), Claim::Read(other)) => Claim::Read((*own).max(*other)),
                (Claim::Absent, one) | (one, Claim::Absent) => one.clone(),
                _ => return None,
            },
            cnf: self.cnf(other)?,
            actors,
            call: call(self.kind, &context),
            context,
            ..self.clone()
        };
        both.login
            .retain(|name, value| other.login.get(name) == Some(value));
        let is_no_more = |parent: &Self| parent.compare(&both).verdict().is_no_more();
        (is_no_more(self) && is_no_more(other)).then_some(both)
    }

    fn details(&self, other: &Self) -> Option<Details> {
        let entries = |rights: &Self| match &rights.details {
            Claim::Absent => Some(Vec::new()),
            Claim::Read(details) => Some(details.0.clone()),
            Claim::Unreadable => None,
        };
        let mut all: Vec<Entry> = Vec::new();
        for own in &entries(self)? {
            for other in &entries(other)? {
                all.extend(own.meet(other).filter(|both| !all.contains(both)));
            }
        }
        Some(Details(all))
    }

    /// The binding of both: with a longer chain on one side, the binding there.
    fn cnf(&self, other: &Self) -> Option<Claim<Cnf>> {
        let length = |rights: &Self| rights.actors.chain.read().map(Vec::len);
        let (own, others) = (length(self)?, length(other)?);
        let (newer, older) = if own > others {
            (self, other)
        } else {
            (other, self)
        };
        match (&newer.cnf, &older.cnf) {
            (Claim::Absent, Claim::Absent) => Some(Claim::Absent),
            // Any key would do for the older one, so there is no greatest.
            (Claim::Absent, Claim::Read(_)) if own != others => None,
            (Claim::Read(_), _) if own != others => Some(newer.cnf.clone()),
            (Claim::Absent, Claim::Read(one)) | (Claim::Read(one), Claim::Absent) => {
                Some(Claim::Read(one.clone()))
            }
            (Claim::Read(one), Claim::Read(two)) => one.joined(two).map(Claim::Read),
            _ => None,
        }
    }
}

impl Cnf {
    /// The sender must prove all of both.
    fn joined(&self, other: &Self) -> Option<Self> {
        if self.form == other.form {
            return Some(self.clone());
        }
        let mut all = self.methods.clone()?;
        for method in other.methods.as_ref()? {
            let same = all.iter().find(|own| own.method() == method.method());
            match same {
                Some(own) if own == method => {}
                Some(_) => return None,
                None => all.push(*method),
            }
        }
        Some(Self {
            form: format!("{} {}", self.form, other.form).into(),
            methods: Some(all),
            names_key: true,
        })
    }
}

impl Entry {
    fn meet(&self, other: &Self) -> Option<Self> {
        if self.kind != other.kind || self.rest != other.rest {
            return None;
        }
        let mut both = self.clone();
        let (Some(sets), Some(others)) = (&mut both.sets, &other.sets) else {
            return Some(both);
        };
        for (own, other) in sets.iter_mut().zip(others) {
            match (own, other) {
                (None, None) => {}
                (Some(own), Some(other)) => own.retain(|text| other.contains(text)),
                _ => return None,
            }
        }
        Some(both)
    }
}

/// The longer of two chains, where the other one is its tail.
fn longer(own: &Actors, other: &Actors) -> Option<Actors> {
    let (chain, others) = (own.chain.read()?, other.chain.read()?);
    if chain.ends_with(others) {
        Some(own.clone())
    } else if others.ends_with(chain) {
        Some(other.clone())
    } else {
        None
    }
}

type Context = BTreeMap<Box<str>, Value>;

/// The members of both, where no two contradict each other.
fn joined(own: Option<&Context>, other: Option<&Context>) -> Option<Context> {
    let mut all = own.cloned().unwrap_or_default();
    for (name, value) in other.into_iter().flatten() {
        let before = all.insert(name.clone(), value.clone());
        if before.is_some_and(|before| before != *value) {
            return None;
        }
    }
    Some(all)
}

/// A call that one side is for stays: in the details that both have, else in the context.
fn carry_calls(parents: &[&Rights], details: &Details, context: &mut Context) -> Option<()> {
    let own = parents.iter().filter_map(|it| it.details.read());
    let all: BTreeSet<&str> = own.flat_map(Details::calls).collect();
    for call in all {
        if details.calls().any(|it| it == call) {
            continue;
        }
        // An access token is not for the call of its context.
        if parents.iter().any(|it| it.kind != Kind::TransactionToken) {
            return None;
        }
        let before = context.insert("call_digest".into(), Some(call.into()));
        if before.is_some_and(|before| before.as_deref() != Some(call)) {
            return None;
        }
    }
    Some(())
}
