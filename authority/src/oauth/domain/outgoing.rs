//! [`OutgoingGrants`]: the rules for authorization grants that another domain accepts.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aims_oauth_wire::delegate::ScopeTable;
use aims_oauth_wire::names::{Issuer, Resource};

use super::{Profile, bad};
use crate::oauth::resource::Registry;
use crate::{Client, Error};

/// Maximum lifetime of a grant for another domain.
const LONGEST: Duration = Duration::from_secs(300);

/// Says by which name another domain knows a subject of this server.
///
/// ```
/// use aims_authority::NameSubject;
///
/// /// The partner knows the users by their addresses.
/// #[derive(Debug)]
/// struct Addresses;
///
/// impl NameSubject for Addresses {
///     fn name(&self, _audience: &str, subject: &str) -> Option<String> {
///         Some(format!("{subject}@shop.example"))
///     }
/// }
/// ```
pub trait NameSubject: fmt::Debug + Send + Sync {
    /// Returns `sub` of the grant for the authorization server `audience`, or `None` to refuse.
    fn name(&self, audience: &str, subject: &str) -> Option<String>;
}

/// The rules for authorization grants to one other authorization server, which clients get by token
/// exchange (RFC 8693).
///
/// By default none is issued: choose the profiles, and give the scopes by a table. A client needs
/// [`Client::known_as`]. Whatever the rules say, a grant never permits more than the table makes of
/// the subject token, ends with it, and is bound to the key that the client has proven.
///
/// ```
/// use std::sync::Arc;
///
/// use aims_authority::{NameSubject, OutgoingGrants};
/// use aims_oauth_wire::delegate::ScopeTable;
///
/// # fn rules(names: Arc<dyn NameSubject>) -> Result<(), Box<dyn std::error::Error>> {
/// let server = "https://as.partner.example".parse()?;
/// let grants = OutgoingGrants::new(server, names)
///     .issue_id_jag()
///     .resource("https://tools.partner.example/mcp".parse()?)
///     .scopes("https://tools.example/mcp", ScopeTable::new([("tools:call", "search")])?);
/// # drop(grants);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OutgoingGrants {
    pub(crate) audience: Issuer,
    pub(crate) subjects: Arc<dyn NameSubject>,
    pub(crate) profiles: BTreeSet<Profile>,
    pub(crate) resources: Vec<Resource>,
    /// By the issuer of the subject token, if it is another, and the resource that it is for.
    pub(crate) scopes: BTreeMap<(Option<String>, String), ScopeTable>,
    pub(crate) context: BTreeSet<String>,
    pub(crate) lifetime: Duration,
    /// The scopes there for users of ID tokens, by the issuer of these.
    pub(crate) id_tokens: BTreeMap<String, BTreeSet<String>>,
}

impl OutgoingGrants {
    /// Creates the rules for grants to the authorization server with this issuer identifier.
    #[must_use]
    pub fn new(audience: Issuer, subjects: Arc<dyn NameSubject>) -> Self {
        Self {
            audience,
            subjects,
            profiles: BTreeSet::new(),
            resources: Vec::new(),
            scopes: BTreeMap::new(),
            context: BTreeSet::new(),
            lifetime: Duration::from_secs(60),
            id_tokens: BTreeMap::new(),
        }
    }

    /// Issues JWT grants of identity chaining (draft-ietf-oauth-identity-chaining §2.3) for access
    /// tokens.
    #[must_use]
    pub fn issue_jwt(mut self) -> Self {
        self.profiles.insert(Profile::Jwt);
        self
    }

    /// Issues identity assertions for access tokens and refresh tokens of this server, and for ID
    /// tokens with [`id_token_scopes`](Self::id_token_scopes)
    /// (draft-ietf-oauth-identity-assertion-authz-grant §4.3). SAML assertions are not accepted.
    #[must_use]
    pub fn issue_id_jag(mut self) -> Self {
        self.profiles.insert(Profile::IdJag);
        self
    }

    /// Issues grants that carry a transaction (draft-fletcher-oauth-txn-token-chaining-profile) for
    /// transaction tokens, to clients at the [border](Client::border).
    #[must_use]
    pub fn issue_transactions(mut self) -> Self {
        self.profiles.insert(Profile::Transaction);
        self
    }

