//! Token exchange (RFC 8693).

use std::sync::OnceLock;
use std::time::Duration;

use aims_jose::digest::sha256_base64url;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::delegate::Crossing;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::{Resource, ScopeSet};
use aims_oauth_wire::token::{TokenRequest, TokenResponse};

use self::judge::{Accepted, Deviation};
use super::pending::expect_type;
use super::{Grant, Target};
use crate::Error;

mod crossed;
mod issued;
mod judge;
mod subject;
mod transaction;

pub use issued::{IdJag, IdJagRequest, JwtGrant, JwtGrantRequest};
pub use subject::{ActorToken, SubjectToken};
pub use transaction::{TransactionToken, TransactionTokenRequest};

/// The grant type of token exchange (RFC 8693 §2.1).
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The type of an access token (RFC 8693 §3).
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Exchanges a token for an access token of its subject: [`Impersonation`], or [`Delegation`] to an
/// actor (RFC 8693).
///
/// The answer must not be more than what was asked for:
///
/// - Its type is that of an access token (`grant.issued_token_type`).
/// - It has no scope that was not requested (`grant.scope`), and if none was requested, none that
///   the subject token does not have.
/// - It does not live longer than the subject token, as far as its end is known, or than the
///   [maximum](Self::max_lifetime) (`grant.lifetime`). Keycloak gives exchanged tokens a new
///   lifetime; see [`accept_new_lifetime`](Self::accept_new_lifetime).
/// - For a delegation, `act` names the actor (`grant.actor`). Keycloak ignores `actor_token`. A
///   token that is no JWT does not show its actor; see
///   [`accept_opaque_answer`](Self::accept_opaque_answer).
/// - If both tokens are JWTs of one issuer and one kind (`at+jwt`, RFC 9068), it is compared with
///   the subject token in every [`Dimension`](aims_oauth_wire::delegate::Dimension): it has no
///   further scope, audience beside those that were asked for, authorization detail or fact of the
///   login, and keeps the actors in `act`, the key and the context of the transaction
///   (`delegate.…`). What cannot be decided passes, unless [`judged_by`](Self::judged_by) is
///   called. The methods `accept_…` are for servers that are known to do otherwise.
#[derive(Clone, Debug)]
pub struct TokenExchange<A> {
    subject: SubjectToken,
    actor: A,
    target: Target,
    audiences: Vec<Box<str>>,
    further: Vec<Resource>,
    max_lifetime: Option<Duration>,
    accepted: Accepted,
    crossing: Option<Crossing>,
    /// The name in the cache, once it was needed. Each change of the exchange removes it.
    name: OnceLock<Box<str>>,
}

/// A token exchange whose answer is a token of the subject alone. The resource cannot tell the
/// client from the subject (RFC 8693 §1.1).
///
/// ```
/// use aims_oauth_client::{Impersonation, SubjectToken, Target, Token};
///
/// /// Exchanges the token of a caller for one for another tool.
/// fn onward(caller: &Token) -> Result<Impersonation, aims_oauth_wire::Error> {
///     let target = Target::new("https://other.example/mcp".parse()?, "read".parse()?);
///     Ok(Impersonation::new(SubjectToken::of(caller), target))
/// }
/// ```
pub type Impersonation = TokenExchange<NoActor>;

/// A token exchange whose answer names the actor in `act` (RFC 8693 §4.1).
///
/// ```
/// use aims_oauth_client::{ActorToken, Delegation, SubjectToken, Target, Token};
///
/// /// The agent asks for a token of the user, in which the agent is the actor.
/// fn delegated(user: &Token, agent: ActorToken) -> Result<Delegation, aims_oauth_wire::Error> {
///     let target = Target::new("https://tools.example/mcp".parse()?, "read".parse()?);
///     Ok(Delegation::new(SubjectToken::of(user), agent, target))
/// }
/// ```
pub type Delegation = TokenExchange<ActorToken>;

/// States that a [`TokenExchange`] has no actor.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is empty")]
pub struct NoActor;

/// The actor of a token exchange, if there is one.
pub trait Acting: std::fmt::Debug + Send + Sync {
    /// Returns the token of the actor.
    fn token(&self) -> Option<&ActorToken>;
}

