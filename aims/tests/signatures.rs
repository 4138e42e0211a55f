//! HTTP signatures as a proof, and signed responses: agent and guard, without a network in between.

#![cfg(all(feature = "agent", feature = "tool"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod signed;

use aims::Requirements;
use aims::agent::{RequestAuth, SignedResponses};
use aims::guard::{HttpSignatures, ProofMethod};
use aims::http_sig::digest::ContentDigest;
use aims::http_sig::{Algorithm, Algorithms};
use aims::wpt::Binding;
use common::{CALL, NOW, World, at, methods, told};
use http::Request;
use signed::{AGENT, Meeting, TOOL_ID, received};

const ARGUMENTS: &[u8] = br#"{"city":"Oslo"}"#;

fn post(content: &[u8]) -> Request<Vec<u8>> {
    let request = Request::post(CALL).header("content-type", "application/json");
    request.body(content.to_vec()).unwrap()
}

/// SIG-01 to SIG-03, SIG-05, SIG-08: the guard accepts what the agent signs, with its content.
#[test]
fn a_signed_request_is_let_in() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let mut request = post(ARGUMENTS);
    drop(meeting.agent.sign(&mut request).unwrap());
    let (parts, content) = received(request);
    let who = meeting.guard.check((&parts, &content), at(NOW)).unwrap();
    assert_eq!(who.agent().unwrap().as_str(), AGENT);
    assert_eq!(methods(&who), [ProofMethod::HttpSignature]);
    assert!(who.signature().unwrap().content_digest().is_some());
    assert!(who.wpt().is_none());
    assert_eq!(who.expires(), at(NOW + 3_600));
}

/// Each request differs from a valid one in one thing. It is refused as a problem without a
/// challenge, and its proof is not spent.
#[test]
fn what_differs_from_what_was_signed_is_refused() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let mut request = post(ARGUMENTS);
    drop(meeting.agent.sign(&mut request).unwrap());
    let (good, content) = received(request);
    type Change = fn(&mut http::request::Parts, &mut Vec<u8>, &Meeting);
    let changes: [(&str, Change); 10] = [
        ("digest.mismatch", |_, content, _| content[2] ^= 1),
        ("digest.mismatch", |_, content, _| content.clear()),
        ("sig.signature", |head, _, _| {
            head.method = http::Method::PUT
        }),
        ("sig.signature", |head, _, _| {
            head.uri = "/mcp/call?x=1".parse().unwrap();
        }),
        ("sig.audience", |head, _, _| {
            head.uri = "/mcp/other".parse().unwrap()
        }),
        ("sig.signature", |head, _, _| {
            head.headers
                .insert("content-type", "text/plain".parse().unwrap());
        }),
        ("sig.component_required", |head, _, _| {
            head.headers.insert("txn-token", "a.b.c".parse().unwrap());
        }),
        ("sig.signature", |head, _, meeting| {
            let other = meeting.world.agent("spiffe://example.org/other");
            let wit = other.wit.expose().parse().unwrap();
            head.headers.insert("workload-identity-token", wit);
        }),
        ("sig.labels_differ", |head, _, _| {
            head.headers.remove("signature");
        }),
        ("wpt.field_missing", |head, _, _| {
            head.headers.remove("signature");
            head.headers.remove("signature-input");
        }),
    ];
    for (code, change) in changes {
        let (mut head, mut body) = (good.clone(), content.clone());
        change(&mut head, &mut body, &meeting);
        let verdict = meeting.guard.check((&head, &body), at(NOW));
        assert_eq!(told(verdict), (code, 400, String::new()));
    }
    // The first use of its nonce is still valid, and the second is not.
    let check = || told(meeting.guard.check((&good, &content), at(NOW))).0;
    assert_eq!(check(), "ok");
    assert_eq!(check(), "replay.replayed");
}

