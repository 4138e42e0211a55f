//! The steps, and the expected answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aims::fetch::Fetch as _;
use aims::jose::time::SystemClock;
use aims::oauth_client::{
    ApprovalRequest, Approve as _, Backchannel, BackchannelRequest, Error, OfIdentity as _, Target,
    Token, TokenFlow, TokenRules, drive,
};
use aims::oauth_wire::call::ToolCall;
use aims::oauth_wire::client_auth::{Authenticate, SpiffeWit};
use aims::oauth_wire::names::Resource;
use http::Request;

use crate::person::{self, Decision};
use crate::world::{self, Failure, PERSON, SCOPE, World};

/// One line of the table.
pub(crate) struct Line {
    sent: &'static str,
    found: (u16, String),
    expected: (u16, &'static str),
}

impl Line {
    pub(crate) fn is_good(&self) -> bool {
        (self.found.0, &*self.found.1) == self.expected
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, found, .. } = self;
        let good = if self.is_good() { "yes" } else { "NO" };
        write!(f, "{sent:<52} {:>6}  {:<29} {good}", found.0, found.1)
    }
}

const TRANSFER: &str = r#"{"to":"bob","amount":250}"#;

fn message(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

fn transfer() -> Result<ToolCall, Failure> {
    Ok(ToolCall::new("transfer", Some(TRANSFER.as_bytes()))?)
}

/// The agent calls the tool. The tool answers that a person must approve, so the agent asks, and
/// calls again. The person compares the code and approves.
pub(crate) async fn first(world: &mut World) -> Result<(), Failure> {
    let content = message("transfer", TRANSFER);
    let request = Request::post(format!("{}/call", world.tool))
        .extension(transfer()?)
        .body(content)?;
    let (agent, fetcher) = (world.agent.clone(), world.fetcher.clone());
    let (authority, codes) = (world.authority.clone(), &mut world.codes);
    let person = async {
        let code = codes.recv().await.ok_or("the agent shows no code")?;
        println!(
            "The agent shows the code {code} and waits. {PERSON} opens {authority}/approvals:\n"
        );
        let page = person::open(&authority, &fetcher).await?;
        for line in page.lines() {
            println!("    {line}");
        }
        if !page.shows(&code) {
            return Err("the page shows another code".into());
        }
        let answer = page.submit(Decision::Allow, &fetcher).await?;
        println!("\n{PERSON} approves: {}\n", answer.status().as_u16());
        Ok::<(), Failure>(())
    };
    let (answer, decided) = tokio::join!(agent.send(request), person);
    decided?;
    let (head, body) = answer?.into_parts();
    let body = body.bytes(64 * 1024).await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    println!("the tool answers {}: {body}\n", head.status.as_u16());
    if world.reasons.take() != "accepted" || !body.ends_with(&format!(" for {PERSON}")) {
        return Err("the approved call was not made".into());
    }
    Ok(())
}

pub(crate) async fn all(world: &mut World) -> Result<Vec<Line>, Failure> {
    let mut lines = calls(world).await?;
    lines.extend(decisions(world).await?);
    lines.extend(requests(world).await?);
    Ok(lines)
}

/// Calls with and without the approval.
async fn calls(world: &mut World) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    let mut line = |sent, found, expected| {
        lines.push(Line {
            sent,
            found,
            expected,
        });
    };
    let plain = plain_token(world).await?;
    line(
        "the call, without an approval",
        send(world, &plain, "transfer", TRANSFER).await?,
        (403, "guard.approval"),
    );
    let token = approved(world, &transfer()?).await?;
    let other = r#"{"to":"bob","amount":9000}"#;
    line(
        "the approved call, with another amount",
        send(world, &token, "transfer", other).await?,
        (403, "guard.approval_call"),
    );
    let other = r#"{"to":"mallory","amount":250}"#;
    line(
        "the approved call, to another payee",
        send(world, &token, "transfer", other).await?,
        (403, "guard.approval_call"),
    );
    let other = r#"{"to":"bob","amount":250,"fee":100}"#;
    line(
        "the approved call, with one more argument",
        send(world, &token, "transfer", other).await?,
        (403, "guard.approval_call"),
    );
    line(
        "the approved arguments, for another tool",
        send(world, &token, "close_account", TRANSFER).await?,
        (403, "guard.approval_call"),
    );
    let same = r#"{ "amount": 2.5e2, "to": "bob" }"#;
    line(
        "the approved call, written in another way",
        send(world, &token, "transfer", same).await?,
        (200, "accepted"),
    );
    line(
        "the approved call, a second time",
        send(world, &token, "transfer", TRANSFER).await?,
        (403, "guard.approval_used"),
    );
    Ok(lines)
}

