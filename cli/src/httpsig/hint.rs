//! Adds hints to the refusal of a signature. Nothing in the hints was verified.

use std::borrow::Cow;

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::{web_bot_auth, wimse};
use aims_http_sig::{ComponentId, Limits, Message, ReceivedFields, Section, UnverifiedSignature};
use aims_jose::time::UnixTime;

use crate::args::{SignatureProfile, Verify};
use crate::failure::Failure;
use crate::hint::shortened;
use crate::text::word;
use crate::time::in_words;

/// The maximum number of signatures in a hint.
const MAX_NAMED: usize = 4;

/// The components whose names start with an `@` (RFC 9421 §2.2).
const DERIVED: [&str; 9] = [
    "authority",
    "method",
    "path",
    "query",
    "query-param",
    "request-target",
    "scheme",
    "status",
    "target-uri",
];

/// The signature that the command line asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    profile: SignatureProfile,
    label: Option<&'a str>,
    tag: Option<&'a str>,
}

impl<'a> Asked<'a> {
    pub(super) fn by(verify: &'a Verify) -> Self {
        Self {
            profile: verify.profile,
            label: verify.label.as_deref(),
            tag: verify.tag.as_deref(),
        }
    }

    /// Returns the signature of a workload.
    pub(super) const fn of_wimse() -> Self {
        Self {
            profile: SignatureProfile::Wimse,
            label: None,
            tag: None,
        }
    }

    fn means(&self, one: &UnverifiedSignature<'_>) -> bool {
        let tag = tag_of(one);
        match (self.profile, self.label) {
            (SignatureProfile::WebBotAuth, _) => tag.as_deref() == Some(web_bot_auth::TAG),
            (SignatureProfile::Wimse, _) => tag.as_deref() == Some(wimse::TAG),
            (SignatureProfile::None, Some(label)) => one.label() == label,
            (SignatureProfile::None, None) => tag.as_deref() == self.tag,
        }
    }

    /// Adds hints to a failure, if it is clear which signature it is about.
    pub(super) fn told(&self, failure: Failure, message: &dyn Message, now: UnixTime) -> Failure {
        let limits = Limits::default();
        let missing = failure.code() == "sig.missing";
        let fields = match ReceivedFields::of(message, Section::Headers, &limits) {
            Ok(fields) => fields,
            Err(aims_http_sig::Error::SignatureMissing { .. }) if missing => {
                return failure.with("it has none at all");
            }
            Err(_) => return failure,
        };
        let Ok(signatures) = fields.signatures(&limits) else {
            return failure;
        };
        if missing {
            return failure.with(self.others(&signatures));
        }
        let mut meant = signatures.iter().filter(|one| self.means(one));
        let (Some(one), None) = (meant.next(), meant.next()) else {
            return failure;
        };
        let parameters = one.parameters();
        let time = match failure.code() {
            "sig.signature" => return failure.with(misfit(one)),
            "sig.expired" => parameters.expires().map(|at| ("expires", at)),
            "sig.created_in_future" | "sig.too_old" => {
                parameters.created().map(|at| ("created", at))
            }
            _ => None,
        };
        match time {
            Some((name, at)) => failure.with(format!("`{name}` is {}", in_words(at, now))),
            None => failure,
        }
    }

    /// Returns the signatures of the message, and the options that select them.
    fn others(&self, signatures: &[UnverifiedSignature<'_>]) -> String {
        let mut named: Vec<String> = signatures
            .iter()
            .take(MAX_NAMED)
            .map(|one| match tag_of(one) {
                Some(tag) => format!("{} with the tag {}", shown(one.label()), shown(&tag)),
                None => format!("{} without a tag", shown(one.label())),
            })
            .collect();
        if signatures.len() > MAX_NAMED {
            named.push("more".to_owned());
        }
        let has = |tag: &str| {
            signatures
                .iter()
                .any(|one| tag_of(one).as_deref() == Some(tag))
        };
        let is_plain = self.profile == SignatureProfile::None;
        let mut takes = Vec::new();
        if self.profile != SignatureProfile::Wimse && has(wimse::TAG) {
            takes.push("`--profile wimse`");
        }
        if self.profile != SignatureProfile::WebBotAuth && has(web_bot_auth::TAG) {
            takes.push("`--profile web-bot-auth`");
        }
        if is_plain && signatures.iter().any(|one| tag_of(one).is_some()) {
            takes.push("`--tag`");
        }
        takes.push(if is_plain {
            "`--label`"
        } else {
            "`--label` without a profile"
        });
        format!("there is {}: {}", named.join(", "), takes.join(", or "))
    }
}

fn tag_of<'a>(one: &UnverifiedSignature<'a>) -> Option<Cow<'a, str>> {
    one.parameters().tag()
}

/// Returns why a signature may not match.
fn misfit(one: &UnverifiedSignature<'_>) -> String {
    let components = one.components().unwrap_or_default();
    let has_scheme = components
        .iter()
        .any(|id| ["@scheme", "@target-uri"].contains(&id.name()));
    let scheme = if has_scheme {
        ", another `--scheme`"
    } else {
        ""
    };
    format!(
        "another key{scheme}, or something that is covered was changed; `aims httpsig base` shows what is signed"
    )
}

/// Adds what may have been meant by a component that is missing. `adds_digest` tells whether the
/// command could add a digest.
pub(super) fn component(error: aims_http_sig::Error, adds_digest: bool) -> Failure {
    let meant = match &error {
        aims_http_sig::Error::ComponentAbsent { component }
        | aims_http_sig::Error::ComponentRequired { component } => {
            ComponentId::parse(component).ok().and_then(|id| {
                let name = id.name();
                let is_own = !id.is_of_request() && !id.is_of_trailers();
                if DERIVED.contains(&name) {
                    Some(format!("that is a field, and `@{name}` may be meant"))
                } else if adds_digest && is_own && name == ContentDigest::FIELD {
                    Some("`--digest` adds it".to_owned())
                } else {
                    None
                }
            })
        }
        _ => None,
    };
    let failure = Failure::from(error);
    match meant {
        Some(meant) => failure.with(meant),
        None => failure,
    }
}

/// Returns an untrusted text, escaped and shortened.
fn shown(text: &str) -> String {
    shortened(word(text))
}
