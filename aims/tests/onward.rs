//! Requests within a transaction: each carries its token, covered by the proof, and none leaves the
//! trust domain.

#![cfg(all(feature = "agent", feature = "tool", feature = "tower"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::sync::Arc;

use aims::agent::{Body, RequestAuth};
use aims::cred::{FixedSource, Identity};
use aims::decision::Attributes;
use aims::guard::{HttpSignatures, TransactionTokens};
use aims::jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims::jose::key::SigningKey;
use aims::jose::secret::SecretText;
use aims::oauth_wire::call::CallDigest;
use aims::oauth_wire::transaction::CarriedTransaction;
use aims::txn_token::{TxnToken, TxnTokenRules};
use aims::{Agent, Guard, Principal, Requirements};
use common::{CALL, NOW, TOOL, Then, World, at, key, provider, sign, told};
use http::request::Parts;
use http::{HeaderMap, Request, Response, Version};
use serde_json::{Value, json};
use tower::service_fn;
use tower::{Layer as _, ServiceExt as _};

const GATEWAY: &str = "spiffe://example.org/gateway";
const ORDERS: &str = "spiffe://example.org/orders";
const DOMAIN: &str = "trust-domain.example";

struct Domain {
    world: World,
    service: SigningKey,
}

impl Domain {
    fn new() -> Self {
        Self {
            world: World::new(),
            service: key(aims::jose::Algorithm::Es256).with_key_id("tts"),
        }
    }

    fn keys(&self) -> JwkSet {
        let keys: PublicJwkSet = [self.service.public_jwk().clone()].into_iter().collect();
        JwkSet::parse(keys.to_json().as_bytes(), &SetRules::oauth(), provider()).unwrap()
    }

    /// A service of the domain, which demands a transaction token.
    fn guard(&self) -> Guard {
        let tokens = TransactionTokens::new(TxnTokenRules::new(DOMAIN), self.keys());
        let guard = self.world.guard_by_default().transactions(tokens);
        let guard = guard.http_signatures(HttpSignatures::new());
        guard
            .require(Requirements::new().transaction())
            .build()
            .unwrap()
    }

    fn token(&self, changes: &Value) -> CarriedTransaction {
        let mut claims = json!({"aud": DOMAIN, "iat": NOW, "exp": NOW + 60, "txn": "t-1",
            "sub": "alice", "scope": "orders", "req_wl": "gateway"});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        CarriedTransaction::new(sign("txntoken+jwt", &self.service, &claims)).unwrap()
    }

    fn agent(&self, id: &str, method: RequestAuth) -> Agent {
        let holder = self.world.agent(id);
        let wit = SecretText::new(holder.wit.expose());
        let identity = Identity::new(wit, Arc::new(holder.key.clone()), holder.key.public_jwk());
        Agent::builder(FixedSource::new(identity.unwrap()))
            .clock(Then)
            .proof(method)
            .trust_domain(DOMAIN, [TOOL.parse().unwrap()])
            .build()
            .unwrap()
    }
}

fn call(uri: &str) -> Request<String> {
    Request::post(uri).body(String::new()).unwrap()
}

fn proven(agent: &Agent) -> Parts {
    let mut request = call(CALL);
    agent.prove(&mut request).unwrap();
    request.into_parts().0
}

fn code(guard: &Guard, request: &Parts) -> &'static str {
    told(guard.check((request, ""), at(NOW))).0
}

/// TXN-22, TXN-26: each proof covers the token, and a token that was swapped, stolen or taken out
/// is refused.
#[test]
fn a_proof_covers_the_token_of_its_transaction() {
    let domain = Domain::new();
    let (token, other) = (
        domain.token(&json!({})),
        domain.token(&json!({"txn": "t-2"})),
    );
    for (method, swapped) in [
        (RequestAuth::Wpt, "wpt.tth"),
        (RequestAuth::HttpSignature, "sig.signature"),
    ] {
        let guard = domain.guard();
        let gateway = domain.agent(GATEWAY, method);
        let within = gateway.within(&token);
        assert_eq!(code(&guard, &proven(&within)), "ok", "{method:?}");
        assert_eq!(code(&guard, &proven(&gateway)), "guard.transaction");
        let mut request = proven(&within);
        other.apply(&mut request.headers);
        assert_eq!(code(&guard, &request), swapped);
        // Stolen: sent by another workload that does not prove it.
        let mut request = proven(&domain.agent(ORDERS, method));
        token.apply(&mut request.headers);
        let uncovered = match method {
            RequestAuth::Wpt => "wpt.tth",
            _ => "sig.component_required",
        };
        assert_eq!(code(&guard, &request), uncovered);
        // Taken out.
        let mut request = proven(&within);
        request.headers.remove("txn-token");
        assert_eq!(code(&guard, &request), "guard.transaction");
    }
}

/// TXN-22: a service passes the token on byte for byte, as its principal has it.
#[test]
fn a_service_calls_on_with_the_token_of_its_request() {
    let domain = Domain::new();
    let guard = domain.guard();
    let token = domain.token(&json!({}));
    let first = proven(&domain.agent(GATEWAY, RequestAuth::Wpt).within(&token));
    let who: Principal = guard.check(&first, at(NOW)).unwrap();
    let carried = who.transaction().unwrap().carried();
    let second = domain.agent(ORDERS, RequestAuth::Wpt).within(carried);
    let second = proven(&second);
    assert_eq!(second.headers["txn-token"], first.headers["txn-token"]);
    assert!(second.headers["txn-token"].is_sensitive());
    let who = guard.check(&second, at(NOW)).unwrap();
    assert_eq!(who.agent().unwrap().as_str(), ORDERS);
    assert_eq!(who.transaction().unwrap().txn(), "t-1");
    assert_eq!(who.subject(), "alice");
}

