//! The endpoints of an authorization server.

macro_rules! endpoints {
    ($($(#[$doc:meta])* $kind:ident = $member:ident,)*) => {
        /// What an endpoint of an authorization server is for.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum EndpointKind {
            $($(#[$doc])* $kind,)*
        }

        impl EndpointKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The member of the metadata.
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
