//! The requirements that a route sets for its callers.

mod token;
mod transaction;

use std::collections::BTreeSet;
use std::sync::Arc;

use aims_error::shown;
use aims_jose::time::UnixTime;
use aims_oauth_wire::challenge::StepUp;
use aims_oauth_wire::names::ScopeSet;
use aims_wimse_id::{IdPattern, WorkloadId};

use crate::decision::{Call, Decision, Denial, Permit, Reason};
use crate::guard::{BuildError, ProofMethod};
use crate::principal::Principal;
use token::TokenDemands;
use transaction::Transaction;

/// The requirements of a route.
///
/// By default a route requires a proof of possession, and an access token if the guard has issuers.
/// It accepts every agent of the trusted origins and requires no scope. Set the requirements of one
/// route with [`Guard::requiring`](crate::Guard::requiring), and those of all other routes with
/// [`GuardBuilder::require`](crate::guard::GuardBuilder::require).
///
/// ```
/// use aims::Requirements;
/// use aims::guard::ProofMethod;
///
/// # fn example(guard: &aims::Guard) -> Result<(), Box<dyn std::error::Error>> {
/// // Only the agents of one team, with a token for the scope, and a proof that covers the content.
/// let requirements = Requirements::new()
///     .agents("spiffe://example.org/team/*".parse()?)
///     .scopes("files:write".parse()?)
///     .proof(ProofMethod::HttpSignature);
/// let writing = guard.requiring(requirements)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    agents: Vec<IdPattern>,
    scopes: Option<ScopeSet>,
    roles: BTreeSet<String>,
    bearer: Accepts,
    identity_alone: Accepts,
    streams: Accepts,
    transaction: Option<Transaction>,
    transaction_alone: Accepts,
    call_in_handler: Accepts,
    actor: Asks,
    token: TokenDemands,
    both: Option<Arc<dyn Permit>>,
    outliving: Accepts,
    proofs: Vec<ProofMethod>,
}

/// Tolerances of the route that must be named.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Accepts {
    Yes,
    #[default]
    No,
}

/// The event that ends the streams of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StreamEnd {
    /// The end of the first credential, or a revocation.
    Credentials,
    /// A revocation.
    Revocation,
}

/// Demands of the route that must be named.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Asks {
    Yes,
    #[default]
    No,
}

impl Requirements {
    /// Requires a proof of possession and nothing else.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts only agents whose identifier matches this pattern. May be repeated; one match is
    /// enough.
    #[must_use]
    pub fn agents(mut self, pattern: IdPattern) -> Self {
        self.agents.push(pattern);
        self
    }

    /// Requires an access token with all of these scopes. Roles and other rights do not count.
    #[must_use]
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Requires an access token with all of these roles, permissions or groups.
    ///
    /// The token profile of the issuer tells which claims hold them. Scopes do not count.
    ///
    /// ```
    /// use aims::Requirements;
    ///
    /// // Keycloak: the realm role `operator`.
    /// let requirements = Requirements::new().accept_bearer().roles(["operator"]);
    /// # drop(requirements);
    /// ```
    #[must_use]
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// Requires an access token that names an actor for its subject in `act` (RFC 8693 §4.1).
    ///
    /// The token must be bound to a key or belong to the proven agent.
    #[must_use]
    pub const fn actor(mut self) -> Self {
        self.actor = Asks::Yes;
        self
    }

    /// Accepts only this method of proof. May be repeated; one of the methods is enough.
    ///
    /// [`ProofMethod::HttpSignature`] is the method that covers the content of a request.
    #[must_use]
    pub fn proof(mut self, method: ProofMethod) -> Self {
        self.proofs.push(method);
        self
    }

