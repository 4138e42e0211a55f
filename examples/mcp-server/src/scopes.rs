//! Scopes of single tools. All tools of an MCP server have one URL, so the name of the tool is read
//! from the message.

use aims::oauth_rs::insufficient_scope;
use aims::oauth_wire::names::ScopeSet;
use aims::{Guard, Principal};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::WWW_AUTHENTICATE;
use http::{Method, StatusCode};
use serde::Deserialize;

/// The scope for every message.
pub(crate) const CALL: &str = "tools:call";
/// The scopes for tools that change something.
pub(crate) const ADMIN: &str = "tools:call tools:admin";

/// A message of MCP, as far as the scope depends on it.
#[derive(Deserialize)]
struct Message {
    method: Option<String>,
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    name: Option<String>,
}

/// Passes the request on if its token has the scopes of the tool that it calls. Otherwise the
/// answer names the scopes that the client has to ask the user for (RFC 6750 §3.1).
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    // A message that cannot be read, or is a batch, may call any tool.
    let message = serde_json::from_slice::<Message>(&body);
    let needed = message.map_or(ADMIN, |it| it.scopes());
    let Ok(needed) = needed.parse::<ScopeSet>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let who = head.extensions.get::<Principal>();
    let granted = who.and_then(Principal::scopes);
    if !granted.is_some_and(|granted| needed.is_subset(granted)) {
        let metadata = guard.published().map(|it| it.url());
        let (status, challenge) = insufficient_scope(metadata, &needed);
        return (status, [(WWW_AUTHENTICATE, challenge)]).into_response();
    }
    next.run(Request::from_parts(head, Body::from(body))).await
}

impl Message {
    fn scopes(&self) -> &'static str {
        if self.method.as_deref() != Some("tools/call") {
            return CALL;
        }
        let name = self.params.as_ref().and_then(|it| it.name.as_deref());
        match name {
            Some("who" | "forecast") => CALL,
            _ => ADMIN,
        }
    }
}

/// The longest message, in bytes.
const LONGEST: usize = 64 * 1024;
