//! Metadata of an authorization server (RFC 8414 §2).

use aims_jose::alg::AlgorithmSet;

use super::{EndpointKind, Switch};
use crate::members::Members;
use crate::names::{Endpoint, Issuer, Resource, Transport};
use crate::{Diagnostic, Error, shown};

/// The metadata of an authorization server, for the issuer that was requested.
///
/// Only the members that have a method here are read. A list is `None` if the member is absent.
///
/// ```
/// use aims_oauth_wire::metadata::ServerMetadata;
///
/// let issuer = "https://as.example".parse()?;
/// let json = br#"{
///     "issuer": "https://as.example",
///     "token_endpoint": "https://as.example/token",
///     "scopes_supported": {"read": "a description where a list belongs"}
/// }"#;
/// let server = ServerMetadata::parse(json, &issuer)?;
/// assert_eq!(server.token_endpoint()?.as_str(), "https://as.example/token");
/// assert!(server.code_challenge_methods_supported().is_none());
/// assert_eq!(server.diagnostics().len(), 1);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerMetadata {
    issuer: Issuer,
    endpoints: Vec<(EndpointKind, Endpoint)>,
    mtls_aliases: Vec<(EndpointKind, Endpoint)>,
    switches: Vec<Switch>,
    takes_metadata_documents: bool,
    takes_backchannel_user_code: bool,
    lists: Lists,
    diagnostics: Vec<Diagnostic>,
}

/// The members that are lists of strings.
#[derive(Clone, Debug)]
struct Lists {
    authorization_details_types: Option<Vec<String>>,
    backchannel_algorithms: Option<Vec<String>>,
    backchannel_delivery_modes: Option<Vec<String>>,
    client_attestation_algorithms: Option<Vec<String>>,
    client_attestation_pop_methods: Option<Vec<String>>,
    client_attestation_pop_algorithms: Option<Vec<String>>,
    code_challenge_methods: Option<Vec<String>>,
    dpop_algorithms: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
    grant_types_or_default: Vec<String>,
    introspection_auth_algorithms: Option<Vec<String>>,
    introspection_auth_methods: Option<Vec<String>>,
    protected_resources: Option<Vec<String>>,
    request_object_algorithms: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    token_endpoint_auth_algorithms: Option<Vec<String>>,
    token_endpoint_auth_methods: Option<Vec<String>>,
}

impl ServerMetadata {
    /// Parses a document that was fetched for `expected`, for a program that calls only the token
    /// endpoint. It is [`parse_for`](Self::parse_for) with [`EndpointKind::Token`].
    ///
    /// # Errors
    ///
    /// Those of [`parse_for`](Self::parse_for).
    pub fn parse(json: &[u8], expected: &Issuer) -> Result<Self, Error> {
        Self::parse_for(json, expected, &[EndpointKind::Token])
    }

    /// Parses a document that was fetched for `expected`, for a program that calls these endpoints.
    ///
    /// The `issuer` of the document must equal `expected` byte for byte, except for the `/` of an
    /// empty path.
    ///
    /// These members must be valid if present: `issuer`, `jwks_uri`, the endpoints that are called,
    /// `mtls_endpoint_aliases`, `protected_resources`, `signed_metadata`. Any other malformed
    /// endpoint counts as absent, and [`required`](Self::required) returns an error for it.
    ///
    /// ```
    /// use aims_oauth_wire::metadata::{EndpointKind, ServerMetadata};
    ///
    /// // A guard reads only the keys, so the token endpoint may be missing.
    /// let issuer = "https://as.example".parse()?;
    /// let json = br#"{"issuer":"https://as.example","jwks_uri":"https://as.example/jwks"}"#;
    /// let server = ServerMetadata::parse_for(json, &issuer, &[EndpointKind::Jwks])?;
    /// assert_eq!(server.jwks_uri()?.as_str(), "https://as.example/jwks");
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `metadata.response` for more than 256 KiB.
    /// - `metadata.json` if the document is not one strict JSON object.
    /// - `metadata.issuer` if it is for another issuer.
    /// - `metadata.member` if one of the members above is malformed, or if `none` is an algorithm
    ///   of client authentication.
    pub fn parse_for(
        json: &[u8],
        expected: &Issuer,
        called: &[EndpointKind],
    ) -> Result<Self, Error> {
        let mut members = super::members(json)?;
        let issuer = issuer(&mut members, expected)?;
        let transport = Transport::of(issuer.as_str());
        let endpoints = endpoints(&mut members, transport, called)?;
        super::signed_metadata(&members)?;
        Ok(Self {
            endpoints,
            mtls_aliases: mtls_aliases(&members, transport)?,
            switches: switches(&mut members),
            takes_metadata_documents: members.is_true(METADATA_DOCUMENTS),
            takes_backchannel_user_code: members.is_true(BACKCHANNEL_USER_CODE),
            lists: Lists::read(&mut members)?,
            diagnostics: members.into_diagnostics(),
            issuer,
        })
    }

