//! The table of endpoints, and the grants of the token endpoint.
//!
//! To add an endpoint, write a file with its handler and add a row to [`ENDPOINTS`]. To add a
//! grant, write a file with its [`GrantType`] and add it to [`grant_types`]. Paths, methods and
//! grants outside these lists are refused.

use super::{Endpoint, Methods, Part, Place, RefusalForm};
use crate::identity::endpoint as identity;
use crate::oauth::endpoint as oauth;
use crate::oauth::grant::{AuthorizationCode, Ciba, ClientCredentials, GrantType, RefreshTokens};
use crate::oauth::{authorize, backchannel, introspect, registration, revoke};

/// All endpoints of the authority.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    // The identity server.
    Endpoint {
        place: Place::Beneath("/identity/bundle"),
        methods: Methods::Read,
        refusal: RefusalForm::Problem,
        part: Part::Always,
        metadata: None,
        takes_bootstrap_token: false,
        handler: identity::bundle,
    },
    Endpoint {
        place: Place::Beneath("/identity/jwks"),
        methods: Methods::Read,
        refusal: RefusalForm::Problem,
        part: Part::Always,
        metadata: None,
        takes_bootstrap_token: false,
        handler: identity::jwks,
    },
    Endpoint {
        place: Place::Beneath("/identity/challenge"),
        methods: Methods::Post,
        refusal: RefusalForm::Problem,
        part: Part::Always,
        metadata: None,
        takes_bootstrap_token: false,
        handler: identity::challenge,
    },
    Endpoint {
        place: Place::Beneath("/identity/jwt-svid"),
        methods: Methods::Post,
        refusal: RefusalForm::Problem,
        part: Part::Always,
        metadata: None,
        takes_bootstrap_token: false,
        handler: identity::jwt_svid,
    },
    Endpoint {
        place: Place::Beneath("/identity/wit"),
        methods: Methods::Post,
        refusal: RefusalForm::Problem,
        part: Part::Always,
        metadata: None,
        takes_bootstrap_token: true,
        handler: identity::wit,
    },
    // The authorization server.
    Endpoint {
        place: Place::Beneath("/token"),
        methods: Methods::Post,
        refusal: RefusalForm::Oauth,
        part: Part::Always,
        metadata: Some("token_endpoint"),
        takes_bootstrap_token: false,
        handler: oauth::token,
    },
    Endpoint {
        place: Place::Beneath(authorize::AUTHORIZE),
        methods: Methods::Get,
        refusal: RefusalForm::Page,
        part: Part::Users,
        metadata: Some("authorization_endpoint"),
        takes_bootstrap_token: false,
        handler: authorize::authorize,
    },
    Endpoint {
        place: Place::Beneath(authorize::CONSENT),
        methods: Methods::Post,
        refusal: RefusalForm::Page,
        part: Part::Users,
        metadata: None,
        takes_bootstrap_token: false,
        handler: authorize::consent,
    },
    Endpoint {
        place: Place::Beneath(authorize::PUSHED),
        methods: Methods::Post,
        refusal: RefusalForm::Oauth,
        part: Part::Users,
        metadata: Some("pushed_authorization_request_endpoint"),
        takes_bootstrap_token: false,
        handler: authorize::push,
    },
    Endpoint {
        place: Place::Beneath(backchannel::AUTHENTICATE),
        methods: Methods::Post,
        refusal: RefusalForm::Oauth,
        part: Part::Backchannel,
        metadata: Some("backchannel_authentication_endpoint"),
        takes_bootstrap_token: false,
        handler: backchannel::authenticate,
    },
    Endpoint {
        place: Place::Beneath(backchannel::INBOX),
        methods: Methods::Get,
        refusal: RefusalForm::Page,
        part: Part::Backchannel,
        metadata: None,
        takes_bootstrap_token: false,
        handler: backchannel::inbox,
    },
    Endpoint {
        place: Place::Beneath(backchannel::DECISION),
        methods: Methods::Post,
        refusal: RefusalForm::Page,
        part: Part::Backchannel,
        metadata: None,
        takes_bootstrap_token: false,
        handler: backchannel::decide,
    },
    Endpoint {
        place: Place::Beneath("/register"),
        methods: Methods::Post,
        refusal: RefusalForm::Oauth,
        part: Part::Registration,
        metadata: Some("registration_endpoint"),
        takes_bootstrap_token: false,
        handler: registration::register,
    },
    Endpoint {
        place: Place::Beneath(introspect::INTROSPECT),
        methods: Methods::Post,
        refusal: RefusalForm::Oauth,
        part: Part::Introspection,
        metadata: Some("introspection_endpoint"),
        takes_bootstrap_token: false,
        handler: introspect::introspect,
    },
    Endpoint {
        place: Place::Beneath(revoke::REVOKE),
        methods: Methods::Post,
        refusal: RefusalForm::Oauth,
        part: Part::Revocation,
        metadata: Some("revocation_endpoint"),
        takes_bootstrap_token: false,
        handler: revoke::revoke,
    },
    Endpoint {
        place: Place::Beneath("/jwks"),
        methods: Methods::Read,
        refusal: RefusalForm::Problem,
        part: Part::Always,
        metadata: Some("jwks_uri"),
        takes_bootstrap_token: false,
        handler: oauth::jwks,
    },
    // The path of RFC 8414 §3.1, and the two of §5 for clients that use OpenID Connect Discovery.
    Endpoint {
        place: Place::WellKnown("oauth-authorization-server"),
        ..METADATA
    },
    Endpoint {
        place: Place::WellKnown("openid-configuration"),
        ..METADATA
    },
    Endpoint {
        place: Place::Beneath("/.well-known/openid-configuration"),
        ..METADATA
    },
];

/// The metadata document, without its location.
const METADATA: Endpoint = Endpoint {
    place: Place::WellKnown("oauth-authorization-server"),
    methods: Methods::Read,
    refusal: RefusalForm::Problem,
    part: Part::Always,
    metadata: None,
    takes_bootstrap_token: false,
    handler: oauth::metadata,
};

/// Returns all grants of the token endpoint, in the order of `grant_types_supported`.
pub(crate) fn grant_types() -> Vec<Box<dyn GrantType>> {
    vec![Box::new(ClientCredentials)]
}

/// Returns the grants for users.
pub(crate) fn user_grant_types() -> [Box<dyn GrantType>; 2] {
    [Box::new(AuthorizationCode), Box::new(RefreshTokens)]
}

/// Returns the grant for what a user approved on another device.
pub(crate) fn backchannel_grant_types() -> [Box<dyn GrantType>; 1] {
    [Box::new(Ciba)]
}
