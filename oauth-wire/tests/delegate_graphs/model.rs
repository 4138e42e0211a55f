//! The model of a token: everything that it permits, by asking for one thing after the other.

use std::collections::{BTreeMap, BTreeSet};

use aims_oauth_wire::delegate::Kind;

/// A kind of token, and whose it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// An access token of the own server.
    Access,
    /// A transaction token of the own domain.
    Transaction,
    /// A grant of the own server for that of the other domain.
    Grant,
    /// An access token of the other domain.
    Foreign,
}

impl Form {
    pub(crate) const ALL: [Self; 4] = [Self::Access, Self::Transaction, Self::Grant, Self::Foreign];

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Access | Self::Foreign => Kind::AccessToken,
            Self::Transaction => Kind::TransactionToken,
            Self::Grant => Kind::AuthorizationGrant,
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Access => 0,
            Self::Transaction => 1,
            Self::Grant => 2,
            Self::Foreign => 3,
        }
    }
}

/// The model of a token, in numbers that mean the same in each form.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) form: Form,
    pub(crate) audiences: BTreeSet<usize>,
    pub(crate) scopes: BTreeSet<usize>,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) call: Option<usize>,
    pub(crate) context: BTreeMap<usize, usize>,
    pub(crate) chain: Vec<usize>,
    pub(crate) key: Option<usize>,
    pub(crate) acr: Option<usize>,
    pub(crate) subject: usize,
    pub(crate) transaction: Option<usize>,
    /// The client that may present it, of a grant.
    pub(crate) presenter: Option<usize>,
    /// How many actors were appended since the root, and how often the chain was begun anew.
    pub(crate) appended: usize,
    pub(crate) begun: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) locations: BTreeSet<usize>,
    pub(crate) actions: Option<BTreeSet<usize>>,
    pub(crate) call: Option<usize>,
}

impl Token {
    /// The calls that it is for; `None` is a call of which no digest is known.
    fn permits_call(&self, call: Option<usize>) -> bool {
        let bound: Vec<usize> = self.entries.iter().filter_map(|it| it.call).collect();
        let by_entry = bound.is_empty() || call.is_some_and(|call| bound.contains(&call));
        by_entry && self.call.is_none_or(|own| call == Some(own))
    }

    fn permits_action(&self, location: usize, action: usize) -> bool {
        self.entries.iter().any(|entry| {
            let actions = entry.actions.as_ref();
            entry.locations.contains(&location)
                && actions.is_none_or(|actions| actions.contains(&action))
        })
    }

    fn permits_context(&self, one: usize, other: usize) -> bool {
        let is =
            |name: usize, value: usize| self.context.get(&name).is_none_or(|own| *own == value);
        is(0, one) && is(1, other)
    }

    /// Everything that a token permits: a bit for each.
    fn powers(&self) -> u64 {
        let mut all = 0_u64;
        let mut add = |permitted: bool| all = (all << 1) | u64::from(permitted);
        for index in 0..6 {
            let time = u64::try_from(index).unwrap();
            add(self.audiences.contains(&index));
            add(self.scopes.contains(&index));
            add(self.start <= time && time < self.end);
            add(self.acr == Some(index));
            add(self.subject == index);
        }
        for call in [None, Some(0), Some(1)] {
            add(self.permits_call(call));
        }
        for one in 0..2 {
            for other in 0..2 {
                add(self.permits_action(one, other));
                add(self.permits_context(one, other));
            }
        }
        all
    }

    /// Whether it is more than the root of its graph.
    pub(crate) fn exceeds(&self, root: &Self) -> bool {
        let is_new = self.powers() & !root.powers() != 0;
        // The grant names no services of this domain to the other one.
        let is_tail = self.begun > root.begun || self.chain.ends_with(&root.chain);
        let is_twice = self.chain.iter().collect::<BTreeSet<_>>().len() < self.chain.len();
        let is_unbound = root.key.is_some() && self.key.is_none();
        // Another key is another actor's.
        let is_rebound =
            root.key.is_some() && self.key != root.key && self.appended == root.appended;
        let is_swapped = root.transaction.is_some()
            && self.transaction.is_some()
            && self.transaction != root.transaction;
        is_new
            || !is_tail
            || is_twice
            || self.chain.len() > 5
            || is_unbound
            || is_rebound
            || is_swapped
    }

    /// Whether it is more than the token before it.
    pub(crate) fn exceeds_parent(&self, parent: &Self) -> bool {
        let is_handed_over = self.form == Form::Grant
            && parent.given_presenter().is_some()
            && self.presenter != parent.given_presenter();
        self.exceeds(parent) || is_handed_over
    }

    /// The client that may present a grant which is made of this token.
    pub(crate) fn given_presenter(&self) -> Option<usize> {
        match self.form {
            // The own server knows its client's name at the other one.
            Form::Access => Some(0),
            Form::Grant => self.presenter,
            // The key of the service says who may present it.
            Form::Transaction | Form::Foreign => None,
        }
    }
}
