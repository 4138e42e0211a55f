//! Why a guard cannot be built.

/// Error returned by [`GuardBuilder::build`](super::GuardBuilder::build) and
/// [`Guard::requiring`](super::Guard::requiring).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The resource is no absolute `https` URL without query and fragment; `http` only on loopback.
    #[error("a guard cannot protect `{resource}`")]
    Resource {
        /// As it was given.
        resource: String,
        /// What is wrong with it.
        source: aims_oauth_wire::Error,
    },
    /// The resource has a query, or is no URL of HTTP.
    #[error(
        "invalid resource URL `{resource}`: expected absolute https, or http on loopback, without query; a guard protects one URL and what is beneath it"
    )]
    NotHttp {
        /// As it was given.
        resource: String,
    },
    /// The metadata that is to be published is that of another resource.
    #[error("the metadata is of `{metadata}`, but the guard protects `{guarded}`")]
    OtherResource {
        /// The resource of the metadata.
        metadata: String,
        /// The one that is guarded.
        guarded: String,
    },
    /// The metadata cannot be published.
    #[error("the metadata cannot be published")]
    Metadata(#[source] aims_oauth_rs::Error),
    /// Scopes or roles are required, but no issuer of access tokens is configured.
    #[error(
        "scopes or roles are required, but the guard has no issuer of access tokens: name one by `.issuer(..)` and end with `.start().await`, or with `.build()` give `.issuers(..)`, or an issuer in `PublishedKeys` before `.keys(..)`"
    )]
    NoIssuer,
    /// An access token and a proof are asked for, and the guard accepts no proof that can travel
    /// with a token: a WPT of draft-ietf-wimse-wpt-02 takes its place in `Authorization`.
    #[error(
        "no request can satisfy the guard: it asks for an access token and a proof, and a WPT of draft-ietf-wimse-wpt-02 takes the token's place in `Authorization`; call `.http_signatures(HttpSignatures::new())`, `.wpt_revisions(Revisions::BOTH)` for WPTs of -01, `.accept_bearer()` for tokens without a proof, or require `Requirements::identity_alone`"
    )]
    Unsatisfiable,
    /// A proof by a key of an agent is asked for, and the guard trusts no origin of agents.
    #[error(
        "no request can satisfy the guard: it asks for the proof of an agent, and trusts no agents; \
         call `.bundle(origin, url)` for those that it trusts, or `.accept_bearer()` for tokens \
         without a proof"
    )]
    NoAgents,
    /// An identifier of the tool in access tokens is empty.
    #[error("an empty `token_audience`: expected what `aud` of access tokens names this tool by")]
    TokenAudience,
    /// Two profiles were named for the tokens of one issuer.
    #[error(
        "two different rules for the issuer `{issuer}`: expected one call of `.issuer(..)`, \
         `.issuer_with(..)` or `.issuer_rules(..)` for it"
    )]
    RulesTwice {
        /// The issuer.
        issuer: String,
    },
    /// The rules of an issuer do not fit the issuer, or another guard set other rules for it in the
    /// same [`IssuerStore`](aims_oauth_rs::IssuerStore).
    #[error("the rules of an issuer cannot be set")]
    IssuerRules(#[source] aims_oauth_rs::Error),
    /// Two issuers differ in the root slash alone: they are one server in two spellings (RFC 3986
    /// §6.2.3).
    #[error(
        "the issuers `{bare}` and `{slash}` are one server in two spellings: name the one that its tokens have in `iss`"
    )]
    IssuerTwice {
        /// The spelling without the slash.
        bare: String,
        /// The spelling with it.
        slash: String,
    },
    /// The scopes that are required are no list of scopes.
    #[error("invalid list of scopes: expected names separated by single spaces")]
    Scopes(#[source] aims_oauth_wire::Error),
    /// The text names no issuer.
    #[error("a guard cannot accept tokens of `{issuer}`")]
    Issuer {
        /// As it was given.
        issuer: String,
        /// What is wrong with it.
        source: aims_oauth_wire::Error,
    },
    /// A URL from which keys are to be fetched cannot be used, or there is no HTTP client.
    #[cfg(feature = "fetch")]
    #[error("keys cannot be fetched")]
    Fetch(#[from] aims_fetch::Error),
    /// The keys of an owner could not be fetched.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Keys(#[from] crate::keys::KeysError),
    /// No crypto provider is compiled in.
    #[cfg(feature = "fetch")]
    #[error(
        "no crypto provider is compiled in: enable the feature `aws-lc-rs` or `rustcrypto`, or end with `.build()` and give keys of your own provider"
    )]
    NoProvider,
    /// A guard that fetches its keys was given others as well.
    #[cfg(feature = "fetch")]
    #[error(
        "`.start()` fetches the keys that the guard trusts, and would drop those of `.{call}(..)`: name the issuers by `.issuer(..)` and the bundles by `.bundle(..)`, or end with `.build()`"
    )]
    Started {
        /// The call that gave them.
        call: &'static str,
    },
    /// Keys are to be fetched, and a guard that is only built fetches none.
    #[cfg(feature = "fetch")]
    #[error(
        "`.{call}(..)` is for a guard that fetches its keys, and `.build()` fetches none: end with `.start().await`, or give the keys by `.keys(..)`, `.trust(..)` or `.issuers(..)`"
    )]
    NotStarted {
        /// The call that only `start` acts on.
        call: &'static str,
    },
    /// Every response is to be signed, but there is no identity to sign as.
    #[error("every response is to be signed, but there is no identity: call `.answering_as(..)`")]
    NoSigner,
    /// A proof audience is empty.
    #[error("signatures cannot be verified: a proof audience is empty")]
    Signatures(#[source] aims_http_sig::Error),
    /// A header field that a proof must cover has a name that no signature can cover.
    #[error("a header field cannot be covered by a signature")]
    Fields(#[source] aims_http_sig::Error),
    /// The requirements contradict themselves, or the guard cannot meet them.
    #[error("the requirements cannot be met: {what}")]
    Requirements {
        /// What contradicts what.
        what: &'static str,
    },
}
