//! Certificates of clients, as a guard takes them.

use aims_error::ErrorKind;
use aims_oauth_wire::certificate::PeerCertificate;
pub use aims_oauth_wire::certificate::{CertificateField, ClientCertificates, Peer};
use http::request::Parts;

use super::refused::Refused;
use crate::refusal::ErrorResponse;

/// Returns the certificate of the client. Refuses fields that do not come from the proxy.
pub(super) fn read(
    certificates: &ClientCertificates,
    request: &Parts,
) -> Result<Option<PeerCertificate>, Refused> {
    let read = certificates.read(&request.headers, &request.extensions);
    read.map_err(|error| {
        Refused::new(
            "guard.certificate_field",
            ErrorKind::Malformed,
            ErrorResponse::Problem("a header field with a client certificate is not accepted here"),
            error.to_string(),
        )
    })
}