/// A `Content-Encoding` that was added on the way changes the meaning of the content. It is
/// accepted only if the guard allows it.
#[test]
fn an_uncovered_content_encoding_is_accepted_by_name() {
    let by_name = HttpSignatures::new().accept_uncovered_content_encoding();
    for (signatures, expected) in [
        (HttpSignatures::new(), "sig.component_required"),
        (by_name, "ok"),
    ] {
        let meeting = Meeting::taking(signatures);
        let code = |added: Option<&str>, covered: Option<&str>| {
            let mut request = post(ARGUMENTS);
            let field = |value: &str| value.parse().unwrap();
            if let Some(coding) = covered {
                let headers = request.headers_mut();
                headers.insert("content-encoding", field(coding));
            }
            drop(meeting.agent.sign(&mut request).unwrap());
            let (mut head, content) = received(request);
            if let Some(coding) = added {
                head.headers.insert("content-encoding", field(coding));
            }
            told(meeting.guard.check((&head, &content), at(NOW))).0
        };
        assert_eq!(code(None, None), "ok");
        assert_eq!(code(None, Some("gzip")), "ok");
        assert_eq!(code(Some("gzip"), None), expected);
        // A covered field must be as it was signed, in both cases.
        assert_eq!(code(Some("br"), Some("gzip")), "sig.signature");
    }
}

/// The policy of an origin applies only to its workloads.
#[test]
fn an_origin_has_its_algorithms() {
    let own: aims::id::WorkloadId = AGENT.parse().unwrap();
    let other: aims::id::WorkloadId = "spiffe://other.example/x".parse().unwrap();
    let (es256, ed25519) = (Algorithm::EcdsaP256Sha256, Algorithm::Ed25519);
    for (origin, allowed, expected) in [
        (own.origin(), es256, "ok"),
        (own.origin(), ed25519, "sig.algorithm_forbidden"),
        (other.origin(), ed25519, "ok"),
    ] {
        let allowed = Algorithms::of(&[allowed]);
        let signatures = HttpSignatures::new().with_algorithms_of(&origin, allowed);
        let meeting = Meeting::taking(signatures);
        let mut request = post(ARGUMENTS);
        drop(meeting.agent.sign(&mut request).unwrap());
        let (head, content) = received(request);
        let verdict = meeting.guard.check((&head, &content), at(NOW));
        assert_eq!(told(verdict).0, expected, "{origin}");
    }
}

/// SIG-03: the lifetime of a signature is limited by the guard.
#[test]
fn a_signature_has_its_time() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let mut request = post(ARGUMENTS);
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, content) = received(request);
    let code = |now| told(meeting.guard.check((&head, &content), at(now))).0;
    assert_eq!(code(NOW + 60 + 31), "sig.expired");
    assert_eq!(code(NOW - 31), "sig.created_in_future");
    let short = HttpSignatures::new().with_max_lifetime(std::time::Duration::from_secs(10));
    let strict = meeting
        .world
        .guard()
        .http_signatures(short)
        .build()
        .unwrap();
    let verdict = strict.check((&head, &content), at(NOW));
    assert_eq!(told(verdict).0, "sig.lifetime");
}

/// A head without its content is not a signed message, and a guard without signatures accepts none.
#[test]
fn signatures_are_judged_with_the_content_and_where_the_guard_says() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let mut request = post(ARGUMENTS);
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, content) = received(request);
    let verdict = meeting.guard.check(&head, at(NOW));
    assert_eq!(told(verdict).0, "guard.signature_not_accepted");
    let plain = meeting.world.guard().build().unwrap();
    let verdict = plain.check((&head, &content), at(NOW));
    assert_eq!(told(verdict).0, "guard.signature_not_accepted");
}

