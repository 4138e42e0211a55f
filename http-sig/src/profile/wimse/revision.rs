//! What a revision of draft-ietf-wimse-http-signature changes: the components that are covered, and
//! the problem types of refusals. This is -07 (20 September 2026).
//!
//! Two things are of -08, which is known here at second hand alone, from the published crate
//! `wimsey-httpsig` 0.9.0: what a `CONNECT` covers, and the problem types.

use super::has;
use crate::component::Derived;
use crate::verify::DIGEST;
use crate::{Component, ComponentId, Error, Message, Start, VerifiedSignature};

macro_rules! field {
    ($name:literal) => {
        ComponentId::plain_field(concat!("\"", $name, "\""), $name)
    };
}

macro_rules! of_request {
    ($name:literal, $kind:ident) => {
        ComponentId::of_request(concat!("\"", $name, "\";req"), $name, Derived::$kind)
    };
}

pub(super) const TOKEN_FIELD: ComponentId<'static> = field!("workload-identity-token");

/// `Content-Encoding` is in no list of the draft. It is covered where it is present, because
/// `Content-Digest` is over the coded bytes: whoever adds the field would change what they mean.
pub(super) const CONTENT_ENCODING: ComponentId<'static> = field!("content-encoding");

/// What is covered of a request where it is present.
pub(super) const REQUEST_FIELDS: &[ComponentId<'static>] = &[
    field!("content-type"),
    DIGEST,
    field!("authorization"),
    field!("txn-token"),
    CONTENT_ENCODING,
];

/// What is covered of a response where it is present.
pub(super) const RESPONSE_FIELDS: &[ComponentId<'static>] =
    &[field!("content-type"), DIGEST, CONTENT_ENCODING];

/// What every request covers, in the order in which it is signed. `@authority` is left out, because
/// proxies rewrite it; `wimse-aud` names the receiver. `@query` of a request without a query is
/// `?`.
pub(super) const REQUEST: [Component; 4] = [
    Component::METHOD,
    Component::PATH,
    Component::QUERY,
    Component::fixed(TOKEN_FIELD),
];

/// What every `CONNECT` covers: its target is an authority, without path and query (-08).
pub(super) const CONNECT: [Component; 3] = [
    Component::METHOD,
    Component::AUTHORITY,
    Component::fixed(TOKEN_FIELD),
];

const TARGET_OF_REQUEST: &[ComponentId<'static>] =
    &[of_request!("@path", Path), of_request!("@query", Query)];
const CONNECT_TARGET_OF_REQUEST: &[ComponentId<'static>] = &[of_request!("@authority", Authority)];

const METHOD_OF_REQUEST: ComponentId<'static> = of_request!("@method", Method);

/// `type` of the RFC 9457 problem (status 400) for a signed request of which any check failed (-08,
/// at second hand).
pub const PROBLEM_SIGNATURE_INVALID: &str =
    "https://iana.org/assignments/http-problem-types#wimse-signature-invalid";

/// `type` of the RFC 9457 problem (status 501) of a server that was asked for a signed response and
/// signs none (-08, at second hand).
pub const PROBLEM_SIGNED_RESPONSE_UNSUPPORTED: &str =
    "https://iana.org/assignments/http-problem-types#wimse-signed-response-unsupported";

/// `type` of the RFC 9457 problem for this error: one for every failed check of a signed request,
/// one where a signed response was asked for and cannot be given. None for an error that is no
/// fault of the request.
///
/// Both are of draft-ietf-wimse-http-signature-08, which is known at second hand alone.
#[must_use]
pub fn problem_type(error: &Error) -> Option<&'static str> {
    match super::status(error).as_u16() {
        400 => Some(PROBLEM_SIGNATURE_INVALID),
        501 => Some(PROBLEM_SIGNED_RESPONSE_UNSUPPORTED),
        _ => None,
    }
}

pub(super) fn is_connect(request: &dyn Message) -> bool {
    matches!(
        request.start(),
        Start::Request {
            method: "CONNECT",
            ..
        }
    )
}

/// What this request covers.
pub(super) fn request(request: &dyn Message) -> &'static [Component] {
    const USUAL: &[Component] = &REQUEST;
    const TO_CONNECT: &[Component] = &CONNECT;
    if is_connect(request) {
        TO_CONNECT
    } else {
        USUAL
    }
}

/// What every response covers of itself, in the order in which it is signed.
pub(super) const RESPONSE: [ComponentId<'static>; 2] = [Component::STATUS_ID, TOKEN_FIELD];

/// What every response covers of the request that it answers.
pub(super) fn answered(
    request: Option<&dyn Message>,
) -> impl Iterator<Item = ComponentId<'static>> + use<> {
    let target = match request {
        Some(request) if is_connect(request) => CONNECT_TARGET_OF_REQUEST,
        _ => TARGET_OF_REQUEST,
    };
    std::iter::once(METHOD_OF_REQUEST).chain(target.iter().copied())
}

/// Every component that a wish for a signed request may name.
pub(super) fn all_of_request() -> Vec<Component> {
    let fields = REQUEST_FIELDS.iter().map(|id| Component::fixed(*id));
    REQUEST.into_iter().chain(fields).collect()
}

/// Every component that a wish for a signed response may name.
pub(super) fn all_of_response() -> Vec<Component> {
    RESPONSE
        .into_iter()
        .chain(RESPONSE_FIELDS.iter().copied())
        .chain(answered(None))
        .map(Component::fixed)
        .collect()
}

/// Whether a receiver accepts a `Content-Encoding` that the signature does not cover.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ContentEncoding {
    Covered,
    Uncovered,
}

/// Refuses a message with a field that must be covered where it is present, and is not.
pub(super) fn check_present(
    message: &dyn Message,
    signature: &VerifiedSignature,
    fields: &[ComponentId<'_>],
    encoding: ContentEncoding,
) -> Result<(), Error> {
    for field in fields {
        let exempt = encoding == ContentEncoding::Uncovered && *field == CONTENT_ENCODING;
        if !exempt && !signature.base().covers(*field) && has(message, field.name()) {
            return Err(Error::ComponentRequired {
                component: field.as_str().to_owned(),
            });
        }
    }
    Ok(())
}
