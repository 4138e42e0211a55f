//! An agent wants to transfer money, and the tool requires that a person approves each transfer.
//! The person sees the tool and each argument on a page of the authorization server, and decides
//! there. Then the program tries what must fail: another amount, another tool, a second use, a
//! denial, a decision that comes too late.
//!
//! An authority, a tool, an agent and a person run in one process and use real HTTP on loopback. No
//! browser is needed: the person loads the page and sends its form.
//!
//!     cargo run -p example-ask-a-human
//!
//! The program ends with an error if a step has an unexpected result.

#![expect(clippy::print_stdout, reason = "it is a program that tells a story")]

mod person;
mod steps;
mod world;

use world::{Failure, World};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut world = World::start().await?;
    println!(
        "authority  {}\ntool       {}\n",
        world.authority, world.tool
    );
    steps::first(&mut world).await?;
    println!("What is sent, the HTTP status that comes back, and why: the code in the tool's own");
    println!("record, or the error of the authorization server.\n");
    println!("{:<52} {:>6}  {:<29} as it should", "sent", "status", "why");
    let mut wrong = 0_usize;
    for line in steps::all(&mut world).await? {
        wrong = wrong.saturating_add(usize::from(!line.is_good()));
        println!("{line}");
    }
    if wrong > 0 {
        return Err(format!("{wrong} steps did not go as they should").into());
    }
    println!("\nThe call that the person approved was made, once. Everything else was refused.");
    Ok(())
}
