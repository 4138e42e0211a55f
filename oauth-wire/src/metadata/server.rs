//! Metadata of an authorization server (RFC 8414 §2).

use jose::alg::AlgorithmSet;
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

        #[derive(Clone, Debug, Default, Deserialize)]
        struct Endpoints {
            $($member: Option<String>,)*
        }

        impl Endpoints {
            fn check(&self, transport: Transport) -> Result<Vec<(EndpointKind, Endpoint)>, Error> {
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
    /// Where challenges for attestations come from (draft-ietf-oauth-attestation-based-client-auth §8).
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

macro_rules! lists {
    ($($(#[$doc:meta])* $member:ident,)*) => {
        #[derive(Clone, Debug, Default, Deserialize)]
        struct Lists {
            $($member: Option<Vec<String>>,)*
        }

        impl ServerMetadata {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $member(&self) -> Option<&[String]> {
                    self.lists.$member.as_deref()
                }
            )*
        }
    };
}

lists! {
    /// Classes of authentication (OpenID Connect Discovery §3).
    acr_values_supported,
    /// Types of `authorization_details` (RFC 9396 §10).
    authorization_details_types_supported,
    /// Profiles of grants, such as ID-JAG.
    authorization_grant_profiles_supported,
    /// How answers to CIBA are delivered.
    backchannel_token_delivery_modes_supported,
    /// Algorithms of proofs of possession beside an attestation.
    client_attestation_pop_signing_alg_values_supported,
    /// Algorithms of attestations of clients.
    client_attestation_signing_alg_values_supported,
    /// Methods of PKCE (RFC 8414 §2). Absent means no PKCE.
    code_challenge_methods_supported,
    /// Algorithms of DPoP (RFC 9449 §5.1). Absent means no DPoP.
    dpop_signing_alg_values_supported,
    /// Types of tokens that identity chaining gives.
    identity_chaining_requested_token_types_supported,
    /// How clients authenticate at introspection.
    introspection_endpoint_auth_methods_supported,
    /// Modes of answers to authorization requests.
    response_modes_supported,
    /// Types of answers to authorization requests.
    response_types_supported,
    /// How clients authenticate at revocation.
    revocation_endpoint_auth_methods_supported,
    /// Scopes that the server speaks of. There may be more.
    scopes_supported,
}

macro_rules! flags {
    ($($(#[$doc:meta])* $member:ident,)*) => {
        #[derive(Clone, Copy, Debug, Default, Deserialize)]
        struct Flags {
            $($member: Option<bool>,)*
        }

        impl ServerMetadata {
            $(
                $(#[$doc])*
                #[doc = ""]
                #[doc = "Absent means no."]
                #[must_use]
                pub fn $member(&self) -> bool {
                    self.flags.$member.unwrap_or_default()
                }
            )*
        }
    };
}

flags! {
    /// Whether answers to authorization requests name the server (RFC 9207 §3).
    authorization_response_iss_parameter_supported,
    /// Whether CIBA knows user codes.
    backchannel_user_code_parameter_supported,
    /// Whether a client identifier may be the URL of a document about the client.
    client_id_metadata_document_supported,
    /// Whether authorization requests have to be pushed (RFC 9126 §5).
    require_pushed_authorization_requests,
    /// Whether access tokens can be bound to certificates (RFC 8705 §3.3).
    tls_client_certificate_bound_access_tokens,
}

/// What is read by itself, because it has a default or a type of its own.
#[derive(Debug, Deserialize)]
struct Own {
    issuer: Option<String>,
    grant_types_supported: Option<Vec<String>>,
    protected_resources: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
}

/// What an authorization server says about itself, for the issuer that was asked about (META-02).
///
/// Only members named here are read. `None` of a list is a member that is absent.
///
/// ```
/// use oauth_wire::metadata::ServerMetadata;
///
/// let issuer = "https://as.example".parse()?;
/// let json = br#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;
/// let server = ServerMetadata::parse(json, &issuer)?;
/// assert_eq!(server.token_endpoint()?.as_str(), "https://as.example/token");
/// assert!(server.code_challenge_methods_supported().is_none());
/// # Ok::<(), oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerMetadata {
    issuer: Issuer,
    endpoints: Vec<(EndpointKind, Endpoint)>,
    lists: Lists,
    flags: Flags,
    grant_types: Vec<String>,
    protected_resources: Option<Vec<String>>,
    auth_methods: Option<Vec<String>>,
    auth_algorithms: Option<Vec<String>>,
}

impl ServerMetadata {
    /// Reads a document that was fetched for `expected`.
    ///
    /// # Errors
    ///
    /// `metadata.response` for what is too long, `metadata.json` for what is no strict JSON object of these members, `metadata.issuer` for another
    /// issuer, `metadata.member` for an endpoint that is not https, and for `none` as an algorithm of client authentication (META-07).
    pub fn parse(json: &[u8], expected: &Issuer) -> Result<Self, Error> {
        sized(json)?;
        jose::json::check_object(json).map_err(|error| Error::MetadataJson(Some(error)))?;
        let own: Own = read(json)?;
        if own.issuer.as_deref() != Some(expected.as_str()) {
            return Err(Error::MetadataIssuer);
        }
        let endpoints: Endpoints = read(json)?;
        let algorithms = own.token_endpoint_auth_signing_alg_values_supported;
        if algorithms.iter().flatten().any(|it| it == "none") {
            return Err(Error::MetadataMember {
                member: "token_endpoint_auth_signing_alg_values_supported",
            });
        }
        Ok(Self {
            issuer: expected.clone(),
            endpoints: endpoints.check(Transport::of(expected.as_str()))?,
            lists: read(json)?,
            flags: read(json)?,
            grant_types: own
                .grant_types_supported
                .unwrap_or_else(|| ["authorization_code", "implicit"].map(String::from).into()),
            protected_resources: own.protected_resources,
            auth_methods: own.token_endpoint_auth_methods_supported,
            auth_algorithms: algorithms,
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

    /// How clients authenticate at the token endpoint. Left out, RFC 8414 §2 reads it as `client_secret_basic`.
    #[must_use]
    pub fn token_endpoint_auth_methods_supported(&self) -> Option<&[String]> {
        self.auth_methods.as_deref()
    }

    /// Whether a way to authenticate is worth to try: it is listed, or the server lists none. Many that take better ways than the default of
    /// RFC 8414 §2 leave the list out.
    #[must_use]
    pub fn takes_client_auth(&self, method: &str) -> bool {
        let listed = |all: &Vec<String>| all.iter().any(|it| it == method);
        self.auth_methods.as_ref().is_none_or(listed)
    }

    /// The algorithms of client assertions that are known here, or `None` where the server does not say (JWTA-06).
    #[must_use]
    pub fn token_endpoint_auth_algorithms(&self) -> Option<AlgorithmSet> {
        let names = self.auth_algorithms.as_ref()?;
        let known = |name: &String| jose::Algorithm::from_name(name);
        Some(names.iter().filter_map(known).collect())
    }

    /// Whether the server serves this resource, as far as it says which ones it does (RFC 9728 §4, PRM-06).
    #[must_use]
    pub fn serves(&self, resource: &Resource) -> bool {
        let listed = |all: &Vec<String>| all.iter().any(|it| it == resource.as_str());
        self.protected_resources.as_ref().is_none_or(listed)
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Error> {
    // What serde says may quote a value.
    serde_json::from_slice(json).or(Err(Error::MetadataJson(None)))
}
