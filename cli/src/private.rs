//! Whether a private key is in a document.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What only private keys have: EC, OKP and RSA (RFC 7518 §6, RFC 8037 §2), and AKP
/// (draft-ietf-cose-dilithium).
const MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// Whether an object in this JSON, however deep, has a `kty` and a private member. No value is
/// kept.
pub(crate) fn is_in(json: &[u8]) -> bool {
    serde_json::from_slice(json).is_ok_and(|Found(found)| found)
}

struct Found(bool);

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
        let (mut found, mut is_key, mut is_private) = (false, false, false);
        while let Some(name) = map.next_key::<String>()? {
            is_key |= name == "kty";
            is_private |= MEMBERS.contains(&name.as_str());
            found |= map.next_value::<Found>()?.0;
        }
        Ok(Found(found || (is_key && is_private)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        let mut found = false;
        while let Some(Found(one)) = seq.next_element()? {
            found |= one;
        }
        Ok(Found(found))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found(false))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found(false))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found(false))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found(false))
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found(false))
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-019: by any private member, at any depth, in any order, also where a member stands twice.
    #[test]
    fn private_keys_are_found_wherever_they_are() {
        for member in MEMBERS {
            let escape = |byte| format!("\\u00{byte:02x}");
            let escaped: String = member.bytes().map(escape).collect();
            for key in [
                format!(r#"{{"kty":"AKP","{member}":"x"}}"#),
                format!(r#"{{"{member}":null,"kty":"AKP"}}"#),
                format!(r#"{{"kty":"AKP","{member}":{{}},"{member}":""}}"#),
                format!(r#"{{"kty":"AKP","{escaped}":""}}"#),
            ] {
                for document in [
                    key.clone(),
                    format!("\n {key} \n"),
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
        ] {
            assert!(!is_in(document.as_bytes()), "{document}");
        }
    }
}
