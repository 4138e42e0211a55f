//! The agent's client with the real server, and with invalid responses.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_authority::{Authority, Enrolment};
use aims_jose::key::SigningKey;
use aims_jose::secret::SecretText;
use aims_wimse_cred::enrolment::{EnrolmentProof, Error, IdentityClient, Received};
use common::*;
use http::{Request, Response};
use serde_json::json;

fn client() -> IdentityClient {
    IdentityClient::new(BASE).unwrap()
}

fn fetch(
    authority: &Authority,
    key: &SigningKey,
    proof: EnrolmentProof,
    at: u64,
) -> Result<Received, Error> {
    let at = common::at(at);
    let (request, pending) = client().wit(key, proof);
    let (request, pending) = pending.finish(&send(authority, &request, at), at)?;
    pending.finish(&send(authority, &request, at), at)
}

#[test]
fn an_agent_enrols_renews_and_fetches_a_jwt_svid() {
    let authority = authority();
    let (key, new) = (es256(), es256());
    let wit = fetch(&authority, &key, EnrolmentProof::Token(token("a")), NOW).unwrap();
    assert_eq!(wit.expires, at(NOW + 3_600));
    assert_eq!(claims(wit.text.expose())["sub"], AGENT);
    let proof = EnrolmentProof::Wit { wit: wit.text, key };
    let renewed = fetch(&authority, &new, proof, NOW + 1_800).unwrap();
    assert_eq!(renewed.expires, at(NOW + 1_800 + 3_600));
    let later = at(NOW + 1_800);
    let (request, pending) = client().jwt_svid(BASE, &renewed.text, &new);
    let (request, pending) = pending
        .finish(&send(&authority, &request, later), later)
        .unwrap();
    let svid = pending
        .finish(&send(&authority, &request, later), later)
        .unwrap();
    assert_eq!(claims(svid.text.expose())["sub"], AGENT);
}

#[test]
fn an_agent_enrols_by_its_bootstrap_key() {
    let bootstrap = es256();
    let id = "spiffe://example.org/agents/k".parse().unwrap();
    let enrolment = Enrolment::by_key(id, bootstrap.verifying_key().clone());
    let authority = builder().enrol(enrolment).build(now()).unwrap();
    for key in [&bootstrap, &es256()] {
        let proof = EnrolmentProof::BootstrapKey(key.clone());
        let fetched = fetch(&authority, &es256(), proof, NOW);
        if std::ptr::eq(key, &bootstrap) {
            assert!(fetched.is_ok());
        } else {
            let refused = fetched.unwrap_err();
            assert!(
                matches!(
                    refused,
                    Error::Refused {
                        status: 403,
                        code: Some("identity.refused")
                    }
                ),
                "{refused:?}"
            );
        }
    }
}

/// A refusal has its status, and its code only if the code is known (T-110).
#[test]
fn refusals_are_told_apart() {
    let authority = authority();
    let refused = fetch(
        &authority,
        &es256(),
        EnrolmentProof::Token(token("nobody")),
        NOW,
    )
    .unwrap_err();
    assert_eq!(refused.code(), "client.refused");
    assert!(matches!(
        refused,
        Error::Refused {
            status: 403,
            code: Some("identity.refused")
        }
    ));
    let foreign = Response::builder()
        .status(500)
        .body(br#"{"code":"x\u001b[2J"}"#.to_vec())
        .unwrap();
    let (_, pending) = client().wit(&es256(), EnrolmentProof::Token(token("a")));
    let refused = pending.finish(&foreign, now()).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Refused {
                status: 500,
                code: None
            }
        ),
        "{refused:?}"
    );
}

fn answer(media_type: &str, body: &str) -> Response<Vec<u8>> {
    let response = Response::builder().header("content-type", media_type);
    response.body(body.as_bytes().to_vec()).unwrap()
}

