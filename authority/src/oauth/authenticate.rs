//! Who asks: `private_key_jwt`, `spiffe_wit`, `spiffe_jwt`, and exactly one of them.

use core::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jose::jws::{Unverified, Verified};
use jose::jwt::{Audience, NumericDate, TimeRules, Times};
use jose::key::VerifyingKey;
use jose::time::{Skew, UnixTime};
use oauth_wire::assertion::PresentedAssertion;
use oauth_wire::token::Form;
use replay::ReplayKey;
use serde::Deserialize;
use wimse_cred::{JwtSvid, Wit, WitRules};
use wimse_id::{Scheme, WorkloadId};

use super::resource::Recognition;
use super::{Authenticated, AuthorizationServer, Client};
use crate::{Error, answer};

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// draft-ietf-oauth-spiffe-client-auth-02 §3.1.
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
/// draft-ietf-oauth-attestation-based-client-auth-11 §6: a WIT-SVID stands in the first.
const ATTESTATION: &str = "oauth-client-attestation";
const ATTESTATION_POP: &str = "oauth-client-attestation-pop";
const ATTESTATION_POP_TYP: &str = "oauth-client-attestation-pop+jwt";

/// How old a proof may be (JWTA-06).
const LONGEST: Duration = Duration::from_secs(300);
/// The longest `jti`, in bytes.
const MAX_JWT_ID: usize = 256;

/// ATT-02: no `exp`, so its age is counted from `iat`.
#[derive(Deserialize)]
struct PopClaims<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
    jti: String,
    iat: NumericDate,
}

#[derive(Deserialize)]
struct OnlyAudience<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
}

/// One way of authenticating, as it was offered.
enum Offered<'a> {
    Assertion(&'a str),
    JwtSvid(&'a str),
    WitSvid { wit: &'a str, pop: &'a str },
}

impl AuthorizationServer {
    /// Finds out who asks. Every failure is `as.client`, the reason inside it for the log.
    ///
    /// # Errors
    ///
    /// `as.client`; `as.request` for more than one way at a time (RFC 6749 §5.2);
    /// `authority.unavailable` when the replay store cannot tell.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        form: &Form,
        now: UnixTime,
    ) -> Result<Authenticated<'_>, Error> {
        let who = match offered(headers, form)? {
            Offered::Assertion(text) => self.by_assertion(text, now)?,
            Offered::JwtSvid(text) => self.by_jwt_svid(text, now)?,
            Offered::WitSvid { wit, pop } => self.by_wit_svid(wit, pop, now)?,
        };
        // JWTA-01, SPF-01: optional, and then the same.
        if form
            .get("client_id")
            .is_some_and(|named| named != who.client_id)
        {
            return Err(failed("`client_id` names another client"));
        }
        Ok(who)
    }

    /// JWTA-20, JWTA-21.
    fn by_assertion(&self, text: &str, now: UnixTime) -> Result<Authenticated<'_>, Error> {
        let presented = PresentedAssertion::parse(text).map_err(failed)?;
        let named = presented.unverified_client_id();
        let known = self.registry.by_client_id(named.as_str());
        let (client, keys) = known.ok_or_else(|| failed("no client of this name"))?;
        let unspent = presented
            .verify(keys, &self.assertions, now)
            .map_err(failed)?;
        let proven = unspent
            .spend(self.replay.as_ref(), now)
            .map_err(|error| match error {
                oauth_wire::Error::AssertionUnknown(store) => Error::unavailable(store),
                other => failed(other),
            })?;
        let client_id = proven.client_id().as_str().to_owned();
        Ok(authenticated(client, client_id, Some(proven.key())))
    }

    /// SPF-01, SVD-02: no replay protection, because workloads use one until it expires (SPF-06).
    fn by_jwt_svid(&self, text: &str, now: UnixTime) -> Result<Authenticated<'_>, Error> {
        let trust = self.identity.refreshed_trust(now)?.snapshot();
        let issuer = self.base.as_str();
        let svid = JwtSvid::verify(text, &trust, issuer, now).map_err(failed)?;
        let claims: OnlyAudience<'_> = svid.claims().map_err(failed)?;
        self.check_audience(&claims.aud)?;
        let client = self.workload(svid.id())?;
        if !matches!(client.by, Recognition::Spiffe { jwt_svid: true, .. }) {
            return Err(failed("JWT-SVIDs are not accepted from this client"));
        }
        Ok(authenticated(client, svid.id().to_string(), None))
    }

    /// SPF-03, ATT-08.
    fn by_wit_svid(
        &self,
        text: &str,
        pop: &str,
        now: UnixTime,
    ) -> Result<Authenticated<'_>, Error> {
        let trust = self.identity.refreshed_trust(now)?.snapshot();
        let wit = Wit::verify(text, &trust, &WitRules::wit_svid(), now).map_err(failed)?;
        let client = self.workload(wit.id())?;
        let verified = proof_of_possession(pop, wit.key())?;
        let claims: PopClaims<'_> = verified.claims().map_err(failed)?;
        self.check_audience(&claims.aud)?;
        let until = claims.iat.as_secs().saturating_add(LONGEST.as_secs());
        let times = Times::new(NumericDate::from_secs(until), None, Some(claims.iat));
        TimeRules::new().check(&times, now).map_err(failed)?;
        self.spend(
            "client-attestation-pop",
            wit.id().as_str(),
            &claims.jti,
            until,
            now,
        )?;
        Ok(authenticated(client, wit.id().to_string(), Some(wit.key())))
    }

    /// The client that a verified workload is.
    fn workload(&self, id: &WorkloadId) -> Result<&Client, Error> {
        if id.scheme() != Scheme::Spiffe {
            return Err(failed("only SPIFFE identifiers are clients"));
        }
        if self.identity.is_withdrawn(id) {
            return Err(failed("the identity was withdrawn"));
        }
        self.registry
            .by_workload(id)
            .ok_or_else(|| failed("beneath no client's pattern"))
    }

    /// JWTA-21, T-102: this issuer, alone. Never the token endpoint's URL.
    fn check_audience(&self, audience: &Audience<'_>) -> Result<(), Error> {
        if audience.sole() == Some(self.base.as_str()) {
            return Ok(());
        }
        Err(failed(jose::Error::Claim { claim: "aud" }))
    }

    /// JWTA-20: only what verified is remembered, until it could no longer be accepted (T-036).
    fn spend(
        &self,
        kind: &str,
        sender: &str,
        jwt_id: &str,
        until: u64,
        now: UnixTime,
    ) -> Result<(), Error> {
        if jwt_id.is_empty() || jwt_id.len() > MAX_JWT_ID {
            return Err(failed(jose::Error::Claim { claim: "jti" }));
        }
        let until = until.saturating_add(Skew::MAX.as_secs());
        let until = UnixTime::since_unix_epoch(Duration::from_secs(until));
        let key = ReplayKey::new(kind, sender, &[jwt_id]);
        self.replay
            .spend(&key, until, now)
            .map_err(|error| match error {
                replay::Error::Replayed | replay::Error::Expired => failed(error),
                other => Error::unavailable(other),
            })
    }
}

