//! Faults by which the server does not answer, or refuses.

use std::time::{Duration, Instant};

use aims::jose::time::UnixTime;
use aims::revoked::RevokedBy;

use crate::Failure;
use crate::server::PASSWORD;
use crate::suite::{Suite, builder, code};

impl Suite {
    pub(crate) async fn stops(&mut self) -> Result<(), Failure> {
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

    pub(crate) async fn evicts(&mut self) -> Result<(), Failure> {
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

    pub(crate) async fn is_full(&mut self) -> Result<(), Failure> {
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

    pub(crate) async fn refuses_logins(&mut self) -> Result<(), Failure> {
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
