//! Requests and responses, without a socket.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::IpAddr;

use aims_authority::{Authority, Limits, Rate};
use common::*;
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Two failures, then none for a minute.
const SCARCE: Rate = Rate {
    burst: 2,
    per_minute: 1,
};

fn post(authority: &Authority, path: &str, fields: &[(&str, &str)], body: &Value) -> (u16, String) {
    let mut all = vec![JSON];
    all.extend(fields);
    let request = request("POST", path, &all, &body.to_string());
    let response = send(authority, &request, now());
    if response.status() == 200 {
        assert_eq!(field(&response, "cache-control"), "no-store");
        return (200, common::body(&response).to_string());
    }
    problem(&response)
}

fn fresh_nonce(authority: &Authority) -> String {
    let response = send(
        authority,
        &request("POST", "/identity/challenge", &[], ""),
        now(),
    );
    assert_eq!(response.status(), 200);
    assert_eq!(field(&response, "cache-control"), "no-store");
    assert_eq!(body(&response)["expires_in"], 60);
    body(&response)["nonce"].as_str().unwrap().to_owned()
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn bearer(name: &str) -> String {
    format!("Bearer {}", token(name).expose())
}

#[test]
fn the_whole_way_over_http() {
    let authority = authority();
    let key = es256();
    let proof = key_proof(&fresh_nonce(&authority), &key, now());
    let authorization = bearer("a");
    let fields = [("authorization", authorization.as_str())];
    let (status, answer) = post(
        &authority,
        "/identity/wit",
        &fields,
        &json!({"key_proof": proof}),
    );
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["expires_in"], 3_600);
    let wit = answer["wit"].as_str().unwrap();
    let new = es256();
    let nonce = fresh_nonce(&authority);
    let body = json!({
        "key_proof": key_proof(&nonce, &new, now()),
        "renewal_proof": renewal_proof(&nonce, &new, &key, wit, now()),
    });
    let fields = [("workload-identity-token", wit)];
    let (status, answer) = post(&authority, "/identity/wit", &fields, &body);
    assert_eq!(status, 200, "{answer}");
    let request = svid_request(&fresh_nonce(&authority), &key, wit, BASE, now());
    let body = json!({"svid_request": request});
    let (status, answer) = post(&authority, "/identity/jwt-svid", &fields, &body);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("jwt_svid"));
}

/// T-141: status and body are the same for every defect of an enrolment.
#[test]
fn refused_enrolments_look_alike() {
    let authority = authority();
    enrol(&authority, "a", &es256(), now()).unwrap();
    let late = enrolment("spiffe://example.org/agents/late").expiring(now());
    authority.identity().declare(late, now()).unwrap();
    authority
        .identity()
        .withdraw(&"spiffe://example.org/agents/b".parse().unwrap(), now())
        .unwrap();
    let mut seen = Vec::new();
    for name in ["nobody", "a", "late", "b"] {
        let proof = key_proof(&fresh_nonce(&authority), &es256(), now());
        let authorization = bearer(name);
        let fields = [JSON, ("authorization", authorization.as_str())];
        let body = json!({"key_proof": proof}).to_string();
        let response = send(
            &authority,
            &request("POST", "/identity/wit", &fields, &body),
            now(),
        );
        assert_eq!(
            problem(&response),
            (403, "identity.refused".to_owned()),
            "{name}"
        );
        seen.push((response.headers().clone(), response.into_body()));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1);
}

/// Each wire code of an identity endpoint.
#[test]
fn refusals_have_their_codes() {
    let authority = authority();
    let authorization = bearer("a");
    let fields = [("authorization", authorization.as_str())];
    let wit = |body: &Value| post(&authority, "/identity/wit", &fields, body);
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let proof = |nonce: &str, key: &aims_jose::key::SigningKey| key_proof(nonce, key, now());
    let other = common::authority();
    let nonce = nonce(&other, now());
    let body = json!({"key_proof": proof(&nonce, &es256())});
    assert_eq!(wit(&body), refused(400, "identity.challenge"));
    assert_eq!(
        wit(&json!({"key_proof": "x.y.z"})),
        refused(400, "identity.proof")
    );
    let edwards = key(aims_jose::Algorithm::EdDsa);
    let body = json!({"key_proof": proof(&fresh_nonce(&authority), &edwards)});
    assert_eq!(wit(&body), refused(400, "identity.key_algorithm"));
    let taken = es256();
    enrol(&authority, "b", &taken, now()).unwrap();
    let body = json!({"key_proof": proof(&fresh_nonce(&authority), &taken)});
    assert_eq!(wit(&body), refused(409, "identity.key"));
    let limits = limits(|it| it.credentials = 1);
    let full = builder().limits(limits).build(now()).unwrap();
    enrol(&full, "b", &es256(), now()).unwrap();
    let body = json!({"key_proof": proof(&fresh_nonce(&full), &es256())});
    let answer = post(&full, "/identity/wit", &fields, &body);
    assert_eq!(answer, refused(503, "identity.unavailable"));
}

