//! Deserializes claims. Its error names the malformed claim.

use std::cell::Cell;
use std::fmt;
use std::iter;

use serde::de::value::MapDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

use crate::Error;
use crate::json::{self, Text};

/// Deserializes the claims of a token from its payload.
///
/// If a claim is `null`, or of another type than `T` expects, the error is [`Error::Claim`] with
/// its name. That distinguishes it from malformed JSON.
///
/// Declare every claim of `T` as an `Option` that [`present`](super::present) reads, and get
/// required ones with [`required`](super::required). If `T` cannot be deserialized from an object
/// without members, or has a flattened member, a wrong type is [`Error::Json`].
///
/// ```
/// use aims_jose::jwt::{self, Audience, NumericDate, present, required};
///
/// #[derive(serde::Deserialize)]
/// struct Claims<'a> {
///     #[serde(borrow, default, deserialize_with = "present")]
///     aud: Option<Audience<'a>>,
///     #[serde(default, deserialize_with = "present")]
///     exp: Option<NumericDate>,
/// }
///
/// let claims: Claims<'_> = jwt::claims(br#"{"aud":"a","exp":1}"#)?;
/// assert!(required(claims.aud, "aud")?.contains("a"));
///
/// let refused = |payload| jwt::claims::<Claims<'_>>(payload).err().map(|error| error.to_string());
/// let text = "the claim `exp` is missing or malformed";
/// assert_eq!(refused(br#"{"aud":"a","exp":null}"#).as_deref(), Some(text));
/// assert_eq!(refused(br#"{"aud":"a","exp":"1"}"#).as_deref(), Some(text));
/// # Ok::<(), aims_jose::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`json::check_object`], and [`Error::Claim`].
pub fn claims<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Error> {
    let text = json::object(payload)?;
    serde_json::from_str(text).map_err(|_may_quote_a_value| malformed_claim::<T>(text))
}

/// Finds the claim for which `T` cannot be deserialized, by reading each member alone.
fn malformed_claim<'a, T: Deserialize<'a>>(text: &'a str) -> Error {
    let Ok(Members(members)) = serde_json::from_str(text) else {
        return Error::Json;
    };
    let alone = |member: Option<&(Text<'a>, &'a RawValue)>| {
        let name = Cell::new(None);
        let one = One {
            member,
            name: &name,
        };
        T::deserialize(one)
            .err()
            .map(|_may_quote_a_value| name.get())
    };
    if alone(None).is_some() {
        return Error::Json;
    }
    match members.iter().find_map(|member| alone(Some(member))) {
        Some(Some(claim)) => Error::Claim { claim },
        _ => Error::Json,
    }
}

/// An object with one member or none. It records the name that `T` has for that member.
struct One<'a, 'm> {
    member: Option<&'m (Text<'a>, &'a RawValue)>,
    name: &'m Cell<Option<&'static str>>,
}

impl<'de> Deserializer<'de> for One<'de, '_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let members = self.member.map(|(name, value)| (name.as_str(), *value));
        visitor.visit_map(MapDeserializer::new(members.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let named = |(name, _): &(Text<'de>, &'de RawValue)| {
            fields
                .iter()
                .find(|field| **field == name.as_str())
                .copied()
        };
        self.name.set(self.member.and_then(named));
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Text<'de>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                iter::from_fn(|| map.next_entry().transpose()).collect()
            }
        }

        deserializer.deserialize_map(Object).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::jwt::{Audience, NumericDate, present};

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Claims<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        sub: Option<Text<'a>>,
        #[serde(borrow, default, deserialize_with = "present")]
        aud: Option<Audience<'a>>,
        #[serde(default, deserialize_with = "present")]
        exp: Option<NumericDate>,
        #[serde(borrow, default, deserialize_with = "present")]
        cnf: Option<Confirmation<'a>>,
        #[serde(default, deserialize_with = "present", rename = "at_use")]
        used: Option<bool>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Confirmation<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        jwk: Option<&'a RawValue>,
        #[serde(default, deserialize_with = "present")]
        jkt: Option<String>,
    }

    fn outcome(payload: &str) -> String {
        match claims::<Claims<'_>>(payload.as_bytes()) {
            Ok(_) => "ok".to_owned(),
            Err(Error::Claim { claim }) => claim.to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_named() {
        for (payload, expected) in [
            (r#"{}"#, "ok"),
            (" \r\n{\t\"sub\" :\n\"a\" , \"x\":null}\n", "ok"),
            (
                r#"{"sub":"\u0061","aud":["a"],"exp":1.5,"cnf":{"jwk":{}},"at_use":true}"#,
                "ok",
            ),
            (r#"{"sub":null}"#, "sub"),
            (r#"{"sub":1}"#, "sub"),
            (r#"{"\u0073ub":1}"#, "sub"),
            (r#"{"sub":"a","aud":null,"exp":1}"#, "aud"),
            (r#"{"sub":"a","aud":[]}"#, "aud"),
            (r#"{"aud":["a",1]}"#, "aud"),
            (r#"{"exp":"1"}"#, "exp"),
            (r#"{"exp":-1}"#, "exp"),
            (r#"{"exp":null,"x":{"y":[1,2]}}"#, "exp"),
            (r#"{"x":1,"exp":{},"sub":"a"}"#, "exp"),
            (r#"{"cnf":null}"#, "cnf"),
            (r#"{"cnf":"a"}"#, "cnf"),
            (r#"{"cnf":{"jwk":{},"jkt":1}}"#, "cnf"),
            (r#"{"at_use":"true"}"#, "at_use"),
            // The first malformed claim, in the order of the token.
            (r#"{"aud":1,"sub":1}"#, "aud"),
        ] {
            assert_eq!(outcome(payload), expected, "{payload}");
        }
    }

    #[test]
    fn what_is_no_object_of_claims_stays_malformed() {
        for (payload, expected) in [
            ("", "jws.not_an_object"),
            (r#"["a"]"#, "jws.not_an_object"),
            ("\u{feff}{}", "jws.not_an_object"),
            (r#"{"sub":"a","sub":1}"#, "jws.duplicate_member"),
            (r#"{"sub":1"#, "jws.json"),
        ] {
            assert_eq!(outcome(payload), expected, "{payload}");
        }
        // Types whose members cannot be read one by one.
        let code = |error: Error| error.code();
        let map = claims::<HashMap<String, u8>>(br#"{"a":1,"b":"x"}"#);
        assert_eq!(map.map_err(code), Err("jws.json"));
    }

    proptest! {
        /// It refuses exactly the texts that the plain parser refuses.
        #[test]
        fn agrees_with_the_plain_reader(text in r#"\{ ?("(sub|aud|exp|cnf|x)": ?("a"|\["a"\]|\[\]|1|-1|null|\{\}|\{"jwk":1\}),?){0,3}\}"#) {
            let plain = json::from_object::<Claims<'_>>(text.as_bytes());
            let named = claims::<Claims<'_>>(text.as_bytes());
            match (&plain, &named) {
                (Ok(_), Ok(_)) | (Err(Error::Json), Err(Error::Claim { .. })) => {}
                (Err(plain), Err(named)) => prop_assert_eq!(plain.code(), named.code()),
                _ => prop_assert!(false, "{:?} {:?}", plain, named),
            }
        }
    }
}
