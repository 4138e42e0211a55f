//! Payments takes the transaction to the bank: a grant, an access token, the call.

use aims::agent;
use aims::fetch::Fetch as _;
use aims::jose::random;
use aims::jose::secret::SecretText;
use aims::oauth_client::{Error, JwtBearer, JwtGrant, SubjectToken};
use aims::oauth_wire::transaction::CarriedTransaction;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use serde_json::{Value, json};

use super::{OTHER_ORDER, Replaying, Table, UNPROVEN, World, altered, bearer, forged, sign, with};
use crate::bank::{LOANS, TRANSFER};
use crate::border::Border;
use crate::shop::PAY;
use crate::world::{Failure, ORDER, fetcher, now};

impl World {
    /// Asks for a grant for the bank with this transaction token.
    async fn grant(&self, token: &CarriedTransaction) -> Result<Result<JwtGrant, Error>, Failure> {
        let subject = SubjectToken::transaction(token);
        let payments = &self.payments;
        payments
            .grant(subject, &self.bank.url, PAY, &fetcher()?)
            .await
    }

    /// Payments asks the shop's authority for a grant.
    pub(super) async fn to_border(
        &self,
        table: &mut Table,
        access: &SecretText,
    ) -> Result<(), Failure> {
        table.hop("payments → the shop's authority, for a grant to the bank");
        let token = self.gateway.last()?;
        let (own, bank) = (token.carried(), &*self.bank.url);
        let found = self.grant(own).await?;
        table.answered("the transaction token", &found, ("a token", ""));
        let target = "name one resource that this client may use";
        let changed = |changes: &Value| -> Result<CarriedTransaction, Failure> {
            Ok(CarriedTransaction::new(altered(
                own.property().1,
                changes,
            )?)?)
        };
        for (sent, service, subject, audience, scope, expected) in [
            (
                "asks for a scope that no table gives",
                &*self.payments,
                SubjectToken::transaction(own),
                bank,
                "pay lend",
                ("invalid_scope", "a scope is unknown or not for this client"),
            ),
            (
                "asks for a grant to another server",
                &*self.payments,
                SubjectToken::transaction(own),
                "http://127.0.0.1:9",
                PAY,
                ("invalid_target", target),
            ),
            (
                "presents the agent's access token",
                &*self.payments,
                SubjectToken::access_token(access.clone()),
                bank,
                PAY,
                ("invalid_target", target),
            ),
            (
                "a service that is not at the border",
                &self.stock,
                SubjectToken::transaction(own),
                bank,
                PAY,
                (
                    "unauthorized_client",
                    "this client may not take transactions out of the trust domain",
                ),
            ),
            (
                "drops an actor from the token",
                &*self.payments,
                SubjectToken::transaction(&forged(own.property().1)?),
                bank,
                PAY,
                ("invalid_request", "its signature is not valid"),
            ),
            (
                "swaps the transaction in the token",
                &*self.payments,
                SubjectToken::transaction(&changed(&json!({"txn": "t"}))?),
                bank,
                PAY,
                ("invalid_request", "its signature is not valid"),
            ),
            (
                "changes the parameters in the token",
                &*self.payments,
                SubjectToken::transaction(&changed(&json!({"tctx": {}}))?),
                bank,
                PAY,
                ("invalid_request", "its signature is not valid"),
            ),
            (
                "presents the transaction token after its end",
                &*self.payments,
                SubjectToken::transaction(&self.expired(&token)?),
                bank,
                PAY,
                ("invalid_request", "it has expired"),
            ),
        ] {
            let found = service.grant(subject, audience, scope, &fetcher()?).await?;
            table.answered(sent, &found, expected);
        }
        let (subject, twice) = (SubjectToken::transaction(own), Replaying(fetcher()?));
        let replayed = self.payments.grant(subject, bank, PAY, &twice).await?;
        table.answered("replays the request", &replayed, UNPROVEN);
        Ok(())
    }

