//! Claims whose names a profile chooses.

use std::collections::BTreeMap;

use aims_error::shown;
use aims_jose::json::Text;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;

/// All members of a payload as raw JSON. No member occurs twice.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Members<'a>(#[serde(borrow)] BTreeMap<Text<'a>, &'a RawValue>);

impl<'a> Members<'a> {
    /// Reads a payload.
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, Error> {
        aims_jose::json::from_object(payload).map_err(Error::Token)
    }

    /// Removes what counts as absent in an unsigned answer: `null` and the empty string.
    pub(crate) fn without_empty(mut self) -> Self {
        self.0
            .retain(|_, value| !matches!(value.get(), "null" | "\"\""));
        self
    }

    /// Returns the first of these claims that is `null`.
    pub(crate) fn first_null<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        let is_null = |name: &&&str| self.raw(name) == Some("null");
        names.iter().find(is_null).copied()
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(key, _)| key.as_str() == name);
        found.map(|(_, value)| value.get())
    }

    /// Returns whether the claim is there and is not `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|value| value != "null")
    }

    /// Returns whether the claim is there, with any value.
    pub(crate) fn stands(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Returns the value of the claim as a message shows it.
    pub(crate) fn found(&self, name: &str) -> Box<str> {
        let raw = self.raw(name);
        let text = raw.and_then(|raw| serde_json::from_str::<Text<'_>>(raw).ok());
        shown(text.as_ref().map(Text::as_str).or(raw))
    }

    /// Returns whether the claim is this string.
    pub(crate) fn is_text(&self, name: &str, expected: &str) -> bool {
        let text = self.raw(name).map(serde_json::from_str::<Text<'_>>);
        text.is_some_and(|text| text.is_ok_and(|text| text.as_str() == expected))
    }

    /// Reads a string that is not empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Text<'a>>, Error> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        match serde_json::from_str::<Text<'a>>(raw) {
            Ok(text) if !text.is_empty() => Ok(Some(text)),
            Ok(_) | Err(_) => Err(Error::claim(name, "a text that is not empty")),
        }
    }

    /// Reads a value of any type.
    pub(crate) fn value<T: Deserialize<'a>>(
        &self,
        name: &str,
        expected: &'static str,
    ) -> Result<Option<T>, Error> {
        let value = self.raw(name).map(serde_json::from_str);
        value.transpose().or(Err(Error::claim(name, expected)))
    }

    /// Reads the members of an object in a claim.
    pub(crate) fn within(&self, name: &str) -> Result<Option<Self>, Error> {
        self.value(name, "an object")
    }
}
