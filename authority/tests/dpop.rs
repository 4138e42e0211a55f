//! DPoP at the token endpoint (RFC 9449 §5): each negative differs from a valid request in one
//! property.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use aims_authority::{Authority, Client, Limits, Rate};
use aims_jose::base64url;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_jose::time::UnixTime;
use aims_oauth_wire::dpop::{Binding, Nonce};
use aims_replay::{Error, ReplayCache, ReplayKey, ReplayStore};
use common::endpoint::*;
use common::*;
use http::Response;
use serde_json::{Value, json};

const PLACE: &str = "http://127.0.0.1:8080/token";

fn proof_for(uri: &str, key: &SigningKey, nonce: Option<&Nonce>, now: u64) -> String {
    let (jwk, algorithm) = (key.public_jwk(), key.algorithm());
    let made = Binding::to("POST", uri).prepare_with(nonce, jwk, algorithm, SYSTEM, at(now));
    made.unwrap().sign(key).unwrap().expose().to_owned()
}

fn proof(key: &SigningKey) -> String {
    proof_for(PLACE, key, None, NOW)
}

/// Sends a token request of the client `batch` with these `DPoP` fields.
fn respond(
    authority: &Authority,
    client: &SigningKey,
    proofs: &[&str],
    now: u64,
) -> Response<Vec<u8>> {
    let assertion = assertion(client, at(now));
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
        ("resource", TOOLS),
    ];
    let fields: Vec<_> = proofs.iter().map(|proof| ("dpop", *proof)).collect();
    send_form(authority, &fields, &parameters, at(now))
}

fn request(
    authority: &Authority,
    client: &SigningKey,
    proofs: &[&str],
) -> Result<Value, (u16, String)> {
    judged(&respond(authority, client, proofs, NOW))
}

/// The token is bound to the key of the proof only, and its type is `DPoP`.
#[test]
fn a_proof_binds_the_token() {
    let (client, holder) = (es256(), es256());
    let authority = with_client(&client);
    let answer = request(&authority, &client, &[&proof(&holder)]).unwrap();
    assert_eq!(answer["token_type"], "DPoP");
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    let jkt = holder.public_jwk().thumbprint().to_string();
    assert_eq!(claims["cnf"], json!({"jkt": jkt}));
    // Without a proof, it is bound to the client's key.
    let answer = request(&authority, &client, &[]).unwrap();
    assert_eq!(answer["token_type"], "Bearer");
    let claims = verified(&authority, answer["access_token"].as_str().unwrap(), now());
    assert_eq!(claims["cnf"], confirmation(&client));
}

#[test]
fn proofs_are_checked_in_everything() {
    let (client, holder) = (es256(), es256());
    let authority = with_client(&client);
    let invalid = refused(400, "invalid_dpop_proof");
    let once = proof(&holder);
    assert!(request(&authority, &client, &[&once]).is_ok());
    assert_eq!(request(&authority, &client, &[&once]), invalid, "replayed");
    for (proofs, why) in [
        (vec![proof(&holder), proof(&holder)], "two fields"),
        (
            vec![proof_for("http://127.0.0.1:8080/jwks", &holder, None, NOW)],
            "another place",
        ),
        (
            vec![proof_for(
                "https://127.0.0.1:8080/token",
                &holder,
                None,
                NOW,
            )],
            "another scheme",
        ),
        (vec![proof_for(PLACE, &holder, None, NOW - 91)], "too old"),
        (
            vec![proof_for(PLACE, &holder, None, NOW + 31)],
            "in the future",
        ),
        (vec!["a.b.c".to_owned()], "no JWT"),
        (vec![assertion(&client, now())], "another kind"),
    ] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        assert_eq!(request(&authority, &client, &proofs), invalid, "{why}");
    }
    let mut forged = proof(&holder);
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert_eq!(request(&authority, &client, &[&forged]), invalid, "forged");
}

