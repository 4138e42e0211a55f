//! The provider in pure Rust.

use zeroize::Zeroizing;

use super::{PreparedKey, PrivateKey, Provider, PublicKey, unsupported};
use crate::Error;
use crate::alg::Algorithm;

#[derive(Debug)]
pub(super) struct RustCrypto;

impl Provider for RustCrypto {
    fn name(&self) -> &'static str {
        "rustcrypto"
    }

    fn supports(&self, algorithm: Algorithm) -> bool {
        algorithm != Algorithm::Es512
    }

    fn prepare(
        &self,
        algorithm: Algorithm,
        _key: &PublicKey,
    ) -> Result<Box<dyn PreparedKey>, Error> {
        Err(unsupported(self, algorithm))
    }

    fn load(&self, algorithm: Algorithm, _pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, Error> {
        Err(unsupported(self, algorithm))
    }

    fn generate_rsa(&self, _bits: u16) -> Result<Zeroizing<Vec<u8>>, Error> {
        Err(Error::Generate)
    }
}
