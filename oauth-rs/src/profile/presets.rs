//! Profiles of widely used authorization servers, by the documentation of their vendors.
//!
//! Each marker was checked in two pages of the vendor: the claims of access tokens, which include
//! it, and those of ID tokens, which do not. The pages were read in November 2026.

use super::JwtProfile;
use super::marker::Marker;
use crate::{Error, ProfileName};

impl JwtProfile {
    fn preset(name: ProfileName, markers: &[(&str, Option<&str>)]) -> Self {
        let mut markers = markers
            .iter()
            .map(|(name, value)| Marker::vendor(name, *value));
        // Every preset has a marker.
        let first = markers
            .next()
            .unwrap_or_else(|| Marker::vendor("token_use", Some("access")));
        let profile = markers.fold(Self::new(first), Self::or_marker);
        Self {
            name,
            roles_in: Vec::new(),
            ..profile
        }
    }

    /// Access tokens of version 2.0 of Microsoft Entra ID, of one tenant.
    ///
    /// The client is in `azp`, scopes are in `scp`, rights in `roles`. `tid` must be the tenant and
    /// `ver` `2.0`. The issuer is `https://login.microsoftonline.com/TENANT/v2.0`, and `aud` the
    /// application ID of the API.
    ///
    /// The marker is `azpacr`, by these pages of Microsoft Learn:
    ///
    /// - [Access token claims reference][access], "Payload claims": "only present in v2.0 tokens".
    /// - [ID token claims reference][id], "Payload claims": it is not among them, nor in the
    ///   [Optional claims reference][optional].
    /// - [Claims customization][custom], "JSON Web Token (JWT) restricted claim set": no policy
    ///   of a tenant can write it.
    ///
    /// [access]:
    /// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference#payload-claims
    /// [id]:
    /// https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference#payload-claims
    /// [optional]: https://learn.microsoft.com/entra/identity-platform/optional-claims-reference
    /// [custom]: https://learn.microsoft.com/entra/identity-platform/reference-claims-customization
    ///
    /// ```
    /// use aims_oauth_rs::JwtProfile;
    ///
    /// assert!(JwtProfile::entra_v2("72f988bf-86f1-41af-91ab-2d7cd011db47").is_ok());
    /// assert!(JwtProfile::entra_v2("common").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// `token.profile` unless the tenant is a GUID: `common`, `organizations`, `consumers` and
    /// templates stand for every tenant.
    pub fn entra_v2(tenant: &str) -> Result<Self, Error> {
        let profile = Self::preset(ProfileName::EntraV2, &[("azpacr", None)]);
        profile.entra(tenant, "2.0", "azp")
    }

    /// Access tokens of version 1.0 of Microsoft Entra ID, of one tenant.
    ///
    /// The client is in `appid`, scopes are in `scp`, rights in `roles`. `tid` must be the tenant
    /// and `ver` `1.0`. The issuer is `https://sts.windows.net/TENANT/`, and `aud` the application
    /// ID URI of the API.
    ///
    /// The marker is `appidacr`, "only present in v1.0 tokens", by the same pages as that of
    /// [`entra_v2`](Self::entra_v2): it is among the payload claims of access tokens and of the
    /// restricted claim set, and not among the payload or optional claims of ID tokens.
    ///
    /// # Errors
    ///
    /// Those of [`entra_v2`](Self::entra_v2).
    pub fn entra_v1(tenant: &str) -> Result<Self, Error> {
        let profile = Self::preset(ProfileName::EntraV1, &[("appidacr", None)]);
        profile.entra(tenant, "1.0", "appid")
    }

    fn entra(mut self, tenant: &str, version: &str, client: &str) -> Result<Self, Error> {
        if !is_guid(tenant) {
            return Err(Error::Profile {
                reason: "the tenant of Entra ID is no GUID: `common`, `organizations`, `consumers` and templates stand for every tenant",
            });
        }
        let tenant = tenant.to_ascii_lowercase();
        self.tenant = Some(tenant.as_str().into());
        Ok(self
            .client_in([client, "client_id"])
            .scopes_in(["scp"])
            .roles_in(["roles"])
            .require_issued_at()
            .require_claim("tid", tenant)
            .require_claim("ver", version))
    }

