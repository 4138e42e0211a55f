//! The authority that issues grants for the bank, its clients, and their tokens.

use std::sync::Arc;

use aims_authority::{
    Authority, Client, DevUser, Exchange, MapSubject, NameSubject, OutgoingGrants, Purpose,
    Transaction, TransactionPolicy,
};
use aims_jose::jwk::{JwkSet, SetRules};
use aims_jose::jws::Unverified;
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::UnixTime;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::delegate::ScopeTable;
use serde_json::{Map, Value, json};

use crate::common::browser::{CALLBACK, USER};
use crate::common::endpoint::{ACCESS_TOKEN, EXCHANGE, TXN_TOKEN, described, send_as};
use crate::common::{
    BASE, NOW, TOOLS, at, builder, es256, header, issuer_store, key_set, named, now, sign,
};

/// The identity provider of users.
pub(crate) const IDP: &str = "https://idp.example";
pub(crate) const BANK: &str = "https://as.bank.example";
pub(crate) const ACCOUNTS: &str = "https://accounts.bank.example";
pub(crate) const CARDS: &str = "https://cards.bank.example";
pub(crate) const DOMAIN: &str = "example.org";
pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// An answer: its body, or `error` and `error_description`.
pub(crate) type Answer = Result<Value, (String, String)>;

#[derive(Debug)]
pub(crate) struct Names;

impl NameSubject for Names {
    fn name(&self, audience: &str, subject: &str) -> Option<String> {
        assert_eq!(audience, BANK);
        (subject == "alice").then(|| "customer-7".to_owned())
    }
}

/// The users of the identity provider.
#[derive(Debug)]
pub(crate) struct Users;

impl MapSubject for Users {
    fn subject(&self, issuer: &str, subject: &str) -> Option<String> {
        assert_eq!(issuer, IDP);
        match subject {
            "u1" => Some("alice".to_owned()),
            // A mistake of the operator: this is a client.
            "u2" => Some("agent".to_owned()),
            _ => None,
        }
    }
}

/// Transaction tokens are on.
#[derive(Debug)]
pub(crate) struct Shop;

impl TransactionPolicy for Shop {
    fn decide(
        &self,
        _exchange: &Exchange<'_>,
        _details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        None
    }
}

pub(crate) fn rules() -> OutgoingGrants {
    let rows = ScopeTable::new([("call", "pay"), ("list", "read")]).unwrap();
    let within = ScopeTable::new([("payments", "pay")]).unwrap();
    OutgoingGrants::new(BANK.parse().unwrap(), Arc::new(Names))
        .resource(ACCOUNTS.parse().unwrap())
        .scopes(TOOLS, rows)
        .scopes(DOMAIN, within)
        .transaction_member("amount")
        .id_token_scopes(IDP, ["read"])
        .id_token_scopes(BASE, ["pay"])
}

/// Returns a store with the keys of the identity provider.
pub(crate) fn store(idp: &SigningKey) -> Arc<IssuerStore> {
    issuer_store(IDP, idp)
}

pub(crate) fn every() -> OutgoingGrants {
    rules().issue_jwt().issue_id_jag().issue_transactions()
}

pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) agent: SigningKey,
    pub(crate) access: SigningKey,
    pub(crate) transactions: SigningKey,
    pub(crate) idp: SigningKey,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(every())
    }

    pub(crate) fn with(rules: OutgoingGrants) -> Self {
        let [agent, access, transactions, idp] = [0; 4].map(|_| named(es256()));
        let client = |id: &str| Client::with_keys(id, key_set(&agent));
        let authority = builder()
            .signing_key(Purpose::AccessToken, access.clone())
            .signing_key(Purpose::TransactionToken, transactions.clone())
            .transactions(Arc::new(Shop))
            .outgoing_grants(rules)
            .users(Arc::new(DevUser::new(USER)))
            .subject_issuers(store(&idp), Arc::new(Users))
            .client(
                client("agent")
                    .known_as(BANK, "shop-agent")
                    .id_tokens_of(IDP, "shop-app")
                    .redirect_uri(CALLBACK)
                    .allow(TOOLS, ["call", "list"]),
            )
            .client(client("gateway").serves(TOOLS).known_as(BANK, "shop-gw"))
            .client(client("border").border().known_as(BANK, "shop-border"))
            .client(client("plain").serves(TOOLS))
            .client(client("other").known_as(BANK, "shop-other"))
            .build(now())
            .unwrap();
        Self {
            authority,
            agent,
            access,
            transactions,
            idp,
        }
    }

    /// Returns the access token of the agent for the tools, with these claims changed.
    pub(crate) fn token(&self, changes: &Value) -> String {
        let cnf = crate::common::confirmation(&self.agent);
        let claims = json!({
            "iss": BASE, "sub": "alice", "aud": TOOLS, "client_id": "agent", "iat": NOW,
            "exp": NOW + 100, "jti": "1", "scope": "call list", "cnf": cnf, "auth_time": NOW,
        });
        sign("at+jwt", &merged(claims, changes), &self.access)
    }

    /// Returns a transaction token of the gateway, with these claims changed.
    pub(crate) fn transaction(&self, changes: &Value) -> String {
        let cnf = crate::common::confirmation(&self.agent);
        let claims = json!({
            "iss": BASE, "sub": "alice", "aud": DOMAIN, "iat": NOW, "exp": NOW + 30,
            "txn": "t-1", "scope": "payments orders", "req_wl": "gateway", "cnf": cnf,
            "act": {"iss": BASE, "sub": "gateway", "act": {"iss": BASE, "sub": "agent"}},
            "tctx": {"amount": 10},
        });
        sign("txntoken+jwt", &merged(claims, changes), &self.transactions)
    }

    pub(crate) fn exchange(
        &self,
        client_id: &str,
        (token, kind): (&str, &str),
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Answer {
        let good = [
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", kind),
            ("audience", BANK),
            ("resource", ACCOUNTS),
        ];
        let client = (client_id, &self.agent);
        described(&send_as(&self.authority, client, &good, more, now))
    }

    /// Asks for a grant of this type with the agent's own token.
    pub(crate) fn own(&self, kind: &str, more: &[(&str, &str)]) -> Answer {
        let mut all = vec![("requested_token_type", kind)];
        all.extend(more);
        let token = self.token(&json!({}));
        self.exchange("agent", (&token, ACCESS_TOKEN), &all, now())
    }

    /// Asks for a grant with this transaction, as the border service.
    pub(crate) fn carried(&self, changes: &Value, more: &[(&str, &str)]) -> Answer {
        let token = self.transaction(changes);
        self.exchange("border", (&token, TXN_TOKEN), more, at(NOW + 5))
    }

    /// Returns the claims of a grant that verifies with the published keys.
    pub(crate) fn grant(&self, answer: &Value, typ: &str) -> Value {
        let text = answer["access_token"].as_str().unwrap();
        assert_eq!(header(text)["typ"], typ);
        let jwks = self.authority.oauth().jwks(now());
        let set = JwkSet::parse(jwks.as_bytes(), &SetRules::oauth(), AWS_LC).unwrap();
        let token = Unverified::parse(text).unwrap();
        let key = set.select(token.header().kid(), token.header().alg());
        let verified = token.verify(key.unwrap()).unwrap();
        serde_json::from_slice(verified.payload()).unwrap()
    }
}

pub(crate) fn merged(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, it| !it.is_null());
    claims
}

pub(crate) fn refused(error: &str, description: &str) -> Answer {
    Err((error.to_owned(), description.to_owned()))
}

pub(crate) fn target() -> Answer {
    refused(
        "invalid_target",
        "name one resource that this client may use",
    )
}
