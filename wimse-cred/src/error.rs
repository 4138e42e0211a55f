//! Errors of verifying and issuing credentials, of bundles and of identity sources.

use std::fmt;
use std::sync::Arc;

use aims_jose::jwk::SkippedKeys;
use aims_wimse_id::Origin;

/// A credential or bundle was refused, or a source has no identity.
///
/// No message contains a token or a key. No message repeats its source; [`aims_jose::Chain`] prints
/// both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Errors of the token.
    /// The WIT is not a well-formed JWS, or a claim, a time or its signature is wrong.
    #[error("workload identity token")]
    Wit(#[source] aims_jose::Error),
    /// The JWT-SVID is not a well-formed JWS, or a claim, a time or its signature is wrong.
    #[error("JWT-SVID")]
    JwtSvid(#[source] aims_jose::Error),
    /// `sub` is not a workload identifier, or not one that this kind of credential may have
    /// (draft-ietf-wimse-workload-creds §5.1, WIT-SVID §3).
    #[error("`sub` is no identifier that this credential can name")]
    Subject(#[source] Option<aims_wimse_id::Error>),
    /// `cnf` does not contain exactly one usable key (draft-ietf-wimse-workload-creds §5.1).
    ///
    /// It has no `jwk`, or also names a key in another way, or the JWK has no `alg` or is not a
    /// public key that can verify.
    #[error("`cnf` does not hold exactly one usable public key with its `alg`")]
    Confirmation(#[source] Option<aims_jose::Error>),
    /// The header of a WIT-SVID has no `kid`, which is required (WIT-SVID §2.1).
    #[error("a WIT-SVID has a `kid` in its header")]
    KeyIdMissing,
    /// A WIT-SVID has `aud`, which is not allowed.
    #[error("a WIT-SVID has no `aud`")]
    AudiencePresent,
    /// The JWT-SVID is for another audience (JWT-SVID §3.2).
    #[error("the JWT-SVID is not for this audience")]
    Audience,

    // Errors of the trust store.
    /// The store has no bundle for the origin of `sub`: it was never set, or was removed.
    #[error(
        "no bundle for the origin `{origin}`: expected one of {known}; check the origin, or trust it by its bundle"
    )]
    UnknownOrigin {
        /// The origin that the token claims.
        origin: Origin,
        /// Some of the origins that have a bundle, formatted for the message.
        known: Box<str>,
    },
    /// The bundle of this origin has no key that fits. A refresh of the bundle may help.
    #[error(
        "the bundle of `{origin}` has no key for {}: it has {usable} usable keys{}{skipped}",
        KeyId(key_id.as_deref()),
        Known(known)
    )]
    UnknownKey {
        /// The origin that the token claims.
        origin: Origin,
        /// `kid` of the token.
        key_id: Option<String>,
        /// Number of keys in the bundle that are usable for this kind of credential.
        usable: usize,
        /// `kid` of some usable keys, formatted for the message. Empty if no key is usable.
        known: Box<str>,
        /// The entries of the bundle that are not used for this kind of credential, and why.
        skipped: SkippedKeys,
    },
    /// Several keys of the bundle fit. The verifier does not try them in turn.
    #[error("several keys of the bundle of `{origin}` fit")]
    AmbiguousKey {
        /// The origin that the token claims.
        origin: Origin,
    },
    /// The bundle was not refreshed in time.
    #[error("the bundle of `{origin}` is stale")]
    Stale {
        /// The origin of the bundle.
        origin: Origin,
    },
    /// The bundle was not set, because the program removed its origin from the store.
    #[error(
        "the bundle of `{origin}` is not set: the origin was removed from the store; call `TrustStore::name` to trust it again"
    )]
    Removed {
        /// The origin of the bundle.
        origin: Origin,
    },
    /// The credential was revoked.
    #[error("the credential was revoked")]
    Revoked,

    // Errors of bundles.
    /// The bundle is not a key set, or has a malformed `spiffe_…` member (SPIFFE Trust Domain and
    /// Bundle §4.1).
    #[error("malformed bundle")]
    BundleSyntax(#[source] Option<aims_jose::Error>),
    /// Two different keys of the bundle have the same `kid`, or one key has it for different uses
    /// (SPIFFE Trust Domain and Bundle §4.2.2).
    #[error("two keys of the bundle have the same `kid`")]
    BundleKeyId,
    /// A trust domain, or another member, occurs twice in a bundle map (SPIFFE Trust Domain and
    /// Bundle §5.1.1).
    #[error("a member of the bundle map is there twice")]
    BundleRepeated,
    /// The sequence number is lower than that of the current bundle, which stays (SPIFFE Trust
    /// Domain and Bundle §4.1.1).
    #[error("the bundle's sequence number {offered} is below {held}")]
    BundleSequence {
        /// The sequence number of the current bundle.
        held: u64,
        /// The sequence number of the refused bundle.
        offered: u64,
    },

    // Errors of the calling program, or of its signer and source.
    /// The arguments do not allow a credential: a lifetime outside the limits, a key without `alg`
    /// or with an algorithm that the profile does not allow, or an identifier of another kind.
    #[error("the credential cannot be issued: {reason}")]
    Issue {
        /// The defect.
        reason: &'static str,
    },
    /// The signer failed.
    #[error("signing failed")]
    Sign(#[source] aims_jose::Error),
    /// The key of an identity is not the key that its WIT confirms.
    #[error("the key is not the one that the credential confirms")]
    SourceKey,
    /// The key of the identity is in a device or behind a network, and this call cannot wait for
    /// its signature. [`Identity::signer`](crate::Identity::signer) can be awaited.
    #[error(
        "the key of the identity signs asynchronously, and a signature is needed at once; use what \
         waits for it: `Identity::signer`, an agent's `prepare`, `send` or `layer`, a guard's `layer`"
    )]
    RemoteSigner,
    /// The source's credential has expired and could not be renewed.
    #[error("the identity has expired and could not be renewed")]
    SourceExpired,
    /// The program has no identity.
    #[error(
        "there is no identity to prove: expected an `IdentitySource`, such as the one that \
         `enrolment::enrol` gives"
    )]
    NoIdentity,
    /// The issuer of the source returned no credential.
    #[error("the issuer gave no credential")]
    SourceUnavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    aims_error::codes! {
        Self::Subject(_) => Mismatch "cred.subject",
        Self::Confirmation(_) => Malformed "wit.confirmation",
        Self::KeyIdMissing => Malformed "wit.kid",
        Self::AudiencePresent => Malformed "wit.audience_present",
        Self::Audience => Mismatch "svid.audience",
        Self::UnknownOrigin { .. } => Untrusted "trust.unknown_origin",
        Self::UnknownKey { .. } => Untrusted "trust.unknown_key",
        Self::AmbiguousKey { .. } => Untrusted "trust.ambiguous_key",
        Self::Stale { .. } => Unavailable "trust.stale",
        Self::Removed { .. } => Configuration "trust.removed",
        Self::Revoked => Revoked "wit.revoked",
        Self::BundleSyntax(_) => Malformed "bundle.syntax",
        Self::BundleKeyId => Malformed "bundle.kid",
        Self::BundleRepeated => Malformed "bundle.repeated",
        Self::BundleSequence { .. } => Replayed "bundle.sequence",
        Self::Issue { .. } => Configuration "cred.issue",
        Self::Sign(_) => Unavailable "cred.sign",
        Self::SourceKey => Mismatch "source.key",
        Self::RemoteSigner => Configuration "source.remote_signer",
        Self::SourceExpired => Expired "source.expired",
        Self::NoIdentity => Configuration "source.none",
        Self::SourceUnavailable(_) => Unavailable "source.unavailable",
        ;
        Self::Wit(source) => aims_jose::token_code!("wit", source), source.kind();
        Self::JwtSvid(source) => aims_jose::token_code!("svid", source), source.kind();
        ; [
            "wit.algorithm",
            "wit.claim",
            "wit.expired",
            "wit.lifetime",
            "wit.not_yet_valid",
            "wit.signature",
            "wit.typ",
            "svid.algorithm",
            "svid.claim",
            "svid.expired",
            "svid.lifetime",
            "svid.not_yet_valid",
            "svid.signature",
            "svid.typ",
        ]
    }

    /// Returns whether a refresh of the origin's bundle may make this credential valid.
    #[must_use]
    pub const fn is_key_unknown(&self) -> bool {
        matches!(self, Self::UnknownKey { .. })
    }
}

/// `kid` of a token: untrusted text, escaped, at most [`MAX_SHOWN`] characters.
struct KeyId<'a>(Option<&'a str>);

impl fmt::Display for KeyId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(id) = self.0 else {
            return f.write_str("a token without `kid`");
        };
        let shown: String = id.chars().take(MAX_SHOWN).collect();
        let rest = if shown.len() < id.len() { "…" } else { "" };
        write!(f, "the `kid` {shown:?}{rest}")
    }
}

/// `kid` of the usable keys, or an empty text.
struct Known<'a>(&'a str);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ", `kid` {}", self.0)
    }
}

const MAX_SHOWN: usize = 128;
