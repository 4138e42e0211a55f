//! The error type of the crate.

use std::sync::Arc;

use crate::alg::Algorithm;

/// A token, key, key set or signing request was refused.
///
/// Each variant has a stable [`code`](Self::code). Messages name members and limits, never the text
/// of a token or of a key. The error of an invalid signature is deliberately unspecific.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Errors of a peer's JWS or JSON.
    /// The text is not three non-empty parts joined by dots (RFC 7515 §7.1).
    #[error("a compact JWS has three parts, none of them empty")]
    Parts,
    /// The token is longer than the limit.
    #[error("the token is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The text is not canonical base64url without padding (RFC 7515 §2, RFC 4648 §3.5).
    #[error("not canonical base64url without padding")]
    Base64,
    /// The JOSE header is malformed.
    #[error("the JOSE header is malformed")]
    Header,
    /// A member occurs twice in one JSON object, at any depth (RFC 7515 §4, RFC 7519 §4).
    #[error("a member stands twice in one JSON object")]
    DuplicateMember,
    /// The text is not JSON, or a member has another type than its standard defines.
    #[error("malformed JSON")]
    Json,
    /// The text is JSON but not an object, where an object is required.
    #[error("a JSON object is due")]
    NotAnObject,
    /// The JSON exceeds the limits on depth or members.
    #[error("the JSON is too deep or has too many members")]
    JsonTooLarge,
    /// JSON that is to be digested has a number that an IEEE 754 double cannot represent (RFC 8785,
    /// RFC 7493 §2.2).
    #[error("a number of the JSON is beyond what a double can hold: write it as a text")]
    JsonNumber,
    /// The header requires an extension (RFC 7515 §4.1.11). No extension is supported.
    #[error("`crit` names an extension that is not supported")]
    Crit,
    /// `alg` is not a supported signature algorithm.
    #[error("`alg` is not a supported signature algorithm")]
    UnknownAlgorithm,
    /// The token names an algorithm that the key is not for.
    #[error("the key is not for `{algorithm}`")]
    AlgorithmMismatch {
        /// The algorithm of the token.
        algorithm: Algorithm,
    },
    /// The header contains or points to a key: `jwk`, `jku`, `x5u`, `x5c` (RFC 8725 §3.10).
    #[error("the header brings its own key")]
    KeyInHeader,
    /// The header of a proof of possession has no `jwk` (RFC 9449 §4.2).
    #[error("the header has no `jwk`: expected the public key that verifies this proof")]
    NoKeyInHeader,
    /// `typ` is not the expected one (RFC 8725 §3.11).
    #[error("`typ` is not the expected one")]
    Type,
    /// The signature is not by this key over this message.
    #[error("the signature is not valid")]
    Signature,

    // Errors of claims.
    /// A claim is missing or malformed.
    #[error("the claim `{claim}` is missing or malformed")]
    Claim {
        /// The name of the claim.
        claim: &'static str,
    },
    /// `exp` is before `nbf` or `iat`, so the token is never valid.
    #[error(
        "`exp` {exp} is before `{claim}` {start}: expected it after; the issuer has to set these claims right"
    )]
    EndsFirst {
        /// `exp`, in Unix seconds.
        exp: u64,
        /// The later claim: `nbf` or `iat`.
        claim: &'static str,
        /// The value of the later claim, in Unix seconds.
        start: u64,
    },
    /// `exp` has passed (RFC 7519 §4.1.4).
    #[error(
        "expired at {until}, and it is {now}, with a skew of {skew} s; get a new one, or check both clocks"
    )]
    Expired {
        /// `exp`, in Unix seconds.
        until: u64,
        /// The time of the check, in Unix seconds.
        now: u64,
        /// The allowed skew, in seconds.
        skew: u64,
    },
    /// `nbf` or `iat` is in the future (RFC 7519 §4.1.5). Compare both times to see whose clock is
    /// wrong.
    #[error(
        "not yet valid: from {from}, and it is {now}, with a skew of {skew} s; check both clocks"
    )]
    NotYetValid {
        /// The later of `nbf` and `iat`, in Unix seconds.
        from: u64,
        /// The time of the check, in Unix seconds.
        now: u64,
        /// The allowed skew, in seconds.
        skew: u64,
    },
    /// The token is valid for longer than the rules allow.
    #[error("the lifetime is longer than accepted")]
    Lifetime,
    /// The token was issued earlier than the rules allow.
    #[error("issued too long ago")]
    TooOld,

    // Errors of a peer's key or key set.
    /// The key is not a JSON object with members of the right types (RFC 7517 §4).
    #[error("malformed JWK")]
    JwkJson,
    /// The JWK is longer than the limit.
    #[error("the JWK is longer than {limit} bytes")]
    JwkTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// `kty` is not `EC`, `OKP` or `RSA`.
    #[error("`kty` is not a supported key type")]
    JwkType,
    /// `crv` is not a supported curve of this key type.
    #[error("`crv` is not a supported curve")]
    JwkCurve,
    /// A member is missing, malformed, or not allowed in a key of this type.
    #[error("the JWK member `{member}` is missing, malformed or out of place")]
    JwkMember {
        /// The name of the member.
        member: &'static str,
    },
    /// The coordinates are not a point of the curve.
    #[error("the coordinates are no point of the curve")]
    JwkPoint,
    /// An Ed25519 key is of small order, or has a non-canonical encoding.
    #[error("the Ed25519 key is of small order or not canonical")]
    JwkWeakPoint,
    /// A public key has a private member.
    #[error("a private member in a public key")]
    JwkPrivate,
    /// The key is public, and a private key is required.
    #[error("not a private key")]
    JwkNotPrivate,
    /// The RSA modulus has less than 2048 or more than 4096 bits, is even, or was made by the weak
    /// generator of CVE-2017-15361.
    #[error("the RSA modulus must be odd, of 2048 to 4096 bits, and not of a weak generator")]
    JwkRsaModulus,
    /// The RSA exponent is even, less than 3, or has more than 33 bits.
    #[error("the RSA exponent must be odd, 3 at least and of 33 bits at most")]
    JwkRsaExponent,
    /// `alg` is unknown, does not match the key, or is missing for a key that does not imply one.
    #[error("the JWK's `alg` is missing, unknown or not of its key type")]
    JwkAlgorithm,
    /// `use` is not for this purpose.
    #[error("the JWK's `use` is for another purpose")]
    JwkUse,
    /// `key_ops` does not allow the operation, repeats a value, or contradicts `use`.
    #[error("the JWK's `key_ops` does not allow this")]
    JwkKeyOps,
    /// `kid` is missing where it is required, is empty, or is longer than 256 bytes.
    #[error("the JWK's `kid` is missing, empty or too long")]
    JwkKeyId,
    /// The text is not a thumbprint (RFC 7638): 43 characters of base64url.
    #[error("not a JWK thumbprint")]
    Thumbprint,
    /// The key set is not an object with an array `keys` (RFC 7517 §5).
    #[error("malformed JWK set")]
    SetJson,
    /// The key set exceeds the limit on its length or on its number of keys.
    #[error("the JWK set is too large")]
    SetTooLarge,
    /// Two keys of the set have the same `kid`, and the rules forbid that.
    #[error("two keys of the set have the same `kid`")]
    SetDuplicateKeyId,

    // Errors of selecting a key.
    /// No key of the set fits. A refresh of the set may help.
    #[error("no key of the set fits")]
    UnknownKey,
    /// Several keys fit. The verifier does not try them in turn.
    #[error("several keys of the set fit")]
    AmbiguousKey,

    // Errors of the calling program, its provider, or its signer.
    /// The provider does not support the algorithm.
    #[error("the provider `{provider}` does not support `{algorithm}`")]
    Unsupported {
        /// The algorithm.
        algorithm: Algorithm,
        /// The name of the provider.
        provider: &'static str,
    },
    /// The input is not a PKCS#8 private key for the algorithm (RFC 5958).
    #[error("not a PKCS#8 private key of that algorithm")]
    Pkcs8,
    /// The input is not exactly one PEM block `PRIVATE KEY` (RFC 7468 §10).
    #[error("not one PEM block `PRIVATE KEY`")]
    Pem,
    /// The numbers of the private key do not match each other.
    #[error("the parts of the private key do not belong together")]
    KeyParts,
    /// The key could not be generated.
    #[error("no key could be generated")]
    Generate,
    /// A local key could not sign.
    #[error("signing failed")]
    Sign,
    /// A key in a device or behind a network could not sign.
    #[error("the signer is unavailable")]
    SignerUnavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The source returned no random bytes.
    #[error("no random bytes could be drawn")]
    Random,
    /// The skew is above 60 seconds.
    #[error("the skew must be 60 seconds at most")]
    Skew,
    /// The claims could not be serialized to a JSON object.
    #[error("the claims could not be written as a JSON object")]
    Serialize,
}

