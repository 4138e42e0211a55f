//! The table: what is sent, what is answered, and why. Each attack differs in one thing from what
//! the agent sends.

use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::jose::{Algorithm, random};
use aims::oauth_client::{Error, JwtBearer, SubjectToken, Token, TokenSource};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::supplier::{PRICES, SCOPE};
use crate::way::{id_jag, jwt_grant};
use crate::world::{Caller, Failure, World, es256, now, workload};

/// The lines of the table.
struct Table {
    wrong: usize,
}

impl Table {
    fn to(&self, name: &str) {
        println!("\n{name}");
    }

    fn line(&mut self, sent: &str, answered: &str, why: &str, expected: (&str, &str)) {
        let good = (answered, why) == expected;
        self.wrong = self.wrong.saturating_add(usize::from(!good));
        let good = if good { "yes" } else { "NO" };
        println!("  {sent:<46} {answered:<19} {why:<66} {good}");
    }

    /// Prints a line with the answer of an authorization server.
    fn answered<T>(&mut self, sent: &str, answer: &Result<T, Error>, expected: (&str, &str)) {
        let Err(error) = answer else {
            return self.line(sent, "a token", "", expected);
        };
        match error.refusal() {
            Some(refusal) => {
                let why = refusal.description().unwrap_or_default();
                self.line(sent, refusal.error(), why, expected);
            }
            None => self.line(sent, error.code(), "refused by the client", expected),
        }
    }
}

/// Tries all attacks, prints the table, and returns the number of unexpected results.
pub(crate) async fn run(world: &World) -> Result<usize, Failure> {
    println!(
        "\nWhat is sent, what is answered, and why: the words of the server, or the code in the"
    );
    println!("record of the tool.");
    let mut table = Table { wrong: 0 };
    to_shop(world, &mut table).await?;
    by_chaining(world, &mut table).await?;
    by_id_jag(world, &mut table).await?;
    forged(world, &mut table).await?;
    to_tool(world, &mut table).await?;
    Ok(table.wrong)
}

/// The client sends an assertion to the server that it is for, and to no other.
const KEPT: (&str, &str) = ("oauth.request", "refused by the client");

/// The shop's server gives grants by the rules of its operator.
async fn to_shop(world: &World, table: &mut Table) -> Result<(), Failure> {
    table.to("agent → the shop's server");
    let own = world.buyer.own_token().await?;
    let (supplier, other) = (&world.supplier.url, &world.other.url);
    let wider = "the token would permit more than its subject token";
    for (sent, caller, audience, scope, expected) in [
        (
            "asks for a grant for another organisation",
            &world.buyer,
            other,
            "order",
            (
                "invalid_target",
                "name one resource that this client may use",
            ),
        ),
        (
            "asks for a scope that no table gives",
            &world.buyer,
            supplier,
            "order prices",
            ("invalid_scope", wider),
        ),
        (
            "another agent presents the buyer's token",
            &world.mallory,
            supplier,
            "order",
            (
                "unauthorized_client",
                "this client may not exchange tokens for that resource",
            ),
        ),
    ] {
        let found = jwt_grant(world, caller, SubjectToken::of(&own), audience, scope).await?;
        table.answered(sent, &found, expected);
    }
    Ok(())
}

