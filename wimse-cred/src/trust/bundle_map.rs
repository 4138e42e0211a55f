//! Bundles of several origins in one document.

use std::collections::HashSet;
use std::fmt;

use aims_jose::json::{self, Text};
use aims_jose::provider::Provider;
use aims_wimse_id::{Origin, Scheme, TrustDomain};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Bundle;
use crate::Error;

/// A SPIFFE bundle map: an object whose member `trust_domains` holds bundles by the names of their
/// trust domains (SPIFFE Trust Domain and Bundle §5).
///
/// A map lists all trusted domains: a bundle that is missing in a newer map is withdrawn. Refresh
/// hints of single bundles do not apply to the map (§5.1.1).
///
/// ```
/// use aims_jose::provider::AWS_LC;
/// use aims_wimse_cred::{BundleMap, TrustStore};
///
/// let map = BundleMap::parse(br#"{"trust_domains":{"example.org":{"keys":[]}}}"#, AWS_LC)?;
/// let store = TrustStore::new();
/// for bundle in map.bundles() {
///     store.set(bundle.clone())?;
/// }
/// assert!(map.broken().is_empty());
/// # Ok::<(), aims_wimse_cred::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BundleMap {
    bundles: Vec<Bundle>,
    broken: Vec<BrokenBundle>,
}

/// A member of a map that is not a bundle. The other members are unaffected, and an earlier bundle
/// of this trust domain stays trusted until its own limit.
#[derive(Clone, Debug)]
pub struct BrokenBundle {
    trust_domain: String,
    error: Error,
}

impl BundleMap {
    /// Maximum length of a map, in bytes.
    pub const MAX_LEN: usize = 4 * 1024 * 1024;
    /// Maximum number of trust domains in a map.
    pub const MAX_TRUST_DOMAINS: usize = 1_000;

    /// Parses a map, which may have the [frame](json::document) of a document.
    ///
    /// The provider prepares the keys, as for [`Bundle::parse`].
    ///
    /// # Errors
    ///
    /// `bundle.syntax` if the document is not a map, is too long, or has too many trust domains;
    /// `bundle.repeated` if the name of a trust domain, or another member of the map, occurs twice
    /// (§6.3). Defects of a single bundle are in [`broken`](Self::broken).
    pub fn parse(document: &[u8], provider: &'static dyn Provider) -> Result<Self, Error> {
        if document.len() > Self::MAX_LEN {
            return Err(too_large());
        }
        let document =
            json::document(document).map_err(|error| Error::BundleSyntax(Some(error)))?;
        let document = std::str::from_utf8(document).or(Err(Error::BundleSyntax(None)))?;
        let map = members(document)?;
        let domains = map.into_iter().find(|(name, _)| &**name == "trust_domains");
        let (_, domains) = domains.ok_or(Error::BundleSyntax(None))?;
        let domains = members(domains.get())?;
        let (mut bundles, mut broken) = (Vec::new(), Vec::new());
        for (name, bundle) in domains {
            match read(&name, bundle, provider) {
                Ok(bundle) => bundles.push(bundle),
                Err(error) => broken.push(BrokenBundle {
                    trust_domain: name.into_owned(),
                    error,
                }),
            }
        }
        Ok(Self { bundles, broken })
    }

    /// Returns the bundles, each of one origin, in the order of the document.
    #[must_use]
    pub fn bundles(&self) -> &[Bundle] {
        &self.bundles
    }

    /// Returns the members that are not bundles, in the order of the document.
    #[must_use]
    pub fn broken(&self) -> &[BrokenBundle] {
        &self.broken
    }
}

impl BrokenBundle {
    /// Returns the name of the member, as received.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Returns the defect: `bundle.kid`, or `bundle.syntax`, which also covers an invalid name.
    #[must_use]
    pub const fn error(&self) -> &Error {
        &self.error
    }
}

fn read(name: &str, bundle: &RawValue, provider: &'static dyn Provider) -> Result<Bundle, Error> {
    let origin = name
        .parse()
        .and_then(|name: TrustDomain| Origin::new(Scheme::Spiffe, &name))
        .or(Err(Error::BundleSyntax(None)))?;
    Bundle::parse(&origin, bundle.get().as_bytes(), provider)
}

type Member<'a> = (Text<'a>, &'a RawValue);

/// Returns the members of an object, each once. Their values are not parsed here.
fn members(json: &str) -> Result<Vec<Member<'_>>, Error> {
    let Members(members) = serde_json::from_str(json).or(Err(Error::BundleSyntax(None)))?;
    if members.len() > BundleMap::MAX_TRUST_DOMAINS {
        return Err(too_large());
    }
    let mut seen = HashSet::new();
    if members.iter().all(|(name, _)| seen.insert(name.as_str())) {
        Ok(members)
    } else {
        Err(Error::BundleRepeated)
    }
}

const fn too_large() -> Error {
    Error::BundleSyntax(Some(aims_jose::Error::JsonTooLarge))
}

struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<Member<'de>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                // Stop at one member more than the limit.
                while members.len() <= BundleMap::MAX_TRUST_DOMAINS
                    && let Some(member) = map.next_entry()?
                {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Self)
    }
}
