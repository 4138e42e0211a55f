//! Authorization server metadata (RFC 8414 §2, RFC 9728 §4).

use aims_jose::Algorithm;
use serde::Serialize;

use super::AuthorizationServer;

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    jwks_uri: String,
    response_types_supported: [&'a str; 0],
    grant_types_supported: [&'a str; 1],
    token_endpoint_auth_methods_supported: Vec<&'a str>,
    token_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
    client_attestation_signing_alg_values_supported: Vec<&'a str>,
    client_attestation_pop_signing_alg_values_supported: Vec<&'a str>,
    scopes_supported: Vec<&'a str>,
    protected_resources: Vec<&'a str>,
}

impl AuthorizationServer {
    /// The metadata document.
    #[must_use]
    pub fn metadata(&self) -> String {
        let svid = |algorithm: &Algorithm| aims_jose::AlgorithmSet::SVID.contains(*algorithm);
        let supported = Algorithm::ALL
            .iter()
            .filter(|it| self.provider.supports(**it));
        let all: Vec<&str> = supported.clone().map(|it| it.name()).collect();
        let svids: Vec<&str> = supported
            .filter(|it| svid(it))
            .map(|it| it.name())
            .collect();
        let mut methods = vec!["private_key_jwt", "spiffe_wit"];
        if self.registry.accepts_jwt_svids() {
            methods.push("spiffe_jwt");
        }
        let metadata = Metadata {
            issuer: self.base.as_str(),
            token_endpoint: self.base.join("/token"),
            jwks_uri: self.base.join("/jwks"),
            response_types_supported: [],
            grant_types_supported: ["client_credentials"],
            token_endpoint_auth_methods_supported: methods,
            // META-07: there for the JWT methods, and never `none`.
            token_endpoint_auth_signing_alg_values_supported: all,
            client_attestation_signing_alg_values_supported: svids.clone(),
            client_attestation_pop_signing_alg_values_supported: svids,
            scopes_supported: self.registry.scopes().into_iter().collect(),
            protected_resources: self.registry.resources().into_iter().collect(),
        };
        // Strings always serialize.
        serde_json::to_string(&metadata).unwrap_or_default()
    }
}
