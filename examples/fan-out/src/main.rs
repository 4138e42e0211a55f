//! A tool that is made of services: an agent calls a gateway with an access token, and the gateway
//! calls three services and a bank in one transaction. At each hop an attacker tries to get more.
//!
//! All parties run in one process and use real HTTP and gRPC on loopback.
//!
//!     cargo run -p example-fan-out
//!
//! The program ends with an error if a line has an unexpected result.

#![expect(clippy::print_stdout, reason = "it is a program that tells a story")]

mod attacks;
mod bank;
mod border;
mod gateway;
mod services;
mod shop;
mod world;

use std::sync::Arc;

use aims::Guard;
use bank::Bank;
use border::Border;
use gateway::Gateway;
use shop::Keys;
use tokio::net::TcpListener;
use world::{Failure, Identities, Reasons, es256};

/// Returns a listener on loopback and its URL.
async fn listen(path: &str) -> Result<(TcpListener, String), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}{path}", listener.local_addr()?);
    Ok((listener, url))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (identities, reasons) = (Identities::new()?, Reasons::default());
    let keys = Keys {
        transactions: es256("transactions")?,
        grants: es256("grants")?,
    };
    let (tool, tool_url) = listen("/order").await?;
    let (orders, orders_url) = listen("/orders").await?;
    let (stock, stock_url) = listen("/stock").await?;
    let (payments, payments_url) = listen("/shop.Payments/Pay").await?;
    let (bank_server, url) = listen("").await?;
    let (bank_accounts, accounts) = listen("/accounts").await?;
    let bank = Bank { url, accounts };

    let shop = shop::start(&tool_url, &bank, &identities, &keys).await?;
    println!("authority  {}", shop.url);
    let trust = identities.trust()?;
    let listeners = (bank_server, bank_accounts);
    let at_bank = bank::start(&bank, listeners, &shop, &identities, &reasons)?;
    println!("bank       {}", bank.url);
    let border = |name: &str| -> Result<Border, Failure> {
        let holder = identities.holder(name)?;
        Border::new(&holder, &shop, &bank, at_bank.clone())
    };
    let (at_border, at_stock) = (Arc::new(border("payments")?), border("stock")?);

    let services = services::Shop {
        trust: Arc::clone(&trust),
        keys: shop.keys.clone(),
        reasons: reasons.clone(),
    };
    services.start(orders, &orders_url, "orders")?;
    services.start(stock, &stock_url, "stock")?;
    services.start_payments(payments, &payments_url, Arc::clone(&at_border))?;

    let urls = [orders_url, stock_url, payments_url];
    let gateway = identities.holder("gateway")?;
    let gateway = Arc::new(Gateway::new(&gateway, shop.metadata.clone(), urls)?);
    let guard = Guard::builder(&tool_url)
        .trust(trust)
        .issuers(Arc::clone(&shop.issuers));
    gateway::start(
        tool,
        &tool_url,
        guard,
        Arc::clone(&gateway),
        reasons.clone(),
    )
    .await?;

    let wrong = attacks::run(attacks::World {
        identities,
        keys,
        tool: tool_url,
        shop,
        gateway,
        bank,
        payments: at_border,
        stock: at_stock,
        reasons,
    })
    .await?;
    if wrong > 0 {
        return Err(format!("{wrong} lines are not as they should be").into());
    }
    println!("\nThe agent's call went through all hops, and no attacker got anything.");
    Ok(())
}
