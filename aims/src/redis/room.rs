//! Room in the stream of revocations.
//!
//! After a loss, every server adds the revocations that it knows. So the stream can have many times
//! as many entries as there are revocations. Entries that repeat another one are
//! removed first. If there are still too many, the oldest become one.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;

use aims_jose::time::{UnixTime, at};
use redis::Value;
use redis::aio::MultiplexedConnection;

use super::entry::{Entry, Placed};
use super::{Error, Shared};
use crate::revoked::RevokedBy;

/// The scope of a revocation, as fields of an entry.
type Scope = Vec<(&'static str, String)>;

/// The strongest entry of a scope.
struct Kept {
    until: UnixTime,
    id: String,
    /// Whether it revokes one credential, whenever that was issued.
    is_hash: bool,
}

/// The entries that say something that no other entry says.
#[derive(Default)]
struct Live {
    known: HashMap<Scope, Kept>,
    /// Entries of a later version, with what they revoke at most. Each stays.
    unknown: Vec<(UnixTime, String)>,
}

impl Live {
    /// Takes an entry. Returns the identifier of one that is superfluous now.
    ///
    /// Servers that do this at the same time remove no entry that the others rely on: each of two
    /// entries is either the stronger one for all servers or the weaker one.
    fn take(&mut self, placed: Placed, now: u64) -> Option<String> {
        let Placed {
            id,
            entry,
            is_known,
        } = placed;
        if !is_known {
            self.unknown.push((entry.until, id));
            return None;
        }
        if entry.is_over(now) {
            return Some(id);
        }
        let new = Kept {
            until: entry.until,
            id,
            is_hash: matches!(entry.by, RevokedBy::SignedHash { .. }),
        };
        match self.known.entry(entry.scope()) {
            // Pages come in the order of identifiers, so that the earlier of two equal ones stays.
            Place::Occupied(held) if held.get().until >= new.until => Some(new.id),
            Place::Occupied(mut held) => Some(held.insert(new).id),
            Place::Vacant(place) => {
                place.insert(new);
                None
            }
        }
    }

    /// Takes out the entries that the revocation of everything covers.
    fn take_covered(&mut self) -> Vec<String> {
        let everything = Entry::scope_of(&RevokedBy::Everything);
        let Some(all) = self.known.get(&everything).map(|it| it.until) else {
            return Vec::new();
        };
        let covered = self
            .known
            .extract_if(|scope, it| !it.is_hash && it.until <= all && *scope != everything);
        covered.map(|(_, it)| it.id).collect()
    }

    fn len(&self) -> usize {
        self.known.len().saturating_add(self.unknown.len())
    }

    /// Returns the older half, the oldest first.
    fn older_half(self) -> Vec<(UnixTime, String)> {
        let count = self.len() / 2;
        let known = self.known.into_values().map(|it| (it.until, it.id));
        let mut all: Vec<_> = known.chain(self.unknown).collect();
        all.sort_unstable();
        all.truncate(count);
        all
    }
}

/// Makes room in a stream that has more entries than the store permits.
pub(super) async fn make(shared: &Shared) -> Result<(), Error> {
    let open = shared.link.connection().ok_or(Error::Unavailable(None))?;
    let mut stream = Stream {
        shared,
        connection: open.connection,
    };
    let now = shared.clock.now().as_secs();
    let (mut live, mut last) = (Live::default(), "0-0".to_owned());
    loop {
        let page = stream.page(&last).await?;
        let count = page.len();
        let mut superfluous = Vec::new();
        for placed in page {
            last.clone_from(&placed.id);
            superfluous.extend(live.take(placed, now));
        }
        stream.remove(&superfluous).await?;
        if count < PAGE {
            break;
        }
    }
    let covered = live.take_covered();
    stream.remove(&covered).await?;
    if live.len() <= shared.capacity {
        return Ok(());
    }
    let oldest = live.older_half();
    let Some((until, _)) = oldest.last() else {
        return Ok(());
    };
    tracing::warn!(
        until = until.as_secs(),
        "the stream of revocations is full: everything that was issued until then is revoked"
    );
    let (by, until) = (RevokedBy::Everything, at(until.as_secs()));
    shared.list.revoke(by.clone(), until);
    stream.add(&Entry { by, until }).await?;
    let oldest: Vec<String> = oldest.into_iter().map(|(_, id)| id).collect();
    stream.remove(&oldest).await
}

struct Stream<'a> {
    shared: &'a Shared,
    connection: MultiplexedConnection,
}

impl Stream<'_> {
    async fn page(&mut self, after: &str) -> Result<Vec<Placed>, Error> {
        let mut command = redis::cmd("XRANGE");
        command.arg(&self.shared.keys.revocations);
        command.arg(format!("({after}")).arg("+");
        command.arg("COUNT").arg(PAGE);
        let page: Value = command.query_async(&mut self.connection).await?;
        Placed::parse_all(&page)
    }

    async fn add(&mut self, entry: &Entry) -> Result<(), Error> {
        let keys = &self.shared.keys;
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        pipeline.add_command(entry.add_to(&keys.revocations));
        pipeline.cmd("PUBLISH").arg(&keys.channel).arg("");
        let _done: Vec<Value> = pipeline.query_async(&mut self.connection).await?;
        Ok(())
    }

    async fn remove(&mut self, ids: &[String]) -> Result<(), Error> {
        for ids in ids.chunks(PAGE) {
            let mut command = redis::cmd("XDEL");
            command.arg(&self.shared.keys.revocations).arg(ids);
            let _count: Value = command.query_async(&mut self.connection).await?;
        }
        Ok(())
    }
}

/// How many entries are read or removed at once.
const PAGE: usize = 1_000;
