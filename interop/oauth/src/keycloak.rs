//! The suite `keycloak`: guards before a tool, tokens of Keycloak, and npm `openid-client` as the
//! client that calls the tool.

use std::process::Command;
use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::guard::{ClientCertificates, Dpop, GuardBuilder, OpaqueTokens, Trusting};
use aims::introspect::Introspector;
use aims::jose::provider;
use aims::keys::PublishedKeys;
use aims::oauth_rs::{IssuerRules, JwtProfile};
use aims::oauth_wire::client_auth::ClientSecretBasic;
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use aims::{Guard, Requirements};
use tokio::net::TcpListener;

use crate::live::rows;
use crate::ours::keycloak::described::documents;
use crate::ours::keycloak::{Programs, Tools};
use crate::served::{LastCode, Tls, router, serve, serve_tls};
use crate::table::Table;
use crate::{Failure, ours};

const SECRET: &str = "a secret of thirty-two characters";

/// The needs of the project's own client.
#[derive(Clone, Copy)]
pub(crate) struct Ours<'a> {
    /// The port of this machine at which Keycloak asks a user's device.
    pub(crate) port: &'a str,
    pub(crate) aims: &'a str,
    pub(crate) chromium: &'a str,
    /// A folder for the file of tokens.
    pub(crate) folder: &'a str,
    /// The folder of an MCP server in python, if python is there.
    pub(crate) python: Option<&'a str>,
}

/// Runs the suite with the server at these URLs, without and with TLS, which is starting. The
/// certificates are in `folder`.
pub(crate) async fn run(
    (node, scripts): (&str, &str),
    (base, secure): (&str, &str),
    folder: &str,
    ours: Option<Ours<'_>>,
) -> Result<(), Failure> {
    let tls = Tls::read(folder.as_ref())?;
    let script = &format!("{scripts}/keycloak.mjs");
    let mut setup = Command::new(node);
    setup.arg(script).arg("setup").env("BASE", base);
    let done = tokio::task::spawn_blocking(move || setup.status()).await??;
    if !done.success() {
        return Err(format!("the realm was not made: {done}").into());
    }
    let issuer = Issuer::loopback(&format!("{base}/realms/agents"))?;
    let fetcher = Arc::new(Fetcher::builder().allow_loopback_http().build()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let tool = format!("http://{}", listener.local_addr()?);
    let last = LastCode::default();
    let rules = || {
        let profile = JwtProfile::keycloak("tool");
        IssuerRules::new().profile(profile).audience("tool")
    };
    let requirements = Requirements::new().scopes("tools.call".parse()?);
    let requirements = requirements.accept_bearer();
    let guard = |kind: &str, keys: &PublishedKeys, rules| -> GuardBuilder<Trusting> {
        Guard::builder(format!("{tool}/{kind}"))
            .keys(keys)
            .issuer_rules(issuer.clone(), rules)
            .record(last.clone())
            .require(requirements.clone())
    };
    let keys = published(&fetcher, &issuer).await?;
    // Other rules for the issuer need a store of their own.
    let keys_of_asked = published(&fetcher, &issuer).await?;
    let client = ClientSecretBasic::new("tool".parse()?, SECRET.into());
    let to_ask = Arc::<Fetcher>::clone(&fetcher);
    let asked = Introspector::builder(issuer.clone(), Arc::new(client), to_ask);
    let asked = OpaqueTokens::of(issuer.clone(), asked.build());
    let keys_of_named = published(&fetcher, &issuer).await?;
    // Its tokens name its URL (RFC 8707), and its metadata names the server.
    let metadata = ResourceMetadata::new(Resource::loopback(&format!("{tool}/named"))?);
    let metadata = metadata.with_authorization_server(issuer.clone());
    let by_url = IssuerRules::new().profile(JwtProfile::keycloak("our-tool"));
    let guards = [
        guard("named", &keys_of_named, by_url)
            .metadata(metadata)
            .dpop(Dpop::new())
            .build()?,
        guard("jwt", &keys, rules()).build()?,
        guard("dpop", &keys, rules())
            .dpop(Dpop::new().requiring_nonces())
            .build()?,
        guard("asked", &keys_of_asked, rules().introspect_jwts())
            .opaque_tokens(asked)
            .build()?,
    ];
    serve(listener, router(&guards, &last)?);
    let tls_listener = TcpListener::bind("127.0.0.1:0").await?;
    let tool_tls = format!("https://localhost:{}", tls_listener.local_addr()?.port());
    let secure: Issuer = format!("{secure}/realms/agents").parse()?;
    let trusting = Fetcher::builder().allow_private_networks();
    let trusting = trusting.root_certificate_pem(tls.ca.as_bytes()).build()?;
    let keys_of_tls = published(&Arc::new(trusting), &secure).await?;
    let by_certificate = Guard::builder(format!("{tool_tls}/tls"))
        .keys(&keys_of_tls)
        .issuer_rules(secure.clone(), rules())
        .record(last.clone())
        .require(requirements.clone())
        .client_certificates(ClientCertificates::from_connection());
    let routes = router(&[by_certificate.build()?], &last)?;
    let routes = routes.merge(documents(&tool_tls)?);
    serve_tls(tls_listener, &tls, routes)?;
    let mut client = Command::new(node);
    client.arg(script).arg("calls");
    client.env("BASE", base).env("TOOL", &tool);
    let mut table = Table::new("keycloak");
    rows(client, &mut table).await?;
    if let Some(own) = ours {
        let programs = Programs {
            node,
            clients: &format!("{scripts}/keycloak-clients.mjs"),
            person: &format!("{scripts}/person.mjs"),
            server: &format!("{scripts}/mcp-server.mjs"),
            own,
        };
        let tools = Tools {
            plain: &tool,
            secure: &tool_tls,
            issuer: &secure,
            tls: &tls,
        };
        ours::keycloak::run(&programs, base, &tools, &fetcher, &mut table).await?;
    }
    table.end()
}

async fn published(fetcher: &Arc<Fetcher>, issuer: &Issuer) -> Result<PublishedKeys, Failure> {
    let keys = PublishedKeys::builder(Arc::<Fetcher>::clone(fetcher), provider::default());
    let keys = keys.issuer(issuer.clone()).build();
    keys.load().await?;
    Ok(keys)
}
