//! Transaction tokens.

use aims_jose::time::UnixTime;
use aims_txn_token::{Error, TxnToken};

use crate::guard::Inner;
use crate::guard::refused::Refused;
use crate::guard::transactions::Transactions;
use crate::refusal::ErrorResponse;
use crate::revoked::Credential;

/// Verifies a transaction token with the keys of the domain's service.
pub(in crate::guard) fn verify(
    transactions: &Transactions,
    text: &str,
    now: UnixTime,
) -> Result<TxnToken, Refused> {
    let verified = transactions.verify(text, now)?;
    verified.map_err(|error| {
        let is_unknown = matches!(error, Error::Token(aims_jose::Error::UnknownKey));
        let need = transactions.need().filter(|_| is_unknown);
        refused(&error).or_after(need)
    })
}

/// Refuses a revoked token, cached or not.
pub(in crate::guard) fn check_revoked(
    guard: &Inner,
    token: &TxnToken,
    now: UnixTime,
) -> Result<(), Refused> {
    let credential = Credential::TransactionToken(token);
    if guard.revoked.is_revoked(credential, now) {
        return Err(refused(&Error::Revoked));
    }
    Ok(())
}

/// Returns the refusal of a transaction token. Its answer says no more than that.
pub(in crate::guard) fn refused(error: &Error) -> Refused {
    let answer = match error.code() {
        "jws.too_long" => ErrorResponse::TooLarge,
        _ => ErrorResponse::Problem(NOT_ACCEPTED),
    };
    Refused::of(error.code(), error.kind(), answer, error)
}

/// The answer to a request whose transaction token is not accepted, whatever the reason.
pub(in crate::guard) const NOT_ACCEPTED: &str = "the transaction token was not accepted";