/// Decisions of the person, and what follows.
async fn decisions(world: &mut World) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    let call = transfer()?;
    let denied = ask(world, &call, Duration::from_secs(60)).await?;
    let page = person::open(&world.authority, &world.fetcher).await?;
    let forged = page
        .submit_with("x", Decision::Allow, &world.fetcher)
        .await?;
    lines.push(Line {
        sent: "an approval by a form of another page",
        found: (forged.status().as_u16(), title(forged.body())),
        expected: (403, "The request was refused"),
    });
    page.submit(Decision::Deny, &world.fetcher).await?;
    lines.push(Line {
        sent: "a request that the person denied",
        found: redeem(world, denied).await?,
        expected: (400, "access_denied"),
    });
    let late = ask(world, &call, Duration::from_secs(1)).await?;
    let page = person::open(&world.authority, &world.fetcher).await?;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let answer = page.submit(Decision::Allow, &world.fetcher).await?;
    lines.push(Line {
        sent: "an approval that comes too late",
        found: (answer.status().as_u16(), title(answer.body())),
        expected: (403, "The request was refused"),
    });
    lines.push(Line {
        sent: "a request that was not decided in time",
        found: redeem(world, late).await?,
        expected: (400, "expired_token"),
    });
    let once = ask(world, &call, Duration::from_secs(60)).await?;
    let page = person::open(&world.authority, &world.fetcher).await?;
    page.submit(Decision::Allow, &world.fetcher).await?;
    lines.push(Line {
        sent: "a request that the person approved",
        found: redeem(world, once.clone()).await?,
        expected: (200, "a token"),
    });
    lines.push(Line {
        sent: "the same request, for a second token",
        found: redeem(world, once).await?,
        expected: (400, "invalid_grant"),
    });
    Ok(lines)
}

/// Requests that would show the person something else than what is approved.
async fn requests(world: &World) -> Result<Vec<Line>, Failure> {
    let resource = Resource::loopback(&world.tool)?;
    let honest = transfer()?.details(resource.as_str()).to_json();
    let shown = honest.replace("250", "2");
    let message = "Your bank: approve this refund";
    let mut lines = Vec::new();
    for (sent, details, message, expected) in [
        (
            "details that show 2 and are signed for 250",
            &shown,
            None,
            "invalid_authorization_details",
        ),
        (
            "a message of the agent beside the call",
            &honest,
            Some(message),
            "invalid_binding_message",
        ),
    ] {
        let target = Target::new(resource.clone(), "openid".parse()?).with_details(details)?;
        let mut request = BackchannelRequest::new(target, PERSON).pinged_at(&world.pings);
        if let Some(message) = message {
            request = request.binding_message(message);
        }
        let begun = request.begin(client(world)?, Arc::clone(&world.server), world::now())?;
        let found = drive(begun, &world.fetcher, &SystemClock::new()).await;
        lines.push(Line {
            sent,
            found: told(found.map(drop))?,
            expected: (400, expected),
        });
    }
    Ok(lines)
}

