//! The parties, their identities, and the codes of refusals.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aims::Agent;
use aims::agent::RequestAuth;
use aims::cred::{Bundle, FixedSource, Identity, TrustStore, WitIssuer};
use aims::fetch::Fetcher;
use aims::id::WorkloadId;
use aims::jose::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider::{self, Provider};
use aims::jose::secret::SecretText;
use aims::jose::time::{Clock as _, SystemClock, UnixTime};
use aims::oauth_client::{OfIdentity as _, Target, Token, TokenSource};
use aims::oauth_wire::client_auth::SpiffeWit;
use aims::oauth_wire::names::Resource;
use aims::record::{Event, Record};
use http::{HeaderMap, Request};

use crate::shop::{self, Shop};
use crate::supplier::{self, Place, Supplier};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

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

pub(crate) fn workload(name: &str) -> Result<WorkloadId, Failure> {
    Ok(WorkloadId::parse(&format!("spiffe://shop.example/{name}"))?)
}

/// The issuer of the identities of the shop's agents.
pub(crate) struct Identities {
    pub(crate) key: SigningKey,
}

impl Identities {
    /// Returns what another organisation needs to know the shop's agents.
    pub(crate) fn bundle(&self) -> Result<Bundle, Failure> {
        let origin = workload("any")?.origin();
        let jwk = self.key.public_jwk().clone().with_use("wit-svid").to_json();
        let document = format!(r#"{{"keys":[{jwk}],"spiffe_sequence":1}}"#);
        Ok(Bundle::parse(&origin, document.as_bytes(), provider())?)
    }

    pub(crate) fn trust(&self) -> Result<Arc<TrustStore>, Failure> {
        Ok(Arc::new(TrustStore::of([self.bundle()?])))
    }

    fn holder(&self, name: &str) -> Result<FixedSource, Failure> {
        let key = es256("workload")?;
        let issuer = WitIssuer::new(Arc::new(self.key.clone()), None);
        let hour = Duration::from_secs(3_600);
        let wit = issuer.issue(&workload(name)?, key.public_jwk(), hour, now())?;
        let jwk = key.public_jwk().clone();
        let wit = SecretText::new(wit.expose());
        Ok(FixedSource::new(Identity::new(wit, Arc::new(key), &jwk)?))
    }
}

/// All parties.
pub(crate) struct World {
    pub(crate) shop: Shop,
    pub(crate) supplier: Supplier,
    /// A further organisation that the shop's agents deal with.
    pub(crate) other: Supplier,
    pub(crate) buyer: Caller,
    pub(crate) mallory: Caller,
    reasons: Reasons,
}

/// An agent of the shop, at each of the servers.
pub(crate) struct Caller {
    pub(crate) client: SpiffeWit,
    pub(crate) at_shop: TokenSource,
    pub(crate) at_supplier: TokenSource,
    pub(crate) at_other: TokenSource,
    agent: Agent,
}

impl World {
    /// Starts the servers and the tool.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let identities = Identities {
            key: es256("identities")?,
        };
        let (place, tool) = (Place::new("").await?, Place::new("/order").await?);
        let shop = shop::start(&identities, &place.url, &tool.url).await?;
        let supplier = supplier::start(place, &tool.url, &shop, &identities)?;
        let other = Place::new("").await?;
        let other = supplier::start(other, &tool.url, &shop, &identities)?;
        let reasons = Reasons::default();
        supplier::start_tool(tool, &supplier, &identities, reasons.clone())?;
        let caller = |name: &str| Caller::new(identities.holder(name)?, &shop, &supplier, &other);
        Ok(Self {
            buyer: caller("buyer")?,
            mallory: caller("mallory")?,
            shop,
            supplier,
            other,
            reasons,
        })
    }

    /// Returns the tool with this scope, as a client asks for a token.
    pub(crate) fn target(&self, scope: &str) -> Result<Target, Failure> {
        let tool = Resource::loopback(&self.supplier.tool)?;
        Ok(Target::new(tool, scope.parse()?))
    }

    /// Calls the tool with this `Authorization`, with a signature of the caller. Returns the
    /// status, the code in the record of the tool, and its answer.
    pub(crate) async fn call(
        &self,
        caller: &Caller,
        authorization: HeaderMap,
    ) -> Result<(u16, String, String), Failure> {
        use aims::fetch::Fetch as _;

        let mut request = Request::post(&self.supplier.tool).body(Vec::new())?;
        request.headers_mut().extend(authorization);
        drop(caller.agent.prepare(&mut request, "").await?);
        let answer = fetcher()?.send(request).await?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        Ok((answer.status().as_u16(), self.reasons.take(), body))
    }
}

impl Caller {
    fn new(
        identity: FixedSource,
        shop: &Shop,
        supplier: &Supplier,
        other: &Supplier,
    ) -> Result<Self, Failure> {
        let client = SpiffeWit::of(identity.clone())?;
        let source = |metadata| -> Result<TokenSource, Failure> {
            Ok(TokenSource::new(metadata, client.clone(), fetcher()?))
        };
        Ok(Self {
            at_shop: source((*shop.metadata).clone())?,
            at_supplier: source(supplier.metadata.clone())?,
            at_other: source(other.metadata.clone())?,
            agent: Agent::builder(identity)
                .fetcher(fetcher()?)
                .proof(RequestAuth::HttpSignature)
                .build()?,
            client,
        })
    }

    /// Returns the agent's token for the catalog of the shop.
    pub(crate) async fn own_token(&self) -> Result<Arc<Token>, Failure> {
        let catalog: Resource = shop::CATALOG.parse()?;
        let scopes = shop::SCOPES.parse()?;
        Ok(self.at_shop.token_for(&catalog, &scopes).await?)
    }
}

/// Keeps the code of the last answer of the tool. Its operator sees it; callers do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons(Arc<Mutex<String>>);

impl Reasons {
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Record for Reasons {
    fn record(&self, event: &Event<'_>) {
        let reason = event.reasons.first().map(|reason| &*reason.code);
        let reason = match event.code {
            Some(code) => reason.unwrap_or(code),
            None => "accepted",
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_owned();
    }
}
