//! Header fields that a proof must cover: those that carry a token, and those that the tool uses
//! for decisions.

use aims_error::ErrorKind;
use aims_http_sig::{Component, Error};
use http::header::{HeaderMap, HeaderName};

use super::evidence::UnspentProof;
use super::refused::Refused;
use crate::refusal::ErrorResponse;

/// A header field that must be covered if a request has it.
#[derive(Debug)]
pub(super) struct CoveredField {
    pub(super) name: HeaderName,
    /// The field as a component of a signature.
    pub(super) component: Component,
    /// Whether the field carries a token. If so, a WPT covers it by `oth`.
    pub(super) carries_token: bool,
    /// Whether an extractor reads the field.
    is_extracted: bool,
}

impl CoveredField {
    /// Returns the fields that carry tokens and those that extractors read.
    pub(super) fn all(tokens: &[HeaderName], extracted: &[HeaderName]) -> Result<Vec<Self>, Error> {
        let mut names: Vec<&HeaderName> = tokens.iter().chain(extracted).collect();
        names.sort_unstable_by_key(|it| it.as_str());
        names.dedup();
        let field = |name: &HeaderName| {
            Ok(Self {
                component: Component::field(name.as_str())?,
                carries_token: tokens.contains(name),
                is_extracted: extracted.contains(name),
                name: name.clone(),
            })
        };
        names.into_iter().map(field).collect()
    }

    /// Returns a field that carries a token.
    pub(super) fn of_token(name: HeaderName) -> Result<Self, Error> {
        Ok(Self {
            component: Component::field(name.as_str())?,
            carries_token: true,
            is_extracted: false,
            name,
        })
    }

    /// Returns whether the request does not have the field, or has it once and covered. A signature
    /// joins repeated lines into one value, so an intermediary could split a line in two.
    pub(super) fn is_good(&self, headers: &HeaderMap, covers: impl Fn(&Self) -> bool) -> bool {
        let mut values = headers.get_all(&self.name).iter();
        values.next().is_none() || (values.next().is_none() && covers(self))
    }
}

/// Refuses a request that has a field which an extractor reads and no accepted proof covers.
pub(super) fn check_extracted(
    fields: &[CoveredField],
    headers: &HeaderMap,
    proofs: &[UnspentProof],
) -> Result<(), Refused> {
    let covered = |field: &CoveredField| proofs.iter().any(|proof| proof.covers(field));
    let mut extracted = fields.iter().filter(|it| it.is_extracted);
    match extracted.find(|field| !field.is_good(headers, covered)) {
        Some(field) => Err(uncovered(field, headers, proofs)),
        None => Ok(()),
    }
}

fn uncovered(field: &CoveredField, headers: &HeaderMap, proofs: &[UnspentProof]) -> Refused {
    let name = &field.name;
    let lines = headers.get_all(name).iter().count();
    let found = if lines > 1 {
        format!("the field `{name}` stands {lines} times")
    } else if proofs.is_empty() {
        format!("the request has the field `{name}` and no proof of possession")
    } else {
        format!("no accepted proof covers the field `{name}`")
    };
    Refused::new(
        "guard.field_uncovered",
        ErrorKind::Mismatch,
        ErrorResponse::Problem(
            "a header field that decides about the call is not covered by a proof",
        ),
        format!(
            "{found}, and an extractor reads it: expected it once, covered by an HTTP signature; an agent of this project covers it by `AgentBuilder::signed_field`"
        ),
    )
}
