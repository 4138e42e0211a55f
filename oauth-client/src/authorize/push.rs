//! Pushed authorization requests (RFC 9126).

use std::sync::Arc;
use std::time::Duration;

use aims_jose::json;
use aims_jose::time::{self, UnixTime};
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::names::Resource;
use aims_oauth_wire::token::{TokenError, TokenRequest};
use serde::Deserialize;
use url::Url;

use super::{Authorizing, Parameters};
use crate::call::{Called, ServerCall};
use crate::{DpopKey, Error, Event, Flow, Step};

/// A pushed authorization request as a [`Flow`].
#[derive(Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct PushFlow {
    call: ServerCall,
    endpoint: Url,
    authorizing: Authorizing,
}

#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
    /// Required by RFC 9126 §2.2, and not sent by every server.
    expires_in: Option<u64>,
}

pub(super) fn begin(
    authorizing: Authorizing,
    endpoint: Url,
    parameters: Parameters,
    client: Arc<dyn Authenticate>,
    server: Arc<ServerMetadata>,
    key: Option<&DpopKey>,
    now: UnixTime,
) -> Result<Step<Authorizing, PushFlow>, Error> {
    let write = move |_: &ServerMetadata, _| {
        let mut request = TokenRequest::form();
        for (name, value) in &parameters {
            if *name == "resource" {
                let loopback = |error| Resource::loopback(value).or(Err(error));
                request.resource(&value.parse().or_else(loopback)?)?;
            } else {
                request.parameter(name, &**value)?;
            }
        }
        Ok(request)
    };
    let endpoint_kind = EndpointKind::PushedAuthorizationRequest;
    let call = ServerCall::new(endpoint_kind, client, server, key.cloned(), Arc::new(write));
    let step = call.begin(now)?;
    after(step, endpoint, authorizing, now)
}

impl Flow for PushFlow {
    type Output = Authorizing;

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<Authorizing, Self>, Error> {
        let step = self.call.advance(event, now)?;
        after(step, self.endpoint, self.authorizing, now)
    }
}

fn after(
    step: Step<Called, ServerCall>,
    endpoint: Url,
    mut authorizing: Authorizing,
    now: UnixTime,
) -> Result<Step<Authorizing, PushFlow>, Error> {
    let called = match step {
        Step::Done(called) => called,
        Step::Send(request, call) => {
            return Ok(Step::Send(request, flow(call, endpoint, authorizing)));
        }
        Step::Sign(request, call) => {
            return Ok(Step::Sign(request, flow(call, endpoint, authorizing)));
        }
        Step::Wait(time, call) => return Ok(Step::Wait(time, flow(call, endpoint, authorizing))),
    };
    if !called.answer.status().is_success() {
        let refused = TokenError::parse_with(called.answer.body(), &called.rules)?;
        return Err(aims_oauth_wire::Error::Refused(Box::new(refused)).into());
    }
    let unusable = |_malformed| {
        let reason = "expected `request_uri` of a pushed authorization request";
        let answer = None;
        Error::from(aims_oauth_wire::Error::Response { reason, answer })
    };
    let pushed: Pushed = json::from_document(called.answer.body()).map_err(unusable)?;
    let lifetime = pushed.expires_in.map(Duration::from_secs);
    authorizing.expires = lifetime.map(|lifetime| time::after(now, lifetime));
    // The browser carries only these two (RFC 9126 §4).
    let parameters = vec![
        ("client_id", authorizing.client.as_str().into()),
        ("request_uri", pushed.request_uri.into()),
    ];
    Ok(Step::Done(authorizing.at(endpoint, &parameters)))
}

const fn flow(call: ServerCall, endpoint: Url, authorizing: Authorizing) -> PushFlow {
    PushFlow {
        call,
        endpoint,
        authorizing,
    }
}
