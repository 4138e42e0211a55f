//! The marker of an access token.

use aims_jose::jws::Header;

use super::members::Members;
use crate::Error;

/// Distinguishes the access tokens of one issuer from its other JWTs, such as ID tokens.
///
/// A marker is a header `typ`, or a claim that this issuer writes only into access tokens. A claim
/// that ID tokens may have is refused.
///
/// ```
/// use aims_oauth_rs::Marker;
///
/// assert!(Marker::claim("cid").is_ok());
/// assert!(Marker::claim_value("token_use", "access").is_ok());
/// assert!(Marker::typ("JWT").is_err()); // ID tokens have it too
/// assert!(Marker::claim("nonce").is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Marker(Kind);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Typ(String),
    Claim(String),
    ClaimValue(String, String),
}

impl Marker {
    /// Creates a marker from the header `typ` of access tokens, such as `at+jwt`.
    ///
    /// It is compared as a media type: case is ignored, and so is a prefix `application/` (RFC 7515
    /// §4.1.9).
    ///
    /// # Errors
    ///
    /// `token.profile` for `JWT`, `JOSE` and the types of other kinds of tokens.
    pub fn typ(typ: impl Into<String>) -> Result<Self, Error> {
        let typ = typ.into();
        let short = short_typ(&typ);
        let general = ["", "jwt", "jose", "jose+json"];
        if general.contains(&short.as_str()) || is_other_kind(&short) {
            return Err(Error::Profile {
                reason: "a header `typ` that other tokens have as well is no marker of access tokens",
            });
        }
        Ok(Self(Kind::Typ(typ)))
    }

    /// Creates a marker from a claim that this issuer writes only into access tokens, with any
    /// value.
    ///
    /// # Errors
    ///
    /// `token.profile` for a claim that ID tokens may have (OpenID Connect Core 1.0 §2, §5.1).
    pub fn claim(name: impl Into<String>) -> Result<Self, Error> {
        let name = named(name.into())?;
        if name == "typ" {
            return Err(Error::Profile {
                reason: "the claim `typ` is a marker with its value alone",
            });
        }
        Ok(Self(Kind::Claim(name)))
    }

    /// Creates a marker from a claim with this string value, which this issuer writes only into
    /// access tokens.
    ///
    /// # Errors
    ///
    /// `token.profile` for a claim that ID tokens may have, with any value.
    pub fn claim_value(name: impl Into<String>, value: impl Into<String>) -> Result<Self, Error> {
        let (name, value) = (named(name.into())?, value.into());
        let says_otherwise = match name.as_str() {
            "token_use" => value != "access",
            "typ" => !["Bearer", "DPoP"].contains(&value.as_str()),
            _ => false,
        };
        if value.is_empty() || says_otherwise {
            return Err(Error::Profile {
                reason: "this value of the claim is no marker of access tokens",
            });
        }
        Ok(Self(Kind::ClaimValue(name, value)))
    }

    /// Creates a marker that a vendor documents. It is not checked.
    pub(super) fn vendor(name: &str, value: Option<&str>) -> Self {
        Self(match value {
            Some(value) => Kind::ClaimValue(name.to_owned(), value.to_owned()),
            None => Kind::Claim(name.to_owned()),
        })
    }

    /// Returns the header `typ` of this marker.
    pub(super) fn header_typ(&self) -> Option<&str> {
        match &self.0 {
            Kind::Typ(typ) => Some(short(typ)),
            Kind::Claim(_) | Kind::ClaimValue(..) => None,
        }
    }

    pub(super) fn is_in(&self, header: &Header, members: &Members<'_>) -> bool {
        match &self.0 {
            Kind::Typ(typ) => header.is_typ(short(typ)),
            Kind::Claim(name) => members.has(name),
            Kind::ClaimValue(name, value) => members.is_text(name, value),
        }
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Typ(typ) => write!(f, "header `typ` {typ:?}"),
            Kind::Claim(name) => write!(f, "claim `{name}`"),
            Kind::ClaimValue(name, value) => write!(f, "claim `{name}` {value:?}"),
        }
    }
}

fn named(name: String) -> Result<String, Error> {
    if name.is_empty() || ID_TOKEN_CLAIMS.contains(&name.as_str()) {
        return Err(Error::Profile {
            reason: "a claim that ID tokens may have is no marker of access tokens",
        });
    }
    Ok(name)
}

/// Removes the prefix `application/`.
fn short(typ: &str) -> &str {
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => typ,
    }
}

pub(super) fn short_typ(typ: &str) -> String {
    short(typ).to_ascii_lowercase()
}

/// Returns whether this is the `typ` of a JWT that is not an access token, in lower case.
pub(super) fn is_other_kind(typ: &str) -> bool {
    OTHER_KINDS.contains(&typ)
}

const PREFIX: &str = "application/";

