//! `nbf` of a subject token: every token that is made from it has it, too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_authority::{Authority, Client, ExchangeTable, OutgoingGrants, Purpose};
use aims_jose::key::SigningKey;
use aims_oauth_wire::delegate::ScopeTable;
use common::endpoint::{ACCESS_TOKEN, EXCHANGE, TXN_TOKEN, judged, refused, send_as};
use common::orders::{Orders, SameNames};
use common::{BASE, FILES, NOW, TOOLS, builder, claims, es256, key_set, named, now, sign};
use serde_json::{Value, json};

const BANK: &str = "https://as.bank.example";
const DOMAIN: &str = "example.org";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn rows(from: &str, to: &str) -> ScopeTable {
    ScopeTable::new([(from, to)]).unwrap()
}

struct World {
    authority: Authority,
    gateway: SigningKey,
    access: SigningKey,
    transactions: SigningKey,
}

impl World {
    fn new() -> Self {
        let [gateway, access, transactions] = [0; 3].map(|_| named(es256()));
        let table = ExchangeTable::new()
            .allow(TOOLS, FILES, rows("call", "read"))
            .allow(DOMAIN, FILES, rows("order", "read"));
        let grants = OutgoingGrants::new(BANK.parse().unwrap(), Arc::new(SameNames))
            .scopes(TOOLS, rows("call", "pay"))
            .scopes(DOMAIN, rows("order", "pay"))
            .issue_jwt()
            .issue_transactions();
        let authority = builder()
            .signing_key(Purpose::AccessToken, access.clone())
            .signing_key(Purpose::TransactionToken, transactions.clone())
            .transactions(Arc::new(Orders))
            .exchange(Arc::new(table))
            .outgoing_grants(grants)
            .client(
                Client::with_keys("gateway", key_set(&gateway))
                    .serves(TOOLS)
                    .allow(FILES, ["read"])
                    .replace_transactions()
                    .border()
                    .known_as(BANK, "shop"),
            )
            .build(now())
            .unwrap();
        Self {
            authority,
            gateway,
            access,
            transactions,
        }
    }

    /// Exchanges a token of this server with this `nbf`, and returns the claims of the new one.
    fn exchange(
        &self,
        is_transaction: bool,
        nbf: impl Into<Value>,
        more: &[(&str, &str)],
    ) -> Result<Value, (u16, String)> {
        let nbf = nbf.into();
        let (token, kind) = if is_transaction {
            let claims = json!({
                "iss": BASE, "sub": "alice", "aud": DOMAIN, "iat": NOW, "exp": NOW + 60,
                "txn": "t", "scope": "order", "req_wl": "app", "nbf": nbf,
                "act": {"iss": BASE, "sub": "app"},
            });
            (sign("txntoken+jwt", &claims, &self.transactions), TXN_TOKEN)
        } else {
            let claims = json!({
                "iss": BASE, "sub": "alice", "aud": TOOLS, "client_id": "app", "iat": NOW,
                "exp": NOW + 60, "jti": "1", "scope": "call", "nbf": nbf,
            });
            (sign("at+jwt", &claims, &self.access), ACCESS_TOKEN)
        };
        let good = [
            ("grant_type", EXCHANGE),
            ("subject_token", &token),
            ("subject_token_type", kind),
        ];
        let client = ("gateway", &self.gateway);
        let answer = judged(&send_as(&self.authority, client, &good, more, now()))?;
        Ok(claims(answer["access_token"].as_str().unwrap()))
    }
}

/// TXN-31, DEL-01: a start in the past is no obstacle and stays; one in the future is refused.
#[test]
fn a_start_goes_along_with_every_exchange() {
    let world = World::new();
    let files = [("requested_token_type", ACCESS_TOKEN), ("resource", FILES)];
    let domain = [("requested_token_type", TXN_TOKEN), ("audience", DOMAIN)];
    let bank = [("requested_token_type", JWT), ("audience", BANK)];
    for (is_transaction, more) in [
        (false, files),
        (false, domain),
        (false, bank),
        (true, files),
        (true, domain),
        (true, bank),
    ] {
        // As long ago as another domain may have written it, and within the skew of its clock.
        for nbf in [NOW - 86_400, NOW, NOW + 30] {
            let made = world.exchange(is_transaction, nbf, &more);
            let made = made.unwrap_or_else(|error| panic!("{more:?} {nbf} {error:?}"));
            assert_eq!(made["nbf"], nbf, "{more:?}");
        }
        let made = world.exchange(is_transaction, 1_000.25, &more);
        let made = made.unwrap_or_else(|error| panic!("{more:?} {error:?}"));
        assert_eq!(made["nbf"], 1_001, "{more:?}");
        let early = world.exchange(is_transaction, NOW + 31, &more);
        assert_eq!(early, refused(400, "invalid_request"), "{more:?}");
    }
}
