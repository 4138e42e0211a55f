//! Sending.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use oauth_client::{Token, Transport, TransportFuture};
use oauth_wire::names::Resource;

use super::{Agent, Authorization, Error};

/// Any [`fetch::Fetch`] as the transport of a [`TokenSource`](oauth_client::TokenSource).
#[derive(Clone, Debug)]
pub struct TokenTransport<F>(F);

impl<F> TokenTransport<F> {
    /// Sends token requests by this client.
    #[must_use]
    pub const fn new(client: F) -> Self {
        Self(client)
    }
}

impl<F: fetch::Fetch> Transport for TokenTransport<F> {
    fn send(&self, request: Request<Vec<u8>>) -> TransportFuture<'_> {
        Box::pin(async move { Ok(self.0.send(request).await?) })
    }
}

/// What says whether an answer is one.
enum Judge {
    /// Whatever comes over the connection.
    Anything,
    #[cfg(feature = "http-sig")]
    Signed(Box<super::PendingResponse>),
}

impl Judge {
    fn finish(self, answer: Response<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        match self {
            Self::Anything => Ok(answer),
            #[cfg(feature = "http-sig")]
            Self::Signed(pending) => pending.finish(answer),
        }
    }
}

impl Agent {
    /// Sends a request: with an access token, where one is [configured](super::AgentBuilder::authorize) for its URI, and proven. When the tool refuses the token, it is forgotten and the request is sent once more with a new
    /// one; with a new proof each time.
    ///
    /// # Errors
    ///
    /// Those of [`prove`](Self::prove), of the token source, and `fetch.…`. A refusal by the tool is an answer, not an error.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let uri = request.uri().to_string();
        let Some(authorization) = self.authorization(&uri) else {
            let (answer, pending) = self.send_once(request, None).await?;
            return pending.finish(answer);
        };
        let Authorization {
            resource,
            scopes,
            source,
        } = authorization;
        let token = source.token_for(resource, scopes).await?;
        let (answer, pending) = self.send_once(request.clone(), Some(&token)).await?;
        if answer.status() != StatusCode::UNAUTHORIZED
            || !answer.headers().contains_key(WWW_AUTHENTICATE)
        {
            return pending.finish(answer);
        }
        // Whoever answered so, it costs a token and one more try.
        source.forget(&token);
        let token = source.token_for(resource, scopes).await?;
        let (answer, pending) = self.send_once(request, Some(&token)).await?;
        pending.finish(answer)
    }

    async fn send_once(
        &self,
        mut request: Request<Vec<u8>>,
        token: Option<&Token>,
    ) -> Result<(Response<Vec<u8>>, Judge), Error> {
        if let Some(token) = token {
            request.headers_mut().remove(AUTHORIZATION);
            token.apply(request.headers_mut())?;
        }
        let judge = self.prove_to_send(&mut request)?;
        Ok((self.0.fetch.send(request).await?, judge))
    }

    fn prove_to_send(&self, request: &mut Request<Vec<u8>>) -> Result<Judge, Error> {
        #[cfg(feature = "http-sig")]
        if self.0.method == super::ProofMethod::HttpSignature {
            return Ok(Judge::Signed(Box::new(self.sign(request)?)));
        }
        self.prove(request)?;
        Ok(Judge::Anything)
    }

    /// The tokens for the innermost resource that the URI is within. Never those of another origin.
    fn authorization(&self, uri: &str) -> Option<&Authorization> {
        let requested: Resource = uri.parse().or_else(|_| Resource::loopback(uri)).ok()?;
        let tokens = self.0.tokens.iter();
        tokens
            .filter(|it| requested.is_within(&it.resource))
            .max_by_key(|it| it.resource.as_str().len())
    }
}
