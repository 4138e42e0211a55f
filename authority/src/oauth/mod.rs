//! The authorization server. See [`AuthorizationServer`].

mod authenticate;
pub(crate) mod authorize;
pub(crate) mod backchannel;
pub(crate) mod certificate;
mod client;
mod client_keys;
mod details;
mod documents;
pub(crate) mod domain;
pub(crate) mod dpop;
pub(crate) mod endpoint;
mod family;
pub(crate) mod grant;
mod grant_list;
pub(crate) mod introspect;
mod issuer_keys;
mod metadata;
mod opaque;
mod presented;
mod redirect;
pub(crate) mod registration;
mod rendered;
mod request_object;
mod resource;
pub(crate) mod revoke;
mod revoked;
pub(crate) mod store;
mod user;

use core::net::IpAddr;
use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use aims_http_sig::profile::wimse::RequestPolicy;
use aims_jose::jwk::{Jwk, PublicJwkSet, Thumbprint};
use aims_jose::jws::SigningInput;
use aims_jose::jwt::NumericDate;
use aims_jose::key::Signer;
use aims_jose::provider::Provider;
use aims_jose::random::{SecureRandom, id128};
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::assertion::AssertionRules;
use aims_oauth_wire::attestation::PopRules;
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_oauth_wire::delegate::{Kind, Rights};
use aims_oauth_wire::token::Form;
use aims_replay::ReplayStore;
use serde::{Deserialize, Serialize};

use self::backchannel::BackchannelService;
pub use self::backchannel::{Approver, FindApprover};
#[cfg(feature = "pki")]
pub use self::certificate::CertificateName;
use self::certificate::Certificates;
pub(crate) use self::client_keys::RemoteKeys;
pub use self::details::{DetailsType, ToolDetails};
pub(crate) use self::documents::ClientDocuments;
pub(crate) use self::domain::Domains;
pub use self::domain::{IncomingGrants, NameSubject, OutgoingGrants};
use self::dpop::DpopPolicy;
pub(crate) use self::endpoint::refusal;
pub use self::grant::exchange::{Exchange, ExchangePolicy, ExchangeTable};
use self::grant::judge::{Judged, judge_claims};
pub use self::grant::subject::MapSubject;
pub(crate) use self::grant::subject::SubjectIssuers;
pub(crate) use self::grant::subject::stated::StatingClients;
pub use self::grant::subject::stated::{StatedSubjects, Statement};
pub use self::grant::transaction::{
    Replacement, ReplacementRequest, Transaction, TransactionPolicy,
};
use self::grant::{GrantTypes, Granted, TokenRequest};
pub(crate) use self::registration::Registration;
pub use self::registration::SelfDescribed;
use self::resource::ClientMatcher;
pub(crate) use self::resource::Registry;
pub use self::resource::{Client, Resource};
pub(crate) use self::revoked::LONGEST_GRANT;
pub use self::user::{AuthenticateUser, DevUser, User, UserAnswer, UserRequest};
use crate::Error;
use crate::State;
use crate::base::Base;
use crate::endpoint::Call;
use crate::identity::{IdentityServer, add};
use crate::keys::KeyRing;
use crate::limit::{Meter, network};

