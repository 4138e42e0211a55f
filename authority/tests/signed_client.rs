//! Workloads as clients, with a WIT-SVID and an HTTP message signature over the whole request.
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
use std::time::Duration;

use aims_authority::{Authority, Client, DevUser};
use aims_http_sig::digest::ContentDigest;
use aims_http_sig::profile::wimse::{Content, RequestSigning, TAG};
use aims_http_sig::{BareItem, Component, Exchange, HttpRequest, SignatureFields, Signing};
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::random::SYSTEM;
use aims_jose::secret::SecretText;
use aims_oauth_client::{
    ClientCredentials, DpopKey, Event, Flow as _, HttpSignature, IntrospectionFlow,
    OfIdentity as _, Step, TokenFlow, TokenRules,
};
use aims_oauth_wire::dpop::Binding;
use aims_oauth_wire::introspection::AnswerForm;
use aims_oauth_wire::metadata::ServerMetadata;
use aims_oauth_wire::names::Issuer;
use aims_wimse_cred::{FixedSource, Identity};
use common::browser::{CALLBACK, USER, VERIFIER, with_users};
use common::endpoint::*;
use common::*;
use http::request::Parts;
use http::{Method, Request};
use lines::logged;
use serde_json::{Value, json};

type Answer = Result<Value, (u16, String)>;

const TOKEN: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", TOOLS)];

/// A server, and a workload with its WIT-SVID.
struct Setup {
    authority: Authority,
    wit: String,
    key: SigningKey,
}

fn setup() -> Setup {
    let authority = authority();
    let (wit, key) = wit(&authority, "a", now());
    Setup {
        authority,
        wit,
        key,
    }
}

/// Returns a request that is not signed yet, with its digest. Its URI is the URL of the endpoint.
fn unsigned(wit: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Request<Vec<u8>> {
    let digest = ContentDigest::of(body.as_bytes()).to_string();
    let mut all = vec![
        FORM,
        ("workload-identity-token", wit),
        ("content-digest", &digest),
    ];
    all.extend(fields);
    request("POST", &format!("{BASE}{path}"), &all, body)
}

/// Changes the request as it is on its way: the target is in origin form.
fn sent(mut request: Request<Vec<u8>>, fields: SignatureFields) -> Request<Vec<u8>> {
    fields.apply(request.headers_mut()).unwrap();
    let target = request.uri().path_and_query().unwrap().to_string();
    *request.uri_mut() = target.parse().unwrap();
    request
}

fn head(request: &Request<Vec<u8>>) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = request.uri().clone();
    parts.headers = request.headers().clone();
    parts
}

/// Signs a request by the profile, for this audience.
fn signed_with(
    request: Request<Vec<u8>>,
    key: &SigningKey,
    signing: &RequestSigning,
) -> Request<Vec<u8>> {
    let head = head(&request);
    let digest = ContentDigest::of(request.body());
    let message = HttpRequest::to_send(&head).unwrap();
    let content = Content::Digest(&digest);
    let prepared = signing.prepare(&message, content, SYSTEM, now()).unwrap();
    sent(request, prepared.0.sign(key).unwrap())
}

fn signed(request: Request<Vec<u8>>, key: &SigningKey) -> Request<Vec<u8>> {
    let url = request.uri().to_string();
    let signing = RequestSigning::to(url.split('?').next().unwrap()).unwrap();
    signed_with(request, key, &signing.covering_field("dpop").unwrap())
}

/// Returns a good token request.
fn good(setup: &Setup) -> Request<Vec<u8>> {
    signed(
        unsigned(&setup.wit, "/token", &[], &form(&TOKEN)),
        &setup.key,
    )
}

fn answer(authority: &Authority, request: &Request<Vec<u8>>) -> Answer {
    judged(&send(authority, request, now()))
}

/// Checks that the client gets `invalid_client`, and that the log has this code.
#[track_caller]
fn refused_by(authority: &Authority, request: &Request<Vec<u8>>, code: &str) {
    let line = logged(|| {
        let response = send(authority, request, now());
        assert!(
            !response.headers().contains_key("www-authenticate"),
            "{code}"
        );
        assert_eq!(judged(&response), refused(401, "invalid_client"), "{code}");
    });
    let causes = line.split("causes=[").nth(1).unwrap_or(&line);
    let causes = causes.split(']').next().unwrap();
    assert!(causes.contains(&format!("{code:?}")), "{code}: {line}");
}

