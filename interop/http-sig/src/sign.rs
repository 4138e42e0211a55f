//! The job `sign`.

use std::time::Duration;

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::{Content, RequestSigning};
use aims_http_sig::{Algorithm, Section, SignatureFields, Signing};
use aims_jose::random;
use aims_jose::time::UnixTime;
use serde_json::Value;

use crate::Failure;
use crate::job::Job;

/// Writes the signed message.
pub(crate) fn run(job: &Job) -> Result<(), Failure> {
    let messages = job.messages()?;
    let read = messages.read()?;
    let prepared = match &job.audience {
        Some(audience) => {
            let digest = ContentDigest::from_message(read.carrier(), Section::Headers)?;
            let content = Content::Digest(&digest);
            let signing = RequestSigning::to(audience)?;
            let (prepared, _) =
                signing.prepare(read.request(), content, random::SYSTEM, job.now()?)?;
            prepared
        }
        None => {
            let (signing, created) = signing(job)?;
            signing.prepare(&read.exchange(), random::SYSTEM, created)?
        }
    };
    let fields = match job.algorithm()? {
        Algorithm::HmacSha256 => prepared.sign_with_shared_key(&job.shared_key()?)?,
        _ => prepared.sign(&job.key()?)?,
    };
    let out = job.out.as_ref().ok_or("no file for the signed message")?;
    std::fs::write(out, with(messages.carrier(), &fields)?)?;
    Ok(())
}

/// Returns what to sign, and the time of signing.
fn signing(job: &Job) -> Result<(Signing, UnixTime), Failure> {
    let mut signing = Signing::new(&job.label).covering(job.components()?);
    let number = |name: &str| job.parameters.get(name).and_then(Value::as_u64);
    let created = number("created").map_or_else(
        || job.now(),
        |seconds| Ok(UnixTime::since_unix_epoch(Duration::from_secs(seconds))),
    )?;
    for (name, value) in &job.parameters {
        signing = match (name.as_str(), value) {
            ("created", Value::Number(_)) => signing.with_created(),
            ("expires", Value::Number(_)) => {
                let after = number("expires").and_then(|it| it.checked_sub(created.as_secs()));
                let after = after.ok_or("`expires` is before `created`")?;
                signing.with_expires_after(Duration::from_secs(after))
            }
            ("nonce", Value::String(text)) => signing.with_nonce(text),
            ("tag", Value::String(text)) => signing.with_tag(text),
            _ => return Err("a parameter that the driver does not know".into()),
        };
    }
    if let Some(keyid) = &job.keyid {
        signing = signing.with_key_id(keyid);
    }
    if job.alg {
        signing = signing.with_alg(job.algorithm()?);
    }
    Ok((signing, created))
}

/// Returns the message with one more line of each field, which adds a member to each dictionary.
fn with(message: &[u8], fields: &SignatureFields) -> Result<String, Failure> {
    let message = str::from_utf8(message)?;
    let (head, content) = message.split_once("\r\n\r\n").ok_or("no end of the head")?;
    let (input, signature) = (fields.signature_input(), fields.signature());
    Ok(format!(
        "{head}\r\nSignature-Input: {input}\r\nSignature: {signature}\r\n\r\n{content}"
    ))
}
