//! A delegated token, compared with its parent.

mod crossing;

use aims_oauth_wire::delegate::{
    Amplification, Dimension, Kind, Rights, Verdict, delegate as judge,
};

use crate::{Outcome, refused};

/// Compares two payloads. Each is one line, the parent first. If the parent has `txn`, both are
/// transaction tokens, else access tokens. A third line has the tables of a [`Crossing`], and the
/// kind of the child. Accepted if the child permits no more.
///
/// [`Crossing`]: aims_oauth_wire::delegate::Crossing
pub fn delegate(data: &[u8]) -> Outcome {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let parent = lines.next().unwrap_or_default();
    let child = lines.next().unwrap_or_default();
    let tables = lines.next().unwrap_or_default();
    let has_txn = parent.windows(6).any(|it| it == b"\"txn\":");
    let kind = if has_txn {
        Kind::TransactionToken
    } else {
        Kind::AccessToken
    };
    if !tables.is_empty() {
        return crossing::crossing(kind, parent, child, tables);
    }
    let (parent, child) = match (Rights::read(kind, parent), Rights::read(kind, child)) {
        (Ok(parent), Ok(child)) => (parent, child),
        (Err(error), _) | (_, Err(error)) => {
            return refused(error.code(), &[aims_jose::Error::CODES]);
        }
    };
    check_reflexive(&parent);
    check_reflexive(&child);
    if let Some(both) = parent.meet(&child) {
        assert!(parent.compare(&both).verdict().is_no_more());
        assert!(child.compare(&both).verdict().is_no_more());
    }
    let compared = parent.compare(&child);
    let back = child.compare(&parent).verdict();
    match judge(&parent, child) {
        Ok(narrower) => {
            assert_eq!(narrower.comparison(), &compared);
            // Equal from one side is equal from the other.
            if compared.verdict() == Verdict::Equal {
                assert_ne!(back, Verdict::Wider);
            }
            Outcome::Accepted
        }
        Err(refusal) => {
            assert_eq!(refusal.verdict, compared.verdict());
            refused(refusal.code(), &[Amplification::CODES])
        }
    }
}

/// A token is equal to itself, or cannot be compared at all.
fn check_reflexive(rights: &Rights) {
    let compared = rights.compare(rights);
    for dimension in Dimension::ALL {
        let verdict = compared.of(dimension);
        assert!(matches!(verdict, Verdict::Equal | Verdict::Undecidable));
    }
}
