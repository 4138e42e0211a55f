//! A request, as a guard verifies it.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aims::oauth_rs::{self, IssuerStore};
use aims::{Guard, Refusal};
use aims_jose::digest::sha256_base64url;
use aims_jose::jws::Unverified;
use aims_jose::key::Signer as _;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_wire::challenge::Challenges;
use aims_replay::{ReplayCache, ReplayKey, ReplayStore};
use aims_wimse_wpt::{Binding, Revision, Revisions, WptRules, fields};
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Request, Uri};
use serde_json::Value;

use crate::head::{append_line, lines};
use crate::known::{NOW, WIT, at, known, sign};
use crate::{Outcome, refused};

const ORIGIN: &str = "https://workload.example.com";
/// A field that carries a token of the tool.
const COVERED: &str = "x-covered";

/// Verifies the request of an honest agent, and the request that arrives.
///
/// Lines that begin with `!` describe the first: `!path /path`, `!covered value`, `!txn token`,
/// `!token` with the claims of an access token, and `!revision 02` for a proof of
/// draft-ietf-wimse-wpt-02 instead of one of -01. The other lines are the request line and the
/// fields that arrive. In them, `{wit}`, `{wpt}` and `{token}` stand for the values of the agent.
/// Accepted if a guard for WIT and WPT admits it, or, for a request with a token, a guard that also
/// requires a token.
pub fn wpt_http(data: &[u8]) -> Outcome {
    let sent = Sent::of(data);
    let Some(made) = sent.make() else {
        return Outcome::Refused("not sent");
    };
    let (bare, tokens) = &*GUARDS;
    if sent.token.is_none() {
        check_honest(bare, &sent, &made);
    }
    let Some(request) = arrived(data, &made) else {
        return Outcome::Refused("no request");
    };
    let proven = fields::workload_proof_token(&request.headers, Revisions::BOTH);
    let revision = proven.ok().flatten().map(|proof| proof.revision());
    // In -02 the proof is in that field.
    let has_token =
        request.headers.contains_key(AUTHORIZATION) && revision != Some(Revision::Draft02);
    let guard = if has_token { tokens } else { bare };
    SEEN.set(ReplayCache::in_memory(10));
    match guard.check(&request, at(NOW)) {
        Ok(principal) => {
            check_covered(&request);
            let wit = principal.wpt().map(|proof| proof.wit().id());
            assert!(wit.is_some() && wit == principal.agent());
            assert_eq!(principal.client().is_some(), has_token);
            let code = |request: &Parts, now| {
                guard
                    .check(request, at(now))
                    .map_or_else(|it| it.code(), |_| "ok")
            };
            assert_eq!(code(&request, NOW), "replay.replayed");
            let mut other = request;
            other.headers.remove(fields::WORKLOAD_PROOF_TOKEN);
            if revision == Some(Revision::Draft02) {
                other.headers.remove(AUTHORIZATION);
            }
            assert_eq!(code(&other, NOW), "wpt.field_missing");
            Outcome::Accepted
        }
        Err(refusal) => {
            let code = refusal.code();
            check_answer(refusal);
            refused(
                code,
                &[
                    Refusal::CODES,
                    aims_wimse_cred::Error::CODES,
                    aims_wimse_wpt::Error::CODES,
                    oauth_rs::Error::CODES,
                    aims_jose::Error::CODES,
                    aims_replay::Error::CODES,
                ],
            )
        }
    }
}

