//! [`Builder`]: the configuration of an authority.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aims_fetch::Fetch;
use aims_jose::key::SigningKey;
use aims_jose::provider::Provider;
use aims_jose::random::{self, SecureRandom};
use aims_jose::time::UnixTime;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::assertion::AssertionRules;
use aims_oauth_wire::attestation::PopRules;
use aims_oauth_wire::certificate::ClientCertificates;
use aims_oauth_wire::dpop::{DpopRules, NonceIssuer};
use aims_replay::{ReplayCache, ReplayStore};
use aims_wimse_cred::enrolment::BaseUrl;
use aims_wimse_cred::{Bundle, TrustStore, WitRules};
use aims_wimse_id::TrustDomain;

use crate::authority::Inner;
use crate::base::Base;
use crate::endpoint::{ENDPOINTS, backchannel_grant_types, grant_types, user_grant_types};
use crate::identity::{Challenges, IdentityServer, Ledger, Origins, Rings};
use crate::keys::KeyRing;
use crate::limit::Meter;
use crate::oauth::backchannel::BackchannelService;
use crate::oauth::certificate::Certificates;
#[cfg(feature = "pki")]
use crate::oauth::certificate::pki::Authorities;
use crate::oauth::dpop::DpopPolicy;
use crate::oauth::grant::{GrantType, GrantTypes, TokenExchange};
use crate::oauth::{
    AuthorizationServer, ClientDocuments, LONGEST_GRANT, Registration, Registry, SubjectIssuers,
    TransactionService,
};
use crate::{
    AuthenticateUser, Authority, Client, DetailsType, Enrolment, Error, ExchangePolicy,
    FindApprover, Limits, MapSubject, MemoryState, Purpose, Rate, Resource, SelfDescribed, State,
    TransactionPolicy,
};

/// Rate of pushed requests of public clients from one source. A source can so hold 1,200 of the
/// 65,536 entries at most.
const PUSHES: Rate = Rate {
    burst: 120,
    per_minute: 60,
};

/// Rate of pushed requests of a client that authenticates. A client can so hold 9,300 of the 65,536
/// entries at most.
const CLIENT_PUSHES: Rate = Rate {
    burst: 300,
    per_minute: 600,
};

/// Number of entries that the tokens of one client for one subject may hold, beside those at once.
const TOKEN_ENTRIES: u64 = 4_096;

/// Returns the rate of entries for the tokens of a client and a subject: they end with the tokens.
fn token_entries(lifetime: Duration) -> Rate {
    let per_minute = (TOKEN_ENTRIES * 60 / lifetime.as_secs().max(1)).clamp(1, 600);
    Rate {
        burst: 400,
        per_minute: u32::try_from(per_minute).unwrap_or(1),
    }
}

/// Rate of consent pages of one user. A user can so hold 660 of the 65,536 entries at most.
const SHOWS: Rate = Rate {
    burst: 60,
    per_minute: 60,
};

/// Number of nonces and assertions that the default replay store holds.
const REPLAY_CAPACITY: usize = 65_536;

