//! Subjects that a client states itself, where a transaction begins without an access token: in a
//! JWT of its own key, or in plain JSON (draft-ietf-oauth-transaction-tokens §11.2).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use aims_error::shown;
use aims_jose::json;
use aims_jose::jws::{Unverified, Verified};
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times, not_before};
use aims_jose::key::VerifyingKey;
use aims_jose::time::UnixTime;
use aims_oauth_wire::assertion::{MAX_ID, MAX_LIFETIME};
use aims_oauth_wire::delegate::Kind;
use aims_oauth_wire::names::ScopeSet;
use aims_replay::{ReplayKey, Validity};
use serde::Deserialize;

use super::super::transaction::LIFETIME;
use super::{AuthorizationServer, Error, LONGEST, Names, Parts, Subject};
use crate::identity::add;
use crate::oauth::Authenticated;
use crate::oauth::resource::{ClientMatcher, Registry};

/// The type of a JWT of the client's own key.
pub(in super::super) const SELF_SIGNED: &str = "urn:ietf:params:oauth:token-type:self_signed";
/// The type of a JSON object with `sub`.
pub(in super::super) const UNSIGNED_JSON: &str = "urn:ietf:params:oauth:token-type:unsigned_json";

/// The form in which a client states the subject of a transaction itself
/// (draft-ietf-oauth-transaction-tokens §11.2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Statement {
    /// A JWT that the client has signed with its own key.
    SelfSigned,
    /// A JSON object without a signature: the authenticated client alone answers for it.
    UnsignedJson,
}

/// The transactions that one client begins without an access token, with the subjects that it
/// states itself (draft-ietf-oauth-transaction-tokens §11.2).
///
/// By default no client may. [`Builder::stated_subjects`](crate::Builder::stated_subjects) takes
/// the settings of each client, and
/// [`TransactionPolicy::accepts_statement`](crate::TransactionPolicy::accepts_statement) must
/// accept the form, too.
///
/// ```
/// use aims_authority::StatedSubjects;
///
/// // The nightly batch begins transactions for itself, by a JWT of its key.
/// let batch = StatedSubjects::of("batch", ["report"]).self_signed();
/// // The mail gateway names the users whose mail it has received.
/// let mail = StatedSubjects::of("mail", ["inbox"]).unsigned_json().on_behalf_of(["alice", "bob"]);
/// # drop((batch, mail));
/// ```
#[derive(Clone, Debug)]
pub struct StatedSubjects {
    client_id: String,
    scopes: BTreeSet<String>,
    forms: BTreeSet<Statement>,
    subjects: BTreeSet<String>,
}

impl StatedSubjects {
    /// Creates the settings of the client with exactly this `client_id`, or of the workload with
    /// this SPIFFE ID. The subjects that it states have these scopes, which
    /// [`Transaction::scopes`](crate::Transaction::scopes) translates into those of the
    /// transaction. Add at least one form.
    pub fn of<S: Into<String>>(
        client_id: impl Into<String>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            client_id: client_id.into(),
            scopes: scopes.into_iter().map(Into::into).collect(),
            forms: BTreeSet::new(),
            subjects: BTreeSet::new(),
        }
    }

    /// Accepts a JWT of the client's own key: one of those that it is registered with, or for a
    /// workload the key that it proves in the request.
    ///
    /// `iss` is the client, `aud` this server alone, and `typ` `JWT` or absent. It has `iat`,
    /// `exp` at most 300 seconds later, and `jti`, which is used once.
    #[must_use]
    pub fn self_signed(mut self) -> Self {
        self.forms.insert(Statement::SelfSigned);
        self
    }

    /// Accepts a JSON object with exactly `sub`. Nothing but the authentication of the client
    /// stands behind it.
    #[must_use]
    pub fn unsigned_json(mut self) -> Self {
        self.forms.insert(Statement::UnsignedJson);
        self
    }

    /// Lets the client state these subjects, such as users, beside itself. They are no clients.
    #[must_use]
    pub fn on_behalf_of<S: Into<String>>(mut self, subjects: impl IntoIterator<Item = S>) -> Self {
        self.subjects.extend(subjects.into_iter().map(Into::into));
        self
    }

    /// Returns why this cannot be the setting of a client.
    fn defect(&self, registry: &Registry) -> Option<&'static str> {
        let Some(client) = registry.named(&self.client_id) else {
            return Some("states subjects and is not registered");
        };
        let has_key = matches!(
            client.by,
            ClientMatcher::Keys { .. } | ClientMatcher::Spiffe { .. }
        );
        if client.is_public() {
            Some("states subjects and is public: expected a client that authenticates")
        } else if self.scopes.is_empty() || self.scope().is_err() {
            Some("states subjects and has no scope for them, or a malformed one")
        } else if self.forms.is_empty() {
            Some("states subjects in no form: expected `self_signed` or `unsigned_json`")
        } else if self.forms.contains(&Statement::SelfSigned) && !has_key {
            Some("signs subjects and has no key: expected `Client::with_keys` or a workload")
        } else {
            None
        }
    }

    fn scope(&self) -> Result<ScopeSet, aims_oauth_wire::Error> {
        let all: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        all.join(" ").parse()
    }
}

