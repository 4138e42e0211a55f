//! Requirements of a route for the access token, beside scopes and roles.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims_error::shown;
use aims_jose::time::UnixTime;
use aims_oauth_rs::AccessToken;
use aims_oauth_wire::authorization_details::{AuthorizationDetails, DetailType};
use aims_oauth_wire::challenge::StepUp;
use aims_oauth_wire::names::Issuer;
use aims_wimse_id::{IdPattern, WorkloadId};

use super::{Accepts, Asks, Requirements};
use crate::decision::Denial;
use crate::principal::Principal;

/// The demands on an access token.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenDemands {
    issuers: Vec<Issuer>,
    actors: Vec<(Issuer, IdPattern)>,
    permitted_actor: Asks,
    user: Asks,
    step_up: StepUp,
    bad_step_up: bool,
    details: Vec<Arc<dyn Wanted>>,
    offered: Accepts,
    approved: Asks,
    /// The tools whose calls need an approval, if not all do.
    approved_tools: BTreeSet<Box<str>>,
}

/// A required entry of authorization details.
trait Wanted: fmt::Debug + Send + Sync {
    fn is_permitted(&self, granted: &AuthorizationDetails, resource: &str) -> bool;

    /// Adds the entry to those that a client may ask for.
    fn add_to(&self, offered: AuthorizationDetails) -> Option<AuthorizationDetails>;

    fn kind(&self) -> &'static str;
}

impl<T: DetailType> Wanted for T {
    fn is_permitted(&self, granted: &AuthorizationDetails, resource: &str) -> bool {
        granted.permit(self, resource)
    }

    fn add_to(&self, offered: AuthorizationDetails) -> Option<AuthorizationDetails> {
        offered.with(self).ok()
    }

    fn kind(&self) -> &'static str {
        T::TYPE
    }
}

