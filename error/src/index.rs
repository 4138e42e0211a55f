//! Every error code of the `aims` crates: its kind, what it means, its likely cause, and what to
//! do.
//!
//! [`explain`] gives one entry to a program. The command `aims explain CODE` prints it. A code
//! stays the same from release to release, so it can be searched for in logs and records.
//!
//! A peer never sees most of these codes: the answer on the wire says only what its standard
//! prescribes.
#![doc = include_str!("index/aims.md")]
#![doc = include_str!("index/tokens.md")]
#![doc = include_str!("index/oauth.md")]
#![doc = include_str!("index/signatures.md")]
#![doc = include_str!("index/keys.md")]
#![doc = include_str!("index/authority.md")]

use core::iter;
use core::str::Lines;

use crate::ErrorKind;

/// The pages, in the order in which they are shown.
const PAGES: &[&str] = &[
    include_str!("index/aims.md"),
    include_str!("index/tokens.md"),
    include_str!("index/oauth.md"),
    include_str!("index/signatures.md"),
    include_str!("index/keys.md"),
    include_str!("index/authority.md"),
];

/// The entry of one error code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The code, such as `wpt.audience`.
    pub code: &'static str,
    /// The kind that errors of this code have.
    pub kind: ErrorKind,
    /// The meaning, in one or two sentences.
    pub meaning: &'static str,
    /// The most likely cause.
    pub cause: &'static str,
    /// The action that resolves it.
    pub remedy: &'static str,
}

/// Returns the entry of a code, or `None` for an unknown code.
///
/// ```
/// let entry = aims_error::index::explain("wpt.audience").unwrap();
/// assert_eq!(entry.kind, aims_error::ErrorKind::Mismatch);
/// println!("{}: {}", entry.meaning, entry.remedy);
/// ```
#[must_use]
pub fn explain(code: &str) -> Option<Entry> {
    entries().find(|entry| entry.code == code)
}

/// Returns all entries, in the order of the page.
pub fn entries() -> impl Iterator<Item = Entry> {
    PAGES.iter().flat_map(|page| {
        let mut reader = Reader {
            lines: page.lines(),
            group: Advice::default(),
            code: None,
        };
        iter::from_fn(move || reader.entry())
    })
}

/// Reads a page: a `##` heading begins a group, a `###` heading an entry. Cause and remedy of the
/// group hold for each of its entries that has none of its own.
struct Reader {
    lines: Lines<'static>,
    group: Advice,
    code: Option<&'static str>,
}

#[derive(Clone, Copy, Default)]
struct Advice {
    cause: &'static str,
    remedy: &'static str,
}

impl Reader {
    fn entry(&mut self) -> Option<Entry> {
        let mut found = None;
        let mut own = Advice::default();
        loop {
            let line = self.lines.next();
            let heading = line.and_then(|line| line.strip_prefix("### `")?.strip_suffix('`'));
            let is_group = line.is_some_and(|line| line.starts_with("## "));
            if line.is_none() || is_group || heading.is_some() {
                let entry = self.code.take().zip(found).map(|(code, said)| {
                    let (kind, meaning) = said;
                    Entry {
                        code,
                        kind,
                        meaning,
                        cause: or(own.cause, self.group.cause),
                        remedy: or(own.remedy, self.group.remedy),
                    }
                });
                self.code = heading;
                if is_group {
                    self.group = Advice::default();
                }
                if entry.is_some() || line.is_none() {
                    return entry;
                }
                (found, own) = (None, Advice::default());
                continue;
            }
            let line = line.unwrap_or_default();
            let advice = match self.code {
                Some(_) => &mut own,
                None => &mut self.group,
            };
            if let Some(text) = line.strip_prefix("- Cause: ") {
                advice.cause = text;
            } else if let Some(text) = line.strip_prefix("- Remedy: ") {
                advice.remedy = text;
            } else if let Some((kind, meaning)) = kind_and_meaning(line) {
                found = Some((kind, meaning));
            }
        }
    }
}

/// Reads `*mismatch*: The proof is for another audience.`
fn kind_and_meaning(line: &'static str) -> Option<(ErrorKind, &'static str)> {
    let (kind, meaning) = line.strip_prefix('*')?.split_once("*: ")?;
    let kind = ErrorKind::ALL.iter().find(|it| it.as_str() == kind)?;
    Some((*kind, meaning))
}

const fn or(own: &'static str, group: &'static str) -> &'static str {
    if own.is_empty() { group } else { own }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    /// No heading is lost by the reader, and no entry lacks a sentence.
    #[test]
    fn every_entry_is_whole() {
        let headings: usize = PAGES.iter().map(|page| page.matches("### ").count()).sum();
        let all: BTreeSet<_> = entries().map(|entry| entry.code).collect();
        assert_eq!(all.len(), headings);
        for entry in entries() {
            for text in [entry.meaning, entry.cause, entry.remedy] {
                assert!(text.len() > 10 && text.ends_with('.'), "{entry:?}");
            }
            assert_eq!(explain(entry.code), Some(entry));
        }
    }

    #[test]
    fn a_text_that_is_no_code_has_no_entry() {
        assert_eq!(explain("wpt"), None);
        assert_eq!(explain(""), None);
    }
}