/// TXD-10: a workload authenticates by a signature over its request. The token is bound to the key
/// of its WIT-SVID.
#[test]
fn a_workload_authenticates_by_a_signature() {
    let setup = setup();
    let granted = answer(&setup.authority, &good(&setup)).unwrap();
    let token = granted["access_token"].as_str().unwrap();
    let claims = verified(&setup.authority, token, now());
    assert_eq!(
        (&claims["client_id"], &claims["sub"]),
        (&json!(AGENT), &json!(AGENT))
    );
    assert_eq!(claims["cnf"], confirmation(&setup.key));
}

/// A request that was used, and the same request from a store that cannot tell.
#[test]
fn a_signature_is_used_once() {
    let setup = setup();
    let once = good(&setup);
    assert!(answer(&setup.authority, &once).is_ok());
    refused_by(&setup.authority, &once, "replay.replayed");
    assert!(answer(&setup.authority, &good(&setup)).is_ok());
}

/// A request that is refused for its body does not use up the nonce of the request that was signed.
#[test]
fn a_changed_body_is_refused_and_spends_nothing() {
    let setup = setup();
    let good = good(&setup);
    let mut changed = good.clone();
    let body = String::from_utf8(good.body().clone()).unwrap();
    *changed.body_mut() = format!("{body}&scope=call").into_bytes();
    refused_by(&setup.authority, &changed, "digest.mismatch");
    // A digest of the changed body is not the signed one.
    let digest = ContentDigest::of(changed.body()).to_string();
    changed
        .headers_mut()
        .insert("content-digest", digest.parse().unwrap());
    refused_by(&setup.authority, &changed, "sig.signature");
    assert!(answer(&setup.authority, &good).is_ok());
}

/// A signature without a digest of the body says nothing of the parameters.
#[test]
fn a_body_without_a_signed_digest_is_refused() {
    let setup = setup();
    let mut without = unsigned(&setup.wit, "/token", &[], &form(&TOKEN));
    without.headers_mut().remove("content-digest");
    let without = by_parts(&setup, without, |it| {
        it.retain(|component| component.as_str() != "\"content-digest\"");
    });
    refused_by(&setup.authority, &without, "digest.missing");
    // The length of the body is announced, or not, as in HTTP/2.
    let mut announced = without.clone();
    let length = announced.body().len();
    announced
        .headers_mut()
        .insert("content-length", length.into());
    refused_by(&setup.authority, &announced, "digest.missing");
}

/// The components of a good signature.
fn components() -> Vec<Component> {
    let fields = ["workload-identity-token", "content-type", "content-digest"];
    let mut all = vec![Component::METHOD, Component::PATH, Component::QUERY];
    all.extend(fields.map(|name| Component::field(name).unwrap()));
    all
}

/// Signs a request by parts of the profile.
fn by_parts(
    setup: &Setup,
    request: Request<Vec<u8>>,
    change: impl FnOnce(&mut Vec<Component>),
) -> Request<Vec<u8>> {
    let mut components = components();
    change(&mut components);
    let url = BareItem::string("http://127.0.0.1:8080/token").unwrap();
    let signing = Signing::new("any")
        .covering(components)
        .with_created()
        .with_expires_after(Duration::from_secs(60))
        .with_random_nonce()
        .with_tag(TAG)
        .with_parameter("wimse-aud", url);
    let head = head(&request);
    let message = HttpRequest::to_send(&head).unwrap();
    let prepared = signing.prepare(&Exchange::of(&message), SYSTEM, now());
    sent(request, prepared.unwrap().sign(&setup.key).unwrap())
}

/// Each signature leaves out one component that it must cover.
#[test]
fn a_signature_covers_the_whole_request() {
    let setup = setup();
    let request = || unsigned(&setup.wit, "/token", &[], &form(&TOKEN));
    let good = by_parts(&setup, request(), |_all| {});
    assert!(answer(&setup.authority, &good).is_ok());
    for (index, left_out) in components().into_iter().enumerate() {
        let other = by_parts(&setup, request(), |all| drop(all.remove(index)));
        let line = logged(|| assert!(answer(&setup.authority, &other).is_err()));
        let name = left_out.as_str().trim_matches('"');
        assert!(line.contains(name), "{name}: {line}");
        refused_by(&setup.authority, &other, "sig.component_required");
    }
}

