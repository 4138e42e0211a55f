//! The credentials that the suite gives to a scenario.

use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::jose::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::jose::secret::SecretText;
use aims::jose::time::SystemClock;
use aims::oauth_client::{ClientMetadata, Connector, Identities, KnownServer, SubjectToken};
use aims::oauth_wire::client_auth::{ClientSecretBasic, PrivateKeyJwt, PublicClient};
use aims::oauth_wire::names::Issuer;
use serde::Deserialize;

use crate::Failure;

/// The URL of the client's metadata document that the suite expects. It is not fetched.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

#[derive(Default, Deserialize)]
pub(crate) struct Context {
    #[serde(default)]
    name: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    private_key_pem: Option<String>,
    idp_client_id: Option<String>,
    idp_id_token: Option<String>,
    idp_issuer: Option<String>,
}

impl Context {
    pub(crate) fn from_env() -> Result<Self, Failure> {
        match std::env::var("MCP_CONFORMANCE_CONTEXT") {
            Ok(json) => Ok(serde_json::from_str(&json)?),
            Err(_absent) => Ok(Self::default()),
        }
    }

    /// Returns the identities of the client: one that is registered, or else those that the client
    /// makes itself.
    pub(crate) fn identities(&self) -> Result<Identities, Failure> {
        let identities = Identities::new();
        let Some(client) = &self.client_id else {
            let metadata = ClientMetadata::native("aims conformance").accept_secret();
            return Ok(identities.metadata_document(DOCUMENT)?.register(metadata));
        };
        // A real program names the issuer. Here its port is not known before.
        let client = client.parse()?;
        Ok(match (&self.private_key_pem, &self.client_secret) {
            (Some(pem), _) => {
                let provider = provider::compiled().ok_or("no cryptography")?;
                let key = SigningKey::from_pkcs8_pem(pem, Algorithm::Es256, provider)?;
                identities.everywhere(PrivateKeyJwt::new(client, Arc::new(key)))
            }
            (None, Some(secret)) => {
                let secret = SecretText::new(secret.as_str());
                identities.everywhere(ClientSecretBasic::new(client, secret))
            }
            (None, None) => return Err("a client without a credential".into()),
        })
    }

    /// Adds the grants that the credentials are for. A user in a browser comes last.
    pub(crate) async fn grants(
        &self,
        connector: Connector,
        fetcher: &Fetcher,
    ) -> Result<Connector, Failure> {
        let mut connector = connector;
        if self.name.starts_with("auth/client-credentials") {
            connector = connector.as_itself();
        }
        let (Some(issuer), Some(client), Some(token)) =
            (&self.idp_issuer, &self.idp_client_id, &self.idp_id_token)
        else {
            return Ok(connector);
        };
        let issuer = issuer
            .parse()
            .or_else(|_not_https| Issuer::loopback(issuer))?;
        let provider = KnownServer::discover(&issuer, fetcher, &SystemClock::new()).await?;
        let provider = provider.server().as_ref().clone();
        let client = PublicClient::new(client.parse()?);
        let subject = SubjectToken::id_token(token.as_str());
        let known_as = self.client_id.as_deref().map(str::parse).transpose()?;
        Ok(connector.by_identity_provider(provider, client, subject, known_as))
    }
}
