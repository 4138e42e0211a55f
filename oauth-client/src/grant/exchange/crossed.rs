//! Compares a grant for another authorization server with the subject token that it was given for.

use aims_jose::json::{self, Text};
use aims_jose::jwt::NumericDate;
use aims_jose::time::UnixTime;
use aims_oauth_wire::delegate::{Crossing, Dimension, Kind, Rights, ScopeTable};
use aims_oauth_wire::names::ScopeSet;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::SubjectToken;
use super::issued::fail;
use super::judge::{Accepted, Answer, Deviation, Ends, Own, lifetime, refuse_scopes};
use crate::Error;
use crate::grant::Target;

/// The settings of a program for the grants of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct GrantRules {
    pub(super) table: Option<ScopeTable>,
    pub(super) accepted: Accepted,
}

/// The request that a grant answers.
pub(super) struct Crossed<'a> {
    pub(super) subject: &'a SubjectToken,
    pub(super) target: &'a Target,
    pub(super) rules: &'a GrantRules,
    /// The server is the identity provider of the subject, which states the login itself.
    pub(super) is_provider: bool,
}

/// The claims of a grant. Nothing of it is verified: the client asked the server itself.
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default)]
    iss: Option<Text<'a>>,
    #[serde(borrow, default)]
    scope: Option<Text<'a>>,
    #[serde(borrow, default)]
    txn: Option<Text<'a>>,
    exp: Option<NumericDate>,
    #[serde(default)]
    cnf: Option<Map<String, Value>>,
    #[serde(default)]
    txn_claims: Map<String, Value>,
}

impl Claims<'_> {
    fn scopes(&self) -> Result<Option<ScopeSet>, Error> {
        let scope = self.scope.as_deref().filter(|scope| !scope.is_empty());
        let scopes = scope.map(str::parse).transpose();
        scopes.map_err(|_malformed| fail("its `scope` is malformed"))
    }
}

impl Crossed<'_> {
    /// The grant permits no more than was asked for, and no more than the subject token as far as
    /// that can be compared. `stated` are the scopes of the response.
    pub(super) fn judge(
        &self,
        payload: &[u8],
        stated: Option<&ScopeSet>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let claims: Claims<'_> =
            json::from_object(payload).map_err(|_malformed| fail("a claim is malformed"))?;
        for granted in claims.scopes()?.iter().chain(stated) {
            self.check_scopes(granted)?;
        }
        if let Some(parent) = self.subject.read() {
            self.compare(&parent, payload, &claims)?;
        }
        if self.subject.is_id_token() {
            // It tells of a login, and its end is not that of what the user permits.
            return Ok(());
        }
        let ends = Ends {
            stated: None,
            exp: claims.exp.map(Into::into),
        };
        let accepts_new = self.accepts(Deviation::NewLifetime);
        lifetime(self.subject, None, accepts_new, ends, now)
    }

    fn accepts(&self, deviation: Deviation) -> bool {
        self.rules.accepted.contains(&deviation)
    }

    /// Compares scopes with those that were asked for, and with those that are known of a subject
    /// token that cannot be read.
    fn check_scopes(&self, granted: &ScopeSet) -> Result<(), Error> {
        let asked = self.target.scopes();
        if !asked.is_empty() {
            refuse_scopes(asked, granted)?;
        }
        let own = self.subject.scopes.as_ref().filter(|own| !own.is_empty());
        match (own, &self.rules.table) {
            (Some(own), Some(table)) => refuse_scopes(&table.inward(own)?, granted),
            (Some(own), None) if asked.is_empty() => refuse_scopes(own, granted),
            _ => Ok(()),
        }
    }

    /// Refuses what is certainly wider than a subject token of a known kind. The other domain may
    /// name the subject otherwise, and need not know the actors of this one.
    fn compare(&self, parent: &Answer, payload: &[u8], claims: &Claims<'_>) -> Result<(), Error> {
        let Some(kind) = parent.kind else {
            return Ok(());
        };
        let own = Own::read(&parent.payload)?;
        if claims.txn.is_some() && own.txn.is_some() && claims.txn != own.txn {
            return Err(fail("its `txn` is another transaction"));
        }
        let table = match &self.rules.table {
            Some(table) => table.clone(),
            None => own.table()?,
        };
        let fewer = self.accepts(Deviation::MissingContext);
        let fewer = fewer.then(|| without_missing(&parent.payload, &claims.txn_claims));
        let known = fewer.flatten();
        let known = known.as_deref().unwrap_or(&parent.payload);
        let unreadable = |_malformed| Error::Incomparable;
        let known = Rights::read(kind, known).map_err(unreadable)?;
        let child = Rights::read(Kind::AuthorizationGrant, payload).map_err(unreadable)?;
        let crossing = Crossing::new(Kind::AuthorizationGrant, claims.iss.as_deref());
        let crossing = crossing.scopes_inward(table).without_actors();
        let comparison = crossing.translate(&known).compare(&child);
        let is_bound = claims.cnf.as_ref().is_some_and(|it| !it.is_empty());
        let wider = comparison.refuse_wider(|dimension| match dimension {
            // It is the server that was asked for.
            Dimension::Audience => false,
            // Without a table, scopes that were asked for are those of the other domain.
            Dimension::Scope => self.rules.table.is_some() || self.target.scopes().is_empty(),
            Dimension::Actions | Dimension::Details => self.target.details().is_none(),
            Dimension::Lifetime => !self.accepts(Deviation::NewLifetime),
            // The client that asks is one more actor, which the other domain need not know. The
            // grant may be bound to its key, but to no key only if that is accepted.
            Dimension::Confirmation => !is_bound && !self.accepts(Deviation::Unbound),
            Dimension::Other => !self.is_provider,
            _ => true,
        });
        wider.map_err(Error::Amplified)
    }
}

/// Returns the claims without the members of `tctx` that the grant does not have. Its call stays.
fn without_missing(payload: &[u8], kept: &Map<String, Value>) -> Option<Vec<u8>> {
    let mut claims: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let context = claims.get_mut("tctx")?.as_object_mut()?;
    context.retain(|name, _| name == "call_digest" || kept.contains_key(name));
    serde_json::to_vec(&claims).ok()
}
