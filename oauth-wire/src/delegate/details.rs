//! `authorization_details` (RFC 9396), compared entry by entry.

use aims_jose::json::{Text, canonical};
use serde_json::value::RawValue;

use super::claim::{Members, Texts, canonical_value, members, parsed, subset, text, texts};
use super::verdict::{Finding, Verdict};

/// The type whose members are compared as sets.
pub(crate) const TOOL: &str = "aims_tool";
/// Those members.
const SETS: [&str; 4] = ["locations", "actions", "datatypes", "privileges"];
const ACTIONS: usize = 1;
/// The most entries that are read.
const MAX_ENTRIES: usize = 64;

/// All entries.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Details(pub(super) Vec<Entry>);

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) kind: Box<str>,
    /// The members that are compared as sets: for the type `aims_tool` alone.
    pub(crate) sets: Option<[Option<Texts>; 4]>,
    /// Everything else of it, in canonical form.
    pub(crate) rest: Box<str>,
    /// `call_digest` in canonical form.
    pub(crate) call: Option<Box<str>>,
}

impl Details {
    pub(super) fn read(json: &str) -> Option<Self> {
        let entries: Vec<&RawValue> = parsed(json)?;
        if entries.len() > MAX_ENTRIES {
            return None;
        }
        let entries: Option<_> = entries.iter().map(|raw| Entry::read(raw.get())).collect();
        entries.map(Self)
    }

    /// How the entries of a child compare with these, its parent's. Calls are compared apart.
    pub(super) fn compare(&self, child: &Self, may_drop_all: bool) -> Finding {
        // The common case, which needs no search.
        if self == child {
            return Finding::EQUAL;
        }
        if child.0.is_empty() {
            return if may_drop_all {
                Finding::NARROWER
            } else {
                Finding::undecidable("all authorization details are gone, and there is no `scope`")
            };
        }
        let mut all = Finding::EQUAL;
        for (place, entry) in child.0.iter().enumerate() {
            all = all.and(self.covers(entry, place));
        }
        let is_kept = |own: &Entry| child.0.contains(own);
        if all != Finding::EQUAL || self.0.iter().all(is_kept) {
            all
        } else {
            Finding::NARROWER
        }
    }

    /// How an entry of a child compares with the entry that covers it best. The search begins at
    /// its place, where it often is.
    fn covers(&self, child: &Entry, place: usize) -> Finding {
        let at_place = self.0.get(place).filter(|own| own.rest == child.rest);
        let found = at_place.filter(|own| own.kind == child.kind);
        let found = found.map(|own| own.compare(child));
        if found == Some(Finding::EQUAL) || self.0.contains(child) {
            return Finding::EQUAL;
        }
        // Of what is not equal, nothing is better.
        if found == Some(Finding::NARROWER) {
            return Finding::NARROWER;
        }
        let mut same_type = self
            .0
            .iter()
            .filter(|own| own.kind == child.kind)
            .peekable();
        if same_type.peek().is_none() && *child.kind == *TOOL {
            return Finding::wider("an entry has a type that no entry of the parent has");
        }
        let comparable = same_type.filter(|own| own.rest == child.rest);
        comparable
            .map(|own| own.compare(child))
            .reduce(Finding::or)
            .unwrap_or(Finding::undecidable(
                "an entry differs from those of the parent in a member that is not compared",
            ))
    }

    /// How the tools that a child may call compare with those of its parent, whose details compare
    /// as said.
    pub(super) fn compare_actions(&self, child: &Self, details: Verdict) -> Finding {
        // The same entries name the same tools.
        if details == Verdict::Equal {
            return Finding::EQUAL;
        }
        let (own, others) = (self.tools(), child.tools());
        match (own.is_empty(), others.is_empty()) {
            (true, true) => return Finding::EQUAL,
            (true, false) => return Finding::wider("the parent's details name no tools"),
            (false, true) if details.is_no_more() => return Finding::NARROWER,
            _ => {}
        }
        let is_bare = |actions: &Option<&Texts>| actions.is_none();
        if own.iter().chain(&others).all(is_bare) {
            return Finding::EQUAL;
        }
        if own.iter().chain(&others).any(is_bare) {
            return if details.is_no_more() {
                Finding::NARROWER
            } else {
                Finding::undecidable("an entry names no `actions`")
            };
        }
        if !are_among(&others, &own) {
            Finding::wider("`actions` has more than the parent's")
        } else if are_among(&own, &others) {
            Finding::EQUAL
        } else {
            Finding::NARROWER
        }
    }

