//! The rights of a token, read from its claims.

use std::collections::BTreeMap;

use aims_jose::json;
use aims_jose::jwt::{Audience, NumericDate};
use serde_json::value::RawValue;

use super::actors::Actors;
use super::claim::{Claim, Members, Texts, canonical_value, members, parsed, text};
use super::compare::Comparison;
use super::details::Details;
use crate::confirmation::Confirmation;
use crate::names::ScopeSet;

/// The kind of a token. Each has claims that it must have.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// An access token: `at+jwt` (RFC 9068).
    AccessToken,
    /// A transaction token: `txntoken+jwt` (draft-ietf-oauth-transaction-tokens).
    TransactionToken,
    /// A JWT authorization grant for another authorization server (RFC 7523 §2.1): of identity
    /// chaining, `oauth-id-jag+jwt` or `txn-chain+jwt`.
    ///
    /// Its `client_id` names who may present it there: it is no actor, and must be equal. Its
    /// context is `txn_claims`.
    AuthorizationGrant,
}

impl Kind {
    /// The kind of a token whose header has this `typ`: `at+jwt` in any case, also as
    /// `application/at+jwt` (RFC 9068 §4), or exactly `txntoken+jwt`.
    ///
    /// ```
    /// use aims_oauth_wire::delegate::Kind;
    ///
    /// assert_eq!(Kind::of_typ("at+jwt"), Some(Kind::AccessToken));
    /// assert_eq!(Kind::of_typ("application/AT+JWT"), Some(Kind::AccessToken));
    /// assert_eq!(Kind::of_typ("txntoken+jwt"), Some(Kind::TransactionToken));
    /// assert_eq!(Kind::of_typ("TXNTOKEN+JWT"), None);
    /// assert_eq!(Kind::of_typ("JWT"), None);
    /// ```
    #[must_use]
    pub fn of_typ(typ: &str) -> Option<Self> {
        let is_access_token = ["at+jwt", "application/at+jwt"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(typ));
        if is_access_token {
            Some(Self::AccessToken)
        } else if typ == "txntoken+jwt" {
            Some(Self::TransactionToken)
        } else {
            None
        }
    }

    /// The claims that it requires beside those of the dimensions.
    const fn required(self) -> &'static [&'static str] {
        match self {
            Self::AccessToken => &["iss", "sub", "iat", "jti"],
            Self::TransactionToken => &["txn", "sub", "iat", "req_wl"],
            Self::AuthorizationGrant => &["iss", "sub", "iat", "jti"],
        }
    }

    pub(super) const fn requires_scope(self) -> bool {
        matches!(self, Self::TransactionToken)
    }

    const fn requires_client(self) -> bool {
        matches!(self, Self::AccessToken)
    }

    /// The claim with the context of a transaction.
    const fn context(self) -> &'static str {
        match self {
            Self::AccessToken | Self::TransactionToken => "tctx",
            Self::AuthorizationGrant => "txn_claims",
        }
    }
}

/// The rights of a token: its claims, sorted by [dimension](super::Dimension).
///
/// It is made from claims, whether or not a signature was verified: verify the token first where
/// that matters.
#[derive(Clone, Debug)]
pub struct Rights {
    pub(super) kind: Kind,
    pub(super) issuer: Claim<Box<str>>,
    pub(super) scope: Claim<ScopeSet>,
    pub(super) audience: Claim<Texts>,
    pub(super) details: Claim<Details>,
    pub(super) expires: Claim<Moment>,
    pub(super) not_before: Claim<Moment>,
    pub(super) actors: Actors,
    pub(super) cnf: Claim<Cnf>,
    /// The one call that a transaction token is for by its context, in canonical form.
    pub(super) call: Option<Box<str>>,
    pub(super) context: Claim<BTreeMap<Box<str>, Value>>,
    /// `auth_time`, `acr` and `amr`.
    pub(super) login: BTreeMap<Box<str>, Value>,
    pub(super) other: BTreeMap<Box<str>, Value>,
    /// Whether the claims that the kind requires beside those of the dimensions are there.
    pub(super) is_whole: bool,
}

/// The canonical form of a value. `None` where a number has none.
pub(super) type Value = Option<Box<str>>;

/// `cnf`.
#[derive(Clone, Debug)]
pub(super) struct Cnf {
    pub(super) form: Box<str>,
    /// `None` where it has a member that is not known here.
    pub(super) methods: Option<Vec<Confirmation>>,
    /// Whether it names a key, also as `kid` (RFC 7800 §3.4).
    pub(super) names_key: bool,
}

