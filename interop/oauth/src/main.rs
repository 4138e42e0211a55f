//! Tests the project's agent and tool with implementations that this project did not write.
//!
//! `interop/run` starts this program, with the suite as the first argument:
//!
//! ```text
//! aims-interop-oauth oauth NODE PROVIDER.MJS    # npm oidc-provider, and the project's client
//! aims-interop-oauth users NODE PROVIDER.MJS    # users who log in through the project's client
//! aims-interop-oauth live NODE PROVIDER.MJS CALLS.MJS FOLDER [HUSKARL]    # and other clients
//! aims-interop-oauth keycloak NODE SCRIPTS BASE SECURE TLS [PORT AIMS CHROMIUM FOLDER [PYTHON]]
//! aims-interop-oauth certificates FOLDER    # for a peer with TLS
//! aims-interop-oauth mcp NODE SCRIPTS SERVER [PYTHON]    # the official SDKs of MCP
//! aims-interop-oauth browser NODE CONSENT.MJS AIMS CHROMIUM    # the consent page of the authority
//! aims-interop-oauth client NODE SCRIPTS SERVER AIMS CHROMIUM FOLDER    # the project's client
//! aims-interop-oauth keyring SERVER AIMS FOLDER    # the program `aims` and a keyring
//! aims-interop-oauth minted CASES PROGRAM...    # tokens and proofs of other libraries
//! aims-interop-oauth txn PROGRAM...    # clients of the project's token service
//! ```
//!
//! The program ends with an error if a row is red.

#![expect(clippy::print_stdout, reason = "it is a program that prints a table")]

mod agent;
mod browser;
mod grants;
mod keycloak;
mod keyring;
mod live;
mod mcp;
mod minted;
mod ours;
mod peer;
mod served;
mod table;
mod tool;
mod txn;
mod user;
mod users;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["oauth", node, script] => grants::run(node, script).await,
        ["users", node, script] => users::run(node, script).await,
        ["live", node, script, calls, folder, huskarl @ ..] => {
            live::run(node, script, calls, folder, huskarl.first().copied()).await
        }
        ["certificates", folder] => served::Tls::new()?.write(folder.as_ref()),
        ["keycloak", node, scripts, base, secure, tls] => {
            keycloak::run((node, scripts), (base, secure), tls, None).await
        }
        [
            "keycloak",
            node,
            scripts,
            base,
            secure,
            tls,
            port,
            aims,
            chromium,
            folder,
            python @ ..,
        ] => {
            let ours = keycloak::Ours {
                port,
                aims,
                chromium,
                folder,
                python: python.first().copied(),
            };
            keycloak::run((node, scripts), (base, secure), tls, Some(ours)).await
        }
        ["mcp", node, scripts, server, python @ ..] => {
            let python = python.first().copied();
            mcp::run(mcp::Programs {
                node,
                scripts,
                server,
                python,
            })
            .await
        }
        ["browser", node, script, aims, chromium] => {
            browser::run(node, script, aims, chromium).await
        }
        ["client", node, scripts, server, aims, chromium, folder] => {
            ours::provider::run(ours::provider::Programs {
                node,
                scripts,
                server,
                aims,
                chromium,
                folder,
            })
            .await
        }
        ["keyring", server, aims, folder] => keyring::run(server, aims, folder).await,
        ["minted", cases, libraries @ ..] if !libraries.is_empty() => minted::run(cases, libraries),
        ["txn", clients @ ..] if !clients.is_empty() => txn::run(clients).await,
        _ => Err("usage: see the first lines of main.rs".into()),
    }
}
