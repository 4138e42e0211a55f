//! The suite `users`: the project's client logs users in at npm `oidc-provider`, where proofs need
//! a nonce and a refresh token is used once.

use std::sync::Arc;
use std::time::Duration;

use aims::fetch::Fetcher;
use aims::jose::alg::Algorithm;
use aims::jose::jws::{SigningInput, Unverified};
use aims::jose::key::SigningKey;
use aims::jose::time::{SystemClock, UnixTime};
use aims::jose::{json, provider, random};
use aims::oauth_client::{
    AuthorizationCode, AuthorizationRequest, ClientMetadata, DeviceRequest, DpopKey, Error,
    ManagementFlow, MemoryStore, Refresh, RegistrationFlow, Target, Token, TokenFlow, TokenRules,
    TokenSource, TokenStore, UserGrant, drive,
};
use aims::oauth_wire::client_auth::{Attestation, AttestedClient, Authenticate, PublicClient};
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::Issuer;
use serde_json::{Value, json as object};

use crate::Failure;
use crate::agent::discover;
use crate::peer::Peer;
use crate::table::Table;
use crate::user::{User, Visited};

const TOOL: &str = "https://tools.example/mcp";
const CALLBACK: &str = "http://127.0.0.1:51234/callback";

struct World {
    _peer: Peer,
    fetcher: Fetcher,
    server: Arc<ServerMetadata>,
    signing: Arc<SigningKey>,
    attester: SigningKey,
    table: Table,
}

/// Runs the suite.
pub(crate) async fn run(node: &str, script: &str) -> Result<(), Failure> {
    let key = |name: &str| -> Result<SigningKey, Failure> {
        let key = SigningKey::generate(Algorithm::Es256, provider::default())?;
        Ok(key.with_key_id(name))
    };
    let (signing, attester) = (key("request")?, key("attester")?);
    let keys = [
        ("SIGNING_KEY", &*signing.public_jwk().to_json()),
        ("ATTESTER_KEY", &*attester.public_jwk().to_json()),
    ];
    let peer = Peer::start_with(node, script, &keys)?;
    let fetcher = Fetcher::builder().allow_loopback_http().build()?;
    let server = discover(&fetcher, &Issuer::loopback(&peer.issuer)?).await?;
    let mut world = World {
        _peer: peer,
        fetcher,
        server: Arc::new(server),
        signing: Arc::new(signing),
        attester,
        table: Table::new("users"),
    };
    world.logs_in().await?;
    world.renews().await?;
    world.revokes().await?;
    world.signs_requests().await?;
    world.uses_a_device().await?;
    world.registers().await?;
    world.attests().await?;
    world.table.end()
}

fn code<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let refusal = error.refusal().map(|it| format!(" {}", it.error()));
            format!("{}{}", error.code(), refusal.unwrap_or_default())
        }
    }
}

fn native() -> Result<PublicClient, Failure> {
    Ok(PublicClient::new("native".parse()?))
}

fn target(scopes: &str) -> Result<Target, Failure> {
    Ok(Target::new(TOOL.parse()?, scopes.parse()?))
}

/// Returns a claim of an access token.
fn claim(token: &Token, name: &str) -> Result<Value, Failure> {
    let mut headers = http::HeaderMap::new();
    if token.is_bound() {
        return Err("a bound token is not read".into());
    }
    token.apply(&mut headers)?;
    let text = headers.get("authorization").ok_or("no token")?.to_str()?;
    let text = text.strip_prefix("Bearer ").ok_or("another scheme")?;
    let parsed = Unverified::parse_ignoring_key_references(text, usize::MAX)?;
    let claims: Value = json::from_object(parsed.unverified_payload()?)?;
    Ok(claims.get(name).cloned().unwrap_or_default())
}

impl World {
    fn source(&self, client: impl Authenticate + 'static) -> TokenSource {
        let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
        let server = (*self.server).clone();
        TokenSource::new(server, client, self.fetcher.clone())
            .with_timeout(Duration::from_secs(30))
            .with_store(store)
    }