/// T-169: exactly one proof of identity, and no unknown member.
#[test]
fn malformed_identity_requests_are_refused() {
    let authority = authority();
    let authorization = bearer("b");
    let token = [("authorization", authorization.as_str())];
    let wit = [("workload-identity-token", "a.b.c")];
    let both = [token[0], wit[0]];
    let twice = [token[0], token[0]];
    let basic = [("authorization", "Basic YTpi")];
    let empty = [("authorization", "Bearer")];
    let short = [("authorization", "Bearer x")];
    let two_blanks = authorization.replacen(' ', "  ", 1);
    let two_blanks = [("authorization", two_blanks.as_str())];
    let padded_within = authorization.replacen("b-", "b=", 1);
    let padded_within = [("authorization", padded_within.as_str())];
    let good = || json!({"key_proof": key_proof(&fresh_nonce(&authority), &es256(), now())});
    let with = |name: &str, value: Value| {
        let mut body = good();
        body[name] = value;
        body
    };
    let ask =
        |fields: &[(&str, &str)], body: &Value| post(&authority, "/identity/wit", fields, body);
    let refused = (400, "identity.request".to_owned());
    assert_eq!(ask(&token, &good()).0, 200);
    assert_eq!(ask(&[], &good()), refused);
    assert_eq!(ask(&wit, &good()), refused);
    assert_eq!(ask(&both, &good()), refused);
    assert_eq!(ask(&twice, &good()), refused);
    assert_eq!(ask(&basic, &good()), refused);
    assert_eq!(ask(&empty, &good()), refused);
    assert_eq!(ask(&short, &good()), refused);
    assert_eq!(ask(&two_blanks, &good()), refused);
    assert_eq!(ask(&padded_within, &good()), refused);
    assert_eq!(ask(&token, &with("renewal_proof", json!("a.b.c"))), refused);
    assert_eq!(
        ask(&token, &with("enrolment_proof", json!("a.b.c"))),
        refused
    );
    assert_eq!(ask(&[], &with("renewal_proof", json!("a.b.c"))), refused);
    assert_eq!(ask(&token, &with("renewal_proof", json!(null))), refused);
    assert_eq!(ask(&token, &with("more", json!(1))), refused);
    assert_eq!(ask(&token, &with("key_proof", json!(1))), refused);
    assert_eq!(ask(&token, &json!({})), refused);
    // T-028: an array instead of an object.
    assert_eq!(ask(&token, &json!([good()["key_proof"]])), refused);
    assert_eq!(
        post(
            &authority,
            "/identity/jwt-svid",
            &[],
            &json!({"svid_request": "x"})
        ),
        refused
    );
    let plain = request(
        "POST",
        "/identity/wit",
        &[("content-type", "text/plain")],
        "{}",
    );
    let plain = problem(&send(&authority, &plain, now()));
    assert_eq!(plain, (415, "authority.media_type".to_owned()));
}

/// T-169: other paths and methods are refused everywhere.
#[test]
fn unknown_operations_are_refused() {
    let authority = authority();
    let paths: Vec<String> = authority.paths().map(str::to_owned).collect();
    assert_eq!(paths.len(), 9);
    let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "X",
    ];
    for path in &paths {
        let is_document =
            path.contains("well-known") || path.ends_with("jwks") || path.ends_with("bundle");
        for method in methods {
            let response = send(&authority, &request(method, path, &[], ""), now());
            let reads = ["GET", "HEAD"].contains(&method);
            if is_document == reads && (is_document || method == "POST") {
                assert_ne!(response.status(), 405, "{method} {path}");
            } else {
                assert_eq!(response.status(), 405, "{method} {path}");
                let allow = if is_document { "GET, HEAD" } else { "POST" };
                assert_eq!(field(&response, "allow"), allow);
            }
        }
    }
    for path in [
        "/",
        "/token/",
        "/TOKEN",
        "//token",
        "/identity",
        "/identity/wit/x",
        "/identity/%77it",
        "/authorize",
        "/register",
        "/introspect",
        "/revoke",
        "/userinfo",
        "/.well-known/oauth-authorization-server/x",
    ] {
        let answer = problem(&get(&authority, path, now()));
        assert_eq!(answer, (404, "authority.path".to_owned()), "{path}");
    }
}