/// Claims that say nothing about what is permitted.
const SILENT: [&str; 4] = ["jti", "iat", "rctx", "req_wl"];
/// Facts of the subject's login, which go or stay.
const LOGIN: [&str; 3] = ["auth_time", "acr", "amr"];
/// Claims of the dimensions before [`Dimension::Other`](super::Dimension::Other).
const DIMENSIONS: [&str; 9] = [
    "iss",
    "scope",
    "aud",
    "authorization_details",
    "exp",
    "nbf",
    "act",
    "client_id",
    "cnf",
];

impl Rights {
    /// Reads the claims of a token of this kind. A claim of the wrong form makes its dimension
    /// undecidable.
    ///
    /// # Errors
    ///
    /// Those of [`json::check_object`]: the payload is no JSON object, or has a member twice.
    pub fn read(kind: Kind, payload: &[u8]) -> Result<Self, aims_jose::Error> {
        let all: Members<'_> = json::from_object(payload)?;
        let claim = |name: &str| all.get(name).copied();
        let named = |wanted: &dyn Fn(&str) -> bool| {
            let those = all.iter().filter(|(name, _)| wanted(name));
            those
                .map(|(name, raw)| (name.as_str().into(), canonical_value(raw.get())))
                .collect()
        };
        let context = Claim::of(claim(kind.context()), context);
        Ok(Self {
            kind,
            issuer: Claim::of(claim("iss"), text),
            scope: Claim::of(claim("scope"), |json| {
                parsed::<String>(json).and_then(|text| text.parse().ok())
            }),
            audience: Claim::of(claim("aud"), audience),
            details: Claim::of(claim("authorization_details"), Details::read),
            expires: Claim::of(claim("exp"), Moment::read),
            not_before: Claim::of(claim("nbf"), Moment::read),
            actors: Actors::read(
                claim("act"),
                claim("client_id").filter(|_| kind != Kind::AuthorizationGrant),
                claim("iss"),
                kind.requires_client(),
            ),
            cnf: Claim::of(claim("cnf"), Cnf::read),
            call: call(kind, &context),
            context,
            login: named(&|name| LOGIN.contains(&name)),
            other: named(&|name| {
                let is_known = [&SILENT[..], &LOGIN, &DIMENSIONS];
                // Who may present a grant is no actor, and stays.
                let is_presenter = kind == Kind::AuthorizationGrant && name == "client_id";
                is_presenter
                    || name != kind.context() && !is_known.iter().any(|all| all.contains(&name))
            }),
            is_whole: kind.required().iter().all(|name| is_there(&all, name)),
        })
    }

    /// Returns the names of the claims that no dimension knows, such as `max_amount`. Each may be a
    /// limit, so a child has them too.
    pub fn further_claims(&self) -> impl Iterator<Item = &str> {
        self.other.keys().map(|name| &**name)
    }

    /// Compares what a child permits with this, its parent, in every dimension.
    #[must_use]
    pub fn compare(&self, child: &Self) -> Comparison {
        Comparison::between(self, child)
    }
}

/// A time with its fraction of a second, by which a token may grow: the bits of a double that
/// is not negative, in its order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Moment(u64);

impl Moment {
    fn read(json: &str) -> Option<Self> {
        parsed::<NumericDate>(json)?;
        parsed::<f64>(json).map(|seconds| Self(seconds.to_bits()))
    }
}

impl Cnf {
    fn read(json: &str) -> Option<Self> {
        let members = members(json)?;
        let key_id = members.get("kid").and_then(|raw| text(raw.get()));
        let methods = Confirmation::read_all(json.as_bytes()).ok();
        Some(Self {
            form: canonical_value(json)?,
            names_key: methods.is_some() || (members.len() == 1 && key_id.is_some()),
            methods,
        })
    }
}

fn audience(json: &str) -> Option<Texts> {
    let audience: Audience<'_> = parsed(json)?;
    let all: Texts = audience.iter().map(Into::into).collect();
    (!all.contains("")).then_some(all)
}

fn context(json: &str) -> Option<BTreeMap<Box<str>, Value>> {
    let all = members(json)?.into_iter();
    Some(
        all.map(|(name, raw)| (name.as_str().into(), canonical_value(raw.get())))
            .collect(),
    )
}

/// `call_digest` of the context of a transaction token. Another domain may give the context of a
/// grant in its access tokens, and its tools then read it there.
pub(super) fn call(kind: Kind, context: &Claim<BTreeMap<Box<str>, Value>>) -> Option<Box<str>> {
    if kind != Kind::TransactionToken {
        return None;
    }
    context.read()?.get("call_digest")?.clone()
}

/// Whether a required claim has its form: `iat` is a time, any other a text that is not empty.
fn is_there(all: &Members<'_>, name: &str) -> bool {
    let raw: Option<&&RawValue> = all.get(name);
    raw.is_some_and(|raw| match name {
        "iat" => parsed::<NumericDate>(raw.get()).is_some(),
        _ => text(raw.get()).is_some(),
    })
}
