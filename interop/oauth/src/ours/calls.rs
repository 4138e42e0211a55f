//! Calls of a tool that the project's client prepares, for a resource server of another project.

use std::sync::Arc;

use aims::fetch::Fetcher;
use aims::jose::provider;
use aims::jose::time::SystemClock;
use aims::oauth_client::{ClientCredentials, DpopKey, Token, TokenFlow, TokenRules, drive};
use aims::oauth_wire::client_auth::{Authenticate, ClientSecretBasic};
use aims::oauth_wire::metadata::ServerMetadata;
use aims::oauth_wire::names::{Issuer, Resource};
use http::{HeaderMap, HeaderValue, Method, Request};
use serde_json::{Value, json};

use crate::Failure;
use crate::agent::{discover, now};

/// The parts of each call.
struct Caller<'a> {
    fetcher: &'a Fetcher,
    server: Arc<ServerMetadata>,
    tool: &'a str,
    secret: &'a str,
}

/// Returns the steps, with what must come of each and the header fields, as JSON. The tool has the
/// path `/jwt`.
pub(crate) async fn prepare(
    fetcher: &Fetcher,
    issuer: &Issuer,
    tool: &str,
    secret: &str,
) -> Result<String, Failure> {
    let caller = Caller {
        fetcher,
        server: Arc::new(discover(fetcher, issuer).await?),
        tool,
        secret,
    };
    let bearer = caller.token("jwt", None).await?;
    let elsewhere = caller.token("elsewhere", None).await?;
    let (own, other) = (
        DpopKey::generate(provider::default())?,
        DpopKey::generate(provider::default())?,
    );
    let bound = caller.token("jwt", Some(&own)).await?;
    let others = caller.token("jwt", Some(&other)).await?;
    let post = Method::POST;
    let good = caller.fields(&bound, &post, "jwt/call").await?;
    let foreign = caller.fields(&others, &post, "jwt/call").await?;
    let mut stolen = HeaderMap::new();
    let mut with_foreign = good.clone();
    let token = good.get("authorization").ok_or("no token")?.to_str()?;
    let as_bearer = token.replacen("DPoP", "Bearer", 1);
    stolen.insert("authorization", HeaderValue::from_str(&as_bearer)?);
    let proof = foreign.get("dpop").ok_or("no proof")?.clone();
    with_foreign.insert("dpop", proof);
    let mut alone = good.clone();
    alone.remove("dpop");
    let read = caller.fields(&bound, &Method::GET, "jwt/call").await?;
    let there = caller.fields(&bound, &post, "jwt/other").await?;
    let bearer = caller.fields(&bearer, &post, "jwt/call").await?;
    let elsewhere = caller.fields(&elsewhere, &post, "jwt/call").await?;
    let invalid_token = "401 challenge invalid_token";
    let invalid_proof = "401 challenge invalid_dpop_proof";
    let steps = [
        ("a bearer token", "200", bearer),
        ("a token for another tool", invalid_token, elsewhere),
        ("a bound token with its proof", "200", good),
        ("the bound token as a bearer token", invalid_token, stolen),
        ("without a proof", "400 challenge invalid_request", alone),
        ("with the proof of another key", invalid_proof, with_foreign),
        ("with a proof for another method", invalid_proof, read),
        ("with a proof for another URL", invalid_proof, there),
    ];
    let steps = steps.into_iter().map(|(step, expected, fields)| {
        let fields = fields.iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), Value::from(value)))
        });
        let fields: serde_json::Map<String, Value> = fields.collect();
        json!({ "step": step, "expected": expected, "fields": fields })
    });
    Ok(Value::from_iter(steps).to_string())
}

impl Caller<'_> {
    async fn token(&self, kind: &str, key: Option<&DpopKey>) -> Result<Token, Failure> {
        let id = key.map_or("agent", |_| "agent-dpop");
        let client = ClientSecretBasic::new(id.parse()?, self.secret.into());
        let client: Arc<dyn Authenticate> = Arc::new(client);
        let resource = Resource::loopback(&format!("{}/{kind}", self.tool))?;
        let grant = Arc::new(ClientCredentials::new(resource).scopes("tools:call".parse()?));
        let (server, rules) = (Arc::clone(&self.server), TokenRules::new());
        let first = match key {
            Some(key) => {
                let key = key.clone();
                TokenFlow::begin_bound(grant, client, server, rules, key, now())?
            }
            None => TokenFlow::begin(grant, client, server, rules, now())?,
        };
        Ok(drive(first, self.fetcher, &SystemClock::new()).await?)
    }

    /// Returns the header fields of a call with this token.
    async fn fields(
        &self,
        token: &Token,
        method: &Method,
        path: &str,
    ) -> Result<HeaderMap, Failure> {
        let url = format!("{}/{path}", self.tool);
        let request = Request::builder().method(method).uri(url);
        let mut request = request.body(())?;
        token.authorize(&mut request, now()).await?;
        Ok(request.into_parts().0.headers)
    }
}
