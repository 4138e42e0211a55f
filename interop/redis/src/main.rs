//! Tests two servers of one tool that share a Redis server, and the faults of that server.
//!
//!     interop/run redis
//!
//! It starts this program as `aims-interop-redis REDIS-SERVER`. The program starts and ends Redis
//! itself, and ends with an error if a row is red.

#![expect(clippy::print_stdout, reason = "it is a program that prints a table")]

mod server;
#[expect(dead_code, reason = "the suite of OAuth counts rows in more ways")]
#[path = "../../oauth/src/table.rs"]
mod table;
mod tokens;
mod world;

use std::time::{Duration, Instant};

use aims::jose::time::UnixTime;
use aims::redis::{Error, SharedStore, SharedStoreBuilder};
use aims::revoked::RevokedBy;
use server::{PASSWORD, Server};
use table::Table;
use world::{Agent, Call, ISSUER, Tool, World};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let program = std::env::args().nth(1);
    let program = program.ok_or("usage: aims-interop-redis REDIS-SERVER")?;
    let mut suite = Suite::start(&program).await?;
    suite.shares().await?;
    suite.revokes().await?;
    suite.loses_a_message().await?;
    suite.restarts().await?;
    suite.is_flushed().await?;
    suite.is_flushed_with_many_servers().await?;
    suite.stops().await?;
    suite.evicts().await?;
    suite.is_full().await?;
    suite.refuses_logins().await?;
    tokens::run(&mut suite.redis, &mut suite.table).await?;
    suite.table.end()
}

/// Two servers of the tool, and what they have accepted so far.
struct Suite {
    world: World,
    redis: Server,
    one: Tool,
    two: Tool,
    agent: Agent,
    /// An agent that is revoked.
    revoked: Agent,
    /// Every proof that one of the tools has accepted.
    captured: Vec<Call>,
    table: Table,
}

/// The answers to fresh calls of each kind while they may be older than the store.
const BEFORE_START: &str = "replay.before_start replay.before_start replay.before_start";

fn builder(redis: &Server, password: &str) -> Result<SharedStoreBuilder, Error> {
    let store = SharedStore::builder(&redis.url(password))?;
    Ok(store
        .timeout(Duration::from_millis(300))
        .connect_timeout(Duration::from_millis(500))
        .lease(Duration::from_secs(2)))
}

fn code(error: Option<&Error>) -> &'static str {
    error.map_or("ok", Error::code)
}

impl Suite {
    async fn start(program: &str) -> Result<Self, Failure> {
        let redis = Server::start(program, &["--enable-debug-command", "local"]).await?;
        let world = World::new()?;
        let one = world.tool(builder(&redis, PASSWORD)?.connect().await?)?;
        let two = world.tool(builder(&redis, PASSWORD)?.connect().await?)?;
        Ok(Self {
            agent: world.agent("ada")?,
            revoked: world.agent("eve")?,
            world,
            redis,
            one,
            two,
            captured: Vec::new(),
            table: Table::new("redis"),
        })
    }

