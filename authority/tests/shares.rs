//! Each user and each client has a share of the state, and leaves room for the others.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_authority::{Authority, Client, MemoryState, Resource};
use aims_jose::key::SigningKey;
use aims_jose::time::UnixTime;
use aims_oauth_wire::call::ToolCall;
use common::browser::{CALLBACK, code, parameters, public, redeem, refresh, with, with_users};
use common::endpoint::{FORM, JWT_BEARER, assertion_of, form, judged, refused};
use common::{NOW, TOOLS, at, builder, es256, key_set, now, request, send};
use serde_json::{Value, json};

/// Lets the user allow the client, and returns the refresh token.
fn grant(authority: &Authority, client: &str, now: UnixTime) -> String {
    let code = code(authority, &with("client_id", Some(client)), now);
    let granted = redeem(authority, &code, &[], &[("client_id", client)], now);
    granted.unwrap()["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn renew(authority: &Authority, client: &str, token: &str) -> Result<(), (u16, String)> {
    let renewed = refresh(
        authority,
        token,
        &[],
        &[("client_id", client)],
        at(NOW + 60),
    );
    renewed.map(|_| ())
}

fn ended() -> Result<(), (u16, String)> {
    refused(400, "invalid_grant").map(|_| ())
}

fn client(id: &str) -> Client {
    Client::public(id)
        .redirect_uri("http://127.0.0.1/callback")
        .allow(TOOLS, ["call", "list"])
        .allow_details("aims_tool")
}

/// F-18: the 33rd grant to a client ends the first, and none of another client. What was revoked,
/// or is for one call, does not count.
#[test]
fn a_user_gives_a_client_at_most_32_grants() {
    let authority = with_users().client(public()).client(client("other"));
    let authority = authority.build(now()).unwrap();
    let other = grant(&authority, "other", now());
    let all: Vec<String> = (0..32).map(|_| grant(&authority, "cli", now())).collect();
    let form = form(&[("client_id", "cli"), ("token", &all[5])]);
    let revoked = send(
        &authority,
        &request("POST", "/revoke", &[FORM], &form),
        now(),
    );
    assert_eq!(revoked.status(), 200);
    let details = ToolCall::new("transfer", None)
        .unwrap()
        .details(TOOLS)
        .to_json();
    let one_call = with("authorization_details", Some(&details));
    let code = code(&authority, &one_call, now());
    redeem(&authority, &code, &[], &[], now()).unwrap();
    // This one takes the place of the revoked one, and the next one that of the first, because the
    // grant for one call has not ended yet; then it has.
    for seconds in [0, 301] {
        grant(&authority, "cli", at(NOW + seconds));
    }
    assert_eq!(renew(&authority, "cli", &all[0]), ended());
    assert_eq!(renew(&authority, "cli", &all[5]), ended());
    for place in [1, 2, 31] {
        assert_eq!(renew(&authority, "cli", &all[place]), Ok(()), "{place}");
    }
    assert_eq!(renew(&authority, "other", &other), Ok(()));
}

/// F-18: a user who logs in again and again, and revokes or not, does not fill the table.
#[test]
fn one_user_leaves_room_for_the_grants_of_others() {
    let state = Arc::new(MemoryState::with_capacity(40));
    let authority = with_users().client(public()).state(state);
    let authority = authority.build(now()).unwrap();
    for round in 0..45 {
        let now = at(NOW + round * 301);
        let code = code(&authority, &parameters(), now);
        assert!(redeem(&authority, &code, &[], &[], now).is_ok(), "{round}");
    }
}

/// F-18: the grants of all clients of a user are limited as well.
#[test]
fn a_user_has_at_most_128_grants() {
    let names: Vec<String> = (0..5).map(|n| format!("c{n}")).collect();
    let clients = names.iter().map(|name| client(name));
    let authority = clients.fold(with_users(), |all, it| all.client(it));
    let authority = authority.build(now()).unwrap();
    let first = grant(&authority, "c4", now());
    let second = grant(&authority, "c4", now());
    for (round, now) in (NOW..NOW + 127).enumerate() {
        // A user sees one page each second.
        grant(&authority, &names[round / 32], at(now));
    }
    let at = at(NOW + 130);
    let renew = |token: &str| refresh(&authority, token, &[], &[("client_id", "c4")], at);
    assert_eq!(renew(&first), refused(400, "invalid_grant"));
    assert!(renew(&second).is_ok());
}

/// A world of two clients with keys.
struct World {
    authority: Authority,
    key: SigningKey,
}

impl World {
    fn new(is_opaque: bool) -> Self {
        let key = es256();
        let other = "https://opaque.example";
        let resource = Resource::new(other).with_scopes(["call"]);
        let resource = if is_opaque {
            resource.with_opaque_tokens()
        } else {
            resource
        };
        let client = |id: &str| {
            Client::with_keys(id, key_set(&key))
                .redirect_uri(CALLBACK)
                .allow(other, ["call"])
        };
        let authority = builder()
            .users(Arc::new(aims_authority::DevUser::new("alice")))
            .resource(resource)
            .client(client("one"))
            .client(client("two"))
            .build(now())
            .unwrap();
        Self { authority, key }
    }

    fn post(
        &self,
        path: &str,
        client: &str,
        parameters: &[(&str, &str)],
        now: UnixTime,
    ) -> Result<Value, (u16, String)> {
        let assertion = assertion_of(client, &self.key, now);
        let mut all = vec![
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ];
        all.extend(parameters);
        let sent = request("POST", path, &[FORM], &form(&all));
        let answer = send(&self.authority, &sent, now);
        match answer.body().is_empty() {
            true => Ok(json!(null)),
            false => judged(&answer),
        }
    }

    /// Sends 100 requests in each of six seconds, and returns the accepted answers. All others tell
    /// to wait.
    fn flood<'a>(
        &self,
        path: &str,
        from: u64,
        parameters: impl Fn(usize) -> Vec<(&'a str, &'a str)>,
    ) -> Vec<Value> {
        let mut accepted = Vec::new();
        let seconds = (from..from + 6).flat_map(|it| [it; 100]);
        for (n, second) in seconds.enumerate() {
            match self.post(path, "one", &parameters(n), at(second)) {
                Ok(answer) => accepted.push(answer),
                Err((status, _)) => assert_eq!(status, 429),
            }
        }
        accepted
    }
}

