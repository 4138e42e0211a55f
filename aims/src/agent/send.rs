//! Sending.

use std::future::Future;

use aims_oauth_client::Token;
use aims_oauth_wire::challenge::Challenges;
use aims_oauth_wire::names::Resource;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode, Uri};

use super::{Agent, Authorization, Error};

/// What carries a request to the tool, and brings the whole answer.
pub(super) trait Carry: Send {
    /// The content of both.
    type Content: AsRef<[u8]> + Clone + Send;

    fn carry(
        &mut self,
        request: Request<Self::Content>,
    ) -> impl Future<Output = Result<Response<Self::Content>, Error>> + Send;
}

struct Fetching<'a>(&'a dyn aims_fetch::Fetch);

impl Carry for Fetching<'_> {
    type Content = Vec<u8>;

    async fn carry(&mut self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        Ok(self.0.send(request).await?)
    }
}

/// What says whether an answer is one.
enum Judge {
    /// Whatever comes over the connection.
    Anything,
    Signed(Box<super::PendingResponse>),
}

impl Judge {
    fn finish<B: AsRef<[u8]>>(self, answer: Response<B>) -> Result<Response<B>, Error> {
        match self {
            Self::Anything => Ok(answer),
            Self::Signed(pending) => pending.finish(answer),
        }
    }
}

impl Agent {
    /// Sends a request: with an access token, where one is
    /// [configured](super::AgentBuilder::authorize) for its URI, and proven. When the tool refuses
    /// the token (401 and a `Bearer` challenge that says `invalid_token` or nothing, RFC 6750 §3),
    /// it is forgotten and the request is sent once more with a new one; with a new proof each
    /// time.
    ///
    /// # Errors
    ///
    /// Those of [`prove`](Self::prove), of the token source, and `fetch.…`; `agent.target` where
    /// tokens are configured, and the URI is not in normal form, so that it cannot be told whether
    /// one belongs to it. A refusal by the tool is an answer, not an error.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        self.exchange(request, &mut Fetching(&*self.0.fetch)).await
    }

    /// What [`send`](Self::send) does, over whatever carries the request.
    pub(super) async fn exchange<C: Carry>(
        &self,
        request: Request<C::Content>,
        carrier: &mut C,
    ) -> Result<Response<C::Content>, Error> {
        let Some(authorization) = self.authorization(request.uri())? else {
            let (answer, judge) = self.exchange_once(request, None, carrier).await?;
            return judge.finish(answer);
        };
        let Authorization {
            resource,
            scopes,
            source,
        } = authorization;
        let token = source.token_for(resource, scopes).await?;
        let again = request.clone();
        let (answer, judge) = self.exchange_once(request, Some(&token), carrier).await?;
        if !refuses_token(&answer) {
            return judge.finish(answer);
        }
        // Whoever answered so, it costs a token and one more try.
        source.forget(&token);
        let token = source.token_for(resource, scopes).await?;
        let (answer, judge) = self.exchange_once(again, Some(&token), carrier).await?;
        judge.finish(answer)
    }

    async fn exchange_once<C: Carry>(
        &self,
        mut request: Request<C::Content>,
        token: Option<&Token>,
        carrier: &mut C,
    ) -> Result<(Response<C::Content>, Judge), Error> {
        if let Some(token) = token {
            request.headers_mut().remove(AUTHORIZATION);
            token.apply(request.headers_mut())?;
        }
        let judge = self.prove_to_send(&mut request)?;
        Ok((carrier.carry(request).await?, judge))
    }

    fn prove_to_send<B: AsRef<[u8]>>(&self, request: &mut Request<B>) -> Result<Judge, Error> {
        if self.0.method == super::ProofMethod::HttpSignature {
            return Ok(Judge::Signed(Box::new(self.sign(request)?)));
        }
        self.prove(request)?;
        Ok(Judge::Anything)
    }

    /// The tokens for the innermost resource that the URI is within. Never those of another origin.
    ///
    /// A URI of another scheme is within none. Of the others, one that is not in normal form could
    /// be, for a reader who normalises it, and is an error.
    fn authorization(&self, uri: &Uri) -> Result<Option<&Authorization>, Error> {
        let scheme = uri.scheme_str().unwrap_or_default();
        let scheme_of = |it: &Authorization| {
            let resource = it.resource.as_str().split_once(':');
            resource.is_some_and(|(own, _)| own.eq_ignore_ascii_case(scheme))
        };
        if !self.0.tokens.iter().any(scheme_of) {
            return Ok(None);
        }
        let uri = uri.to_string();
        let requested: Resource = uri
            .parse()
            .or_else(|_not_https| Resource::loopback(&uri))
            .map_err(Error::Target)?;
        let tokens = self.0.tokens.iter();
        Ok(tokens
            .filter(|it| requested.is_within(&it.resource))
            .max_by_key(|it| it.resource.as_str().len()))
    }
}

/// Whether the token was refused that came with the request. A challenge that cannot be read, is of
/// another scheme or says another error is about something else, which a new token would not
/// change.
fn refuses_token<B>(answer: &Response<B>) -> bool {
    let is_about_token = |challenges: Challenges| {
        let mut errors = challenges.of("Bearer").map(|it| it.error());
        errors.any(|error| matches!(error, None | Some("invalid_token")))
    };
    answer.status() == StatusCode::UNAUTHORIZED
        && Challenges::parse(answer.headers()).is_ok_and(is_about_token)
}
