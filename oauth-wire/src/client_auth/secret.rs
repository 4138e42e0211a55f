//! `client_secret_basic` (RFC 6749 §2.3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use jose::secret::SecretText;
use jose::time::UnixTime;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::{Authenticate, expect_method, expect_unauthenticated, sensitive};
use crate::Error;
use crate::metadata::ServerMetadata;
use crate::names::ClientId;
use crate::token::TokenRequest;

/// A shared secret, for servers that know nothing better: whoever sees a request has it.
#[derive(Clone, Debug)]
pub struct ClientSecretBasic {
    client: ClientId,
    secret: SecretText,
}

impl ClientSecretBasic {
    /// A client with a secret.
    #[must_use]
    pub const fn new(client: ClientId, secret: SecretText) -> Self {
        Self { client, secret }
    }
}

impl Authenticate for ClientSecretBasic {
    fn client_id(&self) -> &ClientId {
        &self.client
    }

    fn authenticate(
        &self,
        request: &mut TokenRequest,
        server: &ServerMetadata,
        _now: UnixTime,
    ) -> Result<(), Error> {
        expect_method(server, "client_secret_basic")?;
        expect_unauthenticated(request, &self.client)?;
        // Each is form-urlencoded first, so that a colon in a name cannot move the border.
        let mut pair = Zeroizing::new(String::new());
        pair.extend(byte_serialize(self.client.as_str().as_bytes()));
        pair.push(':');
        pair.extend(byte_serialize(self.secret.expose().as_bytes()));
        let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        request.header(AUTHORIZATION, sensitive(&encoded)?)?;
        Ok(())
    }
}
