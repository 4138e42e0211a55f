//! The server's view of proofs. The messages that both sides share are in
//! [`aims_wimse_cred::enrolment::messages`].

use aims_jose::jwk::Thumbprint;
use aims_jose::jwt::{Audience, NumericDate};
pub(crate) use aims_wimse_cred::enrolment::messages::*;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Maximum lifetime of a proof, in seconds.
pub(crate) const LONGEST_PROOF: u64 = 300;
/// Maximum length of a proof, in bytes.
pub(crate) const MAX_PROOF_LEN: usize = 8 * 1024;

/// The claims of a received proof. Unknown claims are ignored.
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

/// `cnf` of a received proof.
#[derive(Debug, Deserialize)]
pub(crate) struct ForeignConfirmation<'a> {
    #[serde(borrow)]
    pub(crate) jwk: &'a RawValue,
}
