//! What an agent and an identity server send to each other.
//!
//! A proof is a compact JWS with a `typ` of its own and four common claims: `aud`, the server's
//! base URL alone; `nonce`, from the server's challenge; `exp`, five minutes ahead at most; and
//! what it binds. No proof of one kind passes for another.

use serde::{Deserialize, Serialize};

/// Signed by the key that a credential is asked for; shows that the caller holds it.
pub const KEY_PROOF: &str = "aims-key-proof+jwt";
/// Signed by the bootstrap key of an enrolment, over the thumbprint of the new key.
pub const ENROLMENT_PROOF: &str = "aims-enrolment-proof+jwt";
/// Signed by the key of the current WIT, over the thumbprint of the new key.
pub const RENEWAL_PROOF: &str = "aims-renewal-proof+jwt";
/// Signed by the key of the current WIT, over the audience of a JWT-SVID.
pub const SVID_REQUEST: &str = "aims-svid-request+jwt";

/// The field that a WIT is presented in.
pub const WIT_FIELD: &str = "workload-identity-token";

/// The `code` members that the problem of an identity endpoint can have.
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

/// `POST /identity/challenge`: the answer.
#[derive(Debug, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "both sides write and read it")]
pub struct ChallengeAnswer {
    /// A value that each proof has to carry.
    pub nonce: String,
    /// Its lifetime, in seconds.
    pub expires_in: u64,
}

/// `POST /identity/wit`: the body. Enrolment by token comes with the token in `Authorization`,
/// renewal with the WIT in `Workload-Identity-Token`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "both sides write and read it")]
#[serde(deny_unknown_fields)]
pub struct WitBody {
    /// By the key that the WIT is asked for.
    pub key_proof: String,
    /// By the bootstrap key of the enrolment.
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub enrolment_proof: Option<String>,
    /// By the key of the WIT that is renewed.
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub renewal_proof: Option<String>,
}

/// `POST /identity/jwt-svid`: the body, with the WIT in `Workload-Identity-Token`.
#[derive(Debug, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "both sides write and read it")]
#[serde(deny_unknown_fields)]
pub struct SvidBody {
    /// By the key of the WIT.
    pub svid_request: String,
}

/// The answer to both.
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
    /// Its lifetime, in seconds.
    pub expires_in: u64,
}
