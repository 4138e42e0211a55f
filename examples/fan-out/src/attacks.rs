//! The table: what is sent at each hop, what is answered, and why. Each attack differs in one thing
//! from what a party of the story sends.

use std::sync::Arc;
use std::time::Duration;

use aims::Agent;
use aims::agent::RequestAuth;
use aims::fetch::{Fetch, FetchFuture};
use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::jose::secret::SecretText;
use aims::jose::time::at;
use aims::jose::{Algorithm, random};
use aims::oauth_client::{
    Error, OfIdentity as _, SubjectToken, TokenSource, TransactionService, TransactionToken,
};
use aims::oauth_wire::call::CallDigest;
use aims::oauth_wire::client_auth::SpiffeWit;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::oauth_wire::transaction::CarriedTransaction;
use aims::txn_token::{TxnToken, TxnTokenRequest, TxnTokenRules};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use serde_json::{Value, json};

use crate::bank::{Bank, paying};
use crate::gateway::{Gateway, call_grpc, request};
use crate::shop::{ACCESS_SCOPE, SCOPES, Shop};
use crate::world::{
    DOMAIN, Failure, Holder, Identities, ORDER, Reasons, TOOL, agent, fetcher, now, workload,
};

/// The parties and keys that the attackers can reach.
pub(crate) struct World {
    pub(crate) identities: Identities,
    /// The key of the transaction token service, with which the program makes a token that expired.
    pub(crate) transactions: SigningKey,
    pub(crate) tool: String,
    pub(crate) shop: Shop,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) bank: Arc<Bank>,
    pub(crate) reasons: Reasons,
}

/// The lines of the table.
struct Table {
    reasons: Reasons,
    wrong: usize,
}

impl Table {
    fn hop(&self, name: &str) {
        println!("\n{name}");
    }

    /// Prints a line with the code that the last service recorded.
    fn recorded(&mut self, sent: &str, answered: impl ToString, expected: (&str, &str)) {
        let why = self.reasons.take();
        self.line(sent, answered, &why, expected);
    }

    fn line(&mut self, sent: &str, answered: impl ToString, why: &str, expected: (&str, &str)) {
        let answered = answered.to_string();
        let good = (answered.as_str(), why) == expected;
        self.wrong = self.wrong.saturating_add(usize::from(!good));
        let good = if good { "yes" } else { "NO" };
        println!("  {sent:<58} {answered:>8}  {why:<21} {good}");
    }
}

/// Tries all attacks, prints the table, and returns the number of unexpected results.
pub(crate) async fn run(world: World) -> Result<usize, Failure> {
    println!(
        "\nWhat is sent, what is answered (an HTTP status, or `grpc` with its own), and why: the code in the record of the service\nthat refuses, or of the client that refuses an answer.\n"
    );
    let mut table = Table {
        reasons: world.reasons.clone(),
        wrong: 0,
    };
    println!(
        "  {:<58} {:>8}  {:<21} as it should",
        "sent", "answered", "why"
    );
    let access = world.to_gateway(&mut table).await?;
    world.to_token_service(&mut table, &access).await?;
    world.answers(&mut table, &access).await?;
    world.to_orders(&mut table, &access).await?;
    world.to_payments(&mut table).await?;
    world.to_bank(&mut table).await?;
    Ok(table.wrong)
}

