//! An agent of a shop calls a tool of a supplier. Each organisation has an authorization server of
//! its own, and neither accepts tokens of the other. The shop's server gives a grant for the
//! supplier's server, which gives an access token for it, once: by identity chaining, and by an
//! identity assertion (ID-JAG). Then the program tries what must fail: a second use, another
//! server, another agent, a wider scope, an issuer without trust, an old grant, and more.
//!
//! Two authorities, a tool and two agents run in one process and use real HTTP on loopback.
//!
//!     cargo run -p example-two-domains
//!
//! The program ends with an error if a step has an unexpected result.

#![expect(clippy::print_stdout, reason = "it is a program that tells a story")]

mod attacks;
mod shop;
mod supplier;
mod way;
mod world;

use world::{Failure, World};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let world = World::start().await?;
    println!("shop       {}", world.shop.url);
    println!("supplier   {}", world.supplier.url);
    println!("tool       {}", world.supplier.tool);
    way::by_chaining(&world).await?;
    way::by_id_jag(&world).await?;
    let wrong = attacks::run(&world).await?;
    if wrong > 0 {
        return Err(format!("{wrong} lines are not as they should be").into());
    }
    println!("\nThe agent called the tool in both ways, and no attacker got anything.");
    Ok(())
}
