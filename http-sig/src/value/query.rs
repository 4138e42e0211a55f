//! Query parameters (RFC 9421 §2.2.8): decoded by the rules of `application/x-www-form-urlencoded`,
//! and encoded by the same rules without `+`.

use crate::component::excerpt;
use crate::{ComponentId, Error};

/// Appends the value of the query parameter that the identifier names, which must occur once.
pub(super) fn write_parameter(
    out: &mut Vec<u8>,
    query: &str,
    id: ComponentId<'_>,
) -> Result<(), Error> {
    let component = || excerpt(id.as_str());
    let wanted = id.argument().unwrap_or_default().as_bytes();
    let mut name = Vec::new();
    let mut found = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (raw_name, value) = pair.split_once('=').unwrap_or((pair, ""));
        name.clear();
        // Parsers disagree on a name that is not UTF-8.
        encode_again(&mut name, raw_name).ok_or_else(|| Error::Value {
            component: component(),
        })?;
        if name == wanted && found.replace(value).is_some() {
            return Err(Error::ComponentAmbiguous {
                component: component(),
            });
        }
    }
    let value = found.ok_or_else(|| Error::ComponentAbsent {
        component: component(),
    })?;
    encode_again(out, value).ok_or_else(|| Error::Value {
        component: component(),
    })
}

/// Decodes and encodes. Returns `None` if the text is not UTF-8.
fn encode_again(out: &mut Vec<u8>, raw: &str) -> Option<()> {
    let decoded = decode(raw.as_bytes());
    str::from_utf8(&decoded).ok()?;
    crate::form::encode(out, &decoded);
    Some(())
}

/// Decodes `+` to a space. A `%` without two hexadecimal digits stays.
fn decode(raw: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    (high << 4) | low
                }
                _ => b'%',
            },
            (byte, _) => *byte,
        });
    }
    decoded
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
