//! The further members of a client's metadata: those of RFC 7591 §2, and of its extensions.

use aims_jose::alg::Algorithm;
use aims_jose::secret::SecretText;
use aims_oauth_wire::names::Endpoint;
use serde_json::Value;

use super::ClientMetadata;
use crate::Error;

/// The members that [`ClientMetadata::member`] refuses: those that this crate relies on, and those
/// that only a server states.
const RESERVED: [&str; 19] = [
    "application_type",
    "client_id",
    "client_id_issued_at",
    "client_name",
    "client_secret",
    "client_secret_expires_at",
    "client_uri",
    "grant_types",
    "jwks",
    "jwks_uri",
    "redirect_uris",
    "registration_access_token",
    "registration_client_uri",
    "response_types",
    "scope",
    "software_id",
    "software_version",
    "tls_client_certificate_bound_access_tokens",
    "token_endpoint_auth_method",
];

const DPOP_BOUND: &str = "dpop_bound_access_tokens";

impl ClientMetadata {
    /// Sets the URL of the client's keys, in place of the keys themselves.
    pub fn jwks_uri(mut self, url: &Endpoint) -> Self {
        self.jwks = None;
        self.with("jwks_uri", url.as_str())
    }

    /// Sets the URL of a logo of the client.
    pub fn logo_uri(self, url: impl Into<String>) -> Self {
        self.with("logo_uri", url.into())
    }

    /// Sets how to reach those who are responsible for the client, such as email addresses.
    pub fn contacts(self, contacts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with("contacts", texts(contacts))
    }

    /// Sets the URL of the terms of service.
    pub fn tos_uri(self, url: impl Into<String>) -> Self {
        self.with("tos_uri", url.into())
    }

    /// Sets the URL of the privacy policy.
    pub fn policy_uri(self, url: impl Into<String>) -> Self {
        self.with("policy_uri", url.into())
    }

    /// Sets a signed statement about the software (RFC 7591 §2.3). What it says takes precedence
    /// over the other members.
    pub fn software_statement(self, statement: &SecretText) -> Self {
        self.with("software_statement", statement.expose())
    }

    /// Asks for access tokens that are bound to a DPoP key, and for no others (RFC 9449 §5.2).
    pub fn require_dpop(self) -> Self {
        self.with(DPOP_BOUND, true)
    }

    /// Returns whether it asks for such tokens.
    #[cfg(feature = "tokio")]
    pub(crate) fn requires_dpop(&self) -> bool {
        let member = self.further.get(DPOP_BOUND);
        member.is_some_and(|it| *it != false)
    }

    /// Asks the server to accept only pushed authorization requests of this client (RFC 9126 §6).
    pub fn require_push(self) -> Self {
        self.with("require_pushed_authorization_requests", true)
    }

    /// Sets the types of `authorization_details` that the client uses (RFC 9396 §10).
    pub fn details_types(self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with("authorization_details_types", texts(types))
    }

    /// Asks for backchannel authentication with the delivery mode `poll` (CIBA Core §4). Add the
    /// grant type as well.
    pub fn backchannel_poll(mut self) -> Self {
        self.further
            .remove("backchannel_client_notification_endpoint");
        self.with("backchannel_token_delivery_mode", "poll")
    }

    /// Asks for backchannel authentication with the delivery mode `ping`, to this client
    /// notification endpoint (CIBA Core §4).
    pub fn backchannel_ping(self, endpoint: &Endpoint) -> Self {
        self.with("backchannel_token_delivery_mode", "ping").with(
            "backchannel_client_notification_endpoint",
            endpoint.as_str(),
        )
    }

    /// Sets the algorithm of the client's signed backchannel requests (CIBA Core §4).
    pub fn backchannel_signing_algorithm(self, algorithm: Algorithm) -> Self {
        self.with(
            "backchannel_authentication_request_signing_alg",
            algorithm.name(),
        )
    }

    /// States that the client sends the `user_code` of its users (CIBA Core §4).
    pub fn backchannel_user_code(self) -> Self {
        self.with("backchannel_user_code_parameter", true)
    }

    /// Sets the SPIFFE ID of the client. One that ends in `/*` stands for every workload below it
    /// (draft-ietf-oauth-spiffe-client-auth-02 §4).
    pub fn spiffe_id(self, id: impl Into<String>) -> Self {
        self.with("spiffe_id", id.into())
    }

    /// Sets the URL of the bundle of the client's trust domain
    /// (draft-ietf-oauth-spiffe-client-auth-02 §4).
    pub fn spiffe_bundle_endpoint(self, url: &Endpoint) -> Self {
        self.with("spiffe_bundle_endpoint", url.as_str())
    }

    /// Sets the profiles of authorization grants that the client uses
    /// (draft-ietf-oauth-identity-assertion-authz-grant-04 §7).
    pub fn grant_profiles(self, profiles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with("authorization_grant_profiles_supported", texts(profiles))
    }

    /// Sets a member by its name, for one that has no method here. If a member is set twice, the
    /// last call wins; so it is with `logo_uri` and others that also have a method.
    ///
    /// ```
    /// use aims_oauth_client::ClientMetadata;
    ///
    /// let metadata = ClientMetadata::native("My agent").member("client_name#de", "Mein Agent")?;
    /// assert!(metadata.to_json().contains(r##""client_name#de":"Mein Agent""##));
    /// # Ok::<(), aims_oauth_client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `client.metadata` for a member that this crate relies on, such as `redirect_uris`,
    /// `grant_types`, `scope`, `jwks`, `token_endpoint_auth_method` and those of the certificate,
    /// and for one that only a server states, such as `client_secret`.
    pub fn member(self, name: &str, value: impl Into<Value>) -> Result<Self, Error> {
        if RESERVED.contains(&name) || name.starts_with("tls_client_auth_") {
            return Err(Error::ClientMetadata {
                reason: "this member is set by its own method alone, or is for servers to state",
            });
        }
        Ok(self.with(name, value))
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.further.insert(name.to_owned(), value.into());
        self
    }
}

fn texts(all: impl IntoIterator<Item = impl Into<String>>) -> Value {
    all.into_iter().map(|it| Value::from(it.into())).collect()
}
