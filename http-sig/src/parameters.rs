//! The parameters of a signature (RFC 9421 §2.3).

use std::borrow::Cow;

use crate::sf::{BareItem, Cursor, unescape};
use crate::{Error, Limits};

/// The parameters of a signature, in the order of the message. They are untrusted until the
/// signature is verified.
///
/// ```
/// use aims_http_sig::{Component, Exchange, HttpRequest, Signing};
/// use aims_jose::{random::SYSTEM, time::at};
///
/// let signing = Signing::new("sig1").covering([Component::METHOD]).with_created().with_tag("app");
/// let (parts, ()) = http::Request::get("https://tools.example/").body(())?.into_parts();
/// let message = HttpRequest::to_send(&parts)?;
/// let prepared = signing.prepare(&Exchange::of(&message), SYSTEM, at(1_800_000_000))?;
/// let parameters = prepared.base().parameters();
/// assert_eq!(parameters.created(), Some(1_800_000_000));
/// assert_eq!(parameters.tag().as_deref(), Some("app"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters<'a> {
    text: &'a str,
    index: Index,
}

/// An index of the parameters, so that their text is parsed once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Index {
    created: Option<u64>,
    expires: Option<u64>,
    nonce: Option<Place>,
    alg: Option<Place>,
    keyid: Option<Place>,
    tag: Option<Place>,
    /// The unregistered parameters, as many as fit.
    others: [Option<Other>; 3],
    /// The position of the first unregistered parameter that does not fit.
    more: Option<usize>,
}

/// The position of a parameter at its `;`, and the length of its name.
#[derive(Clone, Copy, Debug)]
struct Other {
    start: usize,
    name_len: usize,
}

/// The position of the text between the quotes of a string.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
}

impl<'a> Parameters<'a> {
    /// Reads the parameters after an inner list.
    pub(crate) fn read(
        cursor: &mut Cursor<'a>,
        limits: &Limits,
        syntax: impl Fn() -> Error,
    ) -> Result<Self, Error> {
        let start = *cursor;
        let mut read = Index::default();
        // Names that do not fit into the index.
        let mut keys = Vec::new();
        let mut count = 0_usize;
        loop {
            let before = cursor.distance(&start);
            let Some((key, value)) = cursor.parameter().map_err(|_malformed| syntax())? else {
                break;
            };
            let is_other = || {
                let before = Self::indexed(cursor.since(&start), read);
                before.other(key).is_some() || keys.contains(&key)
            };
            if read.registered(key).unwrap_or_else(is_other) {
                return Err(Error::ParameterRepeated);
            }
            if count >= limits.parameters {
                return Err(Error::Limit {
                    what: "parameters",
                    limit: limits.parameters,
                });
            }
            count = count.saturating_add(1);
            let end = cursor.distance(&start);
            match key {
                "created" => read.created = Some(time("created", &value)?),
                "expires" => read.expires = Some(time("expires", &value)?),
                "nonce" => read.nonce = Some(string("nonce", &value, end)?),
                "alg" => read.alg = Some(string("alg", &value, end)?),
                "keyid" => read.keyid = Some(string("keyid", &value, end)?),
                "tag" => read.tag = Some(string("tag", &value, end)?),
                _ if read.insert(before, key.len()) => {}
                _ => keys.push(key),
            }
        }
        Ok(Self {
            text: cursor.since(&start),
            index: read,
        })
    }

    /// Creates parameters from a text that was checked before.
    pub(crate) fn again(text: &'a str) -> Self {
        let limits = Limits {
            parameters: usize::MAX,
            ..Limits::default()
        };
        let syntax = || Error::Syntax {
            field: "signature-input",
        };
        let mut cursor = Cursor::again(text);
        Self::read(&mut cursor, &limits, syntax).unwrap_or_default()
    }

    /// Creates parameters from a text and its index.
    pub(crate) const fn indexed(text: &'a str, index: Index) -> Self {
        Self { text, index }
    }

    pub(crate) const fn index(&self) -> Index {
        self.index
    }

    pub(crate) const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns `created`, in Unix seconds.
    #[must_use]
    pub const fn created(&self) -> Option<u64> {
        self.index.created
    }

    /// Returns `expires`, in Unix seconds.
    #[must_use]
    pub const fn expires(&self) -> Option<u64> {
        self.index.expires
    }

