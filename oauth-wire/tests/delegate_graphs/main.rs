//! No sequence of hops yields more than its root: random graphs of delegations, judged against a
//! second model that knows nothing of the comparison. `AIMS_DELEGATE_GRAPHS` sets their number.
//!
//! A hop is a token exchange, a transaction token, its replacement, the way back over the border of
//! the domain, a grant for another domain, or what that domain gives for it and exchanges again.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod border;
mod claims;
mod model;
mod random;

use aims_oauth_wire::delegate::{Rights, delegate};

use border::Border;
use model::{Form, Token};
use random::Random;

fn count() -> u64 {
    let asked = std::env::var("AIMS_DELEGATE_GRAPHS").ok();
    asked.map_or(5_000, |text| text.parse().expect("a number of graphs"))
}

/// The numbers of hops, by their outcome.
#[derive(Default)]
struct Tally {
    handed_on: u64,
    refused: u64,
    /// Refused although the model permits it.
    needless: u64,
    /// Handed on, by the form of the parent and of the child.
    ways: [[u64; 4]; 4],
}

#[test]
fn no_sequence_of_hops_yields_more_than_its_root() {
    let border = Border::new();
    let mut tally = Tally::default();
    for seed in 0..count() {
        let mut random = Random::new(seed);
        let form = random.form();
        let root = random.token(form);
        let mut tokens = vec![(root.clone(), root.rights())];
        for _ in 0..5 {
            let parent = tokens.get(random.below(tokens.len())).unwrap();
            tokens.extend(hop(&border, &mut random, &root, parent, &mut tally));
        }
    }
    // The graphs are no trivial ones: many hops are accepted, many are refused, and few of those
    // that the model permits.
    let Tally {
        handed_on,
        refused,
        needless,
        ways,
    } = tally;
    let all = handed_on + refused;
    assert!(handed_on * 4 > all, "{handed_on} of {all} accepted");
    assert!(refused * 4 > all, "{refused} of {all} refused");
    assert!(
        needless * 4 < all,
        "{needless} of {all} refused without need"
    );
    // Each way from one form to another was gone, and no other one.
    for (from, row) in Form::ALL.into_iter().zip(ways) {
        for (to, handed_on) in Form::ALL.into_iter().zip(row) {
            let goes = border.connects(from, to);
            assert_eq!(handed_on > 0, goes, "{from:?} {to:?}: {handed_on}");
        }
    }
}

/// Tries one hop. Returns the child if it was handed on.
fn hop(
    border: &Border,
    random: &mut Random,
    root: &Token,
    parent: &(Token, Rights),
    tally: &mut Tally,
) -> Option<(Token, Rights)> {
    let (own, rights) = parent;
    let to = random.onward(own.form, border);
    let child = random.request(own, to);
    let is_more = !border.connects(own.form, to) || child.exceeds_parent(own);
    let Ok(narrower) = delegate(&border.translate(own.form, to, rights), child.rights()) else {
        tally.refused += 1;
        tally.needless += u64::from(!is_more);
        return None;
    };
    let exceeds = is_more || child.exceeds(root);
    assert!(!exceeds, "{random:?}: {root:?}\n{own:?}\n{child:?}");
    tally.handed_on += 1;
    let row = tally.ways.get_mut(own.form.index()).unwrap();
    *row.get_mut(to.index()).unwrap() += 1;
    // In its own vocabulary.
    Some((child, narrower.into_rights()))
}
