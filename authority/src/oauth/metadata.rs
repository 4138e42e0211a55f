//! Authorization server metadata (RFC 8414 §2, RFC 9728 §4).

use std::collections::BTreeMap;

use aims_jose::Algorithm;
use serde::Serialize;

use super::AuthorizationServer;
use crate::endpoint::{ENDPOINTS, Methods, Part};

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    /// The URLs of endpoints: `token_endpoint`, `jwks_uri` and others.
    #[serde(flatten)]
    endpoints: BTreeMap<&'a str, String>,
    response_types_supported: Vec<&'a str>,
    grant_types_supported: Vec<&'a str>,
    token_endpoint_auth_methods_supported: Vec<&'a str>,
    token_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
    client_attestation_signing_alg_values_supported: Vec<&'a str>,
    client_attestation_pop_signing_alg_values_supported: Vec<&'a str>,
    dpop_signing_alg_values_supported: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    revocation: Option<RevocationMetadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    introspection: Option<IntrospectionMetadata<'a>>,
    scopes_supported: Vec<&'a str>,
    protected_resources: Vec<&'a str>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
    /// RFC 8705 §5.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mtls_endpoint_aliases: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    backchannel: Option<BackchannelMetadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    users: Option<UserMetadata<'a>>,
    /// draft-ietf-oauth-identity-assertion-authz-grant §7. It does not name the trusted issuers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_grant_profiles_supported: Vec<&'a str>,
    /// draft-ietf-oauth-identity-chaining §3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identity_chaining_requested_token_types_supported: Vec<&'a str>,
}

/// The members for clients that revoke their tokens (RFC 8414 §2).
#[derive(Serialize)]
struct RevocationMetadata<'a> {
    revocation_endpoint_auth_methods_supported: Vec<&'a str>,
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
}

/// The members for resource servers that introspect (RFC 8414 §2, RFC 9701 §7).
#[derive(Serialize)]
struct IntrospectionMetadata<'a> {
    introspection_endpoint_auth_methods_supported: Vec<&'a str>,
    introspection_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
    introspection_signing_alg_values_supported: [&'a str; 1],
}

/// The members for clients that ask users on another device (OpenID CIBA Core 1.0 §4).
#[derive(Serialize)]
struct BackchannelMetadata<'a> {
    backchannel_token_delivery_modes_supported: [&'a str; 2],
    backchannel_authentication_request_signing_alg_values_supported: Vec<&'a str>,
    backchannel_user_code_parameter_supported: bool,
}

/// The members for clients that act for users.
#[derive(Serialize)]
struct UserMetadata<'a> {
    response_modes_supported: [&'a str; 1],
    /// RFC 7636. Without it, clients assume that there is no PKCE.
    code_challenge_methods_supported: [&'a str; 1],
    /// RFC 9207 §3.
    authorization_response_iss_parameter_supported: bool,
    /// RFC 9101 §10.5.
    request_parameter_supported: bool,
    request_object_signing_alg_values_supported: Vec<&'a str>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    client_id_metadata_document_supported: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    acr_values_supported: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_details_types_supported: Vec<&'a str>,
}

impl AuthorizationServer {
    const fn has_self_described_clients(&self) -> bool {
        self.users.is_some() && (self.registration.is_some() || self.documents.is_some())
    }

    /// Returns the endpoints at which clients authenticate, at the base URL for mutual TLS.
    fn mutual_tls_endpoints(&self) -> BTreeMap<&'static str, String> {
        let Some(base) = self
            .mutual_tls
            .as_ref()
            .filter(|_| self.certificates.is_some())
        else {
            return BTreeMap::new();
        };
        let mut all: BTreeMap<&str, String> = ENDPOINTS
            .iter()
            .filter(|endpoint| endpoint.part.is_served(self))
            .filter(|endpoint| endpoint.methods == Methods::Post)
            .filter_map(|endpoint| endpoint.metadata_member(base))
            .collect();
        // A client registers without a certificate.
        all.remove("registration_endpoint");
        all
    }

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
        methods.extend(self.registry.certificate_methods());
        let authenticating = methods.clone();
        if self.registry.has_public_clients() || self.has_self_described_clients() {
            methods.push("none");
        }
        let introspects = self.registry.has_introspecting_clients();
        let metadata = Metadata {
            issuer: self.base.as_str(),
            endpoints: ENDPOINTS
                .iter()
                .filter(|endpoint| endpoint.part.is_served(self))
                .filter_map(|endpoint| endpoint.metadata_member(&self.base))
                .collect(),
            response_types_supported: self.users.iter().map(|_| "code").collect(),
            grant_types_supported: self.grants.names().collect(),
            revocation: Part::Revocation
                .is_served(self)
                .then(|| RevocationMetadata {
                    revocation_endpoint_auth_methods_supported: methods.clone(),
                    revocation_endpoint_auth_signing_alg_values_supported: all.clone(),
                }),
            introspection: introspects.then(|| IntrospectionMetadata {
                introspection_endpoint_auth_methods_supported: authenticating,
                introspection_endpoint_auth_signing_alg_values_supported: all.clone(),
                introspection_signing_alg_values_supported: [self.ring.algorithm().name()],
            }),
            token_endpoint_auth_methods_supported: methods,
            // RFC 8414 §2 requires it for methods that sign a JWT, and forbids `none`.
            token_endpoint_auth_signing_alg_values_supported: all.clone(),
            dpop_signing_alg_values_supported: all.clone(),
            client_attestation_signing_alg_values_supported: svids.clone(),
            client_attestation_pop_signing_alg_values_supported: svids,
            scopes_supported: self.registry.scopes().into_iter().collect(),
            protected_resources: self.registry.resources().into_iter().collect(),
            backchannel: Part::Backchannel
                .is_served(self)
                .then(|| BackchannelMetadata {
                    backchannel_token_delivery_modes_supported: ["poll", "ping"],
                    backchannel_authentication_request_signing_alg_values_supported: all.clone(),
                    backchannel_user_code_parameter_supported: true,
                }),
            tls_client_certificate_bound_access_tokens: self.certificates.is_some(),
            mtls_endpoint_aliases: self.mutual_tls_endpoints(),
            authorization_grant_profiles_supported: self.domains.grant_profiles(),
            identity_chaining_requested_token_types_supported: self.domains.issued_types(),
            users: self.users.as_ref().map(|_| UserMetadata {
                response_modes_supported: ["query"],
                code_challenge_methods_supported: ["S256"],
                authorization_response_iss_parameter_supported: true,
                request_parameter_supported: true,
                request_object_signing_alg_values_supported: all.clone(),
                client_id_metadata_document_supported: self.documents.is_some(),
                acr_values_supported: &self.acr_values,
                authorization_details_types_supported: self
                    .details
                    .iter()
                    .map(|it| it.name())
                    .collect(),
            }),
        };
        // Strings always serialize.
        serde_json::to_string(&metadata).unwrap_or_default()
    }
}
