//! Token requests whose client authentication must still be signed.

use core::fmt;
use std::sync::Arc;

use aims_jose::jws::{CompactJws, SigningInput};
use aims_jose::key::{AnySigner, AsyncSigner, Signature};

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
    input: Input,
    signer: Arc<dyn AsyncSigner>,
}

/// The input of the key, and how the result is added to the request.
enum Input {
    Jwt(SigningInput, Apply<CompactJws>),
    Bytes(Vec<u8>, Apply<Signature>),
}

/// Adds what was signed to the request.
type Apply<T> = Box<dyn FnOnce(&mut TokenRequest, T) -> Result<(), Error> + Send + Sync>;

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
            input: Input::Jwt(input, Box::new(apply)),
            signer,
        }
    }

    /// Creates a request that still lacks a signature over these bytes, such as the base of an HTTP
    /// message signature. `apply` adds the signature to the request.
    pub fn over_bytes(
        request: TokenRequest,
        bytes: Vec<u8>,
        signer: Arc<dyn AsyncSigner>,
        apply: impl FnOnce(&mut TokenRequest, Signature) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            request,
            input: Input::Bytes(bytes, Box::new(apply)),
            signer,
        }
    }

    /// Signs, and returns the authenticated request.
    ///
    /// # Errors
    ///
    /// `oauth.authenticate` if the key does not sign.
    pub async fn sign(mut self) -> Result<TokenRequest, Error> {
        match self.input {
            Input::Jwt(input, apply) => {
                let signed = input.sign_async(&*self.signer).await;
                apply(&mut self.request, signed.map_err(failed(UNSIGNED))?)?;
            }
            Input::Bytes(bytes, apply) => {
                let signed = self.signer.sign_async(&bytes).await;
                apply(&mut self.request, signed.map_err(failed(UNSIGNED))?)?;
            }
        }
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
