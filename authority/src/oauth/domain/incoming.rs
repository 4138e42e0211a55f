//! [`IncomingGrants`]: the rules for authorization grants of another domain.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jws::Header;
use aims_oauth_rs::{IssuerStore, RefreshKeys};
use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::names::Issuer;

use super::bad;
use crate::oauth::MapSubject;
use crate::oauth::resource::Registry;
use crate::{Client, Error};

/// Maximum lifetime of a grant that rules can permit.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A profile of JWT authorization grants (RFC 7523 §2.1), which the header `typ` selects.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Profile {
    /// Identity chaining, or the token of a platform: `JWT`, or no `typ`.
    Jwt,
    /// `oauth-id-jag+jwt`.
    IdJag,
    /// `txn-chain+jwt`.
    Transaction,
}

impl Profile {
    pub(crate) fn of(header: &Header) -> Option<Self> {
        match header.typ() {
            None => Some(Self::Jwt),
            Some("txn-chain+jwt") => Some(Self::Transaction),
            Some(_) if header.is_typ("oauth-id-jag+jwt") => Some(Self::IdJag),
            Some(_) if header.is_typ("JWT") => Some(Self::Jwt),
            Some(_) => None,
        }
    }
}

/// The rules for the authorization grants of one other issuer, which clients present for access
/// tokens of this server (RFC 7523 §2.1).
///
/// By default none is accepted: choose the profiles, and give the scopes of each resource by a
/// table. A client needs [`Client::grants_of`] and [`Client::allow`]. Whatever the rules say, an
/// access token never permits more than the table makes of its grant, ends with it, and each grant
/// is good for one access token.
///
/// ```
/// use std::sync::Arc;
///
/// use aims_authority::{IncomingGrants, MapSubject};
/// use aims_oauth_rs::IssuerStore;
/// use aims_oauth_wire::delegate::ScopeTable;
///
/// #[derive(Debug)]
/// struct Users;
///
/// impl MapSubject for Users {
///     fn subject(&self, _issuer: &str, subject: &str) -> Option<String> {
///         Some(format!("partner:{subject}"))
///     }
/// }
///
/// // The keys of the issuer; `aims::keys::PublishedKeys` fetches them.
/// let keys = Arc::new(IssuerStore::new());
/// let issuer = "https://as.partner.example".parse()?;
/// let grants = IncomingGrants::new(issuer, keys, Arc::new(Users))
///     .accept_id_jag()
///     .scopes("https://tools.example/mcp", ScopeTable::new([("search", "tools:call")])?);
/// # drop(grants);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct IncomingGrants {
    pub(crate) issuer: Issuer,
    pub(crate) keys: Arc<IssuerStore>,
    /// Fetches the keys again.
    pub(crate) refresh: Option<Arc<dyn RefreshKeys>>,
    pub(crate) subjects: Arc<dyn MapSubject>,
    pub(crate) profiles: BTreeSet<Profile>,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) longest: Duration,
    pub(crate) scopes: BTreeMap<String, ScopeTable>,
    pub(crate) default_resource: Option<String>,
    pub(crate) context: BTreeSet<String>,
    /// The public clients that present tokens of a platform, each with a subject of those tokens.
    pub(crate) public_clients: BTreeSet<(String, String)>,
    pub(crate) ignores_further_claims: bool,
}

impl IncomingGrants {
    /// Creates the rules for this issuer. The store names it and has its keys. `subjects` says who
    /// its subjects are here; a subject that it does not know gets no token.
    ///
    /// If `aims::keys::PublishedKeys` fills the store, give them to
    /// [`refreshed_by`](Self::refreshed_by) as well, or keep them as long as the server runs:
    /// nothing else fetches the issuer's next keys.
    #[must_use]
    pub fn new(issuer: Issuer, keys: Arc<IssuerStore>, subjects: Arc<dyn MapSubject>) -> Self {
        Self {
            issuer,
            keys,
            refresh: None,
            subjects,
            profiles: BTreeSet::new(),
            algorithms: AlgorithmSet::ALL,
            longest: Duration::from_secs(300),
            scopes: BTreeMap::new(),
            default_resource: None,
            context: BTreeSet::new(),
            public_clients: BTreeSet::new(),
            ignores_further_claims: false,
        }
    }

    /// Has the keys of the issuer fetched again if a grant names an unknown key, or they are stale.
    /// By default such a grant is refused.
    ///
    /// `aims::keys::PublishedKeys` fetches what it holds once for all requests that wait, and again
    /// after a pause at the earliest. [`Authority::router`](crate::Authority::router) waits for it.
    #[must_use]
    pub fn refreshed_by(mut self, keys: Arc<dyn RefreshKeys>) -> Self {
        self.refresh = Some(keys);
        self
    }

    /// Ignores the claims that the authority does not know, because no claim of this issuer limits
    /// what its grants permit: a platform describes its workloads by many claims of its own.
    ///
    /// Without it a grant with a claim that may be a limit is refused. Claims that describe a user
    /// or a session are known: those of OpenID Connect, and `groups`, `roles` and `entitlements`.
    #[must_use]
    pub const fn ignore_further_claims(mut self) -> Self {
        self.ignores_further_claims = true;
        self
    }

    /// Accepts JWT grants without a type of their own: those of identity chaining
    /// (draft-ietf-oauth-identity-chaining), and the tokens that a platform gives its workloads.
    #[must_use]
    pub fn accept_jwt(mut self) -> Self {
        self.profiles.insert(Profile::Jwt);
        self
    }

