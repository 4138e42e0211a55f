//! The connection to one tool: its tokens, and what is requested.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aims_jose::time::UnixTime;
use aims_oauth_wire::challenge::{Challenge, Challenges};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::names::{Issuer, Resource, Scope, ScopeSet};
use aims_oauth_wire::token::TokenError;

use super::again::Registration;
use super::binding::{Binding, Demand};
use super::find::Found;
use super::requested::{Offline, Requested, expect_allowed};
use super::saved::Kept;
use super::{Connector, IdentityProvider, Progress, Settings, Way, find};
use crate::authorize::Asking;
use crate::step::drive;
use crate::{
    AuthorizationCode, AuthorizationRequest, ClientCredentials, DpopKey, Error, IdJagRequest,
    Identity, JwtBearer, Receiving, RevocationSignal, Target, Token, TokenSource, UserGrant,
};

/// Gets tokens for one tool by the [way](Way) that its [`Connector`] found.
///
/// Clones share everything. A login is made once for all callers.
#[derive(Clone)]
pub struct Connection(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) settings: Arc<Settings>,
    pub(super) tool: Resource,
    /// Those by which the tool was found.
    pub(super) challenges: Challenges,
    pub(super) resource: Resource,
    pub(super) source: TokenSource,
    pub(super) client: Arc<dyn Authenticate>,
    pub(super) registration: Option<Registration>,
    dpop: Option<DpopKey>,
    way: Way,
    is_assumed: bool,
    requested: Mutex<Requested>,
    /// Allows one login at a time, and holds the receiver whose URI was registered.
    login: tokio::sync::Mutex<Option<Box<dyn Receiving>>>,
}

pub(super) async fn connect(
    connector: &Connector,
    tool: &Resource,
    challenges: &Challenges,
) -> Result<Connection, Error> {
    let settings = Arc::clone(&connector.0);
    let found = find::find(&settings, tool, challenges).await?;
    let way = Way::required(&settings, &found)?;
    let demand = demand(&settings, tool, &found, Some(way)).await?;
    let mut binding = Binding::of(&settings, &found, demand);
    binding.expect_met()?;
    let requested = Requested::first(&settings, tool, &found, challenges, way).await?;
    let (mut receiving, mut registration) = (None, None);
    let client = match settings.identities.at(&found.server)? {
        Identity::Registered(client) | Identity::MetadataDocument(client) => client,
        Identity::Register(mut metadata) => {
            match settings
                .suitable(tool, &metadata, &found.server, way)
                .await?
            {
                Some(registered) => {
                    let client = settings.client(&registered)?;
                    registration = Some(Registration::of(registered));
                    client
                }
                None if settings.by_stored => return Err(Error::NeedsUser { last: None }),
                None => {
                    if let (Way::User, Some(receive)) = (way, &settings.by_user) {
                        let begun = receive.begin().await?;
                        *metadata = metadata.redirect(begun.redirect_uri().clone());
                        receiving = Some(begun);
                    }
                    let mut kept = Kept::Usual;
                    if way == Way::Device {
                        kept = Kept::Device;
                        *metadata = metadata.grant_types([way.grant_type(), "refresh_token"]);
                    }
                    settings.tell(&Progress::Registering(found.server.issuer()));
                    let redirect = receiving.as_ref().map(|it| it.redirect_uri());
                    let registered = settings.register(&metadata, &found.server);
                    let registered = registered.await?;
                    if metadata.has_grant(way.grant_type()) {
                        registered.expect_usable(way.grant_type(), redirect)?;
                    }
                    settings.keep_registered(&registered, kept).await?;
                    if registered.requires_dpop() {
                        binding = Binding::of(&settings, &found, Demand::ByRegistration);
                        binding.expect_met()?;
                    }
                    let client = settings.client(&registered)?;
                    registration = Some(Registration::of(registered));
                    client
                }
            }
        }
    };
    let dpop = binding.key(&settings, &found).await?;
    let (http, clock) = (Arc::clone(&settings.http), Arc::clone(&settings.clock));
    let source = TokenSource::of(found.known_server(), Arc::clone(&client), http);
    let mut source = source.with_clock(clock).with_rules(settings.rules.clone());
    if let Some(key) = &dpop {
        source = source.with_dpop(key.clone());
    }
    if let Some(store) = &settings.store {
        source = source.with_store(Arc::clone(store));
    }
    Ok(Connection(Arc::new(Inner {
        settings,
        tool: tool.clone(),
        challenges: challenges.clone(),
        resource: found.resource,
        source,
        client,
        registration,
        dpop,
        way,
        is_assumed: found.is_assumed,
        requested: Mutex::new(requested),
        login: tokio::sync::Mutex::new(receiving),
    })))
}

