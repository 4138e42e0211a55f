//! Workload proof tokens in a request.

use std::time::Duration;

use aims_jose::jws::Unverified;
use aims_wimse_cred::{Wit, WitRules};
use aims_wimse_wpt::fields::{self, Presented};
use aims_wimse_wpt::{Binding, Error, Revision, Revisions, UnspentWpt, WptRules};
use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Request};

use crate::head::{append, append_line, lines};
use crate::known::{NOW, at, known, sign};
use crate::{Outcome, refused};

const AUDIENCE: &str = "https://workload.example.com/path";
/// The field that this receiver understands in addition to the tokens.
const COVERED: &str = "x-covered";
/// Prefix of a line with claims. The workload's key signs them, and the proof is put into the field
/// of draft-ietf-wimse-wpt-01.
const CLAIMS: &[u8] = b"!claims: ";
/// Prefix of a line with claims for a proof of draft-ietf-wimse-wpt-02.
const CLAIMS_02: &[u8] = b"!claims-02: ";

/// Verifies the header section of a request, one field per line. Accepted if a proof is valid for
/// it, by the WIT of the request or else by the printed one.
pub fn wpt(data: &[u8]) -> Outcome {
    let parts = request(data);
    let found = Presented::find(&parts.headers, Revisions::BOTH);
    let txn = fields::txn_token(&parts.headers);
    let (presented, txn) = match (found, txn) {
        (Ok(Some(presented)), Ok(txn)) => (presented, txn),
        (Ok(None), Ok(_)) => return Outcome::Refused("no proof"),
        (Err(error), _) | (_, Err(error)) => return refused_for(&error),
    };
    check_fields(&presented);
    let sent = Wit::verify(presented.wit(), &known().trust, &WitRules::wit(), at(NOW));
    let wit = sent.unwrap_or_else(|_not_ours| known().wit.clone());
    let revision = presented.revision();
    let bearer = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|it| it.to_str().ok());
    let bearer = bearer.and_then(|it| it.strip_prefix("Bearer "));
    assert!(bearer.is_none() || revision == Revision::Draft01);
    let covered = parts.headers.get(COVERED).map(HeaderValue::as_bytes);
    let to = |audience| Binding::to(audience).revision(revision);
    let good = bind(to(AUDIENCE), bearer, txn, covered);
    let verify = |binding: &Binding<'_>, now| {
        aims_wimse_wpt::verify(
            presented.wpt(),
            &wit,
            binding,
            &WptRules::default().with_revisions(revision.into()),
            at(now),
        )
    };
    match verify(&good, NOW) {
        Ok(unspent) => {
            let code = |binding: &Binding<'_>, now| code(verify(binding, now));
            let elsewhere = to("https://other.example/");
            assert_eq!(
                code(&bind(elsewhere, bearer, txn, covered), NOW),
                "wpt.audience"
            );
            let either = to("https://other.example/").or_to(AUDIENCE);
            assert_eq!(code(&bind(either, bearer, txn, covered), NOW), "ok");
            check_bound(&code, &to(AUDIENCE), bearer, txn, covered);
            spend(unspent, |now| verify(&good, now));
            Outcome::Accepted
        }
        Err(error) => refused_for(&error),
    }
}

fn refused_for(error: &Error) -> Outcome {
    refused(error.code(), &[Error::CODES, aims_jose::Error::CODES])
}

fn code(result: Result<UnspentWpt, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

/// Lines that are not fields are ignored.
fn request(data: &[u8]) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    for line in lines(data) {
        let proof = |claims: &[u8]| {
            let claims = core::str::from_utf8(claims).ok()?;
            sign("wpt+jwt", claims, &known().workload)
        };
        let made = match (line.strip_prefix(CLAIMS), line.strip_prefix(CLAIMS_02)) {
            (Some(claims), _) => Some((fields::WORKLOAD_PROOF_TOKEN, proof(claims))),
            (_, Some(claims)) => {
                let credentials = proof(claims).map(|it| format!("{} {it}", fields::SCHEME));
                Some((AUTHORIZATION, credentials))
            }
            (None, None) => None,
        };
        if let Some((name, value)) = made {
            let value = value.and_then(|value| HeaderValue::try_from(value).ok());
            append(&mut parts.headers, Some(name), value);
            continue;
        }
        append_line(&mut parts.headers, line);
    }
    parts
}

/// A proof that was found is a compact JWT, and is found again where it is written.
fn check_fields(presented: &Presented<'_>) {
    for text in [presented.wit(), presented.wpt()] {
        assert!(text.len() <= fields::MAX_FIELD_LEN);
        if let Err(error) = Unverified::parse(text) {
            assert_ne!(error.code(), "jws.parts");
        }
    }
    let mut headers = HeaderMap::new();
    let (wit, wpt, revision) = (presented.wit(), presented.wpt(), presented.revision());
    assert!(fields::apply(&mut headers, wit, wpt, revision).is_ok());
    let again = Presented::find(&headers, revision.into()).ok().flatten();
    assert!(again.is_some_and(|it| it.wit() == presented.wit() && it.wpt() == presented.wpt()));
}

fn bind<'a>(
    mut binding: Binding<'a>,
    bearer: Option<&'a str>,
    txn: Option<&'a str>,
    covered: Option<&'a [u8]>,
) -> Binding<'a> {
    if let Some(token) = bearer {
        binding = binding.access_token(token);
    }
    if let Some(token) = txn {
        binding = binding.txn_token(token);
    }
    if let Some(value) = covered {
        binding = binding.header(COVERED, value);
    }
    binding
}

/// Changing or removing any value that the proof is bound to makes it invalid.
fn check_bound(
    code: &dyn Fn(&Binding<'_>, u64) -> &'static str,
    plain: &Binding<'_>,
    bearer: Option<&str>,
    txn: Option<&str>,
    covered: Option<&[u8]>,
) {
    let to = || plain.clone();
    let without_claim = code(&bind(to(), Some("another"), txn, covered), NOW);
    let ath = match without_claim {
        // draft-ietf-wimse-wpt-02 binds no access token.
        "wpt.access_token" => without_claim,
        _ => "wpt.ath",
    };
    for other in [None, Some("another")] {
        if other != bearer {
            assert_eq!(code(&bind(to(), other, txn, covered), NOW), ath);
        }
        if other != txn {
            assert_eq!(code(&bind(to(), bearer, other, covered), NOW), "wpt.tth");
        }
        let other = other.map(str::as_bytes);
        if other != covered && covered.is_none_or(|it| it.trim_ascii() != b"another") {
            assert_eq!(code(&bind(to(), bearer, txn, other), NOW), "wpt.oth");
        }
    }
}

/// A proof is valid once, and not after its expiry.
fn spend(unspent: UnspentWpt, again: impl Fn(u64) -> Result<UnspentWpt, Error>) {
    let store = aims_replay::ReplayCache::in_memory(10);
    let Ok(proof) = unspent.spend(&store, at(NOW)) else {
        unreachable!("the first of its kind");
    };
    let twice = again(NOW).and_then(|it| it.spend(&store, at(NOW)));
    assert_eq!(
        twice.map_or_else(|it| it.code(), |_| "ok"),
        "replay.replayed"
    );
    let end = proof.expires().as_secs() + 30;
    assert!(NOW < end && end <= NOW + Duration::from_secs(360).as_secs());
    assert_eq!(code(again(end)), "wpt.expired");
}
