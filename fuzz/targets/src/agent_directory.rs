//! The directory of an agent's keys.

use std::collections::BTreeSet;

use aims_http_sig::Error;
use aims_http_sig::profile::web_bot_auth::{Directory, DirectoryRules};
use aims_jose::jwk::Jwk;
use aims_jose::provider::{AWS_LC, Provider, RUSTCRYPTO};
use serde_json::Value;

use crate::known::{NOW, at};
use crate::{Outcome, refused};

/// Parses a document. It is accepted if it has a key at the well-known path. It is also parsed as a
/// key set at another URL.
pub fn agent_directory(data: &[u8]) -> Outcome {
    let usable = usable(data);
    for rules in [
        DirectoryRules::key_set(),
        DirectoryRules::well_known().accept_test_keys(),
        DirectoryRules::key_set().accept_test_keys(),
    ] {
        if let Err(error) = check(data, rules, &usable) {
            refused(error.code(), &[Error::CODES, aims_jose::Error::CODES]);
        }
    }
    match check(data, DirectoryRules::well_known(), &usable) {
        Ok(directory) if directory.keys().is_empty() => Outcome::Refused("no key"),
        Ok(_) => Outcome::Accepted,
        Err(error) => refused(error.code(), &[Error::CODES, aims_jose::Error::CODES]),
    }
}

type Read = Result<Directory, Error>;

fn check(data: &[u8], rules: DirectoryRules, usable: &BTreeSet<String>) -> Read {
    let read = |json: &[u8], provider: &'static dyn Provider| -> Read {
        Directory::parse(json, &rules, provider, at(NOW))
    };
    let directory = match (read(data, AWS_LC), read(data, RUSTCRYPTO)) {
        (Ok(one), Ok(other)) => {
            assert_eq!(names(&one), names(&other), "the providers differ");
            one
        }
        (Err(error), Err(other)) => {
            assert_eq!(error.code(), other.code(), "the providers differ");
            return Err(error);
        }
        _ => unreachable!("the providers differ"),
    };
    for key in directory.keys() {
        let found = directory.find(key.thumbprint());
        assert!(found.is_some_and(|found| found.thumbprint() == key.thumbprint()));
        let name = key.thumbprint().to_string();
        assert!(usable.contains(&name), "{name} is not of now");
    }
    // The excerpt of a document has the same keys, also after repeated excerpts.
    let kept = directory.excerpt(data);
    let again = read(kept.as_bytes(), AWS_LC);
    let again = again.map(|again| (names(&again), again.excerpt(kept.as_bytes())));
    assert_eq!(again.ok(), Some((names(&directory), kept)));
    // The keys can be published, each once.
    let mut published = BTreeSet::new();
    let keys = directory.keys().iter();
    let keys = keys.filter(|key| published.insert(key.thumbprint().to_string()));
    let document = Directory::to_publish(keys);
    let again = read(document.as_bytes(), AWS_LC).map(|again| BTreeSet::from_iter(names(&again)));
    assert_eq!(again.ok(), Some(published));
    Ok(directory)
}

fn names(directory: &Directory) -> Vec<String> {
    let keys = directory.keys().iter();
    keys.map(|key| key.thumbprint().to_string()).collect()
}

/// Returns the thumbprints of the currently valid entries, computed in another way.
fn usable(data: &[u8]) -> BTreeSet<String> {
    let document: Value = serde_json::from_slice(data).unwrap_or_default();
    let entries = document.get("keys").and_then(Value::as_array);
    let of_now = |entry: &&Value| {
        let begun = entry
            .get("nbf")
            .is_none_or(|nbf| nbf.as_u64().is_some_and(|nbf| nbf <= NOW));
        let over = entry
            .get("exp")
            .is_some_and(|exp| exp.as_u64().is_none_or(|exp| exp <= NOW));
        begun && !over
    };
    let entries = entries.into_iter().flatten().filter(of_now);
    let keys = entries.filter_map(|entry| Jwk::parse(entry.to_string().as_bytes()).ok());
    keys.map(|key| key.thumbprint().to_string()).collect()
}
