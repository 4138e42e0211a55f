//! Values that depend on the revision of draft-ietf-wimse-http-signature: the covered components,
//! and the problem types of refusals. This is -07 (20 September 2026).
//!
//! Two values are of -08, as the published crate `wimsey-httpsig` 0.9.0 has them: the components of
//! a `CONNECT`, and the problem types.

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

/// The draft does not list `Content-Encoding`. This crate covers it if it is present, because
/// `Content-Digest` is over the encoded bytes: an attacker who adds the field would change their
/// meaning.
pub(super) const CONTENT_ENCODING: ComponentId<'static> = field!("content-encoding");

/// The fields of a request that are covered if present.
pub(super) const REQUEST_FIELDS: &[ComponentId<'static>] = &[
    field!("content-type"),
    DIGEST,
    field!("authorization"),
    field!("txn-token"),
    CONTENT_ENCODING,
];

/// The fields of a response that are covered if present.
pub(super) const RESPONSE_FIELDS: &[ComponentId<'static>] =
    &[field!("content-type"), DIGEST, CONTENT_ENCODING];

/// The components that every request covers, in the order of signing. `@authority` is left out,
/// because proxies rewrite it; `wimse-aud` names the receiver. Without a query, `@query` is `?`.
pub(super) const REQUEST: [Component; 4] = [
    Component::METHOD,
    Component::PATH,
    Component::QUERY,
    Component::fixed(TOKEN_FIELD),
];

/// The components that every `CONNECT` covers. Its target is an authority, without path and query
/// (-08).
pub(super) const CONNECT: [Component; 3] = [
    Component::METHOD,
    Component::AUTHORITY,
    Component::fixed(TOKEN_FIELD),
];

const TARGET_OF_REQUEST: &[ComponentId<'static>] =
    &[of_request!("@path", Path), of_request!("@query", Query)];
const CONNECT_TARGET_OF_REQUEST: &[ComponentId<'static>] = &[of_request!("@authority", Authority)];

const METHOD_OF_REQUEST: ComponentId<'static> = of_request!("@method", Method);

/// The `type` of the RFC 9457 problem (status 400) for a signed request that failed a check (-08).
pub const PROBLEM_SIGNATURE_INVALID: &str =
    "https://iana.org/assignments/http-problem-types#wimse-signature-invalid";

/// The `type` of the RFC 9457 problem (status 501) of a server that was asked for a signed response
/// and cannot sign (-08).
pub const PROBLEM_SIGNED_RESPONSE_UNSUPPORTED: &str =
    "https://iana.org/assignments/http-problem-types#wimse-signed-response-unsupported";

/// Returns the `type` of the RFC 9457 problem for this error, or `None` if the request is not the
/// cause.
///
/// There are two types: one for every failed check of a signed request, and one if the client asked
/// for a signed response that the server cannot give. Both are of
/// draft-ietf-wimse-http-signature-08, as the published crate `wimsey-httpsig` 0.9.0 has them.
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

/// Returns the components that this request covers.
pub(super) fn request(request: &dyn Message) -> &'static [Component] {
    const USUAL: &[Component] = &REQUEST;
    const TO_CONNECT: &[Component] = &CONNECT;
    if is_connect(request) {
        TO_CONNECT
    } else {
        USUAL
    }
}

/// The components of itself that every response covers, in the order of signing.
pub(super) const RESPONSE: [ComponentId<'static>; 2] = [Component::STATUS_ID, TOKEN_FIELD];

/// Returns the components of the request that every response covers.
pub(super) fn answered(
    request: Option<&dyn Message>,
) -> impl Iterator<Item = ComponentId<'static>> + use<> {
    let target = match request {
        Some(request) if is_connect(request) => CONNECT_TARGET_OF_REQUEST,
        _ => TARGET_OF_REQUEST,
    };
    std::iter::once(METHOD_OF_REQUEST).chain(target.iter().copied())
}

/// Returns every component that a peer may name when it asks for a signed request.
pub(super) fn all_of_request() -> Vec<Component> {
    let fields = REQUEST_FIELDS.iter().map(|id| Component::fixed(*id));
    REQUEST.into_iter().chain(fields).collect()
}

/// Returns every component that a peer may name when it asks for a signed response.
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

/// Refuses a message with a field that must be covered if present, and is not covered.
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