/// The settings of all clients, by `client_id`.
#[derive(Debug, Default)]
pub(crate) struct StatingClients(BTreeMap<String, StatedSubjects>);

impl StatingClients {
    /// Sorts the settings.
    ///
    /// # Errors
    ///
    /// `authority.clients` for a client that has two, or that may state no subjects.
    pub(crate) fn new(all: Vec<StatedSubjects>, registry: &Registry) -> Result<Self, Error> {
        let mut sorted = BTreeMap::new();
        for one in all {
            let client = shown([one.client_id.as_str()]);
            let bad = |reason| Error::Clients { client, reason };
            if let Some(reason) = one.defect(registry) {
                return Err(bad(reason));
            }
            if sorted.insert(one.client_id.clone(), one).is_some() {
                return Err(bad("states subjects by two settings, expected one"));
            }
        }
        Ok(Self(sorted))
    }

    /// Refuses settings where there are no transaction tokens.
    ///
    /// # Errors
    ///
    /// `authority.clients`.
    pub(crate) fn check_unused(&self) -> Result<(), Error> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(client) => Err(Error::Clients {
                client: shown([client.as_str()]),
                reason: "states subjects: expected `Builder::transactions`",
            }),
        }
    }
}

/// The name of a JWT that is good for one transaction alone.
#[derive(Debug)]
pub(super) struct Unspent {
    pub(super) name: ReplayKey,
    pub(super) valid: Validity,
}

/// The claims of a self-signed JWT. There are no others, because none would reach the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed<'a> {
    iss: String,
    sub: String,
    #[serde(borrow)]
    aud: Audience<'a>,
    iat: NumericDate,
    exp: NumericDate,
    #[serde(default, deserialize_with = "not_before")]
    nbf: Option<NumericDate>,
    jti: String,
}

/// The members of unsigned JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsigned {
    sub: String,
}

/// The content of a verified statement.
struct Stated {
    form: Statement,
    /// Unsigned JSON has none.
    names: Names,
    subject: String,
    issued: UnixTime,
    not_before: Option<NumericDate>,
    expires: UnixTime,
    unspent: Option<Unspent>,
}

const fn bad(reason: &'static str) -> Error {
    Error::SubjectToken { reason }
}

/// Logs the precise code, which the answer does not have.
fn refused(error: &aims_jose::Error, reason: &'static str) -> Error {
    tracing::info!(code = error.code(), "refused a self-signed subject");
    bad(reason)
}

impl Subject {
    /// Reads the subject that the client states in this form, if the operator has listed the
    /// client for it.
    ///
    /// # Errors
    ///
    /// `as.client_grant`, `as.subject_token`, `as.subject`.
    pub(super) fn of_statement(
        server: &AuthorizationServer,
        client: &Authenticated,
        form: Statement,
        text: &str,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let service = server.transactions.as_ref();
        let rules = service.and_then(|it| it.stating.0.get(&client.client_id));
        let rules = rules.filter(|it| it.forms.contains(&form));
        let rules = rules.ok_or(Error::ClientGrant {
            reason: "this client may not state the subject of a transaction in this form",
        })?;
        let stated = match form {
            Statement::SelfSigned => signed(server, client, text, now)?,
            Statement::UnsignedJson => unsigned(text, now)?,
        };
        if stated.subject != client.client_id {
            if !rules.subjects.contains(&stated.subject) {
                return Err(bad("its sub is none that this client may state"));
            }
            server.check_subject(&stated.subject, now)?;
        }
        Self::stated(server, client, rules, stated)
    }

