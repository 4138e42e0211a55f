//! Withdrawals and renewals in a file of state, over a restart of the authority.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/folder.rs"]
mod folder;

use std::sync::Arc;

use aims_authority::{Authority, Credential, Error, PresentedProof, Purpose, SqliteState};
use aims_jose::key::SigningKey;
use aims_jose::time::UnixTime;
use common::*;
use folder::Folder;

/// An authority whose keys and state survive it.
struct Place {
    folder: Folder,
    key: SigningKey,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: Folder::new(),
            key: es256(),
        }
    }

    fn start(&self, strict: bool, now: UnixTime) -> Authority {
        let state = SqliteState::open(self.folder.path("state.db")).unwrap();
        let builder = builder()
            .signing_key(Purpose::WitSvid, self.key.clone())
            .state(Arc::new(state));
        let builder = if strict {
            builder.refuse_second_renewals()
        } else {
            builder
        };
        builder.build(now).unwrap()
    }
}

fn renew(
    authority: &Authority,
    wit: &str,
    by: &SigningKey,
    new: &SigningKey,
    now: UnixTime,
) -> Result<Credential, Error> {
    let nonce = nonce(authority, now);
    let proof = renewal_proof(&nonce, new, by, wit, now);
    let shown = PresentedProof::Wit { wit, proof: &proof };
    let key_proof = key_proof(&nonce, new, now);
    authority.identity().issue_wit(&shown, &key_proof, now)
}

/// A second renewal by one key for another one is noticed, also by the next process.
#[test]
fn a_second_renewal_is_noticed_after_a_restart() {
    let place = Place::new();
    let first = place.start(true, now());
    let (wit, key) = wit(&first, "b", now());
    let (owner, thief) = (es256(), es256());
    assert!(renew(&first, &wit, &key, &owner, now()).is_ok());
    let twice = renew(&first, &wit, &key, &thief, now());
    assert_eq!(twice.unwrap_err().code(), "identity.renewed_twice");
    drop(first);
    let later = at(NOW + 60);
    let second = place.start(true, later);
    let twice = renew(&second, &wit, &key, &thief, later);
    assert_eq!(twice.unwrap_err().code(), "identity.renewed_twice");
    // The owner may ask once more, and its new key renews as any other.
    let again = renew(&second, &wit, &key, &owner, later).unwrap();
    assert!(renew(&second, again.text.expose(), &owner, &thief, later).is_ok());
    drop(second);
    // Without the rule it is a warning.
    let third = place.start(false, later);
    assert!(renew(&third, &wit, &key, &es256(), later).is_ok());
}

/// A withdrawal holds after a restart, until the last credential has ended.
#[test]
fn a_withdrawal_survives_a_restart() {
    let place = Place::new();
    let first = place.start(false, now());
    let (wit, key) = wit(&first, "b", now());
    drop(first);
    // The second process has issued nothing.
    let second = place.start(false, at(NOW + 60));
    let id = "spiffe://example.org/agents/b".parse().unwrap();
    assert!(second.identity().withdraw(&id, at(NOW + 60)).unwrap());
    assert!(!second.identity().withdraw(&id, at(NOW + 60)).unwrap());
    drop(second);
    let third = place.start(false, at(NOW + 120));
    let refused = renew(&third, &wit, &key, &es256(), at(NOW + 120));
    assert_eq!(refused.unwrap_err().code(), "identity.withdrawn");
    let enrol = |authority: &Authority, now: UnixTime| {
        let token = token("b");
        let proof = key_proof(&nonce(authority, now), &es256(), now);
        let shown = PresentedProof::Token(&token);
        authority.identity().issue_wit(&shown, &proof, now)
    };
    let refused = enrol(&third, at(NOW + 3_600));
    assert_eq!(refused.unwrap_err().code(), "identity.withdrawn");
    drop(third);
    let ended = at(NOW + 60 + 3_600 + 61);
    assert!(enrol(&place.start(false, ended), ended).is_ok());
}