const TOKEN: [(&str, &str); 1] = [("grant_type", "client_credentials")];

/// T-036: a client that authenticates holds a share of the pushed requests.
#[test]
fn pushed_requests_of_a_client_have_a_rate() {
    let world = World::new(false);
    let mut pushed = with("client_id", None);
    pushed.retain(|(name, _)| !["resource", "scope"].contains(name));
    let pushed: Vec<(&str, &str)> = pushed.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let accepted = world.flood("/par", NOW, |_| pushed.clone());
    assert_eq!(accepted.len(), 350);
    assert!(world.post("/par", "two", &pushed, at(NOW + 5)).is_ok());
}

/// T-036: so it is with opaque tokens, which stay at the server.
#[test]
fn opaque_tokens_of_a_client_have_a_rate() {
    let world = World::new(true);
    let accepted = world.flood("/token", NOW, |_| TOKEN.to_vec());
    assert_eq!(accepted.len(), 450);
    assert!(world.post("/token", "two", &TOKEN, at(NOW + 5)).is_ok());
}

/// T-036: so it is with revoked tokens. JWTs are not stored, and have no such rate.
#[test]
fn revoked_tokens_of_a_client_have_a_rate() {
    let world = World::new(false);
    let granted = world.flood("/token", NOW, |_| TOKEN.to_vec());
    assert_eq!(granted.len(), 600);
    let token = |n: usize| granted[n]["access_token"].as_str().unwrap();
    let accepted = world.flood("/revoke", NOW + 10, |n| vec![("token", token(n))]);
    assert_eq!(accepted.len(), 450);
    // What is revoked already takes no room.
    let again = |_| vec![("token", token(0))];
    assert_eq!(world.flood("/revoke", NOW + 20, again).len(), 600);
    let other = world.post("/token", "two", &TOKEN, at(NOW + 26)).unwrap();
    let other = other["access_token"].as_str().unwrap();
    let revoked = world.post("/revoke", "two", &[("token", other)], at(NOW + 26));
    assert_eq!(revoked, Ok(json!(null)));
}