    /// Returns the issuer in the spelling of the document. Compare tokens, assertions and
    /// authorization responses with it byte for byte.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns what was ignored or tolerated in the document.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Returns an endpoint, if the document has it and it is well-formed.
    #[must_use]
    pub fn endpoint(&self, kind: EndpointKind) -> Option<&Endpoint> {
        let mut all = self.endpoints.iter();
        all.find(|(own, _)| *own == kind).map(|(_, url)| url)
    }

    /// Returns the endpoint for clients that authenticate with a certificate (RFC 8705 §5): the
    /// alias, or the endpoint itself if it has no alias.
    #[must_use]
    pub fn mtls_endpoint(&self, kind: EndpointKind) -> Option<&Endpoint> {
        let mut all = self.mtls_aliases.iter();
        let alias = all.find(|(own, _)| *own == kind).map(|(_, url)| url);
        alias.or_else(|| self.endpoint(kind))
    }

    /// Returns the token endpoint.
    ///
    /// # Errors
    ///
    /// `metadata.member` if the server has none.
    pub fn token_endpoint(&self) -> Result<&Endpoint, Error> {
        self.required(EndpointKind::Token)
    }

    /// Returns the URL of the server's keys.
    ///
    /// # Errors
    ///
    /// `metadata.member` if the server has none.
    pub fn jwks_uri(&self) -> Result<&Endpoint, Error> {
        self.required(EndpointKind::Jwks)
    }

    /// Returns an endpoint that the program needs.
    ///
    /// # Errors
    ///
    /// `metadata.member` if the server has none, or a malformed one.
    pub fn required(&self, kind: EndpointKind) -> Result<&Endpoint, Error> {
        self.endpoint(kind).ok_or_else(|| Error::MetadataMember {
            member: kind.member(),
            expected: super::URL,
            found: self.ignored(kind.member()).unwrap_or("no such member"),
        })
    }