    /// Makes the rights of the statement: those of an access token of the client for this server,
    /// with the scopes that the operator has listed.
    fn stated(
        server: &AuthorizationServer,
        client: &Authenticated,
        rules: &StatedSubjects,
        stated: Stated,
    ) -> Result<Self, Error> {
        let (own, scope) = (server.base.as_str(), rules.scope());
        let scope = scope.map_err(Error::unavailable)?.to_string();
        let parts = Parts {
            names: stated.names,
            subject: stated.subject,
            caller: client.client_id.clone(),
            from: own.to_owned(),
            issued: stated.issued.as_secs(),
            not_before: stated.not_before,
            exp: stated.expires.as_secs(),
        };
        let named = Self {
            stated: Some(stated.form),
            unspent: stated.unspent,
            ..Self::new(Kind::AccessToken, parts)
        };
        named.with_access_claims(own, &scope)
    }
}

/// Reads unsigned JSON. The client states it now, for one transaction.
fn unsigned(text: &str, now: UnixTime) -> Result<Stated, Error> {
    if text.len() > LONGEST {
        return Err(bad("it is too long"));
    }
    let read: Result<Unsigned, _> = json::from_object(text.as_bytes());
    let read = read.map_err(|_unexplained| bad("it is no JSON object with exactly sub"))?;
    Ok(Stated {
        form: Statement::UnsignedJson,
        names: Names::default(),
        subject: read.sub,
        issued: now,
        not_before: None,
        expires: add(now, Duration::from_secs(LIFETIME)),
        unspent: None,
    })
}

/// Verifies a self-signed JWT.
fn signed(
    server: &AuthorizationServer,
    client: &Authenticated,
    text: &str,
    now: UnixTime,
) -> Result<Stated, Error> {
    let verified = verified(server, client, text, now)?;
    let claims: Signed<'_> = json::from_object(verified.payload()).map_err(|error| {
        refused(
            &error,
            "expected exactly iss, sub, aud, iat, exp and jti, and perhaps nbf",
        )
    })?;
    if claims.iss != client.client_id {
        return Err(bad("its iss is not the client"));
    }
    let own = server.base.as_str();
    if claims.aud.sole() != Some(own) {
        return Err(bad("its aud is not this server alone"));
    }
    if claims.jti.is_empty() || claims.jti.len() > MAX_ID {
        return Err(bad("its jti is empty or too long"));
    }
    let times = Times::new(Some(claims.exp), claims.nbf, Some(claims.iat));
    let rules = TimeRules::new().with_max_lifetime(Duration::from_secs(MAX_LIFETIME));
    rules.check(&times, now).map_err(|error| {
        let reason = "it has expired, is not valid yet, or lives longer than 300 s";
        refused(&error, reason)
    })?;
    // The transaction ends with it, so no skew is allowed.
    if now >= claims.exp.into() {
        return Err(bad("it has expired"));
    }
    Ok(Stated {
        form: Statement::SelfSigned,
        // A revocation of this second is not escaped by a date after it.
        issued: now.min(claims.iat.into()),
        not_before: claims.nbf,
        expires: claims.exp.into(),
        unspent: Some(Unspent {
            // The name of a client assertion, so that no JWT is both.
            name: ReplayKey::new("client-assertion", &claims.iss, &[own, &claims.jti]),
            valid: Validity::new(
                rules.accepted_from(&times),
                rules.skew().remember_until(claims.exp.as_secs()),
            ),
        }),
        names: Names {
            iss: Some(claims.iss),
            jti: Some(claims.jti),
            txn: None,
        },
        subject: claims.sub,
    })
}

/// Verifies type and signature with the keys of the client.
fn verified(
    server: &AuthorizationServer,
    client: &Authenticated,
    text: &str,
    now: UnixTime,
) -> Result<Verified, Error> {
    let token = Unverified::parse_within(text, LONGEST)
        .map_err(|error| refused(&error, "it is no signed JWT, or is too long"))?;
    let header = token.header();
    // A request object or an assertion of the client is signed with the same key.
    if header.typ().is_some() && !header.is_typ("JWT") {
        return Err(bad("its typ is not JWT"));
    }
    let (registered, proven);
    let key = match (&client.client.by, &client.key) {
        (ClientMatcher::Keys { keys, .. }, _) => {
            registered = server.keys_of(keys, now).map_err(bad)?;
            let key = registered.select(header.kid(), header.alg());
            key.map_err(|error| refused(&error, "its key is none of the client"))?
        }
        (ClientMatcher::Spiffe { .. }, Some(key)) => {
            proven = VerifyingKey::from_jwk(key, server.provider).map_err(Error::unavailable)?;
            &proven
        }
        _ => {
            return Err(bad(
                "the client has proven no key that could have signed it",
            ));
        }
    };
    let verified = token.verify(key);
    verified.map_err(|error| refused(&error, "its signature is not valid"))
}
