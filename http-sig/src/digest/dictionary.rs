//! The two dictionaries of RFC 9530: of byte sequences, and of integers from 0 to 10 (RFC 9651
//! §3.2).
//!
//! They are parsed from the raw text, because a general parser of structured fields keeps the last
//! of two equal keys and accepts several spellings of base64. Members have no parameters, as RFC
//! 9530 defines none.

use crate::Error;
use crate::sf::is_whole_key;

/// Maximum number of bytes in all lines of a field.
pub(super) const MAX_BYTES: usize = 4096;
/// Maximum number of members.
pub(super) const MAX_MEMBERS: usize = 16;

/// Reads the members of a field from its lines, in their order. Returns none if there is no line,
/// or one empty line.
///
/// `read` makes a member from its key and the text after `=`.
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
            // No key is empty, so an empty entry is free.
            if let Some(room) = keys.get_mut(found.len()) {
                *room = key;
            }
            found.push(read(key, value)?);
        }
    }
    // Joined with other lines, an empty line makes an empty member (RFC 9651 §4.2).
    if empty && count > 1 {
        return Err(Error::DigestSyntax { field });
    }
    Ok(found)
}

/// Optional white space around a comma (RFC 9651 §3.2).
const BLANK: &[char] = &[' ', '\t'];
