//! The setting: an authority that knows one agent, and what this one holds.

use std::sync::Arc;

use aims::cred::Identity;
use aims::cred::enrolment::{EnrolmentProof, IdentityClient};
use aims::fetch::{Fetch as _, Fetcher};
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock, UnixTime};
use aims::jose::{provider, random};
use aims_authority::{Client, Enrolment, Purpose, Resource, Server};
use tokio::net::TcpListener;

use crate::{AGENT, Failure, SCOPE};

/// A running authority, and the credentials of the agent that it knows.
pub(crate) struct Authority {
    pub(crate) url: String,
    key: SigningKey,
    wit: SecretText,
}

/// Starts the authority, and enrols the agent.
pub(crate) async fn start(server: &str, fetcher: &Fetcher) -> Result<Authority, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let tool = format!("{server}/mcp");
    let token = Enrolment::random_token(random::SYSTEM)?;
    let signing = SigningKey::generate(Algorithm::Es256, provider::default())?;
    let agent = Client::spiffe(AGENT.parse()?).or_by_jwt_svid();
    let authority = aims_authority::Authority::builder(&url, provider::default())
        .trust_domain("example.org")
        .signing_key(Purpose::WitSvid, signing.with_key_id("example"))
        .resource(Resource::new(tool.as_str()).with_scopes([SCOPE]))
        .enrol(Enrolment::by_token(AGENT.parse()?, &token)?)
        .client(agent.allow(tool, [SCOPE]));
    tokio::spawn(Server::new(authority.build(now())?).serve(listener));

    let key = SigningKey::generate(Algorithm::Es256, provider::default())?;
    let client = IdentityClient::new(&url)?;
    let (request, pending) = client.wit(&key, EnrolmentProof::Token(token));
    let (request, pending) = pending.finish(&fetcher.send(request).await?, now())?;
    let received = pending.finish(&fetcher.send(request).await?, now())?;
    let wit = received.text;
    Ok(Authority { url, key, wit })
}

impl Authority {
    /// The identity of the agent: its WIT and its key.
    pub(crate) fn identity(&self) -> Result<Identity, Failure> {
        let signer = Arc::new(self.key.clone());
        let public = self.key.public_jwk();
        Ok(Identity::new(self.wit.clone(), signer, public)?)
    }

    /// A JWT-SVID of the agent for the authorization server.
    pub(crate) async fn jwt_svid(&self, fetcher: &Fetcher) -> Result<SecretText, Failure> {
        let client = IdentityClient::new(&self.url)?;
        let (request, pending) = client.jwt_svid(&self.url, &self.wit, &self.key);
        let (request, pending) = pending.finish(&fetcher.send(request).await?, now())?;
        Ok(pending.finish(&fetcher.send(request).await?, now())?.text)
    }
}

fn now() -> UnixTime {
    SystemClock::new().now()
}
