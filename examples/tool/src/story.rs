//! A recorder: the guard reports each decision to it.

use aims::record::{Event, Outcome, Record};

/// Prints a line for each request. The caller of a refused request learns little; here the operator
/// of the tool sees who called and why the request was refused.
///
/// The guard waits for the recorder. One that writes to a disk or another machine should use a
/// bounded queue and count the events that do not fit.
#[derive(Debug)]
pub(crate) struct Story;

impl Record for Story {
    fn record(&self, event: &Event<'_>) {
        // A credential without a proof may have been captured, so its agent may not be the caller.
        let agent = match (event.agent, event.claimed_agent) {
            (Some(agent), _) => agent.to_string(),
            (None, Some(claimed)) => {
                format!("unproven caller with the identity token of {claimed}")
            }
            (None, None) => "unknown caller".to_owned(),
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