    /// Returns the JSON type of a member that was ignored.
    fn ignored(&self, member: &str) -> Option<&'static str> {
        self.diagnostics.iter().find_map(|it| match it {
            Diagnostic::Ignored { name, found, .. } if name == member => Some(*found),
            _ => None,
        })
    }

    /// Returns whether a switch is on: it is `true` or malformed.
    #[must_use]
    pub fn is_on(&self, switch: Switch) -> bool {
        self.switches.contains(&switch)
    }

    /// Returns the supported grant types. If the server lists none, they are `authorization_code`
    /// and `implicit` (RFC 8414 §2).
    #[must_use]
    pub fn grant_types_supported(&self) -> &[String] {
        &self.lists.grant_types_or_default
    }

    /// Returns whether to try a grant type: it is listed, or the server has no list. Many servers
    /// that support more than the default of RFC 8414 §2 omit the list.
    #[must_use]
    pub fn takes_grant(&self, grant_type: &str) -> bool {
        lists(&self.lists.grant_types, grant_type)
    }

    /// Returns the methods of client authentication at the token endpoint. If the list is absent,
    /// RFC 8414 §2 defines `client_secret_basic` as the default.
    #[must_use]
    pub fn token_endpoint_auth_methods_supported(&self) -> Option<&[String]> {
        self.lists.token_endpoint_auth_methods.as_deref()
    }

    /// Returns whether to try a method of client authentication: it is listed, or the server has no
    /// list. An empty list allows none.
    ///
    /// ```
    /// use aims_oauth_wire::metadata::ServerMetadata;
    ///
    /// let issuer = "https://as.example".parse()?;
    /// let json = br#"{
    ///     "issuer": "https://as.example",
    ///     "token_endpoint": "https://as.example/token",
    ///     "token_endpoint_auth_methods_supported": ["private_key_jwt"]
    /// }"#;
    /// let server = ServerMetadata::parse(json, &issuer)?;
    /// assert!(server.takes_client_auth("private_key_jwt"));
    /// assert!(!server.takes_client_auth("client_secret_basic"));
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    #[must_use]
    pub fn takes_client_auth(&self, method: &str) -> bool {
        lists(&self.lists.token_endpoint_auth_methods, method)
    }

    /// Returns the algorithms of client assertions that this crate knows, or `None` if the server
    /// has no list.
    #[must_use]
    pub fn token_endpoint_auth_algorithms(&self) -> Option<AlgorithmSet> {
        known(&self.lists.token_endpoint_auth_algorithms)
    }

    /// Returns the metadata for a caller of the introspection endpoint: what the server says of
    /// client authentication there takes the place of what it says of the token endpoint (RFC 8414
    /// §2). Without a list for the introspection endpoint, any method is worth trying.
    #[must_use]
    pub fn for_introspection(mut self) -> Self {
        let lists = &mut self.lists;
        lists.token_endpoint_auth_methods = lists.introspection_auth_methods.clone();
        lists.token_endpoint_auth_algorithms = lists.introspection_auth_algorithms.clone();
        self
    }

    /// Returns the algorithms of proofs for client attestations that this crate knows, or `None` if
    /// the server has no list (draft-ietf-oauth-attestation-based-client-auth §10).
    #[must_use]
    pub fn client_attestation_pop_algorithms(&self) -> Option<AlgorithmSet> {
        known(&self.lists.client_attestation_pop_algorithms)
    }

    /// Returns the algorithms of client attestations that this crate knows, or `None` if the server
    /// has no list (draft-ietf-oauth-attestation-based-client-auth §10).
    #[must_use]
    pub fn client_attestation_algorithms(&self) -> Option<AlgorithmSet> {
        known(&self.lists.client_attestation_algorithms)
    }

    /// Returns whether to try a way of proving the key of a client attestation, such as
    /// `attestation_pop_jwt` or `dpop_combined`: it is listed, or the server has no list
    /// (draft-ietf-oauth-attestation-based-client-auth §10).
    #[must_use]
    pub fn takes_client_attestation_pop(&self, method: &str) -> bool {
        lists(&self.lists.client_attestation_pop_methods, method)
    }

    /// Returns the algorithms of signed authorization requests that this crate knows, or `None` if
    /// the server has no list (RFC 9101 §10.5).
    #[must_use]
    pub fn request_object_algorithms(&self) -> Option<AlgorithmSet> {
        known(&self.lists.request_object_algorithms)
    }

    /// Returns the modes by which a backchannel request gets its token, such as `poll` and `ping`
    /// (CIBA Core §4).
    #[must_use]
    pub fn backchannel_delivery_modes(&self) -> Option<&[String]> {
        self.lists.backchannel_delivery_modes.as_deref()
    }

    /// Returns the algorithms of signed backchannel requests that this crate knows, or `None` if
    /// the server has no list (CIBA Core §4).
    #[must_use]
    pub fn backchannel_signing_algorithms(&self) -> Option<AlgorithmSet> {
        known(&self.lists.backchannel_algorithms)
    }

    /// Returns whether backchannel requests may have a `user_code` (CIBA Core §4).
    #[must_use]
    pub const fn takes_backchannel_user_code(&self) -> bool {
        self.takes_backchannel_user_code
    }

    /// Returns the supported methods of PKCE (RFC 8414 §2). An absent or malformed list means that
    /// PKCE is not supported.
    #[must_use]
    pub fn code_challenge_methods_supported(&self) -> Option<&[String]> {
        self.lists.code_challenge_methods.as_deref()
    }

    /// Returns the algorithms of DPoP proofs that the server supports (RFC 9449 §5.1), or `None` if
    /// the member is absent, so that the server may not know DPoP.
    #[must_use]
    pub fn dpop_signing_algorithms(&self) -> Option<AlgorithmSet> {
        known(&self.lists.dpop_algorithms)
    }

    /// Returns the types of `authorization_details` that the server knows (RFC 9396 §10).
    #[must_use]
    pub fn authorization_details_types_supported(&self) -> Option<&[String]> {
        self.lists.authorization_details_types.as_deref()
    }

    /// Returns whether a client may use the URL of its metadata document as its identifier
    /// (draft-ietf-oauth-client-id-metadata-document §5).
    #[must_use]
    pub const fn takes_metadata_documents(&self) -> bool {
        self.takes_metadata_documents
    }

    /// Returns the scopes that the server lists. It may support others.
    #[must_use]
    pub fn scopes_supported(&self) -> Option<&[String]> {
        self.lists.scopes.as_deref()
    }

    /// Returns the resources that the server lists (RFC 9728 §4).
    #[must_use]
    pub fn protected_resources(&self) -> Option<&[String]> {
        self.lists.protected_resources.as_deref()
    }

    /// Returns whether the server issues tokens for this resource, according to its list (RFC 9728
    /// §4). It does if the list is absent. An empty list contains no resource.
    #[must_use]
    pub fn serves(&self, resource: &Resource) -> bool {
        lists(&self.lists.protected_resources, resource.as_str())
    }
}

