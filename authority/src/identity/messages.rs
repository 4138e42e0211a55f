//! What agent and identity server say to each other. Both sides of this crate use these types.
//!
//! A proof is a compact JWS with a `typ` of its own and four common claims: `aud`, the server's
//! base URL alone; `nonce`, from the server's challenge; `exp`, five minutes ahead at most; and
//! what it binds. No proof of one kind passes for another (T-014).

use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jwt::{Audience, NumericDate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Signed by the key that a credential is asked for; shows that the caller holds it.
pub(crate) const KEY_PROOF: &str = "aims-key-proof+jwt";
/// Signed by the bootstrap key of an enrolment, over the thumbprint of the new key.
pub(crate) const ENROLMENT_PROOF: &str = "aims-enrolment-proof+jwt";
/// Signed by the key of the current WIT, over the thumbprint of the new key.
pub(crate) const RENEWAL_PROOF: &str = "aims-renewal-proof+jwt";
/// Signed by the key of the current WIT, over the audience of a JWT-SVID.
pub(crate) const SVID_REQUEST: &str = "aims-svid-request+jwt";

/// How long a proof may be valid, in seconds.
pub(crate) const LONGEST_PROOF: u64 = 300;
/// The longest proof, in bytes.
pub(crate) const MAX_PROOF_LEN: usize = 8 * 1024;

/// `POST /identity/challenge`: the answer.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ChallengeAnswer {
    pub(crate) nonce: String,
    pub(crate) expires_in: u64,
}

/// `POST /identity/wit`: the body. Enrolment by token comes with the token in `Authorization`,
/// renewal with the WIT in `Workload-Identity-Token`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitBody {
    pub(crate) key_proof: String,
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) enrolment_proof: Option<String>,
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) renewal_proof: Option<String>,
}

/// `POST /identity/jwt-svid`: the body, with the WIT in `Workload-Identity-Token`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SvidBody {
    pub(crate) svid_request: String,
}

/// The answer to both.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CredentialAnswer {
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) wit: Option<String>,
    #[serde(
        default,
        deserialize_with = "aims_jose::jwt::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) jwt_svid: Option<String>,
    pub(crate) expires_in: u64,
}

/// The claims of a proof as they are written.
#[derive(Debug, Serialize)]
pub(crate) struct ProofClaims<'a> {
    pub(crate) aud: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) exp: NumericDate,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cnf: Option<Confirmation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jkt: Option<Thumbprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wth: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) svid_aud: Option<&'a str>,
}

/// `cnf` as it is written (RFC 7800 §3.2).
#[derive(Debug, Serialize)]
pub(crate) struct Confirmation<'a> {
    pub(crate) jwk: &'a Jwk,
}

/// The claims of a proof as they are read. Unknown claims are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct ForeignClaims<'a> {
    #[serde(borrow)]
    pub(crate) aud: Audience<'a>,
    pub(crate) nonce: String,
    pub(crate) exp: NumericDate,
    #[serde(borrow, default, deserialize_with = "aims_jose::jwt::present")]
    pub(crate) cnf: Option<ForeignConfirmation<'a>>,
    #[serde(default, deserialize_with = "aims_jose::jwt::present")]
    pub(crate) jkt: Option<Thumbprint>,
    #[serde(default, deserialize_with = "aims_jose::jwt::present")]
    pub(crate) wth: Option<String>,
    #[serde(default, deserialize_with = "aims_jose::jwt::present")]
    pub(crate) svid_aud: Option<String>,
}

/// `cnf` as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct ForeignConfirmation<'a> {
    #[serde(borrow)]
    pub(crate) jwk: &'a RawValue,
}
