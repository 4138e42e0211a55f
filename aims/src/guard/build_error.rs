//! The errors of building a guard.

/// Error returned by [`GuardBuilder::build`](super::GuardBuilder::build),
/// [`GuardBuilder::start`](super::GuardBuilder) and [`Guard::requiring`](super::Guard::requiring).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The resource is not an absolute `https` URL without query and fragment. `http` is accepted
    /// only for loopback.
    #[error("a guard cannot protect `{resource}`")]
    Resource {
        /// The URL as it was given.
        resource: String,
        /// The error of parsing it.
        source: aims_oauth_wire::Error,
    },
    /// The resource has a query, or is not an HTTP URL.
    #[error(
        "invalid resource URL `{resource}`: expected absolute https, or http on loopback, without query; a guard protects one URL and what is beneath it"
    )]
    NotHttp {
        /// The URL as it was given.
        resource: String,
    },
    /// The metadata to publish describes another resource.
    #[error("the metadata is of `{metadata}`, but the guard protects `{guarded}`")]
    OtherResource {
        /// The resource in the metadata.
        metadata: String,
        /// The resource of the guard.
        guarded: String,
    },
    /// The metadata cannot be published.
    #[error("the metadata cannot be published")]
    Metadata(#[source] aims_oauth_rs::Error),
    /// Scopes or roles are required, or DPoP-bound tokens are accepted, but no issuer of access
    /// tokens is configured.
    #[error(
        "scopes, roles or DPoP-bound tokens need an issuer, but the guard has no issuer of access tokens: name one by `.issuer(..)` and end with `.start().await`, or with `.build()` give `.issuers(..)`, or an issuer in `PublishedKeys` before `.keys(..)`"
    )]
    NoIssuer,
    /// The guard requires an access token and a proof, and accepts no proof that can travel with a
    /// token. A WPT of draft-ietf-wimse-wpt-02 uses the `Authorization` field of the token.
    #[error(
        "no request can satisfy the guard: it asks for an access token and a proof, and a WPT of draft-ietf-wimse-wpt-02 takes the token's place in `Authorization`; call `.http_signatures(HttpSignatures::new())`, `.dpop(Dpop::new())` for DPoP-bound tokens, `.wpt_revisions(Revisions::BOTH)` for WPTs of -01, `.accept_bearer()` for tokens without a proof, or require `Requirements::identity_alone`"
    )]
    Unsatisfiable,
    /// The guard requires a proof by the key of an agent, and trusts no origin of agents.
    #[error(
        "no request can satisfy the guard: it asks for the proof of an agent, and trusts no agents; \
         call `.bundle(origin, url)` for those that it trusts, `.dpop(Dpop::new())` for DPoP-bound \
         tokens, or `.accept_bearer()` for tokens without a proof"
    )]
    NoAgents,
    /// An identifier of the tool in access tokens is empty.
    #[error("an empty `token_audience`: expected what `aud` of access tokens names this tool by")]
    TokenAudience,
    /// The tokens of one issuer were given two different profiles.
    #[error(
        "two different rules for the issuer `{issuer}`: expected one call of `.issuer(..)`, \
         `.issuer_with(..)`, `.issuer_with_rules(..)` or `.issuer_rules(..)` for it"
    )]
    RulesTwice {
        /// The issuer.
        issuer: String,
    },
    /// The rules do not fit their issuer, or another guard set other rules for the issuer in the
    /// same [`IssuerStore`](aims_oauth_rs::IssuerStore).
    #[error("the rules of an issuer cannot be set")]
    IssuerRules(#[source] aims_oauth_rs::Error),
    /// Two issuers differ only in the root slash, so they are the same server (RFC 3986 §6.2.3).
    #[error(
        "the issuers `{bare}` and `{slash}` are one server in two spellings: name the one that its tokens have in `iss`"
    )]
    IssuerTwice {
        /// The spelling without the slash.
        bare: String,
        /// The spelling with the slash.
        slash: String,
    },
    /// Opaque tokens could be of two issuers.
    #[error(
        "two issuers of opaque tokens with the prefix {prefix:?}: expected one without a prefix, \
         and another `OpaqueTokens::prefix` for each further one"
    )]
    OpaqueTokens {
        /// The prefix.
        prefix: String,
    },
    /// The issuer of opaque tokens is not one of the guard's issuers.
    #[error(
        "opaque tokens of `{issuer}`, which is no issuer of this guard: name it in the \
         `IssuerStore` (`IssuerStore::name`), in `PublishedKeys`, or by `.issuer(..)`"
    )]
    OpaqueIssuer {
        /// The issuer.
        issuer: String,
    },
    /// The rules of an issuer let it be asked about its JWTs, and the guard has no way to ask it.
    #[error(
        "`{issuer}` is to be asked about its JWTs by `IssuerRules::introspect_jwts`, and the guard cannot ask it: call `GuardBuilder::opaque_tokens` with `OpaqueTokens::of` this issuer"
    )]
    NotAsked {
        /// The issuer.
        issuer: String,
    },
    /// A text is not the origin of a web page.
    #[error(
        "`{found}` is not an origin as browsers send it: expected scheme, host and port in lower case, such as `https://app.example`"
    )]
    Cors {
        /// The text.
        found: String,
    },
    /// A route requires a transaction token, and the guard accepts none.
    #[error(
        "the requirements ask for a transaction token, and the guard accepts none: call \
         `GuardBuilder::transactions`"
    )]
    NoTransactions,
    /// The keys of the service that issues transaction tokens are not in the store that was given.
    #[error(
        "transaction tokens of `{issuer}`, whose keys are not fetched: name it in the `PublishedKeys` (`.issuer(..)` or `.issuer_at(..)`), or in the `IssuerStore`"
    )]
    TransactionService {
        /// The issuer.
        issuer: String,
    },
    /// The required scopes are not a valid list of scopes.
    #[error("invalid list of scopes: expected names separated by single spaces")]
    Scopes(#[source] aims_oauth_wire::Error),
    /// The text is not a valid issuer.
    #[error("a guard cannot accept tokens of `{issuer}`")]
    Issuer {
        /// The issuer as it was given.
        issuer: String,
        /// The error of parsing it.
        source: aims_oauth_wire::Error,
    },
    /// A URL to fetch keys from is not valid, or the HTTP client cannot be set up.
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
    /// The guard fetches its keys, and was given other keys as well.
    #[cfg(feature = "fetch")]
    #[error(
        "`.start()` fetches the keys that the guard trusts, and would drop those of `.{call}(..)`: name the issuers by `.issuer(..)` and the bundles by `.bundle(..)`, or end with `.build()`"
    )]
    Started {
        /// The method that gave the other keys.
        call: &'static str,
    },
    /// Keys are to be fetched, but `build` fetches no keys.
    #[cfg(feature = "fetch")]
    #[error(
        "`.{call}(..)` is for a guard that fetches its keys, and `.build()` fetches none: end with `.start().await`, or give the keys by `.keys(..)`, `.trust(..)` or `.issuers(..)`"
    )]
    NotStarted {
        /// The method that only `start` supports.
        call: &'static str,
    },
    /// DPoP proofs are to be verified, and there is no crypto provider.
    #[error(
        "no crypto provider is compiled in to verify DPoP proofs: enable the feature `aws-lc-rs` or `rustcrypto`, or call `Dpop::with_provider`"
    )]
    NoDpopProvider,
    /// The crypto provider has none of the algorithms that are accepted of DPoP proofs.
    #[error(
        "the crypto provider has none of the algorithms that the rules for DPoP proofs accept: expected one that it has in `DpopRules::with_algorithms`"
    )]
    DpopAlgorithms,
    /// No secret for nonces of DPoP can be drawn.
    #[error("nonces of DPoP cannot be issued")]
    DpopNonces(#[source] aims_oauth_wire::dpop::Error),
    /// Every response is to be signed, but the guard has no identity to sign with.
    #[error("every response is to be signed, but there is no identity: call `.answering_as(..)`")]
    NoSigner,
    /// A proof audience is empty.
    #[error("signatures cannot be verified: a proof audience is empty")]
    Signatures(#[source] aims_http_sig::Error),
    /// A header field that a proof must cover has a name that a signature cannot cover.
    #[error("a header field cannot be covered by a signature")]
    Fields(#[source] aims_http_sig::Error),
    /// The requirements contradict themselves, or the guard cannot meet them.
    #[error("the requirements cannot be met: {what}")]
    Requirements {
        /// The contradiction.
        what: &'static str,
    },
}
