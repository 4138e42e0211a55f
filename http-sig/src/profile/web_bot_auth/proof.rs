//! The signatures of a directory (draft appendix "Possession Proof on the Directory Response"):
//! each key shows that whoever serves it holds it, for this authority.

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

/// How the answers of a directory are signed: `@authority` of the request and `content-digest`,
/// with `created`, `expires`, `keyid` and `tag`.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct DirectorySigning {
    lifetime: Duration,
}

impl DirectorySigning {
    /// Signatures that live that long, in whole seconds; longer than what republishes the document
    /// keeps it.
    pub const fn for_lifetime(lifetime: Duration) -> Self {
        Self { lifetime }
    }

    /// Makes the signature base for one key of the document; each key signs with a label of its
    /// own. `Content-Digest` is there already.
    ///
    /// # Errors
    ///
    /// `sig.component_absent` without `Content-Digest`, `sig.prepare` where the lifetime is less
    /// than a second, those of [`Signing::prepare`].
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
            // Without a nonce nothing is drawn.
            .prepare(&Exchange::of(response).answering(request), SYSTEM, now)
    }
}

fn covered() -> Result<[Component; 2], Error> {
    Ok([
        Component::AUTHORITY.of_request()?,
        Component::field(ContentDigest::FIELD)?,
    ])
}

/// The keys of a directory that have signed the response it came in, to this request. What is wrong
/// with one signature costs the key that it is of.
///
/// # Errors
///
/// `digest.…` where `Content-Digest` is missing or not that of the body, `sig.directory_unproven`
/// where no signature is there, and what is wrong with the first where none is good.
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
        // How old it may be is said by `expires` alone.
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
