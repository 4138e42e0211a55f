//! A seam of the guard: where everything that it does is told.

use aims::record::{Event, Outcome, Record};

/// Prints a line for each request. The caller of a refused request learns little; the operator of
/// the tool reads here who it was and why.
///
/// The guard waits for what it tells. A seam that writes to a disk or another machine puts the
/// event into a bounded queue and counts what does not fit.
#[derive(Debug)]
pub(crate) struct Story;

impl Record for Story {
    fn record(&self, event: &Event<'_>) {
        // A credential without a proof may have been captured: its agent is not the caller.
        let agent = match (event.agent, event.claimed_agent) {
            (Some(agent), _) => agent.to_string(),
            (None, Some(claimed)) => format!("somebody with the identity token of {claimed}"),
            (None, None) => "somebody".to_owned(),
        };
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
