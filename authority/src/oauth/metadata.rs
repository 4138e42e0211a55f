//! Authorization server metadata (RFC 8414 §2, RFC 9728 §4).

use std::collections::BTreeMap;

use aims_jose::Algorithm;
use serde::Serialize;

use super::AuthorizationServer;
use crate::endpoint::ENDPOINTS;

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    /// The URLs of endpoints: `token_endpoint`, `jwks_uri` and others.
    #[serde(flatten)]
    endpoints: BTreeMap<&'a str, String>,
    response_types_supported: [&'a str; 0],
    grant_types_supported: Vec<&'a str>,
    token_endpoint_auth_methods_supported: Vec<&'a str>,
    token_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
    client_attestation_signing_alg_values_supported: Vec<&'a str>,
    client_attestation_pop_signing_alg_values_supported: Vec<&'a str>,
    dpop_signing_alg_values_supported: Vec<&'a str>,
    scopes_supported: Vec<&'a str>,
    protected_resources: Vec<&'a str>,
}

impl AuthorizationServer {
    /// Returns the metadata document.
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
            endpoints: ENDPOINTS
                .iter()
                .filter_map(|endpoint| endpoint.metadata_member(&self.base))
                .collect(),
            response_types_supported: [],
            grant_types_supported: self.grants.names().collect(),
            token_endpoint_auth_methods_supported: methods,
            // RFC 8414 §2 requires it for methods that sign a JWT, and forbids `none`.
            token_endpoint_auth_signing_alg_values_supported: all.clone(),
            dpop_signing_alg_values_supported: all,
            client_attestation_signing_alg_values_supported: svids.clone(),
            client_attestation_pop_signing_alg_values_supported: svids,
            scopes_supported: self.registry.scopes().into_iter().collect(),
            protected_resources: self.registry.resources().into_iter().collect(),
        };
        // Strings always serialize.
        serde_json::to_string(&metadata).unwrap_or_default()
    }
}
