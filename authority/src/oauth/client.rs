//! The rights of a client with users: redirect URIs, and the rules of its authorization requests.

use std::collections::{BTreeMap, BTreeSet};

use aims_error::shown;

use super::backchannel::Backchannel;
use super::redirect::RedirectUri;
use super::resource::{Client, ClientMatcher};
use crate::Error;

/// Maximum number of redirect URIs of a client.
const MOST_REDIRECT_URIS: usize = 32;

/// The rules of a client's authorization requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodeFlow {
    /// The redirect URIs as the operator or the client wrote them.
    pub(crate) redirect_uris: Vec<String>,
    /// The name for the consent page.
    pub(crate) name: Option<String>,
    /// Whether the client itself wrote its name and redirect URIs.
    pub(crate) unverified: bool,
    /// Whether every authorization request must be pushed (RFC 9126 §6).
    pub(crate) pushed_only: bool,
    /// Whether every authorization request must be signed (RFC 9101 §10.5).
    pub(crate) signed_only: bool,
    /// The types of `authorization_details` that it may ask for.
    pub(crate) details: BTreeSet<String>,
    /// The resources whose tokens the client receives and may exchange (RFC 8693).
    pub(crate) serves: BTreeSet<String>,
    /// Whether the client may replace transaction tokens.
    pub(crate) replaces_transactions: bool,
    /// Whether the client may exchange transaction tokens for access tokens.
    pub(crate) is_border: bool,
    /// The other issuers whose authorization grants the client may present.
    pub(crate) grants_of: BTreeSet<String>,
    /// The other authorization servers that the client may ask grants for, and its `client_id`
    /// there.
    pub(crate) known_as: BTreeMap<String, String>,
    /// The other issuers whose ID tokens the client may present, and its `client_id` there.
    pub(crate) id_tokens_of: BTreeMap<String, String>,
    /// How the client asks users on their own devices, if it may.
    pub(crate) backchannel: Option<Backchannel>,
}

impl Client {
    /// Creates a public client (RFC 6749 §2.1), such as a program on the user's machine.
    ///
    /// It proves nothing at the token endpoint, `none`. It gets tokens for users, by authorization
    /// code with PKCE, with at least one [`redirect_uri`](Self::redirect_uri). Without one it needs
    /// [`grants_of`](Self::grants_of), and gets tokens for those of a platform
    /// ([`IncomingGrants::accept_public_client`](crate::IncomingGrants::accept_public_client)).
    ///
    /// ```
    /// use aims_authority::Client;
    ///
    /// let command_line = Client::public("cli")
    ///     .redirect_uri("http://127.0.0.1/callback")
    ///     .allow("https://tools.example/mcp", ["tools:call"]);
    /// # drop(command_line);
    /// ```
    #[must_use]
    pub fn public(client_id: impl Into<String>) -> Self {
        Self::new(ClientMatcher::Public {
            client_id: client_id.into(),
        })
    }