    /// Has the user decide. Returns the code, and the URL that the browser opened.
    async fn ask(
        &self,
        request: AuthorizationRequest,
        client: impl Authenticate + 'static,
        key: Option<&DpopKey>,
    ) -> Result<(AuthorizationCode, String), Failure> {
        let (client, server) = (Arc::new(client), Arc::clone(&self.server));
        let now = UnixTime::now();
        let first = request.begin(client, server, key, random::SYSTEM, now)?;
        let authorizing = drive(first, &self.fetcher, &SystemClock::new()).await?;
        let url = authorizing.url().to_owned();
        let mut user = User::new(&self.fetcher);
        match user.visit(&url, CALLBACK).await? {
            Visited::Callback(back) => {
                let (_, query) = back.split_once('?').ok_or("no answer")?;
                Ok((authorizing.finish(query)?, url))
            }
            Visited::Page(page) => Err(format!("the user is at {page}").into()),
        }
    }

    fn request(scopes: &str) -> Result<AuthorizationRequest, Failure> {
        let request = AuthorizationRequest::new(CALLBACK.parse()?, target(scopes)?);
        Ok(request.prompt("consent"))
    }

    /// Refreshes once, with this token's refresh token, whatever a source has.
    async fn refresh(&self, token: &Token, scopes: &str) -> Result<Token, Error> {
        let target = Target::new(TOOL.parse()?, scopes.parse()?);
        let refresh = Refresh::of(token, target, TokenRules::new());
        let refresh = Arc::new(refresh.ok_or(Error::NeedsUser { last: None })?);
        let client = Arc::new(PublicClient::new("native".parse()?));
        let (server, rules, now) = (Arc::clone(&self.server), TokenRules::new(), UnixTime::now());
        let first = TokenFlow::begin(refresh, client, server, rules, now)?;
        drive(first, &self.fetcher, &SystemClock::new()).await
    }

    async fn logs_in(&mut self) -> Result<(), Failure> {
        self.table
            .part("a login (RFC 6749, 7636, 8252, 8707, 9126, 9207, 9449)");
        let scopes = "openid offline_access tools:call";
        let (granted, url) = self.ask(Self::request(scopes)?, native()?, None).await?;
        let is_pushed = url.contains("request_uri=") && !url.contains("code_challenge");
        self.table
            .row("the request is pushed", "true", &is_pushed.to_string());
        let source = self.source(native()?);
        let token = source.redeem(granted).await?;
        self.table.row("code with PKCE and an ID token", "ok", "ok");
        let audience = claim(&token, "aud")?;
        self.table.row(
            "the token is for the resource",
            TOOL,
            audience.as_str().unwrap_or("?"),
        );
        let refreshed = token.is_refreshable().to_string();
        self.table.row("a refresh token", "true", &refreshed);

        let key = DpopKey::generate(provider::default())?;
        let (granted, _) = self
            .ask(Self::request(scopes)?, native()?, Some(&key))
            .await?;
        self.table.row(
            "a pushed request with a proof: the nonce is used",
            "ok",
            "ok",
        );
        let source = self.source(native()?).with_dpop(key);
        let token = source.redeem(granted).await;
        let bound = token.as_ref().is_ok_and(|it| it.is_bound());
        self.table
            .row("a code with a proof: the nonce is used", "ok", &code(token));
        self.table
            .row("the token is bound to the key", "true", &bound.to_string());

        let key = DpopKey::generate(provider::default())?;
        let (granted, _) = self
            .ask(Self::request(scopes)?, native()?, Some(&key))
            .await?;
        let other = DpopKey::generate(provider::default())?;
        let source = self.source(native()?).with_dpop(other);
        let refused = code(source.redeem(granted).await);
        self.table.row(
            "a code of another key",
            "oauth.refused invalid_grant",
            &refused,
        );
        let unknown = Target::new("https://other.example".parse()?, "tools:call".parse()?);
        let request = AuthorizationRequest::new(CALLBACK.parse()?, unknown);
        let client = Arc::new(native()?);
        let (server, now) = (Arc::clone(&self.server), UnixTime::now());
        let first = request.begin(client, server, None, random::SYSTEM, now)?;
        let refused = drive(first, &self.fetcher, &SystemClock::new()).await;
        self.table.row(
            "an unknown resource",
            "oauth.refused invalid_target",
            &code(refused),
        );
        Ok(())
    }

