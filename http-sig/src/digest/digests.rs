//! The dictionary of digests that `Content-Digest` and `Repr-Digest` share (RFC 9530 §2, §3).

use core::fmt;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::{Algorithm, dictionary};
use crate::Error;

/// Digests by algorithm: `sha-256` and `sha-512` decoded, the others as received.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Digests {
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) sha512: Option<[u8; 64]>,
    others: Vec<(Box<str>, Box<[u8]>)>,
}

impl Digests {
    /// Creates digests of `sha-256` and `sha-512` only.
    pub(super) const fn counting(sha256: Option<[u8; 32]>, sha512: Option<[u8; 64]>) -> Self {
        Self {
            sha256,
            sha512,
            others: Vec::new(),
        }
    }

    pub(super) fn parse<'a>(
        field: &'static str,
        lines: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, Error> {
        let mut digests = Self::default();
        let members =
            dictionary::members(field, lines, |key, value| digests.insert(field, key, value))?;
        if members.is_empty() {
            return Err(Error::DigestMissing { field });
        }
        Ok(digests)
    }

    fn insert(&mut self, field: &'static str, key: &str, value: &str) -> Result<(), Error> {
        match Algorithm::from_name(key) {
            Some(it @ Algorithm::Sha256) => self.sha256 = Some(sized(field, it, value)?),
            Some(it @ Algorithm::Sha512) => self.sha512 = Some(sized(field, it, value)?),
            None => {
                let value = bytes(field, value)?;
                self.others.push((key.into(), value.into()));
            }
        }
        Ok(())
    }

    /// Returns the algorithms that count as verification.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let sha256 = self.sha256.map(|_| Algorithm::Sha256);
        sha256
            .into_iter()
            .chain(self.sha512.map(|_| Algorithm::Sha512))
    }

    pub(super) fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.as_ref().map(<[u8; 32]>::as_slice),
            Algorithm::Sha512 => self.sha512.as_ref().map(<[u8; 64]>::as_slice),
        }
    }

    pub(super) fn others(&self) -> impl Iterator<Item = &str> {
        self.others.iter().map(|(name, _)| &**name)
    }
}

/// Writes `sha-256`, then `sha-512`, then the others as received.
impl fmt::Display for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self
            .algorithms()
            .filter_map(|algorithm| Some((algorithm.name(), self.get(algorithm)?)));
        let others = self.others.iter().map(|(name, value)| (&**name, &**value));
        for (index, (name, value)) in own.chain(others).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(
                f,
                "{comma}{name}=:{}:",
                Base64Display::new(value, &STANDARD)
            )?;
        }
        Ok(())
    }
}

/// Decodes the byte sequence of an algorithm, whose length is fixed. It needs no allocation.
fn sized<const LEN: usize>(
    field: &'static str,
    algorithm: Algorithm,
    text: &str,
) -> Result<[u8; LEN], Error> {
    let mut room = [0; 66];
    let inner = between_colons(field, text)?;
    let value = match STANDARD.decode_slice(inner, &mut room) {
        Ok(len) => room.get(..len).unwrap_or_default().try_into(),
        // A text that is too long or malformed is decoded in the general way, for its error.
        Err(_why) => bytes(field, text)?.as_slice().try_into(),
    };
    value.map_err(|_wrong_length| Error::DigestLength {
        algorithm,
        found: bytes(field, text).map_or(0, |value| value.len()),
    })
}

/// Decodes a byte sequence in its canonical spelling: with padding and zero trailing bits (RFC 9651
/// §3.3.5, §4.2.7).
fn bytes(field: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    STANDARD
        .decode(between_colons(field, text)?)
        .or(Err(Error::DigestBase64 { field }))
}

fn between_colons<'a>(field: &'static str, text: &'a str) -> Result<&'a str, Error> {
    text.strip_prefix(':')
        .and_then(|rest| rest.strip_suffix(':'))
        .ok_or(Error::DigestSyntax { field })
}
