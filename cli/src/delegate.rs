//! `aims delegate`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use aims_jose::base64url;
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::jws::Unverified;
use aims_jose::provider::AWS_LC;
use aims_oauth_wire::delegate::{Comparison, Dimension, Kind, Rights};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::{Delegate, Explain};
use crate::failure::Failure;
use crate::input::{self, Inputs};
use crate::token::{decoded, json};
use crate::{hint, key};

/// The comparison of two tokens.
#[derive(Serialize)]
struct Answer {
    verdict: &'static str,
    signatures: &'static str,
    dimensions: BTreeMap<&'static str, &'static str>,
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
        (Some(parent), Some(child)) => parent.compare(child),
        _ => Comparison::incomparable(
            "the `typ` of a header is neither \"at+jwt\" nor \"txntoken+jwt\"",
        ),
    };
    Ok((compared, signatures))
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
) -> Result<Option<Rights>, Failure> {
    let text = inputs.text(path)?;
    rights(&text, keys).map_err(|error| Failure::from(error).of(path).declared())
}

fn rights(text: &str, keys: Option<&JwkSet>) -> Result<Option<Rights>, aims_jose::Error> {
    let (header, _) = decoded(text)?;
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
    kind.map(|kind| Rights::read(kind, &payload)).transpose()
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
