//! DPoP keys of a client, and the nonces of the servers that it talks to (RFC 9449).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aims_jose::alg::Algorithm;
use aims_jose::digest::Hashed;
use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::key::{AnySigner, SigningKey};
use aims_jose::provider::Provider;
use aims_jose::random::{self, SecureRandom};
#[cfg(feature = "tokio")]
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::dpop::{Binding, Nonce};
use aims_oauth_wire::metadata::ServerMetadata;
use http::{HeaderMap, Uri};

use crate::Error;

/// A key that binds access tokens to their holder by DPoP (RFC 9449), and the last nonce of each
/// server.
///
/// Use one key for each authorization server, so that servers cannot recognize the client by its
/// key. Clones share the key and the nonces. `Debug` shows the thumbprint alone.
///
/// ```
/// use aims_jose::provider;
/// use aims_oauth_client::DpopKey;
///
/// let key = DpopKey::generate(provider::compiled().ok_or("no provider")?)?;
/// # drop(key);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DpopKey(Arc<Inner>);

struct Inner {
    signer: AnySigner,
    jwk: Jwk,
    thumbprint: Thumbprint,
    random: &'static dyn SecureRandom,
    nonces: Mutex<HashMap<Server, Nonce>>,
}

/// The role of a server. A nonce for one role is not valid for the other (RFC 9449 §8.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Role {
    Issuer,
    Resource,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Server {
    role: Role,
    origin: String,
}

impl DpopKey {
    /// Generates a key for ES256, which every server supports that knows DPoP.
    ///
    /// # Errors
    ///
    /// `grant.sign` if no key can be generated.
    pub fn generate(provider: &'static dyn Provider) -> Result<Self, Error> {
        let key = SigningKey::generate(Algorithm::Es256, provider).map_err(Error::Sign)?;
        let jwk = key.public_jwk().clone();
        Ok(Self::new(Arc::new(key), &jwk))
    }

    /// Generates a key, and returns it also as the text that [`read`](Self::read) reads: a private
    /// JWK.
    #[cfg(feature = "tokio")]
    pub(crate) fn generate_to_keep(
        provider: &'static dyn Provider,
    ) -> Result<(Self, SecretText), Error> {
        let key = SigningKey::generate(Algorithm::Es256, provider).map_err(Error::Sign)?;
        let text = SecretText::new(key.to_jwk().as_str());
        let jwk = key.public_jwk().clone();
        Ok((Self::new(Arc::new(key), &jwk), text))
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn read(text: &SecretText, provider: &'static dyn Provider) -> Result<Self, Error> {
        let key = SigningKey::from_jwk(text.expose().as_bytes(), provider);
        let key = key.map_err(|_malformed| Error::StoreContent)?;
        let jwk = key.public_jwk().clone();
        Ok(Self::new(Arc::new(key), &jwk))
    }

    /// Creates a key from its signer, which may be in a device or behind a network, and its public
    /// part.
    #[must_use]
    pub fn new(signer: impl Into<AnySigner>, public: &Jwk) -> Self {
        Self(Arc::new(Inner {
            signer: signer.into(),
            jwk: public.clone(),
            thumbprint: public.thumbprint(),
            random: random::SYSTEM,
            nonces: Mutex::default(),
        }))
    }

    /// Returns the thumbprint, as in `cnf.jkt` of a token and `dpop_jkt` of an authorization
    /// request (RFC 9449 §6.1, §10).
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.0.thumbprint
    }

    /// Returns the algorithm of the proofs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.signer.algorithm()
    }

    /// Checks that the server supports the algorithm, if it says which ones (RFC 9449 §5.1).
    pub(crate) fn expect_known_to(&self, server: &ServerMetadata) -> Result<(), Error> {
        let known = server.dpop_signing_algorithms();
        if known.is_some_and(|known| !known.contains(self.algorithm())) {
            return Err(Error::DpopAlgorithm {
                found: self.algorithm().name(),
            });
        }
        Ok(())
    }

    pub(crate) fn signer(&self) -> &AnySigner {
        &self.0.signer
    }

    /// Returns a new proof, which still must be signed, with the last nonce of the server.
    pub(crate) fn proof(
        &self,
        role: Role,
        method: &str,
        uri: &Uri,
        token: Option<&str>,
        now: UnixTime,
    ) -> Result<SigningInput, Error> {
        let inner = &*self.0;
        let target = uri.to_string();
        let token = token.map(Hashed::of);
        let mut binding = Binding::to(method, &target);
        if let Some(token) = &token {
            binding = binding.access_token(token);
        }
        let server = Server::of(role, uri);
        let nonce = server.and_then(|server| self.lock().get(&server).cloned());
        let (key, algorithm) = (&inner.jwk, inner.signer.algorithm());
        let input = binding.prepare_with(nonce.as_ref(), key, algorithm, inner.random, now);
        input.map_err(Error::from)
    }

    pub(crate) async fn signed(&self, input: SigningInput) -> Result<CompactJws, Error> {
        let signed = input.sign_async(&self.0.signer).await;
        signed.map_err(Error::Sign)
    }

    /// Keeps the nonce of a response. Returns whether there is one.
    ///
    /// A malformed or repeated nonce is ignored, because a server that needs one repeats its
    /// demand.
    pub(crate) fn learn(&self, role: Role, uri: &Uri, headers: &HeaderMap) -> bool {
        let (Ok(Some(nonce)), Some(server)) = (Nonce::from_headers(headers), Server::of(role, uri))
        else {
            return false;
        };
        let mut nonces = self.lock();
        if nonces.len() >= MAX_SERVERS && !nonces.contains_key(&server) {
            let first = nonces.keys().next().cloned();
            first.map(|first| nonces.remove(&first));
        }
        nonces.insert(server, nonce);
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Server, Nonce>> {
        let nonces = self.0.nonces.lock();
        nonces.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    fn of(role: Role, uri: &Uri) -> Option<Self> {
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
        Some(Self { role, origin })
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopKey")
            .field("thumbprint", &self.0.thumbprint)
            .finish_non_exhaustive()
    }
}

/// The maximum number of servers whose nonces are kept.
const MAX_SERVERS: usize = 256;