/// TXN-22: the token does not leave its trust domain, and nothing is sent.
#[tokio::test]
async fn a_token_stays_in_its_domain() {
    let domain = Domain::new();
    let gateway = domain.agent(GATEWAY, RequestAuth::Wpt);
    let token = domain.token(&json!({}));
    let foreign = domain.token(&json!({"aud": "other.example"}));
    let several = domain.token(&json!({"aud": [DOMAIN, "other.example"]}));
    let refused = |agent: &Agent, uri: &str| {
        let mut request = call(uri);
        let refused = agent.prove(&mut request).unwrap_err().code();
        assert!(request.headers().is_empty());
        refused
    };
    let within = gateway.within(&token);
    for uri in [
        "https://tools.example/mcpx",
        "https://tools.example/",
        "https://other.example/mcp/call",
        "https://tools.example:444/mcp/call",
        "http://127.0.0.1/mcp/call",
    ] {
        assert_eq!(refused(&within, uri), "agent.outside_domain", "{uri}");
    }
    for uri in [
        "https://tools.example/mcp/../x",
        "http://tools.example/mcp/call",
    ] {
        assert_eq!(refused(&within, uri), "agent.target", "{uri}");
    }
    for token in [&foreign, &several] {
        let within = gateway.within(token);
        assert_eq!(refused(&within, CALL), "agent.outside_domain");
    }
    let holder = domain.world.agent(GATEWAY);
    let wit = SecretText::new(holder.wit.expose());
    let signer = Arc::new(holder.key.clone());
    let identity = Identity::new(wit, signer, holder.key.public_jwk()).unwrap();
    let nowhere = Agent::builder(FixedSource::new(identity)).clock(Then);
    let nowhere = nowhere.build().unwrap();
    assert_eq!(
        refused(&nowhere.within(&token), CALL),
        "agent.outside_domain"
    );
    // The same for each way to send.
    let other = "https://other.example/mcp/call";
    let found = within.prepare(&mut call(other), "").await.unwrap_err();
    assert_eq!(found.code(), "agent.outside_domain");
    assert_eq!(
        within.sign(&mut call(other)).unwrap_err().code(),
        "agent.outside_domain"
    );
    let found = within.send(call(other)).await.unwrap_err();
    assert_eq!(found.code(), "agent.outside_domain");
    // Without a transaction nothing changes.
    let mut request = call(other);
    gateway.prove(&mut request).unwrap();
    assert!(!request.headers().contains_key("txn-token"));
}

/// TXN-20: the metadata of a gRPC call are fields of its request, so the token and its proof reach
/// the service through the layer.
#[tokio::test]
async fn a_call_of_grpc_carries_the_token_in_its_metadata() {
    let domain = Domain::new();
    let guard = domain.guard();
    let token = domain.token(&json!({}));
    let within = domain.agent(GATEWAY, RequestAuth::Wpt).within(&token);
    let service = service_fn(move |request: Request<Body>| {
        let found = code(&guard, &request.into_parts().0);
        let answer = Response::builder().header("found", found);
        let answer = answer.body(String::new());
        async move { Ok::<_, Infallible>(answer.unwrap()) }
    });
    let service = within.layer().layer(service);
    let request = Request::post(CALL)
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let request = request.body(String::new()).unwrap();
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["found"], "ok");
}

/// A message of a queue carries the token as a property, and its receiver verifies it like the
/// field.
#[test]
fn a_message_of_a_queue_carries_the_token() {
    let domain = Domain::new();
    let (name, value) = {
        let token = domain.token(&json!({}));
        let (name, value) = token.property();
        (name, value.to_owned())
    };
    assert_eq!(name, "txn-token");
    let rules = TxnTokenRules::new(DOMAIN);
    let verify = |text: &str, now| TxnToken::verify(text, &domain.keys(), &rules, at(now));
    let token = verify(&value, NOW).unwrap();
    let mut headers = HeaderMap::new();
    token.carried().apply(&mut headers);
    assert_eq!(headers[name], *value);
    // A message that waits too long, or that was changed, is not obeyed.
    assert_eq!(verify(&value, NOW + 91).unwrap_err().code(), "txn.expired");
    let other = domain.token(&json!({"sub": "bob"}));
    let (head, _) = value.rsplit_once('.').unwrap();
    let (_, signature) = other.property().1.rsplit_once('.').unwrap();
    let bad = format!("{head}.{signature}");
    assert_eq!(verify(&bad, NOW).unwrap_err().code(), "txn.signature");
}

/// TXN-25: a token for one call, which the service compares with the call that it got.
#[test]
fn changed_parameters_are_refused() {
    let domain = Domain::new();
    let call = |amount: u32| {
        let arguments = json!({"amount": amount}).to_string();
        CallDigest::of("pay", Some(arguments.as_bytes())).unwrap()
    };
    let tokens = TransactionTokens::new(TxnTokenRules::new(DOMAIN), domain.keys());
    let guard = domain.world.guard_by_default().transactions(tokens);
    let guard = guard.require(Requirements::new().transaction_call());
    let guard = guard.build().unwrap();
    // The service computes the digest from the call that it got.
    let judge = |mut request: Parts, amount: u32| {
        let digest = call(amount).to_string();
        let attributes = Attributes::new().with(Attributes::CALL_DIGEST, digest);
        request.extensions.insert(attributes);
        code(&guard, &request)
    };
    let context = json!({"tctx": {"call_digest": call(10).to_string()}});
    let token = domain.token(&context);
    let within = domain.agent(GATEWAY, RequestAuth::Wpt).within(&token);
    assert_eq!(judge(proven(&within), 10), "ok");
    assert_eq!(judge(proven(&within), 11), "txn.call");
}
