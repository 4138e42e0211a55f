//! The rules for access tokens: of a resource, and of one issuer.

use std::sync::Arc;
use std::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwt::TimeRules;
use aims_jose::time::Skew;
use aims_oauth_wire::names::{Issuer, root_slash_variant};
use aims_wimse_id::WorkloadId;

use crate::{Error, TokenProfile};

/// The rules of a resource for access tokens of all issuers.
///
/// ```
/// use aims_oauth_rs::AccessTokenRules;
///
/// let rules = AccessTokenRules::for_url("https://tools.example/mcp").with_max_len(16 * 1024);
/// assert_eq!(rules.max_len(), 16 * 1024);
/// ```
#[derive(Clone, Debug)]
pub struct AccessTokenRules {
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) times: TimeRules,
    pub(crate) max_len: usize,
    pub(crate) issuers: Option<Arc<OwnRules>>,
}

/// The rules for issuers that a resource brings. They replace rules that others added to the store.
#[derive(Debug)]
pub(crate) struct OwnRules {
    pub(crate) rules: Vec<(Issuer, Arc<IssuerRules>)>,
    /// The rules for all other issuers.
    pub(crate) others: Arc<IssuerRules>,
}

impl AccessTokenRules {
    /// Creates the rules of a resource with this identifier (RFC 8707).
    ///
    /// A token may have up to 8 KiB and any algorithm of its issuer's keys. Clocks may differ by 30
    /// s.
    #[must_use]
    pub fn new(audience: impl Into<String>) -> Self {
        Self {
            audiences: vec![audience.into()],
            algorithms: AlgorithmSet::ALL,
            times: TimeRules::new(),
            max_len: 8 * 1024,
            issuers: None,
        }
    }

    /// Creates the rules of the resource server at this URL.
    ///
    /// An `http` or `https` URL without a path is the same resource with and without its root slash
    /// (RFC 3986 §6.2.3), so `aud` may have either spelling.
    #[must_use]
    pub fn for_url(url: impl Into<String>) -> Self {
        let url = url.into();
        let twin = root_slash_variant(&url);
        let rules = Self::new(url);
        match twin {
            Some(twin) => rules.or_for(twin),
            None => rules,
        }
    }

    /// Adds another identifier of the same resource.
    #[must_use]
    pub fn or_for(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Accepts only these algorithms, of those that the issuer's keys are for.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Sets the skew. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Sets the maximum length of a token, in bytes. Defaults to 8 KiB. Tokens with many group
    /// claims can be longer.
    #[must_use]
    pub const fn with_max_len(mut self, most: usize) -> Self {
        self.max_len = most;
        self
    }

    /// Verifies the tokens of these issuers by these rules, and those of others by RFC 9068. If an
    /// issuer has several rules, the last ones win.
    ///
    /// Rules that others [added](crate::IssuerStore::add_rules) to the store are then ignored.
    /// Rules that the program [set](crate::IssuerStore::set_rules) in the store take precedence
    /// over these.
    #[must_use]
    pub fn with_issuer_rules(
        mut self,
        rules: impl IntoIterator<Item = (Issuer, IssuerRules)>,
    ) -> Self {
        let rules = rules.into_iter().map(|(issuer, it)| (issuer, Arc::new(it)));
        self.issuers = Some(Arc::new(OwnRules {
            rules: rules.collect(),
            others: Arc::default(),
        }));
        self
    }

    /// Returns the maximum length of a token, in bytes.
    #[must_use]
    pub const fn max_len(&self) -> usize {
        self.max_len
    }
}

/// The rules of a resource for the access tokens of one issuer, in addition to its
/// [`AccessTokenRules`].
///
/// ```
/// use aims_oauth_rs::{IssuerRules, IssuerStore, JwtProfile};
///
/// let issuers = IssuerStore::new();
/// let issuer = "https://tenant.eu.auth0.com/".parse()?;
/// let rules = IssuerRules::new().profile(JwtProfile::auth0());
/// issuers.set_rules(&issuer, rules)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "rules have an effect once `IssuerStore::set_rules` got them"]
pub struct IssuerRules {
    pub(crate) profile: TokenProfile,
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) clients: Vec<(String, WorkloadId)>,
    pub(crate) jwts: Jwts,
}

