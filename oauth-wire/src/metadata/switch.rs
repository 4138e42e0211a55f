//! Metadata members that switch a protection on.

macro_rules! switches {
    ($($(#[$doc:meta])* $switch:ident = $member:ident,)*) => {
        /// A metadata member by which a server or a resource announces or requires a protection. An
        /// absent member counts as `false`, a malformed one as `true`.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Switch {
            $($(#[$doc])* $switch,)*
        }

        impl Switch {
            /// All switches.
            pub const ALL: &'static [Self] = &[$(Self::$switch),*];

            /// Returns the name of the metadata member.
            #[must_use]
            pub const fn member(self) -> &'static str {
                match self {
                    $(Self::$switch => stringify!($member),)*
                }
            }
        }
    };
}

switches! {
    /// Authorization responses carry `iss` (RFC 9207 §3).
    AuthorizationResponseIss = authorization_response_iss_parameter_supported,
    /// Access tokens are bound to the client's certificate (RFC 8705 §3.3, RFC 9728 §2).
    CertificateBoundTokens = tls_client_certificate_bound_access_tokens,
    /// The resource accepts DPoP-bound access tokens only (RFC 9728 §2).
    DpopBoundTokens = dpop_bound_access_tokens_required,
    /// Authorization requests must be pushed (RFC 9126 §5).
    RequirePushedRequests = require_pushed_authorization_requests,
    /// `request_uri` values must be registered (OpenID Connect Discovery §3).
    RequireRequestUriRegistration = require_request_uri_registration,
    /// Authorization requests must be signed (RFC 9101 §10.5).
    RequireSignedRequests = require_signed_request_object,
}
