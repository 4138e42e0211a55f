//! The table: what is sent at each hop, what is answered, and why. Each attack differs in one thing
//! from what a party of the story sends.

mod bank;
mod gateway;
mod services;
mod token_service;

use std::sync::Arc;

use aims::fetch::{self, Fetch, FetchFuture, Fetcher};
use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::jose::{Algorithm, base64url};
use aims::oauth_client::Error;
use aims::oauth_wire::transaction::CarriedTransaction;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use serde_json::{Value, json};

use crate::bank::Bank;
use crate::border::Border;
use crate::gateway::Gateway;
use crate::shop::{Keys, Shop};
use crate::world::{Failure, Identities, Reasons};

/// The parties and keys that the attackers can reach.
pub(crate) struct World {
    pub(crate) identities: Identities,
    pub(crate) keys: Keys,
    pub(crate) tool: String,
    pub(crate) shop: Shop,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) bank: Bank,
    /// Payments, which is at the border to the bank, and stock, which is not.
    pub(crate) payments: Arc<Border>,
    pub(crate) stock: Border,
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

    /// Prints a line with the answer of an authority.
    fn answered<T>(&mut self, sent: &str, answer: &Result<T, Error>, expected: (&str, &str)) {
        let refusal = answer.as_ref().err().map(|error| (error, error.refusal()));
        match refusal {
            None => self.line(sent, "a token", "", expected),
            Some((_, Some(it))) => {
                self.line(
                    sent,
                    it.error(),
                    it.description().unwrap_or_default(),
                    expected,
                );
            }
            Some((error, None)) => self.line(sent, "not used", error.code(), expected),
        }
    }

    fn line(&mut self, sent: &str, answered: impl ToString, why: &str, expected: (&str, &str)) {
        let answered = answered.to_string();
        let good = (answered.as_str(), why) == expected;
        self.wrong = self.wrong.saturating_add(usize::from(!good));
        let good = if good { "yes" } else { "NO" };
        println!("  {sent:<53} {answered:<19} {why:<59} {good}");
    }
}

/// The answer to a client whose proof was used before, like to one without a proof.
const UNPROVEN: (&str, &str) = ("invalid_client", "the client could not be authenticated");

/// Tries all attacks, prints the table, and returns the number of unexpected results.
pub(crate) async fn run(world: World) -> Result<usize, Failure> {
    println!(
        "\nWhat is sent, what is answered (an HTTP status, `grpc` with its own, or the error of an authority), and why: the code in the\nrecord of the service or of the client that refuses, or the words of the authority.\n"
    );
    let mut table = Table {
        reasons: world.reasons.clone(),
        wrong: 0,
    };
    println!(
        "  {:<53} {:<19} {:<59} as it should",
        "sent", "answered", "why"
    );
    let access = world.to_gateway(&mut table).await?;
    world.to_token_service(&mut table, &access).await?;
    world.answers(&mut table, &access).await?;
    world.to_services(&mut table, &access).await?;
    world.to_border(&mut table, &access).await?;
    world.to_bank(&mut table).await?;
    world.to_accounts(&mut table).await?;
    Ok(table.wrong)
}

const OTHER_ORDER: &str = r#"{"item":"book","amount":9999}"#;

/// Sends each request twice, and returns the second answer, if the first one was a token.
#[derive(Debug)]
struct Replaying(Fetcher);

impl Fetch for Replaying {
    fn send(&self, request: Request<Vec<u8>>) -> FetchFuture<'_> {
        Box::pin(async move {
            match self.0.send(request.clone()).await? {
                first if first.status().is_success() => self.0.send(request).await,
                _refused => Err(fetch::Error::Timeout),
            }
        })
    }
}

fn bearer(token: &str) -> Result<HeaderMap, Failure> {
    let value = format!("Bearer {token}").parse()?;
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// Returns the same token without its first actor. The signature is then wrong.
fn forged(token: &str) -> Result<CarriedTransaction, Failure> {
    let claims = claims_of(token)?;
    let mut act = claims.get("act").cloned().unwrap_or_default();
    act.as_object_mut().ok_or("no actor")?.remove("act");
    let token = altered(token, &json!({ "act": act }))?;
    Ok(CarriedTransaction::new(token)?)
}

/// Returns the same token with some claims changed. The signature is then wrong.
fn altered(token: &str, changes: &Value) -> Result<String, Failure> {
    let (head, _) = token.split_once('.').ok_or("no JWT")?;
    let (_, signature) = token.rsplit_once('.').ok_or("no JWT")?;
    let claims = with(claims_of(token)?, changes)?;
    let payload = base64url::encode(claims.to_string().as_bytes());
    Ok(format!("{head}.{payload}.{signature}"))
}

fn claims_of(token: &str) -> Result<Value, Failure> {
    let payload = token.split('.').nth(1).ok_or("no JWT")?;
    Ok(serde_json::from_slice(&base64url::decode(payload)?)?)
}

/// Returns these claims with some of them changed, or gone where `null` is in their place.
fn with(mut claims: Value, changes: &Value) -> Result<Value, Failure> {
    let members = claims.as_object_mut().ok_or("no object")?;
    for (name, value) in changes.as_object().into_iter().flatten() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    Ok(claims)
}

fn sign(typ: &str, key: &SigningKey, claims: &Value) -> Result<String, Failure> {
    let key_id = key.public_jwk().key_id();
    let input = SigningInput::new(typ, Algorithm::Es256, key_id, claims)?;
    Ok(input.sign(key)?.expose().to_owned())
}
