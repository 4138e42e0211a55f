//! A seam of the guard: where everything that it does is told.

use aims::record::{Event, Outcome, Record};

/// Prints a line for each request. The caller of a refused request learns little; whoever runs the
/// tool reads here who it was and why.
///
/// The guard waits for what it tells. A seam that writes to a disk or another machine puts the
/// event into a bounded queue and counts what does not fit.
#[derive(Debug)]
pub(crate) struct Story;

impl Record for Story {
    fn record(&self, event: &Event<'_>) {
        let agent = event.agent.map_or("somebody", |agent| agent.as_str());
        let (method, path) = (event.method, event.path);
        match event.outcome {
            Outcome::Accepted => println!("let in     {agent}: {method} {path:?}"),
            Outcome::Refused => {
                let code = event.code.unwrap_or("unknown");
                println!("refused    {agent}: {method} {path:?}, {code}");
            }
        }
    }
}
