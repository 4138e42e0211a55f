//! `aims httpsig verify`.

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::{web_bot_auth, wimse};
use aims_http_sig::{Algorithm, Algorithms, Component, Policy, VerifiedSignature};
use aims_jose::time::UnixTime;
use zeroize::Zeroizing;

use super::answer::{Answer, Content, Sender};
use super::content;
use super::hint::{self, Asked};
use super::keys::{self, OfToken, Tokens};
use super::message::{Files, Pair};
use crate::args::{SignatureProfile, Verify};
use crate::failure::Failure;
use crate::input::Inputs;
use crate::time::now;

const REMARK: &str = ": the holder of this key signed what is listed as covered, and nothing else. Whether it was seen before is for its receiver to know";
const UNVERIFIED_TOKEN: &str = ", BUT NOT THE TOKEN: the owner of this key is not verified";

pub(super) fn run(verify: &Verify, inputs: &mut Inputs) -> Result<Zeroizing<String>, Failure> {
    check_options(verify)?;
    let now = now(verify.shown.now);
    let files = Files::read(&verify.messages, inputs)?;
    match verify.profile {
        SignatureProfile::None => plain(verify, &files, inputs, now),
        SignatureProfile::WebBotAuth => bot(verify, &files, inputs, now),
        SignatureProfile::Wimse => workload(verify, &files, inputs, now),
    }
}

/// Refuses an option that would have no effect, because the user relies on it.
fn check_options(verify: &Verify) -> Result<(), Failure> {
    let of_wimse = !verify.sender.origins.is_empty()
        || verify.sender.wit_key.is_some()
        || verify.sender.audience.is_some();
    let requires = verify.required.iter().any(|it| !it.id().is_of_request());
    let chosen = verify.label.is_some() || verify.tag.is_some() || verify.shared_key.is_some();
    let reason = match verify.profile {
        SignatureProfile::WebBotAuth | SignatureProfile::Wimse if verify.allow_nothing_covered => {
            "`--allow-nothing-covered` is of no profile: each covers something"
        }
        SignatureProfile::None if verify.allow_nothing_covered && requires => {
            "`--allow-nothing-covered` takes what covers nothing, and `--require` says what has to be covered"
        }
        SignatureProfile::Wimse if chosen || verify.sender.directory.is_some() => {
            "`--label`, `--tag`, `--shared-key` and `--directory` are not of `--profile wimse`"
        }
        SignatureProfile::WebBotAuth
            if chosen || of_wimse || verify.messages.response.is_some() =>
        {
            "`--profile web-bot-auth` is about requests, and takes `--directory` and `--keys` alone"
        }
        SignatureProfile::None if of_wimse || verify.sender.directory.is_some() => {
            "`--origin`, `--wit-key`, `--audience` and `--directory` are of a profile"
        }
        _ => return Ok(()),
    };
    Err(Failure::Usage(reason))
}

fn plain(
    verify: &Verify,
    files: &Files,
    inputs: &mut Inputs,
    now: UnixTime,
) -> Result<Zeroizing<String>, Failure> {
    let of = |error| Failure::from(error).of(files.path());
    let keys = keys::known(verify, inputs)?;
    let pair = files.parse()?;
    let mut policy = Policy::requiring(verify.required.iter().cloned());
    if let Some(label) = &verify.label {
        policy = policy.with_label(label).with_any_tag();
    }
    if let Some(tag) = &verify.tag {
        policy = policy.with_tag(tag);
    }
    if verify.shared_key.is_some() {
        policy = policy.with_algorithms(Algorithms::of(&[Algorithm::HmacSha256]));
    }
    let asked = Asked::by(verify);
    let signature = policy
        .verify(&pair.exchange(), keys.as_ref(), now)
        .map_err(|error| asked.told(hint::component(error, false), pair.message(), now))
        .map_err(|failure| failure.of(files.path()))?;
    let signature = signature.accept_replays();
    let covers = signature.components().any(|(id, _)| !id.is_of_request());
    if !covers && !verify.allow_nothing_covered {
        let message = pair.kind();
        return Err(Failure::NothingCovered { message });
    }
    let content = content::compare(&pair, &signature).map_err(of)?;
    shown(
        verify,
        &Answer::new(pair.kind(), &signature, None, content, REMARK),
        now,
    )
}

