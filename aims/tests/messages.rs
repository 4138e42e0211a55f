//! The messages that the operator of a tool reads about a refusal: what was expected, what was
//! found, what to do. The caller gets none of it.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use std::sync::Arc;

use aims::guard::{HttpSignatures, ProofMethod};
use aims::wpt::Binding;
use aims::{Guard, Refusal, Requirements};
use common::{CALL, NOW, World, at};
use http::Request;
use http::request::Parts;
use serde_json::json;
use signed::{AGENT, Meeting, received};

/// Checks that the refusal has this code, its detail these parts, and its answer none of them.
fn says(refusal: Refusal, code: &str, parts: &[&str]) {
    assert_eq!(refusal.code(), code);
    // The code stands once, the index explains it, and its kind is the one of the index.
    assert_eq!(refusal.to_string().matches(code).count(), 1, "{refusal}");
    let entry = aims::errors::explain(code).unwrap();
    assert!(
        entry.kind == refusal.kind() || code == "guard.target",
        "{code}"
    );
    for part in parts {
        assert!(refusal.detail().contains(part), "{part:?} in {refusal}");
    }
    let answer = refusal.into_response::<Vec<u8>>();
    let told = format!("{:?}", answer.headers()) + &String::from_utf8_lossy(answer.body());
    for part in parts {
        assert!(!told.contains(part), "{part:?} in {told}");
    }
}

fn refused(guard: &Guard, request: &Parts) -> Refusal {
    guard.check(request, at(NOW)).unwrap_err()
}

/// Three causes of one code.
#[test]
fn which_host_is_wrong() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let hosts = |values: &[&str], uri: &str| {
        let mut request = world.agent(AGENT).call();
        request.uri = uri.parse().unwrap();
        request.headers.remove("host");
        for value in values {
            request.headers.append("host", value.parse().unwrap());
        }
        refused(&guard, &request)
    };
    let none = hosts(&[], "/mcp/call");
    says(none, "guard.host", &["names no host", "`Host` field"]);
    let two = hosts(&["a.example", "a.example"], "/mcp/call");
    says(two, "guard.host", &["2 `Host` fields", "expected one"]);
    let other = hosts(&["a.example"], CALL);
    let parts = ["\"a.example\"", "\"tools.example\"", "expected the same"];
    says(other, "guard.host", &parts);
    let malformed = hosts(&["a,b"], "/mcp/call");
    says(malformed, "guard.host", &["\"a,b\"", "expected a name"]);
}

/// Required and granted rights, and rights of another kind with the same name.
#[test]
fn which_rights_are_missing() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let guard = guard.build().unwrap();
    let mut claims = World::claims(&agent);
    claims["scope"] = json!("tools:list");
    claims["roles"] = json!(["tools:call"]);
    let token = world.token(&claims);
    let on = |route: Requirements| {
        let guard = guard.requiring(route).unwrap();
        refused(&guard, &agent.call_with(&token))
    };
    let scoped = on(Requirements::new().scopes("tools:call tools:list".parse().unwrap()));
    let parts = [
        "expected \"tools:call\", \"tools:list\"",
        "found \"tools:list\"",
        "Requirements::roles",
    ];
    says(scoped, "guard.scope", &parts);
    let parts = [
        "expected \"tools:list\"",
        "found \"tools:call\"",
        "Requirements::scopes",
    ];
    let role = on(Requirements::new().roles(["tools:list"]));
    says(role, "guard.forbidden", &parts);
    let agents = on(Requirements::new().agents("spiffe://example.org/x/*".parse().unwrap()));
    let parts = ["spiffe://example.org/x/*", AGENT];
    says(agents, "guard.forbidden", &parts);
    let proof = on(Requirements::new().proof(ProofMethod::HttpSignature));
    says(proof, "guard.forbidden", &["\"http-signature\"", "\"wpt\""]);
    says(
        on(Requirements::new().actor()),
        "guard.forbidden",
        &["`act`", "RFC 8693"],
    );
}

