//! The key and the certificate that the tokens of a source are bound to.

use std::sync::{Arc, Mutex, PoisonError};

use aims_jose::jwk::Thumbprint;
use aims_oauth_wire::confirmation::CertificateThumbprint;

/// The key of a client's identity and its certificate, to which its tokens are bound.
pub(super) type Bound = (Option<Thumbprint>, Option<CertificateThumbprint>);

/// The last binding, which the tokens that have it share.
#[derive(Clone, Debug, Default)]
pub(super) struct LastBound(Arc<Mutex<Option<Arc<Bound>>>>);

impl LastBound {
    /// Returns the binding of a token, or `None` if it is bound to nothing.
    pub(super) fn share(&self, bound: Bound) -> Option<Arc<Bound>> {
        if bound == (None, None) {
            return None;
        }
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = last.take().filter(|it| **it == bound);
        Some(Arc::clone(
            last.insert(same.unwrap_or_else(|| Arc::new(bound))),
        ))
    }
}
