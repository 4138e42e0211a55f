//! The agent's side of the identity server, without I/O: each step gives a request to send and a
//! pending step that judges the answer. Any HTTP client will do.
//!
//! ```
//! use aims_authority::client::{IdentityClient, EnrolmentProof};
//! # use aims_authority::{Authority, Enrolment};
//! use aims_jose::key::SigningKey;
//! use aims_jose::time::{Clock, SystemClock};
//! use aims_jose::{Algorithm, provider, random};
//! # let now = SystemClock::new().now();
//! # let token = Enrolment::random_token(random::SYSTEM)?;
//! # let authority = Authority::builder("http://127.0.0.1:8080", provider::AWS_LC)
//! #     .trust_domain("example.org")
//! #     .enrol(Enrolment::by_token("spiffe://example.org/agent".parse()?, &token)?)
//! #     .build(now)?;
//! # let send = |request: &http::Request<Vec<u8>>| authority.handle(request, None, now);
//!
//! let client = IdentityClient::new("http://127.0.0.1:8080")?;
//! let key = SigningKey::generate(Algorithm::Es256, provider::AWS_LC)?;
//! let (request, pending) = client.wit(&key, EnrolmentProof::Token(token));
//! let (request, pending) = pending.finish(&send(&request), now)?;
//! let received = pending.finish(&send(&request), now)?;
//! # assert_eq!(received.expires.as_secs(), now.as_secs() + 3_600);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "renewal")]
mod enrolled;

use core::time::Duration;

use aims_jose::digest::sha256_base64url;
use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::jwt::NumericDate;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::media;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use serde::Deserialize;

#[cfg(feature = "renewal")]
pub use enrolled::Enrolled;

use crate::Error;
use crate::base::Base;
use crate::identity::add;
use crate::identity::endpoint::WIT_FIELD;
use crate::identity::messages::{
    self, ChallengeAnswer, Confirmation, CredentialAnswer, ForeignConfirmation, ProofClaims,
    SvidBody, WitBody,
};

/// How long a proof is valid: as long as the nonce, and not longer.
const PROOF_LIFETIME: u64 = 60;
/// The longest answer that is read, in bytes.
const MAX_ANSWER_LEN: usize = 64 * 1024;

/// An identity server, as an agent sees it.
#[derive(Clone, Debug)]
pub struct IdentityClient {
    base: Base,
}

/// How the agent shows that it is the one of an enrolment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EnrolmentProof {
    /// By its bootstrap token.
    Token(SecretText),
    /// By its bootstrap key.
    BootstrapKey(SigningKey),
    /// By the WIT that it has and its key: a renewal.
    Wit {
        /// The current WIT.
        wit: SecretText,
        /// Its key.
        key: SigningKey,
    },
}

#[derive(Debug)]
enum Want {
    JwtSvid {
        audience: String,
        wit: SecretText,
        key: SigningKey,
    },
    Wit {
        key: SigningKey,
        proof: EnrolmentProof,
    },
}

/// A challenge was asked for.
#[derive(Debug)]
#[must_use = "the answer to the challenge request is to be given to `finish`"]
pub struct PendingChallenge {
    base: Base,
    want: Want,
}

/// A credential was asked for.
#[derive(Debug)]
#[must_use = "the answer with the credential is to be given to `finish`"]
pub struct PendingCredential {
    /// The key that a WIT must be for; none for a JWT-SVID.
    key: Option<Thumbprint>,
}

/// A credential, as the server gave it. It is not verified here: whoever it is shown to does that.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The WIT or JWT-SVID.
    pub text: SecretText,
    /// When it expires, by the server's word.
    pub expires: UnixTime,
}

impl IdentityClient {
    /// The identity server at this base URL.
    ///
    /// # Errors
    ///
    /// `authority.base_url`: `https`, or `http` on loopback.
    pub fn new(base_url: &str) -> Result<Self, Error> {
        Ok(Self {
            base: Base::parse(base_url)?,
        })
    }

