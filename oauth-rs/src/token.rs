//! Verified access tokens.

mod actors;
mod claims;
mod introspected;
mod login;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwk::Thumbprint;
use aims_jose::jws::{Unverified, Verified};
use aims_jose::jwt::{self, Times, required};
use aims_jose::time::UnixTime;
use aims_oauth_wire::authorization_details::AuthorizationDetails;
use aims_oauth_wire::confirmation::Satisfied;
use aims_oauth_wire::names::ScopeSet;
use aims_wimse_id::WorkloadId;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::actors::Actor;
use self::actors::{MayAct, actors};
use self::claims::Claims;
use self::login::Login;
use crate::profile::Roles;
use crate::{
    AccessTokenRules, BindingFailure, Confirmation, Error, IssuerRules, Issuers, JwtProfile,
    ProfileName, ProvenKey,
};

/// A verified access token. Clones share the data.
///
/// ```
/// use aims_jose::time::UnixTime;
/// use aims_oauth_rs::{AccessToken, AccessTokenRules, Error, IssuerStore, bearer_token};
/// use http::HeaderMap;
///
/// fn authenticate(headers: &HeaderMap, issuers: &IssuerStore) -> Result<AccessToken, Error> {
///     let rules = AccessTokenRules::for_url("https://tools.example/mcp");
///     let text = bearer_token(headers, rules.max_len())?.ok_or(Error::Missing)?;
///     let token = AccessToken::verify(text, &issuers.snapshot(), &rules, UnixTime::now())?;
///     println!("{} of {}", token.subject(), token.issuer());
///     Ok(token)
/// }
/// ```
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    hash: [u8; 32],
    signed_hash: [u8; 32],
    origin: Origin,
    issuer: String,
    subject: String,
    client_id: String,
    jwt_id: Option<String>,
    audiences: Vec<String>,
    scopes: ScopeSet,
    roles: BTreeSet<String>,
    confirmations: Vec<Confirmation>,
    actors: Vec<Actor>,
    /// The first of `act`, or the client.
    current_actor: Actor,
    may_act: Option<MayAct>,
    login: Login,
    transaction_id: Option<String>,
    session_id: Option<String>,
    issued_at: Option<UnixTime>,
    expires: UnixTime,
    exp: Option<UnixTime>,
    rules: Arc<IssuerRules>,
}

/// The source of the claims.
enum Origin {
    /// A signature with a key of the issuer.
    Jws {
        verified: Verified,
        signed_by: Thumbprint,
    },
    /// The answer of the issuer, one JSON object, which is trusted until a time.
    Introspected { answer: Box<str>, until: UnixTime },
}

/// How the resource server learned the claims of a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a token is signed or asked about")]
pub enum TokenSource {
    /// The token is a JWS, and its signature was verified (RFC 7515).
    Jws,
    /// The issuer answered an introspection request (RFC 7662).
    Introspected,
}

/// Returns a required claim, or an error if it is missing.
fn needed<T>(value: Option<T>, claim: &'static str) -> Result<T, Error> {
    required(value, claim).map_err(Error::Token)
}

/// Returns a required string, or an error if it is missing or empty.
fn required_non_empty(text: Option<String>, claim: &'static str) -> Result<String, Error> {
    needed(text.filter(|text| !text.is_empty()), claim)
}

