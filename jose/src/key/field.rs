//! Arithmetic in the field of Ed25519, to check whether a y coordinate belongs to a point.
//!
//! aws-lc decompresses a key at each verification, and dalek when the key is created. This check
//! makes both providers refuse an invalid key at the same time, once per key. It handles public
//! data only, so it need not run in constant time.

/// Five limbs of 51 bits, each below 2^54 between operations.
type Element = [u64; 5];

const MASK: u64 = (1 << 51) - 1;

/// The constant d of the curve, -121665/121666 (RFC 8032 §5.1).
const D: Element = [
    0x34dca135978a3,
    0x1a8283b156ebd,
    0x5e7a26001c029,
    0x739c663a03cbb,
    0x52036cee2b6ff,
];

/// Returns whether an x belongs to this y, below p: whether (y² - 1)/(d y² + 1) is a square. It is
/// one if the product of numerator and denominator is.
pub(super) fn has_point(y: &[u8; 32]) -> bool {
    let y2 = square(&element(y));
    let numerator = subtract_one(&y2);
    let denominator = add_one(&multiply(&D, &y2));
    let product = multiply(&numerator, &denominator);
    // Euler: t^((p - 1) / 2) is 1 for a square. The exponent is 2^254 - 10: 250 ones, then 0110.
    let mut power = product;
    for bit in core::iter::repeat_n(true, 249).chain([false, true, true, false]) {
        power = square(&power);
        if bit {
            power = multiply(&power, &product);
        }
    }
    matches!(reduce(&power), [0 | 1, 0, 0, 0, 0])
}

/// Reads little endian, without the sign bit.
fn element(bytes: &[u8; 32]) -> Element {
    let mut limbs = [0; 5];
    for (at, byte) in bytes.iter().enumerate() {
        for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
            let place = at * 8 + bit;
            if let Some(limb) = limbs.get_mut(place / 51) {
                *limb |= 1 << (place % 51);
            }
        }
    }
    limbs
}

fn add_one(&[a, rest @ ..]: &Element) -> Element {
    let [b, c, d, e] = rest;
    [a + 1, b, c, d, e]
}

/// Adds 2p first, so that no limb is negative.
fn subtract_one(&[a, b, c, d, e]: &Element) -> Element {
    let two_p = 2 * MASK;
    carry([
        u128::from(a + two_p - 36 - 1),
        u128::from(b + two_p),
        u128::from(c + two_p),
        u128::from(d + two_p),
        u128::from(e + two_p),
    ])
}

fn square(a: &Element) -> Element {
    multiply(a, a)
}

fn multiply(a: &Element, b: &Element) -> Element {
    let [a0, a1, a2, a3, a4] = a.map(u128::from);
    let [b0, b1, b2, b3, b4] = b.map(u128::from);
    // 2^255 equals 19.
    carry([
        a0 * b0 + 19 * (a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1),
        a0 * b1 + a1 * b0 + 19 * (a2 * b4 + a3 * b3 + a4 * b2),
        a0 * b2 + a1 * b1 + a2 * b0 + 19 * (a3 * b4 + a4 * b3),
        a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 + 19 * (a4 * b4),
        a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0,
    ])
}

/// Reduces the limbs below 2^52.
fn carry(mut wide: [u128; 5]) -> Element {
    for _ in 0..2 {
        let mut over = 0;
        for limb in &mut wide {
            *limb += over;
            over = *limb >> 51;
            *limb &= u128::from(MASK);
        }
        let [first, ..] = &mut wide;
        *first += 19 * over;
    }
    // Each limb fits.
    wide.map(|limb| u64::try_from(limb).unwrap_or(u64::MAX))
}

/// Returns the unique form below p.
fn reduce(a: &Element) -> Element {
    // Carry twice, so that no limb exceeds 51 bits.
    let mut a = carry(carry(a.map(u128::from)).map(u128::from));
    let p = [MASK - 18, MASK, MASK, MASK, MASK];
    // The value is below 2^255, so p is subtracted at most once.
    if a.iter().rev().ge(p.iter().rev()) {
        for (limb, p) in a.iter_mut().zip(p) {
            *limb -= p;
        }
    }
    a
}

#[cfg(test)]
mod tests {
    use super::{D, add_one, element, has_point, multiply, reduce};

    /// d · 121666 = -121665
    #[test]
    fn the_constant_is_that_of_the_curve() {
        let product = multiply(&D, &[121_666, 0, 0, 0, 0]);
        let [a, b, c, d, e] = product;
        assert_eq!(reduce(&[a + 121_665, b, c, d, e]), [0; 5]);
        assert_eq!(reduce(&add_one(&[0; 5])), [1, 0, 0, 0, 0]);
    }

    /// Small y for which Python's pow gives a point, or none.
    #[test]
    fn small_coordinates() {
        let expected = "1101111001100011101101011111111011010101101110001001101111101111";
        for (y, expected) in (0_u8..).zip(expected.chars()) {
            let mut bytes = [0; 32];
            bytes[0] = y;
            assert_eq!(has_point(&bytes), expected == '1', "{y}");
        }
    }

    #[test]
    fn all_bits_are_read() {
        let mut bytes = [0xff; 32];
        bytes[31] = 0x7f;
        assert_eq!(element(&bytes), [super::MASK; 5]);
    }
}
