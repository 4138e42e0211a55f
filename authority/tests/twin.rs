//! A WIT has a second valid signature, (r, n − s), over the same header and payload. A proof is
//! bound to the text that was received (T-055).
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../../jose/tests/twin/mod.rs"]
mod ecdsa;

use aims_authority::PresentedProof;
use common::*;
use ecdsa::twin;

/// T-055: the WIT with the second signature is accepted with a proof over its own text, and refused
/// with a proof over the other text.
#[test]
fn a_proof_is_over_the_text_that_is_shown() {
    let authority = authority();
    let (wit, key) = wit(&authority, "b", now());
    let other = twin(&wit);
    assert_ne!(wit, other);
    assert_eq!(twin(&other), wit);
    let renew = |shown: &str, proven: &str| {
        let (nonce, new) = (nonce(&authority, now()), es256());
        let proof = renewal_proof(&nonce, &new, &key, proven, now());
        let shown = PresentedProof::Wit {
            wit: shown,
            proof: &proof,
        };
        let key_proof = key_proof(&nonce, &new, now());
        authority.identity().issue_wit(&shown, &key_proof, now())
    };
    assert_eq!(code(renew(&other, &wit)), "identity.proof_binding");
    assert_eq!(code(renew(&wit, &other)), "identity.proof_binding");
    assert!(renew(&wit, &wit).is_ok());
    assert!(renew(&other, &other).is_ok());
}
