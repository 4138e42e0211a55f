//! Rules for servers that deviate from the standard.

use aims_oauth_wire::names::ScopeSet;
use aims_oauth_wire::token::TokenRequest;

/// Deviations of one server from the standards: what its token responses may have, and what its
/// requests need or must not have. Use each only for a server that is known to need it.
///
/// ```
/// use aims_oauth_client::TokenRules;
///
/// let github = TokenRules::new().accept_commas_in_scope();
/// # let _ = github;
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenRules {
    pub(crate) wider_scopes: bool,
    pub(crate) unrequested_scopes: ScopeSet,
    pub(crate) unrequested_details: Vec<Box<str>>,
    pub(crate) unstated_details: bool,
    pub(crate) comma_separated_scopes: bool,
    pub(crate) missing_token_type: bool,
    pub(crate) unbound_tokens: bool,
    pub(crate) omits_resource: bool,
    pub(crate) omits_resource_on_refresh: bool,
    pub(crate) sends_scope_on_refresh: bool,
}

impl TokenRules {
    /// Creates rules that accept no deviation.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            wider_scopes: false,
            unrequested_scopes: ScopeSet::new(),
            unrequested_details: Vec::new(),
            unstated_details: false,
            comma_separated_scopes: false,
            missing_token_type: false,
            unbound_tokens: false,
            omits_resource: false,
            omits_resource_on_refresh: false,
            sends_scope_on_refresh: false,
        }
    }

    /// Accepts a bearer token although the request had a DPoP proof, or although the client
    /// requires tokens that are bound to its certificate, for a server that ignores that for some
    /// clients. Anyone who steals the token can use it.
    #[must_use]
    pub const fn accept_unbound_tokens(mut self) -> Self {
        self.unbound_tokens = true;
        self
    }

    /// Sends no `resource` (RFC 8707), for a server that answers it with an error. Keycloak 26
    /// answers 500 to the client credentials grant with `resource`.
    ///
    /// Requests for the authorization of a user are without it, too, if they have these rules:
    /// [`AuthorizationRequest::with_rules`](crate::AuthorizationRequest::with_rules),
    /// [`DeviceRequest::with_rules`](crate::DeviceRequest::with_rules),
    /// [`BackchannelRequest::with_rules`](crate::BackchannelRequest::with_rules). A connector and
    /// an approval pass theirs on.
    ///
    /// The server then chooses which resources accept the token, and any of them can use it at the
    /// others.
    #[must_use]
    pub const fn omit_resource(mut self) -> Self {
        self.omits_resource = true;
        self
    }

    /// Sends no `resource` with a refresh token, for a server that accepts it only with the first
    /// grant. Microsoft Entra is one: with scopes of its own form, it answers `AADSTS9010010` to a
    /// refresh with `resource`.
    #[must_use]
    pub const fn omit_resource_on_refresh(mut self) -> Self {
        self.omits_resource_on_refresh = true;
        self
    }

    /// Sends `scope` with a refresh token, for a server that otherwise grants fewer scopes than
    /// before (Microsoft Entra). The scopes are those of the first request.
    #[must_use]
    pub const fn send_scope_on_refresh(mut self) -> Self {
        self.sends_scope_on_refresh = true;
        self
    }

    /// Removes from a request what the server does not accept.
    pub(crate) fn shorten(&self, request: &mut TokenRequest) {
        if self.omits_resource {
            request.remove("resource");
        }
    }

    /// Accepts a token with these scopes although they were not requested, for a server that adds
    /// default scopes to each token. Keycloak adds `profile` and `email`. A token with another
    /// scope that was not requested is still refused. If it is called twice, the last call wins.
    ///
    /// ```
    /// use aims_oauth_client::TokenRules;
    ///
    /// let keycloak = TokenRules::new().accept_unrequested_scopes("profile email".parse()?);
    /// # let _ = keycloak;
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    #[must_use]
    pub fn accept_unrequested_scopes(mut self, scopes: ScopeSet) -> Self {
        self.unrequested_scopes = scopes;
        self
    }

    /// Accepts a token with any scopes that were not requested. Prefer
    /// [`accept_unrequested_scopes`](Self::accept_unrequested_scopes), which names them.
    ///
    /// A thief of the token can then do more than this call needed.
    #[must_use]
    pub const fn accept_wider_scopes(mut self) -> Self {
        self.wider_scopes = true;
        self
    }

    /// Accepts granted authorization details of these types that are not the requested ones, for a
    /// server that enriches them (RFC 9396 §7.1). Read [`Token::details`](crate::Token::details)
    /// before the token is used. If it is called twice, the last call wins.
    ///
    /// ```
    /// use aims_oauth_client::TokenRules;
    ///
    /// let bank = TokenRules::new().accept_other_details(["account_information"]);
    /// # let _ = bank;
    /// ```
    #[must_use]
    pub fn accept_other_details<T: Into<Box<str>>>(
        mut self,
        types: impl IntoIterator<Item = T>,
    ) -> Self {
        self.unrequested_details = types.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts a token although the server does not state which of the requested authorization
    /// details it granted, as RFC 9396 §7 requires.
    ///
    /// A server that ignores them gives a token that they do not restrict.
    #[must_use]
    pub const fn accept_unstated_details(mut self) -> Self {
        self.unstated_details = true;
        self
    }

    /// Reads a comma in `scope` as a separator, for a server that writes `repo,user` (GitHub,
    /// Slack). In RFC 6749 §3.3 a comma is part of a scope.
    #[must_use]
    pub const fn accept_commas_in_scope(mut self) -> Self {
        self.comma_separated_scopes = true;
        self
    }

    /// Reads a response without `token_type` as one with `Bearer`, for a server that omits it.
    ///
    /// It never applies to a request with a DPoP proof, or to a server that binds tokens to
    /// certificates. Do not set it for a client that authenticates with a certificate.
    #[must_use]
    pub const fn accept_missing_token_type(mut self) -> Self {
        self.missing_token_type = true;
        self
    }
}
