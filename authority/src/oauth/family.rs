//! Grants: what a user allowed a client, with its refresh tokens (RFC 6749 §1.5, RFC 9700 §4.14).
//!
//! A refresh token is `handle.secret`. The hash of the handle is the id of the grant; it stands in
//! `jti` of access tokens too. Each use replaces the secret, so of one grant one refresh token is
//! good at any time.

use core::time::Duration;

use aims_jose::jwk::Thumbprint;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::authorize::RightsAt;
use super::store::{self, Next, Read, TRIES, insert, is_secret, key_of, secret};
use super::{AuthorizationServer, Login};
use crate::identity::add;
use crate::{Error, Kind};

/// How long the direct predecessor of a refresh token may come once more, in seconds.
const GRACE: u64 = 30;
/// The refusal of a refresh token that there is no grant for.
const UNKNOWN: Error = Error::Grant {
    reason: "the refresh token is unknown, has expired or was revoked",
};

/// The entry of a grant.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GrantEntry {
    Live(Box<Grant>),
    /// Refused from now on, with everything that was issued for it.
    Revoked,
}

impl GrantEntry {
    /// Returns the grant, if it has not ended.
    fn live(&self, now: UnixTime) -> Result<&Grant, Error> {
        let Self::Live(grant) = self else {
            return Err(UNKNOWN);
        };
        if now.as_secs() > grant.end {
            return Err(UNKNOWN);
        }
        Ok(grant)
    }
}

/// The rights that a user gave a client.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) login: Login,
    pub(crate) rights: RightsAt,
    pub(crate) details: Vec<Value>,
    /// The key that every use of a refresh token must prove by DPoP: for clients that prove no key
    /// by their authentication (RFC 9449 §5).
    pub(crate) jkt: Option<Thumbprint>,
    /// When it began. A grant of an older version has no date, and counts as the oldest.
    #[serde(default)]
    pub(crate) began: u64,
    /// The thumbprint of the certificate that every use of a refresh token must present: for public
    /// clients (RFC 8705 §7.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<String>,
    /// The last second of the grant, however often it is refreshed.
    pub(crate) end: u64,
    pub(crate) refresh: Refresh,
}

/// The refresh tokens of a grant, by the hashes of their secrets.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Refresh {
    /// The good one.
    current: String,
    /// The one before it, and when it was used first.
    predecessor: Option<Predecessor>,
    /// The successor that was withdrawn, because its predecessor came once more.
    withdrawn: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Predecessor {
    hash: String,
    used: u64,
    came_again: bool,
}

/// The judgement of a refresh token.
#[derive(Debug)]
enum Use {
    /// It is good, and these are the refresh tokens after its use.
    Good(Refresh),
    /// It was used a moment ago by the holder of its key. Nothing changes.
    Again,
    /// It was used before, perhaps by a thief: the grant ends.
    Reused,
}

impl Refresh {
    pub(crate) fn new(secret: &SecretText) -> Self {
        Self {
            current: key_of(secret.expose()),
            predecessor: None,
            withdrawn: None,
        }
    }

    /// Judges a refresh token by the hash of its secret. `next` is the hash of its successor.
    ///
    /// A client whose answer was lost sends the direct predecessor once more. That is accepted if
    /// the successor was never used, the client has proven its key, and at most 30 s have passed.
    /// The unused successor is then withdrawn.
    fn judge(&self, hash: &str, next: String, is_constrained: bool, now: UnixTime) -> Use {
        if self.current == hash {
            return Use::Good(Self {
                current: next,
                predecessor: Some(Predecessor {
                    hash: hash.to_owned(),
                    used: now.as_secs(),
                    came_again: false,
                }),
                withdrawn: None,
            });
        }
        let Some(before) = self.predecessor.as_ref() else {
            return Use::Reused;
        };
        let is_recent = now.as_secs() <= before.used.saturating_add(GRACE);
        if !is_constrained || !is_recent {
            return Use::Reused;
        }
        let is_predecessor = before.hash == hash;
        if is_predecessor && !before.came_again {
            return Use::Good(Self {
                current: next,
                predecessor: Some(Predecessor {
                    came_again: true,
                    ..before.clone()
                }),
                withdrawn: Some(self.current.clone()),
            });
        }
        if is_predecessor || self.withdrawn.as_deref() == Some(hash) {
            return Use::Again;
        }
        Use::Reused
    }
}

/// A refresh token in its two parts.
pub(crate) struct RefreshToken<'a> {
    /// The id of the grant.
    pub(crate) id: String,
    handle: &'a str,
    secret: &'a str,
}

impl<'a> RefreshToken<'a> {
    /// Splits a refresh token. `None` if it is not one of this server's form.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (handle, secret) = text.split_once('.')?;
        (is_secret(handle) && is_secret(secret)).then(|| Self {
            id: key_of(handle),
            handle,
            secret,
        })
    }
}

/// Returns the text of a refresh token.
pub(crate) fn refresh_token(handle: &str, secret: &SecretText) -> SecretText {
    SecretText::new(format!("{handle}.{}", secret.expose()))
}

