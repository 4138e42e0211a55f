//! The authority that accepts grants of a partner, its clients, and the grants.

use std::sync::Arc;

use aims_authority::{Authority, Client, IncomingGrants, MapSubject};
use aims_jose::key::SigningKey;
use aims_jose::time::UnixTime;
use aims_oauth_rs::IssuerStore;
use aims_oauth_wire::delegate::ScopeTable;
use http::Response;
use serde_json::{Value, json};

use crate::common::endpoint::{described, send_as, verified};
use crate::common::{BASE, FILES, NOW, TOOLS, builder, es256, issuer_store, key_set, now, sign};

pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const PARTNER: &str = "https://as.partner.example";
pub(crate) const ID_JAG: &str = "oauth-id-jag+jwt";
pub(crate) const CHAIN: &str = "txn-chain+jwt";

/// An answer: its body, or `error` and `error_description`.
pub(crate) type Answer = Result<Value, (String, String)>;

#[derive(Debug)]
pub(crate) struct Subjects;

impl MapSubject for Subjects {
    fn subject(&self, issuer: &str, subject: &str) -> Option<String> {
        assert_eq!(issuer, PARTNER);
        match subject {
            "alice" => Some("partner:alice".to_owned()),
            // A mistake of the operator: this is a client.
            "batch" => Some("other".to_owned()),
            _ => None,
        }
    }
}

pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) agent: SigningKey,
    pub(crate) partner: SigningKey,
}

pub(crate) fn store(partner: &SigningKey) -> Arc<IssuerStore> {
    issuer_store(PARTNER, partner)
}

pub(crate) fn rules(partner: &SigningKey) -> IncomingGrants {
    let issuer = PARTNER.parse().unwrap();
    let rows = ScopeTable::new([("search", "call"), ("look", "list")]).unwrap();
    IncomingGrants::new(issuer, store(partner), Arc::new(Subjects)).scopes(TOOLS, rows)
}

pub(crate) fn every(partner: &SigningKey) -> IncomingGrants {
    let rules = rules(partner).accept_jwt().accept_id_jag();
    rules.accept_transactions().transaction_member("amount")
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(every)
    }

    pub(crate) fn with(rules: impl Fn(&SigningKey) -> IncomingGrants) -> Self {
        let (agent, partner) = (es256(), es256());
        let client = |id: &str| {
            let client = Client::with_keys(id, key_set(&agent));
            client.allow(TOOLS, ["call", "list"]).allow(FILES, ["read"])
        };
        let authority = builder()
            .incoming_grants(rules(&partner))
            .client(client("agent").grants_of(PARTNER))
            .client(client("other").grants_of(PARTNER))
            .client(client("plain"))
            .client(
                Client::with_keys("narrow", key_set(&agent))
                    .grants_of(PARTNER)
                    .allow(TOOLS, ["list"]),
            )
            .build(now())
            .unwrap();
        Self {
            authority,
            agent,
            partner,
        }
    }

    pub(crate) fn send(
        &self,
        client_id: &str,
        grant: &str,
        more: &[(&str, &str)],
        now: UnixTime,
    ) -> Response<Vec<u8>> {
        let good = [("grant_type", JWT_BEARER), ("assertion", grant)];
        let client = (client_id, &self.agent);
        send_as(&self.authority, client, &good, more, now)
    }

    pub(crate) fn present_as(&self, client_id: &str, grant: &str, more: &[(&str, &str)]) -> Answer {
        described(&self.send(client_id, grant, more, now()))
    }

    pub(crate) fn present(&self, grant: &str) -> Answer {
        self.present_as("agent", grant, &[])
    }

    pub(crate) fn signed(&self, typ: &str, claims: &Value) -> String {
        sign(typ, claims, &self.partner)
    }

    /// Presents a good grant of this type with this claim in place of the good one.
    pub(crate) fn changed(&self, typ: &str, name: &str, value: Value) -> Answer {
        let mut claims = good(typ);
        claims[name] = value;
        self.present(&self.signed(typ, &claims))
    }

    pub(crate) fn claims(&self, answer: &Value) -> Value {
        let text = answer["access_token"].as_str().unwrap();
        verified(&self.authority, text, now())
    }
}

pub(crate) fn refused(error: &str, description: &str) -> Answer {
    Err((error.to_owned(), description.to_owned()))
}

pub(crate) fn invalid(description: &str) -> Answer {
    refused("invalid_grant", description)
}

/// Returns the claims of a good grant of this type.
pub(crate) fn good(typ: &str) -> Value {
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let mut claims = json!({
        "iss": PARTNER, "sub": "alice", "aud": BASE, "iat": NOW, "exp": NOW + 100, "jti": jti,
        "scope": "search look other", "resource": TOOLS,
    });
    match typ {
        ID_JAG => claims["client_id"] = "agent".into(),
        CHAIN => {
            claims["txn"] = "t-1".into();
            claims["txn_claims"] = json!({"amount": 10});
        }
        _ => {}
    }
    claims
}

pub(crate) const TYPES: [&str; 3] = ["JWT", ID_JAG, CHAIN];