impl Lists {
    fn read(members: &mut Members<'_>) -> Result<Self, Error> {
        let resources = members.texts("protected_resources");
        let protected_resources = super::judged("protected_resources", resources)?;
        let algorithms = auth_algorithms(members, AUTH_ALGORITHMS)?;
        let introspection_auth_algorithms =
            auth_algorithms(members, INTROSPECTION_AUTH_ALGORITHMS)?;
        let grant_types = members.optional_texts("grant_types_supported");
        let default = || ["authorization_code", "implicit"].map(String::from).into();
        // For these lists, an empty one counts as absent. The others stay empty, because an absent
        // list would allow more.
        let mut filled = |member| {
            let list = members.optional_texts(member);
            list.filter(|all| !all.is_empty())
        };
        Ok(Self {
            code_challenge_methods: filled("code_challenge_methods_supported"),
            scopes: filled("scopes_supported"),
            authorization_details_types: members
                .optional_texts("authorization_details_types_supported"),
            backchannel_algorithms: members.optional_texts(BACKCHANNEL_ALGORITHMS),
            backchannel_delivery_modes: members.optional_texts(BACKCHANNEL_DELIVERY_MODES),
            client_attestation_algorithms: members.optional_texts(ATTESTATION_ALGORITHMS),
            client_attestation_pop_methods: members.optional_texts(POP_METHODS),
            request_object_algorithms: members.optional_texts(REQUEST_OBJECT_ALGORITHMS),
            client_attestation_pop_algorithms: members.optional_texts(POP_ALGORITHMS),
            dpop_algorithms: members.optional_texts("dpop_signing_alg_values_supported"),
            grant_types_or_default: grant_types.clone().unwrap_or_else(default),
            grant_types,
            introspection_auth_algorithms,
            introspection_auth_methods: members
                .optional_texts("introspection_endpoint_auth_methods_supported"),
            protected_resources,
            token_endpoint_auth_algorithms: algorithms,
            token_endpoint_auth_methods: members
                .optional_texts("token_endpoint_auth_methods_supported"),
        })
    }
}

/// The algorithms of client assertions. `none` is not one of them (RFC 8414 §2).
fn auth_algorithms(
    members: &mut Members<'_>,
    member: &'static str,
) -> Result<Option<Vec<String>>, Error> {
    let algorithms = members.optional_texts(member);
    if algorithms.iter().flatten().any(|it| it == "none") {
        return Err(Error::MetadataMember {
            member,
            expected: "algorithms of signatures",
            found: "`none`",
        });
    }
    Ok(algorithms)
}

