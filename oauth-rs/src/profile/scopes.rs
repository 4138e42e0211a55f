//! Scopes in a claim.

use std::fmt;

use aims_oauth_wire::names::ScopeSet;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Scopes as servers write them: a string with single spaces between scope tokens (RFC 9068
/// §2.2.3), or an array of scope tokens.
#[derive(Debug)]
pub(crate) struct Scopes(pub(crate) ScopeSet);

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrArray;

        impl<'de> Visitor<'de> for TextOrArray {
            type Value = ScopeSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an array of scope tokens")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ScopeSet, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<ScopeSet, A::Error> {
                let mut set = ScopeSet::new();
                while let Some(token) = array.next_element::<aims_jose::json::Text<'de>>()? {
                    let scope = token.parse().map_err(de::Error::custom)?;
                    set.insert(scope).map_err(de::Error::custom)?;
                }
                Ok(set)
            }
        }

        deserializer.deserialize_any(TextOrArray).map(Self)
    }
}
