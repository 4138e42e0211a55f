//! One request, judged.

use aims_http_sig::profile::wimse::UnspentRequest;
use aims_jose::digest::{Fingerprint, Hashed};
use aims_jose::time::UnixTime;
use aims_oauth_rs::{AccessToken, BindingFailure, ProvenKey, bearer_token};
use aims_wimse_cred::Wit;
use aims_wimse_id::WorkloadId;
use aims_wimse_wpt::fields::{
    Presented, Proof, txn_token, workload_identity_token, workload_proof_token,
};
use aims_wimse_wpt::{Binding, Revision, Revisions, UnspentWpt};
use http::header::HeaderMap;
use http::request::Parts;

use super::{Audience, Guard, Inner, head};
use crate::decision::{Call, Decision, Denial, Reason};
use crate::principal::{Principal, Proven};
use crate::record::Fingerprints;
use crate::refresh::Keys;
use crate::refusal::{Answer, Refusal};
use crate::revoked::Credential;
use crate::trace::TraceContext;

/// What was found out about a request before anything of it was spent.
pub(super) struct Examined {
    pub(super) found: Result<Found, Refused>,
    pub(super) seen: Seen,
}

/// The proofs that a request brought. All of them are good, if they are the first of their kind.
pub(super) struct Found {
    wpt: Option<UnspentWpt>,
    pub(super) signature: Option<UnspentRequest>,
}

/// How much of a request is judged.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Part {
    /// The head alone: nobody compares the content, so no signature over a digest proves anything.
    Head,
    /// The head, and then the content.
    Message,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) fingerprints: Fingerprints,
    pub(super) wit: Option<Wit>,
    pub(super) token: Option<AccessToken>,
}

pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) reasons: Vec<Reason>,
    keys: Option<Box<Keys>>,
}

impl Examined {
    /// The keys whose refresh may change what is found.
    pub(super) fn unknown_keys(&self) -> Option<Keys> {
        self.found.as_ref().err()?.keys.as_deref().cloned()
    }
}

impl Refused {
    pub(super) fn new(code: &'static str, answer: Answer, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            reasons: vec![Reason::new(code, detail.clone())],
            refusal: Refusal::new(code, answer, detail),
            keys: None,
        }
    }

    /// Adds to the detail.
    fn explain(&mut self, hint: &str) {
        self.refusal.explain(hint);
        let code = self.refusal.code();
        self.reasons = vec![Reason::new(code, self.refusal.detail())];
    }
}

/// The texts that a request brings. Nothing of them is verified.
struct Brought<'a> {
    wit: Option<&'a str>,
    wpt: Option<Proof<'a>>,
    signed: bool,
    token: Option<Hashed<'a>>,
    txn_token: Option<&'a str>,
}

impl Guard {
    /// Verifies what a request brings. Nothing is spent or decided yet.
    pub(super) fn examine(&self, request: &Parts, part: Part, now: UnixTime) -> Examined {
        let mut seen = Seen::default();
        let found = self.find(request, part, &mut seen, now);
        Examined { found, seen }
    }

    fn find(
        &self,
        request: &Parts,
        part: Part,
        seen: &mut Seen,
        now: UnixTime,
    ) -> Result<Found, Refused> {
        head::check(request).map_err(|(code, answer, why)| Refused::new(code, answer, why))?;
        let brought = self.read(&request.headers, part)?;
        let found = self
            .check_brought(&brought)
            .and_then(|()| self.verify(&brought, request, seen, now));
        seen.fingerprints = fingerprints(&brought, seen);
        found
    }

