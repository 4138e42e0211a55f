//! The job `verify`.

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::RequestPolicy;
use aims_http_sig::{Algorithm, Algorithms, Component, Keys, Policy, Section};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::provider;
use aims_replay::ReplayCache;

use crate::Failure;
use crate::job::Job;

/// Verifies the signature with the label, and the content if its digest is covered.
pub(crate) fn run(job: &Job) -> Result<(), Failure> {
    let messages = job.messages()?;
    let read = messages.read()?;
    if let Some(audience) = &job.audience {
        let policy = RequestPolicy::for_audiences([audience])?;
        let verified = policy.verify(read.request(), job.key()?.verifying_key(), job.now()?)?;
        let seen = ReplayCache::in_memory(1);
        let verified = verified.spend(&seen, "wimse://example.org/agent", job.now()?)?;
        verified.check_body(read.content())?;
        return Ok(());
    }
    let (algorithm, required) = (job.algorithm()?, job.components()?);
    let covers_content = required.iter().any(is_digest);
    let policy = Policy::requiring(required)
        .with_label(&job.label)
        .with_any_tag()
        .with_algorithms(Algorithms::of(&[algorithm]));
    let verified = policy.verify(&read.exchange(), &*keys(job, algorithm)?, job.now()?)?;
    // Replays are accepted, because the matrix shows each message to several verifiers.
    drop(verified.accept_replays());
    if covers_content {
        ContentDigest::from_message(read.carrier(), Section::Headers)?.verify(read.content())?;
    }
    Ok(())
}

/// Returns whether the component is the digest of the message itself, whole or in part.
fn is_digest(component: &Component) -> bool {
    component.id().name() == ContentDigest::FIELD && !component.id().is_of_request()
}

/// Returns the one key of the job, under its `keyid`.
fn keys(job: &Job, algorithm: Algorithm) -> Result<Box<dyn Keys>, Failure> {
    if algorithm == Algorithm::HmacSha256 {
        return Ok(Box::new(job.shared_key()?));
    }
    let set = format!(r#"{{"keys":[{}]}}"#, job.key()?.public_jwk().to_json());
    let set = JwkSet::parse(set.as_bytes(), &SetRules::oauth(), provider::default())?;
    Ok(Box::new(set))
}