/// Path and query are the same in the absolute form of a client and in the form that a server
/// receives. A request that differs only in its method is refused.
#[test]
fn the_form_of_the_target_makes_no_difference() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let mut request = post(ARGUMENTS);
    drop(meeting.agent.sign(&mut request).unwrap());
    let (mut head, content) = received(request.clone());
    head.method = http::Method::PUT;
    let verdict = meeting.guard.check((&head, &content), at(NOW));
    assert_eq!(told(verdict).0, "sig.signature");
    let (mut head, content) = request.into_parts();
    let host = "tools.example".parse().unwrap();
    head.headers.insert("host", host);
    let verdict = meeting.guard.check((&head, &content), at(NOW));
    assert_eq!(told(verdict).0, "ok");
}

/// A content that was not signed is refused, whatever the head says about it.
#[test]
fn a_content_without_digest_is_refused() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let mut request = post(b"");
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, _) = received(request);
    let verdict = meeting.guard.check((&head, b"more"), at(NOW));
    assert_eq!(told(verdict).0, "digest.missing");
    assert_eq!(told(meeting.guard.check((&head, b""), at(NOW))).0, "ok");
}

/// The access token is covered, and belongs to the agent whose key signed (T-130).
#[test]
fn the_access_token_is_covered() {
    let meeting = Meeting::new(
        |builder, world| builder.issuers(std::sync::Arc::clone(&world.issuers)),
        HttpSignatures::new(),
    );
    let mut claims = World::claims(&meeting.me);
    let bearer = |claims: &serde_json::Value| {
        let token = meeting.world.token(claims);
        http::HeaderValue::try_from(format!("Bearer {token}")).unwrap()
    };
    let mut request = post(ARGUMENTS);
    request
        .headers_mut()
        .insert("authorization", bearer(&claims));
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, content) = received(request);
    claims["jti"] = "another".into();
    let mut other = head.clone();
    other.headers.insert("authorization", bearer(&claims));
    let verdict = meeting.guard.check((&other, &content), at(NOW));
    assert_eq!(told(verdict).0, "sig.signature");
    let who = meeting.guard.check((&head, &content), at(NOW)).unwrap();
    assert_eq!(
        (who.client(), methods(&who)),
        (Some(AGENT), vec![ProofMethod::HttpSignature])
    );
}

/// If a request has both proofs, both are verified and spent. A signature of another kind beside a
/// WPT is ignored.
#[test]
fn two_proofs_are_two() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let both = || {
        let mut request = post(ARGUMENTS);
        let wpt = meeting.me.wpt(&Binding::to(CALL));
        request
            .headers_mut()
            .insert("workload-proof-token", wpt.parse().unwrap());
        drop(meeting.agent.sign(&mut request).unwrap());
        received(request)
    };
    let (head, content) = both();
    let who = meeting.guard.check((&head, &content), at(NOW)).unwrap();
    assert_eq!(
        methods(&who),
        [ProofMethod::HttpSignature, ProofMethod::Wpt]
    );

    let (mut head, content) = both();
    let input = head.headers["signature-input"].to_str().unwrap().to_owned();
    let later = input.replace(&format!("created={NOW}"), &format!("created={}", NOW - 1));
    head.headers
        .insert("signature-input", later.parse().unwrap());
    let verdict = meeting.guard.check((&head, &content), at(NOW));
    assert_eq!(told(verdict).0, "sig.signature");

    let (mut head, content) = both();
    let other = input.replace("wimse-workload-to-workload", "something-else");
    head.headers
        .insert("signature-input", other.parse().unwrap());
    let who = meeting.guard.check((&head, &content), at(NOW)).unwrap();
    assert_eq!(methods(&who), [ProofMethod::Wpt]);
}

