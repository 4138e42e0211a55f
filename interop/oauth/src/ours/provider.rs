//! npm `oidc-provider` and the project's client, and the program `aims` at an MCP server.

use std::path::PathBuf;

use aims::fetch::Fetcher;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::oauth_client::{
    BackchannelRequest, ClientCredentials, ClientMetadata, DpopKey, ManagementFlow,
    RegistrationFlow, Target,
};
use aims::oauth_wire::client_auth::PublicClient;
use aims::oauth_wire::names::{Issuer, Resource};
use axum::routing::get;
use http::Request;
use tokio::net::TcpListener;

use super::commands::Commands;
use super::person::Person;
use super::pinged::Endpoint;
use super::{Client, Server, told};
use crate::Failure;
use crate::agent::outcome;
use crate::peer::Peer;
use crate::table::Table;

/// The programs and folders of the suite.
pub(crate) struct Programs<'a> {
    pub(crate) node: &'a str,
    /// A folder with the scripts.
    pub(crate) scripts: &'a str,
    /// The example `mcp-server`.
    pub(crate) server: &'a str,
    pub(crate) aims: &'a str,
    pub(crate) chromium: &'a str,
    /// A folder for the file of tokens.
    pub(crate) folder: &'a str,
}

/// The URL of the client's metadata document. The provider fetches it from this program.
const DOCUMENT: &str = "https://agent.interop.test/client.json";

/// Runs the suite `client`.
pub(crate) async fn run(programs: Programs<'_>) -> Result<(), Failure> {
    let Programs {
        node,
        scripts,
        server,
        ..
    } = programs;
    let own = SigningKey::generate(Algorithm::Es256, provider::default())?.with_key_id("own");
    let jwks = format!(r#"{{"keys":[{}]}}"#, own.public_jwk().to_json());
    let script = format!("{scripts}/client-provider.mjs");
    let endpoint = Endpoint::default();
    let documents = serve_document(&endpoint).await?;
    let variables = [("CLIENT_JWKS", jwks.as_str()), ("DOCUMENTS", &documents)];
    let peer = Peer::start_with(node, &script, &variables)?;
    let mcp = Peer::start_with(server, &peer.issuer, &[])?;
    let person = format!("{scripts}/person.mjs");
    let person = Person::start(node, &person, programs.chromium).await?;
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let issuer = Issuer::loopback(&peer.issuer)?;
    let mut world = World {
        server: Server::find(&fetcher, &issuer, &person).await?,
        own,
        app: Client::public("our-app")?,
        endpoint,
        pinged_at: format!("{documents}/ping"),
        resource: Resource::loopback(&mcp.issuer)?,
        table: Table::new("client"),
    };
    world.as_itself().await?;
    world.by_code().await?;
    world.on_another_device().await?;
    world.by_own_description().await?;
    let World { mut table, .. } = world;
    let commands = Commands {
        aims: programs.aims,
        folder: PathBuf::from(programs.folder),
        tool: &mcp.issuer,
        issuer: &peer.issuer,
        client: &[],
        scopes: "tools:call",
        proofs: false,
    };
    commands
        .run(&person, &fetcher, || initialize(&mcp.issuer), &mut table)
        .await?;
    table.end()
}

/// The client that describes itself.
fn native() -> Result<ClientMetadata, Failure> {
    let redirect = "http://127.0.0.1/callback".parse()?;
    Ok(ClientMetadata::native("interop").redirect(redirect))
}

/// Serves the metadata document of the client and its endpoint for pings on this machine. Returns
/// the URL before their paths.
async fn serve_document(endpoint: &Endpoint) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let document = native()?.to_document(DOCUMENT)?;
    let serve = move || async move { ([("content-type", "application/json")], document) };
    let routes = endpoint.routes().route("/client.json", get(serve));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(base)
}

/// Returns the first request of a client of MCP, without a token.
pub(crate) fn initialize(url: &str) -> Result<Request<Vec<u8>>, Failure> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"interop","version":"1"}}}"#;
    Ok(Request::post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body.as_bytes().to_vec())?)
}

