//! Resources, clients, and the scopes of a client at a resource.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aims_error::shown;
use aims_jose::jwk::JwkSet;
use aims_oauth_wire::names::{self, ScopeSet};
use aims_wimse_id::{IdPattern, Scheme, WorkloadId};

use super::certificate::{CertificateRule, Certificates};
use super::client::CodeFlow;
use super::client_keys::{ClientKeys, is_operators_key_url};
use crate::Error;

/// Maximum number of clients.
const MOST_CLIENTS: usize = 1_024;

/// A protected resource and its scopes (RFC 8707 §2).
#[derive(Clone, Debug)]
pub struct Resource {
    pub(crate) uri: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) is_opaque: bool,
}

impl Resource {
    /// Creates a resource by its identifier: an absolute URI without fragment. `http` is allowed on
    /// loopback only. For MCP it is the canonical URL of the server. Tokens for it have exactly
    /// this text as `aud`.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            scopes: BTreeSet::new(),
            is_opaque: false,
        }
    }

    /// Adds scopes that its tokens can have. A resource without scopes has tokens without scope.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Makes its access tokens opaque: random texts that the resource server must introspect (RFC
    /// 7662). By default they are JWTs (RFC 9068).
    ///
    /// An opaque token tells nothing to a client or to an attacker who finds it, and its revocation
    /// takes effect at the next introspection. A client that [serves](Client::serves) the resource
    /// may introspect it.
    #[must_use]
    pub const fn with_opaque_tokens(mut self) -> Self {
        self.is_opaque = true;
        self
    }
}

/// A client of the token endpoint, with the tokens that it may ask for.
///
/// ```
/// use aims_authority::Client;
///
/// // Every workload beneath /agents, by its WIT-SVID.
/// let agents = Client::spiffe("spiffe://example.org/agents/*".parse()?)
///     .allow("https://tools.example/mcp", ["tools:call"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) by: ClientMatcher,
    pub(crate) grants: HashMap<String, BTreeSet<String>>,
    pub(crate) requires_dpop: bool,
    pub(crate) requires_certificate: bool,
    pub(crate) flow: CodeFlow,
}

/// The way in which a client authenticates.
#[derive(Clone, Debug)]
pub(crate) enum ClientMatcher {
    Keys {
        client_id: String,
        keys: ClientKeys,
    },
    Public {
        client_id: String,
    },
    Certificate {
        client_id: String,
        rule: CertificateRule,
    },
    Spiffe {
        pattern: IdPattern,
        jwt_svid: bool,
    },
}

impl Client {
    /// Creates a client that authenticates by a JWT signed with one of these keys,
    /// `private_key_jwt` (RFC 7523 §2.2). Its tokens are bound to the key that it used.
    pub fn with_keys(client_id: impl Into<String>, keys: JwkSet) -> Self {
        Self::new(ClientMatcher::Keys {
            client_id: client_id.into(),
            keys: ClientKeys::Given(Arc::new(keys)),
        })
    }

    /// Formats the client for a message.
    pub(super) fn shown(&self) -> Box<str> {
        match &self.by {
            ClientMatcher::Certificate { client_id, .. }
            | ClientMatcher::Keys { client_id, .. }
            | ClientMatcher::Public { client_id } => shown([client_id.as_str()]),
            ClientMatcher::Spiffe { pattern, .. } => shown([pattern.to_string().as_str()]),
        }
    }

    /// Creates a client for all workloads that match the pattern. They authenticate by a WIT-SVID
    /// and a proof of its key, `spiffe_wit`.
    ///
    /// `client_id` and `sub` of a token are the identifier of the workload, not the pattern. The
    /// token is bound to the key of the WIT-SVID.
    #[must_use]
    pub fn spiffe(pattern: IdPattern) -> Self {
        Self::new(ClientMatcher::Spiffe {
            pattern,
            jwt_svid: false,
        })
    }

    pub(super) fn new(by: ClientMatcher) -> Self {
        Self {
            by,
            grants: HashMap::new(),
            requires_dpop: false,
            requires_certificate: false,
            flow: CodeFlow::default(),
        }
    }

    /// Refuses token requests of the client without a DPoP proof (RFC 9449 §5.2). All its tokens
    /// are then bound to a key by DPoP.
    #[must_use]
    pub const fn require_dpop(mut self) -> Self {
        self.requires_dpop = true;
        self
    }

