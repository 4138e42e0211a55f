//! The client notification endpoint of the project's client (CIBA Core §10.2), on loopback.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aims::fetch::Fetch as _;
use aims::oauth_client::{BackchannelRequest, Pings, Token};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{Request, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use super::{Client, Server};
use crate::Failure;

/// A request to the endpoint, with the status of its answer.
type Ping = (Request<Vec<u8>>, StatusCode);

/// The receiver of pings, with what came. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Endpoint {
    pings: Pings,
    seen: Arc<Mutex<Vec<Ping>>>,
}

impl Endpoint {
    /// Returns the route `/ping`.
    pub(crate) fn routes(&self) -> Router {
        let route = post(Self::receive).with_state(self.clone());
        Router::new().route("/ping", route)
    }

    async fn receive(State(own): State<Self>, request: Request<Body>) -> Response {
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, LIMIT).await else {
            return Response::default();
        };
        let ping = Request::from_parts(head, body.to_vec());
        let answer = own.pings.receive(&ping);
        own.seen().push((ping, answer.status()));
        answer.map(Body::from)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Ping>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the user, and waits for the ping. Returns how the ping was answered, and the result of
    /// the token request afterwards.
    pub(crate) async fn ask(
        &self,
        server: &Server<'_>,
        client: &Client,
        request: BackchannelRequest,
    ) -> Result<(String, Result<Token, Failure>), Failure> {
        self.seen().clear();
        let request = request.pinged_at(&self.pings);
        let grant = server.by_backchannel(client, request).await?;
        timeout(PATIENCE, grant.pinged()).await?;
        let mut answers = Vec::new();
        // The answer is noted a moment after the wait has ended.
        while answers.is_empty() {
            tokio::task::yield_now().await;
            let seen = self.seen();
            answers.extend(seen.iter().map(|(_, status)| status.as_u16().to_string()));
        }
        Ok((answers.join(" "), server.token(client, grant).await))
    }

    /// Asks a user who never answers, and sends pings that are not of the server to this URL: with
    /// another token, and with that of the last request. Returns the answers, and whether the wait
    /// goes on.
    pub(crate) async fn forge(
        &self,
        server: &Server<'_>,
        client: &Client,
        request: BackchannelRequest,
        url: &str,
    ) -> Result<[String; 3], Failure> {
        let earlier = self.seen().last().map(|(ping, _)| ping.headers().clone());
        let earlier = earlier.and_then(|it| it.get("authorization").cloned());
        let earlier = earlier.ok_or("no ping came before")?;
        let request = request.pinged_at(&self.pings);
        let grant = server.by_backchannel(client, request).await?;
        let mut statuses = [String::new(), String::new()];
        let values = [http::HeaderValue::from_static("Bearer another"), earlier];
        for (status, authorization) in statuses.iter_mut().zip(values) {
            let body = json!({"auth_req_id": grant.auth_req_id().expose()});
            let forged = Request::post(url)
                .header("authorization", authorization)
                .header("content-type", "application/json")
                .body(body.to_string().into_bytes())?;
            let answer = server.fetcher.send(forged).await?;
            *status = answer.status().as_u16().to_string();
        }
        let waits = timeout(Duration::from_millis(300), grant.pinged()).await;
        let waits = if waits.is_err() { "waiting" } else { "awake" };
        let [another, earlier] = statuses;
        Ok([another, earlier, waits.to_owned()])
    }
}

/// The maximum length of a ping, in bytes.
const LIMIT: usize = 65_536;
/// How long the server has for its ping.
const PATIENCE: Duration = Duration::from_secs(20);
