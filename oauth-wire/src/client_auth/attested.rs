//! Client authentication by an attestation of the client's software and key
//! (draft-ietf-oauth-attestation-based-client-auth-11).

use core::fmt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aims_jose::alg::AlgorithmSet;
use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::jwt::NumericDate;
use aims_jose::key::AnySigner;
use aims_jose::random::{self, SecureRandom};
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::pop::Credential;
use super::{
    Authenticate, Authentication, BoxError, expect_method, expect_unauthenticated, failed,
    name_in_body, sensitive,
};
use crate::attestation::ATTESTATION;
use crate::dpop::DPOP;
use crate::metadata::{EndpointKind, ServerMetadata};
use crate::names::{ClientId, Issuer};
use crate::token::{TokenError, TokenRequest};
use crate::{Error, media};

/// The `typ` of an attestation (§5.1).
const ATTESTATION_TYPE: &str = "oauth-client-attestation+jwt";
/// The header field of a new challenge (§8.2).
const CHALLENGE: http::HeaderName =
    http::HeaderName::from_static("oauth-client-attestation-challenge");
/// The maximum length of a DPoP proof.
const MAX_PROOF: usize = 8 * 1_024;
/// The maximum length of a challenge.
const MAX_CHALLENGE: usize = 1_024;
/// The maximum number of servers whose challenges are kept.
const MAX_SERVERS: usize = 100;

type Source = dyn Fn(Freshness, UnixTime) -> Result<Attestation, BoxError> + Send + Sync;

/// Whether an attestation that the attester issued before may be used again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a source handles both cases")]
pub enum Freshness {
    /// An attestation that is valid may be used again.
    Any,
    /// The server demands a new one (`use_fresh_attestation`).
    New,
}

/// A client attestation, and the private key of its `cnf.jwk`: the key of this instance of the
/// client.
#[derive(Clone, Debug)]
pub struct Attestation(Credential);

impl Attestation {
    /// Creates it from the text of the attester and the private key of its `cnf.jwk`.
    #[must_use]
    pub fn new(text: impl Into<SecretText>, signer: impl Into<AnySigner>) -> Self {
        Self(Credential::new(text, signer))
    }
}

/// Authenticates a client with `attest_jwt_client_auth`: an attestation of its attester in
/// `OAuth-Client-Attestation`, and a new proof of its key in `OAuth-Client-Attestation-PoP`
/// (draft-ietf-oauth-attestation-based-client-auth-11 §5).
///
/// The client does not send an attestation of another client, an expired one, or one without a key.
/// A challenge of the server is answered once. Clones share the challenges.
///
/// [`with_dpop_proof`](Self::with_dpop_proof) proves the key by the DPoP proof of the request
/// instead.
///
/// ```
/// use aims_jose::time::UnixTime;
/// use aims_oauth_wire::client_auth::{Attestation, AttestedClient, Freshness};
///
/// /// `attest` asks the attester for an attestation of this instance's key.
/// fn client(
///     attest: impl Fn(Freshness) -> Result<Attestation, std::io::Error> + Send + Sync + 'static,
/// ) -> Result<AttestedClient, aims_oauth_wire::Error> {
///     let id = "https://agent.example/client.json".parse()?;
///     Ok(AttestedClient::new(id, move |freshness, _now| Ok(attest(freshness)?)))
/// }
/// ```
#[derive(Clone)]
pub struct AttestedClient {
    client: ClientId,
    source: Arc<Source>,
    learned: Arc<Mutex<HashMap<Issuer, Learned>>>,
    proof: Proof,
    random: &'static dyn SecureRandom,
}

/// The proof of the attested key.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Proof {
    /// A JWT in `OAuth-Client-Attestation-PoP` (§5.1).
    Jwt,
    /// The DPoP proof of the request (§5.2).
    Dpop,
}

/// The demands of one server.
#[derive(Default)]
struct Learned {
    challenge: Option<SecretText>,
    demands_new: bool,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: NumericDate,
    cnf: Confirmation,
}

#[derive(Deserialize)]
struct Confirmation {
    jwk: HashMap<String, Value>,
}

#[derive(Deserialize)]
struct ChallengeAnswer {
    attestation_challenge: String,
}