/// Presents a good grant in ways that are not.
async fn by_chaining(world: &World, table: &mut Table) -> Result<(), Failure> {
    table.to("agent → the supplier's server, by identity chaining");
    let (buyer, mallory) = (&world.buyer, &world.mallory);
    for (sent, server, scope, times, expected) in [
        (
            "the agent's grant",
            &buyer.at_supplier,
            SCOPE,
            1,
            ("a token", ""),
        ),
        (
            "the same grant a second time",
            &buyer.at_supplier,
            SCOPE,
            2,
            ("invalid_grant", "the assertion was used before"),
        ),
        (
            "to the server of another organisation",
            &buyer.at_other,
            SCOPE,
            1,
            KEPT,
        ),
        (
            "another agent presents it",
            &mallory.at_supplier,
            SCOPE,
            1,
            ("invalid_grant", "it was issued for another client"),
        ),
        (
            "with a scope that the shop did not give",
            &buyer.at_supplier,
            PRICES,
            1,
            (
                "invalid_scope",
                "the token would permit more than its subject token",
            ),
        ),
    ] {
        let subject = SubjectToken::of(&*buyer.own_token().await?);
        let grant = jwt_grant(world, buyer, subject, &world.supplier.url, "order").await??;
        let present = || -> Result<JwtBearer, Failure> {
            Ok(JwtBearer::of_jwt_grant(world.target(scope)?, &grant))
        };
        let mut found = server.redeem(present()?).await;
        for _again in 1..times {
            found = server.redeem(present()?).await;
        }
        table.answered(sent, &found, expected);
    }
    Ok(())
}

/// Presents a good assertion in ways that are not.
async fn by_id_jag(world: &World, table: &mut Table) -> Result<(), Failure> {
    table.to("agent → the supplier's server, by an identity assertion");
    let subject = SubjectToken::of(&*world.buyer.own_token().await?);
    let assertion = id_jag(world, &world.buyer, subject).await??;
    let present = || -> Result<JwtBearer, Failure> {
        Ok(JwtBearer::of_id_jag(world.target(SCOPE)?, &assertion))
    };
    let found = world.mallory.at_supplier.redeem(present()?).await;
    let other = "it was issued for another client";
    table.answered(
        "another agent presents it",
        &found,
        ("invalid_grant", other),
    );
    let found = world.buyer.at_other.redeem(present()?).await;
    table.answered("to the server of another organisation", &found, KEPT);
    let found = world.buyer.at_supplier.redeem(present()?).await;
    table.answered("the agent's assertion", &found, ("a token", ""));
    let found = world.buyer.at_supplier.redeem(present()?).await;
    let used = "the assertion was used before";
    table.answered("the same assertion again", &found, ("invalid_grant", used));
    let subject = SubjectToken::of(&*world.mallory.own_token().await?);
    let own = id_jag(world, &world.mallory, subject).await??;
    let own = JwtBearer::of_id_jag(world.target(SCOPE)?, &own);
    let found = world.mallory.at_supplier.redeem(own).await;
    let unknown = "its subject is none of this server";
    let sent = "an agent that the supplier does not know";
    table.answered(sent, &found, ("invalid_grant", unknown));
    Ok(())
}

/// Assertions that the shop's server would not sign.
async fn forged(world: &World, table: &mut Table) -> Result<(), Failure> {
    table.to("attacker → the supplier's server, with an assertion of its own making");
    let (shop, thief) = (&world.shop.key, es256("shop")?);
    let old = now().as_secs().saturating_sub(120);
    let day = now().as_secs().saturating_add(86_400);
    let own = world.buyer.own_token().await?;
    let own = text_of(&own)?;
    for (sent, key, typ, changes, expected) in [
        (
            "signed by the attacker",
            &thief,
            ID_JAG,
            json!({}),
            "its signature is not valid",
        ),
        (
            "of an issuer without trust",
            &thief,
            ID_JAG,
            json!({"iss": "https://as.attacker.example"}),
            "its issuer is none whose grants are accepted",
        ),
        (
            "for the server of another organisation",
            shop,
            ID_JAG,
            json!({"aud": world.other.url}),
            "its aud is not this server alone",
        ),
        (
            "expired",
            shop,
            ID_JAG,
            json!({"iat": old, "exp": old + 60}),
            "it has expired",
        ),
        (
            "valid for a day",
            shop,
            ID_JAG,
            json!({"exp": day}),
            "it lives longer than the rules of its issuer accept",
        ),
        (
            "for no tool",
            shop,
            ID_JAG,
            json!({"resource": null}),
            "it names no resource",
        ),
        (
            "without a scope",
            shop,
            ID_JAG,
            json!({"scope": null}),
            "it has no scope, so it limits nothing",
        ),
        (
            "bound to another key",
            shop,
            ID_JAG,
            json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
            "it is bound to a key that the client has not proven",
        ),
        (
            "of another kind",
            shop,
            "at+jwt",
            json!({}),
            "its typ is that of no grant which is accepted of its issuer",
        ),
    ] {
        let text = signed(world, key, typ, &changes)?;
        let found = redeem(world, &world.buyer.at_supplier, text).await?;
        table.answered(sent, &found, ("invalid_grant", expected));
    }
    let found = redeem(world, &world.buyer.at_supplier, own).await?;
    let typ = "its typ is that of no grant which is accepted of its issuer";
    table.answered("the agent's access token", &found, ("invalid_grant", typ));
    Ok(())
}

