//! [`Builder`]: the configuration of an authority.

mod backchannel;
mod build;
mod certificates;
mod domains;

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aims_fetch::Fetch;
use aims_jose::key::SigningKey;
use aims_jose::provider::Provider;
use aims_jose::random::{self, SecureRandom};
use aims_oauth_rs::{IssuerStore, RefreshKeys};
use aims_replay::ReplayStore;
use aims_wimse_cred::Bundle;

use self::backchannel::BackchannelSettings;
use self::certificates::CertificateSettings;
use crate::endpoint::grant_types;
use crate::oauth::grant::GrantType;
use crate::oauth::{ClientDocuments, Domains, SubjectIssuers};
use crate::{
    AuthenticateUser, Client, DetailsType, Enrolment, ExchangePolicy, Limits, MapSubject, Purpose,
    Resource, SelfDescribed, State, StatedSubjects, TransactionPolicy,
};

/// Configures an authority; see [`Authority::builder`](crate::Authority::builder).
///
/// Defaults: new ES256 signing keys, access tokens and JWT-SVIDs that live for 5 minutes, documents
/// that stay fresh for 5 minutes, and replay protection in memory.
///
/// ```
/// use aims_authority::{Authority, Client, Enrolment, Resource};
/// use aims_jose::{provider, random::SYSTEM, time::UnixTime};
///
/// let token = Enrolment::random_token(SYSTEM)?;
/// let id = "spiffe://example.org/agents/a".parse()?;
/// let authority = Authority::builder("https://authority.example", provider::default())
///     .trust_domain("example.org")
///     .enrol(Enrolment::by_token(id, &token)?)
///     .resource(Resource::new("https://tools.example/mcp").with_scopes(["tools:call"]))
///     .client(
///         Client::spiffe("spiffe://example.org/agents/*".parse()?)
///             .allow("https://tools.example/mcp", ["tools:call"]),
///     )
///     .build(UnixTime::now())?;
/// assert_eq!(authority.issuer(), "https://authority.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "call `build` to make the authority"]
pub struct Builder {
    base_url: String,
    provider: &'static dyn Provider,
    random: &'static dyn SecureRandom,
    trust_domain: Option<String>,
    enrolments: Vec<Enrolment>,
    resources: Vec<Resource>,
    clients: Vec<Client>,
    bundles: Vec<Bundle>,
    keys: HashMap<Purpose, SigningKey>,
    hosts: Vec<String>,
    svid_audiences: Vec<String>,
    limits: Limits,
    token_lifetime: Duration,
    svid_lifetime: Duration,
    refresh_hint: Duration,
    replay: Option<Arc<dyn ReplayStore>>,
    state: Option<Arc<dyn State>>,
    requires_dpop_nonces: bool,
    certificates: CertificateSettings,
    accepts_early_proofs: bool,
    refuses_second_renewals: bool,
    users: Option<Arc<dyn AuthenticateUser>>,
    acr_values: Vec<String>,
    details: Vec<Arc<dyn DetailsType>>,
    exchange: Option<Arc<dyn ExchangePolicy>>,
    transactions: Option<Arc<dyn TransactionPolicy>>,
    stated_subjects: Vec<StatedSubjects>,
    policy_version: Option<String>,
    subject_issuers: Option<SubjectIssuers>,
    subject_keys: Option<Arc<dyn RefreshKeys>>,
    ignored_claims_of: BTreeSet<String>,
    backchannel: BackchannelSettings,
    registration: Option<SelfDescribed>,
    documents: Option<ClientDocuments>,
    domains: Domains,
    client_keys: Option<Arc<dyn Fetch>>,
    refresh_pause: Duration,
    refresh_longest: Duration,
    /// The grants of the token endpoint.
    pub(crate) grants: Vec<Box<dyn GrantType>>,
}

