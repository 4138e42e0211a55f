//! Clients that authenticate by an attestation, or by the token of their platform.

#![cfg(feature = "tokio")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Arc, Mutex};

use aims_jose::jws::{SigningInput, Unverified};
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::secret::SecretText;
use aims_jose::{Algorithm, json};
use aims_oauth_client::{DpopKey, Error, TokenSource};
use aims_oauth_wire::client_auth::{
    AssertionAudience, Attestation, AttestedClient, Authenticate, Freshness, PlatformToken,
};
use aims_oauth_wire::token::Form;
use common::{LATEST, NOW, Paused, Script, code, json_answer, server_with};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

const TOOL: &str = "https://tools.example/mcp";

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256, AWS_LC).unwrap()
}

fn jwt(typ: &str, claims: &Value) -> SecretText {
    let input = SigningInput::new(typ, Algorithm::Es256, None, claims).unwrap();
    input.sign(&key()).unwrap().into_secret()
}

/// The claims of a good attestation for this key.
fn claims(instance: &SigningKey) -> Value {
    let jwk: Value = serde_json::from_str(&instance.public_jwk().to_json()).unwrap();
    json!({"sub": "agent", "exp": NOW + 3_600, "cnf": {"jwk": jwk}})
}

fn attested(
    text: SecretText,
    instance: SigningKey,
) -> (AttestedClient, Arc<Mutex<Vec<Freshness>>>) {
    let (asked, instance) = (Arc::default(), Arc::new(instance));
    let own: Arc<Mutex<Vec<Freshness>>> = Arc::clone(&asked);
    let client = AttestedClient::new("agent".parse().unwrap(), move |freshness, _| {
        own.lock().unwrap().push(freshness);
        Ok(Attestation::new(text.clone(), Arc::clone(&instance)))
    });
    (client, asked)
}

fn good() -> (AttestedClient, Arc<Mutex<Vec<Freshness>>>) {
    let instance = key();
    attested(
        jwt("oauth-client-attestation+jwt", &claims(&instance)),
        instance,
    )
}

async fn token(
    script: &Script,
    client: impl Authenticate + 'static,
    members: &Value,
) -> Result<(), Error> {
    let source = TokenSource::new(server_with(members), client, script.clone())
        .with_clock(Paused(Instant::now()))
        .with_random(&LATEST);
    let scopes = "read".parse().unwrap();
    source.token_for(&TOOL.parse().unwrap(), &scopes).await?;
    Ok(())
}

fn granted() -> Response<Vec<u8>> {
    let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 300});
    json_answer(200, &body)
}

/// The claims of the proof of a request.
fn pop(request: &Request<Vec<u8>>) -> Value {
    let text = request.headers()["oauth-client-attestation-pop"]
        .to_str()
        .unwrap();
    let token = Unverified::parse(text).unwrap();
    assert!(token.header().is_typ("oauth-client-attestation-pop+jwt"));
    json::from_object(token.unverified_payload().unwrap()).unwrap()
}

fn with_challenge(mut answer: Response<Vec<u8>>, challenge: &'static str) -> Response<Vec<u8>> {
    let value = http::HeaderValue::from_static(challenge);
    answer
        .headers_mut()
        .insert("oauth-client-attestation-challenge", value);
    answer
}

/// ATT-01, ATT-02: both fields, `client_id`, and the claims of the proof.
#[tokio::test(start_paused = true)]
async fn an_attestation_and_its_proof_are_sent() {
    let script = Script::new(|_, _| granted());
    let (client, _) = good();
    token(&script, client, &json!({})).await.unwrap();
    let request = script.requests().remove(0);
    let claims = pop(&request);
    assert_eq!(claims["aud"], "https://as.example");
    assert_eq!(claims["iat"], NOW);
    assert!(claims["jti"].as_str().unwrap().len() >= 22);
    assert!(claims.get("challenge").is_none() && claims.get("exp").is_none());
    assert!(request.headers()["oauth-client-attestation"].is_sensitive());
    let form = Form::parse(request.body()).unwrap();
    assert_eq!(form.get("client_id"), Some("agent"));
}

