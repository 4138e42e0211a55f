//! Keycloak and the project's client: its grants, and what Keycloak does otherwise than asked.

use std::process::Command;
use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::jose::alg::Algorithm;
use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::jose::secret::SecretText;
use aims::jose::{provider, random};
use aims::oauth_client::{
    BackchannelRequest, ClientCredentials, Connector, DpopKey, Grant, Identities, JwtBearer,
    Loopback, Target, TokenRules,
};
use aims::oauth_wire::client_auth::{PublicClient, SpiffeJwt};
use aims::oauth_wire::names::{Issuer, Resource};
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::commands::{Commands, output};
use super::person::Person;
use super::pinged::Endpoint;
use super::servers::Servers;
use super::{Client, Server, certificates, told};
use crate::Failure;
use crate::agent::{now, outcome};
use crate::keycloak::Ours;
use crate::served::Tls;
use crate::table::Table;

mod attested;
pub(crate) mod described;
mod exchange;
mod side;

use side::Side;

const WORKLOAD: &str = "spiffe://interop.test/agent";
const SCOPE: &str = "tools.call";

/// The guarded tools, which Keycloak's tokens are for.
pub(crate) struct Tools<'a> {
    /// The URL before the paths of the tools without TLS.
    pub(crate) plain: &'a str,
    /// The same with TLS. The documents of clients are there, too.
    pub(crate) secure: &'a str,
    /// Keycloak with TLS.
    pub(crate) issuer: &'a Issuer,
    pub(crate) tls: &'a Tls,
}

/// The programs and scripts beside Keycloak.
pub(crate) struct Programs<'a> {
    pub(crate) node: &'a str,
    /// The script that makes the clients.
    pub(crate) clients: &'a str,
    pub(crate) person: &'a str,
    /// The MCP server of an SDK.
    pub(crate) server: &'a str,
    pub(crate) own: Ours<'a>,
}

/// Tests the client with the realm of `keycloak.mjs`.
pub(crate) async fn run(
    programs: &Programs<'_>,
    base: &str,
    tools: &Tools<'_>,
    fetcher: &Arc<Fetcher>,
    table: &mut Table,
) -> Result<(), Failure> {
    let tool = tools.plain;
    let key = |name: &str| -> Result<SigningKey, Failure> {
        Ok(SigningKey::generate(Algorithm::Es256, provider::default())?.with_key_id(name))
    };
    let (own, upstream) = (key("own")?, key("upstream")?);
    let listener = TcpListener::bind(format!("127.0.0.1:{}", programs.own.port)).await?;
    let side = format!("http://{}", listener.local_addr()?);
    let public = upstream.public_jwk().clone();
    let text = |jwk: aims::jose::jwk::Jwk| serde_json::from_str::<Value>(&jwk.to_json());
    let as_svid = text(public.clone().with_use("jwt-svid"))?;
    let device = Side {
        keys: json!({"keys": [text(public.with_use("sig"))?, as_svid], "spiffe_sequence": 1}),
        base: base.to_owned(),
        fetcher: Arc::clone(fetcher),
        seen: Arc::default(),
        endpoint: Endpoint::default(),
    };
    device.serve(listener);
    let jwks = format!(r#"{{"keys":[{}]}}"#, own.public_jwk().to_json());
    let issuer = Issuer::loopback(&format!("{base}/realms/agents"))?;
    let servers = Servers::start(
        (programs.node, programs.server),
        programs.own.python,
        (issuer.as_str(), SCOPE),
        true,
    )?;
    let mut setup = Command::new(programs.node);
    setup.arg(programs.clients).env("BASE", base);
    setup
        .env("TOOL", tool)
        .env("SIDE", &side)
        .env("CLIENT_JWKS", jwks)
        .env("RESOURCES", servers.resources());
    let done = output(setup).await?;
    if !done.status.success() {
        return Err(format!("the clients were not made: {done:?}").into());
    }
    let access = SecretText::new(String::from_utf8(done.stdout)?.trim());
    let person = Person::start(programs.node, programs.person, programs.own.chromium).await?;
    let mut world = World {
        server: Server::find(fetcher, &issuer, &person).await?,
        agent: Client::with_key("our-agent", &own)?.with_rules(TokenRules::new().omit_resource()),
        app: Client::public("our-app")?,
        own,
        upstream,
        side,
        issuer: issuer.clone(),
        device,
        tool: tool.to_owned(),
        secure: tools.secure.to_owned(),
        resource: Resource::loopback(&format!("{tool}/named"))?,
        table,
    };
    world.as_itself().await?;
    world.attests().await?;
    world.by_code().await?;
    world.by_device_and_backchannel().await?;
    world.exchanges().await?;
    world.by_assertion().await?;
    world.registers(&access).await?;
    world.by_document().await?;
    certificates::at_keycloak(tools.tls, tools.issuer, tools.secure, table).await?;
    by_agent(&servers, &issuer, &person, fetcher, table).await?;
    let named = format!("{tool}/named");
    let commands = Commands {
        aims: programs.own.aims,
        folder: programs.own.folder.into(),
        tool: &named,
        issuer: issuer.as_str(),
        client: &["--client-id", "our-cli"],
        scopes: "offline_access tools.call",
        proofs: true,
    };
    let call = || Ok(Request::post(&named).body(Vec::new())?);
    commands.run(&person, fetcher, call, table).await
}

/// The project's agent at MCP servers of the official SDKs.
async fn by_agent(
    servers: &Servers,
    issuer: &Issuer,
    person: &Person,
    fetcher: &Fetcher,
    table: &mut Table,
) -> Result<(), Failure> {
    let identities = Identities::new().everywhere(PublicClient::new("our-mcp".parse()?));
    let user = person.clone();
    let connector = Connector::new(identities, fetcher.clone())
        .accept_issuers([issuer.clone()])
        .by_user(Loopback::new(move |url| {
            user.open(url)?;
            let user = user.clone();
            tokio::spawn(async move { user.end().await });
            Ok(())
        }));
    // The agent requests `offline_access` where a server lists it.
    let scopes = format!("offline_access {SCOPE}");
    let rows = servers.rows("Keycloak", &scopes, &connector, fetcher, table);
    rows.await
}

struct World<'a> {
    server: Server<'a>,
    /// A client with a key, which sends no `resource`.
    agent: Client,
    /// A client of a user, without credentials.
    app: Client,
    own: SigningKey,
    upstream: SigningKey,
    side: String,
    issuer: Issuer,
    device: Side,
    tool: String,
    /// The URL before the paths of the clients' documents.
    secure: String,
    resource: Resource,
    table: &'a mut Table,
}

