//! The suite `live`: guards before a tool, tokens of npm `oidc-provider`, and npm `openid-client`
//! as the client that calls the tool.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aims::fetch::Fetcher;
use aims::guard::{ClientCertificates, Dpop, GuardBuilder, OpaqueTokens, Trusting};
use aims::introspect::{Introspector, IntrospectorBuilder};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::keys::PublishedKeys;
use aims::oauth_wire::client_auth::{Authenticate, ClientSecretBasic, PrivateKeyJwt};
use aims::oauth_wire::names::Issuer;
use aims::{Guard, Requirements};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::Failure;
use crate::ours::{calls, certificates};
use crate::peer::Peer;
use crate::served::{LastCode, Tls, router, serve, serve_tls};
use crate::table::Table;
use crate::tool;

const AGENT_SECRET: &str = "a secret of thirty-two characters";
const TOOL_SECRET: &str = "another secret of a good length";

/// Runs the suite. `folder` is for certificates.
pub(crate) async fn run(
    node: &str,
    script: &str,
    calls: &str,
    folder: &str,
    huskarl: Option<&str>,
) -> Result<(), Failure> {
    let tls = Tls::new()?;
    tls.write(folder.as_ref())?;
    let key = SigningKey::generate(Algorithm::Es256, provider::default())?.with_key_id("tool");
    let jwks = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
    let peer = Peer::start_with(node, script, &[("TOOL_JWKS", &jwks), ("TLS", folder)])?;
    let fetcher = Fetcher::builder()
        .allow_loopback_http()
        .allow_private_networks()
        .root_certificate_pem(tls.ca.as_bytes())
        .build()?;
    let issuer: Issuer = peer.issuer.parse()?;
    let by_secret = ClientSecretBasic::new("tool".parse()?, TOOL_SECRET.into());
    let by_key = PrivateKeyJwt::new("tool-signed".parse()?, Arc::new(key));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let tls_listener = TcpListener::bind("127.0.0.1:0").await?;
    let plain = format!("http://{}", listener.local_addr()?);
    let secure = format!("https://localhost:{}", tls_listener.local_addr()?.port());
    let world = World {
        keys: published(&fetcher, &issuer).await?,
        issuer,
        fetcher: Arc::new(fetcher),
        last: LastCode::default(),
        requirements: Requirements::new()
            .scopes("tools:call".parse()?)
            .accept_bearer(),
    };
    let dpop = || Dpop::new().requiring_nonces();
    let guards = [
        world.guard(&plain, "jwt").build()?,
        world
            .asking(world.guard(&plain, "opaque"), &by_secret)
            .build()?,
        world
            .signed(world.guard(&plain, "opaque-signed"), &by_key)
            .build()?,
        world.guard(&plain, "dpop").dpop(dpop()).build()?,
        world
            .asking(world.guard(&plain, "opaque-dpop"), &by_secret)
            .dpop(dpop())
            .build()?,
    ];
    let [_, asking, ..] = &guards;
    let asking = asking.clone();
    serve(listener, router(&guards, &world.last)?);
    let by_tls = |kind| {
        let guard = world.guard(&secure, kind);
        guard.client_certificates(ClientCertificates::from_connection())
    };
    let guards = [
        by_tls("tls").build()?,
        world.asking(by_tls("opaque-tls"), &by_secret).build()?,
    ];
    serve_tls(tls_listener, &tls, router(&guards, &world.last)?)?;
    let mut client = Command::new(node);
    let ca = format!("{folder}/ca.pem");
    client
        .arg(calls)
        .env("ISSUER", &peer.issuer)
        .env("TLS", folder);
    client
        .env("TOOL", &plain)
        .env("TOOL_TLS", &secure)
        .env("NODE_EXTRA_CA_CERTS", &ca);
    let mut table = Table::new("live");
    rows(client, &mut table).await?;
    certificates::run(&tls, &world.issuer, &secure, &mut table).await?;
    if let Some(huskarl) = huskarl {
        let mut client = Command::new(huskarl);
        client
            .env("ISSUER", &peer.issuer)
            .env("TOOL", &plain)
            .env("CA", &ca);
        client.env("CLIENT_SECRET", AGENT_SECRET);
        let prepared = calls::prepare(&world.fetcher, &world.issuer, &plain, AGENT_SECRET);
        client.env("CALLS", prepared.await?);
        rows(client, &mut table).await?;
    }
    drop(peer);
    table.part("the provider is gone");
    let call = tool::call(&asking, "a-token-that-is-not-known-yet")?;
    let seen = asking.admit(&call).await.map_or_else(
        |refusal| format!("{} {}", refusal.status().as_u16(), refusal.code()),
        |_| "ok".to_owned(),
    );
    table.row("an opaque token", "503 token.not_introspected", &seen);
    table.end()
}

/// The parts that the guards share.
struct World {
    keys: PublishedKeys,
    issuer: Issuer,
    fetcher: Arc<Fetcher>,
    last: LastCode,
    requirements: Requirements,
}

impl World {
    fn guard(&self, base: &str, kind: &str) -> GuardBuilder<Trusting> {
        Guard::builder(format!("{base}/{kind}"))
            .keys(&self.keys)
            .record(self.last.clone())
            .require(self.requirements.clone())
    }

    fn introspector(&self, client: &(impl Authenticate + Clone + 'static)) -> IntrospectorBuilder {
        let (issuer, fetcher) = (self.issuer.clone(), Arc::clone(&self.fetcher));
        Introspector::builder(issuer, Arc::new(client.clone()), fetcher)
    }

    fn asking(
        &self,
        guard: GuardBuilder<Trusting>,
        client: &(impl Authenticate + Clone + 'static),
    ) -> GuardBuilder<Trusting> {
        let asked = self.introspector(client).build();
        guard.opaque_tokens(OpaqueTokens::of(self.issuer.clone(), asked))
    }

    fn signed(
        &self,
        guard: GuardBuilder<Trusting>,
        client: &(impl Authenticate + Clone + 'static),
    ) -> GuardBuilder<Trusting> {
        let asked = self.introspector(client).signed_by(self.keys.issuers());
        guard.opaque_tokens(OpaqueTokens::of(self.issuer.clone(), asked.build()))
    }
}

async fn published(fetcher: &Fetcher, issuer: &Issuer) -> Result<PublishedKeys, Failure> {
    let keys = PublishedKeys::builder(Arc::new(fetcher.clone()), provider::default());
    let keys = keys.issuer(issuer.clone()).build();
    keys.load().await?;
    Ok(keys)
}

/// A line of a client: a heading, or a row.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Part {
        part: String,
    },
    Row {
        step: String,
        expected: String,
        seen: String,
    },
}

/// Runs a client that prints rows, and adds them to the table.
pub(crate) async fn rows(mut client: Command, table: &mut Table) -> Result<(), Failure> {
    let mut child = client.stdout(Stdio::piped()).spawn()?;
    let lines = child.stdout.take().ok_or("the client has no stdout")?;
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    // The client blocks on the tool, which runs in this process.
    let reading = tokio::task::spawn_blocking(move || {
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            drop(told.send(line));
        }
        child.wait()
    });
    while let Some(line) = tokio::time::timeout(PATIENCE, heard.recv()).await? {
        match serde_json::from_str(&line)? {
            Line::Part { part } => table.part(&part),
            Line::Row {
                step,
                expected,
                seen,
            } => table.row(&step, &expected, &seen),
        }
    }
    let status = reading.await??;
    if status.success() {
        return Ok(());
    }
    Err(format!("the client ended with {status}").into())
}

/// How long a step of a client may take.
const PATIENCE: Duration = Duration::from_secs(30);
