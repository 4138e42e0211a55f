//! DPoP (RFC 9449): proofs that the sender of a request holds a private key.
//!
//! A [`Binding`] says what a proof is for: a method, a URI, and where there is one an access token
//! and a nonce. The client makes a proof of it with [`Binding::prepare`]. The server finds the
//! field with [`from_headers`], reads it with [`UnverifiedProof::parse`], compares
//! [`thumbprint`](UnverifiedProof::thumbprint) with `cnf.jkt` of the token, then verifies and
//! spends it.
//!
//! A proof covers neither content nor fields (RFC 9449 §11.7).
//!
//! ```
//! use aims_jose::random::SYSTEM;
//! use aims_jose::time::at;
//! use aims_jose::{Algorithm, key::SigningKey, provider};
//! use aims_oauth_wire::dpop::{Binding, DpopRules, UnverifiedProof};
//! use aims_replay::ReplayCache;
//!
//! # let provider = provider::compiled().ok_or("no provider")?;
//! let key = SigningKey::generate(Algorithm::Es256, provider)?;
//! let now = at(1_800_000_000);
//! let binding = Binding::to("POST", "https://tool.example/call");
//!
//! // The client:
//! let proof = binding.prepare(key.public_jwk(), Algorithm::Es256, SYSTEM, now)?.sign(&key)?;
//!
//! // The server:
//! let rules = DpopRules::new();
//! let proof = UnverifiedProof::parse(proof.expose(), &rules)?;
//! assert_eq!(proof.thumbprint(), &key.public_jwk().thumbprint());
//! let holder = proof.key(provider)?;
//! let proof = proof.verify(&holder, &binding, &rules, now)?;
//! let proof = proof.spend(&ReplayCache::in_memory(1_000), now)?;
//! assert_eq!(proof.thumbprint(), &key.public_jwk().thumbprint());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod binding;
mod error;
mod nonce;
mod target;
mod verify;

use http::{HeaderMap, HeaderName};

use crate::media::{self, compact_token};

pub use self::binding::Binding;
pub use self::error::Error;
pub use self::nonce::{Nonce, NonceIssuer};
pub use self::verify::{DpopProof, DpopRules, UnspentProof, UnverifiedProof};

/// The field of a proof (RFC 9449 §4.1).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The field of a nonce that a server chose (RFC 9449 §8.1).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The scheme of `Authorization` for a token that is bound to a key, and of the challenge that asks
/// for one (RFC 9449 §7.1). It is also the `token_type` of such a token (§5).
pub const SCHEME: &str = "DPoP";

/// The `typ` of a proof (RFC 9449 §4.2).
const TYP: &str = "dpop+jwt";

/// The longest proof in bytes, unless the rules say otherwise. One with an RSA key of 4096 bits has
/// about 2 KiB.
const MAX_LEN: usize = 4 * 1024;

/// Finds the proof of a request: one `DPoP` field, or none.
///
/// # Errors
///
/// `dpop.field_repeated` for several fields; `dpop.field_syntax` for one that is not ASCII or holds
/// several values.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let field = "DPoP";
    let value = media::sole(headers, &DPOP).map_err(|_several| Error::FieldRepeated { field })?;
    let text = value.map(|it| compact_token(it).ok_or(Error::FieldSyntax { field }));
    text.transpose()
}
