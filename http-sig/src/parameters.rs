//! The parameters of a signature (RFC 9421 §2.3).

use std::borrow::Cow;

use crate::sf::{BareItem, Cursor, unescape};
use crate::{Error, Limits};

/// The parameters of a signature, in the order in which they stand there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters<'a> {
    text: &'a str,
    index: Index,
}

/// What was read of a text of parameters, so that it is read once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Index {
    created: Option<u64>,
    expires: Option<u64>,
    nonce: Option<Place>,
    alg: Option<Place>,
    keyid: Option<Place>,
    tag: Option<Place>,
    /// Where the first one stands that is not registered.
    others: usize,
}

/// What stands between the quotes of a string.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
}

impl<'a> Parameters<'a> {
    /// Reads what stands behind an inner list. `keys` is room for the names.
    pub(crate) fn read(
        cursor: &mut Cursor<'a>,
        keys: &mut Vec<&'a str>,
        limits: &Limits,
        syntax: impl Fn() -> Error,
    ) -> Result<Self, Error> {
        let start = *cursor;
        let mut read = Index::default();
        let mut others = None;
        keys.clear();
        loop {
            let before = cursor.distance(&start);
            let Some((key, value)) = cursor.parameter().map_err(|_malformed| syntax())? else {
                break;
            };
            if keys.contains(&key) {
                return Err(Error::ParameterRepeated);
            }
            if keys.len() >= limits.parameters {
                return Err(Error::Limit {
                    what: "parameters",
                    limit: limits.parameters,
                });
            }
            keys.push(key);
            let end = cursor.distance(&start);
            match key {
                "created" => read.created = Some(time("created", &value)?),
                "expires" => read.expires = Some(time("expires", &value)?),
                "nonce" => read.nonce = Some(string("nonce", &value, end)?),
                "alg" => read.alg = Some(string("alg", &value, end)?),
                "keyid" => read.keyid = Some(string("keyid", &value, end)?),
                "tag" => read.tag = Some(string("tag", &value, end)?),
                _ => others = others.or(Some(before)),
            }
        }
        let text = cursor.since(&start);
        read.others = others.unwrap_or(text.len());
        Ok(Self { text, index: read })
    }

    /// Parameters that were read before.
    pub(crate) fn again(text: &'a str) -> Self {
        let limits = Limits {
            parameters: usize::MAX,
            ..Limits::default()
        };
        let syntax = || Error::Syntax {
            field: "signature-input",
        };
        let mut cursor = Cursor::again(text);
        Self::read(&mut cursor, &mut Vec::new(), &limits, syntax).unwrap_or_default()
    }

    /// Parameters of which this was read before.
    pub(crate) const fn indexed(text: &'a str, index: Index) -> Self {
        Self { text, index }
    }

    pub(crate) const fn index(&self) -> Index {
        self.index
    }

    pub(crate) const fn text(&self) -> &'a str {
        self.text
    }

    /// `created`, in seconds.
    #[must_use]
    pub const fn created(&self) -> Option<u64> {
        self.index.created
    }

    /// `expires`, in seconds.
    #[must_use]
    pub const fn expires(&self) -> Option<u64> {
        self.index.expires
    }

    /// `nonce`, never empty.
    #[must_use]
    pub fn nonce(&self) -> Option<Cow<'a, str>> {
        self.at(self.index.nonce)
    }

    /// `alg`.
    #[must_use]
    pub fn alg(&self) -> Option<Cow<'a, str>> {
        self.at(self.index.alg)
    }

    /// `keyid`: an opaque name.
    #[must_use]
    pub fn key_id(&self) -> Option<Cow<'a, str>> {
        self.at(self.index.keyid)
    }

    /// `tag`: what the signature is for.
    #[must_use]
    pub fn tag(&self) -> Option<Cow<'a, str>> {
        self.at(self.index.tag)
    }

    fn at(&self, place: Option<Place>) -> Option<Cow<'a, str>> {
        let place = place?;
        self.text.get(place.start..place.end).map(unescape)
    }

    /// Whether there is one of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.index
            .registered(name)
            .unwrap_or_else(|| self.named(name).is_some())
    }

    /// A parameter of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<BareItem<'a>> {
        let from = match self.index.registered(name) {
            Some(false) => return None,
            Some(true) => 0,
            None => self.index.others,
        };
        items(self.text.get(from..)?)
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, BareItem<'a>)> + use<'a> {
        items(self.text)
    }
}

impl Index {
    /// Whether a registered parameter is there; none for the name of another one.
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

/// A string whose closing quote is the last byte before `end`.
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