    /// Accepts JWT-SVIDs as well, `spiffe_jwt`.
    ///
    /// A JWT-SVID proves no key, so anyone who has it gets tokens, and these are not bound to a
    /// key. It has an effect on clients of [`spiffe`](Self::spiffe) alone.
    #[must_use]
    pub fn or_by_jwt_svid(mut self) -> Self {
        if let ClientMatcher::Spiffe { jwt_svid, .. } = &mut self.by {
            *jwt_svid = true;
        }
        self
    }

    /// Allows the client to get tokens for a resource, with these scopes of the resource and no
    /// others. A further call for the same resource adds scopes.
    #[must_use]
    pub fn allow<S: Into<String>>(
        mut self,
        resource: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        let allowed = self.grants.entry(resource.into()).or_default();
        allowed.extend(scopes.into_iter().map(Into::into));
        self
    }
}

/// The resources and clients that the operator has registered.
#[derive(Debug)]
pub(crate) struct Registry {
    resources: HashMap<String, BTreeSet<String>>,
    /// The resources whose tokens are opaque.
    opaque: BTreeSet<String>,
    by_id: HashMap<String, Arc<Client>>,
    by_pattern: Vec<(IdPattern, Arc<Client>)>,
}

/// The resource and the scopes that a token is issued for.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Permission<'a> {
    pub(crate) resource: &'a str,
    pub(crate) scopes: Vec<&'a str>,
}

impl Registry {
    /// Checks and registers resources and clients.
    ///
    /// # Errors
    ///
    /// `authority.resources`, `authority.clients`.
    pub(crate) fn new(resources: Vec<Resource>, clients: Vec<Client>) -> Result<Self, Error> {
        let mut registry = Self {
            resources: HashMap::new(),
            opaque: BTreeSet::new(),
            by_id: HashMap::new(),
            by_pattern: Vec::new(),
        };
        for resource in resources {
            check(&resource)?;
            if resource.is_opaque {
                registry.opaque.insert(resource.uri.clone());
            }
            let known = registry.resources.entry(resource.uri);
            match known {
                Entry::Occupied(known) => {
                    return Err(bad(known.key(), "is registered twice, expected once"));
                }
                Entry::Vacant(free) => drop(free.insert(resource.scopes)),
            }
        }
        if clients.len() > MOST_CLIENTS {
            return Err(Error::Clients {
                client: "list".into(),
                reason: "is too long: expected at most 1024 clients",
            });
        }
        for client in clients {
            for resource in &client.flow.serves {
                if !registry.resources.contains_key(resource) {
                    return Err(bad(resource, registry.lacking("served")));
                }
            }
            registry.check_grants(&client.grants)?;
            registry.add(client)?;
        }
        Ok(registry)
    }

    /// Checks that clients may be allowed these scopes of these resources.
    ///
    /// # Errors
    ///
    /// `authority.resources`.
    pub(crate) fn check_grants(
        &self,
        grants: &HashMap<String, BTreeSet<String>>,
    ) -> Result<(), Error> {
        for (resource, scopes) in grants {
            let Some(known) = self.resources.get(resource) else {
                return Err(bad(resource, self.lacking("named")));
            };
            if !scopes.is_subset(known) {
                let found = shown(scopes.difference(known).map(String::as_str));
                let there = shown(known.iter().map(String::as_str));
                let reason = format!(
                    "is named by a client with scopes that it does not have: found {found}, \
                     expected some of {there}"
                );
                return Err(bad(resource, reason));
            }
        }
        Ok(())
    }

    /// Says what to do about a resource that is not registered.
    fn lacking(&self, how: &str) -> String {
        if self.resources.is_empty() {
            return format!(
                "is {how} by a client, and no resource is registered: call `Builder::resource`"
            );
        }
        let there = shown(self.resources.keys().map(String::as_str));
        format!("is {how} by a client and is not registered: expected one of {there}")
    }