/// A signature fits no other method, target, media type or workload.
#[test]
fn a_signature_is_for_this_method_target_and_workload() {
    let setup = setup();
    let base = good(&setup);
    let changed = |change: &dyn Fn(&mut Request<Vec<u8>>)| {
        let mut request = base.clone();
        change(&mut request);
        request
    };
    let query = changed(&|it| *it.uri_mut() = "/token?a=1".parse().unwrap());
    refused_by(&setup.authority, &query, "sig.signature");
    let kind = changed(&|it| {
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        it.headers_mut()
            .insert("content-type", kind.parse().unwrap());
    });
    refused_by(&setup.authority, &kind, "sig.signature");
    // The WIT of another workload has another key.
    let (other, other_key) = wit(&setup.authority, "b", now());
    let exchanged = changed(&|it| {
        let field = "workload-identity-token";
        it.headers_mut().insert(field, other.parse().unwrap());
    });
    refused_by(&setup.authority, &exchanged, "sig.signature");
    let stolen = unsigned(&setup.wit, "/token", &[], &form(&TOKEN));
    refused_by(
        &setup.authority,
        &signed(stolen, &other_key),
        "sig.signature",
    );
    // Another method is answered by no handler.
    let method = changed(&|it| *it.method_mut() = Method::GET);
    assert_eq!(send(&setup.authority, &method, now()).status(), 405);
    assert!(answer(&setup.authority, &base).is_ok());
}

/// The audience is the URL of the endpoint, not that of another one nor the issuer.
#[test]
fn a_signature_is_for_this_endpoint() {
    let setup = setup();
    for audience in [
        BASE.to_owned(),
        format!("{BASE}/introspect"),
        format!("{BASE}/token/"),
        "https://as.example/token".to_owned(),
    ] {
        let request = unsigned(&setup.wit, "/token", &[], &form(&TOKEN));
        let signing = RequestSigning::to(&audience).unwrap();
        let other = signed_with(request, &setup.key, &signing);
        refused_by(&setup.authority, &other, "sig.audience");
    }
    let lasting = RequestSigning::to(&format!("{BASE}/token")).unwrap();
    let lasting = lasting.with_lifetime(Duration::from_secs(600));
    let request = unsigned(&setup.wit, "/token", &[], &form(&TOKEN));
    let request = signed_with(request, &setup.key, &lasting);
    refused_by(&setup.authority, &request, "sig.lifetime");
}

/// A signature is valid for a short time.
#[test]
fn an_old_signature_is_refused() {
    let setup = setup();
    let good = good(&setup);
    let late = judged(&send(&setup.authority, &good, at(NOW + 91)));
    assert_eq!(late, refused(401, "invalid_client"));
    let line = logged(|| drop(send(&setup.authority, &good, at(NOW + 91))));
    assert!(line.contains("sig.expired"), "{line}");
    let early = judged(&send(&setup.authority, &good, at(NOW - 31)));
    assert_eq!(early, refused(401, "invalid_client"));
    assert!(judged(&send(&setup.authority, &good, at(NOW + 89))).is_ok());
}

fn proof(key: &SigningKey) -> String {
    let place = format!("{BASE}/token");
    let (jwk, algorithm) = (key.public_jwk(), key.algorithm());
    let made = Binding::to("POST", &place).prepare_with(None, jwk, algorithm, SYSTEM, now());
    made.unwrap().sign(key).unwrap().expose().to_owned()
}

/// A proxy that adds a DPoP proof of its own would get a token for its own key.
#[test]
fn a_dpop_proof_is_covered() {
    let setup = setup();
    let (own, proxy) = (es256(), es256());
    let (own_proof, body) = (proof(&own), form(&TOKEN));
    let request = unsigned(&setup.wit, "/token", &[("dpop", &own_proof)], &body);
    let granted = answer(&setup.authority, &signed(request, &setup.key)).unwrap();
    assert_eq!(granted["token_type"], "DPoP");
    let mut stolen = good(&setup);
    let added = proof(&proxy).parse().unwrap();
    stolen.headers_mut().insert("dpop", added);
    refused_by(&setup.authority, &stolen, "sig.component_required");
    let line = logged(|| assert!(answer(&setup.authority, &stolen).is_err()));
    assert!(line.contains("dpop"), "{line}");
    stolen.headers_mut().remove("dpop");
    assert!(answer(&setup.authority, &stolen).is_ok());
}

