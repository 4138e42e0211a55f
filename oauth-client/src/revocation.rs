//! Revocation of tokens (RFC 7009).

use std::sync::Arc;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::Authenticate;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::token::{TokenError, TokenRequest};
use http::StatusCode;

use crate::call::{Called, ServerCall};
use crate::{Error, Event, Flow, Step, Token};

/// The revocation of a token as a [`Flow`] (RFC 7009 §2). An unknown token counts as revoked.
///
/// If the server gave a refresh token, that is revoked, and with it all access tokens of the grant;
/// otherwise the access token.
#[derive(Clone, Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct RevocationFlow(ServerCall);

impl RevocationFlow {
    /// Prepares the request.
    ///
    /// # Errors
    ///
    /// `metadata.member` if the server has no revocation endpoint, and those of the client
    /// authentication.
    pub fn begin(
        token: &Token,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        now: UnixTime,
    ) -> Result<Step<(), Self>, Error> {
        match token.refresh_token() {
            Some(refresh) => Self::of(refresh.clone(), "refresh_token", client, server, now),
            None => Self::of(token.text.clone(), "access_token", client, server, now),
        }
    }

    pub(crate) fn of(
        token: SecretText,
        hint: &'static str,
        client: Arc<dyn Authenticate>,
        server: Arc<ServerMetadata>,
        now: UnixTime,
    ) -> Result<Step<(), Self>, Error> {
        let write = move |_: &ServerMetadata, _| {
            let mut request = TokenRequest::form();
            request.parameter("token", token.clone())?;
            request.parameter("token_type_hint", hint)?;
            Ok(request)
        };
        let endpoint = EndpointKind::Revocation;
        let call = ServerCall::new(endpoint, client, server, None, Arc::new(write));
        read(call.begin(now)?)
    }
}

impl Flow for RevocationFlow {
    type Output = ();

    fn advance(self, event: Event<'_>, now: UnixTime) -> Result<Step<(), Self>, Error> {
        read(self.0.advance(event, now)?)
    }
}

fn read(step: Step<Called, ServerCall>) -> Result<Step<(), RevocationFlow>, Error> {
    let called = match step {
        Step::Done(called) => called,
        other => return Ok(other.map(|_called| (), RevocationFlow)),
    };
    match called.answer.status() {
        // The body is ignored (RFC 7009 §2.2).
        status if status.is_success() => Ok(Step::Done(())),
        // The token is still valid (RFC 7009 §2.2.1).
        StatusCode::SERVICE_UNAVAILABLE => Err(Error::Transport(aims_fetch::Error::Timeout)),
        _ => {
            let refused = TokenError::parse_with(called.answer.body(), &called.rules)?;
            Err(aims_oauth_wire::Error::Refused(Box::new(refused)).into())
        }
    }
}
