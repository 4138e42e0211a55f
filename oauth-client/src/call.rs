//! One authenticated request to an endpoint of the authorization server.

use std::fmt;
use std::sync::Arc;

use aims_jose::jws::CompactJws;
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::{Authenticate, Authentication, UnsignedRequest};
use aims_oauth_wire::confirmation::CertificateThumbprint;
use aims_oauth_wire::dpop::DPOP;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata, Switch};
use aims_oauth_wire::names::{Endpoint, Issuer};
use aims_oauth_wire::token::{ResponseRules, TokenError, TokenRequest};
use http::{HeaderValue, Response, Uri};

use crate::dpop::Role;
use crate::{DpopKey, Error, Event, Flow, Step};

/// Writes the parameters of a request, without client authentication and proof.
pub(crate) type Write =
    dyn Fn(&ServerMetadata, UnixTime) -> Result<TokenRequest, Error> + Send + Sync;

/// A request to an endpoint with client authentication, and with a DPoP proof if there is a key.
///
/// If the server demands a nonce, the request is sent once more: with the nonce, a new proof and a
/// new client authentication (RFC 9449 §8). [`Event::Waited`] sends the request anew.
#[derive(Clone)]
pub(crate) struct ServerCall {
    pub(crate) client: Arc<dyn Authenticate>,
    pub(crate) server: Arc<ServerMetadata>,
    pub(crate) endpoint: EndpointKind,
    pub(crate) dpop: Option<DpopKey>,
    write: Arc<Write>,
    /// Whether the signature that is awaited is that of the proof, and not of the client.
    is_proving: bool,
    /// Whether the request was repeated with a nonce.
    is_repeated: bool,
    /// Whether the request was repeated with a challenge or a new attestation.
    is_attested_anew: bool,
    challenge: Challenge,
    sent: Option<Sent>,
}

/// How far a challenge for the client's attestation was asked for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Challenge {
    NotAsked,
    Asking,
    Asked,
}

#[derive(Clone)]
struct Sent {
    uri: Uri,
    time: UnixTime,
    rules: ResponseRules,
    certificate: Option<CertificateThumbprint>,
}

/// The answer to a [`ServerCall`].
pub(crate) struct Called {
    pub(crate) answer: Response<Vec<u8>>,
    /// The time of the request.
    pub(crate) sent: UnixTime,
    /// The default rules, which know the secrets of the request.
    pub(crate) rules: ResponseRules,
    /// The certificate that was presented, if tokens must be bound to it.
    pub(crate) certificate: Option<CertificateThumbprint>,
    pub(crate) call: ServerCall,
}

impl ServerCall {
    pub(crate) fn new(
        endpoint: EndpointKind,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        dpop: Option<DpopKey>,
        write: Arc<Write>,
    ) -> Self {
        Self {
            client,
            server,
            endpoint,
            dpop,
            write,
            is_proving: false,
            is_repeated: false,
            is_attested_anew: false,
            challenge: Challenge::NotAsked,
            sent: None,
        }
    }

    pub(crate) fn begin(mut self, now: UnixTime) -> Result<Step<Called, Self>, Error> {
        self.is_proving = false;
        if self.challenge == Challenge::NotAsked && self.client.needs_challenge(&self.server) {
            self.challenge = Challenge::Asking;
            let endpoint = self.server.required(EndpointKind::Challenge)?;
            return Ok(Step::Send(TokenRequest::form().into_http(endpoint)?, self));
        }
        let request = (self.write)(&self.server, now)?;
        let request = request.for_endpoint(self.target()?);
        self.prove(request, now)
    }

    /// Authenticates the client. The proof is there already, because an authentication may cover
    /// it.
    fn authenticate(
        self,
        request: TokenRequest,
        now: UnixTime,
    ) -> Result<Step<Called, Self>, Error> {
        match self.client.begin(request, &self.server, now)? {
            Authentication::Done(request) => self.send(request, now),
            Authentication::Unsigned(request) => Ok(Step::Sign(request, self)),
        }
    }

    fn target(&self) -> Result<&Endpoint, Error> {
        endpoint(&*self.client, &self.server, self.endpoint)
    }

    fn prove(mut self, request: TokenRequest, now: UnixTime) -> Result<Step<Called, Self>, Error> {
        let Some(key) = self.dpop.clone() else {
            return self.authenticate(request, now);
        };
        key.expect_known_to(&self.server)?;
        let target = TokenRequest::form().into_http(self.target()?)?;
        let input = key.proof(Role::Issuer, "POST", target.uri(), None, now)?;
        if let Some(signer) = key.signer().local() {
            let proof = input.sign(&**signer).map_err(Error::Sign)?;
            let mut request = request;
            add_proof(&mut request, &proof)?;
            return self.authenticate(request, now);
        }
        self.is_proving = true;
        let signer = Arc::new(key.signer().clone());
        let add = |request: &mut TokenRequest, proof| add_proof(request, &proof);
        let request = UnsignedRequest::new(request, input, signer, add);
        Ok(Step::Sign(request, self))
    }

