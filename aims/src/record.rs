//! Audit records: the guard reports every accepted and refused request as one typed [`Event`].
//!
//! An event has hashes of tokens, never the tokens themselves. This module needs the feature
//! `tool`.

mod queue;

use std::sync::Arc;

use aims_jose::{digest::Fingerprint, time::UnixTime};
use aims_wimse_id::WorkloadId;
use http::Method;
pub use queue::{Entries, Entry, Queue, queue};

use crate::decision::{Attributes, Reason};
use crate::guard::ProofMethod;
use crate::trace::TraceContext;

/// Describes what the guard decided about one request.
///
/// It has a field for each item that an audit of agents needs (draft-klrc-aiagent-auth,
/// "Monitoring, Observability and Remediation"). A value that the guard does not know is `None` or
/// empty.
///
/// ```
/// use aims::record::Event;
///
/// /// Formats one line of an audit log.
/// fn line(event: &Event<'_>) -> String {
///     let agent = event.agent.map_or("-", |agent| agent.as_str());
///     let (time, outcome) = (event.time.as_secs(), event.outcome.as_str());
///     format!("{time} {outcome} {agent} {} {}", event.method, event.code.unwrap_or("-"))
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    // Item "authenticated agent" of the draft.
    /// The agent that has proven possession of its key. `None` if no agent was proven.
    pub agent: Option<&'a WorkloadId>,
    /// The agent that a credential names, without an accepted proof. `None` if the agent was
    /// proven.
    ///
    /// Anyone who has seen the credential can send it, so do not take this agent for the caller.
    pub claimed_agent: Option<&'a WorkloadId>,
    /// The methods by which possession of a key was proven: the agent's key, or the key that the
    /// access token is bound to. Empty if none was proven.
    pub proofs: &'a [ProofMethod],

    // Item "delegated subject" of the draft.
    /// The subject on whose behalf the caller acts: the `sub` of the access token.
    pub subject: Option<&'a str>,
    /// The OAuth client that the access token was issued to.
    pub client: Option<&'a str>,
    /// Whether the access token is bound neither to a key nor to the proven agent.
    pub is_unbound: bool,

    // Item "resource or tool" of the draft.
    /// The resource URL as the guard is configured.
    pub resource: &'a str,
    /// The path of the request target, without the query. The caller chooses this text.
    pub path: &'a str,

    // Items "requested action" and "decision" of the draft.
    /// The method of the request.
    pub method: &'a Method,
    /// The attributes of the call, such as the name of an MCP tool.
    pub attributes: &'a Attributes,
    /// Whether the guard accepted the request.
    pub outcome: Outcome,
    /// The stable code of the refusal. `None` if the request was accepted.
    pub code: Option<&'a str>,
    /// The reasons of the decision, or the detail of the refusal.
    pub reasons: &'a [Reason],

    // Items "timestamp" and "request identifier" of the draft.
    /// The time of the decision.
    pub time: UnixTime,
    /// The identifier that the program gave to the request ([`Attributes::REQUEST_ID`]).
    pub request_id: Option<&'a str>,
    /// The trace of the request, as the caller states it in `traceparent`.
    pub trace: Option<TraceContext>,

    // Item "attestation or risk state" of the draft.
    /// The posture or risk that was part of the decision. The guard does not set it yet.
    pub posture: Option<&'a str>,

    // Item "remediation and its cause" of the draft.
    /// The remediation that the guard applied to a credential, and its cause.
    pub remediation: Option<Remediation<'a>>,

    /// Fingerprints of the presented tokens: the first 8 bytes of the SHA-256 of each.
    pub fingerprints: Fingerprints,
}

/// A remediation that the guard applied to a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Remediation<'a> {
    /// The guard refused the request because a credential was revoked.
    Revoked {
        /// The error code: `wit.revoked` or `token.revoked`.
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
///
/// Each is the first 8 bytes of the SHA-256 of the token, or `None` if the request had no such
/// token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Fingerprints {
    /// The fingerprint of the workload identity token.
    pub wit: Option<Fingerprint>,
    /// The fingerprint of the workload proof token.
    pub wpt: Option<Fingerprint>,
    /// The fingerprint of the access token.
    pub access_token: Option<Fingerprint>,
    /// Of the DPoP proof.
    pub dpop: Option<Fingerprint>,
    /// Of the certificate of the client's TLS connection.
    pub certificate: Option<Fingerprint>,
    /// The fingerprint of the transaction token.
    pub txn_token: Option<Fingerprint>,
}

/// Tells whether the guard accepted a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a call goes on or it does not")]
pub enum Outcome {
    /// The guard accepted the request.
    Accepted,
    /// The guard refused the request.
    Refused,
}

impl Outcome {
    /// Returns `accepted` or `refused`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

/// Receives each audit event.
///
/// The guard calls [`record`](Self::record) while it handles the request and waits for it, so no
/// request continues unrecorded. A slow implementation delays its own request and no other. An
/// implementation that writes to a file or a network should pass the event to a bounded
/// [`queue`](fn@queue), which counts the events that do not fit.
///
/// If `record` panics, the request is rejected.
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not take the records of a guard",
    note = "implement `Record` for a type of your own, or give the queue of `record::queue`"
)]
pub trait Record: std::fmt::Debug + Send + Sync {
    /// Receives one event. It must return quickly.
    fn record(&self, event: &Event<'_>);
}

impl<T: Record + ?Sized> Record for Arc<T> {
    fn record(&self, event: &Event<'_>) {
        (**self).record(event);
    }
}

/// Joins the reasons into one text. Returns `None` if there are none.
fn joined(reasons: &[Reason]) -> Option<String> {
    let all: Vec<String> = reasons.iter().map(Reason::to_string).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The default recorder: sends events to `tracing` with the target `aims`.
///
/// Accepted requests have the level DEBUG, refused ones WARN. Text that the caller chose is
/// escaped.
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
                    certificate = event.fingerprints.certificate.map(tracing::field::display),
                    dpop = event.fingerprints.dpop.map(tracing::field::display),
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
