//! The two round trips that lead to a credential: challenge and request.

use core::time::Duration;

use aims_jose::digest::sha256_base64url;
use aims_jose::jwk::{Jwk, Thumbprint};
use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::jwt::NumericDate;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::secret::SecretText;
use aims_jose::time::{UnixTime, after};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::base::BaseUrl;
use super::messages::{self, ChallengeAnswer, CredentialAnswer, SvidBody, WIT_FIELD, WitBody};
use super::{EnrolmentProof, Error, Received};

/// Lifetime of a proof in seconds. It equals the lifetime of the nonce.
const PROOF_LIFETIME: u64 = 60;
/// Maximum length of an answer, in bytes.
const MAX_ANSWER_LEN: usize = 64 * 1024;

#[derive(Debug)]
pub(super) enum Want {
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

/// A request for a challenge that has no answer yet.
#[derive(Debug)]
#[must_use = "the answer to the challenge request is to be given to `finish`"]
pub struct PendingChallenge {
    base: BaseUrl,
    want: Want,
}

/// A request for a credential that has no answer yet.
#[derive(Debug)]
#[must_use = "the answer with the credential is to be given to `finish`"]
pub struct PendingCredential {
    /// The key that a WIT must confirm. `None` for a JWT-SVID.
    key: Option<Thumbprint>,
}

/// The claims of a new proof.
#[derive(Debug, Serialize)]
struct ProofClaims<'a> {
    aud: &'a str,
    nonce: &'a str,
    exp: NumericDate,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jkt: Option<Thumbprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wth: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    svid_aud: Option<&'a str>,
}

/// `cnf` of a new proof (RFC 7800 §3.2).
#[derive(Debug, Serialize)]
struct Confirmation<'a> {
    jwk: &'a Jwk,
}

/// `cnf` of a received credential.
#[derive(Debug, Deserialize)]
struct ForeignConfirmation<'a> {
    #[serde(borrow)]
    jwk: &'a RawValue,
}

/// Builds the request for a challenge.
pub(super) fn begin(base: &BaseUrl, want: Want) -> (Request<Vec<u8>>, PendingChallenge) {
    // The base URL was validated, so the request is valid.
    let request = post(base, "/identity/challenge", Vec::new()).unwrap_or_default();
    let base = base.clone();
    (request, PendingChallenge { base, want })
}

impl PendingChallenge {
    /// Reads the challenge, signs the proof and builds the request for the credential.
    ///
    /// # Errors
    ///
    /// `client.refused`, `client.answer`; `authority.key` if a key cannot sign; `client.credential`
    /// if a bootstrap token or WIT cannot be sent in a header field.
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
    /// Reads the credential. A WIT must confirm the key that it was requested for.
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
        let expires = after(now, Duration::from_secs(answer.expires_in));
        Ok(Received {
            text: SecretText::new(text),
            expires,
        })
    }
}

struct Prover<'a> {
    base: &'a BaseUrl,
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

fn post(base: &BaseUrl, path: &str, body: Vec<u8>) -> Result<Request<Vec<u8>>, Error> {
    let request = Request::builder().method(Method::POST).uri(base.join(path));
    request
        .body(body)
        .map_err(|_never| Error::base_url(base.as_str()))
}

/// The only function that writes a credential into a header field.
fn with_body(
    base: &BaseUrl,
    path: &str,
    body: &impl Serialize,
    field: Option<(HeaderName, SecretText)>,
) -> Result<Request<Vec<u8>>, Error> {
    let body = serde_json::to_vec(body).map_err(|error| Error::Answer(Some(error.into())))?;
    let mut request = post(base, path, body)?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    if let Some((name, value)) = field {
        let text = value.expose();
        let mut value =
            HeaderValue::from_str(text).map_err(|_would_quote_it| not_a_field(&name, text))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(request)
}

/// The error does not contain any of the text.
fn not_a_field(name: &HeaderName, text: &str) -> Error {
    let what = if *name == AUTHORIZATION {
        "bootstrap token"
    } else {
        "WIT"
    };
    let inside = text.trim_end_matches(['\r', '\n']);
    let found = if inside.len() < text.len() && HeaderValue::from_str(inside).is_ok() {
        "a line end after it; remove it, as `trim_end` does for a text that was read from a file"
    } else {
        "a control character; give it as it was issued"
    };
    Error::Credential { what, found }
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
        let code = problem.ok().and_then(|it| Error::problem(&it.code));
        return Err(Error::Refused { status, code });
    }
    if !is_json(answer.headers()) || body.len() > MAX_ANSWER_LEN {
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

/// Returns whether there is exactly one `Content-Type`, and it is JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = kind.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|it| it.trim().eq_ignore_ascii_case(JSON))
}

const JSON: &str = "application/json";