/// ATT-01: an attestation that cannot be good is not sent. Each differs from a good one in one
/// property.
#[tokio::test(start_paused = true)]
async fn a_bad_attestation_is_not_sent() {
    let typ = "oauth-client-attestation+jwt";
    let changed = |name: &str, value: Value| {
        let instance = key();
        let mut claims = claims(&instance);
        claims[name] = value;
        attested(jwt(typ, &claims), instance).0
    };
    let other_type = {
        let instance = key();
        attested(jwt("JWT", &claims(&instance)), instance).0
    };
    let with_private = {
        let instance = key();
        let mut claims = claims(&instance);
        claims["cnf"]["jwk"]["d"] = "x".into();
        attested(jwt(typ, &claims), instance).0
    };
    let refused = "oauth.authenticate";
    for (client, members, expected) in [
        (good().0, json!({}), "ok"),
        (changed("sub", json!("other")), json!({}), refused),
        (changed("exp", json!(NOW)), json!({}), refused),
        (changed("cnf", json!({})), json!({}), refused),
        (with_private, json!({}), refused),
        (changed("cnf", json!({"jwk": {}})), json!({}), refused),
        (other_type, json!({}), refused),
        (attested("text".into(), key()).0, json!({}), refused),
        (
            good().0,
            json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
            refused,
        ),
        (
            good().0,
            json!({"token_endpoint_auth_methods_supported": ["attest_jwt_client_auth"]}),
            "ok",
        ),
        (
            good().0,
            json!({"client_attestation_pop_signing_alg_values_supported": ["Ed25519"]}),
            refused,
        ),
    ] {
        let script = Script::new(|_, _| granted());
        assert_eq!(
            code(token(&script, client, &members).await),
            expected,
            "{members}"
        );
        assert_eq!(script.requests().len(), usize::from(expected == "ok"));
    }
}

/// ATT-04: a server with an endpoint for challenges is asked first, without credentials. The
/// challenge of an answer is for the next request.
#[tokio::test(start_paused = true)]
async fn a_challenge_is_fetched_and_answered() {
    let script = Script::new(|request, number| match (request.uri().path(), number) {
        ("/challenge", _) => json_answer(200, &json!({"attestation_challenge": "c1"})),
        (_, 1) => {
            let body = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 1});
            with_challenge(json_answer(200, &body), "c2")
        }
        _ => granted(),
    });
    let members = json!({"challenge_endpoint": "https://as.example/challenge"});
    let start = Instant::now();
    let source = TokenSource::new(server_with(&members), good().0, script.clone())
        .with_clock(Paused(start))
        .with_random(&LATEST);
    let (tool, scopes) = (TOOL.parse().unwrap(), "read".parse().unwrap());
    for _ in 0..3 {
        source.token_for(&tool, &scopes).await.unwrap();
        common::sleep(300).await;
    }
    let requests = script.requests();
    let paths: Vec<_> = requests.iter().map(|it| it.uri().path()).collect();
    assert_eq!(
        paths,
        ["/challenge", "/token", "/token", "/challenge", "/token"]
    );
    assert!(requests[0].body().is_empty() && requests[0].method() == "POST");
    assert!(
        !requests[0]
            .headers()
            .contains_key("oauth-client-attestation")
    );
    assert_eq!(pop(&requests[1])["challenge"], "c1");
    assert_eq!(pop(&requests[2])["challenge"], "c2");
    assert_eq!(pop(&requests[4])["challenge"], "c1");
}