impl Builder {
    pub(crate) fn new(base_url: &str, provider: &'static dyn Provider) -> Self {
        const FIVE_MINUTES: Duration = Duration::from_secs(300);
        Self {
            base_url: base_url.to_owned(),
            provider,
            random: random::SYSTEM,
            trust_domain: None,
            enrolments: Vec::new(),
            resources: Vec::new(),
            clients: Vec::new(),
            bundles: Vec::new(),
            keys: HashMap::new(),
            hosts: Vec::new(),
            svid_audiences: Vec::new(),
            limits: Limits::default(),
            token_lifetime: FIVE_MINUTES,
            svid_lifetime: FIVE_MINUTES,
            refresh_hint: FIVE_MINUTES,
            replay: None,
            state: None,
            requires_dpop_nonces: false,
            certificates: CertificateSettings::default(),
            accepts_early_proofs: false,
            refuses_second_renewals: false,
            users: None,
            acr_values: Vec::new(),
            details: Vec::new(),
            exchange: None,
            transactions: None,
            stated_subjects: Vec::new(),
            policy_version: None,
            subject_issuers: None,
            subject_keys: None,
            ignored_claims_of: BTreeSet::new(),
            backchannel: BackchannelSettings::default(),
            registration: None,
            documents: None,
            domains: Domains::default(),
            client_keys: None,
            refresh_pause: Duration::from_secs(7 * 24 * 3_600),
            refresh_longest: Duration::from_secs(30 * 24 * 3_600),
            grants: grant_types(),
        }
    }

    /// Sets the trust domain whose identifiers it issues, with the schemes `spiffe` and `wimse`.
    /// Required.
    pub fn trust_domain(mut self, trust_domain: impl Into<String>) -> Self {
        self.trust_domain = Some(trust_domain.into());
        self
    }

    /// Adds an enrolment: the secret with which an agent gets an identifier. Add later ones by
    /// [`IdentityServer::declare`](crate::IdentityServer::declare).
    pub fn enrol(mut self, enrolment: Enrolment) -> Self {
        self.enrolments.push(enrolment);
        self
    }

    /// Adds a resource that access tokens are issued for.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Adds a client of the token endpoint.
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// Adds the bundle of another trust domain, whose workloads may then be clients.
    ///
    /// To follow key rotations of that domain, set newer bundles in
    /// [`IdentityServer::refreshed_trust`](crate::IdentityServer::refreshed_trust).
    pub fn trust(mut self, bundle: Bundle) -> Self {
        self.bundles.push(bundle);
        self
    }

    /// Sets a signing key, instead of a new one at each start.
    ///
    /// After a rotation, its successors are generated for the same algorithm. They are not stored.
    pub fn signing_key(mut self, purpose: Purpose, key: SigningKey) -> Self {
        self.keys.insert(purpose, key);
        self
    }

    /// Adds a `host[:port]` that clients may use in `Host`, in addition to that of the base URL.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Adds an audience that JWT-SVIDs are issued for, such as the issuer of another authorization
    /// server. The issuer of this authority is always allowed.
    pub fn jwt_svid_audience(mut self, audience: impl Into<String>) -> Self {
        self.svid_audiences.push(audience.into());
        self
    }

    /// Sets the limits. Defaults to [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the lifetime of access tokens. Defaults to 5 minutes.
    pub const fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Sets the lifetime of JWT-SVIDs. Defaults to 5 minutes.
    pub const fn jwt_svid_lifetime(mut self, lifetime: Duration) -> Self {
        self.svid_lifetime = lifetime;
        self
    }

    /// Sets how long clients may cache bundles and key sets, and how long a new key is published
    /// before it signs. Defaults to 5 minutes.
    ///
    /// Use at least one minute outside of tests: a guard fetches keys at most every 30 seconds, and
    /// refuses what was signed by a key that it does not have yet.
    pub const fn refresh_hint(mut self, hint: Duration) -> Self {
        self.refresh_hint = hint;
        self
    }