impl AuthorizationServer {
    /// Returns the last second of an entry: of its refresh token, which a pause ends too, and not
    /// before that of its access tokens.
    fn grant_until(&self, grant: &Grant, now: UnixTime) -> UnixTime {
        let pause = add(now, self.refresh_pause).min(aims_jose::time::at(grant.end));
        pause
            .max(add(now, self.lifetime))
            .max(add(now, Duration::from_secs(60)))
    }

    /// Stores a new grant. Returns `false` if it was revoked before it was there.
    pub(crate) fn begin_grant(&self, id: &str, grant: Grant, now: UnixTime) -> Result<bool, Error> {
        let until = self.grant_until(&grant, now);
        let entry = GrantEntry::Live(Box::new(grant));
        insert(self.state.as_ref(), Kind::Grant, id, &entry, until, now)
    }

    /// Revokes a grant, with its refresh token and every access token that names it. A grant that
    /// is not there yet is revoked in advance.
    pub(crate) fn revoke_grant(&self, id: &str, now: UnixTime) -> Result<(), Error> {
        let state = self.state.as_ref();
        let until = add(now, self.lifetime).max(add(now, Duration::from_secs(60)));
        store::change(state, Kind::Grant, id, now, |found| {
            Ok(match found {
                Some(Read {
                    value: GrantEntry::Revoked,
                    ..
                }) => Next::Keep(()),
                // Afterwards its absence refuses what was issued for it.
                None | Some(_) => Next::Store(GrantEntry::Revoked, until, ()),
            })
        })?;
        tracing::info!(grant = ?id, "revoked a grant");
        Ok(())
    }

    /// Reads the grant of a refresh token, which stays good. One that was used before ends its
    /// grant, as at its use. `check` judges the client before anything else.
    ///
    /// # Errors
    ///
    /// `as.grant`, `as.refresh_again`, `as.refresh_used`, and those of `check`.
    pub(crate) fn read_refresh_token(
        &self,
        text: &str,
        is_key_proven: bool,
        check: impl Fn(&Grant) -> Result<(), Error>,
        now: UnixTime,
    ) -> Result<(String, Grant), Error> {
        let token = RefreshToken::parse(text).ok_or(UNKNOWN)?;
        let found = store::read::<GrantEntry>(self.state.as_ref(), Kind::Grant, &token.id, now)?;
        let found = found.ok_or(UNKNOWN)?;
        let grant = found.value.live(now)?;
        check(grant)?;
        let hash = key_of(token.secret);
        let is_constrained = is_key_proven || grant.jkt.is_some();
        match grant
            .refresh
            .judge(&hash, String::new(), is_constrained, now)
        {
            Use::Good(_) if grant.refresh.current == hash => Ok((token.id, grant.clone())),
            Use::Good(_) | Use::Again => Err(Error::RefreshAgain),
            Use::Reused => {
                self.revoke_grant(&token.id, now)?;
                Err(Error::RefreshUsed)
            }
        }
    }

    /// Uses a refresh token. Returns its grant and the next refresh token.
    ///
    /// `check` judges the client before anything else, so that another client changes nothing.
    /// `issue` makes the access token; if it refuses, the refresh token stays good.
    ///
    /// # Errors
    ///
    /// `as.grant`, `as.refresh_again`, `as.refresh_used`, and those of `check` and `issue`.
    pub(crate) fn use_refresh_token<T>(
        &self,
        text: &str,
        is_key_proven: bool,
        check: impl Fn(&Grant) -> Result<(), Error>,
        issue: impl Fn(&Grant, &str) -> Result<T, Error>,
        now: UnixTime,
    ) -> Result<(T, SecretText), Error> {
        let token = RefreshToken::parse(text).ok_or(UNKNOWN)?;
        let state = self.state.as_ref();
        for _ in 0..TRIES {
            let found = store::read::<GrantEntry>(state, Kind::Grant, &token.id, now)?;
            let found = found.ok_or(UNKNOWN)?;
            let grant = found.value.live(now)?;
            check(grant)?;
            let next = secret(self.random)?;
            let is_constrained = is_key_proven || grant.jkt.is_some();
            let hash = key_of(token.secret);
            let refresh =
                match grant
                    .refresh
                    .judge(&hash, key_of(next.expose()), is_constrained, now)
                {
                    Use::Good(refresh) => refresh,
                    Use::Again => return Err(Error::RefreshAgain),
                    Use::Reused => {
                        self.revoke_grant(&token.id, now)?;
                        return Err(Error::RefreshUsed);
                    }
                };
            let issued = issue(grant, &token.id)?;
            let grant = Grant {
                refresh,
                ..grant.clone()
            };
            let until = self.grant_until(&grant, now);
            let entry = GrantEntry::Live(Box::new(grant));
            if found.replace(state, Kind::Grant, &token.id, &entry, until, now)? {
                return Ok((issued, refresh_token(token.handle, &next)));
            }
        }
        Err(Error::unavailable("the grant changes too often"))
    }
}