/// The message names the expected owner of the token.
#[test]
fn what_a_token_lacks() {
    let world = World::new();
    let (agent, other) = (
        world.agent(AGENT),
        world.agent("spiffe://example.org/other"),
    );
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let guard = guard.build().unwrap();
    let bound = World::claims(&agent);
    let mut unbound = bound.clone();
    unbound.as_object_mut().unwrap().remove("cnf");
    unbound["client_id"] = json!("web-client");
    let call = agent.call_with(&world.token(&unbound));
    let parts = ["carries no `cnf`", "client_is"];
    says(refused(&guard, &call), "token.not_bound", &parts);
    let mut dpop = bound.clone();
    dpop["cnf"] = json!({"jkt": agent.key.public_jwk().thumbprint().to_string()});
    let call = agent.call_with(&world.token(&dpop));
    says(
        refused(&guard, &call),
        "token.not_bound",
        &["cnf.jkt", "DPoP"],
    );
    let call = other.call_with(&world.token(&bound));
    says(
        refused(&guard, &call),
        "token.not_bound",
        &["cnf.jwk", "this request's proof"],
    );
    let mut foreign = bound;
    foreign["client_id"] = json!("spiffe://example.org/other");
    let call = agent.call_with(&world.token(&foreign));
    says(
        refused(&guard, &call),
        "token.not_bound",
        &["another workload", "client_is"],
    );
    // No proof shows the sender of the token.
    unbound["client_id"] = json!("web-client");
    let mut alone = common::bare();
    let token = format!("Bearer {}", world.token(&unbound));
    alone
        .headers
        .insert("authorization", token.parse().unwrap());
    says(
        refused(&guard, &alone),
        "guard.proof",
        &["no proof;", "accept_bearer"],
    );
    let long = format!("Bearer {}", "a".repeat(9_000));
    alone.headers.insert("authorization", long.parse().unwrap());
    says(
        refused(&guard, &alone),
        "token.too_long",
        &["8192", "max_token_len"],
    );
}

/// The message names the accepted proofs.
#[test]
fn which_proof_is_missing() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard_by_default().build().unwrap();
    let parts = ["-01", "-02", "GuardBuilder::wpt_revisions"];
    says(refused(&guard, &agent.call()), "wpt.revision", &parts);
    let parts = ["draft-ietf-wimse-wpt-02", "no credential"];
    says(refused(&guard, &common::bare()), "guard.proof", &parts);
}

/// A guard that does not verify signatures: the answer says so, and not that a proof is missing.
#[test]
fn why_a_signature_is_not_accepted() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let mut request = Request::post(CALL).body(b"{}".to_vec()).unwrap();
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, _) = received(request);
    let none = meeting.world.guard().build().unwrap();
    for (guard, part) in [
        (&none, "GuardBuilder::http_signatures"),
        (&meeting.guard, "`Guard::layer`"),
    ] {
        let refusal = refused(guard, &head);
        says(refusal, "guard.signature_not_accepted", &[part]);
        let answer = refused(guard, &head).into_response::<Vec<u8>>().into_body();
        let told = String::from_utf8(answer).unwrap();
        assert!(told.contains("an HTTP signature is not accepted"), "{told}");
    }
}

/// The target of a request that the agent must prove.
#[test]
fn which_target_is_wrong() {
    let meeting = Meeting::taking(HttpSignatures::new());
    for (uri, part) in [
        ("/mcp/call", "is relative"),
        ("https://user@tools.example/mcp", "has user information"),
    ] {
        let mut request = Request::post(uri).body(()).unwrap();
        let agent = meeting.agent_with(|it| it.proof(aims::agent::RequestAuth::Wpt));
        let error = agent.prove(&mut request).unwrap_err();
        assert_eq!(error.code(), "wpt.target");
        let told = aims::jose::Chain(&error).to_string();
        assert!(
            told.contains(part) && told.contains("absolute URL"),
            "{told}"
        );
    }
}

/// The spelling of URLs: the guard's own, and those in proof and token.
#[test]
fn which_url_is_meant() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard().issuers(Arc::clone(&world.issuers));
    let guard = guard.build().unwrap();
    let wit = agent.wit.expose();
    for other in [
        "http://tools.example/mcp/call",
        "https://tools.example:8443/mcp/call",
        "https://other.example/mcp/call",
    ] {
        let proof = agent.wpt(&Binding::to(other));
        let refusal = refused(
            &world.guard().build().unwrap(),
            &common::proven(wit, &proof, None),
        );
        let found = format!("found \"{other}\"");
        let parts = [
            &*found,
            "expected \"https://tools.example/mcp",
            "proof_audience",
        ];
        says(refusal, "wpt.audience", &parts);
    }
    let mut claims = World::claims(&agent);
    claims["aud"] = json!("https://tools.example/mcp/");
    let call = agent.call_with(&world.token(&claims));
    let parts = [
        "found \"https://tools.example/mcp/\"",
        "expected \"https://tools.example/mcp\"",
        "`.token_audience(..)`",
    ];
    says(refused(&guard, &call), "token.audience", &parts);
    let mut claims = World::claims(&agent);
    let issuer = format!("{}/", claims["iss"].as_str().unwrap());
    claims["iss"] = json!(issuer);
    let call = agent.call_with(&world.token(&claims));
    let found = format!("found \"{issuer}\"");
    let parts = [&*found, "expected \"https://", "byte for byte"];
    says(refused(&guard, &call), "token.unknown_issuer", &parts);
    // A path beside the one that is guarded.
    let proof = agent.wpt(&Binding::to("https://tools.example/other"));
    let mut beside = common::proven(wit, &proof, None);
    beside.uri = "/other".parse().unwrap();
    let parts = [
        "\"/other\"",
        "`https://tools.example/mcp`",
        "accept_any_path",
    ];
    says(
        refused(&world.guard().build().unwrap(), &beside),
        "guard.target",
        &parts,
    );
    // A guard that cannot be.
    let plain = Guard::builder("http://tools.example/mcp")
        .trust(Arc::default())
        .build();
    let told = aims::jose::Chain(&plain.unwrap_err()).to_string();
    for part in ["`http://tools.example/mcp`", "expected", "https"] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
}

