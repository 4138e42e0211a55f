//! `Accept-Signature`: states a preference that the peer may ignore.

use super::{LABEL, TAG, revision};
use crate::{Component, Error, Limits, Message, SignatureRequest, Start};

/// Returns the value that a server sends in a response to ask for signed requests. It names every
/// component of [`RequestSigning`](super::RequestSigning).
#[must_use]
pub fn wanted_request_signature() -> SignatureRequest {
    wanted(revision::all_of_request())
}

/// Returns the value that a client sends in a request to prefer a signed response. It names every
/// component of [`ResponseSigning`](super::ResponseSigning).
///
/// To require a signed response, use
/// [`asking_for_signed_response`](super::RequestSigning::asking_for_signed_response).
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

/// Returns whether the message asks for a signature of this profile. A request asks for a signed
/// response; a response asks for a signed next request.
///
/// The signer always signs the components of the profile, and not a list that the peer chose (RFC
/// 9421 §8.3). Requests for signatures of other purposes are ignored.
///
/// # Errors
///
/// `sig.not_offered` if the request is for this profile and exceeds it: another component, a
/// parameter that the profile does not have, or a value that the signer chooses. `sig.syntax` and
/// the other errors of [`SignatureRequest::of`].
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
