//! The gateway requests a transaction token.

use aims::fetch::{Fetch, FetchFuture};
use aims::jose::secret::SecretText;
use aims::oauth_client::{
    Error, OfIdentity as _, SubjectToken, TransactionService, TransactionToken,
    TransactionTokenRequest,
};
use aims::oauth_wire::call::CallDigest;
use aims::oauth_wire::client_auth::SpiffeWit;
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};

use super::{OTHER_ORDER, Replaying, Table, UNPROVEN, World, claims_of, forged, sign, with};
use crate::gateway::request;
use crate::shop::SCOPES;
use crate::world::{DOMAIN, Failure, ORDER, TOOL, fetcher, now, workload};

impl World {
    /// The gateway requests a transaction token.
    pub(super) async fn to_token_service(
        &self,
        table: &mut Table,
        access: &SecretText,
    ) -> Result<(), Failure> {
        table.hop("gateway → transaction token service");
        let subject = || SubjectToken::access_token(access.clone());
        let stock = self.identities.holder("stock")?;
        let stock = SpiffeWit::of(stock.source)?;
        let stock = TransactionService::new(self.shop.metadata.clone(), stock, fetcher()?);
        let last = self.gateway.last()?;
        let narrow = self.transaction(access, "stock").await?;
        let transaction = SubjectToken::access_token(last.carried().property().1);
        let replaying = Replaying(fetcher()?);
        let own = SpiffeWit::of(self.identities.holder("gateway")?.source)?;
        let replaying = TransactionService::new(self.shop.metadata.clone(), own, replaying);
        let old = now().as_secs().saturating_sub(300);
        let old = with(
            claims_of(access.expose())?,
            &json!({"iat": old, "exp": old + 60}),
        )?;
        let old = SubjectToken::access_token(sign("at+jwt", &self.keys.grants, &old)?);
        let fewer = SubjectToken::transaction(&forged(last.carried().property().1)?);
        let wider = "the token would permit more than its subject token";
        for (sent, service, request, expected) in [
            (
                "asks for a scope that the access token does not give",
                &self.gateway.service,
                request(subject(), "orders refunds", ORDER)?,
                ("invalid_scope", wider),
            ),
            (
                "another service presents the agent's access token",
                &stock,
                request(subject(), SCOPES, ORDER)?,
                (
                    "unauthorized_client",
                    "this client may not exchange tokens for that resource",
                ),
            ),
            (
                "widens by a replacement",
                &self.gateway.service,
                narrow.replacement(SCOPES.parse()?),
                ("invalid_scope", wider),
            ),
            (
                "replaces a token of another service",
                &stock,
                last.replacement("stock".parse()?),
                (
                    "unauthorized_client",
                    "this client may not replace transaction tokens",
                ),
            ),
            (
                "drops an actor from the token that it replaces",
                &self.gateway.service,
                TransactionTokenRequest::new(fewer, DOMAIN, "stock".parse()?),
                ("invalid_request", "its signature is not valid"),
            ),
            (
                "presents the agent's access token after its end",
                &self.gateway.service,
                request(old, SCOPES, ORDER)?,
                ("invalid_request", "it has expired"),
            ),
            (
                "presents a transaction token as an access token",
                &self.gateway.service,
                request(transaction, SCOPES, ORDER)?,
                ("invalid_request", "its typ is not that of its kind"),
            ),
        ] {
            let refused = service.open(request).token().await;
            table.answered(sent, &refused, expected);
        }
        let replayed = replaying.open(request(subject(), SCOPES, ORDER)?);
        let replayed = replayed.token().await;
        table.answered("replays the request", &replayed, UNPROVEN);
        Ok(())
    }

