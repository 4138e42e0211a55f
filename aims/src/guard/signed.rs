//! HTTP message signatures: what a guard takes of requests, and how it signs responses.

use std::sync::Arc;
use std::time::Duration;

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::{
    Content, RequestPolicy, ResponseSigning, SignedResponse, UnspentRequest, VerifiedRequest,
};
use aims_http_sig::{Component, Error, HttpRequest, HttpResponse};
use aims_jose::random;
use aims_jose::time::{Skew, UnixTime};
use aims_wimse_cred::{Identity, IdentitySource, Wit};
use aims_wimse_wpt::fields::WORKLOAD_IDENTITY_TOKEN;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, StatusCode, response};

use super::judge::{Examined, Part, Refused, signature_refused};
use super::{Audience, Guard, Inner};
use crate::decision::Reason;
use crate::principal::Principal;
use crate::refusal::{Answer, Refusal};

/// How a guard takes HTTP signatures as a proof beside the WPT, and whether it signs its responses
/// (draft-ietf-wimse-http-signature).
///
/// A signature covers the head, and `Content-Digest` the content: so these requests are judged
/// whole, by [`Guard::check_message`] or by [`Guard::message_layer`](Guard::message_layer).
#[derive(Clone, Debug)]
#[must_use = "a guard takes signatures when it is given this"]
pub struct HttpSignatures {
    lifetime: Duration,
    max_content: u64,
    max_answer: usize,
    source: Option<Arc<dyn IdentitySource>>,
    every: SignedResponse,
}

impl HttpSignatures {
    /// `expires` at most 5 min ahead; contents of up to 2 MiB. A request that asks for a signed
    /// response is refused with 501.
    pub fn new() -> Self {
        Self {
            lifetime: Duration::from_secs(300),
            max_content: 2 * 1024 * 1024,
            max_answer: 1024 * 1024,
            source: None,
            every: SignedResponse::Unasked,
        }
    }

    /// Another limit to how far ahead `expires` may be, in whole seconds, up to 10 min.
    pub const fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.lifetime = most;
        self
    }

    /// Another limit to the content of signed requests, in bytes.
    pub const fn with_max_content(mut self, most: u64) -> Self {
        self.max_content = most;
        self
    }

    /// Another limit to the content of signed responses, in bytes, which are kept whole until they
    /// are signed; 1 MiB unless said.
    pub const fn with_max_answer(mut self, most: usize) -> Self {
        self.max_answer = most;
        self
    }

    /// Signs responses as this workload, where a caller asks for it (SIG-09).
    pub fn answering_as(mut self, source: impl IdentitySource + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Signs the response to every signed request, asked or not. Needs
    /// [`answering_as`](Self::answering_as).
    pub const fn signing_every_response(mut self) -> Self {
        self.every = SignedResponse::Asked;
        self
    }

    pub(super) const fn can_sign(&self) -> bool {
        self.source.is_some()
    }

    /// Who signs at the moment.
    fn identity(&self, now: UnixTime) -> Result<Arc<Identity>, Unsignable> {
        let source = self.source.as_ref();
        let source = source.ok_or_else(|| Unsignable("no identity to answer as".to_owned()))?;
        source.identity(now).map_err(|error| Unsignable::of(&error))
    }

    pub(super) const fn signs_every(&self) -> bool {
        matches!(self.every, SignedResponse::Asked)
    }

    pub(super) fn build(
        self,
        resource: &str,
        audience: &Audience,
        skew: Skew,
    ) -> Result<Signatures, Error> {
        let (scheme, rest) = resource.split_once("://").unwrap_or(("https", resource));
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let policy = match audience {
            Audience::Named(names) => RequestPolicy::for_audiences(names.iter().cloned())?,
            Audience::Target(_) => RequestPolicy::for_given_audience(),
        };
        Ok(Signatures {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            policy: policy.with_skew(skew).with_max_lifetime(self.lifetime),
            config: self,
        })
    }
}

