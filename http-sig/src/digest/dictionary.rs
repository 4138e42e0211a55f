//! The two dictionaries of RFC 9530: of byte sequences, and of integers from 0 to 10 (RFC 9651
//! §3.2).
//!
//! Read on the raw text: a general reader of structured fields keeps the last of two equal keys and
//! takes base64 in more than one spelling. Members have no parameters here; RFC 9530 defines none.

use crate::Error;
use crate::sf::is_whole_key;

/// The most bytes of all lines of a field that are read.
pub(super) const MAX_BYTES: usize = 4096;
/// The most members that are read.
pub(super) const MAX_MEMBERS: usize = 16;

/// The members of a field that came in these lines, in their order; none where there is no line, or
/// one that is empty.
///
/// `read` makes a member of key and the text behind `=`.
pub(super) fn members<'a, T>(
    field: &'static str,
    lines: impl IntoIterator<Item = &'a [u8]>,
    mut read: impl FnMut(&'a str, &'a str) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let (mut found, mut keys) = (Vec::new(), [""; MAX_MEMBERS]);
    let (mut length, mut count) = (0_usize, 0_usize);
    let mut empty = false;
    for line in lines {
        length = length.saturating_add(line.len());
        count = count.saturating_add(1);
        if length > MAX_BYTES || count > MAX_MEMBERS {
            return Err(Error::DigestSize { field });
        }
        let line = core::str::from_utf8(line).or(Err(Error::DigestSyntax { field }))?;
        let line = line.trim_matches(BLANK);
        if line.is_empty() {
            empty = true;
            continue;
        }
        for member in line.split(',') {
            if found.len() == MAX_MEMBERS {
                return Err(Error::DigestSize { field });
            }
            let (key, value) = member
                .trim_matches(BLANK)
                .split_once('=')
                .filter(|(key, _)| is_whole_key(key))
                .ok_or(Error::DigestSyntax { field })?;
            if keys.contains(&key) {
                return Err(Error::DigestRepeated { field });
            }
            // No key is empty, so what is empty is room.
            if let Some(room) = keys.get_mut(found.len()) {
                *room = key;
            }
            found.push(read(key, value)?);
        }
    }
    // Joined with the others, an empty line makes an empty member (RFC 9651 §4.2).
    if empty && count > 1 {
        return Err(Error::DigestSyntax { field });
    }
    Ok(found)
}

/// Optional white space around a comma (RFC 9651 §3.2).
const BLANK: &[char] = &[' ', '\t'];
