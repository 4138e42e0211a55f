//! What a refusal does not say by itself: what was found, when it was, and what can be done.

use http_sig::{Limits, Message, ReceivedFields, Section};
use jose::jwk::Jwk;
use jose::jwt::NumericDate;
use jose::time::UnixTime;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::text::compact;
use crate::time::in_words;
use crate::token::decoded;

/// The longest `typ` that is shown, in characters.
const MAX_SHOWN: usize = 64;

/// The type of a workload identity token, and of its proof.
pub(crate) const WIT: &str = "wit+jwt";
pub(crate) const WPT: &str = "wpt+jwt";

/// Of a token that was refused: the type that it has, or when it expired. Nothing of that was verified.
pub(crate) fn token(failure: Failure, text: &str, expected: &str, now: UnixTime) -> Failure {
    let Ok((header, claims)) = decoded(text) else {
        return failure;
    };
    if failure.code().ends_with(".typ") {
        let found = header.value("typ").map(|typ| shortened(compact(typ)));
        let found = found.unwrap_or_else(|| "none".to_owned());
        return failure.with(format!("found {found}, expected \"{expected}\""));
    }
    if !failure.code().ends_with(".expired") {
        return failure;
    }
    let date = claims.value("exp").map(serde_json::from_str::<NumericDate>);
    match date {
        Some(Ok(date)) => expired(failure, date.as_secs(), now),
        _ => failure,
    }
}

/// When that was.
pub(crate) fn expired(failure: Failure, at: u64, now: UnixTime) -> Failure {
    failure.with(in_words(at, now))
}

/// Of a signature that was refused for its time: when it was made, or when it expired. Only where there is no doubt which signature that is.
pub(crate) fn signature(
    failure: Failure,
    message: &dyn Message,
    is_meant: impl Fn(&str, Option<&str>) -> bool,
    now: UnixTime,
) -> Failure {
    let limits = Limits::default();
    let Ok(fields) = ReceivedFields::of(message, Section::Headers, &limits) else {
        return failure;
    };
    let Ok(signatures) = fields.signatures(&limits) else {
        return failure;
    };
    let mut meant = signatures
        .iter()
        .filter(|one| is_meant(one.label(), one.parameters().tag().as_deref()));
    let (Some(one), None) = (meant.next(), meant.next()) else {
        return failure;
    };
    let parameters = one.parameters();
    let time = match failure.code() {
        "sig.expired" => parameters.expires().map(|at| ("expires", at)),
        "sig.created_in_future" | "sig.too_old" => parameters.created().map(|at| ("created", at)),
        _ => None,
    };
    match time {
        Some((name, at)) => failure.with(format!("`{name}` is {}", in_words(at, now))),
        None => failure,
    }
}

/// Of a message whose lines end in the wrong way: in which way, and where.
pub(crate) fn line_end(failure: Failure, bytes: &[u8], unix_lines: bool) -> Failure {
    if failure.code() != "http1.line_end" {
        return failure;
    }
    if unix_lines {
        return failure.with("with `--unix-lines` each line of the head ends in LF alone");
    }
    let bare = bytes
        .split(|byte| *byte == b'\n')
        .position(|line| !line.ends_with(b"\r"));
    match bare {
        Some(0) => failure.with(
            "each line of an HTTP/1.1 head ends in CRLF, and here the first ends in LF alone; `--unix-lines` takes a file as editors write it",
        ),
        Some(line) => failure.with(format!(
            "each line of an HTTP/1.1 head ends in CRLF, and line {} does not",
            line.saturating_add(1)
        )),
        None => failure,
    }
}

/// Of a key that was refused: that it is the private one.
pub(crate) fn public_key(failure: Failure) -> Failure {
    if failure.code() != "jwk.private" {
        return failure;
    }
    failure
        .with("this is the private key, and the public one is wanted: `aims key public` shows it")
}

/// Of a document that was refused as a set of keys: that it is one key.
pub(crate) fn key_set(failure: Failure, document: &[u8]) -> Failure {
    if Jwk::parse(document.trim_ascii()).is_err() {
        return failure;
    }
    failure.with("this is one key, and a set of keys is wanted: `aims key set` makes it")
}

/// Refuses a document that is trusted and has a private key in it, alone or among others: whoever has the file can sign.
pub(crate) fn no_private_key(document: &[u8]) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }

    let is_private = |key: &[u8]| matches!(Jwk::parse(key), Err(jose::Error::JwkPrivate));
    let found = match serde_json::from_slice::<Members<'_>>(document) {
        Ok(set) => set.keys.iter().any(|key| is_private(key.get().as_bytes())),
        Err(_) => is_private(document.trim_ascii()),
    };
    if !found {
        return Ok(());
    }
    let failure = Failure::from(jose::Error::JwkPrivate);
    Err(failure.with(
        "a private key is in it, and public keys are wanted: `aims key set` makes a set of them from key files",
    ))
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