/// A guard without access tokens, and one with them.
static GUARDS: LazyLock<(Guard, Guard)> = LazyLock::new(|| {
    let key = known().issuer.public_jwk().to_json();
    let keys = format!(r#"{{"keys":[{key}]}}"#);
    let issuers = Arc::new(IssuerStore::default());
    let issuer = "https://as.example".parse().ok();
    let set = issuer.map(|issuer| issuers.set(&issuer, keys.as_bytes(), AWS_LC).is_ok());
    assert_eq!(set, Some(true));
    let builder = || {
        // A request of an honest sender is accepted, whatever its path.
        Guard::builder("https://workload.example.com/path")
            .accept_any_path()
            .trust(Arc::clone(&known().store))
            .wpt_rules(WptRules::default().with_revisions(Revisions::BOTH))
            .token_field(HeaderName::from_static(COVERED))
            .replay(Seen)
    };
    match (builder().build(), builder().issuers(issuers).build()) {
        (Ok(bare), Ok(tokens)) => (bare, tokens),
        (Err(error), _) | (_, Err(error)) => unreachable!("{error}"),
    }
});

thread_local! {
    static SEEN: RefCell<ReplayCache> = RefCell::new(ReplayCache::in_memory(10));
}

/// The keys that were spent since the seed began.
#[derive(Debug)]
struct Seen;

impl ReplayStore for Seen {
    fn spend(
        &self,
        key: &ReplayKey,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), aims_replay::Error> {
        SEEN.with_borrow(|seen| seen.spend(key, until, now))
    }
}

/// The request of the agent.
#[derive(Default)]
struct Sent<'a> {
    path: Option<&'a str>,
    covered: Option<&'a [u8]>,
    txn: Option<&'a str>,
    token: Option<String>,
    draft02: bool,
}

/// The values that the agent has created for it.
struct Made {
    wpt: String,
    token: String,
}

impl<'a> Sent<'a> {
    fn of(data: &'a [u8]) -> Self {
        let mut sent = Self::default();
        for line in lines(data) {
            let text = core::str::from_utf8(line).ok();
            let said = |name: &str| text.and_then(|text| text.strip_prefix(name));
            sent.path = said("!path ").or(sent.path);
            sent.txn = said("!txn ").or(sent.txn);
            sent.covered = line.strip_prefix(b"!covered ").or(sent.covered);
            let token = said("!token ").and_then(|it| sign("at+jwt", it, &known().issuer));
            sent.token = token.or(sent.token);
            sent.draft02 |= said("!revision ") == Some("02");
        }
        sent
    }

    const fn revision(&self) -> Revision {
        if self.draft02 {
            Revision::Draft02
        } else {
            Revision::Draft01
        }
    }

    fn make(&self) -> Option<Made> {
        let audience = format!("{ORIGIN}{}", self.path.unwrap_or("/path"));
        let mut binding = Binding::to(&audience).revision(self.revision());
        if let Some(token) = &self.token {
            binding = binding.access_token(token);
        }
        if let Some(token) = self.txn {
            binding = binding.txn_token(token);
        }
        if let Some(value) = self.covered {
            binding = binding.header(COVERED, value);
        }
        let key = &known().workload;
        let minute = Duration::from_secs(60);
        let random = aims_jose::random::SYSTEM;
        let input = binding.prepare(WIT.trim(), key.algorithm(), minute, random, at(NOW));
        Some(Made {
            wpt: input.ok()?.sign(key).ok()?.expose().to_owned(),
            token: self.token.clone().unwrap_or_default(),
        })
    }
}

/// The guard admits the request of an honest agent, if HTTP can carry it.
fn check_honest(guard: &Guard, sent: &Sent<'_>, made: &Made) {
    let path = sent.path.unwrap_or("/path");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let Ok(mut request) = Request::get(path).body(()) else {
        return;
    };
    let headers = request.headers_mut();
    if !path.starts_with('/') || !path.bytes().all(plain) {
        return;
    }
    headers.insert(HOST, HeaderValue::from_static("workload.example.com"));
    assert!(fields::apply(headers, WIT.trim(), &made.wpt, sent.revision()).is_ok());
    for (name, value) in [
        (HeaderName::from_static(COVERED), sent.covered),
        (fields::TXN_TOKEN, sent.txn.map(str::as_bytes)),
    ] {
        match value.map(HeaderValue::from_bytes) {
            Some(Ok(value)) => drop(headers.insert(name, value)),
            Some(Err(_not_a_field)) => return,
            None => {}
        }
    }
    if fields::txn_token(headers).is_err() {
        return;
    }
    SEEN.set(ReplayCache::in_memory(10));
    let (parts, ()) = request.into_parts();
    let code = |now| {
        guard
            .check(&parts, at(now))
            .map_or_else(|it| it.code(), |_| "ok")
    };
    assert_eq!((code(NOW), code(NOW)), ("ok", "replay.replayed"));
    assert_eq!(code(NOW + 90), "wpt.expired");
}

