//! The endpoints of an authorization server.

macro_rules! endpoints {
    ($($(#[$doc:meta])* $kind:ident = $member:ident,)*) => {
        /// The kinds of endpoints of an authorization server.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum EndpointKind {
            $($(#[$doc])* $kind,)*
        }

        impl EndpointKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Returns the name of the metadata member.
            #[must_use]
            pub const fn member(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($member),)*
                }
            }
        }
    };
}

endpoints! {
    /// The authorization endpoint, where users consent (RFC 6749 §3.1).
    Authorization = authorization_endpoint,
    /// The backchannel authentication endpoint (CIBA §4).
    BackchannelAuthentication = backchannel_authentication_endpoint,
    /// The endpoint that returns challenges for attestations
    /// (draft-ietf-oauth-attestation-based-client-auth §8).
    Challenge = challenge_endpoint,
    /// The device authorization endpoint (RFC 8628 §4).
    DeviceAuthorization = device_authorization_endpoint,
    /// The introspection endpoint (RFC 7662).
    Introspection = introspection_endpoint,
    /// The URL of the server's keys.
    Jwks = jwks_uri,
    /// The endpoint for pushed authorization requests (RFC 9126 §5).
    PushedAuthorizationRequest = pushed_authorization_request_endpoint,
    /// The registration endpoint for clients (RFC 7591).
    Registration = registration_endpoint,
    /// The revocation endpoint (RFC 7009).
    Revocation = revocation_endpoint,
    /// The token endpoint (RFC 6749 §3.2).
    Token = token_endpoint,
}