/// Reads the issuer in the spelling of the document.
fn issuer(members: &mut Members<'_>, expected: &Issuer) -> Result<Issuer, Error> {
    let text = members.text("issuer").or(Err(Error::MetadataJson {
        expected: "a text as `issuer`",
        source: None,
    }))?;
    let found = text.unwrap_or_default();
    if found == expected.as_str() {
        return Ok(expected.clone());
    }
    let variant = expected.root_slash_variant();
    if let Some(issuer) = variant.filter(|it| it.as_str() == found) {
        members.note(Diagnostic::RootSlash {
            name: "issuer",
            expected: expected.as_str().into(),
            found: issuer.as_str().into(),
        });
        return Ok(issuer);
    }
    Err(Error::MetadataIssuer {
        expected: shown::identifier(expected.as_str()),
        found: shown::identifier(&found),
    })
}

/// Reads the well-formed endpoints. An endpoint that is called, or that returns keys, must be one
/// of them.
fn endpoints(
    members: &mut Members<'_>,
    transport: Transport,
    called: &[EndpointKind],
) -> Result<Vec<(EndpointKind, Endpoint)>, Error> {
    let mut all = Vec::new();
    for kind in EndpointKind::ALL {
        let read = super::endpoint(members, kind.member(), transport);
        let is_judged = *kind == EndpointKind::Jwks || called.contains(kind);
        let url = if is_judged {
            super::judged(kind.member(), read)?
        } else {
            members.or_ignored(kind.member(), read)
        };
        all.extend(url.map(|url| (*kind, url)));
    }
    Ok(all)
}

/// Reads the aliases for mutual TLS (RFC 8705 §5). Every alias of a known endpoint must be valid,
/// because a client with a certificate sends requests there.
fn mtls_aliases(
    members: &Members<'_>,
    transport: Transport,
) -> Result<Vec<(EndpointKind, Endpoint)>, Error> {
    let aliases = super::judged(MTLS_ALIASES, members.object(MTLS_ALIASES))?;
    let mut all = Vec::new();
    for kind in EndpointKind::ALL {
        let Some(aliases) = &aliases else { break };
        let read = super::endpoint(aliases, kind.member(), transport);
        let url = super::judged(MTLS_ALIASES, read)?;
        all.extend(url.map(|url| (*kind, url)));
    }
    Ok(all)
}

fn switches(members: &mut Members<'_>) -> Vec<Switch> {
    let all = Switch::ALL.iter().copied();
    all.filter(|it| members.switch(it.member())).collect()
}

/// Returns whether a list has this text, or is absent.
fn lists(list: &Option<Vec<String>>, text: &str) -> bool {
    let listed = |all: &Vec<String>| all.iter().any(|it| it == text);
    list.as_ref().is_none_or(listed)
}

fn known(names: &Option<Vec<String>>) -> Option<AlgorithmSet> {
    let known = |name: &String| aims_jose::Algorithm::from_name(name);
    Some(names.as_ref()?.iter().filter_map(known).collect())
}

const AUTH_ALGORITHMS: &str = "token_endpoint_auth_signing_alg_values_supported";
const INTROSPECTION_AUTH_ALGORITHMS: &str =
    "introspection_endpoint_auth_signing_alg_values_supported";
const ATTESTATION_ALGORITHMS: &str = "client_attestation_signing_alg_values_supported";
const POP_METHODS: &str = "client_attestation_pop_methods_supported";
const REQUEST_OBJECT_ALGORITHMS: &str = "request_object_signing_alg_values_supported";
const BACKCHANNEL_ALGORITHMS: &str =
    "backchannel_authentication_request_signing_alg_values_supported";
const BACKCHANNEL_DELIVERY_MODES: &str = "backchannel_token_delivery_modes_supported";
const BACKCHANNEL_USER_CODE: &str = "backchannel_user_code_parameter_supported";
const POP_ALGORITHMS: &str = "client_attestation_pop_signing_alg_values_supported";
const METADATA_DOCUMENTS: &str = "client_id_metadata_document_supported";
const MTLS_ALIASES: &str = "mtls_endpoint_aliases";