/// Types of JWTs that are not access tokens: from the media type registry of IANA, and from drafts.
const OTHER_KINDS: &[&str] = &[
    "cid+jwt",
    "client-authentication+jwt",
    "client-attestation+jwt",
    "client-attestation-pop+jwt",
    "dc+sd-jwt",
    "dpop+jwt",
    "entity-statement+jwt",
    "explicit-registration-response+jwt",
    "id+jwt",
    "id_token",
    "introspection+jwt",
    "jwk-set+jwt",
    "jwt-authorization+jwt",
    "kb+jwt",
    "keybinding+jwt",
    "logout+jwt",
    "n-logout+jwt",
    "oauth-authz-req+jwt",
    "oauth-client-attestation+jwt",
    "oauth-client-attestation-pop+jwt",
    "oauth-id-jag+jwt",
    "openid4vci-proof+jwt",
    "passport",
    "provider-configuration-response+jwt",
    "refresh+jwt",
    "resolve-response+jwt",
    "rt+jwt",
    "sd-jwt",
    "secevent+jwt",
    "statuslist+jwt",
    "token-introspection+jwt",
    "trust-mark+jwt",
    "trust-mark-delegation+jwt",
    "txn_token",
    "txntoken+jwt",
    "userinfo+jwt",
    "vc+jwt",
    "vc+sd-jwt",
    "vp+jwt",
    "wimse-id+jwt",
    "wit+jwt",
    "wpt+jwt",
];

/// Claims that ID tokens may have: from OpenID Connect Core 1.0 §2, §3.3.2.11, §5.1, the logout
/// specifications, and the documentation of the vendors of the presets.
const ID_TOKEN_CLAIMS: &[&str] = &[
    "_claim_names",
    "_claim_sources",
    "acct",
    "acr",
    "acrs",
    "address",
    "aio",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "birthdate",
    "c_hash",
    "cnf",
    "cognito:groups",
    "cognito:preferred_role",
    "cognito:roles",
    "cognito:username",
    "ctry",
    "email",
    "email_verified",
    "event_id",
    "events",
    "exp",
    "family_name",
    "fwd",
    "gender",
    "given_name",
    "groups",
    "groups:src1",
    "hasgroups",
    "hd",
    "iat",
    "identities",
    "idp",
    "in_corp",
    "ipaddr",
    "iss",
    "jti",
    "locale",
    "login_hint",
    "middle_name",
    "name",
    "nbf",
    "nickname",
    "nonce",
    "oid",
    "onprem_sid",
    "org_id",
    "org_name",
    "origin_jti",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "pwd_exp",
    "pwd_url",
    "realm_access",
    "resource_access",
    "rh",
    "roles",
    "s_hash",
    "session_state",
    "sid",
    "sub",
    "sub_jwk",
    "tenant_ctry",
    "tenant_region_scope",
    "tid",
    "unique_name",
    "updated_at",
    "upn",
    "uti",
    "ver",
    "verified_primary_email",
    "verified_secondary_email",
    "vnet",
    "website",
    "wids",
    "xms_cc",
    "xms_edov",
    "xms_pdl",
    "xms_pl",
    "xms_tpl",
    "zoneinfo",
    "ztdid",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T, Error>) -> &'static str {
        result.map_or_else(|error| error.code(), |_| "ok")
    }

    #[test]
    fn a_type_that_other_tokens_have_is_no_marker() {
        for typ in ["at+jwt", "application/AT+jwt", "example-access+jwt"] {
            assert_eq!(code(Marker::typ(typ)), "ok", "{typ}");
        }
        for typ in [
            "",
            "JWT",
            "jwt",
            "application/jwt",
            "JOSE",
            "application/jose",
            "JOSE+JSON",
        ] {
            assert_eq!(code(Marker::typ(typ)), "token.profile", "{typ}");
        }
        for typ in OTHER_KINDS {
            assert_eq!(
                code(Marker::typ(typ.to_uppercase())),
                "token.profile",
                "{typ}"
            );
            let long = format!("APPLICATION/{typ}");
            assert_eq!(code(Marker::typ(long)), "token.profile", "{typ}");
        }
    }

    #[test]
    fn a_claim_of_id_tokens_is_no_marker() {
        for claim in [
            "cid",
            "scp",
            "scope",
            "client_id",
            "gty",
            "permissions",
            "azpacr",
        ] {
            assert_eq!(code(Marker::claim(claim)), "ok", "{claim}");
        }
        for claim in ID_TOKEN_CLAIMS {
            assert_eq!(code(Marker::claim(*claim)), "token.profile", "{claim}");
            assert_eq!(
                code(Marker::claim_value(*claim, "a")),
                "token.profile",
                "{claim}"
            );
        }
        // Entra, Cognito and Keycloak put these into ID tokens (RFC 7800 §3 for `cnf`).
        for claim in [
            "aio",
            "wids",
            "unique_name",
            "ipaddr",
            "login_hint",
            "hasgroups",
            "cnf",
            "_claim_names",
            "_claim_sources",
            "cognito:preferred_role",
            "realm_access",
            "resource_access",
            "xms_cc",
        ] {
            assert_eq!(code(Marker::claim(claim)), "token.profile", "{claim}");
        }
        assert_eq!(code(Marker::claim("")), "token.profile");
        assert_eq!(code(Marker::claim("typ")), "token.profile");
        for (claim, value, expected) in [
            ("typ", "Bearer", "ok"),
            ("typ", "ID", "token.profile"),
            ("token_use", "access", "ok"),
            ("token_use", "id", "token.profile"),
            ("scope", "", "token.profile"),
        ] {
            assert_eq!(
                code(Marker::claim_value(claim, value)),
                expected,
                "{claim}={value}"
            );
        }
    }
}
