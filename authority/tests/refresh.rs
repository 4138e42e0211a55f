//! Refresh tokens: rotation, reuse, and the predecessor that comes once more.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_authority::{Authority, Client};
use aims_jose::digest::sha256_base64url;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use aims_oauth_wire::dpop::Binding;
use common::browser::{
    CALLBACK, USER, VERIFIER, code, parameters, public, redeem, refresh, with, with_public,
    with_users,
};
use common::endpoint::{JWT_BEARER, ask, assertion, refused, verified};
use common::{BASE, NOW, TOOLS, at, es256, key_set, now};
use serde_json::{Value, json};

type Answer = Result<Value, (u16, String)>;

/// A client that holds a key, and sends a proof of it with each request.
struct Holder(SigningKey);

impl Holder {
    fn proof(&self, now: UnixTime) -> String {
        let target = format!("{BASE}/token");
        let (jwk, algorithm) = (self.0.public_jwk(), self.0.algorithm());
        let proof = Binding::to("POST", &target).prepare(jwk, algorithm, SYSTEM, now);
        proof.unwrap().sign(&self.0).unwrap().expose().to_owned()
    }

    fn begin(&self, authority: &Authority) -> String {
        let code = code(authority, &parameters(), now());
        let proof = self.proof(now());
        token(&redeem(authority, &code, &[("dpop", &proof)], &[], now()))
    }

    fn refresh(&self, authority: &Authority, token: &str, now: UnixTime) -> Answer {
        let proof = self.proof(now);
        refresh(authority, token, &[("dpop", &proof)], &[], now)
    }
}

fn token(answer: &Answer) -> String {
    let answer = answer.as_ref().unwrap();
    answer["refresh_token"].as_str().unwrap().to_owned()
}

fn begin(authority: &Authority) -> String {
    let code = code(authority, &parameters(), now());
    token(&redeem(authority, &code, &[], &[], now()))
}

fn invalid() -> Answer {
    refused(400, "invalid_grant")
}

#[test]
fn each_use_gives_the_next_token() {
    let authority = with_public();
    let first = begin(&authority);
    let answer = refresh(&authority, &first, &[], &[], at(NOW + 1_000));
    let granted = answer.clone().unwrap();
    let claims = verified(
        &authority,
        granted["access_token"].as_str().unwrap(),
        at(NOW + 1_000),
    );
    assert_eq!(claims["sub"], USER);
    assert_eq!(claims["scope"], "call");
    // The login stays that of the first request (RFC 9068 §2.2.1).
    assert_eq!(claims["auth_time"], NOW);
    let second = token(&answer);
    assert_ne!(first, second);
    assert!(refresh(&authority, &second, &[], &[], at(NOW + 2_000)).is_ok());
}

/// Each wrong use differs from a good one in one property, and leaves the good one good.
#[test]
fn a_refresh_token_is_bound_to_its_client_and_scope() {
    let key = es256();
    let batch = Client::with_keys("batch", key_set(&key)).allow(TOOLS, ["call"]);
    let authority = with_users()
        .client(public())
        .client(batch)
        .build(now())
        .unwrap();
    let good = begin(&authority);
    let handle = good.split('.').next().unwrap();
    for bad in [
        "",
        "x",
        handle,
        "x.y",
        &format!("{}.{}", &good[..43], "x".repeat(42)),
    ] {
        let error = if bad.is_empty() {
            "invalid_request"
        } else {
            "invalid_grant"
        };
        let answer = refresh(&authority, bad, &[], &[], now());
        assert_eq!(answer, refused(400, error), "{bad}");
    }
    for wider in ["list", "call list"] {
        let answer = refresh(&authority, &good, &[], &[("scope", wider)], now());
        assert_eq!(answer, refused(400, "invalid_scope"), "{wider}");
    }
    let signed = assertion(&key, now());
    let stolen = [
        ("grant_type", "refresh_token"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &signed),
        ("refresh_token", &good),
    ];
    assert_eq!(ask(&authority, &[], &stolen, now()), invalid());
    assert!(refresh(&authority, &good, &[], &[], now()).is_ok());
}

