//! The methods by which a request is authenticated.

/// The method by which an [`Agent`](super::Agent) authenticates a request: a proof of its key, or
/// the access token alone.
///
/// [`AgentBuilder::proof`](super::AgentBuilder::proof) sets it. By default, an agent that has
/// access tokens for a tool signs its requests, and every other agent makes WPTs, because a WPT
/// uses the header field of the access token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RequestAuth {
    /// An HTTP signature over method, target, content, access token and other header fields
    /// (draft-ietf-wimse-http-signature). It stays valid through proxies.
    HttpSignature,
    /// A workload proof token for the target and the `Txn-Token` (draft-ietf-wimse-wpt).
    ///
    /// It covers neither the method nor the content. It uses `Authorization`, so the request cannot
    /// have an access token; only the [older draft](super::AgentBuilder::wpt_revision) supports
    /// both.
    Wpt,
    /// The access token alone, without a proof or an identity (RFC 6750), for tools that accept
    /// bearer tokens. Anyone who steals the token can use it.
    Bearer,
}

impl RequestAuth {
    /// Returns whether the proof covers the content of the request, which must be known then.
    pub(super) const fn covers_content(self) -> bool {
        matches!(self, Self::HttpSignature)
    }
}
