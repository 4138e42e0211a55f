//! The border to another domain: the bank accepts no token of the shop. The shop's border service
//! gives a grant for the bank's authorization server, which gives an access token for it, once
//! (draft-fletcher-oauth-txn-token-chaining-profile).

use std::sync::Arc;
use std::time::Duration;

use aims::agent::RequestAuth;
use aims::cred::TrustStore;
use aims::fetch::{Fetch as _, Fetcher};
use aims::guard::{Guard, HttpSignatures};
use aims::jose::jws::SigningInput;
use aims::jose::key::SigningKey;
use aims::jose::{Algorithm, random};
use aims::oauth_rs::{IssuerStore, ProvenKey};
use aims::oauth_wire::names::{Issuer, Resource, ScopeSet};
use aims::oauth_wire::token::Form;
use aims::replay::ReplayCache;
use aims::txn_token::{ChainGrant, ChainGrantRequest, ChainGrantRules, TxnToken};
use aims::{Agent, Principal, Requirements};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::{self, Failure, Holder, Reasons, es256, now, provider, published};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE: &str = "payments";

/// The bank, as the payments service of the shop sees it.
pub(crate) struct Bank {
    pub(crate) border: Border,
    pub(crate) url: String,
    pub(crate) holder: Holder,
    agent: Agent,
    fetcher: Fetcher,
}

/// The border service of the shop: it issues grants for the bank.
pub(crate) struct Border {
    key: SigningKey,
    issuer: Issuer,
    pub(crate) bank: Issuer,
}

impl Border {
    pub(crate) fn new(shop: &str, bank: &str) -> Result<Self, Failure> {
        Ok(Self {
            key: es256("border")?,
            issuer: Issuer::loopback(shop)?,
            bank: Issuer::loopback(bank)?,
        })
    }

    /// Issues a grant for this authorization server, bound to the key of the service that asks.
    pub(crate) fn grant(
        &self,
        token: &TxnToken,
        audience: &Issuer,
        resource: &str,
        service: &Holder,
    ) -> Result<String, Failure> {
        // The bank knows the customer by another name.
        let customer = "customer-7";
        let request =
            ChainGrantRequest::new(token, self.issuer.clone(), audience.clone(), customer)
                .scope(&SCOPE.parse()?)
                .resource(Resource::loopback(resource)?)
                .confirmation(&json!({"jwk": service.jwk}).to_string())?;
        let minute = Duration::from_secs(60);
        let key_id = self.key.public_jwk().key_id();
        let input = request.prepare(Algorithm::Es256, key_id, minute, random::SYSTEM, now())?;
        Ok(input.sign(&self.key)?.expose().to_owned())
    }
}

impl Bank {
    pub(crate) fn new(border: Border, holder: Holder) -> Result<Self, Failure> {
        let agent = world::agent(&holder, RequestAuth::Wpt, &[])?;
        Ok(Self {
            url: format!("{}/accounts", border.bank.as_str()),
            border,
            agent,
            holder,
            fetcher: world::fetcher()?,
        })
    }

    /// Pays within this transaction: a grant, an access token, and the call.
    pub(crate) async fn pay(&self, token: &TxnToken) -> Result<String, Failure> {
        let audience = &self.border.bank;
        let grant = self
            .border
            .grant(token, audience, &self.url, &self.holder)?;
        let (status, answer) = self.redeem(&self.agent, &grant, SCOPE).await?;
        let token = answer
            .get("access_token")
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{status} {answer}"))?;
        let request = paying(&self.holder, &self.url, token).await?;
        let answer = self.fetcher.send(request).await?;
        if !answer.status().is_success() {
            return Err(format!("the bank answered {}", answer.status()).into());
        }
        Ok(String::from_utf8(answer.into_body())?)
    }

