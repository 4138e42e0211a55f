//! The agent's side: discovers the server and gets tokens.

use std::sync::Arc;

use aims::fetch::{Fetch as _, Fetcher};
use aims::jose::key::SigningKey;
use aims::jose::time::{Clock as _, SystemClock, UnixTime};
use aims::oauth_client::{ClientCredentials, Error, Step, Token, TokenSource, discovery, drive};
use aims::oauth_wire::client_auth::{Authenticate, PrivateKeyJwt};
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use http::{HeaderMap, Request};

use crate::Failure;

pub(crate) fn now() -> UnixTime {
    SystemClock::new().now()
}

/// Discovers the metadata of an issuer.
pub(crate) async fn discover(
    fetcher: &Fetcher,
    issuer: &Issuer,
) -> Result<ServerMetadata, Failure> {
    let (request, pending) = discovery::server(issuer)?;
    let first = Step::Send(request, pending);
    Ok(drive(first, fetcher, &SystemClock::new()).await?)
}

/// Requests tokens from one server.
pub(crate) struct Asker<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) server: &'a ServerMetadata,
}

impl Asker<'_> {
    /// Gets one token for a resource.
    pub(crate) async fn token(
        &self,
        client: &dyn Authenticate,
        resource: &str,
        scopes: &str,
    ) -> Result<Token, Failure> {
        let request = self.request(client, resource, scopes)?;
        self.send(request).await
    }

    /// Returns the request for a token without sending it.
    pub(crate) fn request(
        &self,
        client: &dyn Authenticate,
        resource: &str,
        scopes: &str,
    ) -> Result<Prepared, Failure> {
        let grant = ClientCredentials::new(resource.parse()?).scopes(scopes.parse()?);
        let request = grant.prepare(client, self.server, now())?;
        Ok(Prepared { request, grant })
    }

    /// Sends the request.
    pub(crate) async fn send(&self, prepared: Prepared) -> Result<Token, Failure> {
        let (request, pending) = prepared.request;
        let answer = self.fetcher.send(request).await?;
        Ok(pending.finish(&answer, now())?)
    }

    /// Sends the request twice, and returns the second result.
    pub(crate) async fn send_twice(
        &self,
        prepared: Prepared,
        client: &dyn Authenticate,
    ) -> Result<Token, Failure> {
        let (request, pending) = prepared.request;
        pending.finish(&self.fetcher.send(request.clone()).await?, now())?;
        let (_, pending) = prepared.grant.prepare(client, self.server, now())?;
        Ok(pending.finish(&self.fetcher.send(request).await?, now())?)
    }

    /// Gets a token from a source twice, and checks that the second one is cached.
    pub(crate) async fn kept(&self, client: PrivateKeyJwt, resource: &str) -> Result<(), Failure> {
        let source = TokenSource::new(self.server.clone(), client, self.fetcher.clone());
        let (resource, scopes): (Resource, _) = (resource.parse()?, "tools:call".parse()?);
        let first = source.token_for(&resource, &scopes).await?;
        let second = source.token_for(&resource, &scopes).await?;
        if first.fingerprint() != second.fingerprint() {
            return Err("the source asked twice".into());
        }
        Ok(())
    }
}

/// A request for a token, and the value that reads its response.
pub(crate) struct Prepared {
    request: (Request<Vec<u8>>, aims::oauth_client::PendingToken),
    grant: ClientCredentials,
}

pub(crate) fn client(id: &str, key: &SigningKey) -> Result<PrivateKeyJwt, Failure> {
    Ok(PrivateKeyJwt::new(id.parse()?, Arc::new(key.clone())))
}

/// Returns the text of a token from the header field that it is written into.
pub(crate) fn text(token: &Token) -> Result<String, Failure> {
    let mut headers = HeaderMap::new();
    token.apply(&mut headers)?;
    let value = headers.get("authorization").ok_or("no authorization")?;
    let text = value.to_str()?.strip_prefix("Bearer ");
    Ok(text.ok_or("no bearer token")?.to_owned())
}

/// Returns `ok`, or the code of the refusal and the error of the server.
pub(crate) fn outcome<T>(result: Result<T, Failure>) -> String {
    result.map_or_else(|error| code(&*error), |_| "ok".to_owned())
}

/// Returns the code of an error, and the error of the server.
pub(crate) fn code(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let Some(error) = error.downcast_ref::<Error>() else {
        return error.to_string();
    };
    match error {
        Error::Wire(wire) => match &**wire {
            aims::oauth_wire::Error::Refused(refused) => {
                format!("{} {}", error.code(), refused.error())
            }
            _ => error.code().to_owned(),
        },
        _ => error.code().to_owned(),
    }
}
