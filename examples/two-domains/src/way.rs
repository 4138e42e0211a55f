//! The two ways from one domain into the other. Each has two steps: a grant of the own server, and
//! an access token of the other one.

use std::sync::Arc;

use aims::jose::time::SystemClock;
use aims::oauth_client::{
    Error, IdJag, IdJagRequest, JwtBearer, JwtGrant, JwtGrantRequest, SubjectToken, Token, drive,
};
use aims::oauth_wire::names::{Issuer, Resource};
use http::HeaderMap;

use crate::supplier::SCOPE;
use crate::world::{Caller, Failure, World, fetcher, now, workload};

/// Asks the shop's server for a JWT grant to this server (draft-ietf-oauth-identity-chaining).
pub(crate) async fn jwt_grant(
    world: &World,
    caller: &Caller,
    subject: SubjectToken,
    audience: &str,
    scope: &str,
) -> Result<Result<JwtGrant, Error>, Failure> {
    let request = JwtGrantRequest::new(subject, Issuer::loopback(audience)?)?;
    let request = request.as_audience().scopes(scope.parse()?);
    let client = Arc::new(caller.client.clone());
    let step = request.begin(client, Arc::clone(&world.shop.metadata), now())?;
    Ok(drive(step, &fetcher()?, &SystemClock::new()).await)
}

/// Asks the shop's server for an identity assertion
/// (draft-ietf-oauth-identity-assertion-authz-grant).
pub(crate) async fn id_jag(
    world: &World,
    caller: &Caller,
    subject: SubjectToken,
) -> Result<Result<IdJag, Error>, Failure> {
    let audience = Issuer::loopback(&world.supplier.url)?;
    let tool = Resource::loopback(&world.supplier.tool)?;
    let request = IdJagRequest::new(subject, audience, tool).scopes("order".parse()?);
    let client = Arc::new(caller.client.clone());
    let step = request.begin(client, Arc::clone(&world.shop.metadata), now())?;
    Ok(drive(step, &fetcher()?, &SystemClock::new()).await)
}

/// The agent calls the tool by identity chaining.
pub(crate) async fn by_chaining(world: &World) -> Result<(), Failure> {
    println!("\nBy identity chaining");
    let subject = SubjectToken::of(&*world.buyer.own_token().await?);
    let audience = &world.supplier.url;
    let grant = jwt_grant(world, &world.buyer, subject, audience, "order").await??;
    println!(
        "  1. the shop's server gives a grant for {}",
        grant.audience().as_str()
    );
    let grant = JwtBearer::of_jwt_grant(world.target(SCOPE)?, &grant);
    let token = world.buyer.at_supplier.token(grant).await?;
    call(world, &token).await
}

/// The agent calls the tool by an identity assertion.
pub(crate) async fn by_id_jag(world: &World) -> Result<(), Failure> {
    println!("\nBy an identity assertion (ID-JAG)");
    let subject = SubjectToken::of(&*world.buyer.own_token().await?);
    let assertion = id_jag(world, &world.buyer, subject).await??;
    println!(
        "  1. the shop's server gives an assertion for {}, for the client {}",
        assertion.audience().as_str(),
        workload("buyer")?
    );
    let grant = JwtBearer::of_id_jag(world.target(SCOPE)?, &assertion);
    let token = world.buyer.at_supplier.redeem(grant).await?;
    call(world, &token).await
}

async fn call(world: &World, token: &Token) -> Result<(), Failure> {
    println!(
        "  2. the supplier's server gives a token with the scope `{}`",
        token.scopes()
    );
    let mut authorization = HeaderMap::new();
    token.apply(&mut authorization)?;
    let (status, why, answer) = world.call(&world.buyer, authorization).await?;
    println!("  3. the tool answers {status}: {answer}");
    if (status, &*why, &*answer) != (200, "accepted", "ordered for account-7") {
        return Err("the call was not made".into());
    }
    Ok(())
}
