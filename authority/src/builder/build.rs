//! [`Builder::build`].

use core::time::Duration;
use std::sync::{Arc, Mutex};

use aims_error::shown;
use aims_http_sig::profile::wimse::RequestPolicy;
use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;
use aims_oauth_wire::assertion::AssertionRules;
use aims_oauth_wire::attestation::PopRules;
use aims_oauth_wire::dpop::{DpopRules, NonceIssuer};
use aims_replay::ReplayCache;
use aims_wimse_cred::{TrustStore, WitRules};
use aims_wimse_id::TrustDomain;

use super::Builder;
use crate::authority::Inner;
use crate::base::Base;
use crate::endpoint::{ENDPOINTS, backchannel_grant_types, user_grant_types};
use crate::identity::{Challenges, IdentityServer, Ledger, Origins, Rings};
use crate::keys::KeyRing;
use crate::limit::Meter;
use crate::oauth::dpop::DpopPolicy;
use crate::oauth::grant::{GrantTypes, JwtBearer, TokenExchange};
use crate::oauth::{
    AuthorizationServer, LONGEST_GRANT, Registration, Registry, RemoteKeys, StatingClients,
    SubjectIssuers, TransactionService,
};
use crate::{Authority, Error, MemoryState, Purpose, Rate};

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

impl Builder {
    /// Builds the authority. `now` becomes the first `spiffe_sequence` of the bundle.
    ///
    /// # Errors
    ///
    /// `authority.base_url`, `authority.trust_domain`, `authority.resources`, `authority.clients`,
    /// `authority.domain`, `authority.incomplete`, `authority.client_authority`, `authority.key`,
    /// `authority.key_algorithm`, `authority.bundle`, `authority.lifetime`, and those of
    /// [`IdentityServer::declare`](crate::IdentityServer::declare).
    pub fn build(mut self, now: UnixTime) -> Result<Authority, Error> {
        let base = Base::parse(&self.base_url)?;
        self.check_subject_issuers()?;
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
        let mut transactions = match self.transactions {
            Some(policy) => Some(TransactionService {
                policy,
                domain: trust_domain.as_str().to_owned(),
                ring: ring(Purpose::TransactionToken)?,
                stating: StatingClients::default(),
            }),
            None => None,
        };
        let rings = Rings {
            wit_svid: ring(Purpose::WitSvid)?,
            jwt_svid: ring(Purpose::JwtSvid)?,
            wimse_wit: ring(Purpose::WimseWit)?,
        };
        if self.backchannel.is_on() && self.users.is_none() {
            return Err(Error::Incomplete {
                called: "backchannel",
                missing: "users",
            });
        }
        if self.users.is_some() {
            self.grants.extend(user_grant_types());
            if self.backchannel.is_on() {
                self.grants.extend(backchannel_grant_types());
            }
        }
        let has_exchange = self.exchange.is_some();
        let leaves = !self.domains.outgoing.is_empty();
        if has_exchange || leaves || transactions.is_some() {
            self.grants.push(Box::new(TokenExchange(self.exchange)));
        }
        if !self.domains.incoming.is_empty() {
            self.grants.push(Box::new(JwtBearer));
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
        let mutual_tls = self.certificates.mutual_tls(&base)?;
        let certificates = self.certificates.certificates()?;
        let registry = Registry::new(self.resources, self.clients)?;
        registry.check_certificates(certificates.as_ref())?;
        let has_remote = self.client_keys.is_some();
        registry.check_services(transactions.is_some(), has_exchange || leaves, has_remote)?;
        let issuers = self.subject_issuers.as_ref();
        self.domains.check(&base, &registry, issuers)?;
        let stating = StatingClients::new(self.stated_subjects, &registry)?;
        match &mut transactions {
            Some(service) => service.stating = stating,
            None => stating.check_unused()?,
        }
        let rules = self.registration.iter();
        let rules = rules.chain(self.documents.iter().map(|it| &it.clients));
        rules
            .map(|it| &it.grants)
            .try_for_each(|it| registry.check_grants(it))?;
        let remote_keys = self.client_keys;
        let remote_keys = remote_keys.map(|fetch| RemoteKeys::new(fetch, &registry));
        let oauth = AuthorizationServer {
            registry,
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
            signatures: RequestPolicy::for_given_audience(),
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
            backchannel: self.backchannel.service(self.random)?,
            pushes: Meter::new(PUSHES),
            client_pushes: Meter::new(CLIENT_PUSHES),
            token_entries: Meter::new(token_entries(self.token_lifetime)),
            shows: Meter::new(SHOWS),
            policy_version: self.policy_version,
            subject_issuers: self.subject_issuers.map(|all| SubjectIssuers {
                refresh: self.subject_keys,
                ignores_further_claims: self.ignored_claims_of,
                ..all
            }),
            registration: self.registration.map(Registration::new),
            documents: self.documents,
            domains: self.domains,
            client_keys: remote_keys,
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

    /// Checks that settings about the issuers of subject tokens are about issuers that are there.
    fn check_subject_issuers(&self) -> Result<(), Error> {
        let bad = |name: &str, reason| Error::Domain {
            domain: shown([name]),
            reason,
        };
        let issuers = self.subject_issuers.as_ref();
        if issuers.is_none() && self.subject_keys.is_some() {
            return Err(bad(
                "of `refresh_subject_issuers`",
                "is none, expected `subject_issuers` as well",
            ));
        }
        let mut ignored = self.ignored_claims_of.iter();
        match ignored.find(|it| !issuers.is_some_and(|all| all.knows(it))) {
            None => Ok(()),
            Some(name) => Err(bad(
                name,
                "has further claims that are ignored, expected it in the store of `subject_issuers`",
            )),
        }
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
