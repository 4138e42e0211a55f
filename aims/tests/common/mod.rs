//! A test environment in memory, at one time: an issuer of identities, an authorization server,
//! agents, and a tool's guard.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aims::cred::{Bundle, TrustStore, WitIssuer};
use aims::guard::{GuardBuilder, ProofMethod, Trusting};
use aims::id::WorkloadId;
use aims::jose::alg::Algorithm;
use aims::jose::jws::{CompactJws, SigningInput};
use aims::jose::key::SigningKey;
use aims::jose::provider::{self, Provider};
use aims::jose::random;
use aims::jose::time::{Clock, UnixTime};
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::record::{Event, Record};
use aims::wpt::{Binding, Revision, fields};
use aims::{Guard, Principal, Proof, Refusal, Requirements};
use http::Request;
use http::request::Parts;
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const TOOL: &str = "https://tools.example/mcp";
pub(crate) const CALL: &str = "https://tools.example/mcp/call";
pub(crate) const ISSUER: &str = "https://as.example";

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// A clock that stands still at [`NOW`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Then;

impl Clock for Then {
    fn now(&self) -> UnixTime {
        at(NOW)
    }
}

/// A clock that stands still at [`NOW`] until a test sets it. Clones are one clock.
#[derive(Clone, Debug)]
pub(crate) struct ManualClock(Arc<AtomicU64>);

impl Default for ManualClock {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }
}

impl ManualClock {
    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        at(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn provider() -> &'static dyn Provider {
    provider::default()
}

pub(crate) fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm, provider()).unwrap()
}

/// An agent with its WIT.
pub(crate) struct Agent {
    pub(crate) id: WorkloadId,
    pub(crate) key: SigningKey,
    pub(crate) wit: CompactJws,
}

/// A world with one agent and one guard.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) agent: Agent,
    pub(crate) guard: Guard,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::of(|guard| guard)
    }

    /// Creates a guard that trusts the issuers of the world, with more settings.
    pub(crate) fn of(
        settings: impl FnOnce(GuardBuilder<Trusting>) -> GuardBuilder<Trusting>,
    ) -> Self {
        let world = World::new();
        let guard = settings(world.guard().issuers(Arc::clone(&world.issuers)));
        Self {
            guard: guard.build().unwrap(),
            agent: world.agent("spiffe://example.org/agent"),
            world,
        }
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) ca: SigningKey,
    pub(crate) server: SigningKey,
    pub(crate) trust: Arc<TrustStore>,
    pub(crate) issuers: Arc<IssuerStore>,
}

impl World {
    pub(crate) fn new() -> Self {
        let ca = key(Algorithm::Es256).with_key_id("ca");
        let server = key(Algorithm::Es256).with_key_id("as");
        let world = Self {
            trust: Arc::new(TrustStore::of([bundle("spiffe://example.org/x", &ca, 1)])),
            issuers: Arc::default(),
            ca,
            server,
        };
        world.set_issuer(&world.server);
        world
    }

    pub(crate) fn set_issuer(&self, key: &SigningKey) {
        let keys = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
        let issuer = ISSUER.parse().unwrap();
        self.issuers
            .set(&issuer, keys.as_bytes(), provider())
            .unwrap();
    }

    pub(crate) fn agent(&self, id: &str) -> Agent {
        let key = key(Algorithm::Es256);
        let id = WorkloadId::parse(id).unwrap();
        let issuer = WitIssuer::new(Arc::new(self.ca.clone()), None);
        let wit = issuer
            .issue(&id, key.public_jwk(), Duration::from_secs(3_600), at(NOW))
            .unwrap();
        Agent { id, key, wit }
    }

    /// Returns a guard that accepts proofs of draft-ietf-wimse-wpt-01, which most of these tests
    /// use.
    pub(crate) fn guard(&self) -> GuardBuilder<Trusting> {
        let guard = self.guard_by_default();
        guard.wpt_revisions(Revision::Draft01)
    }

    pub(crate) fn guard_by_default(&self) -> GuardBuilder<Trusting> {
        let guard = Guard::builder(TOOL).trust(Arc::clone(&self.trust));
        guard.accept_proofs_before_start()
    }

    /// A guard that requires an access token with the scope `tools:call`, and publishes metadata.
    pub(crate) fn guard_of_tokens(&self) -> Guard {
        let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
        let metadata = metadata.with_authorization_server(ISSUER.parse().unwrap());
        let scopes = Requirements::new().scopes("tools:call".parse().unwrap());
        let issuers = Arc::clone(&self.issuers);
        let guard = self.guard().issuers(issuers).metadata(metadata);
        guard.require(scopes).build().unwrap()
    }

