//! Servers verify `private_key_jwt` (RFC 7523 §3, draft-ietf-oauth-rfc7523bis §4): find whose it is
//! said to be, verify with that client's keys, spend.

use core::fmt;
use core::time::Duration;

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwk::JwkSet;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, TimeRules, Times};
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use aims_replay::{ReplayKey, ReplayStore};
use serde::Deserialize;

use crate::Error;
use crate::client_auth::JWT_BEARER;
use crate::names::{ClientId, Issuer};
use crate::token::Form;

/// The longest an assertion may be good, in seconds.
pub const MAX_LIFETIME: u64 = 300;
/// The longest `jti`, in bytes.
pub const MAX_ID: usize = 256;
/// What an assertion may be typed as; untyped ones are taken, too (RFC 7523 §3).
const TYPES: [&str; 2] = ["client-authentication+jwt", "JWT"];

/// An assertion as it came, and whose it says it is: by that name the keys are found.
#[derive(Debug)]
pub struct PresentedAssertion<'a> {
    text: Secret<'a>,
    client: ClientId,
}

/// A text that `Debug` does not show.
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
    /// Finds the assertion in a request: `None` where there is none, or one of another type
    /// (RFC 7523 §3).
    ///
    /// # Errors
    ///
    /// `oauth.request` for an assertion without type, or a type without assertion;
    /// `assertion.client` where `client_id` is another client; else as [`parse`](Self::parse).
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

    /// Reads whose an assertion says it is.
    ///
    /// # Errors
    ///
    /// `assertion.jwt` for what is no JWT; `assertion.client` for a `sub` that is no client
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

    /// Whose it says it is. Not verified: good for finding keys, and for nothing else.
    #[must_use]
    pub const fn unverified_client_id(&self) -> &ClientId {
        &self.client
    }

    /// Verifies it with the keys of that client.
    ///
    /// # Errors
    ///
    /// As [`AssertionRules::verify`].
    pub fn verify(
        &self,
        keys: &JwkSet,
        rules: &AssertionRules,
        now: UnixTime,
    ) -> Result<UnspentAssertion, Error> {
        rules.verify(self.text.0, keys, &self.client, now)
    }
}

/// What an assertion has to be to be taken.
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
    /// For a server of this name, which has to be the sole audience; at most five minutes, and 30
    /// seconds for clocks that differ.
    #[must_use]
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            algorithms: AlgorithmSet::ALL,
            times: TimeRules::new().with_max_lifetime(Duration::from_secs(MAX_LIFETIME)),
        }
    }

    /// Sets how far clocks may differ.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.times = self.times.with_skew(skew);
        self
    }

    /// Narrows the algorithms, as the metadata of the server say them.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Verifies an assertion of a client with that client's keys (RFC 7523 §3).
    ///
    /// # Errors
    ///
    /// `assertion.type`, `assertion.key` (its source says whether the keys should be fetched anew),
    /// `assertion.jwt`, `assertion.client`, `assertion.audience`, `assertion.id`, `assertion.time`.
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
            until: self.times.skew().remember_until(claims.exp.as_secs()),
        })
    }
}

/// An assertion that verified, and may have been used before.
#[derive(Debug)]
#[must_use = "whether it was used before is known after `spend`"]
pub struct UnspentAssertion {
    assertion: ClientAssertion,
    name: ReplayKey,
    until: UnixTime,
}

impl UnspentAssertion {
    /// Spends it: it counts once, at whatever server shares the store.
    ///
    /// # Errors
    ///
    /// `assertion.replayed`; `assertion.unknown` where the store cannot tell.
    pub fn spend(self, store: &dyn ReplayStore, now: UnixTime) -> Result<ClientAssertion, Error> {
        match aims_replay::spend(store, &self.name, self.until, now) {
            Ok(()) => Ok(self.assertion),
            Err(error @ (aims_replay::Error::Replayed | aims_replay::Error::Expired)) => {
                Err(Error::AssertionReplayed(error))
            }
            Err(error) => Err(Error::AssertionUnknown(error)),
        }
    }
}

/// A client that proved to have its key, in this request.
#[derive(Clone, Debug)]
pub struct ClientAssertion {
    client: ClientId,
    key: VerifyingKey,
}

impl ClientAssertion {
    /// The client.
    #[must_use]
    pub const fn client_id(&self) -> &ClientId {
        &self.client
    }

    /// The key it used.
    #[must_use]
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }
}