    /// Accepts access tokens that are bound to no key, with or without a proof.
    ///
    /// Anyone who steals such a token can use it until it expires (RFC 6750 §5).
    ///
    /// A route that requires [agents](Self::agents), an actor ([`actor`](Self::actor),
    /// [`actors`](Self::actors), [`permitted_actor`](Self::permitted_actor)) or a
    /// [proof](Self::proof) still refuses a token that does not belong to the proven agent.
    ///
    /// ```
    /// use aims::Requirements;
    ///
    /// // A browser client has no key, so the route accepts its bearer token with this scope.
    /// let requirements = Requirements::new().accept_bearer().scopes("files:read".parse()?);
    /// # drop(requirements);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn accept_bearer(mut self) -> Self {
        self.bearer = Accepts::Yes;
        self
    }

    /// Accepts a proven agent without an access token, even if the guard has issuers.
    ///
    /// Use it for a route that needs only the identity of the agent.
    ///
    /// ```
    /// # fn example(guard: &aims::Guard) -> Result<(), Box<dyn std::error::Error>> {
    /// use aims::Requirements;
    ///
    /// // A health check that any agent of the origin may call, without an access token.
    /// let health = Requirements::new().agents("spiffe://example.org/*".parse()?).identity_alone();
    /// let health = guard.requiring(health)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn identity_alone(mut self) -> Self {
        self.identity_alone = Accepts::Yes;
        self
    }

    /// Marks a route whose responses stream.
    ///
    /// The guard must read a response completely before it can sign it. On such a route it refuses
    /// a request that demands a signed response with 501, before it calls the handler.
    ///
    /// ```
    /// # fn example(guard: aims::Guard) -> Result<axum::Router, aims::guard::BuildError> {
    /// use aims::{Principal, Requirements};
    /// use axum::{Router, routing::get};
    ///
    /// async fn events(who: Principal) -> String {
    ///     format!("events for {}", who.subject())
    /// }
    ///
    /// let streaming = guard.requiring(Requirements::new().streams())?;
    /// let router = Router::new().route("/mcp/events", get(events)).layer(streaming.layer());
    /// # Ok(router)
    /// # }
    /// ```
    #[must_use]
    pub const fn streams(mut self) -> Self {
        self.streams = Accepts::Yes;
        self
    }

    /// Requires that a policy permits the call to the subject, and also to each party that acts for
    /// it.
    ///
    /// So an agent cannot do for its user what only the user may do, and a user gets nothing
    /// through an agent that may do more (the confused deputy). A party for which the policy has no
    /// rule is refused. [`Permit`] shows an example.
    ///
    /// Of a transaction token without an access token, the policy is asked about `act` and the
    /// current actor of `agentic_ctx` if its rules read them (`TxnTokenRules::with_agents`, feature
    /// `txn-agents`), and about the proven agent.
    #[must_use]
    pub fn subject_and_actor(mut self, policy: impl Permit + 'static) -> Self {
        self.both = Some(Arc::new(policy));
        self
    }

    /// Lets requests and responses stream on after the credentials have expired or were revoked.
    /// Permits other protocols, such as WebSocket.
    ///
    /// By default both bodies of a call end with an error when one of its credentials is revoked.
    /// On a route that requires rights (scopes, roles, authorization details, or scopes of a
    /// transaction), they also end when the first credential expires, after the clock skew. The
    /// guard refuses a request for another protocol (`Upgrade`, `CONNECT`), because it cannot end
    /// that.
    ///
    /// A service for which this is set ends its connections itself:
    ///
    /// ```
    /// # fn example(guard: aims::Guard) -> Result<(), Box<dyn std::error::Error>> {
    /// use aims::{Principal, Requirements};
    ///
    /// /// Returns when a connection of this caller has to end.
    /// fn last_second(who: &Principal) -> u64 {
    ///     who.expires().as_secs()
    /// }
    ///
    /// let route = Requirements::new().scopes("chat".parse()?).outlive_credentials();
    /// let sockets = guard.requiring(route)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn outlive_credentials(mut self) -> Self {
        self.outliving = Accepts::Yes;
        self
    }

    /// Returns what ends the streams of a call, unless they may go on.
    pub(crate) fn stream_end(&self) -> Option<StreamEnd> {
        if self.outliving == Accepts::Yes {
            return None;
        }
        let needs_rights = self.scopes.is_some()
            || !self.roles.is_empty()
            || self.token.needs_details()
            || self
                .transaction
                .as_ref()
                .is_some_and(Transaction::needs_scopes);
        Some(if needs_rights {
            StreamEnd::Credentials
        } else {
            StreamEnd::Revocation
        })
    }

    pub(crate) fn allows_bearer(&self) -> bool {
        self.bearer == Accepts::Yes
    }

    /// Returns whether only a request with the proof of an agent can meet the requirements.
    pub(crate) fn needs_agent(&self) -> bool {
        !self.agents.is_empty() || !self.proofs.is_empty()
    }

    /// Whether the route names this proof among those that it accepts.
    pub(crate) fn asks_for_proof(&self, method: ProofMethod) -> bool {
        self.proofs.contains(&method)
    }

    /// Whether a caller with this proof of possession and without the credential of an agent can
    /// meet them.
    pub(crate) fn accepts_without_agent(&self, method: ProofMethod) -> bool {
        self.agents.is_empty() && (self.proofs.is_empty() || self.asks_for_proof(method))
    }

    pub(crate) fn allows_identity_alone(&self) -> bool {
        self.identity_alone == Accepts::Yes
    }

    pub(crate) fn does_stream(&self) -> bool {
        self.streams == Accepts::Yes
    }

    /// Returns whether the route depends on the identity of the caller. If so, a token that does
    /// not belong to the proven agent is refused.
    pub(crate) fn asks_who_calls(&self) -> bool {
        self.needs_agent() || self.asks_who_acts()
    }

    /// Returns whether the route depends on the actor of the token. If so, a token that is bound to
    /// no key must belong to the proven agent.
    pub(crate) fn asks_who_acts(&self) -> bool {
        self.asks_for_actor() || self.token.asks_who_acts()
    }

    fn asks_for_actor(&self) -> bool {
        self.actor == Asks::Yes
    }

    pub(crate) const fn required_scopes(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref()
    }

    /// Returns the login that tokens must come from.
    pub(crate) const fn required_login(&self) -> &StepUp {
        self.token.required_login()
    }

    /// Returns whether only an access token can meet the requirements.
    pub(crate) fn needs_token(&self) -> bool {
        self.scopes.is_some()
            || !self.roles.is_empty()
            || self.asks_for_actor()
            || self.token.needs_token()
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let contradiction = |what| Err(BuildError::Requirements { what });
        if self.allows_identity_alone() && self.needs_token() {
            return contradiction(
                "`identity_alone` beside scopes, roles, an actor or other demands on a token",
            );
        }
        if self.allows_transaction_alone() && self.needs_token() {
            return contradiction(
                "`accept_transaction_alone` beside scopes, roles, an actor or other demands on a token",
            );
        }
        let transaction = self.transaction.as_ref();
        if let Some(what) = transaction.and_then(Transaction::contradiction) {
            return contradiction(what);
        }
        if self.roles.iter().any(String::is_empty) {
            return contradiction("a role is empty");
        }
        if self.scopes.as_ref().is_some_and(ScopeSet::is_empty) {
            return contradiction("the set of scopes is empty");
        }
        match self.token.contradiction() {
            Some(what) => contradiction(what),
            None => Ok(()),
        }
    }

    /// Decides by the requirements alone, without a policy.
    ///
    /// ```
    /// use aims::decision::Decision;
    /// use aims::jose::time::UnixTime;
    /// use aims::{Principal, Requirements};
    ///
    /// /// Checks a second set of requirements inside a handler.
    /// fn may_delete(who: &Principal) -> Result<bool, Box<dyn std::error::Error>> {
    ///     let requirements = Requirements::new().scopes("files:delete".parse()?);
    ///     Ok(matches!(requirements.decide(who, UnixTime::now()), Decision::Allow(_)))
    /// }
    /// ```
    ///
    /// [`approved_call`](Self::approved_call), [`transaction_call`](Self::transaction_call) and
    /// [`subject_and_actor`](Self::subject_and_actor) are about a call, which only a guard knows.
    /// With one of them every caller is denied here, by `guard.call`.
    #[must_use]
    pub fn decide(&self, principal: &Principal, now: UnixTime) -> Decision {
        if self.asks_for_approval() || self.asks_for_call() || self.both.is_some() {
            let detail = "the requirements are about a call, and only a guard compares it; set them with `Guard::requiring`";
            return Decision::Deny(Denial::Forbidden, reason("guard.call", detail.to_owned()));
        }
        self.decide_caller(principal, now)
    }

    /// Decides by the requirements that are not about the call.
    pub(crate) fn decide_caller(&self, principal: &Principal, now: UnixTime) -> Decision {
        let denied = |denial, code, detail: String| Decision::Deny(denial, reason(code, detail));
        let forbidden = |code, detail| denied(Denial::Forbidden, code, detail);
        if principal.proofs().is_empty() && !self.allows_bearer() {
            return forbidden(
                "guard.proof",
                "no proof of possession was presented, and the route requires one; call `accept_bearer` to accept tokens without a proof".to_owned(),
            );
        }
        let proven = |method: &ProofMethod| principal.proof_methods().any(|it| it == *method);
        if !self.proofs.is_empty() && !self.proofs.iter().any(proven) {
            return forbidden("guard.proof", self.other_proof(principal));
        }
        let matches = |pattern: &IdPattern| principal.agent().is_some_and(|it| pattern.matches(it));
        if !self.agents.is_empty() && !self.agents.iter().any(matches) {
            return forbidden("guard.agent", self.other_agent(principal));
        }
        if let Some((denial, code, detail)) = self.token.before_scopes(principal, now) {
            return denied(denial, code, detail);
        }
        if let Some(wanted) = &self.scopes {
            let granted = principal.scopes();
            if !granted.is_some_and(|granted| wanted.is_subset(granted)) {
                let detail = missing_scope(wanted, principal);
                let denial = Denial::InsufficientScope(wanted.clone());
                return denied(denial, "guard.scope", detail);
            }
        }
        let token = principal.access_token();
        if !self.roles.is_empty() && !token.is_some_and(|it| self.roles.is_subset(it.roles())) {
            return forbidden("guard.role", self.missing_role(principal));
        }
        if self.asks_for_actor() && token.is_none_or(|it| it.actors().is_empty()) {
            return forbidden(
                "guard.actor",
                "the access token names no actor: expected the claim `act` (RFC 8693 §4.1), which a token exchange adds".to_owned(),
            );
        }
        if let Some((denial, code, detail)) = self.token.after_scopes(principal) {
            return denied(denial, code, detail);
        }
        if let Some((code, detail)) = self.missing_of_transaction(principal) {
            return forbidden(code, detail);
        }
        let met = "the requirements are met".to_owned();
        Decision::Allow(reason("guard.requirements", met))
    }

    /// Asks the policy about the subject and about each party that acts for it.
    pub(crate) fn decide_both(
        &self,
        principal: &Principal,
        call: &Call<'_>,
        now: UnixTime,
    ) -> Decision {
        match &self.both {
            Some(policy) => crate::decision::both::decide(&**policy, principal, call, now),
            None => Decision::Allow(Vec::new()),
        }
    }

    fn other_proof(&self, principal: &Principal) -> String {
        let expected = shown(self.proofs.iter().map(|it| it.as_str()));
        let found = shown(principal.proof_methods().map(ProofMethod::as_str));
        format!("the route requires another proof: expected {expected}, found {found}")
    }

    fn other_agent(&self, principal: &Principal) -> String {
        let expected: Vec<String> = self.agents.iter().map(ToString::to_string).collect();
        let expected = shown(expected.iter().map(String::as_str));
        let found = shown(principal.agent().map(WorkloadId::as_str));
        format!("the agent matches no pattern of this route: expected {expected}, found {found}")
    }

    fn missing_role(&self, principal: &Principal) -> String {
        let token = principal.access_token();
        let expected = shown(self.roles.iter().map(String::as_str));
        let found = token.into_iter().flat_map(|it| it.roles());
        let found = shown(found.map(String::as_str));
        let has = |role: &String| principal.scopes().is_some_and(|it| it.contains(role));
        let hint = if self.roles.iter().any(has) {
            "; a scope has this name, and scopes are required by `Requirements::scopes`"
        } else {
            ""
        };
        format!("the access token lacks a role: expected {expected}, found {found}{hint}")
    }
}

fn missing_scope(wanted: &ScopeSet, principal: &Principal) -> String {
    let scopes = |of: Option<&ScopeSet>| {
        let of = of.into_iter().flat_map(ScopeSet::iter);
        shown(of.map(|it| it.as_str()))
    };
    let (expected, found) = (scopes(Some(wanted)), scopes(principal.scopes()));
    let token = principal.access_token();
    let has = |scope: &str| token.is_some_and(|it| it.roles().contains(scope));
    let hint = if wanted.iter().any(|it| has(it.as_str())) {
        "; a role has this name, and roles are required by `Requirements::roles`"
    } else {
        ""
    };
    format!("the access token lacks a scope: expected {expected}, found {found}{hint}")
}

fn reason(code: &'static str, detail: String) -> Vec<Reason> {
    vec![Reason::new(code, detail)]
}
