//! Profiles of JWT access tokens.

mod jwt;
mod marker;
mod members;
mod presets;
mod scopes;

use std::collections::BTreeSet;
use std::fmt;

use aims_jose::jws::Header;
use aims_oauth_wire::confirmation::Confirmation;
use aims_oauth_wire::names::ScopeSet;
use serde_json::value::RawValue;

pub use self::jwt::JwtProfile;
pub(crate) use self::jwt::Roles;
pub use self::marker::Marker;
pub(crate) use self::members::Members;
pub(crate) use self::scopes::Scopes;
use crate::Error;

/// The format of an issuer's access tokens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a token follows the standard or its server's own profile"
)]
pub enum TokenProfile {
    /// The JWT profile for access tokens (RFC 9068): the header `typ` `at+jwt`, and every claim of
    /// §2.2.
    #[default]
    Rfc9068,
    /// The format of a server that does not follow RFC 9068.
    Jwt(JwtProfile),
}

impl TokenProfile {
    /// Returns the name of the profile.
    #[must_use]
    pub const fn name(&self) -> ProfileName {
        match self {
            Self::Rfc9068 => ProfileName::Rfc9068,
            Self::Jwt(profile) => profile.name(),
        }
    }

    /// Returns the settings, if the profile has any.
    pub(crate) const fn jwt(&self) -> Option<&JwtProfile> {
        match self {
            Self::Rfc9068 => None,
            Self::Jwt(profile) => Some(profile),
        }
    }

    /// Checks that the header `typ` is one of this profile. It does not prove yet that this is an
    /// access token.
    pub(crate) fn check_type(&self, header: &Header) -> Result<(), Error> {
        let accepted = match self {
            Self::Rfc9068 => header.is_typ("at+jwt"),
            Self::Jwt(profile) => profile.accepts_type(header),
        };
        if accepted {
            return Ok(());
        }
        Err(Error::HeaderType {
            found: header.typ().map(str::to_owned),
            expected: match self {
                Self::Rfc9068 => "\"at+jwt\"; if this server does not follow RFC 9068, name it by \
                     `.issuer_with(url, JwtProfile::…)`, or set `IssuerRules::profile` to a \
                     `TokenProfile::Jwt`"
                    .to_owned(),
                Self::Jwt(profile) => profile.expected_types(),
            },
        })
    }

    /// Reads the claims that the profile names, from a payload whose signature was verified.
    pub(crate) fn read(&self, header: &Header, payload: &[u8]) -> Result<Option<Read>, Error> {
        let Self::Jwt(profile) = self else {
            return Ok(None);
        };
        let members = Members::read(payload)?;
        profile.check_kind(header, &members)?;
        Ok(Some(Read {
            client_id: profile.client(&members)?.into_owned(),
            scopes: profile.scopes(&members)?,
            roles: profile.roles(&members)?,
        }))
    }

    /// Checks an introspection answer that names this client, by the rules of the profile.
    pub(crate) fn check_introspected(
        &self,
        members: &Members<'_>,
        client_id: &str,
    ) -> Result<(), Error> {
        match self {
            Self::Rfc9068 => Ok(()),
            Self::Jwt(profile) => profile.check_introspected(members, client_id),
        }
    }

    /// Reads `cnf`. A member that is not known here is refused, apart from those that the profile
    /// names.
    pub(crate) fn confirmations(&self, raw: &RawValue) -> Result<Vec<Confirmation>, Error> {
        let known = |name: &str, text: &str| match self {
            Self::Rfc9068 => false,
            Self::Jwt(profile) => profile.knows_confirmation(name, text),
        };
        Confirmation::read_all_beside(raw.get().as_bytes(), known).or(Err(Error::Confirmation))
    }

    /// Reads the roles in an introspection answer.
    pub(crate) fn introspected_roles(
        &self,
        members: &Members<'_>,
    ) -> Result<BTreeSet<String>, Error> {
        match self {
            Self::Rfc9068 => {
                let roles: Option<Roles> = members.value("roles", "a text or an array of texts")?;
                Ok(roles.map(|it| it.0).unwrap_or_default())
            }
            Self::Jwt(profile) => profile.roles(members),
        }
    }

    /// Checks that `aud` does not name only the token's own client, as in an ID token.
    pub(crate) fn check_sole_audience(&self, client: &str, aud: &[String]) -> Result<(), Error> {
        match self {
            Self::Rfc9068 => Ok(()),
            Self::Jwt(profile) => profile.check_sole_audience(client, aud),
        }
    }
}

impl From<JwtProfile> for TokenProfile {
    fn from(profile: JwtProfile) -> Self {
        Self::Jwt(profile)
    }
}

/// The claims that a custom profile reads.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) client_id: String,
    pub(crate) scopes: ScopeSet,
    pub(crate) roles: BTreeSet<String>,
}

/// The name of the profile by which an access token was accepted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProfileName {
    /// The JWT profile for access tokens (RFC 9068).
    Rfc9068,
    /// A custom profile ([`JwtProfile::new`]).
    Jwt,
    /// Microsoft Entra ID, version 1.0.
    EntraV1,
    /// Microsoft Entra ID, version 2.0.
    EntraV2,
    /// Auth0.
    Auth0,
    /// A custom authorization server of Okta.
    Okta,
    /// Keycloak.
    Keycloak,
    /// Amazon Cognito.
    Cognito,
}

impl ProfileName {
    /// Returns the name in lower case, such as `rfc9068` or `entra_v2`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rfc9068 => "rfc9068",
            Self::Jwt => "jwt",
            Self::EntraV1 => "entra_v1",
            Self::EntraV2 => "entra_v2",
            Self::Auth0 => "auth0",
            Self::Okta => "okta",
            Self::Keycloak => "keycloak",
            Self::Cognito => "cognito",
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
