//! Compares the content of messages with the digest that a signature covers.

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::{ComponentId, Section, VerifiedSignature};

use super::answer::Content;
use super::message::Pair;

/// Compares each content whose digest is covered. Returns whether that of the message is one.
pub(super) fn compare(
    pair: &Pair<'_>,
    signature: &VerifiedSignature,
) -> Result<Content, aims_http_sig::Error> {
    let mut content = match pair.content() {
        [] => Content::Empty,
        _ => Content::NotCovered,
    };
    for (id, value) in signature.components() {
        if id.name() != ContentDigest::FIELD {
            continue;
        }
        let digest = covered(pair, &id, value)?;
        if id.is_of_request() {
            digest.verify(pair.request.content())?;
        } else {
            digest.verify(pair.content())?;
            content = Content::Covered;
        }
    }
    Ok(content)
}

/// Returns the digests that a component covers: a component for one member covers only that member.
fn covered(
    pair: &Pair<'_>,
    id: &ComponentId<'_>,
    value: &str,
) -> Result<ContentDigest, aims_http_sig::Error> {
    if let Some(key) = id.key() {
        return ContentDigest::parse([format!("{key}={value}").as_bytes()]);
    }
    if !id.is_binary() {
        return ContentDigest::parse([value.as_bytes()]);
    }
    let section = if id.is_of_trailers() {
        Section::Trailers
    } else {
        Section::Headers
    };
    if id.is_of_request() {
        ContentDigest::from_message(&pair.request, section)
    } else {
        ContentDigest::from_message(pair.message(), section)
    }
}
