//! draft-ietf-webbotauth-httpsig-protocol-01: members of `Signature-Agent` are URLs of JWK Sets,
//! without parameters. The other files test the form of earlier drafts.

use aims_http_sig::profile::web_bot_auth::{
    Agents, DIRECTORY_PATH, Directory, DirectoryRules, Discovery, RequestPolicy, RequestSigning,
    Revision, SignatureAgent,
};
use aims_jose::provider::AWS_LC;
use aims_jose::random::SYSTEM;
use http::request::Parts;

use crate::support::{KEY, NOW, at, directory_of, request, seen};

const URL: &str = "https://crawler.example/keys.json?v=1";

fn agent() -> SignatureAgent {
    SignatureAgent::jwk_set(URL).unwrap()
}

fn signing(agent: SignatureAgent) -> RequestSigning {
    RequestSigning::new(agent, KEY.verifying_key()).unwrap()
}

fn signed(agent: SignatureAgent) -> Parts {
    let signing = signing(agent);
    let mut parts = request(Some(&signing.signature_agent()));
    let prepared = signing.prepare(&seen(&parts), SYSTEM, at(NOW)).unwrap();
    let fields = prepared.sign(&*KEY).unwrap();
    fields.apply(&mut parts.headers).unwrap();
    parts
}

fn agents(agent: &SignatureAgent) -> Agents {
    let mut agents = Agents::new();
    agents.insert(agent, directory_of(&[&KEY]));
    agents
}

fn code(policy: &RequestPolicy, parts: &Parts, agents: &Agents) -> &'static str {
    let verified = policy.verify(&seen(parts), agents, at(NOW));
    verified.map_or_else(|error| error.code(), |_| "ok")
}

/// The value is the URL to fetch; the identifier is without its query.
#[test]
fn a_member_is_a_direct_url() {
    let agent = agent();
    assert_eq!(
        (agent.discovery(), agent.location()),
        (Discovery::JwkSet, URL)
    );
    assert_eq!(agent.identifier(), "https://crawler.example/keys.json");
    assert_eq!(agent.to_member("a"), format!("a=\"{URL}\""));
    assert_eq!(agent.revision(), Revision::default());
    let parts = signed(agent.clone());
    let policy = RequestPolicy::new();
    let verified = policy.verify(&seen(&parts), &agents(&agent), at(NOW));
    let verified = verified.unwrap().accept_replays();
    assert_eq!(verified.agent(), Some("https://crawler.example/keys.json"));
    for bad in [
        "",
        "crawler.example",
        "http://crawler.example/k",
        "https://x/./k",
    ] {
        let error = SignatureAgent::jwk_set(bad).unwrap_err();
        assert_eq!(error.code(), "sig.agent", "{bad}");
    }
}

/// An empty path is `/` (RFC 3986 §6.2.3), and not the well-known path.
#[test]
fn an_origin_is_a_url_like_any_other() {
    let bare = SignatureAgent::jwk_set("https://crawler.example").unwrap();
    let slash = SignatureAgent::jwk_set("https://crawler.example/").unwrap();
    assert_eq!(bare.identifier(), slash.identifier());
    let parts = signed(bare.clone());
    let policy = RequestPolicy::new();
    assert_eq!(code(&policy, &parts, &agents(&slash)), "ok");
    let directory = SignatureAgent::directory("https://crawler.example").unwrap();
    let refused = code(&policy, &parts, &agents(&directory));
    assert_eq!(refused, "sig.agent_key_unknown");
}

/// A member with parameters is ignored, and then the signature has no agent.
#[test]
fn a_member_with_parameters_is_ignored() {
    let jwks_uri = SignatureAgent::jwks_uri(URL).unwrap();
    let parts = signed(jwks_uri.clone());
    let known = agents(&jwks_uri);
    assert_eq!(code(&RequestPolicy::new(), &parts, &known), "sig.agent");
    let earlier = RequestPolicy::new().with_revision(Revision::Draft00);
    assert_eq!(code(&earlier, &parts, &known), "ok");
    // Other members are not affected.
    let signing = signing(agent());
    let value = format!("b=\"{URL}\";type=jwks_uri, {}", signing.signature_agent());
    let mut parts = request(Some(&value));
    let prepared = signing.prepare(&seen(&parts), SYSTEM, at(NOW)).unwrap();
    let fields = prepared.sign(&*KEY).unwrap();
    fields.apply(&mut parts.headers).unwrap();
    assert_eq!(code(&RequestPolicy::new(), &parts, &agents(&agent())), "ok");
}

/// Each revision reads a value in its own way, and accepts no URL of the other.
#[test]
fn the_forms_are_not_mixed() {
    let directory = SignatureAgent::directory("https://crawler.example").unwrap();
    let parts = signed(directory.clone());
    let both = agents(&directory);
    let refused = code(&RequestPolicy::new(), &parts, &both);
    assert_eq!(refused, "sig.agent_key_unknown");
    let earlier = RequestPolicy::new().with_revision(Revision::Draft00);
    assert_eq!(code(&earlier, &parts, &both), "ok");
    assert_eq!(
        code(&earlier, &signed(agent()), &agents(&agent())),
        "sig.agent"
    );
}

/// At the well-known URL of a domain a `kid` is the thumbprint of its key; elsewhere it may be
/// anything.
#[test]
fn the_rules_are_those_of_the_place() {
    let well_known = format!("https://crawler.example{DIRECTORY_PATH}");
    let well_known = SignatureAgent::jwk_set(&well_known).unwrap();
    assert!(well_known.is_well_known() && !agent().is_well_known());
    let longer = format!("https://crawler.example{DIRECTORY_PATH}/x");
    assert!(!SignatureAgent::jwk_set(&longer).unwrap().is_well_known());
    let below = format!("https://crawler.example/x{DIRECTORY_PATH}");
    assert!(!SignatureAgent::jwk_set(&below).unwrap().is_well_known());
    let named = KEY
        .verifying_key()
        .jwk()
        .clone()
        .with_key_id("mine".to_owned());
    let set = format!("{{\"keys\":[{}]}}", named.to_json());
    let keys = |agent: &SignatureAgent| {
        let rules = DirectoryRules::of(agent);
        let directory = Directory::parse(set.as_bytes(), &rules, AWS_LC, at(NOW));
        directory.unwrap().keys().len()
    };
    assert_eq!((keys(&agent()), keys(&well_known)), (1, 0));
}

/// The bare string of earlier drafts is the URL itself, if the policy accepts that form.
#[test]
fn a_bare_string_is_the_url() {
    let policy = RequestPolicy::new();
    let covered = aims_http_sig::Component::field("signature-agent").unwrap();
    let value = format!("\"{URL}\"");
    let mut parts = request(Some(&value));
    let key_id = KEY.verifying_key().thumbprint().to_string();
    let signing = aims_http_sig::Signing::new("sig1")
        .covering([aims_http_sig::Component::AUTHORITY, covered])
        .with_created()
        .with_expires_after(std::time::Duration::from_secs(60))
        .with_key_id(&key_id)
        .with_tag(aims_http_sig::profile::web_bot_auth::TAG);
    let prepared = signing.prepare(&aims_http_sig::Exchange::of(&seen(&parts)), SYSTEM, at(NOW));
    let fields = prepared.unwrap().sign(&*KEY).unwrap();
    fields.apply(&mut parts.headers).unwrap();
    let known = agents(&agent());
    assert_eq!(code(&policy, &parts, &known), "sig.component_required");
    assert_eq!(code(&policy.accept_legacy_agent(), &parts, &known), "ok");
}
