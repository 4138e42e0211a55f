//! A trust domain with services that replace transaction tokens.

use std::sync::Arc;

use aims_authority::{
    Authority, Builder, Client, Exchange, ExchangeTable, Purpose, Replacement, ReplacementRequest,
    Resource, Transaction, TransactionPolicy,
};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_wire::delegate::ScopeTable;
use aims_txn_token::{TxnToken, TxnTokenRules};
use serde_json::{Map, Value};

use crate::common::browser::{code, public, redeem, refresh, with, with_users};
use crate::common::endpoint::{
    ACCESS_TOKEN, EXCHANGE, JWT_BEARER, TXN_TOKEN, ask, assertion_of, replaced,
};
use crate::common::{AGENT, BASE, TOOLS, claims, es256, key_set, named, now};

pub(crate) const DOMAIN: &str = "example.org";

pub(crate) const BANK: &str = "https://bank.example";

type Answer = Result<Value, (u16, String)>;

/// Transactions with what the client names. A replacement adds what the client names, too, apart
/// from `approved`, and changes `amount` if the client says so.
#[derive(Debug)]
pub(crate) struct Shop;

impl TransactionPolicy for Shop {
    fn decide(
        &self,
        _exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        context: &Map<String, Value>,
    ) -> Option<Transaction> {
        let scopes = ScopeTable::new([("call", "order"), ("list", "look")]).unwrap();
        let transaction = Transaction::new(scopes).with_details(details.clone());
        Some(transaction.with_context(context.clone()))
    }

    fn replace(&self, request: &ReplacementRequest<'_>) -> Option<Replacement> {
        if request.details.contains_key("forbidden") {
            return None;
        }
        let mut details = request.details.clone();
        details.remove("approved");
        let replacement = Replacement::new().with_details(details);
        Some(replacement.with_context(request.context.clone()))
    }
}

/// Transactions of a domain that replaces none.
#[derive(Debug)]
pub(crate) struct Rigid;

impl TransactionPolicy for Rigid {
    fn decide(
        &self,
        exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        context: &Map<String, Value>,
    ) -> Option<Transaction> {
        Shop.decide(exchange, details, context)
    }
}

/// The gateway serves the tools, and calls on within the domain to the services `s1` to `s4`. The
/// client `border` calls the bank.
pub(crate) struct Domain {
    pub(crate) authority: Authority,
    /// The keys of all clients.
    pub(crate) key: SigningKey,
    /// The key of transaction tokens.
    pub(crate) signer: SigningKey,
    pub(crate) subject: String,
    pub(crate) refresh_token: String,
}

pub(crate) fn builder(policy: impl TransactionPolicy + 'static, key: &SigningKey) -> Builder {
    let client = |id: &str| Client::with_keys(id, key_set(key));
    let rows = ScopeTable::new([("order", "pay")]).unwrap();
    let mut builder = with_users()
        .exchange(Arc::new(ExchangeTable::new().allow(DOMAIN, BANK, rows)))
        .transactions(Arc::new(policy))
        .resource(Resource::new(BANK).with_scopes(["pay", "close"]))
        .client(public())
        .client(client("gateway").serves(TOOLS).replace_transactions())
        .client(
            client("border")
                .border()
                .allow(BANK, ["pay"])
                .allow(TOOLS, ["call"]),
        )
        .client(client("plain").serves(TOOLS).allow(BANK, ["pay"]))
        .client(client("bank").serves(BANK))
        .client(
            Client::spiffe(AGENT.parse().unwrap())
                .or_by_jwt_svid()
                .replace_transactions(),
        );
    for service in ["s1", "s2", "s3", "s4"] {
        builder = builder.client(client(service).replace_transactions());
    }
    builder
}

impl Domain {
    pub(crate) fn new() -> Self {
        Self::with(Shop)
    }

    pub(crate) fn with(policy: impl TransactionPolicy + 'static) -> Self {
        let (key, signer) = (es256(), named(es256()));
        let authority = builder(policy, &key)
            .signing_key(Purpose::TransactionToken, signer.clone())
            .build(now())
            .unwrap();
        let code = code(&authority, &with("scope", Some("call list")), now());
        let granted = redeem(&authority, &code, &[], &[], now()).unwrap();
        let text = |name: &str| granted[name].as_str().unwrap().to_owned();
        Self {
            subject: text("access_token"),
            refresh_token: text("refresh_token"),
            authority,
            key,
            signer,
        }
    }

    /// Asks for an exchange as this client, with these parameters in place of the good ones.
    pub(crate) fn exchange(
        &self,
        client_id: &str,
        fields: &[(&str, &str)],
        good: &[(&str, &str)],
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        let assertion = assertion_of(client_id, &self.key, now);
        let mut all = good.to_vec();
        all.push(("grant_type", EXCHANGE));
        if !fields
            .iter()
            .any(|(name, _)| name.starts_with("oauth-client"))
        {
            all.push(("client_assertion_type", JWT_BEARER));
            all.push(("client_assertion", &assertion));
        }
        ask(&self.authority, fields, &replaced(&all, more), now)
    }

    /// The transaction token of the gateway.
    pub(crate) fn first(&self, more: &[(&str, &str)]) -> String {
        let good = [
            ("subject_token", &*self.subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", TXN_TOKEN),
            ("audience", DOMAIN),
        ];
        text(self.exchange("gateway", &[], &good, more, now()))
    }

    pub(crate) fn replace(
        &self,
        client_id: &str,
        token: &str,
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        self.exchange(client_id, &[], &replacing(token), more, now)
    }

    pub(crate) fn take_out(
        &self,
        client_id: &str,
        token: &str,
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        let good = [
            ("subject_token", token),
            ("subject_token_type", TXN_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
            ("resource", BANK),
        ];
        self.exchange(client_id, &[], &good, more, now)
    }

    /// Verifies a transaction token, and returns its claims.
    pub(crate) fn read(&self, token: &str, now: UnixTime) -> Value {
        let jwks = self.authority.oauth().jwks(now);
        let keys = JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
        let rules = TxnTokenRules::new(DOMAIN).with_issuer(BASE);
        assert!(TxnToken::verify(token, &keys, &rules, now).is_ok());
        claims(token)
    }

    /// Ends the grant of the user.
    pub(crate) fn revoke(&self) {
        let used = || refresh(&self.authority, &self.refresh_token, &[], &[], now());
        assert!(used().is_ok());
        assert!(used().is_err());
    }
}

pub(crate) fn replacing(token: &str) -> [(&str, &str); 4] {
    [
        ("subject_token", token),
        ("subject_token_type", TXN_TOKEN),
        ("requested_token_type", TXN_TOKEN),
        ("audience", DOMAIN),
    ]
}

pub(crate) fn text(answer: Answer) -> String {
    answer.unwrap()["access_token"].as_str().unwrap().to_owned()
}

pub(crate) fn actors(claims: &Value) -> Vec<String> {
    let chain = std::iter::successors(claims.get("act"), |it| it.get("act"));
    let names = chain.map(|it| {
        assert_eq!(it["iss"], BASE);
        it["sub"].as_str().unwrap().to_owned()
    });
    names.collect()
}
