//! Verifies client assertions of `private_key_jwt` at a server (RFC 7523 §3,
//! draft-ietf-oauth-rfc7523bis §4).
//!
//! The steps are: read the client identifier of the assertion, find the keys of this client, verify
//! the assertion, and spend it so that it cannot be used again.
//!
//! ```
//! use aims_jose::jwk::JwkSet;
//! use aims_jose::time::UnixTime;
//! use aims_oauth_wire::assertion::{AssertionRules, ClientAssertion, PresentedAssertion};
//! use aims_oauth_wire::names::ClientId;
//! use aims_oauth_wire::token::Form;
//! use aims_oauth_wire::Error;
//! use aims_replay::ReplayStore;
//!
//! fn authenticate(
//!     form: &Form,
//!     rules: &AssertionRules,
//!     keys_of: impl Fn(&ClientId) -> JwkSet,
//!     spent: &dyn ReplayStore,
//!     now: UnixTime,
//! ) -> Result<Option<ClientAssertion>, Error> {
//!     let Some(assertion) = PresentedAssertion::from_form(form)? else {
//!         return Ok(None);
//!     };
//!     let keys = keys_of(assertion.unverified_client_id());
//!     assertion.verify(&keys, rules, now)?.spend(spent, now).map(Some)
//! }
//! ```

use core::fmt;
use core::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwk::JwkSet;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times};
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore, Validity};
use serde::Deserialize;

use crate::Error;
use crate::client_auth::JWT_BEARER;
use crate::names::{ClientId, Issuer};
use crate::token::Form;

/// The maximum lifetime of an assertion, in seconds.
pub const MAX_LIFETIME: u64 = 300;
/// The maximum length of `jti`, in bytes.
pub const MAX_ID: usize = 256;
/// The accepted values of `typ`. An assertion without `typ` is accepted as well (RFC 7523 §3).
const TYPES: [&str; 2] = ["client-authentication+jwt", "JWT"];

/// An unverified assertion and the client identifier that it claims.
#[derive(Debug)]
pub struct PresentedAssertion<'a> {
    text: Secret<'a>,
    client: ClientId,
}

/// Hides a text from `Debug`.
#[derive(Clone, Copy)]
struct Secret<'a>(&'a str);

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

#[derive(Deserialize)]
struct Named {
    sub: String,
}

impl<'a> PresentedAssertion<'a> {
    /// Reads the assertion of a token request. Returns `None` if there is none, or one of another
    /// type (RFC 7523 §3).
    ///
    /// # Errors
    ///
    /// - `oauth.request` for an assertion without a type, or a type without an assertion.
    /// - `assertion.client` if `client_id` is another client.
    /// - Otherwise those of [`parse`](Self::parse).
    pub fn from_form(form: &'a Form) -> Result<Option<Self>, Error> {
        let text = match (
            form.get("client_assertion_type"),
            form.get("client_assertion"),
        ) {
            (None, None) => return Ok(None),
            (Some(JWT_BEARER), Some(text)) => text,
            (Some(_), Some(_)) => return Ok(None),
            _ => {
                return Err(Error::Request {
                    reason: "half a client assertion",
                });
            }
        };
        let read = Self::parse(text)?;
        match form.get("client_id") {
            Some(named) if named != read.client.as_str() => Err(Error::AssertionClient),
            _ => Ok(Some(read)),
        }
    }

    /// Reads the client identifier that an assertion claims.
    ///
    /// # Errors
    ///
    /// `assertion.jwt` if the text is not a JWT; `assertion.client` if `sub` is not a client
    /// identifier.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let unverified = Unverified::parse(text).map_err(Error::AssertionJwt)?;
        let named: Named = unverified
            .unverified_payload()
            .and_then(aims_jose::json::from_object)
            .map_err(Error::AssertionJwt)?;
        let client = named.sub.parse().or(Err(Error::AssertionClient))?;
        Ok(Self {
            text: Secret(text),
            client,
        })
    }

    /// Returns the client identifier that the assertion claims. It is not verified: use it only to
    /// find the keys.
    #[must_use]
    pub const fn unverified_client_id(&self) -> &ClientId {
        &self.client
    }

    /// Verifies the assertion with the keys of its client.
    ///
    /// # Errors
    ///
    /// Those of [`AssertionRules::verify`].
    pub fn verify(
        &self,
        keys: &JwkSet,
        rules: &AssertionRules,
        now: UnixTime,
    ) -> Result<UnspentAssertion, Error> {
        rules.verify(self.text.0, keys, &self.client, now)
    }
}