fn bot(
    verify: &Verify,
    files: &Files,
    inputs: &mut Inputs,
    now: UnixTime,
) -> Result<Zeroizing<String>, Failure> {
    let of = |error| Failure::from(error).of(files.path());
    let agents = keys::agents(&verify.sender, inputs, now)?;
    let pair = files.parse()?;
    let policy = web_bot_auth::RequestPolicy::new();
    let asked = Asked::by(verify);
    let verified = policy
        .verify(&pair.request, &agents, now)
        .map_err(|error| asked.told(error.into(), &pair.request, now))
        .map_err(|failure| failure.of(files.path()))?;
    let verified = verified.accept_replays();
    let signature = verified.signature();
    check_required(&verify.required, signature).map_err(|failure| failure.of(files.path()))?;
    let content = content::compare(&pair, signature).map_err(of)?;
    let sender = verified.agent().map(Sender::Agent);
    shown(
        verify,
        &Answer::new("request", signature, sender, content, REMARK),
        now,
    )
}

fn workload(
    verify: &Verify,
    files: &Files,
    inputs: &mut Inputs,
    now: UnixTime,
) -> Result<Zeroizing<String>, Failure> {
    let of = |error| Failure::from(error).of(files.path());
    let tokens = Tokens::read(&verify.sender, inputs)?;
    let answering = match &verify.response_wit_key {
        Some(path) => Some(Tokens::Given(keys::public(path, inputs)?)),
        None if verify.sender.wit_key.is_some() && verify.messages.response.is_some() => {
            return Err(Failure::Usage(
                "with `--wit-key` a `--response` needs `--response-wit-key`",
            ));
        }
        None => None,
    };
    let pair = files.parse()?;
    let caller = tokens.of(&pair.request, now)?;
    let request = request(verify.sender.audience.as_deref(), &pair, &caller, now)?;
    let Some(response) = &pair.response else {
        return told(
            verify,
            "request",
            request.signature(),
            request.content_digest(),
            &caller,
            now,
        );
    };
    let policy = wimse::ResponsePolicy::new().requiring_signature();
    // Report an unsigned response before any problem of its token.
    let unsigned = super::message::lines(response, "signature-input").is_empty();
    let called = match answering.as_ref().unwrap_or(&tokens) {
        _ if unsigned => None,
        tokens => Some(tokens.of(response, now)?),
    };
    let key = called.as_ref().map(|called| &called.key);
    let answer = request
        .pending()
        .finish(response, &pair.request, key, &policy, now);
    let answer = answer
        .map_err(|error| Asked::by(verify).told(error.into(), response, now))
        .map_err(|failure| failure.of(files.path()))?;
    match (answer, &called) {
        (wimse::Answer::Signed(head), Some(called)) => {
            let verified = head.check_body(response.content()).map_err(of)?;
            told(
                verify,
                "response",
                verified.signature(),
                verified.content_digest(),
                called,
                now,
            )
        }
        _ => Err(of(aims_http_sig::Error::ResponseUnsigned)),
    }
}

/// Verifies the request of a pair, including its content.
pub(super) fn request(
    audience: Option<&str>,
    pair: &Pair<'_>,
    caller: &OfToken,
    now: UnixTime,
) -> Result<wimse::VerifiedRequest, Failure> {
    let audience = audience.ok_or(Failure::Usage("`--profile wimse` needs `--audience`"))?;
    let policy = wimse::RequestPolicy::for_audiences([audience])?;
    let unspent = policy
        .verify(&pair.request, &caller.key, now)
        .map_err(|error| Asked::of_wimse().told(error.into(), &pair.request, now))?;
    Ok(unspent
        .accept_replays()
        .check_body(pair.request.content())?)
}

fn told(
    verify: &Verify,
    message: &'static str,
    signature: &VerifiedSignature,
    digest: Option<&ContentDigest>,
    signer: &OfToken,
    now: UnixTime,
) -> Result<Zeroizing<String>, Failure> {
    check_required(&verify.required, signature)?;
    let content = match digest {
        Some(_) => Content::Covered,
        None => Content::Empty,
    };
    let (sender, remark) = match &signer.wit {
        Some(wit) => (Sender::Id(wit.id().as_str()), REMARK),
        None => (Sender::TokenNotVerified(true), UNVERIFIED_TOKEN),
    };
    shown(
        verify,
        &Answer::new(message, signature, Some(sender), content, remark),
        now,
    )
}

fn check_required(required: &[Component], signature: &VerifiedSignature) -> Result<(), Failure> {
    match required
        .iter()
        .find(|component| !signature.covers(component))
    {
        Some(component) => {
            let component = component.to_string();
            let error = aims_http_sig::Error::ComponentRequired { component };
            Err(hint::component(error, false))
        }
        None => Ok(()),
    }
}

fn shown(
    verify: &Verify,
    answer: &Answer<'_>,
    now: UnixTime,
) -> Result<Zeroizing<String>, Failure> {
    if verify.shown.json {
        return answer.json();
    }
    Ok(answer.lines(now))
}