/// Clocks: the time in the credential, and the guard's.
#[test]
fn which_clock_is_wrong() {
    let world = World::new();
    let agent = world.agent(AGENT);
    let guard = world.guard().build().unwrap();
    let call = agent.call();
    let late = guard.check(&call, at(NOW + 200)).unwrap_err();
    let now = format!("it is {}", NOW + 200);
    says(
        late,
        "wpt.expired",
        &["expired at ", &now, "check both clocks"],
    );
    let early = guard.check(&call, at(NOW - 200)).unwrap_err();
    let parts = [
        "not yet valid: from ",
        "with a skew of",
        "check both clocks",
    ];
    says(early, "wpt.not_yet_valid", &parts);
    let ended = guard.check(&call, at(NOW + 10_000_000)).unwrap_err();
    says(ended, "wit.expired", &["expired at ", "check both clocks"]);
    let wrong = aims::jose::Error::EndsFirst {
        exp: 1,
        claim: "iat",
        start: 2,
    };
    let told = wrong.to_string();
    assert!(
        told.contains("`exp` 1 is before `iat` 2: expected it after"),
        "{told}"
    );
}

/// Origins: what is trusted is listed, and a name that is none says why.
#[test]
fn which_origin_is_meant() {
    let world = World::new();
    let guard = world.guard().build().unwrap();
    let mut other = World::new();
    other.ca = common::key(aims::jose::alg::Algorithm::Es256).with_key_id("next");
    let foreign = other.agent("wimse://example.org/agent");
    let parts = [
        "`wimse://example.org`",
        "expected one of \"spiffe://example.org\"",
    ];
    says(
        refused(&guard, &foreign.call()),
        "trust.unknown_origin",
        &parts,
    );
    let origin = "https://example.org".parse::<aims::id::Origin>();
    let told = origin.unwrap_err().to_string();
    for part in [
        "neither `spiffe` nor `wimse`",
        "found \"https://example.org\"",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    // Another key than those of the bundle.
    let parts = [
        "`spiffe://example.org`",
        "`kid` \"next\"",
        "1 usable keys, `kid` \"ca\"",
    ];
    let stranger = other.agent(AGENT);
    says(
        refused(&guard, &stranger.call()),
        "trust.unknown_key",
        &parts,
    );
}

/// Names of OAuth over plain HTTP, and URLs that are not fetched.
#[test]
fn which_name_is_wrong() {
    use aims::oauth_wire::names::{Issuer, Resource};
    let url = "http://127.0.0.1:8400";
    for (told, way_out) in [
        (
            url.parse::<Issuer>().unwrap_err().to_string(),
            "`Issuer::loopback`",
        ),
        (
            url.parse::<Resource>().unwrap_err().to_string(),
            "`Resource::loopback`",
        ),
    ] {
        for part in [url, "expected an absolute https URL", way_out] {
            assert!(told.contains(part), "{part:?} in {told}");
        }
    }
    let scheme = aims::fetch::Error::Scheme;
    let shown = format!("{:?}", aims::Report::from(scheme));
    assert!(shown.contains("`allow_loopback_http`"), "{shown}");
    let address = aims::fetch::Error::Address {
        address: "10.0.0.1".parse().unwrap(),
    };
    let told = address.to_string();
    for part in [
        "expected a public address",
        "10.0.0.1",
        "`allow_private_networks`",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
}

/// The requirements of a guard that has nothing to meet them.
#[test]
fn which_setting_is_missing() {
    let world = World::new();
    let scoped = world.guard().scopes("tools:call").unwrap().build();
    let told = scoped.unwrap_err().to_string();
    for part in [
        "no issuer of access tokens",
        "`.issuer(..)`",
        "`.issuers(..)`",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
}