    /// Accepts the assertions of an identity provider
    /// (draft-ietf-oauth-identity-assertion-authz-grant), whose `client_id` is the client.
    #[must_use]
    pub fn accept_id_jag(mut self) -> Self {
        self.profiles.insert(Profile::IdJag);
        self
    }

    /// Accepts grants that carry a transaction (draft-fletcher-oauth-txn-token-chaining-profile).
    #[must_use]
    pub fn accept_transactions(mut self) -> Self {
        self.profiles.insert(Profile::Transaction);
        self
    }

    /// Sets the accepted algorithms. By default all asymmetric ones are accepted that the provider
    /// supports.
    #[must_use]
    pub const fn algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Sets the maximum lifetime of a grant, from a second to an hour. Defaults to 5 minutes. A
    /// grant that carries a transaction never lives longer than 5 minutes.
    #[must_use]
    pub const fn max_lifetime(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Sets the scopes for a resource, as rows of a scope of a grant and a scope here. A second
    /// table for one resource replaces the first.
    #[must_use]
    pub fn scopes(mut self, resource: impl Into<String>, table: ScopeTable) -> Self {
        self.scopes.insert(resource.into(), table);
        self
    }

    /// Uses this resource for assertions of an identity provider that sends no `resource`. By
    /// default the authority refuses them, because they do not say which tool they are for.
    #[must_use]
    pub fn default_resource(mut self, resource: impl Into<String>) -> Self {
        self.default_resource = Some(resource.into());
        self
    }

    /// Accepts this member of `txn_claims`, a fact of the transaction that limits what the token is
    /// for. The access token has it in `tctx`, and the resource server must compare it with the
    /// call. A grant with any other member is refused.
    #[must_use]
    pub fn transaction_member(mut self, name: impl Into<String>) -> Self {
        self.context.insert(name.into());
        self
    }

    /// Accepts tokens of a platform with this `sub` from this [public client](Client::public),
    /// which does not authenticate (RFC 7521 §4.1, workload identity federation). A job of a CI
    /// system has such a token and no other secret. May be called for several pairs.
    ///
    /// Needs [`accept_jwt`](Self::accept_jwt), and [`Client::grants_of`] for the client. Name the
    /// `sub` in full: each workload that gets a token of the platform with this `sub` is the
    /// client. A token without `scope` gives what [`Client::allow`] names for the requested
    /// resource, so two workloads with different rights are two clients. A token with `scope` needs
    /// a table of [`scopes`](Self::scopes). Each token counts once, by its `jti` or else by its
    /// digest.
    ///
    /// ```
    /// use aims_authority::{Client, IncomingGrants};
    ///
    /// # fn rules(grants: IncomingGrants) {
    /// let platform = "https://token.actions.githubusercontent.com";
    /// let job = Client::public("deploy-job")
    ///     .grants_of(platform)
    ///     .allow("https://tools.example/mcp", ["deploy"]);
    /// let grants = grants
    ///     .accept_jwt()
    ///     .ignore_further_claims()
    ///     .accept_public_client("deploy-job", "repo:shop/site:environment:production");
    /// # drop((job, grants));
    /// # }
    /// ```
    #[must_use]
    pub fn accept_public_client(
        mut self,
        client_id: impl Into<String>,
        subject: impl Into<String>,
    ) -> Self {
        let pair = (client_id.into(), subject.into());
        self.public_clients.insert(pair);
        self
    }

    /// # Errors
    ///
    /// `authority.domain`, `authority.resources`.
    pub(super) fn check(&self, registry: &Registry) -> Result<(), Error> {
        let named = self.scopes.keys().chain(&self.default_resource);
        let named: HashMap<_, _> = named.map(|it| (it.clone(), BTreeSet::new())).collect();
        registry.check_grants(&named)?;
        let issuer = self.issuer.as_str();
        if self.profiles.is_empty() {
            return Err(bad(
                issuer,
                "has no accepted profile, expected one or more of `accept_jwt`, `accept_id_jag` \
                 and `accept_transactions`",
            ));
        }
        if self.longest < Duration::from_secs(1) || self.longest > LONGEST {
            return Err(Error::Lifetime { longest: LONGEST });
        }
        if !self.keys.snapshot().is_configured(&self.issuer) {
            return Err(bad(
                issuer,
                "is not in the store of keys, expected the issuer of its grants",
            ));
        }
        self.check_public_clients(registry)
    }

    fn check_public_clients(&self, registry: &Registry) -> Result<(), Error> {
        let issuer = self.issuer.as_str();
        if !self.public_clients.is_empty() && !self.profiles.contains(&Profile::Jwt) {
            return Err(bad(
                issuer,
                "has public clients without `accept_jwt`, expected both",
            ));
        }
        for (client_id, _) in &self.public_clients {
            let client = registry.named(client_id).filter(|it| it.is_public());
            if !client.is_some_and(|it| it.flow.grants_of.contains(issuer)) {
                return Err(bad(
                    issuer,
                    "names another client, expected a public one with `grants_of`",
                ));
            }
        }
        Ok(())
    }
}

impl Client {
    /// Lets the client present authorization grants of this other issuer (RFC 7523 §2.1), by the
    /// rules of [`Builder::incoming_grants`](crate::Builder::incoming_grants).
    ///
    /// [`allow`](Self::allow) names the resources and scopes that the tokens may have.
    ///
    /// The client must authenticate. A [public](Self::public) client presents tokens of a platform
    /// alone, where [`IncomingGrants::accept_public_client`] names it. Any other, and a client that
    /// described itself, is refused: `unauthorized_client`.
    #[must_use]
    pub fn grants_of(mut self, issuer: impl Into<String>) -> Self {
        self.flow.grants_of.insert(issuer.into());
        self
    }
}
