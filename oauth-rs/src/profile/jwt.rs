//! A profile of JWT access tokens that do not follow RFC 9068.

use std::collections::BTreeSet;

use aims_jose::json::Text;
use aims_jose::jws::Header;
use aims_oauth_wire::names::ScopeSet;
use serde::Deserialize;

use super::marker::{Marker, is_other_kind, short_typ};
use super::members::Members;
use super::scopes::Scopes;
use crate::error::NotAccessToken;
use crate::{Error, ProfileName};

/// The format of one authorization server's JWT access tokens that do not follow RFC 9068.
///
/// Such a server signs its ID tokens with the same keys, often for the same audience. A profile
/// therefore needs a [`Marker`], which only access tokens of this server have. The header `typ`
/// `at+jwt` (RFC 9068 §2.1) is a marker in every profile.
///
/// Every profile refuses a token with:
///
/// - `at_hash`, `c_hash`, `s_hash` or `events`;
/// - `nonce` (see [`accept_nonce`](Self::accept_nonce));
/// - a `token_use` other than `access`, or a claim `typ` other than `Bearer` or `DPoP`;
/// - an `aud` that is only the token's own client (see
///   [`accept_own_client_as_audience`](Self::accept_own_client_as_audience)).
///
/// The presets are [`entra_v1`](Self::entra_v1), [`entra_v2`](Self::entra_v2),
/// [`auth0`](Self::auth0), [`okta`](Self::okta), [`keycloak`](Self::keycloak) and
/// [`cognito`](Self::cognito). There is none for Google, because its access tokens are opaque and
/// the JWTs that it issues to applications are ID tokens.
///
/// ```
/// use aims_oauth_rs::{IssuerRules, JwtProfile, Marker};
///
/// // A server that writes `use: "access"` into its access tokens, and rights into `permissions`.
/// let profile = JwtProfile::new(Marker::claim_value("use", "access")?)
///     .client_in(["client_id"])
///     .roles_in(["permissions"]);
/// let rules = IssuerRules::new().profile(profile);
/// # let _ = rules;
/// # Ok::<(), aims_oauth_rs::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JwtProfile {
    pub(super) name: ProfileName,
    pub(super) types: Vec<String>,
    pub(super) markers: Vec<Marker>,
    pub(super) required: Vec<(String, Option<String>)>,
    pub(super) client_in: Vec<String>,
    pub(super) scopes_in: Vec<String>,
    pub(super) roles_in: Vec<Vec<String>>,
    pub(super) client_ids: Vec<String>,
    pub(super) nonce: Nonce,
    pub(super) sole_audience: SoleAudience,
    pub(super) tenant: Option<Box<str>>,
    /// A member of `cnf` that binds the token to nothing further, with its value.
    pub(super) confirmation_member: Option<Box<(String, String)>>,
}

/// Whether access tokens of this server may have `nonce`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nonce {
    Refused,
    Allowed,
}

/// The meaning of an `aud` that is only the token's own client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SoleAudience {
    /// An ID token, whose audience is its client (OpenID Connect Core 1.0 §2).
    ClientRefused,
    /// An application that calls itself.
    ClientAllowed,
}

