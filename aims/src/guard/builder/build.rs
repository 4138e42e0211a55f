//! Checks the settings of a builder, and makes the guard.

use std::marker::PhantomData;
use std::sync::Arc;

use aims_oauth_rs::{ProtectedResource, TokenCache};
use aims_oauth_wire::names::{Endpoint, Resource};
use aims_replay::ReplayCache;
use aims_wimse_cred::WitCache;
use http::header::HeaderName;

use super::Settings;
use crate::guard::fields::CoveredField;
use crate::guard::opaque::Opaque;
use crate::guard::spend::Replay;
use crate::guard::target::{Paths, external_origin};
use crate::guard::transactions::Transactions;
use crate::guard::{Audience, BuildError, Cors, Guard, Inner, Route};
use crate::revoked::NothingRevoked;

impl Settings {
    pub(super) fn build<M>(self) -> Result<Guard<M>, BuildError> {
        let resource = self.resource()?;
        if let Some(metadata) = &self.metadata
            && metadata.resource() != &resource
        {
            return Err(BuildError::OtherResource {
                metadata: metadata.resource().as_str().to_owned(),
                guarded: self.resource,
            });
        }
        self.check_rules()?;
        self.check_introspected()?;
        let paths = if self.any_path || !self.audiences.is_empty() {
            Paths::Any
        } else {
            Paths::of(resource.as_str())
        };
        // Only programs of this machine call an `http` URL, which is a loopback one. A proof for
        // another URL comes through a proxy.
        let is_http = |url: &str| url.starts_with("http://");
        let is_local = is_http(resource.as_str()) && self.audiences.iter().all(|it| is_http(it));
        let audience = if self.audiences.is_empty() {
            Audience::Target(external_origin(resource.as_str()).to_owned())
        } else {
            Audience::Named(self.audiences)
        };
        let signatures = match self.signatures {
            Some(it) if it.signs_every() && !it.can_sign() => return Err(BuildError::NoSigner),
            Some(it) => {
                let skew = self.skew.unwrap_or_default();
                let built = it.build(resource.as_str(), &audience, skew);
                Some(built.map_err(BuildError::Signatures)?)
            }
            None => None,
        };
        let dpop = self
            .dpop
            .map(|it| it.build(resource.as_str(), self.skew, self.capacity));
        let dpop = dpop.transpose()?;
        let transactions = self
            .transactions
            .map(|it| Transactions::new(it, self.capacity, self.skew));
        let transactions = transactions.transpose()?;
        let binds_alone = !self.agents && !self.requirements.allows_bearer();
        let has_certificates = self.certificates.is_some();
        let metadata = self.metadata.map(|it| match &dpop {
            // A member that is added after signing would not be signed.
            _ if it.is_signed() => it,
            Some(dpop) => {
                let it = match it.dpop_signing_alg_values_supported() {
                    Some(_) => it,
                    None => it.with_dpop_algorithms(dpop.algorithms()),
                };
                if binds_alone && !has_certificates {
                    it.with_dpop_bound_tokens_required()
                } else {
                    it
                }
            }
            None if binds_alone && has_certificates => it.with_certificate_bound_tokens(),
            None => it,
        });
        let published = metadata.as_ref().map(ProtectedResource::new);
        let published = published.transpose().map_err(BuildError::Metadata)?;
        let (wit, wpt, tokens) = match self.skew {
            Some(skew) => (
                self.wit.with_skew(skew),
                self.wpt.with_skew(skew),
                self.tokens.with_skew(skew),
            ),
            None => (self.wit, self.wpt, self.tokens),
        };
        let read = self.extract.iter().flat_map(|it| it.fields());
        let read: Vec<HeaderName> = read.collect();
        let fields = CoveredField::all(&self.token_fields, &read);
        let fields = fields.map_err(BuildError::Fields)?;
        let tokens = tokens.with_max_len(self.max_token);
        let opaque = Opaque::new(self.opaque)?;
        let cors = self.cors.map(Cors::build).transpose()?;
        let tokens = tokens.with_issuer_rules(self.rules.iter().cloned());
        let in_memory = || Replay::Local(Arc::new(ReplayCache::in_memory(1_000_000)));
        let replay = self.replay.unwrap_or_else(in_memory);
        if let Replay::Local(store) = &replay
            && !self.early_proofs
            && !is_local
        {
            store.begin(self.clock.0.now());
        }
        let watches = self.revoked.is_some() || opaque.issuers().next().is_some();
        let inner = Inner {
            resource: resource.as_str().into(),
            paths,
            audience,
            trust: self.trust,
            agents: self.agents,
            wits: WitCache::new(self.capacity, wit),
            wpt,
            issuers: self.issuers,
            signatures,
            dpop,
            certificates: self.certificates,
            transactions,
            tokens: TokenCache::new(self.capacity, tokens),
            opaque,
            max_token: self.max_token,
            metadata_url: published.as_ref().map(|it| Endpoint::clone(it.url())),
            published: published.map(Arc::new),
            replay,
            fields,
            extract: self.extract,
            decides: self.decides,
            record: self.record,
            watches,
            revoked: self.revoked.unwrap_or_else(|| Arc::new(NothingRevoked)),
            resolve: self.resolve,
            deadline: self.deadline,
            skew: self.skew.unwrap_or_default(),
            passes_token: self.passes_token,
            cors,
            clock: self.clock.0,
        };
        let requirements = self.requirements;
        inner.check_requirements(&requirements)?;
        inner.check_opaque()?;
        // Apply the rules last, so that a failed build changes nothing in a store that other guards
        // use.
        if let Some(issuers) = &inner.issuers {
            let added = issuers.add_rules(&self.rules);
            added.map_err(BuildError::IssuerRules)?;
        }
        Ok(Guard {
            inner: Arc::new(inner),
            route: Arc::new(Route { requirements }),
            answers: PhantomData,
        })
    }

