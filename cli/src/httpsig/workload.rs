//! Signs as a workload, by the WIMSE profile.

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse;
use aims_http_sig::{PreparedSignature, Section};
use aims_jose::random::SYSTEM;
use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_wimse_cred::Identity;
use zeroize::Zeroizing;

use super::keys::{TOKEN, Tokens};
use super::message::{Files, lines};
use super::sign::{Own, lifetime};
use super::verify;
use crate::args::Sign;
use crate::failure::Failure;
use crate::hint;
use crate::input::Inputs;

pub(super) fn prepared(
    sign: &Sign,
    own: Option<&Own>,
    files: &mut Files,
    inputs: &mut Inputs,
    now: UnixTime,
) -> Result<PreparedSignature, Failure> {
    add_token(sign, own, files, inputs, now)?;
    let pair = files.parse()?;
    let digest = match pair.content() {
        [] => None,
        content => {
            let digest = ContentDigest::from_message(pair.message(), Section::Headers)?;
            digest.verify(content)?;
            Some(digest)
        }
    };
    let content = digest
        .as_ref()
        .map_or(wimse::Content::Empty, wimse::Content::Digest);
    let lifetime = lifetime(sign, now)?;
    let audience = sign.sender.audience.as_deref();
    if let Some(response) = &pair.response {
        let caller = Tokens::read(&sign.sender, inputs)?.of(&pair.request, now)?;
        let verified = verify::request(audience, &pair, &caller, now)?;
        let mut signing = wimse::ResponseSigning::new();
        if let Some(lifetime) = lifetime {
            signing = signing.with_lifetime(lifetime);
        }
        return Ok(signing.prepare(response, &pair.request, &verified, content, SYSTEM, now)?);
    }
    let audience = audience.ok_or(Failure::Usage("`--profile wimse` needs `--audience`"))?;
    let mut signing = wimse::RequestSigning::to(audience)?;
    if sign.ask_signed_response {
        signing = signing.asking_for_signed_response();
    }
    if let Some(lifetime) = lifetime {
        signing = signing.with_lifetime(lifetime);
    }
    let (prepared, _pending) = signing.prepare(&pair.request, content, SYSTEM, now)?;
    Ok(prepared)
}

/// Adds the token of the key to the message.
fn add_token(
    sign: &Sign,
    own: Option<&Own>,
    files: &mut Files,
    inputs: &mut Inputs,
    now: UnixTime,
) -> Result<(), Failure> {
    let given = sign
        .wit
        .as_ref()
        .map(|path| inputs.text(path))
        .transpose()?;
    let pair = files.parse()?;
    let there = lines(pair.message(), TOKEN);
    let token = match (given, there.as_slice()) {
        (Some(given), []) => {
            files.add(&[("Workload-Identity-Token", &given)]);
            given
        }
        (None, [one]) => {
            let text = str::from_utf8(one).or(Err(aims_jose::Error::Parts))?;
            Zeroizing::new(text.to_owned())
        }
        (Some(given), [one]) if given.as_bytes() == *one => given,
        (Some(_), _) => {
            return Err(Failure::Usage(
                "the message has another Workload-Identity-Token already",
            ));
        }
        (None, _) => {
            return Err(Failure::Usage(
                "`--profile wimse` needs `--wit`, or one Workload-Identity-Token in the message",
            ));
        }
    };
    // Check that token and key belong together, and for how long they are valid.
    let Some(Own::Private(key)) = own else {
        return Ok(());
    };
    let public = key.public_jwk().clone();
    let identity = Identity::new(SecretText::new(token.as_str()), key.clone(), &public)?;
    if identity.expires() <= now {
        let failure = aims_wimse_cred::Error::Wit(aims_jose::Error::Expired {
            until: identity.expires().as_secs(),
            now: now.as_secs(),
            skew: 0,
        })
        .into();
        return Err(hint::expired(failure, identity.expires().as_secs(), now));
    }
    Ok(())
}
