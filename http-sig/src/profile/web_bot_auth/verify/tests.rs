use std::time::Duration;

use aims_jose::jwk::Jwk;
use aims_jose::key::VerifyingKey;
use aims_jose::provider::{AWS_LC, RUSTCRYPTO};
use serde_json::Value;

use super::*;
use crate::profile::web_bot_auth::{Agents, Directory, DirectoryRules};
use crate::{Component, HttpRequest};

pub(crate) const VECTORS: &str = include_str!("../../../../../testdata/web-bot-auth/vectors.json");

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

fn parts(vector: &Value) -> http::request::Parts {
    let mut request = http::Request::get(text(vector, "target"))
        .header("signature-input", text(vector, "signature_input"))
        .header("signature", text(vector, "signature"));
    if let Some(agent) = vector["signature_agent"].as_str() {
        request = request.header("signature-agent", agent);
    }
    request.body(()).unwrap().into_parts().0
}

/// The requests in draft-ietf-webbotauth-httpsig-protocol-01, with both providers. Their agent is a
/// URL with an empty path, which counts as `/`.
#[test]
fn the_requests_of_draft_01_verify() {
    let vectors = include_str!("../../../../../testdata/web-bot-auth/vectors-01.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let requests = vectors["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 2);
    for (vector, provider) in requests
        .iter()
        .flat_map(|one| [(one, AWS_LC), (one, RUSTCRYPTO)])
    {
        let now = at(1_735_689_600);
        let agent = SignatureAgent::jwk_set("https://signature-agent.test").unwrap();
        let set = format!(r#"{{"keys":[{}]}}"#, vector["key"]);
        let rules = DirectoryRules::of(&agent).accept_test_keys();
        let directory = Directory::parse(set.as_bytes(), &rules, provider, now).unwrap();
        let mut agents = Agents::new();
        agents.insert(&agent, directory);
        let parts = parts(vector);
        let message = HttpRequest::to_send(&parts).unwrap();
        let mut policy = RequestPolicy::new();
        policy.lifetime = Duration::from_secs(200 * 366 * 24 * 3600);
        let verified = policy.verify(&message, &agents, now).unwrap();
        let verified = verified.accept_replays();
        assert_eq!(verified.agent(), Some("https://signature-agent.test/"));
    }
}

/// All requests that the draft and its authors publish, with both providers. Their signatures have
/// a lifetime of a hundred years, which only the policy of this test accepts.
#[test]
fn published_requests_verify() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let requests = vectors["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 6);
    for (vector, provider) in requests
        .iter()
        .flat_map(|one| [(one, AWS_LC), (one, RUSTCRYPTO)])
    {
        let name = text(vector, "name");
        let now = at(1_735_689_600);
        let set = format!(r#"{{"keys":[{}]}}"#, vector["key"]);
        let rules = DirectoryRules::well_known().accept_test_keys();
        let directory = Directory::parse(set.as_bytes(), &rules, provider, now).unwrap();
        let jwk = Jwk::parse(vector["key"].to_string().as_bytes()).unwrap();
        let mut agents = Agents::new();
        agents.insert_key(VerifyingKey::from_jwk(&jwk, provider).unwrap());
        let agent = SignatureAgent::directory("https://signature-agent.test").unwrap();
        agents.insert(&agent, directory);

        let parts = parts(vector);
        let message = HttpRequest::to_send(&parts).unwrap();
        let mut policy = RequestPolicy::new().with_revision(Revision::Draft00);
        policy.lifetime = Duration::from_secs(200 * 366 * 24 * 3600);
        let strict = policy.verify(&message, &agents, now);
        let (policy, has_agent) = if name.ends_with("legacy") {
            assert_eq!(strict.unwrap_err().code(), "sig.component_required");
            (policy.accept_legacy_agent(), true)
        } else if name.ends_with("without an agent") {
            assert_eq!(strict.unwrap_err().code(), "sig.component_required");
            (policy.accept_no_agent(), false)
        } else {
            (policy, true)
        };
        let verified = policy.verify(&message, &agents, now).expect(name);
        let verified = verified.accept_replays();
        let expected = has_agent.then_some(agent.identifier());
        assert_eq!(verified.agent(), expected, "{name}");
        let authority = verified.signature().value(&Component::AUTHORITY);
        assert_eq!(authority, Some("example.com"));

        // Every policy that the public API can create refuses a lifetime of a hundred years.
        let outside = RequestPolicy::new()
            .with_revision(Revision::Draft00)
            .accept_no_agent()
            .accept_legacy_agent()
            .with_max_lifetime(Duration::from_secs(u64::MAX));
        let code = outside.verify(&message, &agents, now).err();
        let code = code.map(|error| error.code());
        let expected = (!name.ends_with("legacy")).then_some("sig.lifetime");
        assert_eq!(code, expected, "{name}");
    }
}
