//! The ways from one form of token to another, as the servers of the two domains have them.

use aims_oauth_wire::delegate::{Crossing, Rights, ScopeTable};

use super::model::Form;

pub(crate) struct Border(Vec<(Form, Form, Crossing)>);

impl Border {
    pub(crate) fn new() -> Self {
        use Form::{Access, Foreign, Grant, Transaction};

        let table = |rows: [(&str, &str); 4]| ScopeTable::new(rows).unwrap();
        let within = table([("s0", "i0a"), ("s0", "i0b"), ("s1", "i1"), ("s2", "i2")]);
        let abroad = ScopeTable::new([("s0", "g0"), ("s1", "g1"), ("s2", "g2")]).unwrap();
        let chained = ScopeTable::new([("i0a", "g0"), ("i1", "g1"), ("i2", "g2")]).unwrap();
        let there = table([("g0", "f0a"), ("g0", "f0b"), ("g1", "f1"), ("g2", "f2")]);
        let back = table([("f0a", "i0a"), ("f0b", "i0b"), ("f1", "i1"), ("f2", "i2")]);
        Self(vec![
            // The transaction token service, and the exchange back at the border.
            (
                Access,
                Transaction,
                way(Access, Transaction)
                    .scopes_inward(within.clone())
                    .claim("txn", "t0"),
            ),
            (
                Transaction,
                Access,
                way(Transaction, Access).scopes_outward(within),
            ),
            // A grant of identity chaining, for a client of the other server.
            (
                Access,
                Grant,
                way(Access, Grant)
                    .scopes_inward(abroad)
                    .claim("client_id", "client0"),
            ),
            // A grant that carries the transaction, and tells of no services.
            (
                Transaction,
                Grant,
                way(Transaction, Grant)
                    .scopes_inward(chained)
                    .carry("txn")
                    .without_actors(),
            ),
            // The other server accepts the grant, and its tokens are accepted here.
            (
                Grant,
                Foreign,
                way(Grant, Foreign).scopes_inward(there).carry("txn"),
            ),
            (
                Foreign,
                Transaction,
                way(Foreign, Transaction)
                    .scopes_inward(back)
                    .claim("txn", "t0"),
            ),
        ])
    }

    /// Whether a token of one form may become one of the other.
    pub(crate) fn connects(&self, from: Form, to: Form) -> bool {
        from == to || self.crossing(from, to).is_some()
    }

    /// The parent's rights in the vocabulary of the child.
    pub(crate) fn translate(&self, from: Form, to: Form, rights: &Rights) -> Rights {
        match self.crossing(from, to) {
            Some(crossing) => crossing.translate(rights),
            None => rights.clone(),
        }
    }

    fn crossing(&self, from: Form, to: Form) -> Option<&Crossing> {
        let way = self.0.iter().find(|it| (it.0, it.1) == (from, to));
        way.map(|(_, _, crossing)| crossing)
    }
}

/// A way with the audiences and the subject of both forms. The roots are all for one subject.
fn way(from: Form, to: Form) -> Crossing {
    let crossing = Crossing::new(to.kind(), to.issuer()).claim("sub", to.subject(0));
    let pairs = from.audiences().into_iter().zip(to.audiences());
    pairs.fold(crossing, |crossing, (from, to)| crossing.audience(from, to))
}