    /// `actions` of each entry of the type `aims_tool`.
    fn tools(&self) -> Vec<Option<&Texts>> {
        let sets = self.0.iter().filter_map(|entry| entry.sets.as_ref());
        sets.map(|sets| sets.get(ACTIONS).and_then(Option::as_ref))
            .collect()
    }

    /// The calls that the entries are for.
    pub(super) fn calls(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|entry| entry.call.as_deref())
    }
}

/// Returns whether each text of these sets is in one of the others.
fn are_among(these: &[Option<&Texts>], others: &[Option<&Texts>]) -> bool {
    let has = |text: &str| others.iter().flatten().any(|set| set.contains(text));
    let mut all = these.iter().flatten().flat_map(|set| set.iter());
    all.all(|text| has(text))
}

impl Entry {
    pub(crate) fn read(json: &str) -> Option<Self> {
        let all = members(json)?;
        let kind = text(all.get("type")?.get())?;
        let call = match all.get("call_digest").map(|raw| raw.get()) {
            Some(digest) if text(digest).is_none() => return None,
            digest => digest.and_then(canonical_value),
        };
        if *kind != *TOOL {
            return Some(Self {
                kind,
                sets: None,
                rest: canonical_value(json)?,
                call,
            });
        }
        let mut sets = [const { None }; 4];
        for (set, name) in sets.iter_mut().zip(SETS) {
            *set = match all.get(name).map(|raw| texts(raw.get())) {
                Some(None) => return None,
                found => found.flatten(),
            };
        }
        Some(Self {
            kind,
            sets: Some(sets),
            rest: rest(&all)?,
            call,
        })
    }

    /// Returns a member that is compared as a set.
    pub(crate) fn set(&self, name: &str) -> Option<&Texts> {
        let index = SETS.iter().position(|it| *it == name)?;
        self.sets.as_ref()?.get(index)?.as_ref()
    }

    /// Returns the place of a member that is compared as a set.
    pub(crate) fn set_mut(&mut self, name: &str) -> Option<&mut Option<Texts>> {
        let index = SETS.iter().position(|it| *it == name)?;
        self.sets.as_mut()?.get_mut(index)
    }

    /// Returns the entry as a JSON object.
    pub(crate) fn to_json(&self) -> String {
        let mut json = self.rest.strip_suffix('}').unwrap_or_default().to_owned();
        for (name, set) in SETS.iter().zip(self.sets.iter().flatten()) {
            if let Some(texts) = set {
                // Serializing strings cannot fail.
                let texts = serde_json::to_string(texts).unwrap_or_default();
                json.push_str(&format!(",\"{name}\":{texts}"));
            }
        }
        json.push('}');
        json
    }

    /// How a child's entry of the same type compares with this one.
    pub(crate) fn compare_whole(&self, child: &Self) -> Verdict {
        if self.rest == child.rest {
            self.compare(child).verdict
        } else {
            Verdict::Undecidable
        }
    }

    /// How a child's entry with the same rest compares with this one.
    fn compare(&self, child: &Self) -> Finding {
        let (Some(own), Some(others)) = (&self.sets, &child.sets) else {
            return Finding::EQUAL;
        };
        let mut all = Finding::EQUAL;
        for (own, other) in own.iter().zip(others) {
            all = all.and(match (own, other) {
                (None, None) => Finding::EQUAL,
                (Some(own), Some(other)) => {
                    subset(own, other, "an entry has more than any entry of the parent")
                }
                _ => Finding::undecidable("a member of an entry stands on one side alone"),
            });
        }
        all
    }
}

/// The canonical form of an entry without the members that are compared as sets.
fn rest(all: &Members<'_>) -> Option<Box<str>> {
    let others = all
        .iter()
        .filter(|(name, _)| !SETS.contains(&name.as_str()));
    let members: Option<Vec<String>> = others.map(|(name, raw)| member(name, raw)).collect();
    let object = format!("{{{}}}", members?.join(","));
    canonical(object.as_bytes()).ok().map(Into::into)
}

fn member(name: &Text<'_>, raw: &RawValue) -> Option<String> {
    let name = serde_json::to_string(name).ok()?;
    Some(format!("{name}:{}", raw.get()))
}