impl JwtProfile {
    /// Creates a profile whose access tokens have this marker, or the header `typ` `at+jwt`.
    ///
    /// By default, the header `typ` is `JWT` or missing. The client is in `client_id`, `azp`, `cid`
    /// or `appid`. Scopes are in `scope` and `scp`, rights in `roles`, `permissions` and `groups`.
    /// `jti` and `iat` are not required.
    #[must_use]
    pub fn new(marker: Marker) -> Self {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            name: ProfileName::Jwt,
            types: vec!["jwt".to_owned(), String::new()],
            markers: vec![marker],
            required: Vec::new(),
            client_in: texts(&["client_id", "azp", "cid", "appid"]),
            scopes_in: texts(&["scope", "scp"]),
            roles_in: ["roles", "permissions", "groups"]
                .map(|name| vec![name.to_owned()])
                .into(),
            client_ids: Vec::new(),
            nonce: Nonce::Refused,
            sole_audience: SoleAudience::ClientRefused,
            tenant: None,
            confirmation_member: None,
        }
    }

    /// Accepts another marker as well.
    #[must_use]
    pub fn or_marker(mut self, marker: Marker) -> Self {
        self.markers.push(marker);
        self
    }

    /// Accepts only these header types, in addition to `at+jwt` and the types of markers. The empty
    /// text stands for a header without `typ`.
    ///
    /// A header type is not a marker: a token needs a marker in any case.
    ///
    /// ```
    /// use aims_oauth_rs::{JwtProfile, Marker};
    ///
    /// let profile = JwtProfile::new(Marker::claim("cid")?);
    /// let profile = profile.header_types(["application/okta+jwt"])?;
    /// assert!(JwtProfile::okta().header_types(["logout+jwt"]).is_err());
    /// # drop(profile);
    /// # Ok::<(), aims_oauth_rs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `token.profile` for the type of another kind of token, such as `logout+jwt`.
    pub fn header_types<'t>(
        mut self,
        types: impl IntoIterator<Item = &'t str>,
    ) -> Result<Self, Error> {
        self.types = types.into_iter().map(short_typ).collect();
        if self.types.iter().any(|typ| is_other_kind(typ)) {
            return Err(Error::Profile {
                reason: "the header `typ` is that of another kind of token",
            });
        }
        Ok(self)
    }

    /// Sets the claims that name the client, such as `azp`. A token must have one of them, and all
    /// that it has must agree.
    #[must_use]
    pub fn client_in<'c>(mut self, claims: impl IntoIterator<Item = &'c str>) -> Self {
        self.client_in = claims.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets the claims that hold scopes: a string of scope tokens separated by spaces, or an array
    /// of scope tokens. Several claims are combined.
    #[must_use]
    pub fn scopes_in<'c>(mut self, claims: impl IntoIterator<Item = &'c str>) -> Self {
        self.scopes_in = claims.into_iter().map(str::to_owned).collect();
        self
    }

    /// Reads roles from this claim as well: a string or an array of strings. A path of several
    /// names leads into objects, such as `["realm_access", "roles"]`.
    ///
    /// ```
    /// use aims_oauth_rs::JwtProfile;
    ///
    /// // Keycloak with client roles of a second client.
    /// let other = ["resource_access", "other", "roles"];
    /// let profile = JwtProfile::keycloak("tools").or_roles_in(other);
    /// # drop(profile);
    /// ```
    #[must_use]
    pub fn or_roles_in<'c>(mut self, path: impl IntoIterator<Item = &'c str>) -> Self {
        self.roles_in
            .push(path.into_iter().map(str::to_owned).collect());
        self
    }

    /// Reads roles only from this claim. See [`or_roles_in`](Self::or_roles_in).
    #[must_use]
    pub fn roles_in<'c>(mut self, path: impl IntoIterator<Item = &'c str>) -> Self {
        self.roles_in.clear();
        self.or_roles_in(path)
    }

    /// Requires the claim `jti`.
    #[must_use]
    pub fn require_jwt_id(mut self) -> Self {
        self.required.push(("jti".to_owned(), None));
        self
    }

    /// Requires the claim `iat`.
    #[must_use]
    pub fn require_issued_at(mut self) -> Self {
        self.required.push(("iat".to_owned(), None));
        self
    }

    /// Requires a claim with this string value.
    ///
    /// Required claims are required of an introspection answer, too
    /// ([`AccessToken::introspected`](crate::AccessToken::introspected)). The rest of the profile
    /// also applies: claims of ID tokens are refused, and claims that name the client must agree.
    /// Only markers and header types do not apply, because an opaque token has neither.
    #[must_use]
    pub fn require_claim(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.required.push((name.into(), Some(value.into())));
        self
    }

    /// Accepts `nonce`, for a server that writes it into access tokens, such as Keycloak before
    /// version 25. Only the marker then distinguishes ID tokens.
    #[must_use]
    pub const fn accept_nonce(mut self) -> Self {
        self.nonce = Nonce::Allowed;
        self
    }

    /// Accepts an `aud` that is only the token's own client, for an application that calls itself.
    /// Only the marker then distinguishes ID tokens.
    #[must_use]
    pub const fn accept_own_client_as_audience(mut self) -> Self {
        self.sole_audience = SoleAudience::ClientAllowed;
        self
    }

    /// Accepts tokens without `aud` if they were issued to one of these clients, for a server that
    /// writes no `aud`. An `aud` that is present is checked as well.
    ///
    /// ```
    /// use aims_oauth_rs::{JwtProfile, Marker};
    ///
    /// let profile = JwtProfile::new(Marker::claim_value("token_use", "access")?)
    ///     .client_ids_as_audience(["my-app-client"])?;
    /// # drop(profile);
    /// # Ok::<(), aims_oauth_rs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `token.profile` if the list or a client identifier is empty.
    pub fn client_ids_as_audience<C: Into<String>>(
        mut self,
        clients: impl IntoIterator<Item = C>,
    ) -> Result<Self, Error> {
        self.client_ids = clients.into_iter().map(Into::into).collect();
        if self.client_ids.is_empty() || self.client_ids.iter().any(String::is_empty) {
            return Err(Error::Profile {
                reason: "the list of client identifiers that takes the place of `aud` is empty, or one of them is",
            });
        }
        Ok(self)
    }

    /// Accepts this further member of `cnf` with this text, for a server that describes its binding
    /// there. It counts as no binding: `cnf` needs a member of RFC 7800, RFC 8705 or RFC 9449
    /// beside it.
    ///
    /// Every other unknown member of `cnf` refuses the token (`token.confirmation`).
    #[must_use]
    pub fn confirmation_member(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.confirmation_member = Some(Box::new((name.into(), text.into())));
        self
    }

    pub(crate) fn knows_confirmation(&self, name: &str, text: &str) -> bool {
        let known = self.confirmation_member.as_deref();
        known.is_some_and(|(one, value)| one == name && value == text)
    }

    /// Returns the name of the profile.
    #[must_use]
    pub const fn name(&self) -> ProfileName {
        self.name
    }

    /// Returns the client identifiers that replace `aud`.
    pub(crate) fn client_ids(&self) -> &[String] {
        &self.client_ids
    }

    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    pub(super) fn accepts_type(&self, header: &Header) -> bool {
        let of_marker = self.markers.iter().filter_map(Marker::header_typ);
        match header.typ() {
            None => self.types.iter().any(String::is_empty),
            Some(_) => {
                let named = self.types.iter().map(String::as_str);
                let mut all = named.chain(of_marker).filter(|typ| !typ.is_empty());
                header.is_typ("at+jwt") || all.any(|typ| header.is_typ(typ))
            }
        }
    }

    /// Returns the accepted header types, for a message.
    pub(super) fn expected_types(&self) -> String {
        let mut all = vec!["\"at+jwt\"".to_owned()];
        for typ in &self.types {
            all.push(if typ.is_empty() {
                "none".to_owned()
            } else {
                format!("{typ:?}")
            });
        }
        all.extend(
            self.markers
                .iter()
                .filter_map(Marker::header_typ)
                .map(|it| format!("{it:?}")),
        );
        all.join(" or ")
    }

    /// Checks that the token is an access token.
    pub(super) fn check_kind(&self, header: &Header, members: &Members<'_>) -> Result<(), Error> {
        let refused = |why| Err(Error::NotAccessToken(why));
        for claim in ["at_hash", "c_hash", "s_hash", "events"] {
            if members.stands(claim) {
                return refused(NotAccessToken::ForeignClaim { claim });
            }
        }
        if members.stands("nonce") && self.nonce == Nonce::Refused {
            return refused(NotAccessToken::ForeignClaim { claim: "nonce" });
        }
        if members.stands("token_use") && !members.is_text("token_use", "access") {
            return refused(NotAccessToken::OtherUse {
                claim: "token_use",
                expected: "\"access\"",
                found: members.found("token_use"),
            });
        }
        let is_bearer = ["Bearer", "DPoP"]
            .iter()
            .any(|it| members.is_text("typ", it));
        if members.stands("typ") && !is_bearer {
            return refused(NotAccessToken::OtherUse {
                claim: "typ",
                expected: "\"Bearer\" or \"DPoP\"",
                found: members.found("typ"),
            });
        }
        let marked = self
            .markers
            .iter()
            .any(|marker| marker.is_in(header, members));
        if !marked && !header.is_typ("at+jwt") {
            let names: Vec<String> = self.markers.iter().map(ToString::to_string).collect();
            return refused(NotAccessToken::NoMarker {
                expected: names.join(" or "),
                advice: self.other_version(members),
            });
        }
        self.check_required(members)
    }

    fn check_required(&self, members: &Members<'_>) -> Result<(), Error> {
        for (name, value) in &self.required {
            match value {
                None if members.has(name) => {}
                Some(value) if members.is_text(name, value) => {}
                None => return Err(Error::claim(name, "a claim that this profile requires")),
                Some(value) => {
                    let advice = self.other_version(members);
                    return Err(Error::Claim {
                        claim: name.clone(),
                        expected: format!("{value:?}{advice}"),
                        found: Some(members.found(name)),
                    });
                }
            }
        }
        Ok(())
    }

    /// Returns what to do about a token of the other version of Entra ID.
    fn other_version(&self, members: &Members<'_>) -> &'static str {
        match self.name {
            ProfileName::EntraV2 if members.is_text("ver", "1.0") => {
                "; for tokens of version 1.0, use `entra_v1` and their issuer"
            }
            ProfileName::EntraV1 if members.is_text("ver", "2.0") => {
                "; for tokens of version 2.0, use `entra_v2` and their issuer"
            }
            _ => "",
        }
    }

    /// Checks the members of an introspection answer. It has no header and no marker.
    pub(super) fn check_introspected(
        &self,
        members: &Members<'_>,
        client_id: &str,
    ) -> Result<(), Error> {
        if members.stands("nonce") && self.nonce == Nonce::Refused {
            let claim = "nonce";
            return Err(Error::NotAccessToken(NotAccessToken::ForeignClaim {
                claim,
            }));
        }
        self.check_required(members)?;
        for name in &self.client_in {
            if let Some(client) = members.text(name)?
                && client.as_str() != client_id
            {
                return Err(Error::claim(name, "the client that `client_id` names"));
            }
        }
        Ok(())
    }

    /// Returns the one client that the token names.
    pub(super) fn client<'a>(&self, members: &Members<'a>) -> Result<Text<'a>, Error> {
        let mut found: Option<Text<'a>> = None;
        for name in &self.client_in {
            let Some(client) = members.text(name)? else {
                continue;
            };
            match &found {
                Some(other) if *other != client => {
                    return Err(Error::claim(name, "the client that the other claims name"));
                }
                _ => found = Some(client),
            }
        }
        let claims = self.client_in.join("` or `");
        found.ok_or_else(|| Error::claim(&claims, "the client"))
    }

    pub(super) fn check_sole_audience(&self, client: &str, aud: &[String]) -> Result<(), Error> {
        let sole = !aud.is_empty() && aud.iter().all(|it| it == client);
        if sole && self.sole_audience == SoleAudience::ClientRefused {
            return Err(Error::NotAccessToken(NotAccessToken::ForItsClient));
        }
        Ok(())
    }

    pub(super) fn scopes(&self, members: &Members<'_>) -> Result<ScopeSet, Error> {
        let mut all = ScopeSet::new();
        for name in &self.scopes_in {
            let scopes = members.value::<Scopes>(name, "scope tokens")?;
            for scope in scopes.iter().flat_map(|it| it.0.iter()) {
                let added = all.insert(scope.clone());
                added.or(Err(Error::claim(name, "fewer scope tokens")))?;
            }
        }
        Ok(all)
    }

    pub(super) fn roles(&self, members: &Members<'_>) -> Result<BTreeSet<String>, Error> {
        let mut all = BTreeSet::new();
        for path in &self.roles_in {
            if let Some(roles) = roles_at(members, path)? {
                all.extend(roles.0);
            }
        }
        Ok(all)
    }
}

fn roles_at(members: &Members<'_>, path: &[String]) -> Result<Option<Roles>, Error> {
    match path {
        [] => Ok(None),
        [name] => members.value(name, "a text or an array of texts"),
        [name, rest @ ..] => match members.within(name)? {
            Some(inner) => roles_at(&inner, rest),
            None => Ok(None),
        },
    }
}

/// Roles: a string, or an array of strings or of objects with a string `value` (RFC 9068 §2.2.3.1,
/// RFC 7643 §2.4).
pub(crate) struct Roles(pub(crate) BTreeSet<String>);

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            One(String),
            Several(Vec<Role>),
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Role {
            Text(String),
            Object { value: String },
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::One(role) => BTreeSet::from([role]),
            Form::Several(roles) => roles
                .into_iter()
                .map(|role| match role {
                    Role::Text(value) | Role::Object { value } => value,
                })
                .collect(),
        }))
    }
}
