//! Signs a request, and keeps the state to verify its response.

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

/// Settings for signing requests to one receiver.
///
/// The signature covers `@method`, `@path`, `@query` (`?` for a request without query) and
/// `workload-identity-token`, which the request must have. It covers `content-type`,
/// `content-digest`, `authorization`, `txn-token`, `content-encoding` and [further
/// fields](Self::covering_field) if the request has them. For `CONNECT` it covers `@authority`
/// instead of `@path` and `@query`.
///
/// The parameters are `created`, `expires`, `nonce`, `tag` and `wimse-aud`, never `keyid` or `alg`.
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct RequestSigning {
    /// The parameters that are the same in each request: `tag` and `wimse-aud`.
    constant: String,
    label: Cow<'static, str>,
    lifetime: Duration,
    response: SignedResponse,
    /// Further fields to cover if a request has them.
    fields: Vec<Component>,
}

impl RequestSigning {
    /// Creates settings for the receiver with this audience. The lifetime is 60 s, and the response
    /// may be unsigned.
    ///
    /// If both sides have not agreed on another audience, it is the target URI without its query
    /// (draft §"The wimse-aud Signature Parameter").
    ///
    /// # Errors
    ///
    /// `sig.prepare` if the audience is empty or not printable ASCII.
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

    /// Covers this field too, if a request has it. Use it for a field by which the receiver
    /// decides, such as the name of an MCP tool. The name is in lower case. It may be called
    /// several times.
    ///
    /// # Errors
    ///
    /// `sig.component_unknown` if the text is not a field name in lower case.
    pub fn covering_field(mut self, name: &str) -> Result<Self, Error> {
        let field = Component::field(name)?;
        let is_field = |it: &Component| it.id() == field.id();
        let of_profile = revision::all_of_request().iter().any(is_field);
        if !of_profile && !self.fields.iter().any(is_field) {
            self.fields.push(field);
        }
        Ok(self)
    }

    /// Sets the lifetime in whole seconds, from 1 s to [`MAX_LIFETIME`](super::MAX_LIFETIME).
    /// `prepare` refuses other values. Defaults to 60 s.
    pub const fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the label, which a receiver ignores. Defaults to [`LABEL`]. `prepare` refuses a label
    /// that is not a key of a structured field.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Cow::Owned(label.into());
        self
    }

    /// Requires a signed response (`wimse-sign-response`).
    pub const fn asking_for_signed_response(mut self) -> Self {
        self.response = SignedResponse::Asked;
        self
    }

    /// Prepares the signature of a request, and the state to verify its response.
    ///
    /// The request must already have the fields to be covered, including `Workload-Identity-Token`
    /// and `Content-Digest`.
    ///
    /// # Errors
    ///
    /// `digest.missing`, and `digest.mismatch` if `Content-Digest` is not the given digest, or the
    /// message states that it has a body; `sig.component_absent` without `Workload-Identity-Token`;
    /// `sig.lifetime`; `sig.component_misplaced` for a response; the errors of
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

/// A signed request that waits for its response.
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

    /// Returns the nonce of the request.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Verifies the response to the request. `request` is the request as it was sent.
    ///
    /// `key` is the key of the response's WIT, which the caller has validated, or `None` without a
    /// WIT. A signature that is present is verified even if the request did not ask for one.
    /// Without a signature, the response is accepted if none was asked for.
    ///
    /// # Errors
    ///
    /// `sig.response_unsigned` if the response must be signed; `sig.request_nonce` if it belongs to
    /// another request; `sig.key_unknown` if it is signed and no key was passed; other codes
    /// `sig.…` for other defects.
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

    /// Verifies like [`finish`](Self::finish), with the key and the origin of the response's WIT.
    /// Use it with a policy that has algorithms by origin.
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