const OTHER_ORDER: &str = r#"{"item":"book","amount":9999}"#;

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
    async fn to_gateway(&self, table: &mut Table) -> Result<SecretText, Failure> {
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
        let mut transaction = HeaderMap::new();
        let text = self.gateway.last()?;
        let text = format!("Bearer {}", text.carried().property().1);
        transaction.insert(AUTHORIZATION, text.parse()?);
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
                "sends a transaction token as an access token",
                self.call(&mallory, &transaction).await?,
                ("401", "token.typ"),
            ),
        ] {
            let answer = fetcher.send(request).await?;
            table.recorded(sent, answer.status().as_u16(), expected);
        }
        let value = own.get(AUTHORIZATION).ok_or("no token")?.to_str()?;
        let text = value.split(' ').next_back().unwrap_or_default();
        Ok(SecretText::new(text))
    }

    /// The gateway requests a transaction token.
    async fn to_token_service(
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
        for (sent, service, request, expected) in [
            (
                "asks for a scope that the access token does not give",
                &self.gateway.service,
                request(subject(), "orders refunds", ORDER)?,
                "invalid_scope",
            ),
            (
                "another service presents the agent's access token",
                &stock,
                request(subject(), SCOPES, ORDER)?,
                "unauthorized_client",
            ),
            (
                "widens by a replacement",
                &self.gateway.service,
                narrow.replacement(SCOPES.parse()?),
                "invalid_scope",
            ),
            (
                "replaces a token of another service",
                &stock,
                last.replacement("stock".parse()?),
                "unauthorized_client",
            ),
            (
                "presents a transaction token as an access token",
                &self.gateway.service,
                request(transaction, SCOPES, ORDER)?,
                "invalid_request",
            ),
        ] {
            let refused = service.open(request).token().await;
            let error = refused.err().ok_or("a token was issued")?;
            let why = error
                .refusal()
                .map_or_else(|| error.code(), |it| it.error());
            table.line(sent, "refused", why, ("refused", expected));
        }
        Ok(())
    }

    /// A token service that is not what it should be answers the gateway.
    async fn answers(&self, table: &mut Table, access: &SecretText) -> Result<(), Failure> {
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
        for (sent, changes, expected) in [
            ("what was asked for", json!({}), "accepted"),
            (
                "widens the scope",
                json!({"scope": "orders payments refunds stock"}),
                "grant.scope",
            ),
            ("drops an actor", json!({"act": alone}), "grant.wider"),
            (
                "outlives the access token",
                json!({"exp": now + 3_000}),
                "grant.lifetime",
            ),
            (
                "binds the token to no key",
                json!({"cnf": null}),
                "grant.wider",
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
            let mut claims = json!({"iss": issuer, "aud": DOMAIN, "iat": now, "exp": now + 30,
                "txn": "t", "sub": own.as_str(), "scope": SCOPES, "req_wl": gateway.as_str(),
                "act": act, "cnf": {"jwk": jwk}, "tctx": {"call_digest": call}});
            let members = claims.as_object_mut().ok_or("no object")?;
            for (name, value) in changes.as_object().into_iter().flatten() {
                members.insert(name.clone(), value.clone());
            }
            members.retain(|_, value| !value.is_null());
            let client = SpiffeWit::of(self.identities.holder("gateway")?.source)?;
            let answering = Answering(sign("txntoken+jwt", &self.transactions, &claims)?);
            let metadata = self.shop.metadata.clone();
            let service = TransactionService::new(metadata, client, answering);
            let asked = request(SubjectToken::access_token(access.clone()), SCOPES, ORDER)?;
            let token = service.open(asked).token().await;
            let why = token.as_ref().map_or_else(Error::code, |_| "accepted");
            table.line(sent, "token", why, ("token", expected));
        }
        Ok(())
    }

    /// Requests a further token of this scope, as the gateway.
    async fn transaction(
        &self,
        access: &SecretText,
        scopes: &str,
    ) -> Result<TransactionToken, Failure> {
        let subject = SubjectToken::access_token(access.clone());
        let request = request(subject, scopes, ORDER)?;
        Ok(self.gateway.service.open(request).token().await?)
    }

    /// The gateway calls orders. What is refused here is refused by stock, too.
    async fn to_orders(&self, table: &mut Table, access: &SecretText) -> Result<(), Failure> {
        table.hop("gateway → orders (HTTP)");
        let fetcher = fetcher()?;
        let [orders, ..] = &self.gateway.services;
        let (one, two) = (
            self.gateway.last()?,
            self.transaction(access, SCOPES).await?,
        );
        let subject = SubjectToken::access_token(access.clone());
        let transaction = self.gateway.service.open(request(subject, SCOPES, ORDER)?);
        let narrow = transaction.narrowed("stock".parse()?).await?;
        let gateway = &self.gateway.agent;
        let stock = self.identities.holder("stock")?;
        let stock = agent(&stock, RequestAuth::Wpt, &self.gateway.services)?;
        let send = |agent: &Agent, arguments: &str| -> Result<Request<Vec<u8>>, Failure> {
            let mut request = Request::post(orders).body(arguments.as_bytes().to_vec())?;
            agent.prove(&mut request)?;
            Ok(request)
        };
        let within = |token: &TransactionToken| gateway.within(token.carried());
        let good = send(&within(&one), ORDER)?;
        let mut swapped = send(&within(&one), ORDER)?;
        two.apply(swapped.headers_mut());
        let mut unproven = Request::post(orders).body(ORDER.as_bytes().to_vec())?;
        one.apply(unproven.headers_mut());
        let mut tampered = send(&within(&one), ORDER)?;
        let forged = forged(one.carried().property().1)?;
        forged.apply(tampered.headers_mut());
        let tampered_proven = send(&gateway.within(&forged), ORDER)?;
        let mut as_transaction = Request::post(orders).body(ORDER.as_bytes().to_vec())?;
        let value = HeaderValue::from_str(access.expose())?;
        as_transaction.headers_mut().insert("txn-token", value);
        gateway.prove(&mut as_transaction)?;
        let expired = gateway.within(&self.expired()?);
        for (sent, request, expected) in [
            ("the gateway's call", good.clone(), ("200", "accepted")),
            ("replays it", good, ("401", "replay.replayed")),
            (
                "steals the transaction token: without a proof",
                unproven,
                ("401", "guard.proof"),
            ),
            (
                "steals the transaction token: with a proof of its own",
                send(&stock.within(one.carried()), ORDER)?,
                ("400", "txn.not_bound"),
            ),
            (
                "swaps the transaction for another one",
                swapped,
                ("401", "wpt.tth"),
            ),
            (
                "changes the parameters",
                send(&within(&one), OTHER_ORDER)?,
                ("403", "txn.call"),
            ),
            (
                "uses a token that is for stock alone",
                send(&within(&narrow), ORDER)?,
                ("403", "guard.transaction_scope"),
            ),
            (
                "drops an actor from the token",
                tampered,
                ("401", "wpt.tth"),
            ),
            (
                "drops an actor, and proves the result",
                tampered_proven,
                ("400", "txn.signature"),
            ),
            (
                "outlives the access token",
                send(&expired, ORDER)?,
                ("400", "txn.expired"),
            ),
            (
                "sends an access token as a transaction token",
                as_transaction,
                ("400", "txn.typ"),
            ),
            (
                "sends no transaction token",
                send(gateway, ORDER)?,
                ("400", "guard.transaction"),
            ),
        ] {
            let answer = fetcher.send(request).await?;
            table.recorded(sent, answer.status().as_u16(), expected);
        }
        Ok(())
    }

    /// Returns a token of the service whose minute has passed.
    fn expired(&self) -> Result<CarriedTransaction, Failure> {
        let minutes_ago = at(now().as_secs().saturating_sub(300));
        let key_id = self.transactions.public_jwk().key_id();
        let token = TxnTokenRequest::new(DOMAIN, "agent", SCOPES, "gateway").prepare(
            Algorithm::Es256,
            key_id,
            Duration::from_secs(60),
            random::SYSTEM,
            minutes_ago,
        )?;
        let token = token.sign(&self.transactions)?;
        Ok(CarriedTransaction::new(token.expose())?)
    }

    /// The gateway calls payments.
    async fn to_payments(&self, table: &mut Table) -> Result<(), Failure> {
        table.hop("gateway → payments (gRPC)");
        let [_, _, payments] = &self.gateway.services;
        let token = self.gateway.last()?;
        let within = self.gateway.agent.within(token.carried());
        let stock = self.identities.holder("stock")?;
        let stock = agent(&stock, RequestAuth::Wpt, &self.gateway.services)?;
        let stolen = stock.within(token.carried());
        for (sent, agent, arguments, expected) in [
            ("the gateway's call", &within, ORDER, ("grpc 0", "accepted")),
            (
                "steals the transaction token",
                &stolen,
                ORDER,
                ("grpc 16", "txn.not_bound"),
            ),
            (
                "changes the parameters",
                &within,
                OTHER_ORDER,
                ("grpc 7", "txn.call"),
            ),
            (
                "sends no transaction token",
                &stock,
                ORDER,
                ("grpc 16", "guard.transaction"),
            ),
        ] {
            let (status, _) = call_grpc(agent, payments, arguments).await?;
            table.recorded(sent, format!("grpc {status}"), expected);
        }
        Ok(())
    }

    /// Payments calls the bank, which is of another domain.
    async fn to_bank(&self, table: &mut Table) -> Result<(), Failure> {
        table.hop("payments → bank (another domain)");
        let (fetcher, bank) = (fetcher()?, &self.bank);
        let token = self.gateway.last()?;
        let within = self.gateway.agent.within(token.carried());
        let left = within
            .send(Request::post(&bank.url).body(String::new())?)
            .await;
        let why = left
            .as_ref()
            .map_or_else(aims::agent::Error::code, |_| "sent");
        let sent = "lets the transaction token leave its domain";
        table.line(sent, "not sent", why, ("not sent", "agent.outside_domain"));
        let text = token.carried().property().1;
        let request = paying(&bank.holder, &bank.url, text).await?;
        let answer = fetcher.send(request).await?;
        let sent = "sends the transaction token as an access token";
        table.recorded(sent, answer.status().as_u16(), ("401", "token.typ"));

        let rules = TxnTokenRules::new(DOMAIN);
        let token = TxnToken::verify(text, &self.shop.keys, &rules, now())?;
        let grant = || {
            bank.border
                .grant(&token, &bank.border.bank, &bank.url, &bank.holder)
        };
        let elsewhere = Issuer::loopback("http://127.0.0.1:9")?;
        let elsewhere = bank
            .border
            .grant(&token, &elsewhere, &bank.url, &bank.holder)?;
        let other = format!("{}/vault", bank.border.bank.as_str());
        let other = bank
            .border
            .grant(&token, &bank.border.bank, &other, &bank.holder)?;
        let own = agent(&bank.holder, RequestAuth::Wpt, &[])?;
        let stock = self.identities.holder("stock")?;
        let thief = agent(&stock, RequestAuth::Wpt, &[])?;
        let first = grant()?;
        let (status, answer) = bank.redeem(&own, &first, "payments").await?;
        table.recorded(
            "the grant of the border service",
            status.as_u16(),
            ("200", "accepted"),
        );
        let access = answer
            .get("access_token")
            .and_then(Value::as_str)
            .ok_or("no access token")?
            .to_owned();
        for (sent, agent, grant, scope, expected) in [
            (
                "replays the grant",
                &own,
                first,
                "payments",
                "replay.replayed",
            ),
            (
                "steals a grant",
                &thief,
                grant()?,
                "payments",
                "txn.not_bound",
            ),
            (
                "asks for more than the grant",
                &own,
                grant()?,
                "payments+loans",
                "scope",
            ),
            (
                "presents a grant for another server",
                &own,
                elsewhere,
                "payments",
                "txn.domain",
            ),
            (
                "presents a grant for another resource",
                &own,
                other,
                "payments",
                "resource",
            ),
            (
                "presents the transaction token",
                &own,
                text.to_owned(),
                "payments",
                "txn.typ",
            ),
        ] {
            let (status, _) = bank.redeem(agent, &grant, scope).await?;
            table.recorded(sent, status.as_u16(), ("400", expected));
        }
        for (sent, holder, expected) in [
            ("payments calls the bank", &bank.holder, ("200", "accepted")),
            (
                "steals the bank's access token",
                &stock,
                ("401", "token.not_bound"),
            ),
        ] {
            let request = paying(holder, &bank.url, &access).await?;
            let answer = fetcher.send(request).await?;
            table.recorded(sent, answer.status().as_u16(), expected);
        }
        Ok(())
    }
}

/// Returns the same token without its first actor. The signature is then wrong.
fn forged(token: &str) -> Result<CarriedTransaction, Failure> {
    let mut parts = token.split('.');
    let (Some(head), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err("no JWT".into());
    };
    let payload = aims::jose::base64url::decode(payload)?;
    let mut claims: Value = serde_json::from_slice(&payload)?;
    if let Some(act) = claims.get_mut("act").and_then(Value::as_object_mut) {
        act.remove("act");
    }
    let payload = aims::jose::base64url::encode(claims.to_string().as_bytes());
    Ok(CarriedTransaction::new(format!(
        "{head}.{payload}.{signature}"
    ))?)
}

fn sign(typ: &str, key: &SigningKey, claims: &Value) -> Result<String, Failure> {
    let key_id = key.public_jwk().key_id();
    let input = SigningInput::new(typ, Algorithm::Es256, key_id, claims)?;
    Ok(input.sign(key)?.expose().to_owned())
}

/// A token service that answers every request with this token.
#[derive(Clone, Debug)]
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
