//! Stored data: the replay store, and identifiers.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aims::id::WorkloadId;
use aims::jose::time::UnixTime;
use aims::replay::{ReplayCache, ReplayKey, ReplayStore as _};
use aims_bench::sampler::{Case, Samples};

use super::{Effort, Figure};

/// An identifier of 60 bytes.
const ID: &str = "spiffe://agents.example.org/region/eu-1/team/travel/agent-1";

fn key(number: usize) -> ReplayKey {
    // Many senders, as in production.
    let sender = format!("spiffe://example.org/agents/{}", number % 1_000);
    ReplayKey::new("wpt", &sender, &[&number.to_string()])
}

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let now = UnixTime::now();
    let until = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs() + 300));
    let mut filled = None;
    let taken = allocation_counter::measure(|| {
        filled = Some(ReplayCache::in_memory(effort.entries));
    });
    let full = filled.ok_or("no store")?;
    for number in 0..effort.entries {
        full.spend(&key(number), until, now)?;
    }
    let live = full.live(now);
    let bytes = f64::from(u32::try_from(taken.bytes_current)?) / f64::from(u32::try_from(live)?);

    let mut next = effort.entries;
    let mut cases: Vec<Case<'_>> = vec![
        Box::new(|batch| {
            let empty = ReplayCache::in_memory(effort.entries);
            let keys: Vec<_> = (0..batch).map(key).collect();
            let start = Instant::now();
            for key in &keys {
                empty.spend(key, until, now).expect("room");
            }
            start.elapsed()
        }),
        Box::new(|batch| {
            let keys: Vec<_> = (next..next + batch).map(key).collect();
            next += batch;
            let start = Instant::now();
            for key in &keys {
                full.spend(key, until, now).expect("room");
            }
            start.elapsed()
        }),
        Box::new(|batch| {
            let start = Instant::now();
            for _ in 0..batch {
                black_box(WorkloadId::parse(black_box(ID)).expect("an identifier"));
            }
            start.elapsed()
        }),
    ];
    let samples = Samples::take(&mut cases, effort.rounds, effort.batch);
    drop(cases);
    let crowded = samples.median(|costs| Some(costs.get(1)? / costs.first()?));
    Ok(vec![
        Figure::new("replay: spent in an empty store", samples.cost(0)),
        Figure::new("replay: spent beside the live entries", samples.cost(1))
            .to("in an empty store", crowded),
        Figure::of("replay: memory of a live entry", format!("{bytes:.1} B"))
            .to("48 B", bytes / 48.0)
            .at_most(1.0),
        Figure::new("identifier of 60 bytes parsed", samples.cost(2))
            .to("200 ns", samples.cost(2) / 200.0)
            .at_most(1.0),
    ])
}
