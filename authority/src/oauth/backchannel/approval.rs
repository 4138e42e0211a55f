//! A request that waits for a user, and the inbox of a user.

use core::time::Duration;

use aims_jose::time::{UnixTime, at};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::INTERVAL;
use crate::identity::add;
use crate::oauth::authorize::RightsAt;
use crate::oauth::grant::code::REVOKED;
use crate::oauth::store::{self, Next, Read, insert, key_of};
use crate::oauth::{AuthorizationServer, Login};
use crate::{Error, Kind};

/// Maximum number of requests that wait for one user.
const MOST: usize = 16;
/// How long a request is remembered after its end, in seconds, so that the client learns of it.
const REMEMBERED: u64 = 300;
/// How long a client has to fetch what a user approved at the last moment, in seconds.
const FETCH: u64 = 120;
/// The longest interval of polling, in seconds.
const LONGEST_INTERVAL: u64 = 60;

/// The rights that a client asks a user for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AskedFor {
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) rights: RightsAt,
    pub(crate) details: Vec<Value>,
    /// Text of the client, if the request is not for one call.
    pub(crate) binding_message: Option<String>,
    pub(crate) acr_values: Vec<String>,
}

/// A request for approval, and what became of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Approval {
    pub(crate) asked: AskedFor,
    pub(crate) outcome: Outcome,
    /// When the client asked.
    #[serde(default)]
    issued: u64,
    /// The last second at which the user may decide, and the client may fetch the result.
    pub(crate) expires: u64,
    interval: u64,
    /// When the client polled last.
    polled: Option<u64>,
}

/// The state of a request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Outcome {
    Pending,
    Allowed(Login),
    Denied,
    /// The client has its token.
    Used,
}

/// One line of an inbox.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Waiting {
    key: String,
    client_id: String,
    expires: u64,
}

impl Approval {
    pub(super) fn new(asked: AskedFor, now: UnixTime, lifetime: Duration) -> Self {
        Self {
            asked,
            outcome: Outcome::Pending,
            issued: now.as_secs(),
            expires: add(now, lifetime).as_secs(),
            interval: INTERVAL,
            polled: None,
        }
    }

    /// Returns how long the entry is kept.
    pub(super) fn until(&self) -> UnixTime {
        at(self.expires.saturating_add(REMEMBERED))
    }

    fn is_pending(&self, now: UnixTime) -> bool {
        matches!(self.outcome, Outcome::Pending) && now.as_secs() <= self.expires
    }
}