/// ATT-05: a demanded challenge or attestation is given once; every other refusal is final.
#[tokio::test(start_paused = true)]
async fn demands_are_met_once() {
    const CHALLENGE: &str = "use_attestation_challenge";
    const FRESH: &str = "use_fresh_attestation";
    for (errors, has_challenge, status, expected, requests) in [
        (&[CHALLENGE][..], true, 400, "ok", 2),
        (&[CHALLENGE], true, 401, "ok", 2),
        (&[CHALLENGE], false, 400, "oauth.refused", 1),
        (&[CHALLENGE, CHALLENGE], true, 400, "oauth.refused", 2),
        (&[FRESH], false, 400, "ok", 2),
        (&[FRESH, FRESH], false, 400, "oauth.refused", 2),
        (&["invalid_client"], true, 400, "oauth.refused", 1),
        (
            &["invalid_client_attestation"],
            true,
            401,
            "oauth.refused",
            1,
        ),
    ] {
        let script = Script::new(move |_, number| match errors.get(number) {
            None => granted(),
            Some(error) => {
                let answer = json_answer(status, &json!({ "error": error }));
                if has_challenge {
                    with_challenge(answer, "ch")
                } else {
                    answer
                }
            }
        });
        let (client, asked) = good();
        let found = token(&script, client, &json!({})).await;
        assert_eq!(code(found), expected, "{errors:?}");
        assert_eq!(script.requests().len(), requests, "{errors:?}");
        if requests == 2 && errors[0] == CHALLENGE {
            assert_eq!(pop(&script.requests()[1])["challenge"], "ch");
        }
        let fresh = if errors[0] == FRESH {
            Freshness::New
        } else {
            Freshness::Any
        };
        assert_eq!(
            asked.lock().unwrap().get(1),
            (requests == 2).then_some(&fresh)
        );
        let jtis: std::collections::HashSet<_> = script
            .requests()
            .iter()
            .map(|it| pop(it)["jti"].to_string())
            .collect();
        assert_eq!(jtis.len(), requests);
    }
}

/// A challenge that no proof can carry is ignored.
#[tokio::test(start_paused = true)]
async fn a_malformed_challenge_is_ignored() {
    let long: &'static str = Box::leak("c".repeat(1_025).into_boxed_str());
    for challenge in ["", "with space", long] {
        let script = Script::new(move |_, number| match number {
            0 => {
                let body = json!({"error": "use_attestation_challenge"});
                with_challenge(json_answer(400, &body), challenge)
            }
            _ => granted(),
        });
        assert_eq!(
            code(token(&script, good().0, &json!({})).await),
            "oauth.refused"
        );
        assert_eq!(script.requests().len(), 1, "{challenge}");
    }
}

fn platform(claims: &Value) -> PlatformToken {
    let text = jwt("JWT", claims);
    PlatformToken::new("agent".parse().unwrap(), move |_, _| Ok(text.clone()))
}

/// The token of a platform is the assertion of the client. Its own `sub` is not the client's.
#[tokio::test(start_paused = true)]
async fn a_platform_vouches_for_the_client() {
    let claims = json!({"iss": "https://ci.example", "sub": "repo:a/b", "exp": NOW + 60,
        "aud": "https://as.example"});
    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        platform(&claims)
    };
    let endpoint = || changed("aud", json!("https://as.example/token"));
    let agreed = || changed("aud", json!("api://exchange"));
    let refused = "oauth.authenticate";
    for (client, members, expected) in [
        (platform(&claims), json!({}), "ok"),
        (
            changed("aud", json!(["https://as.example"])),
            json!({}),
            "ok",
        ),
        (
            changed("aud", json!("https://other.example")),
            json!({}),
            refused,
        ),
        (
            changed("aud", json!(["https://as.example", "x"])),
            json!({}),
            refused,
        ),
        (changed("aud", Value::Null), json!({}), refused),
        (changed("exp", json!(NOW)), json!({}), refused),
        (endpoint(), json!({}), refused),
        (
            endpoint().with_audience(AssertionAudience::token_endpoint()),
            json!({}),
            "ok",
        ),
        (agreed(), json!({}), refused),
        (
            agreed().with_agreed_audience("api://exchange"),
            json!({}),
            "ok",
        ),
        (
            platform(&claims),
            json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"]}),
            refused,
        ),
    ] {
        let script = Script::new(|_, _| granted());
        assert_eq!(
            code(token(&script, client, &members).await),
            expected,
            "{members}"
        );
        let forms = script.forms();
        assert_eq!(forms.len(), usize::from(expected == "ok"));
        if let Some(form) = forms.first() {
            assert_eq!(form.get("client_id"), Some("agent"));
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            assert_eq!(form.get("client_assertion_type"), Some(kind));
            assert!(form.get("client_assertion").is_some());
        }
    }
}

