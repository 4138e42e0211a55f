//! The entries that two servers share: proofs that were used, and revocations.

use std::time::Duration;

use aims::jose::time::UnixTime;
use aims::revoked::RevokedBy;

use crate::Failure;
use crate::suite::{BEFORE_START, Suite, code};

impl Suite {
    pub(crate) async fn shares(&mut self) -> Result<(), Failure> {
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

    pub(crate) async fn revokes(&mut self) -> Result<(), Failure> {
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

    pub(crate) async fn loses_a_message(&mut self) -> Result<(), Failure> {
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