impl World<'_> {
    fn target(&self, scopes: &str) -> Result<Target, Failure> {
        Ok(Target::new(self.resource.clone(), scopes.parse()?))
    }

    async fn ask(
        &mut self,
        step: &str,
        expected: &str,
        client: &Client,
        grant: impl Grant + 'static,
    ) {
        let seen = outcome(self.server.token(client, grant).await);
        self.table.row(step, expected, &seen);
    }

    async fn as_itself(&mut self) -> Result<(), Failure> {
        self.table.part("the project's client: as itself");
        let grant = || -> Result<ClientCredentials, Failure> {
            Ok(ClientCredentials::new(self.resource.clone()).scopes("tools.call".parse()?))
        };
        let strict = Client::with_key("our-agent", &self.own)?;
        let wide = Client::with_key("our-wide", &self.own)?;
        let without = || TokenRules::new().omit_resource();
        let (wide, asked) = (wide.with_rules(without()), grant()?);
        let token = self.server.token(&self.agent, grant()?).await?;
        let url = format!("{}/jwt/call", self.tool);
        let called = self.server.call(&url, &token).await?;
        self.table
            .row("private_key_jwt, and a call", "200", &called);
        let stranger = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let stranger = Client::with_key("our-agent", &stranger.with_key_id("own"))?;
        let (first, second, third) = (grant()?, grant()?, grant()?);
        let refused = "oauth.refused invalid_client";
        let stranger = stranger.with_rules(without());
        self.ask("signed by another key", refused, &stranger, first)
            .await;
        // Keycloak answers 500 to client credentials with `resource`.
        self.ask(
            "with `resource`",
            "oauth.refused unknown_error",
            &strict,
            second,
        )
        .await;
        self.ask(
            "a client whose tokens have another scope",
            "grant.scope",
            &wide,
            asked,
        )
        .await;
        let lenient = wide.with_rules(without().accept_wider_scopes());
        self.ask("the same, accepted by name", "ok", &lenient, third)
            .await;
        let upstream = self.upstream.clone();
        let svid = move |audience: &str, now: aims::jose::time::UnixTime| {
            let (issued, expires) = (now.as_secs(), now.as_secs().saturating_add(250));
            let claims = json!({"sub": WORKLOAD, "aud": [audience], "exp": expires, "iat": issued});
            let signed = SigningInput::new("JWT", Algorithm::Es256, Some("upstream"), &claims)?;
            Ok(signed.sign(&upstream)?.into_secret())
        };
        let workload = SpiffeJwt::new(WORKLOAD.parse()?, svid).accept_unlisted_method();
        let workload = Client::of(workload).with_rules(without());
        let asked = self.credentials()?;
        self.ask(
            "a JWT-SVID (SPIFFE client authentication)",
            "ok",
            &workload,
            asked,
        )
        .await;
        let key = DpopKey::generate(provider::default())?;
        let bound = Client::with_key("our-dpop", &self.own)?.with_rules(without());
        let asked = self.credentials()?;
        self.ask(
            "without a proof, where Keycloak requires one",
            "oauth.refused invalid_request",
            &bound,
            asked,
        )
        .await;
        let bound = bound.bound_to(&key);
        let token = self.server.token(&bound, self.credentials()?).await?;
        let kind = if token.is_bound() { "bound" } else { "bearer" };
        self.table.row("DPoP", "bound", kind);
        let url = format!("{}/dpop/call", self.tool);
        let called = self.server.call(&url, &token).await?;
        self.table
            .row("and a call, with a nonce of the guard", "200", &called);
        Ok(())
    }

    fn credentials(&self) -> Result<ClientCredentials, Failure> {
        Ok(ClientCredentials::new(self.resource.clone()).scopes("tools.call".parse()?))
    }

    async fn by_code(&mut self) -> Result<(), Failure> {
        self.table.part("the project's client: a user in Chromium");
        let target = self.target("openid tools.call")?;
        let (token, url) = self.server.log_in(&self.app, target.clone()).await?;
        let pushed = if url.contains("request_uri=") && !url.contains("scope=") {
            "pushed"
        } else {
            "in the URL"
        };
        self.table.row("the request (RFC 9126)", "pushed", pushed);
        let scopes = token.scopes().to_string();
        self.table
            .row("code and PKCE: the scopes", "openid tools.call", &scopes);
        let url = format!("{}/named/call", self.tool);
        let called = self.server.call(&url, &token).await?;
        self.table
            .row("the token is for the resource (RFC 8707)", "200", &called);
        let url = format!("{}/jwt/call", self.tool);
        let called = self.server.call(&url, &token).await?;
        self.table
            .row("and for no other", "401 token.audience", &called);
        let second = self.server.refresh(&self.app, &token, &target).await;
        self.table.row("refresh", "ok", &told(&second));
        let second = second?;
        let again = self.server.refresh(&self.app, &token, &target).await;
        self.table.row(
            "the old refresh token again",
            "oauth.refused invalid_grant",
            &told(&again),
        );
        let after = self.server.refresh(&self.app, &second, &target).await;
        self.table.row(
            "which ends the session",
            "oauth.refused invalid_grant",
            &told(&after),
        );
        let (token, _) = self.server.log_in(&self.app, target.clone()).await?;
        let revoked = self.server.revoke(&self.app, &token).await;
        self.table
            .row("revocation (RFC 7009)", "ok", &outcome(revoked));
        let after = self.server.refresh(&self.app, &token, &target).await;
        self.table
            .row("afterwards", "oauth.refused invalid_grant", &told(&after));
        let usual = Client::public("our-usual")?;
        let seen = self.server.log_in(&usual, target.clone()).await;
        let seen = outcome(seen);
        self.table.row(
            "a client with Keycloak's default scopes",
            "grant.scope",
            &seen,
        );
        let added = TokenRules::new().accept_unrequested_scopes("profile email".parse()?);
        let usual = usual.with_rules(added);
        let seen = outcome(self.server.log_in(&usual, target).await);
        self.table.row("the same, accepted by name", "ok", &seen);
        let detailed = self.target("openid tools.call")?;
        let detailed = detailed.with_details(r#"[{"type":"aims_tool"}]"#)?;
        let seen = outcome(self.server.log_in(&self.app, detailed).await);
        let step = "authorization details: Keycloak has no type of them";
        self.table.row(step, "authorize.refused", &seen);
        let elsewhere = Resource::loopback(&format!("{}/elsewhere", self.tool))?;
        let elsewhere = Target::new(elsewhere, "tools.call".parse()?);
        let seen = outcome(self.server.log_in(&self.app, elsewhere).await);
        let refused = "oauth.refused invalid_target";
        self.table
            .row("a resource that Keycloak does not know", refused, &seen);
        Ok(())
    }

    async fn by_device_and_backchannel(&mut self) -> Result<(), Failure> {
        self.table
            .part("the project's client: a user on another device");
        let app = Client::public("our-device")?;
        let target = self.target("openid tools.call")?;
        let seen = self.server.by_device(&app, target.clone()).await;
        self.table.row("device code (RFC 8628)", "ok", &told(&seen));
        let ciba = Client::with_key("our-ciba", &self.own)?;
        for (step, decision, expected) in [
            ("CIBA, polled: the user allows", "SUCCEED", "ok"),
            (
                "the user denies",
                "UNAUTHORIZED",
                "oauth.refused access_denied",
            ),
            (
                "the user cancels",
                "CANCELLED",
                "oauth.refused access_denied",
            ),
        ] {
            self.device.decides(decision);
            let request = BackchannelRequest::new(target.clone(), "alice");
            let asked = request.binding_message("K7-42");
            let seen = match self.server.by_backchannel(&ciba, asked).await {
                Ok(grant) => self.server.token(&ciba, grant).await.map(drop),
                Err(error) => Err(error),
            };
            self.table.row(step, expected, &outcome(seen));
        }
        let shown = self.device.message();
        self.table
            .row("the device shows the message", "K7-42", &shown);
        let unknown = BackchannelRequest::new(target, "unknown");
        let seen = outcome(self.server.by_backchannel(&ciba, unknown).await);
        self.table
            .row("a user who is not there", "oauth.refused", &seen);
        self.by_ping().await
    }

    async fn by_ping(&mut self) -> Result<(), Failure> {
        let client = Client::with_key("our-pinged", &self.own)?;
        let target = self.target("openid tools.call")?;
        let asked = || BackchannelRequest::new(target.clone(), "alice");
        let endpoint = &self.device.endpoint;
        for (step, decision, expected) in [
            ("CIBA, by ping: the user allows", "SUCCEED", "ok"),
            (
                "the user denies",
                "UNAUTHORIZED",
                "oauth.refused access_denied",
            ),
        ] {
            self.device.decides(decision);
            let asked = endpoint.ask(&self.server, &client, asked());
            let (answer, token) = asked.await?;
            let ping = format!("{step}, and Keycloak's ping");
            self.table.row(&ping, "204", &answer);
            self.table
                .row("the token request after it", expected, &told(&token));
        }
        self.device.decides("");
        let url = format!("{}/ping", self.side);
        let forged = endpoint.forge(&self.server, &client, asked(), &url);
        let [another, earlier, waits] = forged.await?;
        self.table
            .row("a ping with another bearer token", "401", &another);
        self.table
            .row("a ping with that of an earlier request", "401", &earlier);
        self.table.row("the client still waits", "waiting", &waits);
        Ok(())
    }

    async fn by_assertion(&mut self) -> Result<(), Failure> {
        self.table
            .part("the project's client: assertions of another issuer");
        let stranger = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let stranger = stranger.with_key_id("upstream");
        let agent = self.agent.clone();
        let refused = "oauth.refused invalid_grant";
        for (step, typ, client, by_stranger, expected) in [
            ("a JWT grant (RFC 7523)", "JWT", None, false, "ok"),
            ("by another key", "JWT", None, true, refused),
            (
                "an ID-JAG",
                "oauth-id-jag+jwt",
                Some("our-agent"),
                false,
                "ok",
            ),
            (
                "an ID-JAG for another client",
                "oauth-id-jag+jwt",
                Some("our-app"),
                false,
                refused,
            ),
        ] {
            let signer = if by_stranger {
                &stranger
            } else {
                &self.upstream
            };
            let assertion = self.assertion(typ, client, signer)?;
            let grant = JwtBearer::new(self.target("tools.call")?, assertion);
            self.ask(step, expected, &agent, grant).await;
        }
        Ok(())
    }

    /// Returns an assertion of the other issuer about its user.
    fn assertion(
        &self,
        typ: &str,
        client: Option<&str>,
        signer: &SigningKey,
    ) -> Result<SecretText, Failure> {
        let (issued, expires) = (now().as_secs(), now().as_secs().saturating_add(60));
        let mut claims = json!({
            "iss": self.side, "sub": "up-alice", "aud": self.issuer.as_str(), "iat": issued,
            "exp": expires, "jti": random::id128(random::SYSTEM)?,
        });
        if let (Some(client), Some(claims)) = (client, claims.as_object_mut()) {
            claims.insert("client_id".to_owned(), client.into());
        }
        let input = SigningInput::new(typ, Algorithm::Es256, Some("upstream"), &claims)?;
        Ok(input.sign(signer)?.into_secret())
    }
}
