//! The directory and its signatures.

use std::time::Duration;

use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::web_bot_auth::{
    DIRECTORY_MEDIA_TYPE, Directory, DirectoryRules, DirectorySigning, proven,
};
use aims_http_sig::{Error, HttpRequest, HttpResponse};
use aims_jose::key::SigningKey;
use aims_jose::provider::AWS_LC;
use aims_jose::time::Skew;
use http::response;
use serde_json::{Value, json};

use crate::support::*;

const VECTORS: &str = include_str!("../../../testdata/web-bot-auth/vectors.json");

fn jwk(key: &SigningKey) -> Value {
    let document = Directory::to_publish([key.verifying_key()]);
    let document: Value = serde_json::from_str(&document).unwrap();
    document.pointer("/keys/0").unwrap().clone()
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk.as_object_mut().unwrap().insert(name.to_owned(), value);
    jwk
}

fn parse(rules: DirectoryRules, keys: &[Value]) -> Result<usize, &'static str> {
    let json = json!({ "keys": keys }).to_string();
    Directory::parse(json.as_bytes(), &rules, AWS_LC, at(NOW))
        .map(|directory| directory.keys().len())
        .map_err(|error| error.code())
}

#[test]
fn what_is_published_is_read() {
    let directory = directory_of(&[&KEY, &OTHER]);
    assert_eq!(directory.keys().len(), 2);
    let id = KEY.verifying_key().thumbprint();
    assert_eq!(directory.find(id).unwrap().thumbprint(), id);
    assert_eq!(
        jwk(&KEY).get("kid").unwrap().as_str().unwrap(),
        id.to_string()
    );
    assert_eq!(DIRECTORY_MEDIA_TYPE.split('+').next_back(), Some("json"));
}

#[test]
fn a_key_that_cannot_be_used_costs_itself() {
    let well_known = DirectoryRules::well_known();
    let key = jwk(&KEY);
    assert_eq!(parse(well_known, &[key.clone(), jwk(&OTHER)]), Ok(2));
    for (name, value) in [
        ("kid", json!("key-1")),
        ("use", json!("enc")),
        ("nbf", json!(NOW + 1)),
        ("nbf", json!("soon")),
        ("exp", json!(NOW)),
        ("exp", json!(-1)),
        ("d", json!("AAAA")),
    ] {
        let keys = [with(key.clone(), name, value.clone()), jwk(&OTHER)];
        assert_eq!(parse(well_known, &keys), Ok(1), "{name} {value}");
    }
    for (name, value) in [("nbf", json!(NOW)), ("exp", json!(NOW + 1))] {
        let keys = [with(key.clone(), name, value)];
        assert_eq!(parse(well_known, &keys), Ok(1));
    }
    // The unusable entry is dropped, at any position.
    let keys = json!({"keys": [{"kty": "oct", "k": "AAAA"}, with(key.clone(), "exp", json!(NOW)), jwk(&OTHER)]});
    let directory = Directory::parse(keys.to_string().as_bytes(), &well_known, AWS_LC, at(NOW));
    let directory = directory.unwrap();
    assert!(directory.find(OTHER.verifying_key().thumbprint()).is_some());
    assert!(directory.find(KEY.verifying_key().thumbprint()).is_none());
    // A key for an algorithm that RFC 9421 does not have.
    let es512 = SigningKey::generate(aims_jose::alg::Algorithm::Es512, AWS_LC).unwrap();
    assert_eq!(parse(well_known, &[jwk(&es512)]), Ok(0));
    // At another URL the operator chooses the names.
    let named = with(key, "kid", json!("key-1"));
    assert_eq!(parse(DirectoryRules::key_set(), &[named]), Ok(1));
}