impl Requirements {
    /// Accepts only subjects of this issuer: the access token is from it. May be repeated; one of
    /// the issuers is enough.
    ///
    /// It restricts a route to some of the guard's issuers.
    #[must_use]
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.token.issuers.push(issuer);
        self
    }

    /// Accepts only access tokens of this issuer whose current actor is one of this issuer and
    /// matches this pattern. May be repeated; one match is enough. The token must be bound to a key
    /// or belong to the proven agent.
    ///
    /// The current actor is the outermost `act` (RFC 8693 §4.1). Without `act` it is the client to
    /// which the token was issued, by its identifier or by
    /// [`IssuerRules::client_is`](aims_oauth_rs::IssuerRules::client_is). Earlier actors do not
    /// count.
    ///
    /// A party is named by its issuer and its subject together: an issuer of the guard can write
    /// any text as `act.sub`. So a token of another issuer does not meet the requirement, and
    /// neither does an actor with another issuer in `act.iss`.
    ///
    /// ```
    /// use aims::Requirements;
    ///
    /// // Only the assistants of one team may act for a user here, as this issuer names them.
    /// let requirements = Requirements::new()
    ///     .actors("https://as.example".parse()?, "spiffe://example.org/team/*".parse()?);
    /// # drop(requirements);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn actors(mut self, issuer: Issuer, pattern: IdPattern) -> Self {
        self.token.actors.push((issuer, pattern));
        self
    }

    /// Refuses an access token with `may_act` whose current actor is another party than the one
    /// that `may_act` permits (RFC 8693 §4.4). A token without `may_act` is not compared.
    ///
    /// The token must be bound to a key or belong to the proven agent.
    ///
    /// A token from an exchange may have `may_act` for a further exchange; do not require this on a
    /// route for such tokens.
    #[must_use]
    pub const fn permitted_actor(mut self) -> Self {
        self.token.permitted_actor = Asks::Yes;
        self
    }

    /// Requires an access token that was issued for a user: a token whose subject is a client, as
    /// from a client credentials grant, is refused (RFC 9700 §4.15).
    ///
    /// [`AccessToken::subject_is_client`](aims_oauth_rs::AccessToken::subject_is_client) says how
    /// such a token is recognized.
    #[must_use]
    pub const fn user(mut self) -> Self {
        self.token.user = Asks::Yes;
        self
    }

    /// Requires a login of one of these authentication context classes (`acr`), the preferred one
    /// first.
    ///
    /// A token of another login, or without `acr`, is refused with 401 and
    /// `insufficient_user_authentication`; the challenge names these values (RFC 9470 §3).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use aims::Requirements;
    ///
    /// // A payment needs a second factor, and a login of the last five minutes.
    /// let requirements = Requirements::new()
    ///     .scopes("payments".parse()?)
    ///     .acr(["urn:example:mfa"])
    ///     .max_age(Duration::from_secs(300));
    /// # drop(requirements);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn acr<V: Into<String>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        self.token.bad_step_up |= values.is_empty();
        match self.token.step_up.clone().acr_values(values) {
            Ok(step_up) => self.token.step_up = step_up,
            Err(_not_sendable) => self.token.bad_step_up = true,
        }
        self
    }

    /// Requires a login (`auth_time`) that is at most this old, in full seconds.
    ///
    /// A token of an older login, or without `auth_time`, is refused with 401 and
    /// `insufficient_user_authentication`; the challenge has `max_age` (RFC 9470 §3).
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.token.bad_step_up |= age.as_secs() == 0;
        self.token.step_up = self.token.step_up.max_age(age);
        self
    }

    /// Requires an access token whose `authorization_details` permit this (RFC 9396). May be
    /// repeated; all of them are required.
    ///
    /// Entries that are for another resource, by `locations`, permit nothing here.
    ///
    /// ```
    /// use aims::Requirements;
    /// use aims::oauth_wire::authorization_details::ToolDetail;
    ///
    /// let requirements = Requirements::new()
    ///     .details(ToolDetail::new().actions(["files.delete"]))
    ///     .offer_details();
    /// # drop(requirements);
    /// ```
    #[must_use]
    pub fn details(mut self, wanted: impl DetailType) -> Self {
        self.token.details.push(Arc::new(wanted));
        self
    }

    /// Requires that a person has approved exactly this call: the access token has an entry of the
    /// type `aims_tool` with the tool, the arguments and the digest of the call, and was not used
    /// for it before.
    ///
    /// [`Guard::call_layer`](crate::Guard::call_layer) reads the call from the content of the
    /// request. An application that reads it by itself, in a layer outside the guard's, inserts it
    /// as a [`ToolCall`](aims_oauth_wire::call::ToolCall) into the extensions of the request.
    ///
    /// A caller without an approval gets 403 and `insufficient_authorization_details`, with the
    /// details to ask for in the member `authorization_details`. The challenge names the scopes and
    /// the login that the route requires, so that the caller asks for everything at once. If no
    /// call is named, every caller gets 403 and `guard.call`.
    ///
    /// A token for one call permits nothing else, on every route: one that does not require an
    /// approval compares it as well.
    ///
    /// ```
    /// use aims::Requirements;
    ///
    /// let transfers = Requirements::new().approved_call();
    /// # drop(transfers);
    /// ```
    #[must_use]
    pub const fn approved_call(mut self) -> Self {
        self.token.approved = Asks::Yes;
        self
    }

    /// Requires what [`approved_call`](Self::approved_call) does for calls of these tools. Other
    /// calls, and requests without a call, need no approval. May be repeated.
    ///
    /// Use it with [`Guard::call_layer`](crate::Guard::call_layer) for a server of MCP, which has
    /// one URL for all tools and messages. If neither this layer nor a `ToolCall` says which call a
    /// request makes, every caller gets 403 and `guard.call`. An attribute of the application does
    /// not count here.
    ///
    /// ```
    /// use aims::Requirements;
    ///
    /// let requirements = Requirements::new().approved_tools(["transfer", "close_account"]);
    /// # drop(requirements);
    /// ```
    #[must_use]
    pub fn approved_tools<T: Into<Box<str>>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        let tools = tools.into_iter().map(Into::into);
        self.token.approved_tools.extend(tools);
        self
    }

    /// Returns whether any call needs an approval.
    pub(crate) fn asks_for_approval(&self) -> bool {
        self.asks_for_every_approval() || !self.token.approved_tools.is_empty()
    }

    /// Returns whether every request needs one.
    pub(crate) fn asks_for_every_approval(&self) -> bool {
        self.token.approved == Asks::Yes
    }

    /// Returns whether a call of this tool needs one.
    pub(crate) fn asks_for_approval_of(&self, tool: &str) -> bool {
        self.asks_for_every_approval() || self.token.approved_tools.contains(tool)
    }

    /// Tells a caller whose token lacks [details](Self::details) which ones would be allowed.
    ///
    /// The answer is 403 in any case. With this method it has the member `authorization_details`,
    /// in the form in which a client asks for them.
    #[must_use]
    pub const fn offer_details(mut self) -> Self {
        self.token.offered = Accepts::Yes;
        self
    }
}