fn proof_of_possession(text: &str, key: &VerifyingKey) -> Result<Verified, Error> {
    let unverified = Unverified::parse(text).map_err(failed)?;
    unverified
        .header()
        .expect_typ(ATTESTATION_POP_TYP)
        .map_err(failed)?;
    unverified.verify(key).map_err(failed)
}

fn authenticated<'a>(
    client: &'a Client,
    client_id: String,
    key: Option<&VerifyingKey>,
) -> Authenticated<'a> {
    Authenticated {
        client,
        client_id,
        key: key.map(|key| *key.thumbprint()),
    }
}

/// The one way that was chosen (RFC 6749 §2.3: no more than one a request).
fn offered<'a>(headers: &'a HeaderMap, form: &'a Form) -> Result<Offered<'a>, Error> {
    let repeated = || failed("a field stands twice");
    let wit = answer::sole(headers, ATTESTATION, repeated())?;
    let pop = answer::sole(headers, ATTESTATION_POP, repeated())?;
    let assertion = form.get("client_assertion");
    let by_authorization = headers.contains_key(AUTHORIZATION);
    let by_secret = form.get("client_secret").is_some();
    let ways = [
        by_authorization,
        by_secret,
        wit.is_some() || pop.is_some(),
        assertion.is_some() || form.get("client_assertion_type").is_some(),
    ];
    if ways.into_iter().filter(|offered| *offered).count() > 1 {
        return Err(Error::TokenRequest {
            reason: "more than one way to authenticate",
        });
    }
    match (wit, pop, form.get("client_assertion_type"), assertion) {
        (Some(wit), Some(pop), None, None) => Ok(Offered::WitSvid { wit, pop }),
        (None, None, Some(JWT_BEARER), Some(assertion)) => Ok(Offered::Assertion(assertion)),
        (None, None, Some(JWT_SPIFFE), Some(svid)) => Ok(Offered::JwtSvid(svid)),
        _ => Err(Error::Client {
            by_authorization,
            source: Some("no way to authenticate that is known here".into()),
        }),
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Client {
        by_authorization: false,
        source: Some(source.into()),
    }
}
