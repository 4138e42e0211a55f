//! Metadata of an authorization server (RFC 8414 §2).

use aims_jose::alg::AlgorithmSet;
use serde::Deserialize;

use super::{endpoint, sized};
use crate::Error;
use crate::names::{Endpoint, Issuer, Resource, Transport};

macro_rules! endpoints {
    ($($(#[$doc:meta])* $kind:ident = $member:ident,)*) => {
        /// What an endpoint of an authorization server is for.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum EndpointKind {
            $($(#[$doc])* $kind,)*
        }

        impl EndpointKind {
            /// The member of the metadata.
            #[must_use]
            pub const fn member(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($member),)*
                }
            }
        }

        /// What is read of a document.
        #[derive(Clone, Debug, Deserialize)]
        struct Members {
            issuer: Option<String>,
            code_challenge_methods_supported: Option<Vec<String>>,
            client_attestation_pop_signing_alg_values_supported: Option<Vec<String>>,
            grant_types_supported: Option<Vec<String>>,
            protected_resources: Option<Vec<String>>,
            scopes_supported: Option<Vec<String>>,
            token_endpoint_auth_methods_supported: Option<Vec<String>>,
            token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
            $($member: Option<String>,)*
        }

        impl Members {
            fn endpoints(&self, transport: Transport) -> Result<Vec<(EndpointKind, Endpoint)>, Error> {
                let mut all = Vec::new();
                $(
                    let read = endpoint(self.$member.as_deref(), stringify!($member), transport)?;
                    all.extend(read.map(|url| (EndpointKind::$kind, url)));
                )*
                Ok(all)
            }
        }
    };
}

endpoints! {
    /// Where users consent (RFC 6749 §3.1).
    Authorization = authorization_endpoint,
    /// Where requests to users begin (CIBA §4).
    BackchannelAuthentication = backchannel_authentication_endpoint,
    /// Where challenges for attestations come from (draft-ietf-oauth-attestation-based-client-auth
    /// §8).
    Challenge = challenge_endpoint,
    /// Where devices begin (RFC 8628 §4).
    DeviceAuthorization = device_authorization_endpoint,
    /// Where tokens are introspected (RFC 7662).
    Introspection = introspection_endpoint,
    /// The keys of the server.
    Jwks = jwks_uri,
    /// Where authorization requests are pushed to (RFC 9126 §5).
    PushedAuthorizationRequest = pushed_authorization_request_endpoint,
    /// Where clients register (RFC 7591).
    Registration = registration_endpoint,
    /// Where tokens are revoked (RFC 7009).
    Revocation = revocation_endpoint,
    /// Where tokens come from (RFC 6749 §3.2).
    Token = token_endpoint,
}

/// What an authorization server says about itself, for the issuer that was asked about (META-02).
///
/// Only members named here are read. `None` of a list is a member that is absent.
///
/// ```
/// use aims_oauth_wire::metadata::ServerMetadata;
///
/// let issuer = "https://as.example".parse()?;
/// let json = br#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;
/// let server = ServerMetadata::parse(json, &issuer)?;
/// assert_eq!(server.token_endpoint()?.as_str(), "https://as.example/token");
/// assert!(server.code_challenge_methods_supported().is_none());
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerMetadata {
    issuer: Issuer,
    endpoints: Vec<(EndpointKind, Endpoint)>,
    members: Members,
    grant_types: Vec<String>,
}

impl ServerMetadata {
    /// Reads a document that was fetched for `expected`.
    ///
    /// # Errors
    ///
    /// `metadata.response` for what is too long, `metadata.json` for what is no strict JSON object
    /// of these members, `metadata.issuer` for another issuer, `metadata.member` for an endpoint
    /// that is not https, and for `none` as an algorithm of client authentication (META-07).
    pub fn parse(json: &[u8], expected: &Issuer) -> Result<Self, Error> {
        sized(json)?;
        let members: Members = aims_jose::json::from_object(json).map_err(Error::MetadataJson)?;
        if members.issuer.as_deref() != Some(expected.as_str()) {
            return Err(Error::MetadataIssuer);
        }
        let algorithms = &members.token_endpoint_auth_signing_alg_values_supported;
        if algorithms.iter().flatten().any(|it| it == "none") {
            return Err(Error::MetadataMember {
                member: "token_endpoint_auth_signing_alg_values_supported",
            });
        }
        let default = || ["authorization_code", "implicit"].map(String::from).into();
        Ok(Self {
            issuer: expected.clone(),
            endpoints: members.endpoints(Transport::of(expected.as_str()))?,
            grant_types: members
                .grant_types_supported
                .clone()
                .unwrap_or_else(default),
            members,
        })
    }

    /// The issuer, byte by byte what was asked for.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// An endpoint.
    #[must_use]
    pub fn endpoint(&self, kind: EndpointKind) -> Option<&Endpoint> {
        let mut all = self.endpoints.iter();
        all.find(|(own, _)| *own == kind).map(|(_, url)| url)
    }

    /// The token endpoint.
    ///
    /// # Errors
    ///
    /// `metadata.member` where the server has none.
    pub fn token_endpoint(&self) -> Result<&Endpoint, Error> {
        self.required(EndpointKind::Token)
    }

    /// Where the keys of the server are.
    ///
    /// # Errors
    ///
    /// `metadata.member` where the server has none.
    pub fn jwks_uri(&self) -> Result<&Endpoint, Error> {
        self.required(EndpointKind::Jwks)
    }

    /// An endpoint that is needed.
    ///
    /// # Errors
    ///
    /// `metadata.member` where the server has none.
    pub fn required(&self, kind: EndpointKind) -> Result<&Endpoint, Error> {
        self.endpoint(kind).ok_or(Error::MetadataMember {
            member: kind.member(),
        })
    }

    /// The grant types; left out, they are `authorization_code` and `implicit` (RFC 8414 §2).
    #[must_use]
    pub fn grant_types_supported(&self) -> &[String] {
        &self.grant_types
    }

    /// Whether a grant type is worth to try: it is listed, or the server lists none. Many that take
    /// more than the default of RFC 8414 §2 leave the list out.
    #[must_use]
    pub fn takes_grant(&self, grant_type: &str) -> bool {
        let listed = |all: &Vec<String>| all.iter().any(|it| it == grant_type);
        let grant_types = &self.members.grant_types_supported;
        grant_types.as_ref().is_none_or(listed)
    }

    /// How clients authenticate at the token endpoint. Left out, RFC 8414 §2 reads it as
    /// `client_secret_basic`.
    #[must_use]
    pub fn token_endpoint_auth_methods_supported(&self) -> Option<&[String]> {
        self.members
            .token_endpoint_auth_methods_supported
            .as_deref()
    }

    /// Whether a way to authenticate is worth to try: it is listed, or the server lists none. Many
    /// that take better ways than the default of RFC 8414 §2 leave the list out.
    #[must_use]
    pub fn takes_client_auth(&self, method: &str) -> bool {
        let listed = |all: &Vec<String>| all.iter().any(|it| it == method);
        let methods = &self.members.token_endpoint_auth_methods_supported;
        methods.as_ref().is_none_or(listed)
    }

    /// The algorithms of client assertions that are known here, or `None` where the server does not
    /// say (JWTA-06).
    #[must_use]
    pub fn token_endpoint_auth_algorithms(&self) -> Option<AlgorithmSet> {
        known(
            &self
                .members
                .token_endpoint_auth_signing_alg_values_supported,
        )
    }

    /// The algorithms of proofs beside a client attestation that are known here, or `None` where
    /// the server does not say (draft-ietf-oauth-attestation-based-client-auth §10).
    #[must_use]
    pub fn client_attestation_pop_algorithms(&self) -> Option<AlgorithmSet> {
        known(
            &self
                .members
                .client_attestation_pop_signing_alg_values_supported,
        )
    }

    /// Methods of PKCE (RFC 8414 §2). Absent means no PKCE.
    #[must_use]
    pub fn code_challenge_methods_supported(&self) -> Option<&[String]> {
        self.members.code_challenge_methods_supported.as_deref()
    }

    /// Scopes that the server speaks of. There may be more.
    #[must_use]
    pub fn scopes_supported(&self) -> Option<&[String]> {
        self.members.scopes_supported.as_deref()
    }

    /// Whether the server serves this resource, as far as it says which ones it does (RFC 9728 §4,
    /// PRM-06).
    #[must_use]
    pub fn serves(&self, resource: &Resource) -> bool {
        let listed = |all: &Vec<String>| all.iter().any(|it| it == resource.as_str());
        let resources = &self.members.protected_resources;
        resources.as_ref().is_none_or(listed)
    }
}

fn known(names: &Option<Vec<String>>) -> Option<AlgorithmSet> {
    let known = |name: &String| aims_jose::Algorithm::from_name(name);
    Some(names.as_ref()?.iter().filter_map(known).collect())
}
