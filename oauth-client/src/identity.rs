//! The identity of the client at an authorization server: known before, by a metadata document, or
//! registered dynamically.

use std::fmt;
use std::sync::Arc;

use aims_jose::key::AnySigner;
use aims_jose::secret::SecretText;
use aims_oauth_wire::client_auth::{Authenticate, PublicClient};
use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
use aims_oauth_wire::names::{ClientId, Issuer};
use url::Url;

use crate::Error;

mod manage;
mod metadata;
mod register;

pub use manage::ManagementFlow;
pub use metadata::{ApplicationType, ClientMetadata, TlsSubject};
pub use register::{Registered, RegistrationFlow};

/// The identities of a client at the servers that it may meet.
///
/// At each server, the first that is possible is used, in the order of the MCP authorization
/// specification: the identity that was registered there before, the URL of the client's metadata
/// document if the server takes those, dynamic registration. An identity is used at no other
/// server; only the URL of a metadata document is the same everywhere.
///
/// ```
/// use aims_oauth_client::{ClientMetadata, Identities};
///
/// let document = "https://agent.example/client.json";
/// let metadata = ClientMetadata::native("My agent");
/// let identities = Identities::new().metadata_document(document)?.register(metadata);
/// # drop(identities);
/// # Ok::<(), aims_oauth_client::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "identities are given to a `Connector`"]
pub struct Identities {
    known: Vec<(Option<Issuer>, Arc<dyn Authenticate>)>,
    document: Option<Arc<dyn Authenticate>>,
    metadata: Option<ClientMetadata>,
    key: Option<AnySigner>,
    access: Vec<(Issuer, SecretText)>,
}

/// The identity of a client at one server.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller handles every case")]
pub enum Identity {
    /// The client is known at this server.
    Registered(Arc<dyn Authenticate>),
    /// The URL of the client's metadata document is its identifier.
    MetadataDocument(Arc<dyn Authenticate>),
    /// The client must be registered with this metadata first.
    Register(Box<ClientMetadata>),
}

impl Identities {
    /// Creates no identities.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the identity that is registered at this server.
    pub fn registered(mut self, issuer: Issuer, client: impl Authenticate + 'static) -> Self {
        self.known.push((Some(issuer), Arc::new(client)));
        self
    }

    /// Adds an identity that is valid at every accepted server, such as a workload identity.
    ///
    /// A shared secret must not be used so, because each server could use it at the others.
    pub fn everywhere(mut self, client: impl Authenticate + 'static) -> Self {
        self.known.push((None, Arc::new(client)));
        self
    }

    /// Sets the URL of the client's metadata document, for a public client
    /// (draft-ietf-oauth-client-id-metadata-document).
    ///
    /// # Errors
    ///
    /// `client.document` if the URL cannot be a client identifier: expected `https` with a path,
    /// without fragment, user or dot segments.
    pub fn metadata_document(self, url: &str) -> Result<Self, Error> {
        self.document_client(PublicClient::new(document_url(url)?))
    }

    /// Sets the client whose identifier is the URL of its metadata document, with its own
    /// authentication, such as `private_key_jwt` with a key of the document.
    ///
    /// ```
    /// use aims_jose::key::AnySigner;
    /// use aims_oauth_client::{Error, Identities};
    /// use aims_oauth_wire::client_auth::PrivateKeyJwt;
    ///
    /// fn with_key(key: AnySigner) -> Result<Identities, Error> {
    ///     let url = "https://agent.example/client.json".parse()?;
    ///     Identities::new().document_client(PrivateKeyJwt::new(url, key))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `client.document` if the identifier of the client cannot be the URL of a document.
    pub fn document_client(mut self, client: impl Authenticate + 'static) -> Result<Self, Error> {
        document_url(client.client_id().as_str())?;
        self.document = Some(Arc::new(client));
        Ok(self)
    }

    /// Allows the client to register itself with this metadata (RFC 7591).
    pub fn register(mut self, metadata: ClientMetadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Allows the client to register itself with this metadata, and to authenticate with this key
    /// (`private_key_jwt`). The metadata contain its public key.
    ///
    /// ```
    /// use aims_jose::jwk::Jwk;
    /// use aims_jose::key::AnySigner;
    /// use aims_oauth_client::{ClientMetadata, Identities};
    ///
    /// fn with_key(public: &Jwk, private: AnySigner) -> Identities {
    ///     let metadata = ClientMetadata::web("My agent", public);
    ///     Identities::new().register_with_key(metadata, private)
    /// }
    /// ```
    pub fn register_with_key(
        mut self,
        metadata: ClientMetadata,
        key: impl Into<AnySigner>,
    ) -> Self {
        self.key = Some(key.into());
        self.register(metadata)
    }

    /// Sets the initial access token of this server, which allows a registration there (RFC 7591
    /// §3). It is sent to no other server.
    pub fn initial_access_token(mut self, issuer: Issuer, token: impl Into<SecretText>) -> Self {
        self.access.push((issuer, token.into()));
        self
    }

    /// Returns the key of a registered client.
    #[cfg(feature = "tokio")]
    pub(crate) const fn key(&self) -> Option<&AnySigner> {
        self.key.as_ref()
    }

    /// Returns the initial access token of this server.
    #[cfg(feature = "tokio")]
    pub(crate) fn access(&self, server: &Issuer) -> Option<&SecretText> {
        let mut all = self.access.iter();
        let found = all.find(|(issuer, _)| issuer.equals_in_discovery(server));
        found.map(|(_, token)| token)
    }

    /// Returns the identity at this server.
    ///
    /// # Errors
    ///
    /// `client.none` if none is possible there.
    pub fn at(&self, server: &ServerMetadata) -> Result<Identity, Error> {
        let own = |issuer: &Option<Issuer>| match issuer {
            Some(issuer) => issuer.equals_in_discovery(server.issuer()),
            None => true,
        };
        let exact = self
            .known
            .iter()
            .find(|(issuer, _)| issuer.is_some() && own(issuer));
        let known = exact.or_else(|| self.known.iter().find(|(issuer, _)| own(issuer)));
        if let Some((_, client)) = known {
            return Ok(Identity::Registered(Arc::clone(client)));
        }
        if let Some(client) = self
            .document
            .as_ref()
            .filter(|_| server.takes_metadata_documents())
        {
            return Ok(Identity::MetadataDocument(Arc::clone(client)));
        }
        let registers = server.endpoint(EndpointKind::Registration).is_some();
        if let Some(metadata) = self.metadata.as_ref().filter(|_| registers) {
            return Ok(Identity::Register(Box::new(metadata.clone())));
        }
        Err(Error::NoIdentity {
            issuer: server.issuer().clone(),
        })
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("known", &self.known)
            .field("document", &self.document)
            .field("metadata", &self.metadata)
            .finish()
    }
}

/// Checks the URL of a metadata document
/// (draft-ietf-oauth-client-id-metadata-document-02 §3).
fn document_url(text: &str) -> Result<ClientId, Error> {
    let url = Url::parse(text).map_err(|_invalid| Error::DocumentUrl)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let has_path = !matches!(url.path(), "" | "/");
    // The parser removes dot segments, so the text must be what it writes.
    if url.scheme() != "https"
        || has_user
        || !has_path
        || text.contains('#')
        || url.as_str() != text
    {
        return Err(Error::DocumentUrl);
    }
    Ok(text.parse()?)
}
