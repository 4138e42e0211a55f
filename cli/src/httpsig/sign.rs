//! `aims httpsig sign` and `aims httpsig base`.

use std::sync::Arc;
use std::time::Duration;

use aims_http_sig::digest::{Algorithm as DigestAlgorithm, ContentDigest};
use aims_http_sig::profile::web_bot_auth;
use aims_http_sig::{
    Algorithm, Limits, Message, PreparedSignature, ReceivedFields, Section, SharedKey,
    SignatureFields, Signing,
};
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::hint;
use super::keys;
use super::message::{Files, Pair, lines};
use super::workload;
use crate::args::{Digest, Sign, SignatureProfile};
use crate::failure::Failure;
use crate::input::Inputs;
use crate::time::now;

/// The signing key.
pub(super) enum Own {
    Private(Arc<SigningKey>),
    Shared(SharedKey),
}

pub(super) fn sign(sign: &Sign, inputs: &mut Inputs) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let Some(own) = own(sign, inputs)? else {
        return Err(Failure::Usage("`--key` or `--shared-key` is needed"));
    };
    let mut files = Files::read(&sign.messages, inputs)?;
    let prepared = prepared(sign, Some(&own), &mut files, inputs)?;
    let fields = match &own {
        Own::Private(key) => prepared.sign(key.as_ref())?,
        Own::Shared(key) => prepared.sign_with_shared_key(key)?,
    };
    let (input, signature) = checked(files.parse()?.message(), fields)?;
    files.add(&[("Signature-Input", &input), ("Signature", &signature)]);
    Ok(files.into_bytes())
}

pub(super) fn base(sign: &Sign, inputs: &mut Inputs) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut files = Files::read(&sign.messages, inputs)?;
    let of_existing = sign.cover.is_empty() && !sign.allow_nothing_covered;
    if sign.profile == SignatureProfile::None && of_existing {
        return existing(sign.label.as_deref(), &files.parse()?);
    }
    let own = own(sign, inputs)?;
    let prepared = prepared(sign, own.as_ref(), &mut files, inputs)?;
    Ok(Zeroizing::new(prepared.base().as_bytes().to_vec()))
}

/// Returns the base of the signature with this label, or of the only one.
fn existing(label: Option<&str>, pair: &Pair<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let limits = Limits::default();
    let fields = ReceivedFields::of(pair.message(), Section::Headers, &limits)?;
    let signatures = fields.signatures(&limits)?;
    let mut fitting = signatures
        .iter()
        .filter(|one| label.is_none_or(|label| label == one.label()));
    let signature = match (fitting.next(), fitting.next()) {
        (Some(signature), None) => signature,
        (Some(_), Some(_)) => return Err(aims_http_sig::Error::SignatureAmbiguous.into()),
        (None, _) => {
            // Labels are keys of a structured field, so they need no escaping.
            let labels: Vec<&str> = signatures.iter().map(|one| one.label()).take(8).collect();
            let found = labels.join(", ").into();
            return Err(aims_http_sig::Error::SignatureMissing { found }.into());
        }
    };
    let base = signature.base(&pair.exchange(), &limits)?;
    Ok(Zeroizing::new(base.as_bytes().to_vec()))
}

fn own(sign: &Sign, inputs: &mut Inputs) -> Result<Option<Own>, Failure> {
    if let Some(path) = &sign.shared_key {
        return Ok(Some(Own::Shared(keys::shared(path, inputs)?)));
    }
    let Some(path) = &sign.key else {
        return Ok(None);
    };
    let key = crate::key::private(path, sign.pem_alg, inputs)?;
    Ok(Some(Own::Private(Arc::new(key))))
}

/// Adds the fields to cover, and returns the signature base.
fn prepared(
    sign: &Sign,
    own: Option<&Own>,
    files: &mut Files,
    inputs: &mut Inputs,
) -> Result<PreparedSignature, Failure> {
    check_options(sign)?;
    let now = now(sign.created);
    add_digest(sign, files)?;
    match sign.profile {
        SignatureProfile::None => plain(sign, own, &files.parse()?, now),
        SignatureProfile::WebBotAuth => bot(sign, own, files, now),
        SignatureProfile::Wimse => workload::prepared(sign, own, files, inputs, now),
    }
}

/// Refuses an option that would have no effect, because the user relies on it.
fn check_options(sign: &Sign) -> Result<(), Failure> {
    let sender = &sign.sender;
    let trusts = !sender.origins.is_empty() || !sender.keys.is_empty() || sender.wit_key.is_some();
    let of_wimse =
        trusts || sender.audience.is_some() || sign.wit.is_some() || sign.ask_signed_response;
    let named = sign.keyid.is_some() || sign.tag.is_some() || sign.alg;
    let own = named || sign.label.is_some() || sign.nonce.is_some() || !sign.cover.is_empty();
    // A component of the request does not count as a part of the response. Signing refuses such a
    // component for a request.
    let is_response = sign.messages.response.is_some();
    let covers = sign
        .cover
        .iter()
        .any(|component| !(is_response && component.id().is_of_request()));
    let reason = match sign.profile {
        SignatureProfile::None if !covers && !sign.allow_nothing_covered => {
            "what is to be covered is said by `--cover`; a signature that covers nothing of the message, or of a response nothing but what it answers, says nothing of it, and needs `--allow-nothing-covered`"
        }
        SignatureProfile::None if covers && sign.allow_nothing_covered => {
            "`--allow-nothing-covered` is for a signature that covers nothing, and `--cover` says what is covered"
        }
        SignatureProfile::WebBotAuth | SignatureProfile::Wimse if sign.allow_nothing_covered => {
            "`--allow-nothing-covered` is of no profile: each covers something"
        }
        SignatureProfile::None if of_wimse || sender.directory.is_some() => {
            "`--wit`, `--audience`, `--directory` and the like are of a profile"
        }
        SignatureProfile::WebBotAuth
            if of_wimse
                || named
                || sign.shared_key.is_some()
                || sign.messages.response.is_some() =>
        {
            "`--profile web-bot-auth` signs requests by a private key, and says itself whose it is and what for"
        }
        SignatureProfile::Wimse
            if own || sign.shared_key.is_some() || sender.directory.is_some() =>
        {
            "`--profile wimse` says itself what is covered, and which parameters there are"
        }
        SignatureProfile::Wimse if sign.messages.response.is_some() && sign.ask_signed_response => {
            "`--ask-signed-response` is of a request"
        }
        SignatureProfile::Wimse if sign.messages.response.is_none() && trusts => {
            "whose keys are trusted is asked where a response is signed"
        }
        _ => return Ok(()),
    };
    Err(Failure::Usage(reason))
}

