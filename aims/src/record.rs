//! The seam *record*: every acceptance and refusal becomes one typed event, with hashes of the
//! tokens and never the tokens.

mod queue;

use std::sync::Arc;

use aims_jose::{digest::Fingerprint, time::UnixTime};
use aims_wimse_id::WorkloadId;
use http::Method;
pub use queue::{Entries, Entry, Queue, queue};

use crate::{Proof, decision::Reason, trace::TraceContext};

/// What happened to one request: who asked, on whose behalf, for what, what was decided, why and
/// when.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The agent whose credential came; believe it only where it is [`proven`](Self::proven).
    pub agent: Option<&'a WorkloadId>,
    /// Whether the agent has proven that it holds its key.
    pub proven: bool,
    /// On whose behalf: the access token's `sub`.
    pub subject: Option<&'a str>,
    /// The OAuth client that the access token was issued to.
    pub client: Option<&'a str>,
    /// The resource as the guard is configured.
    pub resource: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// The path of the request's target, without query. It is foreign text.
    pub path: &'a str,
    /// Whether the call goes on.
    pub outcome: Outcome,
    /// The stable code of a refusal.
    pub code: Option<&'a str>,
    /// Why, as the decision has it, or the detail of a refusal.
    pub reasons: &'a [Reason],
    /// When the guard decided.
    pub time: UnixTime,
    /// The trace that the request belongs to.
    pub trace: Option<TraceContext>,
    /// How the agent was proven; empty where nobody was.
    pub proofs: &'static [Proof],
    /// First 8 bytes of the SHA-256 of each token that was presented.
    pub fingerprints: Fingerprints,
}

/// The fingerprints of the tokens of a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Fingerprints {
    /// Of the workload identity token.
    pub wit: Option<Fingerprint>,
    /// Of the workload proof token.
    pub wpt: Option<Fingerprint>,
    /// Of the access token.
    pub access_token: Option<Fingerprint>,
    /// Of the transaction token.
    pub txn_token: Option<Fingerprint>,
}

/// Whether a call went on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a call goes on or it does not")]
pub enum Outcome {
    /// It went on.
    Accepted,
    /// It was refused.
    Refused,
}

impl Outcome {
    /// `accepted` or `refused`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

/// Takes each event. It is called on the request's own path: an implementation that writes
/// elsewhere hands the event to a bounded [`queue`](fn@queue), which counts what does not fit.
///
/// The guard waits for it, so that nothing goes on unrecorded: an implementation that waits holds
/// up its own request and no other, and one that panics costs its request, which is then not let in
/// (F-24).
///
/// ```
/// use std::sync::Mutex;
///
/// use aims::record::{Event, Outcome, Record};
///
/// #[derive(Debug, Default)]
/// struct Refusals(Mutex<Vec<String>>);
///
/// impl Record for Refusals {
///     fn record(&self, event: &Event<'_>) {
///         if event.outcome == Outcome::Refused {
///             let code = event.code.unwrap_or("unknown").to_owned();
///             self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(code);
///         }
///     }
/// }
/// ```
pub trait Record: std::fmt::Debug + Send + Sync {
    /// Takes one event; it must not wait for long.
    fn record(&self, event: &Event<'_>);
}

impl<T: Record + ?Sized> Record for Arc<T> {
    fn record(&self, event: &Event<'_>) {
        (**self).record(event);
    }
}

/// The default: events go to `tracing`, target `aims`, acceptances at DEBUG and refusals at WARN.
/// Foreign text is escaped.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ToTracing;

impl Record for ToTracing {
    fn record(&self, event: &Event<'_>) {
        macro_rules! emit {
            ($level:ident) => {
                tracing::$level!(
                    target: "aims",
                    agent = event.agent.map(WorkloadId::as_str),
                    proven = event.proven,
                    proofs = ?event.proofs,
                    subject = event.subject.map(tracing::field::debug),
                    client = event.client.map(tracing::field::debug),
                    resource = event.resource,
                    method = event.method.as_str(),
                    path = ?event.path,
                    outcome = event.outcome.as_str(),
                    code = event.code,
                    reasons = ?event.reasons,
                    trace = event.trace.as_ref().map(TraceContext::trace_id),
                    wit = event.fingerprints.wit.map(tracing::field::display),
                    wpt = event.fingerprints.wpt.map(tracing::field::display),
                    access_token = event.fingerprints.access_token.map(tracing::field::display),
                    txn_token = event.fingerprints.txn_token.map(tracing::field::display),
                )
            };
        }
        match event.outcome {
            Outcome::Accepted => emit!(debug),
            Outcome::Refused => emit!(warn),
        }
    }
}