    /// Begins to fetch a WIT for a key.
    pub fn wit(
        &self,
        key: &SigningKey,
        proof: EnrolmentProof,
    ) -> (Request<Vec<u8>>, PendingChallenge) {
        self.begin(Want::Wit {
            key: key.clone(),
            proof,
        })
    }

    /// Begins to fetch a JWT-SVID for an audience, with the WIT-SVID and its key.
    pub fn jwt_svid(
        &self,
        audience: impl Into<String>,
        wit: &SecretText,
        key: &SigningKey,
    ) -> (Request<Vec<u8>>, PendingChallenge) {
        let audience = audience.into();
        self.begin(Want::JwtSvid {
            audience,
            wit: wit.clone(),
            key: key.clone(),
        })
    }

    fn begin(&self, want: Want) -> (Request<Vec<u8>>, PendingChallenge) {
        // The base URL was checked to be a URL.
        let request = post(&self.base, "/identity/challenge", Vec::new()).unwrap_or_default();
        (
            request,
            PendingChallenge {
                base: self.base.clone(),
                want,
            },
        )
    }
}

impl PendingChallenge {
    /// Takes the challenge and proves.
    ///
    /// # Errors
    ///
    /// `client.refused`, `client.answer`; `authority.key` where a key cannot sign.
    pub fn finish(
        self,
        answer: &Response<Vec<u8>>,
        now: UnixTime,
    ) -> Result<(Request<Vec<u8>>, PendingCredential), Error> {
        let challenge: ChallengeAnswer = read(answer)?;
        let nonce = challenge.nonce.as_str();
        match self.want {
            Want::Wit { key, proof } => {
                let thumbprint = *key.verifying_key().thumbprint();
                let prove = Prover {
                    base: &self.base,
                    nonce,
                    now,
                };
                let key_proof = prove.sign(messages::KEY_PROOF, &key, |claims| ProofClaims {
                    cnf: Some(Confirmation {
                        jwk: key.public_jwk(),
                    }),
                    ..claims
                })?;
                let mut body = WitBody {
                    key_proof,
                    ..WitBody::default()
                };
                let mut field = None;
                match proof {
                    EnrolmentProof::Token(token) => {
                        let value = SecretText::new(format!("Bearer {}", token.expose()));
                        field = Some((AUTHORIZATION, value));
                    }
                    EnrolmentProof::BootstrapKey(key) => {
                        let name = key.verifying_key().thumbprint().to_string();
                        let proof = prove.sign(
                            messages::ENROLMENT_PROOF,
                            &key.with_key_id(name),
                            |claims| ProofClaims {
                                jkt: Some(thumbprint),
                                ..claims
                            },
                        )?;
                        body.enrolment_proof = Some(proof);
                    }
                    EnrolmentProof::Wit { wit, key } => {
                        let wth = sha256_base64url(wit.expose());
                        let proof =
                            prove.sign(messages::RENEWAL_PROOF, &key, |claims| ProofClaims {
                                jkt: Some(thumbprint),
                                wth: Some(wth),
                                ..claims
                            })?;
                        body.renewal_proof = Some(proof);
                        field = Some((HeaderName::from_static(WIT_FIELD), wit));
                    }
                }
                let request = with_body(&self.base, "/identity/wit", &body, field)?;
                Ok((
                    request,
                    PendingCredential {
                        key: Some(thumbprint),
                    },
                ))
            }
            Want::JwtSvid { audience, wit, key } => {
                let wth = sha256_base64url(wit.expose());
                let prove = Prover {
                    base: &self.base,
                    nonce,
                    now,
                };
                let svid_request =
                    prove.sign(messages::SVID_REQUEST, &key, |claims| ProofClaims {
                        svid_aud: Some(&audience),
                        wth: Some(wth),
                        ..claims
                    })?;
                let field = Some((HeaderName::from_static(WIT_FIELD), wit));
                let body = SvidBody { svid_request };
                let request = with_body(&self.base, "/identity/jwt-svid", &body, field)?;
                Ok((request, PendingCredential { key: None }))
            }
        }
    }
}