    fn add(&mut self, client: Client) -> Result<(), Error> {
        client.check_flow()?;
        let client = Arc::new(client);
        match &client.by {
            ClientMatcher::Certificate { client_id, .. }
            | ClientMatcher::Keys { client_id, .. }
            | ClientMatcher::Public { client_id } => {
                let lacks_keys = match &client.by {
                    ClientMatcher::Keys { keys, .. } => match keys {
                        ClientKeys::Given(keys) => keys.is_empty(),
                        ClientKeys::At(url) => !is_operators_key_url(url),
                    },
                    _ => false,
                };
                // Resource servers take such a name in a token for the identifier of a workload.
                let bad = client_id.is_empty()
                    || client_id.len() > 512
                    || !client_id.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
                    || is_workload_name(client_id)
                    || lacks_keys;
                let client_id = client_id.clone();
                if bad {
                    return Err(Error::Clients {
                        client: shown([&*client_id]),
                        reason: "is malformed: expected keys or their https URL, and a name of 1 \
                                 to 512 printable ASCII characters that does not begin with \
                                 `spiffe:` or `wimse:`",
                    });
                }
                match self.by_id.entry(client_id) {
                    Entry::Occupied(known) => return Err(twice(known.key())),
                    Entry::Vacant(free) => drop(free.insert(client)),
                }
            }
            ClientMatcher::Spiffe { pattern, .. } => {
                if self.by_pattern.iter().any(|(known, _)| known == pattern) {
                    return Err(twice(&pattern.to_string()));
                }
                self.by_pattern.push((pattern.clone(), client));
            }
        }
        Ok(())
    }

    /// Returns the client with this `client_id`.
    pub(crate) fn by_client_id(&self, client_id: &str) -> Option<&Arc<Client>> {
        self.by_id.get(client_id)
    }

    /// Returns the client with this identifier: a `client_id`, or the SPIFFE ID of a workload.
    pub(crate) fn named(&self, client_id: &str) -> Option<&Arc<Client>> {
        self.by_client_id(client_id).or_else(|| {
            let id = WorkloadId::parse(client_id).ok()?;
            let is_spiffe = id.scheme() == Scheme::Spiffe && id.as_str() == client_id;
            self.by_workload(&id).filter(|_| is_spiffe)
        })
    }

    /// Returns the client whose pattern matches a workload best: an exact identifier, or else the
    /// longest pattern.
    pub(crate) fn by_workload(&self, id: &WorkloadId) -> Option<&Arc<Client>> {
        let fitting = self
            .by_pattern
            .iter()
            .filter(|(pattern, _)| pattern.matches(id));
        let closeness = |pattern: &IdPattern| {
            let text = pattern.to_string();
            (!text.ends_with("/*"), text.len())
        };
        fitting
            .max_by_key(|(pattern, _)| closeness(pattern))
            .map(|(_, client)| client)
    }

    /// Returns whether tokens for this resource are opaque.
    pub(crate) fn is_opaque(&self, resource: &str) -> bool {
        self.opaque.contains(resource)
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = &Client> {
        let named = self.by_id.values();
        let all = named.chain(self.by_pattern.iter().map(|(_, client)| client));
        all.map(AsRef::as_ref)
    }

    /// Checks that the server has the services that its clients are for.
    ///
    /// # Errors
    ///
    /// `authority.clients`.
    pub(crate) fn check_services(
        &self,
        transactions: bool,
        exchange: bool,
        remote_keys: bool,
    ) -> Result<(), Error> {
        for client in self.clients() {
            let is_remote = matches!(
                &client.by,
                ClientMatcher::Keys {
                    keys: ClientKeys::At(_),
                    ..
                }
            );
            let lacking = if is_remote && !remote_keys {
                "publishes its keys at a URL: expected `Builder::client_keys`"
            } else if client.flow.replaces_transactions && !transactions {
                "replaces transaction tokens: expected `Builder::transactions`"
            } else if client.flow.is_border && !(transactions && exchange) {
                "is at the border: expected `Builder::transactions`, and `Builder::exchange` or `Builder::outgoing_grants`"
            } else {
                continue;
            };
            return Err(Error::Clients {
                client: client.shown(),
                reason: lacking,
            });
        }
        Ok(())
    }

    /// Returns whether a client may introspect tokens.
    pub(crate) fn has_introspecting_clients(&self) -> bool {
        self.clients().any(|client| !client.flow.serves.is_empty())
    }

    pub(crate) fn has_public_clients(&self) -> bool {
        self.by_id.values().any(|client| client.is_public())
    }

    /// Returns the methods by which clients authenticate with certificates.
    pub(crate) fn certificate_methods(&self) -> BTreeSet<&'static str> {
        let method = |client: &Arc<Client>| match &client.by {
            ClientMatcher::Certificate { rule, .. } => Some(rule.method()),
            _ => None,
        };
        self.by_id.values().filter_map(method).collect()
    }