impl Default for HttpSignatures {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a response cannot be signed, for the tool's own people.
pub(super) struct Unsignable(pub(super) String);

impl Unsignable {
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(aims_jose::Chain(error).to_string())
    }
}

const UNSIGNABLE: &str = "sig.response_unsignable";

/// What a guard has made of its configuration.
pub(super) struct Signatures {
    scheme: String,
    authority: String,
    policy: RequestPolicy,
    config: HttpSignatures,
}

impl Signatures {
    pub(super) const fn max_content(&self) -> u64 {
        self.config.max_content
    }

    pub(super) const fn max_answer(&self) -> usize {
        self.config.max_answer
    }

    fn message<'a>(&'a self, request: &'a Parts) -> HttpRequest<'a> {
        HttpRequest::received(request, &self.scheme, &self.authority)
    }

    /// Whether the response to this request is signed.
    fn signs(&self, asked: SignedResponse) -> bool {
        asked == SignedResponse::Asked || self.config.signs_every()
    }
}

impl Inner {
    /// Verifies the signature by the key of the WIT, which was validated before (SIG-06).
    pub(super) fn signature(
        &self,
        request: &Parts,
        wit: &Wit,
        now: UnixTime,
    ) -> Result<UnspentRequest, Error> {
        let signatures = self.signatures.as_ref().ok_or(Error::SignatureMissing)?;
        let message = signatures.message(request);
        let policy = &signatures.policy;
        let unspent = match &self.audience {
            Audience::Named(_) => policy.verify(&message, wit.key(), now)?,
            Audience::Target(origin) => {
                let target = format!("{origin}{}", request.uri.path());
                policy.verify_to(&target, &message, wit.key(), now)?
            }
        };
        Ok(unspent)
    }

    /// Whoever cannot sign says so before anything is done (SIG-09).
    pub(super) fn check_answerable(
        &self,
        unspent: &UnspentRequest,
        now: UnixTime,
    ) -> Result<(), Refused> {
        match &self.signatures {
            Some(signatures) if signatures.signs(unspent.signed_response()) => {
                let identity = signatures.config.identity(now);
                identity
                    .map(drop)
                    .map_err(|Unsignable(why)| Refused::new(UNSIGNABLE, Answer::Unsigned, why))
            }
            _ => Ok(()),
        }
    }

    /// A field that carries a token which the tool uses is covered, and stands once (WPT-07 says so
    /// of a WPT).
    pub(super) fn check_token_fields(
        &self,
        request: &Parts,
        unspent: &UnspentRequest,
    ) -> Result<(), Error> {
        for name in &self.token_fields {
            let mut values = request.headers.get_all(name).iter();
            let component = Component::field(name.as_str())?;
            let covered = || unspent.signature().covers(&component);
            if values.next().is_some() && (values.next().is_some() || !covered()) {
                return Err(Error::ComponentRequired {
                    component: component.to_string(),
                });
            }
        }
        Ok(())
    }
}

