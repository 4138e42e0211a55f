//! How long the credentials of an accepted request are good while its bodies stream.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, Error, TokenSource};
use aims_oauth_wire::introspection::Introspection;
use aims_txn_token::TxnToken;
use http::request::Parts;

use super::admission::within;
use super::ending::{StreamEnded, Why};
use super::evidence::{AgentCredential, access_token};
use super::post_admission::AdmittedRequest;
use super::{Deferred, Guard};
use crate::decision::{Decision, Reason};
use crate::principal::Principal;
use crate::requirements::StreamEnd;
use crate::resolve::{IntrospectionRequest, Need, Resolved};
use crate::revoked::Credential;

impl<M> Guard<M> {
    /// Returns what ends the streams of this route, if anything does.
    pub(super) fn stream_end(&self) -> Option<StreamEnd> {
        let end = self.route.requirements.stream_end()?;
        // Without a source of revocations, and without an issuer that is asked, none can come.
        (end == StreamEnd::Credentials || self.inner.watches).then_some(end)
    }
}

/// The credentials of one accepted request while its bodies stream.
pub(super) struct Lifetime {
    end: StreamEnd,
    began: UnixTime,
    /// When the first of the credentials expires, in Unix seconds.
    expires: AtomicU64,
    introspected: Option<Introspected>,
    /// Why the streams have ended.
    ended: OnceLock<StreamEnded>,
}

/// An access token whose issuer has described it.
struct Introspected {
    text: SecretText,
    /// When the issuer must be asked again, in Unix seconds.
    until: AtomicU64,
}

/// The state of the credentials.
pub(super) enum Standing {
    /// They are good for this long, unless one is revoked.
    Good(Duration),
    /// The issuer of the access token must be asked again.
    Ask,
    Ended(Why),
}

impl Lifetime {
    pub(super) fn new(
        guard: &Guard<Deferred>,
        end: StreamEnd,
        request: &Parts,
        principal: &Principal,
    ) -> Self {
        let token = principal.access_token();
        let introspected = token.and_then(|token| {
            let until = token.introspected_until()?;
            let text = guard.presented_token(&request.headers)?;
            Some(Introspected {
                text,
                until: AtomicU64::new(until.as_secs()),
            })
        });
        let agent = principal.credential().map(AgentCredential::expires);
        let transaction = principal.transaction().map(TxnToken::expires);
        let all = [agent, token.and_then(AccessToken::exp), transaction];
        let first = all.into_iter().flatten().map(|it| it.as_secs()).min();
        Self {
            end,
            began: guard.inner.clock.now(),
            expires: AtomicU64::new(first.unwrap_or(u64::MAX)),
            introspected,
            ended: OnceLock::new(),
        }
    }
}

impl AdmittedRequest {
    /// Returns the state of the credentials.
    pub(super) fn standing(&self, lifetime: &Lifetime) -> Standing {
        let inner = &*self.guard().inner;
        if self.is_revoked() {
            return Standing::Ended(Why::Revoked);
        }
        if !inner.revoked.is_current() {
            return Standing::Ended(Why::Stale);
        }
        let now = inner.clock.now().as_secs();
        let mut last = u64::MAX;
        if lifetime.end == StreamEnd::Credentials {
            let expires = lifetime.expires.load(Ordering::Acquire);
            if inner.skew.has_ended(expires, now) {
                return Standing::Ended(Why::Expired);
            }
            last = expires.saturating_add(inner.skew.as_secs());
        }
        if let Some(introspected) = &lifetime.introspected {
            let until = introspected.until.load(Ordering::Acquire);
            if until <= now {
                return Standing::Ask;
            }
            last = last.min(until);
        }
        Standing::Good(Duration::from_secs(last.saturating_sub(now)))
    }

    /// Returns whether a credential of the request was revoked.
    fn is_revoked(&self) -> bool {
        let inner = &*self.guard().inner;
        let now = inner.clock.now();
        let principal = self.principal();
        let credentials = [
            principal.wit().map(Credential::Wit),
            principal.access_token().map(Credential::AccessToken),
            principal.transaction().map(Credential::TransactionToken),
        ];
        let mut held = credentials.into_iter().flatten();
        held.any(|it| inner.revoked.is_revoked(it, now))
    }

