//! Whole requests on loopback: a tool with a guard, and the same tool without it.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aims::Principal;
use aims::jose::time::UnixTime;
use aims::replay::ReplayCache;
use aims_bench::loopback::{BODY, send, serve};
use aims_bench::raw::{RawKey, Signed};
use aims_bench::sampler::{Case, Samples};
use aims_bench::world::{CALL, World};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::request::Parts;
use tokio::runtime::Builder;

use super::{Effort, Figure};

async fn guarded(_who: Principal) -> &'static str {
    BODY
}

async fn plain() -> &'static str {
    BODY
}

/// The state of a handler that verifies one proof after the other by the backend alone.
struct Backend {
    key: RawKey,
    proofs: Vec<Signed>,
    next: AtomicUsize,
}

impl Backend {
    fn verify(&self) -> bool {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.proofs.len();
        self.proofs
            .get(next)
            .is_some_and(|proof| self.key.verify(proof))
    }
}

async fn verifying(State(backend): State<Arc<Backend>>) -> &'static str {
    assert!(backend.verify(), "a good proof");
    BODY
}

/// Returns a request as bytes.
pub(super) fn whole(head: &Parts) -> Vec<u8> {
    let mut bytes = b"POST /mcp/call HTTP/1.1\r\ncontent-length: 0\r\n".to_vec();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Creates requests as bytes, each with an access token and a new HTTP signature.
fn requests(world: &World, count: usize) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    Ok(world.calls(count)?.iter().map(whole).collect())
}

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    // Client and tool run on one thread, so that the figures measure work and not the waking of
    // threads.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let world = World::new(UnixTime::now())?;
    let guard = world
        .guard()
        .replay(ReplayCache::in_memory(1_000_000))
        .build()?;
    let app = Router::new()
        .route("/mcp/call", post(guarded))
        .layer(guard.layer());
    let proofs = world.proofs(CALL, 500)?;
    let proofs = proofs.iter().map(|proof| Signed::of(proof));
    let backend = Arc::new(Backend {
        key: RawKey::of(&world.agent)?,
        proofs: proofs.collect::<Result<_, _>>()?,
        next: AtomicUsize::new(0),
    });
    let (with, without, between) = runtime.block_on(async {
        let without = Router::new().route("/mcp/call", post(plain));
        let between = Router::new().route("/mcp/call", post(verifying));
        let between = between.with_state(Arc::clone(&backend));
        Ok::<_, std::io::Error>((
            serve(app).await?,
            serve(without).await?,
            serve(between).await?,
        ))
    })?;
    let over = |to: SocketAddr, connections: usize| -> Case<'_> {
        let (world, runtime) = (&world, &runtime);
        Box::new(move |batch| {
            let requests = requests(world, batch).expect("proofs");
            runtime
                .block_on(send(to, requests, connections))
                .expect("all answered 200")
        })
    };
    let mut cases = vec![
        over(without, 1),
        over(with, 1),
        over(without, 16),
        over(with, 16),
        over(between, 1),
    ];
    let samples = Samples::take(&mut cases, effort.rounds.div_ceil(4), effort.requests);
    let per_second = |case| format!("{:.0} /s", 1e9 / samples.cost(case));
    let ratio =
        |of: usize, to: usize| samples.median(|costs| Some(costs.get(of)? / costs.get(to)?));
    let allowed = samples.median(|costs| {
        let (plain, guarded, verifying) = (costs.first()?, costs.get(1)?, costs.get(4)?);
        Some(guarded / (verifying + 0.1 * plain))
    });
    Ok(vec![
        Figure::of("tool, 1 connection", per_second(0)),
        Figure::of("tool that verifies by the backend alone", per_second(4)),
        Figure::of("guarded tool, 1 connection", per_second(1))
            .to("one verification and 10 % of a request", allowed)
            .at_most(1.0),
        Figure::of("guarded tool, 1 connection", per_second(1))
            .to("a tool that verifies by the backend alone", ratio(1, 4)),
        Figure::of("tool, 16 connections", per_second(2)),
        Figure::of("guarded tool, 16 connections", per_second(3))
            .to("time without a guard", ratio(3, 2)),
    ])
}
