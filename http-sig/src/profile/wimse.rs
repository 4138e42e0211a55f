//! WIMSE workload-to-workload authentication by HTTP signatures
//! (draft-ietf-wimse-http-signature-06).
//!
//! The caller signs its request by the key of its workload identity token (WIT), and may ask the
//! called one to sign the response by its own. This module knows no WIT: whoever calls it has
//! validated the token before, and gives the key (SIG-06). What it holds is that
//! `workload-identity-token` is covered.
//!
//! ```
//! use aims_http_sig::digest::ContentDigest;
//! use aims_http_sig::profile::wimse::{Answer, Content, RequestPolicy, RequestSigning, ResponsePolicy, ResponseSigning};
//! use aims_http_sig::{HttpRequest, HttpResponse};
//! use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, random::SYSTEM, time::UnixTime};
//! use aims_replay::ReplayCache;
//! # let caller = SigningKey::generate(Algorithm::Ed25519, AWS_LC)?;
//! # let tool = SigningKey::generate(Algorithm::Ed25519, AWS_LC)?;
//!
//! let now = UnixTime::now();
//! // The caller signs, and asks for a signed response.
//! let body = br#"{"city":"Oslo"}"#;
//! let digest = ContentDigest::of(body);
//! let request = http::Request::post("https://tools.example/weather?units=si")
//!     .header("content-type", "application/json")
//!     .header("content-digest", digest.to_string())
//!     .header("workload-identity-token", "eyJ...");
//! let (mut sent, ()) = request.body(())?.into_parts();
//! let (prepared, pending) = RequestSigning::to("https://tools.example/weather")?
//!     .asking_for_signed_response()
//!     .prepare(&HttpRequest::to_send(&sent)?, Content::Digest(&digest), SYSTEM, now)?;
//! prepared.sign(&caller)?.apply(&mut sent.headers)?;
//!
//! // The tool verifies: the caller's key is that of the WIT, which it has validated.
//! let policy = RequestPolicy::for_audiences(["https://tools.example/weather"])?;
//! let seen = ReplayCache::in_memory(1000);
//! let message = HttpRequest::received(&sent, "https", "tools.example").with_target("/weather?units=si");
//! let verified = policy
//!     .verify(&message, caller.verifying_key(), now)?
//!     .spend(&seen, "wimse://example.org/caller", now)?
//!     .check_body(body)?;
//!
//! // It signs its response.
//! let weather = b"rain";
//! let digest = ContentDigest::of(weather);
//! let response = http::Response::builder().header("content-digest", digest.to_string()).header("workload-identity-token", "eyJ...");
//! let (mut answer, ()) = response.body(())?.into_parts();
//! ResponseSigning::new()
//!     .prepare(&HttpResponse::new(&answer), &message, &verified, Content::Digest(&digest), SYSTEM, now)?
//!     .sign(&tool)?
//!     .apply(&mut answer.headers)?;
//!
//! // And the caller knows that this is the answer to its request.
//! match pending.finish(&HttpResponse::new(&answer), &HttpRequest::to_send(&sent)?, Some(tool.verifying_key()), &ResponsePolicy::new(), now)? {
//!     Answer::Signed(head) => assert_eq!(head.check_body(weather)?.request_nonce(), verified.nonce()),
//!     Answer::Unsigned => unreachable!("it was asked for"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod answer;
mod content;
mod receive;
mod request;
mod response;
mod status;

pub use accept::{is_signature_wanted, wanted_request_signature, wanted_response_signature};
pub use answer::{Answer, ResponseHead, ResponsePolicy, VerifiedResponse};
pub use content::{Content, ContentCheck};
pub use receive::{RequestHead, RequestPolicy, UnspentRequest, VerifiedRequest};
pub use request::{Pending, RequestSigning};
pub use response::ResponseSigning;
pub use status::status;

use std::borrow::Cow;
use std::time::Duration;

use aims_jose::random::SecureRandom;
use aims_jose::time::{Skew, UnixTime};

use crate::component::Derived;
use crate::sf::unescape;
use crate::verify::DIGEST;
use crate::{BareItem, Error, Limits, Message, Parameters, ReceivedFields, Section};
use crate::{ComponentId, VerifiedSignature};

/// `tag` of every signature of this profile.
pub const TAG: &str = "wimse-workload-to-workload";
/// The label of every signature that is made here, and of those that are taken beside others
/// (SIG-07).
pub const LABEL: &str = "wimse";
/// The longest a signature may live, whatever is configured: 10 minutes (SIG-03 wants minutes).
pub const MAX_LIFETIME: Duration = Duration::from_secs(600);

