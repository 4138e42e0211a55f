//! Opaque access tokens: whose they are, and who is asked about them.

use std::sync::Arc;
use std::time::Duration;

use aims_jose::base64url;
use aims_oauth_wire::names::Issuer;

use super::{BuildError, GuardBuilder, Inner};
use crate::resolve::Resolve;

/// Accepts opaque access tokens of one issuer, which is asked about each of them (RFC 7662).
///
/// A token that begins with `eyJ` and has a dot is a JWT, and is verified by the keys of its
/// issuer. So is one whose text before the first dot is base64url of a text that begins with `{`.
/// The issuer is asked about a JWT only where its rules say so
/// ([`IssuerRules::introspect_jwts`](aims_oauth_rs::IssuerRules::introspect_jwts)). Every other
/// token is opaque. The guard asks one issuer about it, and never a second: the issuer
/// with the longest [prefix](Self::prefix) that the token begins with, or the issuer without a
/// prefix.
///
/// The issuer is one of the guard's. One that publishes no `jwks_uri` cannot be named by
/// `GuardBuilder::issuer`: name it in an [`IssuerStore`](aims_oauth_rs::IssuerStore::name), and
/// end with `build`.
///
/// The guard judges the answer like a JWT: audience, times, binding, scopes. It keeps a good answer
/// until the token ends, and for at most the [ceiling](Self::ceiling). A [revocation] that the
/// guard knows of counts at once. While the issuer does not answer, the guard refuses the token
/// with 503 and `Retry-After`.
///
/// [revocation]: crate::revoked::Revoked
///
/// ```
/// use std::sync::Arc;
///
/// use aims::Guard;
/// use aims::guard::OpaqueTokens;
/// use aims::oauth_rs::IssuerStore;
/// use aims::oauth_wire::introspection::Introspection;
/// use aims::resolve::{Need, Resolve, ResolveFuture, Resolved};
///
/// /// Knows no token. With the feature `introspection`, `aims::introspect::Introspector` asks the
/// /// issuer.
/// #[derive(Debug)]
/// struct NoToken;
///
/// impl Resolve for NoToken {
///     fn resolve(&self, need: Need) -> ResolveFuture<'_> {
///         Box::pin(async move {
///             match need {
///                 Need::Introspection(_) => {
///                     Resolved::Introspected(Box::new(Introspection::Inactive))
///                 }
///                 _ => Resolved::Unavailable,
///             }
///         })
///     }
/// }
///
/// let issuer: aims::oauth_wire::names::Issuer = "https://as.example".parse()?;
/// let issuers = IssuerStore::new();
/// issuers.name(&issuer);
/// let guard = Guard::builder("https://tools.example/mcp")
///     .trust(Arc::default())
///     .issuers(Arc::new(issuers))
///     .opaque_tokens(OpaqueTokens::of(issuer, NoToken))
///     .accept_bearer()
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "give it to `GuardBuilder::opaque_tokens`"]
pub struct OpaqueTokens {
    issuer: Issuer,
    asked: Arc<dyn Resolve>,
    prefix: String,
    ceiling: Duration,
}

impl OpaqueTokens {
    /// The opaque tokens of this issuer. `asked` answers
    /// [`Need::Introspection`](crate::resolve::Need::Introspection).
    pub fn of(issuer: Issuer, asked: impl Resolve + 'static) -> Self {
        Self {
            issuer,
            asked: Arc::new(asked),
            prefix: String::new(),
            ceiling: CEILING,
        }
    }

    /// Restricts them to tokens that begin with this text, such as `gho_`. A guard with several
    /// issuers of opaque tokens needs it.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long an answer counts before the issuer is asked again. Defaults to one minute. A
    /// revocation that only the issuer knows of takes effect after that time.
    pub const fn ceiling(mut self, ceiling: Duration) -> Self {
        self.ceiling = ceiling;
        self
    }

    pub(super) const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub(super) const fn asked(&self) -> &Arc<dyn Resolve> {
        &self.asked
    }

    pub(super) const fn longest_use(&self) -> Duration {
        self.ceiling
    }
}

impl<T, M> GuardBuilder<T, M> {
    /// Accepts [opaque access tokens](OpaqueTokens) of one of the guard's issuers. May be repeated,
    /// with another prefix each time.
    pub fn opaque_tokens(mut self, tokens: OpaqueTokens) -> Self {
        self.settings.opaque.push(tokens);
        self
    }
}

/// The opaque tokens of a guard, those with the longest prefix first.
#[derive(Debug, Default)]
pub(super) struct Opaque(Vec<OpaqueTokens>);

impl Opaque {
    /// # Errors
    ///
    /// [`BuildError::OpaqueTokens`] where a token could be of two issuers.
    pub(super) fn new(mut all: Vec<OpaqueTokens>) -> Result<Self, BuildError> {
        all.sort_by(|one, other| {
            let by_length = other.prefix.len().cmp(&one.prefix.len());
            by_length.then_with(|| one.prefix.cmp(&other.prefix))
        });
        for (one, other) in all.iter().zip(all.iter().skip(1)) {
            if one.prefix == other.prefix {
                return Err(BuildError::OpaqueTokens {
                    prefix: one.prefix.clone(),
                });
            }
        }
        Ok(Self(all))
    }

    /// The issuers of opaque tokens.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.0.iter().map(OpaqueTokens::issuer)
    }

    /// Returns the settings for this opaque token.
    fn of(&self, token: &str) -> Option<&OpaqueTokens> {
        self.0.iter().find(|it| token.starts_with(&it.prefix))
    }
}

/// Returns whether the token has the form of a JWT: its first part is a JSON object, perhaps with
/// blanks before it (RFC 7515 §3.1). Such a token may be another issuer's.
fn is_jwt(token: &str) -> bool {
    let Some((header, _)) = token.split_once('.') else {
        return false;
    };
    // `eyJ` is `{"` and a letter.
    header.starts_with("eyJ")
        || base64url::decode(header).is_ok_and(|it| it.trim_ascii_start().starts_with(b"{"))
}

impl Inner {
    /// Returns the settings of the issuer that is asked about this token: one of opaque tokens, or
    /// the one that a JWT names, if its rules say so.
    pub(super) fn asked_about(&self, token: &str) -> Option<&OpaqueTokens> {
        if !is_jwt(token) {
            return self.opaque.of(token);
        }
        let issuers = self
            .issuers
            .as_ref()
            .filter(|_| !self.opaque.0.is_empty())?;
        let issuer = self.tokens.asks_about(token, issuers)?;
        let mut all = self.opaque.0.iter();
        all.find(|it| it.issuer.as_str() == issuer)
    }

    /// # Errors
    ///
    /// [`BuildError::OpaqueIssuer`].
    pub(super) fn check_opaque(&self) -> Result<(), BuildError> {
        let configured = self.issuers.as_ref().map(|it| it.snapshot());
        let is_own = |issuer: &Issuer| {
            configured
                .as_ref()
                .is_some_and(|it| it.is_configured(issuer))
        };
        match self.opaque.issuers().find(|it| !is_own(it)) {
            Some(issuer) => Err(BuildError::OpaqueIssuer {
                issuer: issuer.as_str().to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// How long an answer counts by default.
const CEILING: Duration = Duration::from_secs(60);