    /// Asks the issuer of the access token again, when its answer is as old as the ceiling.
    ///
    /// The new answer must describe the same token, which the requirements of the route still
    /// accept.
    pub(super) async fn ask_again(self: Arc<Self>) -> Result<(), Why> {
        let lifetime = self.lifetime().ok_or(Why::Stale)?;
        let introspected = lifetime.introspected.as_ref().ok_or(Why::Stale)?;
        let token = self.describe_again(introspected).await?;
        let principal = self.principal();
        let is_same = principal
            .access_token()
            .is_some_and(|before| is_same(before, &token));
        let requirements = &self.guard().route.requirements;
        let principal = principal.with_token(token.clone());
        // A login does not become too old for a stream that began in time.
        let decision = requirements.decide_caller(&principal, lifetime.began);
        if !is_same || !matches!(decision, Decision::Allow(_)) {
            return Err(Why::Revoked);
        }
        let until = token.introspected_until().ok_or(Why::Revoked)?;
        if let Some(exp) = token.exp() {
            lifetime.expires.fetch_min(exp.as_secs(), Ordering::AcqRel);
        }
        introspected.until.store(until.as_secs(), Ordering::Release);
        Ok(())
    }

    /// Returns what the issuer says of the token now. Another request may have asked already.
    async fn describe_again(&self, introspected: &Introspected) -> Result<AccessToken, Why> {
        let guard = self.guard();
        let inner = &*guard.inner;
        let text = introspected.text.expose();
        let issuers = inner.issuers.as_ref().ok_or(Why::Stale)?;
        let now = inner.clock.now();
        match access_token::verify(inner, text, issuers, None, now) {
            Err(Error::NotIntrospected { .. }) => {}
            known => return known.map_err(|error| why(&error)),
        }
        let opaque = inner.asked_about(text).ok_or(Why::Stale)?;
        let request = IntrospectionRequest::new(opaque.issuer().clone(), text.into());
        let answer = guard.introspect(request).await.ok_or(Why::Stale)?;
        let now = inner.clock.now();
        let token = access_token::verify(inner, text, issuers, Some(&answer), now);
        token.map_err(|error| why(&error))
    }

    /// Ends the streams of the request. Records it once, for both directions.
    pub(super) fn end(&self, why: Why) -> StreamEnded {
        let record = || {
            let error = StreamEnded(why);
            self.record(&Reason::new(error.code(), error.to_string()));
            error
        };
        match self.lifetime() {
            Some(lifetime) => *lifetime.ended.get_or_init(record),
            None => record(),
        }
    }

    /// Returns why the streams of the request have ended, if they have.
    pub(super) fn ended(&self) -> Option<StreamEnded> {
        self.lifetime()?.ended.get().copied()
    }
}

impl<M> Guard<M> {
    /// Asks the issuer about the token of a stream, and again after a second where it could not be
    /// asked, because others may use up its limits. The stream waits for at most one deadline.
    async fn introspect(&self, request: IntrospectionRequest) -> Option<Box<Introspection>> {
        let asking = async {
            for attempt in 0..ATTEMPTS {
                if attempt > 0 {
                    if tokio::runtime::Handle::try_current().is_err() {
                        return None;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                let need = Need::Introspection(Box::new(request.clone()));
                if let Resolved::Introspected(answer) = self.resolve(need).await {
                    return Some(answer);
                }
            }
            None
        };
        within(self.inner.deadline, asking).await.flatten()
    }
}

/// How often the issuer is asked about the token of a stream before the stream ends, and the time
/// between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Returns whether an answer describes the token of the stream: its parties and its binding are the
/// same.
fn is_same(before: &AccessToken, now: &AccessToken) -> bool {
    now.source() == TokenSource::Introspected
        && before.issuer() == now.issuer()
        && before.subject() == now.subject()
        && before.client_id() == now.client_id()
        && before.current_actor() == now.current_actor()
        && before.confirmations() == now.confirmations()
}

/// Returns why a stream ends whose token is refused when it is described again.
fn why(error: &Error) -> Why {
    match error {
        Error::NotIntrospected { .. } | Error::KeysStale { .. } => Why::Stale,
        Error::Token(aims_jose::Error::Expired { .. }) => Why::Expired,
        _ => Why::Revoked,
    }
}
