//! The project's own client at authorization servers of other projects, and the user who decides
//! in Chromium.

use std::sync::Arc;

use aims::fetch::{Fetch as _, Fetcher};
use aims::jose::key::SigningKey;
use aims::jose::random::SYSTEM;
use aims::jose::time::SystemClock;
use aims::oauth_client::{
    AuthorizationRequest, Authorizing, Backchannel, BackchannelRequest, DeviceRequest, DpopKey,
    Flow, Grant, Loopback, Receive as _, RedirectUri, Refresh, RevocationFlow, Step, Target, Token,
    TokenFlow, TokenRules, drive,
};
use aims::oauth_wire::client_auth::{Authenticate, PrivateKeyJwt, PublicClient};
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Issuer;
use http::Request;

use crate::Failure;
use crate::agent::{code, discover, now};
use crate::ours::person::Person;

pub(crate) mod calls;
pub(crate) mod certificates;
pub(crate) mod commands;
pub(crate) mod keycloak;
mod person;
mod pinged;
pub(crate) mod provider;
pub(crate) mod servers;

/// A client as one server knows it.
#[derive(Clone)]
pub(crate) struct Client {
    by: Arc<dyn Authenticate>,
    key: Option<DpopKey>,
    rules: TokenRules,
    pushes: bool,
}

impl Client {
    /// A client that signs assertions with this key.
    pub(crate) fn with_key(id: &str, key: &SigningKey) -> Result<Self, Failure> {
        Ok(Self::of(PrivateKeyJwt::new(
            id.parse()?,
            Arc::new(key.clone()),
        )))
    }

    /// A client without credentials.
    pub(crate) fn public(id: &str) -> Result<Self, Failure> {
        Ok(Self::of(PublicClient::new(id.parse()?)))
    }

    pub(crate) fn of(by: impl Authenticate + 'static) -> Self {
        Self::by(Arc::new(by))
    }

    pub(crate) fn by(by: Arc<dyn Authenticate>) -> Self {
        Self {
            by,
            key: None,
            rules: TokenRules::new(),
            pushes: true,
        }
    }

    /// Binds its tokens to this key.
    pub(crate) fn bound_to(mut self, key: &DpopKey) -> Self {
        self.key = Some(key.clone());
        self
    }

    pub(crate) fn with_rules(mut self, rules: TokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Sends its authorization requests in the URL alone.
    pub(crate) const fn without_push(mut self) -> Self {
        self.pushes = false;
        self
    }
}

/// One authorization server, and the user who has an account there.
pub(crate) struct Server<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) metadata: Arc<ServerMetadata>,
    pub(crate) person: &'a Person,
}

impl<'a> Server<'a> {
    pub(crate) async fn find(
        fetcher: &'a Fetcher,
        issuer: &Issuer,
        person: &'a Person,
    ) -> Result<Self, Failure> {
        let metadata = Arc::new(discover(fetcher, issuer).await?);
        Ok(Self {
            fetcher,
            metadata,
            person,
        })
    }

    async fn drive<T, F: Flow<Output = T>>(&self, first: Step<T, F>) -> Result<T, Failure> {
        Ok(drive(first, self.fetcher, &SystemClock::new()).await?)
    }

    /// Gets a token by a grant.
    pub(crate) async fn token(
        &self,
        client: &Client,
        grant: impl Grant + 'static,
    ) -> Result<Token, Failure> {
        let Client { by, key, rules, .. } = client.clone();
        let (grant, server) = (Arc::new(grant), Arc::clone(&self.metadata));
        let first = match key {
            Some(key) => TokenFlow::begin_bound(grant, by, server, rules, key, now())?,
            None => TokenFlow::begin(grant, by, server, rules, now())?,
        };
        self.drive(first).await
    }

