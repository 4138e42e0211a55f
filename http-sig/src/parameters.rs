//! The parameters of a signature (RFC 9421 §2.3).

use std::borrow::Cow;

use crate::sf::{BareItem, Cursor, unescape};
use crate::{Error, Limits};

/// The parameters of a signature, in the order in which they stand there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters<'a> {
    text: &'a str,
    created: Option<u64>,
    expires: Option<u64>,
    nonce: Option<&'a str>,
    alg: Option<&'a str>,
    keyid: Option<&'a str>,
    tag: Option<&'a str>,
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
        let mut read = Self::default();
        keys.clear();
        while let Some((key, value)) = cursor.parameter().map_err(|_malformed| syntax())? {
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
            match key {
                "created" => read.created = Some(time("created", &value)?),
                "expires" => read.expires = Some(time("expires", &value)?),
                "nonce" => read.nonce = Some(string("nonce", value)?),
                "alg" => read.alg = Some(string("alg", value)?),
                "keyid" => read.keyid = Some(string("keyid", value)?),
                "tag" => read.tag = Some(string("tag", value)?),
                _ => {}
            }
        }
        read.text = cursor.since(&start);
        Ok(read)
    }

    /// Parameters that were read before.
    pub(crate) fn again(text: &'a str) -> Self {
        let limits = Limits {
            parameters: usize::MAX,
            ..Limits::default()
        };
        Cursor::new(text.as_bytes())
            .ok()
            .and_then(|mut cursor| {
                Self::read(&mut cursor, &mut Vec::new(), &limits, || Error::Syntax {
                    field: "signature-input",
                })
                .ok()
            })
            .unwrap_or_default()
    }

    /// `created`, in seconds.
    #[must_use]
    pub const fn created(&self) -> Option<u64> {
        self.created
    }

    /// `expires`, in seconds.
    #[must_use]
    pub const fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// `nonce`, never empty.
    #[must_use]
    pub fn nonce(&self) -> Option<Cow<'a, str>> {
        self.nonce.map(unescape)
    }

    /// `alg`.
    #[must_use]
    pub fn alg(&self) -> Option<Cow<'a, str>> {
        self.alg.map(unescape)
    }

    /// `keyid`: an opaque name.
    #[must_use]
    pub fn key_id(&self) -> Option<Cow<'a, str>> {
        self.keyid.map(unescape)
    }

    /// `tag`: what the signature is for.
    #[must_use]
    pub fn tag(&self) -> Option<Cow<'a, str>> {
        self.tag.map(unescape)
    }

    /// Whether there is one of that name. The six registered ones are not searched for.
    pub(crate) fn has(&self, name: &str) -> bool {
        match name {
            "created" => self.created.is_some(),
            "expires" => self.expires.is_some(),
            "nonce" => self.nonce.is_some(),
            "alg" => self.alg.is_some(),
            "keyid" => self.keyid.is_some(),
            "tag" => self.tag.is_some(),
            _ => self.named(name).is_some(),
        }
    }

    /// A parameter of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<BareItem<'a>> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, BareItem<'a>)> + use<'a> {
        let mut cursor = Cursor::new(self.text.as_bytes()).ok();
        std::iter::from_fn(move || cursor.as_mut()?.parameter().ok()?)
    }
}

fn time(parameter: &'static str, value: &BareItem<'_>) -> Result<u64, Error> {
    match value {
        BareItem::Integer(seconds) => u64::try_from(*seconds).ok(),
        _ => None,
    }
    .ok_or(Error::ParameterType { parameter })
}

fn string<'a>(parameter: &'static str, value: BareItem<'a>) -> Result<&'a str, Error> {
    match value {
        BareItem::String(Cow::Borrowed(raw)) if !raw.is_empty() => Ok(raw),
        _ => Err(Error::ParameterType { parameter }),
    }
}
