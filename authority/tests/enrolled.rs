//! The identities of an enrolled agent: the bootstrap secret once, then its own WIT.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims_authority::{Authority, Enrolment};
use aims_fetch::{Fetch, FetchFuture};
use aims_jose::Chain;
use aims_jose::provider::AWS_LC;
use aims_jose::random;
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, UnixTime};
use aims_wimse_cred::Identity;
use aims_wimse_cred::enrolment::{self, Enrolled, EnrolmentProof, IdentityClient};
use aims_wimse_cred::source::{Issue as _, RenewingSource};
use http::{Request, Response};
use serde_json::Value;

const BASE: &str = "http://127.0.0.1:8080";
const NOW: u64 = 1_800_000_000;

/// Authority and agent with one clock, which the test moves.
#[derive(Debug)]
struct World {
    authority: Authority,
    now: AtomicU64,
    /// The sent requests: the values of their fields, and the body.
    sent: Mutex<Vec<String>>,
    /// Whether responses with a credential get lost.
    losing: AtomicBool,
}

impl Clock for World {
    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.now.load(Ordering::SeqCst)))
    }
}

impl Fetch for World {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        // `Debug` would leave out sensitive values.
        let values = request.headers().values();
        let mut text: String = values.map(|value| value.to_str().unwrap()).collect();
        text.push_str(std::str::from_utf8(request.body()).unwrap());
        self.sent.lock().unwrap().push(text);
        let answer: Response<Vec<u8>> = self.authority.handle(&request, None, self.now());
        let lost = self.losing.load(Ordering::SeqCst) && request.uri().path() == "/identity/wit";
        let answer = if lost {
            Err(aims_fetch::Error::Timeout)
        } else {
            Ok(answer)
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Returns the key that the WIT of an identity confirms.
fn key_of(identity: &Identity) -> Value {
    let payload = identity.wit().expose().split('.').nth(1).unwrap();
    let claims: Value =
        serde_json::from_slice(&aims_jose::base64url::decode(payload).unwrap()).unwrap();
    claims["cnf"]["jwk"].clone()
}

impl World {
    /// Returns the number of requests that contained this secret.
    fn shown(&self, secret: &SecretText) -> usize {
        let sent = self.sent.lock().unwrap();
        let with_it = sent.iter().filter(|text| text.contains(secret.expose()));
        with_it.count()
    }
}

fn world(enrolment: impl FnOnce(Enrolment) -> Enrolment) -> (Arc<World>, Enrolled, SecretText) {
    let token = Enrolment::random_token(random::SYSTEM).unwrap();
    let id = "spiffe://example.org/agent".parse().unwrap();
    let start = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let authority = Authority::builder(BASE, AWS_LC)
        .trust_domain("example.org")
        .enrol(enrolment(Enrolment::by_token(id, &token).unwrap()))
        .build(start)
        .unwrap();
    let world = Arc::new(World {
        authority,
        now: AtomicU64::new(NOW),
        sent: Mutex::default(),
        losing: AtomicBool::new(false),
    });
    let client = IdentityClient::new(BASE).unwrap();
    let proof = EnrolmentProof::Token(token.clone());
    let enrolled = Enrolled::new(client, proof, world.clone(), AWS_LC);
    let enrolled = enrolled.with_clock(world.clone());
    (world, enrolled, token)
}

#[tokio::test]
async fn each_identity_has_a_new_key_and_the_bootstrap_secret_is_shown_once() {
    let (world, enrolled, token) = world(|single_use| single_use);
    let first = enrolled.issue().await.unwrap();
    assert_eq!(first.id().as_str(), "spiffe://example.org/agent");
    assert_eq!(first.expires().as_secs(), NOW + 3_600);
    assert_eq!((world.shown(&token), world.shown(first.wit())), (1, 0));

    world.now.store(NOW + 2_400, Ordering::SeqCst);
    let second = enrolled.issue().await.unwrap();
    assert_eq!(second.expires().as_secs(), NOW + 6_000);
    assert_ne!(key_of(&second), key_of(&first));
    assert_eq!((world.shown(&token), world.shown(first.wit())), (1, 1));
}

/// WIT-08: an agent that slept too long has no valid WIT, so it presents the token again. The
/// authority decides whether to accept it.
#[tokio::test]
async fn after_the_wit_has_expired_the_bootstrap_secret_is_shown_again() {
    for reusable in [false, true] {
        let (world, enrolled, token) = world(|single_use| {
            if reusable {
                single_use.reusable()
            } else {
                single_use
            }
        });
        let first = enrolled.issue().await.unwrap();
        world.now.store(NOW + 3_600, Ordering::SeqCst);
        let again = enrolled.issue().await;
        assert_eq!((world.shown(&token), world.shown(first.wit())), (2, 0));
        match again {
            Ok(again) => assert!(reusable && again.id() == first.id()),
            Err(refused) => {
                let refused = refused.downcast_ref::<enrolment::Error>().unwrap();
                assert!(!reusable && refused.code() == "client.refused");
            }
        }
    }
}

/// The error names the identity server that refused, and the reason.
#[tokio::test]
async fn a_refusal_names_the_identity_server() {
    let (_world, enrolled, _token) = world(|single_use| single_use);
    enrolled.issue().await.unwrap();
    let again = world(|single_use| single_use);
    let wrong = EnrolmentProof::Token(Enrolment::random_token(random::SYSTEM).unwrap());
    let client = IdentityClient::new(BASE).unwrap();
    let enrolled = Enrolled::new(client, wrong, again.0.clone(), AWS_LC);
    let enrolled = enrolled.with_clock(again.0.clone());
    let refused = RenewingSource::builder(enrolled).start().await.unwrap_err();
    let told = Chain(&refused).to_string();
    assert_eq!(
        told,
        format!(
            "the issuer gave no credential: asked `{BASE}`: the identity server answered 403 with \
             the code `identity.refused`"
        )
    );
    // A program finds the server's answer as the source, to suggest a remedy.
    let aims_wimse_cred::Error::SourceUnavailable(asked) = refused else {
        panic!("{refused:?}");
    };
    let answer = asked
        .source()
        .and_then(<dyn std::error::Error>::downcast_ref);
    assert!(
        matches!(answer, Some(enrolment::Error::Refused { status: 403, .. })),
        "{answer:?}"
    );
}

/// F-02: a renewal whose response got lost is not used: the next one presents the WIT that the
/// agent has.
#[tokio::test]
async fn a_lost_answer_costs_one_renewal() {
    let (world, enrolled, token) = world(|single_use| single_use);
    let first = enrolled.issue().await.unwrap();
    world.now.store(NOW + 2_400, Ordering::SeqCst);
    world.losing.store(true, Ordering::SeqCst);
    let lost = enrolled.issue().await.unwrap_err();
    assert_eq!(
        lost.downcast_ref::<aims_fetch::Error>().unwrap().code(),
        "fetch.timeout"
    );
    world.losing.store(false, Ordering::SeqCst);
    let second = enrolled.issue().await.unwrap();
    assert_eq!(second.expires().as_secs(), NOW + 6_000);
    assert_eq!((world.shown(&token), world.shown(first.wit())), (1, 2));
}
