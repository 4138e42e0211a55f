//! The signatures of a directory (draft appendix "Possession Proof on the Directory Response").
//! Each key proves that the server of the directory holds it, for this authority.

use std::time::Duration;

use aims_jose::jwk::Thumbprint;
use aims_jose::key::VerifyingKey;
use aims_jose::random::SYSTEM;
use aims_jose::time::{Skew, UnixTime};

use super::{DIRECTORY_TAG, Directory};
use crate::digest::ContentDigest;
use crate::{
    Component, Error, Exchange, Limits, Message, Policy, PreparedSignature, ReceivedFields,
    Section, Signing,
};

/// Settings for signing the responses of a directory.
///
/// The signature covers `@authority` of the request and `content-digest`. Its parameters are
/// `created`, `expires`, `keyid` and `tag`.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct DirectorySigning {
    lifetime: Duration,
}

impl DirectorySigning {
    /// Creates settings for signatures with this lifetime, in whole seconds. Choose more than the
    /// time for which clients cache the document.
    pub const fn for_lifetime(lifetime: Duration) -> Self {
        Self { lifetime }
    }

    /// Prepares the signature of one key of the document. Each key signs under its own label. The
    /// response must already have `Content-Digest`.
    ///
    /// # Errors
    ///
    /// `sig.component_absent` without `Content-Digest`; `sig.prepare` if the lifetime is less than
    /// a second; the errors of [`Signing::prepare`].
    pub fn prepare(
        &self,
        label: &str,
        key: &VerifyingKey,
        response: &dyn Message,
        request: &dyn Message,
        now: UnixTime,
    ) -> Result<PreparedSignature, Error> {
        let [authority, digest] = covered()?;
        Signing::new(label)
            .covering([authority, digest])
            .with_created()
            .with_expires_after(self.lifetime)
            .with_key_id(&key.thumbprint().to_string())
            .with_tag(DIRECTORY_TAG)
            // Without a nonce, no random bytes are needed.
            .prepare(&Exchange::of(response).answering(request), SYSTEM, now)
    }
}

fn covered() -> Result<[Component; 2], Error> {
    Ok([
        Component::AUTHORITY.of_request()?,
        Component::field(ContentDigest::FIELD)?,
    ])
}

/// Returns the keys of a directory that signed its response to this request.
///
/// An invalid signature excludes its own key only.
///
/// # Errors
///
/// `digest.…` if `Content-Digest` is missing or does not match the body; `sig.directory_unproven`
/// if there is no signature; the error of the first signature if none is valid.
pub fn proven(
    directory: &Directory,
    response: &dyn Message,
    request: &dyn Message,
    body: &[u8],
    skew: Skew,
    now: UnixTime,
) -> Result<Directory, Error> {
    let limits = Limits::default();
    let fields = match ReceivedFields::of(response, Section::Headers, &limits) {
        Err(Error::SignatureMissing { .. }) => return Err(Error::DirectoryUnproven),
        other => other?,
    };
    let _matched = ContentDigest::from_message(response, Section::Headers)?.verify(body)?;
    let exchange = Exchange::of(response).answering(request);
    let mut proven: Vec<Thumbprint> = Vec::new();
    let mut first = None;
    for signature in fields.signatures(&limits)? {
        if signature.parameters().tag().as_deref() != Some(DIRECTORY_TAG) {
            continue;
        }
        // Only `expires` limits the age.
        let policy = Policy::requiring(covered()?)
            .with_label(signature.label())
            .with_tag(DIRECTORY_TAG)
            .requiring_parameters(["expires", "keyid"])
            .with_max_age(Duration::from_secs(u64::MAX))
            .with_skew(skew);
        match policy.verify(&exchange, directory, now) {
            Ok(verified) => {
                if let crate::Key::Public(key) = verified.accept_replays().key() {
                    proven.push(*key.thumbprint());
                }
            }
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    if proven.is_empty() {
        return Err(first.unwrap_or(Error::DirectoryUnproven));
    }
    let keys = directory.keys().iter();
    let keys = keys.filter(|key| proven.contains(key.thumbprint()));
    Ok(Directory::of(keys.cloned().collect()))
}