const AUDIENCE: &str = "wimse-aud";
const SIGN_RESPONSE: &str = "wimse-sign-response";
const REQUEST_NONCE: &str = "wimse-req-nonce";

macro_rules! field {
    ($name:literal) => {
        ComponentId::plain_field(concat!("\"", $name, "\""), $name)
    };
}

const TOKEN_FIELD: ComponentId<'static> = field!("workload-identity-token");
const METHOD_OF_REQUEST: ComponentId<'static> =
    ComponentId::of_request("\"@method\";req", "@method", Derived::Method);
const TARGET_OF_REQUEST: ComponentId<'static> = ComponentId::of_request(
    "\"@request-target\";req",
    "@request-target",
    Derived::RequestTarget,
);
/// What is covered of a request where it is there (SIG-01).
const REQUEST_FIELDS: &[ComponentId<'static>] = &[
    field!("content-type"),
    DIGEST,
    field!("authorization"),
    field!("txn-token"),
];
/// What is covered of a response where it is there (SIG-02).
const RESPONSE_FIELDS: &[ComponentId<'static>] = &[field!("content-type"), DIGEST];

/// Whether a party wants the response signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a request asks or does not")]
pub enum SignedResponse {
    /// It must be.
    Asked,
    /// It may be.
    Unasked,
}

/// Whether the message has the field.
fn has(message: &dyn Message, field: &str) -> bool {
    let mut there = false;
    message.lines(Section::Headers, field, &mut |_line| there = true);
    there
}

/// What is there must be covered (SIG-01, SIG-02, T-060).
fn check_present(
    message: &dyn Message,
    signature: &VerifiedSignature,
    fields: &[ComponentId<'_>],
) -> Result<(), Error> {
    for field in fields {
        if !signature.base().covers(*field) && has(message, field.name()) {
            return Err(Error::ComponentRequired {
                component: field.as_str().to_owned(),
            });
        }
    }
    Ok(())
}

/// Beside other signatures, of whatever purpose, this one has its own label (SIG-07).
fn check_label(
    message: &dyn Message,
    signature: &VerifiedSignature,
    limits: &Limits,
) -> Result<(), Error> {
    if signature.label() == LABEL {
        return Ok(());
    }
    let fields = ReceivedFields::of(message, Section::Headers, limits)?;
    match fields.signatures(limits)?.len() {
        1 => Ok(()),
        _ => Err(Error::Label),
    }
}

/// `expires` is at most that far ahead (SIG-03).
fn check_lifetime(
    parameters: &Parameters<'_>,
    most: Duration,
    skew: Skew,
    now: UnixTime,
) -> Result<(), Error> {
    let end = now.as_secs().saturating_add(most.as_secs());
    match parameters.expires() {
        Some(expires) if !skew.is_future(expires, end) => Ok(()),
        Some(_) => Err(Error::Lifetime),
        None => Err(Error::ParameterRequired {
            parameter: "expires".to_owned(),
        }),
    }
}

/// A parameter that is a string, and not empty.
fn text<'a>(parameters: &Parameters<'a>, parameter: &'static str) -> Result<Cow<'a, str>, Error> {
    match parameters.named(parameter) {
        Some(BareItem::String(Cow::Borrowed(raw))) if !raw.is_empty() => Ok(unescape(raw)),
        Some(_) => Err(Error::ParameterType { parameter }),
        None => Err(Error::ParameterRequired {
            parameter: parameter.to_owned(),
        }),
    }
}

/// `wimse-sign-response`, a boolean (draft §"The wimse-sign-response Signature Parameter").
fn sign_response(parameters: &Parameters<'_>) -> Result<SignedResponse, Error> {
    match parameters.named(SIGN_RESPONSE) {
        None | Some(BareItem::Boolean(false)) => Ok(SignedResponse::Unasked),
        Some(BareItem::Boolean(true)) => Ok(SignedResponse::Asked),
        Some(_) => Err(Error::ParameterType {
            parameter: SIGN_RESPONSE,
        }),
    }
}

/// The nonce that is given, which is printable without quotes, or a new one.
fn fresh_or(given: Option<&str>, random: &dyn SecureRandom) -> Result<String, Error> {
    match given {
        Some(nonce) => Ok(nonce.to_owned()),
        None => aims_jose::random::id128(random).map_err(Error::Sign),
    }
}

/// A lifetime that the profile allows to sign with.
fn within_limit(lifetime: Duration) -> Result<Duration, Error> {
    if lifetime.as_secs() == 0 {
        return Err(Error::Prepare {
            reason: "the signature would live less than a second",
        });
    }
    if lifetime > MAX_LIFETIME {
        return Err(Error::Lifetime);
    }
    Ok(lifetime)
}
