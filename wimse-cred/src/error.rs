//! Why a credential, a bundle or a source is refused.

use std::fmt;
use std::sync::Arc;

use aims_jose::jwk::SkippedKeys;
use aims_wimse_id::Origin;

/// A credential was refused, a bundle was not taken, or a source has nothing to give.
///
/// No message holds a token or a key. None repeats its source: [`aims_jose::Chain`] shows both.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The token.
    /// The WIT is no well-formed JWS, or one of its claims, its times or its signature is wrong.
    #[error("workload identity token")]
    Wit(#[source] aims_jose::Error),
    /// The same of a JWT-SVID.
    #[error("JWT-SVID")]
    JwtSvid(#[source] aims_jose::Error),
    /// `sub` is no workload identifier, or not one of this kind of credential
    /// (draft-ietf-wimse-workload-creds §5.1, WIT-SVID §3).
    #[error("`sub` is no identifier that this credential can name")]
    Subject(#[source] Option<aims_wimse_id::Error>),
    /// `cnf` has no `jwk`, or also names a key in another way, or the JWK has no `alg`, or is no
    /// public key that can verify (draft-ietf-wimse-workload-creds §5.1).
    #[error("`cnf` does not hold exactly one usable public key with its `alg`")]
    Confirmation(#[source] Option<aims_jose::Error>),
    /// The header of a WIT-SVID has no `kid`, which it always has (WIT-SVID §2.1).
    #[error("a WIT-SVID has a `kid` in its header")]
    KeyIdMissing,
    /// A WIT-SVID has `aud`, which it never has.
    #[error("a WIT-SVID has no `aud`")]
    AudiencePresent,
    /// The JWT-SVID is for others (JWT-SVID §3.2).
    #[error("the JWT-SVID is not for this audience")]
    Audience,

    // The trust.
    /// Nothing is known of the origin of `sub`: its bundle was never given, or was removed.
    #[error(
        "no bundle for the origin `{origin}`: expected one of {known}; check the origin, or trust it by its bundle"
    )]
    UnknownOrigin {
        /// The origin that the token claims.
        origin: Origin,
        /// Some of the origins that have a bundle, as the message shows them.
        known: Box<str>,
    },
    /// The bundle of this origin has no such key. A refresh of the bundle may help.
    #[error(
        "the bundle of `{origin}` has no key for {}: it has {usable} usable keys{}{skipped}",
        KeyId(key_id.as_deref()),
        Known(known)
    )]
    UnknownKey {
        /// The origin that the token claims.
        origin: Origin,
        /// The token's `kid`.
        key_id: Option<String>,
        /// How many keys of the bundle are usable for this kind of credential.
        usable: usize,
        /// The `kid` of some of them, as the message shows them; empty where none is usable.
        known: Box<str>,
        /// The entries of the bundle that are not used for this kind of credential, and why.
        skipped: SkippedKeys,
    },
    /// Several keys of the bundle fit, and none is tried at random.
    #[error("several keys of the bundle of `{origin}` fit")]
    AmbiguousKey {
        /// The origin that the token claims.
        origin: Origin,
    },
    /// The bundle was not refreshed for too long.
    #[error("the bundle of `{origin}` is stale")]
    Stale {
        /// Whose bundle.
        origin: Origin,
    },
    /// The origin was removed from the store. Its bundle is not set.
    #[error(
        "the bundle of `{origin}` is not set: the origin was removed from the store; call `TrustStore::name` to trust it again"
    )]
    Removed {
        /// Whose bundle.
        origin: Origin,
    },
    /// The credential was revoked.
    #[error("the credential was revoked")]
    Revoked,

    // The bundle.
    /// The bundle is no key set, or has a malformed `spiffe_…` member (SPIFFE Trust
    /// Domain and Bundle §4.1).
    #[error("malformed bundle")]
    BundleSyntax(#[source] Option<aims_jose::Error>),
    /// Two different keys of the bundle have one `kid`, or one key has it for different uses
    /// (SPIFFE Trust Domain and Bundle §4.2.2).
    #[error("two keys of the bundle have the same `kid`")]
    BundleKeyId,
    /// A trust domain, or another member, stands twice in a bundle map (SPIFFE Trust Domain and
    /// Bundle §5.1.1).
    #[error("a member of the bundle map is there twice")]
    BundleRepeated,
    /// A bundle with a lower sequence number does not replace a higher one (SPIFFE Trust
    /// Domain and Bundle §4.1.1).
    #[error("the bundle's sequence number {offered} is below {held}")]
    BundleSequence {
        /// The sequence number of the bundle that is held.
        held: u64,
        /// The one that was offered.
        offered: u64,
    },

    // Our own caller, or our own means.
    /// A credential cannot be issued so: no or too long a lifetime, a key without `alg` or of an
    /// algorithm that the profile does not take, an identifier of another kind.
    #[error("the credential cannot be issued: {reason}")]
    Issue {
        /// What is wrong.
        reason: &'static str,
    },
    /// The signer failed.
    #[error("signing failed")]
    Sign(#[source] aims_jose::Error),
    /// Key and credential of an identity do not belong together.
    #[error("the key is not the one that the credential confirms")]
    SourceKey,
    /// The key of the identity is behind a device or a network, and the caller cannot wait for its
    /// signature ([`Identity::signer`](crate::Identity::signer) can be awaited).
    #[error(
        "the key of the identity signs asynchronously, and a signature is needed at once; use what \
         waits for it: `Identity::signer`, an agent's `prepare`, `send` or `layer`, a guard's `layer`"
    )]
    RemoteSigner,
    /// The source's credential has expired, and no new one was got.
    #[error("the identity has expired and could not be renewed")]
    SourceExpired,
    /// The program has no identity.
    #[error(
        "there is no identity to prove: expected an `IdentitySource`, such as the one that \
         `enrolment::enrol` gives"
    )]
    NoIdentity,
    /// The issuer of the source gave nothing.
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

    /// Whether a refresh of the origin's bundle may make this credential good.
    #[must_use]
    pub const fn is_key_unknown(&self) -> bool {
        matches!(self, Self::UnknownKey { .. })
    }
}

/// What a token says of its key: foreign text, escaped, of at most [`MAX_SHOWN`] characters.
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

/// The `kid` of the keys that there are, or nothing.
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