    /// Checks that each issuer whose JWTs are to be introspected can be asked.
    fn check_introspected(&self) -> Result<(), BuildError> {
        let is_asked = |issuer| self.opaque.iter().any(|it| it.issuer() == issuer);
        let mut unasked = self
            .rules
            .iter()
            .filter(|(_, rules)| rules.introspects_jwts());
        match unasked.find(|(issuer, _)| !is_asked(issuer)) {
            Some((issuer, _)) => Err(BuildError::NotAsked {
                issuer: issuer.as_str().to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Checks that the store of issuers can have these rules, and has no issuer in two spellings.
    fn check_rules(&self) -> Result<(), BuildError> {
        if self.empty_audience {
            return Err(BuildError::TokenAudience);
        }
        for (index, (issuer, rules)) in self.rules.iter().enumerate() {
            let mut before = self.rules.iter().take(index);
            if before.any(|(other, others)| other == issuer && others != rules) {
                let issuer = issuer.as_str().to_owned();
                return Err(BuildError::RulesTwice { issuer });
            }
        }
        let Some(issuers) = &self.issuers else {
            return match self.rules.is_empty() {
                true => Ok(()),
                false => Err(BuildError::NoIssuer),
            };
        };
        let outcome = issuers.snapshot().with_rules(&self.rules);
        let outcome = outcome.map_err(BuildError::IssuerRules)?;
        let twins = outcome.root_slash_twins();
        let twins = twins.map(|(bare, slash)| (bare.to_owned(), slash.to_owned()));
        match self.twins.clone().or(twins) {
            Some((bare, slash)) => Err(BuildError::IssuerTwice { bare, slash }),
            None => Ok(()),
        }
    }

    pub(in crate::guard) fn resource(&self) -> Result<Resource, BuildError> {
        let resource: Resource = self
            .resource
            .parse()
            .or_else(|_not_https| Resource::loopback(&self.resource))
            .map_err(|source| BuildError::Resource {
                resource: self.resource.clone(),
                source,
            })?;
        let is_http = ["https://", "http://"]
            .iter()
            .any(|it| resource.as_str().starts_with(it));
        if is_http && !resource.as_str().contains('?') {
            Ok(resource)
        } else {
            let resource = self.resource.clone();
            Err(BuildError::NotHttp { resource })
        }
    }
}
