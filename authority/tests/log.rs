//! The text of a refusal in the log of the operator, and the text that the client gets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/lines.rs"]
mod lines;

use std::sync::Arc;

use aims_authority::{Client, ExchangeTable};
use aims_jose::digest::Fingerprint;
use aims_oauth_wire::delegate::ScopeTable;
use common::endpoint::*;
use common::*;
use lines::{all_logged, logged};
use serde_json::json;

/// DEL-15: the log says which token was made from which, by their names and hashes, where it
/// permits less, and by which version of the rules.
#[test]
fn an_exchange_names_both_tokens() {
    const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    let (client, gateway) = (es256(), es256());
    let rows = ScopeTable::new([("call", "read"), ("list", "browse")]).unwrap();
    let authority = builder()
        .exchange(Arc::new(ExchangeTable::new().allow(TOOLS, FILES, rows)))
        .policy_version("rules-7")
        .client(Client::with_keys("batch", key_set(&client)).allow(TOOLS, ["call", "list"]))
        .client(
            Client::with_keys("gateway", key_set(&gateway))
                .serves(TOOLS)
                .allow(FILES, ["read"]),
        )
        .build(now())
        .unwrap();
    let granted = by_assertion(&authority, &assertion(&client, now()), &[], now()).unwrap();
    let subject = granted["access_token"].as_str().unwrap();
    let assertion = assertion_of("gateway", &gateway, now());
    let parameters = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
        ("subject_token", subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", FILES),
        ("scope", "read"),
    ];
    let mut answer = None;
    let lines = all_logged(|| answer = Some(ask(&authority, &[], &parameters, now()).unwrap()));
    let answer = answer.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let line = lines
        .iter()
        .find(|it| it.contains("exchanged a token"))
        .unwrap();
    let id = |token: &str| claims(token)["jti"].as_str().unwrap().to_owned();
    for named in [
        format!("subject_token={} ", Fingerprint::of(subject.as_bytes())),
        format!(" token={} ", Fingerprint::of(token.as_bytes())),
        r#"client_id="gateway""#.to_owned(),
        format!("from={TOOLS:?}"),
        format!("parent_iss={BASE:?} parent_id={:?}", id(subject)),
        format!("iss={BASE:?} id={:?}", id(token)),
        // One scope of two, and one more actor. The end is that of the subject token.
        r#"narrower=["scope", "actors", "confirmation"]"#.to_owned(),
        r#"policy="rules-7""#.to_owned(),
    ] {
        assert!(line.contains(&named), "{named}: {line}");
    }
    let all = lines.concat();
    let mut parts = subject.split('.').chain(token.split('.'));
    assert!(parts.all(|part| !all.contains(part)), "{all}");
}

