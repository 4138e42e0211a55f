//! The effect of one client's bad requests on other clients at the same address.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::{IpAddr, Ipv4Addr};

use aims_authority::{Authority, Client, Limits, Rate};
use aims_jose::key::SigningKey;
use common::endpoint::*;
use common::*;
use serde_json::json;

const JSON: (&str, &str) = ("content-type", "application/json");
/// The address that all clients share.
const SHARED: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// An authority that accepts two wrong bootstrap tokens of a source, then none for a minute.
fn strict(key: &SigningKey) -> Authority {
    let mut limits = Limits::default();
    limits.failures = Rate {
        burst: 2,
        per_minute: 1,
    };
    let batch = Client::with_keys("batch", key_set(key)).allow(TOOLS, ["call"]);
    let builder = builder().limits(limits).client(batch);
    builder.build(now()).unwrap()
}

fn status(authority: &Authority, path: &str, fields: &[(&str, &str)], body: &str) -> u16 {
    let request = request("POST", path, fields, body);
    let response = authority.handle(&request, Some(SHARED), now());
    response.status().as_u16()
}

/// Runs all requests of a valid agent after its enrolment.
fn good_agent(authority: &Authority, wit: &str, key: &SigningKey, batch: &SigningKey) -> [u16; 4] {
    let field = ("workload-identity-token", wit);
    let (nonce, new) = (nonce(authority, now()), es256());
    let renewal = json!({
        "key_proof": key_proof(&nonce, &new, now()),
        "renewal_proof": renewal_proof(&nonce, &new, key, wit, now()),
    });
    let request = svid_request(&common::nonce(authority, now()), key, wit, BASE, now());
    let svid = json!({"svid_request": request});
    let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
    let pop = json!({"iss": AGENT, "aud": BASE, "jti": jti, "iat": NOW, "exp": NOW + 60});
    let pop = sign("oauth-client-attestation-pop+jwt", &pop, key);
    let attested = [
        FORM,
        ("oauth-client-attestation", wit),
        ("oauth-client-attestation-pop", pop.as_str()),
    ];
    let assertion = assertion(batch, now());
    let asserted = form(&[
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
    ]);
    [
        status(
            authority,
            "/identity/wit",
            &[JSON, field],
            &renewal.to_string(),
        ),
        status(
            authority,
            "/identity/jwt-svid",
            &[JSON, field],
            &svid.to_string(),
        ),
        status(
            authority,
            "/token",
            &attested,
            "grant_type=client_credentials",
        ),
        status(authority, "/token", &[FORM], &asserted),
    ]
}

/// T-049: malformed requests and invalid signatures are not guesses. A neighbour that sends them
/// does not lock out other clients, not even during enrolment.
#[test]
fn a_flood_of_nonsense_keeps_nobody_out() {
    let batch = es256();
    let authority = strict(&batch);
    let (wit, key) = wit(&authority, "a", now());
    let authorization = format!("Bearer {}", token("nobody").expose());
    let bearer = ("authorization", authorization.as_str());
    let basic = ("authorization", "Basic YTpi");
    let field = ("workload-identity-token", wit.as_str());
    let unproven = r#"{"key_proof":"x.y.z"}"#;
    for _ in 0..5 {
        for (path, fields, body, refused) in [
            ("/identity/wit", &[JSON][..], "{", 400),
            ("/identity/wit", &[JSON, bearer], unproven, 400),
            ("/identity/wit", &[JSON, basic], unproven, 400),
            ("/identity/wit", &[bearer], "", 415),
            (
                "/identity/wit",
                &[JSON, field],
                r#"{"key_proof":"x.y.z","renewal_proof":"x.y.z"}"#,
                400,
            ),
            ("/identity/jwt-svid", &[JSON], "{", 400),
            (
                "/identity/jwt-svid",
                &[JSON, field],
                r#"{"svid_request":"x.y.z"}"#,
                400,
            ),
            ("/token", &[FORM], "", 400),
            ("/token", &[FORM], "grant_type=client_credentials", 401),
            (
                "/token",
                &[FORM, basic],
                "grant_type=client_credentials",
                401,
            ),
            (
                "/token",
                &[FORM],
                "grant_type=client_credentials&client_id=batch&client_secret=x",
                401,
            ),
        ] {
            assert_eq!(
                status(&authority, path, fields, body),
                refused,
                "{path} {body}"
            );
        }
    }
    assert_eq!(good_agent(&authority, &wit, &key, &batch), [200; 4]);
    let authorization = format!("Bearer {}", token("b").expose());
    let fields = [JSON, ("authorization", authorization.as_str())];
    let proof = key_proof(&nonce(&authority, now()), &es256(), now());
    let body = json!({"key_proof": proof}).to_string();
    assert_eq!(status(&authority, "/identity/wit", &fields, &body), 200);
}

