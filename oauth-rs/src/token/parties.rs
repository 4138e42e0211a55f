//! The parties of a token: the client, the parties that act, and whether the subject is a user.

use aims_wimse_id::WorkloadId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{AccessToken, Actor, login};
use crate::ProfileName;

impl AccessToken {
    /// Returns the client to which the token was issued: `client_id`, or the claim that the
    /// issuer's profile names.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// Returns whether the token was issued to this workload: `client_id` is the workload's
    /// identifier, or the issuer's rules say so
    /// ([`IssuerRules::client_is`](crate::IssuerRules::client_is)).
    #[must_use]
    pub fn issued_to(&self, workload: &WorkloadId) -> bool {
        let is_own = WorkloadId::parse(self.client_id()).is_ok_and(|id| id == *workload);
        is_own || self.workloads().any(|it| it == workload)
    }

    /// Iterates over the workloads that the token's client stands for, by the issuer's rules.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadId> {
        self.0.rules.workloads_of(&self.0.client_id)
    }

    /// Returns the party that acts for the subject at present: the outermost `act`, or the client
    /// if the token has no `act`. Decisions are about this actor alone (RFC 8693 §4.1).
    ///
    /// If the client acts for itself, it is the [subject](Self::subject) as well.
    #[must_use]
    pub fn current_actor(&self) -> &Actor {
        &self.0.current_actor
    }

    /// Returns the parties that acted for the subject before the [current
    /// actor](Self::current_actor), the latest first. They are for records: RFC 8693 §4.1 forbids
    /// to decide by them.
    #[must_use]
    pub fn history(&self) -> &[Actor] {
        self.0.actors.get(1..).unwrap_or_default()
    }

    /// Returns `act` as it was written: the current actor, then the [history](Self::history), at
    /// most five, each once. It is empty if the token has no `act`.
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.0.actors
    }

    /// Returns whether the subject is a client and no user (RFC 9700 §4.15), as after a client
    /// credentials grant.
    ///
    /// The subject is then the client (RFC 9068 §2.2) or, after an exchange, one of the parties
    /// that act. Some servers write another subject: Auth0 marks the token by `gty`, Microsoft
    /// Entra ID writes no `scp` into it, and Keycloak names its user `service-account-` and the
    /// client in `preferred_username`. A server that does none of this gives no way to tell.
    ///
    /// ```
    /// use aims_oauth_rs::AccessToken;
    ///
    /// /// Returns the user for whom the token was issued, if there is one.
    /// fn user(token: &AccessToken) -> Option<&str> {
    ///     (!token.subject_is_client()).then(|| token.subject())
    /// }
    /// ```
    #[must_use]
    pub fn subject_is_client(&self) -> bool {
        #[derive(Deserialize)]
        struct Marks<'a> {
            #[serde(borrow)]
            gty: Option<&'a RawValue>,
            #[serde(borrow)]
            idtyp: Option<&'a RawValue>,
            #[serde(borrow)]
            scp: Option<&'a RawValue>,
            #[serde(borrow)]
            preferred_username: Option<&'a RawValue>,
        }
        let is_own = |it: &Actor| it.issuer.as_ref().is_none_or(|it| *it == self.0.issuer);
        let acts = |it: &Actor| it.subject == self.0.subject && is_own(it);
        if self.0.subject == self.0.client_id || self.0.actors.iter().any(acts) {
            return true;
        }
        // A token whose claims cannot be read is of no user.
        let Ok(marks) = self.claims::<Marks<'_>>() else {
            return true;
        };
        let text = |raw| login::read::<String>(raw).unwrap_or_default();
        let names_service = |name: String| {
            let start = name.get(..SERVICE_ACCOUNT.len());
            start.is_some_and(|it| it.eq_ignore_ascii_case(SERVICE_ACCOUNT))
        };
        match self.profile() {
            ProfileName::EntraV1 | ProfileName::EntraV2 => {
                marks.scp.is_none() || text(marks.idtyp) == "app"
            }
            ProfileName::Auth0 => text(marks.gty) == "client-credentials",
            ProfileName::Keycloak => names_service(text(marks.preferred_username)),
            _ => false,
        }
    }

    /// Returns whether `may_act` permits this party to act for the subject (RFC 8693 §4.4): every
    /// member of the claim is one of the party. `None` stands for the token's own issuer, and so
    /// does a claim without `iss`.
    ///
    /// Returns `None` if the token has no `may_act`. A malformed one permits no party.
    #[must_use]
    pub fn may_act(&self, party: &str, issuer: Option<&str>) -> Option<bool> {
        let issuer = issuer.unwrap_or(&self.0.issuer);
        let is_client = party == self.0.client_id && issuer == self.0.issuer;
        let client = is_client.then_some(party);
        let may_act = self.0.may_act.as_ref();
        may_act.map(|it| it.permits(party, issuer, &self.0.issuer, client))
    }
}

/// Without `act`, the client acts.
pub(super) fn current_actor(actors: &[Actor], client_id: &str) -> Actor {
    let client = || Actor {
        subject: client_id.to_owned(),
        issuer: None,
    };
    actors.first().cloned().unwrap_or_else(client)
}

/// How Keycloak begins the name of the user that stands for a client.
const SERVICE_ACCOUNT: &str = "service-account-";
