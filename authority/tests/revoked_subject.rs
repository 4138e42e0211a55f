//! The operator revokes a subject: what was issued for it up to then ends.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[cfg(feature = "sqlite")]
#[path = "common/folder.rs"]
mod folder;

use core::time::Duration;
use std::sync::Arc;

use aims_authority::{
    Authority, AuthorizationServer, Client, DevUser, ExchangeTable, MemoryState, State,
};
use aims_jose::key::SigningKey;
use aims_jose::time::UnixTime;
use aims_oauth_wire::delegate::ScopeTable;
use common::browser::{code, parameters, public, redeem, refresh};
use common::endpoint::{
    ACCESS_TOKEN, EXCHANGE, FORM, JWT_BEARER, TXN_TOKEN, assertion_of, form, judged, refused,
    send_as,
};
use common::orders::Orders;
use common::{FILES, NOW, TOOLS, at, body, builder, es256, key_set, now, request, send};
use serde_json::Value;

type Answer = Result<Value, (u16, String)>;

struct World {
    authority: Authority,
    state: Arc<dyn State>,
    gateway: SigningKey,
}

impl World {
    fn new(user: &str, state: Arc<dyn State>) -> Self {
        let gateway = es256();
        let rows = ScopeTable::new([("call", "read")]).unwrap();
        let border = ScopeTable::new([("order", "read")]).unwrap();
        let table =
            ExchangeTable::new()
                .allow(TOOLS, FILES, rows)
                .allow("example.org", FILES, border);
        let authority = builder()
            .users(Arc::new(DevUser::new(user)))
            .state(state.clone())
            .exchange(Arc::new(table))
            .transactions(Arc::new(Orders))
            .client(public())
            .client(
                Client::with_keys("gateway", key_set(&gateway))
                    .serves(TOOLS)
                    .serves(FILES)
                    .border()
                    .allow(FILES, ["read"]),
            )
            .build(now())
            .unwrap();
        Self {
            authority,
            state,
            gateway,
        }
    }

    fn revoke(&self, subject: &str, now: u64) {
        AuthorizationServer::revoke_subject_in(self.state.as_ref(), subject, at(now)).unwrap();
    }

    /// Lets the user allow the client, and returns the tokens.
    fn grant(&self, now: UnixTime) -> Value {
        let code = code(&self.authority, &parameters(), now);
        redeem(&self.authority, &code, &[], &[], now).unwrap()
    }

    fn exchange(&self, token: &str, kinds: [&str; 2], target: &str, now: UnixTime) -> Answer {
        let all = [
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", kinds[0]),
            ("requested_token_type", kinds[1]),
            ("audience", target),
        ];
        let client = ("gateway", &self.gateway);
        judged(&send_as(&self.authority, client, &all, &[], now))
    }

    fn is_active(&self, token: &str, now: UnixTime) -> bool {
        let assertion = assertion_of("gateway", &self.gateway, now);
        let all = [
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
            ("token", token),
        ];
        let request = request("POST", "/introspect", &[FORM], &form(&all));
        body(&send(&self.authority, &request, now))["active"] == true
    }
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap()
}

/// DEL-12: in memory and in a file, each of what was issued ends, and nothing of others or later.
#[test]
fn everything_of_a_revoked_subject_ends() {
    each_ends(Arc::new(MemoryState::new()));
    #[cfg(feature = "sqlite")]
    {
        let folder = folder::Folder::new();
        let state = aims_authority::SqliteState::open(folder.path("state.db")).unwrap();
        each_ends(Arc::new(state));
    }
}

