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
    let token = transactions.verify(text, now);
    token.map_err(|error| refused(&error))
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
        _ => ErrorResponse::Problem("the transaction token was not accepted"),
    };
    Refused::of(error.code(), error.kind(), answer, error)
}