/// Builds the request that arrives: the request line, the fields, and the values of the agent.
fn arrived(data: &[u8], made: &Made) -> Option<Parts> {
    let mut lines = lines(data).filter(|line| !line.starts_with(b"!"));
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let target = Uri::try_from(words.next()?).ok()?;
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri) = (method, target);
    for line in lines {
        let filled = core::str::from_utf8(line).ok().map(|line| {
            line.replace("{wit}", WIT.trim())
                .replace("{wpt}", &made.wpt)
                .replace("{token}", &made.token)
        });
        append_line(
            &mut parts.headers,
            filled.as_deref().map_or(line, str::as_bytes),
        );
    }
    Some(parts)
}

/// The proof of an admitted request covers exactly the values that its fields have.
fn check_covered(request: &Parts) {
    let headers = &request.headers;
    let sole = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let value = values.next();
        assert!(values.next().is_none(), "`{name}` came twice");
        value.map(|value| value.as_bytes().trim_ascii())
    };
    let text = |value: Option<&[u8]>| {
        let value = value.and_then(|it| core::str::from_utf8(it).ok());
        value.unwrap_or_default().to_owned()
    };
    let proof = fields::workload_proof_token(headers, Revisions::BOTH);
    let proof = proof.ok().flatten();
    let revision = proof.as_ref().map(|proof| proof.revision());
    let wpt = proof.map(|proof| proof.text().to_owned());
    let wpt = wpt.unwrap_or_default();
    let payload = Unverified::parse(&wpt).ok();
    let payload = payload.and_then(|it| it.unverified_payload().map(<[u8]>::to_vec).ok());
    let claims: Value = serde_json::from_slice(&payload.unwrap_or_default()).unwrap_or_default();
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let hash = |text: &str| Some(sha256_base64url(text));

    assert_eq!(
        claim("aud"),
        Some(format!("{ORIGIN}{}", request.uri.path()))
    );
    assert_eq!(
        claim("wth"),
        hash(&text(sole(&fields::WORKLOAD_IDENTITY_TOKEN)))
    );
    let authorization = sole(&AUTHORIZATION);
    if revision == Some(Revision::Draft02) {
        let credentials = text(authorization.and_then(|it| it.get(fields::SCHEME.len()..)));
        assert_eq!(credentials.trim(), wpt);
        assert!(sole(&fields::WORKLOAD_PROOF_TOKEN).is_none());
    } else {
        let bearer = authorization.map(|value| text(value.get("Bearer ".len()..)));
        assert_eq!(claim("ath"), bearer.and_then(|token| hash(&token)));
        assert_eq!(text(sole(&fields::WORKLOAD_PROOF_TOKEN)), wpt);
    }
    let txn = sole(&fields::TXN_TOKEN).map(|value| text(Some(value)));
    assert_eq!(claim("tth"), txn.and_then(|token| hash(&token)));
    let covered = claims.get("oth").and_then(|oth| oth.get(COVERED));
    let value = sole(&HeaderName::from_static(COVERED)).map(aims_jose::digest::sha256);
    let value = value.map(|hash| Value::from(aims_jose::base64url::encode(&hash)));
    assert_eq!(covered, value.as_ref());
}

/// Every refusal has a response that no cache stores. A 401 response has a challenge that a client
/// can parse.
fn check_answer(refusal: Refusal) {
    let status = refusal.status().as_u16();
    let answer = refusal.into_response::<Vec<u8>>();
    assert!(matches!(status, 400 | 401 | 403 | 431), "{status}");
    assert_eq!(answer.status().as_u16(), status);
    assert!(
        answer
            .headers()
            .get(http::header::CACHE_CONTROL)
            .is_some_and(|it| it == "no-store")
    );
    assert!(serde_json::from_slice::<Value>(answer.body()).is_ok());
    let challenged = answer.headers().contains_key(WWW_AUTHENTICATE);
    assert!(challenged || status != 401);
    let read = Challenges::parse(answer.headers());
    assert!(read.is_ok_and(|all| all.is_empty() != challenged));
}