    /// Logs the user in by the authorization code grant. Returns the URL that the browser opened,
    /// too.
    pub(crate) async fn log_in(
        &self,
        client: &Client,
        target: Target,
    ) -> Result<(Token, String), Failure> {
        let person = self.person.clone();
        let receive = Loopback::new(move |url| {
            // The page at the end is the program's own.
            person.open(url)?;
            Ok(())
        });
        let receiving = receive.begin().await?;
        let redirect = receiving.redirect_uri().clone();
        let authorizing = self.authorize(client, redirect, target).await?;
        let url = authorizing.url().to_owned();
        let query = receiving.receive(&authorizing).await?;
        self.person.end().await?;
        let code = authorizing.finish(&query)?;
        Ok((self.token(client, code).await?, url))
    }

    /// Prepares the URL for the user's browser.
    async fn authorize(
        &self,
        client: &Client,
        redirect: RedirectUri,
        target: Target,
    ) -> Result<Authorizing, Failure> {
        let request = AuthorizationRequest::new(redirect, target);
        let request = match client.pushes {
            true => request,
            false => request.without_push(),
        };
        let first = request.begin(
            Arc::clone(&client.by),
            Arc::clone(&self.metadata),
            client.key.as_ref(),
            SYSTEM,
            now(),
        )?;
        self.drive(first).await
    }

    /// Renews a token.
    pub(crate) async fn refresh(
        &self,
        client: &Client,
        token: &Token,
        target: &Target,
    ) -> Result<Token, Failure> {
        let grant = Refresh::of(token, target.clone(), client.rules.clone());
        self.token(client, grant.ok_or("no refresh token")?).await
    }

    /// Revokes a token, with its refresh token.
    pub(crate) async fn revoke(&self, client: &Client, token: &Token) -> Result<(), Failure> {
        let server = Arc::clone(&self.metadata);
        let first = RevocationFlow::begin(token, Arc::clone(&client.by), server, now())?;
        self.drive(first).await
    }

    /// Gets a token for a device without a browser: the user opens the URL elsewhere.
    pub(crate) async fn by_device(
        &self,
        client: &Client,
        target: Target,
    ) -> Result<Token, Failure> {
        let request = DeviceRequest::new(target);
        let server = Arc::clone(&self.metadata);
        let first = request.begin(Arc::clone(&client.by), server, now())?;
        let login = self.drive(first).await?;
        let url = login.verification_uri_complete();
        self.person.open(url.ok_or("no complete URL")?.as_str())?;
        let token = self.token(client, login.into_grant()).await;
        self.person.end().await?;
        token
    }

    /// Asks the user on another device.
    pub(crate) async fn by_backchannel(
        &self,
        client: &Client,
        request: BackchannelRequest,
    ) -> Result<Backchannel, Failure> {
        let server = Arc::clone(&self.metadata);
        let first = request.begin(Arc::clone(&client.by), server, now())?;
        self.drive(first).await
    }

    /// Calls a tool with a token. Returns the status, and the code of a refusal.
    pub(crate) async fn call(&self, tool: &str, token: &Token) -> Result<String, Failure> {
        let mut request = Request::post(tool).body(Vec::new())?;
        token.authorize(&mut request, now()).await?;
        let mut answer = self.fetcher.send(request).await?;
        let url: http::Uri = tool.parse()?;
        if token.demands_nonce(&url, &answer) {
            let mut again = Request::post(tool).body(Vec::new())?;
            token.authorize(&mut again, now()).await?;
            answer = self.fetcher.send(again).await?;
        }
        let status = answer.status().as_u16();
        let code = answer.headers().get("refusal-code");
        let code = code.and_then(|it| it.to_str().ok()).unwrap_or_default();
        Ok(format!("{status} {code}").trim_end().to_owned())
    }
}

/// Returns `ok`, or the code of the refusal.
fn told<T>(result: &Result<T, Failure>) -> String {
    result
        .as_ref()
        .map_or_else(|error| code(&**error), |_| "ok".to_owned())
}
