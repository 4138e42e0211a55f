//! The seam *record*: every acceptance and refusal becomes one typed event, with hashes of the
//! tokens and never the tokens.

mod queue;

use std::sync::Arc;

use aims_jose::{digest::Fingerprint, time::UnixTime};
use aims_wimse_id::WorkloadId;
use http::Method;
pub use queue::{Entries, Entry, Queue, queue};

use crate::decision::{Attributes, Reason};
use crate::guard::ProofMethod;
use crate::trace::TraceContext;

/// What happened to one request. It has a slot for each of the items that an audit of agents needs
/// (draft-klrc-aiagent-auth, "Monitoring, Observability and Remediation"); what is not known is
/// absent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    // The authenticated agent.
    /// The agent that has proven possession of its key. None where nothing was proven.
    pub agent: Option<&'a WorkloadId>,
    /// The agent that a credential names, without an accepted proof: everybody who has seen the
    /// credential can send it, so it is not the caller. None where the agent was proven.
    pub claimed_agent: Option<&'a WorkloadId>,
    /// How the agent was proven; empty where it was not.
    pub proofs: &'a [ProofMethod],

    // The delegated subject.
    /// On whose behalf: the access token's `sub`.
    pub subject: Option<&'a str>,
    /// The OAuth client that the access token was issued to.
    pub client: Option<&'a str>,
    /// The access token is bound to no key and to nobody who was proven.
    pub is_unbound: bool,

    // The resource or tool.
    /// The resource as the guard is configured.
    pub resource: &'a str,
    /// The path of the request's target, without query. It is foreign text.
    pub path: &'a str,

    // The action that was asked for, and the decision.
    /// The request's method.
    pub method: &'a Method,
    /// What the program knows of the call, such as the name of an MCP tool.
    pub attributes: &'a Attributes,
    /// Whether the call goes on.
    pub outcome: Outcome,
    /// The stable code of a refusal.
    pub code: Option<&'a str>,
    /// Why, as the decision has it, or the detail of a refusal.
    pub reasons: &'a [Reason],

    // The time, and the identifier of the request.
    /// When the guard decided.
    pub time: UnixTime,
    /// The identifier that the program gave the request ([`Attributes::REQUEST_ID`]).
    pub request_id: Option<&'a str>,
    /// The trace that the request belongs to, as the caller says.
    pub trace: Option<TraceContext>,

    // The state of attestation or risk that had a part in the decision.
    /// Posture or risk. No part of the guard knows any yet.
    pub posture: Option<&'a str>,

    // Remediation, and its cause.
    /// What was done about a credential, and why.
    pub remediation: Option<Remediation<'a>>,

    /// First 8 bytes of the SHA-256 of each token that was presented.
    pub fingerprints: Fingerprints,
}

/// What was done about a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Remediation<'a> {
    /// The request was refused, because a credential was revoked.
    Revoked {
        /// The code: `wit.revoked` or `token.revoked`.
        cause: &'a str,
    },
}

impl<'a> Remediation<'a> {
    pub(crate) fn of(code: &'a str) -> Option<Self> {
        let revoked = matches!(code, "wit.revoked" | "token.revoked");
        revoked.then_some(Self::Revoked { cause: code })
    }
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
/// up its own request and no other. If `record` panics, the request is rejected.
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

/// The reasons as one text, where there are any.
fn joined(reasons: &[Reason]) -> Option<String> {
    let all: Vec<String> = reasons.iter().map(Reason::to_string).collect();
    (!all.is_empty()).then(|| all.join("; "))
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
                    claimed_agent = event.claimed_agent.map(WorkloadId::as_str),
                    proofs = ?event.proofs,
                    subject = event.subject.map(tracing::field::debug),
                    client = event.client.map(tracing::field::debug),
                    unbound = event.is_unbound,
                    resource = event.resource,
                    method = event.method.as_str(),
                    path = ?event.path,
                    tool = event.attributes.get(Attributes::TOOL).map(tracing::field::debug),
                    outcome = event.outcome.as_str(),
                    code = event.code,
                    detail = joined(event.reasons).map(tracing::field::debug),
                    request = event.request_id.map(tracing::field::debug),
                    posture = event.posture.map(tracing::field::debug),
                    remediation = event.remediation.as_ref().map(tracing::field::debug),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_logged_as_one_text() {
        assert_eq!(joined(&[]), None);
        let reasons = [
            Reason::new("a.b", "expected c"),
            Reason::new("d.e", "found f"),
        ];
        let told = joined(&reasons);
        assert_eq!(told.as_deref(), Some("a.b: expected c; d.e: found f"));
    }
}