#[test]
fn a_refresh_token_ends_when_it_is_not_used() {
    let authority = with_public();
    let day = 24 * 3_600;
    let first = begin(&authority);
    let late = refresh(&authority, &first, &[], &[], at(NOW + 7 * day + 1));
    assert_eq!(late, invalid());
    // Uses within a week go on for 30 days, and not longer.
    let mut good = begin(&authority);
    for week in 1..=4 {
        good = token(&refresh(
            &authority,
            &good,
            &[],
            &[],
            at(NOW + week * 7 * day),
        ));
    }
    let last = refresh(&authority, &good, &[], &[], at(NOW + 30 * day - 5));
    assert_eq!(last.as_ref().unwrap()["expires_in"], 5);
    let beyond = refresh(&authority, &token(&last), &[], &[], at(NOW + 30 * day + 1));
    assert_eq!(beyond, invalid());
}

/// BCP-42: the second use of a token that is bound to no key ends the grant, also at once.
#[test]
fn reuse_of_an_unbound_token_revokes_all() {
    let authority = with_public();
    let first = begin(&authority);
    let second = token(&refresh(&authority, &first, &[], &[], now()));
    assert_eq!(refresh(&authority, &first, &[], &[], now()), invalid());
    assert_eq!(refresh(&authority, &second, &[], &[], now()), invalid());
}

/// A lost answer costs a client with a key nothing: the direct predecessor comes once more, and its
/// unused successor is withdrawn.
#[test]
fn the_predecessor_comes_once_more() {
    let (authority, holder) = (with_public(), Holder(es256()));
    let first = holder.begin(&authority);
    let used = at(NOW + 100);
    let lost = token(&holder.refresh(&authority, &first, used));
    let second = token(&holder.refresh(&authority, &first, at(NOW + 130)));
    // A third time, and the withdrawn one, are refused. The good one stays good.
    assert_eq!(holder.refresh(&authority, &first, at(NOW + 130)), invalid());
    assert_eq!(holder.refresh(&authority, &lost, at(NOW + 130)), invalid());
    assert!(holder.refresh(&authority, &second, at(NOW + 130)).is_ok());
}

#[test]
fn the_predecessor_comes_no_more_after_30_s() {
    let (authority, holder) = (with_public(), Holder(es256()));
    let first = holder.begin(&authority);
    let second = token(&holder.refresh(&authority, &first, at(NOW + 100)));
    assert_eq!(holder.refresh(&authority, &first, at(NOW + 131)), invalid());
    assert_eq!(
        holder.refresh(&authority, &second, at(NOW + 131)),
        invalid()
    );
}

#[test]
fn the_predecessor_comes_no_more_after_its_successor_was_used() {
    let (authority, holder) = (with_public(), Holder(es256()));
    let first = holder.begin(&authority);
    let second = token(&holder.refresh(&authority, &first, now()));
    let third = token(&holder.refresh(&authority, &second, now()));
    assert_eq!(holder.refresh(&authority, &first, now()), invalid());
    assert_eq!(holder.refresh(&authority, &third, now()), invalid());
}

/// The withdrawn successor, which a thief of the predecessor or the client may hold, ends the grant
/// once the 30 s have passed.
#[test]
fn a_withdrawn_successor_revokes_all_later() {
    let (authority, holder) = (with_public(), Holder(es256()));
    let first = holder.begin(&authority);
    let lost = token(&holder.refresh(&authority, &first, now()));
    let second = token(&holder.refresh(&authority, &first, now()));
    assert_eq!(holder.refresh(&authority, &lost, at(NOW + 31)), invalid());
    assert_eq!(holder.refresh(&authority, &second, at(NOW + 31)), invalid());
}

