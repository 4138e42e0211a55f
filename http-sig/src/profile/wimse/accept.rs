//! `Accept-Signature`: states a preference, which obliges nobody.

use super::{LABEL, TAG, revision};
use crate::{Component, Error, Limits, Message, SignatureRequest, Start};

/// What a server sends in a response, so that the next requests are signed: every component of
/// [`RequestSigning`](super::RequestSigning).
#[must_use]
pub fn wanted_request_signature() -> SignatureRequest {
    wanted(revision::all_of_request())
}

/// What a client sends in a request, so that the response is signed where the server likes to:
/// every component of [`ResponseSigning`](super::ResponseSigning). To insist, it
/// [asks](super::RequestSigning::asking_for_signed_response).
#[must_use]
pub fn wanted_response_signature() -> SignatureRequest {
    wanted(revision::all_of_response())
}

fn wanted(components: Vec<Component>) -> SignatureRequest {
    SignatureRequest::new(LABEL)
        .covering(components)
        .with_created()
        .with_expires()
        .with_tag(TAG)
}

/// Whether the message wants a signature of this profile: of its response where it is a request, of
/// the next request where it is a response.
///
/// What is signed then is what the profile signs, and nothing that a peer chose (RFC 9421 §8.3).
/// Wishes of other purposes are passed over.
///
/// # Errors
///
/// `sig.not_offered` where the wish is of this profile and goes beyond it: another component, or a
/// parameter that the profile does not have or whose value is the signer's. `sig.syntax` and the
/// others of [`SignatureRequest::of`].
pub fn is_signature_wanted(message: &dyn Message, limits: &Limits) -> Result<bool, Error> {
    let allowed = match message.start() {
        Start::Request { .. } => revision::all_of_response(),
        Start::Response { .. } => revision::all_of_request(),
    };
    let mut found = false;
    for wish in SignatureRequest::of(message, limits)? {
        let tag = wish.parameter("tag").and_then(|tag| tag.text());
        if tag.as_deref() != Some(TAG) {
            continue;
        }
        let plain = |(name, _): (&str, _)| ["created", "expires", "tag"].contains(&name);
        let within = |all: Vec<Component>| all.iter().all(|one| allowed.contains(one));
        let fits = wish.components().is_ok_and(within);
        if !fits || !wish.parameters().all(plain) {
            return Err(Error::NotOffered);
        }
        found = true;
    }
    Ok(found)
}
