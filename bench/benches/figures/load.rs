//! The work of a server for one request: 64 connections, with the load from another process.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aims::Principal;
use aims::guard::Dpop;
use aims::jose::time::UnixTime;
use aims_bench::loopback::{BODY, send, serve};
use aims_bench::raw::{RawKey, Signed};
use aims_bench::world::{CALL, World};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use tokio::runtime::{Builder, Runtime};

use super::requests::whole;
use super::{Effort, Figure};

const CONNECTIONS: usize = 64;

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

async fn verifying(State(backend): State<Arc<Backend>>) -> &'static str {
    let next = backend.next.fetch_add(1, Ordering::Relaxed) % backend.proofs.len();
    let proof = backend.proofs.get(next);
    assert!(
        proof.is_some_and(|it| backend.key.verify(it)),
        "a good proof"
    );
    BODY
}

/// Sends the requests of a file to a server: the other process. Its arguments are the address and
/// the file, whose lines are requests in which a line end is written as `\n`.
pub(super) fn other_process(to: &str, file: &str) -> Result<ExitCode, Box<dyn Error>> {
    let requests = std::fs::read_to_string(file)?;
    let requests = requests
        .lines()
        .map(|it| it.replace("\\n", "\r\n").into_bytes());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send(to.parse()?, requests.collect(), CONNECTIONS))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the time that this thread has run, in user and system mode, in nanoseconds.
fn work() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().ok_or("no time")?;
    Ok(first.parse()?)
}

/// Has the other process send these requests, and returns the work for one of them.
fn measure(
    runtime: &Runtime,
    to: SocketAddr,
    file: &Path,
    requests: &[Vec<u8>],
) -> Result<f64, Box<dyn Error>> {
    let lines: Vec<String> = requests
        .iter()
        .map(|it| String::from_utf8_lossy(it).replace("\r\n", "\\n"))
        .collect();
    std::fs::write(file, lines.join("\n"))?;
    let before = work()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--send", &to.to_string()])
        .arg(file)
        .spawn()?;
    let status = runtime.block_on(async {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok::<_, std::io::Error>(status);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })?;
    let work = work()? - before;
    if !status.success() {
        return Err("the other process got another answer than 200".into());
    }
    Ok(work / f64::from(u32::try_from(requests.len())?))
}

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    if work().is_err() {
        let name = "guarded tool, 64 connections: work";
        return Ok(vec![Figure::of(name, "not measured here".to_owned())]);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let file = std::env::temp_dir().join(format!("aims-bench-{}", std::process::id()));
    let (mut plains, mut raws, mut guardeds, mut ratios) = (vec![], vec![], vec![], vec![]);
    for _ in 0..effort.rounds.div_ceil(20) {
        // New proofs for each round: they live a minute.
        let world = World::new(UnixTime::now())?;
        let guard = world.guard().dpop(Dpop::new()).build()?;
        let proofs = world.proofs(CALL, 500)?;
        let proofs = proofs.iter().map(|it| Signed::of(it));
        let backend = Arc::new(Backend {
            key: RawKey::of(&world.agent)?,
            proofs: proofs.collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
        });
        let calls = world.dpop_calls(effort.requests * 2 + CONNECTIONS)?;
        let requests: Vec<_> = calls.iter().map(whole).collect();
        let (first, rest) = requests.split_at(CONNECTIONS);
        let (unguarded, verified, tool) = runtime.block_on(async {
            let routes = Router::new().route("/mcp/call", post(plain));
            let between = Router::new().route("/mcp/call", post(verifying));
            let tool = Router::new().route("/mcp/call", post(guarded));
            Ok::<_, std::io::Error>((
                serve(routes).await?,
                serve(between.with_state(backend)).await?,
                serve(tool.layer(guard.layer())).await?,
            ))
        })?;
        // The token becomes known.
        measure(&runtime, tool, &file, first)?;
        let plain = measure(&runtime, unguarded, &file, rest)?;
        let raw = measure(&runtime, verified, &file, rest)?;
        let guarded = measure(&runtime, tool, &file, rest)?;
        plains.push(plain);
        raws.push(raw);
        guardeds.push(guarded);
        ratios.push(guarded / raw);
    }
    drop(std::fs::remove_file(&file));
    let median = |mut all: Vec<f64>| {
        all.sort_unstable_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Ok(vec![
        Figure::new("tool, 64 connections: work", median(plains)),
        Figure::new("the same and one raw verification", median(raws)),
        Figure::new("guarded tool, 64 connections: work", median(guardeds))
            .to("tool and raw verification", median(ratios))
            .at_most(1.1),
    ])
}
