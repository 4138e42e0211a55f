//! Token requests whose client authentication must still be signed.

use core::fmt;
use std::sync::Arc;

use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::key::{AnySigner, AsyncSigner};

use super::failed;
use crate::Error;
use crate::token::TokenRequest;

/// The result of [`Authenticate::begin`](super::Authenticate::begin).
#[derive(Debug)]
#[must_use = "the request is authenticated when it is signed"]
#[expect(clippy::exhaustive_enums, reason = "a caller handles every case")]
pub enum Authentication {
    /// The request is authenticated.
    Done(TokenRequest),
    /// A key in a device or behind a network must sign first.
    Unsigned(UnsignedRequest),
}

/// A token request and what the client's key must sign for it.
#[must_use = "the request is authenticated when it is signed"]
pub struct UnsignedRequest {
    request: TokenRequest,
    input: SigningInput,
    signer: Arc<dyn AsyncSigner>,
    apply: Apply,
}

/// Adds the signature to the request.
type Apply = Box<dyn FnOnce(&mut TokenRequest, CompactJws) -> Result<(), Error> + Send + Sync>;

impl UnsignedRequest {
    /// Creates a request that still lacks a signature, such as that of a DPoP proof. `apply` adds
    /// the signed JWT to the request.
    pub fn new(
        request: TokenRequest,
        input: SigningInput,
        signer: Arc<dyn AsyncSigner>,
        apply: impl FnOnce(&mut TokenRequest, CompactJws) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            request,
            input,
            signer,
            apply: Box::new(apply),
        }
    }

    /// Signs, and returns the authenticated request.
    ///
    /// # Errors
    ///
    /// `oauth.authenticate` if the key does not sign.
    pub async fn sign(mut self) -> Result<TokenRequest, Error> {
        let signed = self.input.sign_async(&*self.signer).await;
        (self.apply)(&mut self.request, signed.map_err(failed(UNSIGNED))?)?;
        Ok(self.request)
    }
}

impl fmt::Debug for UnsignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsignedRequest")
            .field("request", &self.request)
            .field("algorithm", &self.signer.algorithm())
            .finish_non_exhaustive()
    }
}

/// Signs immediately if the key is synchronous. Otherwise returns what must be signed.
pub(super) fn begin(
    mut request: TokenRequest,
    input: SigningInput,
    signer: AnySigner,
    apply: impl FnOnce(&mut TokenRequest, CompactJws) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<Authentication, Error> {
    match signer {
        AnySigner::Remote(signer) => {
            let unsigned = UnsignedRequest::new(request, input, signer, apply);
            Ok(Authentication::Unsigned(unsigned))
        }
        signer => {
            apply(&mut request, sign(input, &signer)?)?;
            Ok(Authentication::Done(request))
        }
    }
}

/// Signs with a synchronous key.
pub(super) fn sign(input: SigningInput, signer: &AnySigner) -> Result<CompactJws, Error> {
    let Some(signer) = signer.local() else {
        return Err(Error::authenticate(
            "the key signs asynchronously; use `Authenticate::begin`, as `TokenFlow` does",
        ));
    };
    input.sign(&**signer).map_err(failed(UNSIGNED))
}

const UNSIGNED: &str = "the key does not sign";
