//! What is accepted from a server that does not follow the standard.

/// What is accepted of the token responses of one server, beyond what is accepted of all. Each rule
/// is for a server that is known to need it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TokenRules {
    pub(crate) wider_scopes: bool,
    pub(crate) comma_separated_scopes: bool,
    pub(crate) missing_token_type: bool,
}

impl TokenRules {
    /// No exception.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            wider_scopes: false,
            comma_separated_scopes: false,
            missing_token_type: false,
        }
    }

    /// Accepts a token with scopes that were not asked for: for a server that adds some of its own.
    /// A thief of the token can then do more than this call needed.
    #[must_use]
    pub const fn accept_wider_scopes(mut self) -> Self {
        self.wider_scopes = true;
        self
    }

    /// Reads a comma in `scope` as a separator: for a server that writes `repo,user` (GitHub,
    /// Slack). In RFC 6749 §3.3 a comma is part of a scope.
    #[must_use]
    pub const fn accept_commas_in_scope(mut self) -> Self {
        self.comma_separated_scopes = true;
        self
    }

    /// Reads a response without `token_type` as `Bearer`: for a server that leaves it out. It never
    /// applies to a request that carried a DPoP proof, or at a server that binds tokens to
    /// certificates. Do not set it for a client that authenticates with a certificate.
    #[must_use]
    pub const fn accept_missing_token_type(mut self) -> Self {
        self.missing_token_type = true;
        self
    }
}