struct World<'a> {
    server: Server<'a>,
    own: SigningKey,
    /// A client of a user, without credentials.
    app: Client,
    endpoint: Endpoint,
    /// The URL of the endpoint.
    pinged_at: String,
    resource: Resource,
    table: Table,
}

impl World<'_> {
    fn target(&self, scopes: &str) -> Result<Target, Failure> {
        Ok(Target::new(self.resource.clone(), scopes.parse()?))
    }

    fn credentials(&self) -> Result<ClientCredentials, Failure> {
        Ok(ClientCredentials::new(self.resource.clone()).scopes("tools:call".parse()?))
    }

    async fn as_itself(&mut self) -> Result<(), Failure> {
        self.table.part("as itself");
        let agent = Client::with_key("our-agent", &self.own)?;
        let seen = self.server.token(&agent, self.credentials()?).await;
        self.table.row("private_key_jwt", "ok", &outcome(seen));
        let bound = Client::with_key("our-bound", &self.own)?;
        let seen = self.server.token(&bound, self.credentials()?).await;
        let step = "without a proof, where the provider requires one";
        self.table.row(step, "oauth.refused", &outcome(seen));
        let bound = bound.bound_to(&DpopKey::generate(provider::default())?);
        let seen = self.server.token(&bound, self.credentials()?).await;
        let seen = seen.map(|token| if token.is_bound() { "bound" } else { "bearer" });
        let seen = seen.map_or_else(|error| error.to_string(), str::to_owned);
        self.table
            .row("DPoP, with a nonce of the provider", "bound", &seen);
        Ok(())
    }

    async fn by_code(&mut self) -> Result<(), Failure> {
        self.table.part("a user in Chromium");
        let target = self.target("openid tools:call")?;
        let (token, url) = self.server.log_in(&self.app, target.clone()).await?;
        let pushed = if url.contains("request_uri=") && !url.contains("scope=") {
            "pushed"
        } else {
            "in the URL"
        };
        self.table.row("the request (RFC 9126)", "pushed", pushed);
        let scopes = token.scopes().to_string();
        self.table
            .row("code and PKCE: the scopes", "tools:call", &scopes);
        let second = self.server.refresh(&self.app, &token, &target).await;
        self.table.row("refresh", "ok", &told(&second));
        let second = second?;
        let again = self.server.refresh(&self.app, &token, &target).await;
        let refused = "oauth.refused invalid_grant";
        self.table
            .row("the old refresh token again", refused, &told(&again));
        let after = self.server.refresh(&self.app, &second, &target).await;
        self.table
            .row("which ends the grant", refused, &told(&after));
        let details = r#"[{"type":"tool_call","actions":["reset"]}]"#;
        let detailed = target.clone().with_details(details)?;
        let seen = self.server.log_in(&self.app, detailed).await;
        self.table
            .row("authorization details (RFC 9396)", "ok", &outcome(seen));
        for (step, details) in [
            ("details of an unknown type", r#"[{"type":"unknown"}]"#),
            ("details that the type forbids", r#"[{"type":"tool_call"}]"#),
        ] {
            let detailed = target.clone().with_details(details)?;
            let seen = outcome(self.server.log_in(&self.app, detailed).await);
            let refused = "oauth.refused invalid_authorization_details";
            self.table.row(step, refused, &seen);
        }
        let key = DpopKey::generate(provider::default())?;
        let bound = self.app.clone().bound_to(&key);
        let login = self.server.log_in(&bound, target.clone()).await;
        let seen = match &login {
            Ok((token, _)) if token.is_bound() => "bound".to_owned(),
            Ok(_) => "bearer".to_owned(),
            Err(error) => crate::agent::code(&**error),
        };
        self.table
            .row("bound to a key from the start (`dpop_jkt`)", "bound", &seen);
        if let Ok((token, _)) = login {
            let thief = self
                .app
                .clone()
                .bound_to(&DpopKey::generate(provider::default())?);
            let stolen = self.server.refresh(&thief, &token, &target).await;
            let step = "its refresh token with another key";
            self.table.row(step, "oauth.refused", &told(&stolen));
            let own = self.server.refresh(&bound, &token, &target).await;
            self.table.row("and with its own", "ok", &told(&own));
        }
        let (token, _) = self.server.log_in(&self.app, target.clone()).await?;
        let revoked = self.server.revoke(&self.app, &token).await;
        self.table
            .row("revocation (RFC 7009)", "ok", &outcome(revoked));
        let after = self.server.refresh(&self.app, &token, &target).await;
        self.table.row("afterwards", refused, &told(&after));
        Ok(())
    }

    async fn on_another_device(&mut self) -> Result<(), Failure> {
        self.table.part("a user on another device");
        let target = self.target("openid tools:call")?;
        let seen = self.server.by_device(&self.app, target.clone()).await;
        self.table
            .row("device code (RFC 8628)", "ok", &outcome(seen));
        let ciba = Client::with_key("our-ciba", &self.own)?;
        for (step, user, expected) in [
            ("CIBA, polled: the user allows", "alice", "ok"),
            ("the user denies", "mallory", "oauth.refused access_denied"),
        ] {
            let asked = BackchannelRequest::new(target.clone(), user);
            let asked = asked.binding_message("K7-42");
            let seen = match self.server.by_backchannel(&ciba, asked).await {
                Ok(grant) => self.server.token(&ciba, grant).await.map(drop),
                Err(error) => Err(error),
            };
            self.table.row(step, expected, &outcome(seen));
        }
        self.by_ping(&target).await
    }

    async fn by_ping(&mut self, target: &Target) -> Result<(), Failure> {
        let client = Client::with_key("our-pinged", &self.own)?;
        let asked = |user: &str| {
            let asked = BackchannelRequest::new(target.clone(), user);
            asked.binding_message("K7-42")
        };
        for (step, user, expected) in [
            ("CIBA, by ping: the user allows", "alice", "ok"),
            ("the user denies", "mallory", "oauth.refused access_denied"),
        ] {
            let asked = self.endpoint.ask(&self.server, &client, asked(user));
            let (answer, token) = asked.await?;
            let ping = format!("{step}, and the provider's ping");
            self.table.row(&ping, "204", &answer);
            self.table
                .row("the token request after it", expected, &told(&token));
        }
        let asked = asked("carol");
        let forged = self
            .endpoint
            .forge(&self.server, &client, asked, &self.pinged_at);
        let [another, earlier, waits] = forged.await?;
        self.table
            .row("a ping with another bearer token", "401", &another);
        self.table
            .row("a ping with that of an earlier request", "401", &earlier);
        self.table.row("the client still waits", "waiting", &waits);
        Ok(())
    }

    /// Registers, and points at a document.
    async fn by_own_description(&mut self) -> Result<(), Failure> {
        self.table.part("a client that describes itself");
        let metadata = native()?;
        let flow = RegistrationFlow::begin(&metadata, &self.server.metadata, None)?;
        let registered = self.server.drive(flow).await?;
        let client = Client::by(registered.client()?);
        let target = self.target("openid tools:call")?;
        let seen = self.server.log_in(&client, target.clone()).await;
        self.table
            .row("registration (RFC 7591), and a login", "ok", &outcome(seen));
        for (step, expected) in [
            ("the registration is removed (RFC 7592)", "ok"),
            ("removed once more", "client.registration_gone"),
        ] {
            let removed = self.server.drive(ManagementFlow::delete(&registered)?);
            self.table.row(step, expected, &outcome(removed.await));
        }
        let seen = self.server.log_in(&client, target.clone()).await;
        self.table
            .row("afterwards", "oauth.refused invalid_client", &outcome(seen));
        let client = Client::of(PublicClient::new(DOCUMENT.parse()?));
        let seen = self.server.log_in(&client, target).await;
        self.table.row(
            "a client id metadata document, and a login",
            "ok",
            &outcome(seen),
        );
        Ok(())
    }
}
