//! Values that depend on the revision of draft-ietf-oauth-transaction-tokens.

use aims_jose::Algorithm;
use aims_jose::alg::AlgorithmSet;

/// The revision of the draft that this crate implements.
pub const REVISION: &str = "draft-ietf-oauth-transaction-tokens-10";

/// The type of a transaction token in a token exchange (§11.1).
pub const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:txn_token";

/// The header `typ` (§9.1). Only exactly this text is accepted.
pub(crate) const TYP: &str = "txntoken+jwt";

/// The header field of HTTP requests (§12.1).
pub(crate) const FIELD: &str = "txn-token";

/// The accepted algorithms. The draft does not restrict them.
pub(crate) const ALGORITHMS: AlgorithmSet = AlgorithmSet::of(&[
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
    Algorithm::Ps256,
    Algorithm::Rs256,
]);

/// The algorithms that new tokens may be signed with.
pub(crate) const SIGNING: AlgorithmSet = AlgorithmSet::of(&[
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
    Algorithm::Ps256,
]);

/// Maximum time from `iat` to `exp`, in seconds. The draft recommends minutes or less (§6).
pub(crate) const MAX_LIFETIME: u64 = 3_600;
