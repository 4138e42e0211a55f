//! One agent with its tokens, and a tool with its trusted keys.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aims::Guard;
use aims::cred::{Bundle, TrustStore, WitIssuer};
use aims::guard::{GuardBuilder, HttpSignatures, Trusting};
use aims::http_sig::HttpRequest;
use aims::http_sig::profile::wimse::{Content, RequestSigning};
use aims::id::WorkloadId;
use aims::jose::alg::Algorithm;
use aims::jose::digest::Hashed;
use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::jose::provider::AWS_LC;
use aims::jose::random;
use aims::jose::time::UnixTime;
use aims::oauth_rs::IssuerStore;
use aims::oauth_wire::dpop;
use aims::wpt::Binding;
use http::Request;
use http::request::Parts;
use serde_json::{Value, json};

/// The identifier of the resource that clients use.
pub const TOOL: &str = "https://tools.example/mcp";
/// The URL that they call.
pub const CALL: &str = "https://tools.example/mcp/call";
/// The authorization server.
pub const ISSUER: &str = "https://as.example";
/// Lifetime of all credentials, longer than a run.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// The parties, with ES256 keys on the default backend.
#[derive(Debug)]
#[non_exhaustive]
pub struct World {
    /// The key that signs WITs.
    pub ca: SigningKey,
    /// The key that signs access tokens.
    pub server: SigningKey,
    /// The key of the agent.
    pub agent: SigningKey,
    /// The WIT of the agent.
    pub wit: String,
    /// The access token of the agent, bound to its key.
    pub token: String,
    /// The origins whose WITs are trusted.
    pub trust: Arc<TrustStore>,
    /// The issuers whose access tokens are trusted.
    pub issuers: Arc<IssuerStore>,
    /// The time of the measurement.
    pub now: UnixTime,
}

impl World {
    /// Creates keys and tokens.
    ///
    /// # Errors
    ///
    /// If the backend cannot create keys.
    pub fn new(now: UnixTime) -> Result<Self, Box<dyn Error>> {
        Self::with(Algorithm::Es256, now)
    }

