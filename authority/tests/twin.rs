//! A WIT has twins: the same header and payload under the signature (r, n − s). A proof is bound to
//! the text that was received (T-055).
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_authority::PresentedProof;
use aims_jose::base64url;
use common::*;

/// n, the order of P-256, in the last 32 of its bytes.
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// The token with the signature (r, n − s).
fn twin(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = base64url::decode(signature).unwrap();
    let (_, s) = signature.split_at_mut(32);
    let mut borrow = 0;
    for (place, digit) in s.iter_mut().enumerate().rev() {
        let order = ORDER.get(2 * place..2 * place + 2).unwrap();
        let order = i16::from(u8::from_str_radix(order, 16).unwrap());
        let difference = order - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", base64url::encode(&signature))
}

/// T-055: the twin is as good a WIT as the first, with a proof over its own text; with the proof
/// over the other text it is refused.
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
