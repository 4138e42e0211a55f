//! The shop's payments service at the border to the bank: it asks the shop's authority for a grant
//! that carries the transaction, and gets an access token for it at the bank, once.

use std::sync::Arc;

use aims::Agent;
use aims::agent::RequestAuth;
use aims::fetch::Fetch;
use aims::jose::time::SystemClock;
use aims::oauth_client::{
    Error, JwtBearer, JwtGrant, JwtGrantRequest, OfIdentity as _, SubjectToken, Target, Token,
    TokenSource, drive,
};
use aims::oauth_wire::client_auth::SpiffeWit;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::txn_token::TxnToken;
use http::{HeaderMap, Request};

use crate::bank::{Bank, TRANSFER};
use crate::shop::{PAY, Shop};
use crate::world::{Failure, Holder, agent, fetcher, now};

/// A service of the shop, at both authorities and at the accounts.
pub(crate) struct Border {
    client: SpiffeWit,
    shop: Arc<ServerMetadata>,
    at_bank: TokenSource,
    bank: String,
    accounts: String,
    agent: Agent,
}

impl Border {
    pub(crate) fn new(
        holder: &Holder,
        shop: &Shop,
        bank: &Bank,
        server: ServerMetadata,
    ) -> Result<Self, Failure> {
        let client = SpiffeWit::of(holder.source.clone())?;
        Ok(Self {
            at_bank: TokenSource::new(server, client.clone(), fetcher()?),
            client,
            shop: Arc::new(shop.metadata.clone()),
            bank: bank.url.clone(),
            accounts: bank.accounts.clone(),
            agent: agent(holder, RequestAuth::HttpSignature, &[])?,
        })
    }

    /// Pays within this transaction: a grant, an access token, and the call.
    pub(crate) async fn pay(&self, token: &TxnToken, order: &[u8]) -> Result<String, Failure> {
        let subject = SubjectToken::transaction(token.carried());
        let grant = self.grant(subject, &self.bank, PAY, &fetcher()?).await??;
        let grant = JwtBearer::of_jwt_grant(self.target(TRANSFER)?, &grant);
        let token = self.redeem(grant).await?;
        let mut authorization = HeaderMap::new();
        token.apply(&mut authorization)?;
        let (status, answer) = self.call(&authorization, order).await?;
        match status {
            200 => Ok(answer),
            _ => Err(format!("the bank answered {status}").into()),
        }
    }

    /// Asks the shop's authority for a grant to this server.
    pub(crate) async fn grant(
        &self,
        subject: SubjectToken,
        audience: &str,
        scope: &str,
        http: &dyn Fetch,
    ) -> Result<Result<JwtGrant, Error>, Failure> {
        let request = JwtGrantRequest::new(subject, Issuer::loopback(audience)?)?;
        let request = request.as_audience().scopes(scope.parse()?);
        let client = Arc::new(self.client.clone());
        let step = request.begin(client, Arc::clone(&self.shop), now())?;
        Ok(drive(step, http, &SystemClock::new()).await)
    }

    /// Presents a grant at the bank's authority (RFC 7523 §2.1).
    pub(crate) async fn redeem(&self, grant: JwtBearer) -> Result<Arc<Token>, Error> {
        self.at_bank.redeem(grant).await
    }

    /// Returns the accounts with this scope, as a client asks for a token.
    pub(crate) fn target(&self, scope: &str) -> Result<Target, Failure> {
        let accounts = Resource::loopback(&self.accounts)?;
        Ok(Target::new(accounts, scope.parse()?))
    }

    /// Calls the accounts with this `Authorization`, and signs the call.
    async fn call(
        &self,
        authorization: &HeaderMap,
        order: &[u8],
    ) -> Result<(u16, String), Failure> {
        let request = self.signed(authorization, order).await?;
        let answer = fetcher()?.send(request).await?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        Ok((answer.status().as_u16(), body))
    }

    /// Returns a signed call of the accounts.
    pub(crate) async fn signed(
        &self,
        authorization: &HeaderMap,
        order: &[u8],
    ) -> Result<Request<Vec<u8>>, Failure> {
        let mut request = Request::post(&self.accounts).body(order.to_vec())?;
        request.headers_mut().extend(authorization.clone());
        let content = request.body().clone();
        drop(self.agent.prepare(&mut request, &content).await?);
        Ok(request)
    }
}
