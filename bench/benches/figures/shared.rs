//! A shared store on a Redis server of this machine: how long calls and revocations take.

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aims::guard::Dpop;
use aims::jose::time::{Skew, UnixTime};
use aims::redis::SharedStore;
use aims::revoked::RevokedBy;
use aims_bench::world::{ISSUER, World};

use super::{Effort, Figure};

/// A server that ends with its value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(port: u16) -> Option<Server> {
    let port = port.to_string();
    let mut command = Command::new("redis-server");
    let command = command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
    let command = command.args(["--appendonly", "no", "--daemonize", "no"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.ok().map(Server)
}

async fn connect(port: u16) -> Result<SharedStore, Box<dyn Error>> {
    let mut tries = 0;
    loop {
        let store = SharedStore::builder(&format!("redis://127.0.0.1:{port}"))?;
        match store.connect().await {
            Ok(store) => return Ok(store),
            Err(error) if tries > 100 => return Err(error.into()),
            Err(_starting) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn quantiles(name: &'static str, mut costs: Vec<Duration>) -> Figure {
    costs.sort_unstable();
    let at = |percent: usize| {
        let nth = costs.len().saturating_sub(1) * percent / 100;
        costs.get(nth).map_or(f64::NAN, |it| it.as_secs_f64() * 1e6)
    };
    Figure::of(name, format!("p50 {:.0} µs, p99 {:.0} µs", at(50), at(99)))
}

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build()?;
    runtime.block_on(measured(effort))
}

async fn measured(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let Some(_server) = start(port) else {
        return Ok(vec![Figure::of(
            "across Redis",
            "no redis-server here".to_owned(),
        )]);
    };
    let (one, two) = (connect(port).await?, connect(port).await?);
    // Proofs from before the store began are refused.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let world = World::new(UnixTime::now())?;
    let guard = world.guard().dpop(Dpop::new()).skew(Skew::from_secs(1)?);
    let guard = guard.shared_replay(one.replay()).build()?;
    let mut calls = Vec::new();
    for call in world.dpop_calls(effort.requests)? {
        let start = Instant::now();
        guard.admit(&call).await.map_err(|it| it.code())?;
        calls.push(start.elapsed());
    }
    let (own, other) = (one.revocations(), two.revocations());
    let mut seen = Vec::new();
    for number in 0..effort.requests {
        let session = format!("session-{number}");
        let issuer = ISSUER.to_owned();
        let start = Instant::now();
        let revoked = own.revoke(RevokedBy::Session { issuer, session }, world.now);
        revoked.await?;
        while other.list().len() <= number {
            tokio::task::yield_now().await;
        }
        seen.push(start.elapsed());
    }
    Ok(vec![
        quantiles("a call with DPoP, spent across Redis", calls),
        quantiles("a revocation, seen across Redis", seen),
    ])
}