impl AccessToken {
    /// Verifies an access token.
    ///
    /// `iss` selects one of the configured issuers and its rules, by default those of RFC 9068 §4.
    /// The method checks the header `typ`, the signature with the one key of the issuer that
    /// matches `kid` and `alg`, and the rules of the [profile](crate::TokenProfile). It also checks
    /// `aud`, `exp`, `nbf`, `iat`, `sub`, the client, `jti`, `cnf`, `act` and scopes.
    ///
    /// The header members `jku`, `x5u`, `x5c`, `x5t` and `x5t#S256` are ignored, and nothing is
    /// fetched from them.
    ///
    /// # Errors
    ///
    /// The codes `token.…`; for a malformed token those of `aims-jose`. After
    /// [`UnknownKey`](Error::UnknownKey) and [`KeysStale`](Error::KeysStale), fetching the issuer's
    /// keys again may help.
    pub fn verify(
        text: &str,
        issuers: &Issuers,
        rules: &AccessTokenRules,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let limit = rules.max_len;
        if text.len() > limit {
            return Err(Error::TooLong { limit });
        }
        let token = Unverified::parse_ignoring_key_references(text, limit);
        let token = token.map_err(Error::Token)?;
        let header = token.header();
        let claims = token
            .unverified_payload()
            .and_then(jwt::claims::<Claims>)
            .map_err(Error::Token);
        let own = match &claims {
            Ok(claims) => claims
                .iss
                .as_deref()
                .and_then(|iss| issuers.rules(iss, rules)),
            Err(_) => None,
        };
        let own = own.cloned();
        // Detect another kind of token first, so that the error names it.
        match &own {
            Some(own) => own.profile.check_type(header)?,
            None => issuers.check_type(header, rules)?,
        }
        let algorithm = header.alg();
        let allowed = own.as_ref().map_or(AlgorithmSet::ALL, |own| own.algorithms);
        if !rules.algorithms.contains(algorithm) || !allowed.contains(algorithm) {
            return Err(Error::Token(aims_jose::Error::AlgorithmMismatch {
                algorithm,
            }));
        }
        let claims = claims?;
        let issuer = needed(claims.iss, "iss")?;
        let Some(own) = own else {
            return Err(issuers.unknown(&issuer));
        };
        if own.introspects_jwts() {
            return Err(Error::NotIntrospected { issuer });
        }
        let key = issuers.select(&issuer, header.kid(), algorithm, now)?;
        let hashes = token.hashes();
        let verified = token.verify(key).map_err(Error::Token)?;
        let subject = required_non_empty(claims.sub, "sub")?;
        let read = own.profile.read(verified.header(), verified.payload())?;
        let (client_id, jwt_id, issued_at, scopes, roles) = match read {
            None => (
                required_non_empty(claims.client_id, "client_id")?,
                Some(required_non_empty(claims.jti, "jti")?),
                Some(needed(claims.iat, "iat")?),
                claims.scope.map(|scopes| scopes.0).unwrap_or_default(),
                roles(claims.roles.as_deref())?,
            ),
            Some(read) => {
                let jwt_id = claims.jti.map(|it| required_non_empty(Some(it), "jti"));
                let jwt_id = jwt_id.transpose()?;
                (read.client_id, jwt_id, claims.iat, read.scopes, read.roles)
            }
        };
        let audiences = claims.aud;
        check_audience(audiences.as_deref(), &client_id, &own, rules)?;
        let audiences = audiences.unwrap_or_default();
        own.profile.check_sole_audience(&client_id, &audiences)?;
        let exp = needed(claims.exp, "exp")?;
        let times = Times::new(Some(exp), claims.nbf, issued_at);
        let time_rules = match own.max_lifetime {
            Some(most) => rules.times.with_max_lifetime(most),
            None => rules.times,
        };
        time_rules.check(&times, now).map_err(Error::Token)?;
        let bound_to = match claims.cnf.as_deref() {
            Some(raw) => own.profile.confirmations(raw)?,
            None => Vec::new(),
        };
        let actors = actors(claims.act.as_deref(), &issuer)?;
        let login = Login::read(
            claims.acr.as_deref(),
            claims.amr.as_deref(),
            claims.auth_time.as_deref(),
        );
        Ok(Self(Arc::new(Inner {
            hash: hashes.text,
            signed_hash: hashes.signed,
            issuer,
            subject,
            jwt_id,
            audiences,
            scopes,
            roles,
            confirmations: bound_to,
            current_actor: current_actor(&actors, &client_id),
            actors,
            may_act: claims.may_act.as_deref().map(MayAct::read),
            login,
            transaction_id: login::read(claims.txn.as_deref()),
            client_id,
            session_id: claims.sid,
            issued_at: issued_at.map(Into::into),
            expires: exp.into(),
            exp: Some(exp.into()),
            rules: own,
            origin: Origin::Jws {
                signed_by: *key.thumbprint(),
                verified,
            },
        })))
    }

