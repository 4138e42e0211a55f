//! Faults by which the server loses entries.

use std::time::{Duration, Instant};

use aims::jose::time::UnixTime;
use aims::redis::Error;
use aims::revoked::RevokedBy;

use crate::Failure;
use crate::server::PASSWORD;
use crate::suite::{BEFORE_START, Suite, builder, code};
use crate::world::ISSUER;

impl Suite {
    pub(crate) async fn restarts(&mut self) -> Result<(), Failure> {
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

    pub(crate) async fn is_flushed(&mut self) -> Result<(), Failure> {
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
    pub(crate) async fn is_flushed_with_many_servers(&mut self) -> Result<(), Failure> {
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
}
