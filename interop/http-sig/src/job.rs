//! The job of a driver, as described in interop/README.md.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aims_http_sig::http1::{RawRequest, RawResponse, Reader};
use aims_http_sig::{Algorithm, Component, Exchange, FieldType, FieldTypes, SharedKey};
use aims_jose::key::SigningKey;
use aims_jose::provider;
use aims_jose::time::UnixTime;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::Failure;

/// The maximum length of a content, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// One job.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) op: Operation,
    request: PathBuf,
    response: Option<PathBuf>,
    scheme: String,
    algorithm: String,
    key: PathBuf,
    pub(crate) keyid: Option<String>,
    pub(crate) alg: bool,
    pub(crate) label: String,
    cover: Vec<String>,
    pub(crate) parameters: serde_json::Map<String, serde_json::Value>,
    pub(crate) out: Option<PathBuf>,
    now: Option<u64>,
    /// The receiver in the WIMSE profile. Selects that profile.
    pub(crate) audience: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Sign,
    Verify,
}

/// The bytes of a job's messages.
pub(crate) struct Messages {
    request: Vec<u8>,
    response: Option<Vec<u8>>,
    scheme: String,
    types: FieldTypes,
}

/// The parsed messages.
pub(crate) struct Read<'m> {
    request: RawRequest<'m>,
    response: Option<RawResponse<'m>>,
    types: &'m FieldTypes,
}

impl Job {
    pub(crate) fn messages(&self) -> Result<Messages, Failure> {
        let response = self.response.as_ref().map(std::fs::read).transpose()?;
        Ok(Messages {
            request: std::fs::read(&self.request)?,
            response,
            scheme: self.scheme.clone(),
            // The type is defined by the drafts of Web Bot Auth; no published standard has it.
            types: FieldTypes::known().with("signature-agent", FieldType::Dictionary),
        })
    }

    pub(crate) fn algorithm(&self) -> Result<Algorithm, Failure> {
        Ok(Algorithm::from_name(&self.algorithm).ok_or("an algorithm without a name")?)
    }

    pub(crate) fn components(&self) -> Result<Vec<Component>, Failure> {
        let all = self.cover.iter().map(|text| text.parse());
        Ok(all.collect::<Result<_, aims_http_sig::Error>>()?)
    }

    /// Returns the time of the job, or the current time.
    pub(crate) fn now(&self) -> Result<UnixTime, Failure> {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(UnixTime::since_unix_epoch(
            self.now.map_or(clock, Duration::from_secs),
        ))
    }

    pub(crate) fn key(&self) -> Result<SigningKey, Failure> {
        let jwk = std::fs::read(&self.key)?;
        Ok(SigningKey::from_jwk(&jwk, provider::default())?)
    }

    pub(crate) fn shared_key(&self) -> Result<SharedKey, Failure> {
        #[derive(Deserialize)]
        struct Octets {
            kid: String,
            k: String,
        }
        let jwk: Octets = serde_json::from_slice(&std::fs::read(&self.key)?)?;
        let secret = URL_SAFE_NO_PAD.decode(jwk.k);
        Ok(SharedKey::new(
            jwk.kid,
            secret.or(Err("`k` is not base64url"))?,
        )?)
    }
}

impl Messages {
    pub(crate) fn read(&self) -> Result<Read<'_>, Failure> {
        let reader = Reader::new(BODY_LIMIT).with_folded_fields();
        let request = reader.request(&self.request, &self.scheme)?;
        let response = self.response.as_deref();
        let response = response.map(|bytes| reader.response(bytes, request.method()));
        Ok(Read {
            response: response.transpose()?,
            request,
            types: &self.types,
        })
    }

    /// Returns the bytes of the message that carries the signature.
    pub(crate) fn carrier(&self) -> &[u8] {
        self.response.as_deref().unwrap_or(&self.request)
    }
}

impl Read<'_> {
    pub(crate) const fn request(&self) -> &RawRequest<'_> {
        &self.request
    }

    pub(crate) fn exchange(&self) -> Exchange<'_> {
        let exchange = match &self.response {
            Some(response) => Exchange::of(response).answering(&self.request),
            None => Exchange::of(&self.request),
        };
        exchange.with_types(self.types)
    }

    pub(crate) fn carrier(&self) -> &dyn aims_http_sig::Message {
        match &self.response {
            Some(response) => response,
            None => &self.request,
        }
    }

    pub(crate) fn content(&self) -> &[u8] {
        match &self.response {
            Some(response) => response.content(),
            None => self.request.content(),
        }
    }
}
