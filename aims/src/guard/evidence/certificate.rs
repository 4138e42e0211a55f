//! Certificates of clients (RFC 8705 §3).

use aims_oauth_rs::{AccessToken, Confirmation};
use aims_oauth_wire::certificate::PeerCertificate;

use super::UnspentProof;

/// Returns the certificate as a proof, if the token is bound to one. Whether it is the same, the
/// step *bind* compares.
pub(in crate::guard) fn proof_of(
    token: &AccessToken,
    certificate: Option<&PeerCertificate>,
) -> Option<UnspentProof> {
    let binds = |it: &Confirmation| match it {
        Confirmation::CertificateS256(_) => true,
        Confirmation::DpopJkt(_) | Confirmation::Jwk(_) => false,
    };
    let is_bound = token.confirmations().iter().any(binds);
    let certificate = certificate.filter(|_| is_bound);
    certificate.cloned().map(UnspentProof::Certificate)
}
