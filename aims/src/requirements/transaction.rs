//! Requirements of a route for the transaction token.

use std::collections::BTreeMap;

use aims_error::shown;
use aims_oauth_wire::names::ScopeSet;

use super::{Accepts, Asks, Requirements};
use crate::principal::Principal;

/// The demands on a transaction token.
#[derive(Clone, Debug, Default)]
pub(super) struct Transaction {
    scopes: Option<ScopeSet>,
    context: BTreeMap<String, String>,
    call: Asks,
}

impl Transaction {
    /// Returns whether the token must have scopes.
    pub(super) const fn needs_scopes(&self) -> bool {
        self.scopes.is_some()
    }

    /// Returns what no token can meet.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let is_empty = self.scopes.as_ref().is_some_and(ScopeSet::is_empty);
        is_empty.then_some("the set of scopes of the transaction is empty")
    }
}

impl Requirements {
    /// Requires a transaction token (draft-ietf-oauth-transaction-tokens), beside the other
    /// credentials.
    ///
    /// ```
    /// use aims::Requirements;
    ///
    /// # fn example() -> Result<(), aims::oauth_wire::Error> {
    /// // Within the trust domain: a proven workload and a transaction, and no access token.
    /// let requirements = Requirements::new()
    ///     .accept_transaction_alone()
    ///     .transaction_scopes("payments".parse()?)
    ///     .transaction_context("action", "transfer")
    ///     .transaction_call();
    /// # drop(requirements);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn transaction(mut self) -> Self {
        self.transaction.get_or_insert_default();
        self
    }

    /// Requires a transaction token with all of these scopes. Scopes of an access token do not
    /// count.
    #[must_use]
    pub fn transaction_scopes(mut self, scopes: ScopeSet) -> Self {
        self.transaction.get_or_insert_default().scopes = Some(scopes);
        self
    }

    /// Requires a transaction token whose `tctx` has this member with exactly this text. May be
    /// repeated; all members are required.
    #[must_use]
    pub fn transaction_context(
        mut self,
        member: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        let context = &mut self.transaction.get_or_insert_default().context;
        context.insert(member.into(), text.into());
        self
    }

    /// Requires a transaction token that is bound to the call, by `tctx.call_digest`.
    ///
    /// [`Guard::call_layer`](crate::Guard::call_layer) reads the call from the content of the
    /// request. An application that reads it by itself inserts a
    /// [`ToolCall`](aims_oauth_wire::call::ToolCall) into the extensions of the request, in a layer
    /// outside the guard's, or names the call by the attribute
    /// [`CALL_DIGEST`](crate::decision::Attributes::CALL_DIGEST).
    #[must_use]
    pub fn transaction_call(mut self) -> Self {
        self.transaction.get_or_insert_default().call = Asks::Yes;
        self
    }

    /// Says that the handler compares the call of a transaction token by itself, with
    /// [`TxnToken::check_call`](aims_txn_token::TxnToken::check_call).
    ///
    /// A transaction token with `tctx.call_digest` is for one call. By default the guard refuses it
    /// (`guard.call`) where no call is named, because nothing would notice changed parameters. With
    /// this method the guard accepts it there, and a handler that forgets the comparison lets every
    /// call pass. It does not weaken [`transaction_call`](Self::transaction_call).
    ///
    /// ```
    /// use aims::oauth_wire::call::CallDigest;
    /// use aims::{Principal, Requirements};
    ///
    /// /// What the handler does first.
    /// fn check(who: &Principal, content: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    ///     let token = who.transaction().ok_or("no transaction")?;
    ///     token.check_call(&CallDigest::of("transfer", Some(content))?)?;
    ///     Ok(())
    /// }
    ///
    /// let route = Requirements::new().transaction().call_compared_by_handler();
    /// # drop(route);
    /// # let _ = check;
    /// ```
    #[must_use]
    pub const fn call_compared_by_handler(mut self) -> Self {
        self.call_in_handler = Accepts::Yes;
        self
    }

    /// Requires a transaction token, and accepts it in place of an access token.
    ///
    /// The proof of an agent is still required, unless the route also accepts
    /// [bearer tokens](Self::accept_bearer).
    #[must_use]
    pub fn accept_transaction_alone(mut self) -> Self {
        self.transaction_alone = Accepts::Yes;
        self.transaction()
    }

    pub(crate) const fn needs_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    pub(crate) fn allows_transaction_alone(&self) -> bool {
        self.transaction_alone == Accepts::Yes
    }

    pub(crate) fn asks_for_call(&self) -> bool {
        let transaction = self.transaction.as_ref();
        transaction.is_some_and(|it| it.call == Asks::Yes)
    }

    pub(crate) fn leaves_call_to_handler(&self) -> bool {
        self.call_in_handler == Accepts::Yes
    }

    /// The first requirement that the transaction token does not meet.
    pub(super) fn missing_of_transaction(
        &self,
        principal: &Principal,
    ) -> Option<(&'static str, String)> {
        let wanted = self.transaction.as_ref()?;
        let Some(token) = principal.transaction() else {
            let detail = "the route requires a transaction token, and none was accepted";
            return Some(("guard.transaction", detail.to_owned()));
        };
        if let Some(scopes) = &wanted.scopes
            && !scopes.is_subset(token.scopes())
        {
            let expected = shown(scopes.iter().map(|it| it.as_str()));
            let found = shown(token.scopes().iter().map(|it| it.as_str()));
            let detail =
                format!("the transaction token lacks a scope: expected {expected}, found {found}");
            return Some(("guard.transaction_scope", detail));
        }
        let is_other =
            |(member, text): &(&String, &String)| token.context(member) != Some((*text).clone());
        let (member, text) = wanted.context.iter().find(is_other)?;
        let found = token.context(member);
        let found = shown(found.as_deref());
        let expected = shown([text.as_str()]);
        let detail = format!(
            "the transaction is another one: expected {expected} as `{member}` of `tctx`, found {found}"
        );
        Some(("guard.transaction_context", detail))
    }
}
