//! The tool's side: guards that accept the provider's tokens.

use std::sync::Arc;
use std::time::Duration;

use aims::cred::{Bundle, FixedSource, Identity, TrustStore, WitIssuer};
use aims::fetch::{Documents, Fetcher};
use aims::id::WorkloadId;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::provider;
use aims::jose::time::UnixTime;
use aims::keys::PublishedKeys;
use aims::oauth_wire::names::Issuer;
use aims::wpt::Revision;
use aims::{Agent, Guard, Principal, Refusal, Requirements};
use http::Request;
use http::request::Parts;

use crate::Failure;
use crate::agent::now;

/// Returns the issuers' keys. They are fetched again as soon as a token names an unknown one.
pub(crate) async fn published(
    fetcher: &Fetcher,
    issuer: &Issuer,
) -> Result<PublishedKeys, Failure> {
    let fetch = Arc::new(fetcher.clone());
    let documents = Documents::builder(fetch).refresh_interval(Duration::ZERO);
    let keys = PublishedKeys::builder_over(documents, provider::default())
        .issuer(issuer.clone())
        .build();
    keys.load().await?;
    Ok(keys)
}

/// Creates a guard that accepts bearer tokens with `tools:call` for this resource.
pub(crate) fn for_bearers(resource: &str, keys: &PublishedKeys) -> Result<Guard, Failure> {
    let scopes = Requirements::new().scopes("tools:call".parse()?);
    let guard = Guard::builder(resource).keys(keys);
    Ok(guard.require(scopes.accept_bearer()).build()?)
}

/// Returns a call of this guard's tool with a bearer token.
pub(crate) fn call(guard: &Guard, token: &str) -> Result<Parts, Failure> {
    let url: http::Uri = format!("{}/call", guard.resource()).parse()?;
    let host = url.authority().map_or("", |it| it.as_str()).to_owned();
    let request = Request::post(url)
        .header("host", host)
        .header("authorization", format!("Bearer {token}"));
    Ok(request.body(())?.into_parts().0)
}

/// Returns `ok`, or the code of the refusal.
pub(crate) fn told(verdict: Result<Principal, Refusal>) -> String {
    verdict.map_or_else(|refusal| refusal.code().to_owned(), |_| "ok".to_owned())
}

/// Returns the decision of a guard about a token at a time.
pub(crate) fn judge(guard: &Guard, token: &str, now: UnixTime) -> Result<String, Failure> {
    Ok(told(guard.check(&call(guard, token)?, now)))
}

/// Returns the decision of a guard about a token. Unknown keys are fetched.
pub(crate) async fn admit(guard: &Guard, token: &str) -> Result<String, Failure> {
    Ok(told(guard.admit(&call(guard, token)?).await))
}

/// Returns the token with one inverted bit in its signature: the highest of the first byte.
pub(crate) fn with_bent_signature(token: &str) -> Result<String, Failure> {
    let (signed, signature) = token.rsplit_once('.').ok_or("not a JWT")?;
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut rest = signature.chars();
    let first = rest.next().ok_or("no signature")?;
    let at = DIGITS.find(first).ok_or("not base64url")?;
    let bent = DIGITS.chars().nth(at ^ 0b10_0000).ok_or("not base64url")?;
    Ok(format!("{signed}.{bent}{}", rest.as_str()))
}

/// An identity authority of the tool's own, for agents that also prove their identity.
pub(crate) struct Identities {
    issuer: WitIssuer,
    pub(crate) trust: Arc<TrustStore>,
}

impl Identities {
    pub(crate) fn new() -> Result<Self, Failure> {
        let key = SigningKey::generate(Algorithm::Es256, provider::default())?.with_key_id("ids");
        let jwk = key.public_jwk().clone().with_use("wit-svid").to_json();
        let origin = "spiffe://example.org".parse()?;
        let bundle = format!(r#"{{"keys":[{jwk}],"spiffe_sequence":1}}"#);
        let bundle = Bundle::parse(&origin, bundle.as_bytes(), provider::default())?;
        Ok(Self {
            issuer: WitIssuer::new(Arc::new(key), None),
            trust: Arc::new(TrustStore::of([bundle])),
        })
    }

    /// Returns a call by this agent with the token, proven by its own key.
    pub(crate) fn call(&self, id: &str, url: &str, token: &str) -> Result<Parts, Failure> {
        let key = SigningKey::generate(Algorithm::Es256, provider::default())?;
        let minute = Duration::from_secs(60);
        let id = WorkloadId::parse(id)?;
        let wit = self.issuer.issue(&id, key.public_jwk(), minute, now())?;
        let public = key.public_jwk().clone();
        let identity = Identity::new(wit.into_secret(), Arc::new(key), &public)?;
        let agent = Agent::builder(FixedSource::new(identity));
        // The guard of this program verifies only heads, so token and proof use the older draft.
        let agent = agent.wpt_revision(Revision::Draft01).build()?;
        let request = Request::post(url).header("authorization", format!("Bearer {token}"));
        let mut request = request.body(())?;
        agent.prove(&mut request)?;
        Ok(request.into_parts().0)
    }
}
