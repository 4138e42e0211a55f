//! Computes a digest of one tool call that agent, authorization server and tool agree on.
//!
//! A user approves one call, and a transaction token is for one call. Both name it by this digest,
//! so a change of the arguments is detected.

mod tool_call;

use core::fmt;
use core::str::FromStr;

use aims_jose::digest::sha256;
use aims_jose::json::{self, canonical};
use aims_jose::{Error, base64url};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

pub use self::tool_call::ToolCall;

/// The SHA-256 of the canonical form (RFC 8785) of `{"tool": …, "arguments": …}`.
///
/// As text it has 43 characters of base64url.
///
/// ```
/// use aims_oauth_wire::call::CallDigest;
///
/// let one = CallDigest::of("transfer", Some(br#"{"to": "bob", "amount": 1.0}"#))?;
/// let same = CallDigest::of("transfer", Some(br#"{"amount":1,"to":"bob"}"#))?;
/// assert_eq!(one, same);
/// assert_ne!(one, CallDigest::of("transfer", Some(br#"{"amount":2,"to":"bob"}"#))?);
/// // A call without arguments and one with an empty object are the same call.
/// assert_eq!(CallDigest::of("list", None)?, CallDigest::of("list", Some(b"{}"))?);
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct CallDigest([u8; 32]);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call<'a> {
    tool: String,
    #[serde(borrow)]
    arguments: &'a RawValue,
}

impl CallDigest {
    /// Computes the digest of a call of this tool with these arguments, a JSON object.
    ///
    /// Missing arguments count as `{}`.
    ///
    /// # Errors
    ///
    /// Those of [`canonical`]: the arguments are not a JSON object, a member occurs twice, or a
    /// number does not fit a double (`json.number`).
    pub fn of(tool: &str, arguments: Option<&[u8]>) -> Result<Self, Error> {
        let arguments = canonical(arguments.unwrap_or(b"{}"))?;
        let tool = serde_json::to_string(tool).or(Err(Error::Serialize))?;
        // Both members are canonical and in canonical order.
        let call = format!("{{\"arguments\":{arguments},\"tool\":{tool}}}");
        Ok(Self(sha256(call.as_bytes())))
    }

    /// Computes the digest of a call that is one JSON object with exactly the members `tool` (a
    /// string) and `arguments` (an object).
    ///
    /// # Errors
    ///
    /// Those of [`of`](Self::of), and `jws.json` for other members.
    pub fn of_json(call: &[u8]) -> Result<Self, Error> {
        let call: Call<'_> = json::from_object(call)?;
        Self::of(&call.tool, Some(call.arguments.get().as_bytes()))
    }

    /// Returns a short code of the digest, for a person who compares what two screens show: nine
    /// characters such as `K7QW-42MZ`.
    ///
    /// It is the `binding_message` of a request for approval (OpenID CIBA Core 1.0 §7.1). It has
    /// 40 bits, so it tells requests apart and proves nothing: tools compare the whole digest.
    #[must_use]
    pub fn short_code(&self) -> String {
        // Base32 without letters that look like digits.
        const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let first = self.0.iter().take(5);
        let bits = first.fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let mut code = String::with_capacity(9);
        for place in 0..8_u32 {
            if place == 4 {
                code.push('-');
            }
            let index = (bits >> (35 - 5 * place)) & 31;
            let symbol = usize::try_from(index).ok().and_then(|it| SYMBOLS.get(it));
            code.push(symbol.map_or('0', |it| char::from(*it)));
        }
        code
    }

    /// Returns the 32 bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for CallDigest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = base64url::decode(text)?;
        bytes.try_into().map(Self).or(Err(Error::Base64))
    }
}

impl fmt::Display for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallDigest({self})")
    }
}