fn client(world: &World) -> Result<Arc<dyn Authenticate>, Failure> {
    Ok(Arc::new(SpiffeWit::of(world.source.clone())?))
}

/// Returns the agent's own token, which permits no call by itself.
async fn plain_token(world: &World) -> Result<Token, Failure> {
    let resource = Resource::loopback(&world.tool)?;
    let grant = aims::oauth_client::ClientCredentials::new(resource);
    let grant = grant.scopes("tools:call".parse()?);
    let (server, rules) = (Arc::clone(&world.server), TokenRules::new());
    let first = TokenFlow::begin(Arc::new(grant), client(world)?, server, rules, world::now())?;
    Ok(drive(first, &world.fetcher, &SystemClock::new()).await?)
}

/// Asks the person for this call, who approves it.
async fn approved(world: &mut World, call: &ToolCall) -> Result<Token, Failure> {
    let resource = Resource::loopback(&world.tool)?;
    // The tool requires this scope beside the approval. The agent reads that from its refusal.
    let request = ApprovalRequest::new(call.clone(), resource).requiring(SCOPE.parse()?);
    let (approval, fetcher) = (world.approval.clone(), world.fetcher.clone());
    let (authority, codes) = (world.authority.clone(), &mut world.codes);
    let person = async {
        let code = codes.recv().await.ok_or("the agent shows no code")?;
        let page = person::open(&authority, &fetcher).await?;
        if !page.shows(&code) {
            return Err("the page shows another code".into());
        }
        page.submit(Decision::Allow, &fetcher).await?;
        Ok::<(), Failure>(())
    };
    let (token, decided) = tokio::join!(approval.approve(&request), person);
    decided?;
    Ok(token?)
}

/// Sends a call with this token, signed by the agent.
async fn send(
    world: &World,
    token: &Token,
    tool: &str,
    arguments: &str,
) -> Result<(u16, String), Failure> {
    let request = Request::post(format!("{}/call", world.tool));
    let mut request = request.body(message(tool, arguments).into_bytes())?;
    token.apply(request.headers_mut())?;
    let _unsigned_answer = world.signer.sign(&mut request)?;
    let answer = world.fetcher.send(request).await?;
    Ok((answer.status().as_u16(), world.reasons.take()))
}

/// Asks the person, and does not wait.
async fn ask(world: &World, call: &ToolCall, expiry: Duration) -> Result<Backchannel, Failure> {
    let resource = Resource::loopback(&world.tool)?;
    let details = call.details(resource.as_str()).to_json();
    let target = Target::new(resource, "openid".parse()?).with_details(&details)?;
    let request = BackchannelRequest::new(target, PERSON).pinged_at(&world.pings);
    let request = request.requested_expiry(expiry);
    let first = request.begin(client(world)?, Arc::clone(&world.server), world::now())?;
    Ok(drive(first, &world.fetcher, &SystemClock::new()).await?)
}

/// Fetches what was decided.
async fn redeem(world: &World, waiting: Backchannel) -> Result<(u16, String), Failure> {
    let (server, rules) = (Arc::clone(&world.server), TokenRules::new());
    let grant = Arc::new(waiting);
    let first = TokenFlow::begin(grant, client(world)?, server, rules, world::now())?;
    let found = drive(first, &world.fetcher, &SystemClock::new()).await;
    told(found.map(drop))
}

/// Returns the error of the server, whose status is 400 for all of them.
fn told(found: Result<(), Error>) -> Result<(u16, String), Failure> {
    match found {
        Ok(()) => Ok((200, "a token".to_owned())),
        Err(error) => match error.refusal() {
            Some(refusal) => Ok((refusal.status().as_u16(), refusal.error().to_owned())),
            None => Err(error.into()),
        },
    }
}

/// Returns the title of a page.
fn title(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let title = page.split("<title>").nth(1).unwrap_or_default();
    title.split('<').next().unwrap_or_default().to_owned()
}
