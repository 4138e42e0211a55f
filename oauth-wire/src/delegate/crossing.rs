//! From one kind of token, issuer or vocabulary to another, by explicit tables.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::actors::Actors;
use super::claim::{Claim, canonical_value};
use super::rights::{Kind, Rights};
use super::scopes::ScopeTable;

/// The translation of a token that is exchanged for one of another kind or issuer, such as an
/// access token for a transaction token.
///
/// It translates the parent's rights, and the child is then compared with the translation. Only
/// what a table names is translated. A claim that no dimension knows may limit the token, so it is
/// [carried](Self::carry) over, or [stays behind](Self::leave) because the caller said that it
/// limits nothing; any other one makes each child undecidable. Two kinds of claims stay behind
/// unasked: those that describe the user, the session or the token, or give the user more, such as
/// `email` and `groups`; and those whose purpose ends with the crossing: `txn` of a transaction
/// that leaves its domain, `client_id` and `resource` of a grant that is redeemed.
///
/// ```
/// use aims_oauth_wire::delegate::{Crossing, Kind, Rights, ScopeTable, delegate};
///
/// let parent = br#"{"iss":"https://as.example","sub":"alice","aud":"https://gateway.example",
///     "client_id":"agent","jti":"1","iat":1,"exp":600,"scope":"payments"}"#;
/// let parent = Rights::read(Kind::AccessToken, parent)?;
/// let crossing = Crossing::new(Kind::TransactionToken, None)
///     .scopes_inward(ScopeTable::new([("payments", "transfer"), ("payments", "balance")])?)
///     .audience("https://gateway.example", "trust-domain.example")
///     .claim("txn", "t-1");
///
/// let child = br#"{"aud":"trust-domain.example","txn":"t-1","sub":"alice","iat":1,"exp":60,
///     "scope":"transfer","req_wl":"gateway","act":{"iss":"https://as.example","sub":"agent"}}"#;
/// let child = Rights::read(Kind::TransactionToken, child)?;
/// assert!(delegate(&crossing.translate(&parent), child).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `translate`"]
pub struct Crossing {
    kind: Kind,
    issuer: Option<Box<str>>,
    scopes: Scopes,
    audiences: BTreeSet<(Box<str>, Box<str>)>,
    claims: Vec<(Box<str>, Box<str>)>,
    carried: BTreeSet<Box<str>>,
    left: BTreeSet<Box<str>>,
    leaves_all: bool,
    has_actors: bool,
}

/// Claims that describe the user, the session or the token, or that give the user more (OpenID
/// Connect Core §5.1, RFC 9068 §2.2.3.1, and those of Keycloak). A child without them permits no
/// more. `may_act` was judged where the token is exchanged or redeemed (RFC 8693 §4.4).
const DESCRIPTIONS: [&str; 31] = [
    "address",
    "allowed-origins",
    "azp",
    "birthdate",
    "email",
    "email_verified",
    "entitlements",
    "family_name",
    "gender",
    "given_name",
    "groups",
    "locale",
    "may_act",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "realm_access",
    "resource_access",
    "roles",
    "session_state",
    "sid",
    "typ",
    "updated_at",
    "ver",
    "website",
    "zoneinfo",
];

#[derive(Clone, Debug)]
enum Scopes {
    Inward(ScopeTable),
    Outward(ScopeTable),
}

impl Crossing {
    /// A token of this kind, with this `iss`. It has no scope and no audience until tables name
    /// them; the subject stays.
    pub fn new(kind: Kind, issuer: Option<&str>) -> Self {
        Self {
            kind,
            issuer: issuer.map(Into::into),
            scopes: Scopes::Inward(ScopeTable::default()),
            audiences: BTreeSet::new(),
            claims: Vec::new(),
            carried: BTreeSet::from(["sub".into()]),
            left: BTreeSet::new(),
            leaves_all: false,
            has_actors: true,
        }
    }

