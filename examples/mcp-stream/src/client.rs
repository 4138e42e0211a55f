//! The agents and their calls. `call` has the code to copy: `aims_rmcp::transport` is the
//! transport, and everything else is ordinary rmcp client code.

use std::sync::Arc;

use aims::Agent;
use aims::agent::RequestAuth;
use aims::cred::source::RenewingSource;
use aims::fetch::Fetcher;
use aims::oauth_client::TokenSource;
use aims::oauth_wire::client_auth::SpiffeJwt;
use aims::oauth_wire::names::{Issuer, Resource};
use rmcp::model::{CallToolRequestParams, ProgressNotificationParam};
use rmcp::service::NotificationContext;
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};

use crate::authority::Authority;
use crate::{Failure, LEGACY, SCOPE};

/// Creates an agent that signs its requests and gets access tokens for the server.
pub(crate) async fn signing(
    base: &str,
    authority: &Authority,
    identity: &Arc<RenewingSource>,
    fetcher: &Fetcher,
) -> Result<(Agent, String), Failure> {
    let url = format!("{base}/mcp");
    let agent = Agent::builder(Arc::clone(identity))
        .fetcher(fetcher.clone())
        .tool(&url, [&authority.url], SCOPE)?
        .build()
        .await?;
    Ok((agent, url))
}

/// Creates an agent that proves its identity by a WPT and has no access token.
pub(crate) fn by_wpt(
    base: &str,
    identity: &Arc<RenewingSource>,
    fetcher: &Fetcher,
) -> Result<(Agent, String), Failure> {
    let agent = Agent::builder(Arc::clone(identity));
    let agent = agent.fetcher(fetcher.clone()).build()?;
    Ok((agent, format!("{base}/agents")))
}

/// Creates an agent with an access token that is bound to no key, as most servers issue them today.
/// It authenticates by a JWT-SVID, which proves no key.
pub(crate) async fn bearer(
    base: &str,
    authority: &Authority,
    identity: &Arc<RenewingSource>,
    fetcher: &Fetcher,
) -> Result<(Agent, String), Failure> {
    let url = format!("{base}/mcp");
    let (tool, issuers) = (
        Resource::loopback(&url)?,
        [Issuer::loopback(&authority.url)?],
    );
    let svid = authority.jwt_svid(fetcher).await?;
    let client = SpiffeJwt::new(LEGACY.parse()?, move |_audience, _now| Ok(svid.clone()));
    let tokens = TokenSource::discover(&tool, &issuers, client, fetcher.clone()).await?;
    let agent = Agent::builder(Arc::clone(identity))
        .authorize(tool, SCOPE.parse()?, tokens)
        .proof(RequestAuth::Bearer)
        .fetcher(fetcher.clone())
        .build()?;
    Ok((agent, url))
}

/// An rmcp client that prints the progress of its call.
struct Watching(&'static str);

impl ClientHandler for Watching {
    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        println!("{:<20} {} s", self.0, progress.progress);
    }
}

/// Calls the tool and waits for its answer.
pub(crate) async fn call(
    name: &'static str,
    agent: Agent,
    url: String,
    seconds: u32,
) -> Result<(), Failure> {
    let client = Watching(name)
        .serve(aims_rmcp::transport(agent, url))
        .await?;
    let arguments = rmcp::object!({ "seconds": seconds });
    let count = CallToolRequestParams::new("count").with_arguments(arguments);
    let answer = client.call_tool(count).await?;
    let told = answer.content.first().and_then(|it| it.as_text());
    println!("{name:<20} {}", told.map_or("", |it| it.text.as_str()));
    client.cancel().await?;
    Ok(())
}