/// Returns the party that asks for bound tokens, by what is known before a registration.
pub(super) async fn demand(
    settings: &Settings,
    tool: &Resource,
    found: &Found,
    way: Option<Way>,
) -> Result<Demand, Error> {
    let server = &found.server;
    let is_kept = settings.is_login_bound(tool, server.issuer()).await?;
    let is_registered = match (settings.identities.at(server), way) {
        (Ok(Identity::Register(metadata)), Some(way)) => {
            let stored = settings.suitable(tool, &metadata, server, way).await?;
            metadata.requires_dpop() || stored.is_some_and(|it| it.requires_dpop())
        }
        _ => false,
    };
    Ok(Demand::of(settings, found, is_kept, is_registered))
}

impl Connection {
    /// Returns a token, cached or new. A user may be asked for it.
    ///
    /// # Errors
    ///
    /// Those of [`TokenSource::token`] and of the way: `authorize.…` for a user. If the server
    /// does not know a registration any more (`invalid_client`), it is dropped, and the connection
    /// [has ended](Self::has_ended). `grant.scope` if no scope was requested, and the server chose
    /// one that is not [allowed](Connector::allow_scopes).
    pub async fn token(&self) -> Result<Arc<Token>, Error> {
        let token = self.known(self.obtain().await?).await?;
        self.expect_allowed_choice(&token)?;
        Ok(token)
    }

    /// Checks what the server chose, if no scope was requested.
    fn expect_allowed_choice(&self, token: &Token) -> Result<(), Error> {
        let Settings { allowed, rules, .. } = &*self.0.settings;
        let Some(allowed) = allowed.as_ref().filter(|_| self.scopes().is_empty()) else {
            return Ok(());
        };
        let is_wider = |it: &&str| !allowed.contains(it) && !rules.unrequested_scopes.contains(it);
        let granted = token.scopes().iter().map(Scope::as_str);
        let mut wider = granted.filter(is_wider).peekable();
        match wider.peek() {
            Some(_) if !rules.wider_scopes => Err(Error::Scope {
                wider: aims_error::shown(wider),
            }),
            _ => Ok(()),
        }
    }

    /// Returns the outcome at the server of the tool. The outer error is one of another server, or
    /// of the program.
    async fn obtain(&self) -> Result<Result<Arc<Token>, Error>, Error> {
        let inner = &*self.0;
        let target = self.target();
        match inner.way {
            Way::Itself => {
                let scopes = target.scopes().clone();
                let grant = ClientCredentials::new(inner.resource.clone()).scopes(scopes);
                let grant = grant.with_canonical_details(inner.settings.details.clone());
                Ok(inner.source.token(grant).await)
            }
            Way::Assertion => {
                let assertion = inner.settings.assertion.clone().ok_or(Error::Busy)?;
                let (assertion, audience, accepted) = assertion;
                let grant =
                    JwtBearer::from_source(target, move |audience, now| assertion(audience, now));
                let grant = grant.remembering(accepted);
                Ok(inner.source.token(grant.with_audience(audience)).await)
            }
            Way::IdentityProvider | Way::User | Way::Device => {
                let stored = inner.source.token(UserGrant::new(target.clone())).await;
                match stored {
                    Err(error) if error.needs_user() && !inner.settings.by_stored => {}
                    other => return Ok(other),
                }
                let mut login = inner.login.lock().await;
                // Another caller may have logged in meanwhile, and found that scopes are refused.
                let target = self.target();
                let stored = inner.source.token(UserGrant::new(target.clone())).await;
                match (stored, inner.way) {
                    (Err(error), Way::User) if error.needs_user() => {
                        Ok(self.log_in(target, &mut login, |request| request).await)
                    }
                    (Err(error), Way::Device) if error.needs_user() => {
                        Ok(self.by_device(target).await)
                    }
                    (Err(error), _) if error.needs_user() => self.by_provider(target).await,
                    (other, _) => Ok(other),
                }
            }
        }
    }

    pub(super) fn target(&self) -> Target {
        let scopes = self.lock().scopes.clone();
        let settings = &self.0.settings;
        let target = Target::new(self.0.resource.clone(), scopes);
        let target = target.with_canonical_details(settings.details.clone());
        match (&settings.subject, &settings.provider, self.0.way) {
            (Some(subject), _, _) => target.with_subject(subject.clone()),
            // Users of one store are told apart by their tokens if the program names none.
            (None, Some(provider), Way::IdentityProvider) => {
                target.with_subject_fingerprint(&provider.subject.fingerprint())
            }
            (None, _, _) => target,
        }
    }

