//! Attacks that must fail. Each differs in one thing from a valid request.

use std::sync::Arc;
use std::time::Duration;

use aims::cred::WitIssuer;
use aims::fetch::Fetch as _;
use aims::id::WorkloadId;
use aims::jose::alg::Algorithm;
use aims::jose::key::SigningKey;
use aims::jose::secret::SecretText;
use aims::jose::time::UnixTime;
use aims::jose::{base64url, random};
use aims::oauth_client::TokenSource;
use aims::oauth_wire::names::Resource;
use aims::wpt::{Binding, Revision, fields};
use http::Request;
use http::header::{AUTHORIZATION, HeaderMap};

use crate::signed;
use crate::world::{self, Failure, Holder, SCOPE, World};

/// One line of the table: what was sent, and the expected answer.
struct Step {
    sent: &'static str,
    request: Request<Vec<u8>>,
    status: u16,
    why: &'static str,
}

/// One line of the table, with its result.
pub(crate) struct Line {
    pub(crate) sent: &'static str,
    pub(crate) status: u16,
    pub(crate) why: String,
    pub(crate) good: bool,
}

/// Tries all attacks, prints the table, and returns the number of unexpected results.
pub(crate) async fn run(
    world: &World,
    planner: &Holder,
    intern: &Holder,
    source: &TokenSource,
) -> Result<usize, Failure> {
    println!(
        "What is sent to the tool, the HTTP status that comes back, and why: the code in the tool's own record, in the last line\nthe agent's. Who calls is told less.\n"
    );
    println!("{:<46} {:>6}  {:<22} as it should", "sent", "status", "why");
    let mut lines = Vec::new();
    for step in steps(world, planner, intern, source).await? {
        let answer = world.fetcher.send(step.request).await?;
        let (status, why) = (answer.status().as_u16(), world.reasons.take());
        lines.push(Line {
            sent: step.sent,
            status,
            good: status == step.status && why == step.why,
            why,
        });
    }
    lines.extend(signed::lines(world, planner, source).await?);
    let mut wrong = 0_usize;
    for Line {
        sent,
        status,
        why,
        good,
    } in lines
    {
        wrong = wrong.saturating_add(usize::from(!good));
        let good = if good { "yes" } else { "NO" };
        println!("{sent:<46} {status:>6}  {why:<22} {good}");
    }
    Ok(wrong)
}

