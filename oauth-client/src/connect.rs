//! From the URL of a tool to tokens for it, by whatever its authorization server offers.

use std::fmt;
use std::sync::Arc;

use aims_fetch::Fetch;
use aims_jose::provider::Provider;
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use aims_jose::time::{Clock, SystemClock, UnixTime};
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::{MetadataSigner, ServerMetadata};
use aims_oauth_wire::names::{ClientId, Issuer, Resource, ScopeSet};

use crate::error::BoxError;
use crate::grant::{Accepted, details};
use crate::source::drop_stored;
use crate::store::TokenStore;
use crate::{
    AuthorizationRequest, DeviceLogin, DpopKey, Error, GrantAudience, Identities, Receive,
    RevocationSignal, SubjectToken, TokenRules,
};

mod again;
mod binding;
mod connection;
mod device;
mod explanation;
mod find;
mod logout;
mod registration;
mod requested;
mod saved;
mod way;

use binding::Binding;
pub use connection::Connection;
pub use explanation::Explanation;
pub use way::Way;

type Assertions = dyn Fn(&str, UnixTime) -> Result<SecretText, BoxError> + Send + Sync;
type Keys = dyn Fn(&Issuer) -> Option<DpopKey> + Send + Sync;
type Tell = dyn Fn(&Progress<'_>) + Send + Sync;
type Adjust = dyn Fn(AuthorizationRequest) -> AuthorizationRequest + Send + Sync;

/// Gets an agent into tools of which it knows the URL alone: finds the authorization server,
/// identifies the client there, and chooses the grant. Needs the feature `tokio`.
///
/// The grant is the first that is configured here and that the server offers: the assertion of an
/// identity provider ([`by_identity_provider`](Self::by_identity_provider)), that of a platform
/// ([`by_assertion`](Self::by_assertion)), the client itself ([`as_itself`](Self::as_itself)), a
/// user in a browser ([`by_user`](Self::by_user)), a user on another device
/// ([`by_device`](Self::by_device)). [`explain`](Self::explain) tells which one, and why.
///
/// ```
/// use aims_fetch::Fetch;
/// use aims_oauth_client::{ClientMetadata, Connector, Error, Identities, Loopback};
///
/// async fn token(http: impl Fetch + 'static) -> Result<(), Error> {
///     let identities = Identities::new().register(ClientMetadata::native("My agent"));
///     let browser = Loopback::new(|url| Ok(println!("open {url}")));
///     let connector = Connector::new(identities, http)
///         .accept_issuers(["https://as.example".parse()?])
///         .by_user(browser);
///     let tool = "https://tools.example/mcp".parse()?;
///     let connection = connector.connect(&tool, &Default::default()).await?;
///     println!("{:?}", connection.token().await?);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
#[must_use = "a connector connects"]
pub struct Connector(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    http: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    random: &'static dyn SecureRandom,
    identities: Identities,
    issuers: Vec<Issuer>,
    any_issuer: bool,
    accepts_broader: bool,
    accepts_legacy: bool,
    signers: Vec<(Resource, MetadataSigner)>,
    by_user: Option<Arc<dyn Receive>>,
    by_device: Option<device::Show>,
    by_stored: bool,
    as_itself: bool,
    assertion: Option<(Arc<Assertions>, GrantAudience, Accepted)>,
    provider: Option<IdentityProvider>,
    allowed: Option<ScopeSet>,
    subject: Option<Box<str>>,
    dpop: Option<&'static dyn Provider>,
    dpop_keys: Option<Arc<Keys>>,
    /// Whether tokens are bound also where the tool does not name DPoP.
    requires_dpop: bool,
    rules: TokenRules,
    adjust: Option<Arc<Adjust>>,
    tell: Option<Arc<Tell>>,
    store: Option<Arc<dyn TokenStore>>,
    requested: Option<ScopeSet>,
    /// Authorization details in canonical form.
    details: Option<Box<str>>,
}

/// The identity provider of a user, who is logged in there.
#[derive(Clone, Debug)]
struct IdentityProvider {
    server: Arc<ServerMetadata>,
    client: Arc<dyn Authenticate>,
    subject: SubjectToken,
    /// The identifier of the client at the server of the tool, if it is known.
    known_as: Option<ClientId>,
}

/// A step of a [`Connector`] that a program may show.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// It asks for the metadata of a tool and its authorization server.
    Discovering(&'a Resource),
    /// It registers the client at this server.
    Registering(&'a Issuer),
    /// It waits for the user, who decides in a browser at this URL.
    WaitingForBrowser {
        /// The server.
        issuer: &'a Issuer,
        /// The URL that the browser opens. It is valid for this login alone.
        url: &'a str,
        /// The code of the call, if the user is asked to approve one. Show it: the user compares it
        /// with that of the server's page.
        code: Option<&'a str>,
    },
    /// It waits for the user, who enters a code on another device.
    WaitingForDevice {
        /// The server.
        issuer: &'a Issuer,
        /// The URL that the user opens.
        url: &'a str,
        /// The URL that contains the code, if the server has one, such as for a QR code.
        complete_url: Option<&'a str>,
        /// The code. Show it in every case.
        code: &'a str,
        /// When the code expires.
        expires: UnixTime,
    },
    /// It waits for the approval of a person on another device.
    WaitingForApproval {
        /// The server.
        issuer: &'a Issuer,
        /// The code of the call. Show it: the person compares it with that of the server's page.
        code: &'a str,
        /// When the request expires.
        expires: UnixTime,
    },
    /// It requests a token from this server.
    Requesting(&'a Issuer),
    /// It got a token.
    Connected(&'a Issuer),
}

impl Connector {
    /// Creates a connector with these identities. It accepts no server and no grant yet.
    pub fn new(identities: Identities, http: impl Fetch + 'static) -> Self {
        Self(Arc::new(Settings {
            http: Arc::new(http),
            clock: Arc::new(SystemClock::new()),
            random: random::SYSTEM,
            identities,
            issuers: Vec::new(),
            any_issuer: false,
            accepts_broader: false,
            accepts_legacy: false,
            signers: Vec::new(),
            by_user: None,
            by_device: None,
            by_stored: false,
            as_itself: false,
            assertion: None,
            provider: None,
            allowed: None,
            subject: None,
            dpop: None,
            dpop_keys: None,
            requires_dpop: false,
            rules: TokenRules::new(),
            adjust: None,
            tell: None,
            store: None,
            requested: None,
            details: None,
        }))
    }

    /// Accepts these authorization servers. The connector uses the first accepted server in the
    /// list of the tool.
    pub fn accept_issuers(self, issuers: impl IntoIterator<Item = Issuer>) -> Self {
        self.with(|settings| settings.issuers.extend(issuers))
    }

    /// Accepts every authorization server that a tool names.
    ///
    /// A tool can then send the user to a server of an attacker. Use it for a program whose user
    /// sees the server that they log in to, and for clients without a secret or with one for each
    /// server. No user logs in at a server whose authorization and token endpoint have different
    /// origins and whose answers do not name it (`iss`, RFC 9207), unless its issuer is accepted by
    /// name. The page where a user enters a code ([`by_device`](Self::by_device)) must have the
    /// origin of the server.
    ///
    /// A server can still redirect the browser to another one that sends no `iss` (RFC 9700
    /// §4.4.1), and gets its code then. Show the issuer of [`Progress`] to the user, who must log
    /// in at no other.
    pub fn accept_any_issuer(self) -> Self {
        self.with(|settings| settings.any_issuer = true)
    }

    /// Accepts metadata of a tool that names a broader resource on the same origin. See
    /// [`Discovery::resource_within`](crate::discovery::Discovery::resource_within).
    pub fn accept_broader_resource(self) -> Self {
        self.with(|settings| settings.accepts_broader = true)
    }

    /// Accepts tools of the MCP revision 2025-03-26, which have no metadata of their own: the
    /// authorization server is the origin of the tool, if necessary with the endpoints
    /// `/authorize`, `/token` and `/register`.
    pub fn accept_servers_without_resource_metadata(self) -> Self {
        self.with(|settings| settings.accepts_legacy = true)
    }

    /// Requires metadata of this tool that this party has signed (`signed_metadata`, RFC 9728
    /// §2.2). The connector reads signed members alone. It refuses metadata without a signature,
    /// and metadata of another signer or key. If a tool is named twice, the last call wins.
    ///
    /// For tools that are not named, `signed_metadata` is ignored.
    ///
    /// ```
    /// use aims_jose::jwk::JwkSet;
    /// use aims_oauth_client::{Connector, Error};
    /// use aims_oauth_wire::metadata::MetadataSigner;
    ///
    /// fn with_keys(connector: Connector, keys: JwkSet) -> Result<Connector, Error> {
    ///     let tool = "https://tools.example/mcp".parse()?;
    ///     Ok(connector.trust_metadata(tool, MetadataSigner::new("https://tools.example", keys)))
    /// }
    /// ```
    pub fn trust_metadata(self, tool: Resource, signer: MetadataSigner) -> Self {
        self.with(|settings| {
            settings
                .signers
                .retain(|(named, _)| !named.equals_in_discovery(&tool));
            settings.signers.push((tool, signer));
        })
    }

    /// Lets a user decide in a browser (authorization code, RFC 6749 §4.1).
    pub fn by_user(self, receive: impl Receive + 'static) -> Self {
        self.with(|settings| settings.by_user = Some(Arc::new(receive)))
    }

    /// Lets a user decide on another device, by a code that the function shows (RFC 8628). It is
    /// for a machine without a browser: with [`by_user`](Self::by_user) as well, the browser comes
    /// first.
    ///
    /// Show the code only to the user who started the login; see
    /// [`DeviceRequest`](crate::DeviceRequest). If the function fails, the login ends with
    /// `authorize.browser`.
    ///
    /// ```
    /// use aims_oauth_client::Connector;
    ///
    /// fn with_code(connector: Connector) -> Connector {
    ///     connector.by_device(|login| {
    ///         let url = login.verification_uri().as_str();
    ///         println!("open {url} and enter {}", login.user_code());
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn by_device(
        self,
        show: impl Fn(&DeviceLogin) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        let show = device::Show(Arc::new(show));
        self.with(|settings| settings.by_device = Some(show))
    }

    /// Uses the logins that are [stored](Self::with_store), and asks no user: for a program that
    /// runs without one, beside a program that logs in. It takes the ways of
    /// [`by_user`](Self::by_user) and [`by_device`](Self::by_device), registers nothing, and
    /// returns `grant.needs_user` if no login is stored.
    pub fn by_stored_login(self) -> Self {
        self.with(|settings| settings.by_stored = true)
    }

    /// Lets the client act for itself (client credentials, RFC 6749 §4.4).
    pub fn as_itself(self) -> Self {
        self.with(|settings| settings.as_itself = true)
    }

    /// Presents the assertion of a platform (RFC 7523 §2.1): a token that a CI system or a cloud
    /// gives its workload. The function is called with the audience, for each request.
    ///
    /// A server that takes each assertion once refuses the same one again. That is
    /// `grant.assertion_used`, which is retryable, until the platform has replaced it; see
    /// [`JwtBearer::from_source`](crate::JwtBearer::from_source).
    pub fn by_assertion(
        self,
        audience: GrantAudience,
        assertion: impl Fn(&str, UnixTime) -> Result<SecretText, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let assertion: Arc<Assertions> = Arc::new(assertion);
        let assertion = Some((assertion, audience, Accepted::default()));
        self.with(|settings| settings.assertion = assertion)
    }

    /// Presents the assertion of the user's identity provider, which exchanges this token for it
    /// (draft-ietf-oauth-identity-assertion-authz-grant).
    ///
    /// `known_as` is the identifier of the client at the server of the tool, if the provider is to
    /// name it. Without [`for_user`](Self::for_user), stored tokens are found by the `subject`.
    pub fn by_identity_provider(
        self,
        provider: ServerMetadata,
        client: impl Authenticate + 'static,
        subject: SubjectToken,
        known_as: Option<ClientId>,
    ) -> Self {
        let provider = IdentityProvider {
            server: Arc::new(provider),
            client: Arc::new(client),
            subject,
            known_as,
        };
        self.with(|settings| settings.provider = Some(provider))
    }

    /// Sets the scopes that may ever be requested. A tool that requires more is not served.
    /// Without this, what a tool requires is requested.
    ///
    /// The first request has the scopes of the tool's challenge, or else those of its metadata. If
    /// neither names scopes, it has none, and the server chooses within this set. A later challenge
    /// with `insufficient_scope` [widens](Connection::widen) the request.
    pub fn allow_scopes(self, scopes: ScopeSet) -> Self {
        self.with(|settings| settings.allowed = Some(scopes))
    }

    /// Returns the scopes that may ever be requested, or `None` if that is not limited.
    #[must_use]
    pub fn allowed_scopes(&self) -> Option<&ScopeSet> {
        self.0.allowed.as_ref()
    }

    /// Sets the user that the tokens are for, so that those of two users are never mixed.
    pub fn for_user(self, subject: impl Into<Box<str>>) -> Self {
        self.with(|settings| settings.subject = Some(subject.into()))
    }

    /// Binds tokens to a key of their own where the tool names DPoP (RFC 9449): its metadata have
    /// `dpop_bound_access_tokens_required` or `dpop_signing_alg_values_supported` (RFC 9728 §2),
    /// or its challenge has the scheme `DPoP`. The server and the tool must support the keys, which
    /// are of ES256. A client whose registration says `dpop_bound_access_tokens` (RFC 9449 §5.2)
    /// has bound tokens alone.
    ///
    /// A tool that knows nothing of DPoP refuses a bound token, so other tools get bearer tokens,
    /// unless the program [requires](Self::require_dpop) bound ones. A tool decides this for its
    /// own tokens alone. The last login for a tool that is kept in a store stays as it was: if it
    /// is bound, so are the next tokens.
    ///
    /// Without a binding, no proof is sent, so the refresh token is a bearer token as well. The
    /// server must rotate that of a public client (RFC 9700 §4.14.2), and the new one is stored
    /// before its access token is used.
    ///
    /// With a [store](Self::with_store), the private key is kept there, one for each server, tool
    /// and [user](Self::for_user), so that a login stays bound over restarts and for all programs
    /// that share the store. A store that is not [sealed](TokenStore::is_sealed) keeps no keys, and
    /// its tokens are not bound; give it the keys of a device by
    /// [`with_dpop_keys`](Self::with_dpop_keys). Where tokens cannot be bound, and the tool or the
    /// registration requires it, there is an error (`connect.dpop`).
    pub fn with_dpop(self, provider: &'static dyn Provider) -> Self {
        self.with(|settings| settings.dpop = Some(provider))
    }

    /// Binds tokens to keys that the program holds, such as in a device, where
    /// [`with_dpop`](Self::with_dpop) would. The function returns the key for a server, or `None`
    /// for tokens that are not bound. It must return the same key as long as tokens of it are
    /// stored. No key is stored.
    ///
    /// ```
    /// use aims_oauth_client::{Connector, DpopKey};
    ///
    /// fn bound(connector: Connector, key: DpopKey) -> Connector {
    ///     connector.with_dpop_keys(move |server| {
    ///         (server.as_str() == "https://as.example").then(|| key.clone())
    ///     })
    /// }
    /// ```
    pub fn with_dpop_keys(
        self,
        keys: impl Fn(&Issuer) -> Option<DpopKey> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.dpop_keys = Some(Arc::new(keys)))
    }

    /// Requires bound tokens for every tool, also for one that does not name DPoP. Where tokens
    /// cannot be bound, there is an error (`connect.dpop`).
    ///
    /// A tool that learns a bound token cannot use it elsewhere, also where the server issues
    /// tokens that are good for several tools.
    ///
    /// ```
    /// use aims_jose::provider::Provider;
    /// use aims_oauth_client::Connector;
    ///
    /// fn bound_everywhere(connector: Connector, provider: &'static dyn Provider) -> Connector {
    ///     connector.with_dpop(provider).require_dpop()
    /// }
    /// ```
    pub fn require_dpop(self) -> Self {
        self.with(|settings| settings.requires_dpop = true)
    }

    /// Sets which deviations of the servers are accepted.
    pub fn with_rules(self, rules: TokenRules) -> Self {
        self.with(|settings| settings.rules = rules)
    }

    /// Changes each authorization request, for example adds a login hint.
    pub fn with_request(
        self,
        adjust: impl Fn(AuthorizationRequest) -> AuthorizationRequest + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.adjust = Some(Arc::new(adjust)))
    }

    /// Requests these scopes, whatever the tool lists. A later challenge may widen them.
    pub fn request_scopes(self, scopes: ScopeSet) -> Self {
        self.with(|settings| settings.requested = Some(scopes))
    }

    /// Requests these authorization details (RFC 9396) with every grant: a JSON array of objects
    /// that each have a `type`.
    ///
    /// # Errors
    ///
    /// `grant.details` if the text has another form.
    pub fn request_details(self, json: &str) -> Result<Self, Error> {
        let details = details(json)?;
        Ok(self.with(|settings| settings.details = Some(details)))
    }

    /// Keeps the tokens, the registrations, the scopes of logins and the keys of
    /// [bound](Self::with_dpop) tokens in a store, so that they last over restarts.
    pub fn with_store(self, store: Arc<dyn TokenStore>) -> Self {
        self.with(|settings| settings.store = Some(store))
    }

    /// Sets a function that gets what the connector does, for a program that shows it.
    pub fn on_progress(self, tell: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.tell = Some(Arc::new(tell)))
    }

    /// Sets the clock. Defaults to the system clock.
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        self.with(|settings| settings.clock = Arc::new(clock))
    }

    /// Finds the way to a tool, and identifies the client. `challenges` are those of the tool's
    /// refusal: the place of its metadata and the scopes that it requires. The tokens are requested
    /// by [`Connection::token`].
    ///
    /// # Errors
    ///
    /// - Those of discovery, and `client.none`, `client.registration_refused` or
    ///   `client.registration`.
    /// - `connect.no_way` if no grant is configured that the server offers.
    /// - `connect.scope` if the tool requires scopes that are not allowed.
    /// - `connect.dpop` if tokens must be bound by DPoP, and that is not possible: for the tool
    ///   (`dpop_bound_access_tokens_required`, RFC 9728 §2), for the registration
    ///   (`dpop_bound_access_tokens`, RFC 9449 §5.2), or for the [program](Self::require_dpop).
    pub async fn connect(
        &self,
        tool: &Resource,
        challenges: &Challenges,
    ) -> Result<Connection, Error> {
        connection::connect(self, tool, challenges).await
    }

    /// Tells which way would be taken to a tool, and why, without registering or logging in.
    ///
    /// # Errors
    ///
    /// Those of discovery and of the store.
    pub async fn explain(
        &self,
        tool: &Resource,
        challenges: &Challenges,
    ) -> Result<Explanation, Error> {
        let found = find::find(&self.0, tool, challenges).await?;
        let (way, _) = Way::choose(&self.0, &found);
        let demand = connection::demand(&self.0, tool, &found, way).await?;
        let binding = Binding::of(&self.0, &found, demand);
        Ok(Explanation::of(&self.0, &found, challenges, binding))
    }

    /// Drops the stored tokens that a signal of an authorization server revoked. Those that a
    /// [`Connection`] has in memory are dropped by [`Connection::drop_revoked`]. Returns the number
    /// of dropped grants.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn drop_revoked(&self, revoked: &RevocationSignal) -> Result<usize, Error> {
        match &self.0.store {
            Some(store) => drop_stored(&**store, revoked).await,
            None => Ok(0),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl Settings {
    /// Returns the party that must have signed the metadata of this tool.
    fn signer(&self, tool: &Resource) -> Option<&MetadataSigner> {
        let mut signers = self.signers.iter();
        signers
            .find(|(named, _)| named.equals_in_discovery(tool))
            .map(|(_, it)| it)
    }

    fn tell(&self, progress: &Progress<'_>) {
        if let Some(tell) = &self.tell {
            tell(progress);
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("identities", &self.0.identities)
            .field("issuers", &self.0.issuers)
            .finish_non_exhaustive()
    }
}
