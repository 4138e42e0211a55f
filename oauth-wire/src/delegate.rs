//! Delegated authority never grows: comparing what a token permits with what its parent permits.
//!
//! A token that is made from another one, by token exchange (RFC 8693), as a transaction token or
//! by chaining, must not permit more than its parent. [`delegate`] compares both in every
//! [`Dimension`], and [`Rights`] is what a token permits, read from its claims.
//!
//! ```
//! use aims_oauth_wire::delegate::{Dimension, Kind, Rights, Verdict, delegate};
//!
//! let rights = |scope: &str, exp: u64| {
//!     let claims = format!(
//!         r#"{{"iss":"https://as.example","sub":"alice","aud":"https://tools.example",
//!             "client_id":"agent","jti":"1","iat":1,"exp":{exp},"scope":"{scope}"}}"#
//!     );
//!     Rights::read(Kind::AccessToken, claims.as_bytes())
//! };
//! let parent = rights("read write", 600)?;
//! let narrower = delegate(&parent, rights("read", 300)?)?;
//! assert_eq!(narrower.comparison().of(Dimension::Scope), Verdict::Narrower);
//!
//! let refused = delegate(&parent, rights("read", 601)?).unwrap_err();
//! assert_eq!(refused.code(), "delegate.lifetime");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rules that the standards leave open
//!
//! - **Kinds.** Tokens of two kinds, or of two issuers, are not comparable. What crosses from one
//!   to the other is translated first, by explicit tables: [`Crossing`].
//! - **Unknown claims.** A claim that no dimension knows must be equal on both sides; else the
//!   comparison is undecidable. `jti`, `iat`, `rctx` and `req_wl` say nothing. The `client_id` of a
//!   grant for another server, which says who may present it there, is no actor but such a claim.
//! - **Missing claims.** A token that lacks a claim which its kind requires is undecidable. So is a
//!   `scope` on one side alone.
//! - **Lifetime.** `exp` is compared without skew. An `nbf` that is missing, or earlier than the
//!   parent's, is wider. Fractions of a second count.
//! - **Login.** `auth_time`, `acr` and `amr` stay equal or go. Changed or added is wider.
//! - **Details.** Entries of `authorization_details` are compared by their type (RFC 9396):
//!   `aims_tool` by subsets of `locations`, `actions`, `datatypes` and `privileges`, any other type
//!   by equality. Fewer entries are narrower, where the token still has a `scope`. A `call_digest`
//!   stays, in the details or as `tctx.call_digest`.
//! - **Actors.** The parent's chain of actors is the tail of the child's, of at most five actors,
//!   none of them twice. What else an `act` says of an actor of the parent must be equal; else the
//!   comparison is undecidable.
//! - **Confirmation.** Bound to bearer is wider. Another key is narrower only together with an
//!   appended actor.
//! - **Context.** Every member of the parent's `tctx` stays unchanged. Members may be added.

mod actors;
pub(crate) mod claim;
mod compare;
mod crossing;
mod details;
mod meet;
mod rights;
mod scopes;
mod verdict;

pub use actors::MAX_ACTORS;
pub use compare::Comparison;
pub use crossing::Crossing;
pub(crate) use details::{Entry, TOOL};
pub use rights::{Kind, Rights};
pub use scopes::ScopeTable;
pub use verdict::{Dimension, Verdict};

/// Compares what is asked for with the parent in every dimension, and returns it if it is no more.
///
/// # Errors
///
/// [`Amplification`] names the first dimension in which the request is wider than the parent, else
/// the first in which that cannot be decided.
pub fn delegate(parent: &Rights, request: Rights) -> Result<Narrower, Amplification> {
    let comparison = parent.compare(&request);
    match comparison.worst() {
        None => Ok(Narrower {
            rights: request,
            comparison,
        }),
        Some((dimension, verdict, reason)) => Err(Amplification {
            dimension,
            verdict,
            reason,
        }),
    }
}

/// Rights that are no more than those of their parent. Only [`delegate`] makes this.
#[derive(Clone, Debug)]
#[must_use = "these are the rights that may be handed on"]
pub struct Narrower {
    rights: Rights,
    comparison: Comparison,
}

impl Narrower {
    /// Returns the rights that may be handed on.
    #[must_use]
    pub const fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Returns the rights, as the parent of the next hop.
    #[must_use]
    pub fn into_rights(self) -> Rights {
        self.rights
    }

    /// Says what became narrower and what stayed equal.
    #[must_use]
    pub const fn comparison(&self) -> &Comparison {
        &self.comparison
    }
}

/// A delegation would grow, or whether it would cannot be decided.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the delegated token is {verdict} in `{dimension}`: {reason}; expected no more than the parent"
)]
#[non_exhaustive]
pub struct Amplification {
    /// Where it would grow.
    pub dimension: Dimension,
    /// [`Verdict::Wider`] or [`Verdict::Undecidable`].
    pub verdict: Verdict,
    /// The finding.
    pub reason: &'static str,
}

impl Amplification {
    aims_error::codes! {
        Self { dimension: Dimension::Scope, .. } => Forbidden "delegate.scope",
        Self { dimension: Dimension::Audience, .. } => Forbidden "delegate.audience",
        Self { dimension: Dimension::Actions, .. } => Forbidden "delegate.actions",
        Self { dimension: Dimension::Details, .. } => Forbidden "delegate.details",
        Self { dimension: Dimension::Lifetime, .. } => Forbidden "delegate.lifetime",
        Self { dimension: Dimension::Actors, .. } => Forbidden "delegate.actors",
        Self { dimension: Dimension::Confirmation, .. } => Forbidden "delegate.confirmation",
        Self { dimension: Dimension::Context, .. } => Forbidden "delegate.context",
        Self { dimension: Dimension::Other, .. } => Forbidden "delegate.other",
    }
}