    /// Payments presents the grant at the bank's authority.
    pub(super) async fn to_bank(&self, table: &mut Table) -> Result<(), Failure> {
        table.hop("payments → the bank's authority, with the grant");
        let token = self.gateway.last()?;
        let target = |scope: &str| self.payments.target(scope);
        let grant = self.grant(token.carried()).await??;
        let present = || -> Result<JwtBearer, Failure> {
            Ok(JwtBearer::of_jwt_grant(target(TRANSFER)?, &grant))
        };
        let more = target(&format!("{TRANSFER} {LOANS}"))?;
        let more = JwtBearer::of_jwt_grant(more, &self.grant(token.carried()).await??);
        let made = |changes: &Value| -> Result<JwtBearer, Failure> {
            Ok(JwtBearer::new(target(TRANSFER)?, self.made(changes)?))
        };
        let transaction = token.carried().property().1;
        let no_grant = "it is no valid grant of a transaction for this server";
        let changed = |changes: &Value| -> Result<JwtBearer, Failure> {
            let text = altered(&self.made(&json!({}))?, changes)?;
            Ok(JwtBearer::new(target(TRANSFER)?, text))
        };
        let old = now().as_secs().saturating_sub(120);
        let (payments, stock): (&Border, &Border) = (&self.payments, &self.stock);
        for (sent, service, grant, expected) in [
            (
                "steals the grant",
                stock,
                present()?,
                (
                    "invalid_grant",
                    "it is bound to a key that the client has not proven",
                ),
            ),
            (
                "asks for more than the grant",
                payments,
                more,
                (
                    "invalid_scope",
                    "the token would permit more than its subject token",
                ),
            ),
            ("the grant", payments, present()?, ("a token", "")),
            (
                "replays the grant",
                payments,
                present()?,
                ("invalid_grant", "the assertion was used before"),
            ),
            (
                "presents a grant for another server",
                payments,
                made(&json!({"aud": "https://vault.example"}))?,
                ("invalid_grant", no_grant),
            ),
            (
                "presents a grant for another resource",
                payments,
                made(&json!({"resource": [format!("{}/vault", self.bank.url)]}))?,
                (
                    "invalid_target",
                    "name one resource that this client may use",
                ),
            ),
            (
                "presents a grant that has expired",
                payments,
                made(&json!({"iat": old, "exp": old + 60}))?,
                ("invalid_grant", no_grant),
            ),
            (
                "presents a grant that lives longer than any",
                payments,
                made(&json!({"exp": now().as_secs() + 3_600}))?,
                ("invalid_grant", no_grant),
            ),
            (
                "puts another subject into the grant",
                payments,
                changed(&json!({"sub": "bob@shop.example"}))?,
                ("invalid_grant", no_grant),
            ),
            (
                "swaps the transaction in the grant",
                payments,
                changed(&json!({"txn": "u"}))?,
                ("invalid_grant", no_grant),
            ),
            (
                "changes the parameters in the grant",
                payments,
                changed(&json!({"txn_claims": {"call_digest": "d"}}))?,
                ("invalid_grant", no_grant),
            ),
            (
                "presents a grant with a fact that none compares",
                payments,
                made(&json!({"txn_claims": {"amount": 10}}))?,
                (
                    "invalid_grant",
                    "its txn_claims has a member that no resource here compares",
                ),
            ),
            (
                "presents the transaction token",
                payments,
                JwtBearer::new(target(TRANSFER)?, transaction),
                (
                    "invalid_grant",
                    "its typ is that of no grant which is accepted of its issuer",
                ),
            ),
        ] {
            table.answered(sent, &service.redeem(grant).await, expected);
        }
        Ok(())
    }

    /// Signs a grant like that of the shop's authority, with these claims changed.
    fn made(&self, changes: &Value) -> Result<String, Failure> {
        let now = now().as_secs();
        let claims = json!({
            "iss": self.shop.url, "aud": self.bank.url, "sub": "agent@shop.example", "txn": "t",
            "iat": now, "exp": now.saturating_add(60), "jti": random::id128(random::SYSTEM)?,
            "scope": PAY, "resource": [self.bank.accounts],
        });
        let claims = with(claims, changes)?;
        sign("txn-chain+jwt", &self.keys.grants, &claims)
    }

    /// Payments calls the accounts.
    pub(super) async fn to_accounts(&self, table: &mut Table) -> Result<(), Failure> {
        table.hop("payments → the bank's accounts");
        let token = self.gateway.last()?;
        let (carried, accounts) = (token.carried(), &*self.bank.accounts);
        let within = self.gateway.agent.within(carried);
        let left = Request::post(accounts).body(String::new())?;
        let left = within.send(left).await;
        let why = left.as_ref().map_or_else(agent::Error::code, |_| "sent");
        let sent = "lets the transaction token leave its domain";
        table.line(sent, "not sent", why, ("not sent", "agent.outside_domain"));
        let grant = self.grant(carried).await??;
        let grant = JwtBearer::of_jwt_grant(self.payments.target(TRANSFER)?, &grant);
        let mut own = HeaderMap::new();
        self.payments.redeem(grant).await?.apply(&mut own)?;
        let (payments, stock): (&Border, &Border) = (&self.payments, &self.stock);
        let good = payments.signed(&own, ORDER.as_bytes()).await?;
        let mut unproven = Request::post(accounts).body(ORDER.as_bytes().to_vec())?;
        unproven.headers_mut().extend(own.clone());
        let value = own.get(AUTHORIZATION).ok_or("no token")?.to_str()?;
        let text = value.split(' ').next_back().unwrap_or_default();
        let changed = |changes: &Value| bearer(&altered(text, changes)?);
        let wider = changed(&json!({ "scope": format!("{TRANSFER} {LOANS}") }))?;
        let later = changed(&json!({"exp": now().as_secs() + 3_600}))?;
        let (swapped, unnamed) = (
            changed(&json!({"txn": "t"}))?,
            changed(&json!({"act": {"sub": "x"}}))?,
        );
        let transaction = bearer(carried.property().1)?;
        for (sent, request, expected) in [
            ("payments calls the bank", good.clone(), ("200", "accepted")),
            ("replays it", good, ("400", "replay.replayed")),
            (
                "steals the bank's access token: without a proof",
                unproven,
                ("400", "guard.proof"),
            ),
            (
                "steals it: with a proof of its own",
                stock.signed(&own, ORDER.as_bytes()).await?,
                ("401", "token.not_bound"),
            ),
            (
                "widens the scope of the token",
                payments.signed(&wider, ORDER.as_bytes()).await?,
                ("401", "token.signature"),
            ),
            (
                "moves the end of the token",
                payments.signed(&later, ORDER.as_bytes()).await?,
                ("401", "token.signature"),
            ),
            (
                "swaps the transaction in the token",
                payments.signed(&swapped, ORDER.as_bytes()).await?,
                ("401", "token.signature"),
            ),
            (
                "names another actor in the token",
                payments.signed(&unnamed, ORDER.as_bytes()).await?,
                ("401", "token.signature"),
            ),
            (
                "changes the parameters",
                payments.signed(&own, OTHER_ORDER.as_bytes()).await?,
                ("403", "another call"),
            ),
            (
                "sends the transaction token as an access token",
                payments.signed(&transaction, ORDER.as_bytes()).await?,
                ("401", "token.typ"),
            ),
        ] {
            let answer = fetcher()?.send(request).await?;
            table.recorded(sent, answer.status().as_u16(), expected);
        }
        Ok(())
    }
}
