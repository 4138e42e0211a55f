//! Claims that are there, that are not, and that cannot be read.

use std::collections::{BTreeMap, BTreeSet};

use aims_jose::json::{self, Text, canonical};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::verdict::Finding;

/// A claim of a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Claim<T> {
    Absent,
    Read(T),
    /// It is there, and not of its form.
    Unreadable,
}

impl<T> Claim<T> {
    /// Reads a claim by this function, which returns `None` for another form.
    pub(super) fn of<'a>(
        raw: Option<&'a RawValue>,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Self {
        match raw.map(|raw| read(raw.get())) {
            None => Self::Absent,
            Some(Some(value)) => Self::Read(value),
            Some(None) => Self::Unreadable,
        }
    }

    pub(super) const fn read(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Absent | Self::Unreadable => None,
        }
    }

    pub(super) const fn is_read(&self) -> bool {
        matches!(self, Self::Read(_))
    }
}

pub(crate) type Members<'a> = BTreeMap<Text<'a>, &'a RawValue>;

/// Texts without order.
pub(crate) type Texts = BTreeSet<Box<str>>;

/// The members of an object.
pub(crate) fn members(json: &str) -> Option<Members<'_>> {
    json::from_object(json.as_bytes()).ok()
}

/// A text that says something.
pub(crate) fn text(json: &str) -> Option<Box<str>> {
    let text: Text<'_> = parsed(json)?;
    (!text.is_empty()).then(|| text.as_str().into())
}

/// A list of texts.
pub(crate) fn texts(json: &str) -> Option<Texts> {
    let all: Vec<Text<'_>> = parsed(json)?;
    Some(all.iter().map(|text| text.as_str().into()).collect())
}

pub(crate) fn parsed<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// The canonical form of any value (RFC 8785), or `None` where a number has none.
pub(super) fn canonical_value(json: &str) -> Option<Box<str>> {
    // Texts, objects and the rest alike: the form is of objects.
    let object = canonical(format!("{{\"\":{json}}}").as_bytes()).ok()?;
    let value = object.strip_prefix("{\"\":")?.strip_suffix('}')?;
    Some(value.into())
}

/// How the child's set compares with the parent's.
pub(super) fn subset<T: Ord>(
    parent: &BTreeSet<T>,
    child: &BTreeSet<T>,
    reason: &'static str,
) -> Finding {
    if !child.is_subset(parent) {
        Finding::wider(reason)
    } else if child.len() == parent.len() {
        Finding::EQUAL
    } else {
        Finding::NARROWER
    }
}