/// Asks for a token that is bound to this key, with the combined proof.
async fn combined(
    client: &AttestedClient,
    key: Option<&SigningKey>,
    members: &Value,
) -> Result<Vec<Request<Vec<u8>>>, Error> {
    let script = Script::new(|_, _| {
        let body = json!({"access_token": "t", "token_type": "DPoP", "expires_in": 300});
        json_answer(200, &body)
    });
    let mut source = TokenSource::new(server_with(members), client.clone(), script.clone())
        .with_clock(Paused(Instant::now()))
        .with_random(&LATEST);
    if let Some(key) = key {
        source = source.with_dpop(DpopKey::new(Arc::new(key.clone()), key.public_jwk()));
    }
    let scopes = "read".parse().unwrap();
    source.token_for(&TOOL.parse().unwrap(), &scopes).await?;
    Ok(script.requests())
}

/// ATT-03: the DPoP proof by the attested key stands for the proof of the attestation.
#[tokio::test(start_paused = true)]
async fn a_dpop_proof_proves_the_attested_key() {
    let instance = key();
    let text = jwt("oauth-client-attestation+jwt", &claims(&instance));
    let (client, _) = attested(text.clone(), instance.clone());
    let client = client.with_dpop_proof();
    let method = |name: &str| json!({"token_endpoint_auth_methods_supported": [name]});
    // A challenge is for the other proof, so none is fetched.
    let mut members = method("attest_jwt_client_auth_dpop");
    members["challenge_endpoint"] = json!("https://as.example/challenge");
    let sent = combined(&client, Some(&instance), &members).await.unwrap();
    let [request] = sent.as_slice() else {
        panic!("expected one request: {sent:?}");
    };
    let shown = &request.headers()["oauth-client-attestation"];
    assert!(shown.is_sensitive() && shown.to_str().unwrap() == text.expose());
    assert!(
        !request
            .headers()
            .contains_key("oauth-client-attestation-pop")
    );
    assert!(request.headers().contains_key("dpop"));
    let form = Form::parse(request.body()).unwrap();
    assert_eq!(form.get("client_id"), Some("agent"));
    // Another key, no proof, another method, and an attestation that is over.
    let refused = |outcome: Result<Vec<Request<Vec<u8>>>, Error>| code(outcome.map(drop));
    let other = combined(&client, Some(&key()), &json!({})).await;
    assert_eq!(refused(other), "oauth.authenticate");
    let without = combined(&client, None, &json!({})).await;
    assert_eq!(refused(without), "oauth.authenticate");
    let unknown = combined(&client, Some(&instance), &method("attest_jwt_client_auth")).await;
    assert_eq!(refused(unknown), "oauth.authenticate");
    let mut ended = claims(&instance);
    ended["exp"] = json!(NOW);
    let ended = jwt("oauth-client-attestation+jwt", &ended);
    let (ended, _) = attested(ended, instance.clone());
    let ended = combined(&ended.with_dpop_proof(), Some(&instance), &json!({})).await;
    assert_eq!(refused(ended), "oauth.authenticate");
}

/// ATT-06: the server names the algorithms of attestations and the ways of proving their key.
#[tokio::test(start_paused = true)]
async fn the_server_names_what_it_takes() {
    let refused = "oauth.authenticate";
    let methods = "client_attestation_pop_methods_supported";
    let algorithms = "client_attestation_signing_alg_values_supported";
    for (members, expected) in [
        (json!({}), "ok"),
        (
            json!({methods: ["dpop_combined", "attestation_pop_jwt"]}),
            "ok",
        ),
        (json!({methods: ["dpop_combined"]}), refused),
        (json!({methods: ["none"]}), refused),
        (json!({algorithms: ["RS256", "ES256"]}), "ok"),
        (json!({algorithms: ["RS256"]}), refused),
    ] {
        let script = Script::new(|_, _| granted());
        let (client, _) = good();
        let found = token(&script, client, &members).await;
        assert_eq!(code(found), expected, "{members}");
        let sent = usize::from(expected == "ok");
        assert_eq!(script.requests().len(), sent, "{members}");
    }
}
