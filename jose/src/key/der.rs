//! The part of DER that PKCS#8 needs (X.690): definite lengths in the shortest form.

use zeroize::Zeroizing;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Reads values one after the other. Returns `None` for every violation.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Returns the contents of the next value, which must have this tag.
    pub(crate) fn read(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        if found != tag {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let len = match first {
            0..=0x7f => usize::from(first),
            0x81 => {
                let (&len, tail) = rest.split_first()?;
                rest = tail;
                (len >= 0x80).then_some(usize::from(len))?
            }
            0x82 => {
                let (&[high, low], tail) = rest.split_first_chunk()?;
                rest = tail;
                (high != 0).then_some(usize::from(high) << 8 | usize::from(low))?
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(value)
    }

    pub(crate) fn sequence(&mut self) -> Option<Self> {
        self.read(SEQUENCE).map(Self)
    }

    /// Reads a positive integer, big endian without leading zeros.
    pub(crate) fn positive(&mut self) -> Option<&'a [u8]> {
        match self.read(INTEGER)? {
            [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Some(rest),
            value @ [first, ..] if *first != 0 && *first < 0x80 => Some(value),
            _ => None,
        }
    }
}

/// Appends one value. Its length is at most 65,535, which no key exceeds.
pub(crate) fn write(out: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    out.push(tag);
    match u16::try_from(contents.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes()
    {
        [0, len @ 0..=0x7f] => out.push(len),
        [0, len] => out.extend([0x81, len]),
        [high, low] => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(contents);
}

/// Appends a positive integer.
pub(crate) fn write_positive(out: &mut Vec<u8>, magnitude: &[u8]) {
    if magnitude.first().is_some_and(|first| *first >= 0x80) {
        let mut padded = Zeroizing::new(Vec::with_capacity(magnitude.len() + 1));
        padded.push(0);
        padded.extend_from_slice(magnitude);
        write(out, INTEGER, &padded);
    } else {
        write(out, INTEGER, magnitude);
    }
}