    fn verify(
        &self,
        brought: &Brought<'_>,
        request: &Parts,
        seen: &mut Seen,
        now: UnixTime,
    ) -> Result<Found, Refused> {
        let inner = &*self.inner;
        let mut found = Found {
            wpt: None,
            signature: None,
        };
        if let Some(text) = brought.wit {
            let wit = inner.wits.verify(text, &inner.trust, now);
            // Who was refused is known from here on.
            let wit = &*seen.wit.insert(wit.map_err(|error| wit_refused(&error))?);
            if inner.is_revoked(Credential::Wit(wit), now) {
                return Err(wit_refused(&aims_wimse_cred::Error::Revoked));
            }
            if let Some(wpt) = brought.wpt {
                found.wpt = Some(inner.wpt(wpt, wit, brought, request, now)?);
            }
            if brought.signed {
                found.signature = match inner.signature(request, wit, now) {
                    // A signature of another kind, which is nothing to this guard, beside a proof
                    // that is.
                    Err(aims_http_sig::Error::SignatureMissing) if found.wpt.is_some() => None,
                    signature => Some(signature.map_err(|error| signature_of(request, &error))?),
                };
                if let Some(unspent) = &found.signature {
                    inner.check_answerable(unspent, now)?;
                }
                // Beside a WPT, that covers them.
                if let (None, Some(unspent)) = (&found.wpt, &found.signature) {
                    inner
                        .check_token_fields(request, unspent)
                        .map_err(|error| signature_refused(&error))?;
                }
            }
        }
        if let (Some(token), Some(issuers)) = (&brought.token, &inner.issuers) {
            let token = inner.tokens.verify_hashed(token, issuers, now);
            let token = &*seen
                .token
                .insert(token.map_err(|error| self.token(&error))?);
            if inner.is_revoked(Credential::AccessToken(token), now) {
                return Err(self.token(&aims_oauth_rs::Error::Revoked));
            }
            check_same(token, seen.wit.as_ref()).map_err(|error| self.token(&error))?;
        }
        Ok(found)
    }

    /// Looks at the credentials once more, after a while in which a content came: they may have
    /// ended, lost their keys or been revoked. What was verified is known, so it costs no
    /// public-key operation.
    pub(super) fn examine_again(&self, examined: &mut Examined, request: &Parts, now: UnixTime) {
        if examined.found.is_ok()
            && let Err(refused) = self.still_good(request, now)
        {
            examined.found = Err(refused);
        }
    }

    fn still_good(&self, request: &Parts, now: UnixTime) -> Result<(), Refused> {
        let inner = &*self.inner;
        let brought = self.read(&request.headers, Part::Message)?;
        if let Some(text) = brought.wit {
            let wit = inner.wits.verify(text, &inner.trust, now);
            let wit = wit.map_err(|error| wit_refused(&error))?;
            if inner.is_revoked(Credential::Wit(&wit), now) {
                return Err(wit_refused(&aims_wimse_cred::Error::Revoked));
            }
        }
        if let (Some(token), Some(issuers)) = (&brought.token, &inner.issuers) {
            let token = inner.tokens.verify_hashed(token, issuers, now);
            let token = token.map_err(|error| self.token(&error))?;
            if inner.is_revoked(Credential::AccessToken(&token), now) {
                return Err(self.token(&aims_oauth_rs::Error::Revoked));
            }
        }
        Ok(())
    }

    /// Spends the proofs and decides. Last: what is refused for another reason is not remembered,
    /// and what is remembered was good.
    pub(super) fn conclude(
        &self,
        found: Found,
        seen: &Seen,
        request: &Parts,
        now: UnixTime,
    ) -> Result<(Principal, Vec<Reason>), Refused> {
        let replay = self.inner.replay.as_ref();
        let wpt = found.wpt.map(|proof| proof.spend(replay, now));
        let signature = found
            .signature
            .map(|unspent| {
                let sender = seen.wit.as_ref().map_or("", |wit| wit.id().as_str());
                let (verified, _compared) = unspent.spend(replay, sender, now)?.reading_body();
                Ok(verified)
            })
            .transpose()
            .map_err(|error: aims_http_sig::Error| signature_refused(&error))?;
        let wpt = wpt.transpose().map_err(|error| wpt_refused(&error))?;
        let proven = match (seen.wit.clone(), seen.token.clone()) {
            (Some(wit), token) => Proven::Agent {
                wit,
                wpt,
                signature: signature.map(Box::new),
                token,
            },
            (None, Some(token)) => Proven::Bearer(token),
            (None, None) => return Err(nothing_proven()),
        };
        let principal = Principal::new(proven);
        let reasons = self.decide(&principal, request, now)?;
        Ok((principal, reasons))
    }

