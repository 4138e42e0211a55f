//! The body of a token request (RFC 6749 §3.2, `application/x-www-form-urlencoded`).

use zeroize::Zeroizing;

use crate::Error;

/// The most parameters that are read.
const MOST: usize = 32;

/// Parameters in their order. Those without a value are left out: they count as omitted.
pub(crate) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// # Errors
    ///
    /// `token.request` for a bad escape, text that is not UTF-8, a parameter that stands twice
    /// (`resource` may), or too many.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut form = Self(Vec::new());
        for pair in body
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = Zeroizing::new(decode(halves.next().unwrap_or_default())?);
            if name != "resource" && form.0.iter().any(|(known, _)| *known == name) {
                return Err(malformed("a parameter stands twice"));
            }
            if form.0.len() >= MOST {
                return Err(malformed("too many parameters"));
            }
            form.0.push((name, value));
        }
        form.0.retain(|(_, value)| !value.is_empty());
        Ok(form)
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter that may repeat.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

const fn malformed(reason: &'static str) -> Error {
    Error::TokenRequest { reason }
}

fn decode(text: &[u8]) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = (rest.next().and_then(hex), rest.next().and_then(hex));
                let (Some(high), Some(low)) = digits else {
                    return Err(malformed("a broken percent escape"));
                };
                high << 4 | low
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|_would_quote_it| malformed("not UTF-8"))
}

fn hex(byte: &u8) -> Option<u8> {
    char::from(*byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_empty_ones_omitted() {
        let form = Form::parse(b"a=1+2&b=%C3%A9%2B&c=&d&resource=x&resource=y&&").unwrap();
        assert_eq!(form.get("a"), Some("1 2"));
        assert_eq!(form.get("b"), Some("é+"));
        assert_eq!(form.get("c"), None);
        assert_eq!(form.get("d"), None);
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    /// CORE-01: no parameter twice, not even when one of the two is empty.
    #[test]
    fn malformed_bodies_are_refused() {
        let many = "&a".repeat(3).into_bytes();
        let too_many: String = (0..33).map(|n| format!("p{n}=1&")).collect();
        for body in [
            &b"a=1&a=2"[..],
            b"a=1&a=",
            b"%61=1&a=2",
            b"a=%",
            b"a=%4",
            b"a=%4g",
            b"a=%+1",
            b"a=%ff",
            b"a=\xff",
            &many,
            too_many.as_bytes(),
        ] {
            assert_eq!(Form::parse(body).err().unwrap().code(), "token.request");
        }
    }
}
