//! The errors of DPoP proofs.

/// Error returned when a DPoP proof is refused or cannot be made.
///
/// No message contains a proof, a token or a nonce. No message repeats its source;
/// [`aims_jose::Chain`] prints both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The access token is sent with the scheme `DPoP`, and the request has no proof (RFC 9449
    /// §7.1).
    #[error(
        "the request has no `DPoP` field: expected one proof beside `Authorization: DPoP` (RFC 9449 \
         §7.1)"
    )]
    Missing,
    /// The header field occurs more than once (RFC 9449 §4.3).
    #[error("the field `{field}` stands more than once")]
    FieldRepeated {
        /// The name of the header field.
        field: &'static str,
    },
    /// The header field is not one compact JWT.
    #[error("the field `{field}` does not hold one compact JWT")]
    FieldSyntax {
        /// The name of the header field.
        field: &'static str,
    },
    /// The proof is not a well-formed JWS; or its `typ`, `alg`, `jwk`, signature or a claim is
    /// wrong; or the key cannot make a proof.
    #[error("DPoP proof")]
    Jws(#[source] aims_jose::Error),
    /// `alg` is not an accepted algorithm.
    #[error("the DPoP proof is signed by {found}: expected one of {expected}")]
    Algorithm {
        /// `alg` of the proof.
        found: &'static str,
        /// The accepted algorithms, separated by spaces.
        expected: Box<str>,
    },
    /// The key that was given to verify the proof is not the key in the proof.
    #[error("the key to verify by is not the one in the DPoP proof")]
    Key,
    /// `htm` is not the method of the request.
    #[error("the DPoP proof is for the method `{found}`: expected `{expected}`")]
    Method {
        /// `htm`: escaped, at most 100 characters.
        found: Box<str>,
        /// The method of the request.
        expected: Box<str>,
    },
    /// `htu` is not the URI of the request.
    #[error(
        "the DPoP proof is for the URI `{found}`: expected `{expected}`, the configured URL with \
         the path of the request"
    )]
    Target {
        /// `htu`: escaped, without user information, at most 100 characters.
        found: Box<str>,
        /// The URI of the request.
        expected: Box<str>,
    },
    /// `ath` is missing or is not the hash of the access token, or there is no access token.
    #[error("`ath` does not fit the access token")]
    AccessTokenHash,
    /// `jti` is empty, or longer than 256 bytes.
    #[error("`jti` of the DPoP proof is not usable: expected 1 to 256 bytes")]
    Id,
    /// `iat` is too old, or in the future.
    #[error(
        "the DPoP proof was made at {found}: expected within {max_age} s before {now}, with {skew} \
         s of skew"
    )]
    Time {
        /// `iat` in Unix seconds.
        found: u64,
        /// The current time, in Unix seconds.
        now: u64,
        /// The maximum age of a proof, in seconds.
        max_age: u64,
        /// The clock skew, in seconds.
        skew: u64,
    },
    /// The proof has no nonce, or one that this server did not recently issue for its key. The
    /// answer is `use_dpop_nonce` with a nonce (RFC 9449 §8, §9).
    #[error("the nonce of the DPoP proof: {reason}")]
    Nonce {
        /// The problem.
        reason: &'static str,
    },
    /// `DPoP-Nonce` of a response is not a valid nonce (RFC 9449 §8.1).
    #[error("`DPoP-Nonce` is not usable: expected 1 to 1024 printable ASCII characters")]
    NonceSyntax,
    /// The proof was used before, or the replay store refuses it.
    #[error("the DPoP proof cannot be spent")]
    Replay(#[source] aims_replay::Error),
    /// There are no random bits.
    #[error("a DPoP proof cannot be made")]
    Prepare(#[source] aims_jose::Error),
}

impl Error {
    aims_error::codes! {
        Self::Missing => Forbidden "dpop.missing",
        Self::FieldRepeated { .. } => Malformed "dpop.field_repeated",
        Self::FieldSyntax { .. } => Malformed "dpop.field_syntax",
        Self::Algorithm { .. } => Untrusted "dpop.algorithm",
        Self::Key => Mismatch "dpop.key",
        Self::Method { .. } => Mismatch "dpop.htm",
        Self::Target { .. } => Mismatch "dpop.htu",
        Self::AccessTokenHash => Mismatch "dpop.ath",
        Self::Id => Malformed "dpop.jti",
        Self::Time { .. } => Expired "dpop.time",
        Self::Nonce { .. } => Mismatch "dpop.nonce",
        Self::NonceSyntax => Malformed "dpop.nonce_syntax",
        ;
        Self::Jws(source) => aims_jose::token_code!("dpop", source), source.kind();
        Self::Replay(source) => source.code(), source.kind();
        Self::Prepare(source) => source.code(), source.kind();
        ; [
            "dpop.claim",
            "dpop.signature",
            "dpop.typ",
        ]
    }

    /// Returns the `error` that a token endpoint or a resource server answers with (RFC 9449 §5,
    /// §7.1, §8).
    ///
    /// Returns `None` if the client is not at fault. Answer with a status of 500 or 503 then.
    #[must_use]
    pub const fn answer(&self) -> Option<&'static str> {
        match self {
            Self::Nonce { .. } => Some("use_dpop_nonce"),
            Self::Replay(aims_replay::Error::Replayed | aims_replay::Error::Expired) => {
                Some("invalid_dpop_proof")
            }
            Self::Replay(_) | Self::Prepare(_) | Self::Key => None,
            _ => Some("invalid_dpop_proof"),
        }
    }
}