/// The rules by which a server accepts assertions.
#[derive(Clone, Debug)]
pub struct AssertionRules {
    issuer: Issuer,
    algorithms: AlgorithmSet,
    times: TimeRules,
}

#[derive(Deserialize)]
struct Claims<'a> {
    iss: String,
    sub: String,
    #[serde(borrow)]
    aud: Audience<'a>,
    jti: String,
    exp: NumericDate,
    #[serde(default, deserialize_with = "aims_jose::jwt::present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "aims_jose::jwt::present")]
    iat: Option<NumericDate>,
}

impl AssertionRules {
    /// Creates the default rules for a server with this issuer identifier.
    ///
    /// `aud` must be this issuer alone. The lifetime may be at most five minutes, and clocks may
    /// differ by 30 seconds.
    #[must_use]
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            algorithms: AlgorithmSet::ALL,
            times: TimeRules::new().with_max_lifetime(Duration::from_secs(MAX_LIFETIME)),
        }
    }

    /// Sets how far clocks may differ. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Sets the accepted algorithms. Publish the same ones in the metadata of the server.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Verifies an assertion of a client with the keys of that client (RFC 7523 §3).
    ///
    /// # Errors
    ///
    /// `assertion.type`, `assertion.jwt`, `assertion.client`, `assertion.audience`, `assertion.id`,
    /// `assertion.time`, and `assertion.key`, whose source tells whether to fetch the keys again.
    pub fn verify(
        &self,
        text: &str,
        keys: &JwkSet,
        client: &ClientId,
        now: UnixTime,
    ) -> Result<UnspentAssertion, Error> {
        let unverified = Unverified::parse(text).map_err(Error::AssertionJwt)?;
        let header = unverified.header();
        if header.typ().is_some() && !TYPES.iter().any(|typ| header.is_typ(typ)) {
            return Err(Error::AssertionType);
        }
        if !self.algorithms.contains(header.alg()) {
            return Err(Error::AssertionJwt(aims_jose::Error::AlgorithmMismatch {
                algorithm: header.alg(),
            }));
        }
        let key = keys.select(header.kid(), header.alg());
        let key = key.map_err(Error::AssertionKey)?;
        let verified = unverified.verify(key).map_err(Error::AssertionJwt)?;
        let claims: Claims<'_> = verified.claims().map_err(Error::AssertionJwt)?;
        if claims.iss != client.as_str() || claims.sub != client.as_str() {
            return Err(Error::AssertionClient);
        }
        if claims.aud.sole() != Some(self.issuer.as_str()) {
            return Err(Error::AssertionAudience);
        }
        if claims.jti.is_empty() || claims.jti.len() > MAX_ID {
            return Err(Error::AssertionId);
        }
        let times = Times::new(Some(claims.exp), claims.nbf, claims.iat);
        self.times
            .check(&times, now)
            .map_err(Error::AssertionTime)?;
        Ok(UnspentAssertion {
            assertion: ClientAssertion {
                client: client.clone(),
                key: key.clone(),
            },
            name: ReplayKey::new(
                "client-assertion",
                client.as_str(),
                &[self.issuer.as_str(), &claims.jti],
            ),
            valid: Validity::new(
                self.times.accepted_from(&times),
                self.times.skew().remember_until(claims.exp.as_secs()),
            ),
        })
    }
}

/// A verified assertion that was not spent yet: it may have been used before.
#[derive(Debug)]
#[must_use = "whether it was used before is known after `spend`"]
pub struct UnspentAssertion {
    assertion: ClientAssertion,
    name: ReplayKey,
    valid: Validity,
}

impl UnspentAssertion {
    /// Spends the assertion. It is accepted once by all servers that share the store.
    ///
    /// # Errors
    ///
    /// `assertion.replayed` if it was used before; `assertion.unknown` if the store cannot tell.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<ClientAssertion, Error> {
        match aims_replay::spend_proof(store, &self.name, self.valid, now) {
            Ok(()) => Ok(self.assertion),
            Err(error @ (aims_replay::Error::Replayed | aims_replay::Error::Expired)) => {
                Err(Error::AssertionReplayed(error))
            }
            Err(error) => Err(Error::AssertionUnknown(error)),
        }
    }
}

/// A client that has proven in this request that it holds its key.
#[derive(Clone, Debug)]
pub struct ClientAssertion {
    client: ClientId,
    key: VerifyingKey,
}

impl ClientAssertion {
    /// Returns the identifier of the client.
    #[must_use]
    pub const fn client_id(&self) -> &ClientId {
        &self.client
    }

    /// Returns the key that has signed the assertion.
    #[must_use]
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }
}
