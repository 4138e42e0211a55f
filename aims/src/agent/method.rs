//! How a request is authenticated.

/// How an [`Agent`](super::Agent) authenticates a request: by which proof of its key, or by the
/// access token alone.
///
/// Unless [one is set](super::AgentBuilder::proof), an agent that has access tokens for a tool
/// signs its requests, and any other makes WPTs: a WPT stands where the access token would.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RequestAuth {
    /// A signature over method, target, content and what goes with them, an access token too, which
    /// holds through proxies (draft-ietf-wimse-http-signature).
    HttpSignature,
    /// A workload proof token, for the target and the `Txn-Token` (draft-ietf-wimse-wpt). It covers
    /// neither the method nor the content. It stands in `Authorization`, so that no access token
    /// goes with it; only the [older draft](super::AgentBuilder::wpt_revision) has both.
    Wpt,
    /// No proof and no identity: the access token alone (RFC 6750), for tools that accept bearer
    /// tokens. Who steals the token can use it.
    Bearer,
}

impl RequestAuth {
    /// Whether the proof is over the content of the request, which must be known then.
    pub(super) const fn covers_content(self) -> bool {
        matches!(self, Self::HttpSignature)
    }
}