impl Guard {
    /// Judges a request with its content, as it was received: before any `Content-Encoding` is
    /// undone, empty where there is none.
    ///
    /// The request is one that a server got: in HTTP/1.1 its URI is path and query, beside `Host`.
    /// A test that hands over a request of an agent reduces its URI first.
    ///
    /// Beside what [`check`](Self::check) takes, it takes HTTP signatures, where the guard was
    /// [given](super::GuardBuilder::http_signatures) how. When the caller asks for a signed
    /// response, [`sign_response`](Self::sign_response) signs it.
    ///
    /// # Errors
    ///
    /// The [`Refusal`], with its answer for the wire.
    pub fn check_message(
        &self,
        request: &Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<Principal, Refusal> {
        let mut examined = self.examine(request, Part::Message, now);
        examined.hold(content);
        self.finish(request, examined, now)
    }

    /// As [`check_message`](Self::check_message), with the guard's clock and one refresh of unknown
    /// keys, as [`admit`](Self::admit).
    ///
    /// # Errors
    ///
    /// The [`Refusal`], with its answer for the wire.
    pub async fn admit_message(
        &self,
        request: &Parts,
        content: &[u8],
    ) -> Result<Principal, Refusal> {
        let (mut examined, now) = self.examine_fresh(request, Part::Message).await;
        examined.hold(content);
        self.finish(request, examined, now)
    }

    /// Signs a response to a signed request, where the caller asked for it or this guard [signs
    /// every one](HttpSignatures::signing_every_response): sets `Content-Digest` and
    /// `Workload-Identity-Token`, and adds the signature. Any other response is left as it is.
    ///
    /// # Errors
    ///
    /// `sig.response_unsignable`, answered with 501 instead of the response: there is no identity
    /// at the moment, or the key does not sign.
    pub fn sign_response(
        &self,
        request: &Parts,
        principal: &Principal,
        response: &mut response::Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let (Some(signatures), Some(verified)) = (&self.inner.signatures, principal.signature())
        else {
            return Ok(());
        };
        if !signatures.signs(verified.signed_response()) {
            return Ok(());
        }
        let signed = signatures.sign(request, verified, response, content, now);
        signed.map_err(|why| self.unsignable(request, principal, why, now))
    }

    /// Tells the record why a response is not sent. The caller learns that it is not.
    pub(super) fn unsignable(
        &self,
        request: &Parts,
        principal: &Principal,
        Unsignable(why): Unsignable,
        now: UnixTime,
    ) -> Refusal {
        self.record_later(
            request,
            principal,
            Reason::new(UNSIGNABLE, why.clone()),
            now,
        );
        Refusal::new(UNSIGNABLE, Answer::Unsigned, why)
    }

    pub(super) fn signs_response_to(&self, principal: &Principal) -> bool {
        let signs = |signatures: &Signatures| {
            let signature = principal.signature();
            signature.is_some_and(|it| signatures.signs(it.signed_response()))
        };
        self.inner.signatures.as_ref().is_some_and(signs)
    }
}

impl Signatures {
    fn sign(
        &self,
        request: &Parts,
        verified: &VerifiedRequest,
        response: &mut response::Parts,
        content: &[u8],
        now: UnixTime,
    ) -> Result<(), Unsignable> {
        let identity = self.config.identity(now)?;
        let wit = HeaderValue::from_str(identity.wit().expose());
        let mut wit = wit.map_err(|error| Unsignable::of(&error))?;
        wit.set_sensitive(true);
        response.headers.insert(WORKLOAD_IDENTITY_TOKEN, wit);
        let digest = ContentDigest::of(content);
        let content = if has_content(request, response.status) {
            let value = HeaderValue::try_from(digest.to_string());
            let value = value.map_err(|error| Unsignable::of(&error))?;
            response.headers.insert(ContentDigest::FIELD, value);
            Content::Digest(&digest)
        } else {
            response.headers.remove(ContentDigest::FIELD);
            Content::Empty
        };
        let prepared = ResponseSigning::new().prepare(
            &HttpResponse::new(response),
            &self.message(request),
            verified,
            content,
            random::SYSTEM,
            now,
        );
        let signed = prepared.and_then(|prepared| prepared.sign(identity.signer().as_ref()));
        let applied = signed.and_then(|fields| fields.apply(&mut response.headers));
        applied.map_err(|error| Unsignable::of(&error))
    }
}

/// Whether a response has content at all (RFC 9112 §6.3).
fn has_content(request: &Parts, status: StatusCode) -> bool {
    request.method != Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

impl Examined {
    /// What the content of a signed request is to be compared with.
    pub(super) fn content(&self) -> Option<aims_http_sig::profile::wimse::ContentCheck> {
        let found = self.found.as_ref().ok()?;
        Some(found.signature.as_ref()?.content())
    }

    /// Refuses where the content is not the one that was signed.
    fn hold(&mut self, content: &[u8]) {
        if let Some(check) = self.content()
            && let Err(error) = check.check(content)
        {
            self.found = Err(signature_refused(&error));
        }
    }
}