    /// Creates keys and tokens, with a key of this algorithm for the agent.
    ///
    /// # Errors
    ///
    /// If the backend cannot create keys.
    pub fn with(algorithm: Algorithm, now: UnixTime) -> Result<Self, Box<dyn Error>> {
        let key = || SigningKey::generate(Algorithm::Es256, AWS_LC);
        let (ca, server) = (key()?.with_key_id("ca"), key()?.with_key_id("as"));
        let agent = SigningKey::generate(algorithm, AWS_LC)?;
        // A WIT-SVID cannot have an Ed25519 key; a WIT of a `wimse` origin can.
        let (id, published) = match algorithm {
            Algorithm::Es256 => (
                "spiffe://example.org/agents/travel-planner",
                ca.public_jwk().clone().with_use("wit-svid"),
            ),
            _ => (
                "wimse://example.org/agents/travel-planner",
                ca.public_jwk().clone(),
            ),
        };
        let id = WorkloadId::parse(id)?;
        let issuer = WitIssuer::new(Arc::new(ca.clone()), None);
        let wit = issuer.issue(&id, agent.public_jwk(), LIFETIME, now)?;
        let document = format!(
            r#"{{"keys":[{}],"spiffe_sequence":1}}"#,
            published.to_json()
        );
        let bundle = Bundle::parse(&id.origin(), document.as_bytes(), AWS_LC)?;
        let issuers = IssuerStore::new();
        let jwks = format!(r#"{{"keys":[{}]}}"#, server.public_jwk().to_json());
        issuers.set(&ISSUER.parse()?, jwks.as_bytes(), AWS_LC)?;
        let claims = json!({
            "iss": ISSUER, "aud": TOOL, "sub": id.as_str(), "client_id": id.as_str(), "jti": "0a1b2c3d4e5f60718293a4b5",
            "iat": now.as_secs(), "exp": now.as_secs() + LIFETIME.as_secs(), "scope": "tools:call tools:list",
            "cnf": {"jwk": serde_json::from_str::<Value>(&agent.public_jwk().to_json())?},
        });
        let token = SigningInput::new("at+jwt", Algorithm::Es256, Some("as"), &claims)?;
        Ok(Self {
            wit: wit.expose().to_owned(),
            token: token.sign(&server)?.expose().to_owned(),
            trust: Arc::new(TrustStore::of([bundle])),
            issuers: Arc::new(issuers),
            ca,
            server,
            agent,
            now,
        })
    }

    /// Creates this number of proofs for one audience, each with its own `jti`.
    ///
    /// # Errors
    ///
    /// If the backend cannot sign.
    pub fn proofs(&self, audience: &str, count: usize) -> Result<Vec<String>, Box<dyn Error>> {
        let binding = Binding::to(audience);
        (0..count)
            .map(|_| {
                let lifetime = Duration::from_secs(300);
                let algorithm = Algorithm::Es256;
                let input =
                    binding.prepare(&self.wit, algorithm, lifetime, random::SYSTEM, self.now)?;
                Ok(input.sign(&self.agent)?.expose().to_owned())
            })
            .collect()
    }

    /// Creates this number of requests as a server receives them. Each has the WIT, the access
    /// token and an HTTP signature with its own nonce, and no content.
    ///
    /// # Errors
    ///
    /// If the backend cannot sign.
    pub fn calls(&self, count: usize) -> Result<Vec<Parts>, Box<dyn Error>> {
        let bearer = format!("Bearer {}", self.token);
        let request = Request::post("/mcp/call")
            .header("host", "tools.example")
            .header("workload-identity-token", &self.wit)
            .header("authorization", bearer);
        let unsigned = request.body(())?.into_parts().0;
        let signing = RequestSigning::to(CALL)?;
        (0..count)
            .map(|_| {
                let mut head = unsigned.clone();
                let message = HttpRequest::received(&unsigned, "https", "tools.example");
                let content = Content::Empty;
                let (prepared, _unasked) =
                    signing.prepare(&message, content, random::SYSTEM, self.now)?;
                prepared.sign(&self.agent)?.apply(&mut head.headers)?;
                Ok(head)
            })
            .collect()
    }

    /// Creates this number of requests as a server receives them. Each has one access token that is
    /// bound to the agent's key, and a DPoP proof with its own `jti`.
    ///
    /// # Errors
    ///
    /// If the backend cannot sign.
    pub fn dpop_calls(&self, count: usize) -> Result<Vec<Parts>, Box<dyn Error>> {
        let key = self.agent.public_jwk();
        let claims = json!({
            "iss": ISSUER, "aud": TOOL, "sub": "alice", "client_id": "web-client", "jti": "0a1b2c3d4e5f60718293a4b5",
            "iat": self.now.as_secs(), "exp": self.now.as_secs() + LIFETIME.as_secs(), "scope": "tools:call tools:list",
            "cnf": {"jkt": key.thumbprint().to_string()},
        });
        let token = SigningInput::new("at+jwt", Algorithm::Es256, Some("as"), &claims)?;
        let token = token.sign(&self.server)?;
        let hashed = Hashed::of(token.expose());
        let binding = dpop::Binding::to("POST", CALL).access_token(&hashed);
        let request = Request::post("/mcp/call")
            .header("host", "tools.example")
            .header("authorization", format!("DPoP {}", token.expose()));
        let unproven = request.body(())?.into_parts().0;
        (0..count)
            .map(|_| {
                let mut head = unproven.clone();
                let proof = binding.prepare(key, Algorithm::Es256, random::SYSTEM, self.now)?;
                let proof = proof.sign(&self.agent)?;
                head.headers.insert("dpop", proof.expose().parse()?);
                Ok(head)
            })
            .collect()
    }

    /// Creates a guard that trusts these keys.
    pub fn guard(&self) -> GuardBuilder<Trusting> {
        Guard::builder(TOOL)
            .trust(Arc::clone(&self.trust))
            .issuers(Arc::clone(&self.issuers))
            .http_signatures(HttpSignatures::new())
            .accept_proofs_before_start()
    }
}
