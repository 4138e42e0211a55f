//! DPoP (RFC 9449): proofs that the sender of a request holds a private key.
//!
//! A [`Binding`] tells what a proof is for: a method, a URI, and optionally an access token and a
//! nonce. The client makes a proof of it with [`Binding::prepare`]. The server reads the header
//! field with [`from_headers`], parses it with [`UnverifiedProof::parse`], and compares
//! [`thumbprint`](UnverifiedProof::thumbprint) with `cnf.jkt` of the token. Then it verifies the
//! proof and spends it.
//!
//! A proof covers neither the content nor other header fields (RFC 9449 §11.7).
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
pub use self::verify::{DpopProof, DpopRules, ProofKey, UnspentProof, UnverifiedProof};

/// The header field of a proof (RFC 9449 §4.1).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The header field of a nonce that a server chose (RFC 9449 §8.1).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The authentication scheme of a DPoP-bound access token and of challenges for one (RFC 9449
/// §7.1). It is also the `token_type` of such a token (§5).
pub const SCHEME: &str = "DPoP";

/// The `typ` of a proof (RFC 9449 §4.2).
const TYP: &str = "dpop+jwt";

/// The default maximum length of a proof, in bytes. A proof with an RSA key of 4096 bits has about
/// 2 KiB.
const MAX_LEN: usize = 4 * 1024;

/// Reads the proof of a request. Returns `None` if there is no `DPoP` field.
///
/// # Errors
///
/// `dpop.field_repeated` if the field is repeated; `dpop.field_syntax` if it is not ASCII or has
/// several values.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let field = "DPoP";
    let value = media::sole(headers, &DPOP).map_err(|_several| Error::FieldRepeated { field })?;
    let text = value.map(|it| compact_token(it).ok_or(Error::FieldSyntax { field }));
    text.transpose()
}
