//! The gateway calls the services of the shop.

use aims::Agent;
use aims::agent::RequestAuth;
use aims::fetch::Fetch as _;
use aims::jose::secret::SecretText;
use aims::oauth_client::{SubjectToken, TransactionToken};
use aims::oauth_wire::transaction::CarriedTransaction;
use http::{HeaderValue, Request};
use serde_json::json;

use super::{OTHER_ORDER, Table, World, claims_of, forged, sign, with};
use crate::gateway::{call_grpc, request};
use crate::shop::SCOPES;
use crate::world::{Failure, ORDER, agent, fetcher, now};

impl World {
    /// The gateway calls orders. What is refused here is refused by stock, too.
    pub(super) async fn to_orders(
        &self,
        table: &mut Table,
        access: &SecretText,
    ) -> Result<(), Failure> {
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

    /// Returns the last token as it would be if its time had passed.
    pub(super) fn expired(&self) -> Result<CarriedTransaction, Failure> {
        let old = now().as_secs().saturating_sub(300);
        let claims = claims_of(self.gateway.last()?.carried().property().1)?;
        let claims = with(claims, &json!({"iat": old, "exp": old + 60}))?;
        let token = sign("txntoken+jwt", &self.keys.transactions, &claims)?;
        Ok(CarriedTransaction::new(token)?)
    }

    /// The gateway calls payments.
    pub(super) async fn to_payments(&self, table: &mut Table) -> Result<(), Failure> {
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
}