#[test]
fn an_excerpt_says_all_of_its_keys() {
    let expiring = with(jwk(&KEY), "exp", json!(NOW + 60));
    let whole = json!({"keys": [jwk(&OTHER), expiring.clone(), {"kty": "oct", "k": "AAAA"}]});
    let directory = directory_of(&[&KEY]);
    let kept: Value =
        serde_json::from_str(&directory.excerpt(whole.to_string().as_bytes())).unwrap();
    assert_eq!(kept, json!({"keys": [expiring]}));
    assert_eq!(directory.excerpt(b"nothing"), r#"{"keys":[]}"#);
}

#[test]
fn a_document_that_is_none_is_refused() {
    let key = jwk(&KEY);
    assert_eq!(
        parse(DirectoryRules::well_known(), &[key.clone(), key]),
        Err("jwks.duplicate_kid")
    );
    for json in ["", "[]", "{}", r#"{"keys":1}"#] {
        let rules = DirectoryRules::well_known();
        let error = Directory::parse(json.as_bytes(), &rules, AWS_LC, at(NOW)).unwrap_err();
        assert_eq!(error.code(), "jwks.json", "{json}");
    }
}

/// The private keys that RFC 9421 prints are public.
#[test]
fn published_test_keys_are_skipped() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    for vector in vectors.get("requests").unwrap().as_array().unwrap() {
        let key = vector.get("key").unwrap().clone();
        for rules in [DirectoryRules::well_known(), DirectoryRules::key_set()] {
            let keys = [key.clone()];
            assert_eq!(parse(rules, &keys), Ok(0));
            assert_eq!(parse(rules.accept_test_keys(), &keys), Ok(1));
        }
    }
}

fn asked() -> http::request::Parts {
    let request = http::Request::get(IDENTIFIER).body(()).unwrap();
    request.into_parts().0
}

struct Served {
    parts: response::Parts,
    body: String,
}

/// A directory of two keys, signed by these keys.
fn served(by: &[&SigningKey]) -> Served {
    let body = Directory::to_publish([KEY.verifying_key(), OTHER.verifying_key()]);
    let digest = ContentDigest::of(body.as_bytes()).to_string();
    let response = http::Response::builder().header("content-digest", digest);
    let (mut parts, ()) = response.body(()).unwrap().into_parts();
    for (at_key, key) in by.iter().enumerate() {
        sign(&mut parts, &format!("k{at_key}"), key);
    }
    Served { parts, body }
}

fn sign(parts: &mut response::Parts, label: &str, key: &SigningKey) {
    let message = parts.clone();
    let fields = DirectorySigning::for_lifetime(Duration::from_secs(3600))
        .prepare(
            label,
            key.verifying_key(),
            &HttpResponse::new(&message),
            &HttpRequest::to_send(&asked()).unwrap(),
            at(NOW),
        )
        .unwrap()
        .sign(key)
        .unwrap();
    fields.apply(&mut parts.headers).unwrap();
}

fn proof(served: &Served, request: &http::request::Parts, now: u64) -> Result<usize, Error> {
    let rules = DirectoryRules::well_known();
    let directory = Directory::parse(served.body.as_bytes(), &rules, AWS_LC, at(NOW)).unwrap();
    let proven = proven(
        &directory,
        &HttpResponse::new(&served.parts),
        &HttpRequest::to_send(request).unwrap(),
        served.body.as_bytes(),
        Skew::default(),
        at(now),
    )?;
    Ok(proven.keys().len())
}

fn refused(served: &Served) -> &'static str {
    proof(served, &asked(), NOW).unwrap_err().code()
}

#[test]
fn a_key_proves_itself() {
    assert_eq!(proof(&served(&[&KEY, &OTHER]), &asked(), NOW).unwrap(), 2);
    assert_eq!(proof(&served(&[&OTHER]), &asked(), NOW).unwrap(), 1);
    assert_eq!(refused(&served(&[])), "sig.directory_unproven");
}

#[test]
fn a_proof_is_for_this_authority_document_and_time() {
    let good = served(&[&KEY]);
    let mut elsewhere = asked();
    elsewhere.uri = IDENTIFIER.replace("crawler", "other").parse().unwrap();
    let error = proof(&good, &elsewhere, NOW).unwrap_err();
    assert_eq!(error.code(), "sig.signature");

    let mut other = served(&[&KEY]);
    other.body = Directory::to_publish([KEY.verifying_key()]);
    assert_eq!(refused(&other), "digest.mismatch");
    let digest = ContentDigest::of(other.body.as_bytes()).to_string();
    let digest = digest.parse().unwrap();
    other.parts.headers.insert("content-digest", digest);
    assert_eq!(refused(&other), "sig.signature");
    let mut without = served(&[&KEY]);
    without.parts.headers.remove("content-digest");
    assert_eq!(refused(&without), "digest.missing");

    let code = |now| proof(&good, &asked(), now).err().map(|error| error.code());
    assert_eq!(code(NOW + 3630), None);
    assert_eq!(code(NOW + 3631), Some("sig.expired"));
    assert_eq!(code(NOW - 31), Some("sig.created_in_future"));
}

