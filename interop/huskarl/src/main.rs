//! A client of guarded tools that is built with the crate `huskarl`, and the validator of
//! `huskarl-resource-server` beside the guards.
//!
//!     ISSUER=https://… TOOL=http://… CA=ca.pem CLIENT_SECRET=… CALLS=[…] aims-interop-huskarl
//!
//! `interop/run live` starts it. It prints one JSON object a line: a heading, or a row.

mod validator;

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Uri};
use huskarl::authorizer::{HttpAuthorizer, dpop_resend_advised};
use huskarl::cache::{GrantTokenSource, InMemoryRefreshTokenStore, InMemoryTokenCache};
use huskarl::core::client_auth::ClientSecret;
use huskarl::core::dpop::DPoP;
use huskarl::core::secrets::EnvVarSecret;
use huskarl::core::server_metadata::AuthorizationServerMetadata;
use huskarl::grant::client_credentials::{
    ClientCredentialsGrant, ClientCredentialsGrantParameters,
};
use huskarl_crypto_native::asymmetric::signer::{GenerateAlgorithm, PrivateKey};
use huskarl_reqwest::ReqwestClient;
use serde_json::json;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The parts that all steps use.
pub(crate) struct World {
    pub(crate) tool: String,
    pub(crate) requests: reqwest::Client,
    pub(crate) metadata: AuthorizationServerMetadata,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let ca = std::fs::read(std::env::var("CA")?)?;
    let requests = reqwest::Client::builder()
        .tls_certs_merge([reqwest::Certificate::from_pem(&ca)?])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()?;
    let client = ReqwestClient::from(requests.clone());
    let metadata = AuthorizationServerMetadata::fetch()
        .http_client(&client)
        .issuer(std::env::var("ISSUER")?)
        .call()
        .await?;
    let world = World {
        tool: std::env::var("TOOL")?,
        requests,
        metadata,
    };
    part("huskarl as the client");
    for kind in ["jwt", "opaque", "opaque-signed"] {
        let client = world.bearer(kind, "tools:call")?;
        row(
            &format!("{kind}: a call"),
            "200",
            &client.call(kind).await?.said(),
        );
        row(
            &format!("{kind}: the next call"),
            "200",
            &client.call(kind).await?.said(),
        );
        let client = world.bearer(kind, "tools:read")?;
        let answer = client.call(kind).await?;
        row(
            &format!("{kind}: with another scope"),
            "403 guard.scope",
            &answer.said(),
        );
    }
    let client = world.bearer("jwt", "tools:call")?;
    let answer = client.call("opaque").await?;
    row(
        "a token for another tool",
        "401 token.audience",
        &answer.said(),
    );
    for (name, key) in [
        ("ES256", GenerateAlgorithm::Es256),
        ("Ed25519", GenerateAlgorithm::Ed25519),
    ] {
        let client = world.bound("dpop", key)?;
        let answer = client.call("dpop").await?;
        row(
            &format!("DPoP, {name}: the first call"),
            "200 after 2 requests",
            &answer.counted(),
        );
        let answer = client.call("dpop").await?;
        row(
            &format!("DPoP, {name}: the next call"),
            "200 after 1 requests",
            &answer.counted(),
        );
    }
    validator::beside_the_guard(&world).await?;
    validator::before_the_project(&world, &std::env::var("CALLS")?).await
}

impl World {
    fn grant(&self, id: &str, dpop: Option<PrivateKey>) -> Result<ClientCredentialsGrant, Failure> {
        let builder = ClientCredentialsGrant::builder_from_metadata(&self.metadata)
            .client_id(id)
            .client_auth(ClientSecret::new(EnvVarSecret::string("CLIENT_SECRET")?))
            .http_client(ReqwestClient::from(self.requests.clone()));
        Ok(match dpop {
            Some(key) => builder.dpop(DPoP::builder().signer(key).build()).build(),
            None => builder.build(),
        })
    }

    fn client(&self, grant: ClientCredentialsGrant, kind: &str, scope: &str) -> Client<'_> {
        let parameters = ClientCredentialsGrantParameters::builder()
            .scope(vec![scope.to_owned()])
            .resource(vec![format!("{}/{kind}", self.tool)])
            .build();
        let source = GrantTokenSource::builder()
            .grant(grant)
            .grant_parameters(parameters)
            .refresh_store(InMemoryRefreshTokenStore::default())
            .build();
        let cache = InMemoryTokenCache::builder().source(source).build();
        Client {
            world: self,
            authorizer: HttpAuthorizer::builder().cache(cache).build(),
        }
    }

    pub(crate) fn bearer(&self, kind: &str, scope: &str) -> Result<Client<'_>, Failure> {
        Ok(self.client(self.grant("agent", None)?, kind, scope))
    }

    fn bound(&self, kind: &str, key: GenerateAlgorithm) -> Result<Client<'_>, Failure> {
        let key = PrivateKey::generate(key, None)?;
        Ok(self.client(self.grant("agent-dpop", Some(key))?, kind, "tools:call"))
    }
}

/// One client with one token.
pub(crate) struct Client<'a> {
    world: &'a World,
    authorizer: HttpAuthorizer,
}

/// The answer of the tool.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    requests: u32,
}

impl Client<'_> {
    /// Returns the header fields of a call: the token, and a proof for a bound one.
    pub(crate) async fn headers(&self, uri: &Uri) -> Result<HeaderMap, Failure> {
        Ok(self.authorizer.get_headers(&Method::POST, uri).await?)
    }

    /// Calls the tool of this kind. The request is sent once more where the crate advises so.
    pub(crate) async fn call(&self, kind: &str) -> Result<Answer, Failure> {
        let uri: Uri = format!("{}/{kind}/call", self.world.tool).parse()?;
        let mut requests = 0;
        loop {
            requests += 1;
            let headers = self.headers(&uri).await?;
            let answer = self.world.send(&uri, headers).await?;
            self.authorizer.process_response(&uri, &answer.headers);
            if requests > 1 || !dpop_resend_advised(answer.status, &answer.headers) {
                return Ok(Answer { requests, ..answer });
            }
        }
    }
}

impl World {
    pub(crate) async fn send(&self, uri: &Uri, headers: HeaderMap) -> Result<Answer, Failure> {
        let answer = self
            .requests
            .post(uri.to_string())
            .headers(headers)
            .body("x")
            .send()
            .await?;
        Ok(Answer {
            status: answer.status(),
            headers: answer.headers().clone(),
            requests: 1,
        })
    }
}

impl Answer {
    /// Returns the status, and the code of a refusal as the test server states it.
    pub(crate) fn said(&self) -> String {
        let code = self
            .headers
            .get("refusal-code")
            .and_then(|it| it.to_str().ok());
        let status = self.status.as_u16();
        code.map_or(status.to_string(), |code| format!("{status} {code}"))
    }

    fn counted(&self) -> String {
        format!("{} after {} requests", self.said(), self.requests)
    }
}

pub(crate) fn part(title: &str) {
    println!("{}", json!({ "part": title }));
}

pub(crate) fn row(step: &str, expected: &str, seen: &str) {
    println!(
        "{}",
        json!({ "step": step, "expected": expected, "seen": seen })
    );
}