impl Acting for NoActor {
    fn token(&self) -> Option<&ActorToken> {
        None
    }
}

impl Acting for ActorToken {
    fn token(&self) -> Option<&ActorToken> {
        Some(self)
    }
}

impl Impersonation {
    /// Creates the exchange of this token for one for the target.
    #[must_use]
    pub fn new(subject: SubjectToken, target: Target) -> Self {
        Self::with(subject, NoActor, target)
    }
}

impl Delegation {
    /// Creates the exchange of this token for one for the target, in which the actor acts.
    #[must_use]
    pub fn new(subject: SubjectToken, actor: ActorToken, target: Target) -> Self {
        Self::with(subject, actor, target)
    }
}

impl<A> TokenExchange<A> {
    fn with(subject: SubjectToken, actor: A, target: Target) -> Self {
        // Tokens of two subjects are never interchanged, also if the caller names none.
        let target = match target.subject() {
            Some(_) => target,
            None => target.with_subject_fingerprint(&subject.fingerprint()),
        };
        Self {
            subject,
            actor,
            target,
            audiences: Vec::new(),
            further: Vec::new(),
            max_lifetime: None,
            accepted: Accepted::new(),
            crossing: None,
            name: OnceLock::new(),
        }
    }

    fn renamed(mut self) -> Self {
        self.name = OnceLock::new();
        self
    }

    /// Adds the logical name of a service that the token is for (`audience`, RFC 8693 §2.1).
    ///
    /// The token is then valid for every combination of the resources, audiences and scopes, so ask
    /// for one service at a time where possible.
    #[must_use]
    pub fn audience(mut self, name: impl Into<Box<str>>) -> Self {
        self.audiences.push(name.into());
        self.renamed()
    }

    /// Adds another resource that the token is for.
    #[must_use]
    pub fn also_for(mut self, resource: Resource) -> Self {
        self.further.push(resource);
        self.renamed()
    }

    /// Sets the maximum lifetime of the answer. An answer that states none counts as one of 300 s.
    #[must_use]
    pub fn max_lifetime(mut self, most: Duration) -> Self {
        self.max_lifetime = Some(most);
        self.renamed()
    }

    /// Accepts a token that lives longer than the subject token, for a server that gives exchanged
    /// tokens a new lifetime (Keycloak). The grant of the subject is then prolonged without the
    /// subject.
    #[must_use]
    pub fn accept_new_lifetime(self) -> Self {
        self.accepting(Deviation::NewLifetime)
    }

    /// Accepts an opaque token as the answer to a [`Delegation`], for a server that is known to put
    /// the actor into its answers of introspection (RFC 8693 §4.1).
    #[must_use]
    pub fn accept_opaque_answer(self) -> Self {
        self.accepting(Deviation::OpaqueAnswer)
    }

    /// Accepts a token without the actors that the subject token has in `act`, for a server that
    /// names none. The resource then does not know who acted before.
    #[must_use]
    pub fn accept_missing_actors(self) -> Self {
        self.accepting(Deviation::MissingActors)
    }

    /// Accepts a token that is bound to no key for a subject token that is, for a server that binds
    /// no exchanged tokens. A thief can use it until it expires.
    #[must_use]
    pub fn accept_unbound(self) -> Self {
        self.accepting(Deviation::Unbound)
    }

    /// Accepts a token that is bound to another key than the subject token and appends no actor,
    /// for a server that binds exchanged tokens to the key of the client that asks.
    #[must_use]
    pub fn accept_other_key(self) -> Self {
        self.accepting(Deviation::OtherKey)
    }

    /// Accepts a token whose `aud` has other names than those that were asked for and those of the
    /// subject token, for a server with names of its own for resources.
    #[must_use]
    pub fn accept_other_audiences(self) -> Self {
        self.accepting(Deviation::OtherAudiences)
    }

    /// Accepts a token with other facts of the subject's login (`auth_time`, `acr`, `amr`) than the
    /// subject token has, for a server that states them in exchanged tokens alone.
    #[must_use]
    pub fn accept_other_login(self) -> Self {
        self.accepting(Deviation::OtherLogin)
    }

    fn accepting(mut self, deviation: Deviation) -> Self {
        self.accepted.insert(deviation);
        self.renamed()
    }

