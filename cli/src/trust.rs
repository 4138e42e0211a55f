//! Reads trusted keys.

use std::path::PathBuf;

use aims_jose::provider::AWS_LC;
use aims_wimse_cred::{Bundle, TrustStore};
use aims_wimse_id::{Origin, Scheme};
use serde_json::Value;

use crate::args::Trusted;
use crate::failure::Failure;
use crate::input::Inputs;
use crate::{hint, key};

/// Reads the origins and their keys, pair by pair.
pub(crate) fn read(trusted: &Trusted, inputs: &mut Inputs) -> Result<TrustStore, Failure> {
    pairs(&trusted.origins, &trusted.keys, inputs)
}

/// Reads pairs of two lists.
pub(crate) fn pairs(
    origins: &[Origin],
    keys: &[PathBuf],
    inputs: &mut Inputs,
) -> Result<TrustStore, Failure> {
    if origins.len() != keys.len() {
        return Err(Failure::Usage("each `--origin` needs its own `--keys`"));
    }
    let mut rest = origins;
    while let Some((first, others)) = rest.split_first() {
        if others.contains(first) {
            return Err(Failure::Usage("an `--origin` is given twice"));
        }
        rest = others;
    }
    let mut bundles = Vec::with_capacity(origins.len());
    for (origin, path) in origins.iter().zip(keys) {
        let document = key::document(path, inputs)?;
        let bundle = if origin.scheme() == Scheme::Spiffe && !is_spiffe_bundle(&document) {
            Bundle::jwk_set(origin, &document, AWS_LC)
        } else {
            Bundle::parse(origin, &document, AWS_LC)
        };
        let bundle =
            bundle.map_err(|error| hint::key_set(Failure::from(error), &document).of(path))?;
        bundles.push(bundle);
    }
    Ok(TrustStore::of(bundles))
}

/// Returns whether the document is marked as a SPIFFE bundle: by a `spiffe_sequence`, or a key for
/// WIT-SVIDs.
fn is_spiffe_bundle(document: &[u8]) -> bool {
    let Ok(document) = aims_jose::json::from_document::<Value>(document) else {
        return false;
    };
    let keys = document.get("keys").and_then(Value::as_array);
    let of_wit = |key: &Value| key.get("use").is_some_and(|used| used == "wit-svid");
    document
        .get("spiffe_sequence")
        .is_some_and(|it| !it.is_null())
        || keys.is_some_and(|keys| keys.iter().any(of_wit))
}
