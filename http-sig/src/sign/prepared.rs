//! A signature base without its signature, and the two fields of a finished signature.

use std::borrow::Cow;

use aims_error::shown;
use aims_jose::key::{AsyncSigner, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::received::{lines, members, syntax};
use crate::sf;
use crate::{Algorithm, Error, Limits, Message, Section, SharedKey, SignatureBase, Start};

/// The signature base of a message, ready to be signed.
#[derive(Debug)]
#[must_use = "nothing is signed until one of the `sign` methods or `finish` is called"]
pub struct PreparedSignature {
    label: Cow<'static, str>,
    base: SignatureBase,
    alg: Option<Algorithm>,
}

impl PreparedSignature {
    pub(crate) const fn new(
        label: Cow<'static, str>,
        base: SignatureBase,
        alg: Option<Algorithm>,
    ) -> Self {
        Self { label, base, alg }
    }

    /// Returns the signature base. Sign its [bytes](SignatureBase::as_bytes).
    #[must_use]
    pub const fn base(&self) -> &SignatureBase {
        &self.base
    }

    /// Signs with a private key.
    ///
    /// # Errors
    ///
    /// `sig.algorithm` if RFC 9421 has no algorithm for the key, or `alg` names another one;
    /// `key.sign`, `key.signer_unavailable` if the key fails.
    pub fn sign(self, signer: &dyn Signer) -> Result<SignatureFields, Error> {
        let algorithm = self.check(Algorithm::of_jws(signer.algorithm()))?;
        let signature = signer.sign(self.base.as_bytes()).map_err(Error::Sign)?;
        self.finish(algorithm, signature.as_ref())
    }

    /// Signs with a private key in a device or behind a network.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Self::sign).
    pub async fn sign_async(self, signer: &dyn AsyncSigner) -> Result<SignatureFields, Error> {
        let algorithm = self.check(Algorithm::of_jws(signer.algorithm()))?;
        let signature = signer.sign_async(self.base.as_bytes()).await;
        let signature = signature.map_err(Error::Sign)?;
        self.finish(algorithm, signature.as_ref())
    }

    /// Signs with a shared key, by `hmac-sha256`.
    ///
    /// # Errors
    ///
    /// `sig.algorithm` if `alg` names another algorithm.
    pub fn sign_with_shared_key(self, key: &SharedKey) -> Result<SignatureFields, Error> {
        let algorithm = self.check(Some(Algorithm::HmacSha256))?;
        let mac = key.sign(self.base.as_bytes());
        self.finish(algorithm, &mac)
    }

    /// Adds a signature over the [base](Self::base) that another program made.
    ///
    /// # Errors
    ///
    /// `sig.algorithm` if `alg` names another algorithm; `sig.signature` if the length is not that
    /// of the algorithm.
    pub fn finish(self, algorithm: Algorithm, signature: &[u8]) -> Result<SignatureFields, Error> {
        self.check(Some(algorithm))?;
        let fits = match algorithm.signature_len() {
            Some(len) => signature.len() == len,
            None => (256..=1024).contains(&signature.len()),
        };
        if !fits {
            return Err(Error::Signature);
        }
        let Self { label, base, .. } = self;
        let text = base.signature_params();
        let base64 = signature.len().div_ceil(3).saturating_mul(4);
        let room = label.len().saturating_add(base64).saturating_add(3);
        let mut value = String::with_capacity(room);
        value.push_str(&label);
        value.push_str("=:");
        STANDARD.encode_string(signature, &mut value);
        value.push(':');
        let mut input =
            String::with_capacity(label.len().saturating_add(text.len()).saturating_add(1));
        input.push_str(&label);
        input.push('=');
        input.push_str(text);
        Ok(SignatureFields {
            label,
            input,
            signature: value,
        })
    }

    fn check(&self, algorithm: Option<Algorithm>) -> Result<Algorithm, Error> {
        let algorithm = algorithm.ok_or(Error::AlgorithmNone)?;
        if let Some(alg) = self.alg.filter(|alg| *alg != algorithm) {
            return Err(Error::Algorithm {
                found: shown([alg.name()]),
                expected: shown([algorithm.name()]),
            });
        }
        Ok(algorithm)
    }
}

/// The two fields of a signature.
#[derive(Clone, Debug)]
#[must_use = "nothing is added to the message until `apply` is called"]
pub struct SignatureFields {
    label: Cow<'static, str>,
    input: String,
    signature: String,
}

impl SignatureFields {
    /// Returns the member of `Signature-Input`, such as `sig1=("@method");created=1618884473`.
    #[must_use]
    pub fn signature_input(&self) -> &str {
        &self.input
    }

    /// Returns the member of `Signature`, such as `sig1=:…:`.
    #[must_use]
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// Adds a line of each field to headers or trailers. Existing signatures stay.
    ///
    /// # Errors
    ///
    /// `sig.label_taken` if an existing signature has the same label; `sig.syntax` if the existing
    /// fields are malformed; `sig.limit` if they exceed [`Limits::default`], whatever limits the
    /// signature was made with; `sig.headers_full` if the map has no room. On an error no field is
    /// added.
    pub fn apply(self, headers: &mut HeaderMap) -> Result<(), Error> {
        static INPUT: HeaderName = HeaderName::from_static("signature-input");
        static SIGNATURE: HeaderName = HeaderName::from_static("signature");
        for (name, field) in [(&INPUT, "signature-input"), (&SIGNATURE, "signature")] {
            if headers.contains_key(name) {
                check_label(headers, field, &self.label)?;
            }
        }
        let value = |text: String| {
            HeaderValue::try_from(text).map_err(|_bytes| Error::Prepare {
                reason: "the label or a parameter is no field value",
            })
        };
        let (input, signature) = (value(self.input)?, value(self.signature)?);
        headers.try_reserve(2).map_err(|_full| Error::HeadersFull)?;
        headers
            .try_append(&INPUT, input)
            .map_err(|_full| Error::HeadersFull)?;
        headers
            .try_append(&SIGNATURE, signature)
            .map_err(|_full| Error::HeadersFull)?;
        Ok(())
    }
}

/// Checks that no existing signature has this label.
fn check_label(headers: &HeaderMap, field: &'static str, label: &str) -> Result<(), Error> {
    let limits = Limits::default();
    for line in lines(&Headers(headers), Section::Headers, field, &limits)? {
        members(&line, field, |other, cursor| {
            if other == label {
                return Err(Error::LabelTaken);
            }
            if field == "signature" {
                sf::bytes(cursor).map(|_signature| ())
            } else {
                crate::received::identifiers(cursor, field, &limits)?;
                loop {
                    match cursor.parameter() {
                        Ok(Some(_)) => {}
                        end => break end.map(|_none| ()),
                    }
                }
            }
            .map_err(syntax(field))
        })?;
    }
    Ok(())
}

struct Headers<'a>(&'a HeaderMap);

impl Message for Headers<'_> {
    fn start(&self) -> Start<'_> {
        Start::Response { status: 0 }
    }

    fn lines<'m>(&'m self, _section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        self.0
            .get_all(name)
            .iter()
            .for_each(|value| each(value.as_bytes()));
    }
}