    /// Requires that the answer, a JWT, is no more than the subject token in every dimension, after
    /// this translation between their audiences, scopes and issuers. See
    /// [`delegate`](fn@aims_oauth_wire::delegate::delegate).
    #[must_use]
    pub fn judged_by(mut self, crossing: Crossing) -> Self {
        self.crossing = Some(crossing);
        self.renamed()
    }
}

impl<A: Acting> Grant for TokenExchange<A> {
    fn grant_type(&self) -> &str {
        TOKEN_EXCHANGE
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn write(
        &self,
        request: &mut TokenRequest,
        _server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), aims_oauth_wire::Error> {
        self.target.write(request)?;
        for resource in &self.further {
            request.resource(resource)?;
        }
        for audience in &self.audiences {
            request.audience(audience)?;
        }
        request.parameter("requested_token_type", ACCESS_TOKEN)?;
        self.subject.write(request)?;
        if let Some(actor) = self.actor.token() {
            actor.write(request)?;
        }
        Ok(())
    }

    fn judge(&self, response: &TokenResponse, now: UnixTime) -> Result<(), Error> {
        expect_type(response, ACCESS_TOKEN)?;
        judge::scope(&self.subject, self.target.scopes(), response.scope())?;
        let answer = judge::Answer::of_token(response.access_token())?;
        let ends = judge::Ends::of(answer.as_ref(), response.expires_at(now));
        let accepts = |it| self.accepted.contains(&it);
        let accepts_new = accepts(Deviation::NewLifetime);
        judge::lifetime(&self.subject, self.max_lifetime, accepts_new, ends, now)?;
        let (asked, granted) = (self.target.scopes(), response.scope());
        judge::stated_scope(&self.subject, answer.as_ref(), asked, granted)?;
        if let Some(actor) = self.actor.token() {
            judge::actor(actor, answer.as_ref(), accepts(Deviation::OpaqueAnswer))?;
        }
        match &self.crossing {
            Some(crossing) => judge::translated(&self.subject, answer.as_ref(), crossing),
            None => {
                let asked = self.asked_audiences();
                judge::rights(&self.subject, answer.as_ref(), &asked, &self.accepted)
            }
        }
    }

    /// Without it, each hop of a chain of opaque tokens could add what is tolerated once.
    fn ends_by(&self) -> Option<UnixTime> {
        let accepts_new = self.accepted.contains(&Deviation::NewLifetime);
        self.subject.expires.filter(|_| !accepts_new)
    }

    fn granted_before(&self) -> Option<&ScopeSet> {
        let asked = self.target.scopes();
        asked
            .is_empty()
            .then_some(self.subject.scopes.as_ref())
            .flatten()
    }

    /// The details may be those of the subject token, with which `judge` compares them.
    fn judges_details(&self) -> bool {
        self.target.details().is_none()
    }

    fn cached_as(&self) -> &str {
        self.name.get_or_init(|| self.named())
    }
}

impl<A: Acting> TokenExchange<A> {
    /// Returns the services that the token was asked for.
    fn asked_audiences(&self) -> Vec<&str> {
        let resources = [self.target.resource()].into_iter().chain(&self.further);
        let audiences = self.audiences.iter().map(|it| &**it);
        resources.map(Resource::as_str).chain(audiences).collect()
    }

    /// Returns a name of all that was asked for and accepted beside the target, so that a token is
    /// returned only to a caller that would get the same.
    fn named(&self) -> Box<str> {
        let actor = self.actor.token();
        let kind = actor.map_or("impersonation", |_| "delegation");
        let mut parts = vec![
            format!("{:?}", actor.map(ActorToken::identity)),
            format!("{:?}", self.max_lifetime),
            format!("{:?}", self.accepted),
            format!("{:?}", self.crossing),
            self.audiences.len().to_string(),
        ];
        parts.extend(self.audiences.iter().map(ToString::to_string));
        parts.extend(self.further.iter().map(ToString::to_string));
        let prefixed = parts.iter().map(|it| format!("{}:{it}", it.len()));
        let digest = sha256_base64url(&prefixed.collect::<String>());
        format!("{kind}:{digest}").into()
    }
}

/// A text that is zeroized when it is dropped.
type Secret = SecretText;
