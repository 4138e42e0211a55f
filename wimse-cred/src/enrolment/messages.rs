//! Messages between an agent and an identity server.
//!
//! A proof is a compact JWS with its own `typ` and four common claims. `aud` is exactly the base
//! URL of the server. `nonce` comes from the server's challenge. `exp` is at most five minutes
//! ahead. The fourth claim binds a key, a thumbprint or an audience. A proof of one kind is not
//! accepted as another kind.

use serde::{Deserialize, Serialize};

/// A proof signed by the key that the credential is requested for. It shows that the agent holds
/// the key.
pub const KEY_PROOF: &str = "aims-key-proof+jwt";
/// A proof signed by the bootstrap key of an enrolment, over the thumbprint of the new key.
pub const ENROLMENT_PROOF: &str = "aims-enrolment-proof+jwt";
/// A proof signed by the key of the current WIT, over the thumbprint of the new key.
pub const RENEWAL_PROOF: &str = "aims-renewal-proof+jwt";
/// A request signed by the key of the current WIT, over the audience of a JWT-SVID.
pub const SVID_REQUEST: &str = "aims-svid-request+jwt";

/// The header field that presents a WIT.
pub const WIT_FIELD: &str = "workload-identity-token";

/// The values of `code` in the problem documents of an identity endpoint.
pub const PROBLEM_CODES: &[&str] = &[
    "identity.challenge",
    "identity.key",
    "identity.key_algorithm",
    "identity.proof",
    "identity.refused",
    "identity.request",
    "identity.unavailable",
    "authority.host",
    "authority.media_type",
    "authority.method",
    "authority.path",
    "authority.slow",
    "authority.too_large",
    "authority.too_many",
];

/// The answer to `POST /identity/challenge`.
#[derive(Debug, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "both sides write and read it")]
pub struct ChallengeAnswer {
    /// The nonce that each proof must contain.
    pub nonce: String,
    /// Lifetime of the nonce, in seconds.
    pub expires_in: u64,
}

/// The body of `POST /identity/wit`.
///
/// Enrolment by token sends the token in `Authorization`. Renewal sends the WIT in
/// `Workload-Identity-Token`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "both sides write and read it")]
#[serde(deny_unknown_fields)]
pub struct WitBody {
    /// The proof by the key that the WIT is requested for.
    pub key_proof: String,
    /// The proof by the bootstrap key of the enrolment.
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub enrolment_proof: Option<String>,
    /// The proof by the key of the WIT that is renewed.
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub renewal_proof: Option<String>,
}

/// The body of `POST /identity/jwt-svid`. The WIT is in `Workload-Identity-Token`.
#[derive(Debug, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "both sides write and read it")]
#[serde(deny_unknown_fields)]
pub struct SvidBody {
    /// The request, signed by the key of the WIT.
    pub svid_request: String,
}

/// The answer to both requests for a credential.
#[derive(Debug, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "both sides write and read it")]
pub struct CredentialAnswer {
    /// The WIT.
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub wit: Option<String>,
    /// The JWT-SVID.
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub jwt_svid: Option<String>,
    /// Lifetime of the credential, in seconds.
    pub expires_in: u64,
}
