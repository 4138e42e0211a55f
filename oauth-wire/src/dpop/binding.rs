//! The request that a proof is bound to.

use aims_jose::alg::Algorithm;
use aims_jose::base64url;
use aims_jose::digest::Hashed;
use aims_jose::jwk::Jwk;
use aims_jose::jws::SigningInput;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::UnixTime;
use serde::Serialize;

use super::target::bare;
use super::{Error, Nonce, TYP};

/// One request, as a proof is bound to it: method, URI, access token (RFC 9449 §4.2).
///
/// ```
/// use aims_oauth_wire::dpop::Binding;
///
/// let binding = Binding::to("POST", "https://as.example/token");
/// # let _ = binding;
/// ```
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) access_token: Option<[u8; 32]>,
    pub(super) nonce: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    jti: String,
    htm: &'a str,
    htu: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

impl<'a> Binding<'a> {
    /// Binds a proof to a request without an access token, for example to a token endpoint.
    ///
    /// The method is case-sensitive: `GET` is not `get`. The URI is absolute; its query and
    /// fragment are ignored. A server must build the URI from its own configuration and the path of
    /// the request, never from `Host` or a forwarding header.
    #[must_use]
    pub fn to(method: &'a str, uri: &'a str) -> Self {
        Self {
            method,
            uri: bare(uri),
            access_token: None,
            nonce: None,
        }
    }

    /// Binds the proof to the access token of the request (`ath`).
    #[must_use]
    pub fn access_token(self, token: &Hashed<'_>) -> Self {
        self.access_token_hash(token.sha256())
    }

    /// Binds the proof to the access token that has this SHA-256, which was computed before.
    #[must_use]
    pub const fn access_token_hash(mut self, sha256: &[u8; 32]) -> Self {
        self.access_token = Some(*sha256);
        self
    }

    /// Binds the proof to one nonce that the verifier knows. A server whose nonces are checked
    /// without a memory uses [`NonceIssuer`](super::NonceIssuer) instead.
    #[must_use]
    pub const fn nonce(mut self, nonce: &'a str) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// Prepares a proof. The caller signs it with the private key of this public key.
    ///
    /// `jti` has 128 random bits, so each attempt of a request needs a new proof (RFC 9449 §7.3).
    ///
    /// # Errors
    ///
    /// `jwk.alg` if the key is not for this algorithm; `random.unavailable` if there are no random
    /// bits.
    pub fn prepare(
        &self,
        key: &Jwk,
        algorithm: Algorithm,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        self.prepare_with(None, key, algorithm, random, now)
    }

    /// Prepares a proof with a nonce that the server chose (RFC 9449 §8, §9). Otherwise like
    /// [`prepare`](Self::prepare).
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare).
    pub fn prepare_with(
        &self,
        nonce: Option<&Nonce>,
        key: &Jwk,
        algorithm: Algorithm,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        let claims = Claims {
            jti: random::id128(random).map_err(Error::Prepare)?,
            htm: self.method,
            htu: self.uri,
            iat: now.as_secs(),
            ath: self.access_token.map(|hash| base64url::encode(&hash)),
            nonce: nonce.map(Nonce::as_str).or(self.nonce),
        };
        SigningInput::with_embedded_key(TYP, algorithm, key, &claims).map_err(Error::Jws)
    }
}

impl core::fmt::Debug for Binding<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Binding")
            .field("method", &self.method)
            .field("uri", &self.uri)
            .field("has_access_token", &self.access_token.is_some())
            .finish()
    }
}
