//! HTTP message signatures: the agent signs its call with the content, and accepts only an answer
//! that the tool has signed.

use std::sync::Arc;

use aims::Agent;
use aims::agent::{PendingResponse, RequestAuth, SignedResponses};
use aims::cred::FixedSource;
use aims::fetch::Fetch as _;
use aims::oauth_client::TokenSource;
use aims::oauth_wire::names::Resource;
use http::{Request, Response};

use crate::TOOL;
use crate::attacks::Line;
use crate::world::{self, Failure, Holder, SCOPE, World};

/// Makes a valid call, one that was changed on its way, and one whose answer was changed.
pub(crate) async fn lines(
    world: &World,
    planner: &Holder,
    source: &TokenSource,
) -> Result<[Line; 3], Failure> {
    let tools = SignedResponses::of(TOOL.parse()?, Arc::clone(&world.trust));
    let agent = Agent::builder(FixedSource::new(world::identity(planner)?))
        .client(world.fetcher.clone())
        .proof(RequestAuth::HttpSignature)
        .signed_responses(tools)
        .build()?;
    let (resource, scope) = (Resource::loopback(&world.tool)?, SCOPE.parse()?);
    let token = source.token_for(&resource, &scope).await?;
    let signed = || -> Result<(Request<Vec<u8>>, PendingResponse), Failure> {
        let request = Request::post(format!("{}/call", world.tool));
        let mut request = request.body(b"to Oslo".to_vec())?;
        token.apply(request.headers_mut())?;
        let pending = agent.sign(&mut request)?;
        Ok((request, pending))
    };
    let line = |sent, answer: &Response<Vec<u8>>, why: String, status: u16, expected: &str| Line {
        sent,
        status: answer.status().as_u16(),
        good: (answer.status().as_u16(), &*why) == (status, expected),
        why,
    };

    let (request, pending) = signed()?;
    let answer = world.fetcher.send(request).await?;
    let why = world.reasons.take();
    let why = pending
        .finish(answer.clone())
        .map_or_else(|error| error.code().to_owned(), |_| why);
    let good = line(
        "a signed call, whose answer is signed too",
        &answer,
        why,
        200,
        "accepted",
    );

    let (mut request, _pending) = signed()?;
    *request.body_mut() = b"to Rome".to_vec();
    let answer = world.fetcher.send(request).await?;
    let why = world.reasons.take();
    let sent = "a signed call with another body";
    let body = line(sent, &answer, why, 400, "digest.mismatch");

    let (request, pending) = signed()?;
    let mut answer = world.fetcher.send(request).await?;
    answer.body_mut().push(b'!');
    let why = pending
        .finish(answer.clone())
        .map_or_else(|error| error.code(), |_| "accepted")
        .to_owned();
    let sent = "a signed answer, changed: refused by the agent";
    let changed = line(sent, &answer, why, 200, "digest.mismatch");
    Ok([good, body, changed])
}