fn each_ends(state: Arc<dyn State>) {
    let world = World::new("alice", state);
    let granted = world.grant(now());
    let token = text(&granted, "access_token");
    let (access, txn) = ([ACCESS_TOKEN; 2], [ACCESS_TOKEN, TXN_TOKEN]);
    let out = [TXN_TOKEN, ACCESS_TOKEN];
    let domain = "example.org";
    let pending = code(&world.authority, &parameters(), now());
    let onward = world.exchange(token, access, FILES, now()).unwrap();
    let onward = text(&onward, "access_token");
    let transaction = world.exchange(token, txn, domain, now()).unwrap();
    let transaction = text(&transaction, "access_token");
    let refreshed = |token: &str, now| refresh(&world.authority, token, &[], &[], now);
    let all = |later: u64| {
        let now = at(NOW + later);
        [
            world.is_active(token, now),
            world.is_active(onward, now),
            world.exchange(token, access, FILES, now).is_ok(),
            world.exchange(token, txn, domain, now).is_ok(),
            world.exchange(transaction, out, FILES, now).is_ok(),
        ]
    };
    // A revocation of another subject, or of an earlier moment, changes nothing.
    world.revoke("bob", NOW + 1);
    world.revoke("alice", NOW - 1);
    assert_eq!(all(1), [true; 5]);
    world.revoke("alice", NOW + 2);
    assert_eq!(all(2), [false; 5]);
    let invalid = refused(400, "invalid_request");
    assert_eq!(world.exchange(token, access, FILES, at(NOW + 2)), invalid);
    let ended = refused(400, "invalid_grant");
    assert_eq!(
        refreshed(text(&granted, "refresh_token"), at(NOW + 2)),
        ended
    );
    let redeemed = redeem(&world.authority, &pending, &[], &[], at(NOW + 2));
    assert_eq!(redeemed, ended);
    // An earlier moment takes nothing back.
    world.revoke("alice", NOW);
    assert_eq!(all(3), [false; 5]);
    // The user signs in again.
    let again = world.grant(at(NOW + 3));
    assert!(world.is_active(text(&again, "access_token"), at(NOW + 3)));
    assert!(refreshed(text(&again, "refresh_token"), at(NOW + 3)).is_ok());
}

/// A client and an actor are subjects, too.
#[test]
fn a_revoked_client_or_actor_ends_what_it_was_given() {
    let world = World::new("alice", Arc::new(MemoryState::new()));
    let granted = world.grant(now());
    let token = text(&granted, "access_token");
    let onward = world
        .exchange(token, [ACCESS_TOKEN; 2], FILES, now())
        .unwrap();
    let onward = text(&onward, "access_token");
    assert!(world.is_active(onward, at(NOW + 1)));
    world.revoke("gateway", NOW + 1);
    assert!(!world.is_active(onward, at(NOW + 1)));
    assert!(world.is_active(token, at(NOW + 1)));
    let later = world
        .exchange(token, [ACCESS_TOKEN; 2], FILES, at(NOW + 2))
        .unwrap();
    let later = text(&later, "access_token");
    assert!(world.is_active(later, at(NOW + 2)));
    // The public client is the first actor of both.
    world.revoke("cli", NOW + 2);
    assert!(!world.is_active(token, at(NOW + 2)));
    assert!(!world.is_active(later, at(NOW + 2)));
    let answer = refresh(
        &world.authority,
        text(&granted, "refresh_token"),
        &[],
        &[],
        at(NOW + 2),
    );
    assert_eq!(answer, refused(400, "invalid_grant"));
}

/// DEL-12, F-18: a revocation is kept longer than any grant, and then makes room.
#[test]
fn a_revocation_outlives_every_grant() {
    const DAY: u64 = 86_400;
    let longest = |seconds| {
        let week = Duration::from_secs(7 * DAY);
        let builder = builder().refresh_tokens(week, Duration::from_secs(seconds));
        builder.build(now()).map(|_| ()).map_err(|it| it.code())
    };
    assert_eq!(longest(366 * DAY), Ok(()));
    assert_eq!(longest(366 * DAY + 1), Err("authority.lifetime"));

    let state = MemoryState::with_capacity(2);
    let revoke = |subject: &str, seconds| {
        let revoked = AuthorizationServer::revoke_subject_in(&state, subject, at(seconds));
        revoked.map_err(|it| it.code())
    };
    assert_eq!(revoke("alice", NOW), Ok(()));
    assert_eq!(revoke("bob", NOW + 1), Ok(()));
    assert_eq!(
        revoke("carol", NOW + 367 * DAY),
        Err("authority.state_full")
    );
    assert_eq!(revoke("carol", NOW + 367 * DAY + 1), Ok(()));
}
