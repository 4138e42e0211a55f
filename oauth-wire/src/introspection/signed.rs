//! Signed introspection answers (RFC 9701).

use aims_jose::alg::Algorithm;
use aims_jose::jws::Unverified;
use aims_jose::jwt::{Audience, NumericDate, present, required};
use aims_jose::key::VerifyingKey;
use aims_jose::time::{Skew, UnixTime};
use http::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Error, Introspection, MAX_ANSWER, SIGNED, active, check, unreadable};
use crate::media;
use crate::names::Issuer;

/// A signed answer whose header was parsed. It is not verified.
///
/// An access token is not such an answer and the reverse, because each has its own `typ` (RFC 9701
/// §8.1).
///
/// ```
/// use aims_jose::key::VerifyingKey;
/// use aims_jose::time::{Skew, UnixTime};
/// use aims_oauth_wire::introspection::{Introspection, SignedIntrospection};
/// use aims_oauth_wire::introspection::Error;
/// use aims_oauth_wire::names::Issuer;
/// use http::Response;
///
/// fn read(
///     answer: &Response<Vec<u8>>,
///     key: &VerifyingKey,
///     issuer: &Issuer,
///     now: UnixTime,
/// ) -> Result<Introspection, Error> {
///     let answer = SignedIntrospection::parse(answer)?;
///     answer.verify(key, issuer, "my-client-id", Skew::default(), now)
/// }
/// ```
#[derive(Debug)]
pub struct SignedIntrospection<'a>(Unverified<'a>);

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    aud: Option<Audience<'a>>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(borrow, default, deserialize_with = "present")]
    token_introspection: Option<&'a RawValue>,
}

impl<'a> SignedIntrospection<'a> {
    /// Parses the header of a signed answer.
    ///
    /// # Errors
    ///
    /// `introspection.caller`, `introspection.response`, `introspection.typ`, and `jws.…` for
    /// malformed parts.
    pub fn parse(response: &'a Response<Vec<u8>>) -> Result<Self, Error> {
        check(response)?;
        if !media::is(response.headers(), SIGNED) {
            let reason = "another content type than `application/token-introspection+jwt`";
            return Err(unreadable(response, reason));
        }
        let text = str::from_utf8(response.body());
        let text = text.or(Err(unreadable(response, "expected a compact JWT")))?;
        let token = Unverified::parse_within(text, MAX_ANSWER).map_err(Error::Jws)?;
        token.header().expect_typ(TYP).map_err(Error::Jws)?;
        Ok(Self(token))
    }

    /// Returns `kid`, which selects a key of the issuer.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.0.header().kid()
    }

    /// Returns `alg`, which selects a key of the issuer.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.header().alg()
    }

    /// Verifies the answer with a key of the issuer that was asked: its signature, `iss`, `aud`,
    /// and that `iat` is at most 5 minutes old.
    ///
    /// `audience` is the name of this resource server at the issuer, normally its client identifier
    /// (RFC 9701 §5).
    ///
    /// # Errors
    ///
    /// `introspection.signature`, `introspection.algorithm`, `introspection.claim`,
    /// `introspection.issuer`, `introspection.audience`, `introspection.time`,
    /// `introspection.member`.
    pub fn verify(
        self,
        key: &VerifyingKey,
        issuer: &Issuer,
        audience: &str,
        skew: Skew,
        now: UnixTime,
    ) -> Result<Introspection, Error> {
        let verified = self.0.verify(key).map_err(Error::Jws)?;
        let claims: Claims<'_> = verified.claims().map_err(Error::Jws)?;
        let found = required(claims.iss, "iss").map_err(Error::Jws)?;
        let aud = required(claims.aud, "aud").map_err(Error::Jws)?;
        let made = required(claims.iat, "iat").map_err(Error::Jws)?.as_secs();
        let token = required(claims.token_introspection, "token_introspection");
        let token = token.map_err(Error::Jws)?;
        if found != issuer.as_str() {
            return Err(Error::Issuer {
                expected: issuer.as_str().into(),
            });
        }
        if aud.sole() != Some(audience) {
            return Err(Error::Audience {
                expected: audience.into(),
            });
        }
        let now = now.as_secs();
        if skew.is_future(made, now) || skew.is_past(made.saturating_add(MAX_AGE), now) {
            return Err(Error::Time {
                found: made,
                now,
                max_age: MAX_AGE,
                skew: skew.as_secs(),
            });
        }
        if !token.get().starts_with('{') {
            let claim = "token_introspection";
            return Err(Error::Jws(aims_jose::Error::Claim { claim }));
        }
        active::read(token.get(), active::Absent::NeverNull)
    }
}

/// The `typ` of a signed answer (RFC 9701 §5).
const TYP: &str = "token-introspection+jwt";
/// The maximum age of a signed answer, in seconds.
const MAX_AGE: u64 = 300;