    /// Finds what the request brings, within limits, before any cryptography.
    fn read<'a>(&self, headers: &'a HeaderMap, part: Part) -> Result<Brought<'a>, Refused> {
        let inner = &*self.inner;
        let signed = inner.may_be_signed(headers, part);
        let proof = workload_proof_token(headers, inner.wpt.revisions());
        // The field of such a proof holds no token (draft-ietf-wimse-wpt-02).
        let in_authorization = |proof: &Proof<'_>| proof.revision() == Revision::Draft02;
        let token = match &proof {
            Ok(Some(proof)) if in_authorization(proof) => None,
            _ => bearer_token(headers, inner.max_token).map_err(|error| self.token(&error))?,
        };
        let (wit, wpt) =
            presented(headers, inner.wpt.revisions(), signed).map_err(|error| match error {
                aims_wimse_wpt::Error::FieldMissing { .. }
                    if headers.contains_key("signature-input") =>
                {
                    signature_not_accepted()
                }
                error => wpt_refused(&error),
            })?;
        let txn_token = txn_token(headers).map_err(|error| wpt_refused(&error))?;
        Ok(Brought {
            wit,
            wpt,
            signed,
            token: token.map(Hashed::of),
            txn_token,
        })
    }

    /// Whether all is there that the guard asks for.
    fn check_brought(&self, brought: &Brought<'_>) -> Result<(), Refused> {
        match (&brought.token, &self.inner.issuers) {
            (None, Some(_)) => return Err(self.token(&aims_oauth_rs::Error::Missing)),
            (Some(_), None) => {
                let why = "an access token came, but no issuer is configured";
                return Err(Refused::new(
                    "guard.token_unexpected",
                    Answer::Forbidden,
                    why,
                ));
            }
            _ => {}
        }
        let bearer = brought.token.is_some() && self.route.requirements.allows_bearer();
        if brought.wit.is_some() || bearer {
            Ok(())
        } else {
            Err(nothing_proven())
        }
    }

    fn token(&self, error: &aims_oauth_rs::Error) -> Refused {
        let scopes = self.route.requirements.required_scopes();
        let metadata = self.inner.metadata_url.as_ref();
        let answer = match error {
            aims_oauth_rs::Error::TooLong { .. } => Answer::TooLarge,
            _ => {
                let (status, challenge) = aims_oauth_rs::challenge(error, metadata, scopes);
                Answer::Challenge(status, challenge)
            }
        };
        let keys = match error {
            aims_oauth_rs::Error::UnknownKey { issuer, .. }
            | aims_oauth_rs::Error::KeysStale { issuer } => {
                Some(Box::new(Keys::Issuer(issuer.clone())))
            }
            _ => None,
        };
        Refused {
            keys,
            ..Refused::new(error.code(), answer, aims_jose::Chain(error).to_string())
        }
    }

    /// The requirements of the route, then the seam.
    fn decide(
        &self,
        principal: &Principal,
        request: &Parts,
        now: UnixTime,
    ) -> Result<Vec<Reason>, Refused> {
        let call = Call {
            resource: &self.inner.resource,
            method: &request.method,
            path: request.uri.path(),
            trace: TraceContext::of(&request.headers),
        };
        let mut reasons = self.reasons(self.route.requirements.decide(principal))?;
        reasons.extend(self.reasons(self.inner.authorize.authorize(principal, &call, now))?);
        Ok(reasons)
    }

    fn reasons(&self, decision: Decision) -> Result<Vec<Reason>, Refused> {
        let (denial, reasons) = match decision {
            Decision::Allow(reasons) => return Ok(reasons),
            Decision::Deny(denial, reasons) => (denial, reasons),
        };
        let (code, answer) = match denial {
            Denial::Forbidden => ("guard.forbidden", Answer::Forbidden),
            Denial::Unavailable => ("guard.unavailable", Answer::Unavailable),
            Denial::InsufficientScope(scopes) => {
                let url = self.inner.metadata_url.as_ref();
                let (status, challenge) = aims_oauth_rs::insufficient_scope(url, &scopes);
                ("guard.scope", Answer::Challenge(status, challenge))
            }
        };
        let detail = reasons
            .first()
            .map_or_else(String::new, ToString::to_string);
        Err(Refused {
            reasons,
            refusal: Refusal::new(code, answer, detail),
            keys: None,
        })
    }
}

