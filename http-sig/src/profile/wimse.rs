//! WIMSE workload-to-workload authentication by HTTP signatures
//! (draft-ietf-wimse-http-signature-07).
//!
//! The client signs its request with the key of its workload identity token (WIT). It may ask the
//! receiver to sign the response as well. This module does not validate WITs: its caller validates
//! the token first, and passes the key. The module checks that the signature covers
//! `workload-identity-token`.
//!
//! The signature of this profile is the one with the tag [`TAG`]. Its label has no meaning.
//!
//! ```
//! use aims_http_sig::digest::ContentDigest;
//! use aims_http_sig::profile::wimse::{
//!     Answer, Content, RequestPolicy, RequestSigning, ResponsePolicy, ResponseSigning,
//! };
//! use aims_http_sig::{HttpRequest, HttpResponse};
//! use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC};
//! use aims_jose::{random::SYSTEM, time::UnixTime};
//! use aims_replay::ReplayCache;
//! # let caller = SigningKey::generate(Algorithm::Ed25519, AWS_LC)?;
//! # let tool = SigningKey::generate(Algorithm::Ed25519, AWS_LC)?;
//!
//! let now = UnixTime::now();
//! // The client signs, and asks for a signed response.
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
//! // The tool has validated the WIT, and verifies the signature with the key of the WIT.
//! let policy = RequestPolicy::for_audiences(["https://tools.example/weather"])?;
//! let seen = ReplayCache::in_memory(1000);
//! let message =
//!     HttpRequest::received(&sent, "https", "tools.example").with_target("/weather?units=si");
//! let verified = policy
//!     .verify(&message, caller.verifying_key(), now)?
//!     .spend(&seen, "wimse://example.org/caller", now)?
//!     .check_body(body)?;
//!
//! // It signs its response.
//! let weather = b"rain";
//! let digest = ContentDigest::of(weather);
//! let response = http::Response::builder()
//!     .header("content-digest", digest.to_string())
//!     .header("workload-identity-token", "eyJ...");
//! let (mut answer, ()) = response.body(())?.into_parts();
//! ResponseSigning::new()
//!     .prepare(
//!         &HttpResponse::new(&answer),
//!         &message,
//!         &verified,
//!         Content::Digest(&digest),
//!         SYSTEM,
//!         now,
//!     )?
//!     .sign(&tool)?
//!     .apply(&mut answer.headers)?;
//!
//! // The client verifies that this is the response to its request.
//! let (response, request) = (HttpResponse::new(&answer), HttpRequest::to_send(&sent)?);
//! let (key, policy) = (Some(tool.verifying_key()), ResponsePolicy::new());
//! match pending.finish(&response, &request, key, &policy, now)? {
//!     Answer::Signed(head) => {
//!         assert_eq!(head.check_body(weather)?.request_nonce(), verified.nonce());
//!     }
//!     Answer::Unsigned => unreachable!("it was asked for"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod answer;
mod content;
mod peer;
mod receive;
mod request;
mod response;
mod revision;
mod status;

pub use accept::{is_signature_wanted, wanted_request_signature, wanted_response_signature};
pub use answer::{Answer, ResponseHead, ResponsePolicy, VerifiedResponse};
pub use content::{Content, ContentCheck};
pub use peer::Peer;
pub use receive::{RequestHead, RequestPolicy, UnspentRequest, VerifiedRequest};
pub use request::{Pending, RequestSigning};
pub use response::ResponseSigning;
pub use revision::{PROBLEM_SIGNATURE_INVALID, PROBLEM_SIGNED_RESPONSE_UNSUPPORTED, problem_type};
pub use status::status;

use std::borrow::Cow;
use std::time::Duration;

use aims_error::shown;
use aims_jose::random::SecureRandom;
use aims_jose::time::{self, Skew, UnixTime};
use aims_replay::Validity;

use crate::sf::{is_whole_key, unescape};
use crate::{BareItem, Error, Message, Parameters, Section};

/// The `tag` of every signature of this profile.
pub const TAG: &str = "wimse-workload-to-workload";
/// The default label of the signatures that this module makes. A receiver ignores it and uses the
/// tag.
pub const LABEL: &str = "wimse";
/// Maximum lifetime of a signature, whatever is configured: 10 minutes.
pub const MAX_LIFETIME: Duration = Duration::from_secs(600);

const AUDIENCE: &str = "wimse-aud";
const SIGN_RESPONSE: &str = "wimse-sign-response";
const REQUEST_NONCE: &str = "wimse-req-nonce";

/// Whether a party asks for a signed response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a request asks or does not")]
pub enum SignedResponse {
    /// The response must be signed.
    Asked,
    /// The response may be signed.
    Unasked,
}

/// Returns whether the message has the field.
fn has(message: &dyn Message, field: &str) -> bool {
    let mut there = false;
    message.lines(Section::Headers, field, &mut |_line| there = true);
    there
}

/// Checks that `expires` is not too far in the future.
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

/// Returns the time during which receivers accept a signature with these parameters.
fn validity(parameters: &Parameters<'_>, skew: Skew) -> Validity {
    let created = parameters.created().unwrap_or_default();
    let expires = parameters.expires().unwrap_or_default();
    let from = time::at(created.saturating_sub(skew.as_secs()));
    Validity::new(from, skew.remember_until(expires))
}

/// Returns a parameter that must be a string and not empty.
fn text<'a>(parameters: &Parameters<'a>, parameter: &'static str) -> Result<Cow<'a, str>, Error> {
    match parameters.named(parameter) {
        Some(BareItem::String(Cow::Borrowed(raw))) if !raw.is_empty() => Ok(unescape(raw)),
        Some(_) => Err(Error::ParameterType { parameter }),
        None => Err(Error::ParameterRequired {
            parameter: parameter.to_owned(),
        }),
    }
}

/// Returns `wimse-sign-response`, a boolean (draft §"The wimse-sign-response Signature Parameter").
fn sign_response(parameters: &Parameters<'_>) -> Result<SignedResponse, Error> {
    match parameters.named(SIGN_RESPONSE) {
        None | Some(BareItem::Boolean(false)) => Ok(SignedResponse::Unasked),
        Some(BareItem::Boolean(true)) => Ok(SignedResponse::Asked),
        Some(_) => Err(Error::ParameterType {
            parameter: SIGN_RESPONSE,
        }),
    }
}

/// Returns the given nonce, which must be printable without quotes, or a new one.
fn fresh_or(given: Option<&str>, random: &dyn SecureRandom) -> Result<String, Error> {
    match given {
        Some(nonce) => Ok(nonce.to_owned()),
        None => aims_jose::random::id128(random).map_err(Error::Sign),
    }
}

/// Checks a label for a new signature.
fn check_label(label: &str) -> Result<(), Error> {
    if is_whole_key(label) {
        return Ok(());
    }
    Err(Error::Label {
        found: shown([label]),
    })
}

/// Checks that the profile allows to sign with this lifetime.
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
