//! The claim `aud` (RFC 7519 §4.1.3).

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::json::Text;

/// Maximum number of values of `aud`.
pub const MAX_AUDIENCES: usize = 64;

/// One or more audiences, written as a string or an array of strings. Values are compared byte for
/// byte (RFC 7519 §4.1.3).
///
/// ```
/// use aims_jose::jwt::Audience;
///
/// let audience: Audience<'_> = serde_json::from_str(r#"["https://tool.example"]"#)?;
/// assert!(audience.contains("https://tool.example"));
/// assert_eq!(audience.sole(), Some("https://tool.example"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Audience<'a>(Form<'a>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Form<'a> {
    Array(Vec<Text<'a>>),
    String(Text<'a>),
}

impl Audience<'_> {
    /// Returns whether the value is one of the audiences.
    #[must_use]
    pub fn contains(&self, value: &str) -> bool {
        self.iter().any(|audience| audience == value)
    }

    /// Returns the audience, if there is exactly one.
    #[must_use]
    pub fn sole(&self) -> Option<&str> {
        let mut values = self.iter();
        let first = values.next();
        if values.next().is_none() { first } else { None }
    }

    /// Returns all audiences in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match &self.0 {
            Form::String(one) => (Some(one), [].as_slice()),
            Form::Array(many) => (None, many.as_slice()),
        };
        one.into_iter().chain(many).map(Text::as_str)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Form<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of strings")
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Form<'de>, E> {
        Ok(Form::String(Text::from(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Form<'de>, E> {
        Ok(Form::String(Text::from(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Form<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = values.next_element::<Text<'de>>()? {
            if all.len() == MAX_AUDIENCES {
                return Err(de::Error::custom("too many audiences"));
            }
            all.push(value);
        }
        if all.is_empty() {
            return Err(de::Error::custom("no audience"));
        }
        Ok(Form::Array(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::from_object;

    #[derive(Deserialize)]
    struct Claims<'a> {
        #[serde(borrow)]
        aud: Audience<'a>,
    }

    #[test]
    fn one_or_several() {
        let one: Claims<'_> = from_object(br#"{"aud":"https://a.example"}"#).unwrap();
        assert_eq!(one.aud.sole(), Some("https://a.example"));
        let array: Claims<'_> = from_object(br#"{"aud":["a"]}"#).unwrap();
        assert_eq!(array.aud.sole(), Some("a"));
        let two: Claims<'_> = from_object(br#"{"aud":["a","\u0062"]}"#).unwrap();
        assert!(two.aud.contains("b") && two.aud.sole().is_none());
    }

    /// The comparison does not change case or normalize.
    #[test]
    fn values_are_compared_as_they_are() {
        let claims: Claims<'_> = from_object(br#"{"aud":"https://as.example"}"#).unwrap();
        for other in [
            "https://as.example/",
            "https://AS.example",
            "https://as.example:443",
            "",
        ] {
            assert!(!claims.aud.contains(other), "{other}");
        }
    }

    /// Values that are not an audience.
    #[test]
    fn refuses_what_is_no_audience() {
        let many = format!("{{\"aud\":[{}\"a\"]}}", "\"b\",".repeat(10_000));
        for bad in [
            r#"{"aud":[]}"#,
            r#"{"aud":null}"#,
            r#"{"aud":1}"#,
            r#"{"aud":["a",1]}"#,
            r#"{"aud":[null]}"#,
            r#"{"aud":[["a"]]}"#,
            r#"{"aud":{}}"#,
            r#"{}"#,
            &many,
        ] {
            assert!(from_object::<Claims<'_>>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
