//! JWK thumbprints.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::sha256;
use crate::provider::PublicKey;
use crate::{Error, base64url};

/// The SHA-256 thumbprint of a public key (RFC 7638). As text it has 43 characters of base64url.
///
/// It is the value of `jkt` (RFC 9449 §6.1), and suitable as a `kid`.
///
/// ```
/// use aims_jose::jwk::{Jwk, Thumbprint};
///
/// let jwk = Jwk::parse(br#"{"kty":"OKP","crv":"Ed25519",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
/// let jkt: Thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".parse()?;
/// assert_eq!(jwk.thumbprint(), jkt);
/// # Ok::<(), aims_jose::Error>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Returns the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Hashes the required members in lexicographic order, without white space (RFC 7638 §3.2, RFC 8037
/// §2).
pub(super) fn of(key: &PublicKey) -> Thumbprint {
    let text = match key {
        PublicKey::Ec { curve, point } => {
            let (x, y) = point
                .get(1..)
                .unwrap_or_default()
                .split_at(curve.field_len());
            let (crv, x, y) = (curve.name(), base64url::encode(x), base64url::encode(y));
            [
                r#"{"crv":""#,
                crv,
                r#"","kty":"EC","x":""#,
                &x,
                r#"","y":""#,
                &y,
                r#""}"#,
            ]
            .concat()
        }
        PublicKey::Ed25519 { point } => {
            format!(
                r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
                base64url::encode(point)
            )
        }
        PublicKey::Rsa { n, e } => format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            base64url::encode(e),
            base64url::encode(n),
        ),
    };
    Thumbprint(sha256(text.as_bytes()))
}

impl FromStr for Thumbprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() != 43 {
            return Err(Error::Thumbprint);
        }
        let bytes = base64url::decode(text).map_err(|_base64| Error::Thumbprint)?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_length| Error::Thumbprint)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

impl Serialize for Thumbprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Thumbprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Thumbprint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JWK thumbprint")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Thumbprint, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}
