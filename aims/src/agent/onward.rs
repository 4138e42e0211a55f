//! Requests within a transaction: they carry its token, to services of its trust domain alone.

use aims_oauth_wire::names::Resource;
use aims_oauth_wire::transaction::CarriedTransaction;
use http::Request;

use super::{Agent, AgentBuilder, Error};

/// A trust domain and its services.
#[derive(Debug)]
pub(super) struct Domain {
    name: Box<str>,
    services: Vec<Resource>,
}

impl<T> AgentBuilder<T> {
    /// Sets the trust domain of this agent, and its services, each with every URL beneath it.
    ///
    /// A transaction token must not leave its domain (draft-ietf-oauth-transaction-tokens §9.2),
    /// so requests [within](Agent::within) a transaction go to these services alone. A second call
    /// replaces the first.
    ///
    /// ```
    /// use aims::Agent;
    /// use aims::cred::IdentitySource;
    ///
    /// fn agent(
    ///     identity: impl IdentitySource + 'static,
    /// ) -> Result<Agent, Box<dyn std::error::Error>> {
    ///     let services = ["https://orders.internal".parse()?, "https://stock.internal".parse()?];
    ///     let agent = Agent::builder(identity).trust_domain("trust-domain.example", services);
    ///     Ok(agent.build()?)
    /// }
    /// ```
    pub fn trust_domain(
        mut self,
        name: impl Into<Box<str>>,
        services: impl IntoIterator<Item = Resource>,
    ) -> Self {
        self.domain = Some(Domain {
            name: name.into(),
            services: services.into_iter().collect(),
        });
        self
    }
}

impl Agent {
    /// Returns this agent within a transaction: each of its requests carries this transaction
    /// token, unchanged, in the field `Txn-Token`.
    ///
    /// The proof covers the token: a WPT by `tth` (draft-ietf-wimse-wpt §2), an HTTP signature by
    /// the field. With gRPC the field is the metadata of the call.
    ///
    /// The token is one that the program requested
    /// (`TransactionToken::carried` of [`oauth_client`](crate::oauth_client)), or that a request
    /// brought ([`TxnToken::carried`](aims_txn_token::TxnToken::carried)). A token that is bound to
    /// the key of the caller is good for the caller alone; request a replacement then.
    ///
    /// A request to a URL outside the [domain](AgentBuilder::trust_domain), or with a token of
    /// another domain, fails with `agent.outside_domain`, and nothing is sent.
    ///
    /// ```
    /// use aims::Principal;
    ///
    /// # async fn example(
    /// #     agent: aims::Agent,
    /// #     who: Principal,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// if let Some(transaction) = who.transaction() {
    ///     let request = http::Request::get("https://stock.internal/7").body(String::new())?;
    ///     agent.within(transaction.carried()).send(request).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn within(&self, transaction: &CarriedTransaction) -> Self {
        Self(self.0.clone(), Some(transaction.clone()))
    }

    /// Sets the transaction token of a request within a transaction.
    pub(super) fn carry_transaction<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        let Some(token) = &self.1 else {
            return Ok(());
        };
        let refused = |reason| Err(Error::OutsideDomain { reason });
        let Some(domain) = &self.0.domain else {
            return refused("the agent has no trust domain");
        };
        if token.unverified_domain().as_deref() != Some(&*domain.name) {
            return refused("its token is for another trust domain");
        }
        let uri = request.uri().to_string();
        let requested: Resource = uri
            .parse()
            .or_else(|_not_https| Resource::loopback(&uri))
            .map_err(Error::Target)?;
        if !domain.services.iter().any(|it| requested.is_within(it)) {
            return refused("its URL is that of no service of the trust domain");
        }
        token.apply(request.headers_mut());
        Ok(())
    }
}