/// RFC 6749 §2.3: one method in a request.
#[test]
fn a_signature_is_the_only_method() {
    let setup = setup();
    let mut claims = json!({"aud": BASE, "jti": "j", "iat": NOW, "exp": NOW + 60});
    claims["wth"] = aims_jose::digest::sha256_base64url(&setup.wit).into();
    let wpt = format!("WPT {}", sign("wpt+jwt", &claims, &setup.key));
    let both = unsigned(
        &setup.wit,
        "/token",
        &[("authorization", &wpt)],
        &form(&TOKEN),
    );
    let mut both = signed(both, &setup.key);
    let invalid = refused(400, "invalid_request");
    assert_eq!(answer(&setup.authority, &both), invalid);
    // A proxy may add its own signature to a request that authenticates otherwise.
    let input = both.headers()["signature-input"].to_str().unwrap();
    let input = input.replace(TAG, "of-a-proxy").parse().unwrap();
    both.headers_mut().insert("signature-input", input);
    assert!(answer(&setup.authority, &both).is_ok());
    let svid = jwt_svid(&setup.authority, &setup.wit, &setup.key, BASE, now()).unwrap();
    let mut parameters = TOKEN.to_vec();
    parameters.push(("client_assertion_type", JWT_SPIFFE));
    parameters.push(("client_assertion", &svid));
    let twice = unsigned(&setup.wit, "/token", &[], &form(&parameters));
    assert_eq!(
        answer(&setup.authority, &signed(twice, &setup.key)),
        invalid
    );
    let mut named = TOKEN.to_vec();
    named.push(("client_id", "batch"));
    let named = unsigned(&setup.wit, "/token", &[], &form(&named));
    let invalid = refused(401, "invalid_client");
    assert_eq!(
        answer(&setup.authority, &signed(named, &setup.key)),
        invalid
    );
    // A signature without its WIT, and a WIT without its signature.
    let mut bare = good(&setup);
    bare.headers_mut().remove("workload-identity-token");
    assert_eq!(answer(&setup.authority, &bare), invalid);
    let alone = request(
        "POST",
        "/token",
        &[FORM, ("workload-identity-token", &setup.wit)],
        &form(&TOKEN),
    );
    assert_eq!(answer(&setup.authority, &alone), invalid);
}

/// This server signs no responses, so it says so before it uses anything up.
#[test]
fn a_signed_response_is_not_promised() {
    let setup = setup();
    let signing = RequestSigning::to(&format!("{BASE}/token")).unwrap();
    let request = unsigned(&setup.wit, "/token", &[], &form(&TOKEN));
    let asking = signed_with(request, &setup.key, &signing.asking_for_signed_response());
    assert_eq!(
        answer(&setup.authority, &asking),
        refused(400, "invalid_request")
    );
}

/// An attacker with another trust domain, with an identifier that is no client, or whose identity
/// was withdrawn.
#[test]
fn signers_are_workloads_of_this_domain() {
    let (own, foreign) = (setup(), setup());
    let request = good(&foreign);
    assert_eq!(
        answer(&own.authority, &request),
        refused(401, "invalid_client")
    );
    assert!(answer(&foreign.authority, &request).is_ok());
    let (wit, key) = wit(&own.authority, "w", now());
    let request = signed(unsigned(&wit, "/token", &[], &form(&TOKEN)), &key);
    assert_eq!(
        answer(&own.authority, &request),
        refused(401, "invalid_client")
    );
    let agent = AGENT.parse().unwrap();
    assert!(own.authority.identity().withdraw(&agent, now()).unwrap());
    assert_eq!(
        answer(&own.authority, &good(&own)),
        refused(401, "invalid_client")
    );
}

/// Every endpoint that authenticates clients takes a signature for its own URL, and no other.
#[test]
fn every_endpoint_takes_signatures_for_its_own_url() {
    let client = Client::spiffe(AGENT.parse().unwrap())
        .redirect_uri(CALLBACK)
        .allow(TOOLS, ["call"])
        .serves(TOOLS)
        .backchannel_poll();
    let authority = with_users()
        .backchannel(Arc::new(DevUser::new(USER)))
        .client(client)
        .build(now())
        .unwrap();
    let (wit, key) = wit(&authority, "a", now());
    let challenge = aims_jose::digest::sha256_base64url(VERIFIER);
    let pushed = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let asked = [("scope", "openid call"), ("login_hint", USER)];
    let all: [(&str, &[(&str, &str)]); 5] = [
        ("/token", &TOKEN),
        ("/par", &pushed),
        ("/introspect", &[("token", "unknown")]),
        ("/revoke", &[("token", "unknown")]),
        ("/backchannel", &asked),
    ];
    for (path, parameters) in all {
        let request = |path: &str| signed(unsigned(&wit, path, &[], &form(parameters)), &key);
        let response = send(&authority, &request(path), now());
        assert!(response.status().is_success(), "{path} {response:?}");
        let (elsewhere, _) = all.iter().find(|(other, _)| *other != path).unwrap();
        let mut misled = request(elsewhere);
        *misled.uri_mut() = path.parse().unwrap();
        refused_by(&authority, &misled, "sig.audience");
    }
}