    /// Adds a redirect URI. With one or more of them the client may ask users for authorization
    /// (RFC 6749 §4.1).
    ///
    /// A request must name one of them, character by character; it may omit it if there is only
    /// one. The port of an `http` URI on `127.0.0.1`, `[::1]` or `localhost` may vary (RFC 8252
    /// §7.3). Other schemes are `https`, or a reversed domain name such as `com.example.app` (RFC
    /// 8252 §7.1).
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.flow.redirect_uris.push(uri.into());
        self
    }

    /// Sets the name that the consent page shows. Defaults to the `client_id`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.flow.name = Some(name.into());
        self
    }

    /// Refuses authorization requests of the client that were not pushed (RFC 9126 §6).
    #[must_use]
    pub const fn require_pushed_requests(mut self) -> Self {
        self.flow.pushed_only = true;
        self
    }

    /// Refuses authorization requests of the client that are not signed (RFC 9101 §10.5), so that
    /// nothing on the way takes the signature away and changes them. The client has keys.
    #[must_use]
    pub const fn require_signed_requests(mut self) -> Self {
        self.flow.signed_only = true;
        self
    }

    /// Allows the client to ask for `authorization_details` of this type (RFC 9396), which
    /// [`Builder::authorization_details`](crate::Builder::authorization_details) defines.
    #[must_use]
    pub fn allow_details(mut self, name: impl Into<String>) -> Self {
        self.flow.details.insert(name.into());
        self
    }

    /// Says that the client serves this resource, so that it may introspect the access tokens for
    /// it (RFC 7662), and exchange those that callers send to it for narrower ones (RFC 8693).
    ///
    /// [`allow`](Self::allow) names the resources that the new tokens may be for, and
    /// [`Builder::exchange`](crate::Builder::exchange) the rules.
    #[must_use]
    pub fn serves(mut self, resource: impl Into<String>) -> Self {
        self.flow.serves.insert(resource.into());
        self
    }

    /// Lets the client replace transaction tokens of the trust domain that were sent to it
    /// (draft-ietf-oauth-transaction-tokens §13.15). The new token permits no more.
    ///
    /// [`TransactionPolicy::replace`](crate::TransactionPolicy::replace) decides about each.
    #[must_use]
    pub const fn replace_transactions(mut self) -> Self {
        self.flow.replaces_transactions = true;
        self
    }

    /// Lets the client exchange transaction tokens for access tokens of resources outside the trust
    /// domain (RFC 8693): it stands at the border of the domain.
    ///
    /// [`allow`](Self::allow) names the resources, and
    /// [`Builder::exchange`](crate::Builder::exchange) the scopes, with the trust domain as the
    /// first resource. A transaction with `tctx` gets none, because an access token would not keep
    /// to it. For a grant to another domain see [`known_as`](Self::known_as).
    #[must_use]
    pub const fn border(mut self) -> Self {
        self.flow.is_border = true;
        self
    }

    /// Returns whether the client proves nothing at the token endpoint.
    pub(crate) const fn is_public(&self) -> bool {
        matches!(self.by, ClientMatcher::Public { .. })
    }

    /// Returns the redirect URI that an authorization request names: exactly a registered one, or
    /// the only one if it names none.
    pub(crate) fn find_redirect_uri(&self, asked: Option<&str>) -> Option<RedirectUri> {
        let known = &self.flow.redirect_uris;
        match (asked, known.as_slice()) {
            (Some(asked), _) => {
                let asked = RedirectUri::parse(asked).ok()?;
                known
                    .iter()
                    .any(|it| asked.is_covered_by(it))
                    .then_some(asked)
            }
            (None, [only]) => RedirectUri::parse(only).ok(),
            (None, _) => None,
        }
    }

    /// Checks the redirect URIs.
    ///
    /// # Errors
    ///
    /// `authority.clients`.
    pub(super) fn check_flow(&self) -> Result<(), Error> {
        let bad = |client: &str, reason| Error::Clients {
            client: shown([client]),
            reason,
        };
        if let ClientMatcher::Certificate { rule, .. } = &self.by
            && let Some(reason) = rule.defect()
        {
            return Err(bad(&self.shown(), reason));
        }
        let uris = &self.flow.redirect_uris;
        if uris.len() > MOST_REDIRECT_URIS {
            return Err(bad(&self.shown(), "has more than 32 redirect URIs"));
        }
        if self.is_public() && uris.is_empty() && self.flow.grants_of.is_empty() {
            return Err(bad(
                &self.shown(),
                "is public and has no redirect URI, expected at least one, or `grants_of`",
            ));
        }
        if let Some(backchannel) = &self.flow.backchannel {
            let found = backchannel.check(&self.by);
            found.map_err(|reason| bad(&self.shown(), reason))?;
        }
        for uri in uris {
            RedirectUri::parse(uri).map_err(|reason| bad(uri, reason))?;
        }
        Ok(())
    }
}