    /// Returns the claims of a valid access token for this agent.
    pub(crate) fn claims(agent: &Agent) -> Value {
        json!({
            "iss": ISSUER, "aud": TOOL, "sub": agent.id.as_str(), "client_id": agent.id.as_str(),
            "exp": NOW + 300, "iat": NOW, "jti": "t1", "scope": "tools:call",
            "cnf": {"jwk": serde_json::to_value(agent.key.public_jwk()).unwrap()},
        })
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        sign("at+jwt", &self.server, claims)
    }
}

pub(crate) fn sign(typ: &str, key: &SigningKey, claims: &Value) -> String {
    let jwk = key.public_jwk();
    let algorithm = jwk.algorithm().unwrap();
    let input = SigningInput::new(typ, algorithm, jwk.key_id(), claims).unwrap();
    input.sign(key).unwrap().expose().to_owned()
}

pub(crate) fn bundle(id: &str, key: &SigningKey, sequence: u64) -> Bundle {
    let origin = WorkloadId::parse(id).unwrap().origin();
    let jwk = key.public_jwk().clone().with_use("wit-svid").to_json();
    let document = format!(r#"{{"keys":[{jwk}],"spiffe_sequence":{sequence}}}"#);
    Bundle::parse(&origin, document.as_bytes(), provider()).unwrap()
}

impl Agent {
    /// Returns a WPT of -01 for a call with this binding.
    pub(crate) fn wpt(&self, binding: &Binding<'_>) -> String {
        self.wpt_of(&binding.clone().revision(Revision::Draft01))
    }

    /// Returns a WPT of the binding's revision.
    pub(crate) fn wpt_of(&self, binding: &Binding<'_>) -> String {
        let wit = self.wit.expose();
        let algorithm = self.key.public_jwk().algorithm().unwrap();
        let minute = Duration::from_secs(60);
        let input = binding
            .prepare(wit, algorithm, minute, random::SYSTEM, at(NOW))
            .unwrap();
        input.sign(&self.key).unwrap().expose().to_owned()
    }

    /// Returns a request to the tool with WIT and WPT.
    pub(crate) fn call(&self) -> Parts {
        proven(self.wit.expose(), &self.wpt(&Binding::to(CALL)), None)
    }

    /// Returns a request with an access token as well.
    pub(crate) fn call_with(&self, token: &str) -> Parts {
        let wpt = self.wpt(&Binding::to(CALL).access_token(token));
        proven(self.wit.expose(), &wpt, Some(token))
    }
}

pub(crate) fn proven(wit: &str, wpt: &str, token: Option<&str>) -> Parts {
    let mut request = bare();
    fields::apply(&mut request.headers, wit, wpt, Revision::Draft01).unwrap();
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers.insert("authorization", value);
    }
    request
}

pub(crate) fn bare() -> Parts {
    let request = Request::post("/mcp/call?x=1").header("host", "tools.example");
    request.body(()).unwrap().into_parts().0
}

/// Returns the methods by which a caller was proven.
pub(crate) fn methods(who: &Principal) -> Vec<ProofMethod> {
    who.proofs().iter().map(Proof::method).collect()
}

/// Returns the code, the status and the challenge of a decision.
pub(crate) fn told(verdict: Result<Principal, Refusal>) -> (&'static str, u16, String) {
    match verdict {
        Ok(_) => ("ok", 200, String::new()),
        Err(refusal) => {
            let code = refusal.code();
            let answer = refusal.into_response::<Vec<u8>>();
            assert_eq!(answer.headers()["cache-control"], "no-store");
            let challenge = answer.headers().get("www-authenticate");
            let challenge = challenge.map_or("", |it| it.to_str().unwrap());
            (code, answer.status().as_u16(), challenge.to_owned())
        }
    }
}

/// Converts a client for whole documents into one for streaming bodies.
#[cfg(feature = "agent")]
#[derive(Clone, Debug)]
pub(crate) struct Calls<F>(pub(crate) F);

#[cfg(feature = "agent")]
impl<F: aims::fetch::Fetch> aims::agent::Call for Calls<F> {
    fn call(&self, request: Request<aims::agent::Body>) -> aims::agent::CallFuture<'_> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let content = http_body_util::BodyExt::collect(body).await?.to_bytes();
            let request = Request::from_parts(head, content.to_vec());
            Ok(self.0.send(request).await?.map(aims::agent::Body::from))
        })
    }
}

/// Stores the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(pub(crate) Arc<Mutex<Vec<String>>>);

impl Record for Events {
    fn record(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}