impl Inner {
    fn wpt(
        &self,
        proof: Proof<'_>,
        wit: &Wit,
        brought: &Brought<'_>,
        request: &Parts,
        now: UnixTime,
    ) -> Result<UnspentWpt, Refused> {
        let target;
        let mut binding = match &self.audience {
            Audience::Target(origin) => {
                target = format!("{origin}{}", request.uri.path());
                Binding::to(&target)
            }
            Audience::Named(names) => {
                let (first, others) = names
                    .split_first()
                    .map_or(("", [].as_slice()), |it| (it.0.as_str(), it.1));
                others
                    .iter()
                    .fold(Binding::to(first), |binding, name| binding.or_to(name))
            }
        };
        binding = binding.revision(proof.revision());
        if let Some(token) = &brought.token {
            binding = binding.access_token_hashed(token);
        }
        if let Some(token) = brought.txn_token {
            binding = binding.txn_token(token);
        }
        for name in &self.token_fields {
            let mut values = request.headers.get_all(name).iter();
            if let Some(value) = values.next() {
                binding = binding.header(name.as_str(), value.as_bytes());
            }
            if values.next().is_some() {
                return Err(wpt_refused(&aims_wimse_wpt::Error::OtherHash));
            }
        }
        aims_wimse_wpt::verify(proof.text(), wit, &binding, &self.wpt, now)
            .map_err(|error| wpt_refused(&error))
    }

    /// Whether a signature of the request is to be looked at.
    fn may_be_signed(&self, headers: &HeaderMap, part: Part) -> bool {
        part == Part::Message
            && self.signatures.is_some()
            && (headers.contains_key("signature-input") || headers.contains_key("signature"))
    }

    fn is_revoked(&self, credential: Credential<'_>, now: UnixTime) -> bool {
        self.revoked.is_revoked(credential, now)
    }
}

/// The WIT and the WPT: both, or neither, or the WIT alone where a signature may be the proof.
fn presented(
    headers: &HeaderMap,
    accepted: Revisions,
    signed: bool,
) -> Result<(Option<&str>, Option<Proof<'_>>), aims_wimse_wpt::Error> {
    if signed && workload_proof_token(headers, accepted)?.is_none() {
        return Ok((workload_identity_token(headers)?, None));
    }
    let presented = Presented::find(headers, accepted)?;
    Ok(presented.map_or((None, None), |it| (Some(it.wit()), Some(it.proof()))))
}

/// The token must be the agent's own: bound to the key that was proven, or issued to the identifier
/// that was proven. Two sources that name different agents are refused (T-130).
fn check_same(token: &AccessToken, wit: Option<&Wit>) -> Result<(), aims_oauth_rs::Error> {
    let proven = wit.map(|wit| ProvenKey::Signature(*wit.key().thumbprint()));
    if token.is_bound() {
        token.confirmed_by(proven.as_slice())?;
    }
    let Some(wit) = wit else {
        return Ok(());
    };
    let refused = |why| Err(aims_oauth_rs::Error::NotBound(why));
    match WorkloadId::parse(token.client_id()) {
        Ok(client) if client == *wit.id() => Ok(()),
        Ok(_another_agent) => refused(BindingFailure::OtherWorkload),
        Err(_no_identifier) if token.is_bound() => Ok(()),
        Err(_no_identifier) => refused(BindingFailure::NoConfirmation),
    }
}