    /// Sets the store of spent nonces, assertions and proofs. Defaults to the memory of this
    /// process, with the rate [`Limits::agent`](crate::Limits) for each agent.
    ///
    /// A store in memory does not know what was spent before the process started. So the authority
    /// refuses, with 503, each client assertion or proof that was made before `build`, or at most
    /// the clock skew of 30 s after it: it could have been accepted before. An assertion without
    /// `iat` counts as made as early as its `exp` allows. See
    /// [`accept_proofs_before_start`](Self::accept_proofs_before_start).
    pub fn replay(mut self, store: Arc<dyn ReplayStore>) -> Self {
        self.replay = Some(store);
        self
    }

    /// Accepts client assertions and proofs that were made before the authority was built, or up
    /// to the clock skew later.
    ///
    /// One that was captured before a restart is then accepted once more. Use it where nothing can
    /// have been captured, such as in a test. An authority at an `http` URL, which is on this
    /// machine, always accepts them.
    pub const fn accept_proofs_before_start(mut self) -> Self {
        self.accepts_early_proofs = true;
        self
    }

    /// Sets the store of codes, grants, tokens and registered clients. Defaults to a
    /// [`MemoryState`](crate::MemoryState).
    pub fn state(mut self, state: Arc<dyn State>) -> Self {
        self.state = Some(state);
        self
    }

    /// Sets who the users are, and serves the authorization endpoint, pushed requests and refresh
    /// tokens. Without it, clients get tokens for themselves only.
    pub fn users(mut self, users: Arc<dyn AuthenticateUser>) -> Self {
        self.users = Some(users);
        self
    }

