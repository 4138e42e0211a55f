//! Two servers of a tool, their agents, and the rows that each fault needs.

use std::time::{Duration, Instant};

use aims::redis::{Error, SharedStore, SharedStoreBuilder};

use crate::Failure;
use crate::server::{PASSWORD, Server};
use crate::table::Table;
use crate::world::{Agent, Call, Tool, World};

/// Two servers of the tool, and what they have accepted so far.
pub(crate) struct Suite {
    pub(crate) world: World,
    pub(crate) redis: Server,
    pub(crate) one: Tool,
    pub(crate) two: Tool,
    pub(crate) agent: Agent,
    /// An agent that is revoked.
    pub(crate) revoked: Agent,
    /// Every proof that one of the tools has accepted.
    pub(crate) captured: Vec<Call>,
    pub(crate) table: Table,
}

/// The answers to fresh calls of each kind while they may be older than the store.
pub(crate) const BEFORE_START: &str = "replay.before_start replay.before_start replay.before_start";

pub(crate) fn builder(redis: &Server, password: &str) -> Result<SharedStoreBuilder, Error> {
    let store = SharedStore::builder(&redis.url(password))?;
    Ok(store
        .timeout(Duration::from_millis(300))
        .connect_timeout(Duration::from_millis(500))
        .lease(Duration::from_secs(2)))
}

pub(crate) fn code(error: Option<&Error>) -> &'static str {
    error.map_or("ok", Error::code)
}

impl Suite {
    pub(crate) async fn start(program: &str) -> Result<Self, Failure> {
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
    pub(crate) async fn works_again(&mut self, step: &str, first: &str) -> Result<(), Failure> {
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
    pub(crate) async fn replays(&mut self, step: &str) {
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
    pub(crate) async fn stays_revoked(&mut self, step: &str) -> Result<(), Failure> {
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

    /// Asks a tool until it refuses the revoked agent, for at most five seconds.
    pub(crate) async fn until_revoked(
        &self,
        tool: &Tool,
    ) -> Result<(&'static str, Duration), Failure> {
        let began = Instant::now();
        loop {
            let seen = tool.answer(&self.revoked.wpt()?).await;
            if seen == "wit.revoked" || began.elapsed() > Duration::from_secs(5) {
                return Ok((seen, began.elapsed()));
            }
        }
    }

    /// Waits until both tools are ready.
    pub(crate) async fn connected(&self) {
        for _ in 0..200 {
            if self.one.store.is_ready() && self.two.store.is_ready() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