    /// Sends fresh calls until all of them are accepted, and says how the first ones were answered.
    async fn works_again(&mut self, step: &str, first: &str) -> Result<(), Failure> {
        let began = Instant::now();
        let mut seen = String::new();
        loop {
            let mut answers = Vec::new();
            for call in self.agent.calls()? {
                let answer = self.one.answer(&call).await;
                if answer == "ok" {
                    self.captured.push(call);
                }
                answers.push(answer);
            }
            if seen.is_empty() {
                seen = answers.join(" ");
            }
            if answers.iter().all(|it| *it == "ok") {
                break;
            }
            if began.elapsed() > Duration::from_secs(15) {
                seen = format!("never again: {}", answers.join(" "));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let took = began.elapsed().as_secs_f64();
        let seen = if took < 0.2 {
            seen
        } else {
            format!("{seen} (for {took:.1} s)")
        };
        self.table.row(step, first, &seen);
        Ok(())
    }

    /// Sends everything again that was ever accepted, to both tools. Nothing is accepted.
    async fn replays(&mut self, step: &str) {
        let mut accepted = 0;
        for tool in [&self.one, &self.two] {
            for call in &self.captured {
                accepted += usize::from(tool.answer(call).await == "ok");
            }
        }
        let count = self.captured.len();
        let seen = format!("{accepted} of {count} accepted again");
        self.table.row(step, "0 of", &seen);
    }

    /// Calls of the revoked agent are refused by these tools.
    async fn stays_revoked(&mut self, step: &str) -> Result<(), Failure> {
        // A third server, which has seen nothing of what was before.
        let third = builder(&self.redis, PASSWORD)?.connect().await?;
        let third = self.world.tool(third)?;
        let mut seen = Vec::new();
        for tool in [&self.one, &self.two, &third] {
            seen.push(tool.answer(&self.revoked.wpt()?).await);
        }
        self.table
            .row(step, "wit.revoked wit.revoked wit.revoked", &seen.join(" "));
        Ok(())
    }

    async fn shares(&mut self) -> Result<(), Failure> {
        self.table.part("two tools share a store that begins");
        self.works_again("a proof that may be older than the store", BEFORE_START)
            .await?;
        let call = self.agent.wpt()?;
        let seen = [
            self.one.answer(&call).await,
            self.two.answer(&call).await,
            self.one.answer(&call).await,
        ];
        self.table.row(
            "a WPT, then the same at the other, and again",
            "ok replay.replayed replay.replayed",
            &seen.join(" "),
        );
        for (name, call) in [
            ("an HTTP signature", self.agent.signature()?),
            ("a DPoP proof", self.agent.dpop()?),
        ] {
            let seen = [self.two.answer(&call).await, self.one.answer(&call).await];
            self.table.row(name, "ok replay.replayed", &seen.join(" "));
            self.captured.push(call);
        }
        let call = self.agent.wpt()?;
        let mut tasks = Vec::new();
        for _ in 0..32 {
            tasks.push(self.one.answer(&call));
            tasks.push(self.two.answer(&call));
        }
        let mut accepted = 0;
        for answer in join(tasks).await {
            accepted += usize::from(answer == "ok");
        }
        self.table.row(
            "64 at once with one proof",
            "1 accepted",
            &format!("{accepted} accepted"),
        );
        self.captured.push(call);
        self.replays("everything again").await;
        Ok(())
    }

    async fn revokes(&mut self) -> Result<(), Failure> {
        self.table.part("a revocation, seen by the other");
        let seen = self.two.answer(&self.revoked.wpt()?).await;
        self.table.row("before", "ok", seen);
        let by = RevokedBy::Agent(self.revoked.id.clone());
        let done = self
            .one
            .store
            .revocations()
            .revoke(by, UnixTime::now())
            .await;
        let seen = self.one.answer(&self.revoked.wpt()?).await;
        let seen = format!("{} {seen}", code(done.as_ref().err()));
        self.table
            .row("at once on the tool that revokes", "ok wit.revoked", &seen);
        let (seen, took) = self.until_revoked(&self.two).await?;
        self.table.row(
            "on the other",
            "wit.revoked",
            &format!("{seen} (after {took:?})"),
        );
        self.stays_revoked("on all, and on a new one").await
    }

    /// Asks a tool until it refuses the revoked agent, for at most five seconds.
    async fn until_revoked(&self, tool: &Tool) -> Result<(&'static str, Duration), Failure> {
        let began = Instant::now();
        loop {
            let seen = tool.answer(&self.revoked.wpt()?).await;
            if seen == "wit.revoked" || began.elapsed() > Duration::from_secs(5) {
                return Ok((seen, began.elapsed()));
            }
        }
    }

    async fn loses_a_message(&mut self) -> Result<(), Failure> {
        self.table.part("a lost message");
        self.revoked = self.world.agent("mallory")?;
        // The entry without the message.
        let (id, now) = (
            self.revoked.id.to_string(),
            UnixTime::now().as_secs().to_string(),
        );
        let entry = [
            "XADD",
            "{aims}:revocations",
            "*",
            "by",
            "agent",
            "name",
            &id,
            "until",
            &now,
        ];
        self.redis.tell(&entry).await?;
        // Each tool reads by itself.
        for tool in [&self.two, &self.one] {
            let (seen, took) = self.until_revoked(tool).await?;
            let within = if took < Duration::from_secs(2) {
                "in time"
            } else {
                "late"
            };
            self.table.row(
                "seen within the second of the next reading",
                "wit.revoked in time",
                &format!("{seen} {within}"),
            );
        }
        self.stays_revoked("on all, and on a new one").await
    }

    async fn restarts(&mut self) -> Result<(), Failure> {
        self.table.part("SHUTDOWN NOSAVE, and a new start");
        self.works_again("before", "ok ok ok").await?;
        self.redis.end().await?;
        let seen = self.one.answer(&self.agent.wpt()?).await;
        self.table
            .row("a fresh proof while it is down", "replay.unavailable", seen);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let seen = self.one.answer(&self.agent.wpt()?).await;
        self.table.row(
            "a fresh proof when the lease has ended",
            "guard.revocations_stale",
            seen,
        );
        self.replays("everything again, while it is down").await;
        let by = RevokedBy::Client {
            issuer: ISSUER.to_owned(),
            client: "c1".to_owned(),
        };
        let done = self
            .one
            .store
            .revocations()
            .revoke(by, UnixTime::now())
            .await;
        self.table.row(
            "a revocation while it is down",
            "redis.unavailable",
            code(done.as_ref().err()),
        );
        self.redis.run().await?;
        self.connected().await;
        self.replays("everything again, when it is back").await;
        let undated = self.agent.undated()?;
        let seen = self.one.answer(&undated).await;
        self.table
            .row("a WPT without `iat`", "replay.before_start", seen);
        self.works_again("fresh proofs", BEFORE_START).await?;
        self.replays("everything again, later").await;
        let length = self.redis.tell(&["XLEN", "{aims}:revocations"]).await?;
        let length = matches!(length, redis::Value::Int(3..));
        self.table.row(
            "the stream has the revocations again, also the late one",
            "true",
            &length.to_string(),
        );
        self.stays_revoked("the revocations hold, also on a new tool")
            .await
    }

    /// Waits until both tools are ready.
    async fn connected(&self) {
        for _ in 0..200 {
            if self.one.store.is_ready() && self.two.store.is_ready() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_flushed(&mut self) -> Result<(), Failure> {
        self.table.part("FLUSHALL");
        self.works_again("before", "ok ok ok").await?;
        self.redis.tell(&["FLUSHALL"]).await?;
        self.replays("everything again, at once").await;
        self.connected().await;
        self.works_again("fresh proofs", BEFORE_START).await?;
        self.replays("everything again, later").await;
        self.stays_revoked("the revocations hold, also on a new tool")
            .await
    }

    /// After a loss, each of many servers adds what it knows. Nothing else is revoked by that, also
    /// when a further revocation makes room in the stream.
    async fn is_flushed_with_many_servers(&mut self) -> Result<(), Failure> {
        self.table
            .part("FLUSHALL with twelve servers, which remember 40 revocations at most");
        let small = || {
            Ok::<_, Error>(
                builder(&self.redis, PASSWORD)?
                    .prefix("many")
                    .revocations(40),
            )
        };
        let mut tools = Vec::new();
        for _ in 0..12 {
            tools.push(self.world.tool(small()?.connect().await?)?);
        }
        let revoke = |number: usize| {
            let by = RevokedBy::Client {
                issuer: ISSUER.to_owned(),
                client: format!("many-{number}"),
            };
            let revocations = tools
                .get(number % tools.len())
                .map(|it| it.store.revocations());
            async move {
                match revocations {
                    Some(all) => code(all.revoke(by, UnixTime::now()).await.err().as_ref()),
                    None => "no tool",
                }
            }
        };
        for number in 0..30 {
            if revoke(number).await != "ok" {
                return Err("a revocation was not confirmed".into());
            }
        }
        let known = |most: usize| {
            tools
                .iter()
                .all(|it| it.store.revocations().list().len() == most)
        };
        for _ in 0..200 {
            if known(30) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.table
            .row("known to all", "true", &known(30).to_string());
        self.redis.tell(&["FLUSHALL"]).await?;
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let length = self.redis.tell(&["XLEN", "{many}:revocations"]).await?;
            if matches!(length, redis::Value::Int(30..))
                && tools.iter().all(|it| it.store.is_ready())
            {
                break;
            }
        }
        let mut seen = Vec::new();
        for number in 30..33 {
            seen.push(revoke(number).await);
        }
        self.table
            .row("three more revocations", "ok ok ok", &seen.join(" "));
        let length = self.redis.tell(&["XLEN", "{many}:revocations"]).await?;
        let fits = matches!(length, redis::Value::Int(33..=40));
        self.table
            .row("entries in the stream: 33 to 40", "true", &fits.to_string());
        let fresh = self.world.tool(small()?.connect().await?)?;
        let count = fresh.store.revocations().list().len();
        self.table
            .row("revocations of a new server", "33", &count.to_string());
        let began = Instant::now();
        let mut seen = "";
        while began.elapsed() < Duration::from_secs(15) && seen != "ok" {
            tokio::time::sleep(Duration::from_millis(100)).await;
            seen = fresh.answer(&self.agent.wpt()?).await;
        }
        self.table.row("an agent that was not revoked", "ok", seen);
        self.connected().await;
        for _ in 0..150 {
            if self.one.answer(&self.agent.wpt()?).await == "ok" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.works_again("the other tools", "ok ok ok").await
    }

    async fn stops(&mut self) -> Result<(), Failure> {
        self.table.part("SIGSTOP");
        self.works_again("before", "ok ok ok").await?;
        self.redis.signal("STOP")?;
        let unknown = self.agent.wpt()?;
        let began = Instant::now();
        let seen = self.one.answer(&unknown).await;
        let in_time = if began.elapsed() < Duration::from_secs(1) {
            "in time"
        } else {
            "late"
        };
        self.table.row(
            "a fresh proof: refused when the time is over",
            "replay.unavailable in time",
            &format!("{seen} {in_time}"),
        );
        for _ in 0..3 {
            self.one.answer(&self.agent.wpt()?).await;
        }
        let began = Instant::now();
        self.one.answer(&self.agent.wpt()?).await;
        let at_once = if began.elapsed() < Duration::from_millis(100) {
            "at once"
        } else {
            "late"
        };
        self.table
            .row("the circuit is open: refused", "at once", at_once);
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.replays("everything again").await;
        let seen = self.two.answer(&self.agent.wpt()?).await;
        self.table.row(
            "the other tool, when the lease has ended",
            "guard.revocations_stale",
            seen,
        );
        self.redis.signal("CONT")?;
        self.connected().await;
        let seen = self.two.answer(&unknown).await;
        self.table.row(
            "the proof whose outcome was unknown counts as used",
            "replay.replayed",
            seen,
        );
        self.works_again("fresh proofs", "ok ok ok").await?;
        self.replays("everything again, when it goes on").await;
        self.stays_revoked("the revocations hold").await
    }

    async fn evicts(&mut self) -> Result<(), Failure> {
        self.table.part("maxmemory-policy");
        self.redis
            .tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
            .await?;
        let refused = builder(&self.redis, PASSWORD)?.connect().await.err();
        self.table.row(
            "a server that evicts is refused at connect",
            "redis.eviction",
            code(refused.as_ref()),
        );
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let seen = self.one.answer(&self.agent.wpt()?).await;
        self.table
            .row("and given up within a second", "replay.unavailable", seen);
        self.redis
            .tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
            .await?;
        self.connected().await;
        self.works_again("when it evicts no longer", "ok ok ok")
            .await?;
        self.replays("everything again").await;
        Ok(())
    }

    async fn is_full(&mut self) -> Result<(), Failure> {
        self.table.part("full memory");
        self.redis
            .tell(&["CONFIG", "SET", "maxmemory", "1mb"])
            .await?;
        let seen = self.one.answer(&self.agent.wpt()?).await;
        self.table.row("a fresh proof", "replay.full", seen);
        self.replays("everything again").await;
        let by = RevokedBy::Agent(self.agent.id.clone());
        let until = UnixTime::now().as_secs() - 100;
        let until = aims::jose::time::at(until);
        let done = self.one.store.revocations().revoke(by, until).await;
        self.table.row(
            "a revocation",
            "redis.unavailable",
            code(done.as_ref().err()),
        );
        self.redis
            .tell(&["CONFIG", "SET", "maxmemory", "0"])
            .await?;
        self.works_again("when there is room", "ok ok ok").await?;
        self.replays("everything again, later").await;
        let list = || {
            self.two.store.revocations().list().len() == self.one.store.revocations().list().len()
        };
        for _ in 0..100 {
            if list() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.table.row(
            "the revocation has reached the other",
            "true",
            &list().to_string(),
        );
        self.stays_revoked("the revocations hold").await
    }

    async fn refuses_logins(&mut self) -> Result<(), Failure> {
        self.table.part("wrong password");
        let refused = builder(&self.redis, "another")?.connect().await.err();
        self.table
            .row("at connect", "redis.login", code(refused.as_ref()));
        self.redis
            .tell(&["CONFIG", "SET", "requirepass", "changed"])
            .await?;
        let mut client = redis::cmd("CLIENT");
        client.arg("KILL").arg("TYPE").arg("normal");
        let other = redis::Client::open(self.redis.url("changed"))?;
        let mut other = other.get_multiplexed_async_connection().await?;
        let _killed: redis::Value = client.query_async(&mut other).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let seen = self.one.answer(&self.agent.wpt()?).await;
        self.table.row(
            "a fresh proof, when the password has changed",
            "replay.unavailable",
            seen,
        );
        self.replays("everything again").await;
        let mut back = redis::cmd("CONFIG");
        back.arg("SET").arg("requirepass").arg(PASSWORD);
        let _done: redis::Value = back.query_async(&mut other).await?;
        self.connected().await;
        self.works_again("when it is right again", "ok ok ok")
            .await?;
        self.replays("everything again, later").await;
        self.stays_revoked("the revocations hold").await
    }
}

/// Waits for all futures, which make progress together.
async fn join<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures
        .into_iter()
        .map(|it| (Some(Box::pin(it)), None))
        .collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, result) in &mut waiting {
            if let Some(pending) = future {
                match pending.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => {
                        *result = Some(value);
                        *future = None;
                    }
                    std::task::Poll::Pending => all = false,
                }
            }
        }
        if all {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect()
}
