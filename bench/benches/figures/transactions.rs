//! Transaction tokens and their service, and the comparison of a token with its parent.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aims::jose::jwk::{JwkSet, PublicJwkSet, SetRules};
use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::jose::provider::AWS_LC;
use aims::jose::time::{UnixTime, at};
use aims::jose::{Algorithm, random};
use aims::oauth_wire::delegate::{Dimension, Kind, Rights, ScopeTable, Verdict, delegate};
use aims::txn_token::{TxnToken, TxnTokenCache, TxnTokenRequest, TxnTokenRules};
use aims_authority::{
    Authority, Client, Exchange, Limits, Rate, Resource, Transaction, TransactionPolicy,
};
use aims_bench::loopback::{BODY, send, serve};
use aims_bench::raw::{RawKey, RawSigner, Signed};
use aims_bench::sampler::{Case, Samples};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Map, Value, json};
use tokio::runtime::Builder;

use super::{Effort, Figure};

const DOMAIN: &str = "trust-domain.example";
const AS: &str = "https://as.example";
const TOOL: &str = "https://gateway.example";
const MINUTE: Duration = Duration::from_secs(60);

fn key(name: &str) -> Result<SigningKey, Box<dyn Error>> {
    Ok(SigningKey::generate(Algorithm::Es256, AWS_LC)?.with_key_id(name))
}

fn set(key: &SigningKey) -> Result<JwkSet, Box<dyn Error>> {
    let keys: PublicJwkSet = [key.public_jwk().clone()].into_iter().collect();
    let keys = keys.to_json();
    Ok(JwkSet::parse(keys.as_bytes(), &SetRules::oauth(), AWS_LC)?)
}

/// Returns the rights of an access token with this number of scopes and five details, each with
/// these actions beside its own.
fn rights(scopes: usize, actions: &[&str], exp: u64) -> Result<Rights, Box<dyn Error>> {
    let scope: Vec<String> = (0..scopes).map(|it| format!("tools:{it:02}")).collect();
    let detail = |it: usize| {
        let own = format!("a{it}");
        let actions: Vec<&str> = [own.as_str()].iter().chain(actions).copied().collect();
        json!({"type": "aims_tool", "locations": [TOOL], "actions": actions,
            "privileges": ["one", "two"]})
    };
    let claims = json!({"iss": AS, "sub": "alice", "aud": TOOL, "client_id": "agent", "jti": "1",
        "iat": 1, "exp": exp, "scope": scope.join(" "),
        "authorization_details": (0..5).map(detail).collect::<Vec<_>>()});
    Ok(Rights::read(
        Kind::AccessToken,
        claims.to_string().as_bytes(),
    )?)
}

#[derive(Debug)]
struct Any;

impl TransactionPolicy for Any {
    fn decide(
        &self,
        _exchange: &Exchange<'_>,
        _details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        Some(Transaction::new(ScopeTable::new([("call", "order")]).ok()?))
    }
}

/// An authority, and a client that exchanges the access token of another one.
struct Service {
    authority: Authority,
    gateway: SigningKey,
    access: String,
}