/// Issues access tokens by client credentials (RFC 6749 §4.4) as JWTs (RFC 9068).
///
/// Each token is for one resource. It is bound to the client's key if the client has proven one.
/// Clients authenticate by `private_key_jwt` (RFC 7523), by a WIT-SVID with its proof, with a
/// workload proof token (draft-ietf-wimse-wpt) or with an HTTP message signature
/// (draft-ietf-wimse-http-signature), by a certificate (RFC 8705), or, if the operator allows it,
/// by a JWT-SVID (draft-ietf-oauth-spiffe-client-auth).
#[derive(Debug)]
pub struct AuthorizationServer {
    pub(crate) base: Base,
    pub(crate) registry: Registry,
    pub(crate) grants: GrantTypes,
    pub(crate) ring: KeyRing,
    pub(crate) lifetime: Duration,
    pub(crate) refresh_hint: Duration,
    pub(crate) identity: Arc<IdentityServer>,
    pub(crate) provider: &'static dyn Provider,
    pub(crate) random: &'static dyn SecureRandom,
    pub(crate) replay: Arc<dyn ReplayStore>,
    pub(crate) state: Arc<dyn State>,
    /// The rules of `private_key_jwt` for this server.
    pub(crate) assertions: AssertionRules,
    /// The rules of the proof with a WIT-SVID for this server.
    pub(crate) pops: PopRules,
    /// The rules of signed requests.
    pub(crate) signatures: RequestPolicy,
    pub(crate) dpop: DpopPolicy,
    /// The certificates of clients. Without it none is looked at.
    pub(crate) certificates: Option<Certificates>,
    /// The base URL of the endpoints for mutual TLS, if it is another one.
    pub(crate) mutual_tls: Option<Base>,
    /// The users. Without it there is no authorization endpoint.
    pub(crate) users: Option<Arc<dyn AuthenticateUser>>,
    pub(crate) acr_values: Vec<String>,
    pub(crate) details: Vec<Arc<dyn DetailsType>>,
    /// Pushed requests of public clients, which prove nothing, by source.
    pub(crate) pushes: Meter,
    /// Pushed requests of clients that authenticate, by client.
    pub(crate) client_pushes: Meter,
    /// New entries for tokens: opaque ones, and revoked ones, by client and subject.
    pub(crate) token_entries: Meter,
    /// Consent pages, by user: each waits with its request for a decision.
    pub(crate) shows: Meter,
    /// Requests for the approval of users, if they are on.
    pub(crate) backchannel: Option<BackchannelService>,
    /// Transaction tokens, if they are on.
    pub(crate) transactions: Option<TransactionService>,
    /// The other issuers whose access tokens are exchanged, if there are some.
    pub(crate) subject_issuers: Option<SubjectIssuers>,
    /// The version of the rules about exchanges, for their records.
    pub(crate) policy_version: Option<String>,
    /// The rules about grants of and for other domains.
    pub(crate) domains: Domains,
    /// Dynamic registration, if it is on.
    pub(crate) registration: Option<Registration>,
    /// Client id metadata documents, if they are on.
    pub(crate) documents: Option<ClientDocuments>,
    /// The keys that clients publish, if they are fetched.
    pub(crate) client_keys: Option<RemoteKeys>,
    /// How long a refresh token may stay unused.
    pub(crate) refresh_pause: Duration,
    /// How long a grant may be refreshed.
    pub(crate) refresh_longest: Duration,
}

/// The service of transaction tokens for the trust domain of this server.
#[derive(Debug)]
pub(crate) struct TransactionService {
    pub(crate) policy: Arc<dyn TransactionPolicy>,
    /// `aud` of the tokens.
    pub(crate) domain: String,
    pub(crate) ring: KeyRing,
    /// The clients that state the subject of a transaction themselves.
    pub(crate) stating: StatingClients,
}

/// An authenticated client.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) client: Arc<Client>,
    /// For a workload its own identifier, not the pattern that it matches.
    pub(crate) client_id: String,
    /// The key that it has proven.
    pub(crate) key: Option<Jwk>,
    /// The certificate of its connection, if its tokens are bound to it.
    pub(crate) certificate: Option<CertificateThumbprint>,
    /// The key of the request's DPoP proof. If present, a token is bound to it, because the client
    /// chose it.
    pub(crate) dpop: Option<Thumbprint>,
}

impl Authenticated {
    /// Returns the sender that the replay store counts proofs for.
    ///
    /// Every program can send the `client_id` of a public client, so its proofs count for the
    /// network that they come from. Otherwise an attacker could use up the rate of all its users.
    fn sender(&self, source: Option<IpAddr>) -> Cow<'_, str> {
        match source.filter(|_| self.client.is_public()) {
            Some(source) => format!("{} {}", self.client_id, network(source)).into(),
            None => Cow::Borrowed(&self.client_id),
        }
    }

    /// Returns `token_type` of the client's tokens (RFC 9449 §5, RFC 6750).
    const fn token_type(&self) -> &'static str {
        match self.dpop {
            Some(_) => "DPoP",
            None => "Bearer",
        }
    }

    /// Returns `cnf` of the client's tokens.
    ///
    /// A DPoP key or a certificate replaces the key of the authentication, because the client chose
    /// to prove that with each call.
    fn confirmation(&self) -> Option<Confirmation<'_>> {
        let chosen = self.dpop.is_some() || self.certificate.is_some();
        let confirmation = Confirmation {
            jkt: self.dpop,
            jwk: self.key.as_ref().filter(|_| !chosen),
            certificate: self.certificate.map(|it| it.to_string()),
        };
        (chosen || confirmation.jwk.is_some()).then_some(confirmation)
    }

    /// Returns whether the certificate of the connection is its authentication.
    pub(crate) fn is_by_certificate(&self) -> bool {
        matches!(self.client.by, ClientMatcher::Certificate { .. })
    }

    /// Returns whether it has proven a key or a certificate by its authentication, so that its
    /// refresh tokens are bound to it (RFC 9449 §5, RFC 8705 §7.1).
    pub(crate) fn proves_itself(&self) -> bool {
        self.key.is_some() || self.is_by_certificate()
    }
}

