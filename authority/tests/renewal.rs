//! An agent whose identity renews itself from an authority, over loopback.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use aims_authority::{Authority, Enrolment, Server};
use aims_fetch::Fetcher;
use aims_jose::provider::AWS_LC;
use aims_jose::random;
use aims_jose::time::{Clock as _, SystemClock};
use aims_wimse_cred::enrolment::{Enrolled, EnrolmentProof, IdentityClient};
use aims_wimse_cred::source::RenewingSource;
use aims_wimse_cred::{Error, Identity, IdentitySource as _};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// In seconds. The test uses real sockets and real time.
const LIFETIME: u64 = 3;

fn current(source: &RenewingSource) -> Result<Arc<Identity>, Error> {
    source.identity(SystemClock::new().now())
}

fn claims(identity: &Identity) -> Value {
    let payload = identity.wit().expose().split('.').nth(1).unwrap();
    serde_json::from_slice(&aims_jose::base64url::decode(payload).unwrap()).unwrap()
}

/// F-02, WIT-08: the agent renews before the expiry, for a new key. While the authority is
/// unreachable, the identity stays until it expires.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_renews_itself_and_ends_without_its_authority() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let token = Enrolment::random_token(random::SYSTEM).unwrap();
    let enrolment = Enrolment::by_token("spiffe://example.org/agent".parse().unwrap(), &token)
        .unwrap()
        .with_lifetime(Duration::from_secs(LIFETIME));
    let authority = Authority::builder(&base, AWS_LC)
        .trust_domain("example.org")
        .enrol(enrolment)
        .build(SystemClock::new().now())
        .unwrap();
    let server = tokio::spawn(Server::new(authority).serve(listener));
    let fetcher = Fetcher::builder().allow_loopback_http().build().unwrap();
    let client = IdentityClient::new(&base).unwrap();
    let enrolled = Enrolled::new(
        client,
        EnrolmentProof::Token(token),
        Arc::new(fetcher),
        AWS_LC,
    );
    let source = RenewingSource::builder(enrolled).start().await.unwrap();

    let first = current(&source).unwrap();
    let renewed = async {
        loop {
            // There is always an identity while the authority is reachable.
            let identity = current(&source).unwrap();
            if !Arc::ptr_eq(&identity, &first) {
                break identity;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let renewed = timeout(Duration::from_secs(LIFETIME), renewed)
        .await
        .unwrap();
    assert!(SystemClock::new().now() < first.expires());
    assert!(renewed.expires() > first.expires());
    let (old, new) = (claims(&first), claims(&renewed));
    assert_eq!(new["sub"], old["sub"]);
    assert_ne!(new["cnf"]["jwk"]["x"], old["cnf"]["jwk"]["x"]);

    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let ended = loop {
        match current(&source) {
            Ok(kept) => assert!(Arc::ptr_eq(&kept, &renewed)),
            Err(ended) => break ended,
        }
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(ended.code(), "source.expired");
    assert!(SystemClock::new().now() >= renewed.expires());
}