/// The first requirement that is not met: the answer, the code of the reason, and the detail.
pub(super) type Missing = (Denial, &'static str, String);

impl TokenDemands {
    pub(super) fn needs_token(&self) -> bool {
        !self.issuers.is_empty()
            || !self.actors.is_empty()
            || !self.step_up.is_empty()
            || !self.details.is_empty()
            || self.permitted_actor == Asks::Yes
            || self.user == Asks::Yes
            || self.approved == Asks::Yes
            || !self.approved_tools.is_empty()
    }

    pub(super) const fn needs_details(&self) -> bool {
        !self.details.is_empty()
    }

    /// Returns whether the actor of the token decides.
    pub(super) fn asks_who_acts(&self) -> bool {
        !self.actors.is_empty() || self.permitted_actor == Asks::Yes
    }

    /// Returns the requirement that no caller can meet.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        if self.bad_step_up {
            return Some(
                "`acr` without values or with one that a challenge cannot have, or a `max_age` of less than a second",
            );
        }
        if self.offered == Accepts::Yes && self.details.is_empty() {
            return Some("`offer_details` without `details`");
        }
        if self.all_details().is_none() {
            return Some("a detail whose type writes no object with its `type`");
        }
        None
    }

    fn all_details(&self) -> Option<AuthorizationDetails> {
        let mut all = self.details.iter();
        all.try_fold(AuthorizationDetails::default(), |all, it| it.add_to(all))
    }

    /// Returns the login that tokens must come from.
    pub(super) const fn required_login(&self) -> &StepUp {
        &self.step_up
    }

    /// Checks whose token it is, and its login: a challenge for another login names the scopes as
    /// well.
    pub(super) fn before_scopes(&self, principal: &Principal, now: UnixTime) -> Option<Missing> {
        if !self.needs_token() {
            return None;
        }
        let forbidden = |code, detail| Some((Denial::Forbidden, code, detail));
        let Some(token) = principal.access_token() else {
            let detail = "the route requires an access token, and none was accepted";
            return forbidden("guard.issuer", detail.to_owned());
        };
        let is_own = |it: &Issuer| it.as_str() == token.issuer();
        if !self.issuers.is_empty() && !self.issuers.iter().any(is_own) {
            let expected = shown(self.issuers.iter().map(Issuer::as_str));
            let found = shown([token.issuer()]);
            let detail = format!(
                "the access token is of another issuer: expected {expected}, found {found}"
            );
            return forbidden("guard.issuer", detail);
        }
        if self.user == Asks::Yes && token.subject_is_client() {
            let found = shown([token.subject()]);
            let detail = format!(
                "the subject is a client: expected a token that was issued for a user, found the subject {found}"
            );
            return forbidden("guard.user", detail);
        }
        if !self.actors.is_empty() && !self.actor_matches(token) {
            return forbidden("guard.actor", self.other_actor(token));
        }
        let actor = token.current_actor();
        let permits = token.may_act(&actor.subject, actor.issuer.as_deref());
        if self.permitted_actor == Asks::Yes && permits == Some(false) {
            let found = shown([actor.subject.as_str()]);
            let detail = format!(
                "the current actor is another party than the one that `may_act` of the access token permits: found {found}"
            );
            return forbidden("guard.actor", detail);
        }
        let detail = self.other_login(token, now)?;
        let denial = Denial::InsufficientAuthentication(self.step_up.clone());
        Some((denial, "guard.authentication", detail))
    }

    /// Checks the authorization details.
    pub(super) fn after_scopes(&self, principal: &Principal) -> Option<Missing> {
        if self.details.is_empty() {
            return None;
        }
        let token = principal.access_token();
        let granted = token.map(AccessToken::authorization_details);
        let granted = granted.and_then(Result::ok).unwrap_or_default();
        let resource = principal.resource();
        let mut missing = self.details.iter();
        let missing = missing.find(|it| !it.is_permitted(&granted, resource))?;
        let offered = self.all_details();
        let denial = Denial::InsufficientDetails(match self.offered {
            Accepts::Yes => offered.unwrap_or_default(),
            Accepts::No => AuthorizationDetails::default(),
        });
        let detail = format!(
            "`authorization_details` of the access token permit too little: expected more of the type `{}`, found entries of the types {}",
            missing.kind(),
            shown(granted.types())
        );
        Some((denial, "guard.details", detail))
    }

    fn actor_matches(&self, token: &AccessToken) -> bool {
        let actor = token.current_actor();
        let names = [
            token.issuer(),
            actor.issuer.as_deref().unwrap_or_else(|| token.issuer()),
        ];
        let is_of = |issuer: &Issuer| names.iter().all(|it| *it == issuer.as_str());
        let mut own = self.actors.iter().filter(|(issuer, _)| is_of(issuer));
        let by_name = WorkloadId::parse(&actor.subject).ok();
        let is_client = token.actors().is_empty();
        own.any(|(_, pattern)| {
            by_name.as_ref().is_some_and(|id| pattern.matches(id))
                || is_client && token.workloads().any(|id| pattern.matches(id))
        })
    }

    fn other_actor(&self, token: &AccessToken) -> String {
        let named = |(issuer, pattern): &(Issuer, IdPattern)| format!("{pattern} of {issuer}");
        let expected: Vec<String> = self.actors.iter().map(named).collect();
        let expected = shown(expected.iter().map(String::as_str));
        let actor = token.current_actor();
        let issuer = actor.issuer.as_deref().unwrap_or_else(|| token.issuer());
        let found = format!("{} of {issuer}", actor.subject);
        let found = shown([found.as_str()]);
        let by = shown([token.issuer()]);
        format!(
            "the current actor is none of this route: expected {expected}, found {found} in a token of {by}"
        )
    }

    /// Returns what is wrong with the login, if it does not meet the requirements.
    fn other_login(&self, token: &AccessToken, now: UnixTime) -> Option<String> {
        let mut accepted = self.step_up.accepted_acr().peekable();
        let needs_acr = accepted.peek().is_some();
        if needs_acr && !accepted.any(|it| Some(it) == token.acr()) {
            let expected = shown(self.step_up.accepted_acr());
            let found = shown(token.acr());
            return Some(format!(
                "the login is of another class: expected `acr` {expected}, found {found}"
            ));
        }
        let greatest = self.step_up.greatest_age()?.as_secs();
        let Some(login) = token.auth_time() else {
            return Some(format!(
                "the time of the login is not known: expected `auth_time` of the last {greatest} s, found none"
            ));
        };
        let (login, now) = (login.as_secs(), now.as_secs());
        if login > now.saturating_add(MOST_AHEAD) {
            return Some("the login is in the future: `auth_time` is after now".to_owned());
        }
        let age = now.saturating_sub(login);
        (age > greatest)
            .then(|| format!("the login is too old: expected at most {greatest} s, found {age} s"))
    }
}

/// How far the clock of the issuer may be ahead, in seconds: the greatest clock skew.
const MOST_AHEAD: u64 = 60;