    /// Translates scopes from the outer to the inner vocabulary of this table.
    pub fn scopes_inward(mut self, table: ScopeTable) -> Self {
        self.scopes = Scopes::Inward(table);
        self
    }

    /// Translates scopes from the inner to the outer vocabulary of this table.
    pub fn scopes_outward(mut self, table: ScopeTable) -> Self {
        self.scopes = Scopes::Outward(table);
        self
    }

    /// A token for `from` may become one for `to`. May be called for several pairs.
    pub fn audience(mut self, from: impl Into<Box<str>>, to: impl Into<Box<str>>) -> Self {
        self.audiences.insert((from.into(), to.into()));
        self
    }

    /// Sets a claim that no dimension knows, such as `txn`, or `sub` where subjects are mapped.
    pub fn claim(mut self, name: impl Into<Box<str>>, value: impl Into<Json>) -> Self {
        let value: Json = value.into();
        self.claims.push((name.into(), value.to_string().into()));
        self
    }

    /// Carries a claim that no dimension knows, such as `sid`, over as it is.
    pub fn carry(mut self, name: impl Into<Box<str>>) -> Self {
        self.carried.insert(name.into());
        self
    }

    /// Leaves a claim behind that no dimension knows and that limits nothing. Claims that describe
    /// the user or the session, such as `email`, `sid` and `groups`, stay behind without it.
    pub fn leave(mut self, name: impl Into<Box<str>>) -> Self {
        self.left.insert(name.into());
        self
    }

    /// Leaves all claims behind that no dimension knows: for an issuer whose tokens have no claim
    /// of their own that limits anything, such as a platform that describes its workloads.
    pub const fn leave_all(mut self) -> Self {
        self.leaves_all = true;
        self
    }

    /// Begins a new chain of actors, where a standard forbids to tell another domain of those
    /// before. The issuer of the child answers for them.
    pub const fn without_actors(mut self) -> Self {
        self.has_actors = false;
        self
    }

    /// The parent's rights in the vocabulary of the child. A parent without a scope has an unknown
    /// one, which makes every child undecidable.
    #[must_use]
    pub fn translate(&self, parent: &Rights) -> Rights {
        let scope = parent.scope.read().map(|scopes| match &self.scopes {
            Scopes::Inward(table) => table.inward(scopes),
            Scopes::Outward(table) => table.outward(scopes),
        });
        let mut other = parent.other.clone();
        other
            .retain(|name, _| self.carried.contains(name) || !self.stays_behind(parent.kind, name));
        for (name, value) in &self.claims {
            other.insert(name.clone(), canonical_value(value));
        }
        let audience = parent.audience.read().map(|own| {
            let rows = self.audiences.iter().filter(|(from, _)| own.contains(from));
            rows.map(|(_, to)| to.clone()).collect()
        });
        Rights {
            kind: self.kind,
            issuer: self.issuer.clone().map_or(Claim::Absent, Claim::Read),
            scope: match scope {
                Some(Ok(scope)) => Claim::Read(scope),
                Some(Err(_)) | None => Claim::Unreadable,
            },
            audience: audience.map_or(Claim::Unreadable, Claim::Read),
            other,
            actors: match self.has_actors {
                true => parent.actors.clone(),
                false => Actors::none(),
            },
            ..parent.clone()
        }
    }

    /// Whether a claim that no dimension knows may be gone from the child.
    fn stays_behind(&self, from: Kind, name: &str) -> bool {
        let has_ended = match (from, self.kind) {
            // Beyond the border of its domain a transaction has ended.
            (Kind::TransactionToken, Kind::AccessToken) => name == "txn",
            // The server that takes a grant judged who presents it, and for which resource.
            (Kind::AuthorizationGrant, Kind::AccessToken) => {
                ["client_id", "resource"].contains(&name)
            }
            _ => false,
        };
        has_ended || self.leaves_all || self.left.contains(name) || DESCRIPTIONS.contains(&name)
    }
}
