//! Revocations as entries of a stream.

use std::collections::HashMap;

use aims_jose::base64url;
use aims_jose::time::{UnixTime, at};
use redis::{Cmd, Value};

use super::Error;
use super::epoch::unexpected;
use crate::revoked::RevokedBy;

/// One revocation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) by: RevokedBy,
    pub(super) until: UnixTime,
}

/// An entry with its place in the stream.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) id: String,
    pub(super) entry: Entry,
    /// Whether this version knows the entry. Otherwise it revokes everything until its time.
    pub(super) is_known: bool,
}

impl Entry {
    /// Returns the command that appends the entry to a stream.
    pub(super) fn add_to(&self, stream: &str) -> Cmd {
        let mut command = redis::cmd("XADD");
        command.arg(stream).arg("*");
        for (name, value) in self.fields() {
            command.arg(name).arg(value);
        }
        command
    }

    /// Returns the fields of the entry. Equal entries have equal fields.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = self.scope();
        fields.push(("until", self.until.as_secs().to_string()));
        fields
    }

    /// Returns the fields that say what the entry revokes.
    pub(super) fn scope(&self) -> Vec<(&'static str, String)> {
        Self::scope_of(&self.by)
    }

    pub(super) fn scope_of(by: &RevokedBy) -> Vec<(&'static str, String)> {
        let one = |kind: &str, name: &str| vec![("by", kind.to_owned()), ("name", name.to_owned())];
        let of = |kind: &str, issuer: &str, name: &str| {
            let mut fields = one(kind, name);
            fields.push(("issuer", issuer.to_owned()));
            fields
        };
        match by {
            RevokedBy::SignedHash { hash, expires } => {
                let mut fields = one("signed_hash", &base64url::encode(hash));
                fields.push(("expires", expires.as_secs().to_string()));
                fields
            }
            RevokedBy::Agent(agent) => one("agent", agent.as_str()),
            RevokedBy::Issuer(issuer) => one("issuer", issuer),
            RevokedBy::Key(key) => one("key", &key.to_string()),
            RevokedBy::Certificate(certificate) => one("certificate", &certificate.to_string()),
            RevokedBy::Everything => one(EVERYTHING, ""),
            RevokedBy::Subject { issuer, subject } => of("subject", issuer, subject),
            RevokedBy::Client { issuer, client } => of("client", issuer, client),
            RevokedBy::Session { issuer, session } => of("session", issuer, session),
            RevokedBy::TokenId { issuer, token_id } => of("token_id", issuer, token_id),
        }
    }

    /// Reads an entry.
    ///
    /// An entry that this version does not know, or that is malformed, revokes everything that was
    /// issued until its time: it must not be lost. Returns whether it is known as well.
    fn parse(id: &str, fields: &HashMap<String, String>) -> (Self, bool) {
        let seconds = |name: &str| fields.get(name)?.parse::<u64>().ok();
        // The first part of an identifier is the time of the server, in milliseconds.
        let added = || Some(id.split_once('-')?.0.parse::<u64>().ok()?.div_ceil(1_000));
        let until = seconds("until").or_else(added).unwrap_or(u64::MAX);
        let until = at(until);
        let by = Self::read_scope(fields);
        let is_known = by.is_some();
        let by = by.unwrap_or_else(|| {
            tracing::warn!(
                id,
                "unknown entry in the stream of revocations: everything is revoked"
            );
            RevokedBy::Everything
        });
        (Self { by, until }, is_known)
    }

    fn read_scope(fields: &HashMap<String, String>) -> Option<RevokedBy> {
        let get = |name: &str| fields.get(name).cloned();
        let name = get("name")?;
        Some(match fields.get("by")?.as_str() {
            "signed_hash" => RevokedBy::SignedHash {
                hash: base64url::decode(&name).ok()?.try_into().ok()?,
                expires: at(fields.get("expires")?.parse().ok()?),
            },
            "agent" => RevokedBy::Agent(name.parse().ok()?),
            "issuer" => RevokedBy::Issuer(name),
            "key" => RevokedBy::Key(name.parse().ok()?),
            "certificate" => RevokedBy::Certificate(name.parse().ok()?),
            "subject" => RevokedBy::Subject {
                issuer: get("issuer")?,
                subject: name,
            },
            "client" => RevokedBy::Client {
                issuer: get("issuer")?,
                client: name,
            },
            "session" => RevokedBy::Session {
                issuer: get("issuer")?,
                session: name,
            },
            "token_id" => RevokedBy::TokenId {
                issuer: get("issuer")?,
                token_id: name,
            },
            EVERYTHING => RevokedBy::Everything,
            _ => return None,
        })
    }

    /// Returns whether the entry is over: it revokes one credential, which has expired.
    pub(super) fn is_over(&self, now: u64) -> bool {
        match &self.by {
            RevokedBy::SignedHash { expires, .. } => {
                expires.as_secs().saturating_add(KEPT_AFTER_EXPIRY) < now
            }
            _ => false,
        }
    }
}

impl Placed {
    /// Reads the reply to `XRANGE`.
    pub(super) fn parse_all(reply: &Value) -> Result<Vec<Self>, Error> {
        let Value::Array(entries) = reply else {
            return Err(unexpected("entries of a stream"));
        };
        let parsed = entries.iter().map(|entry| {
            let Value::Array(parts) = entry else {
                return None;
            };
            let [id, Value::Array(fields)] = parts.as_slice() else {
                return None;
            };
            let id = text(id)?;
            let pairs = fields.chunks_exact(2).filter_map(|pair| match pair {
                [name, value] => Some((text(name)?, text(value)?)),
                _ => None,
            });
            let (entry, is_known) = Entry::parse(&id, &pairs.collect());
            Some(Self {
                id,
                entry,
                is_known,
            })
        });
        let parsed: Option<Vec<_>> = parsed.collect();
        parsed.ok_or(unexpected("entries of a stream"))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

const EVERYTHING: &str = "everything";
/// As in [`RevocationList`](crate::revoked::RevocationList): more than any skew of a guard.
const KEPT_AFTER_EXPIRY: u64 = 600;
