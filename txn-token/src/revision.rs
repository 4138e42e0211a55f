//! What depends on the revision of draft-ietf-oauth-transaction-tokens.

use aims_jose::Algorithm;
use aims_jose::alg::AlgorithmSet;

/// The revision that this crate implements. -11 is newer; its text was not found.
pub const REVISION: &str = "draft-ietf-oauth-transaction-tokens-10";

/// The type of a transaction token in a token exchange (§11.1).
pub const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:txn_token";

/// The header `typ` (§9.1). Exactly this text.
pub(crate) const TYP: &str = "txntoken+jwt";

/// The field of HTTP requests (§12.1).
pub(crate) const FIELD: &str = "txn-token";

/// The algorithms that are accepted. The draft leaves them open.
pub(crate) const ALGORITHMS: AlgorithmSet = AlgorithmSet::of(&[
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
    Algorithm::Ps256,
    Algorithm::Rs256,
]);

/// The algorithms that sign a new token.
pub(crate) const SIGNING: AlgorithmSet = AlgorithmSet::of(&[
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
    Algorithm::Ps256,
]);

/// The longest time from `iat` to `exp`, in seconds. The draft asks for minutes or less (§6).
pub(crate) const MAX_LIFETIME: u64 = 3_600;
