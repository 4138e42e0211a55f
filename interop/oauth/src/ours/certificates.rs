//! The project's client with certificates, at npm `oidc-provider` and at Keycloak: client
//! authentication and bound tokens (RFC 8705), and the calls of a guarded tool.

use std::sync::Arc;

use aims::Agent;
use aims::fetch::{Fetch as _, Fetcher};
use aims::jose::time::SystemClock;
use aims::oauth_client::{ClientCredentials, Token, TokenFlow, TokenRules, TokenSource, drive};
use aims::oauth_wire::client_auth::{Authenticate, CertificateBound, TlsClientAuth};
use aims::oauth_wire::confirmation::CertificateThumbprint;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use http::Request;

use crate::Failure;
use crate::agent::{discover, now, outcome};
use crate::served::Tls;
use crate::table::Table;

struct World<'a> {
    tls: &'a Tls,
    server: Arc<ServerMetadata>,
    /// The URL before the paths of the tools.
    tool: &'a str,
    /// The paths.
    kinds: &'a [&'a str],
    scope: &'a str,
    rules: TokenRules,
}

/// Adds the rows of the project's client. The tools have the paths `/tls` and `/opaque-tls`.
pub(crate) async fn run(
    tls: &Tls,
    issuer: &Issuer,
    tool: &str,
    table: &mut Table,
) -> Result<(), Failure> {
    let plain = fetcher(tls).build()?;
    let world = World {
        tls,
        server: Arc::new(discover(&plain, issuer).await?),
        tool,
        kinds: &["tls", "opaque-tls"],
        scope: "tools:call",
        rules: TokenRules::new(),
    };
    let by_authority = TlsClientAuth::new("agent-tls".parse()?);
    let self_signed = TlsClientAuth::self_signed("agent-self".parse()?);
    let title = "the project's client, `tls_client_auth` (RFC 8705)";
    table.part(title);
    world.with(&by_authority, "agent", table).await?;
    table.part("the project's client, `self_signed_tls_client_auth`");
    world.with(&self_signed, "self", table).await
}

/// Adds the rows of the client `our-tls` at Keycloak. The tool has the path `/tls`.
pub(crate) async fn at_keycloak(
    tls: &Tls,
    issuer: &Issuer,
    tool: &str,
    table: &mut Table,
) -> Result<(), Failure> {
    let plain = fetcher(tls).build()?;
    let world = World {
        tls,
        server: Arc::new(discover(&plain, issuer).await?),
        tool,
        kinds: &["tls"],
        scope: "tools.call",
        // Keycloak answers 500 to client credentials with `resource`.
        rules: TokenRules::new().omit_resource(),
    };
    let client = TlsClientAuth::new("our-tls".parse()?);
    table.part("the project's client: `tls_client_auth` (RFC 8705)");
    world.with(&client, "agent", table).await
}

fn fetcher(tls: &Tls) -> aims::fetch::FetcherBuilder {
    let fetcher = Fetcher::builder().allow_loopback_http();
    fetcher.root_certificate_pem(tls.ca.as_bytes())
}

impl World<'_> {
    /// Adds the rows of a client, which has the certificate of this name.
    async fn with(
        &self,
        client: &TlsClientAuth,
        own: &str,
        table: &mut Table,
    ) -> Result<(), Failure> {
        let thumbprint = |name: &str| -> Result<CertificateThumbprint, Failure> {
            Ok(CertificateThumbprint::of_der(self.tls.client(name)?.der()))
        };
        let bound = CertificateBound::new(client.clone(), thumbprint(own)?);
        for kind in self.kinds {
            let token = self.token(&bound, Some(own), kind).await?;
            let seen = match token.certificate() {
                Some(it) if *it == thumbprint(own)? => "bound",
                Some(_) => "bound to another",
                None => "bearer",
            };
            table.row(&format!("{kind}: a token"), "bound", seen);
            for (step, name, expected) in [
                ("with the certificate", Some(own), "200"),
                ("with another one", Some("other"), "401 token.not_bound"),
                ("without one", None, "401 token.not_bound"),
            ] {
                let seen = self.call(&token, name, kind).await?;
                table.row(&format!("{kind}: {step}"), expected, &seen);
            }
        }
        let refused = "oauth.refused invalid_client";
        for (step, name) in [
            ("a token request with another certificate", Some("other")),
            ("one without a certificate", None),
        ] {
            let seen = outcome(self.token(&bound, name, "tls").await);
            table.row(step, refused, &seen);
        }
        let mistaken = CertificateBound::new(client.clone(), thumbprint("other")?);
        let seen = outcome(self.token(&mistaken, Some(own), "tls").await);
        let step = "a token that is not bound to the expected certificate";
        table.row(step, "grant.certificate_differs", &seen);
        let fetcher = self.fetcher(Some(own))?;
        let server = (*self.server).clone();
        let source = TokenSource::new(server, bound, fetcher.clone());
        let source = source.with_rules(self.rules.clone());
        let agent = Agent::without_identity();
        let agent = agent.authorize(self.resource("tls")?, self.scope.parse()?, source);
        let agent = agent.fetcher(fetcher).build()?;
        let call = Request::post(format!("{}/tls/call", self.tool)).body(String::new())?;
        let status = agent.send(call).await?.status();
        let step = "an agent gets the token and calls";
        table.row(step, "200", status.as_str());
        Ok(())
    }

    /// Returns a client that presents the certificate of this name, to the server and to the tool.
    fn fetcher(&self, name: Option<&str>) -> Result<Fetcher, Failure> {
        let mut fetcher = fetcher(self.tls);
        if let Some(name) = name {
            let certificate = self.tls.client(name)?;
            let server: url::Url = self.server.issuer().as_str().parse()?;
            let server = server.origin().ascii_serialization();
            fetcher = fetcher
                .client_certificate(&server, certificate.clone())
                .client_certificate(self.tool, certificate);
        }
        Ok(fetcher.build()?)
    }

    fn resource(&self, kind: &str) -> Result<Resource, Failure> {
        Ok(format!("{}/{kind}", self.tool).parse()?)
    }

    async fn token(
        &self,
        client: &(impl Authenticate + Clone + 'static),
        name: Option<&str>,
        kind: &str,
    ) -> Result<Token, Failure> {
        let grant = ClientCredentials::new(self.resource(kind)?).scopes(self.scope.parse()?);
        let (grant, client) = (Arc::new(grant), Arc::new(client.clone()));
        let (server, rules) = (Arc::clone(&self.server), self.rules.clone());
        let first = TokenFlow::begin(grant, client, server, rules, now())?;
        Ok(drive(first, &self.fetcher(name)?, &SystemClock::new()).await?)
    }

    /// Calls the tool. Returns the status, and the code of a refusal.
    async fn call(&self, token: &Token, name: Option<&str>, kind: &str) -> Result<String, Failure> {
        let url = format!("{}/{kind}/call", self.tool);
        let mut request = Request::post(url).body(Vec::new())?;
        token.authorize(&mut request, now()).await?;
        let answer = self.fetcher(name)?.send(request).await?;
        let code = answer.headers().get("refusal-code");
        let code = code.and_then(|it| it.to_str().ok()).unwrap_or_default();
        let status = answer.status().as_u16();
        Ok(format!("{status} {code}").trim_end().to_owned())
    }
}
