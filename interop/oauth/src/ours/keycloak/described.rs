//! Clients that describe themselves to Keycloak: registration (RFC 7591), its management (RFC
//! 7592), and client id metadata documents.

use aims::fetch::Fetch as _;
use aims::jose::secret::SecretText;
use aims::oauth_client::{
    ClientMetadata, ManagementFlow, Registered, RegistrationFlow, TokenRules,
};
use aims::oauth_wire::client_auth::PublicClient;
use axum::Router;
use axum::routing::get;
use http::Request;

use super::World;
use crate::Failure;
use crate::agent::outcome;
use crate::ours::{Client, told};

/// Returns the documents of two clients at this server. The second one is about the first client.
pub(crate) fn documents(base: &str) -> Result<Router, Failure> {
    let document = native("interop")?.to_document(&format!("{base}/client.json"))?;
    let serve = move || async move { ([("content-type", "application/json")], document) };
    Ok(Router::new()
        .route("/client.json", get(serve.clone()))
        .route("/other.json", get(serve)))
}

fn native(name: &str) -> Result<ClientMetadata, Failure> {
    let redirect = "http://127.0.0.1/callback".parse()?;
    Ok(ClientMetadata::native(name).redirect(redirect))
}

impl World<'_> {
    /// Registers a client with an initial access token, manages the registration, and removes it.
    pub(super) async fn registers(&mut self, access: &SecretText) -> Result<(), Failure> {
        self.table.part("the project's client: registration");
        let metadata = native("interop")?;
        let begin = |access| RegistrationFlow::begin(&metadata, &self.server.metadata, access);
        let seen = outcome(self.server.drive(begin(None)?).await);
        let step = "without an initial access token";
        self.table.row(step, "client.registration_refused", &seen);
        let registered = self.server.drive(begin(Some(access))?).await?;
        self.table.row("with one (RFC 7591)", "ok", "ok");
        let registered = self.manages(registered).await?;
        for (step, expected) in [
            ("the registration is removed (RFC 7592)", "ok"),
            ("removed once more", "client.registration_gone"),
        ] {
            let removed = self.server.drive(ManagementFlow::delete(&registered)?);
            self.table.row(step, expected, &outcome(removed.await));
        }
        Ok(())
    }

    /// Reads and updates a registration. Returns the current one.
    async fn manages(&mut self, first: Registered) -> Result<Registered, Failure> {
        let read = self.server.drive(ManagementFlow::read(&first)?).await;
        self.table
            .row("the registration is read", "ok", &told(&read));
        let read = read?.ok_or("no registration")?;
        let same = read.redirect_uris() == first.redirect_uris();
        let same = if same { "the same" } else { "others" };
        self.table.row("its redirect URIs", "the same", same);
        let metadata = native("interop, updated")?.redirect("http://[::1]/callback".parse()?);
        let update = ManagementFlow::update(&read, &metadata)?;
        let updated = self.server.drive(update).await;
        self.table
            .row("the registration is updated", "ok", &told(&updated));
        let updated = updated?.ok_or("no registration")?;
        let again = outcome(self.server.drive(ManagementFlow::read(&read)?).await);
        let step = "read with the registration access token that was replaced";
        self.table.row(step, "client.registration_gone", &again);
        let last = self.server.drive(ManagementFlow::read(&updated)?).await?;
        let last = last.ok_or("no registration")?;
        let uris = last.redirect_uris().unwrap_or_default().len().to_string();
        self.table.row("and read: its redirect URIs", "2", &uris);
        Ok(last)
    }

    /// Points at a document.
    pub(super) async fn by_document(&mut self) -> Result<(), Failure> {
        self.table
            .part("the project's client: a client id metadata document");
        let client = |name: &str| -> Result<Client, Failure> {
            let url = format!("{}/{name}", self.secure);
            let added = TokenRules::new().accept_unrequested_scopes("profile email".parse()?);
            Ok(Client::of(PublicClient::new(url.parse()?)).with_rules(added))
        };
        let target = self.target("openid tools.call")?;
        let seen = self
            .server
            .log_in(&client("client.json")?, target.clone())
            .await;
        let seen = outcome(seen);
        let step = "a pushed request: Keycloak does not fetch the document";
        self.table.row(step, "oauth.refused invalid_request", &seen);
        let own = client("client.json")?.without_push();
        let login = self.server.log_in(&own, target.clone()).await;
        let login = login.map(|(token, _)| token);
        self.table.row("a login", "ok", &told(&login));
        if let Ok(token) = login {
            let url = format!("{}/named/call", self.tool);
            let called = self.server.call(&url, &token).await?;
            self.table.row("and a call", "200", &called);
        }
        for (step, name, expected) in [
            ("the page for a document", "client.json", "200"),
            ("for one of another client", "other.json", "400"),
            ("for one that is not there", "nothing.json", "400"),
        ] {
            let client = client(name)?.without_push();
            let redirect = "http://127.0.0.1:9/callback".parse()?;
            let url = self
                .server
                .authorize(&client, redirect, target.clone())
                .await?;
            let page = Request::get(url.url()).body(Vec::new())?;
            let seen = self.server.fetcher.send(page).await?.status();
            self.table.row(step, expected, seen.as_str());
        }
        Ok(())
    }
}
