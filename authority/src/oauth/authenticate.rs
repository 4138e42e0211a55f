//! Client authentication: exactly one of `private_key_jwt`, `spiffe_wit`, `spiffe_jwt`, a workload
//! proof token, an HTTP message signature and the certificate of the connection, or none for a
//! public client.

mod signature;

use std::sync::Arc;

use aims_jose::jwk::Jwk;
use aims_jose::jwt::Audience;
use aims_jose::key::VerifyingKey;
use aims_jose::time::UnixTime;
use aims_oauth_wire::assertion::PresentedAssertion;
use aims_oauth_wire::attestation::{ATTESTATION, ATTESTATION_POP, PresentedAttestation};
use aims_oauth_wire::certificate::PeerCertificate;
use aims_oauth_wire::client_auth::JWT_SPIFFE;
use aims_oauth_wire::names::ClientId;
use aims_oauth_wire::token::Form;
use aims_replay::Error as Replay;
use aims_wimse_cred::{JwtSvid, Wit, WitRules};
use aims_wimse_id::{Scheme, WorkloadId};
use aims_wimse_wpt::{Binding, Error as Wpt, Revisions, WptRules, fields};
use http::Request;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::resource::ClientMatcher;
use super::{Authenticated, AuthorizationServer, Client};
use crate::Error;
use crate::endpoint::Call;

#[derive(Deserialize)]
struct OnlyAudience<'a> {
    #[serde(borrow)]
    aud: Audience<'a>,
}