impl AttestedClient {
    /// Creates a client from its identifier and a function that returns its attestation. The
    /// function is called for each request.
    #[must_use]
    pub fn new(
        client: ClientId,
        source: impl Fn(Freshness, UnixTime) -> Result<Attestation, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            client,
            source: Arc::new(source),
            learned: Arc::default(),
            proof: Proof::Jwt,
            random: random::SYSTEM,
        }
    }

    /// Proves the attested key by the DPoP proof of the request, without a proof of its own:
    /// `attest_jwt_client_auth_dpop` (§5.2). Give the key of the attestation to the source of
    /// tokens as its DPoP key. A request without a proof by this key is not sent.
    ///
    /// A nonce of the server makes the proof fresh, as always with DPoP; a challenge is not used.
    ///
    /// ```
    /// use aims_oauth_wire::client_auth::{Attestation, AttestedClient, Freshness};
    ///
    /// fn client(
    ///     attest: fn(Freshness) -> Result<Attestation, std::io::Error>,
    /// ) -> Result<AttestedClient, aims_oauth_wire::Error> {
    ///     let id = "https://agent.example/client.json".parse()?;
    ///     let client = AttestedClient::new(id, move |freshness, _now| Ok(attest(freshness)?));
    ///     Ok(client.with_dpop_proof())
    /// }
    /// ```
    #[must_use]
    pub const fn with_dpop_proof(mut self) -> Self {
        self.proof = Proof::Dpop;
        self
    }

    /// Sets the random source of `jti`. Defaults to the operating system.
    #[must_use]
    pub const fn with_random(mut self, random: &'static dyn SecureRandom) -> Self {
        self.random = random;
        self
    }

    /// Returns the checked attestation, the thumbprint of its key, and the demands of the server.
    fn attestation(
        &self,
        request: &TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(Credential, Thumbprint, Learned), Error> {
        expect_method(
            server,
            match self.proof {
                Proof::Jwt => "attest_jwt_client_auth",
                Proof::Dpop => "attest_jwt_client_auth_dpop",
            },
        )?;
        let pop = match self.proof {
            Proof::Jwt => "attestation_pop_jwt",
            Proof::Dpop => "dpop_combined",
        };
        if !server.takes_client_attestation_pop(pop) {
            return Err(Error::authenticate(
                "the server does not take this proof of the attested key",
            ));
        }
        expect_unauthenticated(request, &self.client)?;
        let learned = self.lock().remove(server.issuer()).unwrap_or_default();
        let freshness = if learned.demands_new {
            Freshness::New
        } else {
            Freshness::Any
        };
        let attestation = (self.source)(freshness, now).map_err(|source| Error::Authenticate {
            reason: "the client has no attestation",
            source: Some(source),
        })?;
        let Attestation(credential) = attestation;
        let known = server.client_attestation_algorithms();
        let key = self.check(&credential.text, known, now)?;
        Ok((credential, key, learned))
    }

    fn prepare(
        &self,
        request: &TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(Credential, SigningInput), Error> {
        let (credential, _key, learned) = self.attestation(request, server, now)?;
        let challenge = learned.challenge.as_ref();
        let input = credential.input(server, challenge, self.random, now)?;
        Ok((credential, input))
    }

    /// Adds the attestation to a request that has a DPoP proof by its key.
    fn join_proof(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error> {
        let proven = proven_key(request)?;
        let (credential, attested, _learned) = self.attestation(request, server, now)?;
        if attested != proven {
            return Err(Error::authenticate(
                "the DPoP key is not the key of the attestation",
            ));
        }
        request.header(ATTESTATION, sensitive(credential.text.expose())?)?;
        name_in_body(request, &self.client)
    }

    /// Checks the claims of an attestation, whose signature the server verifies. Returns the
    /// thumbprint of its key.
    fn check(
        &self,
        text: &SecretText,
        algorithms: Option<AlgorithmSet>,
        now: UnixTime,
    ) -> Result<Thumbprint, Error> {
        let refused = |reason| Err(Error::authenticate(reason));
        let token = Unverified::parse(text.expose()).map_err(failed("not an attestation"))?;
        if !token.header().is_typ(ATTESTATION_TYPE) {
            return refused("not an attestation: another `typ`");
        }
        if algorithms.is_some_and(|all| !all.contains(token.header().alg())) {
            return refused("the server does not take the algorithm of the attestation");
        }
        let claims: Claims = token
            .unverified_payload()
            .and_then(aims_jose::json::from_object)
            .map_err(failed("not an attestation"))?;
        if claims.sub != self.client.as_str() {
            return refused("an attestation of another client");
        }
        if claims.exp.as_secs() <= now.as_secs() {
            return refused("an attestation that is over");
        }
        let jwk = serde_json::to_vec(&claims.cnf.jwk).unwrap_or_default();
        let jwk = Jwk::parse(&jwk).map_err(failed("an attestation without a public key"))?;
        Ok(jwk.thumbprint())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Issuer, Learned>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authenticate for AttestedClient {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.proof == Proof::Dpop {
            return self.join_proof(request, server, now);
        }
        let (credential, input) = self.prepare(request, server, now)?;
        credential.authenticate(request, input, &self.client)
    }

    fn begin(
        &self,
        mut request: TokenRequest,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<Authentication, Error> {
        if self.proof == Proof::Dpop {
            self.join_proof(&mut request, server, now)?;
            return Ok(Authentication::Done(request));
        }
        let (credential, input) = self.prepare(&request, server, now)?;
        credential.begin(request, input, self.client.clone())
    }

    /// Returns `true` without a challenge, if the server has an endpoint for them (§8.1).
    fn needs_challenge(&self, server: &ServerMetadata) -> bool {
        let has_endpoint = server.endpoint(EndpointKind::Challenge).is_some();
        let learned = self.lock();
        let known = learned
            .get(server.issuer())
            .and_then(|it| it.challenge.as_ref());
        has_endpoint && known.is_none() && self.proof == Proof::Jwt
    }

    /// Keeps the challenge of an answer (§8). Returns whether the server refused the request for
    /// the lack of a challenge, or of a new attestation.
    fn learn(&self, server: &ServerMetadata, answer: &Response<Vec<u8>>) -> bool {
        let challenge = challenge_of(answer);
        let is_error = matches!(
            answer.status(),
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
        );
        let error = is_error.then(|| TokenError::parse(answer.body()).ok());
        let error = error.flatten();
        let error = error.as_ref().map(TokenError::error);
        let demands_new = error == Some("use_fresh_attestation");
        let demands_challenge =
            error == Some("use_attestation_challenge") && self.proof == Proof::Jwt;
        let is_repeated = demands_new || (demands_challenge && challenge.is_some());
        if challenge.is_none() && !demands_new {
            return false;
        }
        let mut learned = self.lock();
        if learned.len() >= MAX_SERVERS && !learned.contains_key(server.issuer()) {
            learned.clear();
        }
        let learned = learned.entry(server.issuer().clone()).or_default();
        learned.challenge = challenge.or_else(|| learned.challenge.take());
        learned.demands_new |= demands_new;
        is_repeated
    }
}

/// Returns the thumbprint of the key of the request's DPoP proof.
fn proven_key(request: &TokenRequest) -> Result<Thumbprint, Error> {
    let missing = || Error::authenticate("no DPoP proof of the attested key");
    let proof = request.get_header(&DPOP).ok_or_else(missing)?;
    let proof = proof.to_str().map_err(|_bytes| missing())?;
    let proof = Unverified::parse_with_embedded_key(proof, MAX_PROOF);
    let proof = proof.map_err(failed("no DPoP proof of the attested key"))?;
    let key = proof.header().embedded_key().ok_or_else(missing)?;
    Ok(key.thumbprint())
}

/// Returns the challenge of an answer: of the field, or of the challenge endpoint's document.
fn challenge_of(answer: &Response<Vec<u8>>) -> Option<SecretText> {
    let field = media::sole(answer.headers(), &CHALLENGE).ok()?;
    let field = field.and_then(|it| it.to_str().ok()).map(str::to_owned);
    let document = || {
        let document = answer.status().is_success().then(|| answer.body())?;
        let read: ChallengeAnswer = aims_jose::json::from_document(document).ok()?;
        Some(read.attestation_challenge)
    };
    let is_usable = |it: &String| {
        let is_plain = it.bytes().all(|byte| byte.is_ascii_graphic());
        !it.is_empty() && it.len() <= MAX_CHALLENGE && is_plain
    };
    field
        .or_else(document)
        .filter(is_usable)
        .map(SecretText::new)
}

impl fmt::Debug for AttestedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttestedClient")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