/// Adds the requested digest, or checks the existing one.
fn add_digest(sign: &Sign, files: &mut Files) -> Result<(), Failure> {
    let pair = files.parse()?;
    let there = !lines(pair.message(), ContentDigest::FIELD).is_empty();
    let default = (sign.profile == SignatureProfile::Wimse && !pair.content().is_empty())
        .then_some(Digest::Sha256);
    let Some(algorithm) = sign.digest.or(default) else {
        return Ok(());
    };
    if there {
        let digest = ContentDigest::from_message(pair.message(), Section::Headers)?;
        digest.verify(pair.content())?;
        return Ok(());
    }
    let algorithm = match algorithm {
        Digest::Sha256 => DigestAlgorithm::Sha256,
        Digest::Sha512 => DigestAlgorithm::Sha512,
    };
    let value = ContentDigest::with(&[algorithm], pair.content()).to_string();
    files.add(&[("Content-Digest", &value)]);
    Ok(())
}

/// Returns the lifetime of the signature.
pub(super) fn lifetime(sign: &Sign, now: UnixTime) -> Result<Option<Duration>, Failure> {
    let Some(expires) = sign.expires else {
        return Ok(None);
    };
    let seconds = expires.checked_sub(now.as_secs());
    let seconds = seconds.ok_or(Failure::Usage("`--expires` is before the time of signing"))?;
    Ok(Some(Duration::from_secs(seconds)))
}

fn plain(
    sign: &Sign,
    own: Option<&Own>,
    pair: &Pair<'_>,
    now: UnixTime,
) -> Result<PreparedSignature, Failure> {
    let mut signing = Signing::new(sign.label.as_deref().unwrap_or("sig1"))
        .covering(sign.cover.iter().cloned())
        .with_created();
    if let Some(lifetime) = lifetime(sign, now)? {
        signing = signing.with_expires_after(lifetime);
    }
    if let Some(nonce) = &sign.nonce {
        signing = signing.with_nonce(nonce);
    }
    if sign.alg {
        let algorithm = match own {
            Some(Own::Private(key)) => Algorithm::of_jws(key.algorithm()),
            Some(Own::Shared(_)) => Some(Algorithm::HmacSha256),
            None => {
                return Err(Failure::Usage(
                    "`--alg` is that of a key: `--key` is needed",
                ));
            }
        };
        signing = signing.with_alg(algorithm.ok_or(aims_http_sig::Error::AlgorithmNone)?);
    }
    if let Some(id) = &sign.keyid {
        signing = signing.with_key_id(id);
    }
    if let Some(tag) = &sign.tag {
        signing = signing.with_tag(tag);
    }
    signing
        .prepare(&pair.exchange(), SYSTEM, now)
        .map_err(|error| hint::component(error, sign.digest.is_none()))
}

fn bot(
    sign: &Sign,
    own: Option<&Own>,
    files: &mut Files,
    now: UnixTime,
) -> Result<PreparedSignature, Failure> {
    let (Some(Own::Private(key)), Some(url)) = (own, &sign.sender.directory) else {
        return Err(Failure::Usage(
            "`--profile web-bot-auth` needs `--key`, and `--directory`, where it is published",
        ));
    };
    let agent = keys::agent(url)?;
    let mut signing = web_bot_auth::RequestSigning::new(agent, key.verifying_key())?
        .covering(sign.cover.iter().cloned());
    if let Some(label) = &sign.label {
        signing = signing.with_label(label);
    }
    if let Some(nonce) = &sign.nonce {
        signing = signing.with_nonce(nonce);
    }
    if let Some(lifetime) = lifetime(sign, now)? {
        signing = signing.with_lifetime(lifetime);
    }
    if lines(&files.parse()?.request, "signature-agent").is_empty() {
        files.add(&[("Signature-Agent", &signing.signature_agent())]);
    }
    signing
        .prepare(&files.parse()?.request, SYSTEM, now)
        .map_err(|error| hint::component(error, sign.digest.is_none()))
}

/// Returns the two members, if no existing signature has their label.
fn checked(message: &dyn Message, fields: SignatureFields) -> Result<(String, String), Failure> {
    let mut headers = HeaderMap::new();
    for name in ["signature-input", "signature"] {
        for line in lines(message, name) {
            let value = HeaderValue::from_bytes(line);
            let value = value.or(Err(aims_http_sig::Error::Syntax { field: name }))?;
            headers.append(name, value);
        }
    }
    let added = (
        fields.signature_input().to_owned(),
        fields.signature().to_owned(),
    );
    fields.apply(&mut headers)?;
    Ok(added)
}