/// The client is authenticated first: a valid DPoP proof does not identify the sender.
#[test]
fn a_proof_is_no_client_authentication() {
    let (client, stranger) = (es256(), es256());
    let authority = with_client(&client);
    let answer = request(&authority, &stranger, &[&proof(&stranger)]);
    assert_eq!(answer, refused(401, "invalid_client"));
}

/// RFC 9449 §5.2: `dpop_bound_access_tokens`.
#[test]
fn a_client_may_have_to_bring_one() {
    let client = es256();
    let known = Client::with_keys("batch", key_set(&client)).allow(TOOLS, ["call"]);
    let authority = builder().client(known.require_dpop()).build(now()).unwrap();
    let answer = request(&authority, &client, &[]);
    assert_eq!(answer, refused(400, "invalid_request"));
    assert!(request(&authority, &client, &[&proof(&es256())]).is_ok());
}

/// RFC 9449 §8: the refusal contains a nonce for this key, and no other key can use it.
#[test]
fn nonces_are_demanded_where_they_are_set() {
    let (client, holder) = (es256(), es256());
    let known = Client::with_keys("batch", key_set(&client)).allow(TOOLS, ["call"]);
    let authority = builder().client(known).require_dpop_nonces();
    let authority = authority.build(now()).unwrap();
    let first = respond(&authority, &client, &[&proof(&holder)], NOW);
    assert_eq!(judged(&first), refused(400, "use_dpop_nonce"));
    let nonce = Nonce::from_headers(first.headers()).unwrap().unwrap();
    let stolen = proof_for(PLACE, &es256(), Some(&nonce), NOW);
    assert_eq!(
        request(&authority, &client, &[&stolen]),
        refused(400, "use_dpop_nonce")
    );
    let good = proof_for(PLACE, &holder, Some(&nonce), NOW);
    let second = respond(&authority, &client, &[&good], NOW);
    assert_eq!(judged(&second).unwrap()["token_type"], "DPoP");
    assert!(!second.headers().contains_key("dpop-nonce"));
    // In the second half of its lifetime, the response contains the next nonce.
    let later = proof_for(PLACE, &holder, Some(&nonce), NOW + 200);
    let third = respond(&authority, &client, &[&later], NOW + 200);
    assert!(judged(&third).is_ok());
    let next = Nonce::from_headers(third.headers()).unwrap().unwrap();
    assert_ne!(next, nonce);
    let ended = proof_for(PLACE, &holder, Some(&nonce), NOW + 301);
    let fourth = respond(&authority, &client, &[&ended], NOW + 301);
    assert_eq!(judged(&fourth), refused(400, "use_dpop_nonce"));
    // A refusal for another reason than the nonce contains none.
    let elsewhere = proof_for("https://a.example/", &holder, Some(&next), NOW);
    let fifth = respond(&authority, &client, &[&elsewhere], NOW);
    assert_eq!(judged(&fifth), refused(400, "invalid_dpop_proof"));
    assert!(!fifth.headers().contains_key("dpop-nonce"));
}

/// RFC 9449 §11.1: a client can create any number of keys, and uses only its own share of the
/// replay store.
#[test]
fn one_client_with_many_keys_keeps_no_other_out() {
    let (noisy, quiet) = (es256(), es256());
    let client = |id: &str, key| Client::with_keys(id, key_set(key)).allow(TOOLS, ["call"]);
    let authority = builder()
        .client(client("noisy", &noisy))
        .client(client("quiet", &quiet))
        .replay(Arc::new(ReplayCache::in_memory(64)))
        .build(now())
        .unwrap();
    let request = |id: &str, key: &SigningKey| {
        let assertion = assertion_of(id, key, now());
        let parameters = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
            ("resource", TOOLS),
        ];
        let field = ("dpop", &*proof(&es256()));
        let answer = send_form(&authority, &[field], &parameters, now());
        answer.status().as_u16()
    };
    let answers: Vec<u16> = (0..128).map(|_| request("noisy", &noisy)).collect();
    assert!(answers.contains(&503), "{answers:?}");
    for _ in 0..8 {
        assert_eq!(request("quiet", &quiet), 200);
    }
}

