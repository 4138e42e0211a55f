//! DPoP in `admit`, in the layers, and with a shared memory of proofs.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aims::Principal;
use aims::guard::{Dpop, Guard};
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_wire::dpop::NonceIssuer;
use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};

use crate::common::{NOW, TOOL, at};
use crate::{Scene, answer, code};

const SECRET: &[u8; 32] = b"the secret of a tool's servers..";

#[derive(Debug)]
struct Then;

impl Clock for Then {
    fn now(&self) -> UnixTime {
        at(NOW)
    }
}

fn scene() -> Scene {
    let dpop = Dpop::new().requiring_nonces_under(SECRET);
    Scene::with(|guard| guard.dpop(dpop).clock(Then))
}

/// A call whose nonce is of this age.
fn call(scene: &Scene, age: u64) -> Parts {
    let thumbprint = scene.key.public_jwk().thumbprint();
    let nonce = NonceIssuer::new(TOOL, SECRET).issue(&thumbprint, at(NOW - age));
    scene.call_with(&json!({"nonce": nonce.as_str(), "jti": age.to_string()}))
}

async fn subject<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let who = request.extensions().get::<Principal>().unwrap();
    let told = Full::from(who.subject().to_owned());
    Ok(Response::builder().status(202).body(told).unwrap())
}

async fn through_layer(guard: &Guard, head: Parts) -> Response<()> {
    let service = guard.layer().layer(tower::service_fn(subject));
    let request = Request::from_parts(head, Full::<Bytes>::default());
    service.oneshot(request).await.unwrap().map(|_| ())
}

async fn through_head_layer(guard: &Guard, head: Parts) -> Response<()> {
    let service = guard.head_layer().layer(tower::service_fn(subject));
    let request = Request::from_parts(head, ());
    service.oneshot(request).await.unwrap().map(|_| ())
}

/// DPOP-23, RFC 9449 §8.2: both layers demand a nonce, accept it, and replace one that ends soon.
#[tokio::test]
async fn layers_demand_and_replace_nonces() {
    let scene = scene();
    for head_alone in [false, true] {
        let send = async |head: Parts| match head_alone {
            false => through_layer(&scene.guard, head).await,
            true => through_head_layer(&scene.guard, head).await,
        };
        let told = send(scene.call()).await;
        assert_eq!(told.status(), 401);
        assert!(told.headers().contains_key("dpop-nonce"));
        let age = u64::from(head_alone);
        let fresh = send(call(&scene, age)).await;
        assert_eq!(fresh.status(), 202);
        assert!(!fresh.headers().contains_key("dpop-nonce"));
        let old = send(call(&scene, 200 + age)).await;
        assert_eq!(old.status(), 202);
        assert_eq!(old.headers().get_all("dpop-nonce").iter().count(), 1);
        let again = send(call(&scene, 200 + age)).await;
        assert_eq!(again.status(), 401);
    }
}

/// A store on a second machine that remembers proofs.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Vec<[u8; 32]>>>);

impl Resolve for Shared {
    fn resolve(&self, need: Need) -> ResolveFuture<'_> {
        let Need::SharedReplay(proofs) = need else {
            return Box::pin(std::future::ready(Resolved::Unavailable));
        };
        let mut spent = self.0.lock().unwrap();
        let keys: Vec<_> = proofs.iter().map(|it| *it.key.as_bytes()).collect();
        let seen = keys.iter().any(|key| spent.contains(key));
        spent.extend(keys);
        let answer = match seen {
            true => Err(aims::replay::Error::Replayed),
            false => Ok(()),
        };
        Box::pin(std::future::ready(Resolved::Spent(answer)))
    }
}

/// A shared memory refuses a proof that another server has accepted, by the challenge of DPoP.
#[tokio::test]
async fn a_shared_memory_of_proofs_is_asked() {
    let (scene, shared) = (scene(), Shared::default());
    let server = || {
        let guard = scene.world.guard_by_default().clock(Then);
        let guard = guard.issuers(Arc::clone(&scene.world.issuers));
        let guard = guard.dpop(Dpop::new()).shared_replay(shared.clone());
        guard.build().unwrap()
    };
    let (one, other) = (server(), server());
    assert_eq!(code(one.admit(&scene.call()).await), "ok");
    let refusal = other.admit(&scene.call()).await.unwrap_err();
    let (code, status, challenges, _) = answer(refusal);
    assert_eq!((code, status), ("replay.replayed", 401));
    assert!(challenges[1].contains(r#"error="invalid_dpop_proof""#));
}
