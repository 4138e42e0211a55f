//! Verified access tokens.

mod actors;
mod claims;
mod introspected;
mod login;
mod parties;
mod signed;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use aims_jose::jwk::Thumbprint;
use aims_jose::jws::Verified;
use aims_jose::jwt::{self, required};
use aims_jose::time::UnixTime;
use aims_oauth_wire::authorization_details::AuthorizationDetails;
use aims_oauth_wire::confirmation::Satisfied;
use aims_oauth_wire::names::ScopeSet;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::actors::Actor;
use self::actors::{MayAct, actors};
use self::login::Login;
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
    /// Read when they are first asked for.
    details: OnceLock<AuthorizationDetails>,
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

impl AccessToken {
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
        if let Some(known) = self.0.details.get() {
            return Ok(known.clone());
        }
        let claim: Claim<'_> = self.claims().map_err(Error::Token)?;
        let details = match claim.authorization_details {
            Some(raw) => AuthorizationDetails::parse(raw.get())?,
            None => AuthorizationDetails::default(),
        };
        Ok(self.0.details.get_or_init(|| details).clone())
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