    async fn log_in(
        &self,
        target: Target,
        begun: &mut Option<Box<dyn Receiving>>,
        adjust: impl Fn(AuthorizationRequest) -> AuthorizationRequest,
    ) -> Result<Arc<Token>, Error> {
        let (inner, settings) = (&*self.0, &*self.0.settings);
        let code = match self.ask(target, begun, &adjust).await {
            Err(error) if self.refuses_offline(&error)? => {
                self.ask(self.target(), begun, &adjust).await?
            }
            asked => asked?,
        };
        settings.tell(&Progress::Requesting(self.issuer()));
        let token = inner.source.redeem(code).await?;
        self.keep_login().await?;
        settings.tell(&Progress::Connected(self.issuer()));
        Ok(token)
    }

    /// Returns whether the server refused scopes of which only this client added `offline_access`,
    /// as Keycloak does for clients that lack it. The next request is without it.
    pub(super) fn refuses_offline(&self, error: &Error) -> Result<bool, Error> {
        let is_scope = error.told().map(TokenError::error) == Some("invalid_scope");
        let mut requested = self.lock();
        if !is_scope || requested.offline != Offline::Listed {
            return Ok(false);
        }
        requested.refuse_offline()?;
        Ok(true)
    }

    /// Asks the user in the browser.
    async fn ask(
        &self,
        target: Target,
        begun: &mut Option<Box<dyn Receiving>>,
        adjust: impl Fn(AuthorizationRequest) -> AuthorizationRequest,
    ) -> Result<AuthorizationCode, Error> {
        let (inner, settings) = (&*self.0, &*self.0.settings);
        let receive = settings
            .by_user
            .as_ref()
            .ok_or(Error::NeedsUser { last: None })?;
        let receiving = match begun.take() {
            Some(receiving) => receiving,
            None => receive.begin().await?,
        };
        let mut request = AuthorizationRequest::new(receiving.redirect_uri().clone(), target);
        request = request.with_rules(settings.rules.clone());
        if inner.is_assumed {
            request = request.accept_unlisted_pkce();
        }
        if let Some(own) = &settings.adjust {
            request = own(request);
        }
        let asking = Asking {
            client: Arc::clone(&inner.client),
            server: inner.source.server(),
            key: inner.dpop.as_ref(),
            random: settings.random,
            http: &*settings.http,
            clock: &*settings.clock,
            code: None,
        };
        let tell = |progress: &Progress<'_>| settings.tell(progress);
        asking.ask(adjust(request), receiving, tell).await
    }

    /// Keeps the scopes that the user agreed to, and whether the tokens are bound.
    pub(super) async fn keep_login(&self) -> Result<(), Error> {
        let (inner, settings) = (&*self.0, &*self.0.settings);
        let (issuer, scopes) = (self.issuer(), self.scopes());
        let (resource, client) = (&inner.resource, inner.client.client_id());
        settings
            .keep_login(
                &inner.tool,
                issuer,
                resource,
                &scopes,
                client,
                self.is_bound(),
            )
            .await
    }

    async fn by_provider(&self, target: Target) -> Result<Result<Arc<Token>, Error>, Error> {
        let (inner, settings) = (&*self.0, &*self.0.settings);
        let provider = settings
            .provider
            .as_ref()
            .ok_or(Error::NeedsUser { last: None })?;
        settings.tell(&Progress::Requesting(provider.server.issuer()));
        let audience = self.issuer().clone();
        let tool = inner.resource.clone();
        let mut request = IdJagRequest::new(provider.subject.clone(), audience, tool);
        request = request.scopes(target.scopes().clone());
        request = request.with_canonical_details(settings.details.clone());
        if let Some(client) = &provider.known_as {
            request = request.for_client(client.clone());
        }
        let known = provider.server.dpop_signing_algorithms();
        let binds = |it: &&DpopKey| known.is_some_and(|known| known.contains(it.algorithm()));
        if let Some(key) = inner.dpop.as_ref().filter(binds) {
            request = request.bound_to(key.clone());
        }
        let (client, server) = (Arc::clone(&provider.client), Arc::clone(&provider.server));
        let first = request.begin(client, server, settings.clock.now())?;
        let assertion = drive(first, &*settings.http, &*settings.clock).await;
        let assertion = assertion.map_err(|it| provider.judge(it, settings.clock.now()))?;
        settings.tell(&Progress::Requesting(self.issuer()));
        let grant = JwtBearer::of_id_jag(target, &assertion);
        let redeemed = inner.source.redeem(grant).await;
        if redeemed.is_ok() {
            settings.tell(&Progress::Connected(self.issuer()));
        }
        Ok(redeemed)
    }