    /// Checks that clients with certificates can be known.
    ///
    /// # Errors
    ///
    /// `authority.clients`.
    pub(crate) fn check_certificates(
        &self,
        certificates: Option<&Certificates>,
    ) -> Result<(), Error> {
        for client in self.clients() {
            let rule = match &client.by {
                ClientMatcher::Certificate { rule, .. } => Some(rule),
                _ => None,
            };
            let reason = match certificates {
                None if rule.is_some() || client.requires_certificate => {
                    "needs a certificate: call `Builder::client_certificates`"
                }
                #[cfg(feature = "pki")]
                Some(known)
                    if known.authorities.is_empty()
                        && matches!(rule, Some(CertificateRule::Named(_))) =>
                {
                    "needs a certificate of an authority: call `Builder::client_authority`"
                }
                _ => continue,
            };
            return Err(Error::Clients {
                client: client.shown(),
                reason,
            });
        }
        Ok(())
    }

    pub(crate) fn accepts_jwt_svids(&self) -> bool {
        self.by_pattern
            .iter()
            .any(|(_, client)| matches!(client.by, ClientMatcher::Spiffe { jwt_svid: true, .. }))
    }

    pub(crate) fn resources(&self) -> BTreeSet<&str> {
        self.resources.keys().map(String::as_str).collect()
    }

    pub(crate) fn scopes(&self) -> BTreeSet<&str> {
        self.resources
            .values()
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// Grants exactly the requested scopes, or refuses.
    ///
    /// Without a resource, it is the only one that the client may use. Without scopes, they are all
    /// that the client may have there.
    ///
    /// # Errors
    ///
    /// `as.target` (RFC 8707 §2), `as.scope` (RFC 6749 §5.2).
    pub(crate) fn permit<'a>(
        &self,
        client: &'a Client,
        asked: &[&str],
        scope: Option<&str>,
    ) -> Result<Permission<'a>, Error> {
        // A registered resource that is not the client's gets the same response as an unknown one.
        let granted = match asked {
            [] if client.grants.len() == 1 => client.grants.iter().next(),
            [resource] => client.grants.get_key_value(*resource),
            // RFC 8707 §2 allows a server to refuse several resources, so that a token is valid at
            // one place.
            _ => None,
        };
        let (resource, allowed) = granted.ok_or(Error::Target)?;
        let scopes = match scope {
            None => allowed.iter().map(String::as_str).collect(),
            Some(scope) => {
                let mut scopes = Vec::new();
                for name in scope.split(' ') {
                    let name = allowed.get(name).ok_or_else(|| Error::ScopeNotAllowed {
                        client: client.shown(),
                        resource: resource.as_str().into(),
                        asked: shown([scope]),
                        allowed: shown(allowed.iter().map(String::as_str)),
                    })?;
                    if !scopes.contains(&name.as_str()) {
                        scopes.push(name.as_str());
                    }
                }
                scopes
            }
        };
        Ok(Permission { resource, scopes })
    }
}

/// Returns whether resource servers take a name for the identifier of a workload: its scheme is
/// `spiffe` or `wimse`, in any case.
pub(super) fn is_workload_name(name: &str) -> bool {
    let scheme = name.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|it| {
        ["spiffe", "wimse"]
            .iter()
            .any(|own| it.eq_ignore_ascii_case(own))
    })
}

/// Checks a resource: `http` on loopback only, and no more scopes than one set can have.
fn check(resource: &Resource) -> Result<(), Error> {
    if let Err(error) = names::Resource::loopback(&resource.uri) {
        let (found, reason) = match &error {
            aims_oauth_wire::Error::Resource { found, reason } => (&**found, *reason),
            _ => ("", "not a resource identifier"),
        };
        let reason = format!(
            "is malformed: expected an absolute https URL without fragment, or http on loopback; \
             {reason}"
        );
        return Err(bad(found, reason));
    }
    let mut set = ScopeSet::new();
    let mut add = |scope: &String| set.insert(scope.parse()?);
    match resource.scopes.iter().find(|scope| add(scope).is_err()) {
        Some(scope) => {
            let scope = shown([scope.as_str()]);
            let reason = format!(
                "has the malformed scope {scope}: expected printable ASCII without blanks, `\"` \
                 and `\\`, and at most 256 scopes"
            );
            Err(bad(&resource.uri, reason))
        }
        None => Ok(()),
    }
}

fn bad(resource: &str, reason: impl Into<Box<str>>) -> Error {
    Error::Resources {
        resource: shown([resource]),
        reason: reason.into(),
    }
}

fn twice(client: &str) -> Error {
    Error::Clients {
        client: shown([client]),
        reason: "is registered twice, expected once",
    }
}

#[cfg(test)]
mod tests;