#[test]
fn a_bad_signature_costs_its_key() {
    let stranger = SigningKey::generate(aims_jose::alg::Algorithm::Ed25519, AWS_LC).unwrap();
    assert_eq!(refused(&served(&[&stranger])), "sig.key_unknown");
    let with_stranger = served(&[&stranger, &KEY]);
    assert_eq!(proof(&with_stranger, &asked(), NOW).unwrap(), 1);
}

#[test]
fn a_proof_covers_and_says_what_it_must() {
    use aims_http_sig::profile::web_bot_auth::DIRECTORY_TAG;
    use aims_http_sig::{Component, Exchange, Signing};

    let authority = || Component::AUTHORITY.of_request().unwrap();
    let digest = || Component::field("content-digest").unwrap();
    let id = KEY.verifying_key().thumbprint().to_string();
    let day = Duration::from_secs(24 * 3600);
    let whole = |components: Vec<Component>| {
        let signing = Signing::new("k").covering(components).with_created();
        signing.with_expires_after(day)
    };
    let all = || vec![authority(), digest()];
    let cases = [
        (whole(all()).with_key_id(&id).with_tag(DIRECTORY_TAG), None),
        (
            whole(vec![digest()])
                .with_key_id(&id)
                .with_tag(DIRECTORY_TAG),
            Some("sig.component_required"),
        ),
        (
            whole(vec![authority()])
                .with_key_id(&id)
                .with_tag(DIRECTORY_TAG),
            Some("sig.component_required"),
        ),
        (
            whole(all()).with_tag(DIRECTORY_TAG),
            Some("sig.parameter_required"),
        ),
        (
            whole(all()).with_key_id(&id).with_tag("web-bot-auth"),
            Some("sig.directory_unproven"),
        ),
        (
            Signing::new("k")
                .covering(all())
                .with_created()
                .with_key_id(&id)
                .with_tag(DIRECTORY_TAG),
            Some("sig.parameter_required"),
        ),
        (
            Signing::new("k")
                .covering(all())
                .with_expires_after(day)
                .with_key_id(&id)
                .with_tag(DIRECTORY_TAG),
            Some("sig.parameter_required"),
        ),
    ];
    for (at_case, (signing, code)) in cases.into_iter().enumerate() {
        let mut served = served(&[]);
        let message = served.parts.clone();
        let message = HttpResponse::new(&message);
        let asked = asked();
        let request = HttpRequest::to_send(&asked).unwrap();
        let exchange = Exchange::of(&message).answering(&request);
        let prepared = signing.prepare(&exchange, aims_jose::random::SYSTEM, at(NOW));
        let fields = prepared.unwrap().sign(&*KEY).unwrap();
        fields.apply(&mut served.parts.headers).unwrap();
        let found = proof(&served, &asked, NOW).err().map(|error| error.code());
        assert_eq!(found, code, "case {at_case}");
    }
}

/// The signed directory of the draft, whose key is a test key.
#[test]
fn the_directory_of_the_draft_is_proven() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let vector = vectors.get("directory").unwrap();
    let text = |name| vector.get(name).unwrap().as_str().unwrap();
    let (request, ()) = http::Request::get(text("target"))
        .body(())
        .unwrap()
        .into_parts();
    let (response, ()) = http::Response::builder()
        .header("content-digest", text("content_digest"))
        .header("signature-input", text("signature_input"))
        .header("signature", text("signature"))
        .body(())
        .unwrap()
        .into_parts();
    let rules = DirectoryRules::well_known().accept_test_keys();
    let body = text("body").as_bytes();
    let directory = Directory::parse(body, &rules, AWS_LC, at(NOW)).unwrap();
    let check = |now| {
        proven(
            &directory,
            &HttpResponse::new(&response),
            &HttpRequest::to_send(&request).unwrap(),
            body,
            Skew::default(),
            at(now),
        )
    };
    assert_eq!(check(1_735_689_600).unwrap().keys().len(), 1);
    let error = check(1_735_689_569).unwrap_err();
    assert_eq!(error.code(), "sig.created_in_future");
}

#[test]
fn a_directory_signs_for_some_time() {
    let served = served(&[]);
    for (lifetime, code) in [
        (Duration::from_millis(999), Some("sig.prepare")),
        (Duration::from_secs(1), None),
    ] {
        let prepared = DirectorySigning::for_lifetime(lifetime).prepare(
            "k",
            KEY.verifying_key(),
            &HttpResponse::new(&served.parts),
            &HttpRequest::to_send(&asked()).unwrap(),
            at(NOW),
        );
        assert_eq!(prepared.err().map(|error| error.code()), code);
    }
}
