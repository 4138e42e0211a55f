//! The things that the parties share: identities, keys, and the codes of refusals.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims::Agent;
use aims::agent::{AgentBuilder, RequestAuth};
use aims::cred::{Bundle, FixedSource, Identity, TrustStore, WitIssuer};
use aims::fetch::Fetcher;
use aims::id::WorkloadId;
use aims::jose::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider::{self, Provider};
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock, UnixTime};
use aims::record::{Event, Record};
use serde_json::Value;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The trust domain of the shop.
pub(crate) const DOMAIN: &str = "shop.example";
/// The tool that the agent calls, and its arguments.
pub(crate) const TOOL: &str = "order";
pub(crate) const ORDER: &str = r#"{"item":"book","amount":10}"#;

pub(crate) fn provider() -> &'static dyn Provider {
    provider::default()
}

pub(crate) fn now() -> UnixTime {
    SystemClock::new().now()
}

pub(crate) fn es256(name: &str) -> Result<SigningKey, Failure> {
    Ok(SigningKey::generate(Algorithm::Es256, provider())?.with_key_id(name))
}

pub(crate) fn fetcher() -> Result<Fetcher, Failure> {
    Ok(Fetcher::builder().allow_loopback_http().build()?)
}

/// The issuer of the workloads' identities.
#[derive(Clone)]
pub(crate) struct Identities {
    pub(crate) key: SigningKey,
}

impl Identities {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            key: es256("identities")?,
        })
    }

    /// Returns what a service needs to verify identities.
    pub(crate) fn trust(&self) -> Result<Arc<TrustStore>, Failure> {
        Ok(Arc::new(TrustStore::of([self.bundle()?])))
    }

    /// Returns what another organisation needs to know the shop's services.
    pub(crate) fn bundle(&self) -> Result<Bundle, Failure> {
        let origin = workload("any")?.origin();
        let jwk = self.key.public_jwk().clone().with_use("wit-svid").to_json();
        let document = format!(r#"{{"keys":[{jwk}],"spiffe_sequence":1}}"#);
        Ok(Bundle::parse(&origin, document.as_bytes(), provider())?)
    }

    /// Returns a new identity of this workload.
    pub(crate) fn holder(&self, name: &str) -> Result<Holder, Failure> {
        let key = es256("workload")?;
        let issuer = WitIssuer::new(Arc::new(self.key.clone()), None);
        let hour = Duration::from_secs(3_600);
        let wit = issuer.issue(&workload(name)?, key.public_jwk(), hour, now())?;
        let jwk = key.public_jwk().clone();
        let wit = SecretText::new(wit.expose());
        Ok(Holder {
            source: FixedSource::new(Identity::new(wit, Arc::new(key), &jwk)?),
            jwk: serde_json::from_str(&jwk.to_json())?,
        })
    }
}

/// A workload, with the public half of its key.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) source: FixedSource,
    pub(crate) jwk: Value,
}

/// Returns the identifier of a workload of the shop.
pub(crate) fn workload(name: &str) -> Result<WorkloadId, Failure> {
    Ok(WorkloadId::parse(&format!("spiffe://{DOMAIN}/{name}"))?)
}

/// Returns an agent with this identity, whose transactions may go to these services.
pub(crate) fn agent(
    holder: &Holder,
    method: RequestAuth,
    services: &[String],
) -> Result<Agent, Failure> {
    let services = services
        .iter()
        .map(|it| aims::oauth_wire::names::Resource::loopback(it));
    let services: Vec<_> = services.collect::<Result<_, _>>()?;
    let builder: AgentBuilder = Agent::builder(holder.source.clone());
    Ok(builder
        .fetcher(fetcher()?)
        .proof(method)
        .trust_domain(DOMAIN, services)
        .build()?)
}

/// Keeps the code of the last refusal in any of the services. Their operators see it; callers do
/// not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons(Arc<Mutex<String>>);

impl Reasons {
    pub(crate) fn set(&self, code: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        code.clone_into(&mut last);
    }

    pub(crate) fn take(&self) -> String {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut last)
    }
}

impl Record for Reasons {
    fn record(&self, event: &Event<'_>) {
        let reason = event.reasons.first().map(|reason| &*reason.code);
        self.set(match event.code {
            Some(code) => reason.unwrap_or(code),
            None => "accepted",
        });
    }
}