    /// Returns the configured issuer that this JWT names, if the issuer's rules let it be [asked
    /// about JWTs](IssuerRules::introspect_jwts). Nothing is verified.
    ///
    /// Returns `None` for any other text.
    #[must_use]
    pub fn asks_about(text: &str, issuers: &Issuers, rules: &AccessTokenRules) -> Option<String> {
        let token = Unverified::parse_ignoring_key_references(text, rules.max_len).ok()?;
        let payload = token.unverified_payload().ok()?;
        let issuer = jwt::claims::<Claims>(payload).ok()?.iss?;
        let own = issuers.rules(&issuer, rules)?;
        own.introspects_jwts().then_some(issuer)
    }

    /// Returns `iss`: the configured issuer that signed or described the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Returns `sub`: the subject that the token was issued for.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Returns the client to which the token was issued: `client_id`, or the claim that the
    /// issuer's profile names.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// Returns `jti`. It is always present with RFC 9068.
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.0.jwt_id.as_deref()
    }

    /// Returns `aud`: the resources that the token is for. It is empty if the server writes none.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.0.audiences
    }

    /// Returns whether the token was issued to this workload: `client_id` is the workload's
    /// identifier, or the issuer's rules say so ([`IssuerRules::client_is`]).
    #[must_use]
    pub fn issued_to(&self, workload: &WorkloadId) -> bool {
        let is_own = WorkloadId::parse(self.client_id()).is_ok_and(|id| id == *workload);
        is_own || self.workloads().any(|it| it == workload)
    }

    /// Iterates over the workloads that the token's client stands for, by the issuer's rules.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadId> {
        self.0.rules.workloads_of(&self.0.client_id)
    }

    /// Returns `scope`. It is empty if the token has none.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.0.scopes
    }

    /// Returns the rights of the subject other than scopes, such as roles or groups (RFC 9068
    /// §2.2.3.1). A role with the name of a scope does not grant the scope.
    #[must_use]
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.0.roles
    }

    /// Returns `cnf`: what the token is bound to. It is empty if the token is bound to nothing.
    #[must_use]
    pub fn confirmations(&self) -> &[Confirmation] {
        &self.0.confirmations
    }

    /// Returns whether the token is bound to a key or a certificate, so that its text alone is not
    /// enough to use it.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        !self.0.confirmations.is_empty()
    }

    /// Returns the party that acts for the subject at present: the outermost `act`, or the client
    /// if the token has no `act`. Decisions are about this actor alone (RFC 8693 §4.1).
    ///
    /// If the client acts for itself, it is the [subject](Self::subject) as well.
    #[must_use]
    pub fn current_actor(&self) -> &Actor {
        &self.0.current_actor
    }

    /// Returns the parties that acted for the subject before the [current
    /// actor](Self::current_actor), the latest first. They are for records: RFC 8693 §4.1 forbids
    /// to decide by them.
    #[must_use]
    pub fn history(&self) -> &[Actor] {
        self.0.actors.get(1..).unwrap_or_default()
    }

    /// Returns `act` as it was written: the current actor, then the [history](Self::history), at
    /// most five, each once. It is empty if the token has no `act`.
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.0.actors
    }

    /// Returns whether the subject is a client and no user (RFC 9700 §4.15), as after a client
    /// credentials grant.
    ///
    /// The subject is then the client (RFC 9068 §2.2) or, after an exchange, one of the parties
    /// that act. Some servers write another subject: Auth0 marks the token by `gty`, Microsoft
    /// Entra ID writes no `scp` into it, and Keycloak names its user `service-account-` and the
    /// client in `preferred_username`. A server that does none of this gives no way to tell.
    ///
    /// ```
    /// use aims_oauth_rs::AccessToken;
    ///
    /// /// Returns the user for whom the token was issued, if there is one.
    /// fn user(token: &AccessToken) -> Option<&str> {
    ///     (!token.subject_is_client()).then(|| token.subject())
    /// }
    /// ```
    #[must_use]
    pub fn subject_is_client(&self) -> bool {
        #[derive(Deserialize)]
        struct Marks<'a> {
            #[serde(borrow)]
            gty: Option<&'a RawValue>,
            #[serde(borrow)]
            idtyp: Option<&'a RawValue>,
            #[serde(borrow)]
            scp: Option<&'a RawValue>,
            #[serde(borrow)]
            preferred_username: Option<&'a RawValue>,
        }
        let is_own = |it: &Actor| it.issuer.as_ref().is_none_or(|it| *it == self.0.issuer);
        let acts = |it: &Actor| it.subject == self.0.subject && is_own(it);
        if self.0.subject == self.0.client_id || self.0.actors.iter().any(acts) {
            return true;
        }
        // A token whose claims cannot be read is of no user.
        let Ok(marks) = self.claims::<Marks<'_>>() else {
            return true;
        };
        let text = |raw| login::read::<String>(raw).unwrap_or_default();
        let names_service = |name: String| {
            let start = name.get(..SERVICE_ACCOUNT.len());
            start.is_some_and(|it| it.eq_ignore_ascii_case(SERVICE_ACCOUNT))
        };
        match self.profile() {
            ProfileName::EntraV1 | ProfileName::EntraV2 => {
                marks.scp.is_none() || text(marks.idtyp) == "app"
            }
            ProfileName::Auth0 => text(marks.gty) == "client-credentials",
            ProfileName::Keycloak => names_service(text(marks.preferred_username)),
            _ => false,
        }
    }

    /// Returns whether `may_act` permits this party to act for the subject (RFC 8693 §4.4): every
    /// member of the claim is one of the party. `None` stands for the token's own issuer, and so
    /// does a claim without `iss`.
    ///
    /// Returns `None` if the token has no `may_act`. A malformed one permits no party.
    #[must_use]
    pub fn may_act(&self, party: &str, issuer: Option<&str>) -> Option<bool> {
        let issuer = issuer.unwrap_or(&self.0.issuer);
        let is_client = party == self.0.client_id && issuer == self.0.issuer;
        let client = is_client.then_some(party);
        let may_act = self.0.may_act.as_ref();
        may_act.map(|it| it.permits(party, issuer, &self.0.issuer, client))
    }

    /// Returns `acr`: the class of the login that the token comes from (RFC 9068 §2.2.1).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.0.login.acr.as_deref()
    }

    /// Returns `amr`: the methods of the login (RFC 8176).
    #[must_use]
    pub fn amr(&self) -> &[String] {
        &self.0.login.amr
    }

    /// Returns `auth_time`: when the user logged in.
    #[must_use]
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.0.login.auth_time
    }

    /// Returns `txn`: the transaction that the token belongs to (RFC 8417 §2.2).
    #[must_use]
    pub fn transaction_id(&self) -> Option<&str> {
        self.0.transaction_id.as_deref()
    }

    /// Returns `authorization_details` (RFC 9396 §9). Without the claim there are no entries.
    ///
    /// ```
    /// use aims_oauth_rs::{AccessToken, Error};
    /// use aims_oauth_wire::authorization_details::ToolDetail;
    ///
    /// fn may_read(token: &AccessToken, resource: &str) -> Result<bool, Error> {
    ///     let granted = token.authorization_details()?;
    ///     Ok(granted.permit(&ToolDetail::new().actions(["read"]), resource))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `oauth.authorization_details` if the claim is malformed.
    pub fn authorization_details(&self) -> Result<AuthorizationDetails, Error> {
        #[derive(Deserialize)]
        struct Claim<'a> {
            #[serde(borrow)]
            authorization_details: Option<&'a RawValue>,
        }
        let claim: Claim<'_> = self.claims().map_err(Error::Token)?;
        match claim.authorization_details {
            Some(raw) => Ok(AuthorizationDetails::parse(raw.get())?),
            None => Ok(AuthorizationDetails::default()),
        }
    }

    /// Returns `sid`: the session of the user at the issuer, if the token names it.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.session_id.as_deref()
    }

    /// Returns `iat`, if the token has one.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.0.issued_at
    }

    /// Returns how the resource server learned the claims.
    #[must_use]
    pub fn source(&self) -> TokenSource {
        match self.0.origin {
            Origin::Jws { .. } => TokenSource::Jws,
            Origin::Introspected { .. } => TokenSource::Introspected,
        }
    }

    /// Returns when the answer of an introspection is too old, so that the issuer must be asked
    /// again. `None` for a token whose signature was verified.
    #[must_use]
    pub fn introspected_until(&self) -> Option<UnixTime> {
        match self.0.origin {
            Origin::Jws { .. } => None,
            Origin::Introspected { until, .. } => Some(until),
        }
    }

    /// Returns the profile by which the token was accepted.
    #[must_use]
    pub fn profile(&self) -> ProfileName {
        self.0.rules.profile.name()
    }

    /// Returns until when the token is accepted: `exp`, or for an introspection answer without
    /// `exp`, the end of that answer's lifetime.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.0.expires
    }

    /// Returns `exp`. An introspection answer may have none; the issuer may then report the token
    /// as active at any later time.
    #[must_use]
    pub fn exp(&self) -> Option<UnixTime> {
        self.0.exp
    }

    /// Returns the SHA-256 of the token's text. The `ath` of a proof is its base64url form.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.0.hash
    }

    /// Returns the SHA-256 of header and payload, which does not depend on the encoding of the
    /// signature.
    #[must_use]
    pub fn signed_hash(&self) -> &[u8; 32] {
        &self.0.signed_hash
    }

    /// Reads further claims, such as `authorization_details` or `groups`.
    ///
    /// ```
    /// use aims_oauth_rs::AccessToken;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Department<'a> {
    ///     department: Option<&'a str>,
    /// }
    ///
    /// fn is_in_sales(token: &AccessToken) -> Result<bool, aims_jose::Error> {
    ///     let claims: Department<'_> = token.claims()?;
    ///     Ok(claims.department == Some("sales"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`aims_jose::jwt::claims`].
    pub fn claims<'a, T: Deserialize<'a>>(&'a self) -> Result<T, aims_jose::Error> {
        match &self.0.origin {
            Origin::Jws { verified, .. } => verified.claims(),
            Origin::Introspected { answer, .. } => jwt::claims(answer.as_bytes()),
        }
    }

    /// Checks that the proofs of a request satisfy every member of `cnf`, each with its own kind of
    /// proof.
    ///
    /// ```
    /// use aims_jose::jwk::Thumbprint;
    /// use aims_oauth_rs::{AccessToken, Error, ProvenKey};
    ///
    /// /// Checks that the token is bound to the key of a verified DPoP proof.
    /// fn check(token: &AccessToken, dpop_key: Thumbprint) -> Result<(), Error> {
    ///     token.confirmed_by(&[ProvenKey::Dpop(dpop_key)])
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `token.not_bound` if a member is not satisfied, or if the token is bound to nothing.
    pub fn confirmed_by(&self, proven: &[ProvenKey]) -> Result<(), Error> {
        if !self.is_bound() {
            return Err(Error::NotBound(BindingFailure::NoConfirmation));
        }
        for member in self.confirmations() {
            let method = member.method();
            match member.compare(proven) {
                Satisfied::Yes => {}
                Satisfied::NoProof => {
                    return Err(Error::NotBound(BindingFailure::NoProof { method }));
                }
                Satisfied::OtherKey => {
                    return Err(Error::NotBound(BindingFailure::OtherKey { method }));
                }
            }
        }
        Ok(())
    }

    /// Checks that the token can still be used: it has not expired, and its issuer still has its
    /// key and is still trusted.
    pub(crate) fn check_still(
        &self,
        issuers: &Issuers,
        rules: &AccessTokenRules,
        now: UnixTime,
    ) -> Result<(), Error> {
        // The rules may have been replaced by stricter ones.
        let current = issuers.rules(&self.0.issuer, rules);
        if !current.is_some_and(|current| Arc::ptr_eq(current, &self.0.rules)) {
            return Err(issuers.unknown(&self.0.issuer));
        }
        let ends = self.0.expires.as_secs();
        if rules.times.skew().has_ended(ends, now.as_secs()) {
            return Err(Error::Token(aims_jose::Error::Expired {
                until: ends,
                now: now.as_secs(),
                skew: rules.times.skew().as_secs(),
            }));
        }
        match &self.0.origin {
            Origin::Jws {
                verified,
                signed_by,
            } => {
                let header = verified.header();
                let key = issuers.select(&self.0.issuer, header.kid(), header.alg(), now)?;
                if key.thumbprint() == signed_by {
                    Ok(())
                } else {
                    Err(Error::Token(aims_jose::Error::Signature))
                }
            }
            Origin::Introspected { until, .. } if now < *until => Ok(()),
            Origin::Introspected { .. } => Err(Error::NotIntrospected {
                issuer: self.0.issuer.clone(),
            }),
        }
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("issuer", &self.0.issuer)
            .field("subject", &self.0.subject)
            .field("client_id", &self.0.client_id)
            .finish_non_exhaustive()
    }
}

