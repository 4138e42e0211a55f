//! The environment of the example: an authority that knows two agents, and their enrolment.

use std::sync::Arc;

use aims::cred::enrolment::{EnrolmentProof, IdentityClient, enrol};
use aims::cred::source::RenewingSource;
use aims::fetch::{Fetch as _, Fetcher};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock, UnixTime};
use aims::jose::{provider, random};
use aims_authority::{Client, Enrolment, Purpose, Resource, Server};
use tokio::net::TcpListener;

use crate::{AGENTS, Failure, LEGACY, PLANNER, SCOPE};

/// A running authority that knows two agents, and their bootstrap tokens.
pub(crate) struct Authority {
    pub(crate) url: String,
    planner: SecretText,
    legacy: SecretText,
}

/// Starts the authority.
pub(crate) async fn start(server: &str) -> Result<Authority, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let tool = format!("{server}/mcp");
    let planner = Enrolment::random_token(random::SYSTEM)?;
    let legacy = Enrolment::random_token(random::SYSTEM)?;
    let signing = SigningKey::generate(Algorithm::Es256, provider::default())?;
    let agents = Client::spiffe(AGENTS.parse()?).or_by_jwt_svid();
    let authority = aims_authority::Authority::builder(&url, provider::default())
        .trust_domain("example.org")
        .signing_key(Purpose::WitSvid, signing.with_key_id("example"))
        .resource(Resource::new(tool.as_str()).with_scopes([SCOPE]))
        .enrol(Enrolment::by_token(PLANNER.parse()?, &planner)?)
        .enrol(Enrolment::by_token(LEGACY.parse()?, &legacy)?)
        .client(agents.allow(tool, [SCOPE]));
    tokio::spawn(Server::new(authority.build(now())?).serve(listener));
    Ok(Authority {
        url,
        planner,
        legacy,
    })
}

impl Authority {
    /// Enrols the planner and returns its identity, which renews itself.
    pub(crate) async fn enrol(&self, fetcher: &Fetcher) -> Result<Arc<RenewingSource>, Failure> {
        let proof = EnrolmentProof::Token(self.planner.clone());
        let source = enrol(&self.url, proof, fetcher.clone(), provider::default());
        Ok(Arc::new(source.await?))
    }

    /// Enrols the legacy agent step by step, and returns a JWT-SVID for the authorization server.
    pub(crate) async fn jwt_svid(&self, fetcher: &Fetcher) -> Result<SecretText, Failure> {
        let client = IdentityClient::new(&self.url)?;
        let key = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let (request, pending) = client.wit(&key, EnrolmentProof::Token(self.legacy.clone()));
        let (request, pending) = pending.finish(&fetcher.send(request).await?, now())?;
        let wit = pending.finish(&fetcher.send(request).await?, now())?.text;
        let (request, pending) = client.jwt_svid(&self.url, &wit, &key);
        let (request, pending) = pending.finish(&fetcher.send(request).await?, now())?;
        Ok(pending.finish(&fetcher.send(request).await?, now())?.text)
    }
}

fn now() -> UnixTime {
    SystemClock::new().now()
}