/// The content of an access token, apart from what the server adds itself.
#[derive(Debug)]
pub(crate) struct NewToken<'a> {
    pub(crate) client_id: &'a str,
    /// The user, or the client itself.
    pub(crate) subject: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) confirmation: Option<Confirmation<'a>>,
    /// The login of the user.
    pub(crate) login: Option<&'a Login>,
    /// `authorization_details`.
    pub(crate) details: &'a [serde_json::Value],
    /// `act`.
    pub(crate) actor: Option<&'a serde_json::Value>,
    /// The grant that the token belongs to. `jti` begins with its id.
    pub(crate) grant: Option<&'a str>,
    pub(crate) expires: UnixTime,
    /// The claims that it carries over from the grant of another domain.
    pub(crate) carried: Option<&'a Carried>,
    /// The rights of the token that it is made from, in the vocabulary of this one. It must not
    /// permit more.
    pub(crate) parent: Option<&'a Rights>,
}

impl<'a> NewToken<'a> {
    /// Creates the token of a client for itself, bound to the key that it has proven.
    fn of_client(
        client: &'a Authenticated,
        resource: &'a str,
        scope: &'a str,
        expires: UnixTime,
    ) -> Self {
        Self {
            client_id: client.client_id.as_str(),
            subject: client.client_id.as_str(),
            resource,
            scope,
            confirmation: client.confirmation(),
            login: None,
            details: &[],
            actor: None,
            grant: None,
            expires,
            carried: None,
            parent: None,
        }
    }
}

/// The claims that an access token carries over from the grant of another domain.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Carried {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<NumericDate>,
    /// The transaction, for the records of both domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) txn: Option<String>,
    /// The facts of the transaction, which limit what the token is for.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub(crate) tctx: serde_json::Map<String, serde_json::Value>,
}

/// The login of a user, as tokens describe it (RFC 9068 §2.2.1). It stays the same over all tokens
/// of a grant.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Login {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acr: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) amr: Vec<String>,
}

/// The claims of an access token (RFC 9068 §2.2, RFC 7800 §3.2).
#[derive(Debug, Serialize)]
struct AccessTokenClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: NumericDate,
    exp: NumericDate,
    jti: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<&'a Confirmation<'a>>,
    #[serde(flatten)]
    login: Option<&'a Login>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    authorization_details: &'a [serde_json::Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a serde_json::Value>,
    #[serde(flatten)]
    carried: Option<&'a Carried>,
}

/// `cnf` of an access token (RFC 9449 §6.1, RFC 7800 §3.2, RFC 8705 §3.1). It has a member.
#[derive(Debug, Serialize)]
pub(crate) struct Confirmation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    jkt: Option<Thumbprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<&'a Jwk>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

impl AuthorizationServer {
    /// Returns the public keys that verify access tokens and transaction tokens (RFC 7517 §5).
    #[must_use]
    pub fn jwks(&self, now: UnixTime) -> String {
        let (mut keys, _) = self.ring.published(now);
        if let Some(service) = &self.transactions {
            keys.extend(service.ring.published(now).0);
        }
        keys.into_iter().collect::<PublicJwkSet>().to_json()
    }

    /// Returns the store of codes, grants, tokens and registered clients.
    #[must_use]
    pub fn state(&self) -> &dyn State {
        self.state.as_ref()
    }

