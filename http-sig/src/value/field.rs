//! Values of fields (RFC 9421 §2.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::{Dictionary, FieldType as _, Item, List, ListEntry, Parser};

use super::Room;
use crate::component::excerpt;
use crate::sf::unescape;
use crate::{ComponentId, Error, FieldType, FieldTypes, Message, Section};

/// Appends the value of the field in the form that its parameters select. Returns `false` if the
/// message has no line of it.
pub(super) fn write(
    out: &mut Vec<u8>,
    room: &mut Room,
    message: &dyn Message,
    types: &FieldTypes,
    id: ComponentId<'_>,
) -> Result<bool, Error> {
    let component = || excerpt(id.as_str());
    let flags = id.flags();
    let section = if flags.trailers {
        Section::Trailers
    } else {
        Section::Headers
    };
    let structured = flags.structured || id.argument().is_some();
    let (start, limit) = (out.len(), room.limit);
    let mut lines = 0_usize;
    let mut well_formed = true;
    message.lines(section, id.name(), &mut |line| {
        lines = lines.saturating_add(1);
        // Do not copy a line that is too long. The caller reports it.
        if out.len().saturating_add(line.len()) > limit {
            out.resize(limit.saturating_add(1), b'.');
            return;
        }
        if lines > 1 {
            out.extend_from_slice(b", ");
        }
        well_formed &= if flags.binary {
            let mut bytes = Vec::with_capacity(line.len());
            let unfolded = unfold(&mut bytes, line);
            let text = STANDARD.encode(&bytes);
            out.push(b':');
            out.extend_from_slice(text.as_bytes());
            out.push(b':');
            unfolded
        } else {
            unfold(out, line)
        };
    });
    if out.len() > limit {
        return Ok(true);
    }
    if lines == 0 {
        return Ok(false);
    }
    // The lines of `Set-Cookie` must not be joined (RFC 6265 §3), so the joined value is ambiguous
    // (RFC 9421 §7.5.6).
    if lines > 1 && id.name() == "set-cookie" && !flags.binary {
        return Err(Error::ComponentAmbiguous {
            component: component(),
        });
    }
    if !well_formed {
        return Err(Error::Value {
            component: component(),
        });
    }
    if structured {
        let field_type = types.of(id.name()).ok_or_else(|| Error::FieldTypeUnknown {
            component: component(),
        })?;
        room.parse(out.len().saturating_sub(start))?;
        let text = serialize(out.get(start..).unwrap_or_default(), field_type, id)?;
        out.truncate(start);
        out.extend_from_slice(text.as_bytes());
    }
    Ok(true)
}

/// Appends a line without surrounding white space. Each obsolete fold becomes one space (RFC 9112
/// §5.2). Returns `false` if the line contains another line end.
pub(crate) fn unfold(out: &mut Vec<u8>, line: &[u8]) -> bool {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let line = trim(line, is_space);
    if super::all(line, |byte| byte != b'\n' && byte != b'\r') {
        out.extend_from_slice(line);
        return true;
    }
    let mut parts = line.split(|byte| *byte == b'\n');
    let mut part = parts.next().unwrap_or_default();
    for next in parts {
        let Some(before) = part.strip_suffix(b"\r") else {
            return false;
        };
        if !next.first().is_some_and(is_blank) || before.contains(&b'\r') {
            return false;
        }
        out.extend_from_slice(trim(before, is_blank));
        out.push(b' ');
        part = next;
    }
    out.extend_from_slice(trim(part, is_blank));
    !part.contains(&b'\r')
}

fn trim(mut bytes: &[u8], is: impl Fn(&u8) -> bool) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is(first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is(last)
    {
        bytes = rest;
    }
    bytes
}

/// Returns the canonical text of the whole field or of one member (RFC 9421 §2.1.1-2.1.2).
fn serialize(text: &[u8], field_type: FieldType, id: ComponentId<'_>) -> Result<String, Error> {
    let wrong = |_parse| Error::FieldType {
        component: excerpt(id.as_str()),
    };
    let parser = Parser::new(text);
    match (field_type, id.argument()) {
        (FieldType::Dictionary, Some(key)) => {
            let fields: Dictionary = parser.parse().map_err(wrong)?;
            let member = fields
                .get(&*unescape(key))
                .ok_or_else(|| Error::ComponentAbsent {
                    component: excerpt(id.as_str()),
                })?;
            // A list of one member is serialized like the member.
            let list: List = vec![match member {
                ListEntry::Item(item) => ListEntry::Item(item.clone()),
                ListEntry::InnerList(list) => ListEntry::InnerList(list.clone()),
            }];
            Ok(list.serialize().unwrap_or_default())
        }
        (_, Some(_)) => Err(Error::FieldTypeUnknown {
            component: excerpt(id.as_str()),
        }),
        (FieldType::Dictionary, None) => {
            let fields: Dictionary = parser.parse().map_err(wrong)?;
            Ok(fields.serialize().unwrap_or_default())
        }
        (FieldType::Item, None) => {
            let item: Item = parser.parse().map_err(wrong)?;
            Ok(item.serialize())
        }
        (FieldType::List, None) => {
            let list: List = parser.parse().map_err(wrong)?;
            Ok(list.serialize().unwrap_or_default())
        }
    }
}
