//! Tokens and requests by lot.

use std::collections::BTreeSet;

use super::border::Border;
use super::model::{Entry, Form, Token};

/// A generator that is good enough for tests, and repeats from its seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Random {
    /// A failing test prints it.
    #[expect(dead_code, reason = "it is read in the message of a failing test")]
    seed: u64,
    state: u64,
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.state;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^= drawn >> 31;
        usize::try_from(drawn % u64::try_from(most).unwrap()).unwrap()
    }

    fn set(&mut self, most: usize) -> BTreeSet<usize> {
        let mut set: BTreeSet<usize> = (0..most).filter(|_| self.below(2) == 0).collect();
        set.insert(self.below(most));
        set
    }

    fn maybe(&mut self, most: usize) -> Option<usize> {
        Some(self.below(most + 1)).filter(|drawn| *drawn < most)
    }

    pub(crate) fn form(&mut self) -> Form {
        *Form::ALL.get(self.below(4)).unwrap()
    }

    /// The form of a child: in most cases one that a way leads to.
    pub(crate) fn onward(&mut self, from: Form, border: &Border) -> Form {
        loop {
            let to = self.form();
            if border.connects(from, to) || self.below(8) == 0 {
                return to;
            }
        }
    }

    fn entry(&mut self) -> Entry {
        Entry {
            locations: self.set(2),
            actions: (self.below(8) > 0).then(|| self.set(2)),
            call: self.maybe(2).filter(|_| self.below(3) == 0),
        }
    }

    pub(crate) fn token(&mut self, form: Form) -> Token {
        let count = self.below(3);
        let has_several = matches!(form, Form::Access | Form::Foreign);
        Token {
            form,
            audiences: if has_several {
                self.set(2)
            } else {
                BTreeSet::from([self.below(2)])
            },
            scopes: self.set(3),
            start: u64::try_from(self.below(2)).unwrap(),
            end: u64::try_from(3 + self.below(3)).unwrap(),
            entries: (0..count).map(|_| self.entry()).collect(),
            call: self.maybe(2).filter(|_| self.below(4) == 0),
            context: (0..2)
                .filter_map(|name| Some((name, self.maybe(2)?)))
                .collect(),
            chain: vec![self.below(6)],
            key: self.maybe(3),
            acr: self.maybe(2),
            subject: 0,
            transaction: (form == Form::Transaction).then_some(0),
            presenter: self.maybe(2).filter(|_| form == Form::Grant),
            appended: 0,
            begun: 0,
        }
    }

    /// A request for a child: the parent's rights with a few changes, to less and to more.
    pub(crate) fn request(&mut self, parent: &Token, form: Form) -> Token {
        let mut child = parent.clone();
        child.form = form;
        child.transaction = match form {
            Form::Access => None,
            Form::Transaction => Some(0),
            Form::Grant | Form::Foreign => parent.transaction,
        };
        child.presenter = parent.given_presenter().filter(|_| form == Form::Grant);
        let begins = parent.form == Form::Transaction && form == Form::Grant;
        if begins {
            child.begun += 1;
            child.chain.clear();
        }
        let before = child.chain.len();
        self.change(&mut child);
        if child.chain.is_empty() && matches!(form, Form::Access | Form::Foreign) {
            child.chain.push(self.below(6));
        }
        child.appended += child.chain.len().saturating_sub(before);
        // As the service of a domain does: what an entry is for is the transaction's call.
        if form == Form::Transaction && self.below(2) == 0 {
            let of_entry = child.entries.first().and_then(|it| it.call);
            child.call = child.call.or(of_entry);
            child.entries.clear();
        }
        child
    }

    fn change(&mut self, child: &mut Token) {
        let other = self.token(child.form);
        for _ in 0..self.below(4) {
            match self.below(14) {
                0 => child.audiences = other.audiences.clone(),
                1 => child.scopes = other.scopes.clone(),
                2 => {
                    let some = self.below(3);
                    child.scopes.remove(&some);
                }
                3 => child.start = other.start,
                4 => child.end = other.end,
                5 => child.entries = other.entries.clone(),
                6 => drop(child.entries.pop()),
                7 => {
                    if let Some(entry) = child.entries.first_mut() {
                        *entry = self.entry();
                    }
                }
                8 => child.call = other.call,
                9 => child.context.extend(other.context.clone()),
                10 => child.context = other.context.clone(),
                11 => child.chain.insert(0, self.below(6)),
                12 => child.key = other.key,
                _ => match self.below(6) {
                    0 => child.subject = self.below(2),
                    1 => child.acr = other.acr,
                    2 => drop(child.chain.pop()),
                    3 => child.chain.reverse(),
                    4 => child.transaction = child.transaction.map(|_| self.below(2)),
                    _ => child.presenter = other.presenter,
                },
            }
        }
        if self.below(3) == 0 {
            child.chain.insert(0, self.below(6));
            child.key = other.key;
        }
    }
}