/// A thief without the key neither uses a bound token nor ends the grant of its owner.
#[test]
fn a_bound_token_needs_its_key() {
    let (authority, holder, thief) = (with_public(), Holder(es256()), Holder(es256()));
    let first = holder.begin(&authority);
    assert_eq!(refresh(&authority, &first, &[], &[], now()), invalid());
    assert_eq!(thief.refresh(&authority, &first, now()), invalid());
    let second = holder.refresh(&authority, &first, now());
    let claims = second.as_ref().unwrap()["access_token"].as_str().unwrap();
    let jkt = holder.0.verifying_key().thumbprint().to_string();
    assert_eq!(
        verified(&authority, claims, now())["cnf"],
        json!({"jkt": jkt})
    );
    assert_eq!(second.as_ref().unwrap()["token_type"], "DPoP");
    assert_eq!(thief.refresh(&authority, &first, now()), invalid());
    assert!(holder.refresh(&authority, &token(&second), now()).is_ok());
}

/// Of 32 uses at the same moment two are answered, and exactly one refresh token is good then.
#[test]
fn of_32_parallel_uses_one_token_stays_good() {
    let (authority, holder) = (with_public(), Holder(es256()));
    for _ in 0..5 {
        let first = holder.begin(&authority);
        let use_it = || holder.refresh(&authority, &first, now());
        let given: Vec<String> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..32).map(|_| scope.spawn(use_it)).collect();
            let answers = all.into_iter().map(|it| it.join().unwrap());
            answers.filter(Result::is_ok).map(|it| token(&it)).collect()
        });
        assert_eq!(given.len(), 2);
        let good = given
            .iter()
            .filter(|it| holder.refresh(&authority, it, now()).is_ok());
        assert_eq!(good.count(), 1);
    }
}

/// A client that authenticates by a key is bound by that key: it may change its DPoP key, and its
/// predecessor comes once more too.
#[test]
fn a_confidential_client_is_bound_by_its_authentication() {
    let key = es256();
    let client = Client::with_keys("batch", key_set(&key))
        .redirect_uri("http://127.0.0.1/callback")
        .allow(TOOLS, ["call"]);
    let authority = with_users().client(client).build(now()).unwrap();
    let code = code(&authority, &with("client_id", Some("batch")), now());
    let ask_as = |more: &[(&str, &str)], proof: Option<&str>| {
        let signed = assertion(&key, now());
        let mut all = vec![
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", signed.as_str()),
        ];
        all.extend(more);
        let fields: Vec<(&str, &str)> = proof.map(|it| ("dpop", it)).into_iter().collect();
        ask(&authority, &fields, &all, now())
    };
    let first = ask_as(
        &[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ],
        None,
    );
    let claims = first.as_ref().unwrap()["access_token"].as_str().unwrap();
    let jwk = common::confirmation(&key);
    assert_eq!(verified(&authority, claims, now())["cnf"], jwk);
    let first = token(&first);
    let again = [("grant_type", "refresh_token"), ("refresh_token", &*first)];
    assert!(ask_as(&again, Some(&Holder(es256()).proof(now()))).is_ok());
    assert!(ask_as(&again, Some(&Holder(es256()).proof(now()))).is_ok());
}

/// A state that keeps the entries of a grant shows no refresh token, and `jti` no handle.
#[test]
fn no_token_is_stored_and_jti_names_the_grant() {
    let authority = with_public();
    let code = code(&authority, &parameters(), now());
    let granted = redeem(&authority, &code, &[], &[], now()).unwrap();
    let token = granted["refresh_token"].as_str().unwrap();
    let (handle, secret) = token.split_once('.').unwrap();
    let claims = verified(&authority, granted["access_token"].as_str().unwrap(), now());
    let id = claims["jti"].as_str().unwrap().split('.').next().unwrap();
    assert_eq!(id, sha256_base64url(handle));
    let state = authority.oauth().state();
    let stored = state
        .load(aims_authority::Kind::Grant, id, now())
        .unwrap()
        .unwrap();
    let text = String::from_utf8(stored.entry.value).unwrap();
    assert!(!text.contains(handle) && !text.contains(secret));
    assert!(text.contains(&sha256_base64url(secret)));
}
