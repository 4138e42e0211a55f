//! The caller: signs a request, and keeps what its response is judged by.

use std::borrow::Cow;
use std::time::Duration;

use aims_jose::key::VerifyingKey;
use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;

use super::content::Framed;
use super::{
    AUDIENCE, Answer, Content, LABEL, Peer, ResponsePolicy, SIGN_RESPONSE, SignedResponse, TAG,
    answer, check_label, fresh_or, revision, within_limit,
};
use crate::base::Draft;
use crate::sf::write_parameter;
use crate::{BareItem, Component, Error, Exchange, Limits, Message, PreparedSignature};

/// How requests to one receiver are signed.
///
/// Covers `@method`, `@path`, `@query` (`?` where the request has none) and
/// `workload-identity-token`, which must be present, and where they are present `content-type`,
/// `content-digest`, `authorization`, `txn-token`, `content-encoding` and
/// [further fields](Self::covering_field). A `CONNECT` covers `@authority` in place of `@path` and
/// `@query`. Parameters are `created`, `expires`, `nonce`, `tag` and `wimse-aud`, never `keyid` or
/// `alg`.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct RequestSigning {
    /// The parameters that are the same in each request: `tag` and `wimse-aud`.
    constant: String,
    label: Cow<'static, str>,
    lifetime: Duration,
    response: SignedResponse,
    /// What is covered beside the fields of the profile, where it is there.
    fields: Vec<Component>,
}

impl RequestSigning {
    /// To this receiver, by the audience that it knows itself by; signatures live 60 s, and the
    /// response may be unsigned.
    ///
    /// Where nothing else is agreed, the audience is the target URI without its query (draft §"The
    /// wimse-aud Signature Parameter").
    ///
    /// # Errors
    ///
    /// `sig.prepare` where the audience is empty or not printable ASCII.
    pub fn to(audience: &str) -> Result<Self, Error> {
        if audience.is_empty() {
            return Err(Error::Prepare {
                reason: "the audience is empty",
            });
        }
        let mut constant = String::new();
        write_parameter(&mut constant, "tag", &BareItem::string(TAG)?);
        write_parameter(&mut constant, AUDIENCE, &BareItem::string(audience)?);
        Ok(Self {
            constant,
            label: Cow::Borrowed(LABEL),
            lifetime: Duration::from_secs(60),
            response: SignedResponse::Unasked,
            fields: Vec::new(),
        })
    }

    /// Covers this field as well, where a request has it: one by which the receiver decides, such
    /// as the name of an MCP tool. May be repeated. The name is in lower case.
    ///
    /// # Errors
    ///
    /// `sig.component_unknown` where it is no name of a field.
    pub fn covering_field(mut self, name: &str) -> Result<Self, Error> {
        let field = Component::field(name)?;
        let is_field = |it: &Component| it.id() == field.id();
        let of_profile = revision::all_of_request().iter().any(is_field);
        if !of_profile && !self.fields.iter().any(is_field) {
            self.fields.push(field);
        }
        Ok(self)
    }

    /// Signatures that live that long, in whole seconds: 1 s to
    /// [`MAX_LIFETIME`](super::MAX_LIFETIME), or `prepare` refuses.
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the label, which means nothing to a receiver; [`LABEL`] unless set. A label that is no
    /// key of a structured field is refused by `prepare`.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Cow::Owned(label.into());
        self
    }

    /// Takes no response that is not signed (`wimse-sign-response`).
    pub const fn asking_for_signed_response(mut self) -> Self {
        self.response = SignedResponse::Asked;
        self
    }

    /// Makes the signature base of a request, and what its response is judged by. The fields that
    /// are to be covered, `Workload-Identity-Token` and `Content-Digest` among them, are there
    /// already.
    ///
    /// # Errors
    ///
    /// `digest.missing`, `digest.mismatch` where `Content-Digest` is not the given one, or the
    /// message says that it has a body; `sig.component_absent` without `Workload-Identity-Token`;
    /// `sig.lifetime`; `sig.component_misplaced` for a response; those of
    /// [`Signing::prepare`](crate::Signing::prepare).
    pub fn prepare(
        &self,
        request: &dyn Message,
        content: Content<'_>,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<(PreparedSignature, Pending), Error> {
        self.prepare_with(request, content, None, random, now)
    }

    fn prepare_with(
        &self,
        request: &dyn Message,
        content: Content<'_>,
        nonce: Option<&str>,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<(PreparedSignature, Pending), Error> {
        content.check(request, Framed::ByFields)?;
        let lifetime = within_limit(self.lifetime)?.as_secs();
        check_label(&self.label)?;
        let exchange = Exchange::of(request);
        let mut draft = Draft::new(
            &exchange,
            &Limits::default(),
            self.fields.len().saturating_add(9),
            self.constant.len().saturating_add(96),
        );
        for component in revision::request(request) {
            draft.cover(component.id())?;
        }
        for field in revision::REQUEST_FIELDS {
            draft.cover_present(*field)?;
        }
        for field in &self.fields {
            draft.cover_present(field.id())?;
        }
        let nonce = fresh_or(nonce, random)?;
        draft.list();
        draft.time("created", now, 0)?;
        draft.time("expires", now, lifetime)?;
        draft.string("nonce", &nonce);
        draft.parameters(&self.constant);
        if self.response == SignedResponse::Asked {
            draft.parameters(";");
            draft.parameters(SIGN_RESPONSE);
        }
        let prepared = PreparedSignature::new(self.label.clone(), draft.finish(), None);
        Ok((prepared, Pending::new(nonce, self.response)))
    }
}

/// A request that was signed, and waits for its response.
#[derive(Debug)]
#[must_use = "a response is not the answer to this request until `finish` says so"]
pub struct Pending {
    nonce: String,
    response: SignedResponse,
}

impl Pending {
    pub(super) const fn new(nonce: String, response: SignedResponse) -> Self {
        Self { nonce, response }
    }

    /// The nonce of the request.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Judges the response to the request, which is given as it was sent. `key` is that of the
    /// response's WIT, which the caller has validated; none where it has no WIT.
    ///
    /// A signature that is present is verified, asked for or not. Without one, the response is
    /// accepted where none was asked for.
    ///
    /// # Errors
    ///
    /// `sig.response_unsigned` where it had to be signed, `sig.request_nonce` where it answers
    /// another request, `sig.key_unknown` where it is signed and no key was given; the
    /// codes `sig.…` for what else is wrong.
    pub fn finish(
        self,
        response: &dyn Message,
        request: &dyn Message,
        key: Option<&VerifyingKey>,
        policy: &ResponsePolicy,
        now: UnixTime,
    ) -> Result<Answer, Error> {
        let peer = key.map(Peer::from);
        self.finish_from(response, request, peer.as_ref(), policy, now)
    }

    /// As [`finish`](Self::finish), with the origin of the response's WIT beside its key: for a
    /// policy that accepts other algorithms from some origins.
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish).
    pub fn finish_from(
        self,
        response: &dyn Message,
        request: &dyn Message,
        peer: Option<&Peer<'_>>,
        policy: &ResponsePolicy,
        now: UnixTime,
    ) -> Result<Answer, Error> {
        let exchange = Exchange::of(response).answering(request);
        answer::judge(&exchange, &self.nonce, self.response, peer, policy, now)
    }
}

#[cfg(test)]
mod tests;
