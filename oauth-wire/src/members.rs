//! Reads the members of unsigned documents one by one, so that a malformed member does not affect
//! the others.
//!
//! `null` counts as absent for every member, and so does the empty string for strings. An empty
//! list stays an empty list; each caller decides whether it counts as absent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aims_jose::json::{self, Text};
use serde_json::value::RawValue;

use crate::diagnostic::Diagnostic;

/// The members of one object, and the diagnostics of reading them.
#[derive(Debug, Default)]
pub(crate) struct Members<'a> {
    all: BTreeMap<Text<'a>, &'a RawValue>,
    diagnostics: Vec<Diagnostic>,
}

/// A member that has another type or form than expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Malformed {
    pub(crate) expected: &'static str,
    pub(crate) found: &'static str,
}

impl<'a> Members<'a> {
    /// Reads a document: one object without repeated members, in UTF-8. White space around it and a
    /// byte order mark before it are skipped.
    pub(crate) fn of_document(bytes: &'a [u8]) -> Result<Self, aims_jose::Error> {
        let object = json::document(bytes)?;
        json::check_object(object)?;
        let all = serde_json::from_slice(object).or(Err(aims_jose::Error::Json))?;
        Ok(Self {
            all,
            diagnostics: Vec::new(),
        })
    }

    /// Returns the raw JSON of a member, if it is there and not `null`.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.raw_or_null(name).filter(|raw| raw.get() != "null")
    }

    /// Returns the raw JSON of a member, if it is there, `null` included.
    pub(crate) fn raw_or_null(&self, name: &str) -> Option<&'a RawValue> {
        self.all.get(&Text::from(name)).copied()
    }

    /// Reads a string that is not empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Malformed> {
        let Some(raw) = self.raw(name) else {
            return Ok(None);
        };
        let text: String = typed(raw, "a text")?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Reads a list of strings. Elements of other types are dropped with a diagnostic.
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

    /// Reads an optional string as [`text`](Self::text) does. A malformed one counts as absent.
    pub(crate) fn optional_text(&mut self, name: &'static str) -> Option<String> {
        let read = self.text(name);
        self.or_ignored(name, read)
    }

    /// Reads an optional list as [`texts`](Self::texts) does. A malformed one counts as absent.
    pub(crate) fn optional_texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let read = self.texts(name);
        self.or_ignored(name, read)
    }

    /// Reads a switch. It is off if absent, and on if malformed.
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

    /// Reads a boolean that says what the server offers. It is false if absent or malformed.
    pub(crate) fn is_true(&mut self, name: &'static str) -> bool {
        let read = self.raw(name).map(|raw| typed(raw, "a boolean"));
        self.or_ignored(name, read.transpose()).unwrap_or(false)
    }

    /// Reads an object within this one.
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

    /// Returns the value, or adds a diagnostic and returns `None`.
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

/// Parses the value of a member as this type.
pub(crate) fn typed<'a, T: serde::Deserialize<'a>>(
    raw: &'a RawValue,
    expected: &'static str,
) -> Result<T, Malformed> {
    serde_json::from_str(raw.get()).or(Err(Malformed {
        expected,
        found: kind(raw),
    }))
}

/// Returns the JSON type of a value, for people.
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