/// WPT-07 applies to signatures as well: the signature or a WPT must cover a token field.
#[test]
fn a_token_field_is_covered() {
    let meeting = Meeting::new(
        |it, _| it.token_field(http::HeaderName::from_static("x-tok")),
        HttpSignatures::new(),
    );
    let signed = || {
        let mut request = post(ARGUMENTS);
        drop(meeting.agent.sign(&mut request).unwrap());
        received(request)
    };
    let (mut head, content) = signed();
    head.headers.insert("x-tok", "evil".parse().unwrap());
    let verdict = meeting.guard.check((&head, &content), at(NOW));
    assert_eq!(told(verdict).0, "sig.component_required");
    let (head, content) = signed();
    let verdict = meeting.guard.check((&head, &content), at(NOW));
    assert_eq!(told(verdict).0, "ok");
}

/// A route can require one kind of proof.
#[test]
fn a_route_requires_a_kind_of_proof() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let signed = meeting
        .guard
        .requiring(Requirements::new().proof(ProofMethod::HttpSignature))
        .unwrap();
    let verdict = signed.check((&meeting.me.call(), b""), at(NOW));
    assert_eq!(told(verdict).0, "guard.forbidden");
    let mut request = post(ARGUMENTS);
    drop(meeting.agent.sign(&mut request).unwrap());
    let (head, content) = received(request);
    let tokens = meeting
        .guard
        .requiring(Requirements::new().proof(ProofMethod::Wpt))
        .unwrap();
    let verdict = tokens.check((&head, &content), at(NOW));
    assert_eq!(told(verdict).0, "guard.forbidden");
    assert!(tokens.check((&meeting.me.call(), b""), at(NOW)).is_ok());
}

/// SIG-09: a tool that cannot sign refuses before anything is done.
#[test]
fn a_signed_response_that_cannot_be_given_is_said_at_once() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let asking = meeting.agent_with(|it| it.signed_responses(meeting.tools()));
    let mut request = post(ARGUMENTS);
    drop(asking.sign(&mut request).unwrap());
    let (head, content) = received(request);
    let verdict = meeting.guard.check((&head, &content), at(NOW));
    assert_eq!(
        told(verdict),
        ("sig.response_unsignable", 501, String::new())
    );
}

/// Settings that make no sense are errors of `build`.
#[test]
fn every_response_is_signed_by_somebody() {
    let world = World::new();
    let signatures = HttpSignatures::new().signing_every_response();
    let built = world.guard().http_signatures(signatures).build();
    assert!(matches!(built, Err(aims::guard::BuildError::NoSigner)));
}

/// The tool must be one that the agent expects; a valid signature of another workload is refused.
#[tokio::test]
async fn a_response_is_the_tools() {
    let meeting = Meeting::answering();
    let told = meeting
        .call(|it| it.signed_responses(meeting.tools()), ARGUMENTS)
        .await;
    assert_eq!(told.unwrap(), b"spiffe://example.org/agent sent 15");
    let others = || {
        SignedResponses::of(
            "spiffe://example.org/other".parse().unwrap(),
            meeting.trust(),
        )
    };
    let told = meeting
        .call(|it| it.signed_responses(others()), ARGUMENTS)
        .await;
    assert_eq!(told.unwrap_err().code(), "agent.tool");
    let told = meeting
        .call(
            |it| it.signed_responses(others().or_of(TOOL_ID.parse().unwrap())),
            ARGUMENTS,
        )
        .await;
    assert!(told.is_ok());
    // The response was not demanded signed, so the tool does not sign it.
    assert!(meeting.call(|it| it, ARGUMENTS).await.is_ok());
}

/// `prove` signs what is there, for any HTTP client.
#[test]
fn a_head_is_signed_over_the_digest_that_is_there() {
    let meeting = Meeting::taking(HttpSignatures::new());
    let agent = meeting.agent_with(|it| it.proof(RequestAuth::HttpSignature));
    let digest = ContentDigest::of(ARGUMENTS).to_string();
    let mut request = post(ARGUMENTS);
    request
        .headers_mut()
        .insert("content-digest", digest.parse().unwrap());
    agent.prove(&mut request).unwrap();
    let (head, content) = received(request);
    assert!(meeting.guard.check((&head, &content), at(NOW)).is_ok());
}