    /// Sets the authentication contexts that users can reach, for `acr_values_supported` of the
    /// metadata (RFC 9470 §7).
    pub fn acr_values<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> Self {
        self.acr_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a type of `authorization_details` (RFC 9396), such as
    /// [`ToolDetails`](crate::ToolDetails). By default every one is refused.
    pub fn authorization_details(mut self, known: Arc<dyn DetailsType>) -> Self {
        self.details.push(known);
        self
    }

    /// Lets clients register themselves (RFC 7591), with these rights. Off by default: every
    /// client that reaches the server can register, and each user decides which client to trust.
    ///
    /// A registration ends after a day, unless a user has allowed the client something by then.
    /// Each time a user does, it lasts 30 days from that moment. It has no secret: a client is
    /// public, or has keys.
    pub fn dynamic_registration(mut self, clients: SelfDescribed) -> Self {
        self.registration = Some(clients);
        self
    }

    /// Accepts clients whose `client_id` is the URL of their own metadata
    /// (draft-ietf-oauth-client-id-metadata-document), with these rights. Off by default.
    ///
    /// `fetch` sends requests to URLs that clients choose. Use a `Fetcher` of `aims-fetch`, which
    /// connects to public addresses only and follows no redirects, or a client with these rules.
    pub fn client_documents(mut self, clients: SelfDescribed, fetch: Arc<dyn Fetch>) -> Self {
        self.documents = Some(ClientDocuments::new(clients, fetch));
        self
    }

    /// Fetches the keys of clients that publish them at a URL (`jwks_uri`, RFC 7591 §2): clients
    /// [of the operator](Client::with_keys_at), and clients that describe themselves. Off by
    /// default.
    ///
    /// With these keys the server verifies client assertions and signed requests. A key set is kept
    /// as long as its answer says, between a minute and a day. A key that is not in it is looked
    /// for once a minute at most.
    ///
    /// `fetch` sends requests to URLs that clients choose. Use a `Fetcher` of `aims-fetch`, which
    /// connects to public addresses only and follows no redirects, or a client with these rules.
    pub fn client_keys(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.client_keys = Some(fetch);
        self
    }

    /// Adds token exchange (RFC 8693) for clients that [serve](Client::serves) a resource, by these
    /// rules.
    pub fn exchange(mut self, policy: Arc<dyn ExchangePolicy>) -> Self {
        self.exchange = Some(policy);
        self
    }

    /// Adds transaction tokens (draft-ietf-oauth-transaction-tokens) for the trust domain, by token
    /// exchange of an access token, for clients that [serve](Client::serves) its resource.
    ///
    /// The domain, which requests and tokens name as their audience, is the text of
    /// [`trust_domain`](Self::trust_domain).
    pub fn transactions(mut self, policy: Arc<dyn TransactionPolicy>) -> Self {
        self.transactions = Some(policy);
        self
    }

    /// Lets one client begin transactions without an access token, with the subjects that it states
    /// itself (draft-ietf-oauth-transaction-tokens §11.2). Call it once for each client. Needs
    /// [`transactions`](Self::transactions), whose policy must accept the form.
    pub fn stated_subjects(mut self, rules: StatedSubjects) -> Self {
        self.stated_subjects.push(rules);
        self
    }

    /// Sets the version of the rules about exchanges, which the log of each exchange names as
    /// `policy`: of [`exchange`](Self::exchange), [`transactions`](Self::transactions) and
    /// [`outgoing_grants`](Self::outgoing_grants).
    pub fn policy_version(mut self, version: impl Into<String>) -> Self {
        self.policy_version = Some(version.into());
        self
    }

    /// Accepts access tokens of other issuers as subject tokens of an exchange (RFC 8693), with the
    /// subjects that this trait returns.
    ///
    /// The store names the issuers and has their keys; `aims::keys::PublishedKeys` fetches these.
    /// Only JWTs by RFC 9068 are exchanged. The client must [serve](Client::serves) the resource
    /// that the token is for, and the rules of [`exchange`](Self::exchange) must name the issuer.
    pub fn subject_issuers(
        mut self,
        store: Arc<IssuerStore>,
        subjects: Arc<dyn MapSubject>,
    ) -> Self {
        self.subject_issuers = Some(SubjectIssuers {
            store,
            subjects,
            refresh: None,
            ignores_further_claims: BTreeSet::new(),
        });
        self
    }

    /// Has the keys of [`subject_issuers`](Self::subject_issuers) fetched again if a subject token
    /// names an unknown key, or they are stale. By default such a token is refused.
    ///
    /// `aims::keys::PublishedKeys` fetches what it holds once for all requests that wait, and again
    /// after a pause at the earliest. The [`router`](crate::Authority::router) waits for it. Needs
    /// [`subject_issuers`](Self::subject_issuers).
    pub fn refresh_subject_issuers(mut self, keys: Arc<dyn RefreshKeys>) -> Self {
        self.subject_keys = Some(keys);
        self
    }

    /// Ignores claims that the authority does not know in subject tokens of this issuer, because no
    /// claim of it limits what its tokens permit. Call it once for each issuer. It must be in the
    /// store of [`subject_issuers`](Self::subject_issuers) when the authority is built.
    ///
    /// Without it a subject token with a claim that may be a limit is refused. Claims that describe
    /// a user or a session are known: those of OpenID Connect, and `groups`, `roles` and
    /// `entitlements`.
    pub fn ignore_further_claims_of(mut self, issuer: impl Into<String>) -> Self {
        self.ignored_claims_of.insert(issuer.into());
        self
    }

    /// Sets how long a refresh token may stay unused, and how long a grant may be refreshed.
    /// Defaults to 7 and 30 days. No grant lasts longer than 366 days.
    pub const fn refresh_tokens(mut self, pause: Duration, longest: Duration) -> Self {
        self.refresh_pause = pause;
        self.refresh_longest = longest;
        self
    }

    /// Refuses DPoP proofs without a nonce of this server (RFC 9449 §8).
    ///
    /// The server recognizes its nonces without storing them. They end with the process.
    pub const fn require_dpop_nonces(mut self) -> Self {
        self.requires_dpop_nonces = true;
        self
    }

    /// Refuses to renew by one key for two other keys.
    ///
    /// By default the authority accepts the second such renewal and logs a warning, because an
    /// agent that got no answer retries with a new key. With this method an agent whose answer was
    /// lost must enrol again. In return, only one holder of a copied key can renew.
    pub const fn refuse_second_renewals(mut self) -> Self {
        self.refuses_second_renewals = true;
        self
    }

    /// Sets the source of nonces and token ids, for tests. Defaults to that of the system.
    pub fn random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }
}