impl Service {
    fn new(now: UnixTime) -> Result<Self, Box<dyn Error>> {
        let (agent, gateway) = (key("agent")?, key("gateway")?);
        // One client and one source make all requests.
        let rate = Rate {
            burst: 1_000_000,
            per_minute: 1_000_000,
        };
        let mut limits = Limits::default();
        limits.requests = rate;
        limits.agent = rate;
        let authority = Authority::builder(AS, AWS_LC)
            .trust_domain(DOMAIN)
            .limits(limits)
            .resource(Resource::new(TOOL).with_scopes(["call"]))
            .transactions(Arc::new(Any))
            .client(Client::with_keys("agent", set(&agent)?).allow(TOOL, ["call"]))
            .client(Client::with_keys("gateway", set(&gateway)?).serves(TOOL))
            // It refuses assertions that could be from before its start.
            .build(at(now.as_secs().saturating_sub(120)))?;
        let mut service = Self {
            authority,
            gateway,
            access: String::new(),
        };
        let form = [
            ("grant_type", "client_credentials"),
            ("resource", TOOL),
            ("scope", "call"),
        ];
        let form = authenticated(&form, "agent", &agent, now)?;
        let request = http::Request::post("/token")
            .header("host", "as.example")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.into_bytes())?;
        let answer = service.authority.handle(&request, None, now);
        let answer: Value = serde_json::from_slice(answer.body())?;
        let access = answer.get("access_token").and_then(Value::as_str);
        access
            .ok_or_else(|| format!("expected an access token, found {answer}"))?
            .clone_into(&mut service.access);
        Ok(service)
    }

    /// Returns whole requests for transaction tokens, each with an assertion of its own.
    fn requests(&self, count: usize, now: UnixTime) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
        let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
        let kind = "urn:ietf:params:oauth:token-type:";
        let (access, transaction) = (format!("{kind}access_token"), format!("{kind}txn_token"));
        let form = [
            ("grant_type", exchange),
            ("subject_token", &self.access),
            ("subject_token_type", &access),
            ("requested_token_type", &transaction),
            ("audience", DOMAIN),
            ("scope", "order"),
        ];
        let one = |_| {
            let form = authenticated(&form, "gateway", &self.gateway, now)?;
            let length = form.len();
            let head = format!(
                "POST /token HTTP/1.1\r\nhost: as.example\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
            );
            Ok([head, form].concat().into_bytes())
        };
        (0..count).map(one).collect()
    }
}

/// Returns a form with the client's assertion.
fn authenticated(
    form: &[(&str, &str)],
    client: &str,
    key: &SigningKey,
    now: UnixTime,
) -> Result<String, Box<dyn Error>> {
    let seconds = now.as_secs();
    let claims = json!({"iss": client, "sub": client, "aud": AS, "iat": seconds,
        "exp": seconds + 60, "jti": random::id128(random::SYSTEM)?});
    let typ = "client-authentication+jwt";
    let input = SigningInput::new(typ, Algorithm::Es256, key.public_jwk().key_id(), &claims)?;
    let assertion = input.sign(key)?;
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let own = [
        ("client_assertion_type", kind),
        ("client_assertion", assertion.expose()),
    ];
    let all = form.iter().chain(&own);
    let all = all.map(|(name, value)| format!("{name}={}", value.replace(':', "%3A")));
    Ok(all.collect::<Vec<_>>().join("&"))
}

async fn token(State(service): State<Arc<Service>>, body: bytes::Bytes) -> &'static str {
    let request = http::Request::post("/token")
        .header("host", "as.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.to_vec());
    let request = request.expect("a request");
    let answer = service.authority.handle(&request, None, UnixTime::now());
    let text = || String::from_utf8_lossy(answer.body()).into_owned();
    assert!(answer.status().is_success(), "{}", text());
    BODY
}