    fn send(mut self, request: TokenRequest, now: UnixTime) -> Result<Step<Called, Self>, Error> {
        let request = request.into_http(self.target()?)?;
        let mut rules = ResponseRules::new().after(&request);
        if self.client.presents_certificate() || self.server.is_on(Switch::CertificateBoundTokens) {
            rules = rules.after_client_certificate();
        }
        self.sent = Some(Sent {
            uri: request.uri().clone(),
            time: now,
            rules,
            certificate: self.client.certificate(),
        });
        Ok(Step::Send(request, self))
    }

    fn answered(
        mut self,
        answer: &Response<Vec<u8>>,
        now: UnixTime,
    ) -> Result<Step<Called, Self>, Error> {
        let is_unattested = self.client.learn(&self.server, answer);
        if self.challenge == Challenge::Asking {
            // Without a challenge, the server refuses the request, and says why.
            self.challenge = Challenge::Asked;
            return self.begin(now);
        }
        let sent = self.sent.take().ok_or(Error::Interrupted)?;
        if is_unattested && !self.is_attested_anew {
            self.is_attested_anew = true;
            return self.begin(now);
        }
        if let Some(key) = &self.dpop {
            key.learn(Role::Issuer, &sent.uri, answer.headers());
            if demands_nonce(answer) && !self.is_repeated {
                self.is_repeated = true;
                return self.begin(now);
            }
        }
        (self.is_repeated, self.is_attested_anew) = (false, false);
        self.challenge = Challenge::NotAsked;
        Ok(Step::Done(Called {
            answer: answer.clone(),
            sent: sent.time,
            rules: sent.rules,
            certificate: sent.certificate,
            call: self,
        }))
    }
}

impl Flow for ServerCall {
    type Output = Called;

    fn advance(mut self, event: Event<'_>, now: UnixTime) -> Result<Step<Called, Self>, Error> {
        match event {
            Event::Answer(answer) => self.answered(answer, now),
            Event::NoAnswer(error) => Err(Error::Transport(error.clone())),
            Event::Signed(request) if self.is_proving => {
                self.is_proving = false;
                self.authenticate(request?, now)
            }
            Event::Signed(request) => self.send(request?, now),
            Event::Waited => self.begin(now),
        }
    }
}

impl fmt::Debug for ServerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCall")
            .field("issuer", self.server.issuer())
            .field("endpoint", &self.endpoint)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Returns an endpoint: the one for mutual TLS, if the client presents a certificate and the server
/// has one (RFC 8705 §5).
pub(crate) fn endpoint<'a>(
    client: &dyn Authenticate,
    server: &'a ServerMetadata,
    kind: EndpointKind,
) -> Result<&'a Endpoint, Error> {
    let presents = client.presents_certificate();
    let alias = presents.then(|| server.mtls_endpoint(kind));
    match alias.flatten() {
        Some(endpoint) => Ok(endpoint),
        None => Ok(server.required(kind)?),
    }
}

fn add_proof(request: &mut TokenRequest, proof: &CompactJws) -> Result<(), aims_oauth_wire::Error> {
    let refused = Err(aims_oauth_wire::Error::Request {
        reason: "the DPoP proof cannot be in a header field",
    });
    let mut value = HeaderValue::from_str(proof.expose()).or(refused)?;
    value.set_sensitive(true);
    request.header(DPOP, value)?;
    Ok(())
}

/// Returns whether the server demands a nonce and gives one (RFC 9449 §8).
fn demands_nonce(answer: &Response<Vec<u8>>) -> bool {
    let is_error = matches!(answer.status().as_u16(), 400 | 401);
    is_error
        && answer.headers().contains_key("dpop-nonce")
        && TokenError::parse(answer.body()).is_ok_and(|it| it.error() == "use_dpop_nonce")
}

/// Parses a URL that a server sent. Only a server of this machine has plain `http` there, because
/// another one could reach services of this machine so.
pub(crate) fn endpoint_of(issuer: &Issuer, url: &str) -> Result<Endpoint, Error> {
    match issuer.as_str().starts_with("http:") {
        true => Ok(Endpoint::loopback(url)?),
        false => Ok(url.parse()?),
    }
}
