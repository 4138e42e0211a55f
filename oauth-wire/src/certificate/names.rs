//! The URIs among the alternative names of a certificate (RFC 5280 §4.2.1.6).

use super::{PeerCertificate, SEQUENCE, value};

/// The tag of the extensions of a certificate.
const EXTENSIONS: u8 = 0xa3;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
/// The tag of a URI among the names.
const URI: u8 = 0x86;
/// The identifier of the extension, 2.5.29.17.
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];

impl PeerCertificate {
    /// Returns the URIs among the alternative names, or `None` if the names cannot be read. A
    /// certificate without such names has none.
    pub(crate) fn uris(&self) -> Option<Vec<&str>> {
        let (certificate, _) = value(SEQUENCE, self.der())?;
        let (content, _) = value(SEQUENCE, certificate)?;
        let Some(extensions) = find(content, |tag, _| tag == EXTENSIONS)? else {
            return Some(Vec::new());
        };
        let (extensions, _) = value(SEQUENCE, extensions)?;
        let is_names = |tag: u8, extension: &[u8]| {
            let name = value(OBJECT, extension).map(|(name, _)| name);
            tag == SEQUENCE && name == Some(ALTERNATIVE_NAMES.as_slice())
        };
        let Some(extension) = find(extensions, is_names)? else {
            return Some(Vec::new());
        };
        let (_, rest) = value(OBJECT, extension)?;
        let rest = value(BOOLEAN, rest).map_or(rest, |(_critical, rest)| rest);
        let (names, _) = value(OCTETS, rest)?;
        let (mut names, _) = value(SEQUENCE, names)?;
        let mut uris = Vec::new();
        while let Some((tag, _)) = names.split_first() {
            let (name, rest) = value(*tag, names)?;
            if *tag == URI {
                uris.push(core::str::from_utf8(name).ok()?);
            }
            names = rest;
        }
        Some(uris)
    }
}

/// Returns the contents of the first value that fits, or `None` within if no value does.
fn find(mut all: &[u8], fits: impl Fn(u8, &[u8]) -> bool) -> Option<Option<&[u8]>> {
    while let Some((tag, _)) = all.split_first() {
        let (content, rest) = value(*tag, all)?;
        if fits(*tag, content) {
            return Some(Some(content));
        }
        all = rest;
    }
    Some(None)
}