/// The method of client authentication in a request.
enum Offered<'a> {
    Assertion(PresentedAssertion<'a>),
    JwtSvid(&'a str),
    WitSvid(PresentedAttestation<'a>),
    Proof(fields::Presented<'a>),
    /// The WIT of a signed request.
    Signature(&'a str),
    /// `client_id` alone: of a public client, or of one that is known by its certificate.
    Identifier(&'a str),
}

impl AuthorizationServer {
    /// Authenticates the client of a request. `form` is its body. Every failure is `as.client`,
    /// with the reason as its source for the log.
    ///
    /// # Errors
    ///
    /// `as.client`; `as.certificate_field`; `as.request` for more than one method (RFC 6749 §5.2);
    /// `authority.unavailable` if the replay store cannot tell.
    pub(super) fn authenticate(
        &self,
        call: &Call<'_>,
        form: &Form,
    ) -> Result<Authenticated, Error> {
        let (request, now) = (call.request, call.now);
        let certificate = match &self.certificates {
            Some(certificates) => certificates.read(request)?,
            None => None,
        };
        let mut who = match offered(request, form)? {
            Offered::Assertion(presented) => self.by_assertion(&presented, now)?,
            Offered::JwtSvid(text) => self.by_jwt_svid(text, now)?,
            Offered::WitSvid(presented) => self.by_wit_svid(&presented, now)?,
            Offered::Proof(presented) => self.by_proof(&presented, now)?,
            Offered::Signature(wit) => self.by_signature(wit, call, now)?,
            Offered::Identifier(client_id) => {
                self.by_identifier(client_id, certificate.as_ref(), now)?
            }
        };
        // With these methods `client_id` is optional (RFC 7521 §4.2).
        if form
            .get("client_id")
            .is_some_and(|named| named != who.client_id)
        {
            return Err(failed("`client_id` names another client"));
        }
        if who.client.requires_certificate || who.is_by_certificate() {
            who.certificate = certificate.map(|it| *it.thumbprint());
        }
        Ok(who)
    }

    /// Verifies a `private_key_jwt` (RFC 7523 §3).
    fn by_assertion(
        &self,
        presented: &PresentedAssertion<'_>,
        now: UnixTime,
    ) -> Result<Authenticated, Error> {
        let named = presented.unverified_client_id();
        let client = self.client(named.as_str(), now)?;
        let client = client.ok_or_else(|| failed("no client of this name"))?;
        let ClientMatcher::Keys { keys, .. } = &client.by else {
            return Err(failed("the client of this name has no keys"));
        };
        let keys = self.keys_of(keys, now).map_err(failed)?;
        let unspent = presented
            .verify(&keys, &self.assertions, now)
            .map_err(failed)?;
        let proven = unspent
            .spend(self.replay.as_ref(), now)
            .map_err(unspent_is_unknown)?;
        let client_id = proven.client_id().as_str().to_owned();
        Ok(authenticated(&client, client_id, Some(proven.key())))
    }

    /// Verifies a JWT-SVID (draft-ietf-oauth-spiffe-client-auth). It has no replay protection:
    /// workloads use one JWT-SVID until it expires.
    fn by_jwt_svid(&self, text: &str, now: UnixTime) -> Result<Authenticated, Error> {
        let trust = self.identity.refreshed_trust(now)?.snapshot();
        let issuer = self.base.as_str();
        let svid = JwtSvid::verify(text, &trust, issuer, now).map_err(failed)?;
        let claims: OnlyAudience<'_> = svid.claims().map_err(failed)?;
        self.check_audience(&claims.aud)?;
        let client = self.workload(svid.id(), now)?;
        if !matches!(client.by, ClientMatcher::Spiffe { jwt_svid: true, .. }) {
            return Err(failed("JWT-SVIDs are not accepted from this client"));
        }
        Ok(authenticated(client, svid.id().to_string(), None))
    }

    /// Verifies a WIT-SVID and its proof (draft-ietf-oauth-attestation-based-client-auth).
    fn by_wit_svid(
        &self,
        presented: &PresentedAttestation<'_>,
        now: UnixTime,
    ) -> Result<Authenticated, Error> {
        let trust = self.identity.refreshed_trust(now)?.snapshot();
        let text = presented.unverified_attestation();
        let wit = Wit::verify(text, &trust, &WitRules::wit_svid(), now).map_err(failed)?;
        let client = self.workload(wit.id(), now)?;
        let client_id: ClientId = wit.id().as_str().parse().map_err(failed)?;
        presented
            .verify_pop(wit.key(), &client_id, &self.pops, now)
            .map_err(failed)?
            .spend(self.replay.as_ref(), now)
            .map_err(unspent_is_unknown)?;
        Ok(authenticated(client, wit.id().to_string(), Some(wit.key())))
    }

    /// Verifies a WIT-SVID and a workload proof token (draft-ietf-wimse-wpt). The proof is for this
    /// issuer, or for its token endpoint.
    fn by_proof(
        &self,
        presented: &fields::Presented<'_>,
        now: UnixTime,
    ) -> Result<Authenticated, Error> {
        let trust = self.identity.refreshed_trust(now)?.snapshot();
        let wit = Wit::verify(presented.wit(), &trust, &WitRules::wit_svid(), now);
        let wit = wit.map_err(by_field)?;
        let client = self.workload(wit.id(), now)?;
        let binding = Binding::to(self.base.as_str()).or_to(&self.dpop.target);
        let rules = WptRules::default();
        aims_wimse_wpt::verify(presented.wpt(), &wit, &binding, &rules, now)
            .map_err(by_field)?
            .spend(self.replay.as_ref(), now)
            .map_err(|error| match error {
                Wpt::Replay(Replay::Replayed | Replay::Expired) => by_field(error),
                Wpt::Replay(store) => Error::unavailable(store),
                other => by_field(other),
            })?;
        Ok(authenticated(client, wit.id().to_string(), Some(wit.key())))
    }

    /// Returns the client of this name: a public one, which proves nothing (RFC 6749 §3.2.1), or
    /// one whose certificate this is (RFC 8705 §2).
    fn by_identifier(
        &self,
        client_id: &str,
        certificate: Option<&PeerCertificate>,
        now: UnixTime,
    ) -> Result<Authenticated, Error> {
        let client = self.client(client_id, now)?;
        let client = client.ok_or_else(|| failed("no client of this name"))?;
        match &client.by {
            ClientMatcher::Public { .. } => Ok(authenticated(&client, client_id.to_owned(), None)),
            ClientMatcher::Certificate { rule, .. } => {
                let certificate = certificate.ok_or_else(|| failed("no client certificate"))?;
                let certificates = self.certificates.as_ref();
                let certificates = certificates.ok_or_else(|| failed("no certificates here"))?;
                certificates.judge(rule, certificate, now).map_err(failed)?;
                Ok(authenticated(&client, client_id.to_owned(), None))
            }
            ClientMatcher::Keys { .. } | ClientMatcher::Spiffe { .. } => {
                Err(failed("this client must authenticate"))
            }
        }
    }

    /// Returns the client whose pattern matches a verified workload.
    fn workload(&self, id: &WorkloadId, now: UnixTime) -> Result<&Arc<Client>, Error> {
        if id.scheme() != Scheme::Spiffe {
            return Err(failed("only SPIFFE identifiers are clients"));
        }
        if self.identity.is_withdrawn_at(id, now)? {
            return Err(failed("the identity was withdrawn"));
        }
        self.registry
            .by_workload(id)
            .ok_or_else(|| failed("beneath no client's pattern"))
    }

    /// Checks that the audience is exactly this issuer, and not the URL of the token endpoint
    /// (draft-ietf-oauth-rfc7523bis).
    fn check_audience(&self, audience: &Audience<'_>) -> Result<(), Error> {
        if audience.sole() == Some(self.base.as_str()) {
            return Ok(());
        }
        Err(failed(aims_jose::Error::Claim { claim: "aud" }))
    }
}

/// Maps the failure of a replay store to an error of the server, because the client is not the
/// cause.
fn unspent_is_unknown(error: aims_oauth_wire::Error) -> Error {
    match error {
        aims_oauth_wire::Error::AssertionUnknown(store)
        | aims_oauth_wire::Error::AttestationUnknown(store) => Error::unavailable(store),
        other => failed(other),
    }
}

fn authenticated(
    client: &Arc<Client>,
    client_id: String,
    key: Option<&VerifyingKey>,
) -> Authenticated {
    Authenticated {
        client: client.clone(),
        client_id,
        key: key.map(|key| bare(key.jwk())),
        dpop: None,
        certificate: None,
    }
}

/// Returns the key without `kid`, `use` and other members that a resource server does not need.
fn bare(jwk: &Jwk) -> Jwk {
    Jwk::from_public_key(jwk.public_key().clone()).unwrap_or_else(|_| jwk.clone())
}

/// Returns the only method that the request uses (RFC 6749 §2.3).
fn offered<'a>(request: &'a Request<Vec<u8>>, form: &'a Form) -> Result<Offered<'a>, Error> {
    let headers = request.headers();
    let by_authorization = headers.contains_key(AUTHORIZATION)
        || headers.contains_key(fields::WORKLOAD_IDENTITY_TOKEN);
    let by_attestation = headers.contains_key(ATTESTATION) || headers.contains_key(ATTESTATION_POP);
    let has = |name: &str| form.get(name).is_some();
    let ways = [
        by_authorization,
        by_attestation,
        has("client_secret"),
        has("client_assertion") || has("client_assertion_type"),
    ];
    if ways.into_iter().filter(|offered| *offered).count() > 1 {
        return Err(Error::TokenRequest {
            reason: "more than one way to authenticate",
        });
    }
    if let Some(wit) = signature::presented(request)? {
        return Ok(Offered::Signature(wit));
    }
    if let Some(presented) =
        fields::Presented::find(headers, Revisions::default()).map_err(by_field)?
    {
        return Ok(Offered::Proof(presented));
    }
    if let Some(presented) = PresentedAttestation::from_headers(headers).map_err(failed)? {
        return Ok(Offered::WitSvid(presented));
    }
    if let Some(presented) = PresentedAssertion::from_form(form).map_err(failed)? {
        return Ok(Offered::Assertion(presented));
    }
    let svid = form.get("client_assertion");
    match svid.filter(|_| form.get("client_assertion_type") == Some(JWT_SPIFFE)) {
        Some(svid) => return Ok(Offered::JwtSvid(svid)),
        None if ways.contains(&true) => {}
        None => {
            if let Some(client_id) = form.get("client_id") {
                return Ok(Offered::Identifier(client_id));
            }
        }
    }
    Err(Error::Client {
        by_authorization,
        source: Some("no way to authenticate that is known here".into()),
    })
}

/// Returns the failure of a client that authenticates by a field of the request.
fn by_field(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Client {
        by_authorization: true,
        source: Some(source.into()),
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Client {
        by_authorization: false,
        source: Some(source.into()),
    }
}