/// T-141: the client gets `invalid_client` for every defect. The log has the cause, down to the
/// last source, and no token.
#[test]
fn why_a_client_failed_is_logged_and_not_answered() {
    let key = es256();
    let authority = with_client(&key);
    let mut late = assertion_claims(now());
    late["iat"] = json!(NOW - 3_660);
    late["exp"] = json!(NOW - 3_600);
    let late = sign("client-authentication+jwt", &late, &key);
    let foreign = assertion(&es256(), now());
    let mut unknown = assertion_claims(now());
    unknown["sub"] = json!("nobody");
    let unknown = sign("client-authentication+jwt", &unknown, &key);
    for (text, expected) in [
        (&late, r#"causes=["assertion.time", "jwt.expired"]"#),
        (&foreign, r#"causes=["assertion.jwt", "jws.signature"]"#),
        (&unknown, "no client of this name"),
    ] {
        let line = logged(|| {
            let answer = by_assertion(&authority, text, &[], now());
            assert_eq!(answer, refused(401, "invalid_client"));
        });
        assert!(line.contains(expected), "{line}");
        let parts = text.split('.').filter(|part| line.contains(part));
        assert_eq!(parts.count(), 0, "{line}");
    }
}

/// T-141: the same at the identity server.
#[test]
fn why_a_proof_failed_is_logged_and_not_answered() {
    let authority = authority();
    let key = es256();
    let bearer = format!("Bearer {}", token("b").expose());
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let nonce = nonce(&authority, now());
    let proof = sign("JWT", &key_claims(&nonce, &key, now()), &key);
    let body = json!({ "key_proof": proof }).to_string();
    let line = logged(|| {
        let request = request("POST", "/identity/wit", &fields, &body);
        let answer = problem(&send(&authority, &request, now()));
        assert_eq!(answer, (400, "identity.proof".to_owned()));
    });
    assert!(line.contains(r#"causes=["jws.typ"]"#), "{line}");
    assert!(line.contains("`typ` is not the expected one"), "{line}");
    assert!(!line.contains(&proof) && !line.contains(token("b").expose()));
}

/// An invalid bootstrap token, and a request for another host: the log has the cause, and nothing
/// of the token.
#[test]
fn what_is_malformed_is_logged_and_not_answered() {
    let authority = authority();
    let line = logged(|| {
        let fields = [
            ("authorization", "Bearer too-short"),
            ("content-type", "application/json"),
        ];
        let body = json!({ "key_proof": "a" }).to_string();
        let answer = send(
            &authority,
            &request("POST", "/identity/wit", &fields, &body),
            now(),
        );
        assert!(!String::from_utf8_lossy(answer.body()).contains("bootstrap"));
        assert_eq!(problem(&answer), (400, "identity.request".to_owned()));
    });
    assert!(
        line.contains("bootstrap token malformed: expected"),
        "{line}"
    );
    assert!(!line.contains("too-short"), "{line}");
    let line = logged(|| {
        let mut elsewhere = request("POST", "/identity/challenge", &[], "");
        let host = "evil.example".parse().unwrap();
        elsewhere.headers_mut().insert("host", host);
        let answer = send(&authority, &elsewhere, now());
        assert!(!String::from_utf8_lossy(answer.body()).contains("evil"));
        assert_eq!(problem(&answer), (421, "authority.host".to_owned()));
    });
    assert!(
        line.contains("evil.example") && line.contains("127.0.0.1:8080"),
        "{line}"
    );
}

const SOURCE: &str = "192.0.2.9";

fn post(authority: &aims_authority::Authority, fields: &[(&str, &str)], body: &str) -> u16 {
    let mut all = vec![("content-type", "application/json")];
    all.extend(fields);
    let request = request("POST", "/identity/wit", &all, body);
    let source = Some(SOURCE.parse().unwrap());
    authority.handle(&request, source, now()).status().as_u16()
}

fn thumbprint(key: &aims_jose::key::SigningKey) -> String {
    key.verifying_key().thumbprint().to_string()
}

/// M4 of an attack on the running programs: enrolments, renewals and their refusals are logged with
/// identifier, key thumbprint and source, and without a secret.
#[test]
fn enrolments_and_renewals_are_logged() {
    let authority = authority();
    let key = es256();
    let secret = token("a");
    let bearer = format!("Bearer {}", secret.expose());
    let enrol = |key: &aims_jose::key::SigningKey| {
        let body = json!({"key_proof": key_proof(&nonce(&authority, now()), key, now())});
        post(&authority, &[("authorization", &bearer)], &body.to_string())
    };
    let id = "id=spiffe://example.org/agents/a ";
    let by = |key| format!("key={} ", thumbprint(key));
    let source = format!("source={SOURCE} ");

    let issued = all_logged(|| assert_eq!(enrol(&key), 200));
    assert_eq!(issued.len(), 1);
    for part in [id, &by(&key), &source, "how=token ", "kind=WIT ", "token="] {
        assert!(issued[0].contains(part), "{part}: {}", issued[0]);
    }

    // A thief with the used token.
    let thief = es256();
    let refused = all_logged(|| assert_eq!(enrol(&thief), 403));
    let path = "path=\"/identity/wit\" ";
    let code = "code=identity.enrolment_used ";
    for part in [id, &by(&thief), &source, "how=token ", path, code] {
        assert!(refused[0].contains(part), "{part}: {}", refused[0]);
    }
    assert!(!format!("{issued:?}{refused:?}").contains(secret.expose()));

    let (wit, key) = wit(&authority, "b", now());
    let fingerprint = Fingerprint::of(wit.as_bytes());
    let presented = format!("presented={fingerprint} ");
    let new = es256();
    let renew = |by: &aims_jose::key::SigningKey, new: &aims_jose::key::SigningKey| {
        let nonce = nonce(&authority, now());
        let body = json!({
            "key_proof": key_proof(&nonce, new, now()),
            "renewal_proof": renewal_proof(&nonce, new, by, &wit, now()),
        });
        post(
            &authority,
            &[("workload-identity-token", &wit)],
            &body.to_string(),
        )
    };
    let renewed = all_logged(|| assert_eq!(renew(&key, &new), 200));
    let id = "id=spiffe://example.org/agents/b ";
    for part in [id, &by(&new), &source, "how=renewal ", &presented] {
        assert!(renewed[0].contains(part), "{part}: {}", renewed[0]);
    }
    let refused = all_logged(|| assert_eq!(renew(&thief, &new), 400));
    for part in [id, &by(&new), &source, "how=renewal ", &presented] {
        assert!(refused[0].contains(part), "{part}: {}", refused[0]);
    }

    // The same renewal again is a retry. One for another key is noticed.
    assert_eq!(all_logged(|| assert_eq!(renew(&key, &new), 200)).len(), 1);
    let twice = all_logged(|| assert_eq!(renew(&key, &thief), 200));
    assert_eq!(twice.len(), 2);
    assert!(twice[1].contains("one WIT was renewed for two keys"));
    let earlier = format!("earlier_key={} ", thumbprint(&new));
    for part in [id, &by(&thief), &source, &earlier, &presented] {
        assert!(twice[1].contains(part), "{part}: {}", twice[1]);
    }
}
