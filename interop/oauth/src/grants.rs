//! The suite `oauth`: the project's agent and tool with npm `oidc-provider`.

use std::time::Duration;

use crate::agent::{Asker, client, discover, now, outcome, text};
use crate::peer::Peer;
use crate::table::Table;
use crate::{Failure, tool};
use aims::fetch::Fetcher;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::oauth_wire::client_auth::AssertionAudience;
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Issuer;
use aims::{Guard, Requirements};

const CLIENT: &str = "agent-7";
const AGENT: &str = "spiffe://example.org/agent";
const TOOL: &str = "https://tools.example/ES256";

/// The data that all parts use.
struct World {
    peer: Peer,
    fetcher: Fetcher,
    issuer: Issuer,
    server: ServerMetadata,
    key: SigningKey,
    second_key: SigningKey,
    table: Table,
}

/// Runs the suite.
pub(crate) async fn run(node: &str, script: &str) -> Result<(), Failure> {
    let key = |algorithm, name: &str| -> Result<SigningKey, Failure> {
        Ok(SigningKey::generate(algorithm, provider::default())?.with_key_id(name))
    };
    let (key, second_key) = (key(Algorithm::Es256, "k1")?, key(Algorithm::Ed25519, "k2")?);
    let (first, second) = (
        key.public_jwk().to_json(),
        second_key.public_jwk().to_json(),
    );
    let peer = Peer::start(node, script, &format!(r#"{{"keys":[{first},{second}]}}"#))?;
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let issuer = Issuer::loopback(&peer.issuer)?;
    let server = discover(&fetcher, &issuer).await?;
    let mut world = World {
        peer,
        fetcher,
        issuer,
        server,
        key,
        second_key,
        table: Table::new("oauth"),
    };
    world.finds_the_server().await?;
    world.gets_tokens().await?;
    world.judges_tokens().await?;
    world.follows_a_rotation().await?;
    world.joins_an_identity().await?;
    world.table.not_run(
        "a token by a WIT or a WIT-SVID",
        "the provider knows neither; its attestation-based authentication is another format",
    );
    world.table.end()
}

impl World {
    async fn finds_the_server(&mut self) -> Result<(), Failure> {
        self.table.part("discovery (RFC 8414)");
        let found = outcome(discover(&self.fetcher, &self.issuer).await);
        self.table.row("metadata of the issuer", "ok", &found);
        let mirror = Issuer::loopback(&self.peer.mirror)?;
        let found = outcome(discover(&self.fetcher, &mirror).await);
        self.table.row(
            "metadata of another issuer at this place",
            "metadata.issuer",
            &found,
        );
        Ok(())
    }

    async fn gets_tokens(&mut self) -> Result<(), Failure> {
        self.table.part("client credentials (RFC 6749, 7523, 8707)");
        let ask = Asker {
            fetcher: &self.fetcher,
            server: &self.server,
        };
        let table = &mut self.table;
        let good = client(CLIENT, &self.key)?;
        let eddsa = client(CLIENT, &self.second_key)?;
        let stranger = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let stranger = client(CLIENT, &stranger.with_key_id("k1"))?;
        let endpoint = format!("{}/par", self.peer.mirror);
        let elsewhere = aims::oauth_wire::names::Endpoint::loopback(&endpoint)?;
        let elsewhere = good
            .clone()
            .with_audience(AssertionAudience::endpoint(elsewhere));
        let legacy = good
            .clone()
            .with_audience(AssertionAudience::token_endpoint());
        let array = good
            .clone()
            .with_audience(AssertionAudience::issuer_in_array());
        let refused = "oauth.refused invalid_client";
        for (step, client, expected) in [
            ("private_key_jwt, `aud` the issuer, ES256", &good, "ok"),
            ("private_key_jwt, `aud` the issuer, Ed25519", &eddsa, "ok"),
            ("`typ` JWT", &good.clone().with_legacy_type(), "ok"),
            ("`aud` the issuer in an array", &array, "ok"),
            ("`aud` the token endpoint, when set by hand", &legacy, "ok"),
            ("`aud` another server", &elsewhere, refused),
            (
                "signed by another client's key of the same name",
                &stranger,
                refused,
            ),
        ] {
            let got = outcome(ask.token(client, TOOL, "tools:call").await);
            table.row(step, expected, &got);
        }
        let unknown = client("agent-8", &self.key)?;
        let got = outcome(ask.token(&unknown, TOOL, "tools:call").await);
        table.row("a client that is not there", refused, &got);
        let prepared = ask.request(&good, TOOL, "tools:call")?;
        let got = outcome(ask.send_twice(prepared, &good).await);
        table.row("the same assertion again", refused, &got);
        let other = "https://elsewhere.example/";
        let got = outcome(ask.token(&good, other, "tools:call").await);
        table.row(
            "a resource that is not there",
            "oauth.refused invalid_target",
            &got,
        );
        let got = outcome(ask.token(&good, TOOL, "tools:admin").await);
        table.row(
            "a scope that the client may not have",
            "oauth.refused invalid_scope",
            &got,
        );
        let token = ask
            .token(&good, TOOL, "tools:call tools:unheard-of")
            .await?;
        let granted = token.scopes().to_string();
        let step = "an unknown scope is left out, and the answer says so";
        table.row(step, "tools:call", &granted);
        let got = outcome(ask.kept(good, TOOL).await);
        table.row("a token source asks once and keeps the token", "ok", &got);
        Ok(())
    }

    async fn judges_tokens(&mut self) -> Result<(), Failure> {
        self.table.part("the tool (RFC 9068, 6750)");
        let ask = Asker {
            fetcher: &self.fetcher,
            server: &self.server,
        };
        let table = &mut self.table;
        let client = client(CLIENT, &self.key)?;
        let keys = tool::published(&self.fetcher, &self.issuer).await?;
        for algorithm in ["ES256", "Ed25519", "RS256", "PS256"] {
            let resource = format!("https://tools.example/{algorithm}");
            let token = text(&ask.token(&client, &resource, "tools:call").await?)?;
            let guard = tool::for_bearers(&resource, &keys)?;
            let step = format!("a token signed with {algorithm}, keys as published");
            table.row(&step, "ok", &tool::judge(&guard, &token, now())?);
            let bent = tool::with_bent_signature(&token)?;
            let step = format!("{algorithm}: one bit of the signature changed");
            table.row(
                &step,
                "token.signature",
                &tool::judge(&guard, &bent, now())?,
            );
        }
        let token = text(&ask.token(&client, TOOL, "tools:call").await?)?;
        let guard = tool::for_bearers("https://tools.example/other", &keys)?;
        let seen = tool::judge(&guard, &token, now())?;
        table.row("at another resource", "token.audience", &seen);
        let guard = tool::for_bearers(TOOL, &keys)?;
        let later = Duration::from_secs(now().as_secs().saturating_add(331));
        let later = aims::jose::time::UnixTime::since_unix_epoch(later);
        let seen = tool::judge(&guard, &token, later)?;
        table.row("after its 300 s and the skew", "token.expired", &seen);
        let mirror = Issuer::loopback(&self.peer.mirror)?;
        let issuers = std::sync::Arc::new(aims::oauth_rs::IssuerStore::new());
        issuers.name(&mirror);
        let scopes = Requirements::new().scopes("tools:call".parse()?);
        let other = Guard::builder(TOOL).trust(std::sync::Arc::default());
        let other = other.issuers(issuers).require(scopes.accept_bearer());
        let seen = tool::judge(&other.build()?, &token, now())?;
        table.row(
            "where another issuer is configured",
            "token.unknown_issuer",
            &seen,
        );
        let read = text(&ask.token(&client, TOOL, "tools:read").await?)?;
        let seen = tool::judge(&guard, &read, now())?;
        table.row("with another scope", "guard.scope", &seen);
        let opaque = "https://tools.example/opaque";
        let token = text(&ask.token(&client, opaque, "tools:call").await?)?;
        let guard = tool::for_bearers(opaque, &keys)?;
        let seen = tool::judge(&guard, &token, now())?;
        table.row(
            "an opaque token, where JWTs are expected",
            "jws.parts",
            &seen,
        );
        Ok(())
    }

    async fn follows_a_rotation(&mut self) -> Result<(), Failure> {
        self.table.part("key rotation at the server");
        let client = client(CLIENT, &self.key)?;
        let keys = tool::published(&self.fetcher, &self.issuer).await?;
        let guard = tool::for_bearers(TOOL, &keys)?;
        let ask = Asker {
            fetcher: &self.fetcher,
            server: &self.server,
        };
        let old = text(&ask.token(&client, TOOL, "tools:call").await?)?;
        self.peer.tell("rotate")?;
        let new = text(&ask.token(&client, TOOL, "tools:call").await?)?;
        let seen = tool::judge(&guard, &new, now())?;
        let table = &mut self.table;
        table.row(
            "a token of the new key, nothing fetched",
            "token.unknown_key",
            &seen,
        );
        let seen = tool::admit(&guard, &new).await?;
        table.row("the same, the keys fetched once more", "ok", &seen);
        let seen = tool::admit(&guard, &old).await?;
        table.row("a token of the old key, still published", "ok", &seen);
        self.peer.tell("retire")?;
        let keys = tool::published(&self.fetcher, &self.issuer).await?;
        let guard = tool::for_bearers(TOOL, &keys)?;
        let seen = tool::admit(&guard, &old).await?;
        table.row(
            "a token of the old key, published no more",
            "token.unknown_key",
            &seen,
        );
        let seen = tool::admit(&guard, &new).await?;
        table.row("a token of the new key", "ok", &seen);
        Ok(())
    }

    async fn joins_an_identity(&mut self) -> Result<(), Failure> {
        self.table.part("the server's token beside WIT and WPT");
        let ask = Asker {
            fetcher: &self.fetcher,
            server: &self.server,
        };
        let table = &mut self.table;
        let client = client(AGENT, &self.key)?;
        let token = text(&ask.token(&client, TOOL, "tools:call").await?)?;
        let keys = tool::published(&self.fetcher, &self.issuer).await?;
        let identities = tool::Identities::new()?;
        let guard = Guard::builder(TOOL)
            .keys(&keys)
            .trust(identities.trust.clone())
            .wpt_revisions(aims::wpt::Revision::Draft01)
            .accept_proofs_before_start()
            .require(Requirements::new().scopes("tools:call".parse()?))
            .build()?;
        let url = format!("{TOOL}/call");
        let call = identities.call(AGENT, &url, &token)?;
        let seen = tool::told(guard.check(&call, now()));
        table.row("`client_id` is the agent's identifier", "ok", &seen);
        let call = identities.call("spiffe://example.org/other", &url, &token)?;
        let seen = tool::told(guard.check(&call, now()));
        table.row("another agent with this token", "token.not_bound", &seen);
        let seen = tool::judge(&guard, &token, now())?;
        table.row("the token alone", "guard.proof", &seen);
        Ok(())
    }
}