    /// Presents a grant at the bank's authorization server (RFC 7523 §2.1).
    pub(crate) async fn redeem(
        &self,
        agent: &Agent,
        grant: &str,
        scope: &str,
    ) -> Result<(StatusCode, Value), Failure> {
        let form = format!("grant_type={JWT_BEARER}&assertion={grant}&scope={scope}");
        let form = form.replace(':', "%3A");
        let request = Request::post(format!("{}/token", self.border.bank.as_str()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)?;
        let (head, body) = agent.send(request).await?.into_parts();
        let body = body.bytes(64 * 1024).await?;
        Ok((
            head.status,
            serde_json::from_slice(&body).unwrap_or_default(),
        ))
    }
}

/// Returns a request to the bank with this access token, signed by this workload.
pub(crate) async fn paying(
    holder: &Holder,
    url: &str,
    token: &str,
) -> Result<Request<Vec<u8>>, Failure> {
    let agent = world::agent(holder, RequestAuth::HttpSignature, &[])?;
    let mut request = Request::post(url).body(Vec::new())?;
    let value = format!("Bearer {token}").parse()?;
    request.headers_mut().insert("authorization", value);
    drop(agent.prepare(&mut request, "").await?);
    Ok(request)
}

/// The bank's authorization server.
struct Server {
    own: Issuer,
    resource: String,
    key: SigningKey,
    rules: ChainGrantRules,
    shop: aims::jose::jwk::JwkSet,
    spent: ReplayCache,
    reasons: Reasons,
}

/// Starts the bank. It knows two things of the shop: the keys of its identities, and the key of its
/// border service.
pub(crate) fn start(
    listener: TcpListener,
    border: &Border,
    trust: &Arc<TrustStore>,
    reasons: &Reasons,
) -> Result<(), Failure> {
    let own = border.bank.clone();
    let resource = format!("{}/accounts", own.as_str());
    let key = es256("bank")?;
    let issuers = Arc::new(IssuerStore::default());
    let keys = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
    issuers.set(&own, keys.as_bytes(), provider())?;
    let guard = |url: &str| {
        Guard::builder(url)
            .trust(Arc::clone(trust))
            .record(reasons.clone())
            .accept_proofs_before_start()
    };
    let token = guard(&format!("{}/token", own.as_str())).build()?;
    let accounts = guard(&resource)
        .issuers(issuers)
        .http_signatures(HttpSignatures::new())
        .require(Requirements::new().scopes(SCOPE.parse()?))
        .build()?;
    let server = Arc::new(Server {
        rules: ChainGrantRules::new(own.clone(), border.issuer.clone()),
        shop: published(&border.key)?,
        spent: ReplayCache::in_memory(1_000),
        reasons: reasons.clone(),
        resource,
        own,
        key,
    });
    let router = Router::new()
        .route("/token", post(issue).layer(token.layer()))
        .route("/accounts", post(account).layer(accounts.layer()))
        .with_state(server);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

async fn account(who: Principal) -> String {
    format!("paid for {}", who.subject())
}

/// The token endpoint.
async fn issue(
    State(server): State<Arc<Server>>,
    who: Principal,
    body: bytes::Bytes,
) -> Response<String> {
    let (status, body) = match server.issue(&who, &body) {
        Ok(answer) => (StatusCode::OK, answer),
        Err((error, code)) => {
            server.reasons.set(code);
            (StatusCode::BAD_REQUEST, json!({"error": error}))
        }
    };
    let mut response = Response::new(body.to_string());
    *response.status_mut() = status;
    response
}

type Refused = (&'static str, &'static str);

impl Server {
    fn issue(&self, who: &Principal, body: &[u8]) -> Result<Value, Refused> {
        let bad = ("invalid_request", "malformed");
        let form = Form::parse(body).map_err(|_malformed| bad)?;
        if form.get("grant_type") != Some(JWT_BEARER) {
            return Err(("unsupported_grant_type", "grant_type"));
        }
        let assertion = form.get("assertion").ok_or(bad)?;
        let refused = |error: aims::txn_token::Error| ("invalid_grant", error.code());
        let grant = ChainGrant::verify(assertion, &self.shop, &self.rules, now());
        let grant = grant.map_err(refused)?;
        // The grant is good for the service that it was issued to.
        let key = who.credential().map(|it| it.key().thumbprint());
        let proven: Vec<_> = key
            .map(|key| ProvenKey::Signature(*key))
            .into_iter()
            .collect();
        grant.confirmed_by(&proven).map_err(refused)?;
        // From here on the grant is used up, whatever else is wrong.
        let grant = grant.spend(&self.spent, now()).map_err(refused)?;
        if grant.resources() != [self.resource.clone()] {
            return Err(("invalid_target", "resource"));
        }
        let asked = form.get("scope").ok_or(bad)?;
        let asked: ScopeSet = asked.parse().map_err(|_malformed| bad)?;
        if !asked.is_subset(grant.scopes()) {
            return Err(("invalid_scope", "scope"));
        }
        self.sign(&grant, who, &asked)
            .map_err(|_failed| ("server_error", "sign"))
    }

    /// Issues an access token with the key of the grant. There is no refresh token.
    fn sign(
        &self,
        grant: &ChainGrant,
        who: &Principal,
        scope: &ScopeSet,
    ) -> Result<Value, Failure> {
        let claims: Value = grant.claims()?;
        let now = now().as_secs();
        let expires = grant.expires().as_secs().min(now.saturating_add(60));
        let token = json!({
            "iss": self.own.as_str(), "aud": self.resource, "sub": grant.subject(),
            "client_id": who.agent().map(ToString::to_string), "iat": now, "exp": expires,
            "jti": random::id128(random::SYSTEM)?, "scope": scope.to_string(), "cnf": claims.get("cnf"),
        });
        let key_id = self.key.public_jwk().key_id();
        let input = SigningInput::new("at+jwt", Algorithm::Es256, key_id, &token)?;
        let token = input.sign(&self.key)?;
        Ok(
            json!({"access_token": token.expose(), "token_type": "Bearer",
            "expires_in": expires.saturating_sub(now)}),
        )
    }
}