const ID_JAG: &str = "oauth-id-jag+jwt";

async fn redeem(
    world: &World,
    server: &TokenSource,
    text: String,
) -> Result<Result<std::sync::Arc<Token>, Error>, Failure> {
    let grant = JwtBearer::new(world.target(SCOPE)?, text);
    Ok(server.redeem(grant).await)
}

/// Signs a good assertion with these claims changed.
fn signed(world: &World, key: &SigningKey, typ: &str, changes: &Value) -> Result<String, Failure> {
    let now = now().as_secs();
    let mut claims = json!({
        "iss": world.shop.url, "sub": "buyer@shop.example", "aud": world.supplier.url,
        "client_id": workload("buyer")?.as_str(), "iat": now, "exp": now.saturating_add(60),
        "jti": random::id128(random::SYSTEM)?, "scope": "order", "resource": world.supplier.tool,
    });
    let members = claims.as_object_mut().ok_or("no object")?;
    for (name, value) in changes.as_object().into_iter().flatten() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    let key_id = key.public_jwk().key_id();
    let input = SigningInput::new(typ, Algorithm::Es256, key_id, &claims)?;
    Ok(input.sign(key)?.expose().to_owned())
}

/// Returns the text of a token, as a thief sees it.
fn text_of(token: &Token) -> Result<String, Failure> {
    let mut fields = HeaderMap::new();
    token.apply(&mut fields)?;
    let value = fields.get(AUTHORIZATION).ok_or("no token")?.to_str()?;
    Ok(value.split(' ').next_back().unwrap_or_default().to_owned())
}

fn bearer(text: &str) -> Result<HeaderMap, Failure> {
    let value: HeaderValue = format!("Bearer {text}").parse()?;
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// Only an access token of the supplier, with the key of its client, opens the tool.
async fn to_tool(world: &World, table: &mut Table) -> Result<(), Failure> {
    table.to("attacker → the supplier's tool");
    let subject = SubjectToken::of(&*world.buyer.own_token().await?);
    let grant = jwt_grant(world, &world.buyer, subject, &world.supplier.url, "order").await??;
    let grant = JwtBearer::of_jwt_grant(world.target(SCOPE)?, &grant);
    let stolen = text_of(&*world.buyer.at_supplier.redeem(grant).await?)?;
    let assertion = signed(world, &world.shop.key, ID_JAG, &json!({}))?;
    let own = text_of(&*world.buyer.own_token().await?)?;
    let all: [(&str, &Caller, &str, (&str, &str)); 4] = [
        (
            "the agent's token",
            &world.buyer,
            &stolen,
            ("200", "accepted"),
        ),
        (
            "the agent's token, stolen",
            &world.mallory,
            &stolen,
            ("401", "token.not_bound"),
        ),
        (
            "an identity assertion as an access token",
            &world.buyer,
            &assertion,
            ("401", "token.typ"),
        ),
        (
            "a token of the shop",
            &world.buyer,
            &own,
            ("401", "token.unknown_issuer"),
        ),
    ];
    for (sent, caller, text, expected) in all {
        let (status, why, _) = world.call(caller, bearer(text)?).await?;
        table.line(sent, &status.to_string(), &why, expected);
    }
    Ok(())
}