    async fn renews(&mut self) -> Result<(), Failure> {
        self.table
            .part("renewal with rotation (RFC 6749 §6, RFC 9700 §4.14)");
        let scopes = "openid offline_access tools:call";
        let (granted, _) = self.ask(Self::request(scopes)?, native()?, None).await?;
        let source = self.source(native()?);
        let first = source.redeem(granted).await?;
        let grant = UserGrant::new(target(scopes)?);
        source.forget(&first);
        let second = source.token(grant.clone()).await;
        let is_new = second
            .as_ref()
            .is_ok_and(|it| it.fingerprint() != first.fingerprint());
        self.table.row("a renewal", "true", &is_new.to_string());
        let second = second?;
        source.forget(&second);
        let third = source.token(grant.clone()).await?;
        self.table
            .row("a renewal by the new refresh token", "ok", "ok");
        let refused = code(self.refresh(&first, scopes).await);
        let invalid = "oauth.refused invalid_grant";
        self.table
            .row("the first refresh token again", invalid, &refused);
        source.forget(&third);
        let ended = code(source.token(grant).await);
        self.table.row(
            "the grant has ended: the user is needed",
            "grant.needs_user",
            &ended,
        );
        Ok(())
    }

    async fn revokes(&mut self) -> Result<(), Failure> {
        self.table.part("logout (RFC 7009)");
        let scopes = "openid offline_access tools:call";
        let (granted, _) = self.ask(Self::request(scopes)?, native()?, None).await?;
        let source = self.source(native()?);
        let token = source.redeem(granted).await?;
        let out = source.revoke_all(&TOOL.parse()?, None).await;
        self.table
            .row("all grants for the tool are revoked", "ok", &code(out));
        let grant = UserGrant::new(target(scopes)?);
        self.table.row(
            "no token is left",
            "grant.needs_user",
            &code(source.token(grant).await),
        );
        let refused = code(self.refresh(&token, scopes).await);
        self.table
            .row("the refresh token", "oauth.refused invalid_grant", &refused);
        Ok(())
    }

    async fn signs_requests(&mut self) -> Result<(), Failure> {
        self.table.part("signed requests (RFC 9101)");
        let client = || Ok::<_, Failure>(PublicClient::new("signing".parse()?));
        let scopes = "openid tools:call";
        let signed = || {
            let request = Self::request(scopes)?;
            Ok::<_, Failure>(request.signed(Arc::clone(&self.signing)))
        };
        let (pushed, by_value) = (signed()?, signed()?.without_push());
        for (step, request) in [
            ("a pushed signed request", pushed),
            ("one in the URL", by_value),
        ] {
            let (granted, _) = self.ask(request, client()?, None).await?;
            let token = self.source(client()?).redeem(granted).await;
            self.table.row(step, "ok", &code(token));
        }
        let stranger = SigningKey::generate(Algorithm::Es256, provider::default())?;
        for (step, request, error) in [
            (
                "a request without a signature",
                Self::request(scopes)?,
                "request",
            ),
            (
                "a signature by another key",
                Self::request(scopes)?.signed(Arc::new(stranger)),
                "request_object",
            ),
        ] {
            let (client, server) = (Arc::new(client()?), Arc::clone(&self.server));
            let now = UnixTime::now();
            let first = request.begin(client, server, None, random::SYSTEM, now)?;
            let refused = code(drive(first, &self.fetcher, &SystemClock::new()).await);
            let expected = format!("oauth.refused invalid_{error}");
            self.table.row(step, &expected, &refused);
        }
        Ok(())
    }