/// How the JWTs of an issuer are verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Jwts {
    /// By the keys of the issuer.
    ByKeys,
    /// By asking the issuer (RFC 7662).
    ByIntrospection,
}

impl Default for IssuerRules {
    fn default() -> Self {
        Self {
            profile: TokenProfile::Rfc9068,
            audiences: Vec::new(),
            algorithms: AlgorithmSet::ALL,
            max_lifetime: None,
            clients: Vec::new(),
            jwts: Jwts::ByKeys,
        }
    }
}

impl IssuerRules {
    /// Creates the rules for an issuer whose tokens follow RFC 9068.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the format of the issuer's tokens. Defaults to [`TokenProfile::Rfc9068`].
    pub fn profile(mut self, profile: impl Into<TokenProfile>) -> Self {
        self.profile = profile.into();
        self
    }

    /// Expects this value in `aud`, instead of the resource's identifiers, for a server that names
    /// resources in its own way. May be repeated.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Accepts only these algorithms, of those that the issuer's keys are for.
    pub const fn algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Sets the maximum lifetime of a token, counted from `iat` and from now.
    pub const fn max_lifetime(mut self, most: Duration) -> Self {
        self.max_lifetime = Some(most);
        self
    }

    /// States that this client of the issuer is this workload. May be repeated.
    ///
    /// The client's tokens may then be used together with the workload's proof, even without `cnf`.
    ///
    /// ```
    /// use aims_oauth_rs::{IssuerRules, JwtProfile};
    ///
    /// // The client `agent-7` at Auth0 is this SPIFFE workload.
    /// let rules = IssuerRules::new()
    ///     .profile(JwtProfile::auth0())
    ///     .client_is("agent-7", "spiffe://example.org/agent-7".parse()?);
    /// assert_eq!(rules.workloads_of("agent-7").count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client_is(mut self, client_id: impl Into<String>, workload: WorkloadId) -> Self {
        self.clients.push((client_id.into(), workload));
        self
    }

    /// Lets the issuer be asked about its JWTs, too (RFC 7662), for a server whose JWTs lack claims
    /// that its introspection answers have, such as the lightweight access tokens of Keycloak.
    ///
    /// A JWT is shown to its issuer only with this method. It is then never verified by the keys of
    /// the issuer, so a [revoked](crate::Error::Inactive) token is refused although its signature
    /// is good.
    pub const fn introspect_jwts(mut self) -> Self {
        self.jwts = Jwts::ByIntrospection;
        self
    }

    /// Returns whether the issuer is [asked about its JWTs](Self::introspect_jwts).
    #[must_use]
    pub fn introspects_jwts(&self) -> bool {
        self.jwts == Jwts::ByIntrospection
    }

    /// Returns the profile of the issuer's tokens.
    #[must_use]
    pub const fn token_profile(&self) -> &TokenProfile {
        &self.profile
    }

    /// Iterates over the workloads that a client of the issuer stands for.
    pub fn workloads_of(&self, client_id: &str) -> impl Iterator<Item = &WorkloadId> {
        let own = self.clients.iter().filter(move |(one, _)| one == client_id);
        own.map(|(_, workload)| workload)
    }

    /// Checks that the rules fit the issuer.
    pub(crate) fn check(&self, issuer: &Issuer) -> Result<(), Error> {
        let tenant = self.profile.jwt().and_then(|profile| profile.tenant());
        let fits = |tenant: &str| {
            let parts = issuer.as_str().split('/');
            parts.skip(3).any(|part| part.eq_ignore_ascii_case(tenant))
        };
        if tenant.is_some_and(|tenant| !fits(tenant)) {
            return Err(Error::Profile {
                reason: "the issuer is not of the tenant that the profile is for",
            });
        }
        Ok(())
    }
}