pub(super) fn figures(effort: Effort) -> Result<Vec<Figure>, Box<dyn Error>> {
    let now = UnixTime::now();
    let signer = key("tts")?;
    let keys = set(&signer)?;
    let rules = || TxnTokenRules::new(DOMAIN);
    let request = TxnTokenRequest::new(DOMAIN, "alice", "payments read", "gateway").issuer(AS);
    let input = || request.prepare(Algorithm::Es256, Some("tts"), MINUTE, random::SYSTEM, now);
    let hour = Duration::from_secs(3_600);
    let long = request.prepare(Algorithm::Es256, Some("tts"), hour, random::SYSTEM, now)?;
    let token_text = long.sign(&signer)?;
    let token_text = token_text.expose();
    let (raw_key, raw_token) = (RawKey::of(&signer)?, Signed::of(token_text)?);
    let raw_signer = RawSigner::of(&signer)?;
    let known = TxnTokenCache::new(1_000, rules());
    known.verify(token_text, &keys, now)?;
    let message = input()?;
    let (parent, child) = (rights(20, &["b"], 600)?, rights(10, &[], 300)?);
    let found = parent.compare(&child);
    for dimension in [Dimension::Scope, Dimension::Details, Dimension::Actions] {
        assert_eq!(found.of(dimension), Verdict::Narrower, "{dimension}");
    }
    let timed = |batch: usize, once: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..batch).for_each(|_| once());
        start.elapsed()
    };
    let mut cases: Vec<Case<'_>> = vec![
        // 0: one verification by the backend
        Box::new(|n| timed(n, &mut || assert!(raw_key.verify(black_box(&raw_token))))),
        // 1: one signature by the backend
        Box::new(|n| {
            timed(n, &mut || {
                let message = black_box(message.as_bytes());
                black_box(raw_signer.sign(message).expect("a signature"));
            })
        }),
        // 2: a transaction token, cold
        Box::new(|n| {
            let rules = rules();
            timed(n, &mut || {
                let token = TxnToken::verify(black_box(token_text), &keys, &rules, now);
                black_box(token.expect("a good token"));
            })
        }),
        // 3: a transaction token, known
        Box::new(|n| {
            timed(n, &mut || {
                let token = known.verify(black_box(token_text), &keys, now);
                black_box(token.expect("a good token"));
            })
        }),
        // 4: a transaction token issued
        Box::new(|n| {
            timed(n, &mut || {
                let input = input().expect("a token");
                black_box(input.sign(&signer).expect("a signature"));
            })
        }),
        // 5: `delegate` for 10 of 20 scopes and 5 details with fewer actions
        Box::new(|n| {
            let mut children = (0..n).map(|_| child.clone()).collect::<Vec<_>>();
            timed(n, &mut || {
                let child = children.pop().expect("a child");
                drop(black_box(
                    delegate(black_box(&parent), child).expect("narrower"),
                ));
            })
        }),
    ];
    let samples = Samples::take(&mut cases, effort.rounds, effort.batch);
    let ratio =
        |of: usize, to: usize| samples.median(|costs| Some(costs.get(of)? / costs.get(to)?));
    let cost = |case| samples.cost(case);
    let mut figures = vec![
        Figure::new("backend: one verification", cost(0)),
        Figure::new("backend: one signature", cost(1)),
        Figure::new("transaction token, cold", cost(2))
            .to("one verification", ratio(2, 0))
            .at_most(1.05),
        Figure::new("transaction token, known", cost(3))
            .to("one verification", ratio(3, 0))
            .at_most(0.02),
        Figure::new("transaction token issued", cost(4))
            .to("one signature", ratio(4, 1))
            .at_most(1.1),
        Figure::new("delegate: 10 of 20 scopes, 5 details narrower", cost(5))
            .to("one verification", ratio(5, 0))
            .at_most(0.05),
    ];
    figures.extend(service(effort, cost(1))?);
    Ok(figures)
}

/// The token service on loopback, beside the rate of raw signatures.
fn service(effort: Effort, signature: f64) -> Result<[Figure; 2], Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let service = Arc::new(Service::new(UnixTime::now())?);
    let router = Router::new().route("/token", post(token));
    let router = router.with_state(Arc::clone(&service));
    let address = runtime.block_on(serve(router))?;
    let mut cases: Vec<Case<'_>> = vec![Box::new(|batch| {
        let requests = service.requests(batch, UnixTime::now());
        let sent = send(address, requests.expect("requests"), 16);
        runtime.block_on(sent).expect("all answered 200")
    })];
    // The access token lives for minutes, so the rounds are few.
    let samples = Samples::take(&mut cases, effort.rounds.div_ceil(20), effort.requests);
    let cost = samples.cost(0);
    let rate = |ns: f64| format!("{:.0} /s", 1e9 / ns);
    Ok([
        Figure::of("backend: signatures", rate(signature)),
        Figure::of("transaction token service", rate(cost))
            .to("one signature of the backend", cost / signature),
    ])
}