/// Returns the code of an error for one kind of token.
///
/// An error that every kind of JWT can have gets the prefix of the kind, such as `wit.lifetime`. An
/// error of a malformed token keeps its own code.
///
/// ```
/// let code = |error: aims_jose::Error| aims_jose::token_code!("wit", error);
/// assert_eq!(code(aims_jose::Error::Lifetime), "wit.lifetime");
/// assert_eq!(code(aims_jose::Error::Parts), "jws.parts");
/// ```
#[macro_export]
macro_rules! token_code {
    ($kind:literal, $error:expr) => {
        match &$error {
            $crate::Error::AlgorithmMismatch { .. } | $crate::Error::UnknownAlgorithm => {
                ::core::concat!($kind, ".algorithm")
            }
            $crate::Error::Claim { .. } | $crate::Error::EndsFirst { .. } => {
                ::core::concat!($kind, ".claim")
            }
            $crate::Error::Expired { .. } => ::core::concat!($kind, ".expired"),
            $crate::Error::Lifetime => ::core::concat!($kind, ".lifetime"),
            $crate::Error::NotYetValid { .. } => ::core::concat!($kind, ".not_yet_valid"),
            $crate::Error::Signature => ::core::concat!($kind, ".signature"),
            $crate::Error::Type => ::core::concat!($kind, ".typ"),
            malformed => malformed.code(),
        }
    };
}