    /// Adds a resource of the other domain that grants may be for.
    #[must_use]
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Sets what becomes of the scopes of tokens for a resource of this server, as rows of a scope
    /// here and a scope there. For transaction tokens, `from` is the trust domain.
    ///
    /// [`issuer_scopes`](Self::issuer_scopes) is about tokens of other issuers.
    #[must_use]
    pub fn scopes(mut self, from: impl Into<String>, table: ScopeTable) -> Self {
        self.scopes.insert((None, from.into()), table);
        self
    }

    /// Sets what becomes of the scopes of access tokens of another issuer for a resource, as rows
    /// of a scope of that issuer and a scope there. By default they give no grants: a token of
    /// another issuer stays out of domains that the operator opened to tokens of this server.
    #[must_use]
    pub fn issuer_scopes(
        mut self,
        issuer: impl Into<String>,
        from: impl Into<String>,
        table: ScopeTable,
    ) -> Self {
        self.scopes
            .insert((Some(issuer.into()), from.into()), table);
        self
    }

    /// Sets the scopes there of a user who is named by an ID token of this issuer, which has no
    /// scopes of its own. By default ID tokens give no assertion.
    ///
    /// The issuer is this server, whose approvals give ID tokens, or one of
    /// [`Builder::subject_issuers`](crate::Builder::subject_issuers). For the latter the client
    /// needs [`Client::id_tokens_of`].
    #[must_use]
    pub fn id_token_scopes<S: Into<String>>(
        mut self,
        issuer: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.id_tokens.insert(issuer.into(), scopes);
        self
    }

    /// Carries this member of `tctx` over, in `txn_claims`. Both domains must have agreed that the
    /// other one compares it with the call. A transaction with any other member stays here.
    #[must_use]
    pub fn transaction_member(mut self, name: impl Into<String>) -> Self {
        self.context.insert(name.into());
        self
    }

    /// Sets the maximum lifetime of a grant, from a second to 5 minutes. Defaults to one minute.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// # Errors
    ///
    /// `authority.domain`, `authority.lifetime`.
    pub(super) fn check(&self, registry: &Registry) -> Result<(), Error> {
        let audience = self.audience.as_str();
        if self.profiles.is_empty() {
            return Err(bad(
                audience,
                "has no profile, expected one or more of `issue_jwt`, `issue_id_jag` and \
                 `issue_transactions`",
            ));
        }
        if self.lifetime < Duration::from_secs(1) || self.lifetime > LONGEST {
            return Err(Error::Lifetime { longest: LONGEST });
        }
        if self.resources.iter().any(|it| it.as_str() == audience) {
            return Err(bad(
                audience,
                "is named as a resource, expected the tools that it issues tokens for",
            ));
        }
        // A grant for it would have the `aud` of an access token.
        let own = HashMap::from([(audience.to_owned(), BTreeSet::new())]);
        if registry.check_grants(&own).is_ok() {
            return Err(bad(
                audience,
                "is a resource of this server, expected an authorization server",
            ));
        }
        Ok(())
    }
}

impl Client {
    /// Lets the client ask for authorization grants to this other authorization server, at which it
    /// has this `client_id` (RFC 8693), by the rules of
    /// [`Builder::outgoing_grants`](crate::Builder::outgoing_grants).
    ///
    /// It presents access tokens that were issued to it, or those that callers send to a resource
    /// that it [serves](Self::serves). For an identity assertion it may present its refresh token,
    /// or an ID token that was issued to it.
    #[must_use]
    pub fn known_as(mut self, audience: impl Into<String>, client_id: impl Into<String>) -> Self {
        self.flow.known_as.insert(audience.into(), client_id.into());
        self
    }

    /// Lets the client present ID tokens of this other issuer for identity assertions
    /// (draft-ietf-oauth-identity-assertion-authz-grant §4.3). `client_id` is the client's name at
    /// the issuer: `aud` of the ID token must be it alone.
    ///
    /// The issuer is one of [`Builder::subject_issuers`](crate::Builder::subject_issuers), and
    /// [`OutgoingGrants::id_token_scopes`] names the scopes.
    #[must_use]
    pub fn id_tokens_of(mut self, issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        self.flow
            .id_tokens_of
            .insert(issuer.into(), client_id.into());
        self
    }
}
