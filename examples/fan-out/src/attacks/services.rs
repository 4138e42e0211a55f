//! The gateway calls the services of the shop.

use aims::Agent;
use aims::agent::RequestAuth;
use aims::fetch::Fetch as _;
use aims::jose::secret::SecretText;
use aims::oauth_client::{SubjectToken, TransactionToken};
use aims::oauth_wire::transaction::CarriedTransaction;
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{OTHER_ORDER, Table, World, claims_of, forged, sign, with};
use crate::gateway::{request, send_grpc};
use crate::services::framed;
use crate::shop::SCOPES;
use crate::world::{Failure, ORDER, agent, fetcher, now};

impl World {
    /// The gateway calls its three services. The same attacks meet each of them.
    pub(super) async fn to_services(
        &self,
        table: &mut Table,
        access: &SecretText,
    ) -> Result<(), Failure> {
        let [orders, stock, payments] = &self.gateway.services;
        for (hop, service, scopes, other) in [
            ("gateway → orders (HTTP)", orders, SCOPES, "stock"),
            ("gateway → stock (HTTP)", stock, "stock", "orders"),
            ("gateway → payments (gRPC)", payments, SCOPES, "stock"),
        ] {
            table.hop(hop);
            let tokens = [
                self.of_scopes(access, scopes).await?,
                self.of_scopes(access, scopes).await?,
                self.of_scopes(access, other).await?,
            ];
            for (sent, request, (status, why)) in self.calls(service, access, &tokens)? {
                let (answered, expected) = if hop.ends_with("(gRPC)") {
                    (send_as_grpc(request).await?, of_grpc(status))
                } else {
                    let answer = fetcher()?.send(request).await?;
                    (answer.status().as_u16().to_string(), status)
                };
                table.recorded(sent, answered, (expected, why));
            }
        }
        Ok(())
    }

    /// Requests a token as the gateway does: of all scopes, or a replacement with fewer.
    async fn of_scopes(
        &self,
        access: &SecretText,
        scopes: &str,
    ) -> Result<TransactionToken, Failure> {
        if scopes == SCOPES {
            return self.transaction(access, SCOPES).await;
        }
        let subject = SubjectToken::access_token(access.clone());
        let transaction = self.gateway.service.open(request(subject, SCOPES, ORDER)?);
        Ok(transaction.narrowed(scopes.parse()?).await?)
    }

    /// Returns the calls of one service: its own token, that of another transaction, and one that
    /// is for another service.
    fn calls(
        &self,
        service: &str,
        access: &SecretText,
        [one, two, other]: &[TransactionToken; 3],
    ) -> Result<Vec<Sent>, Failure> {
        let gateway = &self.gateway.agent;
        let thief = self.identities.holder("thief")?;
        let thief = agent(&thief, RequestAuth::Wpt, &self.gateway.services)?;
        let bare = |arguments: &str| Request::post(service).body(arguments.as_bytes().to_vec());
        let send = |agent: &Agent, arguments: &str| -> Result<Request<Vec<u8>>, Failure> {
            let mut request = bare(arguments)?;
            agent.prove(&mut request)?;
            Ok(request)
        };
        let within = |token: &TransactionToken| gateway.within(token.carried());
        let good = send(&within(one), ORDER)?;
        let mut swapped = good.clone();
        two.apply(swapped.headers_mut());
        let mut unproven = bare(ORDER)?;
        one.apply(unproven.headers_mut());
        let fewer = forged(one.carried().property().1)?;
        let mut tampered = good.clone();
        fewer.apply(tampered.headers_mut());
        let mut as_transaction = bare(ORDER)?;
        let value = HeaderValue::from_str(access.expose())?;
        as_transaction.headers_mut().insert("txn-token", value);
        gateway.prove(&mut as_transaction)?;
        let long = now().as_secs().saturating_add(7_200);
        let long = self.changed(one, &json!({ "exp": long }))?;
        Ok(vec![
            ("the gateway's call", good.clone(), ("200", "accepted")),
            ("replays it", good, ("401", "replay.replayed")),
            (
                "steals the transaction token: without a proof",
                unproven,
                ("401", "guard.proof"),
            ),
            (
                "steals the transaction token: with a proof of its own",
                send(&thief.within(one.carried()), ORDER)?,
                ("400", "txn.not_bound"),
            ),
            (
                "swaps the transaction for another one",
                swapped,
                ("401", "wpt.tth"),
            ),
            (
                "changes the parameters",
                send(&within(one), OTHER_ORDER)?,
                ("403", "txn.call"),
            ),
            (
                "widens: uses a token that is for another service",
                send(&within(other), ORDER)?,
                ("403", "guard.transaction_scope"),
            ),
            (
                "drops an actor from the token",
                tampered,
                ("401", "wpt.tth"),
            ),
            (
                "drops an actor, and proves the result",
                send(&gateway.within(&fewer), ORDER)?,
                ("400", "txn.signature"),
            ),
            (
                "uses the token after its end",
                send(&gateway.within(&self.expired(one)?), ORDER)?,
                ("400", "txn.expired"),
            ),
            (
                "uses a token that lives longer than any transaction",
                send(&gateway.within(&long), ORDER)?,
                ("400", "txn.lifetime"),
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
        ])
    }

    /// Returns a token as it would be if its time had passed.
    pub(super) fn expired(&self, token: &TransactionToken) -> Result<CarriedTransaction, Failure> {
        let old = now().as_secs().saturating_sub(300);
        self.changed(token, &json!({"iat": old, "exp": old + 60}))
    }

    /// Signs a token like this one, with some claims changed.
    fn changed(
        &self,
        token: &TransactionToken,
        changes: &Value,
    ) -> Result<CarriedTransaction, Failure> {
        let claims = with(claims_of(token.carried().property().1)?, changes)?;
        let token = sign("txntoken+jwt", &self.keys.transactions, &claims)?;
        Ok(CarriedTransaction::new(token)?)
    }
}

/// A line of the table: what is sent, the status of HTTP that answers it, and why.
type Sent = (&'static str, Request<Vec<u8>>, (&'static str, &'static str));

/// Sends the same as a call of gRPC.
async fn send_as_grpc(request: Request<Vec<u8>>) -> Result<String, Failure> {
    let mut request = request.map(|body| Full::new(framed(&String::from_utf8_lossy(&body))));
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
    }
    let (status, _) = send_grpc(request).await?;
    Ok(format!("grpc {status}"))
}

/// Returns the status of gRPC for one of HTTP.
fn of_grpc(status: &str) -> &'static str {
    match status {
        "200" => "grpc 0",
        "403" => "grpc 7",
        _ => "grpc 16",
    }
}
