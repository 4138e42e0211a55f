//! The agent calls the gateway.

use aims::agent::RequestAuth;
use aims::fetch::Fetch as _;
use aims::jose::secret::SecretText;
use aims::oauth_client::{OfIdentity as _, TokenSource};
use aims::oauth_wire::client_auth::SpiffeWit;
use aims::oauth_wire::names::Resource;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use serde_json::json;

use super::{OTHER_ORDER, Table, World, altered, bearer, claims_of, sign, with};
use crate::shop::ACCESS_SCOPE;
use crate::world::{Failure, Holder, ORDER, agent, fetcher, now};

impl World {
    /// Returns a source of access tokens of this workload for the gateway.
    fn source(&self, holder: &Holder) -> Result<TokenSource, Failure> {
        let client = SpiffeWit::of(holder.source.clone())?;
        Ok(TokenSource::new(
            self.shop.metadata.clone(),
            client,
            fetcher()?,
        ))
    }

    /// Returns a signed call of the gateway with this `Authorization`.
    async fn call(
        &self,
        holder: &Holder,
        authorization: &HeaderMap,
    ) -> Result<Request<Vec<u8>>, Failure> {
        let agent = agent(holder, RequestAuth::HttpSignature, &[])?;
        let mut request = Request::post(&self.tool).body(ORDER.as_bytes().to_vec())?;
        request.headers_mut().extend(authorization.clone());
        drop(agent.prepare(&mut request, ORDER).await?);
        Ok(request)
    }

    /// The agent calls the gateway. Returns its access token, which attackers steal.
    pub(super) async fn to_gateway(&self, table: &mut Table) -> Result<SecretText, Failure> {
        table.hop("agent → gateway");
        let (fetcher, holder) = (fetcher()?, self.identities.holder("agent")?);
        let tool = Resource::loopback(&self.tool)?;
        let source = self.source(&holder)?;
        let token = source.token_for(&tool, &ACCESS_SCOPE.parse()?).await?;
        let mut own = HeaderMap::new();
        token.apply(&mut own)?;
        let good = self.call(&holder, &own).await?;
        let answer = fetcher.send(good.clone()).await?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        if body != "paid for customer-7" {
            return Err(format!("the call ended with: {body}").into());
        }
        let sent = "the agent's own call, through all hops";
        table.recorded(sent, answer.status().as_u16(), ("200", "accepted"));
        let mallory = self.identities.holder("mallory")?;
        let mut bare = Request::post(&self.tool).body(ORDER.as_bytes().to_vec())?;
        bare.headers_mut().extend(own.clone());
        let mut changed = self.call(&holder, &own).await?;
        *changed.body_mut() = OTHER_ORDER.as_bytes().to_vec();
        let transaction = bearer(self.gateway.last()?.carried().property().1)?;
        let value = own.get(AUTHORIZATION).ok_or("no token")?.to_str()?;
        let text = value.split(' ').next_back().unwrap_or_default();
        let wider = bearer(&altered(text, &json!({"scope": "order:create refund"}))?)?;
        let other = bearer(&altered(text, &json!({"client_id": "mallory"}))?)?;
        let old = now().as_secs().saturating_sub(300);
        let old = with(claims_of(text)?, &json!({"iat": old, "exp": old + 60}))?;
        let old = bearer(&sign("at+jwt", &self.keys.grants, &old)?)?;
        for (sent, request, expected) in [
            (
                "replays the agent's request",
                good,
                ("400", "replay.replayed"),
            ),
            (
                "steals the access token: without a proof",
                bare,
                ("400", "guard.proof"),
            ),
            (
                "steals the access token: with a proof of its own",
                self.call(&mallory, &own).await?,
                ("401", "token.not_bound"),
            ),
            (
                "changes the parameters",
                changed,
                ("400", "digest.mismatch"),
            ),
            (
                "widens the scope of the access token",
                self.call(&holder, &wider).await?,
                ("401", "token.signature"),
            ),
            (
                "names another actor in the access token",
                self.call(&holder, &other).await?,
                ("401", "token.signature"),
            ),
            (
                "uses the access token after its end",
                self.call(&holder, &old).await?,
                ("401", "token.expired"),
            ),
            (
                "sends a transaction token as an access token",
                self.call(&mallory, &transaction).await?,
                ("401", "token.typ"),
            ),
        ] {
            let answer = fetcher.send(request).await?;
            table.recorded(sent, answer.status().as_u16(), expected);
        }
        Ok(SecretText::new(text))
    }
}
