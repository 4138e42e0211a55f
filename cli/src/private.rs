//! Finds private keys in a document.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The members that only private keys have: EC, OKP and RSA (RFC 7518 §6, RFC 8037 §2), and AKP
/// (draft-ietf-cose-dilithium).
const MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// Returns whether an object at any depth of this document has a `kty` and a private member with a
/// value. `null`, `""`, `[]` and `{}` do not count as values. No copy of the document is kept.
pub(crate) fn is_in(document: &[u8]) -> bool {
    let json = aims_jose::json::document(document).unwrap_or(document);
    serde_json::from_slice(json).is_ok_and(|found: Found| found.private_key)
}

/// The relevant content of a JSON value.
#[derive(Clone, Copy)]
struct Found {
    private_key: bool,
    empty: bool,
}

impl Found {
    const EMPTY: Self = Self {
        private_key: false,
        empty: true,
    };
    const VALUE: Self = Self {
        private_key: false,
        empty: false,
    };
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let (mut found, mut is_key, mut is_private, mut empty) = (false, false, false, true);
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value::<Found>()?;
            empty = false;
            is_key |= name == "kty";
            is_private |= MEMBERS.contains(&name.as_str()) && !value.empty;
            found |= value.private_key;
        }
        Ok(Found {
            private_key: found || (is_key && is_private),
            empty,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        let mut found = Found::EMPTY;
        while let Some(one) = seq.next_element::<Found>()? {
            found.private_key |= one.private_key;
            found.empty = false;
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::VALUE)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::VALUE)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::VALUE)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::VALUE)
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(if text.is_empty() {
            Found::EMPTY
        } else {
            Found::VALUE
        })
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A private key is found by any private member with a value, at any depth, in any order, also
    /// in a repeated member.
    #[test]
    fn private_keys_are_found_wherever_they_are() {
        for member in MEMBERS {
            let escape = |byte| format!("\\u00{byte:02x}");
            let escaped: String = member.bytes().map(escape).collect();
            for key in [
                format!(r#"{{"kty":"AKP","{member}":"x"}}"#),
                format!(r#"{{"{member}":[1],"kty":"AKP"}}"#),
                format!(r#"{{"{member}":0,"kty":"AKP"}}"#),
                format!(r#"{{"kty":"AKP","{member}":{{"a":null}},"{member}":""}}"#),
                format!(r#"{{"kty":"AKP","{member}":"","{member}":" "}}"#),
                format!(r#"{{"kty":"AKP","{escaped}":"x"}}"#),
            ] {
                for document in [
                    key.clone(),
                    format!("\n {key} \n"),
                    format!("\u{feff}\n{key}"),
                    format!(r#"{{"keys":[{{"kty":"EC"}},{key}]}}"#),
                    format!(r#"{{"keys":[],"old":{{"x":[[1,-1,0.5,true,null,"s",{key}]]}}}}"#),
                    format!(r#"{{"keys":[{key}],"keys":[]}}"#),
                    format!("[{key}]"),
                ] {
                    assert!(is_in(document.as_bytes()), "{document}");
                }
            }
        }
        for document in [
            "",
            "{}",
            r#"{"kty":"EC","x":"d","y":"priv"}"#,
            r#"{"kty":"oct","k":"x"}"#,
            r#"{"d":"x","keys":[{"kty":"EC","x":""}]}"#,
            r#"{"kty":"EC","of":{"d":"x"}}"#,
            r#"{"kty":"EC","d":"x""#,
            r#"{"kty":"RSA","d":null,"p":"","q":[],"oth":{},"dp": [ ] }"#,
            r#"{"keys":[{"d":null,"kty":"RSA"},{"kty":"EC","d":""}]}"#,
        ] {
            assert!(!is_in(document.as_bytes()), "{document}");
        }
    }
}