/// Any caller can send the `client_id` of a public client. Its proofs count for the network of the
/// caller, not for the client, so they use up the rate of none of its users.
#[test]
fn an_attacker_does_not_use_up_the_rate_of_a_public_client() {
    let mut limits = Limits::default();
    limits.agent = Rate {
        burst: 4,
        per_minute: 60,
    };
    let other = Client::public("other").redirect_uri("http://127.0.0.1/callback");
    let authority = browser::with_users()
        .client(browser::public())
        .client(other)
        .limits(limits)
        .build(now())
        .unwrap();
    let request = |client_id: &str, source: &str| {
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("client_id", client_id),
            ("code", "x"),
        ]);
        let proof = proof(&es256());
        let request = common::request("POST", "/token", &[FORM, ("dpop", &proof)], &body);
        let response = authority.handle(&request, Some(source.parse().unwrap()), now());
        response.status().as_u16()
    };
    let attacker: Vec<u16> = (1..=6)
        .map(|n| request("cli", &format!("2001:db8::{n}")))
        .collect();
    assert_eq!(attacker, [400, 400, 400, 400, 503, 503]);
    for _ in 0..4 {
        assert_eq!(request("cli", "2001:db8:0:1::1"), 400);
        assert_eq!(request("cli", "192.0.2.1"), 400);
    }
    // Nor does one public client use up the rate of another at the same address.
    assert_eq!(request("cli", "192.0.2.1"), 503);
    assert_eq!(request("other", "192.0.2.1"), 400);
}

#[test]
fn the_metadata_name_the_algorithms() {
    let metadata: Value = serde_json::from_str(&authority().oauth().metadata()).unwrap();
    let all = metadata["dpop_signing_alg_values_supported"]
        .as_array()
        .unwrap();
    assert!(all.contains(&json!("ES256")) && !all.contains(&json!("none")));
}

/// A proof with credentials of another client is not spent, so an attacker cannot use up the proofs
/// of others.
#[test]
fn a_strangers_request_spends_no_proof() {
    let (client, stranger, holder) = (es256(), es256(), es256());
    let authority = with_client(&client);
    let proof = proof(&holder);
    let refusal = request(&authority, &stranger, &[&proof]);
    assert_eq!(refusal, refused(401, "invalid_client"));
    assert!(request(&authority, &client, &[&proof]).is_ok());
}

/// A store that remembers assertions, and fails for proofs.
#[derive(Debug)]
struct Forgetful(ReplayCache, ReplayKey);

impl ReplayStore for Forgetful {
    fn spend(&self, key: &ReplayKey, until: UnixTime, now: UnixTime) -> Result<(), Error> {
        if key.as_bytes() == self.1.as_bytes() {
            return Err(Error::Unavailable);
        }
        self.0.spend(key, until, now)
    }
}

/// A failing store is an error of the server, not of the client.
#[test]
fn a_store_that_cannot_tell_is_the_servers_fault() {
    let (client, holder) = (es256(), es256());
    let proof = proof(&holder);
    let claims = proof.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&base64url::decode(claims).unwrap()).unwrap();
    let thumbprint = holder.public_jwk().thumbprint().to_string();
    let name = ReplayKey::new("dpop", &thumbprint, &[claims["jti"].as_str().unwrap()]);
    let store = Forgetful(ReplayCache::in_memory(10), name);
    let known = Client::with_keys("batch", key_set(&client)).allow(TOOLS, ["call"]);
    let authority = builder().client(known).replay(Arc::new(store));
    let authority = authority.build(now()).unwrap();
    let answer = request(&authority, &client, &[&proof]);
    assert_eq!(answer, refused(503, "server_error"));
}
