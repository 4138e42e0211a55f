//! `aims delegate`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::jws::Unverified;
use aims_jose::provider::AWS_LC;
use aims_jose::{Chain, base64url};
use aims_oauth_wire::Error;
use aims_oauth_wire::delegate::{Comparison, Crossing, Dimension, Kind, Rights, ScopeTable};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::{Delegate, Explain};
use crate::failure::Failure;
use crate::input::{self, Inputs};
use crate::text::Members;
use crate::token::{decoded, json};
use crate::{hint, key};

/// The comparison of two tokens.
#[derive(Serialize)]
struct Answer {
    verdict: &'static str,
    signatures: &'static str,
    dimensions: BTreeMap<&'static str, &'static str>,
}

/// A token that is compared.
struct Compared {
    kind: Kind,
    rights: Rights,
    claims: Members,
}

/// Returns the answer and the exit status: 0 where the child permits no more.
pub(crate) fn run(
    command: &Delegate,
    inputs: &mut Inputs,
) -> Result<(Zeroizing<String>, u8), Failure> {
    let Delegate::Explain(explain) = command;
    let (compared, signatures) = compared(explain, inputs)?;
    let status = u8::from(!compared.verdict().is_no_more());
    let answer = if explain.json {
        json(&Answer {
            verdict: compared.verdict().as_str(),
            signatures,
            dimensions: Dimension::ALL
                .iter()
                .map(|it| (it.as_str(), compared.of(*it).as_str()))
                .collect(),
        })?
    } else {
        lines(&compared, signatures)
    };
    Ok((answer, status))
}

fn compared(explain: &Explain, inputs: &mut Inputs) -> Result<(Comparison, &'static str), Failure> {
    let keys = explain
        .keys
        .as_deref()
        .map(|path| keys(path, inputs))
        .transpose()?;
    let parent = read(&explain.parent, keys.as_ref(), inputs)?;
    let child = read(&explain.child, keys.as_ref(), inputs)?;
    let signatures = if keys.is_some() {
        "verified"
    } else {
        "not verified"
    };
    let compared = match (&parent, &child) {
        (Some(parent), Some(child)) => match crossing(explain, parent, child)? {
            Some(crossing) => crossing.translate(&parent.rights).compare(&child.rights),
            None => parent.rights.compare(&child.rights),
        },
        _ => Comparison::incomparable(
            "the `typ` of a header is neither \"at+jwt\" nor \"txntoken+jwt\"",
        ),
    };
    Ok((compared, signatures))
}

/// Returns the translation that the command line names.
fn crossing(
    explain: &Explain,
    parent: &Compared,
    child: &Compared,
) -> Result<Option<Crossing>, Failure> {
    if explain.scopes.is_empty() && explain.audiences.is_empty() {
        return Ok(None);
    }
    let text = |token: &Compared, name| -> Option<String> {
        let value = token.claims.value(name)?;
        serde_json::from_str(value).ok()
    };
    let crossing = Crossing::new(child.kind, text(child, "iss").as_deref());
    let ends = (parent.kind, child.kind) == (Kind::TransactionToken, Kind::AccessToken);
    let crossing = translated(crossing, &explain.scopes, ends);
    let mut crossing = crossing.map_err(|error| {
        Failure::Refused {
            code: error.code(),
            detail: Chain(&error).to_string(),
        }
        .declared()
    })?;
    for (from, to) in &explain.audiences {
        crossing = crossing.audience(from.clone(), to.clone());
    }
    let has_begun = parent.claims.value("txn").is_some();
    Ok(Some(match (child.kind, text(child, "txn")) {
        // A transaction begins with the exchange.
        (Kind::TransactionToken, Some(txn)) if !has_begun => crossing.claim("txn", txn),
        (_, Some(_)) => crossing.carry("txn"),
        (_, None) => crossing,
    }))
}

/// Adds the rows of scopes. Where a transaction ends, they are read from the right to the left.
fn translated(
    crossing: Crossing,
    rows: &[(Box<str>, Box<str>)],
    ends: bool,
) -> Result<Crossing, Error> {
    let rows: BTreeSet<(&str, &str)> = rows.iter().map(|(a, b)| (&**a, &**b)).collect();
    if !ends {
        return Ok(crossing.scopes_inward(ScopeTable::new(rows)?));
    }
    let outer: BTreeSet<&str> = rows.iter().map(|(outer, _)| *outer).collect();
    if outer.len() < rows.len() {
        // An outer scope needs all its inner ones.
        return Ok(crossing.scopes_outward(ScopeTable::new(rows)?));
    }
    // Each outer scope needs one inner scope, and several may need the same one.
    let rows = rows.into_iter().map(|(outer, inner)| (inner, outer));
    Ok(crossing.scopes_inward(ScopeTable::new(rows)?))
}

fn keys(path: &Path, inputs: &mut Inputs) -> Result<JwkSet, Failure> {
    let document = key::document(path, inputs).map_err(Failure::declared)?;
    JwkSet::parse(&document, &SetRules::oauth(), AWS_LC).map_err(|error| {
        hint::key_set(Failure::from(error), &document)
            .of(path)
            .declared()
    })
}

/// Reads the rights of a token. `None` where it is of no kind that is compared. A file without a
/// JWT and a bad signature are mistakes, and no verdict.
fn read(
    path: &Path,
    keys: Option<&JwkSet>,
    inputs: &mut Inputs,
) -> Result<Option<Compared>, Failure> {
    let text = inputs.text(path)?;
    rights(&text, keys).map_err(|error| Failure::from(error).of(path).declared())
}

fn rights(text: &str, keys: Option<&JwkSet>) -> Result<Option<Compared>, aims_jose::Error> {
    let (header, claims) = decoded(text)?;
    is_signed(text, &header)?;
    let typ: Option<String> = header
        .value("typ")
        .and_then(|json| serde_json::from_str(json).ok());
    if let Some(keys) = keys {
        let limit = usize::try_from(input::MAX_LEN).unwrap_or(usize::MAX);
        let token = Unverified::parse_ignoring_key_references(text, limit)?;
        let header = token.header();
        let key = keys.select(header.kid(), header.alg())?;
        token.verify(key)?;
    }
    let payload = text.split('.').nth(1).unwrap_or_default();
    let payload = base64url::decode(payload)?;
    let kind = typ.as_deref().and_then(Kind::of_typ);
    let Some(kind) = kind else { return Ok(None) };
    let rights = Rights::read(kind, &payload)?;
    Ok(Some(Compared {
        kind,
        rights,
        claims,
    }))
}

/// Checks that the text is one JWS in compact form to its end, with any algorithm.
fn is_signed(text: &str, header: &Members) -> Result<(), aims_jose::Error> {
    let (_, signature) = text.rsplit_once('.').unwrap_or_default();
    base64url::decode(signature)?;
    let algorithm: Option<String> = header
        .value("alg")
        .and_then(|json| serde_json::from_str(json).ok());
    algorithm.map(drop).ok_or(aims_jose::Error::Header)
}

/// For people.
fn lines(compared: &Comparison, signatures: &str) -> Zeroizing<String> {
    let mut lines = format!(
        "signatures {signatures}\n\nverdict       {}\n\n",
        compared.verdict()
    );
    for dimension in Dimension::ALL {
        let verdict = compared.of(dimension).as_str();
        // Writing to a string does not fail.
        let _ = match compared.reason(dimension) {
            Some(reason) => writeln!(lines, "{:<13} {verdict}: {reason}", dimension.as_str()),
            None => writeln!(lines, "{:<13} {verdict}", dimension.as_str()),
        };
    }
    Zeroizing::new(lines)
}
