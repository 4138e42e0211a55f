//! The proofs of possession of `aims token verify`: `--dpop` and `--certificate`.

use std::path::Path;

use aims_jose::digest::Hashed;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, BindingFailure, Confirmation, Error, ProvenKey};
use aims_oauth_wire::certificate::PeerCertificate;
use aims_oauth_wire::confirmation::Satisfied;
use aims_oauth_wire::dpop::{self, Binding, DpopRules, UnverifiedProof};
use zeroize::Zeroizing;

use crate::args::VerifyToken;
use crate::failure::Failure;
use crate::input::Inputs;

/// The files of the options.
pub(super) struct Proofs {
    dpop: Option<Zeroizing<String>>,
    certificate: Option<PeerCertificate>,
}

impl Proofs {
    pub(super) fn read(verify: &VerifyToken, inputs: &mut Inputs) -> Result<Self, Failure> {
        let dpop = verify.dpop.as_ref().map(|path| inputs.token(path));
        let certificate = verify.certificate.as_ref().map(|path| {
            let pem = inputs.text(path)?;
            PeerCertificate::from_pem(&pem).map_err(|error| Failure::from(error).of(path))
        });
        Ok(Self {
            dpop: dpop.transpose()?,
            certificate: certificate.transpose()?,
        })
    }

    /// Checks the proofs. Returns whether they prove all that the token is bound to.
    pub(super) fn check(
        &self,
        token: &AccessToken,
        text: &str,
        verify: &VerifyToken,
        now: UnixTime,
    ) -> Result<bool, Failure> {
        let mut proven = Vec::new();
        let is_bound = |method: &str| {
            let mut members = token.confirmations().iter();
            members.any(|it| it.method() == method)
        };
        if let (Some(proof), Some(path)) = (&self.dpop, &verify.dpop) {
            if !is_bound("jkt") {
                return Err(not_bound(BindingFailure::SentAsDpop, &verify.file));
            }
            let key = verify_dpop(proof, token, text, verify, now);
            proven.push(key.map_err(|failure| failure.of(path))?);
        }
        if let Some(certificate) = &self.certificate {
            if !is_bound("x5t#S256") {
                return Err(not_bound(BindingFailure::NoConfirmation, &verify.file));
            }
            proven.push(ProvenKey::Certificate(*certificate.thumbprint()));
        }
        let mut all = token.is_bound();
        for member in token.confirmations() {
            let method = member.method();
            match member.compare(&proven) {
                Satisfied::Yes => {}
                Satisfied::NoProof => all = false,
                Satisfied::OtherKey => {
                    return Err(not_bound(BindingFailure::OtherKey { method }, &verify.file));
                }
            }
        }
        Ok(all)
    }
}

fn not_bound(why: BindingFailure, token: &Path) -> Failure {
    Failure::from(Error::NotBound(why)).of(token)
}

/// Verifies a proof. It is not spent: a file does not say whether it was used before.
fn verify_dpop(
    proof: &str,
    token: &AccessToken,
    text: &str,
    verify: &VerifyToken,
    now: UnixTime,
) -> Result<ProvenKey, Failure> {
    let rules = DpopRules::new();
    let refused = |error: dpop::Error| Failure::from(error);
    let proof = UnverifiedProof::parse(proof, &rules).map_err(refused)?;
    let thumbprint = *proof.thumbprint();
    let proven = ProvenKey::Dpop(thumbprint);
    if !token
        .confirmations()
        .contains(&Confirmation::DpopJkt(thumbprint))
    {
        // The other key is reported with the token.
        return Ok(proven);
    }
    let method = verify.method.as_deref().unwrap_or_default();
    let uri = verify.uri.as_deref().unwrap_or_default();
    let token = Hashed::of(text);
    let mut binding = Binding::to(method, uri).access_token(&token);
    if let Some(nonce) = &verify.nonce {
        binding = binding.nonce(nonce);
    }
    let key = proof.key(AWS_LC).map_err(refused)?;
    let unspent = proof.verify(&key, &binding, &rules, now).map_err(refused)?;
    Ok(ProvenKey::Dpop(*unspent.thumbprint()))
}
