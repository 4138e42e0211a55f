//! Keys in a device or behind a network.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aims_jose::Algorithm;
use aims_jose::key::{AnySigner, AsyncSigner, SignFuture, Signer, SigningKey};
use aims_jose::secret::SecretText;
use aims_wimse_cred::{
    Bundle, FixedSource, Identity, IdentitySource as _, JwtSvid, JwtSvidIssuer, TrustStore,
    WitIssuer,
};
use aims_wimse_id::WorkloadId;
use common::{AGENT, NOW, at, claims, code, document, key, origin, sign, trust, verify};

const MINUTE: Duration = Duration::from_secs(60);

/// A key that answers at the second poll, or never.
struct Kms {
    key: SigningKey,
    broken: bool,
}

impl AsyncSigner for Kms {
    fn algorithm(&self) -> Algorithm {
        Signer::algorithm(&self.key)
    }

    fn key_id(&self) -> Option<&str> {
        Signer::key_id(&self.key)
    }

    fn sign_async<'a>(&'a self, message: &'a [u8]) -> SignFuture<'a> {
        Box::pin(async move {
            let mut asked = false;
            std::future::poll_fn(|context| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            if self.broken {
                return Err(aims_jose::Error::signer_unavailable("out of reach"));
            }
            self.key.sign(message)
        })
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

fn remote(key: &SigningKey, broken: bool) -> AnySigner {
    let key = key.clone();
    AnySigner::remote(Kms { key, broken })
}

#[test]
fn an_issuer_signs_with_a_remote_key() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let id = WorkloadId::parse(AGENT).unwrap();
    let issuer = |signer: AnySigner| WitIssuer::new(signer, None);
    let issue =
        |issuer: &WitIssuer| wait(issuer.issue_async(&id, agent.public_jwk(), MINUTE, at(NOW)));
    let wit = issue(&issuer(remote(&ca, false))).unwrap();
    assert_eq!(verify(wit.expose(), &trust(&[&ca])), "ok");
    assert_eq!(code(issue(&issuer(remote(&ca, true)))), "cred.sign");
    // A refused request does not reach the signer.
    let edwards = key(Algorithm::Ed25519, "ca");
    assert_eq!(code(issue(&issuer(remote(&edwards, true)))), "cred.issue");
    // The synchronous call does not wait for a remote signer; a local key signs in both ways.
    let now = |issuer: WitIssuer| issuer.issue(&id, agent.public_jwk(), MINUTE, at(NOW));
    let refused = now(issuer(remote(&ca, false)));
    assert!(
        refused
            .as_ref()
            .is_err_and(|error| error.to_string().contains("issue_async"))
    );
    assert_eq!(code(refused), "cred.issue");
    assert_eq!(
        code(issue(&WitIssuer::new(Arc::new(ca.clone()), None))),
        "ok"
    );
    assert_eq!(code(now(WitIssuer::new(Arc::new(ca), None))), "ok");
}

#[test]
fn jwt_svids_are_signed_with_a_remote_key() {
    let ca = key(Algorithm::Es256, "ca");
    let id = WorkloadId::parse(AGENT).unwrap();
    let issuer = JwtSvidIssuer::new(remote(&ca, false));
    let svid = wait(issuer.issue_async(&id, &["tool"], MINUTE, at(NOW))).unwrap();
    let bundle = document(&[&ca], "jwt-svid", 1);
    let bundle = Bundle::parse(
        &origin("spiffe://example.org"),
        bundle.as_bytes(),
        aims_jose::provider::AWS_LC,
    );
    let trust = TrustStore::of([bundle.unwrap()]).snapshot();
    assert_eq!(
        code(JwtSvid::verify(svid.expose(), &trust, "tool", at(NOW))),
        "ok"
    );
    assert_eq!(
        code(issuer.issue(&id, &["tool"], MINUTE, at(NOW))),
        "cred.issue"
    );
}

#[test]
fn an_identity_may_have_a_remote_key() {
    let (ca, agent) = (key(Algorithm::Es256, "ca"), key(Algorithm::Es256, "a"));
    let wit = || SecretText::new(sign("wit+jwt", &ca, &claims(&agent)));
    let identity = Identity::new(wit(), remote(&agent, false), agent.public_jwk()).unwrap();
    let source = FixedSource::new(identity);
    let identity = source.identity(at(NOW)).unwrap();
    assert!(identity.signer().local().is_none());
    assert_eq!(code(identity.local_signer()), "source.remote_signer");
    let signature = wait(identity.signer().sign_async(b"message")).unwrap();
    let verified = agent
        .verifying_key()
        .verify(Algorithm::Es256, b"message", signature.as_ref());
    assert!(verified.is_ok());
    let local: Arc<dyn Signer> = Arc::new(agent.clone());
    let local = Identity::new(wit(), local, agent.public_jwk()).unwrap();
    assert!(local.local_signer().is_ok());
    let signature = wait(local.signer().sign_async(b"message")).unwrap();
    assert_eq!(signature.as_ref().len(), 64);
    // The key is that of the WIT, and the algorithm differs.
    let other = key(Algorithm::Es384, "a");
    let mixed = Identity::new(wit(), remote(&other, false), agent.public_jwk());
    assert_eq!(code(mixed), "source.key");
    let mixed = Identity::new(wit(), remote(&agent, false), other.public_jwk());
    assert_eq!(code(mixed), "source.key");
}