impl AuthorizationServer {
    /// Puts a request into the inbox of its user, and stores it.
    ///
    /// # Errors
    ///
    /// `authority.too_many` if a request of the client waits for the user already, or too many
    /// others do.
    pub(super) fn keep_approval(
        &self,
        key: &str,
        approval: &Approval,
        now: UnixTime,
    ) -> Result<(), Error> {
        let AskedFor {
            client_id, subject, ..
        } = &approval.asked;
        self.change_inbox(subject, now, |waiting| {
            let is_own = |it: &&Waiting| it.client_id == *client_id;
            if let Some(own) = waiting.iter().find(is_own) {
                let left = own.expires.saturating_sub(now.as_secs());
                return Err(Error::TooMany {
                    retry_after: left.clamp(1, INTERVAL),
                });
            }
            if waiting.len() >= MOST {
                return Err(Error::TooMany {
                    retry_after: LONGEST_INTERVAL,
                });
            }
            waiting.push(Waiting {
                key: key.to_owned(),
                client_id: client_id.clone(),
                expires: approval.expires,
            });
            Ok(())
        })?;
        let (state, until) = (self.state.as_ref(), approval.until());
        match insert(state, Kind::Approval, key, approval, until, now) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::unavailable("a random number came twice")),
            Err(error) => {
                self.leave_inbox(subject, key, now)?;
                Err(error)
            }
        }
    }

    /// Returns the requests that wait for a user, with their keys.
    pub(super) fn waiting_for(
        &self,
        subject: &str,
        now: UnixTime,
    ) -> Result<Vec<(String, Approval)>, Error> {
        let state = self.state.as_ref();
        let inbox = store::read::<Vec<Waiting>>(state, Kind::Inbox, &key_of(subject), now)?;
        let mut found = Vec::new();
        for line in inbox.map(|it| it.value).unwrap_or_default() {
            let approval = store::read::<Approval>(state, Kind::Approval, &line.key, now)?;
            let approval = approval.map(|it| it.value);
            // The key of the inbox is a hash, so the name is compared as well.
            if let Some(approval) =
                approval.filter(|it| it.is_pending(now) && it.asked.subject == subject)
            {
                found.push((line.key, approval));
            }
        }
        Ok(found)
    }

    /// Stores the decision of the user. The caller has checked that the request is for this user.
    /// Returns whether the request waited for a decision.
    pub(super) fn decide_approval(
        &self,
        key: &str,
        subject: &str,
        outcome: Outcome,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let state = self.state.as_ref();
        let is_decided = store::change(state, Kind::Approval, key, now, |found| {
            let approval = found.map(|it: Read<Approval>| it.value);
            let Some(mut approval) = approval.filter(|it| it.is_pending(now)) else {
                return Ok(Next::Keep(false));
            };
            approval.outcome = outcome.clone();
            approval.expires = approval.expires.max(now.as_secs().saturating_add(FETCH));
            let until = approval.until();
            Ok(Next::Store(approval, until, true))
        })?;
        if is_decided {
            self.leave_inbox(subject, key, now)?;
        }
        Ok(is_decided)
    }

    /// Withdraws a request that its client has given up. Returns whether there was one.
    pub(crate) fn cancel_approval(
        &self,
        id: &str,
        client_id: &str,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let (state, key) = (self.state.as_ref(), key_of(id));
        let cancelled = store::change(state, Kind::Approval, &key, now, |found| {
            let asked = found.map(|it: Read<Approval>| it.value.asked);
            Ok(match asked.filter(|it| it.client_id == client_id) {
                Some(asked) => Next::Remove(Some(asked)),
                None => Next::Keep(None),
            })
        })?;
        let Some(asked) = cancelled else {
            return Ok(false);
        };
        if let Some(service) = &self.backchannel {
            service.pings.forget(&key);
        }
        self.leave_inbox(&asked.subject, &key, now)?;
        Ok(true)
    }

    /// Answers a poll of the client: returns what the user approved, once.
    ///
    /// # Errors
    ///
    /// `as.grant` for a request that is unknown, used, of another client, or of a client or user
    /// that was revoked after the decision; `as.pending`, `as.denied`, `as.approval_expired`.
    pub(crate) fn use_approval(
        &self,
        id: &str,
        client_id: &str,
        check: impl Fn(&AskedFor) -> Result<(), Error>,
        now: UnixTime,
    ) -> Result<(AskedFor, Login), Error> {
        let unknown = || Error::Grant {
            reason: "the auth_req_id is unknown, has ended or was used",
        };
        let (state, key) = (self.state.as_ref(), key_of(id));
        let found = store::read::<Approval>(state, Kind::Approval, &key, now)?;
        let found = found.ok_or_else(unknown)?;
        let mut approval = found.value.clone();
        if approval.asked.client_id != client_id {
            return Err(Error::Grant {
                reason: "the auth_req_id was issued to another client",
            });
        }
        let is_late = now.as_secs() > approval.expires;
        match approval.outcome {
            Outcome::Used => Err(unknown()),
            Outcome::Denied => Err(Error::Denied),
            _ if is_late => Err(Error::ApprovalExpired),
            Outcome::Allowed(login) => {
                let parties = [client_id, approval.asked.subject.as_str()];
                if self.is_any_revoked(parties, None, approval.issued, now)? {
                    return Err(REVOKED);
                }
                check(&approval.asked)?;
                approval.outcome = Outcome::Used;
                let until = approval.until();
                if !found.replace(state, Kind::Approval, &key, &approval, until, now)? {
                    return Err(unknown());
                }
                Ok((approval.asked, login))
            }
            Outcome::Pending => {
                let next = approval
                    .polled
                    .map(|it| it.saturating_add(approval.interval));
                let is_early = next.is_some_and(|next| now.as_secs() < next);
                if is_early {
                    approval.interval = (approval.interval + 5).min(LONGEST_INTERVAL);
                }
                approval.polled = Some(now.as_secs());
                let until = approval.until();
                // If another poll or the decision came first, the next poll tells.
                let is_first = found.replace(state, Kind::Approval, &key, &approval, until, now)?;
                Err(Error::Pending {
                    answer: if is_early || !is_first {
                        "slow_down"
                    } else {
                        "authorization_pending"
                    },
                })
            }
        }
    }

    fn leave_inbox(&self, subject: &str, key: &str, now: UnixTime) -> Result<(), Error> {
        self.change_inbox(subject, now, |waiting| {
            waiting.retain(|it| it.key != key);
            Ok(())
        })
    }

    fn change_inbox(
        &self,
        subject: &str,
        now: UnixTime,
        change: impl Fn(&mut Vec<Waiting>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (state, key) = (self.state.as_ref(), key_of(subject));
        store::change(state, Kind::Inbox, &key, now, |found| {
            let mut waiting: Vec<Waiting> = found.map(|it| it.value).unwrap_or_default();
            waiting.retain(|it| now.as_secs() <= it.expires);
            change(&mut waiting)?;
            Ok(match waiting.iter().map(|it| it.expires).max() {
                Some(last) => Next::Store(waiting, at(last), ()),
                None => Next::Remove(()),
            })
        })
    }
}
