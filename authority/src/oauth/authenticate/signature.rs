//! Client authentication by a WIT-SVID and an HTTP message signature over the whole request
//! (RFC 9421, draft-ietf-wimse-http-signature).

use aims_http_sig::profile::wimse::{Peer, SignedResponse, TAG};
use aims_http_sig::{
    Error as Signature, Limits, Message, ReceivedFields, Section, Start, VerifiedSignature,
};
use aims_jose::time::UnixTime;
use aims_oauth_wire::dpop::DPOP;
use aims_replay::Error as Replay;
use aims_wimse_cred::{Wit, WitRules};
use aims_wimse_wpt::fields;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};

use super::{authenticated, by_field, failed};
use crate::base::Base;
use crate::endpoint::Call;
use crate::oauth::{Authenticated, AuthorizationServer};
use crate::{Error, answer};

/// The fields of a signature (RFC 9421 §4).
const FIELDS: [&str; 2] = ["signature-input", "signature"];

/// Returns the WIT of a request that is signed by its key, or `None` if the request authenticates
/// otherwise.
///
/// # Errors
///
/// `as.client` for a malformed WIT; `as.request` for a signature of this profile beside
/// `Authorization`, which would be two methods.
pub(super) fn presented(request: &Request<Vec<u8>>) -> Result<Option<&str>, Error> {
    let headers = request.headers();
    let is_signed = FIELDS.iter().any(|name| headers.contains_key(*name));
    if !is_signed || !headers.contains_key(fields::WORKLOAD_IDENTITY_TOKEN) {
        return Ok(None);
    }
    if headers.contains_key(AUTHORIZATION) {
        // A proxy may add a signature of its own, which is no authentication of the client.
        return match has_tag(headers) {
            true => Err(Error::TokenRequest {
                reason: "more than one way to authenticate",
            }),
            false => Ok(None),
        };
    }
    fields::workload_identity_token(headers).map_err(by_field)
}

/// Returns whether a request has a signature with the tag of the profile.
fn has_tag(headers: &HeaderMap) -> bool {
    let (message, limits) = (Fields(headers), Limits::default());
    let Ok(received) = ReceivedFields::of(&message, Section::Headers, &limits) else {
        return false;
    };
    received.signatures(&limits).is_ok_and(|all| {
        let mut tags = all.iter().map(|it| it.parameters().tag());
        tags.any(|tag| tag.as_deref() == Some(TAG))
    })
}

impl AuthorizationServer {
    /// Verifies the signature with the key of the WIT-SVID, and compares the body with its digest.
    ///
    /// The signature covers the method, the path, the query, the WIT-SVID, the digest of the body
    /// and a DPoP proof, if there is one. It is for the URL of this endpoint.
    ///
    /// # Errors
    ///
    /// `as.client`; `as.request` if the client asks for a signed response, because this server
    /// signs none; `authority.unavailable` if the replay store cannot tell.
    pub(super) fn by_signature(
        &self,
        text: &str,
        call: &Call<'_>,
        now: UnixTime,
    ) -> Result<Authenticated, Error> {
        let trust = self.identity.refreshed_trust(now)?.snapshot();
        let wit = Wit::verify(text, &trust, &WitRules::wit_svid(), now).map_err(failed)?;
        let client = self.workload(wit.id(), now)?;
        let base = self.base_of(call.request);
        let message = Received {
            request: call.request,
            base,
        };
        let url = call.endpoint.url(base);
        let sender = Peer::of(wit.id().origin_str(), wit.key());
        let unspent = self.signatures.verify_to(&url, &message, sender, now);
        let unspent = unspent.map_err(failed)?;
        check_dpop(call.request.headers(), unspent.signature())?;
        let matched = unspent.content().check(call.request.body());
        drop(matched.map_err(failed)?);
        if unspent.signed_response() == SignedResponse::Asked {
            return Err(Error::TokenRequest {
                reason: "this server signs no responses",
            });
        }
        let spent = unspent.spend(self.replay.as_ref(), wit.id().as_str(), now);
        drop(spent.map_err(|error| match error {
            Signature::Replay(Replay::Replayed | Replay::Expired) => failed(error),
            Signature::Replay(store) => Error::unavailable(store),
            other => failed(other),
        })?);
        Ok(authenticated(client, wit.id().to_string(), Some(wit.key())))
    }

    /// Returns the base URL that a request was sent to: that for mutual TLS, if it has its host.
    fn base_of<T>(&self, request: &Request<T>) -> &Base {
        let host = answer::host(request);
        let alias = self
            .mutual_tls
            .as_ref()
            .filter(|alias| host.is_some_and(|host| host.eq_ignore_ascii_case(alias.authority())));
        alias.unwrap_or(&self.base)
    }
}

/// Checks that the signature covers the DPoP proof. Otherwise a proxy could add one of its own, and
/// get a token for its key.
fn check_dpop(headers: &HeaderMap, signature: &VerifiedSignature) -> Result<(), Error> {
    let is_covered = |(id, _): (aims_http_sig::ComponentId<'_>, &str)| id.as_str() == "\"dpop\"";
    if !headers.contains_key(DPOP) || signature.components().any(is_covered) {
        return Ok(());
    }
    Err(failed(Signature::ComponentRequired {
        component: "\"dpop\"".to_owned(),
    }))
}

/// A request as it was received at one of the configured base URLs.
struct Received<'a> {
    request: &'a Request<Vec<u8>>,
    base: &'a Base,
}

impl Message for Received<'_> {
    fn start(&self) -> Start<'_> {
        let uri = self.request.uri();
        let target = uri.path_and_query().map_or("/", |it| it.as_str());
        Start::Request {
            method: self.request.method().as_str(),
            target,
            scheme: self.base.scheme(),
            authority: self.base.authority(),
        }
    }

    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        lines(self.request.headers(), section, name, each);
    }
}

/// The header fields of a request alone, to read which signatures there are.
struct Fields<'a>(&'a HeaderMap);

impl Message for Fields<'_> {
    fn start(&self) -> Start<'_> {
        Start::Response { status: 0 }
    }

    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        lines(self.0, section, name, each);
    }
}

/// A request has no trailers here: the server drops them.
fn lines<'m>(headers: &'m HeaderMap, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
    if section == Section::Headers {
        let all = headers.get_all(name).iter();
        all.for_each(|value| each(value.as_bytes()));
    }
}