/// Configures an authority; see [`Authority::builder`].
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
    certificates: Option<ClientCertificates>,
    #[cfg(feature = "pki")]
    client_authorities: Vec<Vec<u8>>,
    mutual_tls: Option<String>,
    accepts_early_proofs: bool,
    refuses_second_renewals: bool,
    users: Option<Arc<dyn AuthenticateUser>>,
    acr_values: Vec<String>,
    details: Vec<Arc<dyn DetailsType>>,
    exchange: Option<Arc<dyn ExchangePolicy>>,
    transactions: Option<Arc<dyn TransactionPolicy>>,
    subject_issuers: Option<SubjectIssuers>,
    approvers: Option<Arc<dyn FindApprover>>,
    pings: Option<Arc<dyn Fetch>>,
    registration: Option<SelfDescribed>,
    documents: Option<ClientDocuments>,
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
            certificates: None,
            #[cfg(feature = "pki")]
            client_authorities: Vec::new(),
            mutual_tls: None,
            accepts_early_proofs: false,
            refuses_second_renewals: false,
            users: None,
            acr_values: Vec::new(),
            details: Vec::new(),
            exchange: None,
            transactions: None,
            subject_issuers: None,
            approvers: None,
            pings: None,
            registration: None,
            documents: None,
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

    /// Uses the certificates of clients (RFC 8705), and says where they come from: the TLS listener
    /// of the program, or a field that a TLS proxy sets. [`Server`](crate::Server) says from which
    /// address a request came; another program puts a [`Peer`] into the extensions of the request.
    ///
    /// Clients can then authenticate by a certificate ([`Client::by_certificates`]), and tokens can
    /// be bound to it ([`Client::bind_to_certificate`]). TLS must ask for a certificate, prove that
    /// the client has its key, and may pass on self-signed ones.
    ///
    /// ```
    /// use aims_authority::Authority;
    /// use aims_jose::provider;
    /// use aims_oauth_wire::certificate::{CertificateField, ClientCertificates, Peer};
    ///
    /// let proxy = Peer::Address([127, 0, 0, 1].into());
    /// let field = CertificateField::client_cert();
    /// let builder = Authority::builder("https://as.example", provider::default())
    ///     .client_certificates(ClientCertificates::from_proxy([proxy], field))
    ///     .mutual_tls_at("https://mtls.as.example");
    /// # drop(builder);
    /// ```
    ///
    /// [`Peer`]: aims_oauth_wire::certificate::Peer
    pub fn client_certificates(mut self, certificates: ClientCertificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Trusts certificates of clients that this authority has issued, one or more in PEM, for
    /// [`Client::by_certificate_name`]. Name the authority that issues them, which may be an
    /// intermediate one, and never all that browsers trust (RFC 8705 §7.4).
    #[cfg(feature = "pki")]
    #[cfg_attr(docsrs, doc(cfg(feature = "pki")))]
    pub fn client_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client_authorities.push(pem.into());
        self
    }

    /// Sets the base URL of the endpoints for mutual TLS, if TLS asks for certificates at another
    /// host only: `mtls_endpoint_aliases` (RFC 8705 §5). Its path is that of the base URL.
    pub fn mutual_tls_at(mut self, base_url: impl Into<String>) -> Self {
        self.mutual_tls = Some(base_url.into());
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
    /// A store in memory knows nothing of what was spent before the process was started. So the
    /// authority refuses a client assertion or a proof that it could have accepted before `build`,
    /// with 503: one that was made at most the clock skew later, 30 s, or earlier. An assertion
    /// without `iat` counts as made as early as its `exp` allows. See
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
    /// [`MemoryState`].
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

    /// Adds token exchange (RFC 8693) for clients that [serve](Client::serves) a resource, by these
    /// rules.
    pub fn exchange(mut self, policy: Arc<dyn ExchangePolicy>) -> Self {
        self.exchange = Some(policy);
        self
    }

    /// Adds transaction tokens (draft-ietf-oauth-transaction-tokens) for the trust domain, by token
    /// exchange of an access token, for clients that [serve](Client::serves) its resource.
    pub fn transactions(mut self, policy: Arc<dyn TransactionPolicy>) -> Self {
        self.transactions = Some(policy);
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
        self.subject_issuers = Some(SubjectIssuers { store, subjects });
        self
    }

    /// Lets clients ask users for approval on the users' own devices (OpenID CIBA Core 1.0): those
    /// that [poll](Client::backchannel_poll) and those that get a
    /// [ping](Client::backchannel_ping). Off by default. It needs [`users`](Self::users) as well.
    ///
    /// Each user decides at `/approvals`, which shows the requests that wait for this user.
    pub fn backchannel(mut self, approvers: Arc<dyn FindApprover>) -> Self {
        self.approvers = Some(approvers);
        self
    }

    /// Sets the client that sends pings (OpenID CIBA Core 1.0 §10.2) for [`router`]. It must not
    /// follow redirects. A `Fetcher` of `aims-fetch` does not.
    ///
    /// Without it, the program sends what [`Authority::take_ping`](crate::Authority::take_ping)
    /// returns. A client that gets no ping polls.
    ///
    /// [`router`]: crate::Authority::router
    pub fn backchannel_pings(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.pings = Some(fetch);
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
    /// By default, the second such renewal is issued and logged as a warning, because an agent that
    /// got no answer retries with a new key. If it is refused, an agent whose answer was lost must
    /// enrol again; but of a key that was copied, only one holder goes on.
    pub const fn refuse_second_renewals(mut self) -> Self {
        self.refuses_second_renewals = true;
        self
    }

    /// Sets the source of nonces and token ids, for tests. Defaults to that of the system.
    pub fn random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    /// Builds the authority. `now` becomes the first `spiffe_sequence` of the bundle.
    ///
    /// # Errors
    ///
    /// `authority.base_url`, `authority.trust_domain`, `authority.resources`, `authority.clients`,
    /// `authority.client_authority`, `authority.key`, `authority.key_algorithm`,
    /// `authority.bundle`, `authority.lifetime`, and those of
    /// [`IdentityServer::declare`](crate::IdentityServer::declare).
    pub fn build(mut self, now: UnixTime) -> Result<Authority, Error> {
        let base = Base::parse(&self.base_url)?;
        let name = self.trust_domain.take().ok_or(Error::TrustDomain(None))?;
        let trust_domain =
            TrustDomain::try_from(name).map_err(|error| Error::TrustDomain(Some(error)))?;
        if self.refresh_longest > LONGEST_GRANT {
            return Err(Error::Lifetime {
                longest: LONGEST_GRANT,
            });
        }
        let longest = self.limits.longest_lifetime.min(LONGEST_GRANT);
        for lifetime in [self.token_lifetime, self.svid_lifetime] {
            if lifetime < Duration::from_secs(1) || lifetime > longest {
                return Err(Error::Lifetime { longest });
            }
        }
        let mut ring = |purpose| {
            KeyRing::new(
                purpose,
                self.keys.remove(&purpose),
                self.refresh_hint,
                self.provider,
            )
        };
        let token_ring = ring(Purpose::AccessToken)?;
        let transactions = match self.transactions {
            Some(policy) => Some(TransactionService {
                policy,
                domain: trust_domain.as_str().to_owned(),
                ring: ring(Purpose::TransactionToken)?,
            }),
            None => None,
        };
        let rings = Rings {
            wit_svid: ring(Purpose::WitSvid)?,
            jwt_svid: ring(Purpose::JwtSvid)?,
            wimse_wit: ring(Purpose::WimseWit)?,
        };
        if self.users.is_some() {
            self.grants.extend(user_grant_types());
            if self.approvers.is_some() {
                self.grants.extend(backchannel_grant_types());
            }
        }
        let has_exchange = self.exchange.is_some();
        if has_exchange || transactions.is_some() {
            self.grants.push(Box::new(TokenExchange(self.exchange)));
        }
        let trust = Arc::new(TrustStore::new());
        let state = self.state.unwrap_or_else(|| Arc::new(MemoryState::new()));
        let replay = self
            .replay
            .unwrap_or_else(|| Arc::new(in_memory(self.limits.agent)));
        if !self.accepts_early_proofs && base.as_str().starts_with("https:") {
            replay.begin(now);
        }
        let mut svid_audiences = self.svid_audiences;
        svid_audiences.push(base.as_str().to_owned());
        let identity = Arc::new(IdentityServer {
            base: base.as_str().into(),
            origins: Origins::of(&trust_domain)?,
            rings,
            provider: self.provider,
            random: self.random,
            challenges: Challenges::new(self.random)?,
            ledger: Ledger::new(self.limits.clone()),
            replay: replay.clone(),
            state: state.clone(),
            trust: trust.clone(),
            wit_rules: WitRules::wit(),
            svid_audiences: svid_audiences.into_iter().collect(),
            svid_lifetime: self.svid_lifetime,
            refresh_hint: self.refresh_hint,
            started: now.as_secs(),
            rates: Meter::new(self.limits.agent),
            refuses_second_renewals: self.refuses_second_renewals,
            published: Mutex::new(None),
        });
        for bundle in self.bundles {
            trust.set(bundle).map_err(Error::Bundle)?;
        }
        // Set the own bundles last, so that no other bundle replaces that of this trust domain.
        identity.refreshed_trust(now)?;
        for enrolment in self.enrolments {
            identity.declare(enrolment, now)?;
        }
        let mutual_tls = match &self.mutual_tls {
            Some(url) => Some(Base::parse(url)?),
            None => None,
        };
        if let Some(other) = mutual_tls.as_ref().filter(|it| it.path() != base.path()) {
            return Err(Error::BaseUrl {
                found: BaseUrl::shown(other.as_str()),
            });
        }
        let certificates = self.certificates.map(|source| {
            Ok::<_, Error>(Certificates {
                source,
                #[cfg(feature = "pki")]
                authorities: Authorities::read(&self.client_authorities)?,
            })
        });
        let certificates = certificates.transpose()?;
        let oauth = AuthorizationServer {
            registry: {
                let registry = Registry::new(self.resources, self.clients)?;
                registry.check_certificates(certificates.as_ref())?;
                registry.check_services(transactions.is_some(), has_exchange)?;
                let rules = self.registration.iter();
                let rules = rules.chain(self.documents.iter().map(|it| &it.clients));
                rules
                    .map(|it| &it.grants)
                    .try_for_each(|it| registry.check_grants(it))?;
                registry
            },
            grants: GrantTypes::new(self.grants),
            ring: token_ring,
            lifetime: self.token_lifetime,
            refresh_hint: self.refresh_hint,
            identity: identity.clone(),
            provider: self.provider,
            random: self.random,
            replay,
            state,
            assertions: AssertionRules::new(base.issuer().clone()),
            pops: PopRules::new(base.issuer().clone()),
            dpop: DpopPolicy {
                rules: dpop_rules(&base, self.requires_dpop_nonces, self.random)?,
                target: base.join("/token"),
                alias: mutual_tls
                    .as_ref()
                    .map(|it| (it.authority().to_owned(), it.join("/token"))),
                provider: self.provider,
            },
            certificates,
            mutual_tls,
            users: self.users,
            acr_values: self.acr_values,
            details: self.details,
            transactions,
            backchannel: match self.approvers {
                Some(approvers) => {
                    Some(BackchannelService::new(approvers, self.pings, self.random)?)
                }
                None => None,
            },
            pushes: Meter::new(PUSHES),
            client_pushes: Meter::new(CLIENT_PUSHES),
            token_entries: Meter::new(token_entries(self.token_lifetime)),
            shows: Meter::new(SHOWS),
            subject_issuers: self.subject_issuers,
            registration: self.registration.map(Registration::new),
            documents: self.documents,
            refresh_pause: self.refresh_pause,
            refresh_longest: self.refresh_longest,
            base: base.clone(),
        };
        let mut hosts = self.hosts;
        hosts.push(base.authority().to_owned());
        let mutual_tls = oauth.mutual_tls.as_ref();
        hosts.extend(mutual_tls.map(|it| it.authority().to_owned()));
        let served = ENDPOINTS.iter().filter(|it| it.part.is_served(&oauth));
        let paths = served.map(|it| (it.path(&base), it)).collect();
        Ok(Authority::from_inner(Inner {
            hosts,
            requests: Meter::new(self.limits.requests),
            failures: Meter::new(self.limits.failures),
            limits: self.limits,
            identity,
            oauth,
            paths,
            base,
        }))
    }
}

/// Creates the default replay store, with the rate of each agent.
fn in_memory(agent: Rate) -> ReplayCache {
    let per_second = agent.per_minute.div_ceil(60);
    ReplayCache::in_memory(REPLAY_CAPACITY).with_sender_rate(per_second, agent.burst)
}

/// Creates rules for proofs that are at most a minute old, by any algorithm, with a nonce if
/// required.
fn dpop_rules(base: &Base, nonces: bool, random: &dyn SecureRandom) -> Result<DpopRules, Error> {
    let rules = DpopRules::new();
    if !nonces {
        return Ok(rules);
    }
    let issuer = NonceIssuer::generate(base.as_str(), random);
    Ok(rules.requiring_nonces(issuer.map_err(Error::unavailable)?))
}