impl PendingCredential {
    /// Takes the credential. A WIT must be for the key that it was asked for.
    ///
    /// # Errors
    ///
    /// `client.refused`, `client.answer`.
    pub fn finish(self, answer: &Response<Vec<u8>>, now: UnixTime) -> Result<Received, Error> {
        let answer: CredentialAnswer = read(answer)?;
        let text = match (self.key, answer.wit, answer.jwt_svid) {
            (Some(key), Some(wit), None) => {
                check_key(&wit, &key)?;
                wit
            }
            (None, None, Some(svid)) => svid,
            _ => return Err(Error::Answer(None)),
        };
        let expires = add(now, Duration::from_secs(answer.expires_in));
        Ok(Received {
            text: SecretText::new(text),
            expires,
        })
    }
}

struct Prover<'a> {
    base: &'a Base,
    nonce: &'a str,
    now: UnixTime,
}

impl<'a> Prover<'a> {
    fn sign<'c>(
        &self,
        typ: &str,
        key: &SigningKey,
        bind: impl FnOnce(ProofClaims<'c>) -> ProofClaims<'c>,
    ) -> Result<String, Error>
    where
        'a: 'c,
    {
        let expires = self.now.as_secs().saturating_add(PROOF_LIFETIME);
        let claims = bind(ProofClaims {
            aud: self.base.as_str(),
            nonce: self.nonce,
            exp: NumericDate::from_secs(expires).ok_or(Error::Answer(None))?,
            cnf: None,
            jkt: None,
            wth: None,
            svid_aud: None,
        });
        let input = SigningInput::new(typ, key.algorithm(), key.key_id(), &claims);
        let signed = input
            .and_then(|input| input.sign(key))
            .map_err(Error::Key)?;
        Ok(signed.expose().to_owned())
    }
}

fn post(base: &Base, path: &str, body: Vec<u8>) -> Result<Request<Vec<u8>>, Error> {
    let request = Request::builder().method(Method::POST).uri(base.join(path));
    request.body(body).map_err(|_never| Error::BaseUrl)
}

/// The one place where a credential enters a header.
fn with_body(
    base: &Base,
    path: &str,
    body: &impl serde::Serialize,
    field: Option<(HeaderName, SecretText)>,
) -> Result<Request<Vec<u8>>, Error> {
    let body = serde_json::to_vec(body).map_err(|error| Error::Answer(Some(error.into())))?;
    let mut request = post(base, path, body)?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::JSON));
    if let Some((name, value)) = field {
        let mut value =
            HeaderValue::from_str(value.expose()).map_err(|_would_quote_it| Error::Answer(None))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(request)
}

fn read<'a, T: Deserialize<'a>>(answer: &'a Response<Vec<u8>>) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Problem<'a> {
        #[serde(borrow)]
        code: std::borrow::Cow<'a, str>,
    }

    let body = answer.body();
    let status = answer.status().as_u16();
    if status != 200 {
        let problem =
            aims_jose::json::from_object::<Problem<'_>>(body.get(..MAX_ANSWER_LEN).unwrap_or(body));
        let code = problem.ok().and_then(|problem| {
            Error::WIRE_CODES
                .iter()
                .find(|known| **known == problem.code)
                .copied()
        });
        return Err(Error::Refused { status, code });
    }
    if !media::is(answer.headers(), media::JSON) || body.len() > MAX_ANSWER_LEN {
        return Err(Error::Answer(None));
    }
    aims_jose::json::from_object(body).map_err(|error| Error::Answer(Some(error.into())))
}

fn check_key(wit: &str, key: &Thumbprint) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Claims<'a> {
        #[serde(borrow)]
        cnf: ForeignConfirmation<'a>,
    }

    let unusable = |error: aims_jose::Error| Error::Answer(Some(error.into()));
    let wit = Unverified::parse(wit).map_err(unusable)?;
    let claims: Claims<'_> = wit
        .unverified_payload()
        .and_then(aims_jose::json::from_object)
        .map_err(unusable)?;
    let found = Jwk::parse(claims.cnf.jwk.get().as_bytes())
        .map_err(unusable)?
        .thumbprint();
    if found == *key {
        Ok(())
    } else {
        Err(Error::Answer(None))
    }
}