    /// Returns `nonce`, which is never empty.
    #[must_use]
    pub fn nonce(&self) -> Option<Cow<'a, str>> {
        self.at(self.index.nonce)
    }

    /// Returns `alg`.
    #[must_use]
    pub fn alg(&self) -> Option<Cow<'a, str>> {
        self.at(self.index.alg)
    }

    /// Returns `keyid`, an opaque name.
    #[must_use]
    pub fn key_id(&self) -> Option<Cow<'a, str>> {
        self.at(self.index.keyid)
    }

    /// Returns `tag`, the purpose of the signature.
    #[must_use]
    pub fn tag(&self) -> Option<Cow<'a, str>> {
        self.at(self.index.tag)
    }

    fn at(&self, place: Option<Place>) -> Option<Cow<'a, str>> {
        let place = place?;
        self.text.get(place.start..place.end).map(unescape)
    }

    /// Returns whether there is a parameter with this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.index
            .registered(name)
            .unwrap_or_else(|| self.named(name).is_some())
    }

    /// Returns the value of the parameter with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<BareItem<'a>> {
        let from = match self.index.registered(name) {
            Some(false) => return None,
            Some(true) => 0,
            None => self.other(name).or(self.index.more)?,
        };
        items(self.text.get(from..)?)
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Returns the position of this parameter, if it fit into the index.
    fn other(&self, name: &str) -> Option<usize> {
        let mut others = self.index.others.iter().flatten();
        let is_named = |other: &&Other| {
            let start = other.start.saturating_add(1);
            let end = start.saturating_add(name.len());
            other.name_len == name.len() && self.text.get(start..end) == Some(name)
        };
        others.find(is_named).map(|other| other.start)
    }

    /// Returns all parameters, each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, BareItem<'a>)> + use<'a> {
        items(self.text)
    }
}

impl Index {
    /// Adds an unregistered parameter to the index. Returns `false` if it is full.
    fn insert(&mut self, start: usize, name_len: usize) -> bool {
        if let Some(room) = self.others.iter_mut().find(|other| other.is_none()) {
            *room = Some(Other { start, name_len });
            return true;
        }
        self.more = self.more.or(Some(start));
        false
    }

    /// Returns whether a registered parameter is present, or `None` for another name.
    fn registered(&self, name: &str) -> Option<bool> {
        Some(match name {
            "created" => self.created.is_some(),
            "expires" => self.expires.is_some(),
            "nonce" => self.nonce.is_some(),
            "alg" => self.alg.is_some(),
            "keyid" => self.keyid.is_some(),
            "tag" => self.tag.is_some(),
            _ => return None,
        })
    }
}

fn items<'a>(text: &'a str) -> impl Iterator<Item = (&'a str, BareItem<'a>)> + use<'a> {
    let mut cursor = Cursor::again(text);
    std::iter::from_fn(move || cursor.parameter().ok()?)
}

fn time(parameter: &'static str, value: &BareItem<'_>) -> Result<u64, Error> {
    match value {
        BareItem::Integer(seconds) => u64::try_from(*seconds).ok(),
        _ => None,
    }
    .ok_or(Error::ParameterType { parameter })
}

/// Locates a string whose closing quote is the last byte before `end`.
fn string(parameter: &'static str, value: &BareItem<'_>, end: usize) -> Result<Place, Error> {
    match value {
        BareItem::String(raw) if !raw.is_empty() => {
            let end = end.saturating_sub(1);
            Ok(Place {
                start: end.saturating_sub(raw.len()),
                end,
            })
        }
        _ => Err(Error::ParameterType { parameter }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Parameters<'_>, Error> {
        let syntax = || Error::Syntax { field: "test" };
        Parameters::read(&mut Cursor::again(text), &Limits::default(), syntax)
    }

    const MANY: &str = r#";a=1;created=5;b="x";nonce="n";c;d=2;tag="t";e=3"#;

    #[test]
    fn each_is_found_by_its_name_wherever_it_stands() {
        let many = read(MANY).unwrap();
        for (name, value) in many.iter() {
            assert_eq!(many.named(name), Some(value), "{name}");
            assert!(many.has(name), "{name}");
        }
        assert_eq!(many.iter().count(), 8);
        assert_eq!((many.created(), many.expires()), (Some(5), None));
        assert_eq!(many.nonce().as_deref(), Some("n"));
        assert_eq!(many.tag().as_deref(), Some("t"));
        for name in ["expires", "alg", "f", "aa", ""] {
            assert_eq!(many.named(name), None, "{name}");
            assert!(!many.has(name), "{name}");
        }
    }

    #[test]
    fn none_is_there_twice_wherever_it_stands() {
        for (key, value) in read(MANY).unwrap().iter() {
            let text = format!("{MANY};{key}={value}").replace("=?1", "");
            assert_eq!(read(&text).unwrap_err().code(), "sig.parameter_repeated");
        }
        assert!(read(&format!("{MANY};f=4")).is_ok());
    }
}