fn nothing_proven() -> Refused {
    Refused::new(
        "guard.proof",
        Answer::Problem(PROOF_REQUIRED),
        PROOF_REQUIRED,
    )
}

/// A signature instead of a WPT, where none is judged.
fn signature_not_accepted() -> Refused {
    let why = "a signature came and no workload proof token: what judges signatures is `message_layer` or `check_message`, of a guard with `http_signatures`";
    Refused::new(
        "guard.signature_not_accepted",
        Answer::Problem(PROOF_REQUIRED),
        why,
    )
}

const PROOF_REQUIRED: &str = "a workload identity token and a proof of its key are required";

/// A refused WIT says to the caller only that it was refused, whatever was wrong with it (T-141).
fn wit_refused(error: &aims_wimse_cred::Error) -> Refused {
    let answer = match error.code() {
        "jws.too_long" => Answer::TooLarge,
        _ => Answer::Problem("the workload identity token was not accepted"),
    };
    let keys = match error {
        aims_wimse_cred::Error::UnknownKey { origin, .. }
        | aims_wimse_cred::Error::Stale { origin } => Some(Box::new(Keys::Origin(origin.clone()))),
        _ => None,
    };
    Refused {
        keys,
        ..Refused::new(error.code(), answer, aims_jose::Chain(error).to_string())
    }
}

fn wpt_refused(error: &aims_wimse_wpt::Error) -> Refused {
    use aims_replay::Error as Replay;
    use aims_wimse_wpt::Error as Wpt;
    let answer = match error {
        Wpt::FieldTooLong { .. } => Answer::TooLarge,
        Wpt::Replay(Replay::Replayed | Replay::Expired | Replay::Horizon) => {
            Answer::Problem("the workload proof token was not accepted")
        }
        Wpt::Replay(_full_or_away) => Answer::Unavailable,
        _ => Answer::Problem("the workload proof token was not accepted"),
    };
    Refused::new(error.code(), answer, aims_jose::Chain(error).to_string())
}

/// A refused signature or content. Whose it is was proven by nobody, so it says no more than that
/// (T-141).
pub(super) fn signature_refused(error: &aims_http_sig::Error) -> Refused {
    let status = aims_http_sig::profile::wimse::status(error);
    let answer = match status.as_u16() {
        501 => Answer::Unsigned,
        503 | 500 => Answer::Unavailable,
        _ => Answer::Problem("the signature of the request was not accepted"),
    };
    Refused::new(error.code(), answer, aims_jose::Chain(error).to_string())
}

/// The same, for those who hand a guard what no server got.
fn signature_of(request: &Parts, error: &aims_http_sig::Error) -> Refused {
    let is_absolute = request.uri.authority().is_some() && request.version < http::Version::HTTP_2;
    let mut refused = signature_refused(error);
    if is_absolute && matches!(error, aims_http_sig::Error::Signature) {
        refused.explain("the target is in absolute form, as a client has it: a server gets path and query, and `host`");
    }
    refused
}

pub(super) const CONTENT_UNREAD: &str = "the content of the request could not be read";

/// A content that did not come to its end.
pub(super) fn content_unread() -> Refused {
    Refused::new(
        "guard.content",
        Answer::Problem(CONTENT_UNREAD),
        CONTENT_UNREAD,
    )
}

/// What was verified was hashed already.
fn fingerprints(brought: &Brought<'_>, seen: &Seen) -> Fingerprints {
    let of = |text: &str| Fingerprint::of(text.as_bytes());
    let wit = seen.wit.as_ref().map(Wit::hash);
    Fingerprints {
        wit: brought
            .wit
            .map(|text| wit.map_or_else(|| of(text), Fingerprint::of_sha256)),
        wpt: brought.wpt.map(|proof| of(proof.text())),
        access_token: brought.token.as_ref().map(Hashed::fingerprint),
        txn_token: brought.txn_token.map(of),
    }
}
