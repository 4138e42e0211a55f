//! A job of a CI system has the token of its platform and no secret: the authority of the tool
//! takes that token from a public client, and the tool accepts what it gives.

#![cfg(all(feature = "agent", feature = "tool"))]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aims::fetch::{Fetch, FetchFuture};
use aims::jose::key::SigningKey;
use aims::oauth_client::{Connector, GrantAudience, Identities};
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::client_auth::PublicClient;
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::{Agent, Guard, Requirements};
use aims_authority::{Authority, Client, IncomingGrants, MapSubject, Resource};
use common::{CALL, Calls, ISSUER, NOW, TOOL, Then, at};
use http::{Request, Response};
use serde_json::{Value, json};

const PLATFORM: &str = "https://platform.example";
const SITE: &str = "repo:shop/site:environment:production";

#[derive(Debug)]
struct Jobs;

impl MapSubject for Jobs {
    fn subject(&self, _issuer: &str, subject: &str) -> Option<String> {
        Some(format!("job:{subject}"))
    }
}

/// The authority and the tool, in this process.
#[derive(Clone, Debug)]
struct Net {
    authority: Arc<Authority>,
    guard: Guard,
    /// The subjects of the accepted calls.
    callers: Arc<Mutex<Vec<String>>>,
}

fn key_set(key: &SigningKey) -> String {
    format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json())
}

impl Net {
    fn new(platform: &SigningKey) -> Self {
        let keys = IssuerStore::new();
        let issuer = PLATFORM.parse().unwrap();
        let set = key_set(platform);
        keys.set(&issuer, set.as_bytes(), common::provider())
            .unwrap();
        let rules = IncomingGrants::new(issuer, Arc::new(keys), Arc::new(Jobs))
            .accept_jwt()
            .ignore_further_claims()
            .accept_public_client("deploy-job", SITE);
        let job = Client::public("deploy-job").grants_of(PLATFORM);
        let authority = Authority::builder(ISSUER, common::provider())
            .trust_domain("example.org")
            .host("as.example")
            .resource(Resource::new(TOOL).with_scopes(["deploy", "destroy"]))
            .incoming_grants(rules)
            .client(job.allow(TOOL, ["deploy"]))
            .build(at(NOW - 100))
            .unwrap();
        let issuers = IssuerStore::new();
        let own = authority.oauth().jwks(at(NOW));
        let issuer = ISSUER.parse().unwrap();
        issuers
            .set(&issuer, own.as_bytes(), common::provider())
            .unwrap();
        let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
        let guard = Guard::builder(TOOL)
            .trust(Arc::default())
            .issuers(Arc::new(issuers))
            .metadata(metadata.with_authorization_server(issuer))
            .require(
                Requirements::new()
                    .scopes("deploy".parse().unwrap())
                    .accept_bearer(),
            );
        Self {
            authority: Arc::new(authority),
            guard: guard.build().unwrap(),
            callers: Arc::default(),
        }
    }

    fn tool(&self, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        let published = self.guard.published().unwrap();
        if request.uri().path() == published.path() {
            return published.to_response();
        }
        match self.guard.check(&request.into_parts().0, at(NOW)) {
            Ok(caller) => {
                let subject = caller.subject().to_owned();
                self.callers.lock().unwrap().push(subject);
                Response::new(Vec::new())
            }
            Err(refusal) => refusal.into_response(),
        }
    }
}

impl Fetch for Net {
    fn send(&self, mut request: Request<Vec<u8>>) -> FetchFuture<'_> {
        let host = request.uri().host().unwrap().to_owned();
        let path = request.uri().path_and_query().unwrap().to_string();
        *request.uri_mut() = path.parse().unwrap();
        let headers = request.headers_mut();
        headers.insert("host", host.parse().unwrap());
        let answer = match host.as_str() {
            "as.example" => self.authority.handle(&request, None, at(NOW)),
            _ => self.tool(request),
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// The file with the token, which the platform writes.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("aims-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join("token")
    }

    fn write(&self, platform: &SigningKey, claims: &Value) {
        let token = common::sign("JWT", platform, claims);
        std::fs::write(self.path(), format!("{token}\n")).unwrap();
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn job(number: u64) -> Value {
    json!({
        "iss": PLATFORM, "sub": SITE, "aud": ISSUER, "iat": NOW, "exp": NOW + 200,
        "jti": number.to_string(), "repository": "shop/site",
    })
}

fn agent(net: &Net, file: &TokenFile) -> Agent {
    let path = file.path();
    let client = PublicClient::new("deploy-job".parse().unwrap());
    let connector = Connector::new(Identities::new().everywhere(client), net.clone())
        .with_clock(Then)
        .accept_issuers([ISSUER.parse().unwrap()])
        .by_assertion(GrantAudience::Issuer, move |_audience, _now| {
            let token = std::fs::read_to_string(&path)?;
            Ok(token.trim().into())
        });
    Agent::without_identity()
        .clock(Then)
        .connect(TOOL.parse().unwrap(), connector)
        .client(Calls(net.clone()))
        .build()
        .unwrap()
}

async fn call(agent: &Agent) -> Option<u16> {
    let request = Request::post(CALL).body("{}".to_owned()).unwrap();
    Some(agent.send(request).await.ok()?.status().as_u16())
}

/// AIM-02, JWTA-10: the token of the platform in a file is all that the job has.
#[tokio::test]
async fn a_job_calls_a_tool_by_the_token_of_its_platform() {
    let platform = common::key(aims::jose::Algorithm::Es256);
    let (net, file) = (Net::new(&platform), TokenFile::new("good"));
    file.write(&platform, &job(1));
    let own = agent(&net, &file);
    for _ in 0..2 {
        assert_eq!(call(&own).await, Some(200));
    }
    assert_eq!(*net.callers.lock().unwrap(), vec![format!("job:{SITE}"); 2]);
    // Who takes the file gets no second token.
    assert_eq!(call(&agent(&net, &file)).await, None);
    file.write(&platform, &job(2));
    assert_eq!(call(&agent(&net, &file)).await, Some(200));
}

/// AIM-02: another workload of the same platform does not reach the tool.
#[tokio::test]
async fn another_job_does_not() {
    let platform = common::key(aims::jose::Algorithm::Es256);
    let (net, file) = (Net::new(&platform), TokenFile::new("other"));
    let mut other = job(1);
    other["sub"] = "repo:shop/site:pull_request".into();
    file.write(&platform, &other);
    assert_eq!(call(&agent(&net, &file)).await, None);
    assert!(net.callers.lock().unwrap().is_empty());
}