    /// Forgets a token that the tool refused. The next one is a new one.
    pub fn forget(&self, token: &Token) {
        self.0.source.forget(token);
    }

    /// Adds the scopes of a challenge with `insufficient_scope` to the requested ones (RFC 6750
    /// §3.1). Returns whether it adds one, so that the next token is another one.
    ///
    /// # Errors
    ///
    /// `connect.scope` if a scope is not allowed.
    pub fn widen(&self, challenge: &Challenge) -> Result<bool, Error> {
        let Some(challenged) = challenge.scope()? else {
            return Ok(false);
        };
        expect_allowed(&self.0.settings, &challenged)?;
        let mut requested = self.lock();
        if challenged.is_subset(&requested.scopes) {
            return Ok(false);
        }
        for scope in challenged.iter() {
            requested.scopes.insert(scope.clone())?;
        }
        Ok(true)
    }

    /// Logs the user in again, as a challenge with `insufficient_user_authentication` requires (RFC
    /// 9470). `scope` of the challenge [widens](Self::widen) the request. Each requirement is met
    /// once: returns `None` if a login for it succeeded before, or if the way has no user.
    ///
    /// # Errors
    ///
    /// Those of [`token`](Self::token), and `connect.scope` if a scope is not allowed.
    pub async fn step_up(&self, challenge: &Challenge) -> Result<Option<Arc<Token>>, Error> {
        let acr = challenge.get("acr_values").map(String::from);
        let max_age = challenge.get("max_age").and_then(|text| text.parse().ok());
        let requirement = (acr.clone(), max_age);
        if self.0.way != Way::User || requirement == (None, None) {
            return Ok(None);
        }
        let mut login = self.0.login.lock().await;
        {
            let met = &self.lock().met;
            if met.contains(&requirement) || met.len() >= MAX_REQUIREMENTS {
                return Ok(None);
            }
        }
        self.widen(challenge)?;
        let adjust = |mut request: AuthorizationRequest| {
            if let Some(acr) = acr.clone() {
                request = request.acr_values(acr);
            }
            match max_age {
                Some(seconds) => request.max_age(std::time::Duration::from_secs(seconds)),
                None => request,
            }
        };
        let logged_in = self.log_in(self.target(), &mut login, adjust).await;
        let token = self.known(logged_in).await?;
        self.lock().met.push(requirement);
        Ok(Some(token))
    }

    /// Drops the tokens that a signal of the authorization server revoked. See
    /// [`TokenSource::drop_revoked`].
    ///
    /// # Errors
    ///
    /// Those of [`TokenSource::drop_revoked`].
    pub async fn drop_revoked(&self, revoked: &RevocationSignal) -> Result<usize, Error> {
        self.0.source.drop_revoked(revoked).await
    }

    /// Returns the resource that the tokens are for.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.0.resource
    }

    /// Returns the authorization server.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        self.0.source.issuer()
    }

    /// Returns the way to the tokens.
    #[must_use]
    pub fn way(&self) -> Way {
        self.0.way
    }

    /// Returns whether the tokens are bound to a DPoP key.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.0.dpop.is_some()
    }

    /// Returns the scopes that are requested at present.
    #[must_use]
    pub fn scopes(&self) -> ScopeSet {
        self.lock().scopes.clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Requested> {
        let requested = self.0.requested.lock();
        requested.unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdentityProvider {
    /// Returns the error of the provider, or that the user must log in there again, because the
    /// token of the user is over.
    fn judge(&self, error: Error, now: UnixTime) -> Error {
        let is_over = match error.refusal().map(TokenError::error) {
            Some("invalid_grant") => true,
            // The code of RFC 8693 §2.2.2 for any invalid token.
            Some("invalid_request") => self.subject.has_expired(now),
            _ => false,
        };
        match is_over {
            true => Error::needs_user_after(Some(error)),
            false => error,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("resource", &self.0.resource)
            .field("source", &self.0.source)
            .field("way", &self.0.way)
            .finish_non_exhaustive()
    }
}

/// The maximum number of requirements that logins are made for.
const MAX_REQUIREMENTS: usize = 16;
