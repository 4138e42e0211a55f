//! Computes the second valid signature of an ECDSA signature, for tests of code that must recognize
//! a token with either.

use aims_jose::base64url;

/// The order of P-256 (SEC 2 §2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Returns the same token with the signature (r, n − s).
pub(crate) fn twin(text: &str) -> String {
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let signature = base64url::decode(signature).unwrap();
    let (r, s) = signature.split_at(32);
    let (mut other, mut borrow) = (r.to_vec(), false);
    let mut difference: Vec<u8> = ORDER
        .iter()
        .zip(s)
        .rev()
        .map(|(n, s)| {
            let (first, one) = n.overflowing_sub(*s);
            let (digit, two) = first.overflowing_sub(u8::from(borrow));
            borrow = one || two;
            digit
        })
        .collect();
    difference.reverse();
    other.append(&mut difference);
    format!("{signed}.{}", base64url::encode(&other))
}