/// Returns the client of the setup's workload, and the metadata of its server.
fn our_client(setup: &Setup) -> (HttpSignature, ServerMetadata) {
    let (key, jwk) = (Arc::new(setup.key.clone()), setup.key.public_jwk());
    let identity = Identity::new(SecretText::new(&*setup.wit), key, jwk).unwrap();
    let client = HttpSignature::of_at(FixedSource::new(identity), now()).unwrap();
    let issuer = Issuer::loopback(BASE).unwrap();
    let place = "/.well-known/oauth-authorization-server";
    let document = get(&setup.authority, place, now());
    (
        client,
        ServerMetadata::parse(document.body(), &issuer).unwrap(),
    )
}

/// Sends a request of our client as its HTTP client does.
fn exchange(authority: &Authority, mut request: Request<Vec<u8>>) -> http::Response<Vec<u8>> {
    let target = request.uri().path_and_query().unwrap().to_string();
    *request.uri_mut() = target.parse().unwrap();
    request.headers_mut().insert("host", HOST.parse().unwrap());
    send(authority, &request, now())
}

/// TXD-10: our own server accepts what our own client sends.
#[test]
fn our_client_authenticates_by_a_signature() {
    let setup = setup();
    let (client, server) = our_client(&setup);
    let grant = ClientCredentials::new(TOOLS.parse().unwrap()).scopes("call".parse().unwrap());
    let (request, pending) = grant.prepare(&client, &server, now()).unwrap();
    let token = pending.finish(&exchange(&setup.authority, request), now());
    assert!(token.is_ok(), "{token:?}");
}

/// The signature covers the proof, which is there first.
#[test]
fn our_client_signs_its_dpop_proof() {
    let setup = setup();
    let (client, server) = our_client(&setup);
    let key = DpopKey::generate(aims_jose::provider::AWS_LC).unwrap();
    let thumbprint = key.thumbprint().to_string();
    let grant = ClientCredentials::new(TOOLS.parse().unwrap()).scopes("call".parse().unwrap());
    let (grant, rules) = (Arc::new(grant), TokenRules::new());
    let (client, server) = (Arc::new(client), Arc::new(server));
    let flow = TokenFlow::begin_bound(grant, client, server, rules, key, now());
    let Step::Send(request, flow) = flow.unwrap() else {
        panic!("expected a request");
    };
    let input = request.headers()["signature-input"].to_str().unwrap();
    assert!(input.contains("\"dpop\""), "{input}");
    let answer = exchange(&setup.authority, request);
    let claims = body(&answer)["access_token"].as_str().map(claims).unwrap();
    assert_eq!(claims["cnf"], json!({"jkt": thumbprint}));
    let done = flow.advance(Event::Answer(&answer), now()).unwrap();
    assert!(matches!(done, Step::Done(_)));
}

/// A tool introspects with the same identity.
#[test]
fn our_client_introspects_by_a_signature() {
    let tool = Client::spiffe(AGENT.parse().unwrap())
        .serves(TOOLS)
        .allow(TOOLS, ["call"]);
    let authority = builder().client(tool).build(now()).unwrap();
    let (wit, key) = wit(&authority, "a", now());
    let setup = Setup {
        authority,
        wit,
        key,
    };
    let granted = answer(&setup.authority, &good(&setup)).unwrap();
    let token = SecretText::new(granted["access_token"].as_str().unwrap());
    let (client, server) = our_client(&setup);
    let step = IntrospectionFlow::begin(token, AnswerForm::Json, Arc::new(client), &server, now());
    let Step::Send(request, _flow) = step.unwrap() else {
        panic!("expected a request");
    };
    assert_eq!(body(&exchange(&setup.authority, request))["active"], true);
}
