//! Reads members of unsigned documents one by one, so that a malformed member costs only itself.
//!
//! `null` counts as absent for every member, and the empty text for texts. An empty list stays an
//! empty list: each caller says whether it counts as absent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aims_jose::json::{self, Text};
use serde_json::value::RawValue;

use crate::diagnostic::Diagnostic;

/// The members of one object, and what was noticed while they were read.
#[derive(Debug, Default)]
pub(crate) struct Members<'a> {
    all: BTreeMap<Text<'a>, &'a RawValue>,
    diagnostics: Vec<Diagnostic>,
}

/// A member that has another type or another form than it has to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Malformed {
    pub(crate) expected: &'static str,
    pub(crate) found: &'static str,
}

impl<'a> Members<'a> {
    /// Reads a document: one object in UTF-8 without a member that occurs twice, white space around
    /// it and one byte order mark before it.
    pub(crate) fn of_document(bytes: &'a [u8]) -> Result<Self, aims_jose::Error> {
        let object = json::document(bytes)?;
        json::check_object(object)?;
        let all = serde_json::from_slice(object).or(Err(aims_jose::Error::Json))?;
        Ok(Self {
            all,
            diagnostics: Vec::new(),
        })
    }

    /// The member as it is written, if it is there and not `null`.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.raw_or_null(name).filter(|raw| raw.get() != "null")
    }

    /// The member as it is written, if it is there, `null` or not.
    pub(crate) fn raw_or_null(&self, name: &str) -> Option<&'a RawValue> {
        self.all.get(&Text::from(name)).copied()
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Malformed> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let text: String = typed(raw, "a text")?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A list of texts. Elements of other types are dropped, with a diagnostic.
    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Malformed> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let all: Vec<&RawValue> = typed(raw, "a list of texts")?;
        let texts = all.iter().map(|raw| serde_json::from_str(raw.get()).ok());
        let texts: Vec<String> = texts.flatten().collect();
        self.dropped(name, all.len().saturating_sub(texts.len()), "a text");
        Ok(Some(texts))
    }

    /// As [`text`](Self::text) for a member that is not needed: a malformed one counts as absent.
    pub(crate) fn optional_text(&mut self, name: &'static str) -> Option<String> {
        let read = self.text(name);
        self.or_ignored(name, read)
    }

    /// As [`texts`](Self::texts) for a member that is not needed: a malformed one counts as absent.
    pub(crate) fn optional_texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let read = self.texts(name);
        self.or_ignored(name, read)
    }

    /// A switch that is off where it is absent, and on where it is malformed.
    pub(crate) fn switch(&mut self, name: &'static str) -> bool {
        let Some(raw) = self.raw(name) else {
            return false;
        };
        typed(raw, "a boolean").unwrap_or_else(|malformed| {
            self.note(Diagnostic::CountsAsTrue {
                name: name.into(),
                found: malformed.found,
            });
            true
        })
    }

    /// The members of an object within this one.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, Malformed> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let all = typed(raw, "an object")?;
        Ok(Some(Self {
            all,
            diagnostics: Vec::new(),
        }))
    }

    /// The value, or nothing and a diagnostic.
    pub(crate) fn or_ignored<T>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        read: Result<Option<T>, Malformed>,
    ) -> Option<T> {
        read.unwrap_or_else(|malformed| {
            self.note(Diagnostic::Ignored {
                name: name.into(),
                expected: malformed.expected,
                found: malformed.found,
            });
            None
        })
    }

    pub(crate) fn dropped(&mut self, name: &'static str, count: usize, expected: &'static str) {
        if count > 0 {
            self.note(Diagnostic::Dropped {
                name: name.into(),
                count,
                expected,
            });
        }
    }

    pub(crate) fn note(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }
}

/// The value of a member, by its type.
pub(crate) fn typed<'a, T: serde::Deserialize<'a>>(
    raw: &'a RawValue,
    expected: &'static str,
) -> Result<T, Malformed> {
    serde_json::from_str(raw.get()).or(Err(Malformed {
        expected,
        found: kind(raw),
    }))
}

/// What kind of value it is, for people.
pub(crate) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "a text",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