    /// Access tokens of Auth0, of its own profile and of its RFC 9068 profile.
    ///
    /// The client is in `azp` or `client_id`, scopes are in `scope`, rights in `permissions`.
    ///
    /// The markers are `scope`, `permissions` and `gty`, by these pages of Auth0 Docs:
    ///
    /// - [Access Token Profiles][access], "Claims": `scope` is in the tokens of both profiles,
    ///   `permissions` where RBAC adds it, `gty` in some of the Auth0 profile.
    /// - [ID Token Structure][id]: they are not among its claims.
    /// - [Create Custom Claims][custom], "General restrictions": an Action cannot write
    ///   `permissions` or `gty` into an ID token. `scope` is not in that list: a tenant whose
    ///   Action writes `scope` into ID tokens takes the marker away. Such an ID token is still
    ///   refused by its `aud`, which is its client.
    ///
    /// [access]: https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles#claims
    /// [id]: https://auth0.com/docs/secure/tokens/id-tokens/id-token-structure
    /// [custom]:
    /// https://auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims#general-restrictions
    #[must_use]
    pub fn auth0() -> Self {
        let markers = [("scope", None), ("permissions", None), ("gty", None)];
        Self::preset(ProfileName::Auth0, &markers)
            .client_in(["azp", "client_id"])
            .scopes_in(["scope"])
            .roles_in(["permissions"])
            .require_issued_at()
    }

    /// Access tokens of custom authorization servers of Okta. Those of the org authorization server
    /// are for Okta alone and cannot be verified by others.
    ///
    /// The client is in `cid`, scopes are in `scp`, rights in `groups`.
    ///
    /// The marker is `cid`, by [OpenID Connect & OAuth 2.0 API][api] of Okta Developer, as
    /// it stands in the vendor's repository `okta/okta-developer-docs`:
    ///
    /// - "Reserved claims in the payload section" of access tokens: "Client ID of the client that
    ///   requested the access token". Reserved claims "can't be overridden".
    /// - "Claims in the payload section" of ID tokens: it is neither a base claim nor a
    ///   scope-dependent one.
    ///
    /// [api]: https://developer.okta.com/docs/reference/api/oidc/#tokens-and-claims
    #[must_use]
    pub fn okta() -> Self {
        Self::preset(ProfileName::Okta, &[("cid", None)])
            .client_in(["cid", "client_id"])
            .scopes_in(["scp"])
            .roles_in(["groups"])
            .require_jwt_id()
            .require_issued_at()
    }

    /// Access tokens of Keycloak, whether `typ` is `JWT` or `at+jwt`.
    ///
    /// The client is in `azp`, scopes are in `scope`, rights in `realm_access.roles` and, for the
    /// client `api` that stands for the resource server, in `resource_access.API.roles`. Keycloak
    /// writes `aud` only where an audience mapper says so.
    ///
    /// The marker is the claim `typ` `Bearer` or `DPoP`: Keycloak writes `ID`, `Refresh`, `Offline`
    /// and `Logout` into its other tokens. These are the constants of [`TokenUtil`][util] in
    /// Keycloak's sources; its documentation does not list the claim. Beside `cnf.jkt` it writes
    /// `kc-jkt-type` `DPoP`.
    ///
    /// [util]:
    /// https://github.com/keycloak/keycloak/blob/main/core/src/main/java/org/keycloak/util/TokenUtil.java
    #[must_use]
    pub fn keycloak(api: &str) -> Self {
        let markers = [("typ", Some("Bearer")), ("typ", Some("DPoP"))];
        Self::preset(ProfileName::Keycloak, &markers)
            .client_in(["azp", "client_id"])
            .scopes_in(["scope"])
            .or_roles_in(["realm_access", "roles"])
            .or_roles_in(["resource_access", api, "roles"])
            .require_jwt_id()
            .require_issued_at()
            .confirmation_member("kc-jkt-type", "DPoP")
    }

    /// Access tokens of an Amazon Cognito user pool, of these app clients.
    ///
    /// An access token has no `aud`, so that the app clients whose tokens are accepted take its
    /// place; where a token is bound to a resource, its `aud` is checked as well. The client is in
    /// `client_id`, scopes are in `scope`, rights in `cognito:groups`.
    ///
    /// The marker is `token_use` `access`, by these pages of the Amazon Cognito Developer Guide:
    ///
    /// - [The access token][access], "Access token payload": "Its value is always `access` in the
    ///   case of the access token".
    /// - [The ID token][id], "ID token payload": "Its value is always `id` in the case of the ID
    ///   token".
    ///
    /// [access]:
    /// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
    /// [id]:
    /// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
    ///
    /// # Errors
    ///
    /// `token.profile` where no app client is named.
    pub fn cognito<C: Into<String>>(clients: impl IntoIterator<Item = C>) -> Result<Self, Error> {
        Self::preset(ProfileName::Cognito, &[("token_use", Some("access"))])
            .client_in(["client_id"])
            .scopes_in(["scope"])
            .roles_in(["cognito:groups"])
            .require_jwt_id()
            .require_issued_at()
            .client_ids_as_audience(clients)
    }
}

/// Whether this is 32 hexadecimal digits in the groups of a GUID.
fn is_guid(text: &str) -> bool {
    let mut groups = text.split('-');
    let fits = |len: usize, group: Option<&str>| {
        group.is_some_and(|it| it.len() == len && it.bytes().all(|it| it.is_ascii_hexdigit()))
    };
    [8, 4, 4, 4, 12]
        .into_iter()
        .all(|len| fits(len, groups.next()))
        && groups.next().is_none()
}