/// T-028, T-084: invalid responses are refused.
#[test]
fn unusable_answers_are_refused() {
    let good = json!({"nonce": "n", "expires_in": 60}).to_string();
    let long = json!({"nonce": "n", "expires_in": 60, "x": "x".repeat(64 * 1024)}).to_string();
    let json = "application/json";
    let begin = || client().wit(&es256(), EnrolmentProof::Token(token("a"))).1;
    for media_type in [json, "Application/JSON ; charset=utf-8"] {
        assert!(begin().finish(&answer(media_type, &good), now()).is_ok());
    }
    for (media_type, body) in [
        ("text/html", good.as_str()),
        ("application/jsonp", good.as_str()),
        (json, "<html>"),
        (json, ""),
        (json, "[\"n\",60]"),
        (json, r#"{"nonce":"n","nonce":"m","expires_in":60}"#),
        (json, r#"{"nonce":null,"expires_in":60}"#),
        (json, r#"{"nonce":"n","expires_in":-1}"#),
        (json, &long),
    ] {
        let refused = begin()
            .finish(&answer(media_type, body), now())
            .unwrap_err();
        assert_eq!(refused.code(), "client.answer", "{body:.40}");
    }
}

/// A WIT for a key that the agent does not have, and a JWT-SVID instead of a WIT.
#[test]
fn credentials_must_be_what_was_asked_for() {
    let authority = authority();
    let (others, _) = wit(&authority, "b", now());
    let own = es256();
    let issued = enrol(&authority, "b", &own, now()).unwrap();
    let own_wit = issued.text.expose();
    let finish = |body: &serde_json::Value| {
        let (_, pending) = client().wit(&own, EnrolmentProof::Token(token("a")));
        let challenge = json!({"nonce": "n", "expires_in": 60}).to_string();
        let challenge = answer("application/json", &challenge);
        let (_, pending) = pending.finish(&challenge, now()).unwrap();
        pending.finish(&answer("application/json", &body.to_string()), now())
    };
    assert!(finish(&json!({"wit": own_wit, "expires_in": 60})).is_ok());
    for body in [
        json!({"wit": others, "expires_in": 60}),
        json!({"wit": "x.y.z", "expires_in": 60}),
        json!({"jwt_svid": own_wit, "expires_in": 60}),
        json!({"wit": own_wit, "jwt_svid": own_wit, "expires_in": 60}),
        json!({"wit": null, "expires_in": 60}),
        json!({"expires_in": 60}),
        json!({"wit": own_wit}),
    ] {
        assert_eq!(
            finish(&body).unwrap_err().code(),
            "client.answer",
            "{body:.60}"
        );
    }
}

/// T-023: neither requests nor pending states print a secret.
#[test]
fn requests_print_no_secret() {
    let secret = token("a");
    let (request, pending) = client().wit(&es256(), EnrolmentProof::Token(secret.clone()));
    let challenge = answer(
        "application/json",
        &json!({"nonce": "n", "expires_in": 60}).to_string(),
    );
    let mut texts = vec![format!("{request:?}"), format!("{pending:?}")];
    let (request, pending): (Request<Vec<u8>>, _) = pending.finish(&challenge, now()).unwrap();
    texts.push(format!("{:?} {pending:?}", request.headers()));
    for text in texts {
        assert!(!text.contains(secret.expose()), "{text}");
    }
}

/// T-023: the error for a token that cannot be sent contains nothing of the token.
#[test]
fn a_token_that_cannot_be_sent_is_told() {
    let challenge = answer(
        "application/json",
        &json!({"nonce": "n", "expires_in": 60}).to_string(),
    );
    for (token, found) in [
        ("SECRET\n", "a line end after it"),
        ("SECRET\r\n", "a line end after it"),
        ("SEC\nRET", "a control character"),
        ("SEC\nRET\n", "a control character"),
    ] {
        let (_, pending) = client().wit(&es256(), EnrolmentProof::Token(SecretText::new(token)));
        let error = pending.finish(&challenge, now()).unwrap_err();
        assert_eq!(error.code(), "client.credential", "{token:?}");
        assert_eq!(error.kind(), aims_error::ErrorKind::Configuration);
        let text = format!("{error}");
        assert!(
            text.contains("bootstrap token") && text.contains(found),
            "{text}"
        );
        assert!(!format!("{text}{error:?}").contains("SEC"), "{text}");
    }
}