/// Checks that `aud` names this resource. If the server writes no `aud`, checks that the client is
/// one that the profile names.
fn check_audience(
    aud: Option<&[String]>,
    client_id: &str,
    own: &IssuerRules,
    rules: &AccessTokenRules,
) -> Result<(), Error> {
    let clients = own.profile.jwt().map_or(&[][..], JwtProfile::client_ids);
    if !clients.is_empty() && !clients.iter().any(|client| client == client_id) {
        return Err(Error::Audience {
            found: vec![client_id.to_owned()],
            expected: clients.to_vec(),
        });
    }
    let expected = if own.audiences.is_empty() {
        &rules.audiences
    } else {
        &own.audiences
    };
    match aud {
        None if !clients.is_empty() => Ok(()),
        None if own.profile.name() == ProfileName::Keycloak => Err(Error::claim(
            "aud",
            "an identifier of the resource; Keycloak writes `aud` only by an audience mapper",
        )),
        None => needed(None, "aud"),
        // An empty identifier never matches, because it may come from an unset variable.
        Some(found)
            if expected
                .iter()
                .any(|own| !own.is_empty() && found.contains(own)) =>
        {
            Ok(())
        }
        Some(found) => Err(Error::Audience {
            found: found.to_vec(),
            expected: expected.clone(),
        }),
    }
}

/// Without `act`, the client acts.
fn current_actor(actors: &[Actor], client_id: &str) -> Actor {
    let client = || Actor {
        subject: client_id.to_owned(),
        issuer: None,
    };
    actors.first().cloned().unwrap_or_else(client)
}

/// Reads `roles` of a token that follows RFC 9068 (§2.2.3.1).
fn roles(raw: Option<&RawValue>) -> Result<BTreeSet<String>, Error> {
    let roles = raw.map(|raw| serde_json::from_str::<Roles>(raw.get()));
    let roles = roles
        .transpose()
        .or(Err(Error::Token(aims_jose::Error::Claim {
            claim: "roles",
        })))?;
    Ok(roles.map(|roles| roles.0).unwrap_or_default())
}

/// How Keycloak begins the name of the user that stands for a client.
const SERVICE_ACCOUNT: &str = "service-account-";
