//! Translating scopes between vocabularies.

use std::collections::BTreeMap;

use crate::Error;
use crate::names::{Scope, ScopeSet};

/// The scopes of one vocabulary by those of another, as an explicit table.
///
/// A row says that a token with the scope `outer` may become one with the scope `inner`. Each
/// `inner` scope stands in one row, so that translating there and back never yields more.
///
/// ```
/// use aims_oauth_wire::delegate::ScopeTable;
///
/// let table = ScopeTable::new([("payments", "transfer"), ("payments", "balance")])?;
/// let inner = table.inward(&"payments profile".parse()?)?;
/// assert_eq!(inner.to_string(), "balance transfer");
/// // Back only with all that `payments` stands for.
/// assert!(table.outward(&"balance".parse()?)?.is_empty());
/// assert_eq!(table.outward(&inner)?.to_string(), "payments");
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScopeTable {
    /// The outer scope of each inner one.
    rows: BTreeMap<Scope, Scope>,
}

impl ScopeTable {
    /// Makes a table of rows `(outer, inner)`.
    ///
    /// # Errors
    ///
    /// `oauth.scope` for a malformed scope, and for an inner scope that stands in two rows.
    pub fn new<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut table = Self::default();
        for (outer, inner) in rows {
            let replaced = table.rows.insert(inner.parse()?, outer.parse()?);
            if replaced.is_some_and(|other| other.as_str() != outer) {
                return Err(Error::Scope {
                    found: format!("two rows with the inner scope {inner:?}").into(),
                });
            }
        }
        Ok(table)
    }

    /// The inner scopes that a token with these outer scopes may have.
    ///
    /// # Errors
    ///
    /// `oauth.scope` for more scopes than a set has.
    pub fn inward(&self, outer: &ScopeSet) -> Result<ScopeSet, Error> {
        let rows = self.rows.iter();
        set(rows
            .filter(|(_, own)| outer.contains(own.as_str()))
            .map(|(inner, _)| inner))
    }

    /// The outer scopes that a token with these inner scopes may have: those of which it has all
    /// inner ones.
    ///
    /// # Errors
    ///
    /// `oauth.scope` for more scopes than a set has.
    pub fn outward(&self, inner: &ScopeSet) -> Result<ScopeSet, Error> {
        let is_whole = |outer: &Scope| {
            let mut rows = self.rows.iter().filter(|(_, own)| *own == outer);
            rows.all(|(own, _)| inner.contains(own.as_str()))
        };
        set(self.rows.values().filter(|outer| is_whole(outer)))
    }
}

fn set<'a>(scopes: impl Iterator<Item = &'a Scope>) -> Result<ScopeSet, Error> {
    let mut set = ScopeSet::new();
    for scope in scopes {
        set.insert(scope.clone())?;
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(names: &[&str]) -> Vec<ScopeSet> {
        let count = 1_usize << names.len();
        let of = |bits: usize| {
            let picked = names
                .iter()
                .enumerate()
                .filter(|(index, _)| bits & (1 << index) != 0);
            let mut set = ScopeSet::new();
            for (_, name) in picked {
                set.insert(name.parse().unwrap()).unwrap();
            }
            set
        };
        (0..count).map(of).collect()
    }

    /// The proof that no table widens: over all tables of three outer and three inner scopes, and
    /// all sets of scopes, both directions are monotone, and there and back yields no more.
    #[test]
    fn no_table_widens() {
        let (outer, inner) = (["a", "b", "c"], ["x", "y", "z"]);
        let choices = [None, Some("a"), Some("b"), Some("c")];
        let mut tables = 0;
        for x in choices {
            for y in choices {
                for z in choices {
                    let rows = inner.into_iter().zip([x, y, z]);
                    let rows = rows.filter_map(|(inner, outer)| Some((outer?, inner)));
                    check(&ScopeTable::new(rows).unwrap(), &outer, &inner);
                    tables += 1;
                }
            }
        }
        assert_eq!(tables, 64);
    }

    fn check(table: &ScopeTable, outer: &[&str], inner: &[&str]) {
        let there = |set: &ScopeSet| table.inward(set).unwrap();
        let back = |set: &ScopeSet| table.outward(set).unwrap();
        for one in &all(outer) {
            assert!(back(&there(one)).is_subset(one), "{table:?} {one}");
            for other in &all(outer) {
                if one.is_subset(other) {
                    assert!(there(one).is_subset(&there(other)));
                }
            }
        }
        for one in &all(inner) {
            assert!(there(&back(one)).is_subset(one), "{table:?} {one}");
            for other in &all(inner) {
                if one.is_subset(other) {
                    assert!(back(one).is_subset(&back(other)));
                }
            }
        }
    }

    #[test]
    fn an_inner_scope_has_one_outer_one() {
        let twice = ScopeTable::new([("a", "x"), ("b", "x")]);
        assert_eq!(twice.unwrap_err().code(), "oauth.scope");
        assert!(ScopeTable::new([("a", "x"), ("a", "x")]).is_ok());
        for malformed in [("a b", "x"), ("a", "")] {
            assert_eq!(
                ScopeTable::new([malformed]).unwrap_err().code(),
                "oauth.scope"
            );
        }
    }
}