    /// A token service that is not what it should be answers the gateway.
    pub(super) async fn answers(
        &self,
        table: &mut Table,
        access: &SecretText,
    ) -> Result<(), Failure> {
        table.hop("transaction token service → gateway: answers of a foreign or broken service");
        let issuer = self.shop.url.as_str();
        let call = CallDigest::of(TOOL, Some(ORDER.as_bytes()))?.to_string();
        let other = CallDigest::of(TOOL, Some(OTHER_ORDER.as_bytes()))?.to_string();
        let jwk = &self.identities.holder("gateway")?.jwk;
        let (gateway, own) = (workload("gateway")?, workload("agent")?);
        let act = json!({"iss": issuer, "sub": gateway.as_str(),
            "act": {"iss": issuer, "sub": own.as_str()}});
        let alone = json!({"iss": issuer, "sub": gateway.as_str()});
        let now = now().as_secs();
        let end = claims_of(access.expose())?;
        let end = end.get("exp").and_then(Value::as_u64).ok_or("no `exp`")?;
        for (sent, changes, expected) in [
            ("what was asked for", json!({}), "accepted"),
            (
                "widens the scope",
                json!({"scope": "orders payments refunds stock"}),
                "grant.scope",
            ),
            ("drops an actor", json!({"act": alone}), "delegate.actors"),
            (
                "ends with the access token",
                json!({ "exp": end }),
                "accepted",
            ),
            (
                "outlives the access token",
                json!({"exp": end.saturating_add(10)}),
                "grant.lifetime",
            ),
            (
                "binds the token to no key",
                json!({"cnf": null}),
                "delegate.confirmation",
            ),
            (
                "is for another call",
                json!({"tctx": {"call_digest": other}}),
                "grant.transaction",
            ),
            (
                "is for another domain",
                json!({"aud": "bank.example"}),
                "grant.transaction",
            ),
        ] {
            let claims = json!({"iss": issuer, "aud": DOMAIN, "iat": now, "exp": now + 30,
                "txn": "t", "sub": own.as_str(), "scope": SCOPES, "req_wl": gateway.as_str(),
                "act": act, "cnf": {"jwk": jwk}, "tctx": {"call_digest": call}});
            let asked = request(SubjectToken::access_token(access.clone()), SCOPES, ORDER)?;
            let why = self.judged(asked, &with(claims, &changes)?).await?;
            table.line(sent, "token", why, ("token", expected));
        }
        let last = self.gateway.last()?;
        let own = claims_of(last.carried().property().1)?;
        for (sent, changes, expected) in [
            ("a replacement", json!({"scope": "stock"}), "accepted"),
            (
                "a replacement of another transaction",
                json!({"scope": "stock", "txn": "other"}),
                "delegate.other",
            ),
        ] {
            let asked = last.replacement("stock".parse()?);
            let why = self.judged(asked, &with(own.clone(), &changes)?).await?;
            table.line(sent, "token", why, ("token", expected));
        }
        Ok(())
    }

    /// Returns how the gateway judges an answer with these claims.
    async fn judged(
        &self,
        asked: TransactionTokenRequest,
        claims: &Value,
    ) -> Result<&'static str, Failure> {
        let client = SpiffeWit::of(self.identities.holder("gateway")?.source)?;
        let answering = Answering(sign("txntoken+jwt", &self.keys.transactions, claims)?);
        let service = TransactionService::new(self.shop.metadata.clone(), client, answering);
        let token = service.open(asked).token().await;
        Ok(token.as_ref().map_or_else(Error::code, |_| "accepted"))
    }

    /// Requests a further token of this scope, as the gateway.
    pub(super) async fn transaction(
        &self,
        access: &SecretText,
        scopes: &str,
    ) -> Result<TransactionToken, Failure> {
        let subject = SubjectToken::access_token(access.clone());
        let request = request(subject, scopes, ORDER)?;
        Ok(self.gateway.service.open(request).token().await?)
    }
}

/// A token service that answers every request with this token.
#[derive(Debug)]
struct Answering(String);

impl Fetch for Answering {
    fn send(&self, _request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let body = json!({"access_token": self.0, "token_type": "N_A", "expires_in": 30,
            "issued_token_type": "urn:ietf:params:oauth:token-type:txn_token"});
        let mut answer = Response::new(body.to_string().into_bytes());
        let headers = answer.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("cache-control", HeaderValue::from_static("no-store"));
        Box::pin(std::future::ready(Ok(answer)))
    }
}