    async fn uses_a_device(&mut self) -> Result<(), Failure> {
        self.table.part("device authorization (RFC 8628)");
        let client = || Ok::<_, Failure>(PublicClient::new("device".parse()?));
        let begin = |server: &Arc<ServerMetadata>| {
            let request = DeviceRequest::new(target("openid offline_access tools:call")?);
            let first = request.begin(Arc::new(client()?), Arc::clone(server), UnixTime::now())?;
            Ok::<_, Failure>(first)
        };
        let login = drive(begin(&self.server)?, &self.fetcher, &SystemClock::new()).await?;
        self.table.row("a code and a URL", "ok", "ok");
        let url = login
            .verification_uri_complete()
            .ok_or("no URL")?
            .as_str()
            .to_owned();
        let source = Arc::new(self.source(client()?));
        let polling = tokio::spawn({
            let source = Arc::clone(&source);
            async move { source.redeem(login.into_grant()).await }
        });
        let mut user = User::new(&self.fetcher);
        let Visited::Page(page) = user.visit(&url, CALLBACK).await? else {
            return Err("no page at the end".into());
        };
        let is_done = page.contains("successful").to_string();
        self.table.row("the user enters the code", "true", &is_done);
        let token = polling.await?;
        let audience = token.as_ref().ok().map(|it| claim(it, "aud")).transpose()?;
        self.table
            .row("the token arrives by polling", "ok", &code(token));
        let audience = audience.unwrap_or_default();
        self.table.row(
            "it is for the resource",
            TOOL,
            audience.as_str().unwrap_or("?"),
        );
        Ok(())
    }

    async fn registers(&mut self) -> Result<(), Failure> {
        self.table.part("registration and its end (RFC 7591, 7592)");
        let metadata = ClientMetadata::native("interop").redirect(CALLBACK.parse()?);
        let first = RegistrationFlow::begin(&metadata, &self.server, None)?;
        let registered = drive(first, &self.fetcher, &SystemClock::new()).await?;
        self.table.row("a native public client", "ok", "ok");
        let scopes = "openid tools:call";
        let client = PublicClient::new(registered.client_id().clone());
        let (granted, _) = self
            .ask(Self::request(scopes)?, client.clone(), None)
            .await?;
        let token = self.source(client.clone()).redeem(granted).await;
        self.table.row("it logs a user in", "ok", &code(token));
        for (step, expected) in [
            ("it is deleted", "ok"),
            ("the server has forgotten it", "client.registration_gone"),
        ] {
            let delete = ManagementFlow::delete(&registered)?;
            let deleted = drive(delete, &self.fetcher, &SystemClock::new()).await;
            self.table.row(step, expected, &code(deleted));
        }
        let request = Self::request(scopes)?;
        let (server, now) = (Arc::clone(&self.server), UnixTime::now());
        let first = request.begin(Arc::new(client), server, None, random::SYSTEM, now)?;
        let refused = code(drive(first, &self.fetcher, &SystemClock::new()).await);
        self.table.row(
            "a pushed request of it",
            "oauth.refused invalid_client",
            &refused,
        );
        Ok(())
    }

    async fn attests(&mut self) -> Result<(), Failure> {
        self.table
            .part("attestation-based client authentication (draft -11)");
        let instance = Arc::new(SigningKey::generate(Algorithm::Es256, provider::default())?);
        let stranger = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let attester = self.attester.clone();
        for (step, signer, proof, expected) in [
            (
                "an attestation and a proof with a challenge",
                &attester,
                &instance,
                "ok",
            ),
            (
                "of another attester",
                &stranger,
                &instance,
                "oauth.refused invalid_client",
            ),
            (
                "a proof by another key",
                &attester,
                &Arc::new(stranger.clone()),
                "oauth.refused invalid_client",
            ),
        ] {
            let now = UnixTime::now().as_secs();
            let jwk: Value = serde_json::from_str(&instance.public_jwk().to_json())?;
            let claims = object!({"sub": "attested", "iat": now, "exp": now + 300,
                "cnf": {"jwk": jwk}});
            let typ = "oauth-client-attestation+jwt";
            let text = SigningInput::new(typ, Algorithm::Es256, None, &claims)?.sign(signer)?;
            let (text, proof) = (text.into_secret(), Arc::clone(proof));
            let client = AttestedClient::new("attested".parse()?, move |_, _| {
                Ok(Attestation::new(text.clone(), Arc::clone(&proof)))
            });
            let source = self.source(client);
            let token = source
                .token_for(&TOOL.parse()?, &"tools:call".parse()?)
                .await;
            self.table.row(step, expected, &code(token));
        }
        Ok(())
    }
}
