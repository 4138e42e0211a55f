//! Other domains: whose authorization grants this server accepts, and for which servers it issues
//! some.

mod incoming;
mod outgoing;

use aims_error::shown;

pub use self::incoming::IncomingGrants;
pub(crate) use self::incoming::Profile;
pub use self::outgoing::{NameSubject, OutgoingGrants};
use super::grant::outgoing::{ID_JAG, JWT};
use super::grant::subject::SubjectIssuers;
use super::resource::Registry;
use crate::Error;
use crate::base::Base;

/// The rules about other domains.
#[derive(Debug, Default)]
pub(crate) struct Domains {
    pub(crate) incoming: Vec<IncomingGrants>,
    pub(crate) outgoing: Vec<OutgoingGrants>,
}

impl Domains {
    /// Returns the rules for the grants of this issuer.
    pub(crate) fn incoming(&self, issuer: &str) -> Option<&IncomingGrants> {
        let mut all = self.incoming.iter();
        all.find(|it| it.issuer.as_str() == issuer)
    }

    /// Returns the rules for grants to this authorization server.
    pub(crate) fn outgoing(&self, audience: &str) -> Option<&OutgoingGrants> {
        let mut all = self.outgoing.iter();
        all.find(|it| it.audience.as_str() == audience)
    }

    /// Returns the values of `authorization_grant_profiles_supported`.
    pub(crate) fn grant_profiles(&self) -> Vec<&'static str> {
        let mut all = self.incoming.iter().flat_map(|it| &it.profiles);
        let is_one = all.any(|it| *it == Profile::IdJag);
        let names = is_one.then_some("urn:ietf:params:oauth:grant-profile:id-jag");
        names.into_iter().collect()
    }

    /// Returns the values of `identity_chaining_requested_token_types_supported`.
    pub(crate) fn issued_types(&self) -> Vec<&'static str> {
        let all = self.outgoing.iter().flat_map(|it| &it.profiles);
        let mut names: Vec<_> = all
            .map(|it| match it {
                Profile::IdJag => ID_JAG,
                Profile::Jwt | Profile::Transaction => JWT,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Checks the rules against each other and against clients, resources and the issuers whose
    /// tokens are exchanged.
    ///
    /// # Errors
    ///
    /// `authority.domain`, `authority.resources`.
    pub(crate) fn check(
        &self,
        base: &Base,
        registry: &Registry,
        issuers: Option<&SubjectIssuers>,
    ) -> Result<(), Error> {
        self.check_id_tokens(base, registry, issuers)?;
        let incoming: Vec<&str> = self.incoming.iter().map(|it| it.issuer.as_str()).collect();
        let outgoing: Vec<&str> = self
            .outgoing
            .iter()
            .map(|it| it.audience.as_str())
            .collect();
        for names in [&incoming, &outgoing] {
            for (at, name) in names.iter().enumerate() {
                if *name == base.as_str() {
                    return Err(bad(name, "is this server, expected another one"));
                }
                if names.iter().take(at).any(|it| it == name) {
                    return Err(bad(name, "is named twice, expected once"));
                }
            }
        }
        for rules in &self.incoming {
            rules.check(registry)?;
        }
        for rules in &self.outgoing {
            rules.check(registry)?;
        }
        for client in registry.clients() {
            let flow = &client.flow;
            let from = flow.grants_of.iter().map(String::as_str);
            let unknown = from.chain(flow.known_as.keys().map(String::as_str));
            let mut unknown = unknown.filter(|it| !incoming.contains(it) && !outgoing.contains(it));
            if let Some(name) = unknown.next() {
                return Err(bad(
                    name,
                    "is named by a client, expected rules of the builder for its grants",
                ));
            }
        }
        Ok(())
    }

    /// Checks that the issuers of ID tokens are known.
    fn check_id_tokens(
        &self,
        base: &Base,
        registry: &Registry,
        issuers: Option<&SubjectIssuers>,
    ) -> Result<(), Error> {
        let is_known = |name: &str| issuers.is_some_and(|it| it.knows(name));
        let of_rules = self.outgoing.iter().flat_map(|it| it.id_tokens.keys());
        let of_rules = of_rules.filter(|it| *it != base.as_str());
        let of_clients = registry.clients();
        let of_clients = of_clients.flat_map(|it| it.flow.id_tokens_of.keys());
        let mut all = of_rules.chain(of_clients);
        match all.find(|it| !is_known(it)) {
            None => Ok(()),
            Some(name) => Err(bad(
                name,
                "is the issuer of ID tokens, expected it in the store of `subject_issuers`",
            )),
        }
    }
}

fn bad(domain: &str, reason: &'static str) -> Error {
    Error::Domain {
        domain: shown([domain]),
        reason,
    }
}