async fn steps(
    world: &World,
    planner: &Holder,
    intern: &Holder,
    source: &TokenSource,
) -> Result<Vec<Step>, Failure> {
    let (resource, scope) = (Resource::loopback(&world.tool)?, SCOPE.parse()?);
    let token = source.token_for(&resource, &scope).await?;
    let mut own = HeaderMap::new();
    token.apply(&mut own)?;
    let (_, others) = world::agent(intern, &world.tool, &world.authority, &world.fetcher).await?;
    let mut foreign = HeaderMap::new();
    others
        .token_for(&resource, &scope)
        .await?
        .apply(&mut foreign)?;

    let url = format!("{}/call", world.tool);
    let call = |holder: &Holder, signer: &SigningKey, audience: &str, authorization: &HeaderMap| {
        proven(&url, &holder.wit, signer, audience, authorization)
    };
    let good = call(planner, &planner.key, &url, &own)?;
    let step = |sent, request, status, why| Step {
        sent,
        request,
        status,
        why,
    };

    let mut bare = Request::post(&url).body(Vec::new())?;
    bare.headers_mut().extend(own.clone());
    let mut no_token = call(planner, &planner.key, &url, &HeaderMap::new())?;
    no_token.headers_mut().remove(AUTHORIZATION);

    let now = world::now().as_secs();
    let hours_ago = UnixTime::since_unix_epoch(Duration::from_secs(now.saturating_sub(7_200)));
    let minute = Duration::from_secs(60);
    let id = world::identity(planner)?.id().clone();
    let issue = |key: &SigningKey, id: &WorkloadId, at| -> Result<Holder, Failure> {
        let issuer = WitIssuer::new(Arc::new(key.clone()), None);
        let wit = issuer.issue(id, planner.key.public_jwk(), minute, at)?;
        Ok(Holder {
            key: planner.key.clone(),
            wit: wit.into_secret(),
        })
    };
    let expired = issue(&world.identity_key, &id, hours_ago)?;
    let elsewhere = WorkloadId::parse("spiffe://example.com/agent/planner")?;
    let elsewhere = issue(&world.identity_key, &elsewhere, world::now())?;
    let forger = SigningKey::generate(Algorithm::Es256, world::provider())?;
    let forged = issue(&forger.with_key_id("quickstart"), &id, world::now())?;
    let none = with_header(
        &planner.wit,
        r#"{"alg":"none","typ":"wit+jwt","kid":"quickstart"}"#,
    );
    let mac = with_header(
        &planner.wit,
        r#"{"alg":"HS256","typ":"wit+jwt","kid":"quickstart"}"#,
    );
    let own_key = format!(
        r#"{{"alg":"ES256","typ":"wit+jwt","jwk":{}}}"#,
        planner.key.public_jwk().to_json()
    );
    let own_key = with_header(&planner.wit, &own_key);
    let tricked = |wit: &SecretText| proven(&url, wit, &planner.key, &url, &own);

    Ok(vec![
        step("the agent's own call", good.clone(), 200, "accepted"),
        step(
            "the same again: a replayed WPT",
            good,
            400,
            "replay.replayed",
        ),
        step("a token, but no proof", bare, 400, "guard.proof"),
        step("a proof, but no token", no_token, 401, "token.missing"),
        step(
            "a stolen WIT, without its key",
            call(planner, &intern.key, &url, &own)?,
            400,
            "wpt.signature",
        ),
        step(
            "a WPT for another tool",
            call(planner, &planner.key, "https://other.example/call", &own)?,
            400,
            "wpt.audience",
        ),
        step(
            "another agent's access token",
            call(planner, &planner.key, &url, &foreign)?,
            401,
            "token.not_bound",
        ),
        step(
            "an identity that has expired",
            call(&expired, &planner.key, &url, &own)?,
            400,
            "wit.expired",
        ),
        step(
            "an identity of another trust domain",
            call(&elsewhere, &planner.key, &url, &own)?,
            400,
            "trust.unknown_origin",
        ),
        step(
            "an identity by a forger's key",
            call(&forged, &planner.key, &url, &own)?,
            400,
            "wit.signature",
        ),
        step("`alg`: none", tricked(&none)?, 400, "wit.algorithm"),
        step(
            "`alg`: HS256, keyed with a public key",
            tricked(&mac)?,
            400,
            "wit.algorithm",
        ),
        step(
            "a WIT that brings its own key",
            tricked(&own_key)?,
            400,
            "jws.key_in_header",
        ),
    ])
}

/// Makes a request like an agent, but with parts that do not belong together.
fn proven(
    url: &str,
    wit: &SecretText,
    signer: &SigningKey,
    audience: &str,
    authorization: &HeaderMap,
) -> Result<Request<Vec<u8>>, Failure> {
    let mut request = Request::post(url).body(Vec::new())?;
    request.headers_mut().extend(authorization.clone());
    let token = authorization
        .get(AUTHORIZATION)
        .map(|value| value.to_str())
        .transpose()?;
    let mut binding = Binding::to(audience).revision(Revision::Draft01);
    if let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) {
        binding = binding.access_token(token);
    }
    let half = Duration::from_secs(30);
    let input = binding.prepare(
        wit.expose(),
        Algorithm::Es256,
        half,
        random::SYSTEM,
        world::now(),
    )?;
    let wpt = input.sign(signer)?;
    let headers = request.headers_mut();
    fields::apply(headers, wit.expose(), wpt.expose(), Revision::Draft01)?;
    Ok(request)
}

/// Returns the same token with another header.
fn with_header(wit: &SecretText, header: &str) -> SecretText {
    let rest = wit.expose().split_once('.').map_or("", |(_, rest)| rest);
    SecretText::new(format!("{}.{rest}", base64url::encode(header.as_bytes())))
}