    pub(crate) const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Answers a token request by the grant that it names.
    pub(crate) fn token(&self, call: &Call<'_>, form: &Form) -> Result<Granted, Error> {
        let now = call.now;
        let grant_type = form.get("grant_type").ok_or(Error::TokenRequest {
            reason: "no grant_type",
        })?;
        let grant = self.grants.find(grant_type)?;
        let headers = call.request.headers();
        let mut client = self.authenticate(call, form)?;
        if client.client.requires_certificate && client.certificate.is_none() {
            return Err(Error::TokenRequest {
                reason: "this client's requests need a client certificate",
            });
        }
        let store = self.replay.as_ref();
        let sender = client.sender(call.source);
        let target = self.dpop.token_url(call.request);
        let proven = self.dpop.verify_at(headers, target, &sender, store, now)?;
        client.dpop = proven.as_ref().map(|it| it.thumbprint);
        if client.client.requires_dpop && client.dpop.is_none() {
            return Err(Error::TokenRequest {
                reason: "this client's requests need a DPoP proof",
            });
        }
        let request = TokenRequest {
            client: &client,
            form,
            now,
        };
        let mut granted = grant.grant(self, &request)?;
        granted.next_nonce = proven.and_then(|it| it.next_nonce);
        Ok(granted)
    }

    /// Returns a registered client, the client of a workload, or one that described itself.
    pub(crate) fn client(
        &self,
        client_id: &str,
        now: UnixTime,
    ) -> Result<Option<Arc<Client>>, Error> {
        match self.registry.named(client_id) {
            Some(client) => Ok(Some(client.clone())),
            None => self.self_described(client_id, now),
        }
    }

    /// Counts an entry for a token of a client for a subject, so that neither leaves no room for
    /// others.
    ///
    /// # Errors
    ///
    /// `authority.too_many`.
    fn take_token_entry(&self, client_id: &str, subject: &str, now: UnixTime) -> Result<(), Error> {
        // Neither part has this byte.
        let owner = [client_id, subject].join("\0");
        self.token_entries.take_agent(&owner, now)
    }

    /// Returns the end of an access token that is issued now.
    fn end(&self, now: UnixTime) -> UnixTime {
        add(now, self.lifetime)
    }

    /// Issues an access token: a JWT (RFC 9068), or an opaque one if its resource wants that.
    fn issue(
        &self,
        token: &NewToken<'_>,
        now: UnixTime,
    ) -> Result<(SecretText, Option<Judged>), Error> {
        let date = |at: UnixTime| {
            let date = NumericDate::from_secs(at.as_secs());
            date.ok_or_else(|| Error::unavailable("the clock is beyond all dates"))
        };
        let mut jti = id128(self.random).map_err(Error::unavailable)?;
        if let Some(grant) = token.grant {
            jti = format!("{grant}.{jti}");
        }
        let claims = AccessTokenClaims {
            iss: self.base.as_str(),
            sub: token.subject,
            aud: token.resource,
            client_id: token.client_id,
            iat: date(now)?,
            exp: date(token.expires)?,
            jti,
            scope: token.scope,
            cnf: token.confirmation.as_ref(),
            login: token.login,
            authorization_details: token.details,
            act: token.actor,
            carried: token.carried,
        };
        let judged = match token.parent {
            Some(parent) => {
                let claims = serde_json::to_vec(&claims).map_err(Error::unavailable)?;
                Some(judge_claims(Kind::AccessToken, parent, &claims)?)
            }
            None => None,
        };
        let signed = if self.registry.is_opaque(token.resource) {
            let claims = serde_json::to_vec(&claims).map_err(Error::unavailable)?;
            self.take_token_entry(token.client_id, token.subject, now)?;
            opaque::issue(self.state.as_ref(), self.random, claims, token.expires, now)?
        } else {
            let signer = self.ring.signer(token.expires, now);
            let signer = signer.ok_or_else(|| Error::unavailable("no key"))?;
            let signed = SigningInput::new("at+jwt", signer.algorithm(), signer.key_id(), &claims)
                .and_then(|input| input.sign(&*signer))
                .map_err(Error::unavailable)?;
            SecretText::new(signed.expose())
        };
        tracing::info!(
            client_id = ?token.client_id,
            resource = ?token.resource,
            scope = ?token.scope,
            token = %aims_jose::digest::Fingerprint::of(signed.expose().as_bytes()),
            "issued an access token"
        );
        Ok((signed, judged))
    }
}