impl Error {
    aims_error::codes! {
        Self::Parts => Malformed "jws.parts",
        Self::TooLong { .. } => TooLarge "jws.too_long",
        Self::Base64 => Malformed "jws.base64",
        Self::Header => Malformed "jws.header",
        Self::DuplicateMember => Malformed "jws.duplicate_member",
        Self::Json => Malformed "jws.json",
        Self::NotAnObject => Malformed "jws.not_an_object",
        Self::JsonTooLarge => TooLarge "jws.json_too_large",
        Self::JsonNumber => Malformed "json.number",
        Self::Crit => Malformed "jws.crit",
        Self::UnknownAlgorithm => Untrusted "jws.unknown_algorithm",
        Self::AlgorithmMismatch { .. } => Untrusted "jws.algorithm",
        Self::KeyInHeader => Untrusted "jws.key_in_header",
        Self::NoKeyInHeader => Malformed "jws.no_key_in_header",
        Self::Type => Mismatch "jws.typ",
        Self::Signature => Untrusted "jws.signature",
        Self::Claim { .. } | Self::EndsFirst { .. } => Malformed "jwt.claim",
        Self::Expired { .. } => Expired "jwt.expired",
        Self::NotYetValid { .. } => NotYetValid "jwt.not_yet_valid",
        Self::Lifetime => Forbidden "jwt.lifetime",
        Self::TooOld => Expired "jwt.too_old",
        Self::JwkJson => Malformed "jwk.json",
        Self::JwkTooLong { .. } => TooLarge "jwk.too_long",
        Self::JwkType => Malformed "jwk.kty",
        Self::JwkCurve => Malformed "jwk.crv",
        Self::JwkMember { .. } => Malformed "jwk.member",
        Self::JwkPoint => Malformed "jwk.point",
        Self::JwkWeakPoint => Untrusted "jwk.weak_point",
        Self::JwkPrivate => Forbidden "jwk.private",
        Self::JwkNotPrivate => Configuration "jwk.not_private",
        Self::JwkRsaModulus => Untrusted "jwk.rsa_modulus",
        Self::JwkRsaExponent => Untrusted "jwk.rsa_exponent",
        Self::JwkAlgorithm => Malformed "jwk.alg",
        Self::JwkUse => Forbidden "jwk.use",
        Self::JwkKeyOps => Forbidden "jwk.key_ops",
        Self::JwkKeyId => Malformed "jwk.kid",
        Self::Thumbprint => Malformed "jwk.thumbprint",
        Self::SetJson => Malformed "jwks.json",
        Self::SetTooLarge => TooLarge "jwks.too_large",
        Self::SetDuplicateKeyId => Malformed "jwks.duplicate_kid",
        Self::UnknownKey => Untrusted "key.unknown",
        Self::AmbiguousKey => Untrusted "key.ambiguous",
        Self::Unsupported { .. } => Configuration "key.unsupported",
        Self::Pkcs8 => Configuration "key.pkcs8",
        Self::Pem => Configuration "key.pem",
        Self::KeyParts => Configuration "key.parts",
        Self::Generate => Unavailable "key.generate",
        Self::Sign => Unavailable "key.sign",
        Self::SignerUnavailable(_) => Unavailable "key.signer_unavailable",
        Self::Random => Unavailable "random.unavailable",
        Self::Skew => Configuration "time.skew",
        Self::Serialize => Configuration "jws.serialize",
    }

    /// Creates the error of a signer in a device or behind a network, with its cause.
    pub fn signer_unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::SignerUnavailable(Arc::from(source.into()))
    }

    /// Returns whether a newer key set may help. The caller then refreshes the set once and tries
    /// again once.
    #[must_use]
    pub const fn is_key_unknown(&self) -> bool {
        matches!(self, Self::UnknownKey)
    }
}