/// T-090, T-064: only the configured hosts, in `Host` and in the target.
#[test]
fn other_hosts_are_misdirected() {
    let authority = builder().host("authority.example").build(now()).unwrap();
    let ask = |path: &str, fields: &[(&str, &str)]| {
        send(&authority, &request("GET", path, fields, ""), now())
            .status()
            .as_u16()
    };
    assert_eq!(ask("/jwks", &[("host", HOST)]), 200);
    assert_eq!(ask("/jwks", &[("host", "Authority.Example")]), 200);
    assert_eq!(ask(&format!("http://{HOST}/jwks"), &[("host", HOST)]), 200);
    for host in [
        "127.0.0.1",
        "127.0.0.1:8081",
        "evil.example",
        "localhost:8080",
        "",
        "a@127.0.0.1:8080",
    ] {
        assert_eq!(ask("/jwks", &[("host", host)]), 421, "{host}");
    }
    assert_eq!(ask("http://evil.example/jwks", &[("host", HOST)]), 421);
    assert_eq!(ask("/jwks", &[("host", HOST), ("host", HOST)]), 421);
    assert_eq!(
        ask("/jwks", &[("host", HOST), ("host", "evil.example")]),
        421
    );
    let mut none = request("GET", "/jwks", &[], "");
    none.headers_mut().clear();
    assert_eq!(
        problem(&send(&authority, &none, now())),
        (421, "authority.host".to_owned())
    );
    // T-136: no other field changes the host.
    let forwarded = [("host", "evil.example"), ("x-forwarded-host", HOST)];
    assert_eq!(ask("/jwks", &forwarded), 421);
}

#[test]
fn documents_are_cached_by_their_etag() {
    let authority = authority();
    for path in [
        "/identity/bundle",
        "/identity/jwks",
        "/jwks",
        "/.well-known/oauth-authorization-server",
    ] {
        let first = get(&authority, path, now());
        assert_eq!(first.status(), 200, "{path}");
        assert_eq!(field(&first, "content-type"), "application/json");
        assert_eq!(
            field(&first, "cache-control"),
            "public, max-age=300, must-revalidate"
        );
        let etag = field(&first, "etag").to_owned();
        let known = [("if-none-match", etag.as_str())];
        let again = send(&authority, &request("GET", path, &known, ""), now());
        assert_eq!((again.status().as_u16(), again.body().len()), (304, 0));
        let head = send(&authority, &request("HEAD", path, &[], ""), now());
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
        assert_eq!(
            field(&head, "content-length"),
            first.body().len().to_string()
        );
    }
    let etag = |authority: &Authority| {
        field(&get(authority, "/identity/bundle", now()), "etag").to_owned()
    };
    let before = etag(&authority);
    authority.rotate(now()).unwrap();
    assert_ne!(etag(&authority), before);
}

#[test]
fn long_bodies_are_refused() {
    let authority = authority();
    let post = |length: usize| {
        let body = "x".repeat(length);
        problem(&send(
            &authority,
            &request("POST", "/identity/wit", &[JSON], &body),
            now(),
        ))
    };
    assert_eq!(post(32 * 1024), (400, "identity.request".to_owned()));
    assert_eq!(post(32 * 1024 + 1), (413, "authority.too_large".to_owned()));
}

/// T-049: guesses are limited for their source only, and a valid token from it is still accepted.
#[test]
fn guesses_are_limited_by_source() {
    let limits = limits(|it| {
        it.failures = Rate {
            burst: 3,
            per_minute: 6,
        }
    });
    let authority = builder().limits(limits).build(now()).unwrap();
    let attempt = |name: &str, source: &str, at: u64| {
        let proof = key_proof(&nonce(&authority, common::at(at)), &es256(), common::at(at));
        let authorization = bearer(name);
        let fields = [JSON, ("authorization", authorization.as_str())];
        let body = json!({"key_proof": proof}).to_string();
        let request = request("POST", "/identity/wit", &fields, &body);
        let source: IpAddr = source.parse().unwrap();
        let response = authority.handle(&request, Some(source), common::at(at));
        (
            response.status().as_u16(),
            field(&response, "retry-after").to_owned(),
        )
    };
    for _ in 0..3 {
        assert_eq!(attempt("nobody", "192.0.2.1", NOW).0, 403);
    }
    assert_eq!(attempt("nobody", "192.0.2.1", NOW), (429, "10".to_owned()));
    assert_eq!(attempt("b", "192.0.2.1", NOW).0, 200);
    assert_eq!(attempt("b", "192.0.2.2", NOW).0, 200);
    assert_eq!(attempt("b", "192.0.2.1", NOW + 10).0, 200);
    assert_eq!(
        attempt("b", "192.0.2.1", NOW + 10).0,
        200,
        "a success costs nothing"
    );
}