/// T-049: wrong bootstrap tokens are limited for their address. Right ones from it are accepted,
/// and signed requests continue.
#[test]
fn guesses_stop_wrong_bootstrap_tokens_alone() {
    let batch = es256();
    let authority = strict(&batch);
    let (wit, key) = wit(&authority, "a", now());
    let show = |name: &str| {
        let authorization = format!("Bearer {}", token(name).expose());
        let fields = [JSON, ("authorization", authorization.as_str())];
        let proof = key_proof(&nonce(&authority, now()), &es256(), now());
        let body = json!({"key_proof": proof}).to_string();
        status(&authority, "/identity/wit", &fields, &body)
    };
    let shown = ["x", "y", "z", "b", "x"].map(show);
    assert_eq!(shown, [403, 403, 429, 200, 429]);
    assert_eq!(good_agent(&authority, &wit, &key, &batch), [200; 4]);
}

/// M1 of an attack on the running programs: another client at the same address, such as behind
/// one proxy, sends wrong tokens without end. Every right one enrols, and its challenge is
/// answered.
#[test]
fn wrong_tokens_without_end_keep_no_right_one_out() {
    let authority = builder().build(now()).unwrap();
    let show = |name: &str| {
        let challenge = request("POST", "/identity/challenge", &[], "");
        let challenge = authority.handle(&challenge, Some(SHARED), now());
        assert_eq!(challenge.status(), 200);
        let authorization = format!("Bearer {}", token(name).expose());
        let fields = [JSON, ("authorization", authorization.as_str())];
        let nonce = body(&challenge)["nonce"].as_str().unwrap().to_owned();
        let body = json!({"key_proof": key_proof(&nonce, &es256(), now())}).to_string();
        status(&authority, "/identity/wit", &fields, &body)
    };
    let wrong = format!("Bearer {}", token("nobody").expose());
    let fields = [JSON, ("authorization", wrong.as_str())];
    let proof = key_proof(&nonce(&authority, now()), &es256(), now());
    let body = json!({"key_proof": proof}).to_string();
    for round in 0..12 {
        for _ in 0..100 {
            let refused = status(&authority, "/identity/wit", &fields, &body);
            assert!(matches!(refused, 403 | 429), "{refused}");
        }
        assert_eq!(show("b"), 200, "{round}");
    }
}

/// A request that presents a token and is refused for another reason counts as a request.
#[test]
fn malformed_requests_with_a_token_are_limited() {
    let mut limits = Limits::default();
    limits.requests = Rate {
        burst: 2,
        per_minute: 1,
    };
    let authority = builder().limits(limits).build(now()).unwrap();
    let bearer = format!("Bearer {}", token("b").expose());
    let fields = [JSON, ("authorization", bearer.as_str())];
    let refused = [(); 3].map(|()| status(&authority, "/identity/wit", &fields, "{"));
    assert_eq!(refused, [400, 400, 429]);
}

/// M3: an agent has a rate, from however many addresses it asks; another one is not affected. So
/// a few agents cannot fill the memory of proofs.
#[test]
fn an_agent_has_a_rate() {
    let authority = builder().build(now()).unwrap();
    let agents = ["a", "b"].map(|name| (name, wit(&authority, name, now())));
    let ask = |agent: &(&str, (String, SigningKey)), number: u32| {
        let (name, (wit, key)) = agent;
        let id = format!("spiffe://example.org/agents/{name}");
        let jti = aims_jose::random::id128(aims_jose::random::SYSTEM).unwrap();
        let pop = json!({"iss": id, "aud": BASE, "jti": jti, "iat": NOW, "exp": NOW + 60});
        let pop = sign("oauth-client-attestation-pop+jwt", &pop, key);
        let fields = [
            FORM,
            ("oauth-client-attestation", wit.as_str()),
            ("oauth-client-attestation-pop", pop.as_str()),
        ];
        let asked = request("POST", "/token", &fields, "grant_type=client_credentials");
        let source = IpAddr::V4(number.into());
        let response = authority.handle(&asked, Some(source), now());
        response.status().as_u16()
    };
    let burst = Limits::default().agent.burst;
    // The enrolment was one.
    let answers: Vec<_> = (1..burst + 20).map(|at| ask(&agents[0], at)).collect();
    let granted = answers.iter().filter(|status| **status == 200).count();
    assert_eq!(granted, usize::try_from(burst - 1).unwrap());
    assert_eq!(answers.last(), Some(&503));
    assert_eq!(ask(&agents[1], 1), 200);
}