impl Serialize for CallDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tool: &str, arguments: &str) -> Result<String, &'static str> {
        let digest = CallDigest::of(tool, Some(arguments.as_bytes()));
        digest.map(|it| it.to_string()).map_err(|it| it.code())
    }

    /// The expected values were computed by Python's `hashlib` over the canonical text.
    #[test]
    fn vectors() {
        let all = include_str!("../../testdata/call-digest.json");
        let all: Vec<serde_json::Value> = serde_json::from_str(all).unwrap();
        assert!(all.len() > 5);
        for vector in all {
            let tool = vector["tool"].as_str().unwrap();
            let arguments = vector["arguments"].as_str().map(str::as_bytes);
            let found = CallDigest::of(tool, arguments).map_err(|it| it.code());
            match vector["digest"].as_str() {
                Some(digest) => {
                    assert_eq!(found, Ok(digest.parse().unwrap()), "{vector}");
                }
                None => assert_eq!(found.unwrap_err(), vector["refused"], "{vector}"),
            }
        }
    }

    #[test]
    fn every_change_of_a_call_changes_its_digest() {
        let good = of("t", r#"{"a":[1,2],"b":null}"#).unwrap();
        for (tool, arguments) in [
            ("T", r#"{"a":[1,2],"b":null}"#),
            ("t", r#"{"a":[2,1],"b":null}"#),
            ("t", r#"{"a":[1,2]}"#),
            ("t", r#"{"a":[1,2],"b":false}"#),
            ("t", r#"{"a":[1,"2"],"b":null}"#),
            ("t", r#"{"a":[1,2],"b":null,"c":0}"#),
            ("t", "{}"),
        ] {
            assert_ne!(of(tool, arguments).unwrap(), good, "{tool} {arguments}");
        }
        // A tool name cannot inject arguments.
        let tricky = r#"t","x":"1"#;
        assert_ne!(of(tricky, "{}").unwrap(), of("t", "{}").unwrap());
    }

    #[test]
    fn a_written_call_has_two_members() {
        let code = |json: &str| CallDigest::of_json(json.as_bytes()).map_err(|it| it.code());
        let good = code(r#"{"tool":"t","arguments":{"a":1}}"#);
        assert_eq!(good, Ok(CallDigest::of("t", Some(br#"{"a":1}"#)).unwrap()));
        for json in [
            "{}",
            r#"{"tool":"t"}"#,
            r#"{"arguments":{}}"#,
            r#"{"tool":1,"arguments":{}}"#,
            r#"{"tool":"t","arguments":{},"x":1}"#,
        ] {
            assert_eq!(code(json), Err("jws.json"), "{json}");
        }
        for arguments in ["[]", "null", "\"{}\"", "1"] {
            let json = format!(r#"{{"tool":"t","arguments":{arguments}}}"#);
            assert_eq!(code(&json), Err("jws.not_an_object"), "{json}");
        }
    }

    /// The first 40 bits of `AAECAwQ…` are 00 01 02 03 04.
    #[test]
    fn the_short_code_is_the_first_40_bits() {
        let bytes: [u8; 32] = core::array::from_fn(|it| u8::try_from(it).unwrap());
        assert_eq!(CallDigest(bytes).short_code(), "000G-40R4");
        assert_eq!(CallDigest([255; 32]).short_code(), "ZZZZ-ZZZZ");
    }

    #[test]
    fn a_call_is_read_from_a_message_of_mcp() {
        let read = |json: &str| {
            let call = ToolCall::from_mcp(json.as_bytes());
            call.map(|it| it.map(|it| it.digest().to_string()))
                .map_err(|it| it.code())
        };
        let good = r#"{"method":"tools/call","params":{"name":"t","arguments":{"a":1}}}"#;
        assert_eq!(read(good), Ok(Some(of("t", r#"{"a":1}"#).unwrap())));
        let none = r#"{"method":"tools/call","params":{"name":"t","_meta":{"x":1}}}"#;
        assert_eq!(read(none), Ok(Some(of("t", "{}").unwrap())));
        for other in [r#"{"method":"tools/list"}"#, r#"{"result":{}}"#] {
            assert_eq!(read(other), Ok(None), "{other}");
        }
        for (json, code) in [
            (r#"[{"method":"tools/call"}]"#, "jws.not_an_object"),
            (r#"{"method":"tools/call"}"#, "jws.json"),
            (r#"{"method":"tools/call","params":{"name":1}}"#, "jws.json"),
            (
                r#"{"method":"tools/call","params":[]}"#,
                "jws.not_an_object",
            ),
            (
                r#"{"method":"tools/call","params":{"name":"t","arguments":[]}}"#,
                "jws.not_an_object",
            ),
            (
                r#"{"method":"tools/call","params":{"name":"t","name":"u"}}"#,
                "jws.duplicate_member",
            ),
        ] {
            assert_eq!(read(json), Err(code), "{json}");
        }
    }

    #[test]
    fn a_digest_is_43_characters() {
        let digest = of("t", "{}").unwrap();
        assert_eq!(digest.len(), 43);
        let short = digest.strip_suffix(|_: char| true).unwrap();
        for text in [short, &format!("{digest}="), ""] {
            assert!(text.parse::<CallDigest>().is_err(), "{text}");
        }
    }
}