/// T-049: every wrong token counts, whatever its defect (T-141).
#[test]
fn every_wrong_token_is_counted() {
    let limits = limits(|it| it.failures = SCARCE);
    for name in ["nobody", "late", "a", "b"] {
        let authority = builder().limits(limits.clone()).build(now()).unwrap();
        enrol(&authority, "a", &es256(), now()).unwrap();
        let late = enrolment("spiffe://example.org/agents/late").expiring(now());
        authority.identity().declare(late, now()).unwrap();
        let withdrawn = "spiffe://example.org/agents/b".parse().unwrap();
        authority.identity().withdraw(&withdrawn, now()).unwrap();
        let authorization = bearer(name);
        let attempt = || {
            let body = json!({"key_proof": key_proof(&fresh_nonce(&authority), &es256(), now())});
            let fields = [("authorization", authorization.as_str())];
            post(&authority, "/identity/wit", &fields, &body).0
        };
        assert_eq!([attempt(), attempt(), attempt()], [403, 403, 429], "{name}");
    }
}

#[test]
fn requests_are_limited_by_source() {
    let limits = limits(|it| {
        it.requests = Rate {
            burst: 2,
            per_minute: 60,
        }
    });
    let authority = builder().limits(limits).build(now()).unwrap();
    let ask = |at: u64| get(&authority, "/jwks", common::at(at)).status().as_u16();
    assert_eq!(
        [ask(NOW), ask(NOW), ask(NOW), ask(NOW + 1), ask(NOW + 1)],
        [200, 200, 429, 200, 429]
    );
}

/// The token endpoint refuses in the form of RFC 6749.
#[test]
fn token_requests_are_limited_by_source() {
    let limits = limits(|it| it.requests = SCARCE);
    let authority = builder().limits(limits).build(now()).unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let ask = request("POST", "/token", &form, "grant_type=client_credentials");
    for _ in 0..2 {
        assert_eq!(send(&authority, &ask, now()).status(), 401);
    }
    let limited = send(&authority, &ask, now());
    assert_eq!(limited.status(), 429);
    assert_eq!(body(&limited)["error"], "temporarily_unavailable");
    assert_eq!(field(&limited, "retry-after"), "60");
}

/// T-023: no token in any `Debug` of the public types.
#[test]
fn nothing_prints_a_secret() {
    let authority = authority();
    let key = es256();
    let issued = enrol(&authority, "a", &key, now()).unwrap();
    let shown = token("a");
    let texts = [
        format!("{authority:?}"),
        format!("{issued:?}"),
        format!("{:?}", builder()),
        format!("{:?}", aims_authority::PresentedProof::Token(&shown)),
        format!("{:?}", enrolment(AGENT)),
    ];
    for text in texts {
        assert!(!text.contains(shown.expose()));
        assert!(!text.contains(issued.text.expose()));
    }
}

/// A contradictory configuration is refused.
#[test]
fn builders_refuse_what_cannot_be_meant() {
    use aims_authority::{Authority, Client, Resource};
    use aims_jose::provider::AWS_LC;
    use std::time::Duration;

    let build = |builder: aims_authority::Builder| builder.build(now()).unwrap_err().code();
    let at = |base: &str| Authority::builder(base, AWS_LC).trust_domain("example.org");
    assert_eq!(build(at("http://authority.example")), "authority.base_url");
    assert_eq!(build(at("http://127.0.0.1:8080/")), "authority.base_url");
    assert_eq!(
        build(Authority::builder(BASE, AWS_LC)),
        "authority.trust_domain"
    );
    assert_eq!(
        build(at(BASE).trust_domain("Example.org")),
        "authority.trust_domain"
    );
    assert_eq!(
        build(at(BASE).resource(Resource::new("tools"))),
        "authority.resources"
    );
    let client = || Client::spiffe("spiffe://example.org/a".parse().unwrap());
    assert_eq!(
        build(at(BASE).client(client().allow(TOOLS, ["x"]))),
        "authority.resources"
    );
    assert_eq!(
        build(at(BASE).client(client()).client(client())),
        "authority.clients"
    );
    assert_eq!(
        build(at(BASE).access_token_lifetime(Duration::ZERO)),
        "authority.lifetime"
    );
    assert_eq!(
        build(at(BASE).jwt_svid_lifetime(Duration::MAX)),
        "authority.lifetime"
    );
    let foreign = enrolment("spiffe://example.com/a");
    assert_eq!(build(at(BASE).enrol(foreign)), "authority.enrolment_origin");
    let twice = at(BASE).enrol(enrolment(AGENT)).enrol(enrolment(AGENT));
    assert_eq!(build(twice), "authority.identifier_held");
}
