//! Asking an authorization server about an access token (RFC 7662 §2.1).

use std::sync::Arc;

use aims_jose::secret::SecretText;
use aims_jose::time::UnixTime;
use aims_oauth_wire::client_auth::{Authenticate, Authentication};
use aims_oauth_wire::introspection::AnswerForm;
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::names::Endpoint;
use aims_oauth_wire::token::TokenRequest;
use http::Response;

use crate::call::endpoint;
use crate::{Error, Event, Flow, Step};

/// An introspection request as a [`Flow`]. Its result is the server's answer, which
/// [`Introspection::parse`](aims_oauth_wire::introspection::Introspection::parse) or
/// [`SignedIntrospection::parse`](aims_oauth_wire::introspection::SignedIntrospection::parse)
/// reads.
///
/// The resource server authenticates itself as a client of the authorization server does, by any
/// [`Authenticate`]. A key in a device or behind a network signs in a [`Step::Sign`].
///
/// ```
/// use std::sync::Arc;
///
/// use aims_jose::time::UnixTime;
/// use aims_oauth_client::{IntrospectionFlow, Step};
/// use aims_oauth_wire::client_auth::ClientSecretBasic;
/// use aims_oauth_wire::introspection::AnswerForm;
/// use aims_oauth_wire::metadata::ServerMetadata;
///
/// let json = br#"{
///     "issuer": "https://as.example",
///     "introspection_endpoint": "https://as.example/introspect"
/// }"#;
/// let server = ServerMetadata::parse_for(json, &"https://as.example".parse()?, &[])?;
/// let tool = ClientSecretBasic::new("tool".parse()?, "secret".into());
/// let (now, token) = (UnixTime::now(), "an opaque token".into());
/// let step = IntrospectionFlow::begin(token, AnswerForm::Json, Arc::new(tool), &server, now)?;
/// let Step::Send(request, _flow) = step else {
///     return Err("expected a request".into());
/// };
/// assert_eq!(request.uri(), "https://as.example/introspect");
/// assert_eq!(request.body(), b"token=an+opaque+token&token_type_hint=access_token");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a flow is advanced by `drive`"]
pub struct IntrospectionFlow {
    client: Arc<dyn Authenticate>,
    server: ServerMetadata,
}

impl IntrospectionFlow {
    /// Prepares the request, for an answer of this form.
    ///
    /// # Errors
    ///
    /// `metadata.member` where the server has no introspection endpoint; `oauth.request` for an
    /// empty token; those of the client authentication.
    pub fn begin(
        token: SecretText,
        answer: AnswerForm,
        client: Arc<dyn Authenticate>,
        server: &ServerMetadata,
        now: UnixTime,
    ) -> Result<Step<Response<Vec<u8>>, Self>, Error> {
        let request = TokenRequest::introspect(token, answer)?;
        let server = server.clone().for_introspection();
        let flow = Self { client, server };
        let request = request.for_endpoint(flow.target()?);
        match flow.client.begin(request, &flow.server, now)? {
            Authentication::Done(request) => flow.send(request),
            Authentication::Unsigned(request) => Ok(Step::Sign(request, flow)),
        }
    }

    fn send(self, request: TokenRequest) -> Result<Step<Response<Vec<u8>>, Self>, Error> {
        let request = request.into_http(self.target()?)?;
        Ok(Step::Send(request, self))
    }

    fn target(&self) -> Result<&Endpoint, Error> {
        endpoint(&*self.client, &self.server, EndpointKind::Introspection)
    }
}

impl Flow for IntrospectionFlow {
    type Output = Response<Vec<u8>>;

    fn advance(self, event: Event<'_>, _now: UnixTime) -> Result<Step<Self::Output, Self>, Error> {
        match event {
            Event::Answer(answer) => Ok(Step::Done(answer.clone())),
            Event::NoAnswer(error) => Err(Error::Transport(error.clone())),
            Event::Signed(request) => self.send(request?),
            Event::Waited => Err(Error::Interrupted),
        }
    }
}
